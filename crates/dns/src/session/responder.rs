//! From a request to an answer.

mod envelope;
mod whole;

use std::net::IpAddr;
use std::sync::Arc;

use super::limit::{Limit, Verdict};
use super::options::{Answered, Extensions, MAX_NSID, why};
use super::{Cookies, Hosted, Transfer, Zones, tsig};
use crate::emit::Owner;
use crate::parse::{Packet, Section};
use crate::types::{Class, ExtendedError, Flags, Name, NameBuf, NameRef, Opcode, Rcode, Type};
use crate::zone::{Ask, Outcome, Zone};

use envelope::Envelope;

/// What a server says of itself, and how large its answers are.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// The longest answer over UDP, in bytes: 512 to 4,096; 1,232 at first, which fits through nearly
    /// every path unfragmented (RFC 9715 §3.1).
    pub udp_size: u16,
    /// What the server is called, for who asks (RFC 5001); nothing at first. Only the first 128 bytes
    /// are told.
    pub nsid: Vec<u8>,
    /// The answer to `version.bind` and `version.server` of class CH; refused at first.
    pub version: Option<String>,
    /// How long a TCP connection may be idle, in units of 100 ms (RFC 7828), for who asks.
    pub keepalive: Option<u16>,
    /// Whether ANY is answered by all sets, and not by one (RFC 8482). Over UDP it is always one.
    pub full_any: bool,
    /// Whether who shows a bad cookie over UDP must come again with a good one (RFC 7873 §5.2.3).
    pub require_cookies: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            udp_size: crate::types::Edns::SAFE_SIZE,
            nsid: Vec::new(),
            version: None,
            keepalive: Some(100),
            full_any: false,
            require_cookies: false,
        }
    }
}

/// How a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram, whose sender may be forged.
    Udp,
    /// In a stream.
    Tcp,
    /// In an encrypted stream.
    Tls,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct From {
    /// The address.
    pub address: IpAddr,
    /// How the request has come.
    pub transport: Transport,
}

/// What is to be done about a request.
#[derive(Debug)]
pub enum Reply {
    /// Nothing is answered: what came is no request, or comes too often.
    Silence,
    /// So many bytes of the buffer are the answer.
    Answer(usize),
    /// The messages of this transfer are the answer, signed by the session.
    Transfer(Box<Transfer>, Option<tsig::Session>),
    /// A zone has changed elsewhere; so many bytes of the buffer are the answer.
    Notify(Notice, usize),
    /// An update is to be [applied](super::update::apply), and answered then.
    Update(Box<Pending>),
}

/// What a primary says (RFC 1996).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Which zone has changed.
    pub origin: Name,
    /// Its new version, if that was said.
    pub serial: Option<u32>,
}

/// An update whose sender may make it.
#[derive(Debug)]
pub struct Pending {
    /// The zone that it wants to change.
    pub hosted: Arc<Hosted>,
    envelope: Envelope,
    config: Arc<Config>,
    cookies: Option<Cookies>,
}

impl Pending {
    /// Writes the answer; its length, or `None` if there is no room.
    #[must_use]
    pub fn answer(self, rcode: Rcode, buffer: &mut [u8]) -> Option<usize> {
        let Self { config, cookies, mut envelope, .. } = self;
        envelope.error(rcode, why(rcode), &config, cookies.as_ref(), buffer)
    }
}

/// Answers requests. It belongs to one worker; clones share settings and keys, but not the counts of
/// response rate limiting.
#[derive(Debug)]
pub struct Responder {
    config: Arc<Config>,
    keys: Arc<[tsig::Key]>,
    cookies: Option<Cookies>,
    limit: Option<Limit>,
}

impl Responder {
    /// Answers without cookies, keys and limits.
    #[must_use]
    pub fn new(mut config: Config) -> Self {
        config.udp_size = config.udp_size.clamp(512, 4096);
        config.nsid.truncate(MAX_NSID);
        Self { config: Arc::new(config), keys: Arc::new([]), cookies: None, limit: None }
    }

    /// Knows these keys.
    #[must_use]
    pub fn keys(mut self, keys: impl Into<Arc<[tsig::Key]>>) -> Self {
        self.keys = keys.into();
        self
    }

    /// Gives cookies.
    #[must_use]
    pub fn cookies(mut self, cookies: Cookies) -> Self {
        self.cookies = Some(cookies);
        self
    }

