//! What led to an event, and what came of it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::batch::parent_key;
use super::entry::Entry;
use super::id::EventId;
use super::index::Field;
use super::lookup::{Found, founds, get};
use super::view::View;

/// How many causes and effects a chain has, unless somebody says so.
pub const CHAIN_LIMIT: usize = 10_000;

/// What led to an event, and what came of it, as far as it is still there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Chain {
    /// From the first cause to the parent of the event. Where a cause is gone, so are those before it.
    pub causes: Vec<Entry>,
    /// The event.
    pub event: Entry,
    /// The children of the event, then theirs, and so on; each is behind its parent, and children of one
    /// parent are in their order.
    pub effects: Vec<Entry>,
    /// Whether there are more causes or effects than were asked for.
    pub truncated: bool,
}

/// The chain of an event, if it is there: at most so many causes and effects, causes first. None occurs
/// twice, whatever parents events name.
pub(crate) fn chain(views: &[Arc<View>], id: EventId, limit: usize) -> Option<Chain> {
    let event = get(views, id)?;
    let mut seen = HashSet::from([event.id()]);
    let (causes, is_cut) = causes(views, &event, limit, &mut seen);
    let left = limit - causes.len();
    let (effects, is_cut_too) = effects(views, &event, left, &mut seen);
    Some(Chain { causes, event, effects, truncated: is_cut || is_cut_too })
}

fn causes(
    views: &[Arc<View>],
    event: &Entry,
    limit: usize,
    seen: &mut HashSet<EventId>,
) -> (Vec<Entry>, bool) {
    let mut causes = Vec::new();
    let mut next = event.parent();
    while let Some(id) = next.filter(|id| !seen.contains(id)) {
        let Some(cause) = get(views, id) else { break };
        if causes.len() == limit {
            return (in_order(causes), true);
        }
        seen.insert(id);
        next = cause.parent();
        causes.push(cause);
    }
    (in_order(causes), false)
}

fn in_order(mut causes: Vec<Entry>) -> Vec<Entry> {
    causes.reverse();
    causes
}

fn effects(
    views: &[Arc<View>],
    event: &Entry,
    limit: usize,
    seen: &mut HashSet<EventId>,
) -> (Vec<Entry>, bool) {
    let open = Open::of(views);
    let mut effects = Vec::new();
    let mut parents = VecDeque::from([event.id()]);
    while let Some(parent) = parents.pop_front() {
        // One more than there is room for, to know whether there are more; and those that were seen.
        let room = (limit - effects.len()).saturating_add(1);
        for child in children(views, &open, parent, room, seen) {
            if effects.len() == limit {
                return (effects, true);
            }
            seen.insert(child.id());
            parents.push_back(child.id());
            effects.push(child);
        }
    }
    (effects, false)
}

/// The first children of an event that were not seen, in their order.
fn children(
    views: &[Arc<View>],
    open: &Open<'_>,
    parent: EventId,
    most: usize,
    seen: &HashSet<EventId>,
) -> Vec<Entry> {
    let parent = parent.get();
    let is_new = |found: &Found<'_>| EventId::new(found.id()).is_some_and(|id| !seen.contains(&id));
    let mut found: Vec<_> = Vec::new();
    for (view, open) in views.iter().zip(&open.children) {
        let positions = view.index.walk(Field::Parent, parent_key(parent), view.first..view.open_from());
        let sealed = positions.filter_map(|position| Found::at(view, position));
        let sealed = sealed.filter(|found| found.stub().parent == parent);
        let open = open.get(&parent).into_iter().flatten().copied();
        found.extend(sealed.chain(open).filter(is_new).take(most));
    }
    found.sort_unstable_by_key(Found::place);
    found.iter().take(most).map(Found::entry).collect()
}

/// What has a parent and is in no index yet, by the parent: looked through once, not once for each
/// event of a chain.
struct Open<'a> {
    children: Vec<HashMap<u64, Vec<Found<'a>>>>,
}

impl<'a> Open<'a> {
    fn of(views: &'a [Arc<View>]) -> Self {
        Self { children: views.iter().map(|view| Self::children(view)).collect() }
    }

