//! A history as bytes and back: only what cannot be worked out from the rest, numbers mostly as variable-length integers.
//!
//! ```text
//! other lives, only where there are any: 2^64 - 1 | n | the lives as here, the oldest first
//! born: zigzag + 1, 0 for an empty history, which ends here
//! exact rows: n, then each: time since the row before | known_at - time | tie (4 bytes) | currency, where readings ask
//!     for it | series bits | values of those series: zigzag + 1, 0 missing | their keys (8 bytes) | their places as values
//! folded rows: n, then each: time, known_at (8 bytes each) | currency, likewise | counts of all series
//!     | per value: n, sum, squares (16 bytes) where kept | extremes, first and last times (8 bytes each)
//! labels: folded, then exact: n, then each: at, known_at (8 bytes each), orders resolved, frauds (zigzag)
//! ```

use super::error::HistoryError;
use super::folded::{self, Folded};
use super::history::EntityHistory;
use super::labels::{LabelRow, Labels};
use super::layout::{self, Fresh, KNOWN, MAX_CELLS, META};
use super::plan::Plan;
use super::standing::AsOf;
use super::{MAX_TIME, MAX_VALUE, MISSING};
use crate::container::SectionReader;
use crate::varint::{get, get_signed, put, put_signed, unzigzag, zigzag};

/// Stands before a number of lives; no time is written so.
const LIVES: u64 = u64::MAX;

fn put_cell(out: &mut Vec<u8>, cell: i64) {
    put(out, if cell == MISSING { 0 } else { zigzag(cell) + 1 });
}

fn get_cell(reader: &mut SectionReader<'_>, limit: i64) -> Result<i64, HistoryError> {
    let cell = match get(reader)? {
        0 => return Ok(MISSING),
        n => unzigzag(n - 1),
    };
    if (-limit..=limit).contains(&cell) {
        Ok(cell)
    } else {
        Err(HistoryError::invalid(reader, "a value within bounds"))
    }
}

fn get_u32(reader: &mut SectionReader<'_>) -> Result<u32, HistoryError> {
    u32::try_from(get(reader)?).map_err(|_| HistoryError::invalid(reader, "a number below 2^32"))
}

/// A number of things of at least `width` bytes each.
fn get_len(reader: &mut SectionReader<'_>, width: usize) -> Result<usize, HistoryError> {
    let n = get(reader)?;
    if n > (reader.remaining() / width) as u64 {
        return Err(HistoryError::invalid(reader, "no more rows than there are bytes for"));
    }
    Ok(n as usize)
}

impl EntityHistory {
    /// Appends the bytes of the history. Equal histories give equal bytes, in whatever order events of one millisecond were
    /// learned.
    pub fn write_to(&self, plan: &Plan, out: &mut Vec<u8>) {
        if self.is_empty() {
            return out.push(0);
        }
        if self.has_lives {
            put(out, LIVES);
            put(out, self.lives().len() as u64);
            self.lives().iter().for_each(|life| life.write_life(plan, out));
        }
        self.write_life(plan, out);
    }

    fn write_life(&self, plan: &Plan, out: &mut Vec<u8>) {
        put(out, zigzag(self.born) + 1);
        self.write_exact(plan, out);
        match (self.folded(), self.dropped(plan)) {
            (Some(folded), _) => {
                let folded = folded.settled(plan, &self.as_of_its_edge(plan));
                put(out, folded.len() as u64);
                for (at, &time) in folded.times().iter().enumerate() {
                    write_folded(plan, time, folded.row(&plan.layout, at), out);
                }
            }
            (None, Some(row)) => {
                put(out, 1);
                write_folded(plan, i64::MIN, &row, out);
            }
            (None, None) => put(out, 0),
        }
        let (folded, exact) = self.extra.as_ref().map_or_else(Default::default, |extra| extra.labels.parts());
        for rows in [folded, exact] {
            put(out, rows.len() as u64);
            for row in rows {
                out.extend(row.at.to_le_bytes());
                out.extend(row.known_at.to_le_bytes());
                put_signed(out, row.resolved.into());
                put_signed(out, row.frauds.into());
            }
        }
    }

