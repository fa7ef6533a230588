//! Random streams of events of all kinds, as cells of text, as tables, and as steps in order of time.

use orderguard_features::canonical::{CanonicalRows, canonical_events, canonical_rows};
use orderguard_features::extract::Extractor;
use orderguard_features::identity::IdentityKey;
use orderguard_features::kind::EventKind;
use orderguard_features::language::feature::Feature;
use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};
use orderguard_features::table::{ColumnData, EventTable, Levels, MISSING_CODE, MISSING_I64, OrderTable, TextColumn};
use orderguard_features::time::Span;
use proptest::prelude::*;

pub(crate) const HOUR: i64 = 3_600_000;
pub(crate) const DAY: i64 = 24 * HOUR;
pub(crate) const START: i64 = 1_522_540_800_000;
pub(crate) const LABEL_DELAY: i64 = 7 * DAY;

const COLUMNS: [(&str, Role); 12] = [
    ("order", Role::Id),
    ("at", Role::Time),
    ("known", Role::KnownAt),
    ("kind", Role::Event),
    ("event", Role::EventId),
    ("customer", Role::Customer),
    ("device", Role::Device),
    ("ip", Role::Ip),
    ("amount", Role::Amount),
    ("reason", Role::Category),
    ("fraud", Role::Label),
    ("currency", Role::Currency),
];

/// One row of a shop's stream, and what happens to its label if it is an order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raw {
    pub(crate) kind: EventKind,
    /// The order that it is, or is about.
    pub(crate) order: Option<u32>,
    pub(crate) event: Option<u32>,
    pub(crate) time: i64,
    /// How long after it the shop learns of it.
    pub(crate) late: i64,
    pub(crate) customer: Option<u8>,
    pub(crate) device: Option<u8>,
    pub(crate) ip: Option<u8>,
    pub(crate) amount: Option<i64>,
    pub(crate) currency: Option<u8>,
    pub(crate) reason: Option<u8>,
    /// What a chargeback says in the label column, if anything.
    pub(crate) says: Option<bool>,
    /// (delay after the order, fraud), rising.
    pub(crate) labels: Vec<(i64, bool)>,
}

impl Raw {
    pub(crate) fn known_at(&self) -> i64 {
        self.time + self.late
    }

    pub(crate) fn is_order(&self) -> bool {
        self.kind == EventKind::Order
    }

    pub(crate) fn cells(&self) -> [String; 12] {
        let text = |value: Option<String>| value.unwrap_or_default();
        let prefixed = |prefix: &str, value: Option<u8>| text(value.map(|v| format!("{prefix}{v}")));
        [
            text(self.order.map(|id| format!("o{id}"))),
            self.time.to_string(),
            self.known_at().to_string(),
            self.kind.name().to_owned(),
            text(self.event.map(|id| format!("e{id}"))),
            prefixed("c", self.customer),
            prefixed("d", self.device),
            prefixed("10.0.0.", self.ip),
            text(self.amount.map(|a| format!("{}.{:02}", a / 100, a % 100))),
            prefixed("r", self.reason),
            text(self.says.map(|fraud| u8::from(fraud).to_string())),
            text(self.currency.map(|currency| ["EUR", "PLN"][usize::from(currency)].to_owned())),
        ]
    }
}

pub(crate) fn names() -> Vec<&'static str> {
    COLUMNS.iter().map(|(name, _)| *name).collect()
}

pub(crate) fn schema() -> Schema {
    let columns = COLUMNS.iter().map(|&(name, role)| Column {
        name: name.into(),
        role,
        available: if matches!(role, Role::Category | Role::Label) { Available::Later } else { Available::Order },
        format: matches!(role, Role::Time | Role::KnownAt).then_some(TimeFormat::EpochMillis),
    });
    Schema {
        timezone: "Europe/Warsaw".into(),
        label_delay: Span(LABEL_DELAY),
        amount_decimals: 2,
        columns: columns.collect(),
    }
}

