//! Files of every kind, read to typed tables: what is accepted, what is rejected and where.

use std::io::Write;

use orderguard_dataset::error::ReadError;
use orderguard_dataset::json_lines::JsonFault;
use orderguard_dataset::read::{ReadOptions, ReadOutcome, read};
use orderguard_dataset::rejection::RejectReason;
use orderguard_dataset::scan::profile;
use orderguard_dataset::source::{Input, SourceOptions, Sources};
use orderguard_features::kind::EventKind;
use orderguard_features::parse::CellError;
use orderguard_features::schema::{Available, Column, Role, Schema, TimeFormat};
use orderguard_features::table::{ColumnData, EventTable, MISSING_I64};

fn column(name: &str, role: Role) -> Column {
    let is_time = matches!(role, Role::Time | Role::LabelTime | Role::Timestamp);
    Column { name: name.into(), role, available: Available::Order, format: is_time.then_some(TimeFormat::Iso) }
}

fn schema(columns: &[(&str, Role)]) -> Schema {
    let mut schema = Schema::from_toml("column = []").unwrap();
    schema.columns = columns.iter().map(|(name, role)| column(name, *role)).collect();
    schema
}

fn bytes(name: &str, bytes: impl Into<Vec<u8>>) -> Input {
    Input::Bytes { name: name.into(), bytes: bytes.into() }
}

fn open(inputs: Vec<Input>) -> Sources {
    Sources::open(inputs, SourceOptions::default()).unwrap()
}

/// Half of the rows may be bad, since the files are tiny.
fn lenient() -> ReadOptions {
    ReadOptions { max_rejected: 0.5, ..ReadOptions::default() }
}

fn read_one(input: Input, columns: &[(&str, Role)]) -> Result<ReadOutcome, ReadError> {
    read(&open(vec![input]), &schema(columns), &lenient(), &|_, _| ())
}

fn texts(outcome: &ReadOutcome, position: usize) -> Vec<Option<&str>> {
    let ColumnData::Text(column) = &outcome.table.columns[position] else { panic!("not a text column") };
    outcome.table.rows().map(|row| column.get(row)).collect()
}

fn numbers(outcome: &ReadOutcome, position: usize) -> &[f64] {
    let ColumnData::Number(values) = &outcome.table.columns[position] else { panic!("not a number column") };
    values
}

