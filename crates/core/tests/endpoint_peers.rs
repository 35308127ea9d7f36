//! Endpoints against foreign programs: curl, haproxy, microsocks, tinyproxy.
//!
//! Ignored unless asked for (`cargo test -p ropewalk-core --test endpoint_peers -- --ignored`); a
//! program that is not installed is named and skipped. Loopback only, and every wait is bounded.
#![cfg(feature = "io")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this is a test, helpers and all")]

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ropewalk_core::endpoint::proxy::Header;
use ropewalk_core::endpoint::{Endpoint, Listener};
use ropewalk_core::{Address, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

/// A foreign server and its folder; both go with the value.
struct Server {
    child: Child,
    folder: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn is_here(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// Starts `program` with `{config}` in its arguments replaced by a file that has `config` in it, and
/// waits until somebody listens on `port`.
async fn start(program: &str, arguments: &[&str], config: &str, port: u16) -> Server {
    let folder = std::env::temp_dir().join(format!("ropewalk-peer-{}-{port}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let file = folder.join("config");
    fs::write(&file, config).unwrap();
    let replaced = arguments.iter().map(|word| word.replace("{config}", file.to_str().unwrap()));
    let child = Command::new(program)
        .args(replaced)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server { child, folder };
    let up = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, up).await.unwrap_or_else(|_| panic!("{program} does not come up"));
    server
}

fn endpoint(text: &str) -> Endpoint {
    Endpoint::parse(text).unwrap_or_else(|error| panic!("{error:#}"))
}

/// What our server saw of a connection: its header, its addresses, and the transport.
async fn accept(listener: &Listener) -> (Option<Header>, Address, Transport) {
    let mut accepted = listener.accept().await.unwrap();
    accepted.proxied().await.unwrap();
    let (header, peer) = (accepted.header().cloned(), accepted.peer().clone());
    (header, peer, accepted.establish().await.unwrap())
}

#[tokio::test]
#[ignore = "needs curl"]
async fn curl_sends_proxy_headers() {
    if !is_here("curl") {
        return;
    }
    let listener = endpoint("proxy:127.0.0.1:0").listen().unwrap();
    let port = listener.local().port().unwrap();
    let url = format!("http://127.0.0.1:{port}/");
    let mut curl = Command::new("curl")
        .args(["-s", "--max-time", "10", "--noproxy", "*", "--haproxy-protocol", &url])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (header, peer, mut transport) = timeout(PATIENCE, accept(&listener)).await.unwrap();
    // It tells its own address, with the port it really has.
    let told = header.unwrap().addresses().expect("addresses");
    assert_eq!((&told.0, told.1.port()), (&peer, Some(port)));
    let mut request = vec![0; 6];
    transport.read_exact(&mut request).await.unwrap();
    assert_eq!(request, b"GET / ");
    transport.write_all(b"HTTP/1.0 200 OK\r\n\r\nyes").await.unwrap();
    transport.shutdown().await.unwrap();
    // Read to the end, so that closing does not reset what curl has not read yet.
    let _ = timeout(PATIENCE, transport.read_to_end(&mut request)).await;
    assert!(curl.wait().unwrap().success());
}

#[tokio::test]
#[ignore = "needs haproxy"]
async fn haproxy_relays_what_we_tell_it() {
    if !is_here("haproxy") {
        return;
    }
    for (ours, theirs) in
        [(1, "send-proxy"), (2, "send-proxy-v2 proxy-v2-options unique-id,crc32c,authority")]
    {
        let listener = endpoint("proxy:127.0.0.1:0").listen().unwrap();
        let (port, back) = (free_port(), listener.local().port().unwrap());
        let config = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 9s\n timeout server 9s\n\
             frontend f\n bind 127.0.0.1:{port} accept-proxy\n unique-id-format %pid-x\n\
             default_backend b\nbackend b\n server s 127.0.0.1:{back} {theirs}\n"
        );
        let _haproxy = start("haproxy", &["-db", "-f", "{config}"], &config, port).await;
        let from = Address::from(std::net::SocketAddr::from(([192, 0, 2, 1], 4000)));
        let to = Address::from(std::net::SocketAddr::from(([192, 0, 2, 2], 25)));
        let client = endpoint(&format!("proxy:127.0.0.1:{port}:version={ours}"));
        let mut client = client.connect_as(&from, &to).await.unwrap();
        client.write_all(b"ping").await.unwrap();
        // The probe of `start` was relayed too, and closed; it never gets as far as a header.
        let relayed = async {
            loop {
                let mut accepted = listener.accept().await.unwrap();
                if accepted.proxied().await.is_ok() && *accepted.peer() == from {
                    return accepted;
                }
            }
        };
        let accepted = timeout(PATIENCE, relayed).await.unwrap();
        assert_eq!(accepted.local(), &to, "the destination is relayed too");
        let tlvs = accepted.header().unwrap().tlvs.clone();
        assert_eq!(tlvs.crc32c().is_some(), ours == 2, "haproxy's checksum was verified: {tlvs:?}");
        assert_eq!(tlvs.unique_id().is_some(), ours == 2, "{tlvs:?}");
        let mut transport = accepted.establish().await.unwrap();
        let mut word = [0; 4];
        transport.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"ping");
    }
}

/// Says "hi" through a proxy from a server of ours.
async fn through(proxy: &str) {
    let listener = endpoint("127.0.0.1:0").listen().unwrap();
    let port = listener.local().port().unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let client = endpoint(&format!("{proxy}:tcp:{host}:{port}"));
        let connect = async { client.connect().await.unwrap_or_else(|error| panic!("{error}")) };
        let serve = async {
            let (_, _, mut server) = accept(&listener).await;
            server.write_all(b"hi").await.unwrap();
            server
        };
        let both = async { tokio::join!(connect, serve) };
        let (mut client, _server) = timeout(PATIENCE, both).await.expect("through in time");
        let mut said = [0; 2];
        client.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"hi", "{proxy}");
    }
}

