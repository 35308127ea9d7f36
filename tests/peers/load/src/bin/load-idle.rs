//! Idle connections: `load-idle PORT COUNT [CERTIFICATE]`.
//!
//! Opens them to 127.0.0.1, over TLS if the server's certificate is given, sends one request on each
//! and reads the answer, prints `ready COUNT` and holds them until it is ended. At each SIGUSR1 it asks
//! again on each, one after the other, and prints `alive COUNT`.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

type Failure = Box<dyn Error + Send + Sync>;

/// A trait object for a stream that is only held.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

const REQUEST: &[u8] = b"GET /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// From one source address; each has its own range of ports.
const PER_SOURCE: usize = 10_000;

/// How long an answer may take on a connection that was held.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many handshakes run at once.
const AT_ONCE: usize = 64;

async fn open(port: u16, number: usize) -> Result<TcpStream, Failure> {
    let last = u8::try_from(2 + number / PER_SOURCE)?;
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0)))?;
    Ok(socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await?)
}

async fn ask(mut stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, Failure> {
    stream.write_all(REQUEST).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"Hello, world!") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err("closed before its answer".into());
        }
    }
    Ok(stream)
}

fn tls(certificate: &str) -> Result<TlsConnector, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(certificate)? {
        roots.add(certificate?)?;
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn one(
    port: u16,
    number: usize,
    tls: Option<TlsConnector>,
) -> Result<Box<dyn Stream>, Failure> {
    let stream = open(port, number).await?;
    match tls {
        Some(tls) => {
            let name = ServerName::try_from("localhost")?;
            ask(Box::new(tls.connect(name, stream).await?)).await
        }
        None => ask(Box::new(stream)).await,
    }
}

async fn hold(port: u16, count: usize, tls: Option<TlsConnector>) -> Result<(), Failure> {
    let mut asked = signal(SignalKind::user_defined1())?;
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let (done, mut opened) = mpsc::unbounded_channel();
    for number in 0..count {
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let (done, tls) = (done.clone(), tls.clone());
        tokio::spawn(async move {
            let result = one(port, number, tls).await;
            drop(permit);
            let _ = done.send(result);
        });
    }
    let mut held = Vec::with_capacity(count);
    while held.len() < count {
        held.push(opened.recv().await.ok_or("no more connections")??);
    }
    println!("ready {}", held.len());
    while asked.recv().await.is_some() {
        let mut alive = Vec::with_capacity(held.len());
        for stream in held {
            if let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, ask(stream)).await {
                alive.push(stream);
            }
        }
        held = alive;
        println!("alive {}", held.len());
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (port, count, certificate) = match arguments.as_slice() {
        [port, count] => (port, count, None),
        [port, count, certificate] => (port, count, Some(certificate)),
        _ => return Err("usage: load-idle PORT COUNT [CERTIFICATE]".into()),
    };
    let tls = certificate.map(|path| tls(path)).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(hold(port.parse()?, count.parse()?, tls))
}
