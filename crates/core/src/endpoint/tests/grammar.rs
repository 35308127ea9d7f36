//! Strings to endpoints and back, and errors that point.

use super::super::*;

/// Each string, and how it is written back.
const GOOD: &[(&str, &str)] = &[
    ("tcp:80", "tcp:*:80"),
    ("80", "tcp:*:80"),
    ("0", "tcp:*:0"),
    ("*:80", "tcp:*:80"),
    ("tcp:*:80", "tcp:*:80"),
    ("tcp::80", "tcp:*:80"),
    ("localhost:80", "tcp:localhost:80"),
    ("tcp:localhost:80", "tcp:localhost:80"),
    ("127.0.0.1:80", "tcp:127.0.0.1:80"),
    ("example.org:80", "tcp:example.org:80"),
    ("tcp:intranet:80", "tcp:intranet:80"),
    ("tcp:unix:80", "tcp:unix:80"),
    ("[::1]:80", "tcp:[::1]:80"),
    ("tcp:[::]:80", "tcp:[::]:80"),
    ("tcp:[0:0:0:0:0:0:0:1]:80", "tcp:[::1]:80"),
    ("tcp:[fe80::1%eth0]:80", "tcp:[fe80::1%eth0]:80"),
    ("tcp:80:backlog=5", "tcp:*:80:backlog=5"),
    ("tcp:backlog=5:80", "tcp:*:80:backlog=5"),
    ("tcp:80:reuseport=on:nodelay=off:dual=off", "tcp:*:80:reuseport=on:dual=off:nodelay=off"),
    ("tcp:80:nodelay=on:keepalive=off", "tcp:*:80"),
    ("tcp:80:keepalive=2m", "tcp:*:80:keepalive=120s"),
    ("tcp:80:keepalive=1500ms", "tcp:*:80:keepalive=1500ms"),
    ("tcp:a.b:80:timeout=5", "tcp:a.b:80:timeout=5s"),
    ("tcp:a.b:80:bind=10.0.0.1", "tcp:a.b:80:bind=10.0.0.1\\:0"),
    ("tcp:a.b:80:bind=10.0.0.1\\:20", "tcp:a.b:80:bind=10.0.0.1\\:20"),
    ("tcp:a.b:80:bind=[::1]", "tcp:a.b:80:bind=\\[\\:\\:1]\\:0"),
    ("udp:53", "udp:*:53"),
    ("udp:[::1]:53:reuseport=yes", "udp:[::1]:53:reuseport=on"),
    ("unix:/run/x.sock", "unix:/run/x.sock"),
    ("unix:/run/a\\:b\\=c\\\\d", "unix:/run/a\\:b\\=c\\\\d"),
    ("unix:/run/\\[x", "unix:/run/\\[x"),
    ("unix:/run/[x:y]", "unix:/run/\\[x\\:y]"),
    ("unix:x:mode=660:backlog=7", "unix:x:mode=660:backlog=7"),
    ("unix:mode=7:x", "unix:x:mode=007"),
    ("systemd:0", "systemd:0"),
    ("systemd:web", "systemd:web"),
    ("fd:3", "fd:3"),
    ("stdio:", "stdio:"),
    ("stdio", "stdio:"),
    ("memory:a", "memory:a"),
    ("memory:a:latency=20ms:chunk=1:seed=7", "memory:a:latency=20ms:chunk=1:seed=7"),
    ("exec:cat", "exec:cat"),
    ("exec:nc -v host:80 a=b", "exec:nc -v host:80 a=b"),
    ("exec:a 'b c' ''", "exec:a \"b c\" \"\""),
    ("tls:443:cert=a.pem:key=a.key", "tls:tcp:*:443:cert=a.pem:key=a.key"),
    ("tls:443:cert=self-signed:names=a,b", "tls:tcp:*:443:cert=self-signed:names=a,b"),
    ("tls:443:folder=/etc/tls", "tls:tcp:*:443:folder=/etc/tls"),
    ("tls:443:cert=a:clients=wanted:ca=b", "tls:tcp:*:443:cert=a:clients=wanted:ca=b"),
    ("tls:443:cert=a:clients=required:ca=b", "tls:tcp:*:443:cert=a:clients=required:ca=b"),
    ("tls:443:cert=a:alpn=h2,http/1.1:min=1.3", "tls:tcp:*:443:cert=a:alpn=h2,http/1.1:min=1.3"),
    ("tls:a.b:443:roots=r:name=c.d", "tls:tcp:a.b:443:roots=r:name=c.d"),
    ("tls:a.b:443:client-cert=c:client-key=k", "tls:tcp:a.b:443:client-cert=c:client-key=k"),
    ("tls:unix:/run/x:cert=a:mode=600", "tls:unix:/run/x:cert=a:mode=600"),
    ("tls:cert=a:unix:/run/x", "tls:unix:/run/x:cert=a"),
    ("tls:stdio:name=a.b", "tls:stdio:name=a.b"),
    ("tls:handshake=3s:name=a.b:exec:nc a:b", "tls:name=a.b:handshake=3s:exec:nc a:b"),
    ("tls:tls:443:name=in", "tls:tls:tcp:*:443:name=in"),
    ("tls:name=out:tls:443:name=in", "tls:name=out:tls:tcp:*:443:name=in"),
    ("tls:name=out:tls:443", "tls:name=out:tls:tcp:*:443"),
    ("proxy:tcp:80", "proxy:tcp:*:80"),
    ("proxy:80:trust=10.0.0.0/8,[fd00::]/8", "proxy:tcp:*:80:trust=10.0.0.0/8,\\[fd00\\:\\:]/8"),
    ("proxy:80:trust=10.1.2.3,unix:header=1s", "proxy:tcp:*:80:trust=10.1.2.3/32,unix:header=1s"),
    ("proxy:tcp:host:80:version=1", "proxy:tcp:host:80:version=1"),
    ("proxy:tcp:host:80:version=2", "proxy:tcp:host:80"),
    ("tls:proxy:443:cert=a:trust=10.0.0.0/8", "tls:proxy:tcp:*:443:cert=a:trust=10.0.0.0/8"),
    ("socks5:127.0.0.1:1080:tcp:a.b:80", "socks5:127.0.0.1:1080:tcp:a.b:80"),
    ("socks5:127.0.0.1:1080:a.b:80", "socks5:127.0.0.1:1080:tcp:a.b:80"),
    (
        "socks5:[::1]:1080:user=u:password=p\\:w:tcp:a.b:80:nodelay=off",
        "socks5:[::1]:1080:tcp:a.b:80:user=u:password=p\\:w:nodelay=off",
    ),
    (
        "socks5:a:1:user=u:password=p:http-connect:b:2:tls:c.d:443:user=v:password=q:alpn=h2",
        "socks5:user=u:password=p:a:1:http-connect:b:2:tls:tcp:c.d:443:user=v:password=q:alpn=h2",
    ),
    ("http-connect:proxy:3128:tcp:a.b:443", "http-connect:proxy:3128:tcp:a.b:443"),
];

