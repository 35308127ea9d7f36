//! Help, versions, completions, manual pages.

use std::fs;
use std::process::Stdio;

use crate::harness::{Folder, Running, closed_pipe, command, run};

#[test]
fn it_explains_itself() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["--version"], &[concat!("ropewalk ", env!("CARGO_PKG_VERSION"))]),
        (&["help"], &["web", "forward", "completions", "man", "--verbose", "Exit codes"]),
        (
            &["--help"],
            &["web", "forward", "run", "check", "reload", "status", "completions", "man"],
        ),
        (&["help", "run"], &["[FILE]", "SIGHUP", "[default: ropewalk.toml]"]),
        (&["keys"], &["## `[[web]]`", "| `no-listing` |"]),
        (&["help", "web"], &["--listen", "--no-listing", "--tls", "[default: tcp:127.0.0.1:8080]"]),
        (&["web", "--help"], &["--max-connections", "--grace", "[default: 30]"]),
        (&["forward", "--help"], &["--to", "--idle", "socks5:"]),
        (&["completions", "bash"], &["ropewalk", "--no-listing"]),
        (&["completions", "zsh"], &["#compdef ropewalk"]),
        (&["completions", "fish"], &["complete -c ropewalk"]),
        (&["man"], &[".TH ropewalk 1", "web"]),
    ];
    for (arguments, parts) in cases {
        let ended = run(arguments);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{arguments:?}");
        for part in *parts {
            assert!(ended.out.contains(part), "{arguments:?}: {part:?} is not in:\n{}", ended.out);
        }
    }
}

#[test]
fn manual_pages_are_written_for_all_commands() {
    let folder = Folder::new();
    let ended = run(&["man", &folder.text()]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    for page in ["ropewalk.1", "ropewalk-web.1", "ropewalk-forward.1", "ropewalk-run.1"] {
        let text = fs::read_to_string(folder.path().join(page)).expect("a page");
        assert!(text.contains(".TH"), "{page}");
    }
}

#[test]
fn a_reader_who_has_left_is_no_error() {
    for arguments in [&["--help"][..], &["--version"], &["completions", "bash"], &["man"]] {
        let mut running = Running::spawn(command(arguments).stdout(closed_pipe()));
        assert_eq!(running.wait(), Some(0), "{arguments:?}");
        let mut running =
            Running::spawn(command(arguments).stdout(closed_pipe()).stderr(Stdio::null()));
        assert_eq!(running.wait(), Some(0), "{arguments:?}");
    }
}
