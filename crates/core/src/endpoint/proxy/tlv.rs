//! What a header of version 2 says beside the addresses (§2.2.1 to §2.2.8).

use bytes::Bytes;

use super::header::Invalid;

/// The type of the application protocol, as in ALPN.
pub(super) const ALPN: u8 = 0x01;
/// The type of the host name the client asked for.
pub(super) const AUTHORITY: u8 = 0x02;
/// The type of the checksum.
pub(super) const CRC32C: u8 = 0x03;
/// The type of the connection's identifier.
pub(super) const UNIQUE_ID: u8 = 0x05;
/// The type of what is known of the client's TLS.
pub(super) const SSL: u8 = 0x20;
/// The type of the network namespace.
pub(super) const NETNS: u8 = 0x30;

/// The most bytes of TLVs in one header: what is left of 4096 by the longest addresses.
const ROOM: usize = 4096 - 216;

/// One type, length and value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tlv {
    /// Its type.
    pub kind: u8,
    /// Its value.
    pub value: Bytes,
}

/// The TLVs of a header, raw and in order, with access by meaning to the common ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Tlvs(Vec<Tlv>);

impl Tlvs {
    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Tlv> {
        self.0.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first value of a type.
    #[must_use]
    pub fn value(&self, kind: u8) -> Option<&Bytes> {
        self.0.iter().find(|tlv| tlv.kind == kind).map(|tlv| &tlv.value)
    }

    /// The application protocol the client agreed on (`PP2_TYPE_ALPN`).
    #[must_use]
    pub fn alpn(&self) -> Option<&Bytes> {
        self.value(ALPN)
    }

    /// The host name the client asked for, by SNI for instance (`PP2_TYPE_AUTHORITY`).
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.text(AUTHORITY)
    }

    /// An identifier of the connection, at most 128 bytes (`PP2_TYPE_UNIQUE_ID`).
    #[must_use]
    pub fn unique_id(&self) -> Option<&Bytes> {
        self.value(UNIQUE_ID)
    }

    /// What the balancer knows of the client's TLS (`PP2_TYPE_SSL`).
    #[must_use]
    pub fn ssl(&self) -> Option<Ssl> {
        Ssl::decode(self.value(SSL)?).ok()
    }

    /// The network namespace (`PP2_TYPE_NETNS`).
    #[must_use]
    pub fn netns(&self) -> Option<&str> {
        self.text(NETNS)
    }

    /// The checksum, which was verified (`PP2_TYPE_CRC32C`).
    #[must_use]
    pub fn crc32c(&self) -> Option<u32> {
        Some(u32::from_be_bytes(*self.value(CRC32C)?.first_chunk()?))
    }

    /// Adds one. `false`, and nothing is added, if the header would become longer than 4096 bytes or
    /// the value is wrong for the type.
    #[must_use]
    pub fn push(&mut self, kind: u8, value: impl Into<Bytes>) -> bool {
        let tlv = Tlv { kind, value: value.into() };
        let fits = self.encoded_len() + 3 + tlv.value.len() <= ROOM;
        let good = fits && check(&tlv).is_ok();
        if good {
            self.0.push(tlv);
        }
        good
    }

    /// Adds a checksum, computed when the header is encoded.
    #[must_use]
    pub fn push_checksum(&mut self) -> bool {
        self.crc32c().is_none() && self.push(CRC32C, Bytes::from_static(&[0; 4]))
    }

    fn text(&self, kind: u8) -> Option<&str> {
        std::str::from_utf8(self.value(kind)?).ok()
    }

    fn encoded_len(&self) -> usize {
        self.0.iter().map(|tlv| 3 + tlv.value.len()).sum()
    }

