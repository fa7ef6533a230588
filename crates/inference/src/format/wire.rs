//! Metadata sections as bincode writes them: dedicated structs, one configuration, always under a limit.
//!
//! This is the only module that knows bincode. Integers are little-endian at their fixed width; a sequence or text is its
//! length as u64 and its elements; an option is a byte 0 or 1 and the value; an enum is its variant's number as u32 and
//! the fields. A limit bounds what a claimed length can make the decoder allocate; whoever decodes checks that every byte
//! was read and only then what the values mean.

use bincode::{Decode, Encode, config};

use crate::decision::{Decision, Tier};
use crate::drift::{DriftReference, FeatureBins, ScoreBins};
use crate::error::ModelError;
use crate::model::{
    Background, Calibration, Characteristic, FeatureReference, GoldenRow, LinearModel, LinearTerm, ModelCard,
    PointScale, Predictor, ScoreBin, Scorecard, Threshold,
};
use crate::reasons::{FeatureTexts, Pattern, ReasonTexts};
use crate::rows::{GoldenValues, RowModel};
use crate::wide::WideForest;

/// What this module can write and read.
pub(super) trait Wire: Encode + Decode<()> {}
impl<T: Encode + Decode<()>> Wire for T {}

/// How a section failed to decode.
pub(super) enum WireError {
    /// A claimed length goes beyond the limit.
    Limit,
    /// The section ends before the value does.
    Truncated,
    /// The value ends before the section does.
    Trailing { consumed: usize, len: usize },
    /// A byte that no value of the type has.
    Invalid,
}

impl WireError {
    pub(super) fn message(&self) -> String {
        match self {
            Self::Limit => "found a length that claims more than the section can hold".into(),
            Self::Truncated => "the content ends in the middle of a value".into(),
            Self::Trailing { consumed, len } => format!("expected the end after {consumed} bytes, found {len}"),
            Self::Invalid => "found a byte that no such value has, or text that is not UTF-8".into(),
        }
    }
}

/// The bytes of a value.
pub(super) fn encode(value: &impl Wire) -> Vec<u8> {
    let config = config::standard().with_little_endian().with_fixed_int_encoding();
    bincode::encode_to_vec(value, config).expect("writing plain values to memory cannot fail")
}

/// The value that the bytes, all of them, describe.
pub(super) fn decode<T: Wire>(bytes: &[u8]) -> Result<T, WireError> {
    // In memory no value takes more than 4 times its bytes here (an empty text: 24 for 8), so an honest section stays
    // below the limit; a claimed length that the section cannot hold must not make the decoder allocate much more.
    match bytes.len().saturating_mul(4) {
        ..=0xFFFF => decode_within::<T, 0x1_0000>(bytes),
        0x1_0000..=0xF_FFFF => decode_within::<T, 0x10_0000>(bytes),
        0x10_0000..=0xFF_FFFF => decode_within::<T, 0x100_0000>(bytes),
        0x100_0000..=0xFFF_FFFF => decode_within::<T, 0x1000_0000>(bytes),
        _ => Err(WireError::Limit),
    }
}

fn decode_within<T: Wire, const LIMIT: usize>(bytes: &[u8]) -> Result<T, WireError> {
    use bincode::error::DecodeError;
    let config = config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<LIMIT>();
    match bincode::decode_from_slice(bytes, config) {
        Ok((value, consumed)) if consumed == bytes.len() => Ok(value),
        Ok((_, consumed)) => Err(WireError::Trailing { consumed, len: bytes.len() }),
        Err(DecodeError::LimitExceeded) => Err(WireError::Limit),
        Err(DecodeError::UnexpectedEnd { .. }) => Err(WireError::Truncated),
        Err(_) => Err(WireError::Invalid),
    }
}

#[derive(Encode, Decode)]
pub(super) struct SpecWire {
    pub(super) features: Vec<String>,
    pub(super) vocabularies: Vec<VocabularyWire>,
    pub(super) exact_events: u32,
    pub(super) hub_limit: u32,
    /// Name and hash of each table of the shop's own.
    pub(super) tables: Vec<(String, u64)>,
}

