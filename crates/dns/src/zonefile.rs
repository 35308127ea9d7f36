//! Zone files (RFC 1035 §5, RFC 2308 §4, RFC 3597 §5), read as a stream and written.
//!
//! ```text
//!   Read ─▶ entries (to the line's end outside of parentheses) ─▶ words ─▶ a record or a directive
//!             ▲                                                               │
//!             └────────── Include::open, for $INCLUDE ◀───────────────────────┘
//! ```
//!
//! A [`Parser`] holds one entry at a time and allocates nothing for a record; what it gives out borrows
//! from it. It opens no files: an [`Include`] does, or refuses to.
//!
//! ```
//! use ropewalk_dns::zonefile::Parser;
//! use ropewalk_dns::Name;
//!
//! let text = "$TTL 1h\n@ IN SOA ns hostmaster 1 1d 2h 4w 5m\n  NS ns\nns A 192.0.2.1\n";
//! let origin: Name = "example.org".parse()?;
//! let mut parser = Parser::new("example.zone", text.as_bytes(), origin.borrowed());
//! let mut owners = Vec::new();
//! while let Some(entry) = parser.next()? {
//!     owners.push(format!("{} {} {}", entry.name, entry.ttl, entry.rtype));
//! }
//! assert_eq!(owners, ["example.org. 3600 SOA", "example.org. 3600 NS", "ns.example.org. 3600 A"]);
//! # Ok::<(), ropewalk_dns::Error>(())
//! ```

#[cfg(feature = "io")]
mod folder;
mod generate;
mod source;

use std::io::{self, Read};

use crate::error::{TextError, TextFault, ZoneFault, ZoneFileCause, ZoneFileError};
use crate::text::{Scratch, Span, Words, lex, period, scan};
use crate::types::{Class, Name, NameBuf, NameRef, Rdata, Record, Ttl, Type};

#[cfg(feature = "io")]
pub use folder::Folder;

use generate::Generate;
use source::Source;

/// How deep files may include each other.
pub const MAX_DEPTH: usize = 16;

/// The longest entry, in bytes: the longest data, each byte written as an escape, and some more.
pub const MAX_ENTRY: usize = 1 << 20;

/// Opens the files that `$INCLUDE` names.
pub trait Include {
    /// Opens `path`, as it is written in the file `from`.
    ///
    /// # Errors
    /// When it may or can not be read. The error is told with the place of the directive.
    fn open(&mut self, path: &str, from: &str) -> io::Result<Box<dyn Read>>;
}

/// Includes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

impl Include for Nothing {
    fn open(&mut self, _path: &str, _from: &str) -> io::Result<Box<dyn Read>> {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "$INCLUDE is not allowed here"))
    }
}

/// A record as it stands in a file. It borrows from the parser.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Entry<'p> {
    /// Whose it is.
    pub name: NameRef<'p>,
    /// The class.
    pub class: Class,
    /// How long it may be kept.
    pub ttl: Ttl,
    /// The type.
    pub rtype: Type,
    /// The data, right for the type, not compressed.
    pub data: &'p [u8],
}

impl Entry<'_> {
    /// An owned copy.
    #[must_use]
    pub fn to_record(&self) -> Record {
        Record {
            name: self.name.to_name(),
            class: self.class,
            ttl: self.ttl,
            data: Rdata::trusted(self.rtype, self.data.into()),
        }
    }
}

/// Reads a zone file.
pub struct Parser<'r> {
    /// The file that is read, on top of those that include it.
    sources: Vec<Source<'r>>,
    include: Box<dyn Include + 'r>,
    class: Class,
    state: State,
    spans: Vec<Span>,
    generate: Option<Generate>,
    /// Where the last record came from.
    place: Place,
}

/// What one entry leaves for the next.
struct State {
    origin: Option<Name>,
    owner: NameBuf,
    has_owner: bool,
    /// Of `$TTL`.
    default_ttl: Option<Ttl>,
    /// Of the last record that said it.
    last_ttl: Option<Ttl>,
    /// The class that records must have, if they say one.
    class: Class,
    rtype: Type,
    ttl: Ttl,
    data: Vec<u8>,
    scratch: Scratch,
}

