//! Both directions of a byte stream as plain data.
//!
//! A [`Wire`] is what a [`Protocol`](crate::Protocol) sees of the world: bytes that have come, bytes
//! that are to go, whether the peer has ended its direction, and what time it is. There is no socket
//! in it, so the same protocol runs on a connection, in a test and in a fuzzer.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};

/// From this size on, [`Output::push`] queues a `Bytes` as it is; below it, copying is cheaper than
/// one more element in a vectored write.
pub const COPY_BELOW: usize = 2048;

/// What an output keeps for the next one on its thread when it is emptied, in bytes at most.
const SPARE: usize = 64 * 1024;

thread_local! {
    /// The buffer that an output gave back last. A connection that waits holds none, and one that is
    /// woken need not ask the allocator.
    static COPIED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// The same of its queue.
    static SEGMENTS: Cell<VecDeque<Segment>> = const { Cell::new(VecDeque::new()) };
}

/// How many segments a queue may have room for that is kept for the next output.
const SPARE_SEGMENTS: usize = 64;

/// Both directions of a byte stream as plain data: the arguments of Twisted's `dataReceived` and
/// `transport.write`.
#[derive(Debug)]
pub struct Wire {
    /// What the peer has sent and the protocol has not consumed. The protocol splits off what it
    /// understands; the driver appends, and never beyond [`Protocol::input_cap`](crate::Protocol::input_cap).
    pub input: BytesMut,
    /// What the protocol has said and the transport has not taken.
    pub output: Output,
    /// The peer has ended its direction: nothing will be appended to `input` any more.
    pub eof: bool,
    /// The present, refreshed by the driver before it calls the protocol. Virtual in tests.
    pub now: Instant,
}

impl Wire {
    /// An empty wire at the given time.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { input: BytesMut::new(), output: Output::default(), eof: false, now }
    }
}

/// A stretch of a file that is to be sent as it is, by `sendfile` where the transport can.
#[derive(Debug, Clone)]
pub struct FileRegion {
    /// The file, shared because several connections may send it at once. Its cursor is never used.
    pub file: Arc<File>,
    /// Where the region begins, in bytes.
    pub offset: u64,
    /// How many bytes it has. A file that turns out shorter is an error, never a short success.
    pub len: u64,
}

/// One element of the output queue.
#[derive(Debug)]
enum Segment {
    /// The next so many bytes of [`Output::copied`].
    Copied(usize),
    Bytes(Bytes),
    File(FileRegion),
}

impl Segment {
    fn len(&self) -> u64 {
        match self {
            Self::Copied(length) => *length as u64,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(region) => region.len,
        }
    }
}

/// What is at the front of the output queue.
#[derive(Debug)]
pub enum Front<'a> {
    /// Bytes to write: the slices of [`Output::slices`] begin here.
    Bytes,
    /// A file region.
    File(&'a FileRegion),
}

/// What is to be sent: a queue of segments.
///
/// Small writes are copied into one buffer, a large [`Bytes`] is queued as it is, a file region is
/// queued as (file, offset, length). The protocol says *what* to send; how it is sent (vectored,
/// `sendfile`) is the transport's.
#[derive(Debug, Default)]
pub struct Output {
    /// What comes before the unsealed end of `copied`.
    segments: VecDeque<Segment>,
    /// The buffer that small writes are copied into, those of all segments one after the other.
    copied: Vec<u8>,
    /// How many bytes at its front the transport has taken.
    taken: usize,
    /// Up to where it belongs to segments; what follows comes last of all.
    sealed: usize,
    /// Bytes queued: segments and the rest of `copied`.
    len: u64,
    /// Bytes taken by the transport since the beginning.
    sent: u64,
}

impl Output {
    /// How many bytes wait to be sent, those of file regions included.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes the transport has taken since the connection began.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Copies `bytes` to the end.
    // Inlined, that a copy of known length becomes a few stores.
    #[inline(always)]
    pub fn put(&mut self, bytes: &[u8]) {
        if self.copied.capacity() - self.copied.len() < bytes.len() {
            self.reserve(bytes.len());
        }
        self.copied.extend_from_slice(bytes);
        self.len += bytes.len() as u64;
    }

    /// Makes room for `additional` bytes of coming [`put`](Self::put)s.
    #[inline(never)]
    pub fn reserve(&mut self, additional: usize) {
        if self.copied.capacity() == 0 {
            self.begin();
        }
        // What has been taken is dropped at times, lest a queue that is never empty grow for ever.
        if self.taken > SPARE.max(self.copied.len() / 2) {
            self.copied.drain(..self.taken);
            self.sealed -= self.taken;
            self.taken = 0;
        }
        self.copied.reserve(additional);
    }

    /// Takes the thread's spare buffer, or makes one.
    #[cold]
    fn begin(&mut self) {
        self.copied = COPIED.take();
        self.copied.reserve(1024);
    }

