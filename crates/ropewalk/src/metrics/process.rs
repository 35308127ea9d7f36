//! What the system knows of this process (proc(5)), by the names that Prometheus's own clients use.

use std::fmt::Error;
use std::fs;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use rustix::param::{clock_ticks_per_second, page_size};

/// What could be read; the rest is not shown.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Process {
    cpu: Option<f64>,
    virtual_memory: Option<u64>,
    memory: Option<u64>,
    threads: Option<u64>,
    open_files: Option<u64>,
    most_files: Option<u64>,
}

impl Process {
    pub(super) fn now() -> Self {
        let files = fs::read_dir("/proc/self/fd").ok();
        let mut process = Self::parse(&fs::read_to_string("/proc/self/stat").unwrap_or_default());
        // One of them is open only to count them.
        process.open_files = files.map(|files| (files.count() as u64).saturating_sub(1));
        process.most_files = crate::run::open_files();
        process
    }

    /// From /proc/PID/stat.
    fn parse(stat: &str) -> Self {
        // The name is in brackets, and may hold spaces and brackets itself.
        let Some((_, rest)) = stat.rsplit_once(") ") else { return Self::default() };
        let fields: Vec<&str> = rest.split(' ').collect();
        // Counted from 1 with the name as the second, as proc(5) does.
        let field = |number: usize| fields.get(number - 3)?.trim().parse::<u64>().ok();
        let seconds = |ticks: u64| ticks as f64 / clock_ticks_per_second() as f64;
        Self {
            cpu: field(14).zip(field(15)).map(|(user, system)| seconds(user + system)),
            virtual_memory: field(23),
            memory: field(24).map(|pages| pages * page_size() as u64),
            threads: field(20),
            open_files: None,
            most_files: None,
        }
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        if let Some(cpu) = self.cpu {
            let (name, help) = ("process_cpu_seconds", "CPU time, user and system");
            encoder
                .encode_descriptor(name, help, None, MetricType::Counter)?
                .encode_counter::<NoLabelSet, _, u64>(&cpu, None)?;
        }
        for (name, help, value) in [
            ("process_virtual_memory_bytes", "Virtual memory", self.virtual_memory),
            ("process_resident_memory_bytes", "Resident memory", self.memory),
            ("process_threads", "Threads", self.threads),
            ("process_open_fds", "Open file descriptors", self.open_files),
            ("process_max_fds", "File descriptors that may be open", self.most_files),
        ] {
            if let Some(value) = value {
                encoder
                    .encode_descriptor(name, help, None, MetricType::Gauge)?
                    .encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read() {
        let ticks = clock_ticks_per_second() as f64;
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 30 20 0 0 20 0 5 0 1000 4096000 250 1";
        let process = Process::parse(stat);
        let wanted = Process {
            cpu: Some(50.0 / ticks),
            virtual_memory: Some(4_096_000),
            memory: Some(250 * page_size() as u64),
            threads: Some(5),
            ..Process::default()
        };
        assert_eq!(process, wanted);
        for rubbish in ["", "7 (a) S", "7 a S 1 2 3"] {
            assert_eq!(Process::parse(rubbish), Process::default(), "{rubbish:?}");
        }
        let now = Process::now();
        assert!(now.cpu.is_some() && now.open_files > Some(2));
        assert!(now.memory > Some(100_000) && now.threads > Some(0));
    }
}
