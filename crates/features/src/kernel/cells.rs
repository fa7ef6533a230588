//! Numbers that a clone shares until one of the two changes them.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A slice behind a count of its owners. A picture of a state clones the histories that stand beside one that changes: of those
/// nothing is copied, and nothing is freed when the picture goes.
///
/// The first change after a clone copies the numbers. Asking for them mutably costs a locked instruction, so that loops ask
/// once.
#[derive(Clone, Debug, Default)]
pub(super) struct Cells(Option<Arc<[i64]>>);

impl Cells {
    /// So many zeros.
    pub(super) fn zeros(n: usize) -> Self {
        Self(Some(std::iter::repeat_n(0, n).collect()))
    }

    /// A copy of some.
    pub(super) fn of(cells: &[i64]) -> Self {
        Self(Some(cells.into()))
    }

    /// Bytes held, whoever else holds them too.
    pub(super) fn memory_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |cells| 2 * size_of::<usize>() + size_of_val(&**cells))
    }
}

impl Deref for Cells {
    type Target = [i64];

    fn deref(&self) -> &[i64] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl DerefMut for Cells {
    fn deref_mut(&mut self) -> &mut [i64] {
        self.0.as_mut().map(Arc::make_mut).unwrap_or_default()
    }
}
