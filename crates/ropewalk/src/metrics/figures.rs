//! From what was counted to what is shown.

use std::fmt::{Error, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, LabelSetEncoder, LabelValueEncoder, MetricEncoder,
    NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use ropewalk_core::{Refusal, Totals};

use super::process::Process;
use super::{BOUNDS, Commands, Metrics, Seen, lock};

/// Names and values of labels, in order.
struct Labels<'a>(&'a [(&'static str, &'a str)]);

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), Error> {
        for (name, value) in self.0 {
            let mut label = encoder.encode_label();
            let mut key = label.encode_label_key()?;
            key.write_str(name)?;
            let mut text: LabelValueEncoder<'_> = key.encode_label_value()?;
            text.write_str(value)?;
            text.finish()?;
        }
        Ok(())
    }
}

fn counter(encoder: &mut MetricEncoder<'_>, value: u64) -> Result<(), Error> {
    encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn read(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed)
}

/// A figure of each listener: its name, what it is, what it counts.
type OfListener = (&'static str, &'static str, fn(&Totals) -> u64);

const COUNTERS: [OfListener; 5] = [
    ("ropewalk_connections", "Connections that have come, refused ones among them", |t| t.accepted),
    ("ropewalk_connections_failed", "Connections that ended with an error", |t| t.failed),
    ("ropewalk_connections_panicked", "Connections whose handler panicked", |t| t.panicked),
    ("ropewalk_received_bytes", "Bytes received, above TLS", |t| t.received),
    ("ropewalk_sent_bytes", "Bytes sent, above TLS", |t| t.sent),
];

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let info = [("version", env!("CARGO_PKG_VERSION"))];
        encoder
            .encode_descriptor("ropewalk_build", "What runs", None, MetricType::Info)?
            .encode_info(&Labels(&info))?;
        let seen = (self.0.seen)();
        seen.listeners(&mut encoder)?;
        seen.services(&mut encoder)?;
        self.commands_of_all(&mut encoder)?;
        self.queues_and_logs(&mut encoder)?;
        let (name, help) = ("process_start_time_seconds", "When it began, since 1970");
        // By our own clock: a hardened service does not see when the system was started.
        let started = self.0.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        encoder
            .encode_descriptor(name, help, None, MetricType::Gauge)?
            .encode_gauge(&(started.as_millis() as f64 / 1e3))?;
        Process::now().encode(&mut encoder)
    }
}

impl Seen {
    fn listeners(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        for (name, help, value) in COUNTERS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for ((service, listener), totals) in &self.listeners {
                let labels = [("service", &**service), ("listener", &**listener)];
                counter(&mut metric.encode_family(&Labels(&labels))?, value(totals))?;
            }
        }
        let (name, help) = ("ropewalk_connections_open", "Connections open now");
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for ((service, listener), totals) in &self.listeners {
            let labels = [("service", &**service), ("listener", &**listener)];
            metric.encode_family(&Labels(&labels))?.encode_gauge(&totals.open)?;
        }
        let (name, help) = ("ropewalk_connections_refused", "Connections not served, by reason");
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for ((service, listener), totals) in &self.listeners {
            let refused = Refusal::KINDS.into_iter().zip(totals.refused);
            for (reason, count) in refused.chain([("handshake", totals.unserved)]) {
                let labels =
                    [("service", &**service), ("listener", &**listener), ("reason", reason)];
                counter(&mut metric.encode_family(&Labels(&labels))?, count)?;
            }
        }
        Ok(())
    }

    fn services(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let (name, help) = ("ropewalk_restarts", "What was begun again after a panic or a failure");
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (service, count) in &self.restarts {
            counter(&mut metric.encode_family(&Labels(&[("service", &**service)]))?, *count)?;
        }
        let (name, help) = ("ropewalk_reloads", "Times that settings were read again, by outcome");
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (outcome, count) in [("done", self.reloads), ("failed", self.failed_reloads)] {
            counter(&mut metric.encode_family(&Labels(&[("outcome", outcome)]))?, count)?;
        }
        Ok(())
    }
}

impl Metrics {
    fn commands_of_all(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let commands = lock(&self.0.commands);
        let (name, help) = ("ropewalk_requests", "Requests or commands, by kind and outcome");
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for Commands(of) in commands.iter() {
            let places =
                of.kinds.iter().flat_map(|kind| of.outcomes.iter().map(move |o| (kind, o)));
            for ((kind, outcome), count) in places.zip(&of.counts) {
                // Most pairs never come.
                if read(count) > 0 {
                    let labels = [("service", &*of.service), ("kind", kind), ("outcome", outcome)];
                    counter(&mut metric.encode_family(&Labels(&labels))?, read(count))?;
                }
            }
        }
        let name = "ropewalk_request_duration_seconds";
        let help = "From a request or command to the last byte of its answer";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for Commands(of) in commands.iter() {
            let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<_> = bounds.zip(of.latencies.iter().map(read)).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let seconds = read(&of.nanos) as f64 / 1e9;
            metric
                .encode_family(&Labels(&[("service", &*of.service)]))?
                .encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)?;
        }
        Ok(())
    }

    fn queues_and_logs(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let (name, help) = ("ropewalk_queue_depth", "How many wait");
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for of in lock(&self.0.queues).iter() {
            let labels = [("service", &*of.service), ("queue", &*of.queue)];
            metric.encode_family(&Labels(&labels))?.encode_gauge(&(of.depth)())?;
        }
        let (name, help) = ("ropewalk_log_lines_lost", "Lines that could not be written");
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for lost in self.0.logs.lost() {
            let path = lost.path.display().to_string();
            let labels = [("log", lost.kind), ("file", &*path)];
            counter(&mut metric.encode_family(&Labels(&labels))?, lost.lines)?;
        }
        Ok(())
    }
}
