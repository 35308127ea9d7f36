//! The grammar of endpoint strings: fields, layers, options, and errors that point into the string.
//!
//! ```text
//! endpoint = *( wrapper ":" ) leaf                 outermost layer first
//! wrapper  = kind *( ":" ( argument / option ) )   a fixed number of arguments, options among them
//! leaf     = [ kind ":" ] *( ( argument / option ) ":" )
//! option   = key "=" value
//! ```
//! A backslash takes the next character literally; between `[` and `]` a colon is just a colon. An
//! option behind a wrapper's name and before the next layer's is that wrapper's; one at the end is
//! the innermost layer's that knows it.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// How many layers an endpoint may have.
pub const MAX_LAYERS: usize = 8;

/// What is wrong with an endpoint string, where, and what to do.
///
/// `{}` is one line; `{:#}` has the string and a line with a caret under the place. Both quote the
/// string as it was given, a password in it included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    source: Arc<str>,
    span: Range<usize>,
    what: String,
    help: String,
}

impl std::error::Error for Error {}

/// Of the kind [`InvalidInput`](io::ErrorKind::InvalidInput), with this inside.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

impl Error {
    /// Where in the string it goes wrong, in bytes from its beginning.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.span.start
    }

    /// The whole string that was parsed.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.source
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.what
    }

    /// What to do.
    #[must_use]
    pub fn help(&self) -> &str {
        &self.help
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, at) = (printable(&self.source), self.span.start);
        if !f.alternate() {
            return write!(f, "{} at byte {at} of `{text}`: {}", self.what, self.help);
        }
        let before = self.source.get(..at).unwrap_or_default().chars().count();
        let under = self.source.get(self.span.clone()).unwrap_or_default().chars().count().max(1);
        writeln!(f, "{}", self.what)?;
        writeln!(f, "  {text}")?;
        writeln!(f, "  {:before$}^{:~<rest$}", "", "", rest = under - 1)?;
        write!(f, "{}", self.help)
    }
}

/// One character for one character, so that the caret stays under its place.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A piece of an endpoint string: an argument, a key or a value, with escapes resolved.
#[derive(Debug, Clone)]
pub struct Argument {
    source: Arc<str>,
    text: String,
    span: Range<usize>,
}

impl Argument {
    /// The text, escapes resolved.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// An error that points here: what is wrong, and what to do.
    pub fn error(&self, what: impl Into<String>, help: impl Into<String>) -> Error {
        Error {
            source: self.source.clone(),
            span: self.span.clone(),
            // Both may quote the string, and must stay one line.
            what: printable(&what.into()),
            help: printable(&help.into()),
        }
    }

    /// Whether nothing in it was escaped: only then can it be the name of a kind.
    fn is_plain(&self) -> bool {
        self.text.len() == self.span.len()
    }
}

/// One layer of an endpoint string: its kind, arguments and options.
#[derive(Debug, Clone)]
pub struct Arguments {
    kind: Argument,
    usage: String,
    positional: Vec<Argument>,
    options: Vec<(Argument, Argument)>,
}

impl Arguments {
    /// The name of the kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind.text
    }

    /// The arguments without a key, in order.
    #[must_use]
    pub fn positional(&self) -> &[Argument] {
        &self.positional
    }

    /// The value of an option, if it was given.
    #[must_use]
    pub fn option(&self, key: &str) -> Option<&Argument> {
        self.options.iter().find(|(name, _)| name.text == key).map(|(_, value)| value)
    }

    /// All options in the order written.
    pub fn options(&self) -> impl Iterator<Item = (&str, &Argument)> {
        self.options.iter().map(|(key, value)| (key.text.as_str(), value))
    }

    /// An error that points at the kind, with the way it is written as the help.
    pub fn error(&self, what: impl Into<String>) -> Error {
        self.kind.error(what, format!("write {}", self.usage))
    }

    /// The only argument there may be.
    pub(super) fn sole(&self, what: &str) -> Result<&Argument, Error> {
        match self.positional.as_slice() {
            [one] if !one.text.is_empty() => Ok(one),
            [] | [_] => Err(self.error(format!("{}: lacks {what}", self.kind()))),
            [_, more, ..] => Err(more.error(
                format!("{}: takes only {what}", self.kind()),
                format!("write {}; a colon inside it is written \\:", self.usage),
            )),
        }
    }
}

