//! How the model learns: options, the file of parameters, and what is refused.

use crate::harness::{Place, Table};

const TRAIN: &str = "train --data a.csv --out out --trees 10";
const PLAIN: &str = "train --data a.csv --out out";

fn shop(table: &Table) -> Place {
    let place = Place::new();
    place.write("a.csv", table.csv());
    place
}

/// What the model in `out` says of orders without history.
#[track_caller]
fn scores(place: &Place) -> String {
    place.ok("score --model out/model.ogm --cold-start --data a.csv").out
}

const RICH: &str = "model = \"gbt\"\nseed = 3\ntrees = 12\nlearning-rate = 0.2\nrate-decay = 0.99\nleaves = 7\ndepth = 4\n\
    growth = \"level-by-level\"\nmax-bins = 60\nmin-rows-per-leaf = 11\nmin-leaf-weight = 0.1\nmin-gain = 0.01\nl1 = 0.1\n\
    l2 = 2.5\nmax-leaf-value = 2.0\nleaf-smoothing = 3.0\ncategory-smoothing = 2.0\ncategory-l2 = 4.0\n\
    min-rows-per-level = 20\nrow-fraction = 0.7\nfeature-fraction = 0.8\nnegative-rate = 0.9\neasy-row-limit = 0.05\nbag = 2\nrising = [\"amount\"]\n\
    falling = [\"session_seconds\"]\ntogether = [\"amount; session_seconds\", \"n_items\"]\nweigh-by = \"cost\"\nfraud-weight = 2.0\n\
    half-life = \"30d\"\ncost-missed = \"15+0.8*amount\"\ncost-stopped = \"5\"\nstop-on = \"money\"\npatience = 9\n\
    metric-window = 2\n";

#[test]
fn the_parameters_in_a_model_make_it_again() {
    let place = shop(&Table::narrow(1_500));
    place.write("p.toml", RICH);
    for options in ["--params p.toml", "--trees 10", "--model logistic"] {
        place.ok(&format!("{PLAIN} {options}"));
        let model = place.read("out/model.ogm");
        place.write("first.ogm", &model);
        place.write("first.toml", place.read("out/params.toml"));
        for again in ["first.toml", "first.ogm"] {
            place.ok(&format!("train --data a.csv --out out --params {again}"));
            assert!(place.read("out/model.ogm") == model, "{options}, then {again}: the model differs");
        }
    }
    place.ok("train --data a.csv --out out --params p.toml");
    let written = place.text("out/params.toml");
    assert!(written.ends_with(RICH), "{written}");
    let card = place.ok("inspect out/model.ogm").out;
    for line in RICH.lines() {
        let (name, value) = line.split_once(" = ").unwrap();
        let found = card.lines().find_map(|line| line.strip_prefix(&format!("parameter {name} ")));
        assert_eq!(found.map(str::trim), Some(value), "{name}: {card}");
    }
}

#[test]
fn what_is_typed_wins() {
    let place = shop(&Table::narrow(1_500));
    place.write("p.toml", "trees = 4\nleaves = 5\nrising = [\"amount\"]\n");
    place.ok("train --data a.csv --out out --params p.toml --trees 6 --rising n_items");
    let written = place.text("out/params.toml");
    for line in ["trees = 6", "leaves = 5", "rising = [\"n_items\"]"] {
        assert!(written.lines().any(|found| found == line), "{line}: {written}");
    }
}

#[test]
fn draws_follow_the_orders_and_not_their_places() {
    let table = Table::narrow(1_500);
    let place = shop(&table);
    place.write("shuffled.csv", table.shuffled().csv());
    let draws =
        "--row-fraction 60% --feature-fraction 0.5 --easy-row-limit 0.3 --half-life 20d --weigh-by amount --trees 15";
    place.ok(&format!("train --data a.csv --out out {draws} --threads 1"));
    let model = place.read("out/model.ogm");
    for data in ["shuffled.csv --threads 1", "shuffled.csv --threads 4"] {
        place.ok(&format!("train --data {data} --out out {draws}"));
        assert!(place.read("out/model.ogm") == model, "{data}: the model differs");
    }
    // The draws are really made: without them other trees come out.
    let with_draws = scores(&place);
    place.ok("train --data a.csv --out out --easy-row-limit 0 --half-life 20d --weigh-by amount --trees 15");
    assert_ne!(scores(&place), with_draws);
}

