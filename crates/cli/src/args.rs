//! What can be typed. Nothing is opened here.

mod learning;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use orderguard_evaluation::threshold::Aim;
use orderguard_features::kind::EventKind;
use orderguard_features::time::{Span, UnixMillis};

pub(crate) use learning::{Cost, GrowthArg, LearningArgs, StopOn, WeighBy};

/// Learns from labelled order history which orders are fraudulent, and scores new ones.
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "Start with a file of past orders that says which were fraud:\n    orderguard train --data orders.csv\n    orderguard score --model models/latest/model.ogm --state models/latest/state.ogs --data new.csv\n\nExit codes: 0 done, 1 bad data, 2 usage or input and output, 3 drift with monitor --fail-on-drift or the old model kept with compare, 130 ended by Ctrl-C.",
    propagate_version = true,
    max_term_width = 110
)]
pub(crate) struct Args {
    /// Threads to use; all cores by default. The results are the same for any number.
    #[arg(long, global = true, help_heading = "Everywhere", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Say nothing but errors.
    #[arg(long, short, global = true, help_heading = "Everywhere")]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Train(Box<TrainArgs>),
    Evaluate(EvaluateArgs),
    Report(ShowArgs),
    Score(ScoreArgs),
    Explain(ExplainArgs),
    Reasons(ReasonsArgs),
    VerifyLog(VerifyLogArgs),
    Tiers(TiersArgs),
    Compare(CompareArgs),
    Threshold(ThresholdArgs),
    Monitor(MonitorArgs),
    Schema(SchemaArgs),
    Features(Box<FeaturesArgs>),
    ReplayCheck(Box<ReplayCheckArgs>),
    State(StateArgs),
    Inspect(InspectArgs),
    Convert(ConvertArgs),
    Export(ExportArgs),
    Simulate(SimulateArgs),
}

/// Where orders come from.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct DataArgs {
    /// Orders as CSV or JSON Lines, plain, .gz or .zst, or as Parquet: files, folders, or - for standard input.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub(crate) data: Vec<PathBuf>,
    /// Other events, such as log-ins, returns or chargebacks: files with a column that says the kind, or KIND=FILE where all
    /// rows are of one kind. Their columns have the names that they have in the orders; a time is needed, every other column
    /// may lack.
    #[arg(long, num_args = 1.., value_name = "[KIND=]FILE", value_parser = parse_events)]
    pub(crate) events: Vec<EventsFile>,
    /// Share of the rows that may be unreadable before the run fails.
    #[arg(long, default_value = "1%", value_name = "SHARE", value_parser = parse_share)]
    pub(crate) max_rejected: f64,
    /// Character between fields; found from the data by default.
    #[arg(long, value_name = "CHAR", value_parser = parse_delimiter)]
    pub(crate) delimiter: Option<u8>,
}

/// A file of events, and what they are where it does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventsFile {
    pub(crate) kind: Option<EventKind>,
    pub(crate) path: PathBuf,
}

/// How columns are understood where no schema file says it.
#[derive(clap::Args, Debug)]
pub(crate) struct SchemaOptions {
    /// Column that says whether an order was fraud; found by name and content by default.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,
    /// Zone of times that name none (IANA name, such as Europe/Warsaw).
    #[arg(long, default_value = "UTC", value_name = "ZONE")]
    pub(crate) timezone: String,
    /// How long after an order its label is due: younger orders are never taken as honest.
    #[arg(long, default_value = "7d", value_name = "SPAN", value_parser = Span::parse)]
    pub(crate) label_delay: Span,
}

/// Data that are larger than memory.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct MemoryArgs {
    /// Memory to make do with, such as 4G or 500M; half of the machine's by default. Data that would take more are read
    /// piece by piece, in order of time, or are sorted on disk first where their files are in another order. The rows are the
    /// same. What history remembers stays in memory and is not in the estimate: a few hundred bytes for each customer,
    /// card, address and so on of the last 430 days, and for each pair of them that a feature counts by.
    #[arg(long, value_name = "SIZE", value_parser = crate::memory::parse_size, help_heading = "Memory")]
    pub(crate) max_memory: Option<u64>,
    /// Folder for what is sorted on disk; the system's folder for temporary files by default.
    #[arg(long, value_name = "DIR", help_heading = "Memory")]
    pub(crate) temp_dir: Option<PathBuf>,
}

/// What is reported beside the figures that every report has.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct ReportArgs {
    /// What a fraud let through and an order stopped cost, for figures in money: a TOML file, see docs/costs.md. Modest costs are
    /// taken without one; the report shows them.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(crate) costs: Option<PathBuf>,
    /// Column that names the kind of abuse of frauds: how the model does on each is reported.
    #[arg(long, value_name = "COLUMN", help_heading = "Report")]
    pub(crate) kinds: Option<String>,
}

