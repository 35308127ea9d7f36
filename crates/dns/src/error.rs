//! What goes wrong, who is to blame, and the one mapping to a response code.

use std::fmt;
use std::io;

use crate::types::{NameError, Rcode};

/// A [`Result`](std::result::Result) of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What goes wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A message that is none.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A text that is none.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A text that is no name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A zone file that is none.
    #[error(transparent)]
    ZoneFile(#[from] ZoneFileError),
    /// Records that make no zone.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// A message that does not fit where it should go.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The framing over TCP.
    #[error(transparent)]
    Frame(#[from] ropewalk_core::FrameError),
    /// The transport, or a file.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Who is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The peer: what it sent is malformed.
    Peer,
    /// Our caller: what it wants to say or load is wrong.
    Caller,
    /// The transport, or the file system.
    Transport,
}

impl Error {
    /// Who is to blame.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Wire(_) => Blame::Peer,
            Self::Text(_) | Self::Name(_) | Self::ZoneFile(_) | Self::Zone(_) | Self::NoRoom(_) => {
                Blame::Caller
            }
            Self::Frame(error) => match error.blame() {
                ropewalk_core::Blame::Peer => Blame::Peer,
                ropewalk_core::Blame::Caller => Blame::Caller,
                ropewalk_core::Blame::Transport => Blame::Transport,
            },
            Self::Io(_) => Blame::Transport,
        }
    }

    /// The code with which a server answers.
    #[must_use]
    pub fn rcode(&self) -> Rcode {
        match self.blame() {
            Blame::Peer => Rcode::FORMERR,
            Blame::Caller | Blame::Transport => Rcode::SERVFAIL,
        }
    }
}

/// A message, or data, that does not fit into the room it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no room for more of the message")]
pub struct NoRoom;

/// Makes an enum whose variants have one text each, used for `Display` and for docs.
macro_rules! worded {
    ($(#[$meta:meta])* pub enum $name:ident { $($variant:ident => $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $(#[doc = $text] $variant,)* }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)* })
            }
        }

        impl std::error::Error for $name {}
    };
}

/// What is wrong with bytes, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{fault} at byte {offset}")]
pub struct WireError {
    /// What is wrong.
    pub fault: Fault,
    /// Where, in bytes from the beginning of the message, or of the data if that stands alone.
    pub offset: usize,
}

worded! {
    /// What is wrong with bytes (RFC 1035 §4 unless another is named).
    pub enum Fault {
        Truncated => "the message ends too early",
        Trailing => "bytes after the last record",
        LabelType => "a label of a kind that does not exist (§4.1.4)",
        Pointer => "a compression pointer that does not point back (§4.1.4)",
        Compressed => "a compressed name where none may be (RFC 3597 §4)",
        NameTooLong => "a name of more than 255 bytes (§2.3.4)",
        RdataLength => "data of a length that its type does not have",
        RdataTooLong => "data of more than 65,535 bytes",
        Empty => "an empty field in data that must have something",
        Bitmap => "a map of types that breaks the rules (RFC 4034 §4.1.2)",
        Prefix => "an address prefix that breaks the rules (RFC 3123 §4)",
        Location => "a location that is not on earth (RFC 1876 §2)",
        Gateway => "a gateway of an unknown kind (RFC 4025 §2.3)",
        Tag => "a tag that is not of letters and digits (RFC 8659 §4.1)",
        ParamOrder => "parameters that are not in strict order (RFC 9460 §2.2)",
        ParamValue => "a parameter's value that breaks its rules (RFC 9460 §7)",
        MetaType => "a record of a type that exists only in questions",
        OptPlace => "an OPT record that is not alone, at the root and in the additional section (RFC 6891 §6.1.1)",
        TsigPlace => "a TSIG record that is not the last one (RFC 8945 §5.1)",
        Option => "an EDNS option of a length that it does not have",
    }
}

/// What is wrong with a text of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{fault}, at column {column}")]
pub struct TextError {
    /// What is wrong.
    pub fault: TextFault,
    /// Where: the column of the word that is wrong, in bytes from 1.
    pub column: usize,
}

