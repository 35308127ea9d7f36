//! Words of an entry: what is between blanks, or in quotes.

use crate::error::TextFault;

/// Where a word is in its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) quoted: bool,
}

/// What a byte is to the lexer.
const PLAIN: u8 = 0;
const BLANK: u8 = 1;
const SPECIAL: u8 = 2;

const fn classes() -> [u8; 256] {
    let mut classes = [PLAIN; 256];
    let (mut at, blanks, specials) = (0, b" \t\r\n", b"\"();\\");
    while at < blanks.len() {
        classes[blanks[at] as usize] = BLANK;
        at += 1;
    }
    at = 0;
    while at < specials.len() {
        classes[specials[at] as usize] = SPECIAL;
        at += 1;
    }
    classes
}

static CLASS: [u8; 256] = classes();

/// Cuts a whole entry into words. Comments and parentheses are left out. The error says where.
pub(crate) fn cut(entry: &[u8], spans: &mut Vec<Span>) -> Result<(), (TextFault, usize)> {
    let mut at = 0;
    // How many are open, and where the first is.
    let mut open: Option<(u32, usize)> = None;
    while let Some(&byte) = entry.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            b';' => at = memchr::memchr(b'\n', &entry[at..]).map_or(entry.len(), |end| at + end),
            b'(' => {
                // RFC 1035 §5.1 does not nest them; BIND does, and NSD.
                open = Some(open.map_or((1, at), |(depth, start)| (depth + 1, start)));
                at += 1;
            }
            b')' => {
                open = match open {
                    None => return Err((TextFault::Closing, at)),
                    Some((1, _)) => None,
                    Some((depth, start)) => Some((depth - 1, start)),
                };
                at += 1;
            }
            b'"' => {
                let end = quoted(entry, at + 1).ok_or((TextFault::Quote, at))?;
                spans.push(span(at + 1, end, true));
                at = end + 1;
            }
            _ => {
                let end = word(entry, at);
                spans.push(span(at, end, false));
                at = end;
            }
        }
    }
    open.map_or(Ok(()), |(_, start)| Err((TextFault::Parenthesis, start)))
}

fn span(start: usize, end: usize, quoted: bool) -> Span {
    // Entries are far below 4 GiB.
    Span { start: start as u32, end: end as u32, quoted }
}

/// The end of a word that begins at `at`.
fn word(entry: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = entry.get(at) {
        match CLASS[usize::from(byte)] {
            PLAIN => at += 1,
            _ if byte == b'\\' => at += 2,
            _ => break,
        }
    }
    at.min(entry.len())
}

/// Where the quote ends whose text begins at `at`.
fn quoted(entry: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match entry.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// How far an entry goes that begins here, if its end is known: to behind the line's end that is
/// neither in parentheses nor in quotes. The state goes on where more text is added.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ending {
    /// How far it was looked.
    at: usize,
    depth: u32,
    quoted: bool,
}

impl Ending {
    /// Goes on over `text`, which begins with the entry; `last` when nothing will be added.
    pub(crate) fn find(&mut self, text: &[u8], last: bool) -> Option<usize> {
        if self.at == 0 {
            // Most entries are a line without anything special.
            let line = memchr::memchr(b'\n', text);
            let head = line.map_or(text, |end| &text[..end]);
            if memchr::memchr3(b'(', b'"', b'\\', head).is_none() && (line.is_some() || last) {
                return Some(line.map_or(text.len(), |end| end + 1));
            }
        }
        while let Some(&byte) = text.get(self.at) {
            match byte {
                b'\\' if text.len() - self.at < 2 => break,
                b'\\' => self.at += 1,
                b'"' => self.quoted = !self.quoted,
                // A quote ends with its entry, or an error is told there: else one missing would take
                // all the rest of the file.
                b'\n' if self.quoted => return Some(self.at + 1),
                _ if self.quoted => {}
                b'(' => self.depth += 1,
                b')' => self.depth = self.depth.saturating_sub(1),
                b'\n' if self.depth == 0 => return Some(self.at + 1),
                b';' => match memchr::memchr(b'\n', &text[self.at..]) {
                    // The line's end is looked at next.
                    Some(end) => self.at += end - 1,
                    None => break,
                },
                _ => {}
            }
            self.at += 1;
        }
        last.then_some(text.len())
    }
}

/// The words of an entry, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Words<'a> {
    entry: &'a [u8],
    spans: &'a [Span],
    next: usize,
}

/// A word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) quoted: bool,
    /// Where it begins in its entry, its quote included.
    start: usize,
}

impl<'a> Word<'a> {
    /// A word that stands in no entry.
    pub(crate) fn bare(text: &'a [u8]) -> Self {
        Self { text, quoted: false, start: 0 }
    }

    /// Whether it begins where a word without quotes ends.
    pub(crate) fn follows(&self, before: Self) -> bool {
        self.start == before.start + before.text.len()
    }
}

impl<'a> Words<'a> {
    pub(crate) fn new(entry: &'a [u8], spans: &'a [Span]) -> Self {
        Self { entry, spans, next: 0 }
    }

    /// The next word, without going on.
    pub(crate) fn peek(&self) -> Option<Word<'a>> {
        self.nth(self.next)
    }

    /// The word with this number, from 0.
    pub(crate) fn nth(&self, index: usize) -> Option<Word<'a>> {
        let span = self.spans.get(index)?;
        let text = self.entry.get(span.start as usize..span.end as usize)?;
        Some(Word {
            text,
            quoted: span.quoted,
            start: span.start as usize - usize::from(span.quoted),
        })
    }

    /// The next word.
    pub(crate) fn next(&mut self) -> Result<Word<'a>, TextFault> {
        let word = self.peek().ok_or(TextFault::Missing);
        // Beyond the last, so that an error is told behind it.
        self.next += 1;
        word
    }

    /// The next word, if there is one.
    pub(crate) fn more(&mut self) -> Option<Word<'a>> {
        let word = self.peek()?;
        self.next += 1;
        Some(word)
    }

    /// Whether none is left.
    pub(crate) fn is_done(&self) -> bool {
        self.next >= self.spans.len()
    }

    /// Wants that none is left.
    pub(crate) fn finish(&mut self) -> Result<(), TextFault> {
        match self.more() {
            None => Ok(()),
            Some(_) => Err(TextFault::Surplus),
        }
    }

    /// Where the last word that was taken begins in the entry, or where the entry ends when there was
    /// none.
    pub(crate) fn at(&self) -> usize {
        match self.spans.get(self.next.saturating_sub(1)) {
            Some(span) => span.start as usize - usize::from(span.quoted),
            None => self.entry.trim_ascii_end().len(),
        }
    }

    /// Where the first word begins.
    pub(crate) fn at_first(&self) -> usize {
        self.spans.first().map_or(0, |span| span.start as usize - usize::from(span.quoted))
    }

    /// How many words were taken.
    pub(crate) fn taken(&self) -> usize {
        self.next
    }

    /// Goes back to where so many were taken.
    pub(crate) fn back_to(&mut self, taken: usize) {
        self.next = taken;
    }
}
