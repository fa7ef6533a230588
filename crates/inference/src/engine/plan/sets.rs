//! Level sets as columns of ranks.
//!
//! Of sets that lie inside each other, the smallest one that holds a level says for all of them whether they do: those from it on. So a
//! chain of nested sets is one column, as the thresholds of a number are, and a level's byte is the rank of that smallest set. A
//! missing value is a level of its own, in the sets of the splits that send it left.
//!
//! Sets of a feature are given to chains greedily, from small to large: the fewest chains would take a matching between all
//! pairs of sets. What a level's bytes are is worked out once, for all levels.

use std::collections::{BTreeMap, BTreeSet};

use super::{ABOVE_ALL, Column};
use crate::wide::{Codes, WideForest, WideNode, code_of, holds};

/// Sets of a chain: ranks below [`ABOVE_ALL`].
const MAX_SETS: usize = 255;
/// Chains that a set is compared with, the newest ones.
const LOOK: usize = 64;
/// Words of all sets of a feature up to which they are compared at all: no file makes compiling take long.
const MAX_COMPARED: usize = 1 << 22;
/// Bytes of all tables of a forest.
const MAX_TABLES: usize = 1 << 20;

/// A set of level codes, and whether missing values are in it. Words of zeros at its end are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LevelSet<'a> {
    words: &'a [u64],
    missing: bool,
}

impl<'a> LevelSet<'a> {
    pub(super) fn new(words: &'a [u64], first_word: u32, n_words: u32, missing: bool) -> Self {
        let words = &words[first_word as usize..first_word as usize + n_words as usize];
        let len = words.iter().rposition(|&word| word != 0).map_or(0, |last| last + 1);
        Self { words: &words[..len], missing }
    }

    fn size(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum::<u32>() + u32::from(self.missing)
    }

    fn lies_in(&self, other: &Self) -> bool {
        let inside = |(&word, &other): (&u64, &u64)| word & !other == 0;
        self.words.len() <= other.words.len()
            && self.missing <= other.missing
            && self.words.iter().zip(other.words).all(inside)
    }
}

/// The columns of a feature's level sets.
#[derive(Clone, Debug)]
pub(in crate::engine) struct LevelRanks {
    pub(in crate::engine) feature: u32,
    first_column: u32,
    n_columns: u32,
    ranks: Ranks,
}

#[derive(Clone, Debug)]
enum Ranks {
    /// The bytes of each code below `n_codes`, of all other values, and of missing ones.
    Table { n_codes: u32, bytes: Vec<u8> },
    /// The sets themselves, where the table would be large: per column.
    Chains(Vec<Vec<(Box<[u64]>, bool)>>),
}

/// Gives each level set of each feature a column and a rank.
pub(super) fn places<'a>(
    forest: &'a WideForest,
    levels: &mut Vec<LevelRanks>,
    columns: &mut Vec<Column>,
) -> BTreeMap<(u32, LevelSet<'a>), (u32, u8)> {
    let mut by_feature: BTreeMap<u32, BTreeSet<LevelSet<'a>>> = BTreeMap::new();
    for tree in &forest.trees {
        for node in &tree.nodes {
            if let WideNode::Categorical { feature, first_word, n_words, missing_left, .. } = *node {
                let set = LevelSet::new(&tree.words, first_word, n_words, missing_left);
                by_feature.entry(feature).or_default().insert(set);
            }
        }
    }
    let (mut places, mut room) = (BTreeMap::new(), MAX_TABLES);
    for (feature, sets) in by_feature {
        let chains = chains(sets.into_iter().collect());
        let first_column = columns.len() as u32;
        for (chain, column) in chains.iter().zip(first_column..) {
            columns.push(Column::Levels);
            places.extend(chain.iter().zip(0..).map(|(set, rank)| ((feature, *set), (column, rank))));
        }
        let ranks = Ranks::new(&chains, &mut room);
        levels.push(LevelRanks { feature, first_column, n_columns: chains.len() as u32, ranks });
    }
    places
}

/// Cuts sets into chains in which each set lies in the next one.
fn chains(mut sets: Vec<LevelSet<'_>>) -> Vec<Vec<LevelSet<'_>>> {
    // Equally large sets stand in the order of their content, as they came.
    sets.sort_by_key(LevelSet::size);
    let is_small = sets.iter().map(|set| set.words.len()).sum::<usize>() <= MAX_COMPARED;
    let mut chains: Vec<Vec<LevelSet<'_>>> = Vec::new();
    for set in sets {
        let newest = chains.len().saturating_sub(if is_small { LOOK } else { 0 });
        let fits = |chain: &&mut Vec<LevelSet<'_>>| {
            chain.len() < MAX_SETS && chain.last().is_some_and(|last| last.lies_in(&set))
        };
        // The largest one, so that small sets are left for others.
        match chains[newest..].iter_mut().filter(fits).max_by_key(|chain| chain.last().map(LevelSet::size)) {
            Some(chain) => chain.push(set),
            None => chains.push(vec![set]),
        }
    }
    chains
}

