//! The byte container of model files and state files: a fixed header, a section table, aligned sections, one checksum.
//!
//! All integers are little-endian. `docs/model-format.md` describes the layout with the sections of a model.
//!
//! ```text
//! offset  size  field
//!      0     8  magic: 89, three letters of the file kind (OGM or OGS), 0D 0A 1A 0A
//!      8     2  container version, 0
//!     10     2  format version of the kind
//!     12     4  n_sections
//!     16     8  schema fingerprint
//!     24     8  length of the file
//!     32    32  BLAKE3 of bytes 0..32 followed by bytes 64..length
//!     64    24  per section: tag (4 letters), flags (u32, bit 0 = required), offset (u64), length (u64)
//!      .     .  zeros up to the next multiple of 64, then the sections in table order, each starting at one;
//!               the file ends with the last byte of the last section
//! ```
//!
//! There is one way to lay out given sections, so that equal contents are equal bytes, and every byte is accounted for:
//! it is covered by the checksum, belongs to a field or a section, or must be zero.

mod error;
mod section;

pub use error::ContainerError;
pub use section::SectionReader;

/// The three letters of a file kind.
pub type Kind = [u8; 3];
/// The four letters of a section.
pub type Tag = [u8; 4];

/// A model file.
pub const KIND_MODEL: Kind = *b"OGM";
/// A state file.
pub const KIND_STATE: Kind = *b"OGS";
/// The newest container version that this program reads, and the one it writes.
pub const CONTAINER_VERSION: u16 = 0;
/// Sections start at multiples of this.
pub const ALIGNMENT: usize = 64;
/// The most sections that a file may have.
pub const MAX_SECTIONS: usize = 1_024;

const HEADER_LEN: usize = 64;
const ENTRY_LEN: usize = 24;
const AT_CONTAINER_VERSION: usize = 8;
const AT_FORMAT_VERSION: usize = 10;
const AT_N_SECTIONS: usize = 12;
const AT_FINGERPRINT: usize = 16;
const AT_FILE_LEN: usize = 24;
const AT_CHECKSUM: usize = 32;
const FLAG_REQUIRED: u32 = 1;

/// Collects sections and lays them out; the same calls give the same bytes.
#[derive(Clone, Debug)]
pub struct ContainerWriter {
    kind: Kind,
    format_version: u16,
    fingerprint: u64,
    sections: Vec<(Tag, bool, Vec<u8>)>,
}

impl ContainerWriter {
    /// A file of this kind with no section yet.
    pub fn new(kind: Kind, format_version: u16, fingerprint: u64) -> Self {
        Self { kind, format_version, fingerprint, sections: Vec::new() }
    }

    /// Appends a section. Programs that do not know a `required` one must refuse the file, others skip it.
    ///
    /// # Panics
    /// If the tag is there already, is not four printable ASCII letters, or there are [`MAX_SECTIONS`]: a caller's bug.
    #[must_use]
    pub fn section(mut self, tag: Tag, required: bool, bytes: Vec<u8>) -> Self {
        assert!(tag.iter().all(u8::is_ascii_graphic), "a section tag is four printable ASCII letters");
        assert!(self.sections.iter().all(|(other, ..)| *other != tag), "a section is written once");
        assert!(self.sections.len() < MAX_SECTIONS, "too many sections");
        self.sections.push((tag, required, bytes));
        self
    }

    /// The bytes of the file.
    pub fn finish(self) -> Vec<u8> {
        let mut table = Vec::with_capacity(self.sections.len() * ENTRY_LEN);
        let mut end = HEADER_LEN + self.sections.len() * ENTRY_LEN;
        for (tag, required, bytes) in &self.sections {
            let offset = end.next_multiple_of(ALIGNMENT);
            table.extend(tag);
            table.extend((if *required { FLAG_REQUIRED } else { 0 }).to_le_bytes());
            table.extend((offset as u64).to_le_bytes());
            table.extend((bytes.len() as u64).to_le_bytes());
            end = offset + bytes.len();
        }

        let mut file = Vec::with_capacity(end);
        file.extend(magic(self.kind));
        file.extend(CONTAINER_VERSION.to_le_bytes());
        file.extend(self.format_version.to_le_bytes());
        file.extend((self.sections.len() as u32).to_le_bytes());
        file.extend(self.fingerprint.to_le_bytes());
        file.extend((end as u64).to_le_bytes());
        file.extend([0; 32]);
        file.extend(table);
        for (_, _, bytes) in self.sections {
            file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
            file.extend(bytes);
        }
        let sum = checksum(&file);
        file[AT_CHECKSUM..HEADER_LEN].copy_from_slice(&sum);
        file
    }
}

