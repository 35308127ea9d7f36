//! Logs, on standard error or in a file: text for people, JSON for programs.

use std::fmt;
use std::io::{self, IsTerminal};
use std::panic;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tracing::{Event, Level, Subscriber, error};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::{Global, LogFormat};
use crate::exit::{Code, Failure};
use crate::logfile::LogFile;

/// The target of what a person who starts a server wants to read first: as text, it is shown without
/// time and level.
pub const NOTICE: &str = "ropewalk::notice";

/// The target of [`Traced`](ropewalk_core::factory::Traced): a line for each connection is too much
/// unless it is asked for.
const CONNECTIONS: &str = "ropewalk_core::factory::traced";

/// What is said at most by what lies below us, however much is asked for.
/// What the verifier of certificates has against one is in our own errors.
const BELOW: &str = "mio=info,tokio=info,rustls=info,rustls_platform_verifier=off";

/// What is logged, and how: the section `[log]`, or the options of all commands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// What to log: a level, or levels by target as in `info,ropewalk_http=debug`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// How to log; by default text on a terminal, else JSON. A change needs a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<LogFormat>,
    /// A file to log to instead of standard error. A change needs a restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Show what comes and goes on each connection, secrets left out.
    pub wire: bool,
}

impl Settings {
    /// These, and over them what the command line says.
    #[must_use]
    pub fn under(&self, global: &Global) -> Global {
        let silent = global.verbose == 0 && !global.quiet && global.log_level.is_none();
        Global {
            log_level: if silent { self.level.clone() } else { global.log_level.clone() },
            log_format: global.log_format.or(self.format),
            log_file: global.log_file.clone().or_else(|| self.file.clone()),
            wire: global.wire || self.wire,
            ..global.clone()
        }
    }
}

impl From<&Global> for Settings {
    fn from(global: &Global) -> Self {
        let level = match (&global.log_level, global.quiet, global.verbose) {
            (Some(level), _, _) => Some(level.clone()),
            (None, true, _) => Some("error".to_owned()),
            (None, false, 0) => None,
            (None, false, 1) => Some(format!("debug,{BELOW}")),
            (None, false, _) => Some(format!("trace,{BELOW}")),
        };
        let file = global.log_file.clone();
        Self { level, format: global.log_format, file, wire: global.wire }
    }
}

/// Changes what is logged, later.
pub struct Levels(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl Levels {
    /// Logs from now on as the options say, but for their format.
    ///
    /// # Errors
    /// When the levels cannot be understood.
    pub fn change(&self, global: &Global) -> Result<(), Failure> {
        (self.0)(filter(global)?);
        Ok(())
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Levels").finish()
    }
}

/// Whether the levels of a file can be understood.
///
/// # Errors
/// In words, when they cannot.
pub fn check(levels: &str) -> Result<(), String> {
    understood(levels).map(drop)
}

/// Begins to log as the options say, panics among the rest, to `file` or to standard error. To be
/// called once per process; when somebody else logs already, it leaves that as it is. Logs may be
/// changed by what is returned. The file keeps what comes until it is [opened](LogFile::open).
///
/// # Errors
/// When `--log-level` cannot be understood.
pub fn start(global: &Global, file: Option<&LogFile>) -> Result<Levels, Failure> {
    let filter = filter(global)?;
    let terminal = file.is_none() && io::stderr().is_terminal();
    let output = match file {
        Some(file) => BoxMakeWriter::new(file.clone()),
        None => BoxMakeWriter::new(io::stderr),
    };
    let standard = if terminal { LogFormat::Text } else { LogFormat::Json };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(output)
        // Whoever reads our standard error may leave without ending us.
        .log_internal_errors(false);
    let (levels, started) = match global.log_format.unwrap_or(standard) {
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_span_list(false);
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            // An error means that nobody logs any more.
            let levels = Levels(Box::new(move |filter| drop(handle.reload(filter))));
            (levels, builder.try_init())
        }
        LogFormat::Text => {
            let colours = terminal && std::env::var_os("NO_COLOR").is_none();
            let format = Text { usual: Format::default().with_target(false).with_ansi(colours) };
            let builder = builder.with_ansi(colours).event_format(format).with_filter_reloading();
            let handle = builder.reload_handle();
            let levels = Levels(Box::new(move |filter| drop(handle.reload(filter))));
            (levels, builder.try_init())
        }
    };
    // An error means that there is a subscriber.
    if started.is_ok() {
        panic::set_hook(Box::new(|panic| error!("{panic}")));
    }
    Ok(levels)
}

/// Whether a line for each connection is asked for.
#[must_use]
pub fn shows_connections() -> bool {
    tracing::enabled!(target: CONNECTIONS, Level::INFO)
}

fn filter(global: &Global) -> Result<EnvFilter, Failure> {
    let wire = if global.wire { ",ropewalk::wire=info" } else { "" };
    let levels = match (&global.log_level, global.quiet, global.verbose) {
        (Some(levels), _, _) => levels.clone(),
        (None, true, _) => "error".to_owned(),
        (None, false, 0) => format!("info,{CONNECTIONS}=warn,{BELOW}"),
        (None, false, 1) => format!("debug,{BELOW}"),
        (None, false, _) => format!("trace,{BELOW}"),
    };
    understood(&format!("{levels}{wire}"))
        .map_err(|error| Failure::new(Code::Usage, format!("--log-level {levels}: {error}")))
}

fn understood(levels: &str) -> Result<EnvFilter, String> {
    let help = "write a level (error, warn, info, debug, trace), or TARGET=LEVEL, with commas";
    // A word alone would be taken for a target all of whose levels are wanted.
    for part in levels.split(',').map(str::trim).filter(|part| !part.contains(['=', '['])) {
        if part.parse::<LevelFilter>().is_err() {
            return Err(format!("`{part}` is no level: {help}"));
        }
    }
    EnvFilter::try_new(levels).map_err(|error| format!("{error}: {help}"))
}

/// Text: notices bare, all else as usual.
struct Text {
    usual: Format<Full>,
}

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if event.metadata().target() != NOTICE {
            return self.usual.format_event(context, writer, event);
        }
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        let global = Global::default();
        let level = |text: &str| Global { log_level: Some(text.into()), ..global.clone() };
        for (global, good) in [
            (global.clone(), true),
            (Global { verbose: 1, wire: true, ..global.clone() }, true),
            (Global { verbose: 9, ..global.clone() }, true),
            (Global { quiet: true, wire: true, ..global.clone() }, true),
            (level("debug"), true),
            (level("info,ropewalk_http=trace"), true),
            (level("loud=very"), false),
        ] {
            assert_eq!(filter(&global).is_ok(), good, "{global:?}");
        }
    }
}