#[derive(Encode, Decode)]
pub(super) struct VocabularyWire {
    pub(super) place: String,
    pub(super) levels: Vec<String>,
}

#[derive(Encode, Decode)]
pub(super) struct LinearWire {
    n_features: u32,
    intercept: f64,
    terms: Vec<TermWire>,
}

#[derive(Encode, Decode)]
enum TermWire {
    Numeric {
        feature: u32,
        weight: f64,
        low: f32,
        high: f32,
        log: bool,
        mean: f64,
        scale: f64,
        missing: f64,
        first_seen: Option<f64>,
    },
    Categorical {
        feature: u32,
        levels: Vec<f64>,
        missing: f64,
    },
}

#[derive(Encode, Decode)]
pub(super) struct PointsWire {
    n_features: u32,
    base_score: f64,
    base_odds: f64,
    points_to_double: f64,
    start: i32,
    characteristics: Vec<CharacteristicWire>,
}

#[derive(Encode, Decode)]
enum CharacteristicWire {
    Numeric { feature: u32, specials: Vec<(f32, BinWire)>, upper: Vec<f32>, bins: Vec<BinWire>, missing: BinWire },
    Categorical { feature: u32, groups: Vec<u32>, bins: Vec<BinWire>, missing: BinWire },
}

#[derive(Encode, Decode)]
struct BinWire {
    points: i32,
    n_orders: u64,
    n_fraud: u64,
}

#[derive(Encode, Decode)]
pub(super) struct DecisionWire {
    calibration: CalibrationWire,
    raw_score: f64,
    probability: f64,
    aim: String,
}

#[derive(Encode, Decode)]
pub(super) struct RowsWire {
    names: Vec<String>,
    calibration: CalibrationWire,
    facts: Vec<(String, String)>,
    golden: Vec<(Vec<f64>, u64)>,
}

#[derive(Encode, Decode)]
enum CalibrationWire {
    Platt { slope: f64, intercept: f64 },
    Beta { a: f64, b: f64, c: f64 },
    Isotonic { knots: Vec<(f64, f64)> },
}

#[derive(Encode, Decode)]
pub(super) struct CardWire {
    program_version: String,
    kind: String,
    data_hash: String,
    seed: u64,
    key_check: u64,
    facts: Vec<(String, String)>,
    params: Vec<(String, String)>,
    notes: Vec<String>,
}

#[derive(Encode, Decode)]
pub(super) struct ReferenceWire {
    missing_share: f64,
    quantiles: Vec<f32>,
    level_shares: Vec<f64>,
    importance: f64,
}

#[derive(Encode, Decode)]
pub(super) struct BackgroundWire {
    n_rows: u32,
    /// Rows of all nodes of all trees.
    node_rows: Vec<u32>,
    means: Vec<f64>,
    scores: Vec<f64>,
}

#[derive(Encode, Decode)]
pub(super) struct DriftWire {
    /// [`DRIFT_VERSION`].
    version: u16,
    features: Vec<FeatureBinsWire>,
    score: Option<ScoreBinsWire>,
}

#[derive(Encode, Decode)]
struct FeatureBinsWire {
    edges: Vec<f32>,
    counts: Vec<u32>,
    first_seen: u32,
    missing: u32,
}

#[derive(Encode, Decode)]
struct ScoreBinsWire {
    edges: Vec<f64>,
    counts: Vec<u32>,
}

/// The layout of the section that is read and written.
const DRIFT_VERSION: u16 = 1;

/// Decision (1 challenge, 2 review, 3 decline) and the raw score from which on it is made.
#[derive(Encode, Decode)]
pub(super) struct TiersWire(Vec<(u8, f64)>);

#[derive(Encode, Decode)]
pub(super) struct ReasonsWire {
    groups: Vec<String>,
    /// Group, then the words in English and in Polish.
    features: Vec<(u32, PatternWire, PatternWire)>,
}

#[derive(Encode, Decode)]
struct PatternWire {
    text: String,
    no: String,
    first_seen: String,
    missing: String,
}

