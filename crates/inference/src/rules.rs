//! Rules beside a model: lists of entities, a limit for first orders, and what is done with orders that cannot be read.
//!
//! A decision names what made it. Blocked entities are declined and trusted ones approved whatever the score, blocked before
//! trusted; the limit can only make a decision stricter.

use std::collections::HashSet;
use std::fmt;

use orderguard_features::event::{NumberText, OrderError, Value};
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
        /// Position in it, from 0.
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
                write!(f, "list {list:?}, entry {}: expected an identifier, found none", at + 1)
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

/// Rules bound to a model: what decides beside it. Immutable, `Send + Sync`.
#[derive(Clone, Debug)]
pub struct RuleSet {
    lists: Vec<BoundList>,
    first_order: Option<BoundLimit>,
    fallback: Decision,
}

/// A list whose identifiers are hashed as those of orders are.
#[derive(Clone, Debug)]
pub struct BoundList {
    /// `list NAME`: how decisions name it.
    ground_name: String,
    column: usize,
    role: Role,
    trusted: bool,
    keys: HashSet<EntityKey>,
}

#[derive(Clone, Debug)]
struct BoundLimit {
    limit: FirstOrderLimit,
    amount: usize,
    /// How many orders the account made.
    account: usize,
}

impl RuleSet {
    /// Binds rules to a model whose identifiers are hashed with `key`.
    pub fn bind(rules: &Rules, model: &Model, key: &IdentityKey) -> Result<Self, RulesError> {
        let lists =
            rules.lists.iter().map(|list| BoundList::new(list, &model.schema, key)).collect::<Result<_, _>>()?;
        let first_order = rules.first_order.map(|limit| BoundLimit::new(limit, model)).transpose()?;
        Ok(Self { lists, first_order, fallback: rules.fallback })
    }

    /// The lists, in their order.
    pub fn lists(&self) -> &[BoundList] {
        &self.lists
    }

    /// What is done with an order that cannot be read.
    pub fn fallback(&self) -> Decision {
        self.fallback
    }

    /// What is to be done with an order of feature row `row`, and what made the decision. `is_listed` says whether the list at a
    /// position holds the order's entity.
    pub fn decide(&self, is_listed: impl Fn(usize) -> bool, row: &[f32], score: &Score) -> (Decision, Ground) {
        if let Some(found) = self.listed(&is_listed, false).or_else(|| self.listed(&is_listed, true)) {
            return found;
        }
        match self.first_order_decision(row, score) {
            Some(decision) => (decision, Ground::FirstOrder),
            None => (score.decision, Ground::Model),
        }
    }

    /// The same for an order that cannot be read.
    pub fn decide_unread(&self, is_listed: impl Fn(usize) -> bool) -> (Decision, Ground) {
        // Who is blocked is blocked, whatever else the order says.
        self.listed(&is_listed, false).unwrap_or((self.fallback, Ground::Unreadable))
    }

    /// The decision of the first list of a kind that holds an entity of the order.
    fn listed(&self, is_listed: impl Fn(usize) -> bool, trusted: bool) -> Option<(Decision, Ground)> {
        let at = (0..self.lists.len()).find(|&at| self.lists[at].trusted == trusted && is_listed(at))?;
        Some((self.lists[at].decision(), Ground::List(at)))
    }

    /// The decision of the limit of first orders, where it is stricter than the score's.
    pub fn first_order_decision(&self, row: &[f32], score: &Score) -> Option<Decision> {
        let BoundLimit { limit, amount, account } = self.first_order.as_ref()?;
        // An account may have signed up, or failed to pay, before it orders for the first time.
        let is_first = row[*account] == 0.0 || is_first_seen(row[*account]);
        let is_above = row[*amount] > limit.max_amount && limit.decision > score.decision;
        (is_first && is_above).then_some(limit.decision)
    }

    /// Name of what made a decision: `model`, `list NAME`, `first order`, `unreadable`.
    pub fn ground_name(&self, ground: Ground) -> &str {
        match ground {
            Ground::Model => "model",
            Ground::List(at) => self.lists.get(at).map_or("list", |list| &list.ground_name),
            Ground::FirstOrder => "first order",
            Ground::Unreadable => "unreadable",
        }
    }

