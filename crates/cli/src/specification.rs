//! Which features there are: the shop's own tables, a file of features, and the default ones from what the data show.

use std::borrow::Cow;
use std::path::Path;

use orderguard_dataset::leaks::{Leak, find_leaks};
use orderguard_features::identity::is_card_number;
use orderguard_features::language::catalogue::{Off, default_spec};
use orderguard_features::language::file::{FeatureFile, FileError, nearest_feature};
use orderguard_features::language::observed::Observed;
use orderguard_features::language::resolve::PlaceSource;
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::language::vocabulary;
use orderguard_features::own::tables::TableKind;
use orderguard_features::own::{self, Tables};
use orderguard_features::schema::{Role, Schema};
use orderguard_features::table::ColumnData;

use crate::args::TableArgs;
use crate::failure::{Blame, Failure, Outcome, data, usage};
use crate::ingest::Orders;
use crate::input;

/// The largest table of the shop's own that is read.
const MAX_TABLE_BYTES: u64 = 1 << 32;
/// The largest file of features that is read.
const MAX_FILE_BYTES: u64 = 1 << 24;

/// The option that gives a table.
pub(crate) fn option_of(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Geo => "--geo",
        TableKind::Bins => "--bins",
        TableKind::FreeDomains => "--free-domains",
        TableKind::DisposableDomains => "--disposable-domains",
    }
}

/// Reads the shop's own tables.
pub(crate) fn tables(args: &TableArgs) -> Outcome<Tables> {
    let files = [
        (TableKind::Geo, &args.geo),
        (TableKind::Bins, &args.bins),
        (TableKind::FreeDomains, &args.free_domains),
        (TableKind::DisposableDomains, &args.disposable_domains),
    ];
    let mut tables = Tables::new();
    for (kind, path) in files {
        let Some(path) = path else { continue };
        let bytes = input::read(path, MAX_TABLE_BYTES)?;
        tables = tables
            .with(kind, bytes)
            .map_err(|error| Failure::Data(anyhow::anyhow!("{} {}: {error}", option_of(kind), path.display())))?;
    }
    Ok(tables)
}

/// The features, and what is to be said of them.
#[derive(Debug)]
pub(crate) struct Specified {
    pub(crate) spec: FeatureSpec,
    /// What is not among the default features, and why; empty where a file lists all features itself.
    pub(crate) off: Vec<Off>,
    pub(crate) notes: Vec<String>,
}

impl Specified {
    /// What was switched off, in one line; `None` where nothing was.
    pub(crate) fn off_line(&self) -> Option<String> {
        let n_features: usize = self.off.iter().map(|off| off.features.len()).sum();
        (n_features > 0).then(|| {
            format!(
                "{n_features} default features are switched off for want of columns, events or tables; `orderguard features \
                 --data ... --explain` says which, and what would switch them on"
            )
        })
    }
}

/// The features of a file, or the default ones. What occurs, and the levels of categories, are learned from the orders in
/// `train` (positions in canonical order) and from the other events known by the last of them.
pub(crate) fn specify(orders: &Orders, train: &[u32], file: Option<&Path>, tables: &Tables) -> Outcome<Specified> {
    let file = file.map(|path| read_file(path).map(|file| (path, file))).transpose()?;
    let train_rows: Vec<u32> = train.iter().map(|&order| orders.rows.row[order as usize]).collect();
    let (schema, present) = (&orders.schema, tables.present());
    if let Some((path, file)) = &file {
        file.check(schema, present).map_err(|error| in_file(path, &error))?;
    }
    let (proposed, off) = match &file {
        Some((_, file)) if !file.extends_default => (FeatureSpec::default(), Vec::new()),
        _ => default_features(orders, train, &train_rows, tables),
    };
    let Some((path, file)) = file else {
        let mut spec = proposed;
        spec.note_tables(schema, tables);
        return Ok(Specified { spec, off, notes: Vec::new() });
    };
    let (mut spec, not_there) = file.apply(&proposed);
    if spec.is_empty() {
        return usage(format_args!("{}: expected at least one feature, found none", path.display()));
    }
    let mut notes = Vec::new();
    for line in not_there {
        let hint =
            nearest_feature(&line, &proposed.features).map_or(String::new(), |near| format!("; near it is `{near}`"));
        notes.push(format!(
            "{}, line {}: `{}` is not among the default features of these data, so there is nothing to remove{hint}",
            path.display(),
            line.line,
            line.feature
        ));
    }
    let missing: Vec<_> = vocabulary::places(&spec.features)
        .into_iter()
        .filter(|place| spec.vocabulary(place).is_none())
        .cloned()
        .collect();
    for place in missing {
        let learned =
            vocabulary::learn(schema, present, &place, &orders.outcome.table, &train_rows, &|source, text| {
                level(schema, tables, source, text)
            });
        spec.vocabularies.push(learned.bad_data()?);
    }
    spec.note_tables(schema, tables);
    spec.check(schema, present).map_err(|error| match FileError::of_spec(&file, error) {
        Ok(error) => in_file(path, &error),
        Err(error) => Failure::Usage(anyhow::anyhow!("{}: {error}", path.display())),
    })?;
    Ok(Specified { spec, off, notes })
}

