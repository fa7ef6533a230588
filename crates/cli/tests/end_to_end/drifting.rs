//! How far orders moved from those of training.

use orderguard_inference::drift::DriftReference;
use orderguard_inference::model::Model;

use crate::contracts::shop;

const MONITOR: &str = "monitor --model out/model.ogm --state out/state.ogs --data new.csv";

fn figure<'a>(report: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let figures = report["figures"].as_array().unwrap();
    figures.iter().find(|figure| figure["name"] == name).unwrap_or_else(|| panic!("{name}: {report}"))
}

#[test]
fn what_moved_is_found() {
    let (place, mut table) = shop();
    let report: serde_json::Value = serde_json::from_str(&place.ok(&format!("{MONITOR} --json")).out).unwrap();
    let amount = figure(&report, "amount");
    assert_eq!((&amount["drifted"], &amount["n"]), (&false.into(), &500.into()), "{amount}");
    assert!(amount["p_value"].as_f64().unwrap() > 1e-4, "{amount}");
    assert!(figure(&report, "raw score")["psi"].as_f64().unwrap() < 0.5);
    for bins in report["figures"].as_array().unwrap().iter().map(|figure| figure["bins"].as_array().unwrap()) {
        for side in ["reference", "found"] {
            let sum: f64 = bins.iter().map(|bin| bin[side].as_f64().unwrap()).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{bins:?}");
        }
    }
    let weeks = report["weeks"].as_array().unwrap();
    assert_eq!(weeks.iter().map(|week| week["n_orders"].as_u64().unwrap()).sum::<u64>(), 500);
    assert!(weeks.len() > 1 && weeks[0]["from"].as_str().unwrap().len() == 10);

    // Amounts that nobody saw, and a column that half of the orders lack.
    let (amount, items) = (table.column("amount"), table.column("n_items"));
    for (i, row) in table.rows.iter_mut().enumerate() {
        row[amount] = format!("{:.2}", row[amount].parse::<f64>().unwrap() * 30.0);
        if i % 2 == 0 {
            row[items].clear();
        }
    }
    place.write("new.csv", table.csv());
    let run = place.run(&format!("{MONITOR} --json --fail-on-drift"));
    run.failed(3, &[" figures drifted"]);
    let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    for (name, most) in [("amount", "above "), ("number(n_items)", "missing")] {
        let found = figure(&report, name);
        assert!(found["psi"].as_f64().unwrap() > 0.5 && found["drifted"] == true, "{found}");
        assert!(found["moved_most"].as_str().unwrap().starts_with(most), "{found}");
    }
    assert!(report["figures"][0]["drifted"] == true && report["n_drifted"].as_u64().unwrap() >= 2);
    let run = place.ok(&format!("{MONITOR} --svg drift.svg --top 3"));
    assert!(run.out.contains("amount") && run.out.contains("week from"), "{}", run.out);
    let svg = place.text("drift.svg");
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains("Score, week by week"));
    // What is told apart from chance may be too small to matter.
    place.ok(&format!("{MONITOR} --fail-on-drift --min-psi 100"));
}

#[test]
fn the_figures_are_the_same_for_any_number_of_threads() {
    let (place, _) = shop();
    let one = place.ok(&format!("{MONITOR} --json --threads 1")).out;
    assert_eq!(place.ok(&format!("{MONITOR} --json --threads 3")).out, one);
}

#[test]
fn a_model_from_before_says_so() {
    let (place, _) = shop();
    let mut model = Model::from_bytes(&place.read("out/model.ogm")).unwrap();
    model.drift = DriftReference::default();
    place.write("before.ogm", model.to_bytes().unwrap());
    let monitor = MONITOR.replace("out/model.ogm", "before.ogm");
    place.fails(&monitor, 1, &["before.ogm: the model says nothing of the orders it was made of: train it anew"]);
    place.ok("score --model before.ogm --state out/state.ogs --data new.csv");
}
