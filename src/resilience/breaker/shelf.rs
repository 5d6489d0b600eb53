//! Things by their keys: so many at most, and none that nobody wants.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How many of the oldest are looked at when another comes, whether they are too old.
const MOST_LOOKED_AT: usize = 16;

/// Things by their keys: so many at most, and none that nobody has asked for in so long.
///
/// What is held by somebody is not too old, and it makes way for another only where all are held.
#[derive(Debug)]
pub(crate) struct Shelf<K, V> {
    most: usize,
    idle: Duration,
    items: HashMap<K, Item<V>>,
    /// The keys in the order of their last use.
    order: BTreeMap<u64, K>,
    uses: u64,
    expired: u64,
    evicted: u64,
}

#[derive(Debug)]
struct Item<V> {
    value: V,
    used: Instant,
    /// Its place in the order.
    place: u64,
}

/// What was found or made, and what had to go, for its drop may take long.
#[derive(Debug)]
pub(crate) struct Fetched<V> {
    pub(crate) value: V,
    pub(crate) gone: Vec<V>,
}

impl<K: Clone + Eq + Hash, V: Clone> Shelf<K, V> {
    /// Holds `most`, at least one.
    pub(crate) fn new(most: usize, idle: Duration) -> Self {
        let (items, order) = (HashMap::new(), BTreeMap::new());
        Self { most: most.max(1), idle, items, order, uses: 0, expired: 0, evicted: 0 }
    }

    /// The one of this key; made if there is none, or only one that is too old.
    pub(crate) fn fetch<Q: ?Sized + Eq + Hash>(
        &mut self,
        key: &Q,
        now: Instant,
        is_held: impl Fn(&V) -> bool,
        make: impl FnOnce() -> (K, V),
    ) -> Fetched<V>
    where
        K: Borrow<Q>,
    {
        let place = self.next_place();
        let idle = self.idle;
        let Some(item) = self.items.get_mut(key) else { return self.add(place, now, is_held, make) };
        let is_old = now.saturating_duration_since(item.used) >= idle && !is_held(&item.value);
        if let Some(key) = self.order.remove(&std::mem::replace(&mut item.place, place)) {
            self.order.insert(place, key);
        }
        item.used = now;
        if !is_old {
            return Fetched { value: item.value.clone(), gone: Vec::new() };
        }
        self.expired += 1;
        let old = std::mem::replace(&mut item.value, make().1);
        Fetched { value: item.value.clone(), gone: vec![old] }
    }

