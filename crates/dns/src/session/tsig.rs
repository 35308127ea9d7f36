//! Transaction signatures (RFC 8945): messages signed with a shared secret.

mod mac;

use std::sync::Arc;

use crate::error::NoRoom;
use crate::parse::{Packet, PacketRecord};
use crate::types::{Class, HEADER, LowerName, Name, NameBuf, NameRef, Rcode, Type};

pub use mac::Algorithm;
use mac::{MAX_MAC, Running};

/// How many seconds clocks may differ (§10).
pub const FUDGE: u16 = 300;

/// A shared secret. A clone shares it.
#[derive(Clone)]
pub struct Key(Arc<Secret>);

struct Secret {
    name: LowerName,
    algorithm: Algorithm,
    secret: Box<[u8]>,
}

impl std::fmt::Debug for Key {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("name", &self.name())
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

impl Key {
    /// A key under the name that both sides have for it.
    #[must_use]
    pub fn new(name: &Name, algorithm: Algorithm, secret: &[u8]) -> Self {
        let name = LowerName::new(name.borrowed());
        Self(Arc::new(Secret { name, algorithm, secret: secret.into() }))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> NameRef<'_> {
        self.0.name.name()
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// Begins a MAC.
    fn mac(&self) -> Running {
        Running::new(self.0.algorithm, &self.0.secret)
    }

    /// How many bytes a signature takes in a message.
    fn room(&self, other: usize) -> usize {
        let names = self.name().wire().len() + self.algorithm().name().wire().len();
        names + 10 + 16 + self.algorithm().len() + other
    }
}

/// A MAC.
#[derive(Debug, Clone, Copy)]
pub struct Mac {
    bytes: [u8; MAX_MAC],
    len: usize,
}

impl Mac {
    fn new(bytes: &[u8]) -> Self {
        let mut mac = Self { bytes: [0; MAX_MAC], len: bytes.len().min(MAX_MAC) };
        mac.bytes[..mac.len].copy_from_slice(&bytes[..mac.len]);
        mac
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// What is wrong with a signature. The number is the one that a server answers with (§5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTsig {
    /// The record is malformed (FORMERR).
    #[error("the TSIG record is malformed")]
    Malformed,
    /// There is no such key, or it is for another algorithm (BADKEY).
    #[error("the TSIG key is not known")]
    Key,
    /// The signature is wrong (BADSIG).
    #[error("the TSIG signature is wrong")]
    Signature,
    /// The signature is truncated further than is taken (BADTRUNC).
    #[error("the TSIG signature is truncated too far")]
    Truncated,
    /// The clocks differ too much (BADTIME).
    #[error("the TSIG signature is of another time")]
    Time,
    /// There is no signature where one must be.
    #[error("there is no TSIG signature")]
    Missing,
    /// The peer says that something was wrong with ours.
    #[error("the peer says {0} of our TSIG signature")]
    Peer(Rcode),
}

impl BadTsig {
    /// The code in the TSIG record of an answer.
    #[must_use]
    pub fn rcode(self) -> Rcode {
        match self {
            Self::Malformed | Self::Missing => Rcode::FORMERR,
            Self::Key => Rcode::BADKEY,
            Self::Signature => Rcode::BADSIG,
            Self::Truncated => Rcode::BADTRUNC,
            Self::Time => Rcode::BADTIME,
            Self::Peer(rcode) => rcode,
        }
    }
}

/// What a TSIG record says (§4.2).
#[derive(Debug, Clone, Copy)]
struct Fields<'a> {
    time: u64,
    fudge: u16,
    mac: &'a [u8],
    original_id: u16,
    error: Rcode,
    other: &'a [u8],
}

/// A message's TSIG record, taken apart.
struct Signed<'a> {
    key: NameBuf,
    algorithm: NameBuf,
    fields: Fields<'a>,
    /// Where it begins.
    offset: usize,
}

impl<'a> Signed<'a> {
    fn read(record: PacketRecord<'a>) -> Option<Self> {
        // Neither is signed, so neither may be anything else (§4.2).
        if record.class != Class::ANY || record.raw_ttl != 0 {
            return None;
        }
        let (mut key, mut algorithm) = (NameBuf::new(), NameBuf::new());
        record.name.read(&mut key);
        // §4.2: never compressed.
        let (name, rest) = NameRef::split_from(record.data())?;
        algorithm.set(name);
        let (time, rest) = rest.split_first_chunk::<6>()?;
        let (&[f0, f1, l0, l1], rest) = rest.split_first_chunk()?;
        let (mac, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        let (&[i0, i1, e0, e1, o0, o1], other) = rest.split_first_chunk()?;
        if other.len() != usize::from(u16::from_be_bytes([o0, o1])) {
            return None;
        }
        let time = time.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let fields = Fields {
            time,
            fudge: u16::from_be_bytes([f0, f1]),
            mac,
            original_id: u16::from_be_bytes([i0, i1]),
            error: Rcode(u16::from_be_bytes([e0, e1])),
            other,
        };
        Some(Self { key, algorithm, fields, offset: record.offset() })
    }

    /// Adds the message as it was before it was signed (§4.3.2).
    fn message(&self, packet: &[u8], mac: &mut Running) {
        let mut header = [0; HEADER];
        header.copy_from_slice(&packet[..HEADER]);
        header[..2].copy_from_slice(&self.fields.original_id.to_be_bytes());
        let count = u16::from_be_bytes([header[10], header[11]]).wrapping_sub(1);
        header[10..].copy_from_slice(&count.to_be_bytes());
        mac.update(&header);
        mac.update(&packet[HEADER..self.offset]);
    }

    /// Compares the MAC, which may be truncated to half, but to no less than ten bytes (§5.2.2.1).
    fn compare(&self, key: &Key, mac: Running) -> Result<(), BadTsig> {
        let (full, len) = (key.algorithm().len(), self.fields.mac.len());
        if len > full || len < (full / 2).max(10) {
            return Err(if len > full { BadTsig::Malformed } else { BadTsig::Truncated });
        }
        if mac.verify(self.fields.mac) { Ok(()) } else { Err(BadTsig::Signature) }
    }

    fn in_time(&self, now: u64) -> Result<(), BadTsig> {
        let near = now.abs_diff(self.fields.time) <= u64::from(self.fields.fudge);
        if near { Ok(()) } else { Err(BadTsig::Time) }
    }
}

/// Adds what TSIG says to what is signed: all of it (§4.3.3), or the time alone (§5.3.1).
fn variables(key: &Key, fields: &Fields<'_>, timers_only: bool, mac: &mut Running) {
    let time = fields.time.to_be_bytes();
    if timers_only {
        mac.update(&time[2..]);
        mac.update(&fields.fudge.to_be_bytes());
        return;
    }
    mac.update(key.name().wire());
    mac.update(&[0, 255, 0, 0, 0, 0]); // class ANY, TTL 0
    mac.update(key.algorithm().name().wire());
    mac.update(&time[2..]);
    mac.update(&fields.fudge.to_be_bytes());
    mac.update(&fields.error.0.to_be_bytes());
    mac.update(&(fields.other.len() as u16).to_be_bytes());
    mac.update(fields.other);
}

fn counted(mac: &Mac, running: &mut Running) {
    running.update(&(mac.len as u16).to_be_bytes());
    running.update(mac.bytes());
}

/// A request that was signed rightly: how its answer is signed.
#[derive(Debug, Clone)]
pub struct Session {
    key: Key,
    mac: Mac,
    /// Whether a message has been signed or checked since the request.
    going: bool,
}

/// Checks the signature of a request, and finds its key.
///
/// # Errors
/// When it is wrong. An error in time is told with the session, since its answer is signed (§5.2.3).
pub fn check_request(
    packet: &Packet<'_>,
    keys: &[Key],
    now: u64,
) -> Result<Session, (BadTsig, Option<Session>)> {
    let record = packet.tsig().ok_or((BadTsig::Missing, None))?;
    let signed = Signed::read(record).ok_or((BadTsig::Malformed, None))?;
    let known = |key: &&Key| {
        key.name() == signed.key.borrowed() && key.algorithm().name() == signed.algorithm.borrowed()
    };
    let key = keys.iter().find(known).ok_or((BadTsig::Key, None))?;
    let mut mac = key.mac();
    signed.message(packet.bytes(), &mut mac);
    variables(key, &signed.fields, false, &mut mac);
    signed.compare(key, mac).map_err(|error| (error, None))?;
    let session = Session { key: key.clone(), mac: Mac::new(signed.fields.mac), going: false };
    match signed.in_time(now) {
        Ok(()) => Ok(session),
        Err(error) => Err((error, Some(session))),
    }
}

/// Signs a request at the end of `buffer[..len]`; its new length, and the session that checks the
/// answers.
///
/// # Errors
/// When there is no room.
pub fn sign_request(
    key: &Key,
    buffer: &mut [u8],
    len: usize,
    now: u64,
) -> Result<(usize, Session), NoRoom> {
    let fields = fields(buffer, now, Rcode::NOERROR, &[]);
    let mut mac = key.mac();
    mac.update(&buffer[..len]);
    variables(key, &fields, false, &mut mac);
    let mac = mac.finish();
    let len = append(key, &fields, mac.bytes(), buffer, len)?;
    Ok((len, Session { key: key.clone(), mac, going: false }))
}

/// Appends a TSIG record that is not signed, to say what was wrong with the request's (§5.3.2).
///
/// # Errors
/// When there is no room.
pub(super) fn refuse(
    request: &Packet<'_>,
    error: BadTsig,
    buffer: &mut [u8],
    len: usize,
) -> Result<usize, NoRoom> {
    let signed = request.tsig().and_then(Signed::read).ok_or(NoRoom)?;
    let Fields { time, fudge, .. } = signed.fields;
    let id = signed.fields.original_id;
    let fields =
        Fields { time, fudge, mac: &[], original_id: id, error: error.rcode(), other: &[] };
    append_named(signed.key.borrowed(), signed.algorithm.borrowed(), &fields, &[], buffer, len)
}

impl Session {
    /// The key that both sides have used.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// How many bytes of a message its signature takes.
    #[must_use]
    pub fn room(&self) -> usize {
        // The time of the server is told where the clocks differ.
        self.key.room(6)
    }

