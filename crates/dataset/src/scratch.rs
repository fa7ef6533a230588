//! Byte records on disk: one temporary file in which many lists of records grow at once, read again in order and merged.
//!
//! ```text
//! file   [run 1 ......][list a][list b][list a]...[run 2 ......]     a list is some pieces of the file, in order
//! record length (4 bytes, little-endian) | bytes                     records sort as their bytes do
//! ```
//! One file, because a program may have few open. Whoever makes it can take its name away at once (`tempfile` does): nothing
//! of it then outlives the program, however that ends.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use crate::error::ReadError;

/// The file; see the module.
#[derive(Debug)]
pub struct Scratch {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    len: u64,
}

/// Why records could not be kept on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScratchError {
    /// The disk is full.
    Full {
        /// Bytes that were written before.
        written: u64,
    },
    /// The operating system refused.
    Io {
        /// What it said.
        message: String,
    },
    /// A record of more than 4 GiB.
    TooLong {
        /// Its bytes.
        bytes: usize,
    },
}

impl fmt::Display for ScratchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { written } => {
                write!(f, "the temporary folder is full: {written} bytes were written there, and more are needed")
            }
            Self::Io { message } => write!(f, "the temporary file: {message}"),
            Self::TooLong { bytes } => write!(f, "expected rows of at most 4294967295 bytes, found {bytes}"),
        }
    }
}

impl std::error::Error for ScratchError {}

impl From<ScratchError> for ReadError {
    fn from(error: ScratchError) -> Self {
        Self::Scratch(error)
    }
}

impl Inner {
    fn fault(&self, error: &io::Error) -> ScratchError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                ScratchError::Full { written: self.len }
            }
            _ => ScratchError::Io { message: error.to_string() },
        }
    }
}

impl Scratch {
    /// Takes an empty file that can be written and read.
    pub fn new(file: File) -> Self {
        Self { inner: Mutex::new(Inner { file, len: 0 }) }
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).len
    }

    fn append(&self, bytes: &[u8]) -> Result<Piece, ScratchError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let at = inner.len;
        let result = inner.file.seek(SeekFrom::Start(at)).and_then(|_| inner.file.write_all(bytes));
        result.map_err(|error| inner.fault(&error))?;
        inner.len += bytes.len() as u64;
        Ok(Piece { at, len: bytes.len() as u64 })
    }

    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), ScratchError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let result = inner.file.seek(SeekFrom::Start(at)).and_then(|_| inner.file.read_exact(bytes));
        result.map_err(|error| inner.fault(&error))
    }
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    at: u64,
    len: u64,
}

/// A list of records that is being written.
#[derive(Debug)]
pub(crate) struct Spool<'s> {
    scratch: &'s Scratch,
    buffer: Vec<u8>,
    capacity: usize,
    pieces: Vec<Piece>,
}

impl<'s> Spool<'s> {
    /// Holds up to `capacity` bytes before it writes them.
    pub(crate) fn new(scratch: &'s Scratch, capacity: usize) -> Self {
        Self { scratch, buffer: Vec::new(), capacity, pieces: Vec::new() }
    }

    pub(crate) fn push(&mut self, record: &[u8]) -> Result<(), ScratchError> {
        let len = u32::try_from(record.len()).map_err(|_| ScratchError::TooLong { bytes: record.len() })?;
        self.buffer.extend(len.to_le_bytes());
        self.buffer.extend(record);
        if self.buffer.len() >= self.capacity { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ScratchError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = self.scratch.append(&self.buffer)?;
        self.buffer.clear();
        match self.pieces.last_mut() {
            Some(last) if last.at + last.len == piece.at => last.len += piece.len,
            _ => self.pieces.push(piece),
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Records, ScratchError> {
        self.flush()?;
        Ok(Records(self.pieces))
    }
}

/// A list of records that can be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records(Vec<Piece>);

/// Gives records one after the other.
pub(crate) trait Cursor {
    /// Puts the next record into `record`; false where there is none.
    fn next_into(&mut self, record: &mut Vec<u8>) -> Result<bool, ReadError>;
}

/// Reads one list.
#[derive(Debug)]
pub(crate) struct Reader<'s> {
    scratch: &'s Scratch,
    pieces: std::vec::IntoIter<Piece>,
    piece: Piece,
    buffer: Vec<u8>,
    at: usize,
    capacity: usize,
}

impl Records {
    /// Reads the list with a buffer of `capacity` bytes.
    pub(crate) fn reader<'s>(&self, scratch: &'s Scratch, capacity: usize) -> Reader<'s> {
        let (pieces, piece) = (self.0.clone().into_iter(), Piece { at: 0, len: 0 });
        Reader { scratch, pieces, piece, buffer: Vec::new(), at: 0, capacity: capacity.max(64) }
    }
}

