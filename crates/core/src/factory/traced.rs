//! A span for each connection.

use std::borrow::Cow;
use std::thread;

use tokio::time::Instant;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, info, info_span};

use super::{BoxError, Factory, Refusal};
use crate::{Connection, Peer};

/// Runs each connection in a [`tracing`] span called `connection`, with the fields `id`, `peer` and
/// `protocol`, and at the end `received`, `sent` (bytes above TLS) and `reason`. One event of level
/// `INFO` at the end says the same, with the seconds it took, for those who log no spans.
///
/// The reason is `closed`, the handler's error, `panicked`, or `aborted` when the reactor's patience was
/// at its end. A refused connection is an event of level `INFO`, too.
#[derive(Debug)]
pub struct Traced<F> {
    inner: F,
    protocol: Cow<'static, str>,
}

impl<F> Traced<F> {
    /// Names the protocol as logs shall.
    #[must_use]
    pub fn new(protocol: impl Into<Cow<'static, str>>, inner: F) -> Self {
        Self { inner, protocol: protocol.into() }
    }
}

/// Tells of the end, whatever it is, when dropped.
struct End {
    peer: Peer,
    span: Span,
    begin: Instant,
    reason: Option<Cow<'static, str>>,
}

impl Drop for End {
    fn drop(&mut self) {
        let without = || Cow::from(if thread::panicking() { "panicked" } else { "aborted" });
        let reason = self.reason.take().unwrap_or_else(without);
        let (received, sent) = (self.peer.received(), self.peer.sent());
        let seconds = self.begin.elapsed().as_secs_f64();
        self.span.record("received", received).record("sent", sent);
        self.span.record("reason", display(&reason));
        self.span.in_scope(|| info!(received, sent, seconds, %reason, "connection ended"));
    }
}

impl<F: Factory> Factory for Traced<F> {
    type Protocol = F::Protocol;

    fn build(&self, peer: &Peer) -> Result<Self::Protocol, Refusal> {
        self.inner.build(peer).inspect_err(|why| {
            let (id, protocol) = (peer.id(), &*self.protocol);
            info!(id, peer = %peer.address(), protocol, reason = %why, "connection refused");
        })
    }

    async fn serve(&self, connection: Connection<Self::Protocol>) -> Result<(), BoxError> {
        let peer = connection.peer().clone();
        let span = info_span!(
            "connection",
            id = peer.id(),
            peer = %peer.address(),
            protocol = &*self.protocol,
            received = Empty,
            sent = Empty,
            reason = Empty,
        );
        let mut end = End { peer, span: span.clone(), begin: Instant::now(), reason: None };
        let result = self.inner.serve(connection).instrument(span).await;
        end.reason = Some(match &result {
            Ok(()) => "closed".into(),
            Err(error) => error.to_string().into(),
        });
        result
    }

    hand_on!(refusal);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::{Debug, Write};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tracing::field::{Field, Visit};
    use tracing::{Event, Metadata, Subscriber, span};

    use super::super::AtMost;
    use super::super::testing::{Echo, Guest};
    use super::*;

    /// Writes down what is traced, one line for each event and, at its end, each span.
    #[derive(Clone, Default)]
    struct Scribe {
        lines: Arc<Mutex<Vec<String>>>,
        spans: Arc<Mutex<BTreeMap<u64, String>>>,
    }

    struct Fields<'a>(&'a mut String);

    impl Visit for Fields<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            write!(self.0, " {}={value:?}", field.name()).expect("writing to a string");
        }
    }

    impl Subscriber for Scribe {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target().starts_with(module_path!().trim_end_matches("::tests"))
        }

        fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
            let mut text = format!("span {}", attributes.metadata().name());
            attributes.record(&mut Fields(&mut text));
            let mut spans = self.spans.lock().expect("no panic under it");
            let id = spans.len() as u64 + 1;
            spans.insert(id, text);
            span::Id::from_u64(id)
        }

        fn record(&self, id: &span::Id, values: &span::Record<'_>) {
            let mut spans = self.spans.lock().expect("no panic under it");
            values.record(&mut Fields(spans.get_mut(&id.into_u64()).expect("a known span")));
        }

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut text = String::from("event");
            event.record(&mut Fields(&mut text));
            self.lines.lock().expect("no panic under it").push(text);
        }

        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    /// What was traced of one guest, who says `words`, each echoed unless it is the last.
    async fn check(words: &[&str], leaves: bool, expected: &str) {
        let scribe = Scribe::default();
        let _default = tracing::subscriber::set_default(scribe.clone());
        let factory = Arc::new(Traced::new("echo", AtMost::total(1, Echo)));
        let mut guest = Guest::of(&factory, "192.0.2.1:1").expect("welcome");
        for word in words {
            guest.say(word).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let _end = match (leaves, words.last()) {
            (true, _) => guest.leave().await,
            (false, Some(&"hang")) => {
                guest.abort().await;
                Ok(())
            }
            (false, _) => guest.end().await,
        };
        let lines = scribe.lines.lock().expect("no panic under it").join("\n");
        assert!(lines.contains("message=connection ended"), "{lines}");
        let spans: Vec<_> =
            scribe.spans.lock().expect("no panic under it").values().cloned().collect();
        let start = "span connection id=7 peer=192.0.2.1:1 protocol=\"echo\"";
        assert_eq!(spans, [format!("{start} {expected}")]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_reason_of_the_end_is_told() {
        check(&["hello"], true, "received=5 sent=5 reason=closed").await;
        check(&["hello", "fail"], false, "received=9 sent=5 reason=told to fail").await;
        check(&["panic"], false, "received=5 sent=0 reason=panicked").await;
        check(&["hang"], false, "received=4 sent=0 reason=aborted").await;
    }

    #[test]
    fn a_refusal_is_told() {
        let scribe = Scribe::default();
        let _default = tracing::subscriber::set_default(scribe.clone());
        let factory = Traced::new("echo", AtMost::total(0, Echo));
        factory.build(&super::super::testing::peer("192.0.2.1:1")).expect_err("none is allowed");
        assert_eq!(
            *scribe.lines.lock().expect("no panic under it"),
            ["event message=connection refused id=7 peer=192.0.2.1:1 protocol=\"echo\" \
              reason=too many connections"]
        );
    }
}
