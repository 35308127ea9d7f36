//! Every routine of the project is a subcommand here: `cargo xtask help`.
//!
//! `test` is what CI runs; `interop` and `bench` drive foreign programs; `fuzz` and `docs` do what
//! they say; `tidy` is the part of `test` that reads the sources.

mod bench;
mod cargo;
mod docs;
mod fuzz;
mod interop;
mod peers;
mod plot;
mod process;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's routines", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    routine: Routine,
}

#[derive(Subcommand)]
enum Routine {
    /// Set up what is needed and run every check of the project: what CI runs
    Test(test::Options),
    /// Run the interop matrix against foreign programs and write docs/interop.md
    Interop(interop::Options),
    /// Measure ours and the peers alternately and write docs/benchmarks/NAME.md
    Bench(bench::Options),
    /// Fuzz one target, or each in turn; without cargo-fuzz, say how to get it
    Fuzz(fuzz::Options),
    /// Build the API documentation and check the book
    Docs(docs::Options),
    /// Check what no compiler checks: file lengths, boundaries between crates, leftovers
    Tidy,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().routine {
        Routine::Test(options) => test::run(&options),
        Routine::Interop(options) => interop::run(&options),
        Routine::Bench(options) => bench::run(&options),
        Routine::Fuzz(options) => fuzz::run(&options),
        Routine::Docs(options) => docs::run(&options),
        Routine::Tidy => tidy::run(),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace, wherever xtask was called from.
pub fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask lies in the workspace").to_path_buf()
}
