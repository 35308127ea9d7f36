//! Values of options: rates, times, networks, certificates; on the command line and in `ropewalk.toml`.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use ropewalk_core::endpoint::{Certificate, Tls};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

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

impl fmt::Display for TlsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Certificate::Files { cert, key: Some(key) } => {
                write!(f, "{},{}", cert.display(), key.display())
            }
            Certificate::Files { cert, key: None } => write!(f, "{}", cert.display()),
            _ => f.write_str("self-signed"),
        }
    }
}

impl Serialize for TlsFiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TlsFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
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

/// A number, or a string that says one.
struct Number<T> {
    wants: &'static str,
    float: fn(f64) -> Result<T, String>,
    text: fn(&str) -> Result<T, String>,
}

impl<T> de::Visitor<'_> for Number<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wants)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        (self.text)(&number.to_string()).map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        (self.float)(number).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.text)(text).map_err(E::custom)
    }
}

/// A time in a file: a number of seconds. For `#[serde(with = "…")]`.
pub mod in_seconds {
    use super::{Deserializer, Duration, Number, Serializer, seconds};

    /// As an integer where it is one.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        if time.subsec_nanos() == 0 {
            serializer.serialize_u64(time.as_secs())
        } else {
            serializer.serialize_f64(time.as_secs_f64())
        }
    }

    /// From an integer, a float, or a string as on the command line.
    ///
    /// # Errors
    /// When it is no time.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_any(Number {
            wants: "a number of seconds",
            float: |number| seconds(&number.to_string()),
            text: seconds,
        })
    }
}

/// Bytes per second in a file: a number, or a string as in `"2M"`. For `#[serde(with = "…")]`.
pub mod in_bytes {
    use super::{Deserializer, Number, Serializer, bandwidth};

    /// With the largest unit that divides it.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(rate: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(rate) = rate else { return serializer.serialize_none() };
        let units = [(30, 'G'), (20, 'M'), (10, 'K')];
        let unit = units.into_iter().find(|(bits, _)| rate.is_multiple_of(1 << bits));
        match unit {
            Some((bits, unit)) => serializer.collect_str(&format_args!("{}{unit}", rate >> bits)),
            None => serializer.serialize_u64(*rate),
        }
    }

    /// From an integer, or a string as on the command line.
    ///
    /// # Errors
    /// When it is no number of bytes.
    pub fn deserialize<'de, D>(deserializer: D) -> Result<Option<u64>, D::Error>
    where
        D: Deserializer<'de>,
    {
        let number = Number {
            wants: "a number of bytes, or one with K, M or G in quotes",
            float: |number| bandwidth(&number.to_string()),
            text: bandwidth,
        };
        deserializer.deserialize_any(number).map(Some)
    }
}

/// Networks in a file: strings as on the command line. For `#[serde(with = "…")]`.
pub mod networks {
    use super::{Deserialize, Deserializer, IpNet, Number, Serializer, network};

    /// Each as a string.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(list: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(list.iter().map(ToString::to_string))
    }

    /// From strings.
    ///
    /// # Errors
    /// When one is no network.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
        let texts = Vec::<Network>::deserialize(deserializer)?;
        Ok(texts.into_iter().map(|Network(network)| network).collect())
    }

    /// One, so that an error points at it.
    struct Network(IpNet);

    impl<'de> Deserialize<'de> for Network {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            // Not by way of a string: so the error points at the place.
            let found = deserializer.deserialize_str(Number {
                wants: "a network in quotes",
                float: |number| network(&number.to_string()),
                text: network,
            });
            found.map(Self)
        }
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
