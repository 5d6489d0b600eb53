//! How a query is answered.

use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use super::cursor::Cursor;
use super::index::Field;
use super::lookup::{Found, first_not, founds};
use super::merge::Merged;
use super::query::{Order, Page, Query, QueryError};
use super::segment::Segment;
use super::view::View;

/// Answers a query on the caller's thread, and blocks nobody.
///
/// Of each shard the positions that can matter are searched for: those of the right numbers and times,
/// behind the cursor. Among those, what is sealed is found by the index, by that of the fields asked for
/// that promises the fewest, and what is open, about a thousand at most, by looking at all. What is found
/// is checked and merged. No more is looked for than the page takes.
///
/// # Errors
///
/// When the query makes no sense.
pub(crate) fn run(query: &Query, views: &[Arc<View>]) -> Result<Page, QueryError> {
    query.check()?;
    Ok(page(query, views, &Cell::new(0)))
}

/// `looked` counts the events that were looked at.
fn page(query: &Query, views: &[Arc<View>], looked: &Cell<u64>) -> Page {
    let parts = views.iter().map(|view| found(query, view, looked)).collect();
    let is_before = |a: &Found<'_>, b: &Found<'_>| match query.order {
        Order::OldestFirst => a.place() < b.place(),
        Order::NewestFirst => a.place() > b.place(),
    };
    let wanted = Merged::new(parts, is_before)
        .filter(|found| query.predicates.hold(|| found.entry()))
        .skip(query.offset);
    let found: Vec<_> = wanted.take(query.limit).collect();
    let last = found.last().filter(|_| found.len() == query.limit);
    let next = last.map(|last| Cursor { place: last.place(), order: query.order });
    Page { entries: found.iter().map(Found::entry).collect(), next }
}

/// What is wanted of a shard, but for the predicates, in the order of the query.
fn found<'a>(
    query: &'a Query,
    view: &'a View,
    looked: &'a Cell<u64>,
) -> Box<dyn Iterator<Item = Found<'a>> + 'a> {
    let range = positions(query, view);
    let sealed = range.start..range.end.min(view.open_from());
    let open = founds(view.open.iter(), range.clone());
    match most_selective(query, view, &sealed) {
        Some((field, key)) => {
            let sealed = view.index.walk(field, key, sealed).filter_map(|position| Found::at(view, position));
            checked(query, sealed.chain(open), looked)
        }
        None => {
            let segments = segments(view, &sealed).iter().filter(|segment| may_be_in(query, segment));
            let sealed = founds(segments.flat_map(|segment| &segment.chunks), sealed);
            checked(query, sealed.chain(open), looked)
        }
    }
}

fn checked<'a>(
    query: &'a Query,
    found: impl DoubleEndedIterator<Item = Found<'a>> + 'a,
    looked: &'a Cell<u64>,
) -> Box<dyn Iterator<Item = Found<'a>> + 'a> {
    let is_wanted = move |found: &Found<'_>| {
        looked.set(looked.get() + 1);
        query.wanted.may_be(found.id(), found.stub()) && {
            let source = found.event().own_source().unwrap_or(&found.chunk.source);
            query.wanted.is(found.id(), found.event(), source)
        }
    };
    match query.order {
        Order::OldestFirst => Box::new(found.filter(is_wanted)),
        Order::NewestFirst => Box::new(found.rev().filter(is_wanted)),
    }
}

/// By which of the fields asked for the fewest are found.
fn most_selective(query: &Query, view: &View, sealed: &Range<u64>) -> Option<(Field, u64)> {
    let mut keys = query.wanted.keys();
    let only = keys.next()?;
    let Some(other) = keys.next() else { return Some(only) };
    let all = [only, other].into_iter().chain(keys);
    all.min_by_key(|(field, key)| view.index.estimate(*field, *key, sealed))
}

// ---- positions ---------------------------------------------------------------------------

