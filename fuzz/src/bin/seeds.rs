//! Writes the first inputs of every target to `FOLDER/TARGET/`: `seeds FOLDER`, run from the root of the repository.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use orderguard_features::own::tables::TableKind;
use orderguard_fuzz::{ARRIVAL, Shop, shop};
use orderguard_inference::import::{lightgbm, xgboost};
use orderguard_inference::model::Model;

/// Longer files are left out: what they hold more is more of the same.
const MAX_LEN: usize = 20_000;

const ORDERS: [&str; 5] = [
    "oo-1\t2026-01-31T09:58:00Z\torder\te1\t19.99\tPLN\tc1\t4111111111111111\td1\t1.2.3.4\ta@mail.example\t+48600100200\tMain 1, 00-001 Warsaw\tMain 1, 00-001 Warsaw\tm1\tNEW10\tb1\tAnna Nowak\tMozilla/5.0 (X11; Linux x86_64) Chrome/120.0 Safari/537.36\tPL\tPL\tPL\tDE\t00-001\t10115\t52.2\t21.0\t52.5\t13.4\tweb\t3\t2026-01-01\t0\t",
    "oo-2\t2026-01-31T09:59:00Z\torder\te2\t#250.5\tEUR\tc1\t5500000000000004\td1\t2001:db8::7\tb@free.test\t600100200\t\tMain 2\tm1\t\tb2\tJan\tcurl/8.0\tDE\tDE\tPL\tPL\t\t\t\t\t\t\tDE\t#2\t\t1\t2026-02-01",
    "eo-1\t2026-02-01T09:59:00Z\treturn\te3\t5\tPLN\tc1",
    "eo-1\t2026-02-02T09:59:00Z\tchargeback\te4\t\t\tc1\nlo-2\nho-1",
    "+20000\noo-3\t2026-01-30\torder\te5\t0.01\tPLN\tc2\t4111111111111111\td1\t10.0.0.1\n+-5000",
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder: PathBuf = std::env::args_os().nth(1).ok_or("expected FOLDER")?.into();
    let write = |target: &str, name: &str, bytes: &[u8]| -> Result<(), Box<dyn Error>> {
        let folder = folder.join(target);
        fs::create_dir_all(&folder)?;
        Ok(if bytes.len() <= MAX_LEN {
            fs::write(folder.join(name), bytes)?
        })
    };
    for (name, bytes) in files("models/golden/v0", "ogm")?.into_iter().chain(files("models/golden/bad", "ogm")?) {
        write("loader", &name, &bytes)?;
        // Without rows whose scores every change would break.
        if let Ok(mut model) = Model::from_bytes(&bytes) {
            model.golden.clear();
            write("loader", &format!("{name}.bare"), &model.to_bytes()?)?;
        }
    }
    for (name, text) in files("crates/inference/tests/data/lightgbm", "txt")? {
        if name.ends_with(".rows.txt") || name.ends_with(".cuts.txt") {
            continue;
        }
        write("lightgbm", &name, &text)?;
        if let Ok(mut model) = lightgbm::read(&text) {
            write("loader", &name, &model.to_bytes()?)?;
            model.golden.clear();
            write("loader", &format!("{name}.bare"), &model.to_bytes()?)?;
        }
    }
    for (name, text) in files("crates/inference/tests/data/xgboost", "json")? {
        write("xgboost", &name, &text)?;
        if let Ok(model) = xgboost::read(&text, xgboost::Rounds::Best) {
            write("loader", &name, &model.to_bytes()?)?;
        }
    }
    for subject in 0..8u8 {
        let values = [0.0f64, -0.0, 1.0, 2.5, -1.0, 250.5, f64::NAN, f64::INFINITY, 1e-36, 3.0];
        let bytes = |wide: bool| -> Vec<u8> {
            let of = |x: &f64| if wide { x.to_le_bytes().to_vec() } else { (*x as f32).to_le_bytes().to_vec() };
            [subject, subject].into_iter().chain(values.iter().flat_map(of)).collect()
        };
        write("rows", &format!("{subject}"), &bytes(subject > 2))?;
    }
    let shop = shop();
    for (name, file) in states(&shop) {
        write("state", &name, &file)?;
    }
    for (i, _) in ORDERS.iter().enumerate() {
        write("orders", &format!("{i}"), ORDERS[..=i].join("\n").as_bytes())?;
        write("orders", &format!("one-{i}"), ORDERS[i].as_bytes())?;
    }
    for (i, feature) in shop.model.spec.features.iter().enumerate() {
        write("language", &format!("feature-{i}"), format!("-{feature}").as_bytes())?;
    }
    let file = "extends = \"default\"\nremove = ['amount']\nfeatures = ['count(order where amount > 5) by card over 2h', 'hour']\n\
                exact_events = 128\n\n[network]\nhub_limit = 20\n\n[[vocabulary]]\nplace = \"channel\"\nlevels = [\"a\", \"b\"]\n";
    write("language", "file", format!("f{file}").as_bytes())?;
    write("language", "schema", format!("s{}", shop.model.schema.to_toml()).as_bytes())?;
    let csv = "order_id,time,amount,country,email,is_fraud,items\n1,2024-01-01T10:00:00Z,10.50,PL,a@mail.example,0,1\n\
               2,2024-01-02 11:00,\"1,250.00\",DE,,1,2\n3,2024-01-03,x,\"a \"\"b\"\"\",b@mail.example,0,\n";
    let json = "{\"id\": 1, \"time\": 1704103200, \"amount\": 10.5, \"is_fraud\": false, \"tags\": [1, {\"a\": null}]}\n\
                {\"id\": 2, \"time\": 1704203200, \"amount\": \"7\", \"is_fraud\": true, \"country\": \"P\\u0142\"}\n";
    write("tables", "csv", format!("\0{csv}").as_bytes())?;
    write("tables", "semicolons", format!("\0{}", csv.replace(',', ";")).as_bytes())?;
    write(
        "tables",
        "events",
        b"\0id;kind;time\r\n1;order;2024-01-01\r\n2;return;2024-01-05\r\n1;chargeback;2024-02-01\r\n",
    )?;
    write("tables", "json", format!("\u{1}{json}").as_bytes())?;
    for (name, bytes) in files("crates/features/tests/data", "mmdb")? {
        write("lookups", &name, &[&[0], &bytes[..]].concat())?;
    }
    write("lookups", "bins", b"\x01bin;country;kind;brand\n411111;PL;debit;visa\n5500000;DE;prepaid;mastercard\n")?;
    for kind in [TableKind::FreeDomains, TableKind::DisposableDomains] {
        let text = format!("{}# a list\nmail.example\n\nFREE.test\n", char::from(kind as u8));
        write("lookups", kind.name(), text.as_bytes())?;
    }
    Ok(())
}

