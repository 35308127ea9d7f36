//! EDNS in requests, and in the answers to them.

use std::net::IpAddr;

use super::Cookies;
use crate::emit::{Owner, Writer};
use crate::error::NoRoom;
use crate::parse::{Packet, Section};
use crate::types::{
    Class, ExtendedError, NameRef, OptionCode, Rcode, Type, edns_each, edns_extended,
};

/// The longest identifier of a server that is told.
pub(super) const MAX_NSID: usize = 128;

/// Answers over TLS are as long as a multiple of this, if the client has filled its request (RFC 8467
/// §4.1).
const BLOCK: usize = 468;

/// What a request's OPT record says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extensions {
    pub(super) version: u8,
    pub(super) dnssec: bool,
    pub(super) udp_size: u16,
    pub(super) client_cookie: Option<[u8; 8]>,
    server_cookie: [u8; 32],
    server_len: usize,
    wants_nsid: bool,
    wants_keepalive: bool,
    padded: bool,
    /// An option has a form that it cannot have.
    pub(super) malformed: bool,
}

impl Extensions {
    /// Reads them; `None` without an OPT record.
    pub(super) fn of(packet: &Packet<'_>) -> Option<Self> {
        let opt = packet.opt()?;
        let mut found = Self {
            version: (opt.raw_ttl >> 16) as u8,
            dnssec: opt.raw_ttl & 0x8000 != 0,
            udp_size: opt.class.0,
            client_cookie: None,
            server_cookie: [0; 32],
            server_len: 0,
            wants_nsid: false,
            wants_keepalive: false,
            padded: false,
            malformed: false,
        };
        for (code, data) in edns_each(opt.data()) {
            found.note(code, data);
        }
        Some(found)
    }

    fn note(&mut self, code: OptionCode, data: &[u8]) {
        match code {
            // Of several, the first counts (RFC 7873 §5.2).
            OptionCode::COOKIE if self.client_cookie.is_none() => {
                match crate::types::Cookie::new(data) {
                    Some(cookie) => {
                        self.client_cookie = Some(cookie.client);
                        self.server_len = cookie.server.len();
                        self.server_cookie[..self.server_len].copy_from_slice(cookie.server);
                    }
                    None => self.malformed = true,
                }
            }
            OptionCode::NSID => self.wants_nsid = true,
            OptionCode::KEEPALIVE => self.wants_keepalive = true,
            OptionCode::PADDING => self.padded = true,
            _ => {}
        }
    }

    /// The server's half of the cookie; empty if there was none.
    pub(super) fn server_cookie(&self) -> &[u8] {
        &self.server_cookie[..self.server_len]
    }
}

/// What an answer's OPT record says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered<'s> {
    pub(super) request: Extensions,
    pub(super) udp_size: u16,
    pub(super) nsid: &'s [u8],
    /// In units of 100 ms, over TCP.
    pub(super) keepalive: Option<u16>,
    /// Whether nobody may guess from the length.
    pub(super) encrypted: bool,
    pub(super) cookies: Option<&'s Cookies>,
    pub(super) peer: IpAddr,
    /// In seconds since 1970.
    pub(super) now: u32,
}

impl Answered<'_> {
    /// How many bytes it may take, without filling.
    pub(super) fn room(&self) -> usize {
        let nsid = if self.request.wants_nsid { 4 + self.nsid.len() } else { 0 };
        11 + 28 + 6 + 6 + nsid
    }

    /// Writes it.
    pub(super) fn write(
        &self,
        rcode: Rcode,
        why: Option<u16>,
        writer: &mut Writer<'_>,
    ) -> Result<(), NoRoom> {
        let mut buffer = [0; 64 + MAX_NSID + BLOCK];
        let mut len = 0;
        let mut push = |code: OptionCode, parts: [&[u8]; 2]| {
            let size = parts[0].len() + parts[1].len();
            buffer[len..len + 2].copy_from_slice(&code.0.to_be_bytes());
            buffer[len + 2..len + 4].copy_from_slice(&(size as u16).to_be_bytes());
            len += 4;
            for part in parts {
                buffer[len..len + part.len()].copy_from_slice(part);
                len += part.len();
            }
            len
        };
        let mut used = 0;
        if let (Some(client), Some(cookies)) = (self.request.client_cookie, self.cookies) {
            let server = cookies.renew(client, self.request.server_cookie(), self.peer, self.now);
            used = push(OptionCode::COOKIE, [&client, &server]);
        }
        if self.request.wants_nsid && !self.nsid.is_empty() {
            used = push(OptionCode::NSID, [self.nsid, &[]]);
        }
        if let Some(keepalive) = self.keepalive.filter(|_| self.request.wants_keepalive) {
            used = push(OptionCode::KEEPALIVE, [&keepalive.to_be_bytes(), &[]]);
        }
        if let Some(why) = why {
            used = push(OptionCode::EXTENDED_ERROR, [&why.to_be_bytes(), &[]]);
        }
        if self.encrypted && self.request.padded {
            let whole = (writer.len() + 11 + used + 4).next_multiple_of(BLOCK);
            let filling = whole.min(writer.limit()).saturating_sub(writer.len() + 11 + used + 4);
            used = push(OptionCode::PADDING, [&[0; BLOCK][..filling.min(BLOCK)], &[]]);
        }
        let ttl = u32::from(edns_extended(rcode)) << 24 | u32::from(self.request.dnssec) << 15;
        let (root, class) = (Owner::Name(NameRef::ROOT), Class(self.udp_size));
        writer.record(Section::Additional, root, Type::OPT, class, ttl, &buffer[..used])
    }
}

/// Why a request gets no answer (RFC 8914), where there is more to say than the code does.
pub(super) fn why(rcode: Rcode) -> Option<u16> {
    match rcode {
        Rcode::REFUSED => Some(ExtendedError::PROHIBITED),
        Rcode::NOTAUTH => Some(ExtendedError::NOT_AUTHORITATIVE),
        Rcode::NOTIMP => Some(ExtendedError::NOT_SUPPORTED),
        _ => None,
    }
}