pub(crate) const FEATURES: [&str; 30] = [
    "count(order) by customer over 1d",
    "count(payment_failed) by device over 7d",
    "count(return) by customer over 30d where reason = \"r0\"",
    "sum(amount of refund) by customer over 30d",
    "distinct(device) by customer over 30d",
    "mean(age of return) by customer over 30d",
    "rate(return per order) by customer over 30d shrink 5",
    "rate(return per order) by customer over 30d to ip",
    "share(order) by customer over 7d where amount < 100",
    "count(chargeback) by device over 30d",
    "fraud_rate by customer over 30d shrink 10",
    "fraud_count by ip24 over 30d delayed 1d",
    "since_last(login) by customer",
    "is_new by customer + device",
    "count(order) by shop over 1d",
    "amount",
    "hour",
    "valid(ip)",
    "similarity(customer, device)",
    "mismatch(customer, device)",
    "cluster_size",
    "cluster_frauds",
    "cluster_new_links",
    "accounts_per(device)",
    "decayed_count(order) by customer halflife 1d",
    "zscore(amount) by customer over 30d",
    "max(amount) by ip over 7d",
    "count(order) by device over 1h / 7d",
    "gap_variation(order) by customer over 30d",
    "distinct(reason of return) by customer over 30d",
];

pub(crate) fn spec(exact_events: u32) -> FeatureSpec {
    let features = FEATURES.iter().map(|text| Feature::parse(text).unwrap_or_else(|e| panic!("{e}"))).collect();
    FeatureSpec { features, exact_events, hub_limit: 3, ..FeatureSpec::default() }
}

pub(crate) fn extractor(exact_events: u32) -> Extractor {
    Extractor::new(&schema(), &spec(exact_events), IdentityKey::new(b"test")).unwrap_or_else(|e| panic!("{e}"))
}

fn intern(cells: impl Iterator<Item = String>) -> ColumnData {
    let mut column = TextColumn { codes: Vec::new(), levels: Levels::default() };
    for cell in cells {
        let known = column.levels.iter().position(|level| level == cell);
        let code = match known {
            _ if cell.is_empty() => MISSING_CODE,
            Some(code) => code as u32,
            None => column.levels.push(&cell),
        };
        column.codes.push(code);
    }
    ColumnData::Text(column)
}

fn table(raws: &[&Raw]) -> OrderTable {
    let cell = |column: usize| raws.iter().map(move |raw| raw.cells()[column].clone());
    let columns = COLUMNS.iter().enumerate().map(|(i, (_, role))| match role {
        Role::Time => ColumnData::Time(raws.iter().map(|raw| raw.time).collect()),
        Role::KnownAt => ColumnData::Time(raws.iter().map(|raw| raw.known_at()).collect()),
        Role::Amount => ColumnData::Amount(raws.iter().map(|raw| raw.amount.unwrap_or(MISSING_I64)).collect()),
        Role::Label => ColumnData::Label(raws.iter().map(|raw| raw.says.map_or(-1, i8::from)).collect()),
        Role::Event => ColumnData::Absent,
        _ => intern(cell(i)),
    });
    OrderTable {
        n_rows: raws.len(),
        columns: columns.collect(),
        source: vec![0; raws.len()],
        line: (2..).take(raws.len()).collect(),
    }
}

/// A stream as the two tables that replay takes.
pub(crate) struct Tables {
    pub(crate) orders: OrderTable,
    pub(crate) rows: CanonicalRows,
    pub(crate) events: EventTable,
    pub(crate) event_rows: CanonicalRows,
    /// Positions in the stream of orders and events, in canonical order.
    pub(crate) order_at: Vec<usize>,
    pub(crate) event_at: Vec<usize>,
}

