//! What only a socket of the system can show. Loopback, ports that the system chooses.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::*;

fn endpoint(text: &str) -> Endpoint {
    Endpoint::parse(text).unwrap_or_else(|error| panic!("{error:#}"))
}

fn port(bound: &Bound) -> u16 {
    bound.local()[0].port().expect("a socket of the Internet")
}

fn connect(port: u16) -> TcpStream {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("somebody listens")
}

/// A folder that is removed with its value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ropewalk-endpoint-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[tokio::test]
async fn tcp_port_zero_tells_the_real_one() {
    let listener = endpoint("tcp:127.0.0.1:0:keepalive=60s").listen().unwrap();
    let port = listener.local().port().unwrap();
    assert_ne!(port, 0);
    let client = endpoint(&format!("127.0.0.1:{port}:keepalive=30s"));
    let (accepted, connected) = tokio::join!(listener.accept(), client.connect());
    let (accepted, connected) = (accepted.unwrap(), connected.unwrap());
    assert_eq!(accepted.peer(), connected.local());
    assert_eq!(accepted.local(), connected.peer());
}

#[test]
fn accepted_sockets_inherit_the_options() {
    for (text, nodelay, keepalive) in [
        ("tcp:127.0.0.1:0", true, false),
        ("tcp:127.0.0.1:0:nodelay=off:keepalive=60s", false, true),
    ] {
        let bound = endpoint(text).bind().unwrap();
        let Socket::Tcp(sockets, _) = &bound.sockets[0] else { panic!("{bound:?}") };
        let _client = connect(port(&bound));
        sockets[0].set_nonblocking(false).unwrap();
        let (accepted, _) = sockets[0].accept().unwrap();
        let accepted = SockRef::from(&accepted);
        assert_eq!(accepted.tcp_nodelay().unwrap(), nodelay);
        assert_eq!(accepted.keepalive().unwrap(), keepalive);
    }
}

#[tokio::test]
async fn every_address_of_this_machine() {
    let bound = endpoint("tcp:0").bind().unwrap();
    let listener = bound.listener().unwrap();
    let _four = connect(port(&bound));
    let accepted = listener.accept().await.unwrap();
    // An IPv4 peer is shown as one even on a dual-stack socket.
    assert!(accepted.peer().ip().unwrap().is_ipv4(), "{}", accepted.peer());
    if let Ok(_six) = TcpStream::connect(SocketAddr::new("::1".parse().unwrap(), port(&bound))) {
        assert!(listener.accept().await.unwrap().peer().ip().unwrap().is_ipv6());
    }
}

#[tokio::test]
async fn a_name_with_several_addresses() {
    let bound = endpoint("tcp:localhost:0").bind().unwrap();
    let ports: Vec<_> = bound.local().iter().map(|address| address.port().unwrap()).collect();
    assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    let listener = bound.listener().unwrap();
    for address in bound.local() {
        let Address::Ip(address) = address else { panic!("{address}") };
        let client = TcpStream::connect(address).unwrap();
        let accepted = listener.accept().await.unwrap();
        assert_eq!(accepted.peer(), &client.local_addr().unwrap().into());
    }
    let client = endpoint(&format!("localhost:{}", ports[0]));
    let (accepted, connected) = tokio::join!(listener.accept(), client.connect());
    assert_eq!(accepted.unwrap().peer(), connected.unwrap().local());
}

#[test]
fn a_busy_port_is_one_line() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port();
    let error = endpoint(&format!("127.0.0.1:{port}")).bind().expect_err("busy");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let expected = format!("cannot listen on tcp:127.0.0.1:{port}: ");
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert!(error.to_string().ends_with("(another program has it; `ss -ltnup` shows which)"));
    // Nor is it shared with our own kind unless asked for, even after spreading.
    let mut ours = endpoint("127.0.0.1:0").bind().unwrap();
    ours.spread(2).unwrap();
    let again = format!("127.0.0.1:{}", super::sockets::port(&ours));
    assert!(endpoint(&again).bind().is_err());
}

#[tokio::test]
async fn siblings_share_a_port() {
    let mut bound = endpoint("127.0.0.1:0").bind().unwrap();
    bound.spread(3).unwrap();
    let listeners: Vec<_> = (0..3).map(|_| bound.listener().unwrap()).collect();
    let _clients: Vec<_> = (0..96).map(|_| connect(port(&bound))).collect();
    let mut counts = [0; 3];
    for _ in 0..96 {
        let at = tokio::select! {
            _ = listeners[0].accept() => 0,
            _ = listeners[1].accept() => 1,
            _ = listeners[2].accept() => 2,
        };
        counts[at] += 1;
    }
    assert!(counts.iter().all(|count| *count > 0), "the kernel shares them out: {counts:?}");
}