/// Outside of these is nothing that is wanted.
fn positions(query: &Query, view: &View) -> Range<u64> {
    let (mut start, mut end) = (view.first, view.end);
    if let Some(ids) = &query.wanted.ids {
        start = start.max(first_not(view, |found| i128::from(found.id()) < *ids.start()));
        end = end.min(first_not(view, |found| i128::from(found.id()) <= *ids.end()));
    }
    if let Some(times) = &query.wanted.times {
        // No place in the order is before the time itself, but for late ones it is behind.
        start = start.max(first_not(view, |found| i128::from(found.stub().order) < *times.start()));
        end = end.min(end_of_times(view, *times.end()));
    }
    match query.after {
        Some(Cursor { place, order: Order::OldestFirst }) => {
            start = start.max(first_not(view, |found| found.place() <= place));
        }
        Some(Cursor { place, order: Order::NewestFirst }) => {
            end = end.min(first_not(view, |found| found.place() < place));
        }
        None => {}
    }
    start..end.max(start)
}

/// Where the last segment ends with something that happened by then, if nothing open did.
fn end_of_times(view: &View, last: i128) -> u64 {
    let by_then = |wall: u64| i128::from(wall) <= last;
    if view.open.iter().any(|chunk| chunk.stubs.iter().any(|stub| by_then(stub.wall))) {
        return view.end;
    }
    let segment = view.sealed.iter().rev().find(|segment| by_then(segment.wall.0));
    segment.map_or(view.first, |segment| segment.end())
}

fn may_be_in(query: &Query, segment: &Segment) -> bool {
    let (earliest, latest) = segment.wall;
    let overlaps = |times: &std::ops::RangeInclusive<i128>| {
        i128::from(earliest) <= *times.end() && *times.start() <= i128::from(latest)
    };
    query.wanted.times.as_ref().is_none_or(overlaps)
}

