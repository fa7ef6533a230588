//! Which entities are gone at each time of the stream: the clock of the state, event by event, as it will have been.

use crate::kernel::EntityHistory;
use crate::network::KEPT;
use crate::slow_clock::LifeClock;
use crate::state::is_gone;
use crate::time::UnixMillis;

/// Where the clock stood when.
pub(super) struct Lives {
    /// Before the stream.
    horizon: i64,
    /// No horizon is later than this one or the time of the stream, less [`KEPT`].
    latest_now: i64,
    /// Rising times, and the horizon from each on.
    moves: Vec<(i64, i64)>,
    /// Times before which all that is gone is taken out, because the clock goes back.
    cuts: Vec<i64>,
    /// The same as a move: the next event would make it one.
    due: Option<(i64, i64)>,
}

impl Lives {
    /// At the beginning of the stream.
    pub(super) fn new(clock: &LifeClock) -> Self {
        Self {
            horizon: clock.horizon(),
            latest_now: clock.latest_now(),
            moves: Vec::new(),
            cuts: Vec::new(),
            due: None,
        }
    }

    /// Passes an event of the stream.
    #[inline]
    pub(super) fn pass(&mut self, clock: &mut LifeClock, known_at: i64) {
        if let Some(moved) = clock.pass(known_at) {
            self.moves.push((moved.from, clock.horizon()));
            if moved.gone_before.is_some() {
                self.cuts.push(moved.from);
            }
        }
    }

    /// Passes many events of the stream.
    pub(super) fn pass_all(&mut self, clock: &mut LifeClock, known_at: &[UnixMillis]) {
        // A clock of its own stays in registers.
        let mut own = *clock;
        for known_at in known_at {
            self.pass(&mut own, known_at.0);
        }
        *clock = own;
    }

    /// The end of the stream.
    pub(super) fn finish(&mut self, clock: &LifeClock) {
        self.due = clock.due();
    }

    /// Entities last heard of before this are gone for events that are learned at a time.
    pub(super) fn horizon_at(&self, time: i64) -> i64 {
        let n = self.moves.partition_point(|(from, _)| *from <= time);
        if n == 0 { self.horizon } else { self.moves[n - 1].1 }
    }

    /// An entity last heard of before this may be gone though what is read of it comes within 430 days.
    pub(super) fn latest_horizon(&self) -> i64 {
        self.latest_now.saturating_sub(KEPT)
    }

    /// Whether an entity is gone for what is read at a time. O(1) for those heard of within 430 days.
    pub(super) fn is_gone(&self, history: &EntityHistory, time: i64) -> bool {
        is_gone(history, time.max(self.latest_now).saturating_sub(KEPT))
            && is_gone(
                history,
                match self.due {
                    Some((from, horizon)) if from <= time => horizon,
                    _ => self.horizon_at(time),
                },
            )
    }

    /// The stream in pieces: what is gone at the end of one is to be taken out before the next. `time_of` rises.
    pub(super) fn pieces<'a>(&self, items: &'a [u32], time_of: impl Fn(u32) -> i64) -> Vec<&'a [u32]> {
        let (mut pieces, mut rest) = (Vec::new(), items);
        for &cut in &self.cuts {
            let (piece, after) = rest.split_at(rest.partition_point(|&item| time_of(item) < cut));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        pieces
    }

    /// What was gone before the stream and has to be taken out, because the clock goes back in it.
    pub(super) fn gone_at_start(&self) -> Option<i64> {
        (!self.cuts.is_empty()).then_some(self.horizon)
    }
}
