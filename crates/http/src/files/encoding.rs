//! `Accept-Encoding` (RFC 9110 §12.5.3) and the precompressed siblings of a file. Pure.

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

/// A content coding that a sibling file may have, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Coding {
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// What is appended to the name of the file.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }

    /// Its registered name.
    fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The value of `Content-Encoding`.
    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }

    fn parse(name: &str) -> Option<Self> {
        // RFC 9110 §8.4.1.3: `x-gzip` is equivalent to `gzip`.
        let name = if name.eq_ignore_ascii_case("x-gzip") { "gzip" } else { name };
        Self::ALL.into_iter().find(|coding| coding.name().eq_ignore_ascii_case(name))
    }
}

/// The codings to try, in order; the file as it is comes after them. The client's weights decide,
/// and among equals ours; what the client likes less than the plain file is not tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Preference(u8);

impl Preference {
    /// No coding at all.
    pub(crate) const PLAIN: Self = Self(0);

    /// Reads the header. An unreadable member is passed over.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut weights = Weights::default();
        for value in headers.get_all(ACCEPT_ENCODING) {
            if let Ok(value) = value.to_str() {
                value.split(',').for_each(|member| weights.read(member));
            }
        }
        weights.preference()
    }

    /// The codings, best first.
    pub(crate) fn codings(self) -> impl Iterator<Item = Coding> {
        (0..3).filter_map(move |place| match self.0 >> (2 * place) & 3 {
            0 => None,
            number => Some(Coding::ALL[usize::from(number) - 1]),
        })
    }
}

/// Weights in thousandths.
#[derive(Default)]
struct Weights {
    codings: [Option<u16>; 3],
    identity: Option<u16>,
    any: Option<u16>,
}

impl Weights {
    fn read(&mut self, member: &str) {
        let (name, parameters) = member.split_once(';').unwrap_or((member, ""));
        let Some(weight) = weight(parameters) else { return };
        let slot = match name.trim_matches(OWS) {
            "*" => &mut self.any,
            name if name.eq_ignore_ascii_case("identity") => &mut self.identity,
            name => match Coding::parse(name) {
                Some(coding) => &mut self.codings[coding as usize],
                None => return,
            },
        };
        *slot = Some(slot.map_or(weight, |before| before.max(weight)));
    }

    fn preference(self) -> Preference {
        let plain = self.identity.unwrap_or(0);
        let mut liked: [_; 3] = Coding::ALL
            .map(|coding| (self.codings[coding as usize].or(self.any).unwrap_or(0), coding));
        liked.sort_by_key(|&(weight, coding)| (std::cmp::Reverse(weight), coding));
        let mut packed = 0;
        let acceptable = liked.into_iter().filter(|&(weight, _)| weight > 0 && weight >= plain);
        for (place, (_, coding)) in acceptable.enumerate() {
            packed |= (coding as u8 + 1) << (2 * place);
        }
        Preference(packed)
    }
}

/// Optional white space (RFC 9110 §5.6.3).
const OWS: [char; 2] = [' ', '\t'];

/// The weight of RFC 9110 §12.4.2 in thousandths; 1000 if there is none, `None` if it is malformed.
fn weight(parameters: &str) -> Option<u16> {
    let parameter = parameters.trim_matches(OWS);
    if parameter.is_empty() {
        return Some(1000);
    }
    let value = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?;
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths = decimals(fraction);
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// Up to three decimals as thousandths.
fn decimals(fraction: &str) -> u16 {
    let digits = fraction.bytes().chain([b'0'; 3]).take(3);
    digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[&'static str], expected: &str) {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
        }
        let codings: Vec<_> = Preference::of(&headers).codings().map(Coding::name).collect();
        assert_eq!(codings.join(" "), expected, "{values:?}");
    }

    #[test]
    fn preferences() {
        for (values, expected) in [
            (&[][..], ""),
            (&[""], ""),
            (&["gzip"], "gzip"),
            (&["x-gzip"], "gzip"),
            (&["GZip"], "gzip"),
            (&["gzip, br"], "br gzip"),
            (&["gzip, deflate, br, zstd"], "br zstd gzip"),
            (&["gzip;q=1.0, br;q=0.5"], "gzip br"),
            (&["gzip;q=0.501,br;q=0.5,zstd;q=0.502"], "zstd gzip br"),
            (&["gzip ; q=0.5 , br;Q=0.6"], "br gzip"),
            (&["gzip;q=0"], ""),
            (&["gzip;q=0.000, br"], "br"),
            (&["*"], "br zstd gzip"),
            (&["*;q=0"], ""),
            (&["*;q=0.5, gzip"], "gzip br zstd"),
            (&["br;q=0, *"], "zstd gzip"),
            (&["identity"], ""),
            (&["identity, gzip"], "gzip"),
            (&["identity;q=1, gzip;q=0.5"], ""),
            (&["identity;q=0.5, gzip;q=0.5, br;q=0.2"], "gzip"),
            (&["identity;q=0, gzip;q=0.1"], "gzip"),
            (&["deflate, compress"], ""),
            (&["gzip;q=1.001"], ""),
            (&["gzip;q=2"], ""),
            (&["gzip;q=-1"], ""),
            (&["gzip;q=0.1234"], ""),
            (&["gzip;q=1."], "gzip"),
            (&["gzip;q=.5"], ""),
            (&["gzip;level=1"], ""),
            (&["gzip;q=0.5;x"], ""),
            (&["gzip", "br"], "br gzip"),
            (&[",, ,gzip,"], "gzip"),
            (&["gzip;q=0, gzip"], "gzip"),
            (&["gzipped, xbr"], ""),
        ] {
            check(values, expected);
        }
    }
}
