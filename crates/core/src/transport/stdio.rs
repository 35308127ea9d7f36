//! Standard input and output as a stream.
