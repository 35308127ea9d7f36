//! A service of somebody else's: `examples/greet.rs`, run as a program of its own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::harness::{Folder, Running, connect};

#[expect(dead_code, reason = "it is a program of its own too")]
#[path = "../../examples/greet.rs"]
mod greet;

/// The arguments of the child, with a tab between them.
const ARGUMENTS: &str = "ROPEWALK_TEST_ARGUMENTS";

/// The example, in a process of its own: this test program, told to be it.
fn start(arguments: &[&str]) -> Running {
    let mut command = Command::new(std::env::current_exe().expect("it runs"));
    command.args(["--exact", "own::child", "--ignored", "--nocapture"]);
    command.env(ARGUMENTS, arguments.join("\t"));
    Running::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()))
}

#[test]
#[ignore = "it is what the other tests start"]
fn child() {
    if let Ok(arguments) = std::env::var(ARGUMENTS) {
        let code = greet::app().run_with(["greet"].into_iter().chain(arguments.split('\t')));
        assert_eq!(code, std::process::ExitCode::SUCCESS);
    }
}

fn say(stream: &mut TcpStream, name: &str) -> String {
    stream.write_all(format!("{name}\n").as_bytes()).expect("it listens");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("an answer");
    line.trim_end().to_owned()
}

#[test]
fn the_definition_is_sound() {
    ropewalk::kind::verify::<greet::Greet>();
}

#[test]
fn it_is_a_subcommand() {
    let arguments = ["greet", "--listen", "tcp:127.0.0.1:0", "--words", "Good day"];
    let mut running = start(&[&arguments[..], &["--log-format", "text"]].concat());
    let mut stream = connect(running.address());
    assert_eq!(say(&mut stream, "Ann"), "Good day, Ann!");
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn it_is_a_section_and_reloads() {
    let folder = Folder::new();
    let file = folder.join("ropewalk.toml");
    let text = "[control]\nsocket = \"x.sock\"\n[[greet]]\nlisten = [\"tcp:127.0.0.1:0\"]\n";
    fs::write(&file, text).expect("a file");
    let mut running = start(&["run", &file, "--log-format", "text"]);
    let address = running.address();
    let mut stream = connect(address);
    assert_eq!(say(&mut stream, "Ann"), "Hello, Ann!");
    fs::write(&file, text.to_owned() + "words = \"Bye\"\n").expect("a file");
    running.signal(rustix::process::Signal::HUP);
    running.line_that_begins("reloaded");
    assert_eq!(say(&mut stream, "Ann"), "Hello, Ann!");
    assert_eq!(say(&mut connect(address), "Ben"), "Bye, Ben!");
    fs::write(&file, text.to_owned() + "word = \"Bye\"\n").expect("a file");
    running.signal(rustix::process::Signal::HUP);
    running.line("did you mean `words`?");
    drop(stream);
    assert_eq!(running.stop().code, Some(0));
}