    fn next_place(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    fn add(
        &mut self,
        place: u64,
        now: Instant,
        is_held: impl Fn(&V) -> bool,
        make: impl FnOnce() -> (K, V),
    ) -> Fetched<V> {
        let mut gone = Vec::new();
        self.expire(now, &is_held, &mut gone);
        if self.items.len() >= self.most {
            self.evict(&is_held, &mut gone);
        }
        let (key, value) = make();
        self.order.insert(place, key.clone());
        self.items.insert(key, Item { value: value.clone(), used: now, place });
        Fetched { value, gone }
    }

    /// Takes out what is too old and held by nobody, of the oldest.
    fn expire(&mut self, now: Instant, is_held: &impl Fn(&V) -> bool, gone: &mut Vec<V>) {
        let is_old = |item: &Item<V>| now.saturating_duration_since(item.used) >= self.idle;
        let oldest = self.order.iter().take(MOST_LOOKED_AT);
        let old = oldest.take_while(|(_, key)| self.items.get(*key).is_some_and(is_old));
        let free = old.filter(|(_, key)| !self.items.get(*key).is_some_and(|item| is_held(&item.value)));
        let places: Vec<_> = free.map(|(place, _)| *place).collect();
        self.expired += places.len() as u64;
        gone.extend(places.into_iter().filter_map(|place| self.take(place)));
    }

    /// Takes out the one that was not asked for in the longest time, of those that nobody holds if there are such.
    fn evict(&mut self, is_held: &impl Fn(&V) -> bool, gone: &mut Vec<V>) {
        let is_free = |key: &K| self.items.get(key).is_some_and(|item| !is_held(&item.value));
        let free = self.order.iter().find(|(_, key)| is_free(key));
        let Some(place) = free.or_else(|| self.order.iter().next()).map(|(place, _)| *place) else { return };
        self.evicted += 1;
        gone.extend(self.take(place));
    }

    fn take(&mut self, place: u64) -> Option<V> {
        let key = self.order.remove(&place)?;
        self.items.remove(&key).map(|item| item.value)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.items.values().map(|item| &item.value)
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// How many were too old, and how many had to make way.
    pub(crate) fn dropped(&self) -> (u64, u64) {
        (self.expired, self.evicted)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::sync::Clock;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Fetches with values that tell when they were made; `held` are those that are.
    fn fetch(shelf: &mut Shelf<u8, u64>, key: u8, now: Instant, held: &[u64], number: u64) -> Fetched<u64> {
        shelf.fetch(&key, now, |value| held.contains(value), || (key, number))
    }

    #[test]
    fn the_one_that_was_not_asked_for_in_the_longest_time_makes_way() {
        let (mut shelf, now) = (Shelf::new(2, 100 * SECOND), Clock::system().now());
        fetch(&mut shelf, 1, now, &[], 1);
        fetch(&mut shelf, 2, now + SECOND, &[], 2);
        assert_eq!(fetch(&mut shelf, 1, now + 2 * SECOND, &[], 3).value, 1, "it is there");
        assert_eq!(fetch(&mut shelf, 3, now + 3 * SECOND, &[], 4).gone, [2]);
        assert_eq!((shelf.len(), shelf.dropped()), (2, (0, 1)));
    }

    #[test]
    fn one_that_is_held_makes_way_only_where_all_are() {
        let (mut shelf, now) = (Shelf::new(2, 100 * SECOND), Clock::system().now());
        fetch(&mut shelf, 1, now, &[], 1);
        fetch(&mut shelf, 2, now, &[], 2);
        assert_eq!(fetch(&mut shelf, 3, now, &[1], 3).gone, [2]);
        assert_eq!(fetch(&mut shelf, 4, now, &[1, 3], 4).gone, [1]);
        assert_eq!(shelf.len(), 2);
    }

    #[test]
    fn one_that_nobody_asked_for_in_so_long_is_made_anew_and_one_that_is_held_is_not() {
        let (mut shelf, now) = (Shelf::new(9, 10 * SECOND), Clock::system().now());
        fetch(&mut shelf, 1, now, &[], 1);
        fetch(&mut shelf, 2, now, &[], 2);
        let late = now + 10 * SECOND;
        assert_eq!(fetch(&mut shelf, 1, late, &[1], 3).value, 1);
        let other = fetch(&mut shelf, 2, late, &[1], 4);
        assert_eq!((other.value, other.gone.as_slice()), (4, &[2_u64][..]));
        let third = fetch(&mut shelf, 3, late + 10 * SECOND, &[1], 5);
        assert_eq!(third.gone, [4], "what is old goes when another comes");
        assert_eq!(shelf.dropped(), (2, 0));
    }

    proptest! {
        #[test]
        fn it_is_a_map_of_the_last_used(
            most in 1_usize..6,
            steps in prop::collection::vec((0_u8..10, 0_u32..4), 0..80),
        ) {
            // Naive: a list in the order of last use. Nothing is held.
            let (mut shelf, mut list) = (Shelf::new(most, 10 * SECOND), Vec::<(u8, Instant, u64)>::new());
            let mut now = Clock::system().now();
            for (number, (key, passed)) in steps.into_iter().enumerate() {
                now += SECOND * (passed + 1); // no two at one moment, where any order would do
                list.retain(|(_, used, _)| now - *used < 10 * SECOND);
                let there = list.iter().position(|(other, ..)| *other == key).map(|at| list.remove(at));
                let value = there.map_or(number as u64, |(_, _, value)| value);
                list.push((key, now, value));
                if list.len() > most {
                    list.remove(0);
                }
                prop_assert_eq!(fetch(&mut shelf, key, now, &[], number as u64).value, value);
                prop_assert!(shelf.len() <= most && shelf.items.len() == shelf.order.len());
                for (_, _, value) in &list {
                    prop_assert!(shelf.values().any(|other| other == value), "{value} is gone");
                }
            }
        }
    }
}
