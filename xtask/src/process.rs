//! Foreign programs as children that cannot outlive us, and folders that clean up after themselves.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

/// How often a child's end or a port's opening is looked for.
const TICK: Duration = Duration::from_millis(10);

/// A temporary folder, removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub fn new(what: &str) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ropewalk-{what}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file, and the folders it lies in.
    pub fn write(&self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing is left to tell: at worst a folder stays in the temporary folder.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A port on 127.0.0.1 that is free now.
///
/// Below the range the kernel gives to outgoing connections, so that the load of a benchmark does
/// not take it before the server has.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 10_000).expect("below 10,000");
    for _ in 0..10_000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 18_000 + start.wrapping_add(step) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between 18000 and 28000")
}

/// A server that runs in the foreground as our child: ended by its own pid when dropped, also by a
/// panic, and by the kernel (`setpriv --pdeathsig`, where there is one) should we be killed.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `command`, its output going to `log`. To be called on the main thread: the kernel's
    /// signal is tied to the life of the thread that started the child.
    pub fn start(name: &str, command: &Command, log: PathBuf) -> Result<Self> {
        let file = File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
        let mut command = with_death_signal(command);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Waits until something listens on each of the ports of 127.0.0.1, at most ten seconds.
    pub fn ready(mut self, ports: &[u16]) -> Result<Self> {
        for port in ports {
            let address = SocketAddr::from(([127, 0, 0, 1], *port));
            self.until(|| TcpStream::connect(address).is_ok(), &format!("port {port}"))?;
        }
        Ok(self)
    }

    /// Waits until `path` is there (a Unix socket), at most ten seconds.
    pub fn ready_at(mut self, path: &Path) -> Result<Self> {
        self.until(|| path.exists(), &path.display().to_string())?;
        Ok(self)
    }

    fn until(&mut self, ready: impl Fn() -> bool, what: &str) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(10);
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at once ({status}): {}", self.name, self.log().trim());
            }
            if Instant::now() > end {
                bail!("{} does not open {what}: {}", self.name, self.log().trim());
            }
            thread::sleep(TICK);
        }
        Ok(())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has written so far on standard output and standard error.
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Waits until `text` is in what it has written, at most five seconds.
    pub fn logs(&self, text: &str) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(5);
        while !self.log().contains(text) {
            if Instant::now() > end {
                bail!("{} did not log {text:?}: {}", self.name, tail(&self.log(), 600));
            }
            thread::sleep(TICK);
        }
        Ok(())
    }

    /// Asks it to stop (SIGTERM) and returns at once.
    pub fn terminate(&self) -> Result<()> {
        Ok(rustix::process::kill_process(pid_of(&self.child), Signal::TERM)?)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(rustix::process::kill_process(pid_of(&self.child), signal)?)
    }

    /// Waits for its end, at most `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        match wait_until(&mut self.child, Instant::now() + limit)? {
            Some(status) => Ok(status),
            None => bail!("{} still runs after {limit:?}", self.name),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let asked = self.terminate().is_ok();
        let limit = Instant::now() + Duration::from_secs(3);
        if !asked || !matches!(wait_until(&mut self.child, limit), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// `command`, told by the kernel to end when we do.
fn with_death_signal(command: &Command) -> Command {
    let mut wrapped = match find("setpriv") {
        Some(setpriv) => {
            let mut wrapped = Command::new(setpriv);
            wrapped.args(["--pdeathsig", "TERM", "--"]).arg(command.get_program());
            wrapped
        }
        None => Command::new(command.get_program()),
    };
    wrapped.args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(key, value),
            None => wrapped.env_remove(key),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

fn wait_until(child: &mut Child, end: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > end {
            return Ok(None);
        }
        thread::sleep(TICK);
    }
}

/// What a program that ran to its end left behind.
#[derive(Debug)]
pub struct Ran {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Ran {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Both streams, standard output first.
    pub fn all(&self) -> String {
        self.out() + &self.err()
    }

    /// An error that carries what the program said, unless it ended well.
    pub fn ok(self, what: &str) -> Result<Self> {
        if self.status.success() {
            return Ok(self);
        }
        bail!("{what}: {}: {}", self.status, tail(&self.all(), 600))
    }
}

/// The last `most` bytes of `text`, trimmed, cut at a character.
pub fn tail(text: &str, most: usize) -> &str {
    let text = text.trim();
    let mut start = text.len().saturating_sub(most);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// Runs a program to its end with nothing on its standard input; kills it and its children after
/// `limit`.
pub fn run(command: &Command, limit: Duration) -> Result<Ran> {
    run_with_input(command, &[], limit)
}

/// Runs a program to its end, `input` on its standard input and then the end of it. To be called on
/// the main thread, as [`Running::start`] is.
pub fn run_with_input(command: &Command, input: &[u8], limit: Duration) -> Result<Ran> {
    let name = command.get_program().to_string_lossy().into_owned();
    let start = Instant::now();
    let mut command = with_death_signal(command);
    command.stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        // A program that does not want it all is not an error here.
        thread::spawn(move || stdin.write_all(&input));
    }
    let Some(status) = wait_until(&mut child, start + limit)? else {
        let _ = rustix::process::kill_process_group(pid_of(&child), Signal::KILL);
        child.wait()?;
        let said = stderr.join().unwrap_or_default();
        bail!("{name} still ran after {limit:?}: {}", tail(&String::from_utf8_lossy(&said), 300));
    };
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    Ok(Ran { status, stdout, stderr })
}

fn drain(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Where a program is: in PATH, or in the folders of administrators that a user's PATH lacks.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|dir| dir.join(program)).find(|p| p.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_ends_with_its_guard() {
        let scratch = Scratch::new("test").unwrap();
        let mut sleep = Command::new("sleep");
        sleep.arg("60");
        let running = Running::start("sleep", &sleep, scratch.join("log")).unwrap();
        let folder = PathBuf::from(format!("/proc/{}", running.pid()));
        assert!(folder.exists());
        drop(running);
        assert!(!folder.exists());
    }

    #[test]
    fn a_program_over_its_time_is_killed() {
        let start = Instant::now();
        let limit = Duration::from_millis(50);
        let error = run(Command::new("sleep").arg("60"), limit).unwrap_err();
        assert!(error.to_string().contains("still ran"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn input_and_both_outputs_are_carried() {
        let limit = Duration::from_secs(10);
        let mut shell = Command::new("sh");
        shell.args(["-c", "cat; echo problem >&2; exit 3"]);
        let ran = run_with_input(&shell, b"question", limit).unwrap();
        assert_eq!((ran.out().as_str(), ran.err().as_str()), ("question", "problem\n"));
        assert_eq!(ran.status.code(), Some(3));
    }

    #[test]
    fn a_tail_is_cut_at_a_character() {
        for (text, most, want) in [("abc", 5, "abc"), ("abcdef", 2, "ef"), ("aüü", 3, "ü")] {
            assert_eq!(tail(text, most), want);
        }
    }
}