/// Files of a folder with this extension, by name.
fn files(folder: impl AsRef<Path>, extension: &str) -> Result<Vec<(String, Vec<u8>)>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == extension) {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            found.push((name, fs::read(path)?));
        }
    }
    found.sort();
    Ok(found)
}

/// Histories of nothing, one order, and some orders and events.
fn states(shop: &Shop) -> Vec<(String, Vec<u8>)> {
    let scorer = &shop.scorer;
    let (mut state, mut scratch) = (scorer.new_state(), scorer.scratch());
    let mut out = vec![("empty".to_owned(), scorer.snapshot(&state))];
    for (i, line) in ORDERS.iter().flat_map(|text| text.lines()).enumerate() {
        let (word, rest) = line.split_at(1);
        match word {
            "o" => drop(
                scorer
                    .score(&state, &shop.values(rest), ARRIVAL, &mut scratch)
                    .map(|_| scorer.learn(&mut state, &scratch)),
            ),
            "e" => drop(scorer.learn_event(&mut state, &shop.values(rest), ARRIVAL, &mut scratch)),
            "l" => drop(scorer.learn_label(&mut state, rest, ARRIVAL, true)),
            _ => {}
        }
        out.push((format!("after-{i}"), scorer.snapshot(&state)));
    }
    out
}
