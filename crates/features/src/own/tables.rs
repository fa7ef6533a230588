//! The tables that a user may bring: where network addresses are, what BINs say, which e-mail domains are free or
//! disposable. None is bundled, because all of them go stale.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use foldhash::fast::FixedState;
use xxhash_rust::xxh3::xxh3_64;

use super::card::{BinTable, BinTableError};
use super::email::{self, Email};
use super::geo::{GeoError, GeoTable};
use crate::language::resolve::TablesPresent;

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TableKind {
    /// A MaxMind database (`.mmdb`) with countries or cities.
    Geo,
    /// BINs as CSV.
    Bins,
    /// Domains where everybody gets an address, one a line.
    FreeDomains,
    /// Domains of throw-away addresses, one a line.
    DisposableDomains,
}

impl TableKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Geo, Self::Bins, Self::FreeDomains, Self::DisposableDomains];

    /// The name in a feature specification.
    pub fn name(self) -> &'static str {
        match self {
            Self::Geo => "geo",
            Self::Bins => "bins",
            Self::FreeDomains => "free_domains",
            Self::DisposableDomains => "disposable_domains",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for TableKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The tables that are there. A clone shares them.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    geo: Option<Arc<GeoTable>>,
    bins: Option<Arc<BinTable>>,
    free_domains: Option<Arc<DomainList>>,
    disposable_domains: Option<Arc<DomainList>>,
}

impl Tables {
    /// No table. Features that need one are missing then.
    pub fn new() -> Self {
        Self::default()
    }

    /// These tables and one more, read from the bytes of a file; it takes the place of one of its kind.
    pub fn with(mut self, kind: TableKind, bytes: Vec<u8>) -> Result<Self, TableError> {
        let domains = |error| TableError::Domains { kind, error };
        match kind {
            TableKind::Geo => self.geo = Some(Arc::new(GeoTable::new(bytes).map_err(TableError::Geo)?)),
            TableKind::Bins => self.bins = Some(Arc::new(BinTable::new(&bytes).map_err(TableError::Bins)?)),
            TableKind::FreeDomains => self.free_domains = Some(Arc::new(DomainList::new(&bytes).map_err(domains)?)),
            TableKind::DisposableDomains => {
                self.disposable_domains = Some(Arc::new(DomainList::new(&bytes).map_err(domains)?));
            }
        }
        Ok(self)
    }

    /// Which tables are there, for the resolution of names.
    pub fn present(&self) -> TablesPresent {
        TablesPresent {
            geo: self.geo.is_some(),
            bins: self.bins.is_some(),
            free_domains: self.free_domains.is_some(),
            disposable_domains: self.disposable_domains.is_some(),
        }
    }

    /// Whether a table of this kind is there.
    pub fn has(&self, kind: TableKind) -> bool {
        self.hash(kind).is_some()
    }

    /// The hash of a table's content; `None` where it is not there. A model that was trained with a table is scored with
    /// the same one.
    pub fn hash(&self, kind: TableKind) -> Option<u64> {
        match kind {
            TableKind::Geo => self.geo.as_ref().map(|table| table.hash()),
            TableKind::Bins => self.bins.as_ref().map(|table| table.hash()),
            TableKind::FreeDomains => self.free_domains.as_ref().map(|table| table.hash()),
            TableKind::DisposableDomains => self.disposable_domains.as_ref().map(|table| table.hash()),
        }
    }

    /// Where network addresses are.
    pub fn geo(&self) -> Option<&GeoTable> {
        self.geo.as_deref()
    }

    /// What BINs say.
    pub fn bins(&self) -> Option<&BinTable> {
        self.bins.as_deref()
    }

    /// Domains where everybody gets an address.
    pub fn free_domains(&self) -> Option<&DomainList> {
        self.free_domains.as_deref()
    }

    /// Domains of throw-away addresses.
    pub fn disposable_domains(&self) -> Option<&DomainList> {
        self.disposable_domains.as_deref()
    }
}

/// A table that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableError {
    /// The MaxMind database.
    Geo(GeoError),
    /// The BIN table.
    Bins(BinTableError),
    /// A list of domains.
    Domains {
        /// Which.
        kind: TableKind,
        /// Why.
        error: DomainListError,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Geo(error) => error.fmt(f),
            Self::Bins(error) => error.fmt(f),
            Self::Domains { kind, error } => write!(f, "{kind}: {error}"),
        }
    }
}

impl std::error::Error for TableError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Geo(error) => Some(error),
            Self::Bins(error) => Some(error),
            Self::Domains { error, .. } => Some(error),
        }
    }
}

/// A user's list of e-mail domains.
#[derive(Debug)]
pub struct DomainList {
    domains: HashSet<Box<str>, FixedState>,
    hash: u64,
}

/// A list of domains that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DomainListError {
    /// The file is not UTF-8.
    NotUtf8 {
        /// Line of the first wrong byte, from 1.
        line: u64,
    },
    /// A line that is no domain name with a dot in it.
    NotADomain {
        /// Line, from 1.
        line: u64,
    },
    /// Nothing but comments.
    Empty,
}

