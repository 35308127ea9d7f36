//! What is made from the definition of the arguments: completions and manual pages.

use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;

use crate::exit::{self, Code, Failure};

/// Prints the completions for a shell.
///
/// # Errors
/// When they cannot be written.
pub fn completions(mut command: Command, shell: Shell) -> Result<(), Failure> {
    // Made in memory first: the generator panics when its output fails.
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, "ropewalk", &mut text);
    exit::print(&text)
}

/// Prints the manual page of the command, or writes that and one for each subcommand to `folder`.
///
/// # Errors
/// When they cannot be written.
pub fn man(command: Command, folder: Option<&Path>) -> Result<(), Failure> {
    let Some(folder) = folder else {
        let mut text = Vec::new();
        clap_mangen::Man::new(command).render(&mut text)?;
        return exit::print(&text);
    };
    clap_mangen::generate_to(command, folder).map_err(|error| {
        let help = match error.kind() {
            io::ErrorKind::NotFound => "; make the folder first",
            _ => "",
        };
        let what = format!("cannot write manual pages to {}: {error}{help}", folder.display());
        Failure::new(Code::CantCreate, what)
    })
}
