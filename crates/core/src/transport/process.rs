//! A child process: its standard input and output as one byte stream.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A line of standard error longer than this many bytes is logged in pieces.
const LINE_CAP: usize = 4096;

/// How long the last lines of standard error are waited for when the child has ended: a grandchild
/// may hold the pipe open for ever.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Where a child's standard error goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stderr {
    /// Where ours goes.
    #[default]
    Inherit,
    /// Line by line into the log, by `tracing` at level `info`, with the process id. What does not
    /// print is escaped.
    Log,
}

/// A child process: what is written goes to its standard input, what it says on its standard output
/// is read.
///
/// Shutting down closes the child's standard input, which reads its end; its output stays open.
/// Dropping the stream kills the child if it is still there.
#[derive(Debug)]
pub struct Process {
    id: u32,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    exit: Exit,
    /// Dropped with the stream, which tells the warden to kill the child.
    _alive: oneshot::Sender<()>,
}

impl Process {
    /// Starts the child. The command's own choice of standard streams is overridden.
    ///
    /// # Errors
    /// When the program cannot be started.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(command: impl Into<Command>, stderr: Stderr) -> io::Result<Self> {
        let mut command = command.into();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        command.stderr(match stderr {
            Stderr::Inherit => Stdio::inherit(),
            Stderr::Log => Stdio::piped(),
        });
        let mut child = command.spawn()?;
        let id = child.id().expect("a child that nobody has waited for has an id");
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("its standard output is a pipe");
        let log = child.stderr.take().map(|stderr| tokio::spawn(log(stderr, id)));
        let (tell, told) = watch::channel(None);
        let (alive, gone) = oneshot::channel();
        tokio::spawn(watch_over(child, log, gone, tell));
        Ok(Self { id, stdin, stdout, exit: Exit(told), _alive: alive })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// How it ends: a handle that outlives the stream.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit.clone()
    }
}

/// How a child process ends. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Exit(watch::Receiver<Option<Result<ExitStatus, Arc<io::Error>>>>);

impl Exit {
    /// Waits for the end. Cancel-safe. To see the child's own end rather than the kill that comes with
    /// dropping the stream, await this first.
    ///
    /// # Errors
    /// When the operating system loses sight of the child, or the runtime stops before its end.
    pub async fn status(&self) -> io::Result<ExitStatus> {
        let mut told = self.0.clone();
        let status = told.wait_for(Option::is_some).await.map_err(io::Error::other)?;
        match status.as_ref().expect("this is what was waited for") {
            Ok(status) => Ok(*status),
            Err(error) => Err(io::Error::new(error.kind(), error.clone())),
        }
    }
}

/// Reaps the child when it ends, kills it when the stream is gone.
async fn watch_over(
    mut child: Child,
    log: Option<JoinHandle<()>>,
    gone: oneshot::Receiver<()>,
    tell: watch::Sender<Option<Result<ExitStatus, Arc<io::Error>>>>,
) {
    let ended = tokio::select! {
        status = child.wait() => Some(status),
        _ = gone => None,
    };
    let status = match ended {
        Some(status) => status,
        None => match child.start_kill() {
            Ok(()) => child.wait().await,
            Err(error) => Err(error),
        },
    };
    if let Some(mut log) = log
        && timeout(LAST_WORDS, &mut log).await.is_err()
    {
        log.abort();
    }
    tell.send_replace(Some(status.map_err(Arc::new)));
}

/// Logs what the child says on its standard error.
async fn log(stderr: ChildStderr, id: u32) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    while let Ok(available) = reader.fill_buf().await {
        let end = available.iter().position(|byte| *byte == b'\n');
        let room = LINE_CAP - line.len();
        let taken = end.unwrap_or(available.len()).min(room);
        line.extend_from_slice(&available[..taken]);
        let over = available.is_empty();
        let complete = end.is_some_and(|end| end <= room);
        reader.consume(taken + usize::from(complete));
        if complete || line.len() == LINE_CAP || (over && !line.is_empty()) {
            tracing::info!(process = id, "{}", printable(&line));
            line.clear();
        }
        if over {
            return;
        }
    }
}

/// A line as text, without its CR, and with what does not print escaped.
fn printable(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
    let mut text = String::with_capacity(line.len());
    for letter in line.chars() {
        match letter {
            '\t' => text.push(letter),
            _ if letter.is_control() => text.extend(letter.escape_default()),
            _ => text.push(letter),
        }
    }
    text
}

impl AsyncRead for Process {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buf)
    }
}

impl AsyncWrite for Process {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_write_vectored(cx, slices),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stdin.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stdin {
            Some(stdin) => Pin::new(stdin).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// A pipe ends when it is closed.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.as_mut().poll_flush(cx))?;
        self.stdin = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_child_is_a_stream_with_half_close() {
        let mut process = Process::spawn(shell("cat; echo end; exit 3"), Stderr::Log).unwrap();
        assert!(process.id() > 0);
        let words = b"to and fro\n".repeat(20_000);
        let (mut reader, mut writer) = tokio::io::split(&mut process);
        let mut heard = Vec::new();
        let (written, read) = tokio::join!(
            async {
                writer.write_all(&words).await?;
                writer.shutdown().await
            },
            reader.read_to_end(&mut heard)
        );
        written.unwrap();
        read.unwrap();
        assert_eq!(heard, [&words[..], b"end\n"].concat());
        let error = process.write_all(b"more").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(process.exit().status().await.unwrap().code(), Some(3));
    }

    #[tokio::test]
    async fn dropping_the_stream_kills_the_child() {
        let process = Process::spawn(shell("exec sleep 600"), Stderr::Inherit).unwrap();
        let exit = process.exit();
        drop(process);
        let status = timeout(Duration::from_secs(10), exit.status()).await.unwrap().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there() {
        let error = Process::spawn(Command::new("/nonexistent/program"), Stderr::Log).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn logged_lines_print() {
        for (line, text) in [
            (&b"plain\ttext"[..], "plain\ttext"),
            (b"with CR\r", "with CR"),
            (b"\x1b[31mred", "\\u{1b}[31mred"),
            (b"\xff", "\u{fffd}"),
        ] {
            assert_eq!(printable(line), text);
        }
    }

    #[tokio::test]
    async fn a_talkative_child_does_not_block_on_its_standard_error() {
        let script = "i=0; while [ $i -lt 3000 ]; do echo a long line of complaint $i >&2; \
                      i=$((i+1)); done; printf 'no newline' >&2; echo done";
        let mut process = Process::spawn(shell(script), Stderr::Log).unwrap();
        let mut heard = String::new();
        process.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "done\n");
        assert!(process.exit().status().await.unwrap().success());
    }
}
