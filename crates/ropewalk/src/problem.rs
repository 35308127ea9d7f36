//! Where settings come from, so that what is wrong with them can be told by line and key.

use std::collections::BTreeMap;
use std::sync::Arc;

use ropewalk_core::endpoint;

use crate::exit::{Code, Failure};

/// Where the settings of a service come from.
#[derive(Debug, Clone, Default)]
pub enum Place {
    /// Options of a command line.
    #[default]
    Options,
    /// A section of a file.
    Section(Arc<Section>),
}

/// A section of a file.
#[derive(Debug, Default)]
pub struct Section {
    /// The file, as it was named.
    pub file: String,
    /// What it is called: `web`, `limits`; empty for what stands before all sections.
    pub name: String,
    /// Its first line, from 1.
    pub line: usize,
    /// The lines of its keys: `listen`, `listen[1]`, `limits.rate`.
    pub lines: BTreeMap<String, usize>,
}

impl Section {
    /// The line of a key, or of what it is in, or of the section.
    fn line(&self, key: &str) -> usize {
        let mut key = key;
        loop {
            if let Some(line) = self.lines.get(key) {
                return *line;
            }
            match key.rfind(['.', '[']) {
                Some(at) => key = &key[..at],
                None => return self.line,
            }
        }
    }
}

impl Place {
    /// The place of a key, for people: `--listen`, or `ropewalk.toml:12: web.listen[1]`.
    #[must_use]
    pub fn of(&self, key: &str) -> String {
        match self {
            Self::Options => {
                let option = match key.split_once('.') {
                    Some(("limits", option)) => option.to_owned(),
                    Some((section @ ("log" | "upgrade"), key)) => format!("{section}-{key}"),
                    _ => key.split(['[', '.']).next().unwrap_or(key).to_owned(),
                };
                format!("--{option}")
            }
            Self::Section(section) => {
                let (line, name) = (section.line(key), section.name.as_str());
                let dot = if name.is_empty() || key.is_empty() { "" } else { "." };
                format!("{}:{line}: {name}{dot}{key}", section.file)
            }
        }
    }

    /// What is wrong with a key.
    #[must_use]
    pub fn failure(&self, key: &str, code: Code, what: impl AsRef<str>) -> Failure {
        let code = match (self, code) {
            // A file that says what cannot be is another thing than a wrong option.
            (Self::Section(_), Code::Usage) => Code::Config,
            _ => code,
        };
        Failure::new(code, format!("{}: {}", self.of(key), what.as_ref()))
    }

    /// A string that is no endpoint. On the command line it is shown with a caret under the place; in
    /// a file there is one line.
    #[must_use]
    pub fn endpoint(&self, key: &str, error: &endpoint::Error) -> Failure {
        match self {
            Self::Options => Failure::endpoint(&self.of(key), error),
            Self::Section(_) => self.failure(key, Code::Config, error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let section = |name: &str| {
            let lines = [("listen", 3), ("listen[1]", 5), ("limits.rate", 9)];
            Place::Section(Arc::new(Section {
                file: "r.toml".to_owned(),
                name: name.to_owned(),
                line: 2,
                lines: lines.map(|(key, line)| (key.to_owned(), line)).into(),
            }))
        };
        for (place, key, text) in [
            (Place::Options, "listen", "--listen"),
            (Place::Options, "listen[1]", "--listen"),
            (Place::Options, "limits.rate", "--rate"),
            (Place::Options, "log.level", "--log-level"),
            (Place::Options, "metrics.listen", "--metrics"),
            (section("web"), "listen", "r.toml:3: web.listen"),
            (section("web"), "listen[0]", "r.toml:3: web.listen[0]"),
            (section("web"), "listen[1]", "r.toml:5: web.listen[1]"),
            (section("web"), "limits.rate", "r.toml:9: web.limits.rate"),
            (section("web"), "path", "r.toml:2: web.path"),
            (section("web"), "", "r.toml:2: web"),
            (section(""), "grace", "r.toml:2: grace"),
        ] {
            assert_eq!(place.of(key), text);
        }
    }
}