#[test]
fn strings_and_back() {
    for (text, written) in GOOD {
        let endpoint = Endpoint::parse(text).unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(endpoint.to_string(), *written, "{text}");
        let again: Endpoint = written.parse().unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(format!("{:?}", again.0.leaf), format!("{:?}", endpoint.0.leaf), "{text}");
        assert_eq!(again.wrappers(), endpoint.wrappers(), "{text}");
        assert_eq!(again.to_string(), *written);
        // Every cut is an endpoint or an error that points into it, and no panic.
        for cut in (0..text.len()).filter(|cut| text.is_char_boundary(*cut)) {
            if let Err(error) = Endpoint::parse(&text[..cut]) {
                assert!(error.offset() <= cut, "{error:#}");
            }
        }
    }
}

/// Each string, where the caret stands, a part of what is said and a part of the help.
const BAD: &[(&str, usize, &str, &str)] = &[
    ("", 0, "no endpoint here", "tcp:8080"),
    (":", 0, "no endpoint here", ""),
    ("tls:", 4, "no endpoint here", ""),
    ("tls", 3, "no endpoint here", ""),
    ("tls:cert=a", 10, "no endpoint here", ""),
    ("proxy:trust=unix:", 17, "no endpoint here", ""),
    ("tpc:80", 0, "no kind of endpoint is called `tpc`", "did you mean tcp: ?"),
    ("TCP:80", 0, "no kind of endpoint is called `TCP`", "did you mean tcp: ?"),
    ("tsl:443", 0, "called `tsl`", "did you mean tls: ?"),
    ("http-conect:a:1:b:2", 0, "called `http-conect`", "did you mean http-connect: ?"),
    ("/run/x.sock", 0, "called `/run/x.sock`", "unix:/run/x.sock"),
    ("tls:./x.sock:cert=a", 4, "called `./x.sock`", "unix:./x.sock"),
    ("intranet:80", 0, "called `intranet`", "tcp:intranet:PORT"),
    ("tls:intranet:80", 4, "called `intranet`", "tcp:intranet:PORT"),
    ("\\tcp:80", 0, "called `tcp`", ""),
    ("tcp", 0, "lacks a port", "tcp:[HOST:]PORT"),
    ("tcp:", 4, "`` is no port", ""),
    ("tcp:host", 4, "no port behind the host", "HOST:PORT"),
    ("tcp:80a", 4, "no port behind the host", ""),
    ("tcp:host:", 9, "`` is no port", "0 to 65535"),
    ("tcp:host:+80", 9, "`+80` is no port", ""),
    ("tcp:65536", 4, "`65536` is no port", ""),
    ("tcp:host:http", 9, "`http` is no port", ""),
    ("tcp:::1:80", 6, "more than a host and a port", "[::1]:80"),
    ("tcp:a:80:90", 9, "more than a host and a port", "brackets"),
    ("tcp:fe80::1:80", 10, "more than", "[::1]:80"),
    ("tcp:[::1:80", 4, "a bracket that is not closed", "]"),
    ("tcp:[::1]x:80", 4, "`[::1]x` is no host", ""),
    ("tcp:[127.0.0.1]:80", 4, "is no host", ""),
    ("tcp:1.2.3:80", 4, "`1.2.3` is no host", ""),
    ("tcp:a b:80", 4, "`a b` is no host", ""),
    ("tcp:a\nb:80", 4, "is no host", ""),
    ("tcp:grün.example:80", 4, "is no host", ""),
    ("tcp:80:nodeley=on", 7, "tcp: has no option `nodeley`", "did you mean nodelay= ?"),
    ("tcp:80:mode=660", 7, "tcp: has no option `mode`", "known are backlog, reuseport"),
    ("tcp:80:=on", 7, "has no option ``", ""),
    ("tcp:80:nodelay=maybe", 15, "`maybe` is neither on nor off", "write on or off"),
    ("tcp:80:nodelay=on:nodelay=on", 18, "`nodelay` is given twice", ""),
    ("tcp:80:backlog=-1", 15, "`-1` is no value for backlog=", ""),
    ("tcp:80:keepalive=5d", 17, "`5d` is no value", "10s"),
    ("tcp:80:keepalive=99999999999999999999h", 17, "is no value", ""),
    ("tcp:80:timeout=18446744073709551615h", 15, "is no value", ""),
    ("tcp:80:bind=localhost", 12, "is no address", ""),
    ("unix:", 0, "unix: lacks a path", "unix:PATH"),
    ("unix:a:b", 7, "takes only a path", "\\:"),
    ("unix:/run/a=b", 5, "has no option `/run/a`", "\\="),
    ("unix:a:mode=999", 12, "`999` is no mode", "660"),
    ("unix:a:mode=1777", 12, "`1777` is no mode", ""),
    ("unix:a\\", 6, "a backslash with nothing behind it", "\\\\"),
    ("systemd:", 0, "lacks an index or a name", ""),
    ("systemd:a:b", 10, "takes only", ""),
    ("systemd:web:reuseport=on", 12, "systemd: has no option", "leave it out"),
    ("fd:x", 3, "`x` is no file descriptor", "fd:3"),
    ("fd:-1", 3, "`-1` is no file descriptor", ""),
    ("fd:4294967295", 3, "is no file descriptor", ""),
    ("stdio:x", 6, "takes no arguments", "stdio:"),
    ("memory:", 0, "lacks a name", ""),
    ("memory:a:chunk=0", 15, "lets nothing through", ""),
    ("exec:", 0, "lacks a program", "exec:PROGRAM"),
    ("exec:   ", 0, "lacks a program", ""),
    ("exec:a 'b", 5, "quotes that are not closed", ""),
    ("tls:443:cert=", 13, "cert= is empty", ""),
    ("tls:443:key=a", 0, "key= without cert=", ""),
    ("tls:443:cert=a:folder=b", 0, "both cert= and folder=", ""),
    ("tls:443:cert=self-signed:key=b", 0, "beside cert=self-signed", ""),
    ("tls:443:clients=maybe:ca=b", 16, "no way to ask", "wanted or required"),
    ("tls:443:clients=wanted", 16, "clients= without ca=", "ca=FILE"),
    ("tls:443:ca=x", 11, "ca= without clients=", ""),
    ("tls:443:min=1.1", 12, "no version", "1.2 or 1.3"),
    ("tls:443:alpn=h2,,x", 13, "`` is no value for alpn=", ""),
    ("tls:443:name=a b", 13, "`a b` is no host name", ""),
    ("tls:443:pin=12", 12, "is no value for pin=", ""),
    ("tls:443:client-key=a", 0, "client-key= without client-cert=", ""),
    ("tls:443:crt=a", 8, "tls:tcp: has no option `crt`", "did you mean cert= ?"),
    ("tls:backlog=5:443", 4, "tls: has no option `backlog`", ""),
    ("proxy:80:trust=10.0.0.0/33", 15, "is no value for trust=", "10.0.0.0/8"),
    ("proxy:80:trust=", 15, "`` is no value for trust=", ""),
    ("proxy:80:version=3", 17, "no such version", "1 or 2"),
    ("socks5:a", 0, "socks5: ends too early", "socks5:HOST:PORT:tcp:TARGET:PORT"),
    ("socks5:a:1080", 13, "no endpoint here", ""),
    ("socks5:a:b:tcp:c:80", 9, "`b` is no port", ""),
    ("socks5:a:1:tcp:c:80:user=u", 0, "user= without password=", ""),
    ("socks5:a:1:tcp:c:80:password=u", 0, "password= without user=", ""),
    ("http-connect:a:1:tcp:c:80:user=u\\:v:password=u", 31, "a user's name with a colon", ""),
    ("tls:tls:tls:tls:tls:tls:tls:tls:80", 32, "more than 8 layers", ""),
];

