//! Bytes -> Model. The bytes are hostile: no length is believed before it is compared with what is there.

use std::io::Read;
use std::path::Path;

use orderguard_features::container::{Container, ContainerError, KIND_MODEL, SectionReader, Tag};
use orderguard_features::language::feature::Feature;
use orderguard_features::language::spec::{FeatureSpec, TableRef, Vocabulary};
use orderguard_features::schema::Schema;

use super::header::{
    ARRAY_ALIGNMENT, BACKGROUND, CARD, COMPARE_AT_MOST, DECISION, DRIFT, FORMAT_VERSION, GOLDEN, HEAD, Head, INPUT_F32,
    KIND_GBT, KIND_LOGISTIC, KIND_SCORECARD, KNOWN, MISSING_DEFAULT_SIDE, NODE_CATEGORICAL, NODE_LEAF,
    NODE_MISSING_LEFT, NODE_NUMERIC, POINTS, REASONS, REFERENCE, SCHEMA, SPEC, TERMS, TIERS, TREES,
};
use super::wire::{
    BackgroundWire, CardWire, DecisionWire, DriftWire, GoldenWire, LinearWire, PointsWire, ReasonsWire, ReferenceWire,
    SpecWire, TiersWire, Wire, decode,
};
use crate::error::{LoadError, ModelError};
use crate::model::{
    Background, DriftReference, FeatureReference, Forest, GoldenRow, LinearModel, Model, ModelCard, Node, Predictor,
    ReasonTexts, Scorecard, Tree,
};
use crate::scorer::Scorer;

/// Longest model file that is read: 1 GiB.
pub const MAX_FILE_LEN: usize = 1 << 30;

impl Model {
    /// Reads and checks a model file. See [`Model::from_bytes`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let refuse = |source| LoadError::Read { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(refuse)?;
        let mut bytes = Vec::new();
        // One byte more than is taken, so that a longer file is refused and not cut.
        file.take(MAX_FILE_LEN as u64 + 1).read_to_end(&mut bytes).map_err(refuse)?;
        Self::from_bytes(&bytes)
    }

    /// Reads a model from the bytes of its file and checks all that scoring relies on: container and checksum, fields,
    /// trees, weights, calibration, names against the schema, and the raw-score bits of the golden rows.
    ///
    /// Takes up to [`MAX_FILE_LEN`] bytes; never panics. O(bytes).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        let container = Container::parse(bytes, KIND_MODEL, FORMAT_VERSION, MAX_FILE_LEN)?;
        // A converted model has sections of its own: say first what it is.
        if container.section(HEAD).is_some() {
            read_head(&container)?;
        }
        container.refuse_unknown(&KNOWN)?;

        let schema = read_schema(&container)?;
        let spec = read_spec(&container)?;
        let predictor = read_predictor(&container)?;
        let (calibration, threshold) = read_section::<DecisionWire>(&container, DECISION, "deci")?.into_parts();
        let golden: Vec<GoldenWire> = read_section(&container, GOLDEN, "gold")?;
        let card: CardWire = read_section(&container, CARD, "card")?;
        let reference: Vec<ReferenceWire> = read_section(&container, REFERENCE, "refr")?;
        let background = match container.section(BACKGROUND) {
            Some(_) => read_section::<BackgroundWire>(&container, BACKGROUND, "back")?.into_background(&predictor)?,
            None => Background::default(),
        };
        let drift = match container.section(DRIFT) {
            Some(_) => read_section::<DriftWire>(&container, DRIFT, "drft")?.into_reference()?,
            None => DriftReference::default(),
        };

        let tiers = match container.section(TIERS) {
            Some(_) => read_section::<TiersWire>(&container, TIERS, "tier")?.into_tiers()?,
            None => Vec::new(),
        };
        let reasons = match container.section(REASONS) {
            Some(_) => ReasonTexts::from(read_section::<ReasonsWire>(&container, REASONS, "rsns")?),
            None => ReasonTexts::default(),
        };

        let model = Self {
            schema,
            spec,
            predictor,
            calibration,
            threshold,
            tiers,
            card: ModelCard::from(card),
            reference: reference.into_iter().map(FeatureReference::from).collect(),
            background,
            drift,
            reasons,
            golden: golden.into_iter().map(GoldenRow::from).collect(),
        };
        Scorer::compile(&model)?;
        Ok(model)
    }
}

pub(super) fn read_section<T: Wire>(
    container: &Container<'_>,
    tag: Tag,
    section: &'static str,
) -> Result<T, LoadError> {
    decode(container.need(tag)?).map_err(|error| LoadError::Encoding { section, message: error.message() })
}

