//! Parquet files: read as the CSV file of the same data would be, refused where they are damaged, and written.
#![cfg(feature = "parquet")]

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array,
    Int16Array, Int64Array, RecordBatch, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, UInt32Array,
};
use orderguard_dataset::error::ReadError;
use orderguard_dataset::parquet_out::{Kind, ParquetWriter, Values, WriteError};
use orderguard_dataset::profile::Profile;
use orderguard_dataset::read::{ReadOptions, ReadOutcome, read};
use orderguard_dataset::scan::profile;
use orderguard_dataset::source::{Input, SourceOptions, Sources};
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};
use orderguard_features::table::{ColumnData, MISSING_I64};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

fn parquet(columns: Vec<(&str, ArrayRef)>, group_rows: usize) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_data_page_row_count_limit(100)
        .set_write_batch_size(50)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn open(files: Vec<(&str, Vec<u8>)>) -> Sources {
    let inputs = files.into_iter().map(|(name, bytes)| Input::Bytes { name: name.into(), bytes }).collect();
    Sources::open(inputs, SourceOptions { block_bytes: 4_096, ..SourceOptions::default() }).unwrap()
}

fn schema(columns: &[(&str, Role)]) -> Schema {
    let mut schema = Schema::from_toml("column = []").unwrap();
    let is_time = |role| matches!(role, Role::Time | Role::KnownAt | Role::LabelTime | Role::Timestamp);
    let column = |&(name, role): &(&str, Role)| Column {
        name: name.into(),
        role,
        available: Available::Order,
        format: is_time(role).then_some(TimeFormat::Iso),
    };
    schema.columns = columns.iter().map(column).collect();
    schema
}

fn lenient() -> ReadOptions {
    ReadOptions { max_rejected: 0.9, ..ReadOptions::default() }
}

fn read_all(sources: &Sources, schema: &Schema, n_threads: usize) -> Result<ReadOutcome, ReadError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
    pool.install(|| read(sources, schema, &lenient(), &|_, _| ()))
}

fn facts(sources: &Sources) -> Result<Profile, ReadError> {
    profile(sources, &|_, _| ())
}

/// One row of an invented shop.
#[derive(Clone, Debug)]
struct Row {
    id: Option<i64>,
    ms: Option<i64>,
    cents: Option<i64>,
    age: Option<f64>,
    score: Option<f32>,
    fraud: Option<bool>,
    country: Option<String>,
    note: Option<String>,
    day: Option<i32>,
    small: Option<i16>,
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let numbers = (
        prop::option::weighted(0.97, prop_oneof![0..50_i64, -3..30_000_000_i64, any::<i64>()]),
        prop::option::weighted(0.97, 1_400_000_000_000..1_600_000_000_000_i64),
        prop::option::weighted(0.9, -1_000..5_000_000_i64),
        prop::option::of(prop_oneof![-1e6..1e6_f64, (0..90_u8).prop_map(f64::from), Just(f64::NAN), any::<f64>()]),
        prop::option::of(prop_oneof![0.0..1.0_f32, any::<f32>()]),
    );
    let others = (
        prop::option::weighted(0.8, any::<bool>()),
        prop::option::of(prop::sample::select(vec!["DE", "FR", "United Kingdom", " pl ", "null", "007"])),
        prop::option::of("[a-zé0-9]{1,3}( ?[a-z0-9]{0,3})?"),
        prop::option::of(15_000..18_000_i32),
        prop::option::of(any::<i16>()),
    );
    let row = (numbers, others).prop_map(|((id, ms, cents, age, score), (fraud, country, note, day, small))| Row {
        id,
        ms,
        cents,
        age,
        score,
        fraud,
        country: country.map(str::to_owned),
        note,
        day,
        small,
    });
    prop::collection::vec(row, 1..120)
}

fn as_parquet(rows: &[Row], group_rows: usize) -> Vec<u8> {
    fn all<T>(rows: &[Row], of: impl Fn(&Row) -> Option<T>) -> impl Iterator<Item = Option<T>> {
        rows.iter().map(of)
    }
    let texts = |of: fn(&Row) -> Option<&str>| rows.iter().map(of).collect::<Vec<_>>();
    let amounts: Decimal128Array = all(rows, |row| row.cents.map(i128::from)).collect();
    parquet(
        vec![
            ("id", Arc::new(all(rows, |row| row.id).collect::<Int64Array>()) as ArrayRef),
            ("when", Arc::new(all(rows, |row| row.ms.map(|ms| ms * 1_000)).collect::<TimestampMicrosecondArray>())),
            ("amount", Arc::new(amounts.with_precision_and_scale(12, 2).unwrap())),
            ("age", Arc::new(all(rows, |row| row.age).collect::<Float64Array>())),
            ("score", Arc::new(all(rows, |row| row.score).collect::<Float32Array>())),
            ("fraud", Arc::new(all(rows, |row| row.fraud).collect::<BooleanArray>())),
            (
                "country",
                Arc::new(texts(|row| row.country.as_deref()).into_iter().collect::<DictionaryArray<Int32Type>>()),
            ),
            ("note", Arc::new(texts(|row| row.note.as_deref()).into_iter().collect::<StringArray>())),
            ("day", Arc::new(all(rows, |row| row.day).collect::<Date32Array>())),
            ("small", Arc::new(all(rows, |row| row.small).collect::<Int16Array>())),
        ],
        group_rows,
    )
}

