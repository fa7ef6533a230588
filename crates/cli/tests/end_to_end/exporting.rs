//! Models for other programs.

use crate::harness::{Place, repository};

#[test]
fn models_are_written_as_onnx_and_json() {
    let place = Place::new();
    for name in ["gbt", "logistic", "scorecard", "spoken", "drift", "converted"] {
        let bytes = std::fs::read(repository("models/golden/v0").join(format!("{name}.ogm"))).unwrap();
        std::fs::write(place.path("model.ogm"), bytes).unwrap();
        let n_values = if name == "converted" { 3 } else { 5 };
        let run = place.ok("export model.ogm --to onnx -o model.onnx");
        assert_eq!(run.err, format!("note: model.onnx: takes rows of {n_values} features, not orders\n"));
        let file = std::fs::read(place.path("model.onnx")).unwrap();
        // Field 1, the version of the format: 10.
        assert_eq!(file[..2], [0x08, 10], "{name}");
        place.ok("export model.ogm --to json -o model.json");
        let text = std::fs::read_to_string(place.path("model.json")).unwrap();
        let dump: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&dump["format"], &dump["version"]), (&"orderguard model".into(), &1.into()), "{name}");
        assert_eq!(dump["features"].as_array().unwrap().len(), n_values);
    }
    std::fs::write(place.path("orders.csv"), "id,amount\n1,2\n").unwrap();
    place.fails("export orders.csv --to onnx -o model.onnx", 1, &["orders.csv: model file", "expected a model file"]);
    place.fails("export none.ogm --to json -o model.json", 2, &["none.ogm"]);
    place.fails("export model.ogm --to pmml -o model.xml", 2, &["onnx", "json"]);
}
