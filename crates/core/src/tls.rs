//! PLACEHOLDER
#![allow(missing_docs, dead_code)]
use rustls::pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
pub const HANDSHAKE: Duration = Duration::from_secs(10);
#[derive(Debug, Clone)]
pub struct Server(Arc<rustls::ServerConfig>);
#[derive(Debug, Clone)]
pub struct Client(Arc<rustls::ClientConfig>);
#[derive(Debug, Clone)]
pub struct Facts;
pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    c: &Server,
    s: S,
) -> io::Result<(tokio_rustls::server::TlsStream<S>, Facts)> {
    Ok((tokio_rustls::TlsAcceptor::from(c.0.clone()).accept(s).await?, Facts))
}
pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    c: &Client,
    s: S,
    n: &ServerName<'static>,
) -> io::Result<(tokio_rustls::client::TlsStream<S>, Facts)> {
    Ok((tokio_rustls::TlsConnector::from(c.0.clone()).connect(n.clone(), s).await?, Facts))
}
