//! Features as a table and in words, files of features, and the shop's own tables.

use crate::harness::{Place, Table, cells, gzip, repository, zstd};

fn shop() -> Place {
    let place = Place::new();
    place.write("a.csv", Table::narrow(1_000).csv());
    place
}

fn header(csv: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    reader.headers().unwrap().iter().map(str::to_owned).collect()
}

#[test]
fn the_table_names_each_order_and_holds_its_features() {
    let place = shop();
    let out = place.ok("features --data a.csv --quiet").out;
    let names = header(&out);
    assert_eq!(names[..3], ["order_id", "order_time", "label"]);
    assert!(names.iter().any(|name| name.starts_with("count(order) by customer")), "{names:?}");
    assert_eq!(out.lines().count(), 1_001);
    let times: Vec<String> = cells(&out)[1..].iter().map(|row| row[1].clone()).collect();
    assert!(times.is_sorted(), "orders stand in the order in which they became known");

    place.ok("features --data a.csv -o f.csv --quiet");
    place.ok("features --data a.csv -o f.csv.zst --quiet");
    place.ok("features --data a.csv -o f.csv.gz --quiet --threads 1");
    assert!(place.text("f.csv") == out);
    assert!(zstd_text(&place.read("f.csv.zst")) == out);
    let mut unpacked = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(place.read("f.csv.gz").as_slice()), &mut unpacked)
        .unwrap();
    assert!(unpacked == out);
    place.fails("features --data a.csv -o f.txt", 2, &["f.txt", ".csv.zst"]);
    assert!(!place.files("").contains(&"f.txt".to_owned()));
}

fn zstd_text(bytes: &[u8]) -> String {
    String::from_utf8(zstd_decode(bytes)).unwrap()
}

fn zstd_decode(bytes: &[u8]) -> Vec<u8> {
    ::zstd::decode_all(bytes).unwrap()
}

#[test]
fn a_parquet_file_holds_the_same_as_a_csv() {
    let place = shop();
    place.ok("features --data a.csv -o f.csv --quiet");
    place.ok("features --data a.csv -o f.parquet --quiet");
    let bytes = place.read("f.parquet");
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    // Read back as a table of orders, both say the same.
    let schema = |file: &str| {
        place.ok(&format!("schema --data {file} -o {file}.toml --quiet"));
        place.text(&format!("{file}.toml"))
    };
    let columns = |text: &str| text.matches("[[column]]").count();
    assert_eq!(columns(&schema("f.parquet")), columns(&schema("f.csv")));
    let explain = |file: &str| place.ok(&format!("features --data {file} --quiet --schema f.csv.toml")).out;
    assert!(explain("f.parquet") == explain("f.csv"));
    place.ok("features --data a.csv -o g.parquet --quiet --threads 1");
    assert!(place.read("g.parquet") == bytes, "the same bytes for any number of threads");
}

#[test]
fn a_model_its_files_and_no_options_at_all_give_the_same_features() {
    let place = shop();
    place.ok("train --data a.csv --out out --trees 5");
    let plain = place.ok("features --data a.csv --quiet").out;
    let of_files = place.ok("features --data a.csv --schema out/schema.toml --features out/features.toml --quiet").out;
    let of_model = place.ok("features --data a.csv --model out/model.ogm --cold-start --quiet").out;
    assert!(plain == of_files && plain == of_model);
    let named: Vec<String> = place.json("out/report.json")["features"]
        .as_array()
        .unwrap()
        .iter()
        .map(|feature| feature["name"].as_str().unwrap().to_owned())
        .collect();
    let mut names = header(&plain)[3..].to_vec();
    assert!(named.iter().all(|name| names.contains(name)), "{named:?}");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), header(&plain).len() - 3);
}

#[test]
fn the_features_that_train_writes_make_the_same_model() {
    let place = shop();
    place.ok("train --data a.csv --out out --trees 5");
    let says_off = || place.json("out/report.json")["notes"].to_string().contains("default features are switched off");
    assert!(says_off());
    let (model, state) = (place.read("out/model.ogm"), place.read("out/state.ogs"));
    place.write("f.toml", place.read("out/features.toml"));
    place.ok("train --data a.csv --out out --trees 5 --features f.toml");
    assert!(place.read("out/model.ogm") == model, "the model differs");
    assert!(place.read("out/state.ogs") == state, "the state differs");
    assert!(!says_off(), "a file that lists its features leaves none out");
    assert_eq!(place.text("out/features.toml"), place.text("f.toml"));
}

#[test]
fn history_goes_on_from_file_to_file() {
    let table = Table::narrow(1_000);
    let place = shop();
    place.write("first.csv", table.part(0..600).csv());
    place.write("second.csv", table.part(600..1_000).csv());
    place.ok("features --data a.csv --write-features f.toml --quiet");
    place.ok("schema --data a.csv");
    let options = "--schema schema.toml --features f.toml --keep label_time --quiet";
    let whole = place.ok(&format!("features --data a.csv {options}")).out;
    place.ok(&format!("features --data first.csv {options} -o first.out.csv --save-state s.ogs"));
    let second = place.ok(&format!("features --data second.csv {options} --history first.csv")).out;
    let tail = |text: &str| text.lines().skip(601).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(tail(&whole), second.lines().skip(1).map(str::to_owned).collect::<Vec<_>>());
    assert!(place.files("").contains(&"s.ogs".to_owned()));
}

