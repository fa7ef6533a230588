//! What one run found: the content of `report.json`, and all that the terminal shows. Plain data, filled by the program.
//!
//! `docs/report-json.md` describes each member for readers of the file.

mod json;
mod members;
mod time;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::evaluation::Evaluation;
pub use json::ReportError;
pub use members::{
    BestThreshold, Costs, DailyPrecision, Fold, Folds, LabelAge, Money, OrderDay, Reaction, ScoreBin, Segment,
    Selection, Slice, SliceIntervals, ThresholdIntervals, ThresholdRow, ThresholdWeek, Unresolved, WeightedFigure,
};
pub use time::IsoTime;

/// Version of the layout of `report.json`. Members may be added without a new version; a reader skips those it does not know.
pub const SCHEMA_VERSION: u32 = 1;

/// One run, from the files to the figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The program and its version, such as `orderguard 0.1.0`.
    #[serde(default)]
    pub program: String,
    /// What was read.
    pub data: Data,
    /// What the columns were taken for.
    pub schema: Schema,
    /// Columns refused, or kept against advice, because they may know the answer.
    #[serde(default)]
    pub leaks: Vec<Leak>,
    /// Rows that could not be read.
    #[serde(default)]
    pub rejections: Rejections,
    /// How the orders were divided.
    pub split: Split,
    /// The search for parameters; `None` when there was none.
    #[serde(default)]
    pub search: Option<Search>,
    /// The model; `None` only where a report is about data alone.
    #[serde(default)]
    pub model: Option<Model>,
    /// Features with their importance, most important first.
    #[serde(default)]
    pub features: Vec<Feature>,
    /// Figures on the validation part, on which rounds, calibration and threshold were chosen; `None` when the run had none.
    pub validation: Option<Evaluation>,
    /// Figures on the test part, which nothing was chosen on.
    pub test: Option<Evaluation>,
    /// From which score orders are stopped.
    pub threshold: Option<Threshold>,
    /// The cost table behind the figures in money; `None` where there are no amounts.
    #[serde(default)]
    pub costs: Option<Costs>,
    /// Orders whose label was not due at the end of the data; `None` where there are none.
    #[serde(default)]
    pub unresolved: Option<Unresolved>,
    /// Figures where labels are seen for some of the orders only; `None` where nothing says so.
    #[serde(default)]
    pub selection: Option<Selection>,
    /// Fits on folds that move forward in time; `None` when none were asked for.
    #[serde(default)]
    pub folds: Option<Folds>,
    /// How long one order takes; `None` when not measured.
    #[serde(default)]
    pub reaction: Option<Reaction>,
    /// Anything a reader should know before believing the figures.
    #[serde(default)]
    pub notes: Vec<String>,
    /// How long it took.
    pub timing: Timing,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            program: String::new(),
            data: Data::default(),
            schema: Schema::default(),
            leaks: Vec::new(),
            rejections: Rejections::default(),
            split: Split::default(),
            search: None,
            model: None,
            features: Vec::new(),
            validation: None,
            test: None,
            threshold: None,
            costs: None,
            unresolved: None,
            selection: None,
            folds: None,
            reaction: None,
            notes: Vec::new(),
            timing: Timing::default(),
        }
    }
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// The files, in the order they were read.
    pub files: Vec<DataFile>,
    /// Rows found, whether readable or not.
    pub n_rows: u64,
    /// Rows that became orders.
    pub n_accepted: u64,
    /// Rows that could not be read.
    pub n_rejected: u64,
    /// Rows whose order id was seen before; not used.
    pub n_duplicates: u64,
    /// Events of other kinds than orders; `None` where the data hold none.
    #[serde(default)]
    pub events: Option<EventCounts>,
    /// Orders without a label: history only, never in a fit or a figure.
    pub n_unlabelled: u64,
    /// Orders labelled as fraud.
    pub n_fraud: u64,
    /// Share of fraud among the labelled orders; `None` without labels.
    pub fraud_share: Option<f64>,
    /// Time of the first order; `None` without a time column.
    pub from: Option<IsoTime>,
    /// Time of the last order.
    pub until: Option<IsoTime>,
    /// Totals of the amount column, one entry per currency (one in all when no currency is known).
    pub amounts: Vec<AmountTotal>,
    /// Labels joined from a file of their own; `None` when there was none.
    #[serde(default)]
    pub labels: Option<LabelJoin>,
    /// BLAKE3 hash of the canonically sorted rows, hexadecimal.
    pub hash: String,
}

/// One file that was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataFile {
    /// Name as given; `-` is standard input.
    pub name: String,
    /// Rows found in it.
    pub n_rows: u64,
    /// Rows of it that could not be read.
    pub n_rejected: u64,
}

/// Total of the amounts in one currency.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AmountTotal {
    /// ISO 4217 code, as in the data; `None` when the data name none.
    pub currency: Option<String>,
    /// Orders with an amount in it.
    pub n_orders: u64,
    /// Their total in major units.
    pub total: f64,
    /// Total of the orders labelled as fraud, in major units.
    pub fraud: f64,
}

/// Events of other kinds than orders: history, and labels where they name an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCounts {
    /// How many of each kind, by name.
    pub kinds: BTreeMap<String, u64>,
    /// Events whose own id was seen before; not used.
    pub n_repeated: u64,
    /// Chargebacks and reports, which are labels.
    pub n_labels: u64,
    /// Of them, those that name an order of the data.
    pub n_labels_matched: u64,
}

