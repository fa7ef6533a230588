//! `orderguard monitor`: how far orders have moved from those that a model was made of.

use std::fmt::Write;

use orderguard_features::matrix::Matrix;
use orderguard_features::schema::Role;
use orderguard_features::time::UnixMillis;
use orderguard_inference::drift::{DriftBins, DriftCounts, Shift, shift};
use orderguard_inference::model::Model;
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::args::MonitorArgs;
use crate::console::{Console, printable};
use crate::drift_picture::{Bar, Picture};
use crate::failure::{Blame, Failure, Outcome, data};
use crate::{measure, model_data, output};

/// With this probability some figure is beyond its bound although nothing moved.
const FALSE_ALARM: f64 = 0.01;
/// Rows counted by one thread at a time.
const CHUNK: usize = 8_192;
const DAY_MS: i64 = 86_400_000;
/// The day 0 of the clock was a Thursday; weeks begin on Mondays.
const MONDAY: i64 = 3;
/// Drifted features that are named of a week.
const NAMED: usize = 3;

pub(crate) fn run(args: &MonitorArgs, console: &Console) -> Outcome {
    let mut loaded = model_data::load(&args.model, &args.data, &args.history, &args.tables, console)?;
    let Some(bins) = DriftBins::compile(&loaded.model) else {
        return data(format_args!(
            "{}: the model says nothing of the orders it was made of: train it anew with this version",
            args.model.display()
        ));
    };
    let orders = loaded.read_orders(&args.data, args.labels.as_deref(), console)?;
    for note in orders.remarks.iter().chain(&orders.notes) {
        console.note(note);
    }
    if orders.len() == 0 {
        return data("expected orders to compare with those of training, found none");
    }
    let matrix = model_data::replay_onto(&loaded.extractor, &orders, &mut loaded.state, console)?;
    let all: Vec<u32> = (0..orders.len() as u32).collect();
    let raw = measure::model_scores(&loaded.scorer, &matrix, &all)?;
    let weeks = if orders.schema.find(Role::Time).is_some() { weeks(&orders.rows.time) } else { vec![(None, all)] };
    let of_weeks: Vec<(Option<UnixMillis>, DriftCounts)> =
        weeks.iter().map(|(from, rows)| Ok((*from, counts(&bins, &matrix, &raw, rows)?))).collect::<Outcome<_>>()?;
    let mut whole = bins.counts();
    for (_, counts) in &of_weeks {
        whole.merge(counts);
    }

    let compare = |counts: &DriftCounts| Drift::new(&bins, counts, &loaded.model, args.min_psi);
    let found = Found {
        model: args.model.display().to_string(),
        n_orders: orders.len(),
        span: orders.first_time().zip(orders.last_time()),
        whole: compare(&whole),
        weeks: of_weeks.iter().filter_map(|(from, counts)| from.map(|from| (from, compare(counts)))).collect(),
        min_psi: args.min_psi,
    };
    if let Some(path) = &args.svg {
        output::write(path, picture(&found, args.top).svg().as_bytes())?;
    }
    output::print(&if args.json { format!("{:#}\n", found.json()) } else { found.text(args.top) })?;
    let n_drifted = found.whole.drifted().count();
    if args.fail_on_drift && n_drifted > 0 {
        return Err(Failure::Drift(anyhow::anyhow!("{n_drifted} of {} figures drifted", found.whole.figures.len())));
    }
    Ok(())
}

/// Rows of each week from Monday on, UTC, with its first instant; the earliest first.
fn weeks(times: &[UnixMillis]) -> Vec<(Option<UnixMillis>, Vec<u32>)> {
    let mut weeks: std::collections::BTreeMap<i64, Vec<u32>> = std::collections::BTreeMap::new();
    for (row, time) in times.iter().enumerate() {
        weeks.entry((time.0.div_euclid(DAY_MS) + MONDAY).div_euclid(7)).or_default().push(row as u32);
    }
    weeks.into_iter().map(|(week, rows)| (Some(UnixMillis((week * 7 - MONDAY) * DAY_MS)), rows)).collect()
}

/// Each thread counts for itself; the sums are the same whatever the threads.
fn counts(bins: &DriftBins, matrix: &Matrix, raw: &[f64], rows: &[u32]) -> Outcome<DriftCounts> {
    let count = |rows: &[u32]| {
        let (mut counts, mut values) = (bins.counts(), vec![0.0; matrix.n_features()]);
        for &row in rows {
            matrix.copy_row(row as usize, &mut values);
            bins.observe(&values, raw[row as usize], &mut counts)?;
        }
        Ok::<_, orderguard_inference::ScoreError>(counts)
    };
    let parts: Vec<DriftCounts> = rows.par_chunks(CHUNK).map(count).collect::<Result<_, _>>().bad_data()?;
    let mut sum = bins.counts();
    for part in &parts {
        sum.merge(part);
    }
    Ok(sum)
}

