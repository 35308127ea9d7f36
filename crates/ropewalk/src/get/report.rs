//! How `ropewalk get` ends: the exit code for a status or an error, and the line that says why.

use std::io;

use http::StatusCode;
use http::header::{HeaderMap, LOCATION};
use ropewalk_http::Blame;
use ropewalk_http::client::{Error, ErrorKind};

use crate::exit::{Code, Failure};

/// Whether trying again may help.
pub(super) fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// The exit code for an answer that is no success.
fn code_of(status: StatusCode) -> Code {
    match status.as_u16() {
        404 | 410 => Code::NoInput,
        401 | 403 | 407 | 451 => Code::NoPermission,
        _ if is_passing(status) => Code::TempFail,
        500.. => Code::Unavailable,
        _ => Code::Protocol,
    }
}

/// What an answer that is no success means.
pub(super) fn refusal(url: &str, status: StatusCode, fields: &HeaderMap) -> Failure {
    let help = match status.as_u16() {
        300..=399 => match fields.get(LOCATION) {
            Some(to) => format!(": it is at {}", String::from_utf8_lossy(to.as_bytes())),
            None => String::new(),
        },
        401 => ": give it --user NAME:PASSWORD".to_owned(),
        416 => ": there are not so many bytes; to begin anew, leave out -C".to_owned(),
        417 => ": it takes no Expect".to_owned(),
        _ => String::new(),
    };
    Failure::new(code_of(status), format!("{url}: the server answered {status}{help}"))
}

/// What an error means.
pub(super) fn failure_of(error: &Error) -> Failure {
    let code = match error.kind() {
        ErrorKind::Url(_) | ErrorKind::Request(_) => Code::Usage,
        ErrorKind::Trust(_) => Code::Config,
        ErrorKind::Connect(error) => match error.kind() {
            // A certificate, not a file of ours.
            io::ErrorKind::InvalidData => Code::Protocol,
            io::ErrorKind::TimedOut => Code::TempFail,
            _ => match Code::of(error) {
                Code::Io | Code::NoInput => Code::Unavailable,
                code => code,
            },
        },
        ErrorKind::Timeout(..) => Code::TempFail,
        ErrorKind::Content(_) => Code::Io,
        ErrorKind::Session(_) if error.is_cut() => Code::TempFail,
        ErrorKind::Session(_) if error.blame() == Blame::Caller => Code::Usage,
        _ => Code::Protocol,
    };
    Failure::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_their_codes() {
        for (status, code) in [
            (301, Code::Protocol),
            (400, Code::Protocol),
            (401, Code::NoPermission),
            (404, Code::NoInput),
            (410, Code::NoInput),
            (416, Code::Protocol),
            (429, Code::TempFail),
            (500, Code::TempFail),
            (501, Code::Unavailable),
            (503, Code::TempFail),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let failure = refusal("http://a/", status, &HeaderMap::new());
            assert_eq!(failure.code(), code, "{status}");
        }
    }
}
