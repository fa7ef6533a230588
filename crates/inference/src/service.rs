//! The stateful path of a service: a raw order comes in, its features are read from the state, it is scored, and then
//! learned, so that the next order sees it.

use std::fmt;
use std::sync::Arc;

use orderguard_features::event::{Event, OrderError, Value};
use orderguard_features::extract::{Binding, Extractor, ExtractorError};
use orderguard_features::identity::IdentityKey;
use orderguard_features::own::Tables;
use orderguard_features::snapshot::StateError;
use orderguard_features::state::{Learned, State};
use orderguard_features::time::UnixMillis;

use crate::error::{ModelError, ScoreError};
use crate::model::Model;
use crate::scorer::{Score, Scorer};

/// Scores raw orders: a compiled model with the caller's column names bound to it. Immutable and `Send + Sync`; the
/// [`State`] belongs to the caller, who holds it behind a lock for [`OrderScorer::features`] and
/// [`OrderScorer::learn`] only. Scoring itself takes no lock.
///
/// ```no_run
/// use orderguard_features::event::Value;
/// use orderguard_features::identity::IdentityKey;
/// use orderguard_features::time::UnixMillis;
/// use orderguard_inference::model::Model;
/// use orderguard_inference::service::OrderScorer;
///
/// let model = Model::load("models/latest/model.ogm")?;
/// let key = IdentityKey::new(orderguard_features::identity::PUBLIC_KEY);
/// // Once: the columns that every order will come with, in this order.
/// let scorer = OrderScorer::new(&model, key, &["order_id", "order_time", "customer_id", "amount"])?;
/// let mut state = scorer.restore(&std::fs::read("models/latest/state.ogs")?)?;
/// let mut scratch = scorer.scratch();
/// // For each order:
/// let order = ["o-1".into(), "2026-01-31T10:00:00Z".into(), "c-17".into(), Value::Number(99.90)];
/// let arrival = UnixMillis(1_769_853_600_000);
/// let score = scorer.score(&state, &order, arrival, &mut scratch)?;
/// println!("{} at probability {:.4}", score.decision, score.probability);
/// scorer.learn(&mut state, &scratch);
/// // When the shop learns what the order was:
/// scorer.learn_label(&mut state, "o-1", UnixMillis(1_771_000_000_000), true);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct OrderScorer {
    extractor: Extractor,
    scorer: Scorer,
    binding: Binding,
}

/// Memory that is used again for each order: one per thread. Holds the order that was scored last.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    event: Event,
    /// One cell per feature, and those behind them that only features combined of several entities read.
    row: Vec<f32>,
    n_features: usize,
    /// The row of a shadow model.
    pub(crate) shadow: Vec<f32>,
}

impl Scratch {
    /// The feature row of the order that was scored last.
    pub fn row(&self) -> &[f32] {
        &self.row[..self.n_features]
    }

    /// The order that was scored last.
    pub fn event(&self) -> &Event {
        &self.event
    }
}

/// A model that cannot serve.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SetupError {
    /// The model contradicts itself.
    Model(ModelError),
    /// Its specification does not fit its schema.
    Spec(ExtractorError),
    /// The names given do not cover what the model reads.
    Columns(OrderError),
    /// The model's identifiers were hashed with another key.
    KeyMismatch {
        /// Check number of the key that the model was made with.
        expected: u64,
        /// Check number of the key given.
        found: u64,
    },
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(error) => error.fmt(f),
            Self::Spec(error) => error.fmt(f),
            Self::Columns(error) => error.fmt(f),
            Self::KeyMismatch { expected, found } => write!(
                f,
                "identity key: the model was made with the key of check number {expected:016x}, found {found:016x}"
            ),
        }
    }
}

impl std::error::Error for SetupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Model(error) => Some(error),
            Self::Spec(error) => Some(error),
            Self::Columns(error) => Some(error),
            Self::KeyMismatch { .. } => None,
        }
    }
}

/// The extractor of a model, after a check that the key is the one the model was made with. `tables` are the shop's own;
/// those that the model's features read must be the same editions as in training.
pub fn extractor(model: &Model, key: IdentityKey, tables: Arc<Tables>) -> Result<Extractor, SetupError> {
    if key.check() != model.card.key_check {
        return Err(SetupError::KeyMismatch { expected: model.card.key_check, found: key.check() });
    }
    Extractor::with_tables(&model.schema, &model.spec, key, tables).map_err(SetupError::Spec)
}

