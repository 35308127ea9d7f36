//! What a client says: which form its target takes, which framing its request gets, which fields
//! it needs.

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::{Method, Request, Uri, Version};
use ropewalk_core::Output;

use super::{Asked, Client, ClientOut, Ending};
use crate::emit;
use crate::error::{Error, Misuse, Result};
use crate::parse;
use crate::session::fields::{Declared, declared};
use crate::session::writer::{Framing, Writer};
use crate::types::{BodyLength, Outgoing};

impl Client {
    /// Says one item, or refuses it.
    pub(super) fn ask(&mut self, item: ClientOut, output: &mut Output) -> Result<()> {
        if matches!(self.end, Ending::Over | Ending::Switched) {
            return Err(Error::Misuse(Misuse::Over));
        }
        let said = match (item, &mut self.writing) {
            (Outgoing::Head(request), None) => self.head(&request, output),
            (Outgoing::Whole(request, data), None) => self.whole(&request, data, output),
            (Outgoing::Data(data), Some(writer)) => writer.data(data, output),
            (Outgoing::File(region), Some(writer)) => writer.file(region, output),
            (Outgoing::Trailers(fields), Some(writer)) => writer.trailers(fields),
            (Outgoing::End, Some(writer)) => writer.end(output).map(|()| self.writing = None),
            _ => Err(Error::Misuse(Misuse::Order)),
        };
        if let Err(Error::Misuse(Misuse::TooMuch | Misuse::TooLittle)) = said {
            // The message can no longer be what was declared: it must not look whole.
            self.end = Ending::Over;
        }
        said
    }

    /// Says a request whose content is at hand.
    fn whole(
        &mut self,
        request: &Request<BodyLength>,
        data: Bytes,
        output: &mut Output,
    ) -> Result<()> {
        if !request.body().admits(data.len()) {
            return Err(Error::Misuse(Misuse::Framing));
        }
        self.head(request, output)?;
        if let Some(mut writer) = self.writing.take() {
            writer.data(data, output)?;
            writer.end(output)?;
        }
        Ok(())
    }

    /// A request's head.
    fn head(&mut self, request: &Request<BodyLength>, output: &mut Output) -> Result<()> {
        let line = Line {
            method: request.method(),
            target: request.uri(),
            version: request.version(),
            host: request.uri().authority().map(|authority| authority.as_str().as_bytes()),
        };
        self.say(&line, &[request.headers()], *request.body(), output)
    }

    /// Begins a request that the caller has in parts: as [`Outgoing::Head`], and with less ado.
    /// `fields` are the request's own, and then those for which it has none.
    ///
    /// # Errors
    /// [`Error::Misuse`], as for `Outgoing::Head`.
    #[cfg(feature = "io")]
    pub(crate) fn begin_request(
        &mut self,
        line: &Line<'_>,
        fields: &[&HeaderMap],
        length: BodyLength,
        output: &mut Output,
    ) -> Result<()> {
        if self.writing.is_some() {
            return Err(Error::Misuse(Misuse::Order));
        }
        self.say(line, fields, length, output)
    }