fn read_schema(container: &Container<'_>) -> Result<Schema, LoadError> {
    let text = std::str::from_utf8(container.need(SCHEMA)?).map_err(|e| LoadError::Encoding {
        section: "schm",
        message: format!("byte {}: not UTF-8", e.valid_up_to()),
    })?;
    let schema = Schema::from_toml(text).map_err(ModelError::Schema)?;
    let (found, expected) = (container.fingerprint(), schema.fingerprint());
    if found != expected {
        return Err(LoadError::Fingerprint { found, expected });
    }
    Ok(schema)
}

fn read_spec(container: &Container<'_>) -> Result<FeatureSpec, LoadError> {
    let wire: SpecWire = read_section(container, SPEC, "spec")?;
    let mut features = Vec::with_capacity(wire.features.len());
    for (i, text) in wire.features.iter().enumerate() {
        let refuse = |message| LoadError::Feature { feature: i as u32, message };
        features.push(Feature::parse(text).map_err(|e| refuse(e.to_string()))?);
    }
    let vocabularies = wire.vocabularies.into_iter().map(|v| Vocabulary { place: v.place, levels: v.levels });
    Ok(FeatureSpec {
        features,
        vocabularies: vocabularies.collect(),
        exact_events: wire.exact_events,
        hub_limit: wire.hub_limit,
        tables: wire.tables.into_iter().map(|(name, hash)| TableRef { name, hash }).collect(),
    })
}

fn read_predictor(container: &Container<'_>) -> Result<Predictor, LoadError> {
    let head = read_head(container)?;
    for (kind, tag, section) in
        [(KIND_GBT, TREES, "tree"), (KIND_LOGISTIC, TERMS, "term"), (KIND_SCORECARD, POINTS, "pnts")]
    {
        if kind != head.kind && container.section(tag).is_some() {
            return Err(LoadError::Encoding { section, message: "stands in a model of another kind".into() });
        }
    }
    let (predictor, of, n_features) = match head.kind {
        KIND_GBT => return Ok(Predictor::Gbt(read_trees(container, &head)?)),
        KIND_LOGISTIC => {
            let linear = LinearModel::from(read_section::<LinearWire>(container, TERMS, "term")?);
            let n_features = linear.n_features;
            (Predictor::Logistic(linear), "rows of the linear model", n_features)
        }
        _ => {
            let card = Scorecard::from(read_section::<PointsWire>(container, POINTS, "pnts")?);
            let n_features = card.n_features;
            (Predictor::Scorecard(card), "rows of the scorecard", n_features)
        }
    };
    if n_features != head.n_features {
        let (found, expected) = (u64::from(n_features), u64::from(head.n_features));
        return Err(ModelError::Length { of: of.into(), found, expected }.into());
    }
    Ok(predictor)
}

/// The header as it stands there; only that its reserved bytes are zero is checked.
pub(super) fn parse_head(container: &Container<'_>) -> Result<Head, LoadError> {
    let mut reader = container.reader(HEAD)?;
    let [kind, input, comparison, missing, scale_bits, zeros @ ..] = reader.array::<8>()?;
    let head = Head {
        kind,
        input,
        comparison,
        missing,
        scale_bits,
        n_features: reader.u32()?,
        n_trees: reader.u32()?,
        n_nodes: reader.u32()?,
        n_level_sets: reader.u32()?,
        base: reader.i64()?,
    };
    reader.finish()?;
    if zeros != [0; 3] {
        return Err(LoadError::Header { field: "reserved", found: u64::from(zeros[0]), expected: "three zeros" });
    }
    Ok(head)
}

fn read_head(container: &Container<'_>) -> Result<Head, LoadError> {
    let head = parse_head(container)?;
    let Head { kind, input, comparison, missing, scale_bits, .. } = head;
    let expect = |field, found: u64, holds, expected| {
        if holds { Ok(()) } else { Err(LoadError::Header { field, found, expected }) }
    };
    let is_kind = matches!(kind, KIND_GBT | KIND_LOGISTIC | KIND_SCORECARD);
    expect("kind", kind.into(), is_kind, "1 (boosted trees), 2 (logistic regression) or 3 (scorecard)")?;
    expect(
        "input",
        input.into(),
        input == INPUT_F32,
        "1 (rows of order features; 2 is a converted model, which takes rows by name)",
    )?;
    expect("comparison", comparison.into(), comparison == COMPARE_AT_MOST, "1 (at most goes left)")?;
    expect("missing", missing.into(), missing == MISSING_DEFAULT_SIDE, "1 (NaN goes to the default side)")?;
    if kind != KIND_GBT {
        let counts = [head.n_trees, head.n_nodes, head.n_level_sets, u32::from(scale_bits)];
        expect(
            "counts of trees",
            u64::from(counts[0]),
            counts == [0; 4] && head.base == 0,
            "0 in a model without trees",
        )?;
    }
    Ok(head)
}

