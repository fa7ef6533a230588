//! `orderguard explain`: why one order has its score, as text, JSON and picture.

use std::fmt::Write;
use std::path::Path;

use orderguard_features::schema::Role;
use orderguard_inference::reasons::{Language, Reason, ReasonScratch, Reasoner};
use orderguard_inference::rules::Ground;
use orderguard_inference::{Decision, Score};

use crate::args::{ExplainArgs, LanguageArg};
use crate::commands::score::text_of;
use crate::console::{Console, printable};
use crate::failure::{Blame, Outcome, data, usage};
use crate::ingest::Orders;
use crate::picture::{Bar, Picture};
use crate::verdicts::{Decided, Judge};
use crate::{model_data, output, rules_file};

/// An order and what there is to say of it.
struct Case {
    id: String,
    score: Score,
    /// What is done with it, which the rules may have decided.
    decision: Decision,
    ground: Ground,
    /// Name of what decided, as in records.
    rule: String,
    expected: f64,
    expected_probability: f64,
    /// At which raw score the model's decision was made.
    threshold: f64,
    /// The reasons that are shown, with their words, the strongest first, whatever their side.
    shown: Vec<(Reason, String)>,
    /// What all other reasons add together.
    others: (f64, f64),
    groups: Vec<String>,
    parts: Vec<(String, f32, f64)>,
}

pub(crate) fn run(args: &ExplainArgs, console: &Console) -> Outcome {
    let mut loaded = model_data::load(&args.model, &args.data, &args.history, &args.tables, console)?;
    let reasoner =
        Reasoner::compile(&loaded.model).or_else(|error| data(format_args!("{}: {error}", args.model.display())))?;
    let rules = args.rules.as_deref().map(|path| rules_file::bind(path, &mut loaded)).transpose()?;
    let orders = loaded.read_orders(&args.data, args.labels.as_deref(), console)?;
    for note in orders.remarks.iter().chain(&orders.notes) {
        console.note(note);
    }
    let at = find(&orders, &args.order, args.data.data.first().map_or(Path::new("-"), |path| path.as_path()), console)?;
    let matrix = model_data::replay_onto(&loaded.extractor, &orders, &mut loaded.state, console)?;
    let mut row = vec![0.0; matrix.n_features()];
    matrix.copy_row(at, &mut row);
    let score = loaded.scorer.score(&row).bad_data()?;
    let language = match args.language {
        LanguageArg::En => Language::English,
        LanguageArg::Pl => Language::Polish,
    };
    let mut scratch = ReasonScratch::default();
    let mut reasons = reasoner.reasons(&row, score.raw_score, &mut scratch).bad_data()?.to_vec();
    // By size: what speaks for an order is a reason too.
    reasons.sort_by(|a, b| b.log_odds.abs().total_cmp(&a.log_odds.abs()).then(a.group.cmp(&b.group)));
    let rest = reasons.split_off(reasons.len().min(args.reasons));
    let judge = Judge::new(rules.as_ref(), &orders, &loaded.key);
    let Decided { decision, ground, .. } = judge.decide(&orders, orders.rows.row[at] as usize, &row, score);
    let case = Case {
        id: args.order.clone(),
        score,
        decision,
        ground,
        rule: judge.ground_name(ground).to_owned(),
        expected: reasoner.explainer().expected(),
        expected_probability: reasoner.explainer().expected_probability(),
        threshold: loaded.scorer.bound(score.raw_score),
        shown: reasons.iter().map(|reason| (*reason, reasoner.text(reason, &row, language))).collect(),
        others: rest.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.log_odds, sum.1 + one.probability)),
        groups: reasoner.groups().to_vec(),
        parts: loaded
            .model
            .spec
            .names()
            .into_iter()
            .zip(&row)
            .zip(scratch.parts())
            .map(|((name, &x), &part)| (name, x, part))
            .collect(),
    };
    if let Some(path) = &args.svg {
        output::write(path, picture(&case, language).svg().as_bytes())?;
    }
    let text = if args.json { json(&case) } else { text(&case, language) };
    output::print(&text)
}

/// Position of an order in canonical order.
fn find(orders: &Orders, id: &str, path: &Path, console: &Console) -> Outcome<usize> {
    let Some(column) = orders.schema.find(Role::Id) else {
        return usage("the orders have no column of order ids: expected one, to find the order by it");
    };
    let table = &orders.outcome.table;
    let is_it = |&at: &usize| text_of(&table.columns[column], orders.rows.row[at] as usize) == id;
    let mut found = (0..orders.len()).filter(is_it);
    let Some(at) = found.next() else {
        return data(format_args!("{}: no order has the id that was given", path.display()));
    };
    if found.next().is_some() {
        console.note("several orders have this id: the first is explained, as only that one counts");
    }
    Ok(at)
}

/// A number with so many decimals, and the comma where the language has one.
fn decimal(text: String, language: Language) -> String {
    match language {
        Language::English => text,
        Language::Polish => text.replace('.', ","),
    }
}

fn plain(x: f64, decimals: usize, language: Language) -> String {
    decimal(format!("{x:.decimals$}"), language)
}

/// `+1.25`.
fn signed(x: f64, decimals: usize, language: Language) -> String {
    decimal(format!("{x:+.decimals$}"), language)
}

fn percent(x: f64, language: Language) -> String {
    format!("{} %", plain(100.0 * x, 2, language))
}

