//! Folds for cross-fitting: fixed by a seed and by what an order is, never by where it stands in the file.

/// One fold in `0..n_folds` per group number: orders of one group (a customer, a card) always share a fold.
///
/// # Panics
/// If `n_folds` is 0.
pub fn folds_by_group(groups: &[u64], n_folds: u8, seed: u64) -> Vec<u8> {
    assert!(n_folds > 0, "at least one fold");
    groups.iter().map(|group| (hash(*group, seed) % u64::from(n_folds)) as u8).collect()
}

/// One fold in `0..n_folds` per order, drawn from the seed and the order's rank by label and raw score.
///
/// The draws are independent. (Dealing each run of neighbours out to all folds would give every fold the same chance bumps
/// in the share of frauds, and a map that follows those bumps would look good on the fold it did not see.) Orders equal in
/// score and label are exchangeable, so the order of the rows changes nothing that is computed from them. O(n log n).
///
/// # Panics
/// If the lengths differ or `n_folds` is 0.
pub fn folds_by_score(raw: &[f64], labels: &[u8], n_folds: u8, seed: u64) -> Vec<u8> {
    assert_eq!(raw.len(), labels.len(), "one label per raw score");
    assert!(n_folds > 0, "at least one fold");
    let mut order: Vec<usize> = (0..raw.len()).collect();
    order.sort_by(|&a, &b| labels[a].cmp(&labels[b]).then(raw[a].total_cmp(&raw[b])));
    let mut folds = vec![0; raw.len()];
    for (rank, &i) in order.iter().enumerate() {
        folds[i] = (hash(rank as u64, seed) % u64::from(n_folds)) as u8;
    }
    folds
}

fn hash(value: u64, seed: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(&value.to_le_bytes(), seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_never_straddles_folds() {
        let groups: Vec<u64> = (0..1_000).map(|i| i % 37).collect();
        let folds = folds_by_group(&groups, 5, 7);
        for (i, j) in (0..1_000).zip(37..1_000) {
            assert_eq!(folds[i], folds[j]);
        }
        assert!((0..5).all(|fold| folds.contains(&fold)));
        assert_ne!(folds, folds_by_group(&groups, 5, 8));
    }

    #[test]
    fn equal_orders_may_swap_places() {
        let raw: Vec<f64> = (0..1_000).map(|i| f64::from(i % 40)).collect();
        let labels: Vec<u8> = (0..1_000).map(|i| u8::from(i % 3 == 0)).collect();
        let back = |v: &[f64]| v.iter().rev().copied().collect::<Vec<_>>();
        let labels_back: Vec<u8> = labels.iter().rev().copied().collect();
        let table = |raw: &[f64], labels: &[u8]| {
            let mut rows: Vec<(u8, u64, u8)> = folds_by_score(raw, labels, 5, 1)
                .into_iter()
                .zip(raw.iter().zip(labels))
                .map(|(fold, (x, &y))| (fold, x.to_bits(), y))
                .collect();
            rows.sort_unstable();
            rows
        };
        assert_eq!(table(&raw, &labels), table(&back(&raw), &labels_back));
        for fold in 0..5 {
            let n = folds_by_score(&raw, &labels, 5, 1).iter().map(|&f| usize::from(f == fold)).sum::<usize>();
            assert!((150..250).contains(&n), "{n}");
        }
    }
}