fn rejected(outcome: &ReadOutcome) -> Vec<(u64, Option<&str>, RejectReason)> {
    outcome.rejections.first.iter().map(|r| (r.line, r.column.as_deref(), r.reason.clone())).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zst(text: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(text, 3).unwrap()
}

const ORDERS: [(&str, Role); 6] = [
    ("id", Role::Id),
    ("when", Role::Time),
    ("amount", Role::Amount),
    ("age", Role::Number),
    ("fraud", Role::Label),
    ("note", Role::Text),
];

#[test]
fn every_role_becomes_its_type() {
    let text = "\u{feff}id,when,amount,age,fraud,note\r\n\
                a1, 2020-01-01 00:00:01 ,12.5,41,FALSE,\"x, \"\"y\"\"\"\r\n\
                a2,2020-01-01 00:00:02,,NA,fraud,\"two\r\nlines\"\r\n\
                \r\n\
                a3,2020-01-01 00:00:03,-0.01,1e2,,z\r\n";
    let outcome = read_one(bytes("t.csv", text), &ORDERS).unwrap();
    assert_eq!(outcome.n_rows_seen, 3);
    assert_eq!(outcome.rejections.count(), 0);
    assert_eq!(outcome.table.line, [2, 3, 6]);
    assert_eq!(outcome.bytes, text.len() as u64);
    assert_eq!(texts(&outcome, 0), [Some("a1"), Some("a2"), Some("a3")]);
    let columns = &outcome.table.columns;
    assert!(
        matches!(&columns[1], ColumnData::Time(t) if t[..] == [1_577_836_801_000, 1_577_836_802_000, 1_577_836_803_000])
    );
    assert!(matches!(&columns[2], ColumnData::Amount(a) if a[..] == [1_250, MISSING_I64, -1]));
    assert!(matches!(&columns[3], ColumnData::Number(n) if n[0] == 41.0 && n[1].is_nan() && n[2] == 100.0));
    assert!(matches!(&columns[4], ColumnData::Label(l) if l[..] == [0, 1, -1]));
    assert!(matches!(&columns[5], ColumnData::Absent));
}

#[test]
fn bad_rows_are_told_with_line_column_and_reason() {
    let mut text = b"id,when,amount,age,fraud,note\n".to_vec();
    for row in [
        &b"a1,2020-01-01,1,1,0,x\n"[..],
        b"a2,yesterday,1,1,0,x\n",
        b"a3,2020-01-01,1.005,1,0,\"x\n\n\"\n",
        b"a4,2020-01-01,1,1,0\n",
        b"a5,,1,1,0,x\n",
        b" ,2020-01-01,1,1,0,x\n",
        b"a7,2020-01-01,1,1,0,\xff\n",
        b"a8,2020-01-01,1,1,maybe,x,\n",
        b"a9,2020-01-01,1,inf,maybe,x\n",
    ] {
        text.extend(row);
    }
    text.extend(b"b,2020-01-01,1,1,0,x\n".repeat(10));
    let outcome = read_one(bytes("t.csv", text), &ORDERS).unwrap();
    assert_eq!(
        rejected(&outcome),
        [
            (3, Some("when"), RejectReason::Cell(CellError::NotATime { format: TimeFormat::Iso, n_chars: 9 })),
            (4, Some("amount"), RejectReason::Cell(CellError::TooManyDecimals { found: 3, allowed: 2 })),
            (7, None, RejectReason::FieldCount { expected: 6, found: 5 }),
            (8, Some("when"), RejectReason::Missing { role: Role::Time }),
            (9, Some("id"), RejectReason::Missing { role: Role::Id }),
            (10, None, RejectReason::NotUtf8 { at: 20 }),
            (11, None, RejectReason::FieldCount { expected: 6, found: 7 }),
            (12, Some("age"), RejectReason::Cell(CellError::NumberOutOfRange)),
        ]
    );
    assert_eq!(outcome.rejections.places, [3, 4, 7, 8, 9, 10, 11, 12].map(|line| (0, line)));
    assert_eq!(outcome.table.line, std::iter::once(2).chain(13..23).collect::<Vec<u64>>());
    assert_eq!(
        outcome.rejections.first[0].to_string(),
        "line 3: column \"when\": expected a time such as 2018-04-01 00:00:31, found text of 9 characters"
    );
}

#[test]
fn too_many_bad_rows_stop_the_run() {
    let columns = [("a", Role::Number)];
    let text = |n_bad: usize| format!("a\n{}{}", "x\n".repeat(n_bad), "1\n".repeat(200 - n_bad));
    let run =
        |n_bad| read(&open(vec![bytes("t.csv", text(n_bad))]), &schema(&columns), &ReadOptions::default(), &|_, _| ());
    assert_eq!(run(2).unwrap().rejections.count(), 2);
    let Err(ReadError::TooManyRejected { rejected: 3, seen: 200, limit: 2, first, files }) = run(3) else {
        panic!("three of 200 are more than 1 %")
    };
    assert_eq!((first.len(), first[0].line, files), (3, 2, vec!["t.csv".to_owned()]));
    // One bad row is always borne, and all bad rows are counted, the first 1,000 with their reasons.
    let small = read(&open(vec![bytes("t.csv", "a\nx\n1\n")]), &schema(&columns), &ReadOptions::default(), &|_, _| ());
    assert_eq!(small.unwrap().rejections.count(), 1);
    let many = format!("a\n{}", "x\n".repeat(1_500));
    let all = ReadOptions { max_rejected: 1.0, ..ReadOptions::default() };
    let many = read(&open(vec![bytes("t.csv", many)]), &schema(&columns), &all, &|_, _| ()).unwrap();
    assert_eq!((many.rejections.places.len(), many.rejections.first.len(), many.table.n_rows), (1_500, 1_000, 0));
    assert_eq!(many.rejections.first[999].line, 1_001);
}

#[test]
fn delimiters_are_found_or_given() {
    for (text, delimiter) in [
        ("a;b\n1;2\n", None),
        ("a\tb\n1\t2\n", None),
        ("a|b\n1|2\n", None),
        ("a^b\n1^2\n", Some(b'^')),
        ("a,b\r1,2\r", None),
    ] {
        let options = SourceOptions { delimiter, ..SourceOptions::default() };
        let sources = Sources::open(vec![bytes("-", text)], options).unwrap();
        let outcome = read(&sources, &schema(&[("b", Role::Number)]), &lenient(), &|_, _| ()).unwrap();
        assert_eq!(numbers(&outcome, 0), [2.0], "{text:?}");
        assert_eq!(outcome.table.line, [2]);
    }
}

#[test]
fn archives_are_told_by_their_bytes() {
    let text = b"a\n1\n2\n3\n";
    let (head, tail) = text.split_at(4);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9][..], &zst(text)].concat();
    for (name, content) in [
        ("x.csv.gz", gzip(text)),
        ("x.csv.zst", zst(text)),
        ("no-name", gzip(text)),
        ("no-name", zst(text)),
        ("wrong.csv.zst", gzip(text)),
        ("plain.csv.gz", text.to_vec()),
        ("multi.csv.gz", [gzip(head), gzip(tail)].concat()),
        ("multi.csv.zst", [zst(head), zst(tail)].concat()),
        ("skip.csv.zst", skippable),
    ] {
        let outcome = read_one(bytes(name, content), &[("a", Role::Number)]).unwrap();
        assert_eq!(numbers(&outcome, 0), [1.0, 2.0, 3.0], "{name}");
        assert_eq!(outcome.bytes, text.len() as u64);
    }
}