fn words(language: Language, english: &'static str, polish: &'static str) -> &'static str {
    match language {
        Language::English => english,
        Language::Polish => polish,
    }
}

/// A decision in words.
fn decision_words(decision: Decision, language: Language) -> &'static str {
    match (language, decision) {
        (Language::English, decision) => decision.name(),
        (Language::Polish, Decision::Approve) => "przyjąć",
        (Language::Polish, Decision::Challenge) => "poprosić o dodatkowe potwierdzenie",
        (Language::Polish, Decision::Review) => "sprawdzić ręcznie",
        (Language::Polish, Decision::Decline) => "odrzucić",
    }
}

/// What decided where it was not the model, in words.
fn rule_words(case: &Case, language: Language) -> String {
    match (language, case.ground) {
        (Language::English, Ground::FirstOrder) => "the limit of first orders".into(),
        (Language::English, _) => case.rule.clone(),
        (Language::Polish, Ground::List(_)) => format!("lista {}", case.rule.trim_start_matches("list ")),
        (Language::Polish, _) => "limit pierwszego zamówienia".into(),
    }
}

fn text(case: &Case, language: Language) -> String {
    let say = |english, polish| words(language, english, polish);
    let Score { raw_score, probability, decision: of_model } = case.score;
    let mut out = String::new();
    let decided = match case.ground {
        Ground::Model => decision_words(case.decision, language).to_owned(),
        _ => format!(
            "{} ({}; {} {})",
            decision_words(case.decision, language),
            rule_words(case, language),
            say("the model alone:", "sam model:"),
            decision_words(of_model, language)
        ),
    };
    let _ = writeln!(
        out,
        "{} {}: {} {} ({} {}), {}: {decided} ({} {})",
        say("order", "zamówienie"),
        printable(&case.id),
        say("probability of fraud", "prawdopodobieństwo oszustwa"),
        percent(probability, language),
        say("raw score", "wynik"),
        plain(raw_score, 3, language),
        say("decision", "decyzja"),
        say("threshold", "próg"),
        plain(case.threshold, 3, language),
    );
    let _ = writeln!(
        out,
        "{} {}, {} {}\n",
        say("average raw score of the training orders:", "średni wynik zamówień uczących:"),
        plain(case.expected, 3, language),
        say("which is a probability of", "co odpowiada prawdopodobieństwu"),
        percent(case.expected_probability, language),
    );
    let _ = writeln!(
        out,
        "{:>10}  {:>11}  {}",
        say("log-odds", "log-szanse"),
        say("probability", "prawdop."),
        say("reason", "powód")
    );
    let mut line = |log_odds: f64, probability: f64, words: &str| {
        let (log_odds, probability) = (signed(log_odds, 3, language), signed(100.0 * probability, 2, language));
        let _ = writeln!(out, "{log_odds:>10}  {probability:>9} %  {words}");
    };
    for (reason, words) in &case.shown {
        line(reason.log_odds, reason.probability, &printable(words));
    }
    line(case.others.0, case.others.1, say("everything else", "wszystko inne"));
    out
}

fn json(case: &Case) -> String {
    let reason = |(reason, words): &(Reason, String)| {
        serde_json::json!({
            "reason": case.groups[reason.group as usize],
            "feature": case.parts[reason.feature as usize].0,
            "text": words,
            "log_odds": reason.log_odds,
            "probability": reason.probability,
        })
    };
    let part = |(name, x, part): &(String, f32, f64)| serde_json::json!({ "feature": name, "value": (!x.is_nan()).then_some(x), "log_odds": part });
    let whole = serde_json::json!({
        "order": case.id,
        "raw_score": case.score.raw_score,
        "probability": case.score.probability,
        "decision": case.decision.name(),
        "rule": case.rule,
        "model_decision": case.score.decision.name(),
        "threshold": case.threshold,
        "expected": { "raw_score": case.expected, "probability": case.expected_probability },
        "reasons": case.shown.iter().map(reason).collect::<Vec<_>>(),
        "others": { "log_odds": case.others.0, "probability": case.others.1 },
        "features": case.parts.iter().map(part).collect::<Vec<_>>(),
    });
    format!("{whole:#}\n")
}

fn picture(case: &Case, language: Language) -> Picture {
    let say = |english, polish| words(language, english, polish);
    let mut bars: Vec<Bar> = case
        .shown
        .iter()
        .map(|(reason, words)| Bar { text: words.clone(), log_odds: reason.log_odds, probability: reason.probability })
        .collect();
    let (log_odds, probability) = case.others;
    bars.push(Bar { text: say("everything else", "wszystko inne").into(), log_odds, probability });
    Picture {
        title: format!("{} {}", say("Order", "Zamówienie"), case.id),
        start: (
            case.expected,
            format!("{} {}", say("average score", "średni wynik"), percent(case.expected_probability, language)),
        ),
        end: (
            case.score.raw_score,
            format!(
                "{} {} · {}",
                say("this order", "to zamówienie"),
                percent(case.score.probability, language),
                decision_words(case.decision, language)
            ),
        ),
        threshold: Some((case.threshold, say("threshold", "próg").to_owned())),
        axis: say("log-odds of fraud", "logarytm szans oszustwa").into(),
        has_comma: language == Language::Polish,
        bars,
    }
}
