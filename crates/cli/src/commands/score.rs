//! `orderguard score`: raw score, probability and decision of every row, in the order of the input.

use std::io::{self, Write};
use std::path::Path;

use orderguard_features::schema::Role;
use orderguard_features::table::{ColumnData, OrderTable};
use orderguard_inference::Score;
use orderguard_inference::rules::Ground;

use crate::args::ScoreArgs;
use crate::audit::Records;
use crate::console::Console;
use crate::failure::{Outcome, usage};
use crate::ingest::Orders;
use crate::table_file::csv_error;
use crate::verdicts::{Decided, Judge};
use crate::{measure, model_data, output, rules_file, state_file};

pub(crate) fn run(args: &ScoreArgs, console: &Console) -> Outcome {
    let is_stdout = |path: &Path| path == Path::new("-");
    let output = args.output.as_deref().filter(|path| !is_stdout(path));
    if output.is_none() && args.audit.as_deref().is_some_and(is_stdout) {
        return usage("--audit -: standard output takes the scores already: give them a file with --output");
    }
    let mut loaded = model_data::load(&args.model, &args.data, &args.history, &args.tables, console)?;
    let rules = args.rules.as_deref().map(|path| rules_file::bind(path, &mut loaded)).transpose()?;
    let records = args.audit.as_deref().map(|path| Records::new(path, args.shadow.as_deref(), &loaded)).transpose()?;
    let orders = loaded.read_orders(&args.data, args.labels.as_deref(), console)?;
    for note in orders.remarks.iter().chain(&orders.notes) {
        console.note(note);
    }
    let matrix = model_data::replay_onto(&loaded.extractor, &orders, &mut loaded.state, console)?;
    let all: Vec<u32> = (0..orders.len() as u32).collect();
    let raw = measure::model_scores(&loaded.scorer, &matrix, &all)?;
    let scores: Vec<Score> = raw.iter().map(|&raw| loaded.scorer.judge(raw)).collect();
    let judge = Judge::new(rules.as_ref(), &orders, &loaded.key);
    let decided = judge.decide_all(&orders, &matrix, &scores);
    // The state gets its name once the scores are written, so that a full disk never leaves a history that went on without
    // them; and before the scores get theirs: a reader who finds new scores finds the history that they led to.
    let mut files = output::Staged::default();
    if let Some(path) = &args.save_state {
        state_file::stage(path, &loaded.state, &loaded.extractor, &mut files)?;
    }
    match output {
        Some(path) => files.add_with(path, |file| write_scores(&orders, &decided, &judge, file))?,
        None => output::print_with(|out| write_scores(&orders, &decided, &judge, out))?,
    }
    let mut last = None;
    if let Some(records) = &records {
        last = Some(records.stage(&orders, &matrix, &decided, &judge, &mut files)?);
    }
    files.publish()?;
    if let (Some((number, hash)), Some(path)) = (last, &args.audit) {
        console.note(&format!("{}: {number} records; the last one has the hash {hash}", path.display()));
    }
    report_rejections(&orders, &judge, console);
    Ok(())
}

/// What is said of a row that cannot be read: without rules nothing was decided.
fn unread(judge: &Judge<'_>) -> &'static str {
    if judge.has_rules() { judge.unread().name() } else { "error" }
}

fn report_rejections(orders: &Orders, judge: &Judge<'_>, console: &Console) {
    let rejections = &orders.outcome.rejections;
    for rejection in rejections.first.iter().take(10) {
        console.note(&format!("{}: {rejection}", orders.outcome.files[rejection.source as usize]));
    }
    if rejections.count() > 10 {
        console.note(&format!("{} rows were rejected; they have the decision `{}`", rejections.count(), unread(judge)));
    }
}

/// Accepted and rejected rows in input order. `decided` has one entry per row of the table.
fn write_scores(
    orders: &Orders,
    decided: &[Option<Decided>],
    judge: &Judge<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let table = &orders.outcome.table;
    let id = orders.schema.find(Role::Id);
    let mut writer = csv::Writer::from_writer(out);
    let id_name = id.map(|column| orders.schema.columns[column].name.as_str());
    let with_rule = judge.has_rules().then_some("rule");
    let mut write = |line: &str, id: Option<&str>, cells: [&str; 3], rule: Option<&str>| {
        writer.write_record([line].into_iter().chain(id).chain(cells).chain(rule)).map_err(csv_error)
    };
    write("line", id_name, ["raw_score", "probability", "decision"], with_rule)?;
    // Of files of events nothing is scored.
    let is_of_orders = |&(source, _): &(u32, u64)| !orders.outcome.is_events[source as usize];
    let rejected: Vec<(u32, u64)> = orders.outcome.rejections.places.iter().copied().filter(is_of_orders).collect();
    let unread = unread(judge);
    for place in in_input_order(table, &rejected) {
        match place {
            Place::Row(row) => {
                let id_text = id.map(|column| text_of(&table.columns[column], row));
                let Decided { score, decision, ground } = decided[row].expect("every accepted row was scored");
                let (raw, probability) = (score.raw_score.to_string(), score.probability.to_string());
                let rule = with_rule.map(|_| judge.ground_name(ground));
                let cells = [raw.as_str(), probability.as_str(), decision.name()];
                write(&table.line[row].to_string(), id_text, cells, rule)?;
            }
            Place::Rejected(line) => {
                let rule = with_rule.map(|_| judge.ground_name(Ground::Unreadable));
                write(&line.to_string(), id.map(|_| ""), ["", "", unread], rule)?;
            }
        }
    }
    writer.flush()
}

pub(crate) fn text_of(column: &ColumnData, row: usize) -> &str {
    match column {
        ColumnData::Text(text) => text.get(row).unwrap_or(""),
        _ => "",
    }
}

/// A row of the input.
enum Place {
    Row(usize),
    Rejected(u64),
}

/// Merges accepted and rejected rows, both sorted by (source, line).
fn in_input_order<'a>(table: &'a OrderTable, rejected: &'a [(u32, u64)]) -> impl Iterator<Item = Place> + 'a {
    let mut rows = table.rows().peekable();
    let mut rejected = rejected.iter().peekable();
    std::iter::from_fn(move || {
        let of_row = rows.peek().map(|&row| (table.source[row], table.line[row]));
        match (of_row, rejected.peek().copied().copied()) {
            (Some(row), Some(bad)) if bad < row => rejected.next().map(|&(_, line)| Place::Rejected(line)),
            (None, Some(_)) => rejected.next().map(|&(_, line)| Place::Rejected(line)),
            (Some(_), _) => rows.next().map(Place::Row),
            (None, None) => None,
        }
    })
}