    pub(super) fn decode(mut input: &[u8]) -> Result<Self, Invalid> {
        let mut tlvs = Vec::new();
        while !input.is_empty() {
            let (tlv, rest) = split(input)?;
            check(&tlv)?;
            tlvs.push(tlv);
            input = rest;
        }
        let sums = tlvs.iter().filter(|tlv| tlv.kind == CRC32C).count();
        if sums > 1 { Err(Invalid::Tlv(CRC32C)) } else { Ok(Self(tlvs)) }
    }

    pub(super) fn encoded(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_len());
        for tlv in &self.0 {
            bytes.push(tlv.kind);
            // `push` and the decoder keep it below 4096.
            bytes.extend((tlv.value.len() as u16).to_be_bytes());
            if tlv.kind == CRC32C {
                bytes.extend([0; 4]);
            } else {
                bytes.extend(&tlv.value);
            }
        }
        bytes
    }

    /// Where the value of the checksum is in [`encoded`](Self::encoded).
    pub(super) fn checksum_offset(&self) -> Option<usize> {
        let at = self.0.iter().position(|tlv| tlv.kind == CRC32C)?;
        Some(self.0[..at].iter().map(|tlv| 3 + tlv.value.len()).sum::<usize>() + 3)
    }
}

/// The first TLV of `input`, and what is behind it.
fn split(input: &[u8]) -> Result<(Tlv, &[u8]), Invalid> {
    let malformed = Invalid::Tlv(input.first().copied().unwrap_or_default());
    let (head, rest) = input.split_first_chunk::<3>().ok_or(malformed)?;
    let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
    let (value, rest) = rest.split_at_checked(length).ok_or(malformed)?;
    Ok((Tlv { kind: head[0], value: Bytes::copy_from_slice(value) }, rest))
}

/// Whether the value can be one of its type.
fn check(tlv: &Tlv) -> Result<(), Invalid> {
    let good = match tlv.kind {
        CRC32C => tlv.value.len() == 4,
        UNIQUE_ID => tlv.value.len() <= 128,
        AUTHORITY | NETNS => std::str::from_utf8(&tlv.value).is_ok(),
        SSL => Ssl::decode(&tlv.value).is_ok(),
        _ => true,
    };
    if good { Ok(()) } else { Err(Invalid::Tlv(tlv.kind)) }
}

/// What the balancer knows of the client's TLS (§2.2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssl {
    /// The client connected over TLS.
    pub over_tls: bool,
    /// It showed a certificate in this connection, or in the session that was resumed.
    pub certificate: bool,
    /// It showed one and the balancer verified it.
    pub verified: bool,
    /// The version, such as `TLSv1.3`.
    pub version: Option<String>,
    /// The common name of its certificate.
    pub common_name: Option<String>,
    /// The cipher suite.
    pub cipher: Option<String>,
    /// How the balancer's certificate is signed.
    pub signature: Option<String>,
    /// The key of the balancer's certificate.
    pub key: Option<String>,
}

impl Ssl {
    fn decode(value: &[u8]) -> Result<Self, Invalid> {
        let malformed = Invalid::Tlv(SSL);
        let (&[client, verify @ ..], mut rest) = value.split_first_chunk::<5>().ok_or(malformed)?;
        let mut texts: [Option<String>; 5] = Default::default();
        while !rest.is_empty() {
            let (tlv, next) = split(rest)?;
            if let Some(slot) =
                tlv.kind.checked_sub(0x21).and_then(|at| texts.get_mut(usize::from(at)))
            {
                let text = std::str::from_utf8(&tlv.value).map_err(|_| Invalid::Tlv(tlv.kind))?;
                *slot = Some(text.to_owned());
            }
            rest = next;
        }
        let [version, common_name, cipher, signature, key] = texts;
        let certificate = client & 0x06 != 0;
        let verified = certificate && u32::from_be_bytes(verify) == 0;
        let over_tls = client & 0x01 != 0;
        Ok(Self { over_tls, certificate, verified, version, common_name, cipher, signature, key })
    }
}

/// CRC32c (RFC 3720 appendix B.4, Castagnoli), bit by bit: headers are short.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg())
        })
    })
}
