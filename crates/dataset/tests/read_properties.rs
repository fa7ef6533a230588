//! The reader against a slow one written on the `csv` crate, for any text and any size of blocks.

use orderguard_dataset::profile::Profile;
use orderguard_dataset::read::{ReadOptions, read};
use orderguard_dataset::scan::profile;
use orderguard_dataset::source::{Input, SourceOptions, Sources};
use orderguard_features::parse;
use orderguard_features::schema::{Available, Column, Role, Schema};
use orderguard_features::table::{ColumnData, MISSING_CODE};
use proptest::collection::vec;
use proptest::prelude::*;

fn schema() -> Schema {
    let mut schema = Schema::from_toml("column = []").unwrap();
    schema.columns = [("id", Role::Id), ("n", Role::Number), ("c", Role::Category)]
        .map(|(name, role)| Column { name: name.into(), role, available: Available::Order, format: None })
        .to_vec();
    schema
}

fn sources(name: &str, text: &[u8], block_bytes: usize) -> Sources {
    let options = SourceOptions { delimiter: Some(b','), block_bytes, max_field_bytes: 64, ..SourceOptions::default() };
    Sources::open(vec![Input::Bytes { name: name.into(), bytes: text.to_vec() }], options).unwrap()
}

/// All that can be told of a table: per row line, id, bits of the number and category; then the lines of rejected rows.
type Told = (Vec<(u64, String, u64, Option<String>)>, Vec<u64>);

/// Also returns the codes, which must be the same too, and the reasons.
fn told(name: &str, text: &[u8], block_bytes: usize) -> Result<(Told, Vec<u32>, String), String> {
    let options = ReadOptions { max_rejected: 1.0, ..ReadOptions::default() };
    let outcome =
        read(&sources(name, text, block_bytes), &schema(), &options, &|_, _| ()).map_err(|error| error.to_string())?;
    let [ColumnData::Text(ids), ColumnData::Number(numbers), ColumnData::Text(categories)] = &outcome.table.columns[..]
    else {
        panic!("the columns have the types of the schema")
    };
    let rows = outcome.table.rows().map(|row| {
        let id = ids.get(row).expect("a row without id is rejected").to_owned();
        (outcome.table.line[row], id, numbers[row].to_bits(), categories.get(row).map(str::to_owned))
    });
    let lines = outcome.rejections.places.iter().map(|(_, line)| *line).collect();
    let reasons = format!("{:?}", outcome.rejections.first);
    assert!(ids.codes.iter().all(|&code| code != MISSING_CODE));
    Ok(((rows.collect(), lines), [ids.codes.clone(), categories.codes.clone()].concat(), reasons))
}

/// One row after the other, by the `csv` crate.
fn told_naive(text: &str) -> Told {
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).terminator(csv::Terminator::Any(b'\n')).from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers().unwrap().iter().map(|name| name.trim_ascii().to_owned()).collect();
    let at = |name: &str| header.iter().position(|found| found == name).unwrap();
    let (id, number, category) = (at("id"), at("n"), at("c"));
    let (mut rows, mut rejected) = (Vec::new(), Vec::new());
    let (mut line, mut counted) = (1, 0);
    for record in reader.records() {
        let record = record.unwrap();
        // The crate counts from where its reading stood, blank lines before the record not yet passed.
        let start = record.position().unwrap().byte() as usize;
        let blank = text[start..].bytes().take_while(|b| *b == b'\n').count();
        line += text[counted..start + blank].matches('\n').count() as u64;
        counted = start + blank;
        let is_quoted = text[start + blank..].starts_with('"');
        if record.len() == 1 && record[0].trim_ascii().is_empty() && !is_quoted {
            continue;
        }
        let cell = |i: usize| record[i].trim_ascii();
        if record.len() != header.len() || parse::is_missing(cell(id)) || parse::number(cell(number)).is_err() {
            rejected.push(line);
            continue;
        }
        let level = Some(cell(category)).filter(|text| !parse::is_missing(text)).map(str::to_owned);
        rows.push((line, cell(id).to_owned(), parse::number(cell(number)).unwrap().to_bits(), level));
    }
    (rows, rejected)
}

