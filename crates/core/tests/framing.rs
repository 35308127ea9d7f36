//! The framings, as tables; every case runs under every cut of its input.

use std::fmt::{Debug, Display};
use std::time::Instant;

use bytes::Bytes;
use ropewalk_core::testing::{Cuts, Role, Script};
use ropewalk_core::{
    Blame, Chunk, FrameError, LastLine, LineOut, Lines, Netstrings, Newline, Prefixed, Raw,
};
use ropewalk_core::{COPY_BELOW, Protocol, Wire};

/// `input`, under every cut, makes these events and then ends well or with an error that has this in
/// it.
#[track_caller]
fn check<P>(make: impl Fn() -> P, input: &[u8], events: &[&str], error: Option<&str>)
where
    P: Protocol<In = Bytes, Error: Display> + Debug,
{
    let shown = input.escape_ascii();
    let heard = Cuts::of(&make).check(input);
    let expected: Vec<String> = events.iter().map(|event| format!("b\"{event}\"")).collect();
    assert_eq!(heard.events, expected, "{:?}, {shown}", make());
    match (&heard.error, error) {
        (None, None) => assert_eq!(heard.left, "", "{:?}, {shown}", make()),
        (Some(got), Some(part)) if got.contains(part) => {}
        (got, expected) => panic!("{:?}, {shown}: {got:?}, not {expected:?}", make()),
    }
}

#[test]
fn lines_are_cut_at_what_ends_them() {
    let check = |make: fn() -> Lines, input: &str, events: &[&str], error: Option<&str>| {
        check(make, input.as_bytes(), events, error);
    };
    let deliver_lf = || Lines::lf().last_line(LastLine::Deliver);
    let deliver = || Lines::either().last_line(LastLine::Deliver);
    let deliver_crlf = || Lines::crlf().last_line(LastLine::Deliver);

    check(Lines::lf, "", &[], None);
    check(Lines::lf, "a\nb\n\n", &["a", "b", ""], None);
    check(Lines::lf, "a\r\nb\n", &["a\\r", "b"], None);
    check(Lines::lf, "\n\n\n", &["", "", ""], None);
    check(Lines::lf, "a\nb", &["a"], Some("1 bytes into it"));
    check(deliver_lf, "a\nb", &["a", "b"], None);
    check(deliver_lf, "a\nb\r", &["a", "b\\r"], None);
    check(deliver_lf, "a\n", &["a"], None);

    check(Lines::crlf, "a\r\nb\r\n", &["a", "b"], None);
    check(Lines::crlf, "a\nb\rc\r\n\r\n", &["a\\nb\\rc", ""], None);
    check(Lines::crlf, "\n\r\n", &["\\n"], None);
    check(Lines::crlf, "a\r\r\n", &["a\\r"], None);
    check(Lines::crlf, "a\n", &[], Some("2 bytes into it"));
    check(Lines::crlf, "a\r", &[], Some("2 bytes into it"));
    check(deliver_crlf, "a\n", &["a\\n"], None);

    check(Lines::either, "a\nb\r\n\n\r\n", &["a", "b", "", ""], None);
    check(Lines::either, "a\r\r\nb\rc\n", &["a\\r", "b\\rc"], None);
    check(Lines::either, "a", &[], Some("1 bytes into it"));
    check(deliver, "a\r", &["a\\r"], None);
    check(deliver, "\n\r\na", &["", "", "a"], None);
    check(Lines::either, "\0\u{e9}\n", &["\\0\\xc3\\xa9"], None);
}

