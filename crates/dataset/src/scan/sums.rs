//! The sums over rows of one sort: orders, or other events.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use orderguard_features::parse::TimeParser;

use super::tally::Tally;
use crate::profile::ColumnProfile;

/// Sums over some of the rows.
#[derive(Default)]
pub(super) struct Sums {
    pub(super) tallies: Vec<Tally>,
    by_name: HashMap<String, usize, FixedState>,
    pub(super) n_rows: u64,
    /// Keys of the pieces of rows, which sort in the order of the rows: twice the block, plus one for a suspect row.
    pieces: Vec<u64>,
    /// Sums of the piece that is being added.
    n_open: usize,
}

impl Sums {
    pub(super) fn column(&mut self, name: &str) -> usize {
        if let Some(&i) = self.by_name.get(name) {
            return i;
        }
        let i = self.tallies.len();
        self.tallies.push(Tally::new(name));
        self.by_name.insert(name.to_owned(), i);
        i
    }

    /// Adds a value of the row that is being added.
    pub(super) fn add(&mut self, column: usize, text: &str, key: u64, parsers: &[TimeParser]) {
        self.tallies[column].add(text, key, self.n_open, parsers);
    }

    /// Ends the row that is being added.
    pub(super) fn end_row(&mut self) {
        self.n_open += 1;
    }

    /// Ends the piece of rows with this key.
    pub(super) fn close(&mut self, key: u64) {
        let n_rows = std::mem::take(&mut self.n_open);
        self.n_rows += n_rows as u64;
        if n_rows > 0 {
            self.pieces.push(key);
        }
        self.tallies.iter_mut().for_each(|tally| tally.close(key, n_rows));
    }

    pub(super) fn merge(&mut self, other: Self) {
        for tally in other.tallies {
            if let Some(&i) = self.by_name.get(&tally.name) {
                self.tallies[i].merge(tally);
            } else {
                self.by_name.insert(tally.name.clone(), self.tallies.len());
                self.tallies.push(tally);
            }
        }
        self.n_rows += other.n_rows;
        self.pieces.extend(other.pieces);
    }

    /// The profiles of the columns, which are put in the order of `rank`.
    pub(super) fn finish<R: Ord>(mut self, rank: impl Fn(&Tally) -> R) -> Vec<ColumnProfile> {
        self.pieces.sort_unstable();
        self.tallies.sort_by_key(|tally| rank(tally));
        let (n_rows, pieces) = (self.n_rows, &self.pieces);
        self.tallies.into_iter().map(|tally| tally.finish(n_rows, pieces)).collect()
    }
}