/// A field as exporters write them, well formed.
fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..50_u32).prop_map(|n| n.to_string()),
        1 => "[0-9]{6,9}",
        1 => "0[0-9]{0,2}",
        1 => "[-+]?[0-9]{0,3}\\.[0-9]{0,3}",
        1 => "[a-cé.\" ]{0,4}".prop_map(|text| format!("x{text}")),
        1 => "[a-cé,\n\r ]{0,5}".prop_map(|text| format!("\"{text}\"")),
        1 => "[a-c,\n]{0,2}".prop_map(|text| format!("\"{text}\"\"{text}\"")),
        1 => "[a-c\n]{0,2}".prop_map(|text| format!("\"{text}\"{text}").trim_end().to_owned()),
        1 => Just(String::new()),
        1 => Just(" NaN ".to_owned()),
    ]
}

fn table() -> impl Strategy<Value = String> {
    let line_end = prop_oneof![3 => Just("\n"), 1 => Just("\r\n"), 1 => Just("\n\n")];
    let row = (vec(field(), 2..4), prop::bool::weighted(0.2), line_end.clone());
    (vec(row, 0..40), prop::bool::ANY, line_end).prop_map(|(rows, ends, header_end)| {
        let mut text = format!("c,id,\"n\"{header_end}");
        for (mut fields, one_more, line_end) in rows {
            if one_more {
                fields.push("7".to_owned());
            }
            text.push_str(&fields.join(","));
            text.push_str(line_end);
        }
        if !ends {
            text.push_str("a,last,1");
        }
        text
    })
}

fn facts(name: &str, text: &[u8], block_bytes: usize, n_threads: usize) -> Result<String, String> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
    let result: Result<Profile, _> = pool.install(|| profile(&sources(name, text, block_bytes), &|_, _| ()));
    result.map(|profile| format!("{profile:?}")).map_err(|error| error.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_block_size_reads_what_the_naive_reader_reads(text in table(), block_bytes in 1..200_usize) {
        match told("t.csv", text.as_bytes(), block_bytes) {
            Ok((told, codes, reasons)) => {
                prop_assert_eq!(&told, &told_naive(&text));
                let whole = told_codes_of_one_block(&text);
                prop_assert_eq!((codes, reasons), whole);
            }
            Err(error) => {
                let (rows, rejected) = told_naive(&text);
                prop_assert!(rows.is_empty() && rejected.is_empty(), "{}", error);
            }
        }
    }

    #[test]
    fn any_bytes_read_the_same_in_any_blocks(
        body in vec(prop::sample::select(&b"\"\"\",,\n\n\r 1ax\xc3\xa9\\{}:"[..]), 0..300),
        block_bytes in 1..100_usize,
        n_threads in 1..4_usize,
        json in prop::bool::ANY,
    ) {
        let (name, start) = if json { ("t.jsonl", &b"{\"id\":1,\"n\":2,\"c\":3}\n"[..]) } else { ("t.csv", &b"id,n,c\n"[..]) };
        let text = [start, &body].concat();
        prop_assert_eq!(told(name, &text, block_bytes), told(name, &text, 1 << 20));
        prop_assert_eq!(facts(name, &text, block_bytes, n_threads), facts(name, &text, 1 << 20, 1));
    }

    #[test]
    fn the_profile_counts_what_a_recount_counts(
        rows in vec((prop_oneof!["[0-9]{1,3}", "[0-9]\\.[0-9]{0,3}", "-?[0-9]{1,2}", Just("NA".to_owned()), "[a-h]{1,3}"], 0..5_u8), 1..60),
        block_bytes in 1..100_usize,
    ) {
        let text: String = std::iter::once("n,c\n".to_owned()).chain(rows.iter().map(|(n, c)| format!("{n},v{c}\n"))).collect();
        let facts = profile(&sources("t.csv", text.as_bytes(), block_bytes), &|_, _| ()).unwrap();
        let values: Vec<Option<f64>> = rows.iter().map(|(n, _)| n.parse().ok()).collect();
        let n = &facts.columns[0];
        prop_assert_eq!(facts.n_rows, rows.len() as u64);
        prop_assert_eq!(n.n_missing, rows.iter().filter(|(n, _)| parse::is_missing_number(n)).count() as u64);
        prop_assert_eq!(n.n_number, values.iter().flatten().filter(|x| !x.is_nan()).count() as u64);
        prop_assert_eq!(n.n_integer, rows.iter().filter(|(n, _)| n.parse::<i64>().is_ok()).count() as u64);
        let increasing = values.windows(2).filter(|pair| matches!(pair, [Some(a), Some(b)] if b > a)).count();
        prop_assert_eq!(n.n_increasing, increasing as u64);
        let low = values.iter().flatten().copied().filter(|x| !x.is_nan()).min_by(f64::total_cmp);
        prop_assert_eq!(n.number_range.map(|range| range.0), low.map(|x| x + 0.0));
        let decimals = rows.iter().filter(|(n, _)| n.parse::<f64>().is_ok()).filter_map(|(n, _)| n.split_once('.'));
        prop_assert_eq!(usize::from(n.max_decimals), decimals.map(|(_, d)| d.trim_end_matches('0').len()).max().unwrap_or(0));
        let c = &facts.columns[1];
        let mut counts = std::collections::BTreeMap::new();
        for (_, c) in &rows {
            *counts.entry(format!("v{c}")).or_insert(0_u64) += 1;
        }
        let mut top: Vec<(String, u64)> = counts.into_iter().collect();
        top.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        prop_assert_eq!((c.n_distinct, &c.top), (top.len() as u64, &top));
    }
}

