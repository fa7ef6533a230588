//! From what one pass found in the columns to a schema: a role for each column, with the reason in words.
//!
//! Names propose, contents decide: a column named `amount` that holds no numbers is no amount, and one that holds card
//! numbers is a card whatever it is called.

mod classify;
mod evidence;
mod message;
mod names;
mod streams;
mod words;

use std::collections::BTreeSet;

use orderguard_features::schema::{Available, Column, Role, Schema, SchemaError, TimeFormat};
use orderguard_features::time::Span;

use self::classify::Decision;
use self::evidence::{DayMonthDoubt, Evidence, TimeReading, count};
pub use self::message::{InferError, Note};
pub(crate) use self::names::{SaysKinds, says_kinds};
use crate::profile::Profile;

/// What the user decides before anything is inferred.
#[derive(Clone, Debug)]
pub struct InferOptions {
    /// The label column; default: found by name and contents.
    pub label: Option<String>,
    /// Whether data without a label is an error. False where labels come in a file of their own.
    pub label_required: bool,
    /// How long after an order its label is due; goes into the schema. Default 7 days.
    pub label_delay: Span,
    /// IANA name of the zone of times without an offset; goes into the schema. Default `UTC`.
    pub timezone: String,
    /// Share of values, in `[0, 1)`, that may not fit the reading of their column: such rows will be rejected. Default 0.01.
    pub max_rejected_share: f64,
}

impl Default for InferOptions {
    fn default() -> Self {
        Self {
            label: None,
            label_required: true,
            label_delay: Span::days(7),
            timezone: "UTC".into(),
            max_rejected_share: 0.01,
        }
    }
}

/// A schema inferred from data, with the reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The schema; it passes [`Schema::check`].
    pub schema: Schema,
    /// Why each column has its role, in words; one per column of the schema.
    pub reasons: Vec<String>,
    /// What was uncertain or needs attention, in the order of the columns.
    pub notes: Vec<Note>,
    /// Distinct and missing values of each column.
    counts: Vec<(u64, u64)>,
}

/// One line of the table in which a proposal is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposalRow<'a> {
    /// Name in the header.
    pub name: &'a str,
    /// What the column is for.
    pub role: Role,
    /// When its values are known.
    pub available: Available,
    /// How its times are read.
    pub format: Option<TimeFormat>,
    /// Distinct values, as [`ColumnProfile::n_distinct`](crate::profile::ColumnProfile::n_distinct) counts them.
    pub n_distinct: u64,
    /// Rows without a value.
    pub n_missing: u64,
    /// Why the column has this role.
    pub reason: &'a str,
}

impl Proposal {
    /// The proposal as lines of a table, one per column, in the order of the file.
    pub fn table(&self) -> impl Iterator<Item = ProposalRow<'_>> {
        let facts = self.reasons.iter().zip(&self.counts);
        self.schema.columns.iter().zip(facts).map(|(column, (reason, &(n_distinct, n_missing)))| ProposalRow {
            name: &column.name,
            role: column.role,
            available: column.available,
            format: column.format,
            n_distinct,
            n_missing,
            reason,
        })
    }
}