/// What is said when the target, or the login, is refused.
async fn refused(text: &str) -> String {
    let connect = endpoint(text);
    let error = timeout(PATIENCE, connect.connect()).await.unwrap().expect_err(text).to_string();
    println!("{error}");
    assert!(!error.contains('\n') && error.contains("the proxy"), "{error}");
    error
}

#[tokio::test]
#[ignore = "needs microsocks"]
async fn socks5_through_microsocks() {
    if !is_here("microsocks") {
        return;
    }
    let (port, closed) = (free_port(), free_port());
    let listen = ["-i", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned);
    let listen: Vec<&str> = listen.iter().map(String::as_str).collect();
    let proxy = format!("socks5:127.0.0.1:{port}");
    {
        let _microsocks = start("microsocks", &listen, "", port).await;
        through(&proxy).await;
        refused(&format!("{proxy}:tcp:127.0.0.1:{closed}")).await;
    }
    let with_login = [&listen[..], &["-u", "me", "-P", "secret"]].concat();
    let _microsocks = start("microsocks", &with_login, "", port).await;
    through(&format!("{proxy}:user=me:password=secret")).await;
    refused(&format!("{proxy}:user=me:password=wrong:tcp:127.0.0.1:1")).await;
    let nobody = refused(&format!("{proxy}:tcp:127.0.0.1:1")).await;
    assert!(nobody.contains("give it user= and password="), "{nobody}");
}

#[tokio::test]
#[ignore = "needs tinyproxy"]
async fn http_connect_through_tinyproxy() {
    if !is_here("tinyproxy") {
        return;
    }
    let (port, closed) = (free_port(), free_port());
    let config = format!("Port {port}\nListen 127.0.0.1\nTimeout 10\nAllow 127.0.0.1\n");
    let proxy = format!("http-connect:127.0.0.1:{port}");
    {
        let _tinyproxy = start("tinyproxy", &["-d", "-c", "{config}"], &config, port).await;
        through(&proxy).await;
        refused(&format!("{proxy}:tcp:127.0.0.1:{closed}")).await;
    }
    let config = format!("{config}BasicAuth me secret\n");
    let _tinyproxy = start("tinyproxy", &["-d", "-c", "{config}"], &config, port).await;
    through(&format!("{proxy}:user=me:password=secret")).await;
    let wrong = refused(&format!("{proxy}:user=me:password=wrong:tcp:127.0.0.1:1")).await;
    assert!(wrong.contains("401") || wrong.contains("407"), "{wrong}");
    refused(&format!("{proxy}:tcp:127.0.0.1:1")).await;
}
