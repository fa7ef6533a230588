//! A made-up run for the tests of reports.

use orderguard_evaluation::report::*;
use orderguard_evaluation::threshold::choose;
use orderguard_evaluation::{Aim, Evaluation};
use orderguard_features::time::UnixMillis;

/// Scored orders with about `share` of fraud, well but not perfectly told apart; always the same for a seed.
pub(crate) fn orders(n: usize, share: f64, seed: u64) -> (Vec<f64>, Vec<f64>, Vec<u8>, Vec<f64>) {
    let mut state = seed;
    // splitmix64
    let mut uniform = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    };
    let (mut raw, mut probability, mut labels, mut amounts) = (vec![], vec![], vec![], vec![]);
    for _ in 0..n {
        let fraud = uniform() < share;
        let noise = uniform() + uniform() + uniform() - 1.5;
        let easy = fraud && uniform() < 0.7;
        let score = noise * 2.5
            + if easy {
                3.5
            } else if fraud {
                -3.0
            } else {
                -6.0
            };
        raw.push(score);
        probability.push(1.0 / (1.0 + libm::exp(-score)));
        labels.push(u8::from(fraud));
        amounts.push((uniform() * if fraud { 40_000.0 } else { 12_000.0 }).round() / 100.0);
    }
    (raw, probability, labels, amounts)
}

fn at(days: i64) -> IsoTime {
    IsoTime(UnixMillis(1_522_540_831_000 + days * 86_400_000))
}

fn text(text: &str) -> String {
    text.to_owned()
}

/// A whole report in which every member is filled.
pub(crate) fn report() -> Report {
    let (raw, probability, labels, amounts) = orders(20_000, 0.008, 7);
    let choice = choose(&raw, &labels, Aim::default()).unwrap();
    let validation = Evaluation::compute(&raw, &probability, &labels, Some(&amounts), choice.raw_score).unwrap();
    let (raw, probability, labels, amounts) = orders(18_000, 0.009, 8);
    let test = Evaluation::compute(&raw, &probability, &labels, Some(&amounts), choice.raw_score).unwrap();
    let column = |name: &str, role: &str, available: &str, reason: &str| Column {
        name: text(name),
        role: text(role),
        available: text(available),
        format: (role == "time").then(|| text("iso")),
        reason: Some(text(reason)),
    };
    let part = |from, until, n_rows, n_fraud| Part { from: Some(at(from)), until: Some(at(until)), n_rows, n_fraud };
    let names = [
        "amount",
        "terminal: fraud rate 30 d",
        "terminal: fraud rate 7 d",
        "customer: amount 7 d",
        "customer: orders 1 d",
        "hour",
        "customer: time since last",
        "terminal: orders 1 h",
        "weekday",
        "country",
        "device: orders 30 d",
        "night",
        "weekend",
        "ip: orders 1 d",
        "e-mail: orders 30 d",
        "card: orders 1 h",
        "phone: orders 7 d",
    ];
    Report {
        program: text("orderguard 0.1.0"),
        data: Data {
            files: vec![
                DataFile { name: text("orders-2018.csv.zst"), n_rows: 110_004, n_rejected: 2 },
                DataFile { name: text("orders-late.jsonl"), n_rows: 10_000, n_rejected: 1 },
            ],
            n_rows: 120_004,
            n_accepted: 119_999,
            n_rejected: 3,
            n_duplicates: 2,
            n_unlabelled: 1_250,
            n_fraud: 1_007,
            fraud_share: Some(1_007.0 / 118_749.0),
            from: Some(at(0)),
            until: Some(at(183)),
            amounts: vec![AmountTotal {
                currency: Some(text("EUR")),
                n_orders: 119_999,
                total: 7_183_220.15,
                fraud: 201_330.7,
            }],
            events: None,
            labels: Some(LabelJoin { n_rows: 1_020, n_matched: 1_007, n_unmatched: 11, n_conflicting: 2 }),
            hash: text("5f0c"),
        },
        schema: Schema {
            columns: vec![
                column("order_id", "id", "order", "unique in every row"),
                column("placed_at", "time", "order", "every value is a time and the name says so"),
                column("is_fraud", "label", "later", "0 or 1, and the name says so"),
                column("amount", "amount", "order", "numbers with two decimals, and the name says so"),
                column("customer_id", "entity customer", "order", "the name says so"),
            ],
            timezone: text("UTC"),
            label_delay: text("7d"),
        },
        leaks: vec![
            Leak {
                column: text("fraud_scenario"),
                reason: text("set only for frauds in the training part (612 of 612)"),
                kept: false,
            },
            Leak { column: text("row"), reason: text("a running number: it grows with every row"), kept: true },
        ],
        rejections: Rejections {
            n: 3,
            max_share: Some(0.01),
            first: vec![
                Rejection {
                    file: text("orders-2018.csv.zst"),
                    line: 110_005,
                    column: None,
                    reason: text("expected 9 fields, found 4"),
                },
                Rejection {
                    file: text("orders-late.jsonl"),
                    line: 17,
                    column: Some(text("amount")),
                    reason: text("expected a number, found text"),
                },
            ],
        },
        split: Split {
            protocol: text("time"),
            train: Some(part(0, 110, 71_999, 620)),
            validation: Some(part(110, 140, 20_000, validation.n_fraud)),
            test: Some(part(147, 183, 18_000, test.n_fraud)),
            gaps: vec![part(140, 147, 4_600, 40)],
            n_unresolved: 3_200,
            n_known_entities: 14,
            notes: vec![text(
                "the gap before validation was dropped: train would have kept fewer than half of its frauds",
            )],
        },
        search: Some(Search {
            limit: text("50 trials"),
            is_stopped: false,
            n_trials: 50,
            n_on_all_folds: 10,
            n_folds: 4,
            measure: text("average-precision"),
            first: Some(0.7012),
            chosen: 31,
            difference: 0.0123,
            standard_error: 0.0041,
            params: [(text("l2"), text("3.1")), (text("leaves"), text("17"))].into(),
            seconds: 71.3,
        }),
        model: Some(Model {
            kind: text("gbt"),
            rounds: 212,
            params: [(text("learning_rate"), text("0.05")), (text("max_leaves"), text("31"))].into(),
            calibration: text("isotonic"),
            seed: 1,
            refit: false,
        }),
        features: names
            .iter()
            .enumerate()
            .map(|(i, name)| Feature {
                name: text(name),
                importance: if i < 16 { 0.5_f64.powi(i as i32 + 1) } else { 0.0 },
            })
            .collect(),
        threshold: Some(Threshold {
            raw_score: choice.raw_score,
            probability: 1.0 / (1.0 + libm::exp(-choice.raw_score)),
            aim: choice.aim_text,
            note: choice.note,
        }),
        validation: Some(validation),
        test: Some(test),
        notes: vec![text(
            "the label time equals the order time in every row: it is not believed, the label delay of 7d takes its place",
        )],
        timing: Timing {
            read: 0.412,
            features: 3.05,
            fit: 21.7,
            evaluate: 0.31,
            total: 25.9,
            peak_rss_bytes: Some(812_000_000),
            threads: Some(2),
        },
        ..Report::default()
    }
}
