//! What data is made of.

/// One field of a record's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    U8,
    U16,
    U32,
    /// 48 bits, of TSIG.
    U48,
    /// 32 bits; a text may have BIND's units (`1h30m`).
    Period,
    /// 32 bits; a text is `YYYYMMDDHHmmSS`, or the number.
    Time,
    /// 16 bits; a text is the type's word.
    Type,
    /// 8 bits; a text may be the word of DNSSEC's registry.
    Algorithm,
    /// 16 bits; a text may be the word of CERT's registry.
    CertType,
    V4,
    V6,
    Name(NameKind),
    /// A character string: up to 255 bytes behind their length.
    Text,
    /// Character strings up to the end, one at least.
    Texts,
    /// A character string of letters and digits, not empty (RFC 8659 §4.1).
    Tag,
    /// What is left, as one quoted string.
    TextRest,
    /// What is left, in base64, not empty.
    Base64,
    /// What is left, in hexadecimal, not empty.
    Hex,
    /// Up to 255 bytes behind their length, in hexadecimal; `-` for none.
    Salt,
    /// 1 to 255 bytes behind their length, in base32 with extended hexadecimal digits.
    Hash,
    /// A map of types (RFC 4034 §4.1.2), up to the end; whether it may be empty.
    Bitmap {
        may_be_empty: bool,
    },
    /// So many bytes, as in `00-1f-...`.
    Eui(usize),
    /// Up to 65,535 bytes behind a 16-bit length, in base64, of TSIG.
    Blob,
    /// Fields that depend on one another.
    Special(Special),
}

/// What a name in a record's data may suffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameKind {
    /// Compressed when sent, and of lower case in the canonical form.
    Plain,
    /// Never sent compressed, but read so (RFC 3597 §4); of lower case in the canonical form.
    Lower,
    /// Neither sent nor read compressed, and as it is in the canonical form (RFC 3597 §7, RFC 6840
    /// §5.1).
    Exact,
}

/// Data whose fields depend on one another. Each takes all that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    Apl,
    Loc,
    /// From the precedence on.
    Ipseckey,
    Hip,
    /// The parameters of SVCB.
    Params,
}
