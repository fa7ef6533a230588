//! Looks over the lengths in a Parquet file before the library acts on them.
//!
//! The library allocates what some lengths in a file promise, and descends as deep as its schema says; a few hostile bytes
//! then end the process, which no caller can prevent. So the footer and the header of each page, which are structs of
//! Thrift's compact protocol, are walked here first: every list must have as many bytes left as it has entries, nothing may
//! be nested deeper than [`MAX_DEPTH`], and a page may unfold to no more than [`MAX_PAGE`] bytes or [`MAX_RATIO`] times its
//! stored size.
//!
//! # Reference
//! Apache Thrift, thrift-compact-protocol.md; Apache Parquet, parquet.thrift.

/// How deep structs, lists and columns may be nested.
const MAX_DEPTH: usize = 64;
/// A page of this size is taken whatever its stored size is.
const MAX_PAGE: u64 = 64 << 20;
/// How many times its stored size a larger page may have.
const MAX_RATIO: u64 = 1_024;

/// What does not fit.
pub(super) type Fault = &'static str;

/// Types of the compact protocol.
mod kind {
    pub(super) const TRUE: u8 = 1;
    pub(super) const FALSE: u8 = 2;
    pub(super) const BYTE: u8 = 3;
    pub(super) const I32: u8 = 5;
    pub(super) const I64: u8 = 6;
    pub(super) const I16: u8 = 4;
    pub(super) const DOUBLE: u8 = 7;
    pub(super) const BINARY: u8 = 8;
    pub(super) const LIST: u8 = 9;
    pub(super) const SET: u8 = 10;
    pub(super) const MAP: u8 = 11;
    pub(super) const STRUCT: u8 = 12;
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    fn left(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let byte = *self.bytes.get(self.at).ok_or("it ends inside a value")?;
        self.at += 1;
        Ok(byte)
    }

    fn pass(&mut self, n: u64) -> Result<(), Fault> {
        if n > self.left() {
            return Err("a length goes beyond its end");
        }
        self.at += n as usize;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number has too many bytes")
    }

    fn int(&mut self) -> Result<i64, Fault> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Calls `visit(walk, field, kind)` for each field of a struct; what it leaves (`false`) is passed over.
    fn fields(
        &mut self,
        depth: usize,
        mut visit: impl FnMut(&mut Self, i16, u8) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let mut field = 0_i16;
        loop {
            let head = self.byte()?;
            let kind = head & 0x0f;
            if kind == 0 {
                return Ok(());
            }
            field = match head >> 4 {
                0 => self.int()? as i16,
                delta => field.wrapping_add(i16::from(delta)),
            };
            if !visit(self, field, kind)? {
                self.skip(kind, depth)?;
            }
        }
    }

