//! Secrets that are called so: by the name of a header, or of a parameter.

/// Headers whose values are secret, in lower case.
const HEADERS: [&[u8]; 4] = [b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"];

/// How the names of other headers end that are secret, each alone or behind a hyphen or underscore.
const HEADER_ENDS: [&[u8]; 6] =
    [b"key", b"apikey", b"token", b"secret", b"password", b"authorization"];

/// Ends so, but is a nonce (RFC 6455 §11.3.1).
const NO_SECRET: &[u8] = b"sec-websocket-key";

/// How the names of parameters end that are secret, as those of headers.
const PARAMETER_ENDS: [&[u8]; 15] = [
    b"accesstoken",
    b"key",
    b"apikey",
    b"token",
    b"secret",
    b"password",
    b"passwd",
    b"passphrase",
    b"pass",
    b"pwd",
    b"sig",
    b"signature",
    b"jwt",
    b"sid",
    b"auth",
];

/// Where the value begins of a header that is secret.
pub(super) fn header(line: &[u8]) -> Option<usize> {
    let text = line.trim_ascii_start();
    let name = &text[..text.iter().position(|&byte| byte == b':')?];
    let is = |secret: &[u8]| name.eq_ignore_ascii_case(secret);
    let secret = HEADERS.into_iter().any(is) || ends(name, &HEADER_ENDS) && !is(NO_SECRET);
    secret.then(|| line.len() - text.len() + name.len() + 1)
}

/// Where the value begins of the first parameter that is secret, in a query, a fragment or a form.
pub(super) fn parameter(line: &[u8]) -> Option<usize> {
    let begins = |byte: u8| matches!(byte, b'?' | b'&' | b';' | b'#');
    let mut from = 0;
    for (at, &byte) in line.iter().enumerate() {
        if byte == b'=' && ends(&line[from..at], &PARAMETER_ENDS) {
            return Some(at + 1);
        }
        if begins(byte) {
            from = at + 1;
        }
    }
    None
}

/// Whether `name` is made of letters, digits and what joins them, and ends in one of these words.
fn ends(name: &[u8], words: &[&[u8]]) -> bool {
    let joins = |byte: u8| matches!(byte, b'-' | b'_' | b'.');
    let is_name = name.iter().all(|&byte| byte.is_ascii_alphanumeric() || joins(byte));
    is_name
        && words.iter().any(|word| {
            let Some(at) = name.len().checked_sub(word.len()) else { return false };
            let (before, end) = name.split_at(at);
            end.eq_ignore_ascii_case(word) && before.last().is_none_or(|&byte| joins(byte))
        })
}
