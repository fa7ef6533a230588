//! What stands on the page, in the order in which it is read. The template only puts tags around it.

use serde::Serialize;

/// A whole page.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    pub(super) title: String,
    pub(super) program: String,
    /// Sentences that say the most important.
    pub(super) lead: Vec<String>,
    /// What to know before one believes the figures.
    pub(super) banner: Vec<String>,
    pub(super) sections: Vec<Section>,
    pub(super) footer: String,
    pub(super) script: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) blocks: Vec<Block>,
}

/// One of its kinds; the name of the kind is what the template asks for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Block {
    Paragraph(String),
    Items(Vec<String>),
    /// An SVG element.
    Chart(String),
    Table(Table),
    Slider(Slider),
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Table {
    pub(super) id: Option<&'static str>,
    pub(super) caption: String,
    pub(super) header: Vec<String>,
    /// The first cell of a row is its name.
    pub(super) rows: Vec<Vec<String>>,
    /// Columns of numbers.
    pub(super) right: Vec<usize>,
}

/// A threshold to move; without a script it is not shown.
#[derive(Debug, Serialize)]
pub(super) struct Slider {
    /// Position of the loosest threshold.
    pub(super) last: usize,
    /// Position of the threshold that was chosen.
    pub(super) chosen: usize,
    /// JSON of all thresholds; holds no `<`.
    pub(super) data: String,
}

impl Section {
    /// A section, unless there is nothing to say in it.
    pub(super) fn new(id: &'static str, title: &'static str, blocks: Vec<Block>) -> Option<Self> {
        (!blocks.is_empty()).then_some(Self { id, title, blocks })
    }
}
