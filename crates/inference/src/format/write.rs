//! Model -> bytes.

use orderguard_features::container::{ContainerWriter, KIND_MODEL};

use super::header::{
    ARRAY_ALIGNMENT, BACKGROUND, CARD, COMPARE_AT_MOST, DECISION, DRIFT, FORMAT_VERSION, GOLDEN, HEAD, HEAD_LEN, Head,
    INPUT_F32, KIND_GBT, KIND_LOGISTIC, KIND_SCORECARD, MISSING_DEFAULT_SIDE, NODE_CATEGORICAL, NODE_LEAF,
    NODE_MISSING_LEFT, NODE_NUMERIC, POINTS, REASONS, REFERENCE, SCHEMA, SPEC, TERMS, TIERS, TREES,
};
use super::wire::{
    BackgroundWire, CardWire, DecisionWire, DriftWire, GoldenWire, LinearWire, PointsWire, ReasonsWire, ReferenceWire,
    SpecWire, TiersWire, VocabularyWire, encode,
};
use crate::error::WriteError;
use crate::model::{Forest, Model, Node, Predictor};

impl Model {
    /// The bytes of the model file. Equal models give equal bytes; what was loaded and is written again is the same file.
    ///
    /// # Errors
    /// A model that [`Model::from_bytes`] would refuse is not written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let bytes = self.encode();
        match Self::from_bytes(&bytes) {
            Ok(_) => Ok(bytes),
            Err(reason) => Err(WriteError { reason }),
        }
    }

    /// The bytes without asking whether they would load.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (predictor_tag, predictor) = match &self.predictor {
            Predictor::Gbt(forest) => (TREES, encode_trees(forest)),
            Predictor::Logistic(linear) => (TERMS, encode(&LinearWire::from(linear))),
            Predictor::Scorecard(card) => (POINTS, encode(&PointsWire::from(card))),
        };
        let spec = SpecWire {
            features: self.spec.names(),
            vocabularies: self
                .spec
                .vocabularies
                .iter()
                .map(|v| VocabularyWire { place: v.place.clone(), levels: v.levels.clone() })
                .collect(),
            exact_events: self.spec.exact_events,
            hub_limit: self.spec.hub_limit,
            tables: self.spec.tables.iter().map(|table| (table.name.clone(), table.hash)).collect(),
        };
        let golden: Vec<_> = self.golden.iter().map(GoldenWire::from).collect();
        let reference: Vec<_> = self.reference.iter().map(ReferenceWire::from).collect();
        let mut writer = ContainerWriter::new(KIND_MODEL, FORMAT_VERSION, self.schema.fingerprint())
            .section(HEAD, true, encode_head(&head_of(&self.predictor)))
            .section(SCHEMA, true, self.schema.to_toml().into_bytes())
            .section(SPEC, true, encode(&spec))
            .section(predictor_tag, true, predictor)
            .section(DECISION, true, encode(&DecisionWire::new(&self.calibration, &self.threshold)))
            .section(GOLDEN, true, encode(&golden))
            .section(CARD, false, encode(&CardWire::from(&self.card)))
            .section(REFERENCE, false, encode(&reference));
        if !self.tiers.is_empty() {
            writer = writer.section(TIERS, true, encode(&TiersWire::from(self.tiers.as_slice())));
        }
        if self.background.n_rows > 0 {
            writer = writer.section(BACKGROUND, false, encode(&BackgroundWire::from(&self.background)));
        }
        if !self.drift.is_empty() {
            writer = writer.section(DRIFT, false, encode(&DriftWire::from(&self.drift)));
        }
        if !self.reasons.features.is_empty() {
            writer = writer.section(REASONS, false, encode(&ReasonsWire::from(&self.reasons)));
        }
        writer.finish()
    }
}

