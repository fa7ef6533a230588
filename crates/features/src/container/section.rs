//! The fields of one section, one after the other.

use super::{ContainerError, Tag, array_at, tag_text};

/// Reads fixed-width little-endian fields from the front of a section to its end.
#[derive(Clone, Debug)]
pub struct SectionReader<'a> {
    tag: Tag,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> SectionReader<'a> {
    /// A reader at the start of `bytes`; `tag` names the section in errors.
    pub fn new(tag: Tag, bytes: &'a [u8]) -> Self {
        Self { tag, bytes, at: 0 }
    }

    /// Offset of the next byte, from the start of the section.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Bytes not read yet. No count that the section claims can be larger: check it before allocating.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], ContainerError> {
        let bytes = self
            .at
            .checked_add(n)
            .and_then(|end| self.bytes.get(self.at..end))
            .ok_or_else(|| ContainerError::truncated(&tag_text(self.tag), self.at, n, self.remaining()))?;
        self.at += n;
        Ok(bytes)
    }

    /// The next `n` elements of `width` bytes each; also when `n * width` does not fit a `usize`, a typed error.
    pub fn take_elements(&mut self, n: usize, width: usize) -> Result<std::slice::ChunksExact<'a, u8>, ContainerError> {
        Ok(self.take(n.saturating_mul(width))?.chunks_exact(width))
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], ContainerError> {
        Ok(array_at(self.take(N)?, 0))
    }

    /// The next byte.
    pub fn u8(&mut self) -> Result<u8, ContainerError> {
        Ok(self.array::<1>()?[0])
    }

    /// The next two bytes.
    pub fn u16(&mut self) -> Result<u16, ContainerError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// The next four bytes.
    pub fn u32(&mut self) -> Result<u32, ContainerError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// The next eight bytes.
    pub fn u64(&mut self) -> Result<u64, ContainerError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The next eight bytes.
    pub fn i64(&mut self) -> Result<i64, ContainerError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// Skips zeros up to the next multiple of `alignment` from the start of the section.
    pub fn align(&mut self, alignment: usize) -> Result<(), ContainerError> {
        let start = self.at;
        let padding = self.take(start.next_multiple_of(alignment) - start)?;
        match padding.iter().position(|&byte| byte != 0) {
            Some(at) => Err(ContainerError::NonZeroPadding { offset: (start + at) as u64 }),
            None => Ok(()),
        }
    }

    /// Refuses bytes that nobody has read.
    pub fn finish(self) -> Result<(), ContainerError> {
        if self.remaining() == 0 {
            return Ok(());
        }
        Err(ContainerError::TrailingBytes { offset: self.at as u64, n_bytes: self.remaining() as u64 })
    }
}