#[test]
fn a_truncated_archive_is_an_error_at_every_byte() {
    let text: String = std::iter::once("a,b\n".to_owned()).chain((0..40).map(|i| format!("{i},{}\n", i * i))).collect();
    for (name, whole) in [("x.csv.gz", gzip(text.as_bytes())), ("x.csv.zst", zst(text.as_bytes()))] {
        for n in 1..whole.len() {
            let error = read_one(bytes(name, &whole[..n]), &[("a", Role::Number)]).unwrap_err();
            assert_eq!(error, ReadError::TruncatedArchive { file: name.into(), at: n as u64 }, "{name} cut to {n}");
        }
        let mut altered = whole.clone();
        let middle = whole.len() / 2;
        altered[middle] ^= 0x55;
        // A flipped bit may also hit the text itself; then the checksum of gzip tells, zstd as written here has none.
        if name.ends_with("gz") {
            let error = read_one(bytes(name, altered), &[("a", Role::Number)]).unwrap_err();
            assert!(matches!(error, ReadError::CorruptArchive { .. } | ReadError::TruncatedArchive { .. }), "{error}");
        }
    }
    assert_eq!(read_one(bytes("x.csv.gz", ""), &[]).unwrap_err(), ReadError::Empty { file: "x.csv.gz".into() });
}

#[test]
fn a_small_archive_cannot_fill_the_memory() {
    let bomb = zst(&vec![b'1'; 50 << 20]);
    let options = SourceOptions { max_bytes: 1 << 20, ..SourceOptions::default() };
    let sources = Sources::open(vec![bytes("bomb.csv.zst", bomb)], options).unwrap();
    let error = read(&sources, &schema(&[]), &lenient(), &|_, _| ()).unwrap_err();
    assert_eq!(error, ReadError::TooLarge { file: "bomb.csv.zst".into(), limit: 1 << 20 });
    let options = SourceOptions { max_bytes: 10, ..SourceOptions::default() };
    let endless = Input::Reader { name: "-".into(), reader: Box::new(std::io::repeat(b'x')) };
    assert_eq!(Sources::open(vec![endless], options).err(), Some(ReadError::TooLarge { file: "-".into(), limit: 10 }));
}