impl Reader<'_> {
    /// Sees to it that `n` bytes are in the buffer; false where the list ends before.
    fn fill(&mut self, n: usize) -> Result<bool, ReadError> {
        while self.buffer.len() - self.at < n {
            if self.piece.len == 0 {
                let Some(piece) = self.pieces.next() else { return Ok(false) };
                self.piece = piece;
            }
            self.buffer.drain(..self.at);
            self.at = 0;
            let before = self.buffer.len();
            let wanted = self.capacity.max(n - before).min(usize::try_from(self.piece.len).unwrap_or(usize::MAX));
            self.buffer.resize(before + wanted, 0);
            self.scratch.read(self.piece.at, &mut self.buffer[before..])?;
            self.piece = Piece { at: self.piece.at + wanted as u64, len: self.piece.len - wanted as u64 };
        }
        Ok(true)
    }
}

impl Cursor for Reader<'_> {
    fn next_into(&mut self, record: &mut Vec<u8>) -> Result<bool, ReadError> {
        if !self.fill(4)? {
            return Ok(false);
        }
        let head = &self.buffer[self.at..self.at + 4];
        let len = u32::from_le_bytes(head.try_into().expect("four bytes")) as usize;
        self.at += 4;
        if !self.fill(len)? {
            return Err(ScratchError::Io { message: "it ends inside a record".into() }.into());
        }
        record.clear();
        record.extend_from_slice(&self.buffer[self.at..self.at + len]);
        self.at += len;
        Ok(true)
    }
}

/// Merges sorted lists into one.
pub(crate) struct Merge<C> {
    cursors: Vec<C>,
    /// The next record of each list that is not at its end.
    heads: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
}

impl<C: Cursor> Merge<C> {
    pub(crate) fn new(mut cursors: Vec<C>) -> Result<Self, ReadError> {
        let mut heads = BinaryHeap::with_capacity(cursors.len());
        for (i, cursor) in cursors.iter_mut().enumerate() {
            let mut record = Vec::new();
            if cursor.next_into(&mut record)? {
                heads.push(Reverse((record, i)));
            }
        }
        Ok(Self { cursors, heads })
    }

    /// The next record, without taking it.
    pub(crate) fn peek(&self) -> Option<&[u8]> {
        self.heads.peek().map(|Reverse((record, _))| record.as_slice())
    }
}

impl<C: Cursor> Cursor for Merge<C> {
    fn next_into(&mut self, record: &mut Vec<u8>) -> Result<bool, ReadError> {
        let Some(mut head) = self.heads.peek_mut() else { return Ok(false) };
        let Reverse((next, cursor)) = &mut *head;
        std::mem::swap(next, record);
        if !self.cursors[*cursor].next_into(next)? {
            PeekMut::pop(head);
        }
        Ok(true)
    }
}

/// Eight bytes that sort as the number does.
pub(crate) fn sortable(number: i64) -> [u8; 8] {
    (number as u64 ^ 1 << 63).to_be_bytes()
}

/// The number of [`sortable`].
pub(crate) fn from_sortable(bytes: &[u8]) -> i64 {
    (u64_at(bytes) ^ 1 << 63) as i64
}

/// A big-endian number in the first eight bytes.
pub(crate) fn u64_at(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes[..8].try_into().expect("records are read with the layout they were written with"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lists_come_back_and_merge_sorted(
            lists in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..30), 0..6),
            capacity in 1_usize..200,
        ) {
            let scratch = Scratch::new(tempfile::tempfile().unwrap());
            let mut spools: Vec<Spool> = lists.iter().map(|_| Spool::new(&scratch, capacity)).collect();
            let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
            let sorted: Vec<Vec<Vec<u8>>> = lists.iter().map(|l| { let mut l = l.clone(); l.sort(); l }).collect();
            for i in 0..longest {
                for (spool, list) in spools.iter_mut().zip(&sorted) {
                    list.get(i).map_or(Ok(()), |record| spool.push(record)).unwrap();
                }
            }
            let records: Vec<Records> = spools.into_iter().map(|spool| spool.finish().unwrap()).collect();
            let readers = records.iter().map(|records| records.reader(&scratch, capacity)).collect();
            let mut merge = Merge::new(readers).unwrap();
            let (mut found, mut record) = (Vec::new(), Vec::new());
            while let Some(next) = merge.peek().map(<[u8]>::to_vec) {
                prop_assert!(merge.next_into(&mut record).unwrap());
                prop_assert_eq!(&next, &record);
                found.push(record.clone());
            }
            prop_assert!(!merge.next_into(&mut record).unwrap());
            let mut expected: Vec<Vec<u8>> = lists.concat();
            expected.sort();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn numbers_sort_as_their_bytes(a: i64, b: i64) {
            prop_assert_eq!(a.cmp(&b), sortable(a).cmp(&sortable(b)));
            prop_assert_eq!(from_sortable(&sortable(a)), a);
        }
    }
}