    /// The number of entries of a list and their kind.
    fn list(&mut self) -> Result<(u64, u8), Fault> {
        let head = self.byte()?;
        let n = match head >> 4 {
            15 => self.varint()?,
            n => u64::from(n),
        };
        // Each entry takes a byte at least.
        if n > self.left() {
            return Err("a list is longer than what holds it");
        }
        Ok((n, head & 0x0f))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Result<(), Fault> {
        let depth = depth.checked_sub(1).ok_or("it is nested too deep")?;
        match kind {
            kind::TRUE | kind::FALSE => Ok(()),
            kind::BYTE => self.pass(1),
            kind::I16 | kind::I32 | kind::I64 => self.varint().map(|_| ()),
            kind::DOUBLE => self.pass(8),
            kind::BINARY => {
                let n = self.varint()?;
                self.pass(n)
            }
            kind::LIST | kind::SET => {
                let (n, kind) = self.list()?;
                (0..n).try_for_each(|_| self.entry(kind, depth))
            }
            kind::MAP => {
                let n = self.varint()?;
                if n > self.left() {
                    return Err("a map is longer than what holds it");
                }
                let kinds = if n == 0 { 0 } else { self.byte()? };
                (0..n).try_for_each(|_| {
                    self.entry(kinds >> 4, depth)?;
                    self.entry(kinds & 0x0f, depth)
                })
            }
            kind::STRUCT => self.fields(depth, |_, _, _| Ok(false)),
            _ => Err("a value is of no known kind"),
        }
    }

    /// Passes over an entry of a list, in which a truth value takes a byte.
    fn entry(&mut self, kind: u8, depth: usize) -> Result<(), Fault> {
        if matches!(kind, kind::TRUE | kind::FALSE) { self.pass(1) } else { self.skip(kind, depth) }
    }
}

/// Looks over a `FileMetaData`.
pub(super) fn footer(bytes: &[u8]) -> Result<(), Fault> {
    const SCHEMA: i16 = 2;
    const N_CHILDREN: i16 = 5;
    Walk { bytes, at: 0 }.fields(MAX_DEPTH, |walk, field, kind| {
        if (field, kind) != (SCHEMA, kind::LIST) {
            return Ok(false);
        }
        let (n, kind) = walk.list()?;
        // Children still to come of each group that is open.
        let mut open: Vec<i64> = Vec::new();
        for _ in 0..n {
            if kind != kind::STRUCT {
                return Err("its schema is no list of columns");
            }
            let mut n_children = 0;
            walk.fields(MAX_DEPTH, |walk, field, kind| {
                let is_children = (field, kind) == (N_CHILDREN, kind::I32);
                if is_children {
                    n_children = walk.int()?;
                }
                Ok(is_children)
            })?;
            while open.last() == Some(&0) {
                open.pop();
            }
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            if n_children > 0 {
                open.push(n_children);
            }
            if open.len() > MAX_DEPTH {
                return Err("its columns are nested too deep");
            }
        }
        Ok(true)
    })
}

/// Looks over the pages of one column in one row group.
pub(super) fn pages(bytes: &[u8]) -> Result<(), Fault> {
    const UNFOLDED: i16 = 2;
    const STORED: i16 = 3;
    let mut walk = Walk { bytes, at: 0 };
    while walk.at < bytes.len() {
        let (mut unfolded, mut stored) = (0, 0);
        walk.fields(MAX_DEPTH, |walk, field, kind| {
            let slot = match (field, kind) {
                (UNFOLDED, kind::I32) => &mut unfolded,
                (STORED, kind::I32) => &mut stored,
                _ => return Ok(false),
            };
            *slot = walk.int()?;
            Ok(true)
        })?;
        let (Ok(unfolded), Ok(stored)) = (u64::try_from(unfolded), u64::try_from(stored)) else {
            return Err("a page has a negative size");
        };
        if unfolded > MAX_PAGE.max(stored.saturating_mul(MAX_RATIO)) {
            return Err("a page unfolds to far more than it takes");
        }
        walk.pass(stored)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_must_fit_and_nesting_end() {
        // Field 2, list of a million structs, in four bytes.
        assert_eq!(footer(&[0x29, 0xfc, 0xc0, 0x84, 0x3d]), Err("a list is longer than what holds it"));
        // Field 1, binary of 300 bytes.
        assert_eq!(footer(&[0x18, 0xac, 0x02, 0]), Err("a length goes beyond its end"));
        // Structs in structs, and each schema element with one child.
        assert_eq!(footer(&[0x1c; 100]), Err("it is nested too deep"));
        let chain = |n: u8| [&[0x29, 0xfc, n][..], &[0x55, 2, 0].repeat(usize::from(n)), &[0]].concat();
        assert_eq!(footer(&chain(100)), Err("its columns are nested too deep"));
        assert_eq!(footer(&chain(60)), Ok(()));
        assert_eq!(footer(&[]), Err("it ends inside a value"));
        assert_eq!(footer(&[0x1d, 0]), Err("a value is of no known kind"));
        assert_eq!(
            footer(&[0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            Err("a number has too many bytes")
        );
    }

    #[test]
    fn pages_must_be_of_a_size_that_their_bytes_can_hold() {
        let page = |unfolded: &[u8]| [&[0x15, 0, 0x15][..], unfolded, &[0x15, 4, 0, 7, 7]].concat();
        assert_eq!(pages(&page(&[8]).repeat(3)), Ok(()));
        assert_eq!(pages(&page(&[9])), Err("a page has a negative size"));
        assert_eq!(pages(&page(&[0xfe, 0xff, 0xff, 0xff, 0x0f])), Err("a page unfolds to far more than it takes"));
        assert_eq!(pages(&page(&[8])[..8]), Err("a length goes beyond its end"));
    }
}
