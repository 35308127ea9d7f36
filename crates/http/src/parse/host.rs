//! Who is addressed.

use super::find::find;

/// `uri-host [ ":" port ]` (RFC 9110 §7.2, RFC 3986 §3.2), which may be empty.
#[must_use]
#[inline(always)]
pub fn is_host(bytes: &[u8]) -> bool {
    split_port(bytes).is_some_and(|(host, _)| is_uri_host(host))
}

/// `authority-form` (RFC 9112 §3.2.3): a host and a port, neither empty.
pub(super) fn is_authority_form(bytes: &[u8]) -> bool {
    match split_port(bytes) {
        Some((host, Some(port))) => !host.is_empty() && !port.is_empty() && is_uri_host(host),
        _ => false,
    }
}

/// Host and port, or `None` if there is something else behind the host.
#[inline(always)]
fn split_port(bytes: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let end = match bytes {
        [b'[', ..] => find(b']', bytes)? + 1,
        _ => find(b':', bytes).unwrap_or(bytes.len()),
    };
    match &bytes[end..] {
        [] => Some((bytes, None)),
        [b':', port @ ..] if is_port(port) => Some((&bytes[..end], Some(port))),
        _ => None,
    }
}

/// `port = *DIGIT` (RFC 3986 §3.2.3), no longer than one can be.
fn is_port(bytes: &[u8]) -> bool {
    bytes.len() <= 5 && bytes.iter().all(u8::is_ascii_digit)
}

/// `uri-host`: `IP-literal / IPv4address / reg-name`.
#[inline(always)]
fn is_uri_host(host: &[u8]) -> bool {
    match host {
        [b'[', inside @ .., b']'] => {
            !inside.is_empty()
                && inside
                    .iter()
                    .all(|&byte| byte.is_ascii_alphanumeric() || b":.%-_~".contains(&byte))
        }
        _ => host.iter().fold(true, |fine, &byte| fine & REG_NAME[byte as usize]),
    }
}

/// `unreserved / pct-encoded / sub-delims`.
const REG_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let allowed = b"-._~%!$&'()*+,;=";
    let mut index = 0;
    while index < allowed.len() {
        table[allowed[index] as usize] = true;
        index += 1;
    }
    let mut byte = 0;
    while byte < 128 {
        if (byte as u8).is_ascii_alphanumeric() {
            table[byte] = true;
        }
        byte += 1;
    }
    table
};
