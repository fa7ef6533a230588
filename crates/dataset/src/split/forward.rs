//! Folds that move forward in time, inside train and validation: each learns from what was known at its moment, and is judged
//! by the orders that came next.
//!
//! ```text
//!  train_from                                                 validation's end     test_from
//!      |---- train ----|-- label delay --|-- held --|                |                 |
//!      |--------- train ----------|-- label delay --|---- held ------|   (never seen)  |
//! ```

use orderguard_features::time::UnixMillis;

use super::{Split, SplitError, SplitInput, SplitOptions, count_frauds};
use crate::folds::entity_folds;

/// Fewest frauds that a fold learns from, and is judged by.
pub const MIN_FOLD_FRAUDS: usize = 10;
/// The share of the frauds that only teach; where the label delay leaves no folds, more.
const FIRST_SHARES: [f64; 3] = [0.5, 0.66, 0.75];

/// One fold. Rows are positions in the input, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardFold {
    /// Orders to learn from.
    pub train: Vec<u32>,
    /// Their labels as known when the judging orders begin.
    pub train_label: Vec<u8>,
    /// Orders to judge by.
    pub held: Vec<u32>,
    /// Their labels as known when the test part begins.
    pub held_label: Vec<u8>,
    /// When the judging orders begin, and up to when what is known of them counts; `None` without time.
    pub as_of: Option<(i64, i64)>,
}

impl ForwardFold {
    fn is_usable(&self) -> bool {
        let n_fraud = count_frauds(&self.train_label);
        (MIN_FOLD_FRAUDS..self.train.len()).contains(&n_fraud) && count_frauds(&self.held_label) >= MIN_FOLD_FRAUDS
    }
}

/// At most `n_folds` folds, oldest first, each with about as many frauds to be judged by; at least two. They hold orders of
/// `split`'s train and validation alone, and their labels as they were known before its test part began.
///
/// Without time, folds over entities as [`entity_folds`] makes them: each learns from all others.
///
/// # Errors
/// [`SplitError::NoForwardFolds`] where fewer than two folds have [`MIN_FOLD_FRAUDS`] frauds on both sides.
///
/// # Panics
/// As [`super::split`], and if `split` is not one of `input`.
pub fn forward_folds(
    input: &SplitInput<'_>,
    options: &SplitOptions<'_>,
    split: &Split,
    n_folds: u32,
) -> Result<Vec<ForwardFold>, SplitError> {
    let mut rows: Vec<u32> = split.train.iter().chain(&split.validation).copied().collect();
    rows.sort_unstable();
    let test_from = split.boundaries.map(|boundaries| boundaries.test_from);
    let n_fraud = known(input, &rows, test_from).iter().map(|&label| usize::from(label)).sum();
    let refused = Err(SplitError::NoForwardFolds { n_fraud, needed: MIN_FOLD_FRAUDS });
    let n_folds = (n_folds as usize).min(n_fraud / (2 * MIN_FOLD_FRAUDS));
    if n_folds < 2 {
        return refused;
    }
    let (Some(time), Some(test_from)) = (input.time, test_from) else {
        let folds = by_entity(input, options, &rows, n_folds as u32);
        return if folds.iter().all(ForwardFold::is_usable) { Ok(folds) } else { refused };
    };
    for share in FIRST_SHARES {
        let mut folds = in_time(input, options, &rows, (time, test_from), n_folds, share);
        folds.retain(ForwardFold::is_usable);
        if folds.len() >= 2 {
            return Ok(folds);
        }
    }
    refused
}

/// The labels of some orders as known at an instant, or at the end.
fn known(input: &SplitInput<'_>, rows: &[u32], as_of: Option<i64>) -> Vec<u8> {
    match as_of {
        Some(as_of) => {
            let known = input.labels.known_fraud_at(as_of);
            rows.iter().map(|&row| known[row as usize]).collect()
        }
        None => rows.iter().map(|&row| u8::from(input.labels.label[row as usize] == 1)).collect(),
    }
}

fn in_time(
    input: &SplitInput<'_>,
    options: &SplitOptions<'_>,
    rows: &[u32],
    (time, test_from): (&[i64], i64),
    n_folds: usize,
    first_share: f64,
) -> Vec<ForwardFold> {
    let time_of = |row: u32| time[row as usize];
    let labels = known(input, rows, Some(test_from));
    let mut frauds: Vec<i64> =
        rows.iter().zip(&labels).filter(|&(_, &label)| label == 1).map(|(&row, _)| time_of(row)).collect();
    frauds.sort_unstable();
    let first = (frauds.len() as f64 * first_share) as usize;
    let cut = |fold: usize| match fold {
        fold if fold == n_folds => i64::MAX,
        fold => frauds[first + fold * (frauds.len() - first) / n_folds],
    };
    let fold = |i: usize| {
        let (from, until) = (cut(i), cut(i + 1));
        let is_known = |&row: &u32| {
            let due = UnixMillis(time_of(row)).plus(options.label_delay).0;
            time_of(row) < from && due <= from && input.labels.is_labelled_at(row as usize, from)
        };
        let train: Vec<u32> = rows.iter().copied().filter(is_known).collect();
        let later = rows.iter().zip(&labels).filter(|&(&row, _)| (from..until).contains(&time_of(row)));
        let (held, held_label) = later.map(|(&row, &label)| (row, label)).unzip();
        ForwardFold {
            train_label: known(input, &train, Some(from)),
            train,
            held,
            held_label,
            as_of: Some((from, test_from)),
        }
    };
    (0..n_folds).map(fold).collect()
}

fn by_entity(input: &SplitInput<'_>, options: &SplitOptions<'_>, rows: &[u32], n_folds: u32) -> Vec<ForwardFold> {
    let labels = known(input, rows, None);
    let keys = input.groups.unwrap_or(input.row_key);
    let keys: Vec<u64> = rows.iter().map(|&row| keys[row as usize]).collect();
    let fold_of = entity_folds(&keys, &labels, n_folds, options.seed);
    let fold = |fold: u32| {
        let mut made = ForwardFold::default();
        for ((&row, &label), &of) in rows.iter().zip(&labels).zip(&fold_of) {
            let is_held = u32::from(of) == fold;
            let (to, to_label) =
                if is_held { (&mut made.held, &mut made.held_label) } else { (&mut made.train, &mut made.train_label) };
            to.push(row);
            to_label.push(label);
        }
        made
    };
    (0..n_folds).map(fold).collect()
}
