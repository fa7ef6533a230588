//! Entity history in an embedded database: one file, changed in transactions, of which each writes only what changed.
//!
//! A service learns on while a picture of its state ([`State::freeze`]) is saved by another thread. After a crash the file
//! holds the last save that was completed, with the position of its last event: [`Store::load`] it, and read the stream of events
//! again from there. [`State::resume`] tells which of them are new, so that none counts twice and none is lost.
//!
//! ```no_run
//! use orderguard_features::extract::Extractor;
//! use orderguard_features::state::State;
//! use orderguard_store::{Store, StoreError};
//!
//! fn run(extractor: &Extractor) -> Result<(), StoreError> {
//!     let mut store = Store::open("history.redb")?;
//!     let mut state = store.load(extractor)?.unwrap_or_else(|| State::new(extractor));
//!     let mut resume = state.resume();
//!     // Events of `state.position().learned_until()` and later are learned into `state` unless `resume.has_learned(&event)`; then,
//!     // and every now and again:
//!     store.save(&state.freeze(), extractor)?;
//!     Ok(())
//! }
//! ```
//!
//! [`State::freeze`]: orderguard_features::state::State::freeze
//! [`State::resume`]: orderguard_features::state::State::resume

mod error;
#[cfg(test)]
mod tests;

use std::path::Path;

use orderguard_features::extract::Extractor;
use orderguard_features::parts::{PartKey, PartsReader};
use orderguard_features::snapshot::Frozen;
use orderguard_features::state::State;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};

pub use error::StoreError;

/// What the state belongs to, and how far it has come; one entry.
const HEAD: TableDefinition<'static, (), &[u8]> = TableDefinition::new("orderguard-state-head");
/// All else.
const PARTS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("orderguard-state-parts");
/// Memory that the database may use for pages. What is read once need not be kept.
const CACHE_BYTES: usize = 64 << 20;

/// A database file with at most one state. One process at a time has it open.
#[derive(Debug)]
pub struct Store {
    database: Database,
    /// What the file holds, if this process wrote or read it. It keeps the memory of what has changed since.
    saved: Option<Frozen>,
}

/// What a save wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Parts written or removed.
    pub n_parts: u64,
    /// Bytes of these.
    pub n_bytes: u64,
}

impl Store {
    /// Opens a database file; a new one is made where there is none.
    ///
    /// A file that was not closed properly is repaired, which loses nothing that was saved. O(file) then, else O(1).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(path)
            .map_err(|error| StoreError::database("open", error))?;
        Ok(Self { database, saved: None })
    }

    /// Saves a picture in one transaction: it is in the file as a whole, or not at all.
    ///
    /// Only parts that changed since the state of the last save or load are written; all where this process has done
    /// neither yet, or where the file held the state of another model. O(changed parts), and for orders O(changed days).
    pub fn save(&mut self, frozen: &Frozen, extractor: &Extractor) -> Result<Saved, StoreError> {
        let before = self.saved.as_ref().filter(|before| before.layout() == frozen.layout());
        let transaction = self.database.begin_write().map_err(|error| StoreError::database("save", error))?;
        let mut saved = Saved { n_parts: 0, n_bytes: 0 };
        let written = || -> Result<Saved, redb::Error> {
            if before.is_none() {
                transaction.delete_table(PARTS)?;
            }
            let mut parts = transaction.open_table(PARTS)?;
            for part in frozen.changed_parts(extractor, before) {
                if part.bytes.is_empty() {
                    parts.remove(part.key.0)?;
                } else {
                    parts.insert(part.key.0, part.bytes.as_slice())?;
                }
                saved.n_parts += 1;
                saved.n_bytes += part.bytes.len() as u64;
            }
            let head = frozen.head(extractor);
            transaction.open_table(HEAD)?.insert((), head.as_slice())?;
            drop(parts);
            transaction.commit()?;
            Ok(saved)
        };
        let saved = written().map_err(|error| StoreError::database("save", error))?;
        self.saved = Some(frozen.clone());
        Ok(saved)
    }

    /// Reads the state that was saved last; `None` where nothing was saved yet. Its position says what to replay.
    ///
    /// # Errors
    /// [`StoreError::State`] where the state belongs to another model or cannot be one, [`StoreError::Damaged`] and others
    /// where the file cannot be read.
    pub fn load(&mut self, extractor: &Extractor) -> Result<Option<State>, StoreError> {
        let transaction = self.database.begin_read().map_err(|error| StoreError::database("load", error))?;
        let head = match transaction.open_table(HEAD) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            table => table.map_err(|error| StoreError::database("load", error))?,
        };
        let Some(head) = head.get(()).map_err(|error| StoreError::database("load", error))? else { return Ok(None) };
        let mut reader = PartsReader::new(extractor, head.value()).map_err(StoreError::State)?;
        let parts = transaction.open_table(PARTS).map_err(|error| StoreError::database("load", error))?;
        for part in parts.iter().map_err(|error| StoreError::database("load", error))? {
            let (key, bytes) = part.map_err(|error| StoreError::database("load", error))?;
            reader.take(PartKey(key.value()), bytes.value()).map_err(StoreError::State)?;
        }
        let state = reader.finish().map_err(StoreError::State)?;
        self.saved = Some(state.freeze());
        Ok(Some(state))
    }
}
