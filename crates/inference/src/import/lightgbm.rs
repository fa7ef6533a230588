//! The text files of LightGBM (`Booster.save_model`), versions v3 and v4.
//!
//! What is taken: boosted trees with the objective `binary` or `cross_entropy`, numeric splits with every missing type,
//! categorical splits, any number of thresholds. Refused by name: several classes, trees with linear leaves, averaged trees
//! (random forests), other objectives. A file holds the trees up to the best iteration or all of them, as its writer chose;
//! all that are there are taken.
//!
//! Each row takes the same leaves as in the library (`NumericalDecision` and `CategoricalDecision` in its
//! `include/LightGBM/tree.h`), for values at and one ulp around each threshold too, and raw scores are within 1e-9.

mod part;

use crate::import::scale::{scale_bits, to_steps};
use crate::model::Calibration;
use crate::rows::RowModel;
use crate::validate::{MAX_FEATURES, MAX_TREES};
use crate::wide::{Codes, Missing, WideForest, WideNode, WideTree};

use super::{ImportError, Place, beginning};
use part::{Field, Lines, Part, value_error};

/// Longest text that is read: 1 GiB.
pub const MAX_TEXT_LEN: usize = 1 << 30;

const DECISION_CATEGORICAL: u8 = 1;
const DECISION_DEFAULT_LEFT: u8 = 2;
const MISSING_NONE: u8 = 0;
const MISSING_ZERO: u8 = 1;
const MISSING_NAN: u8 = 2;

/// Reads the text of a model. O(text) in time and memory; never panics.
pub fn read(text: &[u8]) -> Result<RowModel, ImportError> {
    if text.len() > MAX_TEXT_LEN {
        return Err(ImportError::TooLong { found: text.len(), limit: MAX_TEXT_LEN });
    }
    let mut lines = Lines::new(text);
    let head = read_head(&mut lines)?;

    let mut trees: Vec<SourceTree> = Vec::new();
    loop {
        let (line, text) = lines.next_filled("a tree or `end of trees`")?;
        if text == "end of trees" {
            if let Some((at, n)) = head.n_trees.filter(|&(_, n)| n != trees.len()) {
                return Err(ImportError::Count {
                    place: Place::Line(at),
                    field: "tree_sizes",
                    found: n,
                    expected: trees.len(),
                });
            }
            break;
        }
        if text.strip_prefix("Tree=").and_then(|n| n.parse().ok()) != Some(trees.len()) {
            return Err(ImportError::unexpected(line, "the next tree or `end of trees`", text));
        }
        if trees.len() as u64 >= MAX_TREES {
            return Err(value_error(line, "Tree", 0, "at most 2^24 trees", text));
        }
        let part = Part::read(line, &mut lines, &TREE_FIELDS)?;
        trees.push(read_tree(&part)?);
    }

    let largest = trees.iter().map(|tree| tree.leaves.iter().fold(0.0f64, |most, leaf| most.max(leaf.abs()))).sum();
    let bits = scale_bits(trees.len(), largest)?;
    let forest = WideForest {
        n_features: head.names.len() as u32,
        base: 0,
        scale_bits: bits,
        codes: Codes::Truncated,
        trees: trees.into_iter().map(|tree| tree.finish(bits)).collect(),
    };
    let facts = vec![
        ("source".to_owned(), format!("LightGBM text, version {}", head.version)),
        ("objective".to_owned(), head.objective),
    ];
    let model = RowModel {
        names: head.names,
        forest,
        calibration: Calibration::Platt { slope: head.sigmoid, intercept: 0.0 },
        facts,
        golden: Vec::new(),
    };
    model.with_golden_rows().map_err(ImportError::Model)
}

struct Head {
    version: String,
    names: Vec<String>,
    objective: String,
    sigmoid: f64,
    /// Line of the list of tree sizes, and how many there are.
    n_trees: Option<(usize, usize)>,
}

const HEAD_FIELDS: [&str; 8] = [
    "version",
    "num_class",
    "num_tree_per_iteration",
    "max_feature_idx",
    "objective",
    "average_output",
    "feature_names",
    "tree_sizes",
];