#[tokio::test]
async fn workers_without_siblings_share_a_socket() {
    let bound = endpoint("127.0.0.1:0").bind().unwrap();
    let (one, two) = (bound.listener().unwrap(), bound.try_clone().unwrap().listener().unwrap());
    let _first = connect(port(&bound));
    one.accept().await.unwrap();
    let _second = connect(port(&bound));
    two.accept().await.unwrap();
}

#[test]
fn datagrams() {
    let mut bound = endpoint("udp:127.0.0.1:0").bind().unwrap();
    bound.spread(2).unwrap();
    let (one, two) = (bound.datagrams().unwrap(), bound.datagrams().unwrap());
    assert_eq!(one[0].local_addr().unwrap(), two[0].local_addr().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    assert!(bound.listener().is_err());
    let client = endpoint(&format!("udp:127.0.0.1:{}", port(&bound)));
    let client = runtime.block_on(client.connect_datagram()).unwrap();
    client.send(b"hi").unwrap();
    let mut buffer = [0; 8];
    let got = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(1));
        one.iter().chain(&two).any(|socket| socket.recv(&mut buffer).is_ok_and(|n| n == 2))
    });
    assert!(got);
}

#[tokio::test]
async fn unix_sockets() {
    let folder = Folder::new();
    let path = folder.file("x:y.sock");
    let server = endpoint(&format!("unix:{}:mode=600", path.replace(':', "\\:")));
    let client = endpoint(&format!("unix:{}", path.replace(':', "\\:")));
    let listener = server.listen().unwrap();
    assert_eq!(listener.local().to_string(), format!("unix:{path}"));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (accepted, connected) = tokio::join!(listener.accept(), client.connect());
    assert_eq!(connected.unwrap().peer().to_string(), format!("unix:{path}"));
    assert_eq!(accepted.unwrap().peer(), &Address::Unix(None));
    // Somebody answers: it is not taken away.
    let busy = server.bind().expect_err("it is in use");
    assert!(busy.to_string().contains("another program answers"), "{busy}");
    drop(listener);
    assert!(!PathBuf::from(&path).exists(), "removed with its listener");
}

#[test]
fn stale_unix_sockets() {
    let folder = Folder::new();
    let path = folder.file("s");
    let server = endpoint(&format!("unix:{path}"));
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(PathBuf::from(&path).exists(), "left behind");
    let bound = server.bind().expect("a stale socket is removed");
    // Copies keep it alive.
    let copy = bound.try_clone().unwrap();
    drop(bound);
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    // What somebody else put there is not ours to remove.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "a file").unwrap();
    drop(copy);
    assert!(PathBuf::from(&path).exists());
    let error = server.bind().expect_err("a file is in the way");
    assert!(error.to_string().contains("no socket has this name"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
}

#[tokio::test]
async fn a_child_process() {
    let mut cat = endpoint("exec:cat").connect().await.unwrap();
    assert!(matches!(cat.peer(), Address::Process(_)));
    cat.write_all(b"hello").await.unwrap();
    cat.shutdown().await.unwrap();
    let mut echoed = Vec::new();
    cat.read_to_end(&mut echoed).await.unwrap();
    assert_eq!(echoed, b"hello");

    let sleeper = endpoint("exec:sleep 60").connect().await.unwrap();
    let &Address::Process(id) = sleeper.peer() else { panic!("{sleeper:?}") };
    drop(sleeper);
    let gone = || match std::fs::read_to_string(format!("/proc/{id}/stat")) {
        Ok(stat) => stat.contains(") Z ") || !stat.contains("(sleep)"),
        Err(_) => true,
    };
    for _ in 0..500 {
        if gone() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(gone(), "killed with its transport");

    let missing = endpoint("exec:/nonexistent/program").connect().await.expect_err("missing");
    assert!(missing.to_string().contains("no such file, folder or program"), "{missing}");
}

#[tokio::test]
async fn a_socket_by_its_number() {
    use std::os::fd::AsRawFd;
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let number = format!("fd:{}", ours.as_raw_fd());
    let mut connected = endpoint(&number).connect().await.unwrap();
    connected.write_all(b"x").await.unwrap();
    let mut byte = [0];
    io::Read::read_exact(&mut &theirs, &mut byte).unwrap();
    // As a listener it is one connection, as inetd hands it over.
    let listener = endpoint(&number).listen().unwrap();
    io::Write::write_all(&mut &theirs, b"y").unwrap();
    let mut accepted = listener.accept().await.unwrap().establish().await.unwrap();
    accepted.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"y");
    let second = tokio::time::timeout(Duration::from_millis(5), listener.accept()).await;
    assert!(second.is_err(), "there is no second one");
}

/// Run in a process of its own by the next test, with a listening socket as descriptor 3; there is
/// nothing to do otherwise.
#[test]
fn child_of_a_service_manager() {
    if std::env::var("LISTEN_FDNAMES").as_deref() != Ok("ropewalk-test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let by_name = endpoint("systemd:ropewalk-test").bind().unwrap();
        let by_index = endpoint("systemd:0").bind().unwrap();
        assert_eq!(by_name.local(), by_index.local());
        let by_fd = endpoint("fd:3").bind().unwrap();
        assert_eq!(by_name.local(), by_fd.local());
        let listener = by_name.listener().unwrap();
        let mut accepted = listener.accept().await.unwrap().establish().await.unwrap();
        accepted.write_all(b"from the child").await.unwrap();
        accepted.shutdown().await.unwrap();
    });
}

#[test]
fn a_socket_from_a_service_manager() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let program = std::env::current_exe().unwrap();
    let script = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=ropewalk-test exec \"$@\"";
    let mut child = Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(program)
        .args(["--exact", "endpoint::tests::sockets::child_of_a_service_manager"])
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    io::Read::read_to_string(&mut client, &mut said).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(said, "from the child");
}