    /// Queues `bytes`: without copying when they are [large](COPY_BELOW), else as [`put`](Self::put).
    pub fn push(&mut self, bytes: Bytes) {
        if bytes.len() < COPY_BELOW {
            self.put(&bytes);
        } else {
            self.len += bytes.len() as u64;
            self.seal();
            self.queue(Segment::Bytes(bytes));
        }
    }

    /// Queues a stretch of a file. An empty one is nothing.
    pub fn push_file(&mut self, region: FileRegion) {
        if region.len > 0 {
            self.len += region.len;
            self.seal();
            self.queue(Segment::File(region));
        }
    }

    /// What comes first, or `None` if nothing waits.
    #[must_use]
    pub fn front(&self) -> Option<Front<'_>> {
        match self.segments.front() {
            Some(Segment::File(region)) => Some(Front::File(region)),
            Some(Segment::Copied(_) | Segment::Bytes(_)) => Some(Front::Bytes),
            None if self.len == 0 => None,
            None => Some(Front::Bytes),
        }
    }

    /// Fills `slices` with the bytes at the front, up to the first file region, and returns how many
    /// slices were filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let mut at = self.taken;
        for segment in &self.segments {
            if filled == slices.len() {
                return filled;
            }
            slices[filled] = match segment {
                Segment::Copied(length) => {
                    at += length;
                    IoSlice::new(&self.copied[at - length..at])
                }
                Segment::Bytes(bytes) => IoSlice::new(bytes),
                Segment::File(_) => return filled,
            };
            filled += 1;
        }
        if filled < slices.len() && self.sealed < self.copied.len() {
            slices[filled] = IoSlice::new(&self.copied[at..]);
            filled += 1;
        }
        filled
    }

    /// The transport has taken `count` bytes from the front.
    ///
    /// # Panics
    /// If `count` exceeds [`len`](Self::len): a transport cannot take what is not there.
    pub fn advance(&mut self, count: u64) {
        assert!(count <= self.len, "a transport took {count} of {} bytes", self.len);
        self.len -= count;
        self.sent += count;
        let mut left = count;
        while let Some(segment) = self.segments.front_mut() {
            let whole = segment.len();
            let part = left.min(whole);
            match segment {
                // A part of an in-memory buffer, so it fits in usize.
                Segment::Copied(length) => {
                    *length -= part as usize;
                    self.taken += part as usize;
                }
                Segment::Bytes(bytes) => bytes.advance(part as usize),
                Segment::File(region) => {
                    region.offset += part;
                    region.len -= part;
                }
            }
            if part < whole {
                return;
            }
            left -= part;
            self.segments.pop_front();
        }
        self.taken += left as usize;
        self.sealed = self.sealed.max(self.taken);
        if self.taken == self.copied.len() {
            self.copied.clear();
            (self.taken, self.sealed) = (0, 0);
        }
    }

    /// Gives the memory of an empty queue back, so that an idle connection is cheap.
    pub fn release(&mut self) {
        if self.len > 0 {
            return;
        }
        if self.copied.capacity() > 0 {
            let copied = std::mem::take(&mut self.copied);
            if copied.capacity() <= SPARE {
                COPIED.set(copied);
            }
        }
        if self.segments.capacity() > 0 {
            let segments = std::mem::take(&mut self.segments);
            if segments.capacity() <= SPARE_SEGMENTS {
                SEGMENTS.set(segments);
            }
        }
    }

    /// Reads up to `most` bytes of a file region at the front into memory, for a transport that can
    /// only write bytes. Anything else at the front stays as it is.
    ///
    /// # Errors
    /// When the file cannot be read or is shorter than its region.
    pub fn load_front(&mut self, most: usize) -> io::Result<()> {
        let Some(Segment::File(region)) = self.segments.front_mut() else {
            return Ok(());
        };
        let count = region.len.min(most as u64) as usize;
        let mut bytes = vec![0; count];
        std::os::unix::fs::FileExt::read_exact_at(&*region.file, &mut bytes, region.offset)?;
        region.offset += count as u64;
        region.len -= count as u64;
        if region.len == 0 {
            self.segments.pop_front();
        }
        self.segments.push_front(Segment::Bytes(bytes.into()));
        Ok(())
    }

    /// Takes everything out as one buffer, reading file regions: for tests and for protocols that
    /// wrap another one's output.
    ///
    /// # Errors
    /// When a file region cannot be read whole.
    pub fn take(&mut self) -> io::Result<Bytes> {
        let mut all = BytesMut::with_capacity(self.len as usize);
        let mut at = self.taken;
        for segment in &self.segments {
            match segment {
                Segment::Copied(length) => {
                    all.extend_from_slice(&self.copied[at..at + length]);
                    at += length;
                }
                Segment::Bytes(bytes) => all.extend_from_slice(bytes),
                Segment::File(region) => {
                    let start = all.len();
                    all.resize(start + region.len as usize, 0);
                    std::os::unix::fs::FileExt::read_exact_at(
                        &*region.file,
                        &mut all[start..],
                        region.offset,
                    )?;
                }
            }
        }
        all.extend_from_slice(&self.copied[at..]);
        self.advance(self.len);
        Ok(all.freeze())
    }

    fn queue(&mut self, segment: Segment) {
        if self.segments.capacity() == 0 {
            self.segments = SEGMENTS.take();
        }
        self.segments.push_back(segment);
    }

    /// What was copied so far comes before the segment that follows.
    fn seal(&mut self) {
        let unsealed = self.copied.len() - self.sealed;
        if unsealed > 0 {
            self.queue(Segment::Copied(unsealed));
            self.sealed = self.copied.len();
        }
    }
}