/// Tables of the shop's own. None is bundled, because all of them go stale.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct TableArgs {
    /// Where network addresses are: a MaxMind database (.mmdb) of countries or cities.
    #[arg(long, value_name = "FILE", help_heading = "Tables of your own")]
    pub(crate) geo: Option<PathBuf>,
    /// What issuer numbers of cards say: CSV with a column bin, and country, kind or both.
    #[arg(long, value_name = "FILE", help_heading = "Tables of your own")]
    pub(crate) bins: Option<PathBuf>,
    /// E-mail domains where everybody gets an address, one a line.
    #[arg(long, value_name = "FILE", help_heading = "Tables of your own")]
    pub(crate) free_domains: Option<PathBuf>,
    /// E-mail domains of throw-away addresses, one a line.
    #[arg(long, value_name = "FILE", help_heading = "Tables of your own")]
    pub(crate) disposable_domains: Option<PathBuf>,
}

const SEARCH: &str = "Search for parameters";

/// Fits a model to labelled orders, measures it on later ones, and writes model, state, report and schema.
///
/// Nothing needs to be configured: the columns' roles are inferred and printed, columns that give the answer away are
/// refused, and the orders are split by time, so that the figures are those of orders the model could not know.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n    orderguard train --data orders.csv.zst\n    orderguard train --data 2023/ 2024.csv --labels chargebacks.csv --label-delay 30d\n    orderguard train --data orders.csv --events logins.csv.gz return=returns.csv chargeback=chargebacks.csv\n    orderguard train --data orders.csv --features features.toml --geo GeoLite2-City.mmdb\n    orderguard train --data orders.csv --budget 10m\n    orderguard train --data orders.csv --schema schema.toml --model logistic --json > report.json"
)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of a command line, each typed or not, whatever the others are"
)]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) schema_options: SchemaOptions,
    /// Labels that came later: a table of order id, label and the time it was learned.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// The meaning of the columns, as `orderguard schema` writes it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["label", "timezone", "label_delay"])]
    pub(crate) schema: Option<PathBuf>,
    /// The features, as `orderguard features --write-features` and train itself write them; the default ones without.
    #[arg(long, value_name = "FILE")]
    pub(crate) features: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tables: TableArgs,
    /// Folder for model.ogm, state.ogs, report.json, schema.toml, features.toml and params.toml.
    #[arg(long, default_value = "models/latest", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Write the content of report.json to standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Fit logistic regression, scorecard and boosted trees on one split, and learners of other libraries where they are built
    /// in, and print their quality, times and sizes in one table (JSON with --json). No file is written.
    #[arg(long, conflicts_with_all = ["refit", "continue_from", "refit_leaves", "checkpoint"])]
    pub(crate) compare: bool,
    /// Keep a column that was refused because it may give the answer away. May be repeated.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) keep: Vec<String>,
    /// What the threshold is chosen for: fpr=0.5%, precision=0.9, recall=80%, f1, capacity=200/day (orders that people can look at)
    /// or money (the least lost by --costs).
    #[arg(long, default_value = "fpr=0.5%", value_name = "AIM", value_parser = Aim::parse)]
    pub(crate) aim: Aim,
    /// First day (or instant) of the training part.
    #[arg(long, value_name = "DATE", value_parser = parse_date, help_heading = "Split")]
    pub(crate) train_from: Option<UnixMillis>,
    /// End of the training part, not included.
    #[arg(long, value_name = "DATE", value_parser = parse_date, help_heading = "Split")]
    pub(crate) train_until: Option<UnixMillis>,
    /// First day of the test part.
    #[arg(long, value_name = "DATE", value_parser = parse_date, help_heading = "Split")]
    pub(crate) test_from: Option<UnixMillis>,
    /// End of the test part, not included.
    #[arg(long, value_name = "DATE", value_parser = parse_date, help_heading = "Split")]
    pub(crate) test_until: Option<UnixMillis>,
    /// When the labels were read out; by default the time of the last order or label.
    #[arg(long, value_name = "DATE", value_parser = parse_date, help_heading = "Split")]
    pub(crate) as_of: Option<UnixMillis>,
    /// Leave orders out of the test part whose value in this column is already known as compromised.
    #[arg(long, value_name = "COLUMN", help_heading = "Split")]
    pub(crate) drop_known_entities: Option<String>,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    /// Also fit on so many folds that move forward in time before the test part, each on what was known then, and report what each came
    /// to, with mean and spread.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=20), conflicts_with = "compare", help_heading = "Report")]
    pub(crate) folds: Option<u32>,
    /// Also fit again on all resolved orders, with the same rounds and parameters, into model-refit.ogm.
    #[arg(long)]
    pub(crate) refit: bool,
    /// Secret with which identifiers are hashed; at least 16 bytes.
    #[arg(long, value_name = "FILE", env = "ORDERGUARD_KEY_FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// How the model learns: a TOML file of the options below, such as `learning-rate = 0.1`, or a model, whose own are taken.
    /// `train` writes them beside each model as params.toml. What is typed wins.
    #[arg(long, value_name = "FILE", help_heading = "Learning")]
    pub(crate) params: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) learning: LearningArgs,
    /// Look for better parameters for so long, such as 10m, then fit with them. Trials are compared on folds that move forward in
    /// time before the test part, on what --stop-on says; most end early, so that many can be made. Options that are given
    /// are not searched, and the parameters at hand stay unless others are clearly better. Every trial is written to
    /// search.jsonl, what was chosen to params.toml.
    #[arg(long, value_name = "SPAN", value_parser = Span::parse, help_heading = SEARCH,
          conflicts_with_all = ["trials", "compare", "continue_from", "refit_leaves", "checkpoint"])]
    pub(crate) budget: Option<Span>,
    /// Look for better parameters with so many trials: the same ones in every run.
    #[arg(long, value_name = "N", help_heading = SEARCH,
          conflicts_with_all = ["compare", "continue_from", "refit_leaves", "checkpoint"])]
    pub(crate) trials: Option<usize>,
    /// Add trees to those of this model, which keeps its columns, its features and, where nothing else is said, its parameters.
    /// --trees counts those that are added at most.
    #[arg(long, value_name = "MODEL", help_heading = "Going on from a model",
          conflicts_with_all = ["refit_leaves", "schema", "features", "keep", "label", "timezone", "label_delay"])]
    pub(crate) continue_from: Option<PathBuf>,
    /// Keep the splits of this model and fit the values of its leaves to these orders. A leaf that few of them reach stays near
    /// its old value: that counts as --l2 and --leaf-smoothing together.
    #[arg(long, value_name = "MODEL", help_heading = "Going on from a model",
          conflicts_with_all = ["schema", "features", "keep", "label", "timezone", "label_delay"])]
    pub(crate) refit_leaves: Option<PathBuf>,
    /// Write the fit as it stands to this folder now and then, so that --resume can go on from there.
    #[arg(long, value_name = "DIR", help_heading = "While it runs")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// How often; 0 is after every tree.
    #[arg(long, default_value = "10s", value_name = "SPAN", value_parser = Span::parse, help_heading = "While it runs")]
    pub(crate) checkpoint_every: Span,
    /// Go on from the checkpoint, if there is one: the model is the one of a run that was never stopped.
    #[arg(long, requires = "checkpoint", help_heading = "While it runs")]
    pub(crate) resume: bool,
    /// Write what happens as JSON, one object per line, to this file; - is standard output, where the report is then not
    /// printed.
    #[arg(long, value_name = "FILE", help_heading = "While it runs")]
    pub(crate) log_json: Option<PathBuf>,
    /// Memory that the fit may take, such as 4G or 500M; all of the machine's by default. A fit that would take more is refused
    /// before it begins.
    #[arg(long, value_name = "SIZE", value_parser = crate::memory::parse_size, help_heading = "While it runs")]
    pub(crate) max_memory: Option<u64>,
}

