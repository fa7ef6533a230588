//! Folds over entities: orders of one entity stay together, frauds are spread evenly.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Assigns each row to a fold `0..n_folds`.
///
/// `groups` holds one key per row (the hash of an entity, or of the row itself where each row is its own group),
/// `labels` 1 for fraud. Whole groups go to the fold with the fewest frauds, then the fewest rows, then the lowest
/// number: groups with the most frauds first, then the largest, equal ones in the order of a seeded hash of their key.
/// The fold of a row depends only on the rows as a set, not on their order. O(n log n).
///
/// # Panics
/// If the lengths differ or `n_folds` is not in `1..=255`: a caller's bug, never caused by data.
pub fn entity_folds(groups: &[u64], labels: &[u8], n_folds: u32, seed: u64) -> Vec<u8> {
    assert_eq!(groups.len(), labels.len(), "one label per row");
    assert!((1..=255).contains(&n_folds), "1 to 255 folds");
    let mut position_of: HashMap<u64, u32, foldhash::quality::RandomState> = HashMap::default();
    let mut members: Vec<Group> = Vec::new();
    for (&key, &label) in groups.iter().zip(labels) {
        let position = *position_of.entry(key).or_insert_with(|| {
            members.push(Group { key, n_rows: 0, n_fraud: 0, fold: 0 });
            (members.len() - 1) as u32
        });
        let group = &mut members[position as usize];
        group.n_rows += 1;
        group.n_fraud += u64::from(label == 1);
    }
    let mut order: Vec<u32> = (0..members.len() as u32).collect();
    order.sort_by_cached_key(|&i| {
        let group = &members[i as usize];
        (
            std::cmp::Reverse(group.n_fraud),
            std::cmp::Reverse(group.n_rows),
            xxh3_64_with_seed(&group.key.to_le_bytes(), seed),
            group.key,
        )
    });
    let mut load = vec![(0_u64, 0_u64); n_folds as usize];
    for i in order {
        let group = &mut members[i as usize];
        // A group without fraud goes where rows are missing, else all would go to the fold that is short of frauds.
        let wanted = |&fold: &usize| if group.n_fraud > 0 { load[fold] } else { (0, load[fold].1) };
        let fold = (0..load.len()).min_by_key(wanted).expect("there is at least one fold");
        load[fold].0 += group.n_fraud;
        load[fold].1 += group.n_rows;
        group.fold = fold as u8;
    }
    groups.iter().map(|key| members[position_of[key] as usize].fold).collect()
}

struct Group {
    key: u64,
    n_rows: u64,
    n_fraud: u64,
    fold: u8,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frauds_are_spread_and_sizes_are_even() {
        let groups: Vec<u64> = (0..1_000).map(|i| i / 2).collect();
        let labels: Vec<u8> = (0..1_000).map(|i| u8::from(i % 20 == 0)).collect();
        let folds = entity_folds(&groups, &labels, 5, 1);
        for fold in 0..5 {
            let rows = (0..1_000).filter(|&i| folds[i] == fold);
            assert_eq!(rows.clone().count(), 200);
            assert_eq!(rows.filter(|&i| labels[i] == 1).count(), 10);
        }
        assert_ne!(folds, entity_folds(&groups, &labels, 5, 2), "the seed matters");
    }

    proptest! {
        #[test]
        fn groups_stay_whole_in_any_row_order(rows in prop::collection::vec((0_u64..20, 0_u8..2), 1..200), n_folds in 1_u32..7) {
            let fold_of = |rows: &[(u64, u8)]| {
                let (groups, labels): (Vec<u64>, Vec<u8>) = rows.iter().copied().unzip();
                let folds = entity_folds(&groups, &labels, n_folds, 7);
                let mut of_group = std::collections::BTreeMap::new();
                for (group, fold) in groups.into_iter().zip(folds) {
                    assert!(u32::from(fold) < n_folds);
                    assert_eq!(*of_group.entry(group).or_insert(fold), fold);
                }
                of_group
            };
            let mut shuffled = rows.clone();
            shuffled.sort_by_key(|&(group, label)| (label, group.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            prop_assert_eq!(fold_of(&rows), fold_of(&shuffled));
        }
    }
}
