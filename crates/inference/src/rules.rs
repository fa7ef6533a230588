//! Rules beside a model: lists of entities, a limit for first orders, and what is done with orders that cannot be read.
//!
//! A decision names what made it. Blocked entities are declined and trusted ones approved whatever the score, blocked before
//! trusted; the limit can only make a decision stricter.

use std::collections::HashSet;
use std::fmt;

use orderguard_features::event::{OrderError, Value};
use orderguard_features::identity::{EntityKey, IdentityKey};
use orderguard_features::language::feature::{EntityPart, Feature, History, is_first_seen};
use orderguard_features::language::resolve;
use orderguard_features::schema::{Role, Schema};
use orderguard_features::state::State;
use orderguard_features::time::UnixMillis;

use crate::decision::Decision;
use crate::model::Model;
use crate::scorer::{Score, Scorer};
use crate::service::{OrderScorer, Scratch};

/// What a shop decides itself. Without any rule the model decides alone.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Entities that are declined or approved.
    pub lists: Vec<EntityList>,
    /// What happens to large first orders.
    pub first_order: Option<FirstOrderLimit>,
    /// What is done with an order that cannot be read.
    pub fallback: Decision,
}

impl Default for Rules {
    fn default() -> Self {
        Self { lists: Vec::new(), first_order: None, fallback: Decision::Review }
    }
}

/// Entities by their identifiers.
#[derive(Clone, Debug)]
pub struct EntityList {
    /// How decisions name it.
    pub name: String,
    /// The column, by name or role: an entity such as `customer` or `card`.
    pub column: String,
    /// Whether its entities are trusted, and approved, or blocked, and declined.
    pub trusted: bool,
    /// The identifiers as the shop has them.
    pub ids: Vec<String>,
}

/// The largest amount of an account's first order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FirstOrderLimit {
    /// In major units; orders above it are affected.
    pub max_amount: f32,
    /// The mildest decision that they have.
    pub decision: Decision,
}

/// Rules that do not fit a model or the columns that orders come with.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RulesError {
    /// A list's column is not among those that orders come with, or is no entity.
    NotAnEntity {
        /// The list.
        list: String,
        /// Its column.
        column: String,
    },
    /// An identifier of a list says nothing (empty, `unknown`).
    NoIdentifier {
        /// The list.
        list: String,
        /// Position in it.
        at: usize,
    },
    /// The model has no feature that the limit can be read from.
    NoFeature {
        /// Which feature it takes.
        expected: &'static str,
    },
    /// A shadow model has a feature that the deciding one has not.
    ShadowFeature {
        /// The feature.
        feature: String,
    },
    /// The shadow model contradicts itself.
    Shadow(crate::error::ModelError),
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnEntity { list, column } => {
                write!(f, "list {list:?}: expected a column of an entity that orders come with, found {column:?}")
            }
            Self::NoIdentifier { list, at } => {
                write!(f, "list {list:?}, entry {at}: expected an identifier, found none")
            }
            Self::NoFeature { expected } => write!(f, "first orders: expected a model with the feature {expected}"),
            Self::ShadowFeature { feature } => {
                write!(f, "shadow model: expected features of the deciding model, found {feature:?}")
            }
            Self::Shadow(error) => write!(f, "shadow model: {error}"),
        }
    }
}

impl std::error::Error for RulesError {}

/// What made a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// The model's tiers.
    Model,
    /// The list at this position.
    List(usize),
    /// The limit of first orders.
    FirstOrder,
    /// The order could not be read.
    Unreadable,
}

/// What is to be done with an order, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What is to be done.
    pub decision: Decision,
    /// What made the decision.
    pub ground: Ground,
    /// What the model says; none where the order could not be read.
    pub score: Option<Score>,
    /// What the shadow model says, without effect.
    pub shadow: Option<Score>,
    /// Why the order could not be read.
    pub error: Option<OrderError>,
}