#[test]
fn errors_point_and_help() {
    for (text, offset, what, help) in BAD {
        let error = Endpoint::parse(text).map(|e| e.to_string()).expect_err(text);
        assert_eq!(error.offset(), *offset, "{error:#}");
        assert!(error.message().contains(what), "{error:#}\nnot {what}");
        assert!(error.help().contains(help), "{error:#}\nnot {help}");
        assert!(!error.help().is_empty() && !error.to_string().contains('\n'), "{error}");
        assert_eq!(error.endpoint(), *text);
    }
}

#[test]
fn errors_are_drawn() {
    let error = Endpoint::parse("tls:grün:tcp:80:nodeley=on").expect_err("two slips");
    assert_eq!(error.offset(), 4);
    let error = Endpoint::parse("unix:/grün:nodeley=on").expect_err("no such option");
    assert_eq!(
        format!("{error:#}"),
        "unix: has no option `nodeley`\n  \
           unix:/grün:nodeley=on\n  \
         \u{20}          ^~~~~~~\n\
         known are mode, backlog; write \\= if it is no option"
    );
    assert_eq!(
        Endpoint::parse("tpc:80").expect_err("a slip").to_string(),
        "no kind of endpoint is called `tpc` at byte 0 of `tpc:80`: did you mean tcp: ?"
    );
}

