//! Which features of which orders: what `features` and `replay-check` have in common, from files to the point of replay.

use std::sync::Arc;

use orderguard_dataset::read::ReadOptions;
use orderguard_dataset::rejection::Rejections;
use orderguard_dataset::source::Sources;
use orderguard_dataset::split::{SplitInput, SplitOptions, split};
use orderguard_features::extract::Extractor;
use orderguard_features::identity::IdentityKey;
use orderguard_features::language::catalogue::Off;
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::own::Tables;
use orderguard_features::schema::Schema;
use orderguard_features::state::State;

use crate::args::{DataArgs, HistoryArgs, RowsArgs};
use crate::commands::train::read_schema;
use crate::console::Console;
use crate::failure::{Blame, Outcome, data};
use crate::ingest::{self, EventSpan, Orders};
use crate::specification::{self, refuse_card_numbers, refuse_leaks, specify};
use crate::{key, model_data, state_file};

/// Orders, the features that are wanted of them, and the history before them.
pub(crate) struct Prepared {
    pub(crate) orders: Orders,
    pub(crate) wanted: Wanted,
}

/// Features and the history before the first order.
pub(crate) struct Wanted {
    pub(crate) spec: FeatureSpec,
    pub(crate) extractor: Extractor,
    pub(crate) state: State,
    /// What is not among the default features; empty with a model, and with a file that lists all features.
    pub(crate) off: Vec<Off>,
}

/// Orders that are found and understood, but not read.
pub(crate) struct Opened {
    pub(crate) sources: Sources,
    pub(crate) schema: Schema,
    pub(crate) options: ReadOptions,
    pub(crate) key: IdentityKey,
    /// Which events belong to the orders.
    pub(crate) span: EventSpan,
    pub(crate) remarks: Vec<String>,
    pub(crate) basis: Basis,
}

/// Where features come from.
pub(crate) enum Basis {
    /// A model has them.
    Model(Box<Wanted>),
    /// They are drawn from the orders, or named in a file.
    Data { tables: Arc<Tables>, earlier: Option<Box<Orders>> },
}

/// Finds the orders and what their columns mean; `with_history` tells whether rows will be computed.
pub(crate) fn open(args: &RowsArgs, with_history: bool, console: &Console) -> Outcome<Opened> {
    if args.model.is_some() { open_for_model(args, with_history, console) } else { open_data(args, console) }
}

fn open_for_model(args: &RowsArgs, with_history: bool, console: &Console) -> Outcome<Opened> {
    let path = args.model.as_deref().expect("the caller looked");
    let cold = HistoryArgs { cold_start: true, state: None, history: Vec::new(), ..args.history.clone() };
    let history = if with_history { &args.history } else { &cold };
    let loaded = model_data::load(path, &args.data, history, &args.tables, console)?;
    let model = loaded.model;
    let sources = ingest::open(&args.data.data, &args.data.events, args.data.delimiter)?;
    let (schema, options) = model_data::reading(&model.schema, &model.spec, &[], &args.data)?;
    let wanted = Wanted { spec: model.spec, extractor: loaded.extractor, state: loaded.state, off: Vec::new() };
    let basis = Basis::Model(Box::new(wanted));
    Ok(Opened { sources, schema, options, key: loaded.key, span: loaded.events, remarks: Vec::new(), basis })
}

fn open_data(args: &RowsArgs, console: &Console) -> Outcome<Opened> {
    let key = key::load(args.history.key_file.as_deref())?;
    let tables = Arc::new(specification::tables(&args.tables)?);
    let sources = ingest::open(&args.data.data, &args.data.events, args.data.delimiter)?;
    let mut remarks = Vec::new();
    let schema = if let Some(path) = &args.schema {
        read_schema(path)?
    } else {
        let options = &args.schema_options;
        let proposal = ingest::propose(&sources, options, options.label.is_some(), args.data.max_rejected, console)?;
        remarks.extend(proposal.notes.iter().map(ToString::to_string));
        proposal.schema
    };
    let schema = ingest::with_kinds(schema, &args.data.events);
    // Rows can be computed without labels.
    let options = ingest::training_options(&args.data, &schema, true);
    let earlier = earlier_orders(args, &schema, &options, &key, console)?;
    let span = earlier.as_ref().and_then(Orders::last_time).map_or(EventSpan::All, EventSpan::After);
    let basis = Basis::Data { tables, earlier: earlier.map(Box::new) };
    Ok(Opened { sources, schema, options, key, span, remarks, basis })
}

