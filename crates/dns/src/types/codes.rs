//! The numbers of the registry, and the words for them: classes, types, opcodes, response codes.
//!
//! All are open: a number without a word is as good as one that has one, and is written as RFC 3597
//! says (`TYPE65280`, `CLASS7`).

use std::fmt;
use std::str::FromStr;

/// A word that stands for no number of its registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a {0} that is known")]
pub struct UnknownWord(&'static str);

/// Makes a newtype around a number, with a constant and a word for each registered value.
macro_rules! registry {
    (
        $(#[$meta:meta])*
        pub struct $name:ident($integer:ty), $what:literal, $prefix:literal {
            $($(#[$doc:meta])* $constant:ident = $value:literal $word:literal,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $integer);

        impl $name {
            $($(#[$doc])* pub const $constant: Self = Self($value);)*

            /// The registered word, if there is one.
            #[must_use]
            pub const fn word(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($word),)*
                    _ => None,
                }
            }

            /// The value of a word in any case, or of the numbered form.
            #[must_use]
            pub fn from_word(word: &[u8]) -> Option<Self> {
                // Upper case in a small buffer, so that the compiler can compare by length and bytes.
                let mut upper = [0u8; 16];
                let upper = upper.get_mut(..word.len())?;
                upper.copy_from_slice(word);
                upper.make_ascii_uppercase();
                $(if *upper == *$word.as_bytes() {
                    return Some(Self($value));
                })*
                let digits = upper.strip_prefix($prefix.as_bytes())?;
                if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                    return None;
                }
                std::str::from_utf8(digits).ok()?.parse().ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.word() {
                    Some(word) => f.pad(word),
                    None => write!(f, concat!($prefix, "{}"), self.0),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                Self::from_word(word.as_bytes()).ok_or(UnknownWord($what))
            }
        }
    };
}

registry! {
    /// A type of record, or of question (RFC 1035 §3.2.2, RFC 6895 §3.1).
    pub struct Type(u16), "record type", "TYPE" {
        /// An IPv4 address (RFC 1035 §3.4.1).
        A = 1 "A",
        /// A name server (RFC 1035 §3.3.11).
        NS = 2 "NS",
        /// A mail destination, obsolete (RFC 1035 §3.3.4).
        MD = 3 "MD",
        /// A mail forwarder, obsolete (RFC 1035 §3.3.5).
        MF = 4 "MF",
        /// An alias (RFC 1035 §3.3.1).
        CNAME = 5 "CNAME",
        /// The start of authority (RFC 1035 §3.3.13).
        SOA = 6 "SOA",
        /// A mailbox, experimental (RFC 1035 §3.3.3).
        MB = 7 "MB",
        /// A mail group member, experimental (RFC 1035 §3.3.6).
        MG = 8 "MG",
        /// A mail rename, experimental (RFC 1035 §3.3.8).
        MR = 9 "MR",
        /// Anything, experimental (RFC 1035 §3.3.10).
        NULL = 10 "NULL",
        /// Well known services (RFC 1035 §3.4.2); kept as opaque bytes.
        WKS = 11 "WKS",
        /// A pointer, mostly in reverse zones (RFC 1035 §3.3.12).
        PTR = 12 "PTR",
        /// Processor and system, or the answer to ANY (RFC 1035 §3.3.2, RFC 8482).
        HINFO = 13 "HINFO",
        /// Mailbox information, experimental (RFC 1035 §3.3.7).
        MINFO = 14 "MINFO",
        /// A mail exchange (RFC 1035 §3.3.9).
        MX = 15 "MX",
        /// Text (RFC 1035 §3.3.14).
        TXT = 16 "TXT",
        /// A responsible person (RFC 1183 §2.2).
        RP = 17 "RP",
        /// An AFS data base (RFC 1183 §1).
        AFSDB = 18 "AFSDB",
        /// A PSDN address (RFC 1183 §3.1).
        X25 = 19 "X25",
        /// An ISDN address (RFC 1183 §3.2).
        ISDN = 20 "ISDN",
        /// Route through (RFC 1183 §3.3).
        RT = 21 "RT",
        /// A signature over a message, SIG(0) (RFC 2931).
        SIG = 24 "SIG",
        /// A key (RFC 2535 §3, RFC 2930).
        KEY = 25 "KEY",
        /// Mapping to X.400 (RFC 2163).
        PX = 26 "PX",
        /// An IPv6 address (RFC 3596 §2.1).
        AAAA = 28 "AAAA",
        /// A location on earth (RFC 1876).
        LOC = 29 "LOC",
        /// A service (RFC 2782).
        SRV = 33 "SRV",
        /// A naming authority pointer (RFC 3403 §4).
        NAPTR = 35 "NAPTR",
        /// A key exchanger (RFC 2230).
        KX = 36 "KX",
        /// A certificate (RFC 4398).
        CERT = 37 "CERT",
        /// A redirection of a subtree (RFC 6672).
        DNAME = 39 "DNAME",
        /// Extensions, only in messages (RFC 6891).
        OPT = 41 "OPT",
        /// Address prefixes (RFC 3123).
        APL = 42 "APL",
        /// A delegation's signer (RFC 4034 §5).
        DS = 43 "DS",
        /// A fingerprint of an ssh key (RFC 4255).
        SSHFP = 44 "SSHFP",
        /// A key for IPsec (RFC 4025).
        IPSECKEY = 45 "IPSECKEY",
        /// A signature over a record set (RFC 4034 §3).
        RRSIG = 46 "RRSIG",
        /// The next name of a signed zone (RFC 4034 §4).
        NSEC = 47 "NSEC",
        /// A zone's key (RFC 4034 §2).
        DNSKEY = 48 "DNSKEY",
        /// An identifier of DHCP clients (RFC 4701).
        DHCID = 49 "DHCID",
        /// The next hashed name of a signed zone (RFC 5155 §3).
        NSEC3 = 50 "NSEC3",
        /// How a zone's names are hashed (RFC 5155 §4).
        NSEC3PARAM = 51 "NSEC3PARAM",
        /// A TLS certificate's association (RFC 6698 §2).
        TLSA = 52 "TLSA",
        /// An S/MIME certificate's association (RFC 8162).
        SMIMEA = 53 "SMIMEA",
        /// A host identity (RFC 8005).
        HIP = 55 "HIP",
        /// A DS for the parent to copy (RFC 7344 §3.1).
        CDS = 59 "CDS",
        /// A DNSKEY for the parent to copy (RFC 7344 §3.2).
        CDNSKEY = 60 "CDNSKEY",
        /// An OpenPGP key (RFC 7929).
        OPENPGPKEY = 61 "OPENPGPKEY",
        /// What a child wants its parent to copy (RFC 7477).
        CSYNC = 62 "CSYNC",
        /// A digest of the zone (RFC 8976).
        ZONEMD = 63 "ZONEMD",
        /// How to reach a service (RFC 9460).
        SVCB = 64 "SVCB",
        /// How to reach a web server (RFC 9460 §9).
        HTTPS = 65 "HTTPS",
        /// Who may send mail, obsolete: TXT is used (RFC 7208 §3.1).
        SPF = 99 "SPF",
        /// A 48-bit link layer address (RFC 7043 §3).
        EUI48 = 108 "EUI48",
        /// A 64-bit link layer address (RFC 7043 §4).
        EUI64 = 109 "EUI64",
        /// A transaction key, only in messages (RFC 2930).
        TKEY = 249 "TKEY",
        /// A transaction signature, only in messages (RFC 8945).
        TSIG = 250 "TSIG",
        /// An incremental transfer, only in questions (RFC 1995).
        IXFR = 251 "IXFR",
        /// A transfer of a zone, only in questions (RFC 5936).
        AXFR = 252 "AXFR",
        /// Mailboxes, obsolete, only in questions (RFC 1035 §3.2.3).
        MAILB = 253 "MAILB",
        /// Mail agents, obsolete, only in questions (RFC 1035 §3.2.3).
        MAILA = 254 "MAILA",
        /// All types, only in questions (RFC 1035 §3.2.3, RFC 8482).
        ANY = 255 "ANY",
        /// A uniform resource identifier (RFC 7553).
        URI = 256 "URI",
        /// Which certification authorities may issue (RFC 8659).
        CAA = 257 "CAA",
        /// A DS outside of the delegation chain, historic (RFC 4431).
        DLV = 32769 "DLV",
    }
}

impl Type {
    /// Whether it exists only in messages: questions' types and pseudo records (RFC 6895 §3.1: 128 to
    /// 255, and OPT). Such a type is no data of a zone.
    #[must_use]
    pub const fn is_meta(self) -> bool {
        matches!(self.0, 128..=255 | 41)
    }

    /// Whether a name that has an alias may have this type, too (RFC 2181 §10.1, RFC 4034 §3, §4).
    #[must_use]
    pub const fn goes_with_alias(self) -> bool {
        matches!(self, Self::RRSIG | Self::NSEC | Self::KEY)
    }
}

registry! {
    /// A class, of which only one is in use (RFC 1035 §3.2.4).
    pub struct Class(u16), "class", "CLASS" {
        /// The Internet.
        IN = 1 "IN",
        /// Chaos, used for questions about the server itself.
        CH = 3 "CH",
        /// Hesiod.
        HS = 4 "HS",
        /// No class: in updates, the absence or deletion of a record (RFC 2136 §2.4).
        NONE = 254 "NONE",
        /// All classes; in updates, whole sets (RFC 2136 §2.4).
        ANY = 255 "ANY",
    }
}

registry! {
    /// The kind of message (RFC 1035 §4.1.1), 0 to 15.
    pub struct Opcode(u8), "opcode", "OPCODE" {
        /// A question.
        QUERY = 0 "QUERY",
        /// An inverse question, obsolete.
        IQUERY = 1 "IQUERY",
        /// A server's status.
        STATUS = 2 "STATUS",
        /// A zone has changed (RFC 1996).
        NOTIFY = 4 "NOTIFY",
        /// Change a zone (RFC 2136).
        UPDATE = 5 "UPDATE",
        /// Stateful operations (RFC 8490).
        DSO = 6 "DSO",
    }
}

registry! {
    /// What became of a request: 4 bits in the header and 8 more in OPT (RFC 1035 §4.1.1, RFC 6891
    /// §6.1.3), 16 in TSIG (RFC 8945 §3).
    pub struct Rcode(u16), "response code", "RCODE" {
        /// All is well.
        NOERROR = 0 "NOERROR",
        /// The request is malformed.
        FORMERR = 1 "FORMERR",
        /// The server has failed.
        SERVFAIL = 2 "SERVFAIL",
        /// The name does not exist.
        NXDOMAIN = 3 "NXDOMAIN",
        /// This kind of request is not implemented.
        NOTIMP = 4 "NOTIMP",
        /// The server does not want to.
        REFUSED = 5 "REFUSED",
        /// A name exists that should not (RFC 2136 §2.2).
        YXDOMAIN = 6 "YXDOMAIN",
        /// A record set exists that should not (RFC 2136 §2.2).
        YXRRSET = 7 "YXRRSET",
        /// A record set does not exist that should (RFC 2136 §2.2).
        NXRRSET = 8 "NXRRSET",
        /// Not authoritative for the zone, or not authorised (RFC 2136 §2.2, RFC 8945 §5.2).
        NOTAUTH = 9 "NOTAUTH",
        /// A name is not in the zone (RFC 2136 §2.2).
        NOTZONE = 10 "NOTZONE",
        /// The DSO type is not implemented (RFC 8490).
        DSOTYPENI = 11 "DSOTYPENI",
        /// A version of EDNS that is not known (RFC 6891 §6.1.3), or, in TSIG, a bad signature (RFC 8945
        /// §5.3.2), which shares the number.
        BADVERS = 16 "BADVERS",
        /// The key is not known (RFC 8945 §5.2.1).
        BADKEY = 17 "BADKEY",
        /// The signature's time is off (RFC 8945 §5.2.3).
        BADTIME = 18 "BADTIME",
        /// The signature is truncated too far (RFC 8945 §5.2.4).
        BADTRUNC = 22 "BADTRUNC",
        /// The cookie is bad or missing (RFC 7873 §5.2.3).
        BADCOOKIE = 23 "BADCOOKIE",
    }
}

impl Rcode {
    /// The same number as [`BADVERS`](Self::BADVERS), in a TSIG record: the signature is wrong.
    pub const BADSIG: Self = Self(16);

    /// Whether it fits into the header alone.
    #[must_use]
    pub const fn is_plain(self) -> bool {
        self.0 < 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers() {
        // Each: a word, the number, how it is written.
        let table = [
            ("A", Some(1), "A"),
            ("aaaa", Some(28), "AAAA"),
            ("Nsec3Param", Some(51), "NSEC3PARAM"),
            ("TYPE1", Some(1), "A"),
            ("type65280", Some(65280), "TYPE65280"),
            ("TYPE65536", None, ""),
            ("TYPE", None, ""),
            ("TYPE+1", None, ""),
            ("", None, ""),
            ("AVERYLONGWORDTHATISNOTYPE", None, ""),
        ];
        for (word, number, written) in table {
            let found = Type::from_word(word.as_bytes());
            assert_eq!(found.map(|found| found.0), number, "{word}");
            if let Some(found) = found {
                assert_eq!(found.to_string(), written);
            }
        }
        assert_eq!("in".parse(), Ok(Class::IN));
        assert_eq!(Rcode(3).to_string(), "NXDOMAIN");
        assert_eq!(Rcode(4000).to_string(), "RCODE4000");
    }
}
