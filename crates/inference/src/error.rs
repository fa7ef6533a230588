//! What can be wrong with a model, its file, or a row.

use std::fmt;
use std::path::PathBuf;

use orderguard_features::container::ContainerError;
use orderguard_features::language::spec::SpecError;
use orderguard_features::schema::SchemaError;

/// A model that contradicts itself. Positions count from 0.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ModelError {
    /// The schema cannot be used.
    Schema(SchemaError),
    /// A count outside of what is taken.
    Count {
        /// What is counted.
        of: &'static str,
        /// The number found.
        found: u64,
        /// The most that is taken.
        limit: u64,
    },
    /// A row has no value, or there is no tree to walk, or no knot.
    Empty {
        /// What is empty.
        of: &'static str,
    },
    /// Two parts disagree about a length.
    Length {
        /// The part that is checked.
        of: String,
        /// Its length.
        found: u64,
        /// The length that the rest of the model asks for.
        expected: u64,
    },
    /// The feature specification contradicts itself or does not fit the schema.
    Spec(SpecError),
    /// A vocabulary is of no category feature.
    VocabularyUnused {
        /// What it is of.
        place: String,
    },
    /// Two values of a row have one name.
    RepeatedName {
        /// The name.
        name: String,
    },
    /// A text of the reasons cannot be filled.
    Pattern {
        /// The feature it is for.
        feature: u32,
        /// Why not.
        error: crate::reasons::pattern::PatternError,
    },
    /// A tree has no node.
    EmptyTree {
        /// The tree.
        tree: u32,
    },
    /// A child that does not exist.
    ChildOutOfRange {
        /// The tree.
        tree: u32,
        /// The node.
        node: u32,
        /// The child.
        child: u32,
        /// Nodes of the tree.
        n_nodes: u32,
    },
    /// A child that stands before its parent, or is its own: the walk might never end.
    ChildBeforeParent {
        /// The tree.
        tree: u32,
        /// The node.
        node: u32,
        /// The child.
        child: u32,
    },
    /// A node that several nodes lead to, or none.
    NotOneParent {
        /// The tree.
        tree: u32,
        /// The node.
        node: u32,
        /// How many lead to it.
        n_parents: u32,
    },
    /// A feature that the row does not have.
    FeatureOutOfRange {
        /// Where, such as `tree 3, node 4` or `term 2`.
        place: String,
        /// The feature.
        feature: u32,
        /// Features of the row.
        n_features: u32,
    },
    /// A level set that the tree does not have.
    LevelSetOutOfRange {
        /// The tree.
        tree: u32,
        /// The node.
        node: u32,
        /// The level set.
        level_set: u32,
        /// Level sets of the tree.
        n_level_sets: u32,
    },
    /// Level codes asked of a feature that is a quantity.
    NotCategorical {
        /// Where, such as `tree 3, node 4` or `term 2`.
        place: String,
        /// The feature.
        feature: u32,
    },
    /// A number outside of what its meaning allows.
    Value {
        /// Where, such as `tree 3, node 4`, `term 2` or `calibration`.
        place: String,
        /// The field.
        field: &'static str,
        /// The number found.
        found: f64,
        /// What was expected.
        expected: &'static str,
    },
    /// A made-up row does not give the raw score that the writer got: this machine or this program computes otherwise.
    GoldenMismatch {
        /// The row.
        row: u32,
        /// The raw score found here.
        found: f64,
        /// The raw score that the writer got.
        expected: f64,
    },
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema(error) => error.fmt(f),
            Self::Count { of, found, limit } => write!(f, "{of}: expected at most {limit}, found {found}"),
            Self::Empty { of } => write!(f, "{of}: expected at least one, found none"),
            Self::Length { of, found, expected } => write!(f, "{of}: expected length {expected}, found {found}"),
            Self::Spec(error) => error.fmt(f),
            Self::VocabularyUnused { place } => write!(f, "vocabulary of {place}: no feature reads it"),
            Self::RepeatedName { name } => write!(f, "names: expected each once, found {name:?} twice"),
            Self::Pattern { feature, error } => write!(f, "reasons, feature {feature}: {error}"),
            Self::EmptyTree { tree } => write!(f, "tree {tree}: expected at least one node, found none"),
            Self::ChildOutOfRange { tree, node, child, n_nodes } => {
                write!(f, "tree {tree}, node {node}: child {child} is outside the tree's {n_nodes} nodes")
            }
            Self::ChildBeforeParent { tree, node, child } => {
                write!(f, "tree {tree}, node {node}: expected children after their parent, found child {child}")
            }
            Self::NotOneParent { tree, node, n_parents } => {
                write!(f, "tree {tree}, node {node}: expected one parent, found {n_parents}")
            }
            Self::FeatureOutOfRange { place, feature, n_features } => {
                write!(f, "{place}: feature {feature} is outside the row's {n_features} features")
            }
            Self::LevelSetOutOfRange { tree, node, level_set, n_level_sets } => {
                write!(f, "tree {tree}, node {node}: level set {level_set} is outside the tree's {n_level_sets}")
            }
            Self::NotCategorical { place, feature } => {
                write!(f, "{place}: expected a category, found feature {feature}, which is a quantity")
            }
            Self::Value { place, field, found, expected } => {
                write!(f, "{place}: {field}: expected {expected}, found {found}")
            }
            Self::GoldenMismatch { row, found, expected } => {
                write!(
                    f,
                    "golden row {row}: expected raw score {expected}, found {found}: scores here are not those of training"
                )
            }
        }
    }
}