fn read_head(lines: &mut Lines<'_>) -> Result<Head, ImportError> {
    let (line, first) = lines.next_filled("the word `tree` of a LightGBM model")?;
    if first != "tree" {
        return Err(ImportError::unexpected(line, "the word `tree` of a LightGBM model", first));
    }
    let part = Part::read(line, lines, &HEAD_FIELDS)?;
    let version = part.need("version")?;
    if !matches!(version.text, "v3" | "v4") {
        return Err(value_error(version.line, "version", 0, "v3 or v4", version.text));
    }
    if let Some(field) = part.find("average_output") {
        return Err(field.unsupported("averaged trees (a random forest) are not read"));
    }
    for name in ["num_class", "num_tree_per_iteration"] {
        let field = part.need(name)?;
        let n: u64 = field.whole("a whole number")?;
        if n != 1 {
            return Err(field.unsupported(&format!("several classes are not read: {name} is {n}")));
        }
    }
    let objective = part.need("objective")?;
    let mut words = objective.text.split_ascii_whitespace();
    let kind = words.next().unwrap_or("");
    let sigmoid = match kind {
        "cross_entropy" | "xentropy" => 1.0,
        "binary" => {
            let text = words.find_map(|word| word.strip_prefix("sigmoid:")).unwrap_or("1");
            match text.parse::<f64>() {
                Ok(sigmoid) if sigmoid.is_finite() && sigmoid > 0.0 => sigmoid,
                _ => return Err(value_error(objective.line, "objective", 0, "a sigmoid above 0", text)),
            }
        }
        other => {
            let other = beginning(other);
            return Err(
                objective.unsupported(&format!("objective {other:?} is not read, only binary and cross_entropy"))
            );
        }
    };
    let largest = part.need("max_feature_idx")?;
    let n_features = largest.whole::<u64>("a whole number")?.saturating_add(1);
    if n_features > MAX_FEATURES {
        return Err(value_error(largest.line, "max_feature_idx", 0, "below 2^20", largest.text));
    }
    let names = part.need("feature_names")?;
    let list: Vec<String> = names.text.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if list.len() as u64 != n_features {
        let (found, expected) = (list.len(), n_features as usize);
        return Err(ImportError::Count { place: Place::Line(names.line), field: "feature_names", found, expected });
    }
    let n_trees = part.find("tree_sizes").map(|field| (field.line, field.text.split_ascii_whitespace().count()));
    Ok(Head { version: version.text.to_owned(), names: list, objective: objective.text.to_owned(), sigmoid, n_trees })
}

const TREE_FIELDS: [&str; 14] = [
    "num_leaves",
    "num_cat",
    "split_feature",
    "threshold",
    "decision_type",
    "left_child",
    "right_child",
    "leaf_value",
    "leaf_count",
    "internal_count",
    "cat_boundaries",
    "cat_threshold",
    "is_linear",
    "split_gain",
];

/// A tree whose leaves are not yet rounded: splits first, in the file's order, then leaves.
struct SourceTree {
    splits: Vec<WideNode>,
    leaves: Vec<f64>,
    words: Vec<u64>,
    n_rows: Vec<u64>,
}

impl SourceTree {
    fn finish(self, bits: u8) -> WideTree {
        let mut nodes = self.splits;
        nodes.extend(self.leaves.iter().map(|&value| WideNode::Leaf { value: to_steps(value, bits) }));
        WideTree { nodes, words: self.words, n_rows: self.n_rows }
    }
}