/// What a data frame writes, with dates counted by another hand than ours.
fn as_csv(rows: &[Row]) -> Vec<u8> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["id", "when", "amount", "age", "score", "fraud", "country", "note", "day", "small"]).unwrap();
    for row in rows {
        let when = row.ms.map(|ms| {
            let (seconds, rest) = (ms.div_euclid(1_000), ms.rem_euclid(1_000));
            let fraction = if rest == 0 { String::new() } else { format!(".{rest:03}000") };
            format!(
                "{} {:02}:{:02}:{:02}{fraction}",
                date(seconds.div_euclid(86_400)),
                seconds / 3_600 % 24,
                seconds / 60 % 60,
                seconds % 60
            )
        });
        let amount =
            row.cents.map(|c| format!("{}{}.{:02}", if c < 0 { "-" } else { "" }, c.abs() / 100, c.abs() % 100));
        csv.write_record([
            row.id.map(|id| id.to_string()).unwrap_or_default(),
            when.unwrap_or_default(),
            amount.unwrap_or_default(),
            row.age.map(|age| format!("{age:?}")).unwrap_or_default(),
            row.score.map(|score| format!("{score:?}")).unwrap_or_default(),
            row.fraud.map(|fraud| fraud.to_string()).unwrap_or_default(),
            row.country.clone().unwrap_or_default(),
            row.note.clone().unwrap_or_default(),
            row.day.map(|day| date(i64::from(day))).unwrap_or_default(),
            row.small.map(|small| small.to_string()).unwrap_or_default(),
        ])
        .unwrap();
    }
    csv.into_inner().unwrap()
}