    /// Limits how often the same is answered over UDP to who has shown no cookie.
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Answers a request that came at a time, in seconds since 1970, into `buffer`. That should have
    /// 64 KiB for streams, and [`Config::udp_size`] bytes for datagrams.
    ///
    /// What comes of a question about a zone takes no memory from the heap.
    pub fn respond(
        &mut self,
        zones: &Zones,
        request: &[u8],
        from: From,
        now: u64,
        buffer: &mut [u8],
    ) -> Reply {
        let Some(header) = Packet::header_of(request) else { return Reply::Silence };
        // A response is never answered: two servers would do so for ever.
        if header.flags.response {
            return Reply::Silence;
        }
        let mut envelope = Envelope::new(header, from, now);
        let Ok(packet) = Packet::parse(request) else {
            return self.error(&mut envelope, Rcode::FORMERR, None, buffer);
        };
        envelope.extensions = Extensions::of(&packet);
        if packet.question_count() == 1 {
            envelope.question = packet.questions().next().map(|question| {
                let mut name = NameBuf::new();
                question.name.read(&mut name);
                (name, question.rtype, question.class)
            });
        }
        if packet.tsig().is_some() {
            match tsig::check_request(&packet, &self.keys, now) {
                Ok(session) => envelope.tsig = Some(session),
                Err((bad, session)) => {
                    envelope.tsig = session;
                    return self.bad_signature(&packet, &mut envelope, bad, buffer);
                }
            }
        }
        if let Some(extensions) = &envelope.extensions {
            let rcode = match extensions {
                Extensions { version: 1.., .. } => Some(Rcode::BADVERS),
                Extensions { malformed: true, .. } => Some(Rcode::FORMERR),
                _ => None,
            };
            if let Some(rcode) = rcode {
                return self.error(&mut envelope, rcode, None, buffer);
            }
        }
        match header.opcode {
            Opcode::QUERY => self.query(zones, &packet, envelope, buffer),
            Opcode::NOTIFY => self.notify(zones, &packet, envelope, buffer),
            Opcode::UPDATE => self.update(zones, envelope, buffer),
            _ => self.error(&mut envelope, Rcode::NOTIMP, None, buffer),
        }
    }

    /// An answer without records.
    fn error(
        &self,
        envelope: &mut Envelope,
        rcode: Rcode,
        why: Option<u16>,
        buffer: &mut [u8],
    ) -> Reply {
        let answer = envelope.error(rcode, why, &self.config, self.cookies.as_ref(), buffer);
        answer.map_or(Reply::Silence, Reply::Answer)
    }

    /// RFC 8945 §5.2: NOTAUTH, and the TSIG record says what is wrong.
    fn bad_signature(
        &self,
        packet: &Packet<'_>,
        envelope: &mut Envelope,
        bad: tsig::BadTsig,
        buffer: &mut [u8],
    ) -> Reply {
        let rcode = if bad == tsig::BadTsig::Malformed { Rcode::FORMERR } else { Rcode::NOTAUTH };
        if envelope.tsig.is_some() {
            envelope.bad = Some(bad);
            return self.error(envelope, rcode, None, buffer);
        }
        match self.error(envelope, rcode, None, buffer) {
            Reply::Answer(len) if rcode == Rcode::NOTAUTH => {
                Reply::Answer(tsig::refuse(packet, bad, buffer, len).unwrap_or(len))
            }
            reply => reply,
        }
    }

    fn query(
        &mut self,
        zones: &Zones,
        packet: &Packet<'_>,
        mut envelope: Envelope,
        buffer: &mut [u8],
    ) -> Reply {
        let Some((name, rtype, class)) = envelope.question.clone() else {
            // RFC 7873 §5.4: a request without a question asks for a cookie.
            let cookie = envelope.extensions.is_some_and(|ext| ext.client_cookie.is_some());
            let fine = packet.question_count() == 0 && cookie;
            let rcode = if fine { Rcode::NOERROR } else { Rcode::FORMERR };
            return self.error(&mut envelope, rcode, None, buffer);
        };
        if self.wants_better_cookie(&envelope) {
            return self.error(&mut envelope, Rcode::BADCOOKIE, None, buffer);
        }
        match (rtype, class) {
            (_, Class::CH) => return self.about_us(&name, rtype, &mut envelope, buffer),
            (Type::AXFR | Type::IXFR, Class::IN) => {
                return self.transfer(zones, packet, envelope, buffer);
            }
            (Type::ANY, _) => {}
            (Type::MAILA | Type::MAILB, _) => {
                return self.error(&mut envelope, Rcode::NOTIMP, None, buffer);
            }
            (rtype, _) if rtype.is_meta() => {
                return self.error(&mut envelope, Rcode::FORMERR, None, buffer);
            }
            _ => {}
        }
        let hosted = zones.find(name.borrowed(), rtype);
        let hosted = hosted.filter(|_| matches!(class, Class::IN | Class::ANY));
        let Some(hosted) = hosted else {
            let why = Some(ExtendedError::NOT_AUTHORITATIVE);
            return self.limited_error(&mut envelope, Rcode::REFUSED, why, buffer);
        };
        match &hosted.zone {
            Some(zone) => self.answer(zone, name.borrowed(), rtype, envelope, buffer),
            None => {
                let why = Some(ExtendedError::NOT_READY);
                self.limited_error(&mut envelope, Rcode::SERVFAIL, why, buffer)
            }
        }
    }

    /// Whether the client must come again with a good cookie.
    fn wants_better_cookie(&self, envelope: &Envelope) -> bool {
        self.config.require_cookies
            && envelope.from.transport == Transport::Udp
            && envelope.extensions.is_some_and(|ext| ext.client_cookie.is_some())
            && self.cookies.is_some()
            && !envelope.has_good_cookie(self.cookies.as_ref())
    }

