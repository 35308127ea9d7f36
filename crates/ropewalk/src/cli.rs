//! The arguments, as clap reads them. What they mean is said by each command's settings.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::logfile::LogFile;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "ropewalk",
    version,
    about = "Servers and relays for the protocols of the Internet",
    long_about = "Servers and relays for the protocols of the Internet, each a command of its own.\n\n\
        An ENDPOINT says where to listen or connect: `8080`, `tcp:127.0.0.1:8080`, \
        `tls:443:cert=site.pem:key=site.key`, `unix:/run/x.sock`, `systemd:web`, `stdio:`, and \
        around others `proxy:`, `socks5:HOST:PORT:`, `http-connect:HOST:PORT:`.",
    after_help = "SIGTERM and SIGINT end open connections in order; a second one ends them at once.\n\
        Exit codes are those of sysexits.h: 64 usage, 66 no input, 69 unavailable, 70 software, \
        71 system, 73 cannot create, 74 input or output, 77 no permission, 78 configuration.",
    max_term_width = 100,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Options of all commands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a folder by HTTP
    ///
    /// Files are served with ranges, conditions and entity tags, a folder by its index file or as a
    /// listing. Nothing outside the folder is reached, by any spelling of a path nor by a link.
    Web(crate::web::Args),
    /// Relay connections from one endpoint to another
    ///
    /// Endpoints of any kinds: for each connection that comes, one is made. Either side may end its
    /// direction while the other goes on.
    Forward(crate::forward::Args),
    /// Have a running process replaced by what lies at its program's place now
    ///
    /// The new process takes over what is listened on, and the old one ends with its connections; no
    /// connection is refused. When the new one cannot start, the old one goes on. SIGUSR2 to the process
    /// does the same.
    Upgrade {
        /// The file with its process id, as --pidfile of it says
        #[arg(long, value_name = "FILE")]
        pidfile: PathBuf,
        /// For how many seconds to wait for the new process
        #[arg(
            long,
            value_name = "SECONDS",
            value_parser = crate::values::seconds,
            default_value = "60"
        )]
        timeout: std::time::Duration,
    },
    /// Print the completions for a shell
    ///
    /// For bash: `ropewalk completions bash > ~/.local/share/bash-completion/completions/ropewalk`
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page, or write the pages of all commands to a folder
    Man {
        /// The folder to write them to; it must exist
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
}

/// Options of all commands.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Logging")]
pub struct Global {
    /// Log more: -v connections and what went wrong with them, -vv all there is
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Log errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// What to log: a level, or levels by target as in `info,ropewalk_http=debug` [default: info]
    #[arg(
        long,
        global = true,
        value_name = "LEVELS",
        conflicts_with_all = ["verbose", "quiet"]
    )]
    pub log_level: Option<String>,
    /// How to log [default: text on a terminal, else json]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Log to this file instead of standard error; SIGUSR1 opens it anew
    #[arg(long, global = true, value_name = "FILE", value_parser = crate::values::log_file)]
    pub log_file: Option<LogFile>,
    /// Show what comes (<) and goes (>) on each connection, secrets left out
    #[arg(long, global = true)]
    pub wire: bool,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }
}
