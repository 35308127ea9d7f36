//! From the path of a request to a name below the root. Pure.
//!
//! The path is percent-decoded once (RFC 3986 §2.4) and then has to be a plain list of names: what
//! could mean something else to a file system, to a proxy in front or to a second decoding is
//! refused rather than repaired.

use std::borrow::Cow;

/// The longest name below the root that is looked up, in bytes.
const LONGEST: usize = 4095;
/// The longest single component, in bytes: no file system here has a longer one.
const LONGEST_COMPONENT: usize = 255;

/// A name below the root, decoded and checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Name<'a> {
    /// The components joined by `/`, with none before and none after. Empty for the root.
    pub(crate) bytes: Cow<'a, [u8]>,
    /// The path ended with `/`: a folder is meant.
    pub(crate) folder: bool,
    /// Some component begins with a dot.
    pub(crate) hidden: bool,
}

/// Why a path names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It can only be a mistake or an attack: 400.
    Malformed,
    /// It is well formed, but nothing can have that name: 404.
    Absent,
}

/// Decodes and checks the path of a request target (RFC 9112 §3.2.1).
pub(crate) fn parse(path: &str) -> Result<Name<'_>, Refused> {
    let rest = path.strip_prefix('/').ok_or(Refused::Malformed)?.as_bytes();
    if memchr::memchr3(b'\\', b'?', b'#', rest).is_some() {
        return Err(Refused::Malformed);
    }
    let decoded = decode(rest)?;
    let (len, folder) = match &*decoded {
        [] => (0, true),
        [names @ .., b'/'] => (names.len(), true),
        names => (names.len(), false),
    };
    let hidden = check(&decoded[..len], decoded.len() > len)?;
    let bytes = match decoded {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[..len]),
        Cow::Owned(mut bytes) => {
            bytes.truncate(len);
            Cow::Owned(bytes)
        }
    };
    Ok(Name { bytes, folder, hidden })
}

/// Checks decoded components, and says whether one of them is hidden.
fn check(names: &[u8], slash_follows: bool) -> Result<bool, Refused> {
    if names.is_empty() {
        return if slash_follows { Err(Refused::Absent) } else { Ok(false) };
    }
    if names.len() > LONGEST {
        return Err(Refused::Absent);
    }
    let mut hidden = false;
    let mut absent = false;
    for name in names.split(|&byte| byte == b'/') {
        match name {
            // Neither a client nor a proxy leaves these in a path (RFC 3986 §5.2.4).
            b"." | b".." => return Err(Refused::Malformed),
            [b'.', ..] => hidden = true,
            _ => absent |= name.is_empty() || name.len() > LONGEST_COMPONENT,
        }
    }
    if absent { Err(Refused::Absent) } else { Ok(hidden) }
}

/// Percent-decodes once. A decoded `/`, `\` or NUL is refused: the first would change what the
/// components are, the second is a separator elsewhere, the third ends a name in C.
fn decode(path: &[u8]) -> Result<Cow<'_, [u8]>, Refused> {
    if memchr::memchr2(b'%', 0, path).is_none() {
        return Ok(Cow::Borrowed(path));
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let byte = match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                let byte = hex(*high)? << 4 | hex(*low)?;
                if matches!(byte, b'/' | b'\\') {
                    return Err(Refused::Malformed);
                }
                byte
            }
            (b'%', _) => return Err(Refused::Malformed),
            _ => {
                rest = after;
                byte
            }
        };
        if byte == 0 {
            return Err(Refused::Malformed);
        }
        decoded.push(byte);
    }
    Ok(Cow::Owned(decoded))
}

fn hex(digit: u8) -> Result<u8, Refused> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(Refused::Malformed),
    }
}

/// Whether a directory entry of this name could be asked for at all.
pub(crate) fn reachable(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&b'\\') && !name.contains(&b'/')
}