/// Where something stands.
#[derive(Debug, Clone, Default)]
struct Place {
    line: u64,
    column: usize,
}

impl std::fmt::Debug for Parser<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parser").field("place", &self.place).finish_non_exhaustive()
    }
}

impl<'r> Parser<'r> {
    /// Reads `input`, which errors name `file`. Relative names are completed by `origin` until the file
    /// says another.
    pub fn new(file: &str, input: impl Read + 'r, origin: NameRef<'_>) -> Self {
        Self {
            sources: vec![Source::new(file, Box::new(input))],
            include: Box::new(Nothing),
            class: Class::IN,
            state: State::new(Some(origin)),
            spans: Vec::new(),
            generate: None,
            place: Place::default(),
        }
    }

    /// Opens included files by this.
    #[must_use]
    pub fn include(mut self, include: impl Include + 'r) -> Self {
        self.include = Box::new(include);
        self
    }

    /// The class of the zone; records that say another are errors.
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.class = class;
        self.state.class = class;
        self
    }

    /// The next record.
    ///
    /// # Errors
    /// When the file cannot be read or is not a zone file. The parser goes on behind the entry if it is
    /// asked again, so that all errors of a file can be told.
    #[allow(clippy::should_implement_trait, reason = "what it gives borrows from it")]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>, ZoneFileError> {
        while !self.step()? {
            if self.sources.is_empty() {
                return Ok(None);
            }
        }
        let State { owner, ttl, rtype, data, .. } = &self.state;
        let (name, class) = (owner.borrowed(), self.class);
        Ok(Some(Entry { name, class, ttl: *ttl, rtype: *rtype, data }))
    }

    /// The error that what [`next`](Self::next) gave last is no part of the zone, with its place.
    #[must_use]
    pub fn refuse(&self, fault: ZoneFault) -> ZoneFileError {
        let file = self.sources.last().map(|source| source.file.clone()).unwrap_or_default();
        let Place { line, column } = self.place;
        ZoneFileError { file, line, column, cause: ZoneFileCause::Zone(fault) }
    }

    /// Goes through one entry; whether a record came of it.
    fn step(&mut self) -> Result<bool, ZoneFileError> {
        if let Some(generate) = &mut self.generate {
            match generate.next(&mut self.state, &mut self.spans) {
                Ok(true) => return Ok(true),
                Ok(false) => self.generate = None,
                Err(fault) => {
                    self.generate = None;
                    return Err(self.error_at(fault));
                }
            }
        }
        let Some(source) = self.sources.last_mut() else { return Ok(false) };
        let Some(entry) = source.next()? else {
            let ended = self.sources.pop();
            if let Some(after) = ended.and_then(|source| source.after) {
                (self.state.origin, self.state.owner, self.state.has_owner) = after;
            }
            return Ok(false);
        };
        let outcome = self.state.entry(entry, &mut self.spans);
        let (place, outcome) = (source.place(outcome.at), outcome.result);
        source.consume();
        self.place = place;
        match outcome.map_err(|fault| self.error_at(fault))? {
            Step::Nothing => Ok(false),
            Step::Record => Ok(true),
            Step::Generate(generate) => {
                self.generate = Some(generate);
                Ok(false)
            }
            Step::Include(path, origin) => self.open(&path, origin).map(|()| false),
        }
    }

    /// Begins to read an included file.
    fn open(&mut self, path: &str, origin: Option<Name>) -> Result<(), ZoneFileError> {
        if self.sources.len() >= MAX_DEPTH {
            return Err(self.error_at(TextFault::IncludeDepth(MAX_DEPTH)));
        }
        let from = self.sources.last().map(|source| source.file.clone()).unwrap_or_default();
        let input = self.include.open(path, &from).map_err(|error| {
            let Place { line, column } = self.place;
            let error = io::Error::new(error.kind(), format!("{path}: {error}"));
            ZoneFileError { file: from, line, column, cause: ZoneFileCause::Io(error) }
        })?;
        let mut source = Source::new(path, input);
        let before = (self.state.origin.clone(), self.state.owner.clone(), self.state.has_owner);
        source.after = Some(before);
        if origin.is_some() {
            self.state.origin = origin;
        }
        self.sources.push(source);
        Ok(())
    }

    fn error_at(&self, fault: TextFault) -> ZoneFileError {
        let file = self.sources.last().map(|source| source.file.clone()).unwrap_or_default();
        let Place { line, column } = self.place;
        ZoneFileError { file, line, column, cause: ZoneFileCause::Text(fault) }
    }
}