/// A proxy that speaks a script: it reads as many bytes as each question has and answers.
async fn scripted(
    script: Vec<(&'static [u8], &'static [u8])>,
) -> (u16, tokio::task::JoinHandle<()>) {
    let listener = endpoint("127.0.0.1:0").listen().unwrap();
    let port = listener.local().port().unwrap();
    let task = tokio::spawn(async move {
        let mut proxy = listener.accept().await.unwrap().establish().await.unwrap();
        for (question, answer) in script {
            let mut heard = vec![0; question.len()];
            proxy.read_exact(&mut heard).await.unwrap();
            assert_eq!(heard, question, "{}", heard.escape_ascii());
            proxy.write_all(answer).await.unwrap();
        }
    });
    (port, task)
}

#[tokio::test]
async fn through_a_chain_of_proxies() {
    let (port, task) = scripted(vec![
        (b"\x05\x02\x00\x02", b"\x05\x02"),
        (b"\x01\x01u\x01p", b"\x01\x00"),
        (b"\x05\x01\x00\x03\x05inner\x0c\x38", b"\x05\x00\x00\x01\0\0\0\0\0\0"),
        (
            b"CONNECT example.org:25 HTTP/1.1\r\nHost: example.org:25\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n220 hi\r\n",
        ),
        (b"EHLO", b""),
    ])
    .await;
    let text = format!(
        "socks5:127.0.0.1:{port}:user=u:password=p:http-connect:inner:3128:tcp:example.org:25"
    );
    let mut connected = endpoint(&text).connect().await.unwrap();
    let mut greeting = [0; 8];
    connected.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"220 hi\r\n", "what came with the answer is not lost");
    connected.write_all(b"EHLO").await.unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn a_proxy_that_refuses() {
    let (port, task) = scripted(vec![
        (b"\x05\x01\x00", b"\x05\x00"),
        (b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50", b"\x05\x05\0\x01\0\0\0\0\0\0"),
    ])
    .await;
    let text = format!("socks5:127.0.0.1:{port}:tcp:192.0.2.1:80");
    let error = endpoint(&text).connect().await.expect_err("refused");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(
        error.to_string(),
        format!("cannot connect to {text}: the proxy says: the target refused the connection")
    );
    task.await.unwrap();
    // Nothing but TCP can be reached through one.
    let unix = format!("socks5:127.0.0.1:{port}:unix:/x");
    assert!(endpoint(&unix).connect().await.is_err());
}

#[tokio::test]
async fn nobody_listens() {
    // Bound but not listened on, so that nobody else gets it meanwhile.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    let error = endpoint(&format!("127.0.0.1:{port}")).connect().await.expect_err("nobody");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(
        error.to_string(),
        format!(
            "cannot connect to tcp:127.0.0.1:{port}: 127.0.0.1:{port}: \
             Connection refused (os error 111) (nobody listens there)"
        )
    );
}

