//! Our own standard input and output as one byte stream.

use std::fs::File;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, Stdin, Stdout, stdin, stdout};

/// Our own standard input and output as one byte stream: for servers started by inetd, filters, and
/// programs at the other end of an `exec:` endpoint.
///
/// They may be files, terminals and pipes that others share, so they are read and written on tokio's
/// blocking threads rather than made non-blocking. A read that waits for input therefore holds one
/// thread, and a runtime that is to stop meanwhile is stopped with
/// [`shutdown_background`](tokio::runtime::Runtime::shutdown_background).
///
/// There is one per process; with two of them it is undefined which one gets which byte.
#[derive(Debug)]
pub struct Stdio {
    input: Stdin,
    /// `None` once it was shut down.
    output: Option<Stdout>,
}

impl Stdio {
    /// The standard input and output of this process.
    #[must_use]
    pub fn new() -> Self {
        Self { input: stdin(), output: Some(stdout()) }
    }
}

impl Default for Stdio {
    fn default() -> Self {
        Self::new()
    }
}

impl AsyncRead for Stdio {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stdio {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.output {
            Some(output) => Pin::new(output).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.output {
            Some(output) => Pin::new(output).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Flushes, and puts `/dev/null` in the place of the standard output, so that the peer sees the
    /// end while the input stays open. What this process prints afterwards goes nowhere.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        if self.output.take().is_some() {
            rustix::stdio::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::process::Command;

    use super::*;
    use crate::transport::process::{Process, Stderr};

    /// Set in the process that [`peer`] is to speak in.
    const SPEAK: &str = "ROPEWALK_TEST_STDIO_PEER";

    /// What [`a_process_talks_over_its_standard_streams`] runs in a process of its own.
    #[tokio::test]
    async fn peer() {
        if std::env::var_os(SPEAK).is_none() {
            return;
        }
        let mut stdio = Stdio::new();
        let mut heard = [0; 5];
        stdio.read_exact(&mut heard).await.unwrap();
        stdio.write_all(&[b"<", &heard[..], b">"].concat()).await.unwrap();
        stdio.shutdown().await.unwrap();
        let error = stdio.write_all(b"more").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        // The input is still open after the output has ended.
        stdio.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"again");
        assert_eq!(stdio.read(&mut heard).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_process_talks_over_its_standard_streams() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--nocapture", "--exact", "transport::stdio::tests::peer"]).env(SPEAK, "");
        let mut process = Process::spawn(command, Stderr::Inherit).unwrap();
        process.write_all(b"hello").await.unwrap();
        let mut heard = String::new();
        process.read_to_string(&mut heard).await.unwrap();
        assert!(heard.ends_with("<hello>"), "after the words of the test harness: {heard}");
        process.write_all(b"again").await.unwrap();
        process.shutdown().await.unwrap();
        assert!(process.exit().status().await.unwrap().success());
    }
}