#[test]
fn json_lines_keep_numbers_exact() {
    let text = r#"{"id": 12345678901234567890, "when":"2020-01-01T00:00:00Z","amount":0.10,"age":null,"fraud":true,"extra":{"x":[1]}}

{"when":"2020-01-01T00:00:01Z","id":"b\u00e9","fraud":false,"amount":"7"}
{"when":"2020-01-01T00:00:01Z","id":[1]}
{"when":"2020-01-01T00:00:01Z","id":1,"id":2}
{"when":"2020-01-01T00:00:01Z","id":1
{"when":"2020-01-01T00:00:02Z","age":3}
{"when":"2020-01-01T00:00:02Z","age":NaN,"id":"  c "}
{"when":"2020-01-01T00:00:02Z","age":7,"id":"d"}
{"when":"2020-01-01T00:00:02Z","age":7,"id":"e"}
{"when":"2020-01-01T00:0"#;
    for name in ["x.jsonl", "unnamed", "x.ndjson.gz"] {
        let content = if name.ends_with("gz") { gzip(text.as_bytes()) } else { text.into() };
        let outcome = read_one(bytes(name, content), &ORDERS).unwrap();
        assert_eq!(texts(&outcome, 0), [Some("12345678901234567890"), Some("bé"), Some("c"), Some("d"), Some("e")]);
        assert!(
            matches!(&outcome.table.columns[2], ColumnData::Amount(a) if a[..2] == [10, 700] && a[2] == MISSING_I64)
        );
        assert!(matches!(&outcome.table.columns[4], ColumnData::Label(l) if l[..] == [1, 0, -1, -1, -1]));
        assert_eq!(
            rejected(&outcome),
            [
                (4, Some("id"), RejectReason::Json { at: 31, fault: JsonFault::Nested }),
                (5, Some("id"), RejectReason::Json { at: 38, fault: JsonFault::DuplicateKey }),
                (6, None, RejectReason::Json { at: 37, fault: JsonFault::Expected("`,` or `}`") }),
                (7, Some("id"), RejectReason::Missing { role: Role::Id }),
                (11, None, RejectReason::FileEndsInside),
            ]
        );
    }
    let lacking = read_one(bytes("x.jsonl", "{\"a\":1}\n"), &[("a", Role::Number), ("b", Role::Number)]);
    assert_eq!(
        lacking.unwrap_err(),
        ReadError::MissingColumn { file: "x.jsonl".into(), column: "b".into(), found: vec![], of_events: false }
    );
}

#[test]
fn files_are_joined_by_column_name() {
    let inputs = || {
        vec![
            bytes("1.csv", "a,b,c\n1,x,\n"),
            bytes("2.tsv", "c\tb\ta\n\ty\t2\n"),
            bytes("3.jsonl", "{\"b\":\"x\",\"a\":3}\n"),
            bytes("4.csv", "a,b,c\n"),
        ]
    };
    let columns = [("b", Role::Category), ("a", Role::Number), ("c", Role::Ignored)];
    let outcome = read(&open(inputs()), &schema(&columns), &lenient(), &|_, _| ()).unwrap();
    assert_eq!(texts(&outcome, 0), [Some("x"), Some("y"), Some("x")]);
    assert_eq!(numbers(&outcome, 1), [1.0, 2.0, 3.0]);
    assert_eq!(outcome.table.source, [0, 1, 2]);
    assert_eq!(outcome.table.line, [2, 2, 1]);
    assert_eq!(outcome.files, ["1.csv", "2.tsv", "3.jsonl", "4.csv"]);
    let facts = profile(&open(inputs()), &|_, _| ()).unwrap();
    assert_eq!(
        facts.columns.iter().map(|c| (c.name.as_str(), c.n_missing)).collect::<Vec<_>>(),
        [("a", 0), ("b", 0), ("c", 3)]
    );

    let two = || open(vec![bytes("1.csv", "a,b\n1,2\n"), bytes("2.csv", "a,c\n1,2\n")]);
    let expected = ReadError::MissingColumn {
        file: "2.csv".into(),
        column: "b".into(),
        found: vec!["a".into(), "c".into()],
        of_events: false,
    };
    let used = schema(&[("a", Role::Number), ("b", Role::Number)]);
    assert_eq!(read(&two(), &used, &lenient(), &|_, _| ()).unwrap_err(), expected);
    assert_eq!(profile(&two(), &|_, _| ()).unwrap_err(), expected);
    let ignored = schema(&[("a", Role::Number), ("b", Role::Ignored)]);
    assert_eq!(read(&two(), &ignored, &lenient(), &|_, _| ()).unwrap().table.n_rows, 2);
}

#[test]
fn the_label_may_lack_when_scoring() {
    let columns = schema(&[("a", Role::Number), ("fraud", Role::Label)]);
    let sources = open(vec![bytes("1.csv", "a\n1\n")]);
    assert!(matches!(
        read(&sources, &columns, &ReadOptions::default(), &|_, _| ()),
        Err(ReadError::MissingColumn { .. })
    ));
    let outcome = read(&sources, &columns, &ReadOptions::for_scoring(), &|_, _| ()).unwrap();
    assert!(matches!(outcome.table.columns[1], ColumnData::Absent));
    let mixed = open(vec![bytes("1.csv", "a\n1\n"), bytes("2.csv", "a,fraud\n1,1\n")]);
    let outcome = read(&mixed, &columns, &ReadOptions::for_scoring(), &|_, _| ()).unwrap();
    assert!(matches!(&outcome.table.columns[1], ColumnData::Label(l) if l[..] == [-1, 1]));
}

#[test]
fn json_columns_stand_in_one_order_whatever_the_order_of_the_rows() {
    let lines = ["{\"b\":1,\"c\":\"x\"}\n", "{\"a\":2,\"b\":3}\n", "{\"d\":1,\"a\":null}\n"];
    let whole = ["{\"z\":1,\"d\":2,\"a\":null,\"c\":1,\"b\":2}\n", "{\"c\":1}\n", "{\"d\":1,\"b\":1}\n"];
    for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let text: String = order.into_iter().map(|i| whole[i]).collect();
        let found = profile(&open(vec![bytes("t.jsonl", text)]), &|_, _| {}).unwrap();
        let names: Vec<&str> = found.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["z", "d", "a", "c", "b"], "as in the object that has all");
        let text: String = order.into_iter().map(|i| lines[i]).collect();
        let found = profile(&open(vec![bytes("t.jsonl", text)]), &|_, _| {}).unwrap();
        let names: Vec<&str> = found.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["d", "a", "b", "c"], "d is first wherever it is");
    }
    let mixed = vec![bytes("1.jsonl", lines[0]), bytes("2.csv", "c,b\ny,2\n"), bytes("3.csv", "b,c\n2,y\n")];
    let found = profile(&open(mixed), &|_, _| {}).unwrap();
    assert_eq!(found.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["c", "b"]);
}