/// What an entry is.
enum Step {
    Nothing,
    Record,
    Generate(Generate),
    Include(String, Option<Name>),
}

/// What became of an entry, and the word that decided it.
struct Outcome {
    result: Result<Step, TextFault>,
    at: usize,
}

impl State {
    fn new(origin: Option<NameRef<'_>>) -> Self {
        Self {
            origin: origin.map(NameRef::to_name),
            owner: NameBuf::new(),
            has_owner: false,
            default_ttl: None,
            last_ttl: None,
            class: Class::IN,
            rtype: Type::A,
            ttl: Ttl::default(),
            data: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Goes through an entry.
    fn entry(&mut self, entry: &[u8], spans: &mut Vec<Span>) -> Outcome {
        spans.clear();
        if let Err((fault, at)) = lex::cut(entry, spans) {
            return Outcome { result: Err(fault), at };
        }
        let mut words = Words::new(entry, spans);
        let Some(first) = words.peek() else {
            return Outcome { result: Ok(Step::Nothing), at: 0 };
        };
        let indented = matches!(entry.first(), Some(b' ' | b'\t'));
        let result = match first.text.first() {
            Some(b'$') if !indented && !first.quoted => self.directive(&mut words),
            _ => self.record(&mut words, indented).map(|()| Step::Record),
        };
        let at = if result.is_ok() { words.at_first() } else { words.at() };
        Outcome { result, at }
    }

    fn directive(&mut self, words: &mut Words<'_>) -> Result<Step, TextFault> {
        let word = words.next()?.text;
        let origin = self.origin.as_ref().map(Name::borrowed);
        if word.eq_ignore_ascii_case(b"$ORIGIN") {
            const FORM: TextFault = TextFault::Arguments("$ORIGIN NAME");
            let mut name = NameBuf::new();
            name.set_text(words.next().map_err(|_| FORM)?.text, origin)?;
            words.finish().map_err(|_| FORM)?;
            self.origin = Some(name.borrowed().to_name());
            return Ok(Step::Nothing);
        }
        if word.eq_ignore_ascii_case(b"$TTL") {
            const FORM: TextFault = TextFault::Arguments("$TTL SECONDS");
            self.default_ttl = Some(ttl(words.next().map_err(|_| FORM)?.text)?);
            words.finish().map_err(|_| FORM)?;
            return Ok(Step::Nothing);
        }
        if word.eq_ignore_ascii_case(b"$INCLUDE") {
            const FORM: TextFault = TextFault::Arguments("$INCLUDE FILE [ORIGIN]");
            let path = std::str::from_utf8(words.next().map_err(|_| FORM)?.text);
            let path = path.map_err(|_| TextFault::Include)?.to_owned();
            let named = words.more().map(|word| {
                let mut name = NameBuf::new();
                name.set_text(word.text, origin).map(|()| name.borrowed().to_name())
            });
            words.finish().map_err(|_| FORM)?;
            return Ok(Step::Include(path, named.transpose()?));
        }
        if word.eq_ignore_ascii_case(b"$GENERATE") {
            return Generate::new(words).map(Step::Generate);
        }
        Err(TextFault::Directive)
    }

    /// `[name] [TTL] [class] type data`, the class also before the TTL.
    fn record(&mut self, words: &mut Words<'_>, indented: bool) -> Result<(), TextFault> {
        if indented {
            if !self.has_owner {
                return Err(TextFault::NoOwner);
            }
        } else {
            let origin = self.origin.as_ref().map(Name::borrowed);
            let text = words.next()?.text;
            // An owner that cannot be read is none for the next entry either.
            self.has_owner = false;
            self.owner.set_text(text, origin)?;
            self.has_owner = true;
        }
        let (mut time, mut class) = (None, None);
        let rtype = loop {
            let word = words.next()?.text;
            if word.first().is_some_and(u8::is_ascii_digit) && time.is_none() {
                time = Some(ttl(word)?);
            } else if class.is_none() && is_class(word) {
                class = Class::from_word(word);
            } else {
                break Type::from_word(word).ok_or(TextFault::Type)?;
            }
        };
        if let Some(class) = class
            && class != self.class
        {
            return Err(TextFault::Class(class, self.class));
        }
        if rtype.is_meta() {
            return Err(TextFault::MetaType);
        }
        self.rtype = rtype;
        self.data.clear();
        let origin = self.origin.as_ref().map(Name::borrowed);
        scan(rtype, words, origin, &mut self.scratch, &mut self.data)?;
        words.finish()?;
        self.ttl = self.life(time)?;
        Ok(())
    }

    /// The time to live: said here, or by `$TTL` (RFC 2308 §4), or by the record before (RFC 1035
    /// §5.1); an SOA record that has none of these lives as long as its minimum, as it does with BIND.
    fn life(&mut self, said: Option<Ttl>) -> Result<Ttl, TextFault> {
        if said.is_some() {
            self.last_ttl = said;
        }
        let minimum = || match (self.rtype, self.data.last_chunk()) {
            (Type::SOA, Some(minimum)) => Some(Ttl::new(u32::from_be_bytes(*minimum))),
            _ => None,
        };
        let life = said.or(self.default_ttl).or(self.last_ttl).or_else(minimum);
        self.last_ttl = self.last_ttl.or(life);
        life.ok_or(TextFault::NoTtl)
    }
}

/// A time to live as a text has it.
fn ttl(text: &[u8]) -> Result<Ttl, TextFault> {
    let most = Ttl::MAX.seconds();
    period(text, most).map(Ttl::new).ok_or(TextFault::Period(most))
}

fn is_class(word: &[u8]) -> bool {
    matches!(word.len(), 2 | 3 | 6..=10)
        && Class::from_word(word).is_some_and(|_| {
            // ANY and NONE are also no classes of data; ANY is a type as well.
            !word.eq_ignore_ascii_case(b"ANY")
        })
}

/// Reads one record of a line that has a name, a time to live, perhaps a class, a type and data.
pub(crate) fn one_record(line: &str) -> Result<Record, TextError> {
    let mut spans = Vec::new();
    let error = |(fault, at): (TextFault, usize)| TextError { fault, column: at + 1 };
    lex::cut(line.as_bytes(), &mut spans).map_err(error)?;
    let mut words = Words::new(line.as_bytes(), &spans);
    let mut state = State::new(Some(NameRef::ROOT));
    // Whatever class it says is its own.
    let said = (1..4)
        .filter_map(|at| words.nth(at))
        .find_map(|word| is_class(word.text).then(|| Class::from_word(word.text)).flatten());
    state.class = said.unwrap_or(Class::IN);
    state.record(&mut words, false).map_err(|fault| error((fault, words.at())))?;
    Ok(Record {
        name: state.owner.borrowed().to_name(),
        class: state.class,
        ttl: state.ttl,
        data: Rdata::trusted(state.rtype, state.data.into()),
    })
}

/// Reads all records of a text.
///
/// # Errors
/// At the first thing that is wrong.
pub fn records(file: &str, text: &[u8], origin: NameRef<'_>) -> Result<Vec<Record>, ZoneFileError> {
    let mut parser = Parser::new(file, text, origin);
    let mut records = Vec::new();
    while let Some(entry) = parser.next()? {
        records.push(entry.to_record());
    }
    Ok(records)
}
