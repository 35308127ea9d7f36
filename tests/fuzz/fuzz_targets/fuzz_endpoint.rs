//! Endpoints: what is understood is written and understood again as the same, and an error points
//! into the string.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ropewalk_core::Endpoint;

fuzz_target!(|text: &str| {
    match Endpoint::parse(text) {
        Ok(endpoint) => {
            let written = endpoint.to_string();
            let again = Endpoint::parse(&written)
                .unwrap_or_else(|error| panic!("{text:?} became {written:?}: {error}"));
            assert_eq!(again.to_string(), written);
            let _ = endpoint.redacted();
        }
        Err(error) => drop(format!("{error:#}")),
    }
});
