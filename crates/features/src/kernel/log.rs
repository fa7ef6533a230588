//! The exact rows of one entity: columns and rows in one allocation, sorted, with a base row before the first.
//!
//! ```text
//! head: first and last time of dropped events, per series whose times are read
//! | times .. | column .. | .. | row row row .. |      each column `capacity` cells, each row `stride`
//!                               ^ base: the totals before the first row; what was dropped, where nothing was folded
//! ```

use super::MISSING;
use super::cells::Cells;
use super::folded::{currency, widen};
use super::layout::{self, Fresh, KNOWN, Layout, MAX_STRIDE, META, NOTHING};

/// Exact rows `start..end`; row `start - 1` is the base.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    cells: Cells,
    start: u32,
    end: u32,
    capacity: u32,
    /// Running totals of currencies at the last row of each that is gone, but for that of the base. Those of currencies
    /// that no row has may be missing: their totals start anew.
    gone: Option<Box<Gone>>,
}

#[derive(Clone, Debug, Default)]
struct Gone {
    totals: Vec<(u32, Box<[i64]>)>,
    /// So many there were when those that no row has were forgotten last.
    n_needed: usize,
}

/// So many currencies more than were needed are remembered before those that no row has are forgotten.
const MAX_GONE: usize = if cfg!(test) { 2 } else { 16 };

/// The rows of a log without columns, to be read, and filled behind the last.
pub(super) struct Tail<'a> {
    pub(super) times: &'a mut [i64],
    pub(super) rows: &'a mut [i64],
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) capacity: usize,
}

/// Marks the previous time of a row without a key: later than any window.
const NO_KEY: i64 = i64::MAX;

impl Log {
    pub(super) fn start(&self) -> usize {
        self.start as usize
    }

    pub(super) fn end(&self) -> usize {
        self.end as usize
    }

    /// Number of exact rows.
    pub(super) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether nothing was ever put in.
    pub(super) fn is_new(&self) -> bool {
        self.capacity == 0
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let of_gone = |(_, cells): &(u32, Box<[i64]>)| size_of::<(u32, Box<[i64]>)>() + 8 * cells.len();
        self.cells.memory_bytes() + self.gone.iter().flat_map(|gone| &gone.totals).map(of_gone).sum::<usize>()
    }

    /// Running totals of a currency before a row: those of the last row before it that has the currency, the base among
    /// them; `None` for nothing. O(rows of other currencies in between).
    pub(super) fn own_before(&self, layout: &Layout, row: usize, of: u32) -> Option<&[i64]> {
        for at in (self.start() - 1..row).rev() {
            let cells = self.row(layout, at);
            if currency(cells) == of {
                return Some(cells);
            }
        }
        let mut gone = self.gone.iter().flat_map(|gone| &gone.totals);
        gone.find(|(currency, _)| *currency == of).map(|(_, cells)| &**cells)
    }

    /// What a row counts by itself.
    pub(super) fn own_counts(&self, layout: &Layout, row: usize, into: &mut [i64]) {
        let cells = self.row(layout, row);
        into.copy_from_slice(cells);
        let nothing = &NOTHING[..layout.stride];
        let own_before = if layout.own.is_empty() { None } else { self.own_before(layout, row, currency(cells)) };
        let own_before = own_before.unwrap_or(nothing);
        layout.subtract_totals(into, self.row(layout, row - 1), own_before);
    }

    /// What an event said, of which `own` is what its row counts by itself: bits of its series, and how many cells were filled.
    pub(super) fn cells_of(&self, layout: &Layout, row: usize, own: &[i64], cells: &mut [i64]) -> (u64, usize) {
        let is_of = |series: usize| layout::count(series, own, None) > 0;
        let of_series = (0..layout.series.len()).fold(0, |bits, series| bits | u64::from(is_of(series)) << series);
        let mut n = 0;
        let mut put = |cell: i64| {
            cells[n] = cell;
            n += 1;
        };
        for (i, _) in layout.inputs.iter().enumerate() {
            put(if layout.n_values(i, own, None) > 0 { layout.sum(i, own, None) } else { MISSING });
        }
        layout.keys.iter().for_each(|cell| put(self.column(layout, cell.column)[row]));
        layout.places.iter().for_each(|cell| put(self.column(layout, cell.column)[row]));
        (of_series, n)
    }

