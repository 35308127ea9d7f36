use ropewalk_core::testing::Net;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Every name that is shown, with its type: to change one is to break somebody's dashboard, and
/// docs/operations.md.
const NAMES: &[&str] = &[
    "ropewalk_build info",
    "ropewalk_connections counter",
    "ropewalk_connections_failed counter",
    "ropewalk_connections_panicked counter",
    "ropewalk_received_bytes counter",
    "ropewalk_sent_bytes counter",
    "ropewalk_connections_open gauge",
    "ropewalk_connections_refused counter",
    "ropewalk_restarts counter",
    "ropewalk_reloads counter",
    "ropewalk_requests counter",
    "ropewalk_request_duration_seconds histogram",
    "ropewalk_queue_depth gauge",
    "ropewalk_log_lines_lost counter",
    "process_start_time_seconds gauge",
    "process_cpu_seconds counter",
    "process_virtual_memory_bytes gauge",
    "process_resident_memory_bytes gauge",
    "process_threads gauge",
    "process_open_fds gauge",
    "process_max_fds gauge",
];

fn empty() -> Metrics {
    Metrics::new(Seen::default, Logs::default())
}

#[track_caller]
fn check(metrics: &Metrics, line: &str) {
    let text = metrics.text();
    assert!(text.lines().any(|found| found == line), "{line:?} is not in:\n{text}");
}

#[test]
fn names_do_not_change() {
    let text = empty().text();
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let limited = crate::run::open_files().is_some();
    let wanted = NAMES.iter().filter(|name| limited || !name.starts_with("process_max_fds"));
    assert_eq!(names, wanted.copied().collect::<Vec<_>>());
    assert!(text.ends_with("# EOF\n"), "{text}");
    check(&empty(), &format!("ropewalk_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")));
}

#[test]
fn requests_are_counted_by_kind_and_outcome() {
    let metrics = empty();
    let commands = metrics.commands("smtp", &["MAIL", "RCPT", "other"], &["2xx", "other"]);
    let millis = Duration::from_millis;
    for (kind, outcome, took) in [
        ("MAIL", "2xx", millis(1)),
        ("MAIL", "2xx", millis(2)),
        ("EVIL\"}", "2xx", millis(300)),
        ("RCPT", "9xx", millis(60_000)),
    ] {
        commands.count(kind, outcome, took);
    }
    for line in [
        r#"ropewalk_requests_total{service="smtp",kind="MAIL",outcome="2xx"} 2"#,
        r#"ropewalk_requests_total{service="smtp",kind="other",outcome="2xx"} 1"#,
        r#"ropewalk_requests_total{service="smtp",kind="RCPT",outcome="other"} 1"#,
        r#"ropewalk_request_duration_seconds_bucket{le="0.001",service="smtp"} 1"#,
        r#"ropewalk_request_duration_seconds_bucket{le="0.0025",service="smtp"} 2"#,
        r#"ropewalk_request_duration_seconds_bucket{le="10.0",service="smtp"} 3"#,
        r#"ropewalk_request_duration_seconds_bucket{le="+Inf",service="smtp"} 4"#,
        r#"ropewalk_request_duration_seconds_count{service="smtp"} 4"#,
        r#"ropewalk_request_duration_seconds_sum{service="smtp"} 60.303"#,
    ] {
        check(&metrics, line);
    }
    assert!(!metrics.text().contains("EVIL"));
    metrics.commands("smtp", &[], &[]).count("MAIL", "2xx", millis(1));
    check(&metrics, r#"ropewalk_requests_total{service="smtp",kind="MAIL",outcome="2xx"} 3"#);
}

#[test]
fn queues_and_logs_are_asked_when_somebody_asks() {
    let metrics = empty();
    let depth = Arc::new(AtomicU64::new(3));
    let shown = depth.clone();
    metrics.queue("smtp", "out\"going\\", move || shown.load(Ordering::Relaxed));
    check(&metrics, r#"ropewalk_queue_depth{service="smtp",queue="out\"going\\"} 3"#);
    depth.store(4, Ordering::Relaxed);
    check(&metrics, r#"ropewalk_queue_depth{service="smtp",queue="out\"going\\"} 4"#);
    let _ = metrics.0.logs.file("access", "/dev/null".as_ref());
    check(&metrics, r#"ropewalk_log_lines_lost_total{log="access",file="/dev/null"} 0"#);
}

#[test]
fn connections_are_shown_by_listener_and_reloads_by_outcome() {
    let mut totals = Totals::default();
    (totals.open, totals.accepted, totals.failed, totals.unserved) = (1, 4, 2, 7);
    (totals.received, totals.sent, totals.refused[0]) = (5, 6, 3);
    let seen = Seen {
        listeners: [(("echo".to_owned(), "memory:a".to_owned()), totals)].into(),
        restarts: vec![("echo".to_owned(), 8)],
        reloads: 9,
        failed_reloads: 10,
    };
    let metrics = Metrics::new(move || seen.clone(), Logs::default());
    let of = |name: &str, more: &str, value: u64| {
        format!("{name}{{service=\"echo\",listener=\"memory:a\"{more}}} {value}")
    };
    for (name, more, value) in [
        ("ropewalk_connections_total", "", 4),
        ("ropewalk_connections_open", "", 1),
        ("ropewalk_connections_failed_total", "", 2),
        ("ropewalk_connections_panicked_total", "", 0),
        ("ropewalk_received_bytes_total", "", 5),
        ("ropewalk_sent_bytes_total", "", 6),
        ("ropewalk_connections_refused_total", ",reason=\"too_many\"", 3),
        ("ropewalk_connections_refused_total", ",reason=\"denied\"", 0),
        ("ropewalk_connections_refused_total", ",reason=\"handshake\"", 7),
    ] {
        check(&metrics, &of(name, more, value));
    }
    check(&metrics, r#"ropewalk_restarts_total{service="echo"} 8"#);
    check(&metrics, r#"ropewalk_reloads_total{outcome="done"} 9"#);
    check(&metrics, r#"ropewalk_reloads_total{outcome="failed"} 10"#);
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_gets_them() {
    let metrics = empty();
    let net = Net::new();
    net.listen("metrics", metrics.server());
    for (request, status, part) in [
        ("GET /metrics", 200, "openmetrics-text"),
        ("HEAD /metrics", 200, "openmetrics-text"),
        ("POST /metrics", 405, "allow: GET, HEAD"),
        ("GET /", 404, "see /metrics"),
    ] {
        let mut client = net.connect("metrics").unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        assert!(answer.contains(part), "{request}: {answer}");
    }
}

#[test]
fn whom_a_host_is_open_to() {
    for (host, local) in [
        ("127.0.0.1", true),
        ("127.1.2.3", true),
        ("[::1]", true),
        ("localhost", true),
        ("*", false),
        ("10.0.0.1", false),
    ] {
        assert_eq!(is_local(host), local, "{host}");
    }
}
