//! Message authentication codes (RFC 8945 §6).

use hmac::{Hmac, KeyInit, Mac as _};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

use super::Mac;
use crate::types::NameRef;

/// The longest, in bytes.
pub(super) const MAX_MAC: usize = 64;

macro_rules! algorithms {
    ($($(#[$doc:meta])* $name:ident: $hash:ty, $len:literal, $wire:literal;)*) => {
        /// How messages are signed. HMAC-MD5 is not among them: it is not to be used (§6).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Algorithm {
            $($(#[$doc])* $name,)*
        }

        impl Algorithm {
            /// How many bytes a MAC has.
            pub(super) const fn len(self) -> usize {
                match self { $(Self::$name => $len,)* }
            }

            /// The name that stands for it.
            #[must_use]
            pub fn name(self) -> NameRef<'static> {
                NameRef::trusted(match self { $(Self::$name => $wire,)* })
            }

            /// The algorithm of a name as BIND's and our key files have it, with or without a dot.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                let word = word.strip_suffix('.').unwrap_or(word);
                let all = [$(Self::$name,)*];
                all.into_iter().find(|algorithm| {
                    algorithm.name().first_label().is_some_and(|label| {
                        label.eq_ignore_ascii_case(word.as_bytes())
                    })
                })
            }
        }

        /// A MAC that is being made.
        #[derive(Clone)]
        pub(super) enum Running {
            $($name(Hmac<$hash>),)*
        }

        impl Running {
            pub(super) fn new(algorithm: Algorithm, secret: &[u8]) -> Self {
                match algorithm {
                    $(Algorithm::$name => Self::$name(
                        Hmac::new_from_slice(secret).expect("HMAC takes keys of any length"),
                    ),)*
                }
            }

            pub(super) fn update(&mut self, bytes: &[u8]) {
                match self { $(Self::$name(mac) => mac.update(bytes),)* }
            }

            pub(super) fn finish(self) -> Mac {
                match self { $(Self::$name(mac) => Mac::new(&mac.finalize().into_bytes()),)* }
            }

            /// Whether it begins with these bytes; in a time that does not depend on them.
            pub(super) fn verify(self, mac: &[u8]) -> bool {
                match self { $(Self::$name(running) => running.verify_truncated_left(mac).is_ok(),)* }
            }
        }
    };
}

algorithms! {
    /// SHA-1: only for who has nothing else.
    HmacSha1: Sha1, 20, b"\x09hmac-sha1\0";
    /// SHA-224.
    HmacSha224: Sha224, 28, b"\x0bhmac-sha224\0";
    /// SHA-256: what everybody has.
    HmacSha256: Sha256, 32, b"\x0bhmac-sha256\0";
    /// SHA-384.
    HmacSha384: Sha384, 48, b"\x0bhmac-sha384\0";
    /// SHA-512.
    HmacSha512: Sha512, 64, b"\x0bhmac-sha512\0";
}