/// Infers the schema of a table of orders.
///
/// # Errors
/// [`InferError::NoRows`] and [`InferError::DuplicateColumn`] for tables that mean nothing; `NoOrders` for events without one
/// order; `NoLabel`, `TwoLabels`,
/// `LabelNotFound`, `LabelNotReadable` where the label cannot be told; `Schema` for an unknown time zone.
pub fn infer(profile: &Profile, options: &InferOptions) -> Result<Proposal, InferError> {
    let (columns, is_later) = streams::evidence(profile, options)?;
    if profile.events.is_none() {
        streams::refuse_events_alone(&columns)?;
    }
    let mut decisions: Vec<Option<Decision>> = vec![None; columns.len()];
    let mut notes = Vec::new();

    for (i, column) in columns.iter().enumerate() {
        decisions[i] = classify::by_contents_alone(column, &mut notes);
    }
    streams::decide_kind(profile, &columns, &mut decisions, &mut notes);
    // What only other events have is known after the order: nothing of the order's own is looked for there.
    let of_orders = |decisions: &[Option<Decision>]| -> Vec<Option<Decision>> {
        let hidden = || Some(Decision::new(Role::Text, String::new()));
        decisions.iter().zip(&is_later).map(|(d, &later)| if later { hidden() } else { d.clone() }).collect()
    };
    let label_required = options.label_required && !streams::has_labels(profile);
    let label_options = InferOptions { label_required, ..options.clone() };
    let found = match find_label(&columns, &of_orders(&decisions), &label_options, &mut notes)? {
        None => streams::label_of_events(&columns, &is_later, &decisions),
        found => found,
    };
    if let Some((label, reason)) = found {
        decisions[label] = Some(Decision::new(Role::Label, reason));
    }
    let times = read_times(&columns, &decisions);
    let times_of_orders: Vec<Option<TimeReading>> =
        times.iter().zip(&is_later).map(|(time, &later)| time.filter(|_| !later)).collect();
    decide_order_time(&columns, &times_of_orders, &mut decisions, &mut notes);
    decide_label_time(&columns, &times_of_orders, &mut decisions);
    streams::decide_known_at(&columns, &times, &mut decisions);
    let mut open = of_orders(&decisions);
    decide_id(&columns, &times, &mut open, &mut notes);
    decide_amount(&columns, &times, &mut open);
    decide_currency(&columns, &mut open);
    streams::decide_places(&columns, &times, &mut open);
    for ((decision, found), &later) in decisions.iter_mut().zip(open).zip(&is_later) {
        if !later {
            *decision = found;
        }
    }
    streams::decide_event_id(profile, &columns, &mut decisions);
    let decisions: Vec<Decision> = decisions
        .into_iter()
        .enumerate()
        .map(|(i, decision)| {
            let mut decision = decision.unwrap_or_else(|| classify::remaining(&columns[i], times[i]));
            if is_later[i] {
                streams::set_later(&mut decision);
            }
            decision
        })
        .collect();
    note_doubts(&columns, &times, &decisions, &mut notes);
    streams::note_unnamed_kinds(profile, &columns, &decisions, &mut notes);
    propose(&columns, decisions, notes, options)
}

/// Infers the schema of a file of labels that arrive later: order id, label, the time at which the label was learned
/// (role `time` here, for the file's rows are labels, not orders), and perhaps kind and source.
///
/// # Errors
/// As [`infer`]; [`InferError::NoOrderId`] where no column can name the order.
pub fn infer_labels(profile: &Profile, options: &InferOptions) -> Result<Proposal, InferError> {
    let columns = evidence_of(profile, options)?;
    let mut decisions: Vec<Option<Decision>> = vec![None; columns.len()];
    let mut notes = Vec::new();
    let required = InferOptions { label_required: true, ..options.clone() };
    if let Some((label, reason)) = find_label(&columns, &decisions, &required, &mut notes)? {
        decisions[label] = Some(Decision::new(Role::Label, reason));
    }
    let times = read_times(&columns, &decisions);
    // The latest step counts: the label's own time, then any time that is not the order's, then whatever time there is.
    let time = best(&columns, |i| {
        let reading = times[i]?;
        let words = &columns[i].words;
        let rank = match names::label_time_rank(words) {
            0 if names::is_later(words) || words.has(&["known", "learned", "received", "decided"]) => 3,
            0 if words.has(names::ORDER) => 1,
            0 => 2,
            rank => 3 + rank,
        };
        Some((rank, reading.n_fit))
    });
    if let Some(i) = time {
        let reading = times[i].expect("only columns with a reading are ranked");
        decisions[i] = Some(Decision::time(Role::Time, reading, "when the label was learned".into()));
    }
    let id = best(&columns, |i| {
        let column = &columns[i];
        let rank = names::order_id_rank(&column.words);
        (decisions[i].is_none() && rank > 0).then_some((rank, column.profile.n_distinct))
    });
    let Some(id) = id else { return Err(InferError::NoOrderId { columns: names_of(&columns) }) };
    decisions[id] = Some(Decision::new(Role::Id, "names the order that the label is for".into()));
    let decisions = columns
        .iter()
        .zip(decisions)
        .map(|(column, decision)| {
            decision.unwrap_or_else(|| {
                let kept =
                    column.words.has(&["kind", "type", "source", "reason", "scenario"]) && column.has_few_levels();
                let role = if kept { Role::Category } else { Role::Ignored };
                Decision::new(role, if kept { "tells labels apart".into() } else { "no part of a label".into() })
            })
        })
        .collect::<Vec<_>>();
    note_doubts(&columns, &times, &decisions, &mut notes);
    propose(&columns, decisions, notes, options)
}