    fn children(view: &'a View) -> HashMap<u64, Vec<Found<'a>>> {
        let mut children: HashMap<_, Vec<_>> = HashMap::new();
        let open = founds(view.open.iter(), view.open_from()..view.end);
        for found in open.filter(|found| found.stub().parent != 0) {
            children.entry(found.stub().parent).or_default().push(found);
        }
        children
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::super::event::Event;
    use super::super::sample::{Shard, Store, id, ids, source, store};
    use super::*;

    /// Events with these parents, 0 for none, numbered from 1 on and dealt out to two shards.
    fn family(parents: &[u64], seal_at: u64) -> Vec<Arc<View>> {
        let mut shards = [Shard::new(seal_at), Shard::new(seal_at)];
        for (number, parent) in (1..).zip(parents) {
            let event = Event::of("a", "x").happened_at(super::super::sample::at(number));
            let event = EventId::new(*parent).map_or(event.clone(), |parent| event.with_parent(parent));
            shards[number as usize % 2].store(number, vec![event], &source(None));
        }
        shards.into_iter().map(|shard| Arc::new(shard.view)).collect()
    }

    fn told(chain: &Chain) -> (Vec<u64>, u64, Vec<u64>, bool) {
        (ids(&chain.causes), chain.event.id().get(), ids(&chain.effects), chain.truncated)
    }

    fn told_of(parents: &[u64], number: u64, limit: usize) -> (Vec<u64>, u64, Vec<u64>, bool) {
        let of = |seal_at| told(&chain(&family(parents, seal_at), id(number), limit).expect("it is there"));
        assert_eq!(of(2), of(1000), "sealed or open");
        of(2)
    }

    #[test]
    fn causes_lead_to_an_event_and_effects_follow_it() {
        let parents = [0, 1, 1, 2, 3, 2, 4, 0, 8];
        assert_eq!(told_of(&parents, 2, 100), (vec![1], 2, vec![4, 6, 7], false));
        assert_eq!(told_of(&parents, 1, 100), (vec![], 1, vec![2, 3, 4, 6, 5, 7], false));
        assert_eq!(told_of(&parents, 7, 100), (vec![1, 2, 4], 7, vec![], false));
        assert!(chain(&family(&parents, 2), id(99), 100).is_none());
    }

    #[test]
    fn a_circle_is_gone_round_once() {
        assert_eq!(told_of(&[3, 1, 2, 1], 1, 100), (vec![2, 3], 1, vec![4], false));
        assert_eq!(told_of(&[1], 1, 100), (vec![], 1, vec![], false), "its own parent");
    }

    #[test]
    fn a_cause_that_is_gone_ends_them() {
        assert_eq!(told_of(&[0, 99, 2, 3], 4, 100), (vec![2, 3], 4, vec![], false));
    }

    #[test]
    fn no_more_are_told_than_asked_for_and_that_is_said() {
        let parents = [0, 1, 2, 3, 4, 4, 5, 5];
        assert_eq!(told_of(&parents, 4, 7), (vec![1, 2, 3], 4, vec![5, 6, 7, 8], false));
        assert_eq!(told_of(&parents, 4, 6), (vec![1, 2, 3], 4, vec![5, 6, 7], true));
        assert_eq!(told_of(&parents, 4, 3), (vec![1, 2, 3], 4, vec![], true));
        assert_eq!(told_of(&parents, 4, 2), (vec![2, 3], 4, vec![], true), "the nearest");
        assert_eq!(told_of(&parents, 4, usize::MAX).2, [5, 6, 7, 8]);
        assert_eq!(told_of(&parents, 8, 0), (vec![], 8, vec![], true));
        assert_eq!(told_of(&parents, 8, 5), (vec![1, 2, 3, 4, 5], 8, vec![], false));
        assert_eq!(told_of(&[0], 1, 0), (vec![], 1, vec![], false));
    }

    fn naive(store: &Store, number: u64) -> (Vec<u64>, Vec<u64>) {
        let parent =
            |of: u64| store.all.iter().find(|(_, there, _)| *there == of).map(|(_, _, plain)| plain.parent);
        let (mut causes, mut next) = (vec![], parent(number).flatten());
        while let Some(cause) = next.filter(|cause| *cause != number && !causes.contains(cause)) {
            let Some(above) = parent(cause) else { break };
            causes.insert(0, cause);
            next = above;
        }
        let (mut effects, mut at) = (vec![number], 0);
        while at < effects.len() {
            let children = store.all.iter().filter(|(_, _, plain)| plain.parent == Some(effects[at]));
            let children: Vec<_> = children.map(|(_, there, _)| *there).collect();
            let is_new = |there: &u64| !effects.contains(there) && !causes.contains(there);
            let new: Vec<_> = children.into_iter().filter(is_new).collect();
            effects.extend(new);
            at += 1;
        }
        (causes, effects.split_off(1))
    }

    proptest! {
        #[test]
        fn a_chain_is_what_following_parents_by_hand_gives(store in store(), number in 1..60_u64) {
            let expected = naive(&store, number);
            if let Some(chain) = chain(&store.views, id(number), CHAIN_LIMIT) {
                prop_assert_eq!((ids(&chain.causes), ids(&chain.effects)), expected);
                prop_assert!(!chain.truncated);
            }
        }
    }
}
