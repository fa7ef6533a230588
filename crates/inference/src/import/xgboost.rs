//! The JSON files of XGBoost (`Booster.save_model("model.json")`), versions 1 to 3.
//!
//! What is taken: the boosters `gbtree` and `dart` with the objectives `binary:logistic`, `binary:logitraw` and `reg:logistic`; numeric
//! and categorical splits with their default sides, any number of thresholds; the trees up to `best_iteration` where the file
//! names one, which are those that `XGBClassifier.predict` uses. Refused by name: several classes or targets, trees with vectors in
//! their leaves, several trees per round (random forests), `gblinear`, other objectives.
//!
//! The library rounds a value to 32 bits and sends it left when it is *below* the threshold. Here it goes left when it is at most
//! another number, of 64 bits: so every row takes the same leaves, for values at and one ulp around each threshold too,
//! whether they are f32 or f64. Raw scores are within 1e-5: the library adds leaves up in 32 bits.

mod tree;

use crate::import::json::Json;
use crate::import::scale::{scale_bits, to_steps};
use crate::model::Calibration;
use crate::rows::RowModel;
use crate::validate::{MAX_FEATURES, MAX_TREES};
use crate::wide::{Codes, WideForest};

use super::{ImportError, Place, beginning};
use tree::{RawTree, SourceTree};

/// Longest text that is read: 1 GiB.
pub const MAX_TEXT_LEN: usize = 1 << 30;

/// Which trees are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounds {
    /// Those up to `best_iteration`, or all where the file names none.
    Best,
    /// All, which is what `Booster.predict` uses when nothing is asked of it.
    All,
}

/// Reads the text of a model. O(text) in time and memory; never panics.
pub fn read(text: &[u8], rounds: Rounds) -> Result<RowModel, ImportError> {
    if text.len() > MAX_TEXT_LEN {
        return Err(ImportError::TooLong { found: text.len(), limit: MAX_TEXT_LEN });
    }
    // What `save_model` writes to every name that does not end in .json: lengths of keys stand behind the bracket.
    if matches!(text, [b'{', b'L' | b'l' | b'I' | b'i' | b'U', ..]) {
        return Err(ImportError::Unexpected {
            place: Place::Byte(1),
            expected: "JSON, as save_model(\"model.json\") writes it",
            found: "UBJSON".into(),
        });
    }
    let mut json = Json::new(text)?;
    let place = json.place();
    let (mut learner, mut version) = (None, None);
    json.object(|json, key| match key {
        "learner" => once(json, "learner", &mut learner, Learner::read),
        "version" => once(json, "version", &mut version, |json| {
            let place = json.place();
            let version = json.words("version", "a whole number", |text| text.parse::<u32>().ok())?;
            match version.first() {
                None | Some(1..=3) => Ok(version),
                Some(major) => {
                    let (field, expected, found) = ("version", "1, 2 or 3 and what follows", major.to_string());
                    Err(ImportError::Value { place, field, at: 0, expected, found })
                }
            }
        }),
        _ => json.skip(),
    })?;
    json.finish()?;
    let learner: Learner = need(learner, place, "learner")?;
    learner.finish(place, &version.unwrap_or_default(), rounds)
}

/// The parts of the file that matter, as they stand there.
#[derive(Default)]
struct Learner {
    names: Option<Vec<String>>,
    best_iteration: Option<Param>,
    booster: Option<Booster>,
    params: Option<ModelParams>,
    objective: Option<Param>,
}

/// A value that the library writes as a string.
struct Param {
    place: Place,
    text: String,
}

#[derive(Default)]
struct ModelParams {
    base_score: Option<Param>,
    n_classes: Option<Param>,
    n_features: Option<Param>,
    n_targets: Option<Param>,
}

#[derive(Default)]
struct Booster {
    name: Option<Param>,
    model: Option<TreeModel>,
    /// Of `dart`: the factor of each tree.
    weights: Option<Vec<f32>>,
    weights_place: Option<Place>,
}

#[derive(Default)]
struct TreeModel {
    parallel: Option<Param>,
    trees: Option<Vec<RawTree>>,
}

impl Learner {
    fn read(json: &mut Json<'_>) -> Result<Self, ImportError> {
        let mut learner = Self::default();
        json.object(|json, key| match key {
            "attributes" => json.object(|json, key| match key {
                "best_iteration" => once(json, "best_iteration", &mut learner.best_iteration, Param::read),
                _ => json.skip(),
            }),
            "feature_names" => once(json, "feature_names", &mut learner.names, |json| {
                let mut names = Vec::new();
                json.array(|json| json.string().map(|name| names.push(name)))?;
                Ok(names)
            }),
            "gradient_booster" => once(json, "gradient_booster", &mut learner.booster, Booster::read),
            "learner_model_param" => once(json, "learner_model_param", &mut learner.params, ModelParams::read),
            "objective" => json.object(|json, key| match key {
                "name" => once(json, "objective", &mut learner.objective, Param::read),
                _ => json.skip(),
            }),
            _ => json.skip(),
        })?;
        Ok(learner)
    }