fn evidence_of<'a>(profile: &'a Profile, options: &InferOptions) -> Result<Vec<Evidence<'a>>, InferError> {
    if profile.columns.is_empty() || profile.n_rows == 0 {
        return Err(InferError::NoRows { n_columns: profile.columns.len() });
    }
    let mut seen = BTreeSet::new();
    for column in &profile.columns {
        if !seen.insert(column.name.as_str()) {
            return Err(InferError::DuplicateColumn { name: column.name.clone() });
        }
    }
    Ok(profile.columns.iter().map(|c| Evidence::of(c, profile.n_rows, options.max_rejected_share)).collect())
}

fn propose(
    columns: &[Evidence<'_>],
    decisions: Vec<Decision>,
    notes: Vec<Note>,
    options: &InferOptions,
) -> Result<Proposal, InferError> {
    let amount_decimals = decisions
        .iter()
        .zip(columns)
        .find(|(decision, _)| decision.role == Role::Amount)
        .map_or(2, |(_, column)| column.profile.max_decimals.clamp(2, 6));
    let schema = Schema {
        timezone: options.timezone.clone(),
        label_delay: options.label_delay,
        amount_decimals,
        columns: decisions
            .iter()
            .zip(columns)
            .map(|(d, c)| {
                // Nobody knows at the checkout whether an order is fraud.
                let available = if d.role == Role::Label { Available::Later } else { d.available };
                Column { name: c.name.to_owned(), role: d.role, available, format: d.format }
            })
            .collect(),
    };
    schema.check().map_err(|source: SchemaError| InferError::Schema { source })?;
    let counts = columns.iter().map(|c| (c.profile.n_distinct, c.profile.n_missing)).collect();
    Ok(Proposal { schema, reasons: decisions.into_iter().map(|d| d.reason).collect(), notes, counts })
}

/// The label column and why. Two columns whose names speak for it equally well are an error: the choice is the user's.
fn find_label(
    columns: &[Evidence<'_>],
    decisions: &[Option<Decision>],
    options: &InferOptions,
    notes: &mut Vec<Note>,
) -> Result<Option<(usize, String)>, InferError> {
    let one_class = |column: &Evidence<'_>, notes: &mut Vec<Note>| {
        let (n_fraud, n_honest) = column.profile.n_label;
        if n_fraud == 0 || n_honest == 0 {
            notes.push(Note::OneClass { column: column.name.to_owned(), n_fraud, n_honest });
        }
    };
    let in_words = |column: &Evidence<'_>| {
        let (n_fraud, n_honest) = column.profile.n_label;
        let unlabelled = match column.profile.n_missing {
            0 => String::new(),
            n => format!(", {} rows unlabelled", count(n)),
        };
        format!("{} fraud, {} honest{unlabelled}", count(n_fraud), count(n_honest))
    };
    if let Some(name) = &options.label {
        let Some(i) = columns.iter().position(|c| c.name == name) else {
            return Err(InferError::LabelNotFound { name: name.clone(), columns: names_of(columns) });
        };
        let column = &columns[i];
        let (n_fraud, n_honest) = column.profile.n_label;
        if !column.at_least(n_fraud + n_honest, column.nearly_all()) {
            let n_label = n_fraud + n_honest;
            return Err(InferError::LabelNotReadable { name: name.clone(), n_present: column.n_present, n_label });
        }
        one_class(column, notes);
        return Ok(Some((i, format!("named as the label; {}", in_words(column)))));
    }
    let rank = |i: usize| {
        let column = &columns[i];
        // An empty or constant column is decided already, but by its name it may still be the label of one class.
        let taken = decisions[i].as_ref().is_some_and(|d| d.role != Role::Ignored);
        let both = column.profile.n_label.0 > 0 && column.profile.n_label.1 > 0;
        let rank = names::label_rank(&column.words);
        (!taken && rank > 0 && column.reads_as_label()).then_some((both, rank))
    };
    let Some(top) = (0..columns.len()).filter_map(rank).max() else {
        if !options.label_required {
            return Ok(None);
        }
        let two_valued = |c: &&Evidence<'_>| c.profile.n_distinct == 2 && c.reads_as_label();
        let suggestions = columns.iter().filter(two_valued).map(|c| c.name.to_owned()).collect();
        return Err(InferError::NoLabel { looked_for: names::LABEL_IN_WORDS, suggestions });
    };
    let candidates: Vec<usize> = (0..columns.len()).filter(|&i| rank(i) == Some(top)).collect();
    if let [i] = candidates[..] {
        one_class(&columns[i], notes);
        return Ok(Some((i, format!("name and values say label; {}", in_words(&columns[i])))));
    }
    Err(InferError::TwoLabels { candidates: candidates.iter().map(|&i| columns[i].name.to_owned()).collect() })
}