fn read_file(path: &Path) -> Outcome<FeatureFile> {
    let bytes = input::read(path, MAX_FILE_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|&byte| byte == b'\n').count();
        Failure::Usage(anyhow::anyhow!("{}, line {line}: expected UTF-8 text, found other bytes", path.display()))
    })?;
    FeatureFile::from_toml(&text).map_err(|error| in_file(path, &error))
}

fn in_file(path: &Path, error: &FileError) -> Failure {
    Failure::Usage(anyhow::anyhow!("{}, {error}", path.display()))
}

/// What a model reads when nobody says otherwise.
fn default_features(orders: &Orders, train: &[u32], train_rows: &[u32], tables: &Tables) -> (FeatureSpec, Vec<Off>) {
    let (schema, table) = (&orders.schema, &orders.outcome.table);
    let last = train.iter().map(|&order| orders.rows.known_at[order as usize]).max();
    let known_events: Option<Vec<u32>> = orders.events.as_ref().map(|events| {
        let rows = events.rows.row.iter().zip(&events.rows.known_at);
        rows.filter(|&(_, known_at)| Some(*known_at) <= last).map(|(&row, _)| row).collect()
    });
    let events = orders.events.as_ref().zip(known_events.as_deref()).map(|(events, rows)| (&events.table, rows));
    let observed = Observed::new(schema, table, train_rows, events);
    default_spec(schema, tables.present(), &observed, table, train_rows, &|source, text| {
        level(schema, tables, source, text)
    })
}

fn level<'t>(schema: &Schema, tables: &Tables, source: &PlaceSource, text: &'t str) -> Option<Cow<'t, str>> {
    let role = schema.columns[source.column].role;
    // A level from a table lives as long as the table, which is not as long as the text.
    own::place(&source.place, role, text, tables).map(|level| Cow::Owned((*level).to_owned()))
}

/// Refuses a column of card numbers that a schema file calls a number: its quantiles would stand in the model.
pub(crate) fn refuse_card_numbers(orders: &Orders) -> Outcome {
    for (column, values) in orders.schema.columns.iter().zip(&orders.outcome.table.columns) {
        let ColumnData::Number(values) = values else { continue };
        let present = values.iter().filter(|x| !x.is_nan()).take(1_000);
        let is_card = |x: &&f64| **x >= 1e12 && x.fract() == 0.0 && is_card_number(format!("{x:.0}").as_bytes());
        let n = present.clone().count();
        if n > 0 && 2 * present.filter(is_card).count() > n {
            return data(format_args!(
                "column {:?}: expected quantities for the role number, found card numbers; give it the role card",
                column.name
            ));
        }
    }
    Ok(())
}

/// Finds columns that know too much and takes those not kept out of the schema. Judged on the training orders, with the
/// labels of today: a column filled in hindsight also knows the frauds that the fit does not know yet, and next to those it
/// would look harmless.
pub(crate) fn refuse_leaks(orders: &mut Orders, train: &[u32], keep: &[String]) -> Outcome<Vec<Leak>> {
    let rows: Vec<u32> = train.iter().map(|&order| orders.rows.row[order as usize]).collect();
    let labels: Vec<u8> = train.iter().map(|&order| u8::from(orders.labels.label[order as usize] == 1)).collect();
    let leaks = find_leaks(&orders.outcome.table, &orders.schema, &rows, &labels, keep).bad_usage()?;
    for leak in leaks.iter().filter(|leak| !leak.kept) {
        orders.schema.columns[leak.position].role = Role::Ignored;
        orders.schema.columns[leak.position].format = None;
        orders.outcome.table.columns[leak.position] = ColumnData::Absent;
    }
    Ok(leaks)
}
