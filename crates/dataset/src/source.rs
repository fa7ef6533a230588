//! Where bytes come from: files, folders and memory, plain or compressed.
//!
//! Plain files are read in blocks, not memory-mapped: a map needs `unsafe`, a file that changes under it is undefined
//! behaviour, and block reads let the same code serve compressed files with memory bounded by a few blocks.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use orderguard_features::kind::EventKind;

use crate::error::ReadError;

/// How much smaller compression makes tables, at most as a rule.
const PACKED: u64 = 8;

/// One thing to read.
pub enum Input {
    /// A file, or a folder whose files of a known kind are read in the order of their names.
    Path(PathBuf),
    /// A file's content.
    Bytes {
        /// What messages call it; its extension says what it holds, as a file's would.
        name: String,
        /// The content, plain or compressed.
        bytes: Vec<u8>,
    },
    /// A stream, such as standard input; read to its end when opened, since it may be read twice.
    Reader {
        /// What messages call it.
        name: String,
        /// The stream, plain or compressed.
        reader: Box<dyn Read + Send>,
    },
}

/// How sources are read, the same in every pass.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// The character between fields; found from the first rows where `None`.
    pub delimiter: Option<u8>,
    /// A longer field rejects its row. Default 1 MiB. A quote must close within 16 times this, and a row be within 64 times.
    pub max_field_bytes: usize,
    /// More decompressed bytes than this over all files are an error. Default 64 GiB.
    pub max_bytes: u64,
    /// Bytes that one thread parses at a time; has no influence on any result. Default 1 MiB.
    pub block_bytes: usize,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self { delimiter: None, max_field_bytes: 1 << 20, max_bytes: 64 << 30, block_bytes: 1 << 20 }
    }
}

/// The files to read, opened once for a check and again by each pass.
pub struct Sources {
    pub(crate) files: Vec<SourceFile>,
    skipped: Vec<PathBuf>,
    pub(crate) options: SourceOptions,
}

#[derive(Clone)]
pub(crate) struct SourceFile {
    pub(crate) name: String,
    pub(crate) content: Content,
    origin: Origin,
    /// Bytes as stored.
    pub(crate) len: u64,
}

/// What the rows of a file are, where they do not say it themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Orders.
    Orders,
    /// Events, of this kind where it was given.
    Events(Option<EventKind>),
}

#[derive(Clone)]
enum Origin {
    Path(PathBuf),
    Bytes(Arc<Vec<u8>>),
}

/// What the extension of a name says about the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Delimited,
    JsonLines,
    Parquet,
}

impl Sources {
    /// Opens every input to see that it can be read, and lists folders.
    ///
    /// # Errors
    /// [`ReadError::NoInput`], [`ReadError::EmptyFolder`], [`ReadError::Io`], [`ReadError::BadDelimiter`], and for a
    /// stream [`ReadError::TooLarge`].
    pub fn open(inputs: Vec<Input>, options: SourceOptions) -> Result<Self, ReadError> {
        if let Some(found) = options.delimiter
            && (!found.is_ascii() || matches!(found, b'"' | b'\n' | b'\r' | 0))
        {
            return Err(ReadError::BadDelimiter { found });
        }
        let mut sources = Self { files: Vec::new(), skipped: Vec::new(), options };
        inputs.into_iter().try_for_each(|input| sources.add(input, Content::Orders))?;
        if sources.files.is_empty() { Err(ReadError::NoInput) } else { Ok(sources) }
    }

    /// Also opens a file or folder of events, all of the given kind where they do not say another one themselves.
    ///
    /// Such a file may lack any column but that of the time and, where no kind is given, that of the kind.
    ///
    /// # Errors
    /// As [`Sources::open`].
    pub fn add_events(&mut self, kind: Option<EventKind>, input: Input) -> Result<(), ReadError> {
        self.add(input, Content::Events(kind))
    }

