//! Where what `ropewalk get` has got goes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::header::{
    CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE,
};
use http::{Response, StatusCode};
use indicatif::{ProgressBar, ProgressStyle};
use percent_encoding::percent_decode_str;
use ropewalk_http::client::Received;
use url::Url;

use super::part::Part;
use super::report::failure_of;
use super::{Args, Resume, say};
use crate::exit::{Code, Failure};

/// Where it goes.
#[derive(Debug)]
pub(super) enum Target {
    /// To standard output, from this byte on.
    Print(Option<u64>),
    Save {
        path: PathBuf,
        resume: Option<Resume>,
    },
    /// There is no content, or none that is wanted.
    Nowhere,
}

impl Target {
    pub(super) fn new(args: &Args) -> Result<Self, Failure> {
        if args.head {
            return Ok(Self::Nowhere);
        }
        let path = match &args.output {
            Some(name) if name == "-" => None,
            Some(name) => Some(PathBuf::from(name)),
            None if args.remote_name => Some(remote_name(&args.url)?),
            None => None,
        };
        let resume = args.resume;
        match (path, resume) {
            (Some(path), _) => Ok(Self::Save { path, resume }),
            (None, None) => Ok(Self::Print(None)),
            (None, Some(Resume::At(offset))) => Ok(Self::Print(Some(offset))),
            (None, Some(Resume::End)) => {
                let what = "-C -: there is no file to go on with; say which by -o FILE or -O";
                Err(Failure::new(Code::Usage, what))
            }
        }
    }

    /// The next attempt goes on where this one has stopped.
    pub(super) fn go_on(&mut self) {
        if let Self::Save { resume, .. } = self {
            *resume = Some(Resume::End);
        }
    }

    /// Opens what is to be written; `ranged` if the request names a range already.
    pub(super) fn begin(&self, ranged: bool) -> Result<Begun, Failure> {
        let mut fields = HeaderMap::new();
        let (into, from) = match self {
            Self::Nowhere => (Into::Nothing, 0),
            Self::Print(from) => (Into::Output, from.unwrap_or(0)),
            Self::Save { path, resume } => {
                let part = Part::open(path, *resume)?;
                let from = part.len();
                if let Some(validator) = part.validator().filter(|_| from > 0) {
                    fields.insert(IF_RANGE, validator);
                }
                (Into::Part(part), from)
            }
        };
        if from > 0 {
            let range = format!("bytes={from}-");
            fields.insert(RANGE, range.try_into().expect("digits are a field's value"));
        }
        Ok(Begun { into, from, fields, ranged })
    }
}

/// The last name in a URL's path.
fn remote_name(url: &str) -> Result<PathBuf, Failure> {
    let wrong = |what: &str| Failure::new(Code::Usage, format!("-O: {what}; say one by -o FILE"));
    let url = Url::parse(url).map_err(|_| wrong("no URL to take a name from"))?;
    let last = url.path().rsplit('/').next().unwrap_or_default();
    let name = percent_decode_str(last)
        .decode_utf8()
        .map_err(|_| wrong("the URL's last name is not UTF-8"))?;
    let odd = |c: char| c == '/' || c.is_control();
    if name.is_empty() || name == "." || name == ".." || name.contains(odd) {
        return Err(wrong("the URL's path ends in no name for a file"));
    }
    Ok(Path::new(&*name).to_owned())
}

/// What is written to.
#[derive(Debug)]
enum Into {
    Nothing,
    Output,
    Part(Part),
}

/// An attempt.
#[derive(Debug)]
pub(super) struct Begun {
    into: Into,
    from: u64,
    fields: HeaderMap,
    /// The caller asks for a range by a field of their own.
    ranged: bool,
}

/// Why an attempt failed, and whether that may pass.
type Failed = (Failure, bool);

impl Begun {
    /// What the request says of it.
    pub(super) fn fields(&self) -> HeaderMap {
        self.fields.clone()
    }

