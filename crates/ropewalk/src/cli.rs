//! The arguments, as clap reads them. What they mean is said by each command's settings.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use serde::{Deserialize, Serialize};

use crate::operations::Options;
use crate::values;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "ropewalk",
    version,
    about = "Servers, clients and relays for the protocols of the Internet",
    long_about = "Servers, clients and relays for the protocols of the Internet, each a command of its own, \
        or all of those in a file by `ropewalk run`.\n\n\
        An ENDPOINT says where to listen or connect: `8080`, `tcp:127.0.0.1:8080`, \
        `tls:443:cert=site.pem:key=site.key`, `unix:/run/x.sock`, `systemd:web`, `stdio:`, and \
        around others `proxy:`, `socks5:HOST:PORT:`, `http-connect:HOST:PORT:`.",
    after_help = "SIGTERM and SIGINT end open connections in order; a second one ends them at once. SIGHUP \
        has the file and certificates read again, SIGUSR1 log files opened anew, SIGUSR2 a new \
        process take over.\n\
        Exit codes are those of sysexits.h: 64 usage, 66 no input, 68 unknown host, 69 unavailable, 70 software, \
        71 system, 73 cannot create, 74 input or output, 75 try again later, \
        76 protocol, 77 no permission, 78 configuration.",
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
    /// Run all services of a file
    ///
    /// SIGHUP, or `ropewalk reload`, has it read again: listeners that stay keep their connections,
    /// new ones are opened, and those that are gone end as on SIGTERM. A file with a mistake in it
    /// changes nothing.
    Run {
        /// The file
        #[arg(value_name = "FILE", default_value = crate::config::FILE)]
        file: PathBuf,
        /// What stands before what the file says of the process.
        #[command(flatten)]
        options: Options,
    },
    /// Fetch what is at a URL by HTTP, or send something there
    ///
    /// Prints the content, or saves it: then it is never taken for whole when it is not, and can be
    /// resumed. Redirections are followed. An answer other than success is a failure, and its page is
    /// neither printed nor saved.
    Get(Box<crate::get::Args>),
    /// Say what is wrong with a file, without running it
    ///
    /// Everything at once, by line and key. Certificates are read; ports are not opened.
    Check {
        /// The file
        #[arg(value_name = "FILE", default_value = crate::config::FILE)]
        file: PathBuf,
    },
    /// Write a file to begin with, with comments
    Init {
        /// The file; it must not exist
        #[arg(value_name = "FILE", default_value = crate::config::FILE)]
        file: PathBuf,
    },
    /// Have a running command read its file and its certificates again
    ///
    /// Says what has changed, or what is wrong with the file: then nothing has.
    Reload(Controlled),
    /// Stop a running command, and wait until it has ended
    Stop(Controlled),
    /// Have a running command replaced by what lies at its program's place now
    ///
    /// The new process takes over what is listened on, and the old one ends with its connections; no
    /// connection is refused. When the new one cannot start, the old one goes on. SIGUSR2 to the process
    /// does the same.
    Upgrade {
        /// The file with its process id, as --pidfile of it says, where it has no control socket
        #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "control"])]
        pidfile: Option<PathBuf>,
        /// For how many seconds to wait for the new process
        #[arg(
            long,
            value_name = "SECONDS",
            value_parser = values::seconds,
            default_value = "60"
        )]
        timeout: Duration,
        /// Which command.
        #[command(flatten)]
        which: Controlled,
    },
    /// Show the services of a running command, their listeners and connections
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Which command.
        #[command(flatten)]
        which: Controlled,
    },
    /// Print the list of all keys of ropewalk.toml, as Markdown
    Keys,
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

/// Which running command is meant.
#[derive(Debug, Clone, Args)]
pub struct Controlled {
    /// The file it runs, which may name a control socket [default: ropewalk.toml, if it is there]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Its control socket [default: as the file says, else ropewalk.sock in $XDG_RUNTIME_DIR, or in
    /// /run]
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
}

/// Options of all services: what the process does.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Process")]
pub struct Process {
    /// Worker threads, each with a socket of its own where that can be [default: one scheduler over
    /// all cores]
    #[arg(long, value_name = "N")]
    pub workers: Option<NonZeroUsize>,
    /// For how many seconds busy connections may go on after SIGTERM
    #[arg(long, value_name = "SECONDS", value_parser = values::seconds, default_value = "30")]
    pub grace: Duration,
    /// Who the process is, what names it, and how it is replaced.
    #[command(flatten)]
    pub options: Options,
    /// A socket for `ropewalk reload`, `status`, `stop` and `upgrade`, made with mode 0600 [default of `run`:
    /// ropewalk.sock in $XDG_RUNTIME_DIR, or in /run]
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Print the ropewalk.toml that does the same, and run nothing
    #[arg(long)]
    pub print_config: bool,
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
    #[arg(long, global = true, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// Show what comes (<) and goes (>) on each connection, secrets left out
    #[arg(long, global = true)]
    pub wire: bool,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