/// How a kind of layer is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'a> {
    pub(super) name: &'a str,
    pub(super) usage: &'a str,
    pub(super) keys: &'a [&'a str],
    pub(super) form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Ends the endpoint; checks its arguments itself.
    Leaf,
    /// Ends the endpoint and takes all that follows as it is.
    Rest,
    /// Has this many arguments and another layer behind them.
    Wrapper(usize),
}

/// Splits `text` into its layers, outermost first; the last is the leaf.
pub(super) fn parse(text: &str, shapes: &[Shape<'_>]) -> Result<Vec<Arguments>, Error> {
    let mut parser = Parser { source: text.into(), next: Some(0), shapes };
    let mut layers: Vec<(Arguments, Shape<'_>)> = Vec::new();
    loop {
        let (mut layer, shape) = parser.kind()?;
        if layers.len() == MAX_LAYERS {
            return Err(layer.kind.error(
                format!("more than {MAX_LAYERS} layers"),
                "leave some out: no peer speaks so many",
            ));
        }
        match shape.form {
            Form::Wrapper(count) => parser.wrapper(&mut layer, &shape, count)?,
            Form::Rest => {
                layer.positional.extend(parser.rest());
                layers.push((layer, shape));
                break;
            }
            Form::Leaf => {
                layers.push((layer, shape));
                parser.leaf(&mut layers)?;
                break;
            }
        }
        layers.push((layer, shape));
    }
    Ok(layers.into_iter().map(|(layer, _)| layer).collect())
}

struct Parser<'a> {
    source: Arc<str>,
    /// Where the next field begins; `None` after the last.
    next: Option<usize>,
    shapes: &'a [Shape<'a>],
}

/// What lies between two colons.
struct Field {
    key: Option<Argument>,
    value: Argument,
}

impl<'a> Parser<'a> {
    /// The name of the next layer, or the beginning of an address, which means `tcp:`.
    fn kind(&mut self) -> Result<(Arguments, Shape<'a>), Error> {
        let at = self.next;
        let field =
            self.field()?.filter(|field| field.key.is_some() || !field.value.text.is_empty());
        let Some(Field { key: None, value }) = field else {
            let place = at.unwrap_or(self.source.len());
            return Err(self.argument(String::new(), place..place).error(
                "no endpoint here",
                "name one, for example tcp:8080, tls:443:cert=site.pem or unix:/run/x.sock",
            ));
        };
        let named = self.shapes.iter().find(|shape| value.is_plain() && shape.name == value.text);
        let shape = match named {
            Some(shape) => shape,
            None if is_address(&value.text) => {
                self.next = at; // read again, as the first argument
                self.shapes
                    .iter()
                    .find(|shape| shape.name == "tcp")
                    .ok_or_else(|| self.unknown(&value))?
            }
            None => return Err(self.unknown(&value)),
        };
        let mut kind = value;
        kind.text = shape.name.to_owned();
        let usage = shape.usage.to_owned();
        Ok((Arguments { kind, usage, positional: Vec::new(), options: Vec::new() }, *shape))
    }

    fn unknown(&self, value: &Argument) -> Error {
        let names = self.shapes.iter().map(|shape| shape.name);
        let help = match nearest(&value.text, names) {
            _ if value.text.contains('/') => {
                format!("for a socket's path write unix:{}", value.text)
            }
            Some(name) => format!("did you mean {name}: ?"),
            None => format!("for a host of this name write tcp:{}:PORT", value.text),
        };
        value.error(format!("no kind of endpoint is called `{}`", value.text), help)
    }

    fn wrapper(
        &mut self,
        layer: &mut Arguments,
        shape: &Shape<'_>,
        count: usize,
    ) -> Result<(), Error> {
        loop {
            let at = self.next;
            match self.field()? {
                Some(Field { key: Some(key), value }) => {
                    if !shape.keys.contains(&key.text.as_str()) {
                        return Err(unknown_key(&key, shape.keys.iter().copied(), shape.name));
                    }
                    take_option(layer, key, value)?;
                }
                Some(field) if layer.positional.len() < count => layer.positional.push(field.value),
                None if layer.positional.len() < count => {
                    return Err(layer.error(format!("{}: ends too early", shape.name)));
                }
                _ => {
                    self.next = at;
                    return Ok(());
                }
            }
        }
    }

