//! Which items of a map are in flight, and whose outcome is the next.
//!
//! | a place is | and becomes | when |
//! |---|---|---|
//! | free | taken | an item is pulled: [`Flight::board`] |
//! | taken | ended | its task has [ended](Flight::ended) |
//! | ended | free | its outcome is handed out: [`Flight::next`] |
//! | taken | left | nobody waits for it any more: [`Flight::leave`] |
//! | left | free | its task has [ended](Flight::ended) after all |

use std::collections::VecDeque;

/// The places of a map: as many as may be in flight. `A` is what stands for an item.
#[derive(Debug)]
pub(crate) struct Flight<A> {
    most: usize,
    is_ordered: bool,
    places: Vec<Place<A>>,
    free: Vec<usize>,
    /// In order: those that are taken. As completed: those that have ended.
    queue: VecDeque<usize>,
    came: u64,
    taken: usize,
    left: usize,
}

#[derive(Debug)]
enum Place<A> {
    Free,
    Taken { by: A, came: u64, has_ended: bool },
    Left,
}

impl<A> Flight<A> {
    /// With so many places: one at least.
    pub(crate) fn new(most: usize, is_ordered: bool) -> Self {
        let (places, free, queue) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { most: most.max(1), is_ordered, places, free, queue, came: 0, taken: 0, left: 0 }
    }

    /// So many may be in flight from here on: one at least.
    pub(crate) fn set_most(&mut self, most: usize) {
        self.most = most.max(1);
    }

    /// The outcomes are handed out in order from here on, or as completed.
    pub(crate) fn set_ordered(&mut self, is_ordered: bool) {
        self.is_ordered = is_ordered;
        let mut queue: Vec<_> = (0..self.places.len())
            .filter(|place| self.has_ended(*place) || is_ordered && self.flies(*place))
            .collect();
        queue.sort_by_key(|place| self.came(*place));
        self.queue = queue.into();
    }

    /// Whether one more may be pulled.
    pub(crate) fn has_room(&self) -> bool {
        self.taken + self.left < self.most
    }