#[derive(Encode, Decode)]
pub(super) struct GoldenWire {
    row: Vec<f32>,
    raw_score_bits: u64,
}

impl From<&LinearModel> for LinearWire {
    fn from(model: &LinearModel) -> Self {
        let term = |term: &LinearTerm| match term.clone() {
            LinearTerm::Numeric { feature, weight, low, high, log, mean, scale, missing, first_seen } => {
                TermWire::Numeric { feature, weight, low, high, log, mean, scale, missing, first_seen }
            }
            LinearTerm::Categorical { feature, levels, missing } => TermWire::Categorical { feature, levels, missing },
        };
        Self { n_features: model.n_features, intercept: model.intercept, terms: model.terms.iter().map(term).collect() }
    }
}

impl From<LinearWire> for LinearModel {
    fn from(wire: LinearWire) -> Self {
        let term = |term| match term {
            TermWire::Numeric { feature, weight, low, high, log, mean, scale, missing, first_seen } => {
                LinearTerm::Numeric { feature, weight, low, high, log, mean, scale, missing, first_seen }
            }
            TermWire::Categorical { feature, levels, missing } => LinearTerm::Categorical { feature, levels, missing },
        };
        Self {
            n_features: wire.n_features,
            intercept: wire.intercept,
            terms: wire.terms.into_iter().map(term).collect(),
        }
    }
}

impl From<ScoreBin> for BinWire {
    fn from(ScoreBin { points, n_orders, n_fraud }: ScoreBin) -> Self {
        Self { points, n_orders, n_fraud }
    }
}

impl From<BinWire> for ScoreBin {
    fn from(BinWire { points, n_orders, n_fraud }: BinWire) -> Self {
        Self { points, n_orders, n_fraud }
    }
}

impl From<&Scorecard> for PointsWire {
    fn from(card: &Scorecard) -> Self {
        fn all(bins: Vec<ScoreBin>) -> Vec<BinWire> {
            bins.into_iter().map(BinWire::from).collect()
        }
        let characteristic = |characteristic: &Characteristic| match characteristic.clone() {
            Characteristic::Numeric { feature, specials, upper, bins, missing } => CharacteristicWire::Numeric {
                feature,
                specials: specials.into_iter().map(|(value, bin)| (value, bin.into())).collect(),
                upper,
                bins: all(bins),
                missing: missing.into(),
            },
            Characteristic::Categorical { feature, groups, bins, missing } => {
                CharacteristicWire::Categorical { feature, groups, bins: all(bins), missing: missing.into() }
            }
        };
        let PointScale { base_score, base_odds, points_to_double } = card.scale;
        Self {
            n_features: card.n_features,
            base_score,
            base_odds,
            points_to_double,
            start: card.start,
            characteristics: card.characteristics.iter().map(characteristic).collect(),
        }
    }
}

impl From<PointsWire> for Scorecard {
    fn from(wire: PointsWire) -> Self {
        fn all(bins: Vec<BinWire>) -> Vec<ScoreBin> {
            bins.into_iter().map(ScoreBin::from).collect()
        }
        let characteristic = |characteristic| match characteristic {
            CharacteristicWire::Numeric { feature, specials, upper, bins, missing } => Characteristic::Numeric {
                feature,
                specials: specials.into_iter().map(|(value, bin)| (value, bin.into())).collect(),
                upper,
                bins: all(bins),
                missing: missing.into(),
            },
            CharacteristicWire::Categorical { feature, groups, bins, missing } => {
                Characteristic::Categorical { feature, groups, bins: all(bins), missing: missing.into() }
            }
        };
        Self {
            n_features: wire.n_features,
            scale: PointScale {
                base_score: wire.base_score,
                base_odds: wire.base_odds,
                points_to_double: wire.points_to_double,
            },
            start: wire.start,
            characteristics: wire.characteristics.into_iter().map(characteristic).collect(),
        }
    }
}

impl DecisionWire {
    pub(super) fn new(calibration: &Calibration, threshold: &Threshold) -> Self {
        let Threshold { raw_score, probability, aim } = threshold.clone();
        Self { calibration: CalibrationWire::from(calibration), raw_score, probability, aim }
    }

