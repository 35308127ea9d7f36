//! Typed values out of a record's data, and back.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::types::{Name, NameRef, Type};

/// A value that is the data of a type of record.
pub trait RecordData: Sized {
    /// The type; SVCB and HTTPS, say, share a value that knows which it is.
    fn rtype(&self) -> Type;

    /// Reads data that is right for `rtype`; `None` if it is of another type.
    fn read(rtype: Type, bytes: &[u8]) -> Option<Self>;

    /// Appends the wire form.
    fn write(&self, out: &mut Vec<u8>);
}

/// A part of a typed value.
pub(super) trait Part: Sized {
    /// Takes it from the front of `bytes`.
    fn take(bytes: &mut &[u8]) -> Option<Self>;
    /// Appends it.
    fn put(&self, out: &mut Vec<u8>);
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl Part for $number {
            fn take(bytes: &mut &[u8]) -> Option<Self> {
                let (number, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                Some(Self::from_be_bytes(*number))
            }

            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
        })*
    };
}
numbers!(u8, u16, u32);

impl Part for Ipv4Addr {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        u32::take(bytes).map(Self::from_bits)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.octets());
    }
}

impl Part for Ipv6Addr {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let (address, rest) = bytes.split_first_chunk::<16>()?;
        *bytes = rest;
        Some(Self::from(*address))
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.octets());
    }
}

impl Part for Type {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        u16::take(bytes).map(Self)
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
}

impl Part for Name {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let (name, rest) = NameRef::split_from(bytes)?;
        *bytes = rest;
        Some(name.to_name())
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.borrowed().wire());
    }
}

/// Bytes up to the end of the data: a key, a digest, a signature.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Rest(pub Vec<u8>);

impl Part for Rest {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self(std::mem::take(bytes).to_vec()))
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

/// Makes a struct of the parts of a type's data.
macro_rules! view {
    (
        $(#[$meta:meta])*
        pub struct $name:ident: $rtype:ident {
            $($(#[$doc:meta])* pub $field:ident: $part:ty,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $name {
            $($(#[$doc])* pub $field: $part,)*
        }

        impl super::view::RecordData for $name {
            fn rtype(&self) -> crate::types::Type {
                crate::types::Type::$rtype
            }

            fn read(rtype: crate::types::Type, mut bytes: &[u8]) -> Option<Self> {
                if rtype != crate::types::Type::$rtype {
                    return None;
                }
                $(let $field = <$part as super::view::Part>::take(&mut bytes)?;)*
                bytes.is_empty().then_some(Self { $($field),* })
            }

            fn write(&self, out: &mut Vec<u8>) {
                $(super::view::Part::put(&self.$field, out);)*
            }
        }
    };
}
pub(super) use view;
