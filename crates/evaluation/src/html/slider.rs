//! The table of one threshold, and what a script needs to show others in it.

use serde::Serialize;

use super::view::{Block, Slider, Table};
use crate::curve::CurvePoint;
use crate::evaluation::Evaluation;
use crate::words::{count, money, percent};

#[derive(Serialize)]
struct Thresholds {
    n_fraud: u64,
    n_honest: u64,
    /// Calendar days of the orders; 0 where they have no time.
    n_days: f64,
    points: Vec<Threshold>,
}

#[derive(Serialize)]
struct Threshold {
    raw: f64,
    tp: u64,
    fp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fraud_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    honest_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    savings: Option<f64>,
}

/// What the threshold does, as a table and, with a script, with a slider that moves it. `n_days` is how long the orders took.
pub(super) fn blocks(part: &Evaluation, raw_score: f64, n_days: Option<f64>) -> Vec<Block> {
    let at = &part.at_threshold;
    let c = &at.confusion;
    if c.n_rows() == 0 {
        return Vec::new();
    }
    let per_day = n_days.filter(|&days| days > 0.0).map(|days| (c.tp + c.fp) as f64 / days);
    let mut rows = vec![
        ("raw score", format!("{raw_score:.4}")),
        ("frauds stopped", count(c.tp)),
        ("frauds let through", count(c.fn_)),
        ("honest orders stopped", count(c.fp)),
        ("honest orders let through", count(c.tn)),
        ("precision", percent(at.precision)),
        ("recall", percent(at.recall)),
        ("false-alarm rate", percent(at.false_positive_rate)),
        ("alerts per day", per_day.map_or("n/a".into(), |alerts| format!("{alerts:.1}"))),
    ];
    if let Some(value) = at.value {
        rows.push(("fraud value stopped", money(value.fraud_stopped, None)));
        rows.push(("honest value stopped", money(value.honest_stopped, None)));
    }
    if let Some(found) = &part.money {
        rows.push(("savings against doing nothing", money(found.savings, None)));
    }
    let table = Table {
        id: Some("threshold-table"),
        caption: "Orders from this raw score on are stopped".into(),
        header: vec![String::new(), "as chosen".into(), String::new()],
        rows: rows.into_iter().map(|(name, value)| vec![name.into(), value, String::new()]).collect(),
        right: vec![1, 2],
    };
    let mut blocks = Vec::new();
    if part.curve.len() > 1 {
        let threshold = |point: &CurvePoint| Threshold {
            raw: point.raw_score,
            tp: point.tp,
            fp: point.fp,
            fraud_value: point.fraud_stopped,
            honest_value: point.honest_stopped,
            savings: point.savings,
        };
        let points: Vec<Threshold> = part.curve.iter().map(threshold).collect();
        let chosen = points.partition_point(|point| point.raw >= raw_score).saturating_sub(1);
        let data = Thresholds {
            n_fraud: part.n_fraud,
            n_honest: part.n_rows - part.n_fraud,
            n_days: n_days.unwrap_or(0.0),
            points,
        };
        // Numbers alone: nothing in it could end the element.
        let data = serde_json::to_string(&data).unwrap_or_default();
        blocks.push(Block::Slider(Slider { last: part.curve.len() - 1, chosen, data }));
    }
    blocks.push(Block::Table(table));
    blocks
}