/// Which learner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModelKind {
    /// Gradient-boosted trees.
    Gbt,
    /// Logistic regression with elastic net.
    Logistic,
    /// Scorecard: points for each bin of a few features, to add by hand.
    Scorecard,
}

/// Where entity history comes from.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct HistoryArgs {
    /// Entity history up to its last event, as `train` and `score --save-state` write it; a file or, where its name ends in
    /// .redb, an embedded database. Of the --events only those that became known later are learned.
    #[arg(long, value_name = "FILE", conflicts_with = "history")]
    pub(crate) state: Option<PathBuf>,
    /// Earlier orders, from which history is computed first; with --events, also from the events up to the last of them.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    pub(crate) history: Vec<PathBuf>,
    /// Start without history: every entity is first seen.
    #[arg(long, conflicts_with_all = ["state", "history"])]
    pub(crate) cold_start: bool,
    /// Secret with which identifiers are hashed; the one the model was trained with.
    #[arg(long, value_name = "FILE", env = "ORDERGUARD_KEY_FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

/// Measures a model on labelled orders.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n    orderguard evaluate --model model.ogm --state state.ogs --data june.csv\n    orderguard evaluate --model model.ogm --history january-to-may.csv --data june.csv --json"
)]
pub(crate) struct EvaluateArgs {
    /// The model file.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
    #[command(flatten)]
    pub(crate) tables: TableArgs,
    /// Labels that came later: a table of order id, label and the time it was learned.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// When the labels were read out; by default the time of the last order or label.
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    pub(crate) as_of: Option<UnixMillis>,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    /// Write the report as JSON to standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where labels are seen for some of the orders only.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct SelectionArgs {
    /// Column with the chance, above 0 and up to 1, that an order was let through and its label seen: 1 where it was sure to be, 0.05
    /// in a control group of one in twenty. Figures weighted by one over it are reported beside the plain ones.
    #[arg(long, value_name = "COLUMN", help_heading = "Labels that were not seen")]
    pub(crate) propensity: Option<String>,
    /// Column that says which orders were declined (1, true, yes or declined): they are in no figure, since nobody saw their label.
    #[arg(long, value_name = "COLUMN", help_heading = "Labels that were not seen")]
    pub(crate) declined: Option<String>,
}

