//! Charts as SVG, without anything from elsewhere: for pages and as files of their own.

pub mod plot;
pub mod rows;
pub mod scale;
pub mod svg;

pub use plot::{Axis, Bar, Layer, Plot, Point};
pub use rows::{Row, RowChart, RowValue};
pub use scale::{Scale, Unit};
pub use svg::{DARK_STYLE, Picture, STYLE};
