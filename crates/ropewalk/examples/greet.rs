//! A service of one's own beside those of `ropewalk`: `greet --help`, `greet greet --listen 7777`, and
//! `[[greet]]` in a file that `greet run` runs.

use std::process::ExitCode;

use ropewalk::{App, Failure, Kind, Limits, Stage};
use ropewalk_core::{BoxError, Connection, Lines, factory};
use serde::{Deserialize, Serialize};

/// Greet whoever says a name
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Greet {
    /// Where to listen; may be repeated
    #[arg(short, long, value_name = "ENDPOINT")]
    pub(crate) listen: Vec<String>,
    /// What to say
    #[arg(long, value_name = "WORDS", default_value = "Hello")]
    pub(crate) words: String,
    /// What it takes at most
    #[command(flatten)]
    pub(crate) limits: Limits,
}

impl Default for Greet {
    fn default() -> Self {
        Self { listen: Vec::new(), words: "Hello".to_owned(), limits: Limits::default() }
    }
}

impl Kind for Greet {
    const NAME: &'static str = "greet";

    fn start(&self, stage: &mut Stage) -> Result<(), Failure> {
        let words = self.words.clone();
        let greet = move |mut conn: Connection<Lines>| {
            let words = words.clone();
            async move {
                while let Some(name) = conn.next().await? {
                    let name = String::from_utf8_lossy(&name);
                    conn.send(format!("{words}, {name}!")).await?;
                }
                Ok::<_, BoxError>(conn.close().await?)
            }
        };
        stage.listen(&self.listen, &self.limits, factory::serve_with(Lines::either, greet));
        Ok(())
    }
}

/// The command with one service more.
pub(crate) fn app() -> App {
    App::default().with::<Greet>()
}

fn main() -> ExitCode {
    app().main()
}