/// Compares a new model with an old one on the same labelled orders, and says whether it may take its place.
///
/// Differences have intervals of their own: both models are measured on the same replicates of a bootstrap over days and
/// customers. The exit code is 0 where the new model is to be promoted, and 3 where the old one is to be kept.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n    orderguard compare old.ogm new.ogm --data june.csv --state old.ogs --new-state new.ogs\n    orderguard compare old.ogm new.ogm --data june.csv --history may.csv --measure loss-reduction --costs costs.toml --margin 0\n    orderguard compare old.ogm new.ogm --data june.csv --history may.csv --json > comparison.json && cp new.ogm live.ogm"
)]
pub(crate) struct CompareArgs {
    /// The model that is in use.
    #[arg(value_name = "OLD")]
    pub(crate) old: PathBuf,
    /// The model that may take its place.
    #[arg(value_name = "NEW")]
    pub(crate) new: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
    /// Entity history of the new model, where --state is that of the old one.
    #[arg(long, value_name = "FILE", requires = "state")]
    pub(crate) new_state: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tables: TableArgs,
    /// Labels that came later: a table of order id, label and the time it was learned.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// When the labels were read out; by default the time of the last order or label.
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    pub(crate) as_of: Option<UnixMillis>,
    /// The figure that decides; loss-reduction and recall-at-0.5% are those of stopping orders.
    #[arg(long, default_value = "average-precision", value_name = "FIGURE", value_enum)]
    pub(crate) measure: MeasureArg,
    /// How much worse the new model may be and still be promoted.
    #[arg(long, default_value = "0.01", value_name = "SHARE", value_parser = parse_share)]
    pub(crate) margin: f64,
    /// What mistakes cost: a TOML file, see docs/costs.md. Modest costs are taken without one.
    #[arg(long, value_name = "FILE")]
    pub(crate) costs: Option<PathBuf>,
    /// Write the comparison as JSON to standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Figures by which models are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MeasureArg {
    /// Average precision.
    AveragePrecision,
    /// Area under the ROC curve.
    RocAuc,
    /// Recall where 0.5 % of the honest orders are stopped.
    #[value(name = "recall-at-0.5%")]
    Recall,
    /// Share of the loss that the decisions save.
    LossReduction,
}

/// Chooses from which score on a model stops orders, on labelled orders, and writes it into a copy of the model.
///
/// An aim is fpr=0.5% (at most so many honest orders stopped), precision=0.9, recall=80%, f1, capacity=200/day (orders that people
/// can look at) or money (the least lost by --costs). Printed is what the threshold does, with intervals, beside the one of before.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n    orderguard threshold --model model.ogm --state state.ogs --data june.csv --capacity 200/day -o june.ogm\n    orderguard threshold --model model.ogm --history may.csv --data june.csv --aim money --costs costs.toml -o june.ogm\n    orderguard threshold --model model.ogm --state state.ogs --data june.csv --challenge fpr=2% --review capacity=200/day --decline precision=95% -o june.ogm"
)]
pub(crate) struct ThresholdArgs {
    /// The model file.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
    #[command(flatten)]
    pub(crate) tables: TableArgs,
    /// Labels that came later: a table of order id, label and the time it was learned.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// When the labels were read out; by default the time of the last order or label.
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    pub(crate) as_of: Option<UnixMillis>,
    /// What the one threshold is chosen for. Tiers that the model has are removed.
    #[arg(long, value_name = "AIM", value_parser = Aim::parse, conflicts_with_all = ["capacity", "challenge", "review", "decline"])]
    pub(crate) aim: Option<Aim>,
    /// How many orders may be stopped on a day, on average; as --aim capacity=N.
    #[arg(long, value_name = "N/day", value_parser = parse_capacity, conflicts_with_all = ["challenge", "review", "decline"])]
    pub(crate) capacity: Option<f64>,
    /// Aim of the tier that challenges; the orders of stricter tiers count with its own, as for the next two.
    #[arg(long, value_name = "AIM", value_parser = Aim::parse, help_heading = "Tiers")]
    pub(crate) challenge: Option<Aim>,
    /// Aim of the tier that reviews.
    #[arg(long, value_name = "AIM", value_parser = Aim::parse, help_heading = "Tiers")]
    pub(crate) review: Option<Aim>,
    /// Aim of the tier that declines.
    #[arg(long, value_name = "AIM", value_parser = Aim::parse, help_heading = "Tiers")]
    pub(crate) decline: Option<Aim>,
    /// What mistakes cost: a TOML file, see docs/costs.md. Modest costs are taken without one.
    #[arg(long, value_name = "FILE")]
    pub(crate) costs: Option<PathBuf>,
    /// Where to write the copy of the model. Nothing is written without this and --in-place.
    #[arg(long, short, value_name = "FILE", conflicts_with = "in_place")]
    pub(crate) output: Option<PathBuf>,
    /// Write into the model itself.
    #[arg(long)]
    pub(crate) in_place: bool,
    /// Write what the thresholds do as JSON to standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Scores orders: raw score, probability and decision for each, in the order of the input.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n    orderguard score --model model.ogm --state state.ogs --data today.csv -o scores.csv\n    orderguard score --model model.ogm --history may.csv --data june.csv --save-state june.ogs\n    orderguard score --model model.ogm --state state.ogs --data today.csv --rules rules.toml -o scores.csv --audit log.jsonl"
)]
pub(crate) struct ScoreArgs {
    /// The model file.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
    #[command(flatten)]
    pub(crate) tables: TableArgs,
    /// Labels of these orders that came later, so that the history learns them: order id, label and its time.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Write the history after the last order to this file; an embedded database where its name ends in .redb.
    #[arg(long, value_name = "FILE")]
    pub(crate) save_state: Option<PathBuf>,
    /// Write the scores to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Rules beside the model: lists of blocked and trusted entities, a limit of first orders, what is done with orders that cannot
    /// be read. The scores get a column that names what decided.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    /// Write a record of every decision to this file, one JSON object a line: see `verify-log`. With --output, - is standard
    /// output.
    #[arg(long, value_name = "FILE")]
    pub(crate) audit: Option<PathBuf>,
    /// A second model that is judged on the same features, without effect; what it says stands in the records.
    #[arg(long, value_name = "FILE", requires = "audit")]
    pub(crate) shadow: Option<PathBuf>,
}