    /// Signs the next message of the answer, at the end of `buffer[..len]`; its new length.
    ///
    /// # Errors
    /// When there is no room.
    pub fn sign(
        &mut self,
        buffer: &mut [u8],
        len: usize,
        now: u64,
        error: Option<BadTsig>,
    ) -> Result<usize, NoRoom> {
        let time = now.to_be_bytes();
        let other: &[u8] = if error == Some(BadTsig::Time) { &time[2..] } else { &[] };
        let rcode = error.map_or(Rcode::NOERROR, BadTsig::rcode);
        let fields = fields(buffer, now, rcode, other);
        let mut mac = self.key.mac();
        counted(&self.mac, &mut mac);
        mac.update(buffer.get(..len).ok_or(NoRoom)?);
        variables(&self.key, &fields, self.going, &mut mac);
        let mac = mac.finish();
        let len = append(&self.key, &fields, mac.bytes(), buffer, len)?;
        (self.mac, self.going) = (mac, true);
        Ok(len)
    }

    /// Checks the next message of an answer. All of them must be signed, also where the RFC lets some
    /// be without (§5.3.1).
    ///
    /// # Errors
    /// When the signature is missing or wrong, or the server says that ours was.
    pub fn check(&mut self, packet: &Packet<'_>, now: u64) -> Result<(), BadTsig> {
        let signed =
            Signed::read(packet.tsig().ok_or(BadTsig::Missing)?).ok_or(BadTsig::Malformed)?;
        let key = &self.key;
        if signed.key.borrowed() != key.name()
            || signed.algorithm.borrowed() != key.algorithm().name()
        {
            return Err(BadTsig::Key);
        }
        if signed.fields.error != Rcode::NOERROR && signed.fields.mac.is_empty() {
            return Err(BadTsig::Peer(signed.fields.error));
        }
        let mut mac = key.mac();
        counted(&self.mac, &mut mac);
        signed.message(packet.bytes(), &mut mac);
        variables(key, &signed.fields, self.going, &mut mac);
        signed.compare(key, mac)?;
        if signed.fields.error != Rcode::NOERROR {
            return Err(BadTsig::Peer(signed.fields.error));
        }
        signed.in_time(now)?;
        (self.mac, self.going) = (Mac::new(signed.fields.mac), true);
        Ok(())
    }
}

fn fields<'a>(message: &[u8], now: u64, error: Rcode, other: &'a [u8]) -> Fields<'a> {
    let original_id = message.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    Fields { time: now, fudge: FUDGE, mac: &[], original_id, error, other }
}