    pub(super) fn into_parts(self) -> (Calibration, Threshold) {
        let threshold = Threshold { raw_score: self.raw_score, probability: self.probability, aim: self.aim };
        (Calibration::from(self.calibration), threshold)
    }
}

impl From<&Calibration> for CalibrationWire {
    fn from(calibration: &Calibration) -> Self {
        match calibration.clone() {
            Calibration::Platt { slope, intercept } => Self::Platt { slope, intercept },
            Calibration::Beta { a, b, c } => Self::Beta { a, b, c },
            Calibration::Isotonic { knots } => Self::Isotonic { knots },
        }
    }
}

impl From<CalibrationWire> for Calibration {
    fn from(wire: CalibrationWire) -> Self {
        match wire {
            CalibrationWire::Platt { slope, intercept } => Self::Platt { slope, intercept },
            CalibrationWire::Beta { a, b, c } => Self::Beta { a, b, c },
            CalibrationWire::Isotonic { knots } => Self::Isotonic { knots },
        }
    }
}

impl From<&RowModel> for RowsWire {
    fn from(model: &RowModel) -> Self {
        Self {
            names: model.names.clone(),
            calibration: CalibrationWire::from(&model.calibration),
            facts: model.facts.clone(),
            golden: model.golden.iter().map(|golden| (golden.row.clone(), golden.raw_score_bits)).collect(),
        }
    }
}

impl RowsWire {
    pub(super) fn into_model(self, forest: WideForest) -> RowModel {
        let golden = |(row, raw_score_bits)| GoldenValues { row, raw_score_bits };
        RowModel {
            names: self.names,
            forest,
            calibration: Calibration::from(self.calibration),
            facts: self.facts,
            golden: self.golden.into_iter().map(golden).collect(),
        }
    }
}

impl From<&ModelCard> for CardWire {
    fn from(card: &ModelCard) -> Self {
        let ModelCard { program_version, kind, data_hash, seed, key_check, facts, params, notes } = card.clone();
        Self { program_version, kind, data_hash, seed, key_check, facts, params, notes }
    }
}

impl From<CardWire> for ModelCard {
    fn from(wire: CardWire) -> Self {
        let CardWire { program_version, kind, data_hash, seed, key_check, facts, params, notes } = wire;
        Self { program_version, kind, data_hash, seed, key_check, facts, params, notes }
    }
}

impl From<&FeatureReference> for ReferenceWire {
    fn from(reference: &FeatureReference) -> Self {
        let FeatureReference { missing_share, quantiles, level_shares, importance } = reference.clone();
        Self { missing_share, quantiles, level_shares, importance }
    }
}

impl From<ReferenceWire> for FeatureReference {
    fn from(wire: ReferenceWire) -> Self {
        let ReferenceWire { missing_share, quantiles, level_shares, importance } = wire;
        Self { missing_share, quantiles, level_shares, importance }
    }
}

impl From<&Background> for BackgroundWire {
    fn from(background: &Background) -> Self {
        let Background { n_rows, node_rows, means, scores } = background.clone();
        Self { n_rows, node_rows: node_rows.concat(), means, scores }
    }
}

impl BackgroundWire {
    /// The rows parted into those of each tree.
    ///
    /// # Errors
    /// If they are not as many as the trees have nodes, or the section says that nothing was counted.
    pub(super) fn into_background(self, predictor: &Predictor) -> Result<Background, ModelError> {
        let Self { n_rows, node_rows, means, scores } = self;
        if n_rows == 0 {
            return Err(ModelError::Empty { of: "background rows" });
        }
        let trees = match predictor {
            Predictor::Gbt(forest) => forest.trees.as_slice(),
            _ => &[],
        };
        let expected = trees.iter().map(|tree| tree.nodes.len() as u64).sum();
        if node_rows.len() as u64 != expected {
            let found = node_rows.len() as u64;
            return Err(ModelError::Length { of: "background: nodes".into(), found, expected });
        }
        let mut rest = node_rows.as_slice();
        let mut of_tree = |n: usize| {
            let (rows, others) = rest.split_at(n);
            rest = others;
            rows.to_vec()
        };
        let node_rows = trees.iter().map(|tree| of_tree(tree.nodes.len())).collect();
        Ok(Background { n_rows, node_rows, means, scores })
    }
}

