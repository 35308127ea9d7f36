//! The handshake, over anything that carries bytes.

use std::io;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ConnectionCommon, SideData};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::explain::explained;
use super::{Client, Facts, Server};

/// How long the peer may take to read the alert of a failed handshake.
const ALERT_TIME: Duration = Duration::from_millis(500);

/// How many bytes that the peer had under way are swallowed meanwhile.
const ALERT_READ: usize = 64 * 1024;

/// Shakes hands as a server. Not cancel-safe: when dropped, the connection is in an unknown state.
/// Has no deadline of its own.
///
/// # Errors
/// When the transport fails, or the two do not agree: then [`tls::Error`](super::Error) is inside,
/// and the peer was told by an alert.
pub(crate) async fn accept<S>(
    config: &Server,
    stream: S,
) -> io::Result<(server::TlsStream<S>, Facts)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match TlsAcceptor::from(config.config()).accept(stream).into_fallible().await {
        Ok(stream) => {
            let tls = stream.get_ref().1;
            let facts = Facts::of(tls, tls.server_name(), exporter(tls));
            Ok((stream, facts))
        }
        Err((error, stream)) => {
            part(stream, &error).await;
            Err(explained(error, None))
        }
    }
}

/// Shakes hands as a client, with the server that `name` says. As [`accept`] otherwise.
pub(crate) async fn connect<S>(
    config: &Client,
    name: &ServerName<'static>,
    stream: S,
) -> io::Result<(client::TlsStream<S>, Facts)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let connector = TlsConnector::from(config.config());
    match connector.connect(name.clone(), stream).into_fallible().await {
        Ok(stream) => {
            let tls = stream.get_ref().1;
            let facts = Facts::of(tls, Some(&name.to_str()), exporter(tls));
            Ok((stream, facts))
        }
        Err((error, stream)) => {
            part(stream, &error).await;
            Err(explained(error, Some(&name.to_str())))
        }
    }
}

/// The keying material of `tls-exporter` (RFC 9266 §2).
fn exporter<D: SideData>(tls: &ConnectionCommon<D>) -> Option<[u8; 32]> {
    tls.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).ok()
}

/// Sees to it that the alert, which rustls has written, arrives.
///
/// A socket that is closed while bytes lie in it unread answers with a reset, which may overtake the
/// alert: so our direction is ended first, and what still comes is swallowed for a moment.
async fn part<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, error: &io::Error) {
    if error.kind() != io::ErrorKind::InvalidData {
        return; // the transport failed; there is no alert
    }
    let end = async {
        stream.flush().await?;
        stream.shutdown().await?;
        let (mut scrap, mut swallowed) = ([0; 512], 0);
        while swallowed < ALERT_READ {
            match stream.read(&mut scrap).await? {
                0 => break,
                read => swallowed += read,
            }
        }
        io::Result::Ok(())
    };
    // The handshake's own error is the one to report, whatever happens here.
    let _ = timeout(ALERT_TIME, end).await;
}
