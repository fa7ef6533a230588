//! Rows and labels that are taken piece by piece, beside the same in memory.

use std::fmt::Write as _;

use orderguard_dataset::labels::{
    LabelChange, LabelSource, LabelsOnDisk, OrderStatement, believe_label_times, join_labels, late_frauds, leave_out,
    merge_repeated,
};
use orderguard_dataset::read::{ReadOptions, read};
use orderguard_dataset::scratch::Scratch;
use orderguard_dataset::source::{Input, SourceOptions, Sources};
use orderguard_dataset::stream::{Ordered, survey};
use orderguard_features::canonical::{CanonicalRows, canonical_events, canonical_rows};
use orderguard_features::identity::{IdentityKey, OrderId};
use orderguard_features::kind::EventKind;
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};
use orderguard_features::table::{ColumnData, EventTable, Levels, MISSING_CODE, MISSING_I64, OrderTable, TextColumn};
use orderguard_features::time::Span;
use proptest::collection::vec;
use proptest::prelude::*;

const HOUR: i64 = Span::HOUR.0;
const DAY: i64 = Span::DAY.0;
const DELAY: Span = Span::days(60);

fn schema(columns: &[(&str, Role)]) -> Schema {
    let mut schema = Schema::from_toml("column = []").unwrap();
    let format = |role: Role| matches!(role, Role::Time | Role::KnownAt).then_some(TimeFormat::EpochMillis);
    let column = |&(name, role): &(&str, Role)| Column {
        name: name.into(),
        role,
        available: Available::Order,
        format: format(role),
    };
    schema.columns = columns.iter().map(column).collect();
    schema.label_delay = DELAY;
    schema
}

fn scratch() -> Scratch {
    Scratch::new(tempfile::tempfile().unwrap())
}

/// Ids by number, 0 where there is none.
fn ids(numbers: impl Iterator<Item = u64>) -> TextColumn {
    let mut levels = Levels::default();
    let codes = numbers.map(|id| if id == 0 { MISSING_CODE } else { levels.push(&format!("{id:016x}")) }).collect();
    TextColumn { codes, levels }
}

/// What is said of orders: id, what, and when.
type Said = (u64, i8, Option<i64>);

fn table_of(said: &[Said]) -> OrderTable {
    let learned = said.iter().map(|said| said.2.unwrap_or(MISSING_I64)).collect();
    let columns = vec![
        ColumnData::Text(ids(said.iter().map(|said| said.0))),
        ColumnData::Label(said.iter().map(|said| said.1).collect()),
        ColumnData::Time(learned),
    ];
    OrderTable { n_rows: said.len(), columns, source: vec![0; said.len()], line: vec![0; said.len()] }
}

fn orders() -> impl Strategy<Value = Vec<OrderStatement>> {
    // Times on a coarse grid, over so many days that ids of orders are used again.
    let order = (0_u64..5, 0_i64..80, 0_i64..5, -1_i8..2, prop::option::of(-2_i64..90), prop::bool::weighted(0.1));
    let order = order.prop_map(|(id, at, late, label, after, repeated)| {
        let time = at * 4 * DAY;
        let label_time = after.filter(|_| label >= 0).map_or(MISSING_I64, |days| time + days * DAY);
        OrderStatement { id: OrderId(id), time, known_at: time + late * 9 * HOUR, label, label_time, repeated }
    });
    vec(order, 0..40).prop_map(|mut orders| {
        orders.sort_by_key(|order| (order.known_at, order.time, order.id.0));
        orders
    })
}

fn said() -> impl Strategy<Value = Vec<Said>> {
    // Hours before, at and after the times of orders.
    let learned =
        prop::option::weighted(0.9, (0_i64..100, -3_i64..4)).prop_map(|at| Some(at?.0 * 4 * DAY + at?.1 * 9 * HOUR));
    vec((0_u64..6, -1_i8..2, learned), 0..30)
}