/// A scorer with rules, and perhaps a shadow model. Immutable, `Send + Sync`.
#[derive(Clone, Debug)]
pub struct Decider {
    scorer: OrderScorer,
    lists: Vec<CompiledList>,
    first_order: Option<CompiledLimit>,
    fallback: Decision,
    shadow: Option<Shadow>,
}

#[derive(Clone, Debug)]
struct CompiledList {
    name: String,
    position: usize,
    role: Role,
    trusted: bool,
    keys: HashSet<EntityKey>,
}

#[derive(Clone, Debug)]
struct CompiledLimit {
    limit: FirstOrderLimit,
    amount: usize,
    /// How many orders the account made.
    account: usize,
}

/// A second model that is judged on the same features.
#[derive(Clone, Debug)]
struct Shadow {
    scorer: Scorer,
    /// Where each of its features stands in the deciding model's row.
    columns: Vec<u32>,
}

impl Decider {
    /// Binds rules to a scorer that was made of `model` for orders with the columns `names`.
    pub fn new(scorer: OrderScorer, model: &Model, names: &[&str], rules: &Rules) -> Result<Self, RulesError> {
        let key = scorer.extractor().key().clone();
        let lists = rules
            .lists
            .iter()
            .map(|list| CompiledList::new(list, &model.schema, names, &key))
            .collect::<Result<_, _>>()?;
        let first_order = rules.first_order.map(|limit| CompiledLimit::new(limit, model)).transpose()?;
        Ok(Self { scorer, lists, first_order, fallback: rules.fallback, shadow: None })
    }

    /// The same with a shadow model whose features are among those of `model`.
    pub fn with_shadow(mut self, model: &Model, shadow: &Model) -> Result<Self, RulesError> {
        let columns = shadow_columns(model, shadow)?;
        let scorer = Scorer::compile(shadow).map_err(RulesError::Shadow)?;
        self.shadow = Some(Shadow { scorer, columns });
        Ok(self)
    }

    /// The scorer.
    pub fn scorer(&self) -> &OrderScorer {
        &self.scorer
    }

    /// Name of what made a decision: `model`, `list NAME`, `first order`, `unreadable`.
    pub fn ground_name(&self, ground: Ground) -> String {
        match ground {
            Ground::Model => "model".into(),
            Ground::List(at) => format!("list {}", self.lists.get(at).map_or("", |list| list.name.as_str())),
            Ground::FirstOrder => "first order".into(),
            Ground::Unreadable => "unreadable".into(),
        }
    }

