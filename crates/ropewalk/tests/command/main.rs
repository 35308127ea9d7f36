//! The built command, driven from outside: over loopback, its standard streams and its signals.

mod errors;
mod forward;
mod get;
mod harness;
mod logs;
mod pages;
mod signals;
mod web;