    fn write_exact(&self, plan: &Plan, out: &mut Vec<u8>) {
        let (layout, log) = (&plan.layout, &self.log);
        let mut last = 0;
        let mut counts = vec![0; layout.stride];
        put(out, log.len() as u64);
        for at in log.start()..log.end() {
            log.own_counts(layout, at, &mut counts);
            let row = log.row(layout, at);
            let time = log.times(layout)[at];
            put_signed(out, time - last);
            put(out, (row[KNOWN] - time) as u64);
            out.extend((row[META] as u32).to_le_bytes());
            if layout.per_currency {
                put(out, folded::currency(row).into());
            }
            let is_of = |series: usize| layout::count(series, &counts, None) > 0;
            put(out, (0..layout.series.len()).fold(0, |bits, series| bits | u64::from(is_of(series)) << series));
            for (i, _) in layout.inputs.iter().enumerate().filter(|(_, c)| is_of(c.series)) {
                let has = layout.n_values(i, &counts, None) > 0;
                put_cell(out, if has { layout.sum(i, &counts, None) } else { MISSING });
            }
            for cell in layout.keys.iter().filter(|c| is_of(c.series)) {
                out.extend(log.column(layout, cell.column)[at].to_le_bytes());
            }
            for cell in layout.places.iter().filter(|c| is_of(c.series)) {
                put_cell(out, log.column(layout, cell.column)[at]);
            }
            last = time;
        }
    }