/// The date so many days after 1970, counted year by year and month by month.
fn date(mut day: i64) -> String {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while day >= 365 + i64::from(leap(year)) {
        day -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    format!("{year:04}-{:02}-{:02}", month + 1, day + 1)
}

const COLUMNS: [(&str, Role); 10] = [
    ("id", Role::Id),
    ("when", Role::Time),
    ("amount", Role::Amount),
    ("age", Role::Number),
    ("score", Role::Number),
    ("fraud", Role::Label),
    ("country", Role::Category),
    ("note", Role::Customer),
    ("day", Role::Timestamp),
    ("small", Role::Merchant),
];

/// Everything but the lines, which a file without lines cannot have; numbers by their bits, so that NaN equals itself.
fn told(outcome: &ReadOutcome) -> String {
    let columns = outcome.table.columns.iter().map(|column| match column {
        ColumnData::Number(values) => format!("{:?}", values.iter().map(|x| x.to_bits()).collect::<Vec<_>>()),
        column => format!("{column:?}"),
    });
    let rejections = outcome.rejections.first.iter().map(|r| (r.source, r.column.clone(), r.reason.clone()));
    format!("{:?} {:?} {}", columns.collect::<Vec<_>>(), rejections.collect::<Vec<_>>(), outcome.n_rows_seen)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_file_says_what_its_csv_twin_says(rows in rows(), group_rows in 1..60_usize, n_threads in 1..4_usize, zone in 0..2_usize) {
        let mut schema = schema(&COLUMNS);
        schema.timezone = ["UTC", "Europe/Warsaw"][zone].to_owned();
        let from_csv = open(vec![("t.csv", as_csv(&rows))]);
        let from_parquet = open(vec![("t.parquet", as_parquet(&rows, group_rows))]);
        match (read_all(&from_csv, &schema, 1), read_all(&from_parquet, &schema, n_threads)) {
            (Ok(csv), Ok(parquet)) => {
                prop_assert_eq!(told(&parquet), told(&csv));
                let of_row = |line: &u64| line - 1;
                // No cell of the invented shop has a line end: each line but the header is a row.
                prop_assert_eq!(&parquet.table.line, &csv.table.line.iter().map(of_row).collect::<Vec<_>>());
            }
            (Err(ReadError::TooManyRejected { rejected, .. }), Err(ReadError::TooManyRejected { rejected: ours, .. })) => {
                prop_assert_eq!(rejected, ours);
            }
            (csv, parquet) => prop_assert!(false, "{:?} {:?}", csv.err(), parquet.err()),
        }
        prop_assert_eq!(format!("{:?}", facts(&from_parquet).unwrap()), format!("{:?}", facts(&from_csv).unwrap()));
        // Both in one run, and with other columns' order in one of them.
        let both = open(vec![("a.csv", as_csv(&rows)), ("b.parquet", as_parquet(&rows, group_rows)), ("c.csv", as_csv(&rows))]);
        if let Ok(three) = read_all(&both, &schema, n_threads) {
            let one = read_all(&from_csv, &schema, 1).unwrap();
            prop_assert_eq!(three.table.n_rows, 3 * one.table.n_rows);
            let ColumnData::Amount(amounts) = &three.table.columns[2] else { panic!("amounts stay amounts") };
            let ColumnData::Amount(once) = &one.table.columns[2] else { panic!("amounts stay amounts") };
            prop_assert_eq!(amounts, &once.repeat(3));
        }
        prop_assert_eq!(facts(&both).unwrap().n_rows, 3 * rows.len() as u64);
    }
}

#[test]
fn times_of_any_unit_are_the_same_instants() {
    let ms = 1_593_597_600_250_i64; // 2020-07-01 10:00:00.25 in UTC
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("when", Arc::new(TimestampMillisecondArray::from(vec![ms]).with_timezone("UTC"))),
        ("us", Arc::new(TimestampMicrosecondArray::from(vec![ms * 1_000 + 999]).with_timezone("America/New_York"))),
        ("ns", Arc::new(TimestampNanosecondArray::from(vec![ms * 1_000_000 + 999_999]).with_timezone("UTC"))),
        ("local", Arc::new(TimestampNanosecondArray::from(vec![ms * 1_000_000]))),
        ("day", Arc::new(Date32Array::from(vec![18_444]))),
        ("clock", Arc::new(Time64MicrosecondArray::from(vec![36_000_250_000]))),
    ];
    let mut schema = schema(&[
        ("when", Role::Time),
        ("us", Role::Timestamp),
        ("ns", Role::Timestamp),
        ("local", Role::Timestamp),
        ("day", Role::Timestamp),
        ("clock", Role::Category),
    ]);
    schema.timezone = "Europe/Warsaw".to_owned();
    // What the schema says of texts does not matter where the file itself says that a cell is a time.
    schema.columns[3].format = Some(TimeFormat::MonthDayYear);
    let outcome = read_all(&open(vec![("t.parquet", parquet(columns, 10))]), &schema, 1).unwrap();
    let times: Vec<i64> = outcome.table.columns[..5]
        .iter()
        .map(|column| if let ColumnData::Time(times) = column { times[0] } else { MISSING_I64 })
        .collect();
    assert_eq!(times, [ms, ms, ms, ms - 7_200_000, 18_444 * 86_400_000 - 7_200_000]);
    let ColumnData::Text(clock) = &outcome.table.columns[5] else { panic!("a category is text") };
    assert_eq!(clock.get(0), Some("10:00:00.250000"));
}

#[test]
fn bad_rows_are_told_by_their_number() {
    let n = 30_000;
    let amounts: Vec<Option<f64>> =
        (0..n).map(|i| [Some(f64::from(i) / 100.0), Some(1.005)][usize::from(i == 20_004)]).collect();
    let ids: Vec<Option<String>> = (0..n).map(|i| (i != 12).then(|| format!("o{i}"))).collect();
    let users = UInt32Array::from_iter_values((0..n as u32).map(|i| i % 7));
    let hashes: Vec<&[u8]> = (0..n).map(|i| if i % 2 == 0 { &b"\xff\x01"[..] } else { b"ab" }).collect();
    let file = parquet(
        vec![
            ("id", Arc::new(StringArray::from(ids)) as ArrayRef),
            ("amount", Arc::new(Float64Array::from(amounts))),
            ("user", Arc::new(users)),
            ("device", Arc::new(BinaryArray::from(hashes))),
        ],
        9_000,
    );
    let sources = open(vec![("t.parquet", file)]);
    let roles = [("id", Role::Id), ("amount", Role::Amount), ("user", Role::Customer), ("device", Role::Device)];
    let outcome = read_all(&sources, &schema(&roles), 2).unwrap();
    let said: Vec<String> = outcome.rejections.first.iter().map(ToString::to_string).collect();
    assert_eq!(said[0], "row 13: column \"id\": expected a value (id), found none");
    assert!(said[1].starts_with("row 20005: column \"amount\": expected an amount of at most 2 decimals"), "{said:?}");
    assert_eq!((said.len(), outcome.table.n_rows, outcome.table.line[12]), (2, 29_998, 14));
    let text = |column: usize, row| match &outcome.table.columns[column] {
        ColumnData::Text(text) => text.get(row).unwrap().to_owned(),
        _ => panic!("entities are text"),
    };
    assert_eq!((text(2, 0), text(3, 0), text(3, 1)), ("0".into(), "ff01".into(), "ab".into()));
}

