//! A server among bad clients, and in a bad machine. On loopback sockets where the sockets are the
//! point, else in memory under paused time.
//!
//! | file | what is shown there |
//! |---|---|
//! | `adversity/slow.rs` | a thousand slow clients harm no good one |
//! | `adversity/descriptors.rs` | running out of descriptors is survived, and none is lost |
//! | `adversity/downloads.rs` | files: slow readers, changes under way, the stop |

#![cfg(feature = "io")]
#![allow(clippy::unwrap_used)] // in a test that is what failing looks like

#[path = "adversity/descriptors.rs"]
mod descriptors;
#[path = "adversity/downloads.rs"]
mod downloads;
#[path = "adversity/machine.rs"]
mod machine;
#[path = "adversity/slow.rs"]
mod slow;
