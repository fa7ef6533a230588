//! Data that are larger than the memory they may take: the same bytes as in memory, and nothing left on the disk.

use std::fmt::Write as _;

use crate::harness::{Place, Run, Table};

/// A model over all kinds of events, the stream that it learned from, and the same in other shapes.
fn shop() -> Place {
    let place = Place::new();
    place.ok("simulate --orders 1500 --days 150 --fraud-share 8% -o stream.csv --quiet");
    place.ok("simulate --orders 1500 --days 150 --fraud-share 8% -o orders.csv --events events.csv --quiet");
    place.ok("train --data stream.csv --out out --trees 3 --quiet");
    place
}

/// Lines of a CSV in another order, the same one in every run; one in `repeat` comes twice.
fn shuffled(csv: &str, repeat: usize) -> String {
    let mut lines: Vec<&str> = csv.lines().skip(1).collect();
    let again: Vec<&str> = lines.iter().copied().step_by(repeat).collect();
    lines.extend(again);
    let mut keyed: Vec<(u64, &str)> = lines.into_iter().enumerate().map(|(i, line)| (spread(i), line)).collect();
    keyed.sort_unstable();
    let header = csv.lines().next().unwrap();
    let lines: Vec<&str> = [header].into_iter().chain(keyed.into_iter().map(|(_, line)| line)).collect();
    lines.join("\n") + "\n"
}