    /// Reads what [`write_to`](Self::write_to) wrote with the same plan. Whatever it accepts can be read and changed
    /// without a panic.
    pub fn read_from(reader: &mut SectionReader<'_>, plan: &Plan) -> Result<Self, HistoryError> {
        match get(reader)? {
            0 => Ok(Self::default()),
            LIVES => {
                let n = get_len(reader, 16)?;
                let mut lives = (0..=n)
                    .map(|_| match get(reader)? {
                        0 | LIVES => Err(HistoryError::invalid(reader, "the events of a life")),
                        born => Self::read_life_from(reader, plan, born),
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                let edge = lives.last().map_or(i64::MIN, Self::edge);
                let is_apart = |pair: &[Self]| !pair[0].is_near(pair[1].born) && pair[0].born < pair[1].born;
                let is_held = |pair: &[Self]| is_apart(pair) && !pair[0].is_over(plan, &pair[1], edge);
                if n == 0 || !lives.windows(2).all(is_held) {
                    return Err(HistoryError::invalid(reader, "lives that stand apart, and can be read"));
                }
                let mut history = lives.pop().unwrap_or_default();
                history.set_lives(lives);
                Ok(history)
            }
            born => Self::read_life_from(reader, plan, born),
        }
    }

    fn read_life_from(reader: &mut SectionReader<'_>, plan: &Plan, born: u64) -> Result<Self, HistoryError> {
        let mut history = Self::default();
        let born = unzigzag(born - 1);
        history.read_exact(reader, plan)?;
        history.born = born;
        let n = get_len(reader, 16)?;
        let rows = (0..n).map(|_| history.read_folded(reader, plan)).collect::<Result<Vec<_>, _>>()?;
        let (folded_labels, labels) = (read_labels(reader)?, read_labels(reader)?);
        if !folded_labels.is_empty() || !labels.is_empty() {
            history.extra().labels = Labels::from_parts(plan, &folded_labels, &labels);
        }
        // Rows stand as seen from the edge.
        let as_of = history.as_of_edge(plan, rows.iter().map(|(_, row)| &**row));
        let place = check_exact(plan, &history, &as_of).and_then(|exact| check_folded(plan, &rows, &as_of, &exact));
        let labels = place.and_then(|()| check_labels(plan, &as_of, &folded_labels, &labels));
        labels.map_err(|what| HistoryError::invalid(reader, what))?;
        let mut folded = Folded::default();
        for (time, row) in &rows {
            folded.add(plan, &as_of, *time, row);
        }
        match folded.len() {
            0 => {}
            1 if folded.is_old() => history.set_base(plan, folded.row(&plan.layout, 0)),
            _ => history.extra().folded = folded,
        }
        if let Some(extra) = &mut history.extra {
            extra.labels.settle_marks(as_of.edge);
        }
        if history.last_known_at().is_none_or(|last| born > last) {
            return Err(HistoryError::invalid(reader, "a first event before the last"));
        }
        Ok(history)
    }

    fn read_exact(&mut self, reader: &mut SectionReader<'_>, plan: &Plan) -> Result<(), HistoryError> {
        let layout = &plan.layout;
        let n = get_len(reader, 7)?;
        if !(1..=2 * plan.exact_events).contains(&n) {
            return Err(HistoryError::invalid(reader, "one exact row or more, and no more than are kept"));
        }
        self.log.reserve(layout, n);
        let mut last: Option<(i64, i64, u64)> = None;
        for _ in 0..n {
            let since = get_signed(reader)?;
            let time = last.map_or(0, |(time, ..)| time).checked_add(since);
            let known_at = time.zip(i64::try_from(get(reader)?).ok()).and_then(|(time, late)| time.checked_add(late));
            let (Some(time), Some(known_at)) = (time, known_at.filter(|known_at| *known_at <= MAX_TIME)) else {
                return Err(HistoryError::invalid(reader, "a time within bounds"));
            };
            let tie = u32::from_le_bytes(reader.array()?);
            let currency = if layout.per_currency { get_u32(reader)? } else { 0 };
            let series = get(reader)?;
            if layout.series.len() < 64 && series >> layout.series.len() != 0 {
                return Err(HistoryError::invalid(reader, "one bit per series"));
            }
            let mut cells = [0; MAX_CELLS];
            let mut filled = 0;
            let is_of = |of: usize| series >> of & 1 == 1;
            for cell in &layout.inputs {
                cells[filled] = if is_of(cell.series) { get_cell(reader, MAX_VALUE)? } else { MISSING };
                filled += 1;
            }
            for cell in &layout.keys {
                cells[filled] = if is_of(cell.series) { reader.i64()? } else { 0 };
                filled += 1;
            }
            for cell in &layout.places {
                cells[filled] = if is_of(cell.series) { get_cell(reader, i64::MAX - 1)? } else { MISSING };
                filled += 1;
            }
            let meta = u64::from(currency) << 32 | u64::from(tie);
            if time < -MAX_TIME || last.is_some_and(|last| last > (time, known_at, meta)) {
                return Err(HistoryError::invalid(reader, "events in order of time"));
            }
            last = Some((time, known_at, meta));
            self.take(plan, &Fresh { time, known_at, meta, series, cells: &cells[..filled] });
        }
        Ok(())
    }

    fn read_folded(&mut self, reader: &mut SectionReader<'_>, plan: &Plan) -> Result<(i64, Vec<i64>), HistoryError> {
        let layout = &plan.layout;
        let mut row = vec![0; folded::width(layout)];
        folded::blank(layout, &mut row);
        let time = reader.i64()?;
        row[KNOWN] = reader.i64()?;
        let currency = if layout.per_currency { get_u32(reader)? } else { 0 };
        row[META] = (u64::from(currency) << 32) as i64;
        for series in 0..layout.series.len() {
            layout::add_half(&mut row, series, get_u32(reader)?);
        }
        for input in &layout.inputs {
            layout::add_half(&mut row, input.n, get_u32(reader)?);
            row[input.sum] = get_signed(reader)?;
            if let Some(at) = input.squares {
                (row[at], row[at + 1]) = (reader.i64()?, reader.i64()?);
            }
        }
        for pair in kept_pairs(plan, time, &mut row).chunks_exact_mut(2) {
            (pair[0], pair[1]) = (reader.i64()?, reader.i64()?);
            if pair[0] > pair[1] && (pair[0], pair[1]) != (i64::MAX, i64::MIN) {
                return Err(HistoryError::invalid(reader, "the smaller of two numbers first"));
            }
        }
        if row[KNOWN] < time || row[KNOWN] > MAX_TIME || row[KNOWN] < -MAX_TIME {
            return Err(HistoryError::invalid(reader, "folded rows known after their time"));
        }
        self.late_known = self.late_known.max(row[KNOWN]);
        self.mixed |= currency != self.currency;
        Ok((time, row))
    }
}

/// The pairs that a folded row keeps: beyond the retention only times.
fn kept_pairs<'a>(plan: &Plan, time: i64, row: &'a mut [i64]) -> &'a mut [i64] {
    let layout = &plan.layout;
    let skipped = if time == i64::MIN { 2 * layout.extremes.len() } else { 0 };
    &mut row[layout.stride + skipped..]
}

fn write_folded(plan: &Plan, time: i64, row: &[i64], out: &mut Vec<u8>) {
    let layout = &plan.layout;
    out.extend(time.to_le_bytes());
    out.extend(row[KNOWN].to_le_bytes());
    if layout.per_currency {
        put(out, folded::currency(row).into());
    }
    for series in 0..layout.series.len() {
        put(out, layout::count(series, row, None));
    }
    for (i, input) in layout.inputs.iter().enumerate() {
        put(out, layout.n_values(i, row, None));
        put_signed(out, layout.sum(i, row, None));
        if let Some(at) = input.squares {
            out.extend(row[at].to_le_bytes());
            out.extend(row[at + 1].to_le_bytes());
        }
    }
    let skipped = if time == i64::MIN { 2 * layout.extremes.len() } else { 0 };
    out.extend(row[layout.stride + skipped..].iter().flat_map(|cell| cell.to_le_bytes()));
}

