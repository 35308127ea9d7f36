//! Values of options: rates, times, networks, certificates.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use ropewalk_core::endpoint::{Certificate, Tls};

use crate::logfile::LogFile;

/// Bytes per second: a number with `K`, `M` or `G` (1024, 1024², 1024³) or without.
///
/// # Errors
/// In words, for the parser of arguments.
pub fn bandwidth(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no number of bytes: write 500K or 2M");
    let (number, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1_u64),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

/// Seconds, with fractions or without.
///
/// # Errors
/// In words, for the parser of arguments.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no number of seconds");
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

/// A log in a file, not open yet.
///
/// # Errors
/// None: whether it can be opened is seen when it is.
pub fn log_file(path: &str) -> Result<LogFile, String> {
    Ok(LogFile::new(path))
}

/// A network, or a single address.
///
/// # Errors
/// In words, for the parser of arguments.
pub fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| {
        format!("`{text}` is no network: write an address, or one with a prefix as in 10.0.0.0/8")
    })
}

/// What `--tls` says: files, or a certificate made for this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles(pub Certificate);

impl FromStr for TlsFiles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "self-signed" {
            return Ok(Self(Certificate::SelfSigned));
        }
        let (cert, key) = match text.split_once(',') {
            Some((cert, key)) => (cert, Some(key)),
            None => (text, None),
        };
        if cert.is_empty() || key.is_some_and(|key| key.is_empty() || key.contains(',')) {
            return Err("write CERT.pem,KEY.pem, or self-signed to try things out".to_owned());
        }
        Ok(Self(Certificate::Files { cert: cert.into(), key: key.map(PathBuf::from) }))
    }
}

impl TlsFiles {
    /// The layer that goes around an endpoint.
    #[must_use]
    pub fn layer(&self) -> Tls {
        let mut tls = Tls::default();
        tls.certificate = self.0.clone();
        tls
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidths() {
        for (text, bytes) in [
            ("1", Some(1)),
            ("500", Some(500)),
            ("500k", Some(512_000)),
            ("2M", Some(2 << 20)),
            ("1G", Some(1 << 30)),
            ("0", None),
            ("", None),
            ("k", None),
            ("1.5M", None),
            ("-1", None),
            ("99999999999G", None),
            ("1é", None),
        ] {
            assert_eq!(bandwidth(text).ok(), bytes, "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, millis) in [
            ("30", Some(30_000)),
            ("0", Some(0)),
            ("0.5", Some(500)),
            ("-1", None),
            ("nan", None),
            ("inf", None),
            ("1s", None),
        ] {
            assert_eq!(seconds(text).ok(), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn networks() {
        for (text, network) in [
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("192.0.2.1", Some("192.0.2.1/32")),
            ("2001:db8::1", Some("2001:db8::1/128")),
            ("10.0.0.0/33", None),
            ("example.org", None),
        ] {
            let found = super::network(text).ok().map(|found| found.to_string());
            assert_eq!(found.as_deref(), network, "{text}");
        }
    }

    #[test]
    fn certificates() {
        let files = |cert: &str, key: Option<&str>| {
            Some(Certificate::Files { cert: cert.into(), key: key.map(PathBuf::from) })
        };
        for (text, certificate) in [
            ("self-signed", Some(Certificate::SelfSigned)),
            ("a.pem,b.key", files("a.pem", Some("b.key"))),
            ("both.pem", files("both.pem", None)),
            ("a.pem,", None),
            (",b.key", None),
            ("a,b,c", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok().map(|TlsFiles(found)| found), certificate, "{text}");
        }
    }
}
