//! What is read, what is wrong, what is printed.

use clap::{Args, Command};
use ropewalk_core::endpoint::Registry;

use super::*;
use crate::cli::{Global, Process};
use crate::daemon;
use crate::forward::Forward;
use crate::kind::Kind;
use crate::web::Web;

fn kinds() -> Vec<Entry> {
    vec![Entry::of::<Web>(), Entry::of::<Forward>()]
}

fn parse(text: &str) -> Result<Config, Vec<Failure>> {
    Config::parse("r.toml", text, &kinds())
}

/// Everything that is wrong with a file: what reading it finds, or else what a rehearsal finds.
fn check(text: &str, problems: &[&str]) {
    let found = match parse(text) {
        Ok(config) => daemon::rehearse(&config, &Registry::default()),
        Err(found) => found,
    };
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), problems.len(), "{text}\n{found:#?}");
    for (found, expected) in found.iter().zip(problems) {
        assert!(found.starts_with(expected), "{text}\n{found}\nis not\n{expected}");
    }
}

#[test]
fn mistakes_are_told_by_line_and_key_all_at_once() {
    check("[[web]]\n", &[]);
    check("", &["r.toml:1: there is no service"]);
    check("grace = 1\n", &["r.toml:1: there is no service"]);
    check("[[web]\n", &["r.toml:1: "]);
    check("[[web]]\npath = \"a\nlisten = [\n", &["r.toml:2: ", "r.toml:"]);
    check(
        "[[web]]\npth = \".\"\nlisten = \"8080\"\nno-listing = 3\n\n[[web]]\ndot_files = true\n",
        &[
            "r.toml:2: web.pth: no such key: did you mean `path`?",
            "r.toml:3: web.listen: invalid type: string \"8080\"",
            "r.toml:4: web.no-listing: invalid type: integer `3`",
            "r.toml:7: web.dot_files: no such key: did you mean `dotfiles`?",
        ],
    );
    check(
        "[[web]]\nlisten = [\"0\", 80]\n[web.limits]\nrates = 3\nrate = \"fast\"\nallow = [\"10.0.0.0/8\", \"x\"]\n",
        &[
            "r.toml:2: web.listen[1]: invalid type",
            "r.toml:4: web.limits.rates: no such key: did you mean `rate`?",
            "r.toml:5: web.limits.rate: `fast` is no number of bytes",
            "r.toml:6: web.limits.allow[1]: `x` is no network",
        ],
    );
    check("[[webb]]\n", &["r.toml:1: webb: no such key: did you mean `web`?"]);
    check("[[web]]\n[lgo]\n", &["r.toml:2: lgo: no such key: did you mean `log`?"]);
    check("[[web]]\n[xyz]\n", &["r.toml:2: xyz: no such key; there are"]);
    check(
        "[log]\nlvel = 1\n[[web]]\n",
        &["r.toml:2: log.lvel: no such key: did you mean `level`?"],
    );
    check("grace = \"soon\"\n[[web]]\n", &["r.toml:1: grace: `soon` is no number of seconds"]);
    check(
        "pid-file = \"x\"\n[[web]]\n",
        &["r.toml:1: pid-file: no such key: did you mean `pidfile`?"],
    );
    check("[[web]]\n[metric]\n", &["r.toml:2: metric: no such key: did you mean `metrics`?"]);
    check(
        "[upgrade]\ntime = 3\n[[web]]\n",
        &["r.toml:2: upgrade.time: no such key: did you mean `timeout`?"],
    );
    check(
        "[[web]]\nacces-log = \"x\"\n",
        &["r.toml:2: web.acces-log: no such key: did you mean `access-log`?"],
    );
    check("web = 3\n", &["r.toml:1: web: write a section, [[web]], for each"]);
    check(
        "[[web]]\nname = \"one\"\n[[forward]]\nname = \"one\"\nlisten = [\"0\"]\nto = \"1\"\n",
        &["r.toml:4: forward.name: there is another service called `one`"],
    );
    check("[[web]]\nname = \"a b\"\n", &["r.toml:2: web.name: a name is made of"]);
}