impl Tables {
    pub(crate) fn new(raws: &[Raw], n_threads: usize) -> Self {
        let key = IdentityKey::new(b"test");
        let at: Vec<usize> = (0..raws.len()).collect();
        let (orders, events): (Vec<usize>, Vec<usize>) = at.into_iter().partition(|&i| raws[i].is_order());
        let of = |at: &[usize]| table(&at.iter().map(|&i| &raws[i]).collect::<Vec<_>>());
        let (order_table, event_table) = (of(&orders), of(&events));
        let event_table = EventTable { table: event_table, kinds: events.iter().map(|&i| raws[i].kind).collect() };
        let rows = canonical_rows(&schema(), &order_table, &key, n_threads);
        let event_rows = canonical_events(&schema(), &event_table, &key, n_threads);
        Self {
            order_at: rows.row.iter().map(|&row| orders[row as usize]).collect(),
            event_at: event_rows.row.iter().map(|&row| events[row as usize]).collect(),
            orders: order_table,
            rows,
            events: event_table,
            event_rows,
        }
    }
}

/// One step of a stream: positions are of its rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    Event(usize),
    Label { of: usize, time: i64, fraud: bool },
}

/// The steps in order of time; in one millisecond orders, other events and labels, each in canonical order.
pub(crate) fn steps(raws: &[Raw], tables: &Tables) -> Vec<(i64, Step)> {
    let mut steps: Vec<((i64, u8, usize, bool), Step)> = Vec::new();
    for (rank, &i) in tables.order_at.iter().enumerate() {
        steps.push(((raws[i].known_at(), 0, rank, false), Step::Event(i)));
        for (n, &(delay, fraud)) in raws[i].labels.iter().enumerate() {
            let time = (raws[i].time + delay).max(raws[i].known_at());
            // Of labels from before the order was known only the latest is learned.
            if raws[i].labels.get(n + 1).is_some_and(|next| raws[i].time + next.0 <= time) {
                continue;
            }
            steps.push(((time, 2, rank, fraud), Step::Label { of: i, time, fraud }));
        }
    }
    for (rank, &i) in tables.event_at.iter().enumerate() {
        steps.push(((raws[i].known_at(), 1, rank, false), Step::Event(i)));
    }
    steps.sort_by_key(|(key, _)| *key);
    steps.into_iter().map(|((time, ..), step)| (time, step)).collect()
}

/// Streams of up to `n` rows. A coarse grid of times, so that ties and events exactly on window edges are common.
pub(crate) fn raws(n: usize) -> impl Strategy<Value = Vec<Raw>> {
    let time = prop_oneof![
        (0_i64..60).prop_map(|h| START + h * HOUR),
        (0_i64..60).prop_map(|d| START + d * DAY),
        (0_i64..3_000).prop_map(|m| START + m * 60_000)
    ];
    let late = prop_oneof![3 => Just(0_i64), 1 => (0_i64..30).prop_map(|h| h * HOUR)];
    let labels = prop::collection::vec((0_i64..20, any::<bool>()), 0..3).prop_map(|mut labels| {
        labels.sort_by_key(|label| label.0);
        labels.dedup_by_key(|label| label.0);
        labels.into_iter().map(|(days, fraud)| (days * DAY, fraud)).collect::<Vec<_>>()
    });
    let kind = prop_oneof![3 => Just(0_usize), 4 => 1_usize..14].prop_map(|kind| EventKind::ALL[kind]);
    let entity = |n: u8| prop::option::weighted(0.8, 0..n);
    let raw = (
        (kind, 0_u32..40, any::<u8>(), prop::option::weighted(0.5, 0_u32..60)),
        (time, late, entity(4), entity(3), entity(3)),
        (
            prop::option::weighted(0.8, 0_i64..20_000),
            prop::option::weighted(0.7, 0_u8..2),
            prop::option::of(0_u8..3),
            prop::option::weighted(0.3, any::<bool>()),
        ),
        labels,
    );
    let raw = raw.prop_map(
        |((kind, order, has, event), (time, late, customer, device, ip), (amount, currency, reason, says), labels)| {
            let is_order = kind == EventKind::Order;
            Raw {
                kind,
                order: (is_order || has % 4 > 0).then_some(order),
                event,
                time,
                late,
                customer,
                device,
                ip,
                amount,
                currency,
                reason,
                says: if is_order { None } else { says },
                labels: if is_order { labels } else { Vec::new() },
            }
        },
    );
    prop::collection::vec(raw, 1..n)
}