/// What is wrong with a text (RFC 1035 §5.1 unless another is named).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextFault {
    /// See the name's error.
    #[error("{0}")]
    Name(NameError),
    /// See the bytes' error; its offset is in the data.
    #[error("the data is wrong: {0}")]
    Wire(WireError),
    /// The line ends too early.
    #[error("a field is missing")]
    Missing,
    /// The line does not end where it should.
    #[error("more fields than the type has")]
    Surplus,
    /// Not a number, or out of its range.
    #[error("not a number from 0 to {0}")]
    Number(u64),
    /// Not a time to live.
    #[error("not a time in seconds, or in units as 1h30m, up to {0} seconds")]
    Period(u32),
    /// Not a moment.
    #[error("not a moment: YYYYMMDDHHmmSS, or seconds since 1970")]
    Time,
    /// Not a type.
    #[error("not a record type; TYPE123 names one by its number")]
    Type,
    /// A type that cannot be data.
    #[error("a type that exists only in messages")]
    MetaType,
    /// Not an algorithm.
    #[error("not an algorithm's number or word")]
    Algorithm,
    /// Not an address.
    #[error("not an {0} address")]
    Address(&'static str),
    /// Not text of the encoding.
    #[error("not valid {0}")]
    Encoding(&'static str),
    /// A character string is too long.
    #[error("a string of more than 255 bytes; split it into several in quotes")]
    TextTooLong,
    /// A bad escape.
    #[error("an escape is neither a backslash and a character nor \\000 to \\255")]
    Escape,
    /// A quote is not closed.
    #[error("a quote without its end")]
    Quote,
    /// A parenthesis is not closed.
    #[error("a parenthesis without its end")]
    Parenthesis,
    /// A parenthesis is closed that was not opened.
    #[error("a closing parenthesis without its beginning")]
    Closing,
    /// The data is not in RFC 3597's form.
    #[error("\\# wants the length in bytes and as much in hexadecimal (RFC 3597 §5)")]
    Generic,
    /// A type that has no other form.
    #[error("data of this type is written as \\# LENGTH HEX (RFC 3597 §5)")]
    Opaque,
    /// Not a location.
    #[error("not a location: 52 22 23.000 N 4 53 32.000 E -2m 1m 10000m 10m (RFC 1876 §3)")]
    Location,
    /// Not an address prefix.
    #[error("not an address prefix: [!]1:192.0.2.0/24 or 2:2001:db8::/32 (RFC 3123 §5)")]
    Prefix,
    /// Not a parameter.
    #[error("not a parameter: key=value (RFC 9460 §2.1)")]
    Param,
    /// A parameter twice.
    #[error("a parameter that was there before")]
    ParamTwice,
    /// A tag.
    #[error("a tag is of letters and digits (RFC 8659 §4.1)")]
    Tag,
    /// No owner to go on with.
    #[error("a record without a name, and none before it")]
    NoOwner,
    /// No TTL anywhere.
    #[error("a record without a time to live, and neither $TTL nor one before it")]
    NoTtl,
    /// Another class.
    #[error("a record of class {0} in a zone of class {1}")]
    Class(crate::types::Class, crate::types::Class),
    /// A directive that is not known.
    #[error("an unknown directive; there are $ORIGIN, $TTL, $INCLUDE and $GENERATE")]
    Directive,
    /// Wrong arguments of a directive.
    #[error("the directive is {0}")]
    Arguments(&'static str),
    /// $GENERATE is not right.
    #[error(
        "$GENERATE wants START-STOP[/STEP], a name, [TTL] [CLASS] TYPE and data, with $ or ${{OFFSET,WIDTH,BASE}}"
    )]
    Generate,
    /// $GENERATE makes too much.
    #[error("$GENERATE makes more than {0} records")]
    GenerateMany(u64),
    /// Files include each other.
    #[error("files include files more than {0} deep")]
    IncludeDepth(usize),
    /// A file cannot be included.
    #[error("the file cannot be included")]
    Include,
    /// One entry is too long.
    #[error("an entry of more than {0} bytes; perhaps a parenthesis or quote is open")]
    EntryTooLong(usize),
}

impl From<NameError> for TextFault {
    fn from(error: NameError) -> Self {
        Self::Name(error)
    }
}

impl From<WireError> for TextFault {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// What is wrong with a zone file, and where.
#[derive(Debug)]
pub struct ZoneFileError {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The column, in bytes from 1.
    pub column: usize,
    /// What is wrong.
    pub cause: ZoneFileCause,
}

/// What is wrong with a zone file.
#[derive(Debug)]
#[non_exhaustive]
pub enum ZoneFileCause {
    /// The text.
    Text(TextFault),
    /// The record is no part of the zone.
    Zone(ZoneFault),
    /// Reading, or opening an included file.
    Io(io::Error),
}

impl fmt::Display for ZoneFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        match &self.cause {
            ZoneFileCause::Text(fault) => write!(f, "{fault}"),
            ZoneFileCause::Zone(fault) => write!(f, "{fault}"),
            ZoneFileCause::Io(error) => write!(f, "cannot be read: {error}"),
        }
    }
}

impl std::error::Error for ZoneFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            ZoneFileCause::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// What is wrong with the records of a zone, and at which name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("zone {zone}: {owner}: {fault}")]
pub struct ZoneError {
    /// The zone.
    pub zone: crate::types::Name,
    /// The name.
    pub owner: crate::types::Name,
    /// What is wrong.
    pub fault: ZoneFault,
}

worded! {
    /// What is wrong with the records of a zone.
    pub enum ZoneFault {
        NoSoa => "the zone has no SOA record at its top",
        SoaTwice => "the zone has more than one SOA record",
        SoaPlace => "an SOA record beneath the top of the zone",
        NoNs => "the zone has no NS record at its top",
        OutOfZone => "a record outside of the zone",
        CnameAndOther => "a CNAME beside other records (RFC 2181 §10.1)",
        CnameTwice => "more than one CNAME (RFC 2181 §10.1)",
        DnameTwice => "more than one DNAME (RFC 6672 §2.4)",
        MetaType => "a record of a type that exists only in messages",
        Class => "a record of another class",
        RrsetTooLarge => "a record set of more than 64 KiB",
        TooManyTypes => "more than 255 types at one name",
        TooLarge => "a zone of more than 16 GiB",
        WildcardNs => "an NS record at a wildcard (RFC 4592 §4.2)",
        NotThere => "a record that is to be removed and is not there",
        WildcardDname => "a DNAME record at a wildcard (RFC 4592 §4.4)",
    }
}
