//! Logs, on standard error or in a file: text for people, JSON for programs.

use std::fmt;
use std::io::{self, IsTerminal};
use std::panic;

use tracing::{Event, Level, Subscriber, error};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::{Global, LogFormat};
use crate::exit::{Code, Failure};

/// The target of what a person who starts a server wants to read first: as text, it is shown without
/// time and level.
pub const NOTICE: &str = "ropewalk::notice";

/// The target of [`Traced`](ropewalk_core::factory::Traced): a line for each connection is too much
/// unless it is asked for.
const CONNECTIONS: &str = "ropewalk_core::factory::traced";

/// What is said at most by what lies below us, however much is asked for.
const BELOW: &str = "mio=info,tokio=info,rustls=info";

/// Begins to log as the options say, panics among the rest. To be called once per process; when somebody else logs already,
/// it leaves that as it is.
///
/// # Errors
/// When `--log-level` cannot be understood.
pub fn start(global: &Global) -> Result<(), Failure> {
    let filter = filter(global)?;
    let terminal = global.log_file.is_none() && io::stderr().is_terminal();
    let output = match &global.log_file {
        Some(file) => BoxMakeWriter::new(file.clone()),
        None => BoxMakeWriter::new(io::stderr),
    };
    let standard = if terminal { LogFormat::Text } else { LogFormat::Json };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(output)
        // Whoever reads our standard error may leave without ending us.
        .log_internal_errors(false);
    let started = match global.log_format.unwrap_or(standard) {
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).try_init(),
        LogFormat::Text => {
            let colours = terminal && std::env::var_os("NO_COLOR").is_none();
            let format = Text { usual: Format::default().with_target(false).with_ansi(colours) };
            builder.with_ansi(colours).event_format(format).try_init()
        }
    };
    // An error means that there is a subscriber.
    if started.is_ok() {
        panic::set_hook(Box::new(|panic| error!("{panic}")));
    }
    Ok(())
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
    EnvFilter::try_new(format!("{levels}{wire}")).map_err(|error| {
        let help = "write a level (error, warn, info, debug, trace), or TARGET=LEVEL, with commas";
        Failure::new(Code::Usage, format!("--log-level {levels}: {error}: {help}"))
    })
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
