//! A child process as a stream.