#[test]
fn lines_have_a_cap() {
    let check = |make: &dyn Fn() -> Lines, input: &str, events: &[&str], error: Option<&str>| {
        check(make, input.as_bytes(), events, error);
    };
    let too_long = Some("more than 3 bytes");
    let deliver = || Lines::either().max(3).last_line(LastLine::Deliver);
    check(&|| Lines::lf().max(3), "abc\nabc\n", &["abc", "abc"], None);
    check(&|| Lines::lf().max(3), "abcd\n", &[], too_long);
    check(&|| Lines::lf().max(3), "abcd", &[], too_long);
    check(&|| Lines::lf().max(3), "abc\r\n", &[], too_long);
    check(&|| Lines::crlf().max(3), "abc\r\nabc\r\n", &["abc", "abc"], None);
    check(&|| Lines::crlf().max(3), "abc\r\r\n", &[], too_long);
    check(&|| Lines::crlf().max(3), "abcd\r\n", &[], too_long);
    check(&|| Lines::crlf().max(3), "\n\n\n\n", &[], too_long);
    check(&|| Lines::either().max(3), "abc\r\nabc\n", &["abc", "abc"], None);
    check(&|| Lines::either().max(3), "x\nabc\r", &["x"], Some("4 bytes into it"));
    check(&deliver, "abc", &["abc"], None);
    check(&deliver, "ab\r", &["ab\\r"], None);
    check(&deliver, "abc\r", &[], too_long);
    check(&|| Lines::lf().max(0), "\n\n", &["", ""], None);
    check(&|| Lines::lf().max(0), "a\n", &[], Some("more than 0 bytes"));
    let long = "x".repeat(70_000);
    let wide = || Lines::lf().max(70_000);
    let heard = Cuts::of(wide).run(format!("{}\n", &long[..3000]).as_bytes()).expect("any cut");
    assert_eq!(heard.events.len(), 1);
    assert!(wide().input_cap() > 70_000, "the whole line has to fit");
}

#[test]
fn after_a_line_that_was_too_long_comes_the_next() {
    for (lines, end) in [(Lines::lf(), "\n"), (Lines::crlf(), "\r\n"), (Lines::either(), "\r\n")] {
        let input = format!("ok{end}much too long{end}fine{end}and also too long{end}{end}");
        for part in 1..=input.len() {
            let mut wire = Wire::new(Instant::now());
            let mut lines = lines.clone().max(4);
            let mut heard = Vec::new();
            for bytes in input.as_bytes().chunks(part) {
                wire.input.extend_from_slice(bytes);
                loop {
                    match lines.receive(&mut wire) {
                        Ok(Some(line)) => heard.push(String::from_utf8_lossy(&line).into_owned()),
                        Ok(None) => break,
                        Err(error) => heard.push(format!("({error})")),
                    }
                }
                assert!(wire.input.len() <= 6, "what is passed over must not pile up");
            }
            let error = "(the peer sends a frame of more than 4 bytes)";
            assert_eq!(heard, ["ok", error, "fine", error, ""], "{part} bytes at a time");
        }
    }
}

#[test]
fn a_line_that_comes_byte_by_byte_is_searched_once() {
    for make in [Lines::lf, Lines::crlf, Lines::either] {
        let mut wire = Wire::new(Instant::now());
        let mut lines = make();
        wire.input.extend_from_slice(b"ab\rc");
        assert_eq!(lines.receive(&mut wire).expect("half a line"), None);
        // An end of line in what was searched already: only a second search would find it.
        wire.input[1..3].copy_from_slice(b"\r\n");
        wire.input.extend_from_slice(b"d");
        assert_eq!(lines.receive(&mut wire).expect("half a line"), None);
        wire.input.extend_from_slice(b"\r\n");
        let line = lines.receive(&mut wire).expect("a line").expect("a line");
        assert!(line.starts_with(b"a\r\ncd"), "{line:?}");
    }
}

#[test]
fn raw_bytes_come_between_lines() {
    let read = |lines: &mut Lines, wire: &mut Wire| lines.receive(wire).expect("no error");
    let mut wire = Wire::new(Instant::now());
    let mut lines = Lines::crlf();
    wire.input.extend_from_slice(b"one\r\nab");
    assert_eq!(read(&mut lines, &mut wire).as_deref(), Some(&b"one"[..]));
    lines.raw_for(5);
    assert!(lines.is_raw());
    assert_eq!(read(&mut lines, &mut wire).as_deref(), Some(&b"ab"[..]));
    assert_eq!(read(&mut lines, &mut wire), None);
    wire.input.extend_from_slice(b"\r\ncdef\r\ntwo\r\n");
    assert_eq!(read(&mut lines, &mut wire).as_deref(), Some(&b"\r\nc"[..]));
    assert!(!lines.is_raw());
    assert_eq!(read(&mut lines, &mut wire).as_deref(), Some(&b"def"[..]));
    lines.raw_for(0);
    assert!(!lines.is_raw());
    assert_eq!(read(&mut lines, &mut wire).as_deref(), Some(&b"two"[..]));
    assert_eq!(read(&mut lines, &mut wire), None);

    lines.raw();
    wire.input.extend_from_slice(b"raw\r\n!thr");
    let mut raw = read(&mut lines, &mut wire).expect("all of it");
    lines.lines(raw.split_off(6));
    wire.input.extend_from_slice(b"ee\r\n");
    assert_eq!(raw, "raw\r\n!");
    assert_eq!(read(&mut lines, &mut wire).as_deref(), Some(&b"three"[..]));

    lines.raw_for(10);
    wire.input.extend_from_slice(b"1234");
    wire.eof = true;
    assert_eq!(read(&mut lines, &mut wire).as_deref(), Some(&b"1234"[..]));
    let error = lines.receive(&mut wire).expect_err("six bytes are missing");
    assert!(matches!(error, FrameError::RawTruncated { missing: 6 }), "{error}");
    lines.raw();
    assert_eq!(read(&mut lines, &mut wire), None);
}