#[test]
fn options_that_contradict_one_another() {
    let place = shop(&Table::narrow(1_300));
    for (options, says) in [
        ("--model logistic --leaves 5", "--leaves says how trees learn"),
        ("--model logistic --weigh-by amount", "--weigh-by says how trees learn"),
        ("--model scorecard --trees 5", "--trees says how trees learn"),
        ("--l1-ratio 0.5", "--l1-ratio says how a logistic regression learns"),
        ("--model logistic --base-odds 9", "--base-odds says what a scorecard looks like"),
        ("--model scorecard --characteristics 0", "--characteristics: expected 1 to 200, found 0"),
        ("--weigh-by cost", "--weigh-by cost needs to know costs"),
        ("--weigh-by cost --cost-missed 5", "--weigh-by cost needs to know costs"),
        ("--stop-on money", "--stop-on money needs to know costs"),
        ("--cost-missed 5 --cost-stopped 1", "costs are given and nothing uses them"),
        ("--amount-cap 5", "--amount-cap: expected it with --weigh-by amount"),
        ("--weigh-by amount --amount-cap 0.5", "--amount-cap: expected 1 or more, finite, found 0.5"),
        ("--half-life 0", "--half-life: expected more than 0"),
        ("--rising amount --falling amount", "expected one direction, found --rising and --falling"),
    ] {
        place.fails(&format!("{PLAIN} {options}"), 2, &[says]);
    }
    assert!(place.files("out").is_empty());
}

#[test]
fn values_out_of_range_name_their_option() {
    let place = shop(&Table::narrow(100));
    for (option, range) in [
        ("--trees 0", "1 to 100000, found 0"),
        ("--learning-rate 0", "(0, 1], found 0"),
        ("--rate-decay 1.5", "(0, 1], found 1.5"),
        ("--leaves 1", "2 to 32768, found 1"),
        ("--depth 256", "1 to 255, found 256"),
        ("--max-bins 2", "3 to 255, found 2"),
        ("--min-rows-per-leaf 0", "1 or more, found 0"),
        ("--min-leaf-weight=-1", "0 or more, finite, found -1"),
        ("--min-gain NaN", "0 or more, finite, found NaN"),
        ("--l1 inf", "0 or more, finite, found inf"),
        ("--l2=-0.5", "0 or more, finite, found -0.5"),
        ("--max-leaf-value 31", "(0, 30], found 31"),
        ("--leaf-smoothing=-1", "0 or more, finite, found -1"),
        ("--category-smoothing NaN", "0 or more, finite, found NaN"),
        ("--category-l2=-1", "0 or more, finite, found -1"),
        ("--min-rows-per-level 0", "1 or more, found 0"),
        ("--row-fraction 0", "(0, 1], found 0"),
        ("--feature-fraction 0", "(0, 1], found 0"),
        ("--easy-row-limit 1.5", "[0, 1], found 1.5"),
        ("--metric-window 0", "1 to 1000, found 0"),
        ("--negative-rate 0", "(0, 1], found 0"),
        ("--fraud-weight 0", "(0, 10000], found 0"),
    ] {
        let name = option.split([' ', '=']).next().unwrap();
        place.fails(&format!("{PLAIN} {option}"), 2, &[&format!("{name}: expected {range}")]);
    }
    for option in ["--row-fraction 1.5", "--trees many", "--growth sideways", "--stop-on luck", "--weigh-by size"] {
        let value = option.split(' ').nth(1).unwrap();
        place.fails(&format!("{PLAIN} {option}"), 2, &[&format!("invalid value '{value}'")]);
    }
}

#[test]
fn constraints_name_features() {
    let place = shop(&Table::narrow(1_500));
    for (options, says) in [
        ("--rising amont", "--rising: expected a feature of the model, found \"amont\"; did you mean \"amount\"?"),
        (
            "--falling nothing_like_it",
            "--falling: expected a feature of the model, found \"nothing_like_it\"; `orderguard",
        ),
        ("--together amount;n_itmes", "--together: expected a feature of the model, found \"n_itmes\"; did you mean"),
        ("--rising category(payment_method)", "expected a numeric feature, found \"category(payment_method)\""),
    ] {
        place.fails(&format!("{TRAIN} {options}"), 2, &[says]);
    }
    // Spelled another way, it is the same feature, and it has one direction.
    let same =
        "rising = [\"count(order) by customer_id over 7d\"]\nfalling = [\"count( order ) by customer_id over 168h\"]\n";
    place.write("p.toml", same);
    place.fails(&format!("{TRAIN} --params p.toml"), 2, &["expected one direction"]);
    place.ok(&format!("{TRAIN} --leaves 8"));
    let free = scores(&place);
    place.ok(&format!("{TRAIN} --leaves 8 --falling amount"));
    assert_ne!(scores(&place), free);
}