fn read_trees(container: &Container<'_>, head: &Head) -> Result<Forest, LoadError> {
    let mut reader = container.reader(TREES)?;
    let (n_trees, n_nodes) = (head.n_trees as usize, head.n_nodes as usize);
    let mut tree_lens = read_array(&mut reader, n_trees)?.map(u32::from_le_bytes);
    let mut set_lens = read_array(&mut reader, n_trees)?.map(u32::from_le_bytes);
    let flags = read_array(&mut reader, n_nodes)?.map(|[flags]| flags);
    let features = read_array(&mut reader, n_nodes)?.map(u32::from_le_bytes);
    let values = read_array::<4>(&mut reader, n_nodes)?;
    let lefts = read_array(&mut reader, n_nodes)?.map(u32::from_le_bytes);
    let rights = read_array(&mut reader, n_nodes)?.map(u32::from_le_bytes);
    let mut words = read_array(&mut reader, head.n_level_sets as usize * 4)?.map(u64::from_le_bytes);
    reader.finish()?;

    // From here on the claimed counts are those of bytes that exist.
    let mut fields = flags.zip(features).zip(values).zip(lefts.zip(rights));
    let (mut nodes_left, mut sets_left) = (n_nodes, head.n_level_sets as usize);
    let mut trees = Vec::with_capacity(n_trees);
    for (tree_len, set_len) in tree_lens.by_ref().zip(set_lens.by_ref()) {
        let (tree_len, set_len) = (tree_len as usize, set_len as usize);
        nodes_left = nodes_left.checked_sub(tree_len).ok_or_else(|| counts_disagree("nodes", head.n_nodes))?;
        sets_left = sets_left.checked_sub(set_len).ok_or_else(|| counts_disagree("level sets", head.n_level_sets))?;
        let mut nodes = Vec::with_capacity(tree_len);
        for (((flags, feature), value), (left, right)) in fields.by_ref().take(tree_len) {
            nodes.push(decode_node(flags, feature, value, left, right).ok_or_else(|| LoadError::Encoding {
                section: "tree",
                message: format!(
                    "tree {}, node {}: flags {flags} and its fields mean no node",
                    trees.len(),
                    nodes.len()
                ),
            })?);
        }
        let mut level_sets = Vec::with_capacity(set_len);
        for _ in 0..set_len {
            let mut word = || words.next().unwrap_or(0);
            level_sets.push([word(), word(), word(), word()]);
        }
        trees.push(Tree { nodes, level_sets });
    }
    if nodes_left != 0 {
        return Err(counts_disagree("nodes", head.n_nodes));
    }
    if sets_left != 0 {
        return Err(counts_disagree("level sets", head.n_level_sets));
    }
    Ok(Forest { n_features: head.n_features, base: head.base, scale_bits: head.scale_bits, trees })
}

pub(super) fn counts_disagree(of: &str, total: u32) -> LoadError {
    LoadError::Encoding {
        section: "tree",
        message: format!("expected trees with {total} {of} in all, found another sum"),
    }
}

/// The next array of `n` elements of `N` bytes, which starts at a multiple of the alignment.
pub(super) fn read_array<'a, const N: usize>(
    reader: &mut SectionReader<'a>,
    n: usize,
) -> Result<impl Iterator<Item = [u8; N]> + use<'a, N>, ContainerError> {
    reader.align(ARRAY_ALIGNMENT)?;
    let chunks = reader.take_elements(n, N)?;
    Ok(chunks.map(|chunk| chunk.try_into().expect("a chunk of N bytes is an array of N bytes")))
}

/// The node that the fields describe; `None` when they describe none, or hold something where nothing belongs.
fn decode_node(flags: u8, feature: u32, value: [u8; 4], left: u32, right: u32) -> Option<Node> {
    let missing_left = flags & NODE_MISSING_LEFT != 0;
    match flags & !NODE_MISSING_LEFT {
        NODE_LEAF if !missing_left && feature == 0 && left == 0 && right == 0 => {
            Some(Node::Leaf { value: i32::from_le_bytes(value) })
        }
        NODE_NUMERIC => {
            Some(Node::Numeric { feature, threshold: f32::from_le_bytes(value), missing_left, left, right })
        }
        NODE_CATEGORICAL => {
            Some(Node::Categorical { feature, level_set: u32::from_le_bytes(value), missing_left, left, right })
        }
        _ => None,
    }
}