#[test]
fn what_cannot_be_is_told_too() {
    check(
        "[[web]]\nlisten = [\"tcp:127.0.0.1:0\",\n  \"tpc:80\"]\npath = \"/nowhere/at/all\"\n",
        &["r.toml:4: web.path: ", "r.toml:3: web.listen[1]: "],
    );
    check(
        "[[forward]]\n[[forward]]\nlisten = [\"tls:0\"]\nto = \"tcp:localhost:http\"\n",
        &[
            "r.toml:1: forward.to: say where",
            "r.toml:1: forward.listen: say where",
            "r.toml:4: forward.to: ",
            "r.toml:3: forward.listen[0]: ",
        ],
    );
    check("[log]\nlevel = \"loud=very\"\n[[web]]\n", &["r.toml:2: log.level: "]);
    check("[log]\nlevel = \"loud\"\n[[web]]\n", &["r.toml:2: log.level: `loud` is no level"]);
    check(
        "[[web]]\nlisten = [\"tls:0:cert=self-signed\"]\ntls = \"self-signed\"\n",
        &["r.toml:2: web.listen[0]: tls:tcp:*:0"],
    );
    check(
        "user = \"no such user\"\n[metrics]\nlisten = \"tpc:1\"\n[[web]]\n",
        &["r.toml:1: user: ", "r.toml:3: metrics.listen: "],
    );
    check("group = \"0\"\n[[web]]\n", &["r.toml:1: group: "]);
    check("[metrics]\nlisten = \"stdio:\"\n[[web]]\n", &["r.toml:2: metrics.listen: stdio: "]);
    check(
        "[metrics]\nlisten = \"1\"\n[[web]]\nlisten = [\"1\"]\n",
        &["r.toml:2: metrics.listen: tcp:*:1: named before"],
    );
    check(
        "[[web]]\nlisten = [\"1\", \"0\", \"0\"]\n[[web]]\nlisten = [\"tcp:1\"]\n",
        &["r.toml:4: web.listen[0]: tcp:*:1: named before"],
    );
    check(
        "[[web]]\nlisten = [\"tcp:127.0.0.1:1\", \"tcp:127.0.0.2:1\"]\n[[web]]\nlisten = [\"1\"]\n",
        &["r.toml:4: web.listen[0]: tcp:*:1: named before"],
    );
}

#[test]
fn services_have_names() {
    for (text, names) in [
        ("[[web]]\n", "web"),
        ("[web]\n", "web"),
        ("[[web]]\n[[web]]\n[[web]]\n", "web web-2 web-3"),
        ("[[web]]\nname = \"web-2\"\n[[web]]\n[[web]]\n", "web-2 web web-3"),
        ("[[web]]\n[[forward]]\n[[web]]\nname = \"x\"\n", "web forward x"),
        ("[[forward]]\n[[web]]\n", "forward web"),
    ] {
        let config = parse(text).expect(text);
        assert_eq!(config.names().collect::<Vec<_>>().join(" "), names, "{text}");
    }
}

/// What a command line says, as `ropewalk` reads it.
fn flags<K: Kind>(words: &[&str]) -> Config {
    let command = Process::augment_args(K::augment_args(Command::new(K::NAME)));
    let matches = Global::augment_args(command).no_binary_name(true).get_matches_from(words);
    let global = clap::FromArgMatches::from_arg_matches(&matches).expect("options");
    let process = clap::FromArgMatches::from_arg_matches(&matches).expect("options");
    let settings = K::from_arg_matches(&matches).expect("options");
    Config::of_one(K::NAME, Box::new(settings), crate::app::globals(&process, &global))
}

#[test]
fn what_is_printed_means_the_same() {
    let web: &[&[&str]] = &[
        &[],
        &["--listen", "8080", "--listen", "tls:443:cert=a.pem", "--path", "/srv/\"x\"\\y"],
        &["--tls", "a.pem,b.key", "--log", "json", "--index", "a", "--index", "b"],
        &["--tls", "self-signed", "--no-listing", "--dotfiles", "--follow-links"],
        &["--precompressed", "--max-connections", "5", "--max-per-address", "0"],
        &["--accept-rate", "9", "--rate", "500K", "--rate-all", "1000"],
        &["--allow", "10.0.0.0/8,2001:db8::1", "--deny", "192.0.2.1"],
        &["--workers", "3", "--grace", "0.5", "--control", "/run/x.sock"],
        &["-v", "--wire", "--log-format", "json"],
        &["--log-level", "info,ropewalk_http=debug"],
    ];
    let forward: &[&[&str]] =
        &[&[], &["--listen", "0", "--to", "1", "--idle", "1.25", "--rate", "3G"]];
    let configs = web.iter().map(|words| flags::<Web>(words));
    for config in configs.chain(forward.iter().map(|words| flags::<Forward>(words))) {
        let text = config.print();
        let read = parse(&text).unwrap_or_else(|problems| panic!("{text}\n{problems:?}"));
        assert_eq!(read, config, "{text}");
        assert_eq!(read.print(), text);
    }
}