    /// All times, by row number; those before `start` mean nothing.
    pub(super) fn times(&self, layout: &Layout) -> &[i64] {
        let head = 2 * layout.sinces.len();
        &self.cells[head..head + self.end()]
    }

    /// The rows, of a layout without columns and without heads.
    pub(super) fn tail(&mut self, layout: &Layout) -> Tail<'_> {
        debug_assert!(layout.n_columns == 0 && layout.sinces.is_empty(), "plain layouts have totals alone");
        let (start, end, capacity) = (self.start(), self.end(), self.capacity as usize);
        let (times, rows) = self.cells.split_at_mut(capacity);
        Tail { times, rows, start, end, capacity }
    }

    /// Says where the rows end that [`Self::tail`] was filled with.
    pub(super) fn set_end(&mut self, end: usize) {
        self.end = end as u32;
    }

    /// Looks at the newest time and row.
    pub(super) fn touch(&self, layout: &Layout) -> i64 {
        self.end().checked_sub(1).map_or(0, |last| self.times(layout)[last] ^ self.row(layout, last)[KNOWN])
    }

    /// A column, by row number.
    pub(super) fn column(&self, layout: &Layout, column: usize) -> &[i64] {
        let at = self.column_at(layout, column);
        &self.cells[at..at + self.end()]
    }

    fn column_at(&self, layout: &Layout, column: usize) -> usize {
        2 * layout.sinces.len() + (1 + column) * self.capacity as usize
    }

    fn row_at(&self, layout: &Layout, row: usize) -> usize {
        self.column_at(layout, layout.n_columns) + row * layout.stride
    }

    /// All rows one after the other, by row number; those before the base mean nothing.
    pub(super) fn rows(&self, layout: &Layout) -> &[i64] {
        &self.cells[self.row_at(layout, 0)..]
    }

    pub(super) fn row(&self, layout: &Layout, row: usize) -> &[i64] {
        let at = self.row_at(layout, row);
        &self.cells[at..at + layout.stride]
    }

    fn row_mut(&mut self, layout: &Layout, row: usize) -> &mut [i64] {
        let at = self.row_at(layout, row);
        &mut self.cells[at..at + layout.stride]
    }

    /// The row before the first.
    pub(super) fn base(&self, layout: &Layout) -> &[i64] {
        self.row(layout, self.start() - 1)
    }

    pub(super) fn base_mut(&mut self, layout: &Layout) -> &mut [i64] {
        self.row_mut(layout, self.start() - 1)
    }

    /// (first, last) times of the dropped events of a series whose times are read; (`MAX`, `MIN`) for none.
    pub(super) fn head(&self, since: usize) -> &[i64] {
        &self.cells[2 * since..2 * since + 2]
    }

    pub(super) fn head_mut(&mut self, since: usize) -> &mut [i64] {
        &mut self.cells[2 * since..2 * since + 2]
    }

    /// What orders the rows.
    pub(super) fn order(&self, layout: &Layout, row: usize) -> (i64, i64, u64) {
        let cells = self.row(layout, row);
        (self.times(layout)[row], cells[KNOWN], cells[META] as u64)
    }

    /// Puts an event in its place. O(1) for the newest, else O(rows).
    pub(super) fn insert(&mut self, layout: &Layout, event: &Fresh<'_>) {
        self.make_room(layout);
        let end = self.end();
        let mut at = end;
        let last = end - 1;
        let is_late =
            self.len() > 0 && self.times(layout)[last] >= event.time && self.order(layout, last) > event.order();
        if is_late {
            let times = self.times(layout);
            at = self.start() + times[self.start()..].partition_point(|&time| time < event.time);
            while self.order(layout, at) < event.order() {
                at += 1;
            }
        }
        self.end += 1;
        let stride = layout.stride;
        if at < end {
            let (from, to) = (self.row_at(layout, at), self.row_at(layout, end));
            let cells = &mut *self.cells;
            for column in 0..=layout.n_columns {
                let from = 2 * layout.sinces.len() + column * self.capacity as usize;
                cells.copy_within(from + at..from + end, from + at + 1);
            }
            cells.copy_within(from..to, from + stride);
        }
        self.fill_columns(layout, at, event);
        // The event's own totals first, for the later rows; then those before it.
        let of = (event.meta >> 32) as u32;
        let by_currency = !layout.own.is_empty();
        // Mostly the row before has the same currency, and zeros take time.
        let mut room;
        let mut own_before = &NOTHING[..stride];
        if by_currency
            && (at < end || currency(self.row(layout, at - 1)) != of)
            && let Some(cells) = self.own_before(layout, at, of)
        {
            room = [0; MAX_STRIDE];
            room[..stride].copy_from_slice(cells);
            own_before = &room[..stride];
        }
        let from = self.row_at(layout, at - 1);
        let (before, rest) = self.cells[from..].split_at_mut(stride);
        let (row, later) = rest.split_at_mut(stride);
        if at == end {
            row.copy_from_slice(before);
            if by_currency && currency(before) != of {
                layout.own.copy(row, own_before);
            }
            layout.add_event(row, event);
        } else {
            row.fill(0);
            layout.add_event(row, event);
            for other in later[..(end - at) * stride].chunks_exact_mut(stride) {
                layout.common.add(other, row);
                if by_currency && currency(other) == of {
                    layout.own.add(other, row);
                }
            }
            layout.common.add(row, before);
            layout.own.add(row, own_before);
        }
        (row[KNOWN], row[META]) = (event.known_at, event.meta as i64);
    }

    /// Writes time and columns of a row.
    fn fill_columns(&mut self, layout: &Layout, at: usize, event: &Fresh<'_>) {
        let (start, end, capacity, times_at) =
            (self.start(), self.end(), self.capacity as usize, 2 * layout.sinces.len());
        let column_at = |column: usize| times_at + (1 + column) * capacity;
        let cells = &mut *self.cells;
        cells[times_at + at] = event.time;
        for (i, input) in layout.inputs.iter().enumerate() {
            if let Some(column) = input.column {
                cells[column_at(column) + at] = event.cells[i];
            }
        }
        for (i, place) in layout.places.iter().enumerate() {
            cells[column_at(place.column) + at] = layout.place_cell(event.cells, i);
        }
        for (i, cell) in layout.keys.iter().enumerate() {
            let key = layout.key_cell(event.cells, i);
            let (keys_at, previous_at) = (column_at(cell.column), column_at(cell.column + 1));
            let mut previous = NO_KEY;
            if key != 0 {
                let (keys, times) = (&cells[keys_at..], &cells[times_at..]);
                previous = find_last(&keys[start..at], key).map_or(i64::MIN, |i| times[start + i]);
                if let Some(next) = keys[at + 1..end].iter().position(|&other| other == key) {
                    cells[previous_at + at + 1 + next] = event.time;
                }
            }
            (cells[keys_at + at], cells[previous_at + at]) = (key, previous);
        }
    }

    /// Lets the base count what a row counts, and all rows with it.
    pub(super) fn raise(&mut self, layout: &Layout, row: &[i64]) {
        let base = self.base_mut(layout);
        (base[KNOWN], base[META]) = (row[KNOWN], row[META]);
        for at in self.start() - 1..self.end() {
            let other = self.row_mut(layout, at);
            layout.common.add(other, row);
            if currency(other) == currency(row) {
                layout.own.add(other, row);
            }
        }
    }

    /// Takes the first row out: it becomes the base, whose cells other than the totals the caller sets.
    pub(super) fn drop_first(&mut self, layout: &Layout) {
        let (first, end) = (self.start(), self.end());
        let times = self.times(layout);
        // Rows after the base count keys whose previous time lies before the first row; one of the same time must be told.
        if times[first + 1..end].first() == Some(&times[first]) {
            for cell in &layout.keys {
                let keys_at = self.column_at(layout, cell.column);
                let key = self.cells[keys_at + first];
                let next = self.cells[keys_at + first + 1..keys_at + end].iter().position(|&other| other == key);
                if let Some(next) = next.filter(|_| key != 0) {
                    let previous_at = keys_at + self.capacity as usize;
                    self.cells[previous_at + first + 1 + next] = i64::MIN;
                }
            }
        }
        let (base, row) = (self.row(layout, first - 1), self.row(layout, first));
        if !layout.own.is_empty() && currency(base) != currency(row) {
            let (of, cells) = (currency(base), base.into());
            self.keep_gone(layout, of, cells);
        }
        self.start += 1;
    }

    /// Takes out a row that is not the first, and what it counts from all later ones. O(rows).
    pub(super) fn remove(&mut self, layout: &Layout, at: usize) {
        let (stride, end, of) = (layout.stride, self.end(), currency(self.row(layout, at)));
        let mut own = [0; MAX_STRIDE];
        self.own_counts(layout, at, &mut own[..stride]);
        for later in at + 1..end {
            let row = self.row_mut(layout, later);
            layout.common.subtract(row, &own);
            if currency(row) == of {
                layout.own.subtract(row, &own);
            }
        }
        let keys_at: Vec<usize> = layout.keys.iter().map(|cell| self.column_at(layout, cell.column)).collect();
        let (from, to) = (self.row_at(layout, at), self.row_at(layout, end));
        let capacity = self.capacity as usize;
        let cells = &mut *self.cells;
        for keys_at in keys_at {
            let key = cells[keys_at + at];
            let next = cells[keys_at + at + 1..keys_at + end].iter().position(|&other| other == key);
            if let Some(next) = next.filter(|_| key != 0) {
                let previous_at = keys_at + capacity + at;
                cells[previous_at + 1 + next] = cells[previous_at];
            }
        }
        for column in 0..=layout.n_columns {
            let from = 2 * layout.sinces.len() + column * capacity;
            cells.copy_within(from + at + 1..from + end, from + at);
        }
        cells.copy_within(from + stride..to, from);
        self.end -= 1;
    }

    /// Takes out the first rows, which have the currency of the base and were known at their own times, of a layout without
    /// columns.
    pub(super) fn drop_many(&mut self, layout: &Layout, n: usize) {
        let base_known_at = self.base(layout)[KNOWN];
        self.start += n as u32;
        let base = self.base_mut(layout);
        base[KNOWN] = base[KNOWN].max(base_known_at);
    }

    fn keep_gone(&mut self, layout: &Layout, of: u32, cells: Box<[i64]>) {
        let mut gone = self.gone.take().unwrap_or_default();
        match gone.totals.iter_mut().find(|(currency, _)| *currency == of) {
            Some(place) => place.1 = cells,
            None => gone.totals.push((of, cells)),
        }
        // Twice as many as are needed, so that looking at all rows costs each currency a few of them.
        if gone.totals.len() > 2 * gone.n_needed + MAX_GONE {
            let mut needed: Vec<u32> = (self.start()..self.end()).map(|at| currency(self.row(layout, at))).collect();
            needed.sort_unstable();
            needed.dedup();
            gone.totals.retain(|(of, _)| needed.binary_search(of).is_ok());
            gone.n_needed = gone.totals.len();
        }
        self.gone = Some(gone);
    }

    /// Smallest and largest value, and first and last time, of one row, as pairs behind the totals of a folded row.
    pub(super) fn pairs_of(&self, layout: &Layout, at: usize, pairs: &mut [i64]) {
        let mut pairs = pairs.chunks_exact_mut(2);
        for (&input, pair) in layout.extremes.iter().zip(pairs.by_ref()) {
            let value = layout.inputs[input].column.map_or(MISSING, |column| self.column(layout, column)[at]);
            widen(pair, value);
        }
        let (row, before) = (self.row(layout, at), self.row(layout, at - 1));
        for (&series, pair) in layout.sinces.iter().zip(pairs) {
            if layout::count(series, row, Some(before)) > 0 {
                widen(pair, self.times(layout)[at]);
            }
        }
    }

    /// Makes sure that one more row fits.
    fn make_room(&mut self, layout: &Layout) {
        if self.end < self.capacity {
            return;
        }
        let kept = self.len() + 1;
        // With a quarter free in front, moving costs less than what was dropped; else there is more to hold.
        if self.start() > kept / 3 + 1 {
            let (shift, end) = (self.start() - 1, self.end());
            let (first, from, to) = (self.row_at(layout, 0), self.row_at(layout, shift), self.row_at(layout, end));
            let cells = &mut *self.cells;
            for column in 0..=layout.n_columns {
                let from = 2 * layout.sinces.len() + column * self.capacity as usize;
                cells.copy_within(from + shift..from + end, from);
            }
            cells.copy_within(from..to, first);
            (self.start, self.end) = (1, kept as u32);
        } else {
            self.grow(layout, kept + (kept / 2).max(1));
        }
    }

    /// Moves to a new allocation for `capacity` rows, the base among them.
    fn grow(&mut self, layout: &Layout, capacity: usize) {
        self.move_to(layout, Cells::zeros(Self::n_cells(layout, capacity)), capacity);
    }

    /// Cells for so many rows.
    fn n_cells(layout: &Layout, capacity: usize) -> usize {
        2 * layout.sinces.len() + capacity * (1 + layout.n_columns + layout.stride)
    }

    /// Moves to cells that hold at least `capacity` rows, whatever they held before, and leaves the old ones.
    fn move_to(&mut self, layout: &Layout, cells: Cells, capacity: usize) -> Cells {
        let head = 2 * layout.sinces.len();
        let gone = self.gone.take();
        let mut grown = Self { cells, start: 1, end: 1, capacity: capacity as u32, gone };
        if self.is_new() {
            for pair in grown.cells[..head].chunks_exact_mut(2) {
                (pair[0], pair[1]) = (i64::MAX, i64::MIN);
            }
            let base = grown.base_mut(layout);
            base.fill(0);
            base[KNOWN] = i64::MIN;
        } else {
            let first = self.start() - 1;
            grown.end = self.end - first as u32;
            let (n, first_row) = (grown.end(), grown.row_at(layout, 0));
            let (cells, old) = (&mut *grown.cells, &*self.cells);
            cells[..head].copy_from_slice(&old[..head]);
            for column in 0..=layout.n_columns {
                let (from, to) = (head + column * self.capacity as usize, head + column * capacity);
                cells[to..to + n].copy_from_slice(&old[from + first..from + first + n]);
            }
            let (from, end) = (self.row_at(layout, first), self.row_at(layout, self.end()));
            cells[first_row..first_row + end - from].copy_from_slice(&old[from..end]);
        }
        std::mem::replace(self, grown).cells
    }

    /// Moves into `room`, with space for `n` rows more, so that learning many at once allocates nothing.
    pub(super) fn enter(&mut self, layout: &Layout, room: &mut Cells, n: usize) {
        let capacity = self.len() + 1 + n;
        let needed = Self::n_cells(layout, capacity);
        if room.len() < needed {
            *room = Cells::zeros(needed + needed / 2);
        }
        self.move_to(layout, std::mem::take(room), capacity);
    }

    /// The allocation alone.
    pub(super) fn into_cells(self) -> Cells {
        self.cells
    }

    /// Moves out of the room into an allocation of its own without a free place, and gives the room back.
    pub(super) fn leave(&mut self, layout: &Layout, room: &mut Cells) {
        let head = 2 * layout.sinces.len();
        let (first, n, capacity) = (self.start() - 1, self.len() + 1, self.capacity as usize);
        let (from, to) = (self.row_at(layout, first), self.row_at(layout, first + n));
        // In front of the room everything stands as it will.
        let cells = &mut *self.cells;
        for column in 0..=layout.n_columns {
            let from = head + column * capacity + first;
            cells.copy_within(from..from + n, head + column * n);
        }
        cells.copy_within(from..to, head + (1 + layout.n_columns) * n);
        let own = Cells::of(&cells[..Self::n_cells(layout, n)]);
        *room = std::mem::replace(&mut self.cells, own);
        (self.start, self.end, self.capacity) = (1, n as u32, n as u32);
    }

    /// Sets aside room for `n` rows, to be filled one by one.
    pub(super) fn reserve(&mut self, layout: &Layout, n: usize) {
        if self.is_new() {
            self.grow(layout, n + 1);
        }
    }
}

/// Position of the last cell with that key.
fn find_last(keys: &[i64], key: i64) -> Option<usize> {
    // Blocks without a branch inside, so that the search is as fast as memory.
    let mut end = keys.len();
    while end > 0 {
        let start = end.saturating_sub(32);
        if keys[start..end].iter().filter(|&&other| other == key).count() > 0 {
            return keys[start..end].iter().rposition(|&other| other == key).map(|at| start + at);
        }
        end = start;
    }
    None
}