    fn add(&mut self, input: Input, content: Content) -> Result<(), ReadError> {
        match input {
            Input::Path(path) => self.add_path(path, content),
            Input::Bytes { name, bytes } => {
                self.add_bytes(name, bytes, content);
                Ok(())
            }
            Input::Reader { name, reader } => {
                let limit = self.options.max_bytes;
                let mut bytes = Vec::new();
                reader.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| io_error(&name, &e))?;
                if bytes.len() as u64 > limit {
                    return Err(ReadError::TooLarge { file: name, limit });
                }
                self.add_bytes(name, bytes, content);
                Ok(())
            }
        }
    }

    /// Opens files and folders with the default options.
    ///
    /// # Errors
    /// As [`Sources::open`].
    pub fn from_paths<P: AsRef<Path>>(paths: &[P]) -> Result<Self, ReadError> {
        let inputs = paths.iter().map(|path| Input::Path(path.as_ref().to_owned())).collect();
        Self::open(inputs, SourceOptions::default())
    }

    /// Names of the files, in the order in which they are read; [`Rejection::source`](crate::rejection::Rejection) and
    /// `OrderTable::source` are positions in it.
    pub fn names(&self) -> Vec<String> {
        self.files.iter().map(|file| file.name.clone()).collect()
    }

    /// Some of the files, in the order given.
    pub(crate) fn only(&self, files: &[usize]) -> Self {
        let files = files.iter().map(|&file| self.files[file].clone()).collect();
        Self { files, skipped: Vec::new(), options: self.options.clone() }
    }

    /// Files found in folders whose names say that they hold something else.
    pub fn skipped(&self) -> &[PathBuf] {
        &self.skipped
    }

    /// Bytes of all files as stored.
    pub fn stored_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.len).sum()
    }

    /// About how many bytes all files hold after decompression, by their names: rather too many than too few.
    pub fn expected_bytes(&self) -> u64 {
        let of = |file: &SourceFile| {
            let name = file.name.to_ascii_lowercase();
            let packed = [".gz", ".zst", ".parquet"].iter().any(|end| name.ends_with(end));
            file.len.saturating_mul(if packed { PACKED } else { 1 })
        };
        self.files.iter().map(of).fold(0, u64::saturating_add)
    }

    fn add_bytes(&mut self, name: String, bytes: Vec<u8>, content: Content) {
        self.files.push(SourceFile { name, content, len: bytes.len() as u64, origin: Origin::Bytes(Arc::new(bytes)) });
    }

    fn add_path(&mut self, path: PathBuf, content: Content) -> Result<(), ReadError> {
        let name = path.display().to_string();
        let facts = std::fs::metadata(&path).map_err(|e| io_error(&name, &e))?;
        if !facts.is_dir() {
            // Opening now tells of a missing permission before hours of work on the other files.
            File::open(&path).map_err(|e| io_error(&name, &e))?;
            self.files.push(SourceFile { name, content, len: facts.len(), origin: Origin::Path(path) });
            return Ok(());
        }
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(|e| io_error(&name, &e))? {
            let entry = entry.map_err(|e| io_error(&name, &e))?.path();
            if entry.is_file() {
                inside.push(entry);
            }
        }
        inside.sort();
        let (known, other): (Vec<_>, Vec<_>) =
            inside.into_iter().partition(|file| kind_of(&file.to_string_lossy()).is_some());
        if known.is_empty() {
            return Err(ReadError::EmptyFolder { folder: name, n_skipped: other.len() });
        }
        self.skipped.extend(other);
        known.into_iter().try_for_each(|file| self.add_path(file, content))
    }
}

/// The kind that a name's extension states, compression set aside.
pub(crate) fn kind_of(name: &str) -> Option<Kind> {
    let name = name.to_ascii_lowercase();
    let plain = [".gz", ".zst"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    match plain.rsplit_once('.')?.1 {
        "csv" | "tsv" | "txt" | "psv" => Some(Kind::Delimited),
        "jsonl" | "ndjson" | "json" => Some(Kind::JsonLines),
        // Not compressed as a whole: its end must be found.
        "parquet" if cfg!(feature = "parquet") && plain.len() == name.len() => Some(Kind::Parquet),
        _ => None,
    }
}

pub(crate) fn io_error(file: &str, error: &io::Error) -> ReadError {
    ReadError::Io { file: file.to_owned(), message: error.to_string() }
}

/// Decompressed bytes of one file, and how many stored bytes they took so far.
pub(crate) struct Stream<'a> {
    reader: Box<dyn Read + Send + 'a>,
    compressed: bool,
    meter: Arc<Meter>,
}

#[derive(Default)]
struct Meter {
    bytes: AtomicU64,
    failed: AtomicBool,
}

struct Metered<R> {
    inner: R,
    meter: Arc<Meter>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let result = self.inner.read(buf);
        match &result {
            Ok(n) => self.meter.bytes.fetch_add(*n as u64, Ordering::Relaxed),
            Err(_) => u64::from(self.meter.failed.swap(true, Ordering::Relaxed)),
        };
        result
    }
}

/// Bytes handed to a decoder at a time.
const STORED_BUFFER: usize = 128 << 10;

impl SourceFile {
    /// Where the file's bytes are, if it is a Parquet file by its first bytes or, where they say nothing, by its name.
    #[cfg(feature = "parquet")]
    pub(crate) fn as_parquet(&self) -> Result<Option<crate::parquet_in::Stored>, ReadError> {
        use crate::parquet_in::{MAGIC, Stored};
        let fails = |e: &io::Error| io_error(&self.name, e);
        let mut magic = Vec::with_capacity(MAGIC.len());
        match &self.origin {
            Origin::Path(path) => File::open(path).and_then(|file| file.take(4).read_to_end(&mut magic)),
            Origin::Bytes(bytes) => bytes.as_slice().take(4).read_to_end(&mut magic),
        }
        .map_err(|e| fails(&e))?;
        let cut = magic.len() < MAGIC.len() && self.name.to_ascii_lowercase().ends_with(".parquet");
        Ok((cut || magic == MAGIC).then(|| match &self.origin {
            Origin::Path(path) => Stored::Path(path.clone()),
            Origin::Bytes(bytes) => Stored::Memory(Arc::clone(bytes)),
        }))
    }