/// Says why one order has its score: what speaks against it and for it, in words with its numbers.
///
/// The reasons lead from the average raw score of the training orders to this order's. Their part of the probability is the way
/// between the probabilities of these two scores, shared in proportion.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n    orderguard explain --model model.ogm --state state.ogs --data today.csv --order A-1001\n    orderguard explain --model model.ogm --state state.ogs --data today.csv --order A-1001 --language pl --svg why.svg"
)]
pub(crate) struct ExplainArgs {
    /// The model file.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// The order's id.
    #[arg(long, value_name = "ID")]
    pub(crate) order: String,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
    #[command(flatten)]
    pub(crate) tables: TableArgs,
    /// Labels of these orders that came later, as for `score`.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Rules beside the model, as for `score`: the one that decides is named.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    /// Language of the reasons.
    #[arg(long, value_name = "LANGUAGE", default_value = "en")]
    pub(crate) language: LanguageArg,
    /// How many reasons are shown, the strongest first; the others are added up.
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub(crate) reasons: usize,
    /// Write a picture (SVG) to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Print JSON, with every feature.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A language in which reasons are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LanguageArg {
    /// English.
    En,
    /// Polish.
    Pl,
}

/// Prints the words in which a model gives reasons (TOML), or takes edited ones.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n    orderguard reasons --model model.ogm > reasons.toml\n    orderguard reasons --model model.ogm --set reasons.toml -o model.ogm"
)]
pub(crate) struct ReasonsArgs {
    /// The model file.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// Take the words of this file; features that it does not name keep theirs. Scores do not change.
    #[arg(long, value_name = "FILE")]
    pub(crate) set: Option<PathBuf>,
    /// Where to write the model with these words; in its place by default.
    #[arg(long, short, value_name = "FILE", requires = "set")]
    pub(crate) output: Option<PathBuf>,
}

/// Scores the records of a log of decisions again and prints what differs; exit code 1 if anything does.
///
/// Every line must carry its own hash and that of the line before, so that one which was taken out, changed or moved shows. Scores,
/// thresholds, decisions and reasons are made again from the row that a line holds.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n    orderguard verify-log decisions.jsonl --model model.ogm\n    orderguard verify-log decisions.jsonl --model model.ogm --rules rules.toml --shadow next.ogm --last 60b1d6e8f2a9c4470c5e13ab97d2f081"
)]
pub(crate) struct VerifyLogArgs {
    /// The log: JSON Lines as `score --audit` or a service writes them, plain, .gz or .zst.
    #[arg(value_name = "LOG")]
    pub(crate) log: PathBuf,
    /// The model that decided.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// The rules beside it: whether a first order was limited is decided again, and a list's decision must be the list's. Whether an
    /// order was on a list cannot be told, as records hold no identifiers.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    /// The shadow model, whose scores are made again too.
    #[arg(long, value_name = "FILE")]
    pub(crate) shadow: Option<PathBuf>,
    /// Hash that the last record must have, as `score --audit` said it: shows when records were cut off at the end.
    #[arg(long, value_name = "HASH")]
    pub(crate) last: Option<String>,
    /// How many differences are printed; all are counted.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) show: usize,
}

/// Shows from which probability on a model challenges, reviews and declines orders, or sets it.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n    orderguard tiers --model model.ogm\n    orderguard tiers --model model.ogm --challenge 2% --review 10% --decline 60% -o tiers.ogm"
)]
pub(crate) struct TiersArgs {
    /// The model file.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// Smallest probability of fraud of orders that are challenged.
    #[arg(long, value_name = "SHARE", value_parser = parse_probability, allow_hyphen_values = true)]
    pub(crate) challenge: Option<f64>,
    /// Smallest probability of fraud of orders that are reviewed.
    #[arg(long, value_name = "SHARE", value_parser = parse_probability, allow_hyphen_values = true)]
    pub(crate) review: Option<f64>,
    /// Smallest probability of fraud of orders that are declined.
    #[arg(long, value_name = "SHARE", value_parser = parse_probability, allow_hyphen_values = true)]
    pub(crate) decline: Option<f64>,
    /// Remove the tiers: the threshold of training decides again.
    #[arg(long, conflicts_with_all = ["challenge", "review", "decline"])]
    pub(crate) clear: bool,
    /// Where to write the model with these tiers; in its place by default.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Tells how far orders have moved from those that a model was made of: features and scores, week by week.
///
/// The population stability index of each figure stands beside a bound that follows the numbers of orders: where nothing moved, one
/// run in a hundred has a figure above its bound. Missing values and entities seen for the first time are bins of their own.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n    orderguard monitor --model model.ogm --state state.ogs --data june.csv --svg drift.svg\n    orderguard monitor --model model.ogm --history may.csv --data june.csv --json --fail-on-drift"
)]
pub(crate) struct MonitorArgs {
    /// The model file.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
    #[command(flatten)]
    pub(crate) tables: TableArgs,
    /// Labels of these orders that came later, as for `score`.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// How many features are shown, those that moved most beyond their bounds.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,
    /// An index below this is no drift, however sure it is.
    #[arg(long, value_name = "PSI", default_value_t = 0.1)]
    pub(crate) min_psi: f64,
    /// End with exit code 3 if the score or a feature has drifted.
    #[arg(long)]
    pub(crate) fail_on_drift: bool,
    /// Write a picture (SVG) to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Print JSON, with every feature and bin.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Shows what the columns of a file are taken for, and writes it to a file to edit.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n    orderguard schema --data orders.csv -o schema.toml")]
pub(crate) struct SchemaArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) options: SchemaOptions,
    /// Where to write the schema.
    #[arg(long, short, default_value = "schema.toml", value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    pub(crate) force: bool,
}