fn told_codes_of_one_block(text: &str) -> (Vec<u32>, String) {
    let (_, codes, reasons) = told("t.csv", text.as_bytes(), 1 << 20).unwrap();
    (codes, reasons)
}

/// Rows enough for many batches and blocks, nearly all of them good: what is read a batch at a time and what is then read
/// again row by row must be put together in the order of the file.
#[test]
fn long_files_read_as_the_naive_reader_reads_them() {
    let mut seed = 1_u64;
    let mut below = |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    let mut text = String::from("c,id,n\n");
    for row in 0..20_000 {
        let odd = below(200);
        let (c, id, n) = (below(30), below(12_000_000), below(1_000));
        let line = match odd {
            0 => format!("{c},{id}\n"),
            1 => format!("{c},,{n}\n"),
            2 => format!("{c},{id},many\n"),
            3 => format!("\"{c}\n{c}\",{id},{n}\r\n"),
            4 => format!("\"{c}\",\"{id}\",\"{n}\"\n"),
            5 => format!("{c},0{id},{n}.50\n"),
            6 => format!(" é{c} ,{id}x,-{n}.5\n\n"),
            7 => format!("{c},{id},{n},{n}\n"),
            _ if row % 5 == 0 => format!("v{c},{id},{}.{}\n", n, below(100)),
            _ => format!("{c},{id},{n}\n"),
        };
        text.push_str(&line);
    }
    let naive = told_naive(&text);
    assert!(naive.0.len() > 19_000 && naive.1.len() > 50);
    let (told_whole, codes, reasons) = told("t.csv", text.as_bytes(), 1 << 20).unwrap();
    let differs = told_whole.0.iter().zip(&naive.0).find(|(told, naive)| told != naive);
    assert_eq!((told_whole.0.len(), differs, &told_whole.1), (naive.0.len(), None, &naive.1));
    for block_bytes in [5_000, 70_000] {
        let (told, more_codes, more_reasons) = told("t.csv", text.as_bytes(), block_bytes).unwrap();
        assert!(told == naive && more_codes == codes && more_reasons == reasons);
    }
    // Codes count texts by first appearance.
    for codes in codes.chunks(naive.0.len()) {
        let mut next = 0;
        for &code in codes.iter().filter(|&&code| code != MISSING_CODE) {
            assert!(code <= next);
            next += u32::from(code == next);
        }
    }
}