    fn finish(self, start: Place, version: &[u32], rounds: Rounds) -> Result<RowModel, ImportError> {
        let objective = need(self.objective, start, "objective")?;
        let params = need(self.params, start, "learner_model_param")?;
        let booster = need(self.booster, start, "gradient_booster")?;
        let kind = need(booster.name, start, "name")?;
        if !matches!(kind.text.as_str(), "gbtree" | "dart") {
            let what = format!("the booster {:?} is not read, only gbtree and dart", beginning(&kind.text));
            return Err(ImportError::Unsupported { place: kind.place, what });
        }
        for (param, name) in [(&params.n_classes, "num_class"), (&params.n_targets, "num_target")] {
            let Some(param) = param else { continue };
            let n: u64 = param.whole(name)?;
            if n > 1 {
                let what = format!("several classes or targets are not read: {name} is {n}");
                return Err(ImportError::Unsupported { place: param.place, what });
            }
        }
        if !matches!(objective.text.as_str(), "binary:logistic" | "binary:logitraw" | "reg:logistic") {
            let found = beginning(&objective.text);
            let what =
                format!("objective {found:?} is not read, only binary:logistic, binary:logitraw and reg:logistic");
            return Err(ImportError::Unsupported { place: objective.place, what });
        }
        let model = need(booster.model, start, "model")?;
        if let Some(parallel) = &model.parallel {
            let n: u64 = parallel.whole("num_parallel_tree")?;
            if n > 1 {
                let what = format!("several trees per round (a random forest) are not read: num_parallel_tree is {n}");
                return Err(ImportError::Unsupported { place: parallel.place, what });
            }
        }
        let names = feature_names(&params, self.names.unwrap_or_default(), start)?;
        let base = margin(&need(params.base_score, start, "base_score")?, &objective.text)?;

        let raw = need(model.trees, start, "trees")?;
        let n_trees = raw.len();
        let mut factors = vec![1.0f32; n_trees];
        if kind.text == "dart" {
            let place = booster.weights_place.unwrap_or(start);
            factors = need(booster.weights, start, "weight_drop")?;
            if factors.len() != n_trees {
                let found = factors.len();
                return Err(ImportError::Count { place, field: "weight_drop", found, expected: n_trees });
            }
        }
        let taken = match &self.best_iteration {
            Some(best) if rounds == Rounds::Best => best.best_iteration(n_trees)? + 1,
            _ => n_trees,
        };
        let mut words_left = tree::MAX_WORDS;
        let mut trees = Vec::with_capacity(taken);
        for (raw, factor) in raw.into_iter().zip(factors).take(taken) {
            trees.push(raw.finish(factor, &mut words_left)?);
        }
        let facts = vec![
            ("source".to_owned(), format!("XGBoost JSON, version {}", dotted(version))),
            ("objective".to_owned(), objective.text),
            ("booster".to_owned(), kind.text),
            ("rounds".to_owned(), format!("{taken} of {n_trees}")),
        ];
        let forest = forest(trees, names.len(), base)?;
        let calibration = Calibration::Platt { slope: 1.0, intercept: 0.0 };
        let model = RowModel { names, forest, calibration, facts, golden: Vec::new() };
        model.with_golden_rows().map_err(ImportError::Model)
    }
}

fn forest(mut trees: Vec<SourceTree>, n_features: usize, base: f64) -> Result<WideForest, ImportError> {
    let largest = trees.iter().map(SourceTree::largest_leaf).sum::<f64>() + base.abs();
    let bits = scale_bits(trees.len() + 1, largest)?;
    if trees.iter().any(|tree| tree.n_rows.is_empty()) {
        for tree in &mut trees {
            tree.n_rows.clear();
        }
    }
    Ok(WideForest {
        n_features: n_features as u32,
        base: to_steps(base, bits),
        scale_bits: bits,
        codes: Codes::Narrowed,
        trees: trees.into_iter().map(|tree| tree.finish(bits)).collect(),
    })
}

fn dotted(version: &[u32]) -> String {
    if version.is_empty() {
        return "unknown".into();
    }
    version.iter().take(3).map(u32::to_string).collect::<Vec<_>>().join(".")
}

/// The names of the file, or `f0`, `f1`, ... where it has none, as in the library's own dumps.
fn feature_names(params: &ModelParams, names: Vec<String>, start: Place) -> Result<Vec<String>, ImportError> {
    let Some(param) = &params.n_features else {
        return Err(ImportError::MissingField { place: start, field: "num_feature" });
    };
    let n: u64 = param.whole("num_feature")?;
    if n > MAX_FEATURES {
        return Err(param.error("num_feature", "at most 2^20"));
    }
    let expected = n as usize;
    if names.is_empty() {
        return Ok((0..expected).map(|i| format!("f{i}")).collect());
    }
    if names.len() != expected {
        let found = names.len();
        return Err(ImportError::Count { place: param.place, field: "feature_names", found, expected });
    }
    Ok(names)
}

