//! Headers of both versions, good and bad, under every cut.

use std::net::SocketAddr;
use std::path::Path;

use super::*;

fn tcp(source: &str, destination: &str) -> Origin {
    let parse = |text: &str| text.parse::<SocketAddr>().expect("a test address");
    Origin::Tcp { source: parse(source), destination: parse(destination) }
}

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u16).to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[command, family], &length, body].concat()
}

const INET: &[u8] = b"\xc0\x00\x02\x01\xc6\x33\x64\x02\x03\xe8\x01\xbb";

/// A good header is undecided until its last byte, then decided, and what follows is not touched.
fn good(input: &[u8], command: Command, origin: &Origin) -> Header {
    for cut in 0..input.len() {
        assert_eq!(decode(&input[..cut]), Ok(None), "{} cut at {cut}", input.escape_ascii());
    }
    let with_more = [input, b"\r\nmore"].concat();
    let (header, length) = decode(&with_more).expect("a good one").expect("a whole one");
    assert_eq!((length, header.command, &header.origin), (input.len(), command, origin));
    assert_eq!(decode(input), Ok(Some((header.clone(), length))));
    header
}

/// A bad one is refused for the same reason whole and with more behind it, and never taken before.
fn bad(input: &[u8], why: Invalid) {
    assert_eq!(decode(input), Err(why), "{}", input.escape_ascii());
    assert_eq!(decode(&[input, b"more"].concat()), Err(why));
    for cut in 0..input.len() {
        let verdict = decode(&input[..cut]);
        assert!(matches!(verdict, Ok(None) | Err(_)), "{verdict:?} at {cut}");
    }
}

#[test]
fn version_one() {
    let four = tcp("192.0.2.1:1000", "198.51.100.2:443");
    let six = tcp("[2001:db8::1]:65535", "[::1]:0");
    let proxy = Command::Proxy;
    good(b"PROXY TCP4 192.0.2.1 198.51.100.2 1000 443\r\n", proxy, &four);
    good(b"PROXY TCP6 2001:db8::1 ::1 65535 0\r\n", proxy, &six);
    good(b"PROXY UNKNOWN\r\n", proxy, &Origin::Unknown);
    good(b"PROXY UNKNOWN anything at all\r\n", proxy, &Origin::Unknown);
    let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let line = format!("PROXY UNKNOWN {longest} {longest} 65535 65535\r\n");
    assert_eq!(line.len(), 107);
    good(line.as_bytes(), proxy, &Origin::Unknown);
    for origin in [four, six, Origin::Unknown] {
        let header = Header { command: proxy, origin: origin.clone(), tlvs: Tlvs::default() };
        good(&header.encode(Version::One), proxy, &origin);
    }
    // One family must do for both ends.
    let mixed = Header::between(
        &"192.0.2.1:1".parse::<SocketAddr>().unwrap().into(),
        &"[::1]:2".parse::<SocketAddr>().unwrap().into(),
    );
    assert_eq!(mixed.encode(Version::One), b"PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n");
}

#[test]
fn version_one_refused() {
    for line in [
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 02\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 +2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 -2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
        "PROXY TCP4 ::1 ::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 [::1] ::2 1 2\r\n",
        "PROXY TCP6 ::1%lo ::2 1 2\r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UNKNOWNX\r\n",
        "PROXY \r\n",
        "PROXY \n",
        "PROXY TCP4 \u{661}.0.0.1 192.0.2.2 1 2\r\n",
    ] {
        bad(line.as_bytes(), Invalid::Line);
    }
    bad(b"PROXY TCP4 \xff\r\n", Invalid::Line);
    let long = format!("PROXY UNKNOWN {}", "x".repeat(93));
    assert_eq!(long.len(), 107);
    bad(long.as_bytes(), Invalid::LineTooLong);
    bad(format!("{long}\r\n").as_bytes(), Invalid::LineTooLong);
    for input in
        ["GET / HTTP/1.1", "proxy TCP4", "PROXYX", " PROXY", "\r\n\r\n\0\r\nQUIX", "\n", "\r\r"]
    {
        bad(input.as_bytes(), Invalid::NoHeader);
    }
}

