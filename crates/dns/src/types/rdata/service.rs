//! How to reach a service: SVCB, HTTPS (RFC 9460).

use super::Field::{self, Name as N, U16};
use super::NameKind::Exact;
use super::Special;
use super::view::{Part, RecordData};
use crate::types::{Name, Type};

pub(super) const SVCB_FIELDS: &[Field] = &[U16, N(Exact), Field::Special(Special::Params)];

/// The words for keys of parameters (RFC 9460 §14.3.2, RFC 9461, RFC 9540).
const KEYS: &[&str] = &[
    "mandatory",
    "alpn",
    "no-default-alpn",
    "port",
    "ipv4hint",
    "ech",
    "ipv6hint",
    "dohpath",
    "ohttp",
];

/// The word for a key, if it has one.
pub(crate) fn key_name(key: u16) -> Option<&'static str> {
    KEYS.get(usize::from(key)).copied()
}

/// The key of a word, or of `keyNNN` without leading zeros (RFC 9460 §2.1).
pub(crate) fn key_of(word: &[u8]) -> Option<u16> {
    if let Some(key) = KEYS.iter().position(|name| word.eq_ignore_ascii_case(name.as_bytes())) {
        return u16::try_from(key).ok();
    }
    let (prefix, digits) = word.split_at_checked(3)?;
    let plain =
        digits.iter().all(u8::is_ascii_digit) && (digits == b"0" || digits.first() != Some(&b'0'));
    if !prefix.eq_ignore_ascii_case(b"key") || !plain {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// One parameter: its key and its value as it is on the wire (RFC 9460 §2.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Param {
    /// The key's number.
    pub key: u16,
    /// The value; its form depends on the key.
    pub value: Vec<u8>,
}

/// How to reach a service (RFC 9460 §2.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Svcb {
    /// [`Type::SVCB`] or [`Type::HTTPS`].
    pub rtype: Type,
    /// 0 for an alias; else, lower is tried first.
    pub priority: u16,
    /// The host; the root stands for the owner.
    pub target: Name,
    /// The parameters, in ascending order of their keys.
    pub params: Vec<Param>,
}

impl RecordData for Svcb {
    fn rtype(&self) -> Type {
        self.rtype
    }

    fn read(rtype: Type, mut bytes: &[u8]) -> Option<Self> {
        if !matches!(rtype, Type::SVCB | Type::HTTPS) {
            return None;
        }
        let (priority, target) = (u16::take(&mut bytes)?, Name::take(&mut bytes)?);
        let mut params = Vec::new();
        while !bytes.is_empty() {
            let (key, len) = (u16::take(&mut bytes)?, u16::take(&mut bytes)?);
            let (value, rest) = bytes.split_at_checked(usize::from(len))?;
            bytes = rest;
            params.push(Param { key, value: value.to_vec() });
        }
        Some(Self { rtype, priority, target, params })
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.priority.put(out);
        self.target.put(out);
        for param in &self.params {
            param.key.put(out);
            // A longer value makes the whole longer than data may be, which is refused.
            (param.value.len() as u16).put(out);
            out.extend_from_slice(&param.value);
        }
    }
}