/// Which features of which orders.
#[derive(clap::Args, Debug)]
pub(crate) struct RowsArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) schema_options: SchemaOptions,
    /// Labels that came later: a table of order id, label and the time it was learned.
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// The meaning of the columns, as `orderguard schema` writes it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["label", "timezone", "label_delay"])]
    pub(crate) schema: Option<PathBuf>,
    /// The features, as --write-features writes them; the default ones without.
    #[arg(long, value_name = "FILE")]
    pub(crate) features: Option<PathBuf>,
    /// The schema and the features of this model.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["schema", "features", "keep", "label", "timezone", "label_delay"])]
    pub(crate) model: Option<PathBuf>,
    /// Keep a column that was refused because it may give the answer away. May be repeated.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) keep: Vec<String>,
    #[command(flatten)]
    pub(crate) history: HistoryArgs,
    #[command(flatten)]
    pub(crate) tables: TableArgs,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
}

/// Computes the features of orders: a table to learn from elsewhere, or the features in words.
///
/// One row per order, in the order in which the shop learned of them: id, time, label where there is one, then the features by
/// name. Each row says what was known before its order, exactly as `train` and `score` see it. A cell is empty where the
/// order lacks the value, -1 where the entity is seen for the first time (-1000 for z-scores), 0 where there is history but
/// nothing to count.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n    orderguard features --data orders.csv -o features.parquet\n    orderguard features --data orders.csv --explain\n    orderguard features --data orders.csv --write-features features.toml\n    orderguard features --data orders.csv --features features.toml --geo GeoLite2-City.mmdb -o features.csv\n    orderguard features --model model.ogm --history may.csv --data june.csv -o june.parquet\n\nA file of features needs nothing but this:\n    extends = \"default\"\n    features = [\n      \"count(order) by card over 24h\",\n      \"distinct(card) by device over 30d\",\n    ]"
)]
pub(crate) struct FeaturesArgs {
    #[command(flatten)]
    pub(crate) rows: RowsArgs,
    /// Write the table to this file, as its name says: .parquet, .csv, .csv.zst or .csv.gz; CSV to standard output by default.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write the history after the last order to this file; an embedded database where its name ends in .redb.
    #[arg(long, value_name = "FILE")]
    pub(crate) save_state: Option<PathBuf>,
    /// Say each feature in words with the columns it needs, and what is switched off, why, and what would switch it on.
    #[arg(long)]
    pub(crate) explain: bool,
    /// With --explain: as JSON.
    #[arg(long, requires = "explain")]
    pub(crate) json: bool,
    /// Write the features to a file to edit, for --features here and in train.
    #[arg(long, value_name = "FILE")]
    pub(crate) write_features: Option<PathBuf>,
}

/// Compares the features that training reads with those that a live service would compute.
///
/// Orders, other events and labels are handed one by one, from their raw values, to the code that a service runs, beside the
/// replay that training uses; every cell must have the same bits, and the history afterwards the same bytes. Rows are read
/// again once all events of their millisecond are learned: those never see each other. Exit code 1 if anything differs.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n    orderguard replay-check --data orders.csv --events returns.csv\n    orderguard replay-check --data orders.csv --features features.toml\n    orderguard replay-check --model model.ogm --state state.ogs --data june.csv"
)]
pub(crate) struct ReplayCheckArgs {
    #[command(flatten)]
    pub(crate) rows: RowsArgs,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Looks into a state file: how much it holds, what it holds about somebody, and erases it.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n    orderguard state show models/latest/state.ogs --model models/latest/model.ogm\n    orderguard state export state.ogs --model model.ogm --subject customer=c-17\n    orderguard state forget state.ogs --model model.ogm --subject email=ann@shop.example"
)]
pub(crate) struct StateArgs {
    #[command(subcommand)]
    pub(crate) command: StateCommand,
}

#[derive(Subcommand, Debug)]
pub(crate) enum StateCommand {
    /// Prints how many entities the history holds, and the memory they take.
    Show(StateShowArgs),
    /// Prints as JSON what is held about a person or a thing: times, counts and sizes, no identifier.
    Export(StateExportArgs),
    /// Erases what is held about a person or a thing, and says what was removed.
    Forget(StateForgetArgs),
}

