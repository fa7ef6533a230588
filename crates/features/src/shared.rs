//! A value that a clone shares until one of the two changes it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A value behind a count of its owners. A picture of a state clones all that stands beside an entity that changes: of such
/// values nothing is copied then, and nothing is freed when the picture goes.
///
/// The first change after a clone copies the value. Asking for it mutably costs a locked instruction, so that loops ask once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(value))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_keeps_what_it_was() {
        let mut one = Shared::new(vec![1, 2]);
        let other = one.clone();
        assert!(Arc::ptr_eq(&one.0, &other.0));
        one.push(3);
        assert_eq!((&*one, &*other), (&vec![1, 2, 3], &vec![1, 2]));
    }
}
