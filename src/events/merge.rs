//! Several sequences, each in its order, as one.

/// Several sequences, each in its order, merged into one. Of none more is asked for than has to be known:
/// what follows the last that was taken is not looked for.
pub(crate) struct Merged<I: Iterator, F> {
    rest: Vec<I>,
    /// The first of each, as far as they are known and there are any.
    heads: Vec<Option<I::Item>>,
    /// Of which the heads have to be fetched yet.
    wanting: Wanting,
    is_before: F,
}

#[derive(Clone, Copy)]
enum Wanting {
    All,
    One(usize),
    None,
}

impl<I: Iterator, F: Fn(&I::Item, &I::Item) -> bool> Merged<I, F> {
    /// `is_before` says which of two comes first; each of the sequences is in that order.
    pub(crate) fn new(rest: Vec<I>, is_before: F) -> Self {
        Self { rest, heads: Vec::new(), wanting: Wanting::All, is_before }
    }

    fn fetch(&mut self) {
        match std::mem::replace(&mut self.wanting, Wanting::None) {
            Wanting::All => self.heads = self.rest.iter_mut().map(Iterator::next).collect(),
            Wanting::One(at) => self.heads[at] = self.rest[at].next(),
            Wanting::None => {}
        }
    }

    /// Where the first of all is.
    fn first(&self) -> Option<usize> {
        let heads = self.heads.iter().enumerate().filter_map(|(at, head)| Some((at, head.as_ref()?)));
        let first = heads.reduce(|first, next| if (self.is_before)(next.1, first.1) { next } else { first });
        Some(first?.0)
    }
}

impl<I: Iterator, F: Fn(&I::Item, &I::Item) -> bool> Iterator for Merged<I, F> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.fetch();
        let at = self.first()?;
        self.wanting = Wanting::One(at);
        self.heads[at].take()
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_merged_is_what_all_together_are_when_sorted(
            mut parts in prop::collection::vec(prop::collection::vec(0_u32..50, 0..20), 0..6),
        ) {
            parts.iter_mut().for_each(|part| part.sort());
            let mut all: Vec<_> = parts.concat();
            all.sort();
            let iters = |parts: &[Vec<u32>]| parts.iter().map(|part| part.clone().into_iter()).collect();
            let merged: Vec<_> = Merged::new(iters(&parts), |a, b| a < b).collect();
            prop_assert_eq!(&merged, &all);
            parts.iter_mut().for_each(|part| part.reverse());
            all.reverse();
            let merged: Vec<_> = Merged::new(iters(&parts), |a, b| a > b).collect();
            prop_assert_eq!(merged, all);
        }
    }

    #[test]
    fn what_follows_the_last_that_was_taken_is_not_looked_for() {
        let asked = Cell::new(0);
        let count = |part: [u32; 3]| part.into_iter().inspect(|_| asked.set(asked.get() + 1));
        let merged = Merged::new(vec![count([1, 4, 5]), count([2, 3, 6])], |a, b| a < b);
        assert_eq!(asked.get(), 0);
        assert_eq!(merged.take(3).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(asked.get(), 4, "the heads, and what followed 1 and 2");
    }

    #[test]
    fn at_the_end_it_stays() {
        let mut merged = Merged::new(vec![vec![1].into_iter()], |a, b| a < b);
        assert_eq!((merged.next(), merged.next(), merged.next()), (Some(1), None, None));
    }
}