/// How each column that is still open reads as times.
fn read_times(columns: &[Evidence<'_>], decisions: &[Option<Decision>]) -> Vec<Option<TimeReading>> {
    let mut times: Vec<Option<TimeReading>> = columns
        .iter()
        .zip(decisions)
        .map(|(column, decision)| {
            if decision.is_some() {
                return None;
            }
            let epoch_allowed = names::says_time(&column.words);
            column.time_reading(column.nearly_all(), epoch_allowed).or_else(|| {
                // A column that says it is the order's time is read as one even where many rows must be rejected: the
                // error about them is clearer than an order without time.
                let says = names::order_time_rank(&column.words).is_some_and(|rank| rank >= names::SAYS_ORDER_TIME);
                says.then(|| column.time_reading(0.5, epoch_allowed)).flatten()
            })
        })
        .collect();
    // One program wrote the file: a column that is certain settles the order of day and month of the others.
    let certain = times
        .iter()
        .flatten()
        .find(|t| t.doubt.is_none() && matches!(t.format, TimeFormat::MonthDayYear | TimeFormat::DayMonthYear));
    if let Some(format) = certain.map(|t| t.format) {
        for time in times.iter_mut().flatten().filter(|t| t.doubt.is_some()) {
            *time = TimeReading { format, doubt: None, ..*time };
        }
    }
    times
}

/// The position with the highest rank; the first of equal ones.
fn best<R: Ord>(columns: &[Evidence<'_>], rank: impl Fn(usize) -> Option<R>) -> Option<usize> {
    let mut best: Option<(R, usize)> = None;
    for i in 0..columns.len() {
        if let Some(rank) = rank(i)
            && best.as_ref().is_none_or(|(top, _)| rank > *top)
        {
            best = Some((rank, i));
        }
    }
    best.map(|(_, i)| i)
}

fn decide_order_time(
    columns: &[Evidence<'_>],
    times: &[Option<TimeReading>],
    decisions: &mut [Option<Decision>],
    notes: &mut Vec<Note>,
) {
    let rank = |i: usize| {
        times[i]?;
        names::order_time_rank(&columns[i].words)
    };
    // Among equal names the finer one: a date beside a date with a clock has fewer distinct values.
    let Some(i) = best(columns, |i| Some((rank(i)?, columns[i].profile.n_distinct))) else {
        notes.push(Note::NoTime);
        return;
    };
    let reading = times[i].expect("only columns with a reading are ranked");
    let others: Vec<String> = (0..columns.len())
        .filter(|&other| other != i && rank(other) == rank(i))
        .map(|other| columns[other].name.to_owned())
        .collect();
    if !others.is_empty() {
        notes.push(Note::TwoTimes { chosen: columns[i].name.to_owned(), others });
    }
    if rank(i) == Some(0) {
        notes.push(Note::OrderTimeUnusual { column: columns[i].name.to_owned() });
    }
    let column = &columns[i];
    let reason = format!("name and values say when the order happened; {}", column.distinct_in_words());
    decisions[i] = Some(Decision::time(Role::Time, reading, reason));
    if column.n_rows > column.n_present {
        notes.push(Note::TimeMissing { column: column.name.to_owned(), n_rows: column.n_rows - column.n_present });
    }
}

fn decide_label_time(columns: &[Evidence<'_>], times: &[Option<TimeReading>], decisions: &mut [Option<Decision>]) {
    let has = |role| decisions.iter().flatten().any(|d: &Decision| d.role == role);
    if !has(Role::Label) || !has(Role::Time) {
        return;
    }
    let time = best(columns, |i| {
        let rank = names::label_time_rank(&columns[i].words);
        (decisions[i].is_none() && times[i].is_some() && rank > 0).then_some(rank)
    });
    if let Some(i) = time {
        let reading = times[i].expect("only columns with a reading are ranked");
        let mut decision =
            Decision::time(Role::LabelTime, reading, "name and values say when the label was learned".into());
        decision.available = Available::Later;
        decisions[i] = Some(decision);
    }
}

fn decide_id(
    columns: &[Evidence<'_>],
    times: &[Option<TimeReading>],
    decisions: &mut [Option<Decision>],
    notes: &mut Vec<Note>,
) {
    let open = |i: usize| decisions[i].is_none() && times[i].is_none() && names::order_id_rank(&columns[i].words) > 0;
    // 95 %: exports repeat some orders; where more repeat, the column names something that has several orders.
    let unique = |i: usize| open(i) && columns[i].is_nearly_unique(0.95) && columns[i].is_rarely_missing();
    let id = best(columns, |i| unique(i).then(|| names::order_id_rank(&columns[i].words)));
    for i in (0..columns.len()).filter(|&i| id != Some(i) && open(i)) {
        if names::order_id_rank(&columns[i].words) >= names::SAYS_ORDER_ID && !unique(i) {
            notes.push(Note::IdRepeats {
                column: columns[i].name.to_owned(),
                n_distinct: columns[i].profile.n_distinct,
                n_present: columns[i].n_present,
            });
        }
    }
    if let Some(i) = id {
        let reason = format!("name says order id; {}", columns[i].distinct_in_words());
        decisions[i] = Some(Decision::new(Role::Id, reason));
    }
}

fn decide_amount(columns: &[Evidence<'_>], times: &[Option<TimeReading>], decisions: &mut [Option<Decision>]) {
    let amount = best(columns, |i| {
        let column = &columns[i];
        let rank = names::amount_rank(&column.words);
        // Half of the values: as for the order's time, an error about the others is clearer than no amount.
        let open = decisions[i].is_none() && times[i].is_none() && column.at_least(column.profile.n_number, 0.5);
        (open && rank > 0).then_some(rank)
    });
    if let Some(i) = amount {
        let reason = format!("name says amount; numbers with up to {} decimals", columns[i].profile.max_decimals);
        decisions[i] = Some(Decision::new(Role::Amount, reason));
    }
}

fn decide_currency(columns: &[Evidence<'_>], decisions: &mut [Option<Decision>]) {
    let currency = best(columns, |i| {
        let column = &columns[i];
        // A constant currency was set aside with the other constant columns, and is useful all the same.
        let open = decisions[i].as_ref().is_none_or(|d| d.role == Role::Ignored);
        if !open || !column.at_least(column.profile.n_currency, 0.9) {
            return None;
        }
        if names::says_currency(&column.words) {
            return Some(2);
        }
        let all_known = !column.profile.top.is_empty()
            && column.profile.top.len() as u64 == column.profile.n_distinct
            && column.profile.top.iter().all(|(value, _)| classify::is_currency_code(value));
        (all_known && !names::says_country(&column.words)).then_some(1)
    });
    if let Some(i) = currency {
        let reason = format!("three-letter currency codes; {}", columns[i].distinct_in_words());
        decisions[i] = Some(Decision::new(Role::Currency, reason));
    }
}

/// Notes that depend on the roles as finally decided.
fn note_doubts(columns: &[Evidence<'_>], times: &[Option<TimeReading>], decisions: &[Decision], notes: &mut Vec<Note>) {
    for (i, decision) in decisions.iter().enumerate() {
        let doubt = times[i].and_then(|t| t.doubt).filter(|_| decision.format.is_some());
        let column = || columns[i].name.to_owned();
        match doubt {
            Some(DayMonthDoubt::DecidedBySpan(days, other_days)) => notes.push(Note::DayMonthBySpan {
                column: column(),
                month_first: decision.format == Some(TimeFormat::MonthDayYear),
                days,
                other_days,
            }),
            Some(DayMonthDoubt::Open) => notes.push(Note::DayMonthAmbiguous { column: column() }),
            None => {}
        }
    }
    let find = |role| decisions.iter().position(|d| d.role == role);
    let amount = find(Role::Amount);
    match (amount, find(Role::Currency)) {
        (Some(i), None) => notes.push(Note::CurrencyMissing { amount: columns[i].name.to_owned() }),
        (_, Some(i)) if columns[i].profile.n_distinct > 1 => notes.push(Note::SeveralCurrencies {
            column: columns[i].name.to_owned(),
            n_currencies: columns[i].profile.n_distinct,
        }),
        _ => {}
    }
}

fn names_of(columns: &[Evidence<'_>]) -> Vec<String> {
    columns.iter().map(|c| c.name.to_owned()).collect()
}
