//! Included files in a folder.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::Include;

/// Opens what lies in a folder or beneath it, and nothing else: neither `..` nor a link leads out.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Files beneath `root`; their names are relative to it.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
}

impl Include for Folder {
    fn open(&mut self, path: &str, _from: &str) -> io::Result<Box<dyn Read>> {
        let outside = || {
            let what = format!("not beneath {}", self.root.display());
            io::Error::new(io::ErrorKind::PermissionDenied, what)
        };
        let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !Path::new(path).components().all(plain) {
            return Err(outside());
        }
        let (root, file) = (self.root.canonicalize()?, self.root.join(path).canonicalize()?);
        if !file.starts_with(&root) {
            return Err(outside());
        }
        Ok(Box::new(File::open(file)?))
    }
}