impl OrderScorer {
    /// Compiles a model for orders that come with values of the columns `names`, in this order. Columns that the model does
    /// not read may be among them. O(size of the model).
    pub fn new(model: &Model, key: IdentityKey, names: &[&str]) -> Result<Self, SetupError> {
        Self::with_tables(model, key, Arc::default(), names)
    }

    /// As [`Self::new`], with the shop's own tables: network addresses, BINs, lists of e-mail providers.
    pub fn with_tables(
        model: &Model,
        key: IdentityKey,
        tables: Arc<Tables>,
        names: &[&str],
    ) -> Result<Self, SetupError> {
        let extractor = extractor(model, key, tables)?;
        let binding = extractor.bind(names).map_err(SetupError::Columns)?;
        let scorer = Scorer::compile(model).map_err(SetupError::Model)?;
        Ok(Self { extractor, scorer, binding })
    }

    /// A state without history: every entity is first seen.
    pub fn new_state(&self) -> State {
        State::new(&self.extractor)
    }

    /// The state of a state file.
    pub fn restore(&self, bytes: &[u8]) -> Result<State, StateError> {
        State::from_bytes(bytes, &self.extractor)
    }

    /// The bytes of a state file; the caller writes them beside the old file and renames.
    pub fn snapshot(&self, state: &State) -> Vec<u8> {
        state.to_bytes(&self.extractor)
    }

    /// Memory for one thread.
    pub fn scratch(&self) -> Scratch {
        let row = vec![f32::NAN; self.extractor.row_len()];
        Scratch { event: Event::default(), row, n_features: self.scorer.n_features(), shadow: Vec::new() }
    }

    /// Reads an order and computes its features; `scratch` holds both afterwards. `arrival` is when the order came in.
    ///
    /// # Errors
    /// [`OrderError`] says which value cannot be read; the order is then neither scored nor learned.
    pub fn features(
        &self,
        state: &State,
        values: &[Value<'_>],
        arrival: UnixMillis,
        scratch: &mut Scratch,
    ) -> Result<(), OrderError> {
        self.extractor.read_order(&self.binding, values, arrival, &mut scratch.event)?;
        scratch.row.resize(self.extractor.row_len(), f32::NAN);
        scratch.n_features = self.scorer.n_features();
        self.extractor.extract(state, &scratch.event, &mut scratch.row);
        Ok(())
    }

    /// The score of the order whose features `scratch` holds.
    ///
    /// # Errors
    /// If another model filled `scratch` last.
    pub fn judge(&self, scratch: &Scratch) -> Result<Score, ScoreError> {
        self.scorer.score(scratch.row())
    }

    /// [`Self::features`] and [`Self::judge`] in one call. The state is not changed: see [`Self::learn`].
    pub fn score(
        &self,
        state: &State,
        values: &[Value<'_>],
        arrival: UnixMillis,
        scratch: &mut Scratch,
    ) -> Result<Score, OrderError> {
        self.features(state, values, arrival, scratch)?;
        Ok(self.judge(scratch).expect("features() made the row as long as this model's"))
    }

    /// Learns another event than an order, or an order without scoring it: its kind stands in the column of event kinds.
    ///
    /// # Errors
    /// [`OrderError`] says which value cannot be read; nothing is learned then.
    pub fn learn_event(
        &self,
        state: &mut State,
        values: &[Value<'_>],
        arrival: UnixMillis,
        scratch: &mut Scratch,
    ) -> Result<Learned, OrderError> {
        self.extractor.read_event(&self.binding, values, arrival, &mut scratch.event)?;
        Ok(state.learn(&self.extractor, &scratch.event))
    }

    /// Learns the order that `scratch` holds. A repeated order id is ignored.
    pub fn learn(&self, state: &mut State, scratch: &Scratch) -> Learned {
        state.learn(&self.extractor, &scratch.event)
    }

    /// Learns the label of an order, or that an earlier label is reversed. Ignored when the order is unknown or too old.
    pub fn learn_label(&self, state: &mut State, order_id: &str, time: UnixMillis, fraud: bool) -> Learned {
        let id = self.extractor.key().order_id(order_id.trim());
        state.learn_label(&self.extractor, id, time, fraud)
    }

    /// The feature side of the model.
    pub fn extractor(&self) -> &Extractor {
        &self.extractor
    }

    /// The scoring side of the model.
    pub fn scorer(&self) -> &Scorer {
        &self.scorer
    }
}