/// A file whose header, checksum and section table have been checked. What stands inside the sections has not.
#[derive(Clone, Debug)]
pub struct Container<'a> {
    format_version: u16,
    fingerprint: u64,
    sections: Vec<Section<'a>>,
}

/// One section of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// Its tag.
    pub tag: Tag,
    /// Whether a program that does not know it must refuse the file.
    pub required: bool,
    /// Its content.
    pub bytes: &'a [u8],
}

impl<'a> Container<'a> {
    /// Checks the layout of a whole file.
    ///
    /// `newest_version` is the newest format version of the kind that the caller reads, `limit` the most bytes it takes.
    /// Call [`Container::refuse_unknown`] next: which sections are known is for the caller to say. O(bytes), one pass of
    /// BLAKE3; allocates only the section list.
    pub fn parse(file: &'a [u8], expected: Kind, newest_version: u16, limit: usize) -> Result<Self, ContainerError> {
        if file.len() > limit {
            return Err(ContainerError::TooLarge { found: file.len() as u64, limit: limit as u64 });
        }
        let found = file.get(..8).ok_or(ContainerError::truncated("header", 0, HEADER_LEN, file.len()))?;
        if found != magic(expected) {
            return Err(match [KIND_MODEL, KIND_STATE].into_iter().find(|kind| found == magic(*kind)) {
                Some(kind) => ContainerError::WrongKind { found: kind, expected },
                None => ContainerError::BadMagic { expected },
            });
        }
        let Some(header) = file.get(..HEADER_LEN) else {
            return Err(ContainerError::truncated("header", 0, HEADER_LEN, file.len()));
        };
        let container_version = u16_at(header, AT_CONTAINER_VERSION);
        if container_version > CONTAINER_VERSION {
            return Err(ContainerError::UnsupportedVersion {
                of: "container",
                found: container_version,
                newest: CONTAINER_VERSION,
            });
        }
        let file_len = u64_at(header, AT_FILE_LEN);
        if (file.len() as u64) < file_len {
            return Err(ContainerError::Truncated {
                section: "file".into(),
                offset: 0,
                needed: file_len,
                available: file.len() as u64,
            });
        }
        if (file.len() as u64) > file_len {
            return Err(ContainerError::TrailingBytes { offset: file_len, n_bytes: file.len() as u64 - file_len });
        }
        if checksum(file)[..] != header[AT_CHECKSUM..] {
            return Err(ContainerError::ChecksumMismatch);
        }
        let format_version = u16_at(header, AT_FORMAT_VERSION);
        if format_version > newest_version {
            return Err(ContainerError::UnsupportedVersion {
                of: "format",
                found: format_version,
                newest: newest_version,
            });
        }
        let sections = parse_table(file, u32_at(header, AT_N_SECTIONS))?;
        Ok(Self { format_version, fingerprint: u64_at(header, AT_FINGERPRINT), sections })
    }

    /// Refuses a file with a required section that is not among the `known` ones; unknown optional ones are skipped.
    pub fn refuse_unknown(&self, known: &[Tag]) -> Result<(), ContainerError> {
        match self.sections.iter().find(|s| s.required && !known.contains(&s.tag)) {
            Some(section) => Err(ContainerError::UnknownSection { section: tag_text(section.tag) }),
            None => Ok(()),
        }
    }