fn segments<'a>(view: &'a View, range: &Range<u64>) -> &'a [Arc<Segment>] {
    let from = view.sealed.partition_point(|segment| segment.end() <= range.start);
    let to = view.sealed.partition_point(|segment| segment.first() < range.end);
    &view.sealed[from..to.max(from)]
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::collections::HashMap;
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::super::correlation::Correlation;
    use super::super::entry::Entry;
    use super::super::event::Event;
    use super::super::filter::Filter;
    use super::super::sample::*;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What is asked, by numbers.
    #[derive(Clone, Debug, Default)]
    struct Asked {
        kind: Option<usize>,
        prefix: Option<&'static str>,
        correlation: Option<u128>,
        stream: Option<usize>,
        parent: Option<u64>,
        service: Option<usize>,
        thread: Option<usize>,
        node: Option<bool>,
        times: Option<(u64, u64)>,
        ids: Option<(u64, u64)>,
        text: Option<char>,
        is_odd: bool,
    }

    fn rarely<T: std::fmt::Debug + Clone + 'static>(
        strategy: impl Strategy<Value = T> + 'static,
    ) -> impl Strategy<Value = Option<T>> {
        prop::option::weighted(0.2, strategy)
    }

    fn asked() -> impl Strategy<Value = Asked> {
        let prefixes = prop::sample::select(vec!["l", "log", "logi", "order.", "x"]);
        let names = (rarely(0..KINDS.len()), rarely(prefixes), rarely(0..5_u128), rarely(0..STREAMS.len()));
        let sources = (rarely(0..SERVICES.len()), rarely(0..THREADS.len()), rarely(any::<bool>()));
        let range = |most: u64| (1..most, 1..most / 2).prop_map(|(from, length)| (from, from + length));
        let rest =
            (rarely(1..60_u64), rarely(range(50)), rarely(range(100)), rarely(prop::char::range('a', 'c')));
        (names, sources, rest, prop::bool::weighted(0.2)).prop_map(|(names, sources, rest, is_odd)| {
            let (kind, prefix, correlation, stream) = names;
            let ((service, thread, node), (parent, times, ids, text)) = (sources, rest);
            Asked {
                kind,
                prefix,
                correlation,
                stream,
                parent,
                service,
                thread,
                node,
                times,
                ids,
                text,
                is_odd,
            }
        })
    }

    impl Asked {
        fn is_met_by(&self, number: u64, plain: &Plain) -> bool {
            fn is<T: PartialEq>(asked: Option<T>, found: T) -> bool {
                asked.is_none_or(|asked| asked == found)
            }
            let within = |range: Option<(u64, u64)>, n| range.is_none_or(|(from, to)| from <= n && n < to);
            is(self.kind, plain.kind)
                && self.prefix.is_none_or(|prefix| KINDS[plain.kind].starts_with(prefix))
                && is(self.correlation, plain.correlation)
                && self.stream.is_none_or(|stream| plain.stream == Some(stream))
                && self.parent.is_none_or(|parent| plain.parent == Some(parent))
                && self.service.is_none_or(|service| plain.service == Some(service))
                && is(self.thread, plain.thread)
                && self.node != Some(false)
                && within(self.times, plain.wall)
                && within(self.ids, number)
                && is(self.text, plain.text)
                && (!self.is_odd || number % 2 == 1)
        }

        fn node(&self) -> Option<&'static str> {
            self.node.map(|is_here| if is_here { "here" } else { "there" })
        }

        fn query(&self) -> Query {
            fn with<T>(query: Query, asked: Option<T>, add: impl FnOnce(Query, T) -> Query) -> Query {
                match asked {
                    Some(asked) => add(query, asked),
                    None => query,
                }
            }
            let query = with(Query::new(), self.kind, |query, kind| query.kind(KINDS[kind]));
            let query = with(query, self.prefix, Query::kind_prefix);
            let query =
                with(query, self.correlation, |query, bits| query.correlation(Correlation::from_u128(bits)));
            let query = with(query, self.stream, |query, stream| query.stream(STREAMS[stream]));
            let query = with(query, self.parent, |query, parent| query.parent(id(parent)));
            let query = with(query, self.service, |query, service| query.service(SERVICES[service]));
            let query = with(query, self.thread, |query, thread| query.thread(THREADS[thread]));
            let query = with(query, self.node(), Query::node);
            let query = with(query, self.times, |query, (from, to)| query.between(at(from)..at(to)));
            let query = with(query, self.ids, |query, (from, to)| query.ids(id(from)..id(to)));
            let query = with(query, self.text, |query, text| {
                query.matching(move |entry| entry.data().as_text() == Some(text.to_string().as_str()))
            });
            with(query, self.is_odd.then_some(()), |query, ()| {
                query.matching(|entry| entry.id().get() % 2 == 1)
            })
        }

        /// The same as a text, but for `is_odd`.
        fn text(&self) -> String {
            let time = |nanoseconds: u64| format!("1970-01-01T00:00:00.{nanoseconds:09}Z");
            let mut conditions = Vec::new();
            conditions.extend(self.kind.map(|kind| format!("kind={}", KINDS[kind])));
            conditions.extend(self.prefix.map(|prefix| format!("kind ^= \"{prefix}\"")));
            conditions
                .extend(self.correlation.map(|bits| format!("correlation={}", Correlation::from_u128(bits))));
            conditions.extend(self.stream.map(|stream| format!("stream = {}", STREAMS[stream])));
            conditions.extend(self.parent.map(|parent| format!("parent={parent}")));
            conditions.extend(self.service.map(|service| format!("service={}", SERVICES[service])));
            conditions.extend(self.thread.map(|thread| format!("thread={}", THREADS[thread])));
            conditions.extend(self.node().map(|node| format!("node={node}")));
            conditions
                .extend(self.times.map(|(from, to)| format!("since={},until={}", time(from), time(to))));
            conditions.extend(self.ids.map(|(from, to)| format!("id>={from},id<{to}")));
            conditions.extend(self.text.map(|text| format!("text~{text}")));
            conditions.join(" , ")
        }
    }

    fn order() -> impl Strategy<Value = Order> {
        prop::sample::select(vec![Order::OldestFirst, Order::NewestFirst])
    }

    /// What a look at everything finds, without offset and limit.
    fn naive(store: &Store, asked: &Asked, order: Order, after: Option<(u64, u64)>) -> Vec<u64> {
        let is_after = |place: (u64, u64)| match order {
            Order::OldestFirst => after.is_none_or(|after| place > after),
            Order::NewestFirst => after.is_none_or(|after| place < after),
        };
        let wanted = store.all.iter().filter(|(_, number, plain)| asked.is_met_by(*number, plain));
        let wanted = wanted.filter(|(order, number, _)| is_after((*order, *number)));
        let mut found: Vec<_> = wanted.map(|(_, number, _)| *number).collect();
        if order == Order::NewestFirst {
            found.reverse();
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn a_query_finds_what_a_look_at_everything_finds(
            store in store(),
            asked in asked(),
            order in order(),
            (offset, limit) in (0..12_usize, 1..12_usize),
            after in prop::option::of((0..40_u64, 1..100_u64)),
        ) {
            let mut query = asked.query().order(order).offset(offset).limit(limit);
            if let Some(place) = after {
                query = query.after(Cursor { place, order });
            }
            let found = run(&query, &store.views).expect("it makes sense");
            let all = naive(&store, &asked, order, after);
            let expected: Vec<_> = all.into_iter().skip(offset).take(limit).collect();
            prop_assert_eq!(ids(&found), expected);
            let last = found.entries.last().filter(|_| found.entries.len() == limit);
            let next = last.map(|last| Cursor { place: (last.stub().order, last.id().get()), order });
            prop_assert_eq!(found.next, next);
        }

        #[test]
        fn page_after_page_gives_the_whole(
            store in store(),
            asked in asked(),
            order in order(),
            limit in 1..9_usize,
        ) {
            let (mut found, mut next) = (Vec::new(), None);
            loop {
                let query = asked.query().order(order).limit(limit);
                let query = next.map_or(query.clone(), |cursor| query.after(cursor));
                let page = run(&query, &store.views).expect("it makes sense");
                found.extend(ids(&page));
                prop_assert!(found.len() <= store.all.len());
                next = page.next.map(|cursor| cursor.to_string().parse().expect("it is one"));
                if next.is_none() {
                    break;
                }
            }
            prop_assert_eq!(found, naive(&store, &asked, order, None));
        }

        #[test]
        fn a_filter_finds_what_the_query_finds(store in store(), asked in asked()) {
            let asked = Asked { is_odd: false, ..asked };
            let filter = Filter::parse(&asked.text()).expect("it makes sense");
            let expected = naive(&store, &asked, Order::OldestFirst, None);
            let found = run(&filter.query(), &store.views).expect("it makes sense");
            prop_assert_eq!(ids(&found), &expected[..]);
            let everything = run(&Query::new(), &store.views).expect("it makes sense");
            let is_met = |entry: &&Entry| filter.matches(entry, entry.id(), entry.source());
            let matched = everything.entries.iter().filter(is_met);
            prop_assert_eq!(ids(matched), expected);
        }
    }

    #[test]
    fn pages_go_on_where_they_were_though_events_come_and_go() {
        let mut shard = Shard::new(4);
        let store = |shard: &mut Shard, id| {
            shard.store(id, vec![Event::of("a", "x").happened_at(at(id / 3))], &source(None))
        };
        (1..=10).for_each(|id| store(&mut shard, id));
        let views = |shard: &Shard| [Arc::new(shard.view.clone())];
        let up = run(&Query::new().limit(4), &views(&shard)).expect("it makes sense");
        let down =
            run(&Query::new().order(Order::NewestFirst).limit(4), &views(&shard)).expect("it makes sense");
        assert_eq!((ids(&up), ids(&down)), (vec![1, 2, 3, 4], vec![10, 9, 8, 7]));
        (11..=20).for_each(|id| store(&mut shard, id));
        shard.drop_before(5);
        let query = Query::new().limit(3);
        let next = run(&query.clone().after(up.next.expect("there is more")), &views(&shard));
        assert_eq!(ids(&next.expect("it makes sense")), [6, 7, 8], "5 is gone");
        let query = query.order(Order::NewestFirst).after(down.next.expect("there is more"));
        assert_eq!(ids(&run(&query, &views(&shard)).expect("it makes sense")), [6]);
    }

    #[test]
    fn what_happened_late_is_found_by_when_it_happened() {
        let mut shard = Shard::new(4);
        let walls = [10, 20, 30, 5, 40, 50, 60, 70, 80, 15, 90, 100, 12];
        for (id, wall) in (1..).zip(walls) {
            shard.store(id, vec![Event::of("a", "x").happened_at(at(wall))], &source(None));
        }
        let views = [Arc::new(shard.view)];
        let between = |query: Query| ids(&run(&query, &views).expect("it makes sense"));
        assert_eq!(between(Query::new().between(at(5)..at(16))), [1, 4, 10, 13]);
        assert_eq!(
            between(Query::new().kind("a").between(..=at(15)).order(Order::NewestFirst)),
            [13, 10, 4, 1]
        );
        assert_eq!(between(Query::new().between(at(75)..)), [9, 11, 12]);
        assert_eq!(
            between(Query::new().between(SystemTime::UNIX_EPOCH - SECOND..SystemTime::UNIX_EPOCH)),
            [0; 0]
        );
    }

    #[test]
    fn names_whose_keys_are_half_alike_are_told_apart() {
        let mut seen = HashMap::new();
        let mut kinds = (0..).map(|number: u32| format!("kind {number}"));
        let (one, other) = kinds
            .find_map(|kind| {
                let half = super::super::batch::kind_key(&kind) >> 32;
                seen.insert(half, kind.clone()).map(|other| (kind, other))
            })
            .expect("among some hundred thousand there are two");
        for seal_at in [1, 1000] {
            let mut shard = Shard::new(seal_at);
            let kinds = [&one, &other, &one, &other, &one];
            (1..)
                .zip(kinds)
                .for_each(|(id, kind)| shard.store(id, vec![Event::of(kind.clone(), "x")], &source(None)));
            let found = run(&Query::new().kind(&other), &[Arc::new(shard.view)]).expect("it makes sense");
            assert_eq!(ids(&found), [2, 4]);
        }
    }

    #[test]
    fn names_whose_keys_are_alike_are_told_apart() {
        let event = |which: &str| {
            Event::of(format!("kind {which}"), format!("correlation {which}"))
                .with_stream(format!("stream {which}"))
        };
        let (one, other) = (event("one"), event("other"));
        let stub = super::super::batch::Stub::of(&one).expect("it is allowed");
        for seal_at in [2, 1000] {
            let mut shard = Shard::new(seal_at);
            shard.store_with(1, vec![other.clone(), one.clone()], vec![stub, stub], &source(None));
            let views = [Arc::new(shard.view)];
            let found = |query: Query| ids(&run(&query, &views).expect("it makes sense"));
            assert_eq!(found(Query::new().kind("kind one")), [2]);
            assert_eq!(found(Query::new().correlation("correlation one")), [2]);
            assert_eq!(found(Query::new().stream("stream one")), [2]);
        }
    }

    /// So many events, 64 at a time, ten to a correlation that are spread out, of one kind.
    fn many(count: u64) -> Arc<View> {
        let (mut shard, source) = (Shard::new(1024), source(Some("web")));
        for first in (0..count).step_by(64) {
            let event = |at: u64| {
                let correlation = Correlation::from_u128(u128::from(at % (count / 10)) << 64);
                Event::of("tick", correlation).happened_at(SystemTime::UNIX_EPOCH + Duration::from_nanos(at))
            };
            shard.store(first + 1, (first..first + 64).map(event).collect(), &source);
        }
        Arc::new(shard.view)
    }

    #[test]
    fn a_query_looks_at_what_it_finds_and_at_what_is_open() {
        let (view, looked) = (many(256_000), Cell::new(0));
        let open = view.end - view.open_from();
        assert!(open < 1024);
        let views = [view];
        let look = |query: Query| {
            looked.set(0);
            (page(&query, &views, &looked).entries.len(), looked.get())
        };
        let (found, cost) = look(Query::new().correlation(Correlation::from_u128(17 << 64)));
        assert!(found == 10 && cost <= 10 + open + 2, "{cost}");
        let (found, cost) = look(Query::new().correlation("there is none"));
        assert!(found == 0 && cost <= open + 2, "{cost}");
        let newest = Query::new().order(Order::NewestFirst).limit(10);
        assert_eq!(look(newest.clone()), (10, 10));
        assert_eq!(look(newest.clone().kind("tick")), (10, 10));
        assert_eq!(look(newest.clone().kind("tick").between(at(1000)..at(2000))).0, 10);
        assert!(looked.get() < 2 * 1024 + 100, "{}", looked.get());
        assert_eq!(look(newest.kind("tick").ids(id(1000)..id(2000))), (10, 10));
        let cursor = Cursor { place: (128_000, 128_001), order: Order::OldestFirst };
        assert_eq!(look(Query::new().service("web").after(cursor).limit(10)), (10, 10));
        assert_eq!(look(Query::new().kind("tick").correlation(Correlation::from_u128(17 << 64))).0, 10);
        assert!(looked.get() <= 10 + open + 2, "{}", looked.get());
    }
}