    /// The answer of a zone.
    fn answer(
        &mut self,
        zone: &Zone,
        name: NameRef<'_>,
        rtype: Type,
        mut envelope: Envelope,
        buffer: &mut [u8],
    ) -> Reply {
        let Ok(mut writer) = envelope.begin(&self.config, self.cookies.as_ref(), buffer) else {
            return Reply::Silence;
        };
        let question = writer.mark();
        let ask = Ask {
            name,
            rtype,
            dnssec: envelope.extensions.is_some_and(|extensions| extensions.dnssec),
            minimal_any: envelope.from.transport == Transport::Udp || !self.config.full_any,
        };
        let failed = Outcome { rcode: Rcode::SERVFAIL, authoritative: false, truncated: false };
        let mut outcome = zone.answer(&ask, &mut writer).unwrap_or(failed);
        let negative = outcome.rcode != Rcode::NOERROR || writer.count(Section::Answer) == 0;
        let counted = if negative { zone.origin() } else { name };
        match self.count(&envelope, counted, negative) {
            Verdict::Send => {}
            Verdict::Drop => return Reply::Silence,
            Verdict::Truncate => {
                writer.rewind(question);
                outcome.truncated = true;
            }
        }
        let flags = Flags {
            authoritative: outcome.authoritative,
            truncated: outcome.truncated,
            ..envelope.flags()
        };
        let cookies = self.cookies.as_ref();
        let len = envelope.finish(writer, flags, outcome.rcode, None, &self.config, cookies);
        envelope.sign(len, buffer).map_or(Reply::Silence, Reply::Answer)
    }

    /// An error that anybody can provoke as often as they like.
    fn limited_error(
        &mut self,
        envelope: &mut Envelope,
        rcode: Rcode,
        why: Option<u16>,
        buffer: &mut [u8],
    ) -> Reply {
        match self.count(envelope, NameRef::ROOT, true) {
            // It is no longer than the question: truncating would not make it shorter.
            Verdict::Drop => Reply::Silence,
            Verdict::Send | Verdict::Truncate => self.error(envelope, rcode, why, buffer),
        }
    }

    fn count(&mut self, envelope: &Envelope, name: NameRef<'_>, negative: bool) -> Verdict {
        let Some(limit) = &mut self.limit else { return Verdict::Send };
        let known = envelope.from.transport != Transport::Udp
            || envelope.tsig.is_some()
            || envelope.has_good_cookie(self.cookies.as_ref());
        if known {
            return Verdict::Send;
        }
        limit.count(envelope.from.address, name, negative, envelope.now as u32)
    }

    /// Questions about the server itself (RFC 4892).
    fn about_us(
        &self,
        name: &NameBuf,
        rtype: Type,
        envelope: &mut Envelope,
        buffer: &mut [u8],
    ) -> Reply {
        let version: [&[u8]; 2] = [b"\x07version\x04bind\0", b"\x07version\x06server\0"];
        let text = self.config.version.as_ref().filter(|text| text.len() < 256).filter(|_| {
            version.iter().any(|known| name.borrowed().wire().eq_ignore_ascii_case(known))
                && matches!(rtype, Type::TXT | Type::ANY)
        });
        let Some(text) = text else {
            return self.error(envelope, Rcode::REFUSED, None, buffer);
        };
        let Ok(mut writer) = envelope.begin(&self.config, self.cookies.as_ref(), buffer) else {
            return Reply::Silence;
        };
        let mut data = [0; 256];
        // Below 256, as was looked at above.
        data[0] = text.len() as u8;
        data[1..=text.len()].copy_from_slice(text.as_bytes());
        let (owner, data) = (Owner::Name(name.borrowed()), &data[..=text.len()]);
        let written = writer.record(Section::Answer, owner, Type::TXT, Class::CH, 0, data);
        let flags = Flags { authoritative: true, truncated: written.is_err(), ..envelope.flags() };
        let cookies = self.cookies.as_ref();
        let len = envelope.finish(writer, flags, Rcode::NOERROR, None, &self.config, cookies);
        envelope.sign(len, buffer).map_or(Reply::Silence, Reply::Answer)
    }
}

impl Clone for Responder {
    fn clone(&self) -> Self {
        Self {
            config: Arc::clone(&self.config),
            keys: Arc::clone(&self.keys),
            cookies: self.cookies.clone(),
            limit: self.limit.as_ref().map(Limit::another),
        }
    }
}

/// What an [`Envelope`] wants to know of the server.
fn answered<'s>(
    envelope: &Envelope,
    config: &'s Config,
    cookies: Option<&'s Cookies>,
) -> Option<Answered<'s>> {
    Some(Answered {
        request: envelope.extensions?,
        udp_size: config.udp_size,
        nsid: &config.nsid,
        keepalive: config.keepalive.filter(|_| envelope.from.transport != Transport::Udp),
        encrypted: envelope.from.transport == Transport::Tls,
        cookies,
        peer: envelope.from.address,
        now: envelope.now as u32,
    })
}