/// A state and the model that it belongs to.
#[derive(clap::Args, Debug)]
pub(crate) struct StateFileArgs {
    /// The state, as `train` and `score --save-state` write it.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The model that it was made with: it says what is counted over what.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// Secret with which identifiers are hashed; the one the model was trained with.
    #[arg(long, value_name = "FILE", env = "ORDERGUARD_KEY_FILE")]
    pub(crate) key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tables: TableArgs,
}

#[derive(clap::Args, Debug)]
pub(crate) struct StateShowArgs {
    #[command(flatten)]
    pub(crate) state: StateFileArgs,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(clap::Args, Debug)]
pub(crate) struct StateExportArgs {
    #[command(flatten)]
    pub(crate) state: StateFileArgs,
    /// Who or what: a column, or its role, and the identifier as the shop has it.
    #[arg(long, value_name = "ENTITY=ID", value_parser = parse_subject)]
    pub(crate) subject: SubjectArg,
}

#[derive(clap::Args, Debug)]
pub(crate) struct StateForgetArgs {
    #[command(flatten)]
    pub(crate) state: StateFileArgs,
    /// Who or what: a column, or its role, and the identifier as the shop has it. May be repeated.
    #[arg(long, required = true, value_name = "ENTITY=ID", value_parser = parse_subject)]
    pub(crate) subject: Vec<SubjectArg>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Somebody or something by an identifier.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SubjectArg {
    pub(crate) entity: String,
    pub(crate) id: String,
}

/// The identifier is personal, and no message shows it.
impl std::fmt::Debug for SubjectArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=...", self.entity)
    }
}

/// Prints what a model or state file says of itself.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n    orderguard inspect models/latest/model.ogm")]
pub(crate) struct InspectArgs {
    /// A model file (.ogm) or a state file (.ogs).
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Makes a model file of a model that another library wrote.
///
/// Every row takes the library's leaves, and raw scores are within 1e-9 (lightgbm) or 1e-5 (xgboost) of its own. The model takes
/// rows of values by name: it knows nothing of orders, so that `score` and `evaluate` refuse it.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n    orderguard convert --from lightgbm model.txt -o model.ogm\n    orderguard convert --from xgboost model.json -o model.ogm"
)]
pub(crate) struct ConvertArgs {
    /// What wrote the model.
    #[arg(long, value_name = "LIBRARY")]
    pub(crate) from: Library,
    /// The model: for lightgbm the text that `save_model` writes, for xgboost the JSON.
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// Take all rounds of an xgboost model, not only those up to its best iteration.
    #[arg(long)]
    pub(crate) all_rounds: bool,
    /// Where to write the model file.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// Libraries whose models are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Library {
    /// LightGBM, text of version v3 or v4.
    Lightgbm,
    /// XGBoost, JSON of versions 1 to 3.
    Xgboost,
}

/// Writes a model for other programs: an ONNX graph that scores the same, or a dump that people read.
///
/// The graph takes rows of features, not orders: its input `row` holds one 32-bit value per feature (64-bit of a converted model), its
/// outputs are `raw_score`, `probability` and, of our own models, `decision`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n    orderguard export models/latest/model.ogm --to onnx -o model.onnx\n    orderguard export models/latest/model.ogm --to json -o model.json"
)]
pub(crate) struct ExportArgs {
    /// A model file, ours or a converted one.
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,
    /// What to write.
    #[arg(long, value_name = "FORM")]
    pub(crate) to: ExportForm,
    /// Where to write it.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

/// Shows a report again: on the terminal, as a page of HTML, or each of its charts as SVG.
///
/// The page needs no network and no script: charts, tables and the facts behind the figures are in it. With scripts allowed,
/// the threshold can be moved.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n    orderguard report models/latest/report.json\n    orderguard evaluate --model model.ogm --data june.csv --json > june.json\n    orderguard report june.json --html june.html --charts june-charts"
)]
pub(crate) struct ShowArgs {
    /// A report as `train` and `evaluate --json` write it; - for standard input.
    #[arg(value_name = "REPORT")]
    pub(crate) report: PathBuf,
    /// Write the page here.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write each chart here, as an SVG file of its own.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) charts: Option<PathBuf>,
}

/// Forms of a model for other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportForm {
    /// ONNX, operators `ai.onnx` 18 and `ai.onnx.ml` 5.
    Onnx,
    /// JSON that people can read.
    Json,
}

/// Makes a labelled stream of orders and other events, with several kinds of abuse, to try things out on.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Examples:\n    orderguard simulate --orders 40000 -o stream.csv.zst\n    orderguard simulate --orders-only -o orders.csv\n    orderguard simulate -o orders.csv --events events.csv"
)]
pub(crate) struct SimulateArgs {
    /// How many orders.
    #[arg(long, default_value_t = 40_000, value_name = "N")]
    pub(crate) orders: u64,
    /// Over how many days.
    #[arg(long, default_value_t = 180, value_name = "N")]
    pub(crate) days: u32,
    /// Share of dishonest orders.
    #[arg(long, default_value = "1.8%", value_name = "SHARE", value_parser = parse_share)]
    pub(crate) fraud_share: f64,
    /// First instant of the stream.
    #[arg(long, default_value = "2024-01-01", value_name = "DATE", value_parser = parse_date)]
    pub(crate) start: UnixMillis,
    /// The same seed gives the same bytes on every machine.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
    /// Day of the stream, from 0, after which the shares and methods of abuse are others; never by default.
    #[arg(long, value_name = "N")]
    pub(crate) drift_day: Option<u32>,
    /// Let everybody pay in euro: amounts are comparable, and the report is in money.
    #[arg(long)]
    pub(crate) one_currency: bool,
    /// CSV file to write, compressed when its name ends in .zst or .gz; standard output by default.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write orders and nothing else, without the columns of other events.
    #[arg(long)]
    pub(crate) orders_only: bool,
    /// Write the other events to a file of their own, and the orders alone to the output.
    #[arg(long, value_name = "FILE", conflicts_with = "orders_only")]
    pub(crate) events: Option<PathBuf>,
}