fn read_tree(part: &Part<'_>) -> Result<SourceTree, ImportError> {
    if let Some(field) = part.find("is_linear")
        && field.text != "0"
    {
        return Err(field.unsupported("trees with linear leaves are not read"));
    }
    let n_leaves: usize = part.need("num_leaves")?.whole("a number of leaves")?;
    if n_leaves == 0 {
        return Err(value_error(part.need("num_leaves")?.line, "num_leaves", 0, "at least 1", "0"));
    }
    let n_splits = n_leaves - 1;
    let finite = |text: &str| text.parse::<f64>().ok().filter(|x| x.is_finite());
    let leaves = part.need("leaf_value")?.list(n_leaves, "a finite number", finite)?;
    if n_splits == 0 {
        let n_rows = read_counts(part, n_leaves)?;
        return Ok(SourceTree { splits: Vec::new(), leaves, words: Vec::new(), n_rows });
    }
    let features = part.need("split_feature")?.list(n_splits, "a feature", |text| text.parse::<u32>().ok())?;
    let thresholds = part.need("threshold")?;
    // Infinite where a split parts missing values from all others.
    let number = |text: &str| text.parse::<f64>().ok().filter(|x| !x.is_nan());
    let points = thresholds.list(n_splits, "a number", number)?;
    let decisions = part.need("decision_type")?;
    let types = decisions
        .list(n_splits, "a decision type from 0 to 15", |text| text.parse::<u8>().ok().filter(|&kind| kind < 16))?;
    let child = |text: &str| {
        let at: i64 = text.parse().ok()?;
        // -1 is leaf 0, -2 leaf 1; leaves stand behind the splits here.
        let (index, n, before) = if at < 0 { (!at, n_leaves, n_splits) } else { (at, n_splits, 0) };
        (index < n as i64).then(|| u32::try_from(before as i64 + index).ok()).flatten()
    };
    let lefts = part.need("left_child")?.list(n_splits, "a split or leaf of the tree", child)?;
    let rights = part.need("right_child")?.list(n_splits, "a split or leaf of the tree", child)?;
    let sets = read_sets(part)?;

    let mut splits = Vec::with_capacity(n_splits);
    for at in 0..n_splits {
        let (feature, left, right) = (features[at], lefts[at], rights[at]);
        let default_left = types[at] & DECISION_DEFAULT_LEFT != 0;
        if types[at] & DECISION_CATEGORICAL != 0 {
            let set = sets.ranges.get(points[at] as usize).filter(|_| points[at] >= 0.0);
            let &(first_word, n_words) = set.ok_or_else(|| {
                value_error(thresholds.line, "threshold", at, "the number of a category set", &points[at].to_string())
            })?;
            // A missing category is in no set, whatever the default side says.
            splits.push(WideNode::Categorical { feature, first_word, n_words, missing_left: false, left, right });
            continue;
        }
        let missing = match types[at] >> 2 {
            // Without a rule for them, missing values are zeros.
            MISSING_NONE => Missing { left: 0.0 <= points[at], zero: false },
            MISSING_ZERO => Missing { left: default_left, zero: true },
            MISSING_NAN => Missing { left: default_left, zero: false },
            _ => {
                let expected = "a missing type from 0 to 2";
                return Err(value_error(decisions.line, "decision_type", at, expected, &types[at].to_string()));
            }
        };
        splits.push(WideNode::Numeric { feature, threshold: points[at], missing, left, right });
    }
    Ok(SourceTree { splits, leaves, words: sets.words, n_rows: read_counts(part, n_leaves)? })
}

struct Sets {
    words: Vec<u64>,
    /// First word and number of words of each set.
    ranges: Vec<(u32, u32)>,
}

fn read_sets(part: &Part<'_>) -> Result<Sets, ImportError> {
    let mut sets = Sets { words: Vec::new(), ranges: Vec::new() };
    let n_sets: usize = part.find("num_cat").map_or(Ok(0), |field| field.whole("a number of category sets"))?;
    if n_sets == 0 {
        return Ok(sets);
    }
    let field = part.need("cat_threshold")?;
    let halves = field.list(field.text.split_ascii_whitespace().count(), "32 bits", |text| text.parse::<u32>().ok())?;
    let bounds = part.need("cat_boundaries")?;
    // One end more than sets; saturating, because the number is only a claim.
    let ends = bounds.list(n_sets.saturating_add(1), "a position", |text| text.parse::<usize>().ok())?;
    for (at, pair) in ends.windows(2).enumerate() {
        let Some(set) = halves.get(pair[0]..pair[1]) else {
            let expected = "rising positions in cat_threshold";
            return Err(value_error(bounds.line, "cat_boundaries", at + 1, expected, &pair[1].to_string()));
        };
        // Bounded by the length of the text.
        let first = sets.words.len() as u32;
        sets.words.extend(
            set.chunks(2).map(|pair| u64::from(pair[0]) | pair.get(1).map_or(0, |&high| u64::from(high) << 32)),
        );
        sets.ranges.push((first, sets.words.len() as u32 - first));
    }
    Ok(sets)
}

/// Training rows of splits and leaves; none where the file does not say them.
fn read_counts(part: &Part<'_>, n_leaves: usize) -> Result<Vec<u64>, ImportError> {
    let (Some(splits), Some(leaves)) = (part.find("internal_count"), part.find("leaf_count")) else {
        return Ok(Vec::new());
    };
    let count = |text: &str| text.parse::<u64>().ok();
    let mut n_rows = splits.list(n_leaves - 1, "a number of rows", count)?;
    n_rows.extend(leaves.list(n_leaves, "a number of rows", count)?);
    Ok(n_rows)
}

impl Field<'_> {
    fn unsupported(&self, what: &str) -> ImportError {
        ImportError::Unsupported { place: Place::Line(self.line), what: what.to_owned() }
    }
}
