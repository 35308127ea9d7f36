//! The `Date` of responses, formatted once a second.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime};

thread_local! {
    /// The last date, and until when it is right.
    static DATE: Cell<Option<(Instant, [u8; 29])>> = const { Cell::new(None) };
}

/// The present as an IMF-fixdate (RFC 9110 §5.6.7). `now` is the connection's clock, which is at hand;
/// the system's is asked only when the second is over.
pub(super) fn at(now: Instant) -> [u8; 29] {
    if let Some((until, date)) = DATE.get()
        && now < until
        && until <= now + Duration::from_secs(1)
    {
        return date;
    }
    let time = SystemTime::now();
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let left =
        Duration::from_secs(1).saturating_sub(Duration::from_nanos(since.subsec_nanos().into()));
    let mut date = [0; 29];
    let text = httpdate::fmt_http_date(time);
    if let Ok(bytes) = text.as_bytes().try_into() {
        date = bytes;
    }
    DATE.set(Some((now + left, date)));
    date
}