    /// Opens the file and undoes its compression, which is told by the first bytes, not by the name.
    pub(crate) fn stream(&self) -> Result<Stream<'_>, ReadError> {
        let meter = Arc::new(Meter::default());
        let inner: Box<dyn Read + Send + '_> = match &self.origin {
            Origin::Path(path) => Box::new(File::open(path).map_err(|e| io_error(&self.name, &e))?),
            Origin::Bytes(bytes) => Box::new(bytes.as_slice()),
        };
        let mut raw = Metered { inner, meter: Arc::clone(&meter) };
        let mut magic = Vec::with_capacity(4);
        raw.by_ref().take(4).read_to_end(&mut magic).map_err(|e| io_error(&self.name, &e))?;
        if self.is_stub(&magic) {
            return Err(ReadError::TruncatedArchive { file: self.name.clone(), at: magic.len() as u64 });
        }
        let gzip = magic.starts_with(&[0x1f, 0x8b]);
        let zstd = magic == [0x28, 0xb5, 0x2f, 0xfd]
            // A frame to be skipped may come first (RFC 8878, section 3.1.2).
            || (magic.len() == 4 && magic[0] & 0xf0 == 0x50 && magic[1..] == [0x2a, 0x4d, 0x18]);
        let all = io::Cursor::new(magic).chain(raw);
        let reader: Box<dyn Read + Send + '_> = if gzip {
            Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(STORED_BUFFER, all)))
        } else if zstd {
            let buffered = BufReader::with_capacity(STORED_BUFFER, all);
            Box::new(zstd::stream::read::Decoder::with_buffer(buffered).map_err(|e| io_error(&self.name, &e))?)
        } else {
            Box::new(all)
        };
        Ok(Stream { reader, compressed: gzip || zstd, meter })
    }

    /// Whether these are all the bytes of a file that by its name is compressed, and too few to tell.
    fn is_stub(&self, magic: &[u8]) -> bool {
        let starts = |full: &[u8]| !magic.is_empty() && magic.len() < full.len() && full.starts_with(magic);
        let extension = Path::new(&self.name).extension().unwrap_or_default();
        (extension.eq_ignore_ascii_case("gz") && starts(&[0x1f, 0x8b]))
            || (extension.eq_ignore_ascii_case("zst") && starts(&[0x28, 0xb5, 0x2f, 0xfd]))
    }
}

impl Stream<'_> {
    /// Stored bytes consumed so far.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.meter.bytes.load(Ordering::Relaxed)
    }

    /// Reads until `buf` is full or the stream ends; returns how many bytes came.
    pub(crate) fn fill(&mut self, file: &str, buf: &mut [u8]) -> Result<usize, ReadError> {
        let mut n = 0;
        while n < buf.len() {
            match self.reader.read(&mut buf[n..]) {
                Ok(0) => break,
                Ok(more) => n += more,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.fault(file, &e)),
            }
        }
        Ok(n)
    }

    fn fault(&self, file: &str, error: &io::Error) -> ReadError {
        if !self.compressed || self.meter.failed.load(Ordering::Relaxed) {
            return io_error(file, error);
        }
        let (file, at) = (file.to_owned(), self.stored_bytes());
        match error.kind() {
            io::ErrorKind::UnexpectedEof => ReadError::TruncatedArchive { file, at },
            _ => ReadError::CorruptArchive { file, at, message: error.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_tell_the_kind() {
        assert_eq!(kind_of("a/b.csv.zst"), Some(Kind::Delimited));
        assert_eq!(kind_of("B.TSV.GZ"), Some(Kind::Delimited));
        assert_eq!(kind_of("x.y.jsonl"), Some(Kind::JsonLines));
        assert_eq!(kind_of("x.parquet"), cfg!(feature = "parquet").then_some(Kind::Parquet));
        assert_eq!(kind_of("x.parquet.zst"), None);
        assert_eq!(kind_of("csv"), None);
        assert_eq!(kind_of("-"), None);
    }

    #[test]
    fn rejects_no_input_and_bad_delimiter() {
        assert_eq!(Sources::open(Vec::new(), SourceOptions::default()).err(), Some(ReadError::NoInput));
        for found in [b'"', b'\n', b'\r', 0, 0xe9] {
            let options = SourceOptions { delimiter: Some(found), ..SourceOptions::default() };
            assert_eq!(Sources::open(Vec::new(), options).err(), Some(ReadError::BadDelimiter { found }));
        }
    }
}
