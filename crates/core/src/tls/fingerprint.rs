//! The SHA-256 of a certificate, by which people compare and pin it.

use std::fmt;
use std::str::FromStr;

use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::pki_types::CertificateDer;

/// The SHA-256 of a certificate's DER, the form `openssl x509 -fingerprint -sha256` prints:
/// 32 bytes as upper-case hexadecimal with colons.
///
/// Parsed leniently: the colons may be missing and the case does not matter.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        // The hash comes out of a suite that has it, so that one crate does all the cryptography.
        let suite = TLS13_AES_128_GCM_SHA256.tls13().expect("it is a suite of TLS 1.3");
        let digest = suite.common.hash_provider.hash(certificate);
        Self(digest.as_ref().try_into().expect("a SHA-256 has 32 bytes"))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// `AB:CD:…`, as most programs print it; `{:#}` leaves out the colons, which endpoints have other uses
/// for.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at == 0 || f.alternate() { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 fingerprint: 32 bytes in hexadecimal are wanted, with colons or without")]
pub struct NotAFingerprint;

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let digits = text.bytes().filter(|byte| *byte != b':');
        let mut digits = digits.map(|byte| (byte as char).to_digit(16).ok_or(NotAFingerprint));
        let mut bytes = [0; 32];
        for byte in &mut bytes {
            let high = digits.next().ok_or(NotAFingerprint)??;
            let low = digits.next().ok_or(NotAFingerprint)??;
            // Two hexadecimal digits fit in a byte.
            *byte = (high << 4 | low) as u8;
        }
        if digits.next().is_some() { Err(NotAFingerprint) } else { Ok(Self(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_back() {
        // SHA-256 of nothing.
        let of_nothing = Fingerprint::of(&CertificateDer::from(Vec::new()));
        let text = of_nothing.to_string();
        assert!(text.starts_with("E3:B0:C4:42:98:FC"), "{text}");
        for spelling in [text.clone(), text.to_lowercase(), text.replace(':', "")] {
            assert_eq!(spelling.parse(), Ok(of_nothing));
        }
        for bad in ["", "E3", &text[1..], &format!("{text}:00"), &text.replace('E', "G")] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(NotAFingerprint), "{bad}");
        }
    }
}
