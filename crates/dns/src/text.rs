//! The presentation form of data (RFC 1035 §5.1, RFC 3597 §5), both ways.

pub(crate) mod lex;
mod moment;
mod numbers;
mod print;
mod scan;
mod special;

use crate::error::{TextError, TextFault};
use crate::types::{NameRef, Type};

pub(crate) use lex::{Span, Words};
pub(crate) use numbers::period;
pub(crate) use print::rdata as print_rdata;
pub(crate) use scan::{Scratch, scan};

/// Reads data that stands alone in a line.
pub(crate) fn scan_line(
    rtype: Type,
    line: &[u8],
    origin: Option<NameRef<'_>>,
    out: &mut Vec<u8>,
) -> Result<(), TextError> {
    let mut spans = Vec::new();
    let cut = lex::cut(line, &mut spans);
    let column = |at: usize| at + 1;
    cut.map_err(|(fault, at)| TextError { fault, column: column(at) })?;
    let mut words = Words::new(line, &spans);
    scan(rtype, &mut words, origin, &mut Scratch::default(), out)
        .and_then(|()| words.finish())
        .map_err(|fault| TextError { fault, column: column(words.at()) })
}

/// The result of reading a text.
pub(crate) type Scanned<T> = Result<T, TextFault>;
