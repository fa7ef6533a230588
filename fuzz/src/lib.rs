//! What the fuzz targets share: a mutator that knows containers, and a shop with every kind of column.

mod container;
mod shop;

pub use container::mutate;
pub use shop::{ARRIVAL, Shop, shop};