#[test]
fn columns_of_weights_and_costs() {
    let table = Table::narrow(1_500);
    let weighed = table.with("w", |i, _| if i % 9 == 4 { "0".into() } else { "2.5".into() });
    let place = shop(&weighed);
    place.ok(&format!("{TRAIN} --weigh-by column=w"));
    let features = place.text("out/features.toml");
    assert!(!features.contains("(w)"), "a weight is no feature: {features}");
    // Equal weights are no weights.
    let equal = shop(&table);
    equal.ok(&format!("{TRAIN} --weigh-by cost --cost-missed 2.5 --cost-stopped 2.5"));
    let plain = shop(&table);
    plain.ok(TRAIN);
    assert_eq!(scores(&equal), scores(&plain));
    assert_ne!(scores(&place), scores(&plain));

    let label = table.column("label");
    let no_fraud = |_: usize, row: &[String]| if row[label] == "1" { "0".into() } else { "1".into() };
    for (value, says) in [
        (
            Box::new(|i: usize, _: &[String]| if i == 700 { "-1".into() } else { "1".into() })
                as Box<dyn Fn(_, &[String]) -> _>,
            "a.csv, line 702: column \"w\" as weight: expected 0 or more, found -1",
        ),
        (
            Box::new(|i, _| if i == 700 { String::new() } else { "1".into() }),
            "a.csv, line 702: column \"w\" as weight: expected 0 or more, found no value",
        ),
        (Box::new(no_fraud), "training needs frauds and honest orders that weigh more than 0"),
    ] {
        let place = shop(&table.with("w", value));
        place.fails(&format!("{TRAIN} --weigh-by column=w --keep w"), 1, &[says]);
    }
    for (options, says) in [
        ("--weigh-by column=v", "--weigh-by: expected a column of the orders, found \"v\""),
        (
            "--weigh-by column=payment_method",
            "expected a column of numbers, found \"payment_method\", which is read as category",
        ),
        (
            "--stop-on money --cost-stopped 1 --cost-missed amuont",
            "--cost-missed: expected a column of the orders, found \"amuont\"; did you mean \"amount\"?",
        ),
    ] {
        place.fails(&format!("{TRAIN} {options}"), 2, &[says]);
    }
    let costs = "--cost-missed amount --cost-stopped 2+0.1*amount";
    for options in ["--weigh-by cost", "--stop-on money", "--weigh-by cost --stop-on money"] {
        place.ok(&format!("{TRAIN} {options} {costs}"));
    }
    for options in ["--stop-on recall@1%", "--stop-on precision@20", "--patience 0", "--weigh-by amount --amount-cap 5"]
    {
        place.ok(&format!("{TRAIN} {options}"));
    }
    let timeless = shop(&table.without(&["order_time", "label_time"]));
    for options in ["--half-life 9d", "--stop-on precision@9"] {
        timeless.fails(&format!("{TRAIN} {options}"), 2, &["expected orders with a time, found no time column"]);
    }
    let without_amount = shop(&table.without(&["amount"]));
    without_amount.fails(&format!("{TRAIN} --weigh-by amount"), 2, &["found no amount column"]);
}

#[test]
fn files_of_parameters_that_cannot_be_used() {
    let place = shop(&Table::narrow(1_300));
    for (text, says) in [
        ("tree = 3\n", "p.toml: expected the name of an option of learning, found `tree`; did you mean `trees`?"),
        ("trees = \n", "p.toml: TOML parse error"),
        ("trees = \"x\"\n", "p.toml: trees: invalid value 'x'"),
        ("l2 = -1\n", "--l2: expected 0 or more, finite, found -1"),
    ] {
        place.write("p.toml", text);
        place.fails(&format!("{TRAIN} --params p.toml"), 2, &[says]);
    }
    place.fails(&format!("{TRAIN} --params none.toml"), 2, &["cannot read none.toml"]);
    place.write("broken.ogm", b"\x89OGM\x0d\x0a\x1a\x0abroken");
    place.fails(&format!("{TRAIN} --params broken.ogm"), 1, &["broken.ogm: "]);
}

#[test]
fn columns_that_say_nothing_and_columns_that_say_all() {
    let table = Table::narrow(1_500);
    let plain = shop(&table);
    plain.ok(TRAIN);
    let amount = table.column("amount");
    let odd = table
        .with("constant", |_, _| "4".into())
        .with("never", |_, _| String::new())
        .with("again", |_, row| row[amount].clone())
        .with("label_of_each", |i, _| format!("level-{i}"))
        .with("endless", |i, _| if i % 3 == 0 { "3e38".into() } else { "-3e38".into() });
    let place = shop(&odd);
    place.ok("schema --data a.csv -o s.toml");
    // All of them as features, whatever inference thinks of them.
    let mut schema = place.text("s.toml");
    for (name, role) in [
        ("constant", "number"),
        ("never", "number"),
        ("again", "number"),
        ("label_of_each", "category"),
        ("endless", "number"),
    ] {
        let from = schema.find(&format!("name = \"{name}\"\nrole = \"")).unwrap_or_else(|| panic!("{name}: {schema}"));
        let at = from + format!("name = \"{name}\"\nrole = \"").len();
        let end = at + schema[at..].find('"').unwrap();
        schema.replace_range(at..end, role);
    }
    place.write("s.toml", &schema);
    place.ok(&format!("{TRAIN} --schema s.toml"));
    let scores = scores(&place);
    assert!(scores.lines().skip(1).all(|line| !line.contains("NaN") && !line.contains("inf")), "{scores}");
}

#[test]
fn one_fraud_in_all() {
    let table = Table::narrow(1_300);
    let label = table.column("label");
    let mut one = table.clone();
    for (i, row) in one.rows.iter_mut().enumerate() {
        row[label] = if i == 500 { "1".into() } else { "0".into() };
    }
    let place = shop(&one.without(&["label_time"]));
    let run = place.run(TRAIN);
    run.failed(1, &["fraud"]);
    assert!(place.files("out").is_empty());
}