    /// One is pulled, and told its place.
    pub(crate) fn board(&mut self, make: impl FnOnce(usize) -> A) -> usize {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::Free);
            self.places.len() - 1
        });
        self.places[place] = Place::Taken { by: make(place), came: self.came, has_ended: false };
        self.came += 1;
        self.taken += 1;
        if self.is_ordered {
            self.queue.push_back(place);
        }
        place
    }

    /// The task of this place has ended.
    pub(crate) fn ended(&mut self, place: usize) {
        match self.places.get_mut(place) {
            Some(Place::Taken { has_ended, .. }) => {
                *has_ended = true;
                if !self.is_ordered {
                    self.queue.push_back(place);
                }
            }
            Some(Place::Left) => self.vacate(place),
            Some(Place::Free) | None => {}
        }
    }

    /// The next whose outcome is to be handed out, if it is there.
    pub(crate) fn next(&mut self) -> Option<A> {
        let place = *self.queue.front()?;
        if !self.has_ended(place) {
            return None;
        }
        self.queue.pop_front();
        let by = self.take(place, Place::Free)?;
        self.free.push(place);
        Some(by)
    }

    /// The one that has to end before the next outcome is there, if it is a certain one.
    pub(crate) fn awaited(&self) -> Option<usize> {
        if self.is_ordered { self.queue.front().copied() } else { None }
    }

    /// The one that is waited for, or else the eldest that has not ended.
    pub(crate) fn eldest(&self) -> Option<usize> {
        self.awaited().or_else(|| {
            (0..self.places.len()).filter(|place| self.flies(*place)).min_by_key(|place| self.came(*place))
        })
    }

    /// Nobody waits for this one any more. Its place is free when it has ended.
    pub(crate) fn leave(&mut self, place: usize) -> Option<A> {
        self.queue.retain(|other| *other != place);
        let by = self.take(place, Place::Left)?;
        self.left += 1;
        Some(by)
    }

    /// Nobody waits for any.
    pub(crate) fn leave_all(&mut self) -> Vec<A> {
        (0..self.places.len()).filter_map(|place| self.leave(place)).collect()
    }

    pub(crate) fn get(&self, place: usize) -> Option<&A> {
        match self.places.get(place)? {
            Place::Taken { by, .. } => Some(by),
            Place::Free | Place::Left => None,
        }
    }

    /// Those that have not ended.
    pub(crate) fn flying(&self) -> impl Iterator<Item = &A> {
        (0..self.places.len()).filter(|place| self.flies(*place)).filter_map(|place| self.get(place))
    }

    /// How many outcomes are still to be handed out.
    pub(crate) fn len(&self) -> usize {
        self.taken
    }

    fn take(&mut self, place: usize, then: Place<A>) -> Option<A> {
        let Some(Place::Taken { .. }) = self.places.get(place) else { return None };
        self.taken -= 1;
        match std::mem::replace(&mut self.places[place], then) {
            Place::Taken { by, .. } => Some(by),
            Place::Free | Place::Left => None,
        }
    }

    fn vacate(&mut self, place: usize) {
        self.left -= 1;
        self.places[place] = Place::Free;
        self.free.push(place);
    }

    fn came(&self, place: usize) -> u64 {
        match self.places[place] {
            Place::Taken { came, .. } => came,
            Place::Free | Place::Left => u64::MAX,
        }
    }

    fn flies(&self, place: usize) -> bool {
        matches!(self.places[place], Place::Taken { has_ended: false, .. })
    }

    fn has_ended(&self, place: usize) -> bool {
        matches!(self.places[place], Place::Taken { has_ended: true, .. })
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Board,
        End(usize),
        Next,
        Leave,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => Just(Op::Board),
            3 => (0_usize..8).prop_map(Op::End),
            2 => Just(Op::Next),
            1 => Just(Op::Leave),
        ]
    }

    /// The same as a list: each item with its place, whether it has ended, and as the how manieth.
    struct Naive {
        most: usize,
        is_ordered: bool,
        items: Vec<(u32, usize, Option<usize>)>,
        left: Vec<usize>,
        ends: usize,
    }

    impl Naive {
        fn end(&mut self, place: usize) {
            self.ends += 1;
            self.left.retain(|left| *left != place);
            if let Some(item) = self.items.iter_mut().find(|item| item.1 == place && item.2.is_none()) {
                item.2 = Some(self.ends);
            }
        }

        fn next(&mut self) -> Option<u32> {
            let ended = |at: &usize| self.items[*at].2;
            let at = if self.is_ordered {
                (!self.items.is_empty()).then_some(0).filter(|at| ended(at).is_some())
            } else {
                (0..self.items.len()).filter(|at| ended(at).is_some()).min_by_key(ended)
            };
            Some(self.items.remove(at?).0)
        }

        fn leave(&mut self) -> Option<u32> {
            let may = |item: &&(u32, usize, Option<usize>)| self.is_ordered || item.2.is_none();
            let at = self.items.iter().position(|item| may(&item))?;
            let (name, place, _) = self.items.remove(at);
            self.left.push(place);
            Some(name)
        }
    }

    proptest! {
        #[test]
        fn places_are_handed_out_as_by_a_list(
            most in 1_usize..6,
            is_ordered: bool,
            ops in prop::collection::vec(op(), 0..120),
        ) {
            let mut flight = Flight::new(most, is_ordered);
            let mut naive = Naive { most, is_ordered, items: Vec::new(), left: Vec::new(), ends: 0 };
            let mut name = 0;
            for op in ops {
                match op {
                    Op::Board if flight.has_room() => {
                        name += 1;
                        let place = flight.board(|_| name);
                        prop_assert!(naive.items.iter().all(|item| item.1 != place));
                        prop_assert!(!naive.left.contains(&place));
                        naive.items.push((name, place, None));
                    }
                    Op::Board => {}
                    // A task ends once.
                    Op::End(place) if flight.flies_or_is_left(place) => {
                        flight.ended(place);
                        naive.end(place);
                    }
                    Op::End(_) => {}
                    Op::Next => prop_assert_eq!(flight.next(), naive.next()),
                    Op::Leave => {
                        // Only one that has not ended is ever left.
                        let place = flight.eldest().filter(|place| flight.flies(*place));
                        if let Some(place) = place {
                            prop_assert_eq!(flight.leave(place), naive.leave());
                        }
                    }
                }
                prop_assert_eq!(flight.len(), naive.items.len());
                prop_assert_eq!(flight.has_room(), naive.items.len() + naive.left.len() < naive.most);
                let flying = naive.items.iter().filter(|item| item.2.is_none()).count();
                prop_assert_eq!(flight.flying().count(), flying);
            }
            let left: Vec<_> = naive.items.iter().map(|item| item.0).collect();
            let mut all = flight.leave_all();
            all.sort_unstable();
            prop_assert_eq!(all, left);
        }
    }

    impl Flight<u32> {
        fn flies_or_is_left(&self, place: usize) -> bool {
            matches!(self.places.get(place), Some(Place::Taken { has_ended: false, .. } | Place::Left))
        }
    }

    #[test]
    fn there_is_one_place_at_least_and_what_is_unknown_has_none() {
        let mut flight = Flight::new(0, true);
        assert!(flight.has_room());
        let place = flight.board(|_| 'a');
        assert!(!flight.has_room());
        flight.ended(77);
        assert_eq!((flight.leave(77), flight.get(77).copied(), flight.next()), (None, None, None));
        flight.ended(place);
        assert_eq!((flight.next(), flight.next()), (Some('a'), None));
    }
}