    /// The arguments of the last of `layers`, and the options of all.
    fn leaf(&mut self, layers: &mut [(Arguments, Shape<'_>)]) -> Result<(), Error> {
        while let Some(Field { key, value }) = self.field()? {
            let Some(key) = key else {
                if let Some((leaf, _)) = layers.last_mut() {
                    leaf.positional.push(value);
                }
                continue;
            };
            let knows =
                |(_, shape): &&mut (Arguments, Shape<'_>)| shape.keys.contains(&key.text.as_str());
            let Some((layer, _)) = layers.iter_mut().rev().find(knows) else {
                let keys = layers.iter().flat_map(|(_, shape)| shape.keys.iter().copied());
                let names: Vec<_> = layers.iter().map(|(_, shape)| shape.name).collect();
                return Err(unknown_key(&key, keys, &names.join(":")));
            };
            take_option(layer, key, value)?;
        }
        Ok(())
    }

    fn rest(&mut self) -> Option<Argument> {
        let at = self.next.take()?;
        Some(self.argument(self.source[at..].to_owned(), at..self.source.len()))
    }

    fn field(&mut self) -> Result<Option<Field>, Error> {
        let Some(start) = self.next else { return Ok(None) };
        let source = self.source.clone();
        let (mut text, mut begin, mut key, mut bracket) = (String::new(), start, None, None);
        let mut chars = source[start..].char_indices().map(|(i, c)| (start + i, c));
        self.next = None;
        let mut end = source.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, literal)) => text.push(literal),
                    None => {
                        return Err(self.argument(String::new(), at..at + 1).error(
                            "a backslash with nothing behind it",
                            "write \\\\ for a backslash",
                        ));
                    }
                },
                ':' if bracket.is_none() => {
                    (self.next, end) = (Some(at + 1), at);
                    break;
                }
                '=' if bracket.is_none() && key.is_none() => {
                    key = Some(self.argument(std::mem::take(&mut text), begin..at));
                    begin = at + 1;
                }
                _ => {
                    match c {
                        '[' => bracket = bracket.or(Some(at)),
                        ']' => bracket = None,
                        _ => {}
                    }
                    text.push(c);
                }
            }
        }
        if let Some(at) = bracket {
            return Err(self.argument(String::new(), at..at + 1).error(
                "a bracket that is not closed",
                "write ] behind the IPv6 address, or \\[ for the character itself",
            ));
        }
        Ok(Some(Field { key, value: self.argument(text, begin..end) }))
    }

    fn argument(&self, text: String, span: Range<usize>) -> Argument {
        Argument { source: self.source.clone(), text, span }
    }
}

fn take_option(layer: &mut Arguments, key: Argument, value: Argument) -> Result<(), Error> {
    if layer.option(&key.text).is_some() {
        let what = format!("`{}` is given twice", key.text);
        return Err(key.error(what, "leave one of them out"));
    }
    layer.options.push((key, value));
    Ok(())
}

fn unknown_key<'k>(
    key: &Argument,
    keys: impl Iterator<Item = &'k str> + Clone,
    layers: &str,
) -> Error {
    let help = match nearest(&key.text, keys.clone()) {
        Some(known) => format!("did you mean {known}= ?"),
        None => {
            let keys: Vec<_> = keys.collect();
            match keys.as_slice() {
                [] => "leave it out, or write \\= if it is no option".to_owned(),
                keys => format!("known are {}; write \\= if it is no option", keys.join(", ")),
            }
        }
    };
    key.error(format!("{layers}: has no option `{}`", key.text), help)
}

/// What can only be an address or a port, so that it needs no `tcp:` before it. A lone word does:
/// it may as well be a kind with a slip in it.
fn is_address(text: &str) -> bool {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let path = text.contains('/');
    digits
        || text == "*"
        || text == "localhost"
        || text.starts_with('[')
        || (text.contains('.') && !path)
}

/// The word within two slips of `given`, or one for a short word.
fn nearest<'w>(given: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let given: Vec<char> = given.chars().take(64).flat_map(char::to_lowercase).collect();
    words
        .map(|word| (distance(&given, word), word))
        .filter(|(slips, word)| {
            *slips <= if word.len() < 4 { 1 } else { 2 } || swapped(&given, word)
        })
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, word)| word)
}

/// Whether the same letters stand in another order: `tpc` for `tcp`.
fn swapped(given: &[char], word: &str) -> bool {
    let (mut ours, mut theirs) = (given.to_vec(), word.chars().collect::<Vec<_>>());
    ours.sort_unstable();
    theirs.sort_unstable();
    ours == theirs
}

/// Levenshtein's distance.
fn distance(given: &[char], word: &str) -> usize {
    let mut row: Vec<usize> = (0..=given.len()).collect();
    for (i, letter) in word.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in given.iter().enumerate() {
            let substituted = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[given.len()]
}
