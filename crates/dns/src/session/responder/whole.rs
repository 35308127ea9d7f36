//! Requests about whole zones: transfers, notices, updates.

use std::sync::Arc;

use super::envelope::Envelope;
use super::{Notice, Pending, Reply, Responder, Transport, why};
use crate::parse::{Packet, Section};
use crate::session::{Transfer, Zones, update};
use crate::types::{Class, ExtendedError, Flags, Header, Question, Rcode, Soa, Type};

impl Responder {
    /// AXFR and IXFR (RFC 5936, RFC 1995).
    pub(super) fn transfer(
        &self,
        zones: &Zones,
        packet: &Packet<'_>,
        mut envelope: Envelope,
        buffer: &mut [u8],
    ) -> Reply {
        let Some((name, rtype, class)) = envelope.question.clone() else {
            return self.error(&mut envelope, Rcode::FORMERR, None, buffer);
        };
        let udp = envelope.from.transport == Transport::Udp;
        // RFC 5936 §4.2: there is no AXFR over UDP.
        if udp && rtype == Type::AXFR {
            return self.error(&mut envelope, Rcode::FORMERR, None, buffer);
        }
        let Some(hosted) = zones.get(name.borrowed()) else {
            return self.error(&mut envelope, Rcode::NOTAUTH, why(Rcode::NOTAUTH), buffer);
        };
        let key = envelope.tsig.as_ref().map(|session| session.key().name());
        if !hosted.transfer.allows(envelope.from.address, key) {
            return self.error(&mut envelope, Rcode::REFUSED, why(Rcode::REFUSED), buffer);
        }
        let Some(zone) = hosted.zone.clone() else {
            return self.error(
                &mut envelope,
                Rcode::SERVFAIL,
                Some(ExtendedError::NOT_READY),
                buffer,
            );
        };
        let known = serial_in(packet, Section::Authority);
        if rtype == Type::IXFR && known.is_none() {
            return self.error(&mut envelope, Rcode::FORMERR, None, buffer);
        }
        let flags = Flags { authoritative: true, ..envelope.flags() };
        let header = Header { flags, ..envelope.header };
        let question = Question { name: name.borrowed().to_name(), rtype, class };
        let current = known.is_some_and(|known| !update::is_later(zone.serial(), known));
        let transfer = if rtype == Type::IXFR && (udp || current) {
            Transfer::current(header, question, zone)
        } else {
            match known.and_then(|known| hosted.journal.since(known, &zone)) {
                Some(deltas) => Transfer::changes(header, question, zone, deltas),
                None => Transfer::whole(header, question, zone),
            }
        };
        match transfer {
            Some(transfer) => Reply::Transfer(Box::new(transfer), envelope.tsig),
            None => self.error(&mut envelope, Rcode::SERVFAIL, None, buffer),
        }
    }

    /// A zone has changed elsewhere (RFC 1996).
    pub(super) fn notify(
        &self,
        zones: &Zones,
        packet: &Packet<'_>,
        mut envelope: Envelope,
        buffer: &mut [u8],
    ) -> Reply {
        let question = envelope.question.clone().filter(|(_, rtype, _)| *rtype == Type::SOA);
        let Some((name, ..)) = question else {
            return self.error(&mut envelope, Rcode::FORMERR, None, buffer);
        };
        let Some(hosted) = zones.get(name.borrowed()) else {
            return self.error(&mut envelope, Rcode::NOTAUTH, why(Rcode::NOTAUTH), buffer);
        };
        let key = envelope.tsig.as_ref().map(|session| session.key().name());
        if !hosted.notify.allows(envelope.from.address, key) {
            return self.error(&mut envelope, Rcode::REFUSED, why(Rcode::REFUSED), buffer);
        }
        envelope.authoritative = true;
        let serial = serial_in(packet, Section::Answer);
        let notice = Notice { origin: hosted.origin.clone(), serial };
        match self.error(&mut envelope, Rcode::NOERROR, None, buffer) {
            Reply::Answer(len) => Reply::Notify(notice, len),
            other => other,
        }
    }

    /// A zone is to change (RFC 2136).
    pub(super) fn update(&self, zones: &Zones, mut envelope: Envelope, buffer: &mut [u8]) -> Reply {
        let question = envelope.question.clone().filter(|(_, rtype, _)| *rtype == Type::SOA);
        let Some((name, _, class)) = question else {
            return self.error(&mut envelope, Rcode::FORMERR, None, buffer);
        };
        let hosted = zones.get(name.borrowed()).filter(|_| class == Class::IN);
        let Some(hosted) = hosted else {
            return self.error(&mut envelope, Rcode::NOTAUTH, why(Rcode::NOTAUTH), buffer);
        };
        let key = envelope.tsig.as_ref().map(|session| session.key().name());
        if !hosted.update.allows(envelope.from.address, key) {
            return self.error(&mut envelope, Rcode::REFUSED, why(Rcode::REFUSED), buffer);
        }
        if hosted.zone.is_none() {
            return self.error(
                &mut envelope,
                Rcode::SERVFAIL,
                Some(ExtendedError::NOT_READY),
                buffer,
            );
        }
        Reply::Update(Box::new(Pending {
            hosted: Arc::clone(hosted),
            envelope,
            config: Arc::clone(&self.config),
            cookies: self.cookies.clone(),
        }))
    }
}

/// The serial of the SOA record of a section.
fn serial_in(packet: &Packet<'_>, section: Section) -> Option<u32> {
    let record = packet.records(section).find(|record| record.rtype == Type::SOA)?;
    record.to_rdata().ok()?.get::<Soa>().map(|soa| soa.serial)
}