    /// The content of a section.
    pub fn section(&self, tag: Tag) -> Option<&'a [u8]> {
        self.sections.iter().find(|s| s.tag == tag).map(|s| s.bytes)
    }

    /// The content of a section that must be there.
    pub fn need(&self, tag: Tag) -> Result<&'a [u8], ContainerError> {
        self.section(tag).ok_or_else(|| ContainerError::MissingSection { section: tag_text(tag) })
    }

    /// A reader over a section that must be there.
    pub fn reader(&self, tag: Tag) -> Result<SectionReader<'a>, ContainerError> {
        Ok(SectionReader::new(tag, self.need(tag)?))
    }

    /// All sections in file order, for a listing.
    pub fn sections(&self) -> &[Section<'a>] {
        &self.sections
    }

    /// Format version of the file's kind.
    pub fn format_version(&self) -> u16 {
        self.format_version
    }

    /// Fingerprint of the schema that the file belongs to.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

fn parse_table(file: &[u8], n_sections: u32) -> Result<Vec<Section<'_>>, ContainerError> {
    let n_sections = n_sections as usize;
    if n_sections > MAX_SECTIONS {
        return Err(ContainerError::TooManySections { found: n_sections as u64, limit: MAX_SECTIONS as u64 });
    }
    let mut end = HEADER_LEN + n_sections * ENTRY_LEN;
    let Some(table) = file.get(HEADER_LEN..end) else {
        return Err(ContainerError::truncated(
            "section table",
            HEADER_LEN,
            n_sections * ENTRY_LEN,
            file.len() - HEADER_LEN,
        ));
    };
    let mut sections: Vec<Section<'_>> = Vec::with_capacity(n_sections);
    for entry in table.chunks_exact(ENTRY_LEN) {
        let tag: Tag = array_at(entry, 0);
        let section = || tag_text(tag);
        if sections.iter().any(|s| s.tag == tag) {
            return Err(ContainerError::SectionTwice { section: section() });
        }
        let flags = u32_at(entry, 4);
        if flags & !FLAG_REQUIRED != 0 || !tag.iter().all(u8::is_ascii_graphic) {
            return Err(ContainerError::BadEntry { section: section(), flags });
        }
        // There is one place where a section may stand: an earlier one overlaps, a later one leaves bytes unaccounted for.
        let expected = end.next_multiple_of(ALIGNMENT);
        let (offset, len) = (u64_at(entry, 8), u64_at(entry, 16));
        if offset != expected as u64 {
            return Err(ContainerError::Misplaced { section: section(), offset, expected: expected as u64 });
        }
        let available = (file.len() as u64).saturating_sub(offset);
        if len > available || expected > file.len() {
            return Err(ContainerError::Truncated { section: section(), offset, needed: len, available });
        }
        if let Some(at) = file[end..expected].iter().position(|&byte| byte != 0) {
            return Err(ContainerError::NonZeroPadding { offset: (end + at) as u64 });
        }
        end = expected + len as usize;
        sections.push(Section { tag, required: flags & FLAG_REQUIRED != 0, bytes: &file[expected..end] });
    }
    if end != file.len() {
        return Err(ContainerError::TrailingBytes { offset: end as u64, n_bytes: (file.len() - end) as u64 });
    }
    Ok(sections)
}

/// The first eight bytes of a file of this kind.
pub fn magic(kind: Kind) -> [u8; 8] {
    // As in PNG: the first byte is not text, CR LF and LF show a transfer that rewrote line ends, 1A stops a listing.
    [0x89, kind[0], kind[1], kind[2], b'\r', b'\n', 0x1A, b'\n']
}

fn checksum(file: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&file[..AT_CHECKSUM]);
    hasher.update(&file[HEADER_LEN..]);
    *hasher.finalize().as_bytes()
}

fn tag_text(tag: Tag) -> String {
    tag.escape_ascii().to_string()
}