/// Appends a name so that it can stand in a link or a `Location`: everything but the unreserved
/// characters of RFC 3986 §2.3 is encoded, `/` too.
pub(crate) fn encode_into(name: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in name {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Result<(&[u8], bool, bool), Refused>) {
        let got = parse(path);
        let got = got.as_ref().map(|n| (&*n.bytes, n.folder, n.hidden)).map_err(|e| *e);
        assert_eq!(got, expected, "{path:?}");
    }

    #[test]
    fn names() {
        for (path, name, folder, hidden) in [
            ("/", &b""[..], true, false),
            ("/a", b"a", false, false),
            ("/a/", b"a", true, false),
            ("/a/b.txt", b"a/b.txt", false, false),
            ("/a%20b", b"a b", false, false),
            ("/a+b", b"a+b", false, false),
            ("/%61", b"a", false, false),
            ("/%C3%a4", "ä".as_bytes(), false, false),
            ("/ä", "ä".as_bytes(), false, false),
            ("/%ff", b"\xff", false, false),
            ("/%0A", b"\n", false, false),
            ("/%252e%252e", b"%2e%2e", false, false),
            ("/a%252Fb", b"a%2Fb", false, false),
            ("/...", b"...", false, true),
            ("/.git/config", b".git/config", false, true),
            ("/a/%2ehidden/", b"a/.hidden", true, true),
            ("/a..b", b"a..b", false, false),
            ("/a:b", b"a:b", false, false),
            ("/~x", b"~x", false, false),
            ("/a;v=1", b"a;v=1", false, false),
            ("/a%3Fb%23c", b"a?b#c", false, false),
        ] {
            check(path, Ok((name, folder, hidden)));
        }
    }

    #[test]
    fn refused() {
        use Refused::{Absent, Malformed};
        for (path, why) in [
            ("", Malformed),
            ("*", Malformed),
            ("a", Malformed),
            ("/.", Malformed),
            ("/..", Malformed),
            ("/../", Malformed),
            ("/a/..", Malformed),
            ("/a/../b", Malformed),
            ("/%2e%2E/", Malformed),
            ("/.%2e/x", Malformed),
            ("/%2e/x", Malformed),
            ("/a/./b", Malformed),
            ("//../x", Malformed),
            ("/a%2Fb", Malformed),
            ("/..%2f..%2fetc", Malformed),
            ("/a\\b", Malformed),
            ("/a%5cb", Malformed),
            ("/a%00", Malformed),
            ("/a\0b", Malformed),
            ("/%", Malformed),
            ("/%2", Malformed),
            ("/%zz", Malformed),
            ("/%+1", Malformed),
            ("/%u002e", Malformed),
            ("/a?b", Malformed),
            ("/a#b", Malformed),
            ("//", Absent),
            ("//a", Absent),
            ("/a//b", Absent),
            ("/a//", Absent),
            ("///", Absent),
        ] {
            check(path, Err(why));
        }
        check(&format!("/{}", "x".repeat(256)), Err(Absent));
        check(&format!("/{}", "x/".repeat(2048)), Ok((&b"x/".repeat(2048)[..4095], true, false)));
        check(&format!("/{}", "x/".repeat(2049)), Err(Absent));
    }

    #[test]
    fn an_encoded_name_decodes_to_itself() {
        let every: Vec<u8> = (1..=255).filter(|byte| !b"/\\".contains(byte)).collect();
        for name in every.chunks(100) {
            let mut path = String::from("/");
            encode_into(name, &mut path);
            check(&path, Ok((name, false, name[0] == b'.')));
        }
    }

    #[test]
    fn whatever_is_accepted_is_a_plain_list_of_names() {
        let alphabet = b"ab./%25eEfFcC0\\;:~?# ";
        let mut seed = 1_u64;
        let mut accepted = 0;
        for _ in 0..200_000 {
            let mut path = String::from("/");
            for _ in 0..12 {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                path.push(char::from(alphabet[(seed >> 33) as usize % alphabet.len()]));
            }
            let Ok(name) = parse(&path) else { continue };
            accepted += 1;
            assert!(!name.bytes.contains(&0) && !name.bytes.contains(&b'\\'), "{path}");
            for component in name.bytes.split(|&byte| byte == b'/') {
                assert!(reachable(component) || name.bytes.is_empty(), "{path}");
            }
        }
        assert!(accepted > 1000);
    }
}