fn append(
    key: &Key,
    fields: &Fields<'_>,
    mac: &[u8],
    buffer: &mut [u8],
    len: usize,
) -> Result<usize, NoRoom> {
    append_named(key.name(), key.algorithm().name(), fields, mac, buffer, len)
}

/// Appends the record, its names not compressed (§4.2), and counts it.
fn append_named(
    key: NameRef<'_>,
    algorithm: NameRef<'_>,
    fields: &Fields<'_>,
    mac: &[u8],
    buffer: &mut [u8],
    len: usize,
) -> Result<usize, NoRoom> {
    let data = algorithm.wire().len() + 16 + mac.len() + fields.other.len();
    let small = |len: usize| (len as u16).to_be_bytes();
    let parts: [&[u8]; 13] = [
        key.wire(),
        &Type::TSIG.0.to_be_bytes(),
        &[0, 255, 0, 0, 0, 0],
        &small(data),
        algorithm.wire(),
        &fields.time.to_be_bytes()[2..],
        &fields.fudge.to_be_bytes(),
        &small(mac.len()),
        mac,
        &fields.original_id.to_be_bytes(),
        &fields.error.0.to_be_bytes(),
        &small(fields.other.len()),
        fields.other,
    ];
    let end = len + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut room = buffer.get_mut(len..end).ok_or(NoRoom)?;
    for part in parts {
        let (now, later) = room.split_at_mut(part.len());
        now.copy_from_slice(part);
        room = later;
    }
    let count = u16::from_be_bytes([buffer[10], buffer[11]]).checked_add(1).ok_or(NoRoom)?;
    buffer[10..12].copy_from_slice(&count.to_be_bytes());
    Ok(end)
}