    /// Whether the answer says that there is nothing behind what we have.
    pub(super) fn is_whole_already(&self, response: &Response<Received>) -> bool {
        let unsatisfied = format!("bytes */{}", self.from);
        let said = response.headers().get(CONTENT_RANGE);
        response.status() == StatusCode::RANGE_NOT_SATISFIABLE
            && self.from > 0
            && matches!(self.into, Into::Part(_))
            && said.is_some_and(|said| *said == *unsatisfied)
    }

    /// It is whole.
    pub(super) fn keep(self) -> Result<(), Failure> {
        match self.into {
            Into::Part(part) => part.keep(),
            Into::Nothing | Into::Output => Ok(()),
        }
    }

    /// Writes the content of a successful answer.
    pub(super) async fn take(
        mut self,
        response: Response<Received>,
        bar: bool,
    ) -> Result<(), Failed> {
        let (head, mut content) = response.into_parts();
        let lasting = |failure| (failure, false);
        self.check(head.status, &head.headers, &content).map_err(lasting)?;
        let bar = match &self.into {
            Into::Part(_) if bar => progress(self.from, content.missing()),
            _ => ProgressBar::hidden(),
        };
        // What has gone to a pipe or a device cannot be taken back.
        let lasts = matches!(&self.into, Into::Part(part) if part.is_regular());
        let mut printed = false;
        loop {
            let data = match content.next().await {
                Ok(Some(data)) => data,
                Ok(None) => break,
                Err(error) => {
                    bar.abandon();
                    let failure = failure_of(&error);
                    let passing = (error.is_cut() || error.is_timeout()) && !printed;
                    return Err((self.left(failure), passing));
                }
            };
            bar.inc(data.len() as u64);
            match &mut self.into {
                Into::Nothing => {}
                Into::Output if !print(&data).map_err(lasting)? => return Ok(()),
                Into::Output => printed = true,
                Into::Part(part) => {
                    printed = !lasts;
                    if let Err(failure) = part.write(&data) {
                        bar.abandon();
                        return Err(lasting(self.left(failure)));
                    }
                }
            }
        }
        bar.finish();
        self.keep().map_err(lasting)
    }

    /// Whether the answer is to what was asked: from the byte on that was named, or from the first.
    fn check(
        &mut self,
        status: StatusCode,
        fields: &HeaderMap,
        content: &Received,
    ) -> Result<(), Failure> {
        let url = content.url();
        let partial = status == StatusCode::PARTIAL_CONTENT && self.fields.contains_key(RANGE);
        if partial && !is_the_rest(fields, self.from) {
            let what = format!("{url}: the server sends another range than was asked for");
            return Err(Failure::new(Code::Protocol, what));
        }
        if status == StatusCode::PARTIAL_CONTENT && !partial && !self.ranged {
            let what = format!("{url}: the server sends a part of it, and was asked for all");
            return Err(Failure::new(Code::Protocol, what));
        }
        match &mut self.into {
            Into::Output if self.from > 0 && !partial => {
                let what = format!("{url}: the server does not send a part of it; leave out -C");
                Err(Failure::new(Code::Protocol, what))
            }
            Into::Part(part) if !partial => {
                if self.from > 0 {
                    say("it is sent from the beginning: it has changed, or cannot be resumed");
                }
                self.from = 0;
                part.restart(validator(fields).as_ref())
            }
            _ => Ok(()),
        }
    }

    /// Nothing comes.
    pub(super) fn discard(self) {
        if let Into::Part(part) = self.into {
            let _ = part.leave();
        }
    }

    /// The failure, with what is left of it.
    pub(super) fn left(self, failure: Failure) -> Failure {
        match self.into {
            Into::Part(part) => match part.leave() {
                Some(help) => Failure::new(failure.code(), format!("{failure}; {help}")),
                None => failure,
            },
            Into::Nothing | Into::Output => failure,
        }
    }
}

/// Prints; returns whether anybody still reads.
fn print(data: &[u8]) -> Result<bool, Failure> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(data).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(Code::Io, format!("cannot write the output: {error}"))),
        Ok(()) => Ok(true),
    }
}