/// The raw score before any tree. Of `binary:logitraw` it is the base score itself, of the others its log-odds, in 32 bits as the
/// library computes them. Version 3 writes a list with one number per target.
fn margin(base_score: &Param, objective: &str) -> Result<f64, ImportError> {
    let text = base_score.text.trim();
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).trim();
    if objective == "binary:logitraw" {
        return finite(text).map(f64::from).ok_or_else(|| base_score.error("base_score", "one finite number"));
    }
    let probability = finite(text).filter(|p| *p > 0.0 && *p < 1.0);
    let Some(probability) = probability else {
        return Err(base_score.error("base_score", "one probability between 0 and 1"));
    };
    Ok(f64::from(-libm::logf(1.0 / probability - 1.0)))
}

impl Param {
    fn read(json: &mut Json<'_>) -> Result<Self, ImportError> {
        let place = json.place();
        json.string().map(|text| Self { place, text })
    }

    fn whole(&self, field: &'static str) -> Result<u64, ImportError> {
        self.text.parse().map_err(|_| self.error(field, "a whole number"))
    }

    fn error(&self, field: &'static str, expected: &'static str) -> ImportError {
        ImportError::Value { place: self.place, field, at: 0, expected, found: beginning(&self.text) }
    }

    fn best_iteration(&self, n_trees: usize) -> Result<usize, ImportError> {
        let best = self.whole("best_iteration")?;
        let best = usize::try_from(best).ok().filter(|&best| best < n_trees);
        best.ok_or_else(|| self.error("best_iteration", "one of the rounds"))
    }
}

impl ModelParams {
    fn read(json: &mut Json<'_>) -> Result<Self, ImportError> {
        let mut params = Self::default();
        json.object(|json, key| match key {
            "base_score" => once(json, "base_score", &mut params.base_score, Param::read),
            "num_class" => once(json, "num_class", &mut params.n_classes, Param::read),
            "num_feature" => once(json, "num_feature", &mut params.n_features, Param::read),
            "num_target" => once(json, "num_target", &mut params.n_targets, Param::read),
            _ => json.skip(),
        })?;
        Ok(params)
    }
}

impl Booster {
    fn read(json: &mut Json<'_>) -> Result<Self, ImportError> {
        let mut booster = Self::default();
        json.object(|json, key| match key {
            "name" => once(json, "name", &mut booster.name, Param::read),
            "model" => once(json, "model", &mut booster.model, TreeModel::read),
            // The trees of `dart` stand one level deeper.
            "gbtree" => json.object(|json, key| match key {
                "model" => once(json, "model", &mut booster.model, TreeModel::read),
                _ => json.skip(),
            }),
            "weight_drop" => {
                booster.weights_place = Some(json.place());
                once(json, "weight_drop", &mut booster.weights, |json| {
                    json.words("weight_drop", "a finite number", finite)
                })
            }
            _ => json.skip(),
        })?;
        Ok(booster)
    }
}

impl TreeModel {
    fn read(json: &mut Json<'_>) -> Result<Self, ImportError> {
        let mut model = Self::default();
        json.object(|json, key| match key {
            "gbtree_model_param" => json.object(|json, key| match key {
                "num_parallel_tree" => once(json, "num_parallel_tree", &mut model.parallel, Param::read),
                _ => json.skip(),
            }),
            "trees" => once(json, "trees", &mut model.trees, |json| {
                let mut trees = Vec::new();
                json.array(|json| {
                    if trees.len() as u64 >= MAX_TREES {
                        let (place, found) = (json.place(), "one more".to_owned());
                        return Err(ImportError::Unexpected { place, expected: "at most 2^24 trees", found });
                    }
                    trees.push(RawTree::read(json)?);
                    Ok(())
                })?;
                Ok(trees)
            }),
            _ => json.skip(),
        })?;
        Ok(model)
    }
}

fn finite(text: &str) -> Option<f32> {
    text.parse::<f32>().ok().filter(|x| x.is_finite())
}

/// Reads a field that may stand once.
fn once<T>(
    json: &mut Json<'_>,
    field: &'static str,
    slot: &mut Option<T>,
    read: impl FnOnce(&mut Json<'_>) -> Result<T, ImportError>,
) -> Result<(), ImportError> {
    if slot.is_some() {
        return Err(ImportError::RepeatedField { place: json.place(), field: field.to_owned() });
    }
    *slot = Some(read(json)?);
    Ok(())
}

fn need<T>(found: Option<T>, place: Place, field: &'static str) -> Result<T, ImportError> {
    found.ok_or(ImportError::MissingField { place, field })
}