    fn say(
        &mut self,
        line: &Line<'_>,
        fields: &[&HeaderMap],
        length: BodyLength,
        output: &mut Output,
    ) -> Result<()> {
        if self.end != Ending::Kept {
            return Err(Error::Misuse(Misuse::Over));
        }
        if self.under_way.len() >= self.limits.pipeline {
            return Err(Error::Misuse(Misuse::Pipeline));
        }
        // What follows a request for another protocol may be that protocol's already.
        if self.under_way.iter().any(|asked| asked.connect || asked.upgrade) {
            return Err(Error::Misuse(Misuse::Order));
        }
        let own = fields.first().copied();
        let declared = own.map(declared).transpose()?.unwrap_or_default();
        let http10 = line.version == Version::HTTP_10;
        let asked = Asked {
            head: *line.method == Method::HEAD,
            connect: *line.method == Method::CONNECT,
            upgrade: declared.upgrade && !http10,
        };
        let host = line.host(own, &declared)?;
        let framing = line.framing(length, &declared)?;

        output.reserve(256);
        emit::request_line(line.method, line.target, line.version, output);
        if let Some(host) = host {
            output.put(b"host: ");
            output.put(host);
            output.put(emit::CRLF);
        }
        for (at, map) in fields.iter().enumerate() {
            for (name, value) in *map {
                let said = fields[..at].iter().any(|before| before.contains_key(name));
                if *name != header::CONTENT_LENGTH && !said {
                    emit::field(name, value, output);
                }
            }
        }
        match framing {
            Framing::Length(length) if length > 0 || usually_has_content(line.method) => {
                emit::content_length(length, output);
            }
            Framing::Chunked => output.put(b"transfer-encoding: chunked\r\n"),
            _ => {}
        }
        output.put(emit::CRLF);
        if declared.close || http10 && !declared.keep_alive {
            self.end = Ending::LastSent;
        }
        self.under_way.push_back(asked);
        self.writing = Some(Writer::new(framing));
        Ok(())
    }
}

/// What a request begins with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) method: &'a Method,
    pub(crate) target: &'a Uri,
    pub(crate) version: Version,
    /// What `Host` says if the fields do not.
    pub(crate) host: Option<&'a [u8]>,
}

impl<'a> Line<'a> {
    /// The `Host` that must be added (RFC 9112 §3.2), and whether the target is one that its method
    /// may have. Userinfo is refused rather than sent.
    fn host(&self, fields: Option<&HeaderMap>, declared: &Declared) -> Result<Option<&'a [u8]>> {
        let refuse = Err(Error::Misuse(Misuse::Target));
        let bad = |host: &[u8]| !parse::is_host(host);
        let authority = self.target.authority().map(|authority| authority.as_str().as_bytes());
        let given = fields.and_then(|fields| fields.get(header::HOST));
        if !is_target(self.method, self.target)
            || self.host.is_some_and(bad)
            || authority.is_some_and(bad)
            || given.is_some_and(|host| bad(host.as_bytes()))
        {
            return refuse;
        }
        match self.host {
            _ if declared.host => Ok(None),
            Some(host) => Ok(Some(host)),
            None if self.version == Version::HTTP_10 => Ok(None),
            None => refuse,
        }
    }

    /// The framing of a request (RFC 9112 §6.3).
    fn framing(&self, length: BodyLength, fields: &Declared) -> Result<Framing> {
        let length = match length {
            BodyLength::Empty => Some(0),
            BodyLength::Known(length) => Some(length),
            BodyLength::Unknown => None,
        };
        match length {
            _ if *self.method == Method::CONNECT && length != Some(0) => {
                Err(Error::Misuse(Misuse::Framing))
            }
            None if self.version == Version::HTTP_10 => Err(Error::Misuse(Misuse::Version)),
            None if fields.length.is_none() => Ok(Framing::Chunked),
            Some(length) if fields.length.is_none_or(|declared| declared == length) => {
                Ok(Framing::Length(length))
            }
            _ => Err(Error::Misuse(Misuse::Framing)),
        }
    }
}

/// Whether a target goes with its method (RFC 9112 §3.2).
fn is_target(method: &Method, uri: &Uri) -> bool {
    let path = uri.path_and_query().map_or("", |path_and_query| path_and_query.as_str());
    if *method == Method::CONNECT {
        return uri.scheme().is_none() && path.is_empty() && uri.port().is_some();
    }
    if !parse::is_target_text(path.as_bytes()) {
        return false;
    }
    match (uri.scheme(), uri.authority()) {
        (None, None) => path.starts_with('/') || path == "*" && *method == Method::OPTIONS,
        (Some(_), Some(_)) => path.is_empty() || path.starts_with(['/', '?']),
        _ => false,
    }
}

/// Methods for which the absence of content is worth saying (RFC 9110 §8.6).
fn usually_has_content(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}
