//! The file that one begins with.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::exit::{Code, Failure};

/// It works as it is: the folder it lies in, on this machine only.
pub(super) const TEXT: &str = include_str!("init.toml");

/// Writes the file that one begins with, unless there is something of that name.
///
/// # Errors
/// When there is, or it cannot be written.
pub(crate) fn init(path: &Path) -> Result<(), Failure> {
    let name = path.display();
    let failed = |error: &std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => {
            let what = format!("{name} is there already and stays as it is; give another name");
            Failure::new(Code::CantCreate, what)
        }
        _ => Failure::new(Code::CantCreate, format!("cannot write {name}: {error}")),
    };
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(path).map_err(|e| failed(&e))?;
    file.write_all(TEXT.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| failed(&error))
}