#[test]
fn a_protocol_may_switch_between_lines_and_raw_bytes_under_every_cut() {
    // What BDAT (RFC 3030) and literals (RFC 9051 §4.3) do: a line counts what follows it.
    let script = Script::new(Role::Server, || Lines::crlf().max(64))
        .starting(|stage| stage.say("220 hello"))
        .flowing(|lines, event| lines.was_raw().then(|| event.clone()))
        .answering(|stage, line| {
            if stage.protocol.was_raw() {
                return Ok(());
            }
            match line.strip_prefix(b"COUNT ") {
                Some(count) => {
                    let count = String::from_utf8_lossy(count).parse();
                    stage.protocol.raw_for(count.expect("the transcript has a number"));
                    stage.say(LineOut::Raw("go\0on".into()))
                }
                None => stage.say(line),
            }
        });
    script.check_folder("tests/transcripts/lines");
}

#[test]
fn netstrings_are_cut() {
    let check = |input: &str, events: &[&str], error: Option<&str>| {
        check(|| Netstrings::new().max(12), input.as_bytes(), events, error);
    };
    check("", &[], None);
    check("0:,", &[""], None);
    check("5:hello,1:,,3:1:x,", &["hello", ",", "1:x"], None);
    check("12:hello world!,", &["hello world!"], None);
    check("13:hello world!!,", &[], Some("more than 12 bytes"));
    check("99999999999999999999999:", &[], Some("more than 12 bytes"));
    check("1:a,00:,", &["a"], Some("leading zero"));
    check("05:hello,", &[], Some("leading zero"));
    check(":,", &[], Some("not digits"));
    check("-1:a,", &[], Some("not digits"));
    check(" 1:a,", &[], Some("not digits"));
    check("1 :a,", &[], Some("not digits"));
    check("5:hello;", &[], Some("no comma"));
    check("4:hello,", &[], Some("no comma"));
    check("5:hel", &[], Some("5 bytes into it"));
    check("5:hello", &[], Some("7 bytes into it"));
    check("1", &[], Some("1 bytes into it"));
}

#[test]
fn prefixed_frames_are_cut() {
    check(Prefixed::<u8>::new, b"\x02ab\x00\x01c", &["ab", "", "c"], None);
    check(Prefixed::<u16>::new, b"\x00\x02ab\x00\x00\x00\x01c", &["ab", "", "c"], None);
    check(Prefixed::<u32>::new, b"\0\0\0\x02ab\0\0\0\0", &["ab", ""], None);
    check(Prefixed::<u64>::new, b"\0\0\0\0\0\0\0\x02ab", &["ab"], None);
    check(Prefixed::<u16>::new, b"\x00", &[], Some("1 bytes into it"));
    check(Prefixed::<u16>::new, b"\x00\x02a", &[], Some("3 bytes into it"));
    let small = || Prefixed::<u16>::new().max(3);
    check(small, b"\x00\x03abc\x00\x04abcd", &["abc"], Some("4 bytes, more than 3"));
    let announced = [0xff; 8];
    let error = Some("18446744073709551615 bytes, more than 1048576");
    check(Prefixed::<u64>::new, &announced, &[], error);
    let unbounded = || Prefixed::<u64>::new().max(usize::MAX);
    check(unbounded, &announced, &[], Some("8 bytes into it"));
    check(|| Netstrings::new().max(usize::MAX), b"18446744073709551615:", &[], Some("21 bytes"));
}

