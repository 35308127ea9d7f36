//! Machines for testing protocols, without ports and without waiting.
//!
//! | to show that | use |
//! |---|---|
//! | no cut of the input makes a difference | [`cuts`], [`Cuts`] |
//! | a conversation goes as written down | [`Script`] and its `C:` / `S:` text files |
//! | two protocols understand each other, at any time of the day | [`Pair`] |
//!
//! None of these needs a runtime: a protocol decides on bytes and a time that it is given, so a test
//! gives it bytes and a time. With the feature `io` there is `Net` too: whole servers and clients,
//! connected in memory, under tokio's paused clock, with timing as bad as a seed makes it.
//!
//! Everything here panics when an expectation fails, as tests do.

mod cuts;
mod cutting;
#[cfg(feature = "io")]
mod net;
mod pair;
mod random;
mod subject;
mod transcript;

pub use cuts::{Cuts, cuts};
#[cfg(feature = "io")]
pub use net::Net;
pub use pair::{Pair, Side};
pub use subject::{Heard, Stage};
pub use transcript::{Failure, Role, Script};
