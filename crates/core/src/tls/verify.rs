//! Verifiers of servers that look at something else than who signed.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use super::Fingerprint;

/// Accepts a server by its fingerprint, whoever signed it and whatever its name and dates; or, with
/// no fingerprints at all, any server. In both cases the server proves that it has the key.
#[derive(Debug)]
pub(super) struct Unsigned {
    pub(super) provider: Arc<CryptoProvider>,
    /// Those accepted; `None` accepts any.
    pub(super) pins: Option<Vec<Fingerprint>>,
}

/// The server showed a certificate that is not pinned.
#[derive(Debug, thiserror::Error)]
#[error(
    "its certificate has the fingerprint {0}, which is not the pinned one: if the server has a new \
     certificate, pin that; if not, somebody is in between"
)]
struct NotPinned(Fingerprint);

impl ServerCertVerifier for Unsigned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of(end_entity);
        match &self.pins {
            Some(pins) if !pins.contains(&shown) => {
                let reason = OtherError(Arc::new(NotPinned(shown)));
                Err(CertificateError::Other(reason).into())
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