/// The `N` bytes at `at`; callers have checked the length of what they pass.
fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes is an array of N bytes")
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Vec<u8> {
        ContainerWriter::new(KIND_MODEL, 3, 0x0123_4567_89AB_CDEF)
            .section(*b"head", true, b"seven b".to_vec())
            .section(*b"note", false, Vec::new())
            .section(*b"tree", true, vec![7; 100])
            .finish()
    }

    fn parse(file: &[u8]) -> Result<Container<'_>, ContainerError> {
        Container::parse(file, KIND_MODEL, 3, 1 << 20)
    }

    /// Changes a file and makes its checksum valid again, as an attacker would.
    fn altered(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut file = sample();
        change(&mut file);
        let sum = checksum(&file);
        file[AT_CHECKSUM..HEADER_LEN].copy_from_slice(&sum);
        file
    }

    #[test]
    fn sections_read_back_aligned() {
        let file = sample();
        let container = parse(&file).unwrap();
        assert_eq!((container.format_version(), container.fingerprint()), (3, 0x0123_4567_89AB_CDEF));
        assert_eq!(container.section(*b"head"), Some(&b"seven b"[..]));
        assert_eq!(container.section(*b"note"), Some(&[][..]));
        assert_eq!(container.section(*b"tree"), Some(&[7; 100][..]));
        assert_eq!(container.section(*b"none"), None);
        assert_eq!(container.need(*b"none").unwrap_err(), ContainerError::MissingSection { section: "none".into() });
        // Header 64 + table 72 = 136 -> 192; 199 -> 256 (empty); -> 256, 100 bytes.
        assert_eq!(file.len(), 356);
        assert_eq!(file, sample());
    }

    #[test]
    fn every_flip_and_every_cut_is_refused() {
        let file = sample();
        for bit in 0..file.len() * 8 {
            let mut broken = file.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&broken).is_err(), "bit {bit}");
        }
        for len in 0..file.len() {
            assert!(parse(&file[..len]).is_err(), "cut to {len}");
        }
    }

    #[test]
    fn rejects_wrong_kind_and_magic() {
        let expected = KIND_STATE;
        let error = Container::parse(&sample(), expected, 3, 1 << 20).unwrap_err();
        assert_eq!(error, ContainerError::WrongKind { found: KIND_MODEL, expected });
        assert_eq!(parse(b"order_id,amount,country").unwrap_err(), ContainerError::BadMagic { expected: KIND_MODEL });
    }

    #[test]
    fn rejects_too_large() {
        let error = Container::parse(&sample(), KIND_MODEL, 3, 100).unwrap_err();
        assert_eq!(error, ContainerError::TooLarge { found: 356, limit: 100 });
    }

    #[test]
    fn rejects_newer_versions() {
        let error = Container::parse(&sample(), KIND_MODEL, 2, 1 << 20).unwrap_err();
        assert_eq!(error, ContainerError::UnsupportedVersion { of: "format", found: 3, newest: 2 });
        let error = parse(&altered(|file| file[AT_CONTAINER_VERSION] = 1)).map(|_| ()).unwrap_err();
        assert_eq!(error, ContainerError::UnsupportedVersion { of: "container", found: 1, newest: 0 });
    }

    #[test]
    fn rejects_checksum_mismatch() {
        let mut file = sample();
        *file.last_mut().unwrap() ^= 1;
        assert_eq!(parse(&file).unwrap_err(), ContainerError::ChecksumMismatch);
    }

    #[test]
    fn rejects_truncated_and_trailing() {
        let file = sample();
        assert!(matches!(parse(&file[..60]), Err(ContainerError::Truncated { .. })));
        assert!(matches!(parse(&file[..300]), Err(ContainerError::Truncated { needed: 356, available: 300, .. })));
        let mut longer = file.clone();
        longer.push(0);
        assert_eq!(parse(&longer).unwrap_err(), ContainerError::TrailingBytes { offset: 356, n_bytes: 1 });
        let longer = altered(|file| {
            file.push(0);
            file[AT_FILE_LEN..AT_CHECKSUM].copy_from_slice(&357u64.to_le_bytes());
        });
        assert_eq!(parse(&longer).unwrap_err(), ContainerError::TrailingBytes { offset: 356, n_bytes: 1 });
        let table = altered(|file| file[AT_N_SECTIONS..AT_N_SECTIONS + 4].copy_from_slice(&200u32.to_le_bytes()));
        assert!(matches!(parse(&table), Err(ContainerError::Truncated { .. })));
    }

    #[test]
    fn rejects_hostile_tables() {
        let entry = |i: usize| HEADER_LEN + i * ENTRY_LEN;
        let cases: [(Vec<u8>, &str); 8] = [
            (altered(|f| f[AT_N_SECTIONS + 1] = 0xFF), "TooManySections"),
            (altered(|f| f.copy_within(entry(0)..entry(0) + 4, entry(1))), "SectionTwice"),
            (altered(|f| f[entry(0) + 4] = 3), "BadEntry"),
            (altered(|f| f[entry(0)] = 0), "BadEntry"),
            (altered(|f| f[entry(2) + 8] = 192), "Misplaced"),
            (altered(|f| f[entry(2) + 15] = 0xFF), "Misplaced"),
            (altered(|f| f[entry(2) + 16..entry(2) + 24].fill(0xFF)), "Truncated"),
            (altered(|f| f[137] = 1), "NonZeroPadding"),
        ];
        for (file, expected) in cases {
            let error = parse(&file).unwrap_err();
            assert!(format!("{error:?}").starts_with(expected), "{expected}: {error:?}");
        }
    }

    #[test]
    fn unknown_optional_is_skipped_and_required_refused() {
        let file = sample();
        let container = parse(&file).unwrap();
        assert_eq!(container.refuse_unknown(&[*b"head", *b"tree"]), Ok(()));
        let error = container.refuse_unknown(&[*b"head"]).unwrap_err();
        assert_eq!(error, ContainerError::UnknownSection { section: "tree".into() });
    }

    #[test]
    fn reader_accounts_for_every_byte() {
        let bytes = [1, 2, 0, 3, 0, 0, 0, 0, 9];
        let mut reader = SectionReader::new(*b"test", &bytes);
        assert_eq!((reader.u8(), reader.u16(), reader.u16()), (Ok(1), Ok(2), Ok(3)));
        reader.align(8).unwrap();
        assert_eq!((reader.offset(), reader.remaining()), (8, 1));
        assert!(reader.clone().finish().is_err());
        let expected = ContainerError::Truncated { section: "test".into(), offset: 8, needed: 4, available: 1 };
        assert_eq!(reader.u32().unwrap_err(), expected);
        assert!(reader.take_elements(usize::MAX, 8).is_err());
        assert!(reader.take(usize::MAX).is_err());
        assert_eq!(reader.u8(), Ok(9));
        assert_eq!(reader.finish(), Ok(()));
        let mut reader = SectionReader::new(*b"test", &[1, 5, 0, 0]);
        reader.u8().unwrap();
        assert_eq!(reader.align(4), Err(ContainerError::NonZeroPadding { offset: 1 }));
    }

    #[test]
    fn a_file_without_sections_is_a_header() {
        let file = ContainerWriter::new(KIND_STATE, 0, 0).finish();
        assert_eq!(file.len(), HEADER_LEN);
        assert!(Container::parse(&file, KIND_STATE, 0, 64).unwrap().sections().is_empty());
    }

    proptest! {
        #[test]
        fn any_sections_read_back(
            contents in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..200)), 0..8),
            fingerprint: u64,
        ) {
            let mut writer = ContainerWriter::new(KIND_STATE, 0, fingerprint);
            for (i, (required, bytes)) in contents.iter().enumerate() {
                writer = writer.section([b's', b'e', b'c', b'0' + i as u8], *required, bytes.clone());
            }
            let file = writer.finish();
            let container = Container::parse(&file, KIND_STATE, 0, usize::MAX).unwrap();
            prop_assert_eq!(container.fingerprint(), fingerprint);
            prop_assert_eq!(container.sections().len(), contents.len());
            for (section, (required, bytes)) in container.sections().iter().zip(&contents) {
                prop_assert_eq!(section.required, *required);
                prop_assert_eq!(section.bytes, &bytes[..]);
            }
        }

        #[test]
        fn any_table_with_a_valid_checksum_never_panics(
            at in HEADER_LEN..HEADER_LEN + 3 * ENTRY_LEN, bytes in prop::collection::vec(any::<u8>(), 1..16),
        ) {
            let file = altered(|file| file[at..at + bytes.len()].copy_from_slice(&bytes));
            let _ = parse(&file).is_ok();
        }
    }
}
