//! The command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ropewalk::main()
}