#[test]
fn version_two() {
    let four = tcp("192.0.2.1:1000", "198.51.100.2:443");
    good(&v2(0x21, 0x11, INET), Command::Proxy, &four);
    let Origin::Tcp { source, destination } = four else { unreachable!() };
    good(&v2(0x21, 0x12, INET), Command::Proxy, &Origin::Udp { source, destination });
    let mut inet6 = [0; 36];
    (inet6[15], inet6[31], inet6[33], inet6[35]) = (1, 2, 3, 4);
    good(&v2(0x21, 0x21, &inet6), Command::Proxy, &tcp("[::1]:3", "[::2]:4"));
    let mut paths = [0; 216];
    paths[..6].copy_from_slice(b"/run/x");
    paths[108..216].fill(b'y');
    let origin = Origin::Unix {
        source: Some(Path::new("/run/x").into()),
        destination: Some(Path::new(&"y".repeat(108)).into()),
        datagram: false,
    };
    good(&v2(0x21, 0x31, &paths), Command::Proxy, &origin);
    let origin = Origin::Unix { source: None, destination: None, datagram: true };
    good(&v2(0x21, 0x32, &[0; 216]), Command::Proxy, &origin);
    good(&v2(0x21, 0x00, b""), Command::Proxy, &Origin::Unknown);
    good(&v2(0x21, 0x01, b"ignored"), Command::Proxy, &Origin::Unknown);
    good(&v2(0x21, 0x10, b"ignored"), Command::Proxy, &Origin::Unknown);
    // Of a LOCAL connection, only the length counts.
    good(&v2(0x20, 0x00, b""), Command::Local, &Origin::Unknown);
    good(&v2(0x20, 0x11, INET), Command::Local, &Origin::Unknown);
    good(&v2(0x20, 0x00, b"\xff\xff\xff\xff"), Command::Local, &Origin::Unknown);
    // The longest.
    let longest = [INET, b"\x04\x0f\xf1", &[0; 4081]].concat();
    assert_eq!(longest.len(), 4096);
    let header =
        good(&v2(0x21, 0x11, &longest), Command::Proxy, &tcp("192.0.2.1:1000", "198.51.100.2:443"));
    assert_eq!(header.tlvs.value(4).map(Bytes::len), Some(4081));
}

#[test]
fn version_two_refused() {
    bad(&v2(0x11, 0x11, INET), Invalid::Unassigned(0x11));
    bad(&v2(0x31, 0x11, INET), Invalid::Unassigned(0x31));
    bad(&v2(0x22, 0x11, INET), Invalid::Unassigned(0x22));
    bad(&v2(0x21, 0x41, INET), Invalid::Unassigned(0x41));
    bad(&v2(0x21, 0x13, INET), Invalid::Unassigned(0x13));
    bad(&v2(0x21, 0x11, &INET[..11]), Invalid::AddressesCut);
    bad(&v2(0x21, 0x21, &[0; 35]), Invalid::AddressesCut);
    bad(&v2(0x21, 0x31, &[0; 215]), Invalid::AddressesCut);
    bad(&v2(0x20, 0x11, b""), Invalid::AddressesCut);
    bad(&v2(0x21, 0x11, &[0; 4097])[..16], Invalid::TooLong(4097));
    bad(&v2(0x21, 0x11, &[0; 65535])[..16], Invalid::TooLong(65535));
    for (tlv, kind) in [
        (&b"\x04"[..], 4),
        (b"\x04\x00", 4),
        (b"\x04\x00\x01", 4),
        (b"\x04\x00\x02x", 4),
        (b"\x04\xff\xff", 4),
        (b"\x03\x00\x03abc", 3),
        (b"\x02\x00\x01\xff", 2),
        (b"\x30\x00\x01\xff", 0x30),
        (b"\x20\x00\x04\0\0\0\0", 0x20),
        (b"\x20\x00\x07\0\0\0\0\0\x21\0", 0x20),
    ] {
        bad(&v2(0x21, 0x11, &[INET, tlv].concat()), Invalid::Tlv(kind));
    }
    let id = [INET, b"\x05\x00\x81", &[0; 129]].concat();
    bad(&v2(0x21, 0x11, &id), Invalid::Tlv(5));
    bad(&v2(0x21, 0x11, &[INET, b"\x03\0\x04abcd"].concat()), Invalid::Checksum);
    bad(&v2(0x21, 0x11, &[INET, &b"\x03\0\x04abcd".repeat(2)].concat()), Invalid::Tlv(3));
}

