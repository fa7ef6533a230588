//! A model that a fit goes on from: its columns, features and parameters are those of the new one.

use orderguard_features::language::spec::FeatureSpec;
use orderguard_features::schema::Schema;
use orderguard_inference::model::{Forest, Predictor};

use crate::args::{LearningArgs, TrainArgs};
use crate::failure::{Outcome, usage};
use crate::{input, model_data, params_file};

/// The largest model file that is read.
const MAX_MODEL_BYTES: u64 = 1 << 32;

/// What is kept of an earlier model.
pub(crate) struct Earlier {
    pub(crate) schema: Schema,
    pub(crate) spec: FeatureSpec,
    pub(crate) forest: Forest,
    /// One per feature.
    pub(crate) importance: Vec<f64>,
    pub(crate) params: LearningArgs,
    /// Whether its leaves are fitted again; trees are added otherwise.
    pub(crate) leaves_only: bool,
    /// What the card of the new model says of it: name and value.
    pub(crate) fact: (String, String),
}

/// The model that the options name, if any; checked against the key and the tables of this run.
pub(crate) fn load(args: &TrainArgs) -> Outcome<Option<Earlier>> {
    let (path, leaves_only, fact) = match (&args.continue_from, &args.refit_leaves) {
        (Some(path), _) => (path, false, "continues model"),
        (None, Some(path)) => (path, true, "leaves fitted again, of model"),
        (None, None) => return Ok(None),
    };
    let model = model_data::compile(path, args.key_file.as_deref(), &args.tables)?.model;
    let Predictor::Gbt(forest) = model.predictor else {
        return usage(format_args!(
            "{}: expected a model of boosted trees to go on from, found a {} model",
            path.display(),
            model.card.kind
        ));
    };
    let hash = blake3::hash(&input::read(path, MAX_MODEL_BYTES)?).to_hex().to_string();
    Ok(Some(Earlier {
        schema: model.schema,
        spec: model.spec,
        forest,
        importance: model.reference.iter().map(|reference| reference.importance).collect(),
        params: params_file::of_card(&model.card),
        leaves_only,
        fact: (fact.into(), hash),
    }))
}