/// Reads everything. Says what is to be noted.
pub(crate) fn prepare(opened: Opened, args: &RowsArgs, console: &Console) -> Outcome<Prepared> {
    let Opened { sources, schema, options, key, span, remarks, basis } = opened;
    let mut orders = ingest::orders(&sources, schema, &options, args.labels.as_deref(), span, &key, console)?;
    orders.remarks.extend(remarks);
    let wanted = basis.wanted(&mut orders, args, key.clone(), console)?;
    if args.history.state.is_some() {
        orders.leave_out_learned(&wanted.state, &wanted.extractor, &key);
    }
    for note in orders.remarks.iter().chain(&orders.notes) {
        console.note(note);
    }
    report_rejections(&orders.outcome.rejections, &orders.outcome.files, console);
    Ok(Prepared { orders, wanted })
}

impl Basis {
    /// The features of orders, and the history before them. Columns that give the answer away leave the orders' schema.
    pub(crate) fn wanted(
        self,
        orders: &mut Orders,
        args: &RowsArgs,
        key: IdentityKey,
        console: &Console,
    ) -> Outcome<Wanted> {
        let (tables, earlier) = match self {
            Self::Model(wanted) => return Ok(*wanted),
            Self::Data { tables, earlier } => (tables, earlier),
        };
        let train = training_part(orders, &args.keep, &key)?;
        refuse_card_numbers(orders)?;
        let specified = specify(orders, &train, args.features.as_deref(), &tables)?;
        if specified.spec.is_empty() {
            return data("no column is left that a feature could be made of; `orderguard schema` shows what was found");
        }
        orders.remarks.extend(specified.notes);
        let extractor = Extractor::with_tables(&orders.schema, &specified.spec, key, tables).bad_data()?;
        let mut state = match &args.history.state {
            Some(path) => state_file::read(path, &extractor)?,
            None => State::new(&extractor),
        };
        if let Some(earlier) = &earlier {
            model_data::replay_onto(&extractor, earlier, &mut state, console)?;
            console.note(&format!("history: {} earlier orders", earlier.len()));
        }
        Ok(Wanted { spec: specified.spec, extractor, state, off: specified.off })
    }
}

fn earlier_orders(
    args: &RowsArgs,
    schema: &Schema,
    options: &ReadOptions,
    key: &IdentityKey,
    console: &Console,
) -> Outcome<Option<Orders>> {
    if args.history.history.is_empty() {
        return Ok(None);
    }
    let earlier = DataArgs { data: args.history.history.clone(), ..args.data.clone() };
    let sources = ingest::open(&earlier.data, &earlier.events, earlier.delimiter)?;
    ingest::orders(&sources, schema.clone(), options, None, EventSpan::UntilLastOrder, key, console).map(Some)
}

/// The orders that `train` would fit on, from which default features and vocabularies are drawn, and columns that give the
/// answer away left out; all orders where there are not labels enough to divide them.
fn training_part(orders: &mut Orders, keep: &[String], key: &IdentityKey) -> Outcome<Vec<u32>> {
    let groups = ingest::entity_groups(orders, key);
    let time = orders.times();
    let input = SplitInput {
        time: time.as_deref(),
        labels: &orders.labels,
        row_key: &orders.rows.hash,
        groups: groups.as_deref(),
    };
    let options = SplitOptions {
        label_delay: orders.schema.label_delay,
        data_end: orders.data_end.map(|end| end.0),
        seed: 1,
        ..Default::default()
    };
    let train = match split(&input, &options) {
        Ok(parts) => parts.train,
        Err(error) => {
            orders.remarks.push(format!(
                "the orders cannot be divided as for training ({error}): the default features are drawn from all of them, \
                 and columns that may give the answer away are not looked for"
            ));
            return Ok((0..orders.len() as u32).collect());
        }
    };
    for leak in refuse_leaks(orders, &train, keep)? {
        let verb = if leak.kept { "kept although" } else { "left out:" };
        orders.remarks.push(format!("column {} {verb} {}", leak.column, leak.reason));
    }
    Ok(train)
}

/// Says which rows could not be read.
pub(crate) fn report_rejections(rejections: &Rejections, files: &[String], console: &Console) {
    for rejection in rejections.first.iter().take(10) {
        console.note(&format!("{}: {rejection}", files[rejection.source as usize]));
    }
    if rejections.count() > 10 {
        console.note(&format!("{} rows were rejected", rejections.count()));
    }
}