impl From<&DriftReference> for DriftWire {
    fn from(reference: &DriftReference) -> Self {
        let feature = |bins: &FeatureBins| {
            let FeatureBins { edges, counts, first_seen, missing } = bins.clone();
            FeatureBinsWire { edges, counts, first_seen, missing }
        };
        let score = |bins: &ScoreBins| ScoreBinsWire { edges: bins.edges.clone(), counts: bins.counts.clone() };
        Self {
            version: DRIFT_VERSION,
            features: reference.features.iter().map(feature).collect(),
            score: reference.score.as_ref().map(score),
        }
    }
}

impl DriftWire {
    /// # Errors
    /// If the section has another version, or says that nothing was counted.
    pub(super) fn into_reference(self) -> Result<DriftReference, ModelError> {
        if self.version != DRIFT_VERSION {
            let (found, expected) = (f64::from(self.version), "1");
            return Err(ModelError::Value { place: "drift".into(), field: "version", found, expected });
        }
        let feature = |wire: FeatureBinsWire| {
            let FeatureBinsWire { edges, counts, first_seen, missing } = wire;
            FeatureBins { edges, counts, first_seen, missing }
        };
        let score = |ScoreBinsWire { edges, counts }| ScoreBins { edges, counts };
        let reference =
            DriftReference { features: self.features.into_iter().map(feature).collect(), score: self.score.map(score) };
        if reference.is_empty() {
            return Err(ModelError::Empty { of: "drift" });
        }
        Ok(reference)
    }
}

impl From<&[Tier]> for TiersWire {
    fn from(tiers: &[Tier]) -> Self {
        Self(tiers.iter().map(|tier| (tier.decision as u8, tier.raw_score)).collect())
    }
}

impl TiersWire {
    /// # Errors
    /// If a number means no decision, or there is no tier at all.
    pub(super) fn into_tiers(self) -> Result<Vec<Tier>, ModelError> {
        if self.0.is_empty() {
            return Err(ModelError::Empty { of: "tiers" });
        }
        let tier = |(i, (decision, raw_score)): (usize, (u8, f64))| match Decision::ALL.get(usize::from(decision)) {
            Some(&decision) => Ok(Tier { decision, raw_score }),
            None => Err(ModelError::Value {
                place: format!("tier {i}"),
                field: "decision",
                found: f64::from(decision),
                expected: "1 to 3",
            }),
        };
        self.0.into_iter().enumerate().map(tier).collect()
    }
}

impl From<&ReasonTexts> for ReasonsWire {
    fn from(texts: &ReasonTexts) -> Self {
        let pattern = |pattern: &Pattern| {
            let Pattern { text, no, first_seen, missing } = pattern.clone();
            PatternWire { text, no, first_seen, missing }
        };
        let feature = |texts: &FeatureTexts| (texts.group, pattern(&texts.english), pattern(&texts.polish));
        Self { groups: texts.groups.clone(), features: texts.features.iter().map(feature).collect() }
    }
}

impl From<ReasonsWire> for ReasonTexts {
    fn from(wire: ReasonsWire) -> Self {
        let pattern = |PatternWire { text, no, first_seen, missing }| Pattern { text, no, first_seen, missing };
        let feature =
            |(group, english, polish)| FeatureTexts { group, english: pattern(english), polish: pattern(polish) };
        Self { groups: wire.groups, features: wire.features.into_iter().map(feature).collect() }
    }
}

impl From<&GoldenRow> for GoldenWire {
    fn from(golden: &GoldenRow) -> Self {
        Self { row: golden.row.clone(), raw_score_bits: golden.raw_score_bits }
    }
}

impl From<GoldenWire> for GoldenRow {
    fn from(wire: GoldenWire) -> Self {
        Self { row: wire.row, raw_score_bits: wire.raw_score_bits }
    }
}