fn parse_share(text: &str) -> Result<f64, String> {
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    match number.trim().parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&(share / unit)) => Ok(share / unit),
        _ => Err("expected a share such as 0.01 or 1%".into()),
    }
}

/// A probability that orders can be on both sides of.
fn parse_probability(text: &str) -> Result<f64, String> {
    match parse_share(text) {
        Ok(p) if p > 0.0 && p < 1.0 => Ok(p),
        _ => Err("expected a probability above 0 and below 1, such as 0.1 or 10%".into()),
    }
}

fn parse_events(text: &str) -> Result<EventsFile, String> {
    let named =
        text.split_once('=').filter(|(kind, _)| kind.bytes().all(|b| b.is_ascii_alphabetic() || b"_- ".contains(&b)));
    let Some((kind, path)) = named else { return Ok(EventsFile { kind: None, path: text.into() }) };
    match EventKind::from_name(kind) {
        Some(EventKind::Order) => Err("orders are given with --data".into()),
        Some(kind) if !path.is_empty() => Ok(EventsFile { kind: Some(kind), path: path.into() }),
        Some(_) => Err("expected a file after the =".into()),
        None => {
            let kinds: Vec<&str> = EventKind::ALL[1..].iter().map(|kind| kind.name()).collect();
            Err(format!(
                "expected a file, or one of the kinds {} before the = (a file of such a name is ./NAME)",
                kinds.join(", ")
            ))
        }
    }
}

fn parse_subject(text: &str) -> Result<SubjectArg, String> {
    match text.split_once('=') {
        Some((entity, id)) if !entity.is_empty() && !id.is_empty() => {
            Ok(SubjectArg { entity: entity.to_owned(), id: id.to_owned() })
        }
        _ => Err("expected an entity and its identifier, such as customer=c-17".into()),
    }
}

fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [b] if b.is_ascii() && !matches!(b, b'"' | b'\n' | b'\r' | 0) => Ok(*b),
        _ if text == "\\t" || text == "tab" => Ok(b'\t'),
        _ => Err("expected one character such as ; or tab".into()),
    }
}

fn parse_date(text: &str) -> Result<UnixMillis, String> {
    use orderguard_features::parse::TimeParser;
    use orderguard_features::schema::TimeFormat;
    use orderguard_features::table::MISSING_I64;
    let parser = TimeParser::new(TimeFormat::Iso, "UTC").map_err(|error| error.to_string())?;
    match parser.parse(text) {
        Ok(ms) if ms != MISSING_I64 => Ok(UnixMillis(ms)),
        _ => Err("expected a date such as 2018-07-25 or an instant such as 2018-07-25T12:00:00Z (UTC where no offset stands)".into()),
    }
}

fn parse_capacity(text: &str) -> Result<f64, String> {
    let refused = || format!("expected orders a day above 0, such as 200/day, found {text:?}");
    orderguard_evaluation::threshold::parse_capacity(text).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_fit_together() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn files_of_events() {
        let file = |kind, path: &str| Ok(EventsFile { kind, path: path.into() });
        assert_eq!(parse_events("a/b.csv"), file(None, "a/b.csv"));
        assert_eq!(parse_events("Chargeback=a=b.csv"), file(Some(EventKind::Chargeback), "a=b.csv"));
        assert_eq!(parse_events("payment-failed=-"), file(Some(EventKind::PaymentFailed), "-"));
        assert_eq!(parse_events("./day=1/a.csv"), file(None, "./day=1/a.csv"));
        assert!(parse_events("chargebacks=a.csv").unwrap_err().contains("chargeback, "));
        assert!(parse_events("order=a.csv").unwrap_err().contains("--data"));
        assert!(parse_events("login=").is_err());
    }

    #[test]
    fn shares_and_delimiters() {
        assert_eq!(parse_share("1%"), Ok(0.01));
        assert_eq!(parse_share("0.5"), Ok(0.5));
        assert!(parse_share("-1").is_err() && parse_share("101%").is_err() && parse_share("NaN").is_err());
        assert_eq!(parse_probability("10%"), Ok(0.1));
        for text in ["0", "100%", "10", "-3%", "many"] {
            let says = "expected a probability above 0 and below 1, such as 0.1 or 10%";
            assert_eq!(parse_probability(text), Err(says.into()), "{text}");
        }
        assert_eq!(parse_delimiter("tab"), Ok(b'\t'));
        assert!(parse_delimiter("ab").is_err());
    }
}
