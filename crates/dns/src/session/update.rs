//! Dynamic updates (RFC 2136): prerequisites, changes, and the version that comes of them.

use crate::error::{WireError, ZoneFault};
use crate::parse::{Packet, PacketRecord, Section};
use crate::session::Delta;
use crate::session::transfer::soa;
use crate::types::{Class, Name, NameBuf, NameRef, Rcode, Rdata, Record, Soa, Ttl, Type};
use crate::zone::{Builder, Zone};

/// What has come of an update.
#[derive(Debug)]
pub struct Updated {
    /// The zone as it is now.
    pub zone: Zone,
    /// What has changed; `None` if nothing has.
    pub delta: Option<Delta>,
}

/// Applies an update to a zone: checks its form and its prerequisites, makes all changes or none, and
/// counts the serial up if the update does not.
///
/// Who may do so has been looked at before.
///
/// # Errors
/// With the code that the client is told.
pub fn apply(zone: &Zone, packet: &Packet<'_>) -> Result<Updated, Rcode> {
    // A change would want signatures that we cannot make.
    if zone.is_signed() {
        return Err(Rcode::REFUSED);
    }
    let origin = zone.origin();
    let mut name = NameBuf::new();
    for record in packet.records(Section::Answer) {
        record.name.read(&mut name);
        prerequisite(zone, name.borrowed(), &record)?;
    }
    exact_sets(zone, packet)?;
    for record in packet.records(Section::Authority) {
        record.name.read(&mut name);
        prescan(origin, zone.class(), name.borrowed(), &record)?;
    }
    let mut update = Update { zone, builder: zone.edit(), touched: Vec::new() };
    for record in packet.records(Section::Authority) {
        record.name.read(&mut name);
        update.change(name.borrowed(), &record)?;
    }
    update.finish()
}

fn malformed(_: WireError) -> Rcode {
    Rcode::FORMERR
}

fn failed(_: ZoneFault) -> Rcode {
    Rcode::SERVFAIL
}

/// §3.2: what must be there, or must not.
fn prerequisite(zone: &Zone, name: NameRef<'_>, record: &PacketRecord<'_>) -> Result<(), Rcode> {
    if record.raw_ttl != 0 {
        return Err(Rcode::FORMERR);
    }
    if !name.is_within(zone.origin()) {
        return Err(Rcode::NOTZONE);
    }
    let empty = record.data().is_empty();
    let has_set = || zone.set(name, record.rtype).next().is_some();
    match (record.class, record.rtype) {
        (Class::ANY | Class::NONE, _) if !empty => Err(Rcode::FORMERR),
        (Class::ANY, Type::ANY) if !zone.has_records(name) => Err(Rcode::NXDOMAIN),
        (Class::ANY, Type::ANY) => Ok(()),
        (Class::ANY, _) if !has_set() => Err(Rcode::NXRRSET),
        (Class::NONE, Type::ANY) if zone.has_records(name) => Err(Rcode::YXDOMAIN),
        (Class::NONE, Type::ANY) => Ok(()),
        (Class::NONE, _) if has_set() => Err(Rcode::YXRRSET),
        (Class::ANY | Class::NONE, _) => Ok(()),
        // Compared set by set, afterwards.
        (class, _) if class == zone.class() => Ok(()),
        _ => Err(Rcode::FORMERR),
    }
}

/// §3.2.3: the sets whose records are told must be exactly so.
fn exact_sets(zone: &Zone, packet: &Packet<'_>) -> Result<(), Rcode> {
    let mut told: Vec<(Name, Rdata)> = Vec::new();
    for record in packet.records(Section::Answer).filter(|record| record.class == zone.class()) {
        let data = record.to_rdata().map_err(malformed)?;
        let name = record.name.to_name();
        if !told.iter().any(|(other, known)| *other == name && known.is_same(&data)) {
            told.push((name, data));
        }
    }
    for (name, data) in &told {
        let wanted: Vec<_> = told
            .iter()
            .filter(|(other, wanted)| other == name && wanted.rtype() == data.rtype())
            .collect();
        let mut count = 0;
        for record in zone.set(name.borrowed(), data.rtype()) {
            let found = record.to_record(zone.class()).data;
            if !wanted.iter().any(|(_, wanted)| wanted.is_same(&found)) {
                return Err(Rcode::NXRRSET);
            }
            count += 1;
        }
        if count != wanted.len() {
            return Err(Rcode::NXRRSET);
        }
    }
    Ok(())
}

