//! The file of a model over rows of named values: the container and header of every model, with sections of its own.

use orderguard_features::container::{Container, ContainerWriter, KIND_MODEL};

use super::header::{
    COMPARE_AT_MOST, FORMAT_VERSION, HEAD, Head, INPUT_F64, KIND_GBT, MISSING_PER_NODE, NODE_CATEGORICAL, NODE_LEAF,
    NODE_MISSING_LEFT, NODE_NUMERIC, NODE_ZERO_MISSING, ROWS, WIDE,
};
use super::read::{MAX_FILE_LEN, counts_disagree, parse_head, read_array, read_section};
use super::wire::{RowsWire, encode};
use super::write::{count, encode_head, push_array};
use crate::error::{LoadError, WriteError};
use crate::rows::RowModel;
use crate::wide::{Codes, Missing, WideForest, WideNode, WideTree};

const KNOWN: [orderguard_features::container::Tag; 3] = [HEAD, ROWS, WIDE];
const HAS_ROW_COUNTS: u8 = 1;
const TRUNCATED_CODES: u8 = 2;
const NARROWED_CODES: u8 = 4;

impl RowModel {
    /// The bytes of the model file. Equal models give equal bytes.
    ///
    /// # Errors
    /// A model that [`RowModel::from_bytes`] would refuse is not written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let bytes = self.encode();
        match Self::from_bytes(&bytes) {
            Ok(_) => Ok(bytes),
            Err(reason) => Err(WriteError { reason }),
        }
    }

    /// The bytes without asking whether they would load.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let forest = &self.forest;
        let head = Head {
            kind: KIND_GBT,
            input: INPUT_F64,
            comparison: COMPARE_AT_MOST,
            missing: MISSING_PER_NODE,
            scale_bits: forest.scale_bits,
            n_features: forest.n_features,
            n_trees: count(forest.trees.len()),
            n_nodes: count(forest.trees.iter().map(|tree| tree.nodes.len()).sum()),
            n_level_sets: count(forest.trees.iter().map(|tree| tree.words.len()).sum()),
            base: forest.base,
        };
        ContainerWriter::new(KIND_MODEL, FORMAT_VERSION, 0)
            .section(HEAD, true, encode_head(&head))
            .section(ROWS, true, encode(&RowsWire::from(self)))
            .section(WIDE, true, encode_trees(forest))
            .finish()
    }

    /// Reads a model from the bytes of its file and checks all that scoring relies on, the raw-score bits of its golden rows
    /// included. Takes up to [`MAX_FILE_LEN`] bytes; never panics. O(bytes).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        let container = Container::parse(bytes, KIND_MODEL, FORMAT_VERSION, MAX_FILE_LEN)?;
        let head = parse_head(&container)?;
        if head.input != INPUT_F64 {
            let (found, expected) = (head.input.into(), "2 (rows of named values)");
            return Err(LoadError::Header { field: "input", found, expected });
        }
        for (field, found, expected, words) in [
            ("kind", head.kind, KIND_GBT, "1 (boosted trees)"),
            ("comparison", head.comparison, COMPARE_AT_MOST, "1 (at most goes left)"),
            ("missing", head.missing, MISSING_PER_NODE, "2 (each node has its rule)"),
        ] {
            if found != expected {
                return Err(LoadError::Header { field, found: found.into(), expected: words });
            }
        }
        container.refuse_unknown(&KNOWN)?;
        if container.fingerprint() != 0 {
            return Err(LoadError::Fingerprint { found: container.fingerprint(), expected: 0 });
        }
        let wire: RowsWire = read_section(&container, ROWS, "rows")?;
        let forest = read_trees(&container, &head)?;
        let model = wire.into_model(forest);
        model.check()?;
        Ok(model)
    }

    /// Whether the bytes are those of such a model, as far as the header tells.
    pub fn is_one(bytes: &[u8]) -> bool {
        let container = Container::parse(bytes, KIND_MODEL, FORMAT_VERSION, MAX_FILE_LEN);
        container.ok().and_then(|container| parse_head(&container).ok()).is_some_and(|head| head.input == INPUT_F64)
    }
}

fn encode_trees(forest: &WideForest) -> Vec<u8> {
    let nodes = || forest.trees.iter().flat_map(|tree| &tree.nodes);
    let children = || nodes().map(|node| node.children().unwrap_or((0, 0)));
    let has_counts = !forest.trees.is_empty() && forest.trees.iter().all(|tree| tree.n_rows.len() == tree.nodes.len());
    let codes = match forest.codes {
        Codes::Whole => 0,
        Codes::Truncated => TRUNCATED_CODES,
        Codes::Narrowed => NARROWED_CODES,
    };
    let mut bytes = vec![if has_counts { HAS_ROW_COUNTS } else { 0 } | codes];
    push_array(&mut bytes, forest.trees.iter().map(|tree| count(tree.nodes.len()).to_le_bytes()));
    push_array(&mut bytes, forest.trees.iter().map(|tree| count(tree.words.len()).to_le_bytes()));
    push_array(&mut bytes, nodes().map(|node| [flags(node)]));
    push_array(&mut bytes, nodes().map(|node| node.feature().unwrap_or(0).to_le_bytes()));
    push_array(&mut bytes, nodes().map(value));
    push_array(&mut bytes, children().map(|(left, _)| left.to_le_bytes()));
    push_array(&mut bytes, children().map(|(_, right)| right.to_le_bytes()));
    push_array(&mut bytes, forest.trees.iter().flat_map(|tree| &tree.words).map(|word| word.to_le_bytes()));
    if has_counts {
        push_array(&mut bytes, forest.trees.iter().flat_map(|tree| &tree.n_rows).map(|n| n.to_le_bytes()));
    }
    bytes
}