/// Whether `Content-Range: bytes FIRST-LAST/LENGTH` goes from this byte to the end: a server may send
/// less than it was asked for (RFC 9110 §15.3.7), and that would not be a whole file.
fn is_the_rest(fields: &HeaderMap, from: u64) -> bool {
    let parse = || {
        let range = fields.get(CONTENT_RANGE)?.to_str().ok()?;
        let (first, rest) = range.strip_prefix("bytes ")?.split_once('-')?;
        let (last, length) = rest.split_once('/')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        let ends = length == "*" || last.checked_add(1) == length.parse().ok();
        Some(first == from && ends)
    };
    parse().unwrap_or(false)
}

/// What tells this version from others for certain (RFC 9110 §13.1.5): a strong entity tag, or a date
/// that the thing has not been changed since (§8.8.2.2).
fn validator(fields: &HeaderMap) -> Option<HeaderValue> {
    if let Some(tag) = fields.get(ETAG) {
        return tag.as_bytes().starts_with(b"\"").then(|| tag.clone());
    }
    let modified = fields.get(LAST_MODIFIED)?;
    let time = |value: &HeaderValue| httpdate::parse_http_date(value.to_str().ok()?).ok();
    let since = time(fields.get(DATE)?)?.duration_since(time(modified)?).ok()?;
    (since >= Duration::from_secs(1)).then(|| modified.clone())
}

/// A bar on standard error, from what there is to what there will be.
fn progress(from: u64, missing: Option<u64>) -> ProgressBar {
    let (bar, template) = match missing {
        Some(missing) => (
            ProgressBar::new(from + missing),
            "{percent:>3}% {wide_bar} {binary_bytes} of {binary_total_bytes}, \
             {binary_bytes_per_sec}, {eta}",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {binary_bytes}, {binary_bytes_per_sec}"),
    };
    let style = ProgressStyle::with_template(template).expect("a template that is tested");
    let bar = bar.with_style(style).with_position(from);
    bar.reset_eta();
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (url, name) in [
            ("http://a/b/c.iso?x#y", Some("c.iso")),
            ("http://a/b%20c", Some("b c")),
            ("http://a/", None),
            ("http://a/b/", None),
            ("http://a/..%2fb", None),
            ("http://a/%2e%2e", None),
            ("http://a/%ff", None),
            ("http://a/x%00", None),
        ] {
            let found = remote_name(url).ok();
            assert_eq!(found.as_deref(), name.map(Path::new), "{url}");
        }
    }

    #[test]
    fn rests() {
        for (said, from, expected) in [
            ("bytes 5-8/9", 5, true),
            ("bytes 5-8/*", 5, true),
            ("bytes 4-8/9", 5, false),
            ("bytes 5-7/9", 5, false),
            ("bytes 5-18446744073709551615/9", 5, false),
            ("bytes */9", 5, false),
            ("5-8/9", 5, false),
        ] {
            let value = HeaderValue::from_str(said).expect("a value");
            let fields = HeaderMap::from_iter([(CONTENT_RANGE, value)]);
            assert_eq!(is_the_rest(&fields, from), expected, "{said}");
        }
        assert!(!is_the_rest(&HeaderMap::new(), 0));
    }

    #[test]
    fn validators() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let later = "Sun, 06 Nov 1994 08:49:38 GMT";
        for (said, expected) in [
            (&[(ETAG, "\"x\"")][..], Some("\"x\"")),
            (&[(ETAG, "W/\"x\""), (LAST_MODIFIED, date), (DATE, later)], None),
            (&[(LAST_MODIFIED, date), (DATE, later)], Some(date)),
            (&[(LAST_MODIFIED, date), (DATE, date)], None),
            (&[(LAST_MODIFIED, date)], None),
            (&[], None),
        ] {
            let field = |(name, value): &(http::HeaderName, &str)| {
                (name.clone(), HeaderValue::from_str(value).expect("a value"))
            };
            let fields: HeaderMap = said.iter().map(field).collect();
            let found = validator(&fields);
            assert_eq!(found.as_ref().map(HeaderValue::as_bytes), expected.map(str::as_bytes));
        }
    }

    #[test]
    fn bars_can_be_drawn() {
        progress(10, Some(90)).abandon();
        progress(0, None).abandon();
    }
}
