//! What is around an answer: header, question, EDNS, signature.

use super::super::options::Extensions;
use super::super::{Cookies, tsig};
use super::{Config, From, Transport, answered};
use crate::emit::{MAX_MESSAGE, Writer};
use crate::error::NoRoom;
use crate::types::{Class, Flags, Header, NameBuf, Rcode, Type};

/// The longest answer over UDP to who says nothing of a size (RFC 1035 §4.2.1).
const OLD_SIZE: u16 = 512;

/// What of a request its answer needs.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) header: Header,
    pub(super) question: Option<(NameBuf, Type, Class)>,
    pub(super) extensions: Option<Extensions>,
    pub(super) tsig: Option<tsig::Session>,
    /// What was wrong with the signature.
    pub(super) bad: Option<tsig::BadTsig>,
    pub(super) authoritative: bool,
    pub(super) from: From,
    /// In seconds since 1970.
    pub(super) now: u64,
}

impl Envelope {
    pub(super) fn new(header: Header, from: From, now: u64) -> Self {
        Self {
            header,
            question: None,
            extensions: None,
            tsig: None,
            bad: None,
            authoritative: false,
            from,
            now,
        }
    }

    /// The flags that an answer takes over from its request.
    pub(super) fn flags(&self) -> Flags {
        Flags {
            response: true,
            authoritative: self.authoritative,
            recursion_desired: self.header.flags.recursion_desired,
            checking_disabled: self.header.flags.checking_disabled,
            ..Flags::default()
        }
    }

    pub(super) fn has_good_cookie(&self, cookies: Option<&Cookies>) -> bool {
        let (Some(extensions), Some(cookies)) = (&self.extensions, cookies) else { return false };
        extensions.client_cookie.is_some_and(|client| {
            let server = extensions.server_cookie();
            cookies.is_good(client, server, self.from.address, self.now as u32)
        })
    }

    /// How long the answer may be.
    fn limit(&self, config: &Config) -> usize {
        if self.from.transport != Transport::Udp {
            return MAX_MESSAGE;
        }
        let said = self.extensions.as_ref().map_or(OLD_SIZE, |extensions| extensions.udp_size);
        usize::from(said.clamp(OLD_SIZE, config.udp_size))
    }

    fn signature_room(&self) -> usize {
        self.tsig.as_ref().map_or(0, tsig::Session::room)
    }

    /// Begins an answer with its question, and leaves room for what comes behind it.
    pub(super) fn begin<'b>(
        &self,
        config: &Config,
        cookies: Option<&Cookies>,
        buffer: &'b mut [u8],
    ) -> Result<Writer<'b>, NoRoom> {
        let mut writer = Writer::new(buffer)?;
        writer.set_limit(self.limit(config));
        if let Some((name, rtype, class)) = &self.question {
            writer.question(name.borrowed(), *rtype, *class)?;
        }
        let edns = answered(self, config, cookies).map_or(0, |edns| edns.room());
        let limit = writer.limit().saturating_sub(edns + self.signature_room());
        writer.set_limit(limit);
        Ok(writer)
    }

    /// Writes header and EDNS; the length.
    pub(super) fn finish(
        &self,
        mut writer: Writer<'_>,
        flags: Flags,
        rcode: Rcode,
        why: Option<u16>,
        config: &Config,
        cookies: Option<&Cookies>,
    ) -> usize {
        let mut header = Header { flags, rcode, ..self.header };
        match answered(self, config, cookies) {
            Some(edns) => {
                writer.set_limit(self.limit(config).saturating_sub(self.signature_room()));
                if edns.write(rcode, why, &mut writer).is_err() {
                    header.flags.truncated = true;
                }
            }
            // What has no room in the header cannot be said.
            None if !rcode.is_plain() => header.rcode = Rcode::SERVFAIL,
            None => {}
        }
        writer.set_header(header);
        writer.finish()
    }

    /// Signs the answer, if its request was signed; its length, or `None` if there is no room.
    pub(super) fn sign(&mut self, len: usize, buffer: &mut [u8]) -> Option<usize> {
        match &mut self.tsig {
            Some(session) => session.sign(buffer, len, self.now, self.bad).ok(),
            None => Some(len),
        }
    }

    /// An answer without records.
    pub(super) fn error(
        &mut self,
        rcode: Rcode,
        why: Option<u16>,
        config: &Config,
        cookies: Option<&Cookies>,
        buffer: &mut [u8],
    ) -> Option<usize> {
        let writer = self.begin(config, cookies, buffer).ok()?;
        let len = self.finish(writer, self.flags(), rcode, why, config, cookies);
        self.sign(len, buffer)
    }
}
