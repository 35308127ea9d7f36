//! The built command, driven from outside: over loopback, its standard streams and its signals.

mod errors;
mod forward;
mod harness;
mod logs;
mod pages;
mod process;
mod signals;
mod upgrade;
mod web;