#[test]
fn a_file_is_printed_as_it_was_meant() {
    let text = "grace = 5\n\n[limits]\nrate = \"2M\"\n\n[log]\nlevel = \"warn\"\n\n[[web]]\n\
                name = \"a\"\npath = \"a\"\n\n[web.limits]\nallow = [\"10.0.0.0/8\"]\n\n[[forward]]\n\
                listen = [\"1\"]\nto = \"2\"\n";
    assert_eq!(parse(text).expect("a file").print(), text);
}

#[test]
fn the_file_to_begin_with_is_right_with_and_without_its_comments() {
    check(init::TEXT, &[]);
    let bare = |line: &str| {
        let rest = line.strip_prefix("# ")?;
        let key = rest.split([' ', '=']).next().unwrap_or_default();
        let is_key =
            rest.contains(" = ") && !key.contains(|c: char| !c.is_alphanumeric() && c != '-');
        (rest.starts_with('[') || is_key).then(|| rest.to_owned())
    };
    let lines = init::TEXT.lines().map(|line| bare(line).unwrap_or_else(|| line.to_owned()));
    let text = lines.collect::<Vec<_>>().join("\n");
    let config = parse(&text).unwrap_or_else(|problems| panic!("{text}\n{problems:#?}"));
    assert_eq!(config.services.len(), 3, "{text}");
    assert_ne!(config.globals, Globals::default());
}

#[test]
fn the_page_of_keys_is_what_is_read() {
    let page = reference(&kinds());
    let written = include_str!("../../../../docs/configuration.md");
    let help = "docs/configuration.md is not what `ropewalk keys` prints: write it anew";
    assert!(page == written, "{help}");
    let section = |name: &str| {
        let heading = if name.is_empty() { "Before".to_owned() } else { format!("`[{name}]`") };
        page.split("\n## ").find(|part| part.starts_with(&heading)).expect("a section")
    };
    for (name, keys) in reference::global_keys() {
        for key in keys {
            assert!(section(&name).contains(&format!("\n| `{key}` |")), "[{name}] {key}");
        }
    }
    // And what the page has is read.
    for (name, value) in [
        ("", "workers = 2"),
        ("", "grace = 1"),
        ("", "user = \"nobody\""),
        ("", "group = \"nogroup\""),
        ("", "pidfile = \"x\""),
        ("log", "file = \"x\""),
        ("metrics", "listen = \"9090\""),
        ("upgrade", "program = \"x\""),
        ("upgrade", "timeout = 5"),
        ("log", "level = \"info\""),
        ("log", "format = \"text\""),
        ("log", "wire = true"),
        ("control", "socket = \"x\""),
        ("limits", "rate-all = 5"),
    ] {
        let key = value.split(' ').next().unwrap_or_default();
        assert!(section(name).contains(&format!("\n| `{key}` |")), "[{name}] {key}");
        let heading = if name.is_empty() { String::new() } else { format!("[{name}]\n") };
        parse(&format!("{heading}{value}\n[[web]]\n")).expect(value);
    }
}

#[test]
fn limits_of_a_service_stand_before_those_of_all() {
    let limits = |text: &str| -> Limits { toml::from_str(text).expect("limits") };
    let all = limits("rate = 5\nmax-connections = 7\nallow = [\"10.0.0.0/8\"]");
    let own = limits("rate = 6\ndeny = [\"192.0.2.0/24\"]");
    let both = limits("rate = 6\nmax-connections = 7\ndeny = [\"192.0.2.0/24\"]");
    assert_eq!(own.or(&all), both);
    assert_eq!(Limits::default().or(&all), all);
}