#[test]
fn names_may_look_like_numbers() {
    for header in
        ["a,2019,2020", "2019,2020,2021,a", "0,1,2,3,a", "1,2,3,a", "a,b,7.5", "a,nan,inf", "a,30d,7-day", "a,v1.2,3DS"]
    {
        let row = vec!["1"; header.split(',').count()].join(",");
        let outcome = read_one(bytes("f.csv", format!("{header}\n{row}\n").as_bytes()), &[("a", Role::Number)]);
        assert_eq!(outcome.unwrap().table.n_rows, 1, "{header}");
    }
}

#[test]
fn faulty_files_are_typed_errors() {
    let error = |content: &[u8]| read_one(bytes("f.csv", content), &[("a", Role::Number)]).unwrap_err();
    let file = || "f.csv".to_owned();
    assert_eq!(error(b""), ReadError::Empty { file: file() });
    assert_eq!(error(b"\n \r\n"), ReadError::Empty { file: file() });
    assert_eq!(error(b"\xef\xbb\xbf"), ReadError::Empty { file: file() });
    assert_eq!(error(b"a,b\n"), ReadError::HeaderOnly { file: file() });
    assert_eq!(error(b"a,b"), ReadError::HeaderOnly { file: file() });
    assert_eq!(
        error(b"b,a, a\n1,2,3\n"),
        ReadError::DuplicateColumn { file: file(), column: "a".into(), positions: (2, 3) }
    );
    for (value, kind) in [
        ("jane.roe@shop.example", "an e-mail address"),
        ("+48 600 100 200", "a phone number"),
        ("4111-1111-1111-1111", "a card number"),
        ("2024-05-06 07:08:09", "a time"),
        ("2024-05-06", "a time"),
        ("5/24/2024 22:55", "a time"),
        ("57.10", "a number"),
        ("1715000000", "a number"),
    ] {
        let found = error(format!("a,{value}\n1,2\n").as_bytes());
        assert_eq!(found, ReadError::HeaderOfValues { file: file(), position: 2, kind });
        assert!(!found.to_string().contains(value));
    }
    assert!(matches!(error(b"10017,0,DE,-5.5\n1,2,3,4\n"), ReadError::HeaderOfValues { position: 1, .. }));
    let long = format!("a,{}\n1,2\n", "x".repeat(4_097));
    assert_eq!(
        error(long.as_bytes()),
        ReadError::NameTooLong { file: file(), position: 2, bytes: 4_097, limit: 4_096 }
    );
    assert_eq!(error(b"a,\xff\n1,2\n"), ReadError::HeaderNotUtf8 { file: file(), at: 2 });
    let parquet = error(b"PAR1....");
    if cfg!(feature = "parquet") {
        assert!(matches!(parquet, ReadError::CorruptParquet { .. }));
    } else {
        assert_eq!(parquet, ReadError::UnknownFormat { file: file(), found: "a Parquet file" });
    }
    assert_eq!(error(b"\xff\xfea\0"), ReadError::UnknownFormat { file: file(), found: "UTF-16 text" });
    assert_eq!(error(b"a\0b\n"), ReadError::UnknownFormat { file: file(), found: "binary data" });
    let found = vec!["b".to_owned()];
    assert_eq!(
        error(b"b\n1\n"),
        ReadError::MissingColumn { file: file(), column: "a".into(), found, of_events: false }
    );
    let array = read_one(bytes("f.json", "[{\"a\":1}]"), &[]).unwrap_err();
    assert!(matches!(array, ReadError::UnknownFormat { .. }));
    assert_eq!(
        profile(&open(vec![bytes("f.csv", "a\n")]), &|_, _| ()).unwrap_err(),
        ReadError::HeaderOnly { file: file() }
    );
    assert_eq!(profile(&open(vec![bytes("f.csv", "")]), &|_, _| ()).unwrap_err(), ReadError::Empty { file: file() });
    assert!(matches!(Sources::from_paths(&["/does/not/exist"]).err(), Some(ReadError::Io { .. })));
    let long = [b"a,\"".to_vec(), vec![b'x'; 5 << 10]].concat();
    let options = SourceOptions { max_field_bytes: 16, ..SourceOptions::default() };
    let sources = Sources::open(vec![bytes("f.csv", [long, b"\n".repeat(300_000)].concat())], options).unwrap();
    assert!(read(&sources, &schema(&[]), &lenient(), &|_, _| ()).is_err());
}