    /// What is to be done with an order; one that cannot be read has the configured fallback, unless it is of a blocked entity. The state is not changed; the order
    /// that `scratch` then holds can be learned unless [`Verdict::error`] is there.
    pub fn decide(&self, state: &State, values: &[Value<'_>], arrival: UnixMillis, scratch: &mut Scratch) -> Verdict {
        let score = match self.scorer.score(state, values, arrival, scratch) {
            Ok(score) => score,
            Err(error) => {
                // Who is blocked is blocked, whatever else the order says.
                let (decision, ground) = match self.listed(values, false) {
                    Some(at) => (Decision::Decline, Ground::List(at)),
                    None => (self.fallback, Ground::Unreadable),
                };
                return Verdict { decision, ground, score: None, shadow: None, error: Some(error) };
            }
        };
        let shadow = self.shadow.as_ref().map(|shadow| shadow.score(scratch));
        let (decision, ground) = self.rule(values, scratch.row(), &score);
        Verdict { decision, ground, score: Some(score), shadow, error: None }
    }

    fn rule(&self, values: &[Value<'_>], row: &[f32], score: &Score) -> (Decision, Ground) {
        if let Some(at) = self.listed(values, false) {
            return (Decision::Decline, Ground::List(at));
        }
        if let Some(at) = self.listed(values, true) {
            return (Decision::Approve, Ground::List(at));
        }
        // An account may have signed up, or failed to pay, before it orders for the first time.
        if let Some(CompiledLimit { limit, amount, account }) = &self.first_order
            && (row[*account] == 0.0 || is_first_seen(row[*account]))
            && row[*amount] > limit.max_amount
            && limit.decision > score.decision
        {
            return (limit.decision, Ground::FirstOrder);
        }
        (score.decision, Ground::Model)
    }
}

impl Decider {
    /// The first list that holds an entity of the order.
    fn listed(&self, values: &[Value<'_>], trusted: bool) -> Option<usize> {
        let key = self.scorer.extractor().key();
        self.lists.iter().position(|list| list.trusted == trusted && list.holds(values, key))
    }
}

impl CompiledList {
    fn new(list: &EntityList, schema: &Schema, names: &[&str], key: &IdentityKey) -> Result<Self, RulesError> {
        let refuse = || RulesError::NotAnEntity { list: list.name.clone(), column: list.column.clone() };
        let column = &schema.columns[resolve::column(schema, &list.column).map_err(|_| refuse())?];
        let position = names.iter().position(|name| *name == column.name).filter(|_| column.role.is_entity());
        let position = position.ok_or_else(refuse)?;
        let mut keys = HashSet::with_capacity(list.ids.len());
        for (at, id) in list.ids.iter().enumerate() {
            let found = key.entity(column.role, id);
            keys.insert(found.ok_or_else(|| RulesError::NoIdentifier { list: list.name.clone(), at })?);
        }
        Ok(Self { name: list.name.clone(), position, role: column.role, trusted: list.trusted, keys })
    }

    fn holds(&self, values: &[Value<'_>], key: &IdentityKey) -> bool {
        let found = match values.get(self.position) {
            Some(Value::Text(text)) => key.entity(self.role, text),
            // A whole number is an identifier too.
            Some(Value::Number(x)) => key.entity(self.role, &x.to_string()),
            _ => None,
        };
        found.is_some_and(|found| self.keys.contains(&found))
    }
}

impl CompiledLimit {
    fn new(limit: FirstOrderLimit, model: &Model) -> Result<Self, RulesError> {
        let features = &model.spec.features;
        let find = |is_it: &dyn Fn(&Feature) -> bool, expected| {
            features.iter().position(is_it).ok_or(RulesError::NoFeature { expected })
        };
        let is_customer = |part: &EntityPart| match part {
            EntityPart::Column(name) => {
                resolve::column(&model.schema, name).is_ok_and(|at| model.schema.columns[at].role == Role::Customer)
            }
            _ => false,
        };
        // All orders ever: a window, a delay or a condition would show in the words.
        let of_account = |feature: &Feature| match feature {
            Feature::History(History { entity, .. }) => {
                matches!(entity.as_slice(), [part @ EntityPart::Column(name)]
                    if is_customer(part) && feature.to_string() == format!("count(order) by {name}"))
            }
            _ => false,
        };
        let amount = find(&|feature| *feature == Feature::Amount, "amount")?;
        let account = find(&of_account, "count(order) by customer")?;
        Ok(Self { limit, amount, account })
    }
}

/// Where each feature of a shadow model stands in the row of the deciding one.
pub fn shadow_columns(model: &Model, shadow: &Model) -> Result<Vec<u32>, RulesError> {
    let same_levels = |feature: &Feature| match feature {
        Feature::Category(place) => model.spec.vocabulary(place) == shadow.spec.vocabulary(place),
        _ => true,
    };
    let find = |feature: &Feature| {
        let at = model.spec.features.iter().position(|other| other == feature).filter(|_| same_levels(feature));
        at.map(|at| at as u32).ok_or_else(|| RulesError::ShadowFeature { feature: feature.to_string() })
    };
    shadow.spec.features.iter().map(find).collect()
}

impl Shadow {
    fn score(&self, scratch: &mut Scratch) -> Score {
        let mut own = std::mem::take(&mut scratch.shadow);
        own.clear();
        own.extend(self.columns.iter().map(|&at| scratch.row()[at as usize]));
        let score = self.scorer.score(&own).expect("one column for each of its features");
        scratch.shadow = own;
        score
    }
}