#[test]
fn nested_columns_are_named() {
    let mut lists = ListBuilder::new(Int32Builder::new());
    lists.append_value([Some(1), None]);
    let columns =
        vec![("id", Arc::new(Int64Array::from(vec![7])) as ArrayRef), ("items", Arc::new(lists.finish()) as ArrayRef)];
    let sources = open(vec![("t.parquet", parquet(columns, 10))]);
    let error = ReadError::UnsupportedColumn { file: "t.parquet".into(), column: "items".into(), found: "lists" };
    assert_eq!(facts(&sources).err(), Some(error.clone()));
    assert_eq!(read_all(&sources, &schema(&[("id", Role::Id), ("items", Role::Category)]), 1).err(), Some(error));
    let without = schema(&[("id", Role::Id), ("items", Role::Ignored)]);
    assert_eq!(read_all(&sources, &without, 1).unwrap().table.n_rows, 1);
    let lacking = schema(&[("id", Role::Id), ("amount", Role::Amount)]);
    assert!(
        matches!(read_all(&sources, &lacking, 1), Err(ReadError::MissingColumn { column, .. }) if column == "amount")
    );
}

#[test]
fn files_without_rows_and_files_of_other_kinds() {
    let empty = parquet(vec![("id", Arc::new(Int64Array::from(Vec::<i64>::new())) as ArrayRef)], 10);
    let roles = schema(&[("id", Role::Id)]);
    assert!(matches!(
        read_all(&open(vec![("t.parquet", empty.clone())]), &roles, 1),
        Err(ReadError::HeaderOnly { .. })
    ));
    // The name does not matter: the first bytes tell.
    assert!(matches!(read_all(&open(vec![("t.csv", empty.clone())]), &roles, 1), Err(ReadError::HeaderOnly { .. })));
    assert_eq!(read_all(&open(vec![("t.parquet", b"id\n7\n".to_vec())]), &roles, 1).unwrap().table.n_rows, 1);
    for n in [0, 3, 4, 11] {
        let cut = open(vec![("t.parquet", empty[..n].to_vec())]);
        assert!(matches!(read_all(&cut, &roles, 1), Err(ReadError::CorruptParquet { .. })), "{n}");
    }
    let twice = [("x", 1), ("x", 2)].map(|(name, n)| (name, Arc::new(Int64Array::from(vec![n])) as ArrayRef));
    let twice = open(vec![("t.parquet", parquet(twice.to_vec(), 10))]);
    assert!(matches!(facts(&twice), Err(ReadError::DuplicateColumn { positions: (1, 2), .. })));
}

#[test]
fn too_many_bytes_are_refused_before_they_are_read() {
    let columns = vec![("id", Arc::new(Int64Array::from(vec![7; 10_000])) as ArrayRef)];
    let bytes = parquet(columns, 1 << 20);
    assert!(bytes.len() < 9_000);
    let options = SourceOptions { max_bytes: 9_000, ..SourceOptions::default() };
    let sources = Sources::open(vec![Input::Bytes { name: "t.parquet".into(), bytes }], options).unwrap();
    let error = read_all(&sources, &schema(&[("id", Role::Id)]), 1).err();
    assert_eq!(error, Some(ReadError::TooLarge { file: "t.parquet".into(), limit: 9_000 }));
}