#[test]
fn folders_are_read_in_the_order_of_names() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
    assert!(matches!(Sources::from_paths(&[folder.path()]).err(), Some(ReadError::EmptyFolder { n_skipped: 0, .. })));
    put("b.csv", b"a\n2\n");
    put("a.csv.zst", &zst(b"a\n1\n"));
    put("notes.md", b"#");
    std::fs::create_dir(folder.path().join("sub.csv")).unwrap();
    let sources = Sources::from_paths(&[folder.path()]).unwrap();
    assert_eq!(sources.skipped(), [folder.path().join("notes.md")]);
    assert_eq!(sources.names().len(), 2);
    let calls = std::sync::Mutex::new(Vec::new());
    let outcome = read(&sources, &schema(&[("a", Role::Number)]), &lenient(), &|done, total| {
        calls.lock().unwrap().push((done, total));
    })
    .unwrap();
    assert_eq!(numbers(&outcome, 0), [1.0, 2.0]);
    let calls = calls.into_inner().unwrap();
    assert_eq!(calls.last(), Some(&(sources.stored_bytes(), sources.stored_bytes())));
    assert!(calls.windows(2).all(|pair| pair[0].0 <= pair[1].0));
}

#[test]
fn ten_thousand_columns() {
    let names: Vec<String> = (0..10_000).map(|i| format!("c{i}")).collect();
    let mut text = names.join(",");
    for row in 0..5 {
        text.push('\n');
        text.push_str(&(0..10_000).map(|i| (i + row).to_string()).collect::<Vec<_>>().join(","));
    }
    let columns: Vec<(&str, Role)> =
        names.iter().map(|name| (name.as_str(), if name == "c7" { Role::Category } else { Role::Number })).collect();
    let outcome = read_one(bytes("wide.csv", text.clone()), &columns).unwrap();
    assert_eq!(numbers(&outcome, 9_999), [9_999.0, 10_000.0, 10_001.0, 10_002.0, 10_003.0]);
    assert_eq!(texts(&outcome, 7)[4], Some("11"));
    let facts = profile(&open(vec![bytes("wide.csv", text)]), &|_, _| ()).unwrap();
    assert_eq!((facts.n_rows, facts.columns.len(), facts.columns[3].n_increasing), (5, 10_000, 4));
}

#[test]
fn a_huge_field_rejects_its_row_only() {
    let huge = "x".repeat(5 << 20);
    let tail = "1,y\n".repeat(9);
    let text = format!("a,b\n1,y\n2,{huge}\n3,\"{huge}\n\"\n4,y\n{tail}");
    let outcome = read_one(bytes("t.csv", text), &[("a", Role::Number), ("b", Role::Category)]).unwrap();
    let limit = 1 << 20;
    assert_eq!(
        rejected(&outcome),
        [
            (3, Some("b"), RejectReason::FieldTooLong { bytes: 5 << 20, limit }),
            (4, Some("b"), RejectReason::FieldTooLong { bytes: (5 << 20) + 3, limit }),
        ]
    );
    assert_eq!(outcome.table.line[..3], [2, 6, 7]);
    let json = format!("{{\"a\":1,\"b\":\"{huge}\"}}\n{{\"a\":2,\"b\":\"\"}}\n{{\"a\":3,\"b\":\"z\"}}\n");
    let outcome = read_one(bytes("t.jsonl", json), &[("a", Role::Number), ("b", Role::Category)]).unwrap();
    assert_eq!(rejected(&outcome), [(1, Some("b"), RejectReason::FieldTooLong { bytes: 5 << 20, limit })]);
    assert_eq!(texts(&outcome, 1), [None, Some("z")]);
}

#[test]
fn a_stray_quote_costs_one_row() {
    let rows = "1,x\n".repeat(100);
    let text = format!("a,b\n1,x\n2,\"oops\n3,x\n{rows}");
    let outcome = read_one(bytes("t.csv", text), &[("a", Role::Number)]).unwrap();
    assert_eq!(rejected(&outcome), [(3, None, RejectReason::UnclosedQuote)]);
    assert_eq!(outcome.table.n_rows, 102);
    assert_eq!(outcome.table.line[..3], [2, 4, 5]);

    // Far beyond any buffer: the row is given up when the quote did not close in 16 times the longest field.
    let options = SourceOptions { max_field_bytes: 100, block_bytes: 64, ..SourceOptions::default() };
    let text = format!("a,b\n1,x\n2,\"{}\n3,\"y\"\n{rows}", "long ".repeat(1_000));
    let sources = Sources::open(vec![bytes("t.csv", text)], options.clone()).unwrap();
    let outcome = read(&sources, &schema(&[("a", Role::Number)]), &lenient(), &|_, _| ()).unwrap();
    assert_eq!(rejected(&outcome), [(3, None, RejectReason::UnclosedQuote)]);
    assert_eq!(outcome.table.line[..3], [2, 4, 5]);

    let text = format!("a,b\n1,x\n2,{}\n3,\"y\"\n{rows}", "long ".repeat(10_000));
    let sources = Sources::open(vec![bytes("t.csv", text)], options).unwrap();
    let outcome = read(&sources, &schema(&[("a", Role::Number)]), &lenient(), &|_, _| ()).unwrap();
    assert_eq!(rejected(&outcome), [(3, None, RejectReason::RowTooLong { limit: 6_400 })]);
    assert_eq!(outcome.table.line[..3], [2, 4, 5]);
}