fn spread(i: usize) -> u64 {
    (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Computes features in memory and piece by piece, and compares rows and history.
#[track_caller]
fn same(place: &Place, options: &str, limit: &str, sorts: bool) {
    for format in ["parquet", "csv"] {
        place.ok(&format!("features {options} -o whole.{format} --save-state whole.ogs --max-memory 8G --quiet"));
        let run = place.ok(&format!(
            "features {options} -o pieces.{format} --save-state pieces.ogs --max-memory {limit} --temp-dir tmp"
        ));
        run.says("read piece by piece, in order of time");
        assert_eq!(run.err.contains("sorting"), sorts, "{}", run.err);
        assert!(place.read(&format!("pieces.{format}")) == place.read(&format!("whole.{format}")), "{options}: rows");
        assert!(place.read("pieces.ogs") == place.read("whole.ogs"), "{options}: history");
    }
    assert!(place.files("tmp").is_empty());
}

const MODEL: &str = "--model out/model.ogm --cold-start";

#[test]
fn rows_are_the_same_piece_by_piece() {
    let place = shop();
    std::fs::create_dir(place.path("tmp")).unwrap();
    same(&place, &format!("{MODEL} --data stream.csv"), "1M", false);
    same(&place, &format!("{MODEL} --data orders.csv --events events.csv"), "1M", false);
    let stream = place.text("stream.csv");
    let (header, rows) = stream.split_once('\n').unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    for (i, part) in rows.chunks(rows.len() / 5).enumerate() {
        place.write(&format!("days/{}.csv", 9 - i), format!("{header}\n{}\n", part.join("\n")));
    }
    // Files that follow one another, whatever they are called, are read one at a time.
    same(&place, &format!("{MODEL} --data days"), "1M", false);
    place.write("shuffled.csv", shuffled(&stream, 7));
    same(&place, &format!("{MODEL} --data shuffled.csv"), "1M", true);
    same(&place, "--model out/model.ogm --history orders.csv --data shuffled.csv --events events.csv", "1M", true);
}

#[test]
fn a_state_learns_no_event_again_piece_by_piece() {
    let place = shop();
    std::fs::create_dir(place.path("tmp")).unwrap();
    let stream = place.text("stream.csv");
    let half: Vec<&str> = stream.lines().take(stream.lines().count() / 2).collect();
    place.write("half.csv", half.join("\n"));
    place.ok(&format!("features {MODEL} --data half.csv -o half.parquet --save-state half.ogs --quiet"));
    let options = "--model out/model.ogm --state half.ogs --data stream.csv";
    same(&place, options, "1M", false);
    let learned = |limit: &str| {
        let run = place.ok(&format!("replay-check {options} --max-memory {limit}"));
        assert!(run.out.contains("cells that differ: 0 of"), "{}", run.out);
        run.err.lines().find(|line| line.contains("events were known by")).expect("a note").to_owned()
    };
    assert_eq!(learned("1M"), learned("8G"));
}

#[test]
fn labels_reach_orders_of_earlier_pieces() {
    let place = shop();
    std::fs::create_dir(place.path("tmp")).unwrap();
    let mut labels = String::from("order_id,label,label_time\n");
    let orders = place.read("orders.csv");
    let mut reader = csv::Reader::from_reader(orders.as_slice());
    let id = reader.headers().unwrap().iter().position(|name| name == "order_id").unwrap();
    // Told to the day, so that many are learned in one millisecond; some are reversed, some contradict each other.
    for (i, record) in reader.records().enumerate() {
        let record = record.unwrap();
        for again in 0..spread(i) % 3 {
            let day = 1 + spread(i * 3 + again as usize) % 28;
            let label = spread(i + 7 * again as usize) >> 9 & 1;
            writeln!(labels, "{},{label},2024-{:02}-{day:02}", &record[id], 2 + i % 6).unwrap();
        }
    }
    place.write("labels.csv", labels);
    let stream = place.text("stream.csv");
    place.write("shuffled.csv", shuffled(&stream, 5));
    same(&place, &format!("{MODEL} --data shuffled.csv --labels labels.csv"), "1M", true);
    same(&place, &format!("{MODEL} --data stream.csv --labels labels.csv"), "2M", false);
    let check = |limit: &str| {
        let options = format!("{MODEL} --data shuffled.csv --labels labels.csv --max-memory {limit}");
        place.ok(&format!("replay-check {options} --quiet")).out
    };
    let (whole, pieces) = (check("8G"), check("1M"));
    assert!(pieces.contains("cells that differ: 0 of"), "{pieces}");
    assert_eq!(pieces, whole);
}

/// The stream with all that makes labels hard: they come before their orders, contradict each other in one millisecond, are of
/// orders whose id was given to another one since, and events have the id of an order.
fn with_hard_labels(csv: &str) -> String {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let mut table =
        Table { header, rows: reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect() };
    let [event_id, event, order_id, time, known_at, label, label_time] =
        ["event_id", "event", "order_id", "event_time", "known_at", "label", "label_time"]
            .map(|name| table.column(name));
    let is_order = |row: &[String]| row[event] == "order";
    let order_times: std::collections::HashMap<String, String> =
        table.rows.iter().filter(|row| is_order(row)).map(|row| (row[order_id].clone(), row[time].clone())).collect();
    let order_events: Vec<String> =
        table.rows.iter().filter(|row| is_order(row)).map(|row| row[event_id].clone()).collect();
    let mut more = Vec::new();
    for (i, row) in table.rows.iter_mut().enumerate() {
        let of_order = order_times.get(&row[order_id]).cloned();
        match (row[event].as_str(), of_order) {
            ("chargeback" | "abuse_report", Some(of_order)) => {
                if i % 3 == 0 {
                    // At the beginning of the day of its order.
                    of_order[..10].clone_into(&mut row[time]);
                    row[known_at] = of_order[..10].into();
                }
                for says in (0..2).filter(|says| i % 2 == 0 || *says == 1) {
                    let mut again = row.clone();
                    again[event_id] = format!("{}-{says}", row[event_id]);
                    again[label] = (1 - says).to_string();
                    more.push(again);
                }
            }
            // Ids of events and orders are one space.
            ("login" | "review", _) if i % 5 == 0 => {
                row[event_id].clone_from(&order_events[i * 7 % order_events.len()]);
            }
            ("order", Some(of_order)) if i % 7 == 0 => {
                row[label_time] = of_order;
                row[label] = "0".into();
            }
            // Learned when the order is forgotten.
            ("order", Some(_)) if i % 11 == 0 => {
                row[label_time] = "2024-07-15T12:00:00Z".into();
                row[label] = "1".into();
            }
            _ => {}
        }
    }
    // A label half a year later, when another order may have the id.
    let late = table.rows.iter().filter(|row| is_order(row)).step_by(9).map(|row| {
        let mut late = row.clone();
        late[event] = "chargeback".into();
        (late[event_id], late[label], late[label_time]) =
            (format!("{}-late", row[event_id]), String::new(), String::new());
        late[time] = format!("2024-07-{:02}T10:00:00Z", 1 + spread(row[order_id].len()) % 28);
        late[known_at].clear();
        late
    });
    more.extend(late.collect::<Vec<_>>());
    table.rows.extend(more);
    for row in &mut table.rows {
        if let Ok(number) = row[order_id].parse::<u64>() {
            row[order_id] = (number % 1_250).to_string();
        }
    }
    table.csv()
}

#[test]
fn hard_labels_are_learned_alike_piece_by_piece() {
    let place = shop();
    std::fs::create_dir(place.path("tmp")).unwrap();
    place.write("hard.csv", with_hard_labels(&place.text("stream.csv")));
    same(&place, &format!("{MODEL} --data hard.csv"), "1M", true);
    let check = |limit: &str| place.ok(&format!("replay-check {MODEL} --data hard.csv --max-memory {limit}"));
    let (whole, pieces) = (check("8G"), check("1M"));
    assert!(pieces.out.contains("cells that differ: 0 of"), "{}", pieces.out);
    assert_eq!(pieces.out, whole.out);
    let of_labels =
        |run: &Run| run.err.lines().filter(|line| line.contains("label")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(of_labels(&pieces), of_labels(&whole));
    assert!(
        pieces.err.contains("conflicting ones") && !pieces.err.contains(" 0 orders with conflicting"),
        "{}",
        pieces.err
    );
}

#[test]
fn features_are_drawn_from_some_orders_and_said() {
    let table = Table::narrow(4_000);
    let place = Place::new();
    place.write("a.csv", table.shuffled().csv());
    let run = place.ok("features --data a.csv --max-memory 1M -o pieces.csv");
    run.says("of the 4000 orders (1 in ");
    assert_eq!(place.text("pieces.csv").lines().count(), 4_001);
    place.ok("features --data a.csv --max-memory 1M --write-features f.toml --quiet");
    place.ok("schema --data a.csv -o schema.toml --quiet");
    let named = "--data a.csv --features f.toml --schema schema.toml --keep label_time";
    let whole = place.ok(&format!("features {named} --quiet")).out;
    let pieces = place.ok(&format!("features {named} --max-memory 1M --quiet")).out;
    assert!(whole == pieces);
}

#[test]
fn what_cannot_be_cut_is_read_at_once() {
    let place = Place::new();
    let table = Table::narrow(4_000);
    place.write("a.csv", table.without(&["order_id"]).csv());
    let run = place.ok("features --data a.csv --max-memory 1M");
    run.says("orders without an id cannot be told which label is theirs");
    place.write("b.csv", table.without(&["order_time", "label_time"]).csv());
    place.ok("features --data b.csv --max-memory 1M").says("without a time there is no order to read them in");
    place.fails("features --data a.csv --max-memory much", 2, &["4G"]);
}

#[test]
fn a_disk_without_space_is_told() {
    let place = Place::new();
    place.write("a.csv", Table::simulated(4_000, 3).shuffled().csv());
    // No file may have more than 512 blocks of 512 bytes.
    let run =
        place.shell("trap '' XFSZ; ulimit -f 512; exec \"$ORDERGUARD\" features --data a.csv --max-memory 1M -o f.csv");
    run.failed(2, &["the temporary folder is full"]);
    assert_eq!(place.files(""), ["a.csv"]);
    place.fails("features --data a.csv --max-memory 1M --temp-dir nowhere -o f.csv", 2, &["nowhere"]);
}
