//! What repeats, kept once.

use std::sync::Arc;

use super::batch::kind_key;

/// How many it keeps at most.
const SLOTS: usize = 1024;

/// Hands out the same [`Arc`] for what is equal, as long as it remembers it: a table with one place for
/// each hash, in which a newer one replaces an older. So its size is fixed, and its cost too: if more names
/// are in use than it keeps, some are made again, and that is all.
#[derive(Debug)]
pub(crate) struct Interner<T: ?Sized> {
    /// Empty until the first one comes.
    slots: Vec<Option<Arc<T>>>,
}

impl<T: ?Sized> Default for Interner<T> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<T: ?Sized> Interner<T> {
    /// The one that is `wanted`, from the place of this hash, or else a new one.
    pub(crate) fn find_or_make(
        &mut self,
        hash: u64,
        is_wanted: impl FnOnce(&T) -> bool,
        make: impl FnOnce() -> Arc<T>,
    ) -> Arc<T> {
        self.slots.resize(SLOTS, None);
        let slot = &mut self.slots[hash as usize % SLOTS];
        match slot {
            Some(known) if is_wanted(known) => Arc::clone(known),
            _ => Arc::clone(slot.insert(make())),
        }
    }
}

impl Interner<str> {
    pub(crate) fn text(&mut self, text: &str) -> Arc<str> {
        self.find_or_make(kind_key(text), |known| known == text, || Arc::from(text))
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one() {
        let mut interner = Interner::default();
        let (first, second) = (interner.text("a"), interner.text(&String::from("a")));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!((&*first, &*interner.text("b"), &*interner.text("")), ("a", "b", ""));
    }

    #[test]
    fn it_is_right_and_no_larger_when_there_are_more_than_it_keeps() {
        let mut interner = Interner::default();
        for number in 0..10 * SLOTS {
            let text = format!("name {}", number % (3 * SLOTS));
            assert_eq!(*interner.text(&text), *text);
        }
        assert_eq!(interner.slots.len(), SLOTS);
    }

    #[test]
    fn what_is_in_the_place_of_another_is_not_taken_for_it() {
        let mut interner = Interner::<u8>::default();
        let mut find = |wanted: u8| *interner.find_or_make(7, |known| *known == wanted, || Arc::new(wanted));
        assert_eq!([find(1), find(2), find(2), find(1)], [1, 2, 2, 1]);
    }
}
