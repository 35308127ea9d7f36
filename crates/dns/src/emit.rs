//! Types to bytes: pure, and into memory of the caller.
//!
//! A [`Writer`] writes a message into a slice, compresses names with a table of fixed size, and
//! allocates nothing. What does not fit is left out as a whole.

mod table;
mod writer;

use crate::error::NoRoom;
use crate::parse::Cursor;
use crate::parse::rdata::{Piece, walk};
use crate::types::rdata::NameKind;
use crate::types::{MAX_RDATA, Message, NameBuf, Type};

pub use writer::{Mark, Owner, Writer};

/// The longest message, over TCP.
pub const MAX_MESSAGE: usize = MAX_RDATA;

/// The wire form of a message.
pub(crate) fn message(message: &Message) -> Result<Vec<u8>, NoRoom> {
    if !message.is_sayable() {
        return Err(NoRoom);
    }
    // Most are short; a long one is written again into all the room there may be.
    let mut buffer = vec![0; 1024];
    if let Ok(len) = write(message, &mut buffer) {
        buffer.truncate(len);
        return Ok(buffer);
    }
    buffer.resize(MAX_MESSAGE, 0);
    let len = write(message, &mut buffer)?;
    buffer.truncate(len);
    buffer.shrink_to_fit();
    Ok(buffer)
}

fn write(message: &Message, buffer: &mut [u8]) -> Result<usize, NoRoom> {
    use crate::parse::Section::{Additional, Answer, Authority};

    let mut writer = Writer::new(buffer)?;
    // Who reads a message may care for the case of every name.
    writer.keep_case(true);
    writer.set_header(message.header);
    for question in &message.questions {
        writer.question(question.name.borrowed(), question.rtype, question.class)?;
    }
    let sections = [
        (Answer, &message.answers),
        (Authority, &message.authorities),
        (Additional, &message.additionals),
    ];
    // TSIG is the last of all, and behind OPT.
    let (mut edns, last) = (message.edns.as_ref(), message.additionals.len().saturating_sub(1));
    for (section, records) in sections {
        for (at, record) in records.iter().enumerate() {
            if section == Additional && at == last && record.rtype() == Type::TSIG {
                edns.take().map_or(Ok(()), |edns| writer.edns(edns, message.header.rcode))?;
            }
            let owner = Owner::Name(record.name.borrowed());
            let ttl = record.ttl.seconds();
            let (rtype, data) = (record.rtype(), record.data.bytes());
            writer.record(section, owner, rtype, record.class, ttl, data)?;
        }
    }
    edns.map_or(Ok(()), |edns| writer.edns(edns, message.header.rcode))?;
    Ok(writer.finish())
}

/// Appends the canonical form of data that is right for its type (RFC 4034 §6.2).
pub(crate) fn canonical(rtype: Type, data: &[u8], out: &mut Vec<u8>) {
    let _checked = walk(rtype, Cursor::new(data), |piece| match piece {
        Piece::Bytes(bytes) => out.extend_from_slice(bytes),
        Piece::Name(mut start, kind) => {
            let mut name = NameBuf::new();
            if start.name(&mut name).is_ok() {
                if kind != NameKind::Exact {
                    name.make_lowercase();
                }
                out.extend_from_slice(name.borrowed().wire());
            }
        }
    });
}

/// Whether two data are the same but for the case of names (RFC 2181 §5, RFC 4343 §4).
pub(crate) fn is_same(rtype: Type, left: &[u8], right: &[u8]) -> bool {
    if left == right || !left.eq_ignore_ascii_case(right) {
        return left == right;
    }
    let (mut first, mut second) = (Vec::new(), Vec::new());
    canonical(rtype, left, &mut first);
    canonical(rtype, right, &mut second);
    first == second
}
