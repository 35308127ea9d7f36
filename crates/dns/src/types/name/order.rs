//! The canonical order of names (RFC 4034 §6.1): by labels from the right, each as lower-case bytes.

use std::cmp::Ordering;

use super::{MAX_LABELS, NameRef};

/// Where the labels of a name begin. Offsets are below 255.
struct Starts {
    at: [u8; MAX_LABELS + 1],
    count: usize,
}

fn starts(name: NameRef<'_>) -> Starts {
    let wire = name.wire();
    let mut starts = Starts { at: [0; MAX_LABELS + 1], count: 0 };
    let mut at = 0;
    while wire[at] != 0 {
        starts.at[starts.count] = at as u8;
        starts.count += 1;
        at += 1 + usize::from(wire[at]);
    }
    starts
}

/// The label that begins at `at`.
fn label<'a>(name: NameRef<'a>, at: u8) -> &'a [u8] {
    let at = usize::from(at);
    let len = usize::from(name.wire()[at]);
    &name.wire()[at + 1..at + 1 + len]
}

/// Compares two names.
pub(super) fn canonical(left: NameRef<'_>, right: NameRef<'_>) -> Ordering {
    let (lefts, rights) = (starts(left), starts(right));
    let pairs = lefts.at[..lefts.count].iter().rev().zip(rights.at[..rights.count].iter().rev());
    for (&l, &r) in pairs {
        let order = lower(label(left, l), label(right, r));
        if order != Ordering::Equal {
            return order;
        }
    }
    lefts.count.cmp(&rights.count)
}

/// Compares two labels as lower-case bytes.
fn lower(left: &[u8], right: &[u8]) -> Ordering {
    for (l, r) in left.iter().zip(right) {
        let order = l.to_ascii_lowercase().cmp(&r.to_ascii_lowercase());
        if order != Ordering::Equal {
            return order;
        }
    }
    left.len().cmp(&right.len())
}