#[test]
fn a_cut_last_row_is_recognised() {
    let columns = [("a", Role::Number), ("fraud", Role::Label)];
    let rows = "1,0\n".repeat(10);
    let run = |text: String| {
        let outcome = read_one(bytes("t.csv", text.clone()), &columns).unwrap();
        let facts = profile(&open(vec![bytes("t.csv", text)]), &|_, _| ()).unwrap();
        assert_eq!(
            facts.n_rows, outcome.table.n_rows as u64,
            "no row here has a bad cell, so both passes take the same"
        );
        let rejected = outcome.rejections.first.into_iter().map(|r| (r.line, r.reason)).collect::<Vec<_>>();
        (outcome.table.n_rows, rejected)
    };
    let cut = |line| vec![(line, RejectReason::FileEndsInside)];
    assert_eq!(run(format!("a,fraud\n{rows}2,")), (10, cut(12)));
    assert_eq!(run(format!("a,fraud\n{rows}2")), (10, cut(12)));
    assert_eq!(run(format!("a,fraud\n{rows}2,\"")), (10, cut(12)));
    // A line end, an empty field elsewhere, or too few rows to tell: an order without a label.
    assert_eq!(run(format!("a,fraud\n{rows}2,\n")), (11, vec![]));
    assert_eq!(run(format!("a,fraud\n3,\n{rows}2,")), (12, vec![]));
    assert_eq!(run("a,fraud\n1,0\n2,".into()), (2, vec![]));
    // The cut row is also told so when a cell before the cut is bad.
    let outcome = read_one(bytes("t.csv", format!("a,fraud\n{rows}x,")), &columns).unwrap();
    assert_eq!(rejected(&outcome), [(12, None, RejectReason::FileEndsInside)]);
    assert_eq!(outcome.table.n_rows, 10);
}

#[test]
fn the_published_files_lose_their_cut_row() {
    // Not in the repository: runs where the folder is.
    let Ok(folder) = std::env::var("ORDERGUARD_DATA") else { return };
    for (name, rows, line) in [
        ("fraud_data_first30189_with_ip.csv.zst", 30_190, 30_191),
        ("fraud_data_first51689_no_ip.csv.zst", 51_690, 51_691),
    ] {
        let path = format!("{folder}/ecommerce-2015/{name}");
        let sources = Sources::from_paths(&[path]).unwrap();
        let mut schema = schema(&[
            ("purchase_time", Role::Time),
            ("signup_time", Role::Timestamp),
            ("purchase_value", Role::Amount),
            ("device_id", Role::Device),
            ("age", Role::Number),
            ("class", Role::Label),
        ]);
        schema.columns[0].format = Some(TimeFormat::MonthDayYear);
        schema.columns[1].format = Some(TimeFormat::MonthDayYear);
        let outcome = read(&sources, &schema, &ReadOptions::default(), &|_, _| ()).unwrap();
        assert_eq!(outcome.n_rows_seen, rows);
        assert_eq!(outcome.rejections.places, [(0, line)], "{name}");
    }
}

const STREAM: [(&str, Role); 5] = [
    ("order_id", Role::Id),
    ("at", Role::Time),
    ("event", Role::Event),
    ("amount", Role::Amount),
    ("reason", Role::Category),
];

fn events(outcome: &ReadOutcome) -> &EventTable {
    outcome.events.as_ref().expect("the data hold events")
}

