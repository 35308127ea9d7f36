//! What an error of rustls means, and what to do.

use std::io;

use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

use super::Error;

/// The error of a handshake, in words. `server` is the name asked for, if we are the client.
pub(super) fn explained(error: io::Error, server: Option<&str>) -> io::Error {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned();
    let peer = server.unwrap_or("a client").to_owned();
    match cause {
        Some(cause) => {
            let what = what(&cause, server.is_some());
            io::Error::new(error.kind(), Error::Handshake { peer, what, cause })
        }
        None if error.kind() == io::ErrorKind::UnexpectedEof => io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("TLS handshake with {peer} failed: it closed the connection in the middle"),
        ),
        None => error,
    }
}

fn what(cause: &rustls::Error, client: bool) -> String {
    let hint = match cause {
        rustls::Error::InvalidCertificate(reason) => return certificate(reason, client),
        rustls::Error::AlertReceived(alert) => return refused(*alert, client),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            return "it does not speak TLS: check the port, and whether the protocol upgrades later"
                .into();
        }
        rustls::Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => {
            ": it has no version of TLS that is allowed here; lower the minimum version, or update it"
        }
        rustls::Error::NoCertificatesPresented => {
            ": it has no certificate, and one is required here"
        }
        rustls::Error::NoApplicationProtocol => ": it wants application protocols not spoken here",
        _ => "",
    };
    format!("{cause}{hint}")
}

/// We refuse the peer's certificate.
fn certificate(reason: &CertificateError, client: bool) -> String {
    match reason {
        CertificateError::UnknownIssuer if client => {
            "its certificate was issued by nobody who is trusted here: name the file of its root, \
             or pin its fingerprint if it is self-signed"
                .into()
        }
        CertificateError::UnknownIssuer => {
            "its certificate was issued by none of the roots that clients are verified by".into()
        }
        CertificateError::Other(reason) => odd(&reason.to_string(), client),
        reason => rustls::Error::InvalidCertificate(reason.clone()).to_string(),
    }
}

/// What webpki says by a name only, of certificates as people make them to try things out.
fn odd(reason: &str, client: bool) -> String {
    match reason {
        "CaUsedAsEndEntity" if client => {
            "its certificate is that of an authority (CA:TRUE), as `openssl req -x509` makes it: pin \
             its fingerprint, or make one that is not"
        }
        "CaUsedAsEndEntity" => {
            "its certificate is that of an authority (CA:TRUE): have it use one that is not"
        }
        "UnsupportedCertVersion" => {
            "its certificate is of X.509 version 1: make it anew with extensions, by `openssl x509 \
             -extfile`, to have version 3"
        }
        reason => return reason.to_owned(),
    }
    .to_owned()
}

/// The peer refused us by an alert (RFC 8446 §6.2).
fn refused(alert: AlertDescription, client: bool) -> String {
    let meaning = match alert {
        AlertDescription::CertificateRequired => "it requires a client certificate; give one",
        AlertDescription::UnknownCA if client => "it does not trust who issued our certificate",
        AlertDescription::UnknownCA => {
            "it does not trust who issued our certificate; is it self-signed?"
        }
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            "it does not accept our certificate"
        }
        AlertDescription::CertificateExpired => "our certificate has expired; renew it",
        AlertDescription::ProtocolVersion => {
            "it allows no version of TLS that we do; lower the minimum version, or update it"
        }
        AlertDescription::HandshakeFailure => {
            "the two have no algorithms, or no certificate, in common"
        }
        AlertDescription::NoApplicationProtocol => {
            "it speaks none of the application protocols offered"
        }
        AlertDescription::UnrecognisedName => "it does not serve that name",
        _ => "it gave no further reason",
    };
    match alert.as_str() {
        Some(name) => format!("it refused with the alert {name}: {meaning}"),
        None => format!("it refused with alert {}: {meaning}", u8::from(alert)),
    }
}