#[test]
fn from_code_as_from_a_string() {
    let mut tcp = Tcp::new("example.org".parse::<Host>().unwrap(), 443);
    tcp.nodelay = false;
    let mut tls = Tls::default();
    tls.alpn = vec!["h2".into()];
    let socks = Socks5::new("127.0.0.1".parse::<Host>().unwrap(), 1080);
    let endpoint = Endpoint::new(tcp).wrap(tls).wrap(socks);
    let text = "socks5:127.0.0.1:1080:tls:tcp:example.org:443:alpn=h2:nodelay=off";
    assert_eq!(endpoint.to_string(), text);
    assert_eq!(endpoint, text.parse().unwrap());
    assert_eq!(Endpoint::new(Unix::new("/a:b")).to_string(), "unix:/a\\:b");
}

#[test]
fn passwords_stay_out_of_logs() {
    let text = "socks5:a:1:tcp:c:80:user=u:password=secret";
    let endpoint = Endpoint::parse(text).unwrap();
    assert_eq!(endpoint.to_string(), text);
    assert_eq!(endpoint.redacted(), text.replace("secret", "***"));
    assert!(!format!("{endpoint:?}").contains("secret"));
}

#[test]
fn kinds_of_others() {
    #[derive(Debug)]
    struct Vsock;
    impl Custom for Vsock {}
    impl Kind for Vsock {
        fn usage(&self) -> &str {
            "vsock:CID:PORT"
        }
        fn options(&self) -> &[&str] {
            &["flavour"]
        }
        fn parse(&self, arguments: &Arguments) -> Result<Arc<dyn Custom>, Error> {
            match arguments.positional() {
                [_, port] if port.text() == "x" => Err(port.error("no port", "a number")),
                [_, _] => Ok(Arc::new(Self)),
                _ => Err(arguments.error("vsock: wants two")),
            }
        }
    }
    let registry = Registry::new().with_kind("vsock", Vsock).unwrap();
    let parse = |text| Endpoint::parse_with(text, &registry);
    for text in ["vsock:2:80", "tls:vsock:2:80:cert=a:flavour=b\\:c"] {
        assert_eq!(parse(text).unwrap().to_string(), text);
    }
    assert_eq!(parse("vsock:2:x").unwrap_err().offset(), 8);
    assert_eq!(parse("vsock:2").unwrap_err().help(), "write vsock:CID:PORT");
    assert_eq!(parse("vsok:2:80").unwrap_err().help(), "did you mean vsock: ?");
    assert_eq!(parse("vsock:2:80:flavor=a").unwrap_err().help(), "did you mean flavour= ?");
    assert!(Endpoint::parse("vsock:2:80").is_err(), "nothing is global");
    for name in ["tcp", "vsock", "", "A", "a:b", "9p", "localhost"] {
        assert!(registry.clone().with_kind(name, Vsock).is_err(), "{name}");
    }
}