#[test]
fn orders_and_other_events_become_two_tables() {
    let text = "order_id,at,event,amount,reason\n\
                a,2020-01-01,order,1,x\n\
                a,2020-01-05,Return,1,torn\n\
                ,2020-01-06,login,,\n\
                b,2020-01-02,,2,x\n\
                a,2020-02-01,charge back,1,\n\
                a,2020-02-01,CHARGEBACK,1,\n\
                ,2020-01-02,order,2,x\n\
                a,,return,1,x\n\
                a,1899-12-31 23:59:59,return,1,x\n\
                a,1900-01-01,return,1,x\n";
    let outcome = read_one(bytes("t.csv", text), &STREAM).unwrap();
    assert_eq!(texts(&outcome, 0), [Some("a"), Some("b")]);
    assert_eq!((outcome.table.line.as_slice(), outcome.n_rows_seen), (&[2, 5][..], 10));
    assert!(matches!(outcome.table.columns[2], ColumnData::Absent));
    let events = events(&outcome);
    assert_eq!(events.kinds, [EventKind::Return, EventKind::Login, EventKind::Chargeback, EventKind::Return]);
    assert_eq!(events.table.line, [3, 4, 7, 11]);
    let ColumnData::Text(ids) = &events.table.columns[0] else { panic!("ids are text") };
    assert_eq!(ids.levels.iter().collect::<Vec<_>>(), ["a"]);
    assert_eq!(ids.get(1), None);
    assert_eq!(
        rejected(&outcome),
        [
            (6, Some("event"), RejectReason::UnknownKind { n_chars: 11 }),
            (8, Some("order_id"), RejectReason::Missing { role: Role::Id }),
            (9, Some("at"), RejectReason::Missing { role: Role::Time }),
            (10, Some("at"), RejectReason::Cell(CellError::TimeOutOfRange)),
        ]
    );
    assert!(outcome.rejections.first[0].to_string().contains("expected a kind of event (order, payment_failed, "));
    // Without the column, all rows are orders.
    let outcome = read_one(bytes("t.csv", "order_id,at,amount,reason\na,2020-01-01,1,x\n"), &STREAM).unwrap();
    assert_eq!((outcome.table.n_rows, outcome.events.unwrap().kinds.len()), (1, 0));
    let outcome = read_one(bytes("t.csv", "order_id,at\na,2020-01-01\n"), &STREAM[..2]).unwrap();
    assert!(outcome.events.is_none());
}

#[test]
fn files_of_events_are_merged_and_may_lack_columns() {
    let orders = "order_id,at,amount,reason\na,2020-01-01,1,x\nb,2020-01-02,2,x\n";
    let mixed = "at,event,order_id\n2020-01-03,return,a\n2020-01-04,order,c\n2020-01-04,,c\n";
    let lines =
        "{\"at\": \"2020-03-01\", \"order_id\": \"b\"}\n{\"at\": \"2020-03-02\", \"event\": \"abuse_report\"}\n";
    let read_all = |inputs: [(Option<EventKind>, Input); 2]| {
        let mut sources = open(vec![bytes("o.csv", orders)]);
        for (kind, input) in inputs {
            sources.add_events(kind, input).unwrap();
        }
        read(&sources, &schema(&STREAM), &lenient(), &|_, _| ())
    };
    let chargeback = Some(EventKind::Chargeback);
    let outcome = read_all([(None, bytes("e.csv", mixed)), (chargeback, bytes("c.jsonl", lines))]).unwrap();
    assert_eq!(texts(&outcome, 0), [Some("a"), Some("b"), Some("c")]);
    assert_eq!(events(&outcome).kinds, [EventKind::Return, EventKind::Chargeback, EventKind::AbuseReport]);
    assert_eq!(events(&outcome).table.source, [1, 2, 2]);
    assert_eq!(outcome.is_events, [false, true, true]);
    assert_eq!(rejected(&outcome), [(4, Some("event"), RejectReason::Missing { role: Role::Event })]);
    assert!(matches!(&events(&outcome).table.columns[3], ColumnData::Amount(a) if a[..] == [MISSING_I64; 3]));

    // Neither the file nor the command says the kind.
    let without = "at,order_id\n2020-01-03,a\n";
    let error = read_all([(chargeback, bytes("e.csv", without)), (None, bytes("f.csv", without))]).unwrap_err();
    assert!(matches!(&error, ReadError::NoKind { file, column: Some(_), .. } if file == "f.csv"), "{error}");
    assert!(error.to_string().contains("KIND=FILE"), "{error}");
    let error = read_all([(chargeback, bytes("e.csv", "order_id\na\n")), (None, bytes("f.csv", mixed))]).unwrap_err();
    assert!(matches!(&error, ReadError::MissingColumn { column, .. } if column == "at"), "{error}");
    // What only the events have is not a column of the orders.
    let mut sources = open(vec![bytes("o.jsonl", "{\"order_id\": \"a\", \"at\": \"2020-01-01\"}\n")]);
    sources.add_events(chargeback, bytes("e.csv", orders)).unwrap();
    let error = read(&sources, &schema(&STREAM), &lenient(), &|_, _| ()).unwrap_err();
    assert!(matches!(&error, ReadError::MissingColumn { column, .. } if column == "amount"), "{error}");
}

#[test]
fn an_event_needs_a_time_even_where_orders_have_none() {
    let outcome = read_one(bytes("t.csv", "id,kind\na,\nb,login\nc,\n"), &[("id", Role::Id), ("kind", Role::Event)]);
    assert_eq!(rejected(&outcome.unwrap()), [(3, None, RejectReason::Missing { role: Role::Time })]);
}
