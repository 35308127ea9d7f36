//! The channel between the two processes: messages as JSON, each with a descriptor or without.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, recvmsg, sendmsg, shutdown,
    socketpair, sockopt,
};
use serde::{Deserialize, Serialize};

/// The largest message: a path, and some.
const LARGEST: usize = 16 * 1024;

/// What is said.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Message {
    /// A listening socket, by its name, and the number of the endpoint it is of.
    Socket { name: String, group: usize },
    /// The pidfile, by its path.
    Pidfile(PathBuf),
    /// That was all.
    End { version: u32 },
    /// The new process serves.
    Ready,
    /// The new process cannot serve.
    Failed(String),
}

/// One end. Clones share it.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

impl Channel {
    /// Ours, and the one that a child gets.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (flags, kind) = (SocketFlags::CLOEXEC, SocketType::SEQPACKET);
        let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, flags, None)?;
        Ok((Self(ours), theirs))
    }

    /// The one that was put in the place of standard input; standard input is empty from then on.
    /// `None` if it is something else.
    pub(super) fn from_stdin() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if sockopt::socket_type(&stdin).ok() != Some(SocketType::SEQPACKET) {
            return Ok(None);
        }
        let channel = stdin.as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        Ok(Some(Self(channel)))
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Nothing more comes or goes.
    pub(super) fn shut(&self) {
        // It may be so already.
        let _ = shutdown(&self.0, Shutdown::Both);
    }

    /// How long a message may take.
    pub(super) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        for which in [sockopt::Timeout::Recv, sockopt::Timeout::Send] {
            sockopt::set_socket_timeout(&self.0, which, Some(patience))?;
        }
        Ok(())
    }

    pub(super) fn send(&self, message: &Message, descriptor: Option<&OwnedFd>) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let descriptors = descriptor.map(AsFd::as_fd);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.as_slice().is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(descriptors.as_slice()));
        }
        let text = [io::IoSlice::new(&text)];
        sendmsg(&self.0, &text, &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next message; `None` when the other end is closed.
    pub(super) fn receive(&self) -> io::Result<Option<(Message, Option<OwnedFd>)>> {
        let mut text = vec![0; LARGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = loop {
            match recvmsg(&self.0, &mut [io::IoSliceMut::new(&mut text)], &mut ancillary, flags) {
                Err(rustix::io::Errno::INTR) => {}
                received => break received?,
            }
        };
        if received.bytes == 0 {
            return Ok(None);
        }
        let descriptor = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        Ok(Some((serde_json::from_slice(&text[..received.bytes])?, descriptor)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn messages_and_descriptors_go_over() {
        let (here, there) = Channel::pair().unwrap();
        let there = Channel(there);
        let (mut reader, writer) = io::pipe().unwrap();
        let name = || Message::Socket { name: "tcp:127.0.0.1:80".to_owned(), group: 3 };
        here.send(&name(), Some(&writer.into())).unwrap();
        for message in [Message::End { version: 7 }, Message::Ready, Message::Failed("no".into())] {
            here.send(&message, None).unwrap();
        }
        let (message, descriptor) = there.receive().unwrap().unwrap();
        assert_eq!(message, name());
        let mut writer = std::fs::File::from(descriptor.expect("it came along"));
        writer.write_all(b"hello").unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        let (message, descriptor) = there.receive().unwrap().unwrap();
        assert!(message == Message::End { version: 7 } && descriptor.is_none());
        assert_eq!(there.receive().unwrap().unwrap().0, Message::Ready);
        here.shut();
        assert_eq!(there.receive().unwrap().unwrap().0, Message::Failed("no".into()));
        assert!(there.receive().unwrap().is_none());
        there.send(&Message::Ready, None).expect_err("nobody hears it");
    }

    #[test]
    fn rubbish_and_silence_are_errors() {
        let (here, there) = Channel::pair().unwrap();
        let there = Channel(there);
        there.set_patience(Duration::from_millis(1)).unwrap();
        assert_eq!(there.receive().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        rustix::io::write(&here.0, b"{\"socket\":").unwrap();
        assert!(there.receive().is_err());
    }
}
