//! The row groups of Parquet files in the profile.

use super::Scanner;
use crate::columns::CellTexts;
use crate::error::ReadError;
use crate::parquet_in::{Column, ParquetFile};
use crate::source::Content;

impl Scanner<'_> {
    /// Adds the rows of a group, whose piece of rows has this key.
    pub(super) fn row_group(
        &mut self,
        source: u32,
        file: &ParquetFile,
        group: usize,
        key: u64,
    ) -> Result<(), ReadError> {
        let names = &file.names;
        let all: Vec<usize> = (0..names.len()).collect();
        all.iter().try_for_each(|&column| file.check_column(column))?;
        let content = self.sources.files[source as usize].content;
        let kind = self.kinds.candidate(names.iter().map(String::as_str));
        let tells_apart = kind.is_some() || content != Content::Orders;
        let of_orders: Vec<usize> = names.iter().map(|name| self.orders.column(name)).collect();
        let of_events: Vec<usize> =
            if tells_apart { names.iter().map(|name| self.events.column(name)).collect() } else { Vec::new() };
        let mut scratch = String::new();
        file.batches(group, &all, |_, batch| {
            let n_rows = batch.num_rows();
            let cells: Vec<Column<'_>> = batch.columns().iter().map(|array| Column::new(Some(array), n_rows)).collect();
            for row in 0..n_rows {
                let is_event = tells_apart && {
                    let said = kind.map(|field| (names[field].as_str(), cells[field].get(row, &mut scratch)));
                    self.kinds.is_event(said, content)
                };
                let (rows, columns) =
                    if is_event { (&mut self.events, &of_events) } else { (&mut self.orders, &of_orders) };
                for (cells, &column) in cells.iter().zip(columns) {
                    if !cells.is_null(row) {
                        rows.add(column, cells.get(row, &mut scratch), key, self.parsers);
                    }
                }
                rows.end_row();
            }
            Ok(())
        })
    }
}
