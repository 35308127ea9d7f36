use super::super::testing::{Echo, Guest, peer};
use super::*;

type Shown = Arc<Mutex<Vec<String>>>;

fn shown() -> (Shown, impl Fn(&Peer, Direction, &str) + Send + Sync + 'static) {
    let shown = Shown::default();
    let lines = Arc::clone(&shown);
    let show = move |peer: &Peer, direction, text: &str| {
        let line = format!("{} {} {text}", peer.id(), sign(direction));
        lines.lock().expect("no panic under it").push(line);
    };
    (shown, show)
}

/// Plays a conversation, with `<` or `>` before each piece, whole and in every cut of each piece; the
/// lines that are shown must be the same, save with chunks.
fn check(chunks: bool, pieces: &[&[u8]], expected: &[&str]) {
    let longest = pieces.iter().map(|piece| piece.len()).max().unwrap_or(0);
    for cut in 1..if chunks { 2 } else { longest } {
        let (shown, show) = shown();
        let log = WireLog::new(Echo).to(show);
        let log = if chunks { log.chunks() } else { log };
        let peer = peer("192.0.2.1:1");
        let log = log.log(peer.clone());
        for piece in pieces {
            let (sign, bytes) = piece.split_at(1);
            let direction = if sign == b"<" { Direction::Received } else { Direction::Sent };
            let cut = if chunks || bytes.len() > 100 { bytes.len() } else { cut };
            bytes.chunks(cut).for_each(|part| log.bytes(&peer, direction, part));
        }
        drop(log);
        let expected: Vec<_> = expected.iter().map(|line| format!("7 {line}")).collect();
        let shown = shown.lock().expect("no panic under it");
        assert_eq!(*shown, expected, "in pieces of {cut}");
    }
}

#[test]
fn lines_are_made_printable() {
    check(
        false,
        &[b">220 hi\r\n", b"<EHLO me\nNOOP\r\n", b"<\x00\xff\"\\\t\n", b">250 half", b"<also half"],
        &[
            r"> 220 hi\r\n",
            r"< EHLO me\n",
            r"< NOOP\r\n",
            r#"< \x00\xff\"\\\t\n"#,
            "< also half",
            "> 250 half",
        ],
    );
    let long = [b"<".as_slice(), &[b'x'; 1500], b"\r\n"].concat();
    check(false, &[&long], &[&format!("< {} [and 478 bytes more]", "x".repeat(1024))]);
}

#[test]
fn chunks_are_shown_as_they_come() {
    check(true, &[b">220 hi\r\nmore", b"<\x00\x01"], &[r"> 220 hi\r\nmore", r"< \x00\x01"]);
}

#[test]
fn secrets_are_left_out() {
    check(
        false,
        &[
            b"<AUTH LOGIN\r\n",
            b">334 VXNlcm5hbWU6\r\n",
            b"<am9l\r\n",
            b">235 welcome\r\n",
            b"<PASS hunter2\nMAIL FROM:<joe@example.org>\r\n",
        ],
        &[
            "< AUTH LOGIN [secret]",
            r"> 334 VXNlcm5hbWU6\r\n",
            "< [secret]",
            r"> 235 welcome\r\n",
            "< PASS [secret]",
            r"< MAIL FROM:<joe@example.org>\r\n",
        ],
    );
    let long = [b"<PASS ".as_slice(), &[b'x'; 1500], b"\r\n"].concat();
    check(false, &[&long], &["< PASS [secret]"]);
}

/// A protocol of its own secrets: whatever follows a `#`.
struct Hash;

impl Redact for Hash {
    fn secret_from(&mut self, _: Direction, line: &[u8]) -> Option<usize> {
        line.iter().position(|&byte| byte == b'#')
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_shown_with_the_protocol_s_own_secrets() {
    let (shown, show) = shown();
    let factory = Arc::new(WireLog::new(Echo).redacting(|| Hash).to(show));
    let mut guest = Guest::of(&factory, "192.0.2.1:1").expect("welcome");
    guest.ask("PASS on #salt\n").await;
    guest.ask("end").await;
    guest.leave().await.expect("no error");
    assert_eq!(
        *shown.lock().expect("no panic under it"),
        ["7 < PASS on [secret]", "7 > PASS on [secret]", "7 < end", "7 > end"]
    );
}
