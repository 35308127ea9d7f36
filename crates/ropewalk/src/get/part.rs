//! A file that is not whole yet.
//!
//! It lies beside the file that it will be, as `NAME.part`, and remembers which version of the thing it
//! is a part of in an extended attribute, where the file system has such: then a download is never
//! made of two versions.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use http::HeaderValue;
use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, fsetxattr};

use super::Resume;
use crate::exit::{Code, Failure};

/// Where the version is noted: what `If-Range` will say.
const ATTRIBUTE: &str = "user.ropewalk.validator";

/// A file that is being written, and where it goes when it is whole.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    /// `None` if it is written where it is to be: a device, say.
    whole: Option<PathBuf>,
    file: File,
    len: u64,
    /// Regular: can be cut and resumed.
    regular: bool,
}

impl Part {
    /// The beginning of `whole`, or what there is of it to go on from.
    pub(super) fn open(whole: &Path, resume: Option<Resume>) -> Result<Self, Failure> {
        let wrong = |path: &Path, error: &io::Error| cannot_write(path, error);
        let facts = fs::metadata(whole);
        if facts.as_ref().is_ok_and(|facts| !facts.is_file()) {
            let file = File::options().write(true).open(whole);
            let file = file.map_err(|error| wrong(whole, &error))?;
            let path = whole.to_owned();
            return Ok(Self { path, whole: None, file, len: 0, regular: false });
        }
        let part = beside(whole);
        // What another program has begun has no name of ours.
        let in_place = resume.is_some() && !part.exists() && facts.is_ok();
        let path = if in_place { whole.to_owned() } else { part };
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(resume.is_none())
            .open(&path)
            .map_err(|error| wrong(&path, &error))?;
        let mut len = file.metadata().map_err(|error| wrong(&path, &error))?.len();
        if let Some(Resume::At(offset)) = resume {
            if offset > len {
                let what = format!("{}: it has {len} bytes, and no {offset}", path.display());
                return Err(Failure::new(Code::Usage, what));
            }
            file.set_len(offset).map_err(|error| wrong(&path, &error))?;
            len = offset;
        }
        file.seek(SeekFrom::Start(len)).map_err(|error| wrong(&path, &error))?;
        let whole = (!in_place).then(|| whole.to_owned());
        Ok(Self { path, whole, file, len, regular: true })
    }

    /// How many bytes there are.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether what is written can be taken back.
    pub(super) fn is_regular(&self) -> bool {
        self.regular
    }

    /// Which version it is a part of.
    pub(super) fn validator(&self) -> Option<HeaderValue> {
        let mut value = [0; 256];
        let length = fgetxattr(&self.file, ATTRIBUTE, &mut value).ok()?;
        HeaderValue::from_bytes(value.get(..length)?).ok()
    }

    /// Empty again, and of this version.
    pub(super) fn restart(&mut self, validator: Option<&HeaderValue>) -> Result<(), Failure> {
        if !self.regular {
            return Ok(());
        }
        if self.whole.is_none() {
            // It was gone on with in its place, and stays there until there is better.
            let part = beside(&self.path);
            self.file = File::create(&part).map_err(|error| cannot_write(&part, &error))?;
            self.whole = Some(std::mem::replace(&mut self.path, part));
        }
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(|error| cannot_write(&self.path, &error))?;
        self.len = 0;
        // A file system without attributes only means that the version is not known later.
        let _ = match validator {
            Some(value) => fsetxattr(&self.file, ATTRIBUTE, value.as_bytes(), XattrFlags::empty()),
            None => fremovexattr(&self.file, ATTRIBUTE),
        };
        Ok(())
    }

    pub(super) fn write(&mut self, data: &[u8]) -> Result<(), Failure> {
        let mut left = data;
        while !left.is_empty() {
            // Counted one by one: what was written before a disk was full is there.
            match self.file.write(left) {
                Ok(0) => return Err(cannot_write(&self.path, &io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.len += count as u64;
                    left = &left[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(cannot_write(&self.path, &error)),
            }
        }
        Ok(())
    }

    /// It is whole: it gets its name. The version stays noted, so that who goes on with the whole gets
    /// another one from its beginning.
    pub(super) fn keep(self) -> Result<(), Failure> {
        let Some(whole) = &self.whole else { return Ok(()) };
        fs::rename(&self.path, whole).map_err(|error| cannot_write(whole, &error))
    }

    /// It stays as it is, unless there is nothing in it. What to tell people, if they can go on.
    pub(super) fn leave(self) -> Option<String> {
        if self.len > 0 && self.regular {
            let (len, path) = (self.len, self.path.display());
            return Some(format!("{len} bytes are in {path}; run it again with -C - to go on"));
        }
        if self.whole.is_some() {
            // Nothing is lost.
            let _ = fs::remove_file(&self.path);
        }
        None
    }
}

/// Where the part of a file lies.
fn beside(whole: &Path) -> PathBuf {
    let mut name = whole.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// A file that cannot be made or written.
fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    use io::ErrorKind as Kind;
    let code = match error.kind() {
        Kind::NotFound | Kind::NotADirectory | Kind::IsADirectory | Kind::ReadOnlyFilesystem => {
            Code::CantCreate
        }
        Kind::PermissionDenied => Code::NoPermission,
        _ => Code::Io,
    };
    Failure::new(code, format!("{}: cannot be written: {error}", path.display()))
}
