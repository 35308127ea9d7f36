//! The media type of a file, by its name. Pure.

use http::HeaderValue;

/// What is said of a file that could be anything.
const UNKNOWN: &str = "application/octet-stream";
const PLAIN: &str = "text/plain; charset=utf-8";

/// The value of `Content-Type` for a file of this name, by its extension. Text is said to be UTF-8.
pub(crate) fn of(name: &[u8]) -> HeaderValue {
    let base = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    let Some((stem, extension)) = split(base) else { return bare(base) };
    if stem.is_empty() {
        // A dot file: what follows the dot is its name.
        return HeaderValue::from_static(UNKNOWN);
    }
    common(extension).map_or_else(|| guess(extension), HeaderValue::from_static)
}

fn split(base: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = memchr::memrchr(b'.', base)?;
    Some((&base[..dot], &base[dot + 1..]))
}

/// Names that need no extension to be known as text.
fn bare(base: &[u8]) -> HeaderValue {
    let text = [
        "AUTHORS",
        "CHANGELOG",
        "CHANGES",
        "CONTRIBUTING",
        "COPYING",
        "Dockerfile",
        "INSTALL",
        "LICENSE",
        "Makefile",
        "NEWS",
        "NOTICE",
        "README",
        "TODO",
        "VERSION",
    ];
    let known = text.iter().any(|name| name.as_bytes() == base);
    HeaderValue::from_static(if known { PLAIN } else { UNKNOWN })
}

/// The extensions that most requests ask for, and those where the larger table says what no
/// browser would show: no search, no allocation.
fn common(extension: &[u8]) -> Option<&'static str> {
    Some(match extension {
        b"html" | b"htm" => "text/html; charset=utf-8",
        b"css" => "text/css; charset=utf-8",
        b"js" | b"mjs" => "text/javascript; charset=utf-8",
        b"txt" | b"log" | b"conf" | b"cfg" | b"ini" | b"rs" | b"go" | b"py" | b"sh" | b"c"
        | b"h" | b"toml" | b"lock" | b"yaml" | b"yml" | b"diff" | b"patch" | b"tsx" => PLAIN,
        b"md" => "text/markdown; charset=utf-8",
        b"csv" => "text/csv; charset=utf-8",
        b"xml" => "text/xml",
        b"json" | b"map" => "application/json",
        b"svg" => "image/svg+xml",
        b"png" => "image/png",
        b"jpg" | b"jpeg" => "image/jpeg",
        b"gif" => "image/gif",
        b"webp" => "image/webp",
        b"avif" => "image/avif",
        b"ico" => "image/x-icon",
        b"woff2" => "font/woff2",
        b"bin" | b"iso" | b"img" => UNKNOWN,
        b"wasm" => "application/wasm",
        b"pdf" => "application/pdf",
        b"mp4" => "video/mp4",
        b"ts" => "video/mp2t",
        b"zip" => "application/zip",
        b"gz" => "application/gzip",
        b"zst" => "application/zstd",
        b"webmanifest" => "application/manifest+json",
        _ => return None,
    })
}

/// Everything else, whatever its case.
fn guess(extension: &[u8]) -> HeaderValue {
    let Ok(extension) = std::str::from_utf8(extension) else {
        return HeaderValue::from_static(UNKNOWN);
    };
    let lower = extension.to_ascii_lowercase();
    if let Some(known) = common(lower.as_bytes()) {
        return HeaderValue::from_static(known);
    }
    let Some(media) = mime_guess::from_ext(extension).first_raw() else {
        return HeaderValue::from_static(UNKNOWN);
    };
    if media.starts_with("text/") && !media.contains(';') {
        HeaderValue::try_from(format!("{media}; charset=utf-8"))
            .unwrap_or(HeaderValue::from_static(UNKNOWN))
    } else {
        HeaderValue::from_static(media)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: &str) {
        assert_eq!(of(name.as_bytes()), expected, "{name}");
    }

    #[test]
    fn names() {
        for (name, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a/b.c/INDEX.HTM", "text/html; charset=utf-8"),
            ("x.css", "text/css; charset=utf-8"),
            ("x.js", "text/javascript; charset=utf-8"),
            ("x.MJS", "text/javascript; charset=utf-8"),
            ("x.txt", "text/plain; charset=utf-8"),
            ("main.rs", "text/plain; charset=utf-8"),
            ("x.md", "text/markdown; charset=utf-8"),
            ("x.xml", "text/xml"),
            ("x.json", "application/json"),
            ("x.svg", "image/svg+xml"),
            ("x.PNG", "image/png"),
            ("x.tar.gz", "application/gzip"),
            ("x.vcf", "text/x-vcard; charset=utf-8"),
            ("x.webm", "video/webm"),
            ("x.flac", "audio/flac"),
            ("x.nobody-knows", "application/octet-stream"),
            ("README", "text/plain; charset=utf-8"),
            ("a/LICENSE", "text/plain; charset=utf-8"),
            ("a.d/program", "application/octet-stream"),
            (".png", "application/octet-stream"),
            ("x.", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            check(name, expected);
        }
        assert_eq!(of(b"x.\xff"), "application/octet-stream");
    }
}