/// The figures of one set of orders.
struct Drift {
    /// Those that moved most beyond their bounds first.
    figures: Vec<Figure>,
    /// Position of the score's.
    score: Option<usize>,
}

/// One feature, or the score.
struct Figure {
    name: String,
    shift: Shift,
    is_drifted: bool,
    importance: f64,
    /// Name of each bin, and its shares before and now.
    bins: Vec<(String, f64, f64)>,
}

const SCORE: &str = "raw score";

impl Drift {
    fn new(bins: &DriftBins, found: &DriftCounts, model: &Model, min_psi: f64) -> Self {
        let reference = bins.reference();
        let names = model.spec.names();
        let of_score = (bins.of_score(&reference), bins.of_score(found));
        let n_figures = names.len() + usize::from(!of_score.0.is_empty());
        let figure = |name: &str, importance: f64, names: Vec<String>, (before, now): (&[u64], &[u64])| {
            let shift = shift(before, now, FALSE_ALARM / n_figures as f64);
            let share = |of: &[u64], at: usize| of[at] as f64 / of.iter().sum::<u64>().max(1) as f64;
            let bins = names.into_iter().enumerate().map(|(at, name)| (name, share(before, at), share(now, at)));
            let is_drifted = shift.psi > shift.bound && shift.psi >= min_psi;
            Figure { name: name.to_owned(), shift, is_drifted, importance, bins: bins.collect() }
        };
        let mut figures = Vec::with_capacity(n_figures);
        for (i, name) in names.iter().enumerate() {
            let importance = model.reference.get(i).map_or(0.0, |reference| reference.importance);
            let counts = (bins.of_feature(i, &reference), bins.of_feature(i, found));
            figures.push(figure(name, importance, bin_names(model, i), counts));
        }
        if let Some(score) = &model.drift.score {
            figures.push(figure(SCORE, 0.0, edge_names(&score.edges), of_score));
        }
        let excess = |figure: &Figure| figure.shift.psi - figure.shift.bound;
        figures.sort_by(|a, b| excess(b).total_cmp(&excess(a)).then_with(|| a.name.cmp(&b.name)));
        let score = figures.iter().position(|figure| figure.name == SCORE);
        Self { figures, score }
    }

    fn drifted(&self) -> impl Iterator<Item = &Figure> {
        self.figures.iter().filter(|figure| figure.is_drifted)
    }

    fn score(&self) -> Option<&Figure> {
        self.score.map(|at| &self.figures[at])
    }
}

/// What the bins of a feature hold, in the order of its counts.
fn bin_names(model: &Model, feature: usize) -> Vec<String> {
    use orderguard_features::language::feature::Feature;
    let edges: Vec<f64> = model.drift.features[feature].edges.iter().copied().map(f64::from).collect();
    let mut names = if let Feature::Category(place) = &model.spec.features[feature] {
        let levels = model.spec.vocabulary(place).map_or(&[][..], |vocabulary| &vocabulary.levels);
        levels.iter().cloned().chain(["rare".to_owned()]).collect()
    } else {
        let mut names = edge_names(&edges);
        names.push("first seen".into());
        names
    };
    names.push("missing".into());
    names
}

fn edge_names(edges: &[f64]) -> Vec<String> {
    let number = |x: f64| if x.abs() >= 100.0 { format!("{x:.0}") } else { format!("{}", (x * 1e3).round() / 1e3) };
    let (Some(first), Some(last)) = (edges.first(), edges.last()) else { return vec!["any value".into()] };
    let between = edges.windows(2).map(|pair| format!("above {} to {}", number(pair[0]), number(pair[1])));
    let ends = (format!("up to {}", number(*first)), format!("above {}", number(*last)));
    std::iter::once(ends.0).chain(between).chain([ends.1]).collect()
}

/// What was found, of all orders and week by week.
struct Found {
    model: String,
    n_orders: usize,
    span: Option<(UnixMillis, UnixMillis)>,
    whole: Drift,
    weeks: Vec<(UnixMillis, Drift)>,
    min_psi: f64,
}