impl std::error::Error for ModelError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Schema(error) => Some(error),
            Self::Spec(error) => Some(error),
            _ => None,
        }
    }
}

/// A model file that cannot be loaded.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are no intact model file of a version that this program knows.
    Container(ContainerError),
    /// A field of the header holds a code that means nothing.
    Header {
        /// The field.
        field: &'static str,
        /// The code found.
        found: u64,
        /// What was expected.
        expected: &'static str,
    },
    /// The schema fingerprint of the file is not that of the schema in it.
    Fingerprint {
        /// In the header.
        found: u64,
        /// Of the schema.
        expected: u64,
    },
    /// A section does not hold what its description says.
    Encoding {
        /// Tag of the section.
        section: &'static str,
        /// What is wrong.
        message: String,
    },
    /// A feature cannot be read.
    Feature {
        /// Its position.
        feature: u32,
        /// The parser's message.
        message: String,
    },
    /// The bytes are intact, but what they say is no model.
    Model(ModelError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Container(error) => write!(f, "model file: {error}"),
            Self::Header { field, found, expected } => {
                write!(f, "model file: section head: {field}: expected {expected}, found {found}")
            }
            Self::Fingerprint { found, expected } => {
                write!(f, "model file: schema fingerprint: expected {expected:016x}, found {found:016x}")
            }
            Self::Encoding { section, message } => write!(f, "model file: section {section}: {message}"),
            Self::Feature { feature, message } => write!(f, "model file: feature {feature}: {message}"),
            Self::Model(error) => write!(f, "model: {error}"),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Container(error) => Some(error),
            Self::Model(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ContainerError> for LoadError {
    fn from(error: ContainerError) -> Self {
        Self::Container(error)
    }
}

impl From<ModelError> for LoadError {
    fn from(error: ModelError) -> Self {
        Self::Model(error)
    }
}

/// A model that was not written, because it would not load again.
#[derive(Debug)]
pub struct WriteError {
    /// What loading would say.
    pub reason: LoadError,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the model was not written, because it would not load again: {}", self.reason)
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

/// Rows that cannot be scored. The values of a row are never a reason: any bits give a score.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScoreError {
    /// The row has not one value per feature.
    RowLength {
        /// Values found.
        found: usize,
        /// Features of the model.
        expected: usize,
    },
    /// The output has not one slot per row.
    OutputLength {
        /// Slots found.
        found: usize,
        /// Rows to be scored.
        expected: usize,
    },
    /// A row that the matrix does not have.
    RowOutOfRange {
        /// The row.
        row: u32,
        /// Rows of the matrix.
        n_rows: usize,
    },
}

impl fmt::Display for ScoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RowLength { found, expected } => write!(f, "row: expected {expected} values, found {found}"),
            Self::OutputLength { found, expected } => write!(f, "scores: expected room for {expected}, found {found}"),
            Self::RowOutOfRange { row, n_rows } => write!(f, "row {row} is outside the matrix's {n_rows} rows"),
        }
    }
}

impl std::error::Error for ScoreError {}
