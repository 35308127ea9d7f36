//! The driver's rules, each with a test that fails without it.

mod buffers;
mod close;
mod deadlines;
mod ended;
mod flow;
mod talk;
mod upgrade;