impl Ranks {
    /// A table where there is room for it, which is then less.
    fn new(chains: &[Vec<LevelSet<'_>>], room: &mut usize) -> Self {
        let n_words = chains.iter().flatten().map(|set| set.words.len()).max().unwrap_or(0);
        let size = (64 * n_words + 2).saturating_mul(chains.len());
        if size > *room {
            let owned = |set: &LevelSet<'_>| (set.words.into(), set.missing);
            return Self::Chains(chains.iter().map(|chain| chain.iter().map(owned).collect()).collect());
        }
        *room -= size;
        let n_codes = 64 * n_words;
        let mut bytes = vec![ABOVE_ALL; size];
        for (column, chain) in chains.iter().enumerate() {
            // From large to small, so that the smallest has the last word.
            for (rank, set) in chain.iter().enumerate().rev() {
                let held = (0..64 * set.words.len()).filter(|&code| set.words[code / 64] >> (code % 64) & 1 == 1);
                for row in held.chain(set.missing.then_some(n_codes + 1)) {
                    bytes[row * chains.len() + column] = rank as u8;
                }
            }
        }
        Self::Table { n_codes: n_codes as u32, bytes }
    }
}

impl LevelRanks {
    /// Writes the bytes of a value, NaN = missing.
    pub(in crate::engine) fn rank(&self, codes: Codes, x: f64, bytes: &mut [u8]) {
        let n = self.n_columns as usize;
        let out = &mut bytes[self.first_column as usize..][..n];
        match &self.ranks {
            Ranks::Table { n_codes, bytes } => {
                let other = *n_codes;
                let row = if x.is_nan() { other + 1 } else { code_of(codes, x).map_or(other, |code| code.min(other)) };
                out.copy_from_slice(&bytes[row as usize * n..][..n]);
            }
            Ranks::Chains(chains) => {
                let is_in = |(words, missing): &(Box<[u64]>, bool)| {
                    if x.is_nan() { *missing } else { holds(words, codes, x) }
                };
                for (byte, chain) in out.iter_mut().zip(chains) {
                    *byte = chain.iter().position(is_in).map_or(ABOVE_ALL, |rank| rank as u8);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranks_say_what_sets_hold(
            words in prop::collection::vec((prop::collection::vec(0..4_u64, 0..3), any::<bool>()), 1..40),
            codes in prop_oneof![Just(Codes::Whole), Just(Codes::Truncated), Just(Codes::Narrowed)],
        ) {
            let sets: BTreeSet<LevelSet<'_>> =
                words.iter().map(|(words, missing)| LevelSet::new(words, 0, words.len() as u32, *missing)).collect();
            let chains = chains(sets.iter().copied().collect());
            prop_assert_eq!(chains.iter().map(Vec::len).sum::<usize>(), sets.len());
            prop_assert!(chains.iter().all(|chain| chain.windows(2).all(|pair| pair[0].lies_in(&pair[1]))));
            for mut room in [MAX_TABLES, 0] {
                let ranks = Ranks::new(&chains, &mut room);
                prop_assert_eq!(matches!(ranks, Ranks::Chains(_)), room == 0);
                let levels = LevelRanks { feature: 0, first_column: 1, n_columns: chains.len() as u32, ranks };
                let mut bytes = vec![77; chains.len() + 2];
                for x in [0.0, -0.0, 1.0, 1.5, 2.0, 63.0, 64.0, 65.0, 128.0, 1e12, -0.5, -1.0, f64::INFINITY, f64::NAN] {
                    levels.rank(codes, x, &mut bytes);
                    for (chain, &byte) in chains.iter().zip(&bytes[1..]) {
                        for (set, rank) in chain.iter().zip(0..) {
                            let is_in = if x.is_nan() { set.missing } else { holds(set.words, codes, x) };
                            prop_assert_eq!(byte <= rank, is_in, "{} in {:?}", x, set);
                        }
                    }
                }
                prop_assert_eq!((bytes[0], bytes[bytes.len() - 1]), (77, 77));
            }
        }
    }

    #[test]
    fn nested_sets_share_a_column() {
        let words: Vec<[u64; 1]> = vec![[0b1], [0b11], [0b111], [0b1000], [0b1111]];
        let sets = words.iter().map(|words| LevelSet::new(words, 0, 1, false)).collect();
        let found: Vec<Vec<u64>> =
            chains(sets).iter().map(|chain| chain.iter().map(|set| set.words[0]).collect()).collect();
        assert_eq!(found, [vec![0b1, 0b11, 0b111, 0b1111], vec![0b1000]]);
    }
}
