//! From a request to its response: connections, retries, redirections.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CONNECTION, EXPECT, HeaderValue};
use http::{Response, StatusCode, Version};
use ropewalk_core::{Connection, Transport};
use tracing::debug;

use super::ask::Job;
use super::connect::connect;
use super::error::{Error, ErrorKind, Slow, Stray};
use super::exchange::{Begin, Exchange, Limit};
use super::place::Place;
use super::pool::{Conn, now};
use super::received::Received;
use super::redirect::{self, drop_content, drop_credentials};
use super::upload::Supply;
use super::{Client, Shared};
use crate::session::{self, Line};
use crate::{Body, BodyLength, Timeouts};

/// How much of the content of a response that redirects is read to keep the connection.
const DRAIN: u64 = 16 * 1024;

/// For how long.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Sends a request, and others where the responses say so.
pub(super) async fn run(client: Client, mut job: Job) -> Result<Response<Received>, Error> {
    let shared = &*client.0;
    let total = job.patience.total.and_then(|total| Some((now().checked_add(total)?, total)));
    let mut turns = 0;
    loop {
        let (response, exchange) = hop(shared, &mut job, total).await?;
        let turn = redirect::turn(job.redirects, turns, (&job.place, &job.method), &response);
        let turn = turn.map_err(|stray| error(&job, ErrorKind::Redirect(stray)))?;
        let (status, place) = (response.status(), job.place.clone());
        let mut received = Received::new(exchange, place, status, shared.most);
        let Some(turn) = turn else {
            return Ok(response.map(|()| received));
        };
        if let Some(content) = received.exchange().reclaim() {
            job.supply.give_back(content);
        }
        if !turn.with_content {
            drop_content(&mut job.fields);
            job.supply = Supply::new(Body::empty());
        } else if !job.supply.is_there() {
            let stray = Stray::Unrepeatable(turn.place.to_string());
            return Err(error(&job, ErrorKind::Redirect(stray)));
        }
        if turn.place.origin != job.place.origin {
            drop_credentials(&mut job.fields);
        }
        debug!(from = %job.place, to = %turn.place, status = status.as_u16(), "redirected");
        (job.place, job.method, job.target) = (turn.place, turn.method, None);
        turns += 1;
        // Whether the connection can be kept is not worth waiting for.
        let _ = tokio::time::timeout(DRAIN_TIME, received.drain(DRAIN)).await;
    }
}

/// One request, sent again where that is safe: when the connection had ended while it waited in the
/// pool, and without `Expect` when the server does not know that.
async fn hop(
    shared: &Shared,
    job: &mut Job,
    total: Option<(Instant, Duration)>,
) -> Result<(Response<()>, Exchange), Error> {
    let mut fresh = false;
    loop {
        let conn = match shared.pool.take(&job.place.origin) {
            Some(conn) if !fresh => conn,
            _ => {
                let (place, patience) = (job.place.clone(), job.patience.connect);
                Box::pin(fresh_connection(shared, place, patience, total)).await?
            }
        };
        let mut exchange = begin(shared, job, conn, total)?;
        let heard = poll_fn(|cx| exchange.poll_head(cx)).await;
        let again = match &heard {
            // A server that ends a connection which has waited may say so (RFC 9110 §15.5.9).
            Ok(head) => is_late_end(head) && exchange.was_reused(),
            Err(failed) => exchange.is_stale(failed),
        };
        let again = again && !fresh && job.method.is_idempotent();
        let unexpected = matches!(&heard, Ok(head) if is_unexpected(head) && job.expects());
        if again || unexpected {
            if let Some(content) = exchange.reclaim() {
                job.supply.give_back(content);
            }
            if job.supply.is_there() {
                fresh |= again;
                job.hasty |= unexpected;
                continue;
            }
        }
        return match heard {
            Ok(head) => Ok((head, exchange)),
            Err(failed) => Err(error(job, exchange.explain(failed))),
        };
    }
}

/// `408` on a connection that ends.
fn is_late_end(head: &Response<()>) -> bool {
    let closes = head.headers().get(CONNECTION).is_some_and(|value| value == "close");
    head.status() == StatusCode::REQUEST_TIMEOUT && closes
}

/// `417`: the server does not know `100-continue`.
fn is_unexpected(head: &Response<()>) -> bool {
    head.status() == StatusCode::EXPECTATION_FAILED
}

/// Queues a request on a connection.
fn begin(
    shared: &Shared,
    job: &mut Job,
    conn: Conn,
    total: Option<(Instant, Duration)>,
) -> Result<Exchange, Error> {
    if job.hasty {
        job.fields.remove(EXPECT);
    } else if job.wants_expect(shared.expect_above) {
        job.fields.insert(EXPECT, HeaderValue::from_static("100-continue"));
    }
    let target = job.target.as_ref().unwrap_or(&job.place.target);
    // Whom CONNECT names is whom it asks for (RFC 9110 §9.3.6).
    let host = match target.authority() {
        Some(authority) => authority.as_str(),
        None => job.place.origin.authority(),
    };
    let (method, version, host) = (&job.method, job.version, Some(host.as_bytes()));
    let line = Line { method, target, version, host };
    let begin = Begin {
        line,
        fields: &[&job.fields, &shared.fields],
        hold: job.expects().then_some(job.patience.proceed),
        limit: Limit { head: job.patience.head, total },
    };
    let home = (Arc::clone(&shared.pool), job.place.origin.clone());
    Exchange::begin(conn, home, &begin, &mut job.supply)
        .map_err(|why| error(job, ErrorKind::Request(why.to_string())))
}

/// A new connection.
async fn fresh_connection(
    shared: &Shared,
    place: Place,
    patience: Option<Duration>,
    total: Option<(Instant, Duration)>,
) -> Result<Conn, Error> {
    let left = total.map(|(until, after)| (until.saturating_duration_since(now()), after));
    let limits = [
        patience.map(|limit| (limit, limit, Slow::Connect)),
        left.map(|(left, after)| (left, after, Slow::Total)),
    ];
    let limit = limits.into_iter().flatten().min_by_key(|(left, ..)| *left);
    let connecting =
        connect(&shared.route, &shared.trust, &place.origin, limit.map(|(left, ..)| left));
    let connected = match limit {
        None => connecting.await,
        Some((left, after, slow)) => tokio::time::timeout(left, connecting)
            .await
            .unwrap_or(Err(ErrorKind::Timeout(slow, after))),
    };
    connected
        .map(|transport| connection(shared, transport))
        .map_err(|kind| Error::new(&place, kind))
}

/// A session on a new connection.
fn connection(shared: &Shared, transport: Transport) -> Conn {
    let timeouts = Timeouts { idle: None, body: shared.patience.body, ..Timeouts::default() };
    let session = session::Client::new(shared.limits, timeouts);
    let mut conn = Connection::new(session, transport);
    // What is unsent is bounded by what is asked of the content, and an early answer must be heard
    // while there is much of it.
    conn.set_high_water(u64::MAX);
    Box::new(conn)
}

impl Job {
    /// Whether the content is to wait for `100 Continue`.
    fn wants_expect(&self, above: Option<u64>) -> bool {
        let Some(above) = above else { return false };
        self.version == Version::HTTP_11
            && match self.supply.length() {
                BodyLength::Empty => false,
                BodyLength::Known(length) => length > above,
                BodyLength::Unknown => true,
            }
    }

    fn expects(&self) -> bool {
        let expects = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        self.supply.length() != BodyLength::Empty && self.fields.get(EXPECT).is_some_and(expects)
    }
}

fn error(job: &Job, kind: ErrorKind) -> Error {
    Error::new(&job.place, kind)
}