    /// What a name of [`Self::ground_name`] means; none where no such rule is there.
    pub fn ground_of(&self, name: &str) -> Option<Ground> {
        let all = [Ground::Model, Ground::Unreadable].into_iter();
        let all = all.chain(self.first_order.is_some().then_some(Ground::FirstOrder));
        all.chain((0..self.lists.len()).map(Ground::List)).find(|&ground| self.ground_name(ground) == name)
    }
}

impl BoundList {
    fn new(list: &EntityList, schema: &Schema, key: &IdentityKey) -> Result<Self, RulesError> {
        let refuse = || RulesError::NotAnEntity { list: list.name.clone(), column: list.column.clone() };
        let at = resolve::column(schema, &list.column).map_err(|_| refuse())?;
        let column = &schema.columns[at];
        if !column.role.is_entity() {
            return Err(refuse());
        }
        let mut keys = HashSet::with_capacity(list.ids.len());
        for (at, id) in list.ids.iter().enumerate() {
            let found = key.entity(column.role, id);
            keys.insert(found.ok_or_else(|| RulesError::NoIdentifier { list: list.name.clone(), at })?);
        }
        Ok(Self {
            ground_name: format!("list {}", list.name),
            column: at,
            role: column.role,
            trusted: list.trusted,
            keys,
        })
    }

    /// Position of its column in the model's schema.
    pub fn column(&self) -> usize {
        self.column
    }

    /// What it does with the orders of its entities.
    pub fn decision(&self) -> Decision {
        if self.trusted { Decision::Approve } else { Decision::Decline }
    }

    /// Whether it holds the entity of an identifier as the shop has it.
    pub fn holds(&self, key: &IdentityKey, id: &str) -> bool {
        key.entity(self.role, id).is_some_and(|found| self.keys.contains(&found))
    }
}

impl BoundLimit {
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

/// A scorer with rules, and perhaps a shadow model. Immutable, `Send + Sync`.
#[derive(Clone, Debug)]
pub struct Decider {
    scorer: OrderScorer,
    rules: RuleSet,
    /// Where the column of each list stands among the values of an order.
    positions: Vec<usize>,
    shadow: Option<Shadow>,
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
        let bound = RuleSet::bind(rules, model, scorer.extractor().key())?;
        let position = |(list, given): (&BoundList, &EntityList)| {
            let found = names.iter().position(|name| *name == model.schema.columns[list.column].name);
            found.ok_or_else(|| RulesError::NotAnEntity { list: given.name.clone(), column: given.column.clone() })
        };
        let positions = bound.lists.iter().zip(&rules.lists).map(position).collect::<Result<_, _>>()?;
        Ok(Self { scorer, rules: bound, positions, shadow: None })
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

    /// The rules.
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// As [`RuleSet::ground_name`].
    pub fn ground_name(&self, ground: Ground) -> &str {
        self.rules.ground_name(ground)
    }

    /// What is to be done with an order; one that cannot be read has the configured fallback, unless it is of a blocked entity. The
    /// state is not changed; the order that `scratch` then holds can be learned unless [`Verdict::error`] is there.
    pub fn decide(&self, state: &State, values: &[Value<'_>], arrival: UnixMillis, scratch: &mut Scratch) -> Verdict {
        let is_listed = |at: usize| self.is_listed(at, values);
        let score = match self.scorer.score(state, values, arrival, scratch) {
            Ok(score) => score,
            Err(error) => {
                let (decision, ground) = self.rules.decide_unread(is_listed);
                return Verdict { decision, ground, score: None, shadow: None, error: Some(error) };
            }
        };
        let shadow = self.shadow.as_ref().map(|shadow| shadow.score(scratch));
        let (decision, ground) = self.rules.decide(is_listed, scratch.row(), &score);
        Verdict { decision, ground, score: Some(score), shadow, error: None }
    }

    /// Whether a list holds the order's entity.
    fn is_listed(&self, at: usize, values: &[Value<'_>]) -> bool {
        let (list, key) = (&self.rules.lists[at], self.scorer.extractor().key());
        let mut room = NumberText::default();
        // A whole number is an identifier too.
        let id = values.get(self.positions[at]).and_then(|value| value.text(&mut room));
        id.is_some_and(|id| list.holds(key, id))
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