/// Damage must be found or do no harm: an error or some table, never a panic that leaves the crate, never endless memory.
#[test]
fn damaged_files_are_errors() {
    let text = |i: usize| format!("customer {}", i % 17);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..300))),
        ("when", Arc::new(TimestampMicrosecondArray::from_iter_values((0..300).map(|i| 1_500_000_000_000_000 + i)))),
        ("user", Arc::new(StringArray::from_iter_values((0..300).map(text)))),
        ("amount", Arc::new((0..300).map(|i| (i % 5 > 0).then_some(f64::from(i))).collect::<Float64Array>())),
        ("fraud", Arc::new((0..300).map(|i| Some(i % 9 == 0)).collect::<BooleanArray>())),
    ];
    let roles = schema(&[
        ("id", Role::Id),
        ("when", Role::Time),
        ("user", Role::Customer),
        ("amount", Role::Amount),
        ("fraud", Role::Label),
    ]);
    let whole = parquet(columns, 128);
    // The library's panics are caught, but each would print its message.
    std::panic::set_hook(Box::new(|_| ()));
    let mut n_errors = 0;
    let mut run = |bytes: Vec<u8>| {
        let sources = open(vec![("t.parquet", bytes)]);
        n_errors += usize::from(read_all(&sources, &roles, 1).is_err());
        let _ = facts(&sources);
    };
    for n in (0..whole.len()).step_by(37) {
        run(whole[..n].to_vec());
    }
    for at in (0..whole.len()).step_by(3) {
        let mut bytes = whole.clone();
        bytes[at] ^= [0xff, 0x01, 0x80, 0x10][at % 4];
        run(bytes);
    }
    let _ = std::panic::take_hook();
    assert!(n_errors > whole.len() / 20, "{n_errors} of {}", whole.len());
}

#[test]
fn features_are_written_and_read_back() {
    let columns =
        [("id", Kind::Text), ("time", Kind::Time), ("label", Kind::Label), ("count(order) by card", Kind::Number)];
    let ids: Vec<String> = (0..1_000).map(|i| format!("o{i}")).collect();
    let ids: Vec<Option<&str>> = ids.iter().enumerate().map(|(i, id)| (i != 5).then_some(id.as_str())).collect();
    let times: Vec<i64> =
        (0..1_000).map(|i| if i == 6 { MISSING_I64 } else { 1_500_000_000_000 + i * 61_007 }).collect();
    let labels: Vec<i8> = (0..1_000).map(|i| (i % 3) as i8 - 1).collect();
    let counts: Vec<f32> = (0..1_000).map(|i| if i % 4 == 0 { f32::NAN } else { i as f32 / 7.0 }).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("features.parquet");
    let mut writer = ParquetWriter::new(std::fs::File::create(&path).unwrap(), &columns).unwrap();
    for part in 0..4 {
        let rows = part * 250..(part + 1) * 250;
        writer
            .write(&[
                Values::Text(&ids[rows.clone()]),
                Values::Time(&times[rows.clone()]),
                Values::Label(&labels[rows.clone()]),
                Values::Number(&counts[rows]),
            ])
            .unwrap();
    }
    assert_eq!(writer.write(&[Values::Text(&ids)]), Err(WriteError::ColumnCount { expected: 4, found: 1 }));
    let wrong =
        writer.write(&[Values::Text(&ids), Values::Time(&times), Values::Label(&labels), Values::Label(&labels)]);
    assert!(matches!(wrong, Err(WriteError::WrongKind { expected: Kind::Number, .. })));
    let short = [Values::Text(&ids), Values::Time(&times[1..]), Values::Label(&labels), Values::Number(&counts)];
    assert!(matches!(writer.write(&short), Err(WriteError::RowCount { expected: 1_000, found: 999, .. })));
    writer.finish().unwrap();
    assert!(matches!(
        ParquetWriter::new(Vec::new(), &[("a", Kind::Text), ("a", Kind::Time)]),
        Err(WriteError::DuplicateColumn { .. })
    ));

    let sources = Sources::from_paths(&[dir.path()]).unwrap();
    let roles = schema(&[
        ("id", Role::Customer),
        ("time", Role::Timestamp),
        ("label", Role::Label),
        ("count(order) by card", Role::Number),
    ]);
    let outcome = read_all(&sources, &roles, 2).unwrap();
    let [ColumnData::Text(id), ColumnData::Time(time), ColumnData::Label(label), ColumnData::Number(count)] =
        &outcome.table.columns[..]
    else {
        panic!("columns have the types of their roles")
    };
    assert!(ids.iter().enumerate().all(|(row, text)| id.get(row) == *text));
    assert_eq!((time, label), (&times, &labels));
    assert!(counts.iter().zip(count).all(|(a, b)| (a.is_nan() && b.is_nan()) || *a == *b as f32));
}

/// A writer that cannot write.
struct Full;

impl std::io::Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("the disk is full"))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_fails_is_told() {
    let result = ParquetWriter::new(Full, &[("x", Kind::Number)]).and_then(|mut writer| {
        writer.write(&[Values::Number(&[1.0])])?;
        writer.finish().map(|_| ())
    });
    assert!(matches!(result, Err(WriteError::Io { message }) if message.contains("the disk is full")));
}