#[test]
fn tlvs_by_meaning() {
    let ssl = b"\x20\x00\x25\x07\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x05alice\x23\0\x02AA\x26\0\x01?\x25\0\x02EC";
    let body = [INET, b"\x01\0\x02h2\x02\0\x0bexample.org\x05\0\x01i\x30\0\x02ns\xea\0\x01z", ssl]
        .concat();
    let header =
        good(&v2(0x21, 0x11, &body), Command::Proxy, &tcp("192.0.2.1:1000", "198.51.100.2:443"));
    let tlvs = &header.tlvs;
    assert_eq!(tlvs.alpn().map(|alpn| &alpn[..]), Some(&b"h2"[..]));
    assert_eq!(tlvs.authority(), Some("example.org"));
    assert_eq!(tlvs.unique_id().map(|id| &id[..]), Some(&b"i"[..]));
    assert_eq!(tlvs.netns(), Some("ns"));
    assert_eq!(tlvs.value(0xea).map(|raw| &raw[..]), Some(&b"z"[..]));
    assert_eq!(tlvs.iter().count(), 6);
    let ssl = tlvs.ssl().expect("it is there");
    assert!(ssl.over_tls && ssl.certificate && ssl.verified);
    assert_eq!(ssl.version.as_deref(), Some("TLSv1.3"));
    assert_eq!(ssl.common_name.as_deref(), Some("alice"));
    assert_eq!(
        (ssl.cipher.as_deref(), ssl.signature, ssl.key.as_deref()),
        (Some("AA"), None, Some("EC"))
    );
    // Everything back to the same bytes.
    assert_eq!(header.encode(Version::Two), v2(0x21, 0x11, &body));
}

#[test]
fn encoding_round_trips() {
    let address = |text: &str| Address::from(text.parse::<SocketAddr>().unwrap());
    let unix = |path: &str| Address::Unix(Some(Path::new(path).into()));
    for (from, to) in [
        (address("192.0.2.1:1"), address("192.0.2.2:2")),
        (address("[2001:db8::1]:1"), address("[2001:db8::2]:2")),
        (unix("/a"), Address::Unix(None)),
        (Address::Stdio, address("192.0.2.2:2")),
    ] {
        let mut header = Header::between(&from, &to);
        if header.command == Command::Proxy {
            assert_eq!(header.addresses(), Some((from, to)));
            assert!(header.tlvs.push(0x02, "example.org"));
            assert!(header.tlvs.push_checksum());
            assert!(!header.tlvs.push_checksum(), "one is enough");
            assert!(header.tlvs.push(0x05, "id"));
            assert!(!header.tlvs.push(0x05, vec![0; 129]));
            assert!(!header.tlvs.push(0x04, vec![0; 4096]));
        }
        let bytes = header.encode(Version::Two);
        let decoded = good(&bytes, header.command, &header.origin);
        assert_eq!(decoded.encode(Version::Two), bytes);
        if header.command == Command::Proxy {
            // Whatever is flipped, it is noticed; only the checksum notices some of it.
            for at in 0..bytes.len() {
                let mut broken = bytes.clone();
                broken[at] ^= 1;
                assert!(!matches!(decode(&broken), Ok(Some((h, _))) if h == decoded), "byte {at}");
            }
        }
    }
}

#[test]
fn checksum_of_rfc_3720() {
    assert_eq!(tlv::crc32c(&[0; 32]), 0x8a91_36aa);
    assert_eq!(tlv::crc32c(&[0xff; 32]), 0x62a8_ab43);
    assert_eq!(tlv::crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn trust() {
    let peer = |text: &str| Address::from(text.parse::<SocketAddr>().unwrap());
    let proxy = |trust: &[&str]| Proxy {
        trust: trust
            .iter()
            .map(|net| network(net).map_or(Trusted::Local, Trusted::Network))
            .collect(),
        ..Proxy::default()
    };
    for (trust, address, trusted) in [
        (&["10.0.0.0/8"][..], peer("10.9.8.7:1"), true),
        (&["10.0.0.0/8"], peer("11.9.8.7:1"), false),
        (&["10.0.0.0/8"], Address::Ip("[::ffff:10.9.8.7]:1".parse().unwrap()), true),
        (&["10.0.0.1"], peer("10.0.0.1:1"), true),
        (&["10.0.0.1"], peer("10.0.0.2:1"), false),
        (&["fd00::/8", "10.0.0.0/8"], peer("[fd12::1]:1"), true),
        (&["0.0.0.0/0"], peer("[::1]:1"), false),
        (&["0.0.0.0/0", "::/0"], Address::Unix(None), false),
        (&["unix"], Address::Unix(None), true),
        (&["unix"], peer("127.0.0.1:1"), false),
        (&[], peer("127.0.0.1:1"), false),
    ] {
        assert_eq!(proxy(trust).trusts(&address), trusted, "{trust:?} {address}");
    }
    assert!(Proxy::default().trusts(&peer("127.0.0.1:1")));
    assert!(Proxy::default().trusts(&peer("[::1]:1")));
    assert!(!Proxy::default().trusts(&peer("192.0.2.1:1")));
}