fn head_of(predictor: &Predictor) -> Head {
    let common =
        Head { input: INPUT_F32, comparison: COMPARE_AT_MOST, missing: MISSING_DEFAULT_SIDE, ..Head::default() };
    match predictor {
        Predictor::Gbt(forest) => Head {
            kind: KIND_GBT,
            scale_bits: forest.scale_bits,
            n_features: forest.n_features,
            n_trees: count(forest.trees.len()),
            n_nodes: count(forest.trees.iter().map(|tree| tree.nodes.len()).sum()),
            n_level_sets: count(forest.trees.iter().map(|tree| tree.level_sets.len()).sum()),
            base: forest.base,
            ..common
        },
        Predictor::Logistic(linear) => Head { kind: KIND_LOGISTIC, n_features: linear.n_features, ..common },
        Predictor::Scorecard(card) => Head { kind: KIND_SCORECARD, n_features: card.n_features, ..common },
    }
}

/// A count as it stands in the file; one that does not fit makes the arrays too long for it, so that loading refuses it.
pub(super) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

pub(super) fn encode_head(head: &Head) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_LEN);
    bytes.extend([head.kind, head.input, head.comparison, head.missing, head.scale_bits, 0, 0, 0]);
    for n in [head.n_features, head.n_trees, head.n_nodes, head.n_level_sets] {
        bytes.extend(n.to_le_bytes());
    }
    bytes.extend(head.base.to_le_bytes());
    bytes
}

/// Trees as arrays over all nodes of all trees, one array per field.
fn encode_trees(forest: &Forest) -> Vec<u8> {
    let nodes = || forest.trees.iter().flat_map(|tree| &tree.nodes);
    let mut bytes = Vec::new();
    push_array(&mut bytes, forest.trees.iter().map(|tree| count(tree.nodes.len()).to_le_bytes()));
    push_array(&mut bytes, forest.trees.iter().map(|tree| count(tree.level_sets.len()).to_le_bytes()));
    push_array(&mut bytes, nodes().map(|node| [flags(node)]));
    push_array(&mut bytes, nodes().map(|node| feature(node).to_le_bytes()));
    push_array(&mut bytes, nodes().map(value));
    push_array(&mut bytes, nodes().map(|node| children(node).0.to_le_bytes()));
    push_array(&mut bytes, nodes().map(|node| children(node).1.to_le_bytes()));
    let words = forest.trees.iter().flat_map(|tree| tree.level_sets.iter().flatten());
    push_array(&mut bytes, words.map(|word| word.to_le_bytes()));
    bytes
}

pub(super) fn push_array<const N: usize>(bytes: &mut Vec<u8>, elements: impl Iterator<Item = [u8; N]>) {
    bytes.resize(bytes.len().next_multiple_of(ARRAY_ALIGNMENT), 0);
    bytes.extend(elements.flatten());
}

fn flags(node: &Node) -> u8 {
    match node {
        Node::Leaf { .. } => NODE_LEAF,
        Node::Numeric { missing_left, .. } => NODE_NUMERIC | if *missing_left { NODE_MISSING_LEFT } else { 0 },
        Node::Categorical { missing_left, .. } => NODE_CATEGORICAL | if *missing_left { NODE_MISSING_LEFT } else { 0 },
    }
}

fn feature(node: &Node) -> u32 {
    match node {
        Node::Leaf { .. } => 0,
        Node::Numeric { feature, .. } | Node::Categorical { feature, .. } => *feature,
    }
}

fn value(node: &Node) -> [u8; 4] {
    match node {
        Node::Leaf { value } => value.to_le_bytes(),
        Node::Numeric { threshold, .. } => threshold.to_le_bytes(),
        Node::Categorical { level_set, .. } => level_set.to_le_bytes(),
    }
}

fn children(node: &Node) -> (u32, u32) {
    match node {
        Node::Leaf { .. } => (0, 0),
        Node::Numeric { left, right, .. } | Node::Categorical { left, right, .. } => (*left, *right),
    }
}
