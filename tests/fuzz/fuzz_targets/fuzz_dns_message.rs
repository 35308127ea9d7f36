//! Messages: reading never panics, what was read is written and read again as it was, and so is each
//! record in its presentation form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ropewalk_dns::parse::Packet;
use ropewalk_dns::types::{Message, Opcode, Record};

fuzz_target!(|data: &[u8]| {
    let Ok(packet) = Packet::parse(data) else { return };
    let Ok(message) = packet.to_message() else { return };
    let Ok(bytes) = message.to_bytes() else { return };
    assert_eq!(Message::parse(&bytes).expect("it was written"), message);
    // Updates have records without data, which no zone file has.
    if message.header.opcode == Opcode::UPDATE {
        return;
    }
    for record in message.answers.iter().chain(&message.authorities).chain(&message.additionals) {
        let meta = record.rtype().is_meta() || record.data.bytes().is_empty();
        if meta || record.class.0 != 1 {
            continue;
        }
        let text = record.to_string();
        let again: Record = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(again, *record, "{text}");
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        record.data.canonical(&mut once);
        again.data.canonical(&mut twice);
        assert_eq!(once, twice);
    }
});
