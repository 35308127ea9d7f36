//! What runs: for `ropewalk status`.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// A running command. Times are seconds, sizes are bytes; unknown keys are to be expected of later
/// versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Of the command.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// The file it runs, if it runs one.
    pub file: Option<String>,
    /// Since when it runs, in seconds since 1970.
    pub since: u64,
    /// For how long it has been running.
    pub uptime: u64,
    /// Whether it is ending.
    pub stopping: bool,
    /// How often the file was read again with success.
    pub reloads: u64,
    /// How often it could not be.
    pub failed_reloads: u64,
    /// In the order of the file.
    pub services: Vec<Service>,
    /// Listeners that a reload has removed, while connections of theirs are open.
    pub draining: Vec<Listener>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// How often something of it was begun again after a panic or a failure.
    pub restarts: u64,
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// Work it does besides.
    pub work: Vec<String>,
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// As it was asked for, passwords left out.
    pub endpoint: String,
    /// Where it listens.
    pub addresses: Vec<String>,
    /// Whether it accepts connections.
    pub open: bool,
    /// The SHA-256 of the certificate that is shown, if there is one.
    pub certificate: Option<String>,
    /// Connections that are open, those from before a reload among them.
    pub connections: u64,
    /// Connections since it was opened, refused ones among them.
    pub accepted: u64,
    /// Connections that were not let in.
    pub refused: u64,
    /// Connections that ended in the TLS handshake.
    pub unserved: u64,
    /// Connections that ended with an error.
    pub failed: u64,
    /// Connections whose handler panicked.
    pub panicked: u64,
    /// Bytes received, above TLS.
    pub received: u64,
    /// Bytes sent, above TLS.
    pub sent: u64,
}

impl Status {
    /// As a table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        let state = if self.stopping { "stopping" } else { "running" };
        let file = self.file.as_deref().unwrap_or("options");
        let (version, pid) = (&self.version, self.pid);
        let up = duration(self.uptime);
        let _ = writeln!(text, "ropewalk {version}, process {pid}, {state} {file} for {up}");
        let _ = writeln!(text, "reloads: {}, {} failed\n", self.reloads, self.failed_reloads);
        let mut rows = vec![
            ["SERVICE", "LISTENS", "OPEN", "ACCEPTED", "RECEIVED", "SENT", "RESTARTS"]
                .map(str::to_owned),
        ];
        for service in &self.services {
            let mut first = Some((service.name.clone(), service.restarts.to_string()));
            for listener in &service.listeners {
                rows.push(row(&mut first, listener, if listener.open { "" } else { " (closed)" }));
            }
            for work in &service.work {
                let (name, restarts) = first.take().unwrap_or_default();
                let none = || String::from("-");
                rows.push([name, work.clone(), none(), none(), none(), none(), restarts]);
            }
        }
        for listener in &self.draining {
            rows.push(row(&mut None, listener, " (removed)"));
        }
        columns(&mut text, &rows);
        text
    }
}

fn row(first: &mut Option<(String, String)>, listener: &Listener, more: &str) -> [String; 7] {
    let (name, restarts) = first.take().unwrap_or_default();
    [
        name,
        format!("{}{more}", listener.addresses.join(" ")),
        listener.connections.to_string(),
        listener.accepted.to_string(),
        size(listener.received),
        size(listener.sent),
        restarts,
    ]
}

/// Text to the left, numbers to the right.
fn columns(text: &mut String, rows: &[[String; 7]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..7).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 | 1 => write!(line, "{cell:<width$}  "),
                _ => write!(line, "{cell:>width$}  "),
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// Bytes in the largest unit of which there is one.
fn size(bytes: u64) -> String {
    let units = [(1_u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

/// Seconds as days, hours, minutes.
fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_572_864, "1.5 MiB"),
            (u64::MAX, "16777216.0 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(duration(seconds), text);
        }
    }
}