proptest! {
    #[test]
    fn labels_settled_list_by_list_are_those_of_the_whole(
        orders in orders(), file in prop::option::of(said()), events in said(), memory in 1_u64..20_000, has_times in any::<bool>(),
    ) {
        // Events have a time, and say one of two things.
        let events: Vec<Said> =
            events.into_iter().map(|(id, says, at)| (id, says.abs(), Some(at.unwrap_or(0)))).collect();
        let schema = schema(&[("id", Role::Id), ("label", Role::Label), ("time", Role::Time)]);
        let of = |value: &dyn Fn(&OrderStatement) -> i64| orders.iter().map(value).collect::<Vec<i64>>();
        let (times, known_at, given) = (of(&|o| o.time), of(&|o| o.known_at), of(&|o| o.label_time));
        let label: Vec<i8> = orders.iter().map(|order| order.label).collect();
        let repeated: Vec<bool> = orders.iter().map(|order| order.repeated).collect();
        let ids = ids(orders.iter().map(|order| order.id.0));
        let file_table = file.as_deref().map(table_of);
        let event_table = EventTable { table: table_of(&events), kinds: vec![EventKind::Chargeback; events.len()] };
        let mut sources: Vec<LabelSource<'_>> = Vec::new();
        sources.extend(file_table.as_ref().map(|table| LabelSource::of_file(table, &schema).unwrap()));
        sources.extend(LabelSource::of_events(&event_table, &schema, |_| false));

        let (labels, time_note) = believe_label_times(&times, &label, has_times.then_some(&given), DELAY);
        let (mut labels, merged) = merge_repeated(labels, &ids, &times, &known_at, DELAY);
        let mut joined = None;
        if !sources.is_empty() {
            let (whole, counts) = join_labels(labels, &ids, &times, &known_at, &sources, DELAY);
            (labels, joined) = (whole, Some(counts));
        }
        leave_out(&mut labels, &repeated);

        let scratch = scratch();
        let mut on_disk = LabelsOnDisk::new(&scratch, orders.len() as u64, memory, true, has_times);
        for order in &orders {
            on_disk.order(order).unwrap();
        }
        if let Some(file) = &file {
            on_disk.has_file();
            for &(id, says, at) in file {
                on_disk.source(false, OrderId(id), says, at.unwrap_or(MISSING_I64)).unwrap();
            }
        }
        for &(id, says, at) in &events {
            on_disk.source(true, OrderId(id), says, at.unwrap()).unwrap();
        }
        let settled = on_disk.settle(DELAY).unwrap();
        prop_assert_eq!(settled.time_note, time_note);
        prop_assert_eq!((settled.merged, settled.joined), (merged, joined));
        prop_assert_eq!(settled.late, late_frauds(&labels, &times, DELAY));
        prop_assert_eq!(settled.has_label, labels.label.iter().any(|&label| label >= 0));
        let by_order = settled.orders().unwrap().take(orders.len()).unwrap();
        prop_assert_eq!(&by_order.label, &labels.label);
        prop_assert_eq!(&by_order.label_time, &labels.label_time);
        prop_assert_eq!(&by_order.known_from, &labels.known_from);

        let mut learned = settled.learned().unwrap();
        let (mut changes, mut confirmed, mut before) = (Vec::new(), Vec::new(), (i64::MIN, 0));
        while let Some(label) = learned.next_before(None).unwrap() {
            let order = label.order as usize;
            prop_assert_eq!((label.known_at, label.id), (known_at[order], orders[order].id));
            let at = (label.time.max(label.known_at), label.order);
            prop_assert!(at >= before, "labels come in the order in which they are learned");
            before = at;
            if label.is_change {
                changes.push(LabelChange { time: label.time, row: label.order as u32, fraud: label.fraud });
            } else {
                prop_assert!(!label.fraud);
                confirmed.push(order);
            }
        }
        changes.sort_unstable();
        confirmed.sort_unstable();
        prop_assert_eq!(changes, labels.changes.clone());
        let is_changed = |row: usize| labels.changes.iter().any(|change| change.row as usize == row);
        let is_early = |row: usize| labels.label_time[row] < times[row] + DELAY.0;
        let early: Vec<usize> =
            (0..orders.len()).filter(|&row| labels.label[row] == 0 && !is_changed(row) && is_early(row)).collect();
        prop_assert_eq!(confirmed, early);
    }

    #[test]
    fn chunks_are_the_rows_of_the_whole(
        rows in vec((0_i64..50, 0_i64..3, 0_usize..4, "[a-c]{1,3}|x|", 0_usize..4), 1..120),
        sorted in any::<bool>(), memory in 1_usize..4_000, max_rows in 1_usize..40, block in 16_usize..400,
    ) {
        let mut rows = rows;
        if sorted {
            rows.sort_by_key(|row| row.0 + row.1);
        }
        let mut files = vec![String::from("id,time,known,kind,n\n"); 4];
        for (time, late, kind, text, file) in &rows {
            // A number that is none is rejected.
            let kind = ["order", "refund", "login", "order"][*kind];
            let (time, known, number) = (time + 1, time + 1 + late, if text == "x" { "?" } else { "7" });
            writeln!(files[*file], "{text},{time},{known},{kind},{number}").unwrap();
        }
        let schema = schema(&[
            ("id", Role::Id), ("time", Role::Time), ("known", Role::KnownAt), ("kind", Role::Event), ("n", Role::Number),
        ]);
        let input = |(i, text): (usize, &String)| Input::Bytes { name: format!("{i}.csv"), bytes: text.clone().into_bytes() };
        let options = SourceOptions { block_bytes: block, ..SourceOptions::default() };
        let sources = Sources::open(files.iter().enumerate().map(input).collect(), options).unwrap();
        let options = ReadOptions { max_rejected: 1.0, ..ReadOptions::default() };
        let key = IdentityKey::new(b"k");
        let told = |orders: &OrderTable, events: &EventTable, told: &mut [Vec<(u64, i64, u32, u64)>; 2]| {
            let both: [(&OrderTable, CanonicalRows); 2] = [
                (orders, canonical_rows(&schema, orders, &key, 1)), (&events.table, canonical_events(&schema, events, &key, 1)),
            ];
            for ((table, rows), told) in both.iter().zip(told) {
                let row = |i: usize| rows.row[i] as usize;
                told.extend((0..rows.len()).map(|i| (rows.hash[i], rows.known_at[i].0, table.source[row(i)], table.line[row(i)])));
            }
        };
        let Ok(whole) = read(&sources, &schema, &options, &|_, _| ()) else {
            // Nothing but rows that are rejected.
            prop_assert!(survey(&sources, &schema, &options, &|_, _| ()).is_err() || rows.iter().all(|row| row.3 == "x"));
            return Ok(());
        };
        let mut expected = [Vec::new(), Vec::new()];
        told(&whole.table, whole.events.as_ref().unwrap(), &mut expected);

        let survey = survey(&sources, &schema, &options, &|_, _| ()).unwrap();
        prop_assert_eq!(survey.n_orders as usize, whole.table.n_rows);
        prop_assert_eq!(survey.rejections.count(), whole.rejections.count());
        let scratch = scratch();
        let on_disk = Ordered::sorted(&sources, &survey, &schema, &options, &scratch, memory, &|_, _| ()).unwrap();
        let in_place = Ordered::in_place(&sources, &survey, &schema, &options, 8).unwrap();
        prop_assert!(in_place.is_some() || !sorted);
        for ordered in [Some(on_disk), in_place].into_iter().flatten() {
            let mut found = [Vec::new(), Vec::new()];
            let mut chunks = ordered.chunks(max_rows, 1 << 20).unwrap();
            let mut until = None;
            while let Some(chunk) = chunks.next_chunk().unwrap() {
                let begun = found.each_ref().map(Vec::len);
                told(&chunk.orders, chunk.events.as_ref().unwrap(), &mut found);
                for (found, begun) in found.iter().zip(begun) {
                    let inside = |&(_, at, ..): &(u64, i64, u32, u64)| {
                        until.is_none_or(|from| at >= from) && chunk.until.is_none_or(|until| at < until)
                    };
                    prop_assert!(found[begun..].iter().all(inside), "no millisecond is in two chunks");
                }
                until = chunk.until;
            }
            prop_assert_eq!(&found, &expected);
        }
    }
}
