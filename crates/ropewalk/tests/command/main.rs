//! The built command, driven from outside: over loopback, its standard streams and its signals.

mod daemon;
mod errors;
mod forward;
mod get;
mod harness;
mod logs;
mod own;
mod pages;
mod process;
mod signals;
mod site;
mod succession;
mod upgrade;
mod web;
