//! Model and state files that were cut, altered, mixed up or written by a newer program.

use orderguard_features::container::{Container, ContainerWriter, KIND_MODEL, KIND_STATE, Kind};

use crate::harness::{Place, Table, repository};

/// `a.csv`, a model of it in `out`, and a second model in `other`.
fn shop() -> Place {
    let place = Place::new();
    place.write("a.csv", Table::narrow(1_000).csv());
    place.ok("train --data a.csv --out out --trees 5");
    place
}

/// The same file, as a newer program with the same sections would write it.
fn of_version(bytes: &[u8], kind: Kind, version: u16) -> Vec<u8> {
    let container = Container::parse(bytes, kind, 0, usize::MAX).unwrap();
    let writer = ContainerWriter::new(kind, version, container.fingerprint());
    let copied = container
        .sections()
        .iter()
        .fold(writer, |writer, section| writer.section(section.tag, section.required, section.bytes.to_vec()));
    copied.finish()
}

/// Every command that reads a model refuses this one and leaves nothing.
#[track_caller]
fn model_refused(place: &Place, bytes: &[u8], says: &[&str]) {
    place.write("bad.ogm", bytes);
    let before = place.files("");
    let says: Vec<&str> = ["bad.ogm: "].iter().chain(says).copied().collect();
    place.fails("score --model bad.ogm --data a.csv --cold-start -o s.csv --save-state s.ogs", 1, &says);
    place.fails("evaluate --model bad.ogm --data a.csv --cold-start", 1, &says);
    place.fails("inspect bad.ogm", 1, &says);
    assert_eq!(place.files(""), before);
}

#[track_caller]
fn state_refused(place: &Place, bytes: &[u8], says: &[&str]) {
    place.write("bad.ogs", bytes);
    let before = place.files("");
    let says: Vec<&str> = ["bad.ogs: "].iter().chain(says).copied().collect();
    let model = "--model out/model.ogm --state bad.ogs --data a.csv";
    place.fails(&format!("score {model} -o s.csv --save-state s.ogs"), 1, &says);
    place.fails(&format!("evaluate {model}"), 1, &says);
    place.fails("inspect bad.ogs", 1, &says);
    assert_eq!(place.files(""), before);
}

#[test]
fn truncated_models_and_states() {
    let place = shop();
    let (model, state) = (place.read("out/model.ogm"), place.read("out/state.ogs"));
    for cut in [9, 63, 64, 1_000, model.len() / 2, model.len() - 1] {
        model_refused(&place, &model[..cut], &["model file"]);
    }
    for cut in [9, 63, 64, 1_000, state.len() / 2, state.len() - 1] {
        state_refused(&place, &state[..cut], &["state file"]);
    }
    model_refused(&place, b"", &["header: offset 0: expected 64 bytes, found 0"]);
    model_refused(&place, &place.read("a.csv"), &["expected a model file"]);
    place.write("bad.ogs", "");
    let says = ["bad.ogs: ", "header: offset 0: expected 64 bytes, found 0"];
    place.fails("score --model out/model.ogm --state bad.ogs --data a.csv", 1, &says);
}

#[test]
fn altered_models_and_states() {
    let place = shop();
    let (model, state) = (place.read("out/model.ogm"), place.read("out/state.ogs"));
    for share in 1..8 {
        let flipped = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let at = 64 + (bytes.len() - 64) * share / 8;
            bytes[at] ^= 0x10;
            bytes
        };
        model_refused(&place, &flipped(&model), &["checksum"]);
        state_refused(&place, &flipped(&state), &["checksum"]);
    }
    model_refused(&place, &[&model[..], &[0]].concat(), &["model file"]);
    state_refused(&place, &[&state[..], &[0]].concat(), &["state file"]);
}

#[test]
fn files_of_a_newer_version() {
    let place = shop();
    let (model, state) = (place.read("out/model.ogm"), place.read("out/state.ogs"));
    assert_eq!(of_version(&model, KIND_MODEL, 0), model);
    assert_eq!(of_version(&state, KIND_STATE, 0), state);
    let says = ["format version: expected at most 0, found 1"];
    model_refused(&place, &of_version(&model, KIND_MODEL, 1), &says);
    state_refused(&place, &of_version(&state, KIND_STATE, 1), &says);
}

#[test]
fn every_broken_file_that_the_repository_keeps() {
    let place = Place::new();
    place.write("a.csv", "order_id\n1\n");
    let mut n_files = 0;
    for entry in std::fs::read_dir(repository("models/golden/bad")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        model_refused(&place, &bytes, &["model"]);
        n_files += 1;
    }
    assert!(n_files > 10);
}

#[test]
fn models_and_states_mixed_up() {
    let place = shop();
    let (model, state) = (place.read("out/model.ogm"), place.read("out/state.ogs"));
    place.write("bad.ogm", &state);
    place.fails("score --model bad.ogm --data a.csv --cold-start", 1, &["bad.ogm: ", "expected a model file"]);
    place.write("bad.ogs", &model);
    place.fails("score --model out/model.ogm --state bad.ogs --data a.csv", 1, &["bad.ogs: ", "expected a state file"]);
}

#[test]
fn the_state_of_another_model() {
    let place = shop();
    place.write("b.csv", Table::narrow(1_000).renamed("customer_id", "device_id").csv());
    place.ok("train --data b.csv --out other --trees 5");
    let says = ["other/state.ogs: ", "state"];
    place.fails("score --model out/model.ogm --state other/state.ogs --data a.csv -o s.csv", 1, &says);
    assert!(!place.path("s.csv").exists());
}

#[test]
fn another_key_than_the_models() {
    let place = shop();
    place.write("key", "a secret that nobody knows\n");
    let says = ["the model was made with", "key"];
    place.fails("score --model out/model.ogm --data a.csv --cold-start --key-file key", 2, &says);
    place.ok("train --data a.csv --out keyed --trees 5 --key-file key");
    place.fails("score --model keyed/model.ogm --data a.csv --cold-start", 2, &says);
    place.ok("score --model keyed/model.ogm --data a.csv --state keyed/state.ogs --key-file key");
}

#[test]
fn orders_that_lack_what_the_model_reads() {
    let place = shop();
    place.write("b.csv", Table::narrow(50).without(&["amount"]).csv());
    let says = ["b.csv: expected a column \"amount\", found "];
    place.fails("score --model out/model.ogm --data b.csv --cold-start -o s.csv --save-state s.ogs", 1, &says);
    place.write("c.csv", Table::narrow(50).without(&["label"]).csv());
    let says = ["label"];
    place.fails("evaluate --model out/model.ogm --data c.csv --cold-start", 1, &says);
    assert!(!place.path("s.csv").exists() && !place.path("s.ogs").exists());
}