#[tokio::test]
async fn a_resolver_of_ones_own() {
    struct Fixed(SocketAddr);
    impl Resolve for Fixed {
        fn resolve<'a>(
            &'a self,
            name: &'a str,
            _port: u16,
        ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
            assert_eq!(name, "made.up");
            Box::pin(async { Ok(vec![self.0]) })
        }
    }
    let listener = endpoint("127.0.0.1:0").listen().unwrap();
    let Address::Ip(address) = listener.local().clone() else { panic!("a TCP socket") };
    let registry = Registry::new().with_resolver(Fixed(address));
    let client = Endpoint::parse_with("made.up:80:bind=127.0.0.1", &registry).unwrap();
    let (accepted, connected) = tokio::join!(listener.accept(), client.connect());
    assert_eq!(accepted.unwrap().peer(), connected.unwrap().local());
}

#[tokio::test]
async fn a_worker_gets_a_socket_of_its_own_where_the_port_is_shared() {
    let bound = endpoint("127.0.0.1:0:reuseport=on").bind().unwrap();
    let (one, two) = (bound.listener().unwrap(), bound.listener().unwrap());
    let _clients: Vec<_> = (0..64).map(|_| connect(port(&bound))).collect();
    let mut counts = [0; 2];
    for _ in 0..64 {
        let at = tokio::select! {
            _ = one.accept() => 0,
            _ = two.accept() => 1,
        };
        counts[at] += 1;
    }
    // Of a shared socket the one would have taken some that were the other's, and the other none
    // once the one is gone.
    drop(one);
    drop(bound);
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    let port = two.local().port().unwrap();
    let _client = connect(port);
    two.accept().await.unwrap();
}

#[tokio::test]
async fn tls_over_tcp_with_certificates_on_both_sides() {
    let folder = Folder::new();
    let pair = |name: &str, host: &str| {
        let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
        std::fs::write(folder.file(&format!("{name}.pem")), made.cert.pem()).unwrap();
        let key = made.signing_key.serialize_pem();
        std::fs::write(folder.file(&format!("{name}.key")), key).unwrap();
        folder.file(name)
    };
    let (server, other, us) = (pair("server", "localhost"), pair("other", "b.c"), pair("us", "us"));
    let listen = |options: &str| {
        let text = format!("tls:127.0.0.1:0:folder={}{options}", folder.0.display());
        endpoint(&text).listen().unwrap()
    };
    // Wanted host, options of the server and the client, and whether they meet.
    let ours = format!(":client-cert={us}.pem:client-key={us}.key");
    let required = format!(":clients=required:ca={us}.pem");
    let wanted = format!(":clients=wanted:ca={us}.pem");
    for (host, of_server, of_client, meet) in [
        ("localhost", "", "", Some(false)),
        ("b.c", "", "", Some(false)),
        ("wrong.example", "", "", None),
        ("localhost", ":min=1.3:alpn=h2", ":alpn=h2", Some(false)),
        ("localhost", ":alpn=h2", ":alpn=x", None),
        ("localhost", &*required, &*ours, Some(true)),
        ("localhost", &*required, "", None),
        ("localhost", &*wanted, &*ours, Some(true)),
        ("localhost", &*wanted, "", Some(false)),
    ] {
        let listener = listen(of_server);
        let port = listener.local().port().unwrap();
        let roots = if host == "b.c" { &other } else { &server };
        // The name to be proved is the host's unless it is given.
        let text = match host {
            "localhost" => format!("tls:localhost:{port}:roots={roots}.pem{of_client}"),
            _ => format!("tls:127.0.0.1:{port}:name={host}:roots={roots}.pem{of_client}"),
        };
        let (client, server) = (endpoint(&text), async {
            let mut server = listener.accept().await?.establish().await?;
            server.write_all(b"hi").await?;
            server.shutdown().await?;
            Ok::<_, io::Error>(!server.tls().unwrap().peer_certificates().is_empty())
        });
        let client = async {
            let mut said = String::new();
            client.connect().await?.read_to_string(&mut said).await?;
            Ok::<_, io::Error>(said)
        };
        let (known, said) = tokio::join!(server, client);
        match meet {
            Some(expected) => {
                assert_eq!(said.unwrap(), "hi", "{text}");
                assert_eq!(known.unwrap(), expected, "{text}");
            }
            None => assert!(said.is_err() && known.is_err(), "{text}: {known:?} {said:?}"),
        }
    }
}

#[test]
fn everything_can_be_sent_between_threads() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Endpoint>();
    check::<Bound>();
    check::<Listener>();
    check::<Registry>();
    check::<Error>();
    fn future(_: impl Send) {}
    let endpoint = endpoint("127.0.0.1:1");
    future(endpoint.connect());
    future(async {
        let listener = endpoint.listen().unwrap();
        listener.accept().await.unwrap().establish().await
    });
}
