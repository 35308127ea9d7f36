//! Values that cannot be wrong: names, numbers, records, options, messages.

mod codes;
mod edns;
mod header;
mod message;
mod name;
pub(crate) mod rdata;
mod record;

pub use codes::{Class, Opcode, Rcode, Type, UnknownWord};
pub use edns::{ClientSubnet, Cookie, Edns, EdnsOption, ExtendedError, OptionCode, Options};
pub(crate) use edns::{check as edns_check, each as edns_each, extended as edns_extended};
pub use header::{Flags, HEADER, Header};
pub use message::Message;
pub use name::{LowerName, MAX_LABEL, MAX_LABELS, MAX_NAME, Name, NameBuf, NameError, NameRef};
pub(crate) use name::{unescape, wire_len};
pub(crate) use rdata::types_of;
pub use rdata::{
    A, Aaaa, Caa, Cert, CharString, Cname, Dname, Dnskey, Ds, Hinfo, MAX_RDATA, Mx, Naptr, Ns,
    Nsec, Nsec3, Nsec3Param, Param, Ptr, Rdata, RecordData, Rest, Rrsig, Soa, Srv, Sshfp, Svcb,
    Tlsa, Txt, TypeSet, Uri,
};
pub use record::{Question, Record, Ttl};