impl fmt::Display for DomainListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 { line } => write!(f, "line {line}: expected UTF-8 text, found other bytes"),
            Self::NotADomain { line } => {
                write!(f, "line {line}: expected a domain such as mail.example, found other text")
            }
            Self::Empty => f.write_str("expected one domain on each line, found none"),
        }
    }
}

impl std::error::Error for DomainListError {}

impl DomainList {
    /// Reads a list: one domain on each line; `#` begins a comment; `@` and `*.` before a domain are passed over.
    pub fn new(bytes: &[u8]) -> Result<Self, DomainListError> {
        let text = utf8(bytes).map_err(|line| DomainListError::NotUtf8 { line })?;
        let mut domains = HashSet::with_hasher(FixedState::default());
        for (idx, line) in text.lines().enumerate() {
            let entry = line.split_once('#').map_or(line, |(entry, _)| entry).trim();
            if entry.is_empty() {
                continue;
            }
            let entry = entry.strip_prefix('@').unwrap_or(entry);
            let entry = entry.strip_prefix("*.").unwrap_or(entry);
            let domain = email::Domain::new(entry).ok_or(DomainListError::NotADomain { line: idx as u64 + 1 })?;
            domains.insert(domain.as_str().into());
        }
        if domains.is_empty() {
            return Err(DomainListError::Empty);
        }
        Ok(Self { domains, hash: content_hash(bytes) })
    }

    /// Whether the domain of an e-mail address, or a domain above it, is in the list; `None` for a text without a domain
    /// name. One look-up for each label.
    pub fn holds(&self, email: &str) -> Option<bool> {
        let domain = email::Domain::new(Email::split(email)?.domain)?;
        let mut name = domain.as_str();
        loop {
            if self.domains.contains(name) {
                return Some(true);
            }
            let Some((_, parent)) = name.split_once('.') else { return Some(false) };
            name = parent;
        }
    }

    /// How many domains it has.
    pub fn len(&self) -> usize {
        self.domains.len()
    }

    /// Never: an empty list is refused.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// A hash of the file's content.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

/// The text of a file without its byte order mark, or the line of the first byte that is not UTF-8.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, u64> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| bytes[..error.valid_up_to()].split(|&byte| byte == b'\n').count() as u64)?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// What tells two files apart.
pub(super) fn content_hash(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_holds_its_domains_and_what_is_below_them() {
        let list =
            DomainList::new("\u{feff}# free\nMail.example\r\n*.web.example # all of it\n@müll.example\n\n".as_bytes())
                .unwrap();
        assert_eq!((list.len(), list.is_empty()), (3, false));
        for (email, expected) in [
            ("a@mail.example", Some(true)),
            ("a@eu.MAIL.example", Some(true)),
            ("a@gmail.example", Some(false)),
            ("a@example", None),
            ("a@x.web.example", Some(true)),
            ("a@MÜLL.example", Some(true)),
            ("a@other.example", Some(false)),
            ("mail.example", None),
        ] {
            assert_eq!(list.holds(email), expected, "{email}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        for (bytes, expected) in [
            (&b"a.example\nb\xff.example"[..], DomainListError::NotUtf8 { line: 2 }),
            (b"a.example\n\nno domain\n", DomainListError::NotADomain { line: 3 }),
            (b"com\n", DomainListError::NotADomain { line: 1 }),
            (b"# nothing\n", DomainListError::Empty),
        ] {
            assert_eq!(DomainList::new(bytes).unwrap_err(), expected);
            let error = Tables::new().with(TableKind::FreeDomains, bytes.to_vec()).unwrap_err();
            assert!(error.to_string().starts_with("free_domains: "), "{error}");
        }
    }

    #[test]
    fn tables_are_shared_and_known_by_their_content() {
        let with = |kind, text: &str| Tables::new().with(kind, text.as_bytes().to_vec()).unwrap();
        let tables =
            with(TableKind::FreeDomains, "a.example").with(TableKind::Bins, b"bin\n411111\n".to_vec()).unwrap();
        let clone = tables.clone();
        assert!(std::ptr::eq(tables.bins().unwrap(), clone.bins().unwrap()));
        let present: Vec<TableKind> = TableKind::ALL.into_iter().filter(|&kind| tables.has(kind)).collect();
        assert_eq!(present, [TableKind::Bins, TableKind::FreeDomains]);
        assert_eq!(
            tables.hash(TableKind::FreeDomains),
            with(TableKind::FreeDomains, "a.example").hash(TableKind::FreeDomains)
        );
        assert_ne!(
            tables.hash(TableKind::FreeDomains),
            with(TableKind::FreeDomains, "b.example").hash(TableKind::FreeDomains)
        );
        for kind in TableKind::ALL {
            assert_eq!(TableKind::from_name(kind.name()), Some(kind));
        }
    }
}