/// §3.4.1: whether a change has the right form.
fn prescan(
    origin: NameRef<'_>,
    class: Class,
    name: NameRef<'_>,
    record: &PacketRecord<'_>,
) -> Result<(), Rcode> {
    if !name.is_within(origin) {
        return Err(Rcode::NOTZONE);
    }
    let (empty, meta) = (record.data().is_empty(), record.rtype.is_meta());
    let good = match record.class {
        Class::ANY => record.raw_ttl == 0 && empty && (!meta || record.rtype == Type::ANY),
        Class::NONE => record.raw_ttl == 0 && !meta,
        other => other == class && !meta,
    };
    if good { Ok(()) } else { Err(Rcode::FORMERR) }
}

/// An update that is being applied.
struct Update<'z> {
    zone: &'z Zone,
    builder: Builder,
    /// The names that were changed.
    touched: Vec<Name>,
}

impl Update<'_> {
    /// §3.4.2: one change.
    fn change(&mut self, name: NameRef<'_>, record: &PacketRecord<'_>) -> Result<(), Rcode> {
        if !self.touched.iter().any(|other| other.borrowed() == name) {
            self.touched.push(name.to_name());
        }
        let top = name == self.zone.origin();
        match record.class {
            Class::ANY => self.remove_sets(name, record.rtype, top),
            Class::NONE => self.remove(name, record, top),
            _ => self.add(name, record, top),
        }
    }

    /// §3.4.2.2: adds, where that makes sense; else the record is ignored.
    fn add(
        &mut self,
        name: NameRef<'_>,
        record: &PacketRecord<'_>,
        top: bool,
    ) -> Result<(), Rcode> {
        let data = record.to_rdata().map_err(malformed)?;
        let rtype = record.rtype;
        let types = self.builder.types_at(name).map_err(failed)?;
        let alias = rtype == Type::CNAME;
        let conflicts = |other: &Type| match (alias, *other == Type::CNAME) {
            (true, false) => !other.goes_with_alias(),
            (false, true) => !rtype.goes_with_alias(),
            _ => false,
        };
        if types.iter().any(conflicts) {
            return Ok(());
        }
        match rtype {
            Type::SOA if !top || !self.is_newer(&data)? => return Ok(()),
            // There is but one of these.
            Type::SOA | Type::CNAME | Type::DNAME => {
                self.builder.remove_set(name, rtype).map_err(failed)?;
            }
            _ => {}
        }
        let added = self.builder.add(name, rtype, record.ttl(), data.bytes());
        // What the zone cannot have (NS at a wildcard, a set too large) is refused, not ignored.
        added.map_err(|_| Rcode::REFUSED)?;
        self.builder.set_ttl(name, rtype, record.ttl()).map_err(failed)
    }

    /// Whether an SOA record is of a later version than the one there is.
    fn is_newer(&mut self, data: &Rdata) -> Result<bool, Rcode> {
        let told = data.get::<Soa>().ok_or(Rcode::FORMERR)?.serial;
        let serial = self.builder.serial().map_err(failed)?;
        Ok(is_later(told, serial))
    }

    /// §3.4.2.3: takes sets away, but neither SOA nor NS of the top.
    fn remove_sets(&mut self, name: NameRef<'_>, rtype: Type, top: bool) -> Result<(), Rcode> {
        let types = match rtype {
            Type::ANY => self.builder.types_at(name).map_err(failed)?,
            rtype => vec![rtype],
        };
        for rtype in types {
            if !(top && matches!(rtype, Type::SOA | Type::NS)) {
                self.builder.remove_set(name, rtype).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// §3.4.2.4: takes a record away, but neither SOA nor the last NS of the top.
    fn remove(
        &mut self,
        name: NameRef<'_>,
        record: &PacketRecord<'_>,
        top: bool,
    ) -> Result<(), Rcode> {
        let rtype = record.rtype;
        let kept = match rtype {
            Type::SOA => true,
            Type::NS if top => self.builder.count(name, rtype).map_err(failed)? <= 1,
            _ => false,
        };
        if kept {
            return Ok(());
        }
        let data = record.to_rdata().map_err(malformed)?;
        self.builder.remove(name, rtype, data.bytes()).map(drop).map_err(failed)
    }

    /// Makes the new version.
    fn finish(mut self) -> Result<Updated, Rcode> {
        let origin = self.zone.origin();
        if !self.touched.iter().any(|name| name.borrowed() == origin) {
            self.touched.push(origin.to_name());
        }
        let old = soa(self.zone).ok_or(Rcode::SERVFAIL)?;
        let serial = self.builder.serial().map_err(failed)?;
        let attempt = self.builder.clone().finish().map_err(|_| Rcode::SERVFAIL)?;
        let (removed, added) = self.differences(&attempt);
        if removed.is_empty() && added.is_empty() && serial == self.zone.serial() {
            return Ok(Updated { zone: self.zone.clone(), delta: None });
        }
        let zone = if serial == self.zone.serial() {
            self.count_up(&old)?;
            self.builder.finish().map_err(|_| Rcode::SERVFAIL)?
        } else {
            attempt
        };
        let new = soa(&zone).ok_or(Rcode::SERVFAIL)?;
        Ok(Updated { zone, delta: Some(Delta { old, new, removed, added }) })
    }

    /// Gives the zone the next serial (§3.6, RFC 1982 §3.1), which is never 0.
    fn count_up(&mut self, old: &Record) -> Result<(), Rcode> {
        let mut soa = old.data.get::<Soa>().ok_or(Rcode::SERVFAIL)?;
        soa.serial = soa.serial.wrapping_add(1).max(1);
        let data = Rdata::of(&soa).map_err(|_| Rcode::SERVFAIL)?;
        self.builder.remove_set(old.name.borrowed(), Type::SOA).map_err(failed)?;
        let added = self.builder.add(old.name.borrowed(), Type::SOA, old.ttl, data.bytes());
        added.map(drop).map_err(failed)
    }

    /// What is gone from the names that were touched, and what has come.
    fn differences(&self, new: &Zone) -> (Vec<Record>, Vec<Record>) {
        let class = self.zone.class();
        let at = |zone: &Zone, name: &Name| -> Vec<Record> {
            let records = zone.at(name.borrowed()).filter(|record| record.rtype != Type::SOA);
            records.map(|record| record.to_record(class)).collect()
        };
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        for name in &self.touched {
            let (before, after) = (at(self.zone, name), at(new, name));
            removed.extend(before.iter().filter(|record| !after.contains(record)).cloned());
            added.extend(after.into_iter().filter(|record| !before.contains(record)));
        }
        (removed, added)
    }
}

/// Whether one serial is later than another (RFC 1982 §3.2).
#[must_use]
pub fn is_later(left: u32, right: u32) -> bool {
    left.wrapping_sub(right).cast_signed() > 0
}

/// Applies changes that a primary has sent, or that a journal has kept: what is removed must be there.
///
/// # Errors
/// When it does not fit the zone.
pub fn replay(zone: &Zone, delta: &Delta) -> Result<Zone, crate::error::ZoneError> {
    let mut builder = zone.edit();
    let error = |record: &Record, fault| crate::error::ZoneError {
        zone: zone.origin().to_name(),
        owner: record.name.clone(),
        fault,
    };
    for record in std::iter::once(&delta.old).chain(&delta.removed) {
        let removed = builder.remove(record.name.borrowed(), record.rtype(), record.data.bytes());
        if !removed.map_err(|fault| error(record, fault))? {
            return Err(error(record, ZoneFault::NotThere));
        }
    }
    for record in std::iter::once(&delta.new).chain(&delta.added) {
        builder.add_record(record).map_err(|fault| error(record, fault))?;
        let (name, rtype, ttl): (_, _, Ttl) = (record.name.borrowed(), record.rtype(), record.ttl);
        builder.set_ttl(name, rtype, ttl).map_err(|fault| error(record, fault))?;
    }
    builder.finish()
}