fn flags(node: &WideNode) -> u8 {
    let flag = |holds, bit| if holds { bit } else { 0 };
    match node {
        WideNode::Leaf { .. } => NODE_LEAF,
        WideNode::Numeric { missing, .. } => {
            NODE_NUMERIC | flag(missing.left, NODE_MISSING_LEFT) | flag(missing.zero, NODE_ZERO_MISSING)
        }
        WideNode::Categorical { missing_left, .. } => NODE_CATEGORICAL | flag(*missing_left, NODE_MISSING_LEFT),
    }
}

fn value(node: &WideNode) -> [u8; 8] {
    match *node {
        WideNode::Leaf { value } => value.to_le_bytes(),
        WideNode::Numeric { threshold, .. } => threshold.to_le_bytes(),
        WideNode::Categorical { first_word, n_words, .. } => {
            (u64::from(first_word) | u64::from(n_words) << 32).to_le_bytes()
        }
    }
}

fn read_trees(container: &Container<'_>, head: &Head) -> Result<WideForest, LoadError> {
    let mut reader = container.reader(WIDE)?;
    let (n_trees, n_nodes, n_words) = (head.n_trees as usize, head.n_nodes as usize, head.n_level_sets as usize);
    let forest_flags = reader.u8()?;
    let codes = match forest_flags & !HAS_ROW_COUNTS {
        0 => Codes::Whole,
        TRUNCATED_CODES => Codes::Truncated,
        NARROWED_CODES => Codes::Narrowed,
        _ => {
            let message = format!("flags: expected 0 to 5, with one kind of codes, found {forest_flags}");
            return Err(LoadError::Encoding { section: "wide", message });
        }
    };
    let has_counts = forest_flags & HAS_ROW_COUNTS != 0;
    let tree_lens = read_array(&mut reader, n_trees)?.map(u32::from_le_bytes);
    let word_lens = read_array(&mut reader, n_trees)?.map(u32::from_le_bytes);
    let flags = read_array(&mut reader, n_nodes)?.map(|[flags]| flags);
    let features = read_array(&mut reader, n_nodes)?.map(u32::from_le_bytes);
    let values = read_array::<8>(&mut reader, n_nodes)?;
    let lefts = read_array(&mut reader, n_nodes)?.map(u32::from_le_bytes);
    let rights = read_array(&mut reader, n_nodes)?.map(u32::from_le_bytes);
    let mut words = read_array(&mut reader, n_words)?.map(u64::from_le_bytes);
    // Where nobody kept counts there is no array, and no padding before it.
    let n_rows: Vec<u64> =
        if has_counts { read_array(&mut reader, n_nodes)?.map(u64::from_le_bytes).collect() } else { Vec::new() };
    let mut n_rows = n_rows.into_iter();
    reader.finish()?;

    // From here on the claimed counts are those of bytes that exist.
    let mut fields = flags.zip(features).zip(values).zip(lefts.zip(rights));
    let (mut nodes_left, mut words_left) = (n_nodes, n_words);
    let mut trees = Vec::with_capacity(n_trees);
    for (tree_len, word_len) in tree_lens.zip(word_lens) {
        let (tree_len, word_len) = (tree_len as usize, word_len as usize);
        nodes_left = nodes_left.checked_sub(tree_len).ok_or_else(|| counts_disagree("nodes", head.n_nodes))?;
        words_left = words_left.checked_sub(word_len).ok_or_else(|| counts_disagree("words", head.n_level_sets))?;
        let mut nodes = Vec::with_capacity(tree_len);
        for (((flags, feature), value), (left, right)) in fields.by_ref().take(tree_len) {
            nodes.push(decode_node(flags, feature, value, left, right).ok_or_else(|| LoadError::Encoding {
                section: "wide",
                message: format!(
                    "tree {}, node {}: flags {flags} and its fields mean no node",
                    trees.len(),
                    nodes.len()
                ),
            })?);
        }
        let words = words.by_ref().take(word_len).collect();
        let n_rows = n_rows.by_ref().take(if has_counts { tree_len } else { 0 }).collect();
        trees.push(WideTree { nodes, words, n_rows });
    }
    if nodes_left != 0 {
        return Err(counts_disagree("nodes", head.n_nodes));
    }
    if words_left != 0 {
        return Err(counts_disagree("words", head.n_level_sets));
    }
    Ok(WideForest { n_features: head.n_features, base: head.base, scale_bits: head.scale_bits, codes, trees })
}

/// The node that the fields describe; `None` when they describe none, or hold something where nothing belongs.
fn decode_node(flags: u8, feature: u32, value: [u8; 8], left: u32, right: u32) -> Option<WideNode> {
    let missing = Missing { left: flags & NODE_MISSING_LEFT != 0, zero: flags & NODE_ZERO_MISSING != 0 };
    match flags & !(NODE_MISSING_LEFT | NODE_ZERO_MISSING) {
        NODE_LEAF if flags == NODE_LEAF && feature == 0 && left == 0 && right == 0 => {
            Some(WideNode::Leaf { value: i64::from_le_bytes(value) })
        }
        NODE_NUMERIC => Some(WideNode::Numeric { feature, threshold: f64::from_le_bytes(value), missing, left, right }),
        NODE_CATEGORICAL if !missing.zero => {
            let word = u64::from_le_bytes(value);
            let (first_word, n_words) = (word as u32, (word >> 32) as u32);
            Some(WideNode::Categorical { feature, first_word, n_words, missing_left: missing.left, left, right })
        }
        _ => None,
    }
}
