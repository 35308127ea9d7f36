//! Where on earth: LOC.

use super::{Field, Special};

pub(super) const LOC_FIELDS: &[Field] = &[Field::Special(Special::Loc)];
