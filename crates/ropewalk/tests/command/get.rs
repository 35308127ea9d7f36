//! `ropewalk get`, from servers that say what is written, and from our own.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::process::Stdio;
use std::thread;

use crate::harness::{Ended, Folder, Running, command, run, site};

/// A server that says these answers, one on each connection and then ends it; and its URL.
fn says(answers: &[&'static str]) -> (thread::JoinHandle<Vec<String>>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    let answers = answers.to_vec();
    let heard = thread::spawn(move || {
        let mut heard = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            while !is_whole(&request) {
                let count = stream.read(&mut piece).expect("a request");
                assert!(count > 0, "a whole request");
                request.extend_from_slice(&piece[..count]);
            }
            heard.push(String::from_utf8(request).expect("text"));
            stream.write_all(answer.as_bytes()).expect("a listener");
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read(&mut piece);
        }
        heard
    });
    (heard, url)
}

/// Whether a request has its head, and the content that is announced.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, content)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    if head.contains("transfer-encoding: chunked") {
        return content.ends_with("0\r\n\r\n");
    }
    content.len() >= length.map_or(0, |length| length.parse().expect("a length"))
}

fn get(arguments: &[&str]) -> Ended {
    run(&[&["get"], arguments].concat())
}

/// One exchange: the exit code, what is printed, and the words of the only line on standard error.
#[track_caller]
fn check(answer: &'static str, arguments: &[&str], code: i32, out: &str, words: &str) -> String {
    let (heard, url) = says(&[answer]);
    let url = format!("{url}/dir/name.bin");
    let ended = get(&[arguments, &[&url]].concat());
    assert_eq!((ended.code, &*ended.out), (Some(code), out), "{arguments:?}: {}", ended.err);
    if words.is_empty() {
        assert_eq!(ended.err, "", "{arguments:?}");
    } else {
        assert!(ended.err.contains(words), "{arguments:?}: {}", ended.err);
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    }
    heard.join().expect("no panic").concat()
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello";

#[test]
fn what_is_printed_and_the_exit_code() {
    let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nno!\n";
    let away = "HTTP/1.1 302 Found\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n";
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello";
    let part = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 5\r\n\r\nhello";
    #[rustfmt::skip]
    let table: &[(&str, &[&str], i32, &str, &str)] = &[
        (OK, &[], 0, "hello", ""),
        (OK, &["-i"], 0, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-a: b\r\n\r\nhello", ""),
        (OK, &["-o", "-"], 0, "hello", ""),
        (OK, &["-o", "/dev/null"], 0, "", ""),
        (missing, &[], 66, "", "/dir/name.bin: the server answered 404 Not Found"),
        (missing, &["--fail-with-body"], 66, "no!\n", "404"),
        (away, &["--max-redirects", "0"], 76, "", "the server answered 302 Found: it is at /else"),
        (cut, &[], 75, "hello", "cut short: 4 bytes are missing"),
        (part, &[], 76, "", "a part of it, and was asked for all"),
        (part, &["-H", "Range: bytes=0-4"], 0, "hello", ""),
        (cut, &["-o", "/dev/stdout", "--retry", "1"], 75, "hello", "cut short"),
        ("rubbish\r\n\r\n", &[], 76, "", "a start line that is none"),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", &[], 75, "", "503"),
        ("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", &[], 77, "", "--user"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &["-I"], 0,
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", ""),
    ];
    for (answer, arguments, code, out, words) in table {
        check(answer, arguments, *code, out, words);
    }
}

#[test]
fn what_is_asked() {
    let data = Folder::new().with("note.txt", "a\nnote");
    let note = format!("@{}", data.join("note.txt"));
    let file = data.join("note.txt");
    #[rustfmt::skip]
    let table: &[(&[&str], &[&str])] = &[
        (&[], &["GET /dir/name.bin HTTP/1.1\r\n", "host: 127.0.0.1:", "user-agent: ropewalk/", "accept: */*"]),
        (&["-I", "-X", "OPTIONS"], &["OPTIONS /dir/name.bin "]),
        (&["-H", "Accept: text/html", "-H", "X-B: c d"], &["accept: text/html\r\n", "x-b: c d\r\n"]),
        (&["-d", "a=b"], &["POST ", "content-type: application/x-www-form-urlencoded\r\n", "content-length: 3\r\n\r\na=b"]),
        (&["-d", &note, "-H", "content-type: text/plain"], &["POST ", "content-type: text/plain\r\n", "\r\n\r\na\nnote"]),
        (&["-T", &file], &["PUT /dir/name.bin ", "content-length: 6\r\n\r\na\nnote"]),
        (&["-T", &file, "-X", "PATCH"], &["PATCH "]),
        (&["-u", "me:secret"], &["authorization: Basic bWU6c2VjcmV0\r\n"]),
        (&["--http1-0"], &["GET /dir/name.bin HTTP/1.0\r\n"]),
        (&["-L"], &["GET "]),
    ];
    for (arguments, words) in table {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let printed = match arguments.first() {
            Some(&"-I") => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            _ => "",
        };
        let heard = check(answer, arguments, 0, printed, "");
        for words in *words {
            assert!(heard.contains(words), "{arguments:?}: {heard}");
        }
    }
}

#[test]
fn standard_input_is_sent_as_it_comes() {
    let (heard, url) = says(&["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]);
    let mut running =
        Running::spawn(command(&["get", "-T", "-", "-X", "POST", &url]).stdin(Stdio::piped()));
    let mut stdin = running.stdin();
    stdin.write_all(b"piece by piece").expect("a reader");
    drop(stdin);
    assert_eq!(running.wait(), Some(0));
    let heard = heard.join().expect("no panic").concat();
    assert!(
        heard.contains("transfer-encoding: chunked") && heard.contains("piece by piece"),
        "{heard}"
    );
}

#[test]
fn what_is_saved_is_whole_or_can_be_resumed() {
    let folder = Folder::new();
    let file = folder.join("file");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).ok();
    let save = |answers: &[&'static str], more: &[&str]| {
        let (heard, url) = says(answers);
        let url = format!("{url}/dir/name.bin");
        let ended = get(&[&["-o", &file, &url], more].concat());
        (ended, heard.join().expect("no panic"))
    };
    let (ended, _) = save(&[OK], &[]);
    assert_eq!((ended.code, read("file").as_deref()), (Some(0), Some("hello")), "{}", ended.err);
    assert_eq!(ended.err, "");

    // What was there stays until there is better.
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nETag: \"v1\"\r\n\r\n12345";
    let (ended, _) = save(&[cut], &[]);
    assert_eq!((ended.code, read("file").as_deref()), (Some(75), Some("hello")));
    assert_eq!(read("file.part").as_deref(), Some("12345"));
    let says = format!("5 bytes are in {file}.part; run it again with -C - to go on");
    assert!(ended.err.contains(&says), "{}", ended.err);

    let missing = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let (ended, _) = save(&[missing], &["-C", "-"]);
    assert_eq!((ended.code, read("file.part").as_deref()), (Some(66), Some("12345")));

    let rest = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-8/9\r\nContent-Length: 4\r\n\r\n6789";
    let (ended, heard) = save(&[rest], &["-C", "-"]);
    assert_eq!(
        (ended.code, read("file").as_deref()),
        (Some(0), Some("123456789")),
        "{}",
        ended.err
    );
    assert_eq!(read("file.part"), None);
    assert!(heard[0].contains("range: bytes=5-\r\n"), "{}", heard[0]);

    // Once more: there is nothing behind it.
    let nothing = "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */9\r\nContent-Length: 0\r\n\r\n";
    let (ended, heard) = save(&[nothing], &["-C", "-"]);
    assert_eq!(
        (ended.code, read("file").as_deref()),
        (Some(0), Some("123456789")),
        "{}",
        ended.err
    );
    // On the condition that it is still the same: of another one all would have come.
    if xattrs_work(&folder) {
        assert!(heard[0].contains("if-range: \"v1\"\r\n"), "{}", heard[0]);
    }

    // It has changed.
    let (ended, _) = save(&[cut], &[]);
    assert_eq!(ended.code, Some(75));
    let (ended, heard) = save(&[OK], &["-C", "-"]);
    assert_eq!((ended.code, read("file").as_deref()), (Some(0), Some("hello")), "{}", ended.err);
    assert!(ended.err.contains("from the beginning"), "{}", ended.err);
    if xattrs_work(&folder) {
        assert!(heard[0].contains("if-range: \"v1\"\r\n"), "{}", heard[0]);
    }

    let wrong = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-8/9\r\nContent-Length: 5\r\n\r\n56789";
    let (ended, _) = save(&[wrong], &["-C", "-"]);
    assert_eq!((ended.code, read("file").as_deref()), (Some(76), Some("hello")), "{}", ended.err);

    // From a byte of one's own choice, in place of what was there behind it.
    let (ended, _) = save(
        &[
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-4/5\r\nContent-Length: 3\r\n\r\nLLO",
        ],
        &["-C", "2"],
    );
    assert_eq!((ended.code, read("file").as_deref()), (Some(0), Some("heLLO")), "{}", ended.err);

    // What cannot be gone on with stays until there is better.
    let (ended, _) = save(&[cut], &["-C", "-"]);
    assert_eq!((ended.code, read("file").as_deref()), (Some(75), Some("heLLO")), "{}", ended.err);
    assert_eq!(read("file.part").as_deref(), Some("12345"));
    fs::remove_file(folder.path().join("file.part")).expect("it is there");

    // Nothing is left of what never began.
    fs::remove_file(folder.path().join("file")).expect("it is there");
    let (ended, _) = save(&[missing], &[]);
    assert_eq!((ended.code, read("file"), read("file.part")), (Some(66), None, None));
}

fn xattrs_work(folder: &Folder) -> bool {
    let file = fs::File::create(folder.path().join("x")).expect("a file");
    rustix::fs::fsetxattr(&file, "user.x", b"x", rustix::fs::XattrFlags::empty()).is_ok()
}

#[test]
fn what_may_pass_is_tried_again() {
    let folder = Folder::new();
    let file = folder.join("file");
    let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nETag: \"v1\"\r\n\r\n12345";
    let rest = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-8/9\r\nContent-Length: 4\r\n\r\n6789";
    let (heard, url) = says(&[busy, cut, rest]);
    let ended = get(&["--retry", "2", "-o", &file, &url]);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "123456789");
    assert_eq!(heard.join().expect("no panic").len(), 3);
    // A POST may have done something.
    let (heard, url) = says(&[busy]);
    assert_eq!(get(&["--retry", "2", "-d", "x", &url]).code, Some(75));
    assert_eq!(heard.join().expect("no panic").len(), 1);
}

#[test]
fn our_own_server_over_tls_and_a_unix_socket() {
    let site = site();
    let (root, socket) = (site.join("site"), site.join("socket"));
    let listen = format!("unix:{socket}");
    let web = ["web", "--path", &root, "--listen", &listen];
    let mut running = Running::start(&web);
    running.line("serving");
    let ended = get(&["--via", &listen, "http://localhost/hello.txt"]);
    assert_eq!((ended.code, &*ended.out), (Some(0), "Hello, world!"), "{}", ended.err);
    let ended = get(&["--via", &listen, "-O", "http://localhost/"]);
    assert_eq!(ended.code, Some(64));
    assert!(ended.err.contains("-O: the URL's path ends in no name"), "{}", ended.err);
    assert_eq!(running.stop().code, Some(0));

    let web = ["web", "--path", &root, "--listen", "tcp:127.0.0.1:0", "--tls", "self-signed"];
    let mut running = Running::start(&web);
    let address = running.address();
    let line = running.line("pin=");
    let pin = line.split("pin=").nth(1).expect("it is said").split('"').next().expect("a pin");
    let url = format!("https://{address}/hello.txt");
    let ended = get(&["--pin", pin, &url]);
    assert_eq!((ended.code, &*ended.out), (Some(0), "Hello, world!"), "{}", ended.err);
    let ended = get(&[&url]);
    assert!(ended.code == Some(76) || ended.code == Some(69), "{:?} {}", ended.code, ended.err);
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
}

#[test]
fn wrong_arguments_are_said_in_one_line() {
    for (arguments, code, words) in [
        (&["example.org"][..], 64, "no scheme"),
        (&["ftp://example.org/"], 64, "only http: and https:"),
        (&["http://127.0.0.1:1/"], 69, "nobody listens there"),
        (&["-C", "-", "http://127.0.0.1:1/"], 64, "which by -o FILE or -O"),
        (&["-H", "x", "http://127.0.0.1:1/"], 64, "NAME: VALUE"),
        (&["-T", "/nonexistent", "http://127.0.0.1:1/"], 66, "/nonexistent: cannot be read"),
        (
            &["-o", "/nonexistent/x", "http://127.0.0.1:1/"],
            73,
            "/nonexistent/x.part: cannot be written",
        ),
        (&["--ca-file", "/nonexistent", "https://127.0.0.1:1/"], 78, "/nonexistent"),
        (&["--via", "tcp:x:y", "http://127.0.0.1:1/"], 64, "--via"),
        (&["--proxy", "ftp://x", "http://127.0.0.1:1/"], 64, "socks5://HOST:PORT"),
    ] {
        let ended = get(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(words), "{arguments:?}: {}", ended.err);
    }
}

#[test]
fn time_limits_are_kept() {
    // It listens, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("it listens"));
    let ended = get(&["--max-time", "0.05", &url]);
    assert_eq!(ended.code, Some(75), "{}", ended.err);
    assert!(ended.err.contains("it was not done within 50ms"), "{}", ended.err);
}