impl Found {
    fn text(&self, top: usize) -> String {
        let span = self.span.map_or(String::new(), |(from, until)| format!(" from {} to {}", day(from), day(until)));
        let n_reference = |figure: Option<&Figure>| figure.map_or(0, |figure| figure.shift.n.0);
        let mut out = format!(
            "{} orders{span}, against {} of training ({} for the score)\n",
            self.n_orders,
            n_reference(self.whole.figures.iter().find(|figure| figure.name != SCORE)),
            n_reference(self.whole.score()),
        );
        let n_drifted = self.whole.drifted().count();
        let _ = writeln!(
            out,
            "{n_drifted} of {} figures drifted: an index of at least {} and above its bound, which chance alone crosses\nin one of \
             {:.0} runs\n",
            self.whole.figures.len(),
            self.min_psi,
            1.0 / FALSE_ALARM
        );
        let score = self.whole.score().into_iter();
        let features = self.whole.figures.iter().filter(|figure| figure.name != SCORE).take(top);
        let rows = score.chain(features).map(row).collect();
        out += &output::table_text(&output::table(&["", "PSI", "bound", "p-value", "drift", "moved most"], rows));
        if self.weeks.len() > 1 {
            let rows = self.weeks.iter().map(|(from, drift)| week_row(*from, drift)).collect();
            out.push('\n');
            out += &output::table_text(&output::table(
                &["week from", "orders", "PSI of score", "bound", "drifted", "most"],
                rows,
            ));
        }
        out
    }

    fn json(&self) -> Value {
        let figure = |figure: &Figure| {
            let bins: Vec<Value> = figure
                .bins
                .iter()
                .map(|(name, before, now)| json!({ "bin": name, "reference": before, "found": now }))
                .collect();
            json!({
                "name": figure.name,
                "psi": figure.shift.psi,
                "bound": figure.shift.bound,
                "p_value": figure.shift.p_value,
                "df": figure.shift.df,
                "n_reference": figure.shift.n.0,
                "n": figure.shift.n.1,
                "drifted": figure.is_drifted,
                "importance": figure.importance,
                "moved_most": figure.bins.get(figure.shift.most).map(|bin| &bin.0),
                "bins": bins,
            })
        };
        let week = |(from, drift): &(UnixMillis, Drift)| {
            let score = drift.score().map(|score| {
                json!({ "psi": score.shift.psi, "bound": score.shift.bound, "p_value": score.shift.p_value, "drifted": score.is_drifted })
            });
            json!({
                "from": day(*from),
                "n_orders": drift.figures.first().map_or(0, |figure| figure.shift.n.1),
                "score": score,
                "drifted": drift.drifted().map(|figure| figure.name.as_str()).collect::<Vec<_>>(),
            })
        };
        json!({
            "model": self.model,
            "n_orders": self.n_orders,
            "from": self.span.map(|span| span.0.to_string()),
            "until": self.span.map(|span| span.1.to_string()),
            "min_psi": self.min_psi,
            "false_alarm": FALSE_ALARM,
            "n_drifted": self.whole.drifted().count(),
            "figures": self.whole.figures.iter().map(figure).collect::<Vec<_>>(),
            "weeks": self.weeks.iter().map(week).collect::<Vec<_>>(),
        })
    }
}

fn day(time: UnixMillis) -> String {
    time.to_string().chars().take(10).collect()
}

fn small(p: f64) -> String {
    if p < 1e-4 { "< 0.0001".into() } else { format!("{p:.4}") }
}

fn row(figure: &Figure) -> Vec<String> {
    let Shift { psi, bound, p_value, most, .. } = figure.shift;
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let moved = figure.bins.get(most).filter(|_| psi > bound);
    vec![
        printable(&figure.name),
        format!("{psi:.4}"),
        format!("{bound:.4}"),
        small(p_value),
        if figure.is_drifted { "yes" } else { "no" }.into(),
        moved.map_or(String::new(), |(name, before, now)| {
            printable(&format!("{name}: {} -> {}", percent(*before), percent(*now)))
        }),
    ]
}

fn week_row(from: UnixMillis, drift: &Drift) -> Vec<String> {
    let score = drift.score();
    let number = |x: Option<f64>| x.map_or_else(|| "-".into(), |x| format!("{x:.4}"));
    let names: Vec<String> = drift.drifted().take(NAMED).map(|figure| printable(&figure.name)).collect();
    vec![
        day(from),
        drift.figures.first().map_or(0, |figure| figure.shift.n.1).to_string(),
        number(score.map(|score| score.shift.psi)),
        number(score.map(|score| score.shift.bound)),
        drift.drifted().count().to_string(),
        names.join(", "),
    ]
}

fn picture(found: &Found, top: usize) -> Picture {
    let bar = |name: String, figure: &Figure| Bar {
        name,
        value: figure.shift.psi,
        bound: figure.shift.bound,
        is_drifted: figure.is_drifted,
    };
    let features = found.whole.figures.iter().filter(|figure| figure.name != SCORE).take(top);
    let figures =
        found.whole.score().into_iter().chain(features).map(|figure| bar(figure.name.clone(), figure)).collect();
    let of_week = |(from, drift): &(UnixMillis, Drift)| drift.score().map(|score| bar(day(*from), score));
    Picture {
        title: "Population stability index against the orders of training".into(),
        min_psi: found.min_psi,
        figures,
        weeks: found.weeks.iter().filter_map(of_week).collect(),
    }
}