/// What joining a file of labels found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelJoin {
    /// Rows of the label file.
    pub n_rows: u64,
    /// Rows that belong to an order of the data.
    pub n_matched: u64,
    /// Rows whose order is not in the data.
    pub n_unmatched: u64,
    /// Orders with labels that contradict each other.
    pub n_conflicting: u64,
}

/// What the columns were taken for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// Columns in the order of the header.
    pub columns: Vec<Column>,
    /// Zone of times that name none.
    pub timezone: String,
    /// Time after which an order without a fraud label counts as honest, such as `7d`.
    pub label_delay: String,
}

/// One column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Name in the header.
    pub name: String,
    /// Role, in the words of `schema.toml`.
    pub role: String,
    /// When it is known: `order` or `later`.
    pub available: String,
    /// How its values are read, such as a time format; `None` where there is only one way.
    pub format: Option<String>,
    /// Why it was taken for this; `None` when a schema file said so.
    pub reason: Option<String>,
}

/// A column that may know the answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Leak {
    /// The column.
    pub column: String,
    /// What makes it suspect, in a sentence.
    pub reason: String,
    /// Whether it was kept all the same, because the caller said so.
    pub kept: bool,
}

/// Rows that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rejections {
    /// How many.
    pub n: u64,
    /// The largest share of rows that may be rejected before the run fails.
    pub max_share: Option<f64>,
    /// The first ones. They name places and kinds of defect, never e-mail, phone or address values.
    pub first: Vec<Rejection>,
}

/// One row that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rejection {
    /// The file.
    pub file: String,
    /// Line on which the row begins, the first line of the file being 1.
    pub line: u64,
    /// Column at fault; `None` when the row as a whole is.
    pub column: Option<String>,
    /// What is wrong.
    pub reason: String,
}

/// How the orders were divided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// `time`, `dates` (bounds given), `hash` (no time column) or `none` (everything is measured).
    pub protocol: String,
    /// Training part; `None` when a finished model is only measured.
    pub train: Option<Part>,
    /// Validation part.
    pub validation: Option<Part>,
    /// Test part.
    pub test: Option<Part>,
    /// Orders left out between the parts, earliest first, because their labels would not have been known.
    #[serde(default)]
    pub gaps: Vec<Part>,
    /// Orders whose label delay had not passed at the end of the data; in no fit and no figure.
    pub n_unresolved: u64,
    /// Orders removed from the test part because their entity was known as compromised.
    #[serde(default)]
    pub n_known_entities: u64,
    /// What a reader should know about the split, such as that a random one flatters.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// A part of the orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Start, included; `None` without a time column.
    pub from: Option<IsoTime>,
    /// End, not included.
    pub until: Option<IsoTime>,
    /// Labelled orders in it.
    pub n_rows: u64,
    /// Frauds among them.
    pub n_fraud: u64,
}

/// A search for parameters. Every trial is in the search log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// When it was to end, such as `50 trials` or `10min`.
    pub limit: String,
    /// Whether it was stopped by hand before.
    pub is_stopped: bool,
    /// Trials beside the first one, which has the parameters that the search began with.
    pub n_trials: u64,
    /// Of them, those that were fitted on all folds.
    pub n_on_all_folds: u64,
    /// Folds that move forward in time before the test part (over entities, where the data have no time).
    pub n_folds: u64,
    /// What trials were compared by.
    pub measure: String,
    /// The first trial's measure, mean over the folds; `None` when the search ended before it was known.
    pub first: Option<f64>,
    /// Number of the trial whose parameters the model has; 0 is the first one.
    pub chosen: u64,
    /// Its measure less that of the first trial, mean over the folds.
    pub difference: f64,
    /// The standard error of that mean; 0 for the first trial.
    pub standard_error: f64,
    /// The parameters that were searched, as chosen.
    pub params: BTreeMap<String, String>,
    /// Seconds of wall-clock time.
    pub seconds: f64,
}

/// The model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// `gbt` or `logistic`.
    pub kind: String,
    /// Boosting rounds or optimiser iterations.
    pub rounds: u64,
    /// Parameters by name.
    pub params: BTreeMap<String, String>,
    /// How raw scores become probabilities: `platt`, `beta` or `isotonic`.
    pub calibration: String,
    /// Seed of everything drawn at random.
    pub seed: u64,
    /// Whether it was fitted again on all resolved orders; the figures are then those of the model before.
    #[serde(default)]
    pub refit: bool,
}

/// One feature of the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Name, as in the model's specification.
    pub name: String,
    /// Share of the total importance (gain of splits, or absolute standardised weight), 0 to 1; 0 when the model does not
    /// use it.
    pub importance: f64,
}

/// From which score orders are stopped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Orders with a raw score of at least this are stopped.
    pub raw_score: f64,
    /// The calibrated probability there.
    pub probability: f64,
    /// What it was chosen for.
    pub aim: String,
    /// Why the aim could not be followed to the letter, where it could not.
    #[serde(default)]
    pub note: Option<String>,
}

/// How long it took, in seconds of wall-clock time, and the most memory held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Reading and parsing the files.
    pub read: f64,
    /// Replaying history and computing features.
    pub features: f64,
    /// Binning, training, calibration.
    pub fit: f64,
    /// Scoring and measuring.
    pub evaluate: f64,
    /// The whole run.
    pub total: f64,
    /// Highest resident memory in bytes; `None` where the system does not tell.
    pub peak_rss_bytes: Option<u64>,
    /// Threads used; `None` when not recorded.
    #[serde(default)]
    pub threads: Option<u64>,
}
