//! What a handshake found out.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, CommonState, HandshakeKind, ProtocolVersion};

use super::{Fingerprint, Version};

/// What a handshake found out. Cheap to clone.
#[derive(Clone)]
pub struct Facts(Arc<Inner>);

struct Inner {
    version: Version,
    cipher_suite: CipherSuite,
    resumed: bool,
    alpn: Option<Box<[u8]>>,
    server_name: Option<Box<str>>,
    peer_certificates: Box<[CertificateDer<'static>]>,
    /// RFC 9266: secret, since whoever knows it can pretend to be on this connection.
    exporter: Option<[u8; 32]>,
}

impl Facts {
    /// Reads them off a connection whose handshake is complete.
    pub(super) fn of(
        state: &CommonState,
        server_name: Option<&str>,
        exporter: Option<[u8; 32]>,
    ) -> Self {
        let version = match state.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => Version::Tls13,
            _ => Version::Tls12,
        };
        let suite = state.negotiated_cipher_suite().expect("the handshake is complete");
        Self(Arc::new(Inner {
            version,
            cipher_suite: suite.suite(),
            resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
            alpn: state.alpn_protocol().map(Box::from),
            server_name: server_name.map(Box::from),
            peer_certificates: state.peer_certificates().map(Box::from).unwrap_or_default(),
            exporter: exporter.filter(|_| version >= Version::Tls13),
        }))
    }

    /// The version agreed on.
    #[must_use]
    pub fn version(&self) -> Version {
        self.0.version
    }

    /// The IANA name of the cipher suite agreed on, such as `TLS13_AES_256_GCM_SHA384` in the
    /// spelling of rustls.
    #[must_use]
    pub fn cipher_suite(&self) -> &'static str {
        self.0.cipher_suite.as_str().unwrap_or("unknown")
    }

    /// The application protocol agreed on by ALPN (RFC 7301), such as `h2`; `None` if the two did
    /// not talk about it.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.0.alpn.as_deref()
    }

    /// The name of the server: as the client sent it by SNI (RFC 6066 §3), in lower case, on a
    /// server; as it was asked for, a host name or an IP address, on a client.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.0.server_name.as_deref()
    }

    /// The peer's certificates, its own first; empty if it showed none. They were verified, unless
    /// the configuration says that it does not verify.
    #[must_use]
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        &self.0.peer_certificates
    }

    /// The fingerprint of the peer's own certificate, if it showed one. Computed at each call.
    #[must_use]
    pub fn peer_fingerprint(&self) -> Option<Fingerprint> {
        self.0.peer_certificates.first().map(Fingerprint::of)
    }

    /// Whether this connection resumed the session of an earlier one (RFC 8446 §2.2).
    #[must_use]
    pub fn resumed(&self) -> bool {
        self.0.resumed
    }

    /// The channel binding `tls-exporter` (RFC 9266), for SASL mechanisms that end in `-PLUS`.
    /// `None` in TLS 1.2, where it would need an extension that rustls does not report.
    #[must_use]
    pub fn channel_binding(&self) -> Option<&[u8; 32]> {
        self.0.exporter.as_ref()
    }
}

/// Without the certificates, which are long, and the channel binding, which is secret.
impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("version", &self.version())
            .field("cipher_suite", &self.cipher_suite())
            .field("alpn", &self.alpn().map(|alpn| alpn.escape_ascii().to_string()))
            .field("server_name", &self.server_name())
            .field("peer", &self.peer_fingerprint())
            .field("resumed", &self.resumed())
            .finish_non_exhaustive()
    }
}