#[test]
fn features_are_explained_in_words() {
    let place = shop();
    let text = place.ok("features --data a.csv --explain --quiet").out;
    assert!(text.contains("how many orders the customer had") && text.contains("Switched off: "), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&place.ok("features --data a.csv --explain --json --quiet").out).unwrap();
    let features = json["features"].as_array().unwrap();
    let amount = features.iter().find(|feature| feature["feature"] == "amount").unwrap();
    assert_eq!((&amount["meaning"], &amount["columns"][0]), (&"the order's amount".into(), &"amount".into()));
    let off = json["off"].as_array().unwrap();
    assert!(off.iter().any(|off| off["why"].as_str().unwrap().contains("no column of role device")), "{json}");
    assert!(off.iter().all(|off| !off["needs"].as_str().unwrap().is_empty()));
    place.fails("features --data a.csv --json", 2, &["--explain"]);
}

#[test]
fn features_are_added_and_removed() {
    let place = shop();
    place.write("f.toml", "extends = \"default\"\nremove = [\"night\", \"weekday\", \"nigt\"]\n");
    place.fails("features --data a.csv --features f.toml", 2, &["f.toml, line 2", "did you mean `night`?"]);
    place.write(
        "f.toml",
        "extends = \"default\"\nremove = [\n  \"night\",\n  \"km(ip, billing)\",\n]\nfeatures = [\"count(order) by customer over 3h\"]\n",
    );
    let run = place.ok("features --data a.csv --features f.toml");
    run.says("f.toml, line 4: `km(ip, billing)` is not among the default features");
    let names = header(&run.out);
    assert!(!names.contains(&"night".to_owned()) && names.ends_with(&["count(order) by customer over 3h".to_owned()]));
    place.write("f.toml", "features = [\"amount\", \"category(payment_method)\"]\n");
    let run = place.ok("features --data a.csv --features f.toml");
    assert_eq!(header(&run.out)[3..], ["amount", "category(payment_method)"]);
}

#[test]
fn a_bad_file_of_features_is_refused_at_its_character() {
    let place = shop();
    let refused = |content: &str, says: &[&str]| {
        place.write("f.toml", content);
        let before = place.files("");
        place.fails("features --data a.csv --features f.toml -o f.csv", 2, says);
        place.fails("train --data a.csv --features f.toml --out out", 2, says);
        place.fails("replay-check --data a.csv --features f.toml", 2, says);
        assert_eq!(place.files(""), before);
    };
    refused("features = [\n  'amount',\n  'count(order) by custmer over 1d',\n]", &["f.toml, line 3", "custmer", "^"]);
    refused("features = ['count(order) by customer over 0h']", &["f.toml, line 1", "^"]);
    refused("features = ['count(order) by customer over 3650d']", &["f.toml, line 1", "^"]);
    refused("features = ['count(ordr) by customer']", &["did you mean `order`?"]);
    refused("features = ['amount', 'amount']", &["line 1", "stands on line 1 already"]);
    refused("features = ['km(ip, shipping)']", &["f.toml, line 1"]);
    refused("feature = ['amount']", &["f.toml, line 1"]);
    refused("remove = ['amount']", &["extends"]);
    refused("features = []", &["f.toml: expected at least one feature"]);
}

#[test]
fn tables_of_the_shop_are_read_and_asked_for_again() {
    let place = Place::new();
    let table = Table::narrow(1_000).with("ip", |i, _| format!("2.125.160.{}", 1 + i % 200));
    place.write("a.csv", table.csv());
    let geo = std::fs::read(repository("crates/features/tests/data/geo-test.mmdb")).unwrap();
    place.write("geo.mmdb", &geo);
    place.write("cut.mmdb", &geo[..geo.len() / 2]);
    place.write("asn.mmdb", std::fs::read(repository("crates/features/tests/data/asn-test.mmdb")).unwrap());
    place.write("f.toml", "features = ['amount', 'category(ip.country)']\n");
    let train = "train --data a.csv --out out --trees 3 --features f.toml";
    place.fails(train, 2, &["f.toml, line 1", "MaxMind"]);
    place.fails(&format!("{train} --geo none.mmdb"), 2, &["none.mmdb"]);
    place.fails(&format!("{train} --geo cut.mmdb"), 1, &["--geo cut.mmdb", "cut off"]);
    place.fails(&format!("{train} --geo asn.mmdb"), 1, &["--geo asn.mmdb", "countries or cities"]);
    place.write("bad.txt", "mail.example\nno domain\n");
    place.fails(&format!("{train} --free-domains bad.txt"), 1, &["--free-domains bad.txt", "line 2"]);
    assert!(place.files("out").is_empty());
    place.ok(&format!("{train} --geo geo.mmdb"));
    let score = "score --model out/model.ogm --data a.csv";
    place.fails(score, 2, &["table geo", "expected --geo", "found none"]);
    place.write("longer.mmdb", [geo.as_slice(), b"\0"].concat());
    place.fails(&format!("{score} --geo longer.mmdb --cold-start"), 2, &["another edition"]);
    place.ok(&format!("{score} --geo geo.mmdb"));
    place.ok("evaluate --model out/model.ogm --data a.csv --geo geo.mmdb");
    place.ok("replay-check --model out/model.ogm --data a.csv --geo geo.mmdb");
}

#[test]
fn compressed_input_gives_the_same() {
    let place = shop();
    let plain = place.ok("features --data a.csv --quiet").out;
    place.write("a.csv.gz", gzip(&place.read("a.csv")));
    place.write("a.csv.zst", zstd(&place.read("a.csv")));
    assert!(place.ok("features --data a.csv.gz --quiet").out == plain);
    assert!(place.ok("features --data a.csv.zst --quiet").out == plain);
}
