//! PROXY headers: what is whole is not whole one byte earlier, and what is encoded again is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ropewalk_core::endpoint::proxy::decode;

fuzz_target!(|data: &[u8]| {
    let Ok(Some((header, length))) = decode(data) else { return };
    for end in 0..length {
        assert_eq!(decode(&data[..end]), Ok(None), "a header of {length} bytes cut at {end}");
    }
    assert_eq!(decode(&data[..length]), Ok(Some((header, length))));
});