/// Strings near the good ones: whatever is one of them is written so that it is read back.
#[test]
fn strings_gone_astray() {
    let mut random = fastrand::Rng::with_seed(8305);
    let pieces = [
        ":", "=", "\\", "[", "]", ",", "tls:", "proxy:", "tcp:", "80", "x", "\u{e9}", "\0", "\"",
        " ",
    ];
    let mut good = 0;
    for _ in 0..10_000 {
        let (text, _) = GOOD[random.usize(..GOOD.len())];
        let mut text: Vec<char> = text.chars().collect();
        for _ in 0..random.usize(1..4) {
            let (at, end) = (random.usize(..=text.len()), random.usize(..=text.len()));
            match random.u8(..3) {
                0 => drop(text.drain(at.min(end)..at.max(end).min(at.min(end) + 3))),
                1 => drop(text.splice(at..at, pieces[random.usize(..pieces.len())].chars())),
                _ => text.extend_from_within(at.min(end)..),
            }
        }
        let text: String = text.into_iter().collect();
        match Endpoint::parse(&text) {
            Err(error) => {
                assert!(error.offset() <= text.len());
                assert!(!error.to_string().contains(char::is_control), "{error}");
                assert_eq!(format!("{error:#}").lines().count(), 4);
            }
            Ok(endpoint) => {
                good += 1;
                let written = endpoint.to_string();
                let again = Endpoint::parse(&written).unwrap_or_else(|e| panic!("{text}\n{e:#}"));
                assert_eq!(again.to_string(), written, "{text}");
                assert_eq!(again.wrappers(), endpoint.wrappers(), "{text}");
            }
        }
    }
    assert!(good > 500, "{good} of them were endpoints");
}