/// Writing to an output copies and never fails, so that `write!` works on it.
impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gathered(output: &Output) -> Vec<Vec<u8>> {
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = output.slices(&mut slices);
        slices[..filled].iter().map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn small_writes_are_coalesced_and_large_ones_keep_their_buffer() {
        let mut output = Output::default();
        let large = Bytes::from(vec![b'x'; COPY_BELOW]);
        output.put(b"a");
        write!(output, "{}", 1).expect("writing to memory");
        output.push(Bytes::from_static(b"b"));
        output.push(large.clone());
        output.put(b"c");
        assert_eq!(gathered(&output), [b"a1b".to_vec(), large.to_vec(), b"c".to_vec()]);
        let mut slices = [IoSlice::new(&[]); 3];
        output.slices(&mut slices);
        assert_eq!(slices[1].as_ptr(), large.as_ptr(), "a large buffer must not be copied");
        assert_eq!(output.len(), 4 + COPY_BELOW as u64);
    }

    #[test]
    fn any_partial_write_leaves_the_rest() {
        let mut file = tempfile();
        file.write_all(b"0123456789").expect("a temporary file is writable");
        let file = Arc::new(file);
        let fill = |output: &mut Output| {
            output.put(b"head ");
            output.push_file(FileRegion { file: file.clone(), offset: 2, len: 5 });
            output.push(Bytes::from(vec![b'y'; COPY_BELOW]));
            output.put(b" tail");
        };
        let mut whole = Output::default();
        fill(&mut whole);
        let whole = whole.take().expect("the file is whole");
        for cut in 0..=whole.len() {
            let mut output = Output::default();
            fill(&mut output);
            output.advance(cut as u64);
            assert_eq!(output.len(), (whole.len() - cut) as u64);
            assert_eq!(output.sent(), cut as u64);
            assert_eq!(output.take().expect("the file is whole"), whole[cut..]);
            assert!(output.is_empty() && output.front().is_none());
        }
    }

    #[test]
    fn a_queue_that_is_never_empty_does_not_grow() {
        let (mut output, mut put, mut taken) = (Output::default(), 0_u8, 0_u8);
        for _ in 0..100_000 {
            for _ in 0..3 {
                output.put(&[put; 7]);
                put = put.wrapping_add(1);
            }
            while output.len() > 7 {
                assert_eq!(gathered(&output)[0][..7], [taken; 7]);
                output.advance(7);
                taken = taken.wrapping_add(1);
            }
        }
        assert!(output.copied.capacity() <= 4 * SPARE, "{}", output.copied.capacity());
    }

    #[test]
    fn slices_stop_before_a_file() {
        let mut output = Output::default();
        output.put(b"head");
        output.push_file(FileRegion { file: Arc::new(tempfile()), offset: 0, len: 5 });
        output.put(b"tail");
        assert_eq!(gathered(&output), [b"head".to_vec()]);
        output.advance(4);
        assert!(matches!(output.front(), Some(Front::File(_))));
        assert_eq!(gathered(&output), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn loading_a_file_piecewise_changes_nothing() {
        let mut file = tempfile();
        file.write_all(b"0123456789").expect("a temporary file is writable");
        let mut output = Output::default();
        output.push_file(FileRegion { file: Arc::new(file), offset: 1, len: 8 });
        output.put(b"!");
        let mut seen = Vec::new();
        while !output.is_empty() {
            output.load_front(3).expect("the file is whole");
            seen.extend(gathered(&output).concat());
            output.advance(gathered(&output).concat().len() as u64);
        }
        assert_eq!(seen, b"12345678!");
    }

    #[test]
    fn a_file_shorter_than_its_region_is_an_error() {
        let mut output = Output::default();
        output.push_file(FileRegion { file: Arc::new(tempfile()), offset: 0, len: 5 });
        assert_eq!(
            output.take().expect_err("five bytes of an empty file").kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    /// An open file that no longer has a name.
    fn tempfile() -> File {
        let path =
            std::env::temp_dir().join(format!("ropewalk-wire-{:?}", std::thread::current().id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        std::fs::remove_file(path).expect("it was just made");
        file.expect("the temporary folder is writable")
    }
}