#[test]
fn what_is_sent_is_received_again() {
    let frames: Vec<Bytes> = [0, 1, 9, 10, 255, COPY_BELOW, 70_000]
        .into_iter()
        .map(|len| (0..len).map(|n| b'a' + (n % 26) as u8).collect())
        .collect();
    round_trip(Lines::lf().max(70_000), &frames);
    round_trip(Lines::crlf().max(70_000), &frames);
    round_trip(Lines::either().max(70_000), &frames);
    round_trip(Lines::either().max(70_000).sending(Newline::Lf), &frames);
    round_trip(Netstrings::new(), &frames);
    round_trip(Prefixed::<u8>::new(), &frames[..5]);
    round_trip(Prefixed::<u16>::new(), &frames[..6]);
    round_trip(Prefixed::<u32>::new(), &frames);
    round_trip(Prefixed::<u64>::new(), &frames);
}

fn round_trip<P>(mut protocol: P, frames: &[Bytes])
where
    P: Protocol<In = Bytes, Out: From<Bytes>, Error: Debug>,
{
    let mut wire = Wire::new(Instant::now());
    for frame in frames {
        protocol.send(frame.clone().into(), &mut wire).expect("it can be framed");
    }
    wire.input.extend_from_slice(&wire.output.take().expect("bytes only"));
    let buffer = wire.input.as_ptr_range();
    wire.eof = true;
    for frame in frames {
        let received = protocol.receive(&mut wire).expect("no error").expect("a frame");
        assert_eq!(received, frame);
        let copied = !received.is_empty() && !buffer.contains(&received.as_ptr());
        assert!(!copied, "a frame must be cut out of the input, not copied");
    }
    assert_eq!(protocol.receive(&mut wire).expect("no error"), None);
}

#[test]
fn what_cannot_be_framed_is_refused_and_nothing_is_said() {
    fn refused<P>(mut protocol: P, item: impl Into<P::Out>, part: &str)
    where
        P: Protocol<Error = FrameError>,
    {
        let mut wire = Wire::new(Instant::now());
        let error = protocol.send(item.into(), &mut wire).expect_err(part);
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(error.blame(), Blame::Caller);
        assert!(wire.output.is_empty());
    }
    refused(Lines::lf(), "a\nb", "at byte 1");
    refused(Lines::lf(), "ab\r", "at byte 2");
    refused(Lines::crlf(), "\n", "at byte 0");
    refused(
        Prefixed::<u8>::new(),
        vec![0; 256],
        "256 bytes cannot be sent: its prefix counts to 255",
    );
    refused(Prefixed::<u16>::new(), vec![0; 65_536], "prefix counts to 65535");
}

#[test]
fn raw_takes_everything_without_copying() {
    let mut wire = Wire::new(Instant::now());
    wire.input.extend_from_slice(&[b'x'; 5000]);
    let buffer = wire.input.as_ptr();
    let bytes = Raw.receive(&mut wire).expect("no error").expect("bytes");
    assert_eq!((bytes.as_ptr(), bytes.len()), (buffer, 5000));
    assert_eq!(Raw.receive(&mut wire).expect("no error"), None);
    Raw.send(bytes.into(), &mut wire).expect("anything can be sent");
    let mut slices = [std::io::IoSlice::new(&[]); 2];
    assert_eq!(wire.output.slices(&mut slices), 1);
    assert_eq!(slices[0].as_ptr(), buffer, "a large buffer goes out as it came");

    let chunks: [Chunk; 4] = ["str".into(), b"array".into(), vec![1].into(), Bytes::new().into()];
    assert_eq!(chunks.map(|chunk| chunk.len()), [3, 5, 1, 0]);
}

#[test]
fn a_stretch_of_a_file_can_be_sent_raw() {
    let file = std::fs::File::open("Cargo.toml").expect("tests run in the package's folder");
    let region = ropewalk_core::FileRegion { file: file.into(), offset: 1, len: 7 };
    let mut wire = Wire::new(Instant::now());
    Raw.send(region.clone().into(), &mut wire).expect("anything can be sent");
    Lines::lf().send(Chunk::from(region).into(), &mut wire).expect("anything can be sent");
    assert_eq!(wire.output.take().expect("the file is whole"), "packagepackage");
}