fn read_labels(reader: &mut SectionReader<'_>) -> Result<Vec<LabelRow>, HistoryError> {
    let n = get_len(reader, 18)?;
    let mut rows = Vec::with_capacity(n);
    for _ in 0..n {
        let (at, known_at) = (reader.i64()?, reader.i64()?);
        let mut small =
            || i32::try_from(get_signed(reader)?).map_err(|_| HistoryError::invalid(reader, "fewer labels"));
        let (resolved, frauds) = (small()?, small()?);
        rows.push(LabelRow { at, known_at, resolved, frauds });
    }
    Ok(rows)
}

/// The log of a history, in what was known before the edge and what was not.
struct Exact {
    n: usize,
    n_before: usize,
    /// The first time of each part, `i64::MIN` for none.
    first_before: i64,
    first_at_edge: i64,
}

fn check_exact(plan: &Plan, history: &EntityHistory, as_of: &AsOf) -> Result<Exact, &'static str> {
    let (layout, log) = (&plan.layout, &history.log);
    let is_before = |at: &usize| log.row(layout, *at)[KNOWN] < as_of.edge;
    let first = |at: Option<usize>| at.map_or(i64::MIN, |at| log.times(layout)[at]);
    let mut rows = log.start()..log.end();
    let exact = Exact {
        n: log.len(),
        n_before: rows.clone().filter(is_before).count(),
        first_before: first(rows.clone().find(is_before)),
        first_at_edge: first(rows.find(|at| !is_before(at))),
    };
    if exact.n_before > 0 && plan.retained(as_of.clock, exact.first_before) == i64::MIN {
        return Err("events within the longest window");
    }
    if exact.n_before > plan.exact_events { Err("no more exact rows than are kept") } else { Ok(exact) }
}

fn check_folded(plan: &Plan, rows: &[(i64, Vec<i64>)], as_of: &AsOf, exact: &Exact) -> Result<(), &'static str> {
    let key = |(time, row): &(i64, Vec<i64>)| (*time, folded::currency(row), as_of.mark(row[KNOWN]));
    if !rows.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])) {
        return Err("folded rows in order");
    }
    for (time, row) in rows {
        let is_at_edge = row[KNOWN] >= as_of.edge;
        let first = if is_at_edge { exact.first_at_edge } else { exact.first_before };
        let stands = *time == i64::MIN || (*time >= -2 * MAX_TIME && plan.fold(as_of.clock, *time) == *time);
        if !stands || *time > first {
            return Err("folded rows in their buckets");
        }
        let n_expected = if is_at_edge { 2 * plan.exact_events } else { plan.exact_events };
        let n = if is_at_edge { exact.n } else { exact.n_before };
        if n < n_expected && (is_at_edge || *time > i64::MIN) || n == 0 {
            return Err("folded rows beside all exact ones only");
        }
    }
    Ok(())
}

fn check_labels(plan: &Plan, as_of: &AsOf, folded: &[LabelRow], exact: &[LabelRow]) -> Result<(), &'static str> {
    let is_before = |row: &&LabelRow| row.known_at < as_of.edge;
    let before = || exact.iter().filter(is_before);
    let last_known_at = folded.iter().chain(before()).map(|row| row.known_at).max().unwrap_or(i64::MIN);
    let key = |row: &LabelRow| (row.at, Plan::mark(row.known_at, last_known_at));
    let rising = exact.windows(2).all(|pair| (pair[0].at, pair[0].known_at) < (pair[1].at, pair[1].known_at));
    if !rising || !folded.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])) {
        return Err("labels in order of time");
    }
    let stands = |row: &LabelRow| row.at == i64::MIN || plan.fold(as_of.clock, row.at) == row.at;
    let joined = folded.last().zip(before().next()).is_none_or(|(last, first)| last.at <= first.at);
    let retained = before().all(|row| plan.retained(as_of.clock, row.at) > i64::MIN);
    let n_before = before().count();
    if !folded.iter().all(|row| is_before(&row) && stands(row)) || !joined || !retained || n_before > plan.exact_events
    {
        return Err("labels where they stand as seen from the newest event");
    }
    if folded.last().is_some_and(|last| last.at > i64::MIN) && n_before < plan.exact_events {
        return Err("folded labels beside all exact ones only");
    }
    Ok(())
}
