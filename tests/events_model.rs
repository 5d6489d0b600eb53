//! A store beside a naive one: whatever is done, in whatever order, both have the same, and the accounts hold
//! after every step. In virtual time, so that ages are exact and crashes come when they are told to.
#![cfg(feature = "events")]

mod common;
mod events_common;

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use common::{MS, SECOND};
use events_common::*;
use proptest::prelude::*;
use underpin::SupervisorHandle;
use underpin::events::*;
use underpin::testing::Simulation;

const CORRELATIONS: [&str; 6] = ["c0", "c1", "c2", "c3", "c4", "c5"];
const STREAMS: [&str; 4] = ["s0", "s1", "s2", "s3"];
const MAX_STREAMS: usize = 3;
/// How many events the writer sends at once.
const SIZE: usize = 4;

// ---- what is done ------------------------------------------------------------------------

/// An event, by numbers.
#[derive(Clone, Copy, Debug)]
struct Plain {
    stream: Option<usize>,
    data: usize,
    /// When it happened, in seconds since 1970.
    wall: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Store(usize, Plain),
    Sync(usize, Plain),
    /// Brings a number, so far from the next.
    Bring(usize, Plain, i64),
    Batch(usize, Vec<Plain>),
    Append(usize, usize, Expected, Vec<Plain>),
    Write(usize, Plain),
    Flush,
    /// What has a smaller number than one so far from the next.
    PruneId(u64),
    PruneTime(u64),
    /// Tens of milliseconds.
    Advance(u64),
    Query,
    /// The service of the shard that has a correlation crashes with an event in hand.
    Crash(usize),
}

fn plain() -> impl Strategy<Value = Plain> {
    let stream = prop::option::weighted(0.3, 0..STREAMS.len());
    (stream, 0..60_usize, 0..50_u64).prop_map(|(stream, data, wall)| Plain { stream, data, wall })
}

fn expected() -> impl Strategy<Value = Expected> {
    prop_oneof![
        Just(Expected::Any),
        Just(Expected::NoStream),
        Just(Expected::Exists),
        (0..6_u64).prop_map(Expected::Exact)
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let of = || 0..CORRELATIONS.len();
    let some = || prop::collection::vec(plain(), 1..6);
    prop_oneof![
        4 => (of(), plain()).prop_map(|(of, plain)| Step::Store(of, plain)),
        2 => (of(), plain()).prop_map(|(of, plain)| Step::Sync(of, plain)),
        1 => (of(), plain(), -3..4_i64).prop_map(|(of, plain, by)| Step::Bring(of, plain, by)),
        2 => (of(), some()).prop_map(|(of, some)| Step::Batch(of, some)),
        3 => (of(), 0..STREAMS.len(), expected(), some())
            .prop_map(|(of, stream, expected, some)| Step::Append(of, stream, expected, some)),
        8 => (of(), plain()).prop_map(|(of, plain)| Step::Write(of, plain)),
        1 => Just(Step::Flush),
        1 => (0..20_u64).prop_map(Step::PruneId),
        1 => (0..50_u64).prop_map(Step::PruneTime),
        3 => (1..9_u64).prop_map(Step::Advance),
        2 => Just(Step::Query),
        1 => of().prop_map(Step::Crash),
    ]
}

#[derive(Clone, Debug)]
struct Limits {
    shards: usize,
    events: u64,
    bytes: u64,
    /// In tens of milliseconds, and a half: old events never go at the moment of a tick.
    age: Option<u64>,
}

fn limits() -> impl Strategy<Value = Limits> {
    let bytes = prop_oneof![Just(1 << 20), 500..4_000_u64];
    (1..4_usize, 1..30_u64, bytes, prop::option::of(2..10_u64))
        .prop_map(|(shards, events, bytes, age)| Limits { shards, events, bytes, age })
}

impl Limits {
    fn age(&self) -> Option<Duration> {
        self.age.map(|age| age as u32 * 10 * MS + 5 * MS)
    }
}

// ---- the naive one -----------------------------------------------------------------------

#[derive(Clone, Debug)]
struct Known {
    name: u64,
    plain: Plain,
    correlation: usize,
    order: u64,
    version: u64,
    /// Since the beginning.
    stored: Duration,
}

#[derive(Default)]
struct NaiveShard {
    there: Vec<Known>,
    last_order: u64,
    stored: u64,
    pruned: u64,
    dropped: u64,
    lost: u64,
    refused: u64,
    /// What lies in the writer.
    written: Vec<Known>,
}

struct Naive {
    limits: Limits,
    shards: Vec<NaiveShard>,
    versions: HashMap<usize, u64>,
    now: Duration,
    next_name: u64,
    next_id: u64,
}

/// What an event takes beside its data: the correlations are of one length.
fn base() -> u64 {
    static BASE: OnceLock<u64> = OnceLock::new();
    *BASE.get_or_init(|| {
        let (store, _app) = running();
        store.store_sync(Event::of("a", "c0").with_data("")).expect("it is stored");
        store.stats().bytes
    })
}

fn shard_in_charge(correlation: usize, shards: usize) -> usize {
    static KNOWN: OnceLock<Vec<Vec<usize>>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let of = |shards| CORRELATIONS.iter().map(|name| shard_of(name, shards)).collect();
        (1..4).map(of).collect()
    });
    known[shards - 1][correlation]
}

impl Naive {
    fn new(limits: &Limits) -> Self {
        let shards = (0..limits.shards).map(|_| NaiveShard::default()).collect();
        let (now, limits) = (Duration::ZERO, limits.clone());
        Self { limits, shards, versions: HashMap::new(), now, next_name: 0, next_id: 1 }
    }

    fn shard(&mut self, correlation: usize) -> &mut NaiveShard {
        let at = shard_in_charge(correlation, self.limits.shards);
        &mut self.shards[at]
    }

    fn named(&mut self, correlation: usize, plain: Plain) -> Known {
        self.next_name += 1;
        let (name, stored) = (self.next_name, self.now);
        Known { name, plain, correlation, order: 0, version: 0, stored }
    }

    fn has_room(&self, plain: &Plain) -> bool {
        let Some(stream) = plain.stream else { return true };
        self.versions.contains_key(&stream) || self.versions.len() < MAX_STREAMS
    }

    /// Puts one in that may come in.
    fn put(&mut self, mut known: Known) {
        if let Some(stream) = known.plain.stream {
            let version = self.versions.entry(stream).or_insert(0);
            *version += 1;
            known.version = *version;
        }
        (known.stored, self.next_id) = (self.now, self.next_id + 1);
        let shards = self.limits.shards as u64;
        let (events, bytes) = (self.limits.events.div_ceil(shards), self.limits.bytes.div_ceil(shards));
        let shard = self.shard(known.correlation);
        shard.last_order = shard.last_order.max(known.plain.wall);
        known.order = shard.last_order;
        shard.stored += 1;
        shard.there.push(known);
        while shard.there.len() as u64 > events || (shard.bytes() > bytes && shard.there.len() > 1) {
            shard.there.remove(0);
            shard.dropped += 1;
        }
    }

    /// One by one, each if there is room for its stream.
    fn put_each(&mut self, all: Vec<Known>) {
        for known in all {
            if self.has_room(&known.plain) {
                self.put(known);
            } else {
                self.shard(known.correlation).refused += 1;
            }
        }
    }

    fn write(&mut self, known: Known) {
        let correlation = known.correlation;
        let written = &mut self.shard(correlation).written;
        written.push(known);
        if written.len() == SIZE {
            let written = std::mem::take(written);
            self.put_each(written);
        }
    }

    fn flush(&mut self) {
        for shard in 0..self.shards.len() {
            let written = std::mem::take(&mut self.shards[shard].written);
            self.put_each(written);
        }
    }

    fn prune(&mut self, is_old: impl Fn(&Known) -> bool) -> u64 {
        let mut pruned = 0;
        for shard in &mut self.shards {
            let old = shard.there.iter().take_while(|known| is_old(known)).count();
            shard.there.drain(..old);
            shard.pruned += old as u64;
            pruned += old as u64;
        }
        pruned
    }

    /// Ten milliseconds: half-way old ones go, at the end comes the tick.
    fn advance(&mut self) {
        if let Some(age) = self.limits.age() {
            let half_way = self.now + 5 * MS;
            self.prune(|known| known.stored + age <= half_way);
        }
        self.now += 10 * MS;
        self.flush();
    }

    fn fits(&self, all: &[Plain]) -> bool {
        let mut streams: Vec<_> = all.iter().filter_map(|plain| plain.stream).collect();
        streams.extend(self.versions.keys());
        streams.sort();
        streams.dedup();
        streams.len() <= MAX_STREAMS
    }
}

impl NaiveShard {
    fn bytes(&self) -> u64 {
        self.there.iter().map(|known| base() + known.plain.data as u64).sum()
    }
}

// ---- both --------------------------------------------------------------------------------

struct Both {
    sim: Simulation,
    store: EventStore,
    writer: Writer,
    naive: Naive,
    desk: Desk,
    /// Of each event its number, as it was told.
    numbers: HashMap<u64, u64>,
    _app: SupervisorHandle,
}

impl Both {
    fn new(limits: &Limits) -> Self {
        let _ = (base(), shard_in_charge(0, 1)); // on the real clock
        let sim = Simulation::new(7);
        let builder = EventStore::builder().shards(limits.shards).max_events(limits.events);
        let builder = builder.max_bytes(limits.bytes).max_age(limits.age()).max_streams(MAX_STREAMS);
        let store = builder.in_memory();
        let app = sim.start(store.supervisor()).expect("it starts");
        let writer = store.writer().batch(SIZE).expect("nothing lies in it");
        let (naive, desk, numbers) = (Naive::new(limits), Desk::new(), HashMap::new());
        Self { sim, store, writer, naive, desk, numbers, _app: app }
    }

    fn event(known: &Known) -> Event {
        let text = format!("{:width$}", known.name, width = known.plain.data);
        let event = Event::of("a", CORRELATIONS[known.correlation]).with_data(text);
        let event = event.happened_at(SystemTime::UNIX_EPOCH + Duration::from_secs(known.plain.wall));
        known.plain.stream.map_or(event.clone(), |stream| event.with_stream(STREAMS[stream]))
    }

    fn named(&mut self, correlation: usize, plain: Plain) -> Known {
        let mut known = self.naive.named(correlation, plain);
        known.plain.data = plain.data.max(known.name.to_string().len());
        known
    }

    fn named_all(&mut self, correlation: usize, all: &[Plain]) -> Vec<Known> {
        all.iter().map(|plain| self.named(correlation, *plain)).collect()
    }

    fn numbered(&mut self, all: &[Known], first: EventId) {
        self.numbers.extend(all.iter().zip(first.get()..).map(|(known, number)| (known.name, number)));
    }

    fn do_it(&mut self, step: &Step) {
        match step {
            Step::Store(of, plain) => self.store_one(*of, *plain),
            Step::Sync(of, plain) => self.store_sync(*of, *plain),
            Step::Bring(of, plain, by) => self.bring(*of, *plain, *by),
            Step::Batch(of, all) => self.batch(*of, all),
            Step::Append(of, stream, expected, all) => self.append(*of, *stream, *expected, all),
            Step::Write(of, plain) => self.write(*of, *plain),
            Step::Flush => {
                self.writer.flush().expect("it is sent");
                self.naive.flush();
            }
            Step::PruneId(by) => self.prune_before_id(*by),
            Step::PruneTime(wall) => self.prune_before(*wall),
            Step::Advance(tens) => self.advance(*tens),
            Step::Query => self.query(),
            Step::Crash(of) => self.crash(*of),
        }
        self.sim.run_until_idle();
        self.hear();
    }

    fn store_one(&mut self, of: usize, plain: Plain) {
        let known = self.named(of, plain);
        let receipt = self.desk.receipt(known.name);
        self.store.store_with(Self::event(&known), receipt).expect("there is room");
        self.naive.put_each(vec![known]);
    }

    fn store_sync(&mut self, of: usize, plain: Plain) {
        let known = self.named(of, plain);
        let fits = self.naive.has_room(&known.plain);
        match self.store.store_sync(Self::event(&known)) {
            Ok(number) if fits => {
                self.numbered(std::slice::from_ref(&known), number);
                self.naive.put(known);
            }
            Err(refused) if !fits => {
                assert!(matches!(refused.why, Refusal::TooManyStreams { most: MAX_STREAMS, .. }));
                self.naive.shard(of).refused += 1;
            }
            other => panic!("{other:?}, where it fits: {fits}"),
        }
    }

    fn bring(&mut self, of: usize, plain: Plain, by: i64) {
        let known = self.named(of, Plain { stream: None, ..plain });
        let Some(number) = EventId::new(self.naive.next_id.saturating_add_signed(by)) else { return };
        let event = Self::event(&known).with_id(number);
        match self.store.store_sync(event) {
            Ok(told) => {
                assert!(by >= 0 && told == number);
                self.numbered(std::slice::from_ref(&known), number);
                self.naive.next_id = number.get();
                self.naive.put(known);
            }
            Err(refused) => {
                let next = id(self.naive.next_id);
                assert_eq!((by < 0, refused.why), (true, Refusal::DuplicateId { id: number, next }));
            }
        }
    }

    fn batch(&mut self, of: usize, all: &[Plain]) {
        let named = self.named_all(of, all);
        let fits = self.naive.fits(all);
        match self.store.store_batch(named.iter().map(Self::event)) {
            Ok(stored) => {
                assert_eq!(
                    (fits, stored.events, stored.first),
                    (true, all.len() as u64, id(self.naive.next_id))
                );
                self.numbered(&named, stored.first);
                self.naive.put_each(named);
            }
            Err(refused) => {
                assert_eq!((fits, matches!(refused.why, Refusal::TooManyStreams { .. })), (false, true));
                self.naive.shard(of).refused += all.len() as u64;
            }
        }
    }

    fn append(&mut self, of: usize, stream: usize, expected: Expected, all: &[Plain]) {
        let all: Vec<_> = all.iter().map(|plain| Plain { stream: Some(stream), ..*plain }).collect();
        let named = self.named_all(of, &all);
        let before = self.naive.versions.get(&stream).copied().unwrap_or(0);
        let is_met = match expected {
            Expected::Any => true,
            Expected::NoStream => before == 0,
            Expected::Exists => before > 0,
            Expected::Exact(version) => before == version,
        };
        match self.store.append(STREAMS[stream], expected, named.iter().map(Self::event)) {
            Ok(stored) => {
                assert_eq!((is_met, stored.version), (true, before + all.len() as u64));
                self.numbered(&named, stored.first);
                self.naive.put_each(named);
            }
            Err(refused) => {
                match refused.why {
                    Refusal::WrongVersion { actual, .. } => assert_eq!((is_met, actual), (false, before)),
                    Refusal::TooManyStreams { .. } => assert!(!self.naive.fits(&all)),
                    other => panic!("{other}"),
                }
                self.naive.shard(of).refused += all.len() as u64;
            }
        }
    }

    fn write(&mut self, of: usize, plain: Plain) {
        // Which of several shards is sent to first is chance.
        let stream = plain.stream.filter(|_| self.naive.limits.shards == 1);
        let known = self.named(of, Plain { stream, ..plain });
        let receipt = self.desk.receipt(known.name);
        self.writer.store_with(Self::event(&known), receipt).expect("there is room");
        self.naive.write(known);
    }

    fn prune_before_id(&mut self, by: u64) {
        self.naive.flush();
        self.store.fresh().expect("it keeps up");
        self.hear();
        let until = id(self.naive.next_id.saturating_sub(by).max(1));
        let pruned = self.store.prune_before_id(until).expect("it answers");
        let numbers = &self.numbers;
        assert_eq!(pruned, self.naive.prune(|known| numbers[&known.name] < until.get()));
    }

    fn prune_before(&mut self, wall: u64) {
        self.naive.flush();
        let until = SystemTime::UNIX_EPOCH + Duration::from_secs(wall);
        let pruned = self.store.prune_before(until).expect("it answers");
        assert_eq!(pruned, self.naive.prune(|known| known.order < wall));
    }

    fn advance(&mut self, tens: u64) {
        self.sim.advance(tens as u32 * 10 * MS);
        (0..tens).for_each(|_| self.naive.advance());
    }

    fn query(&mut self) {
        self.naive.flush();
        let found = all(&self.store);
        self.hear();
        self.is_all(&found);
        let of = CORRELATIONS[0];
        let expected: Vec<_> =
            found.iter().filter(|entry| entry.correlation() == &of.into()).cloned().collect();
        assert_eq!(ids(&self.store.by_correlation(of).expect("it keeps up")), ids(&expected));
        let newest: Vec<_> = found.iter().rev().take(5).cloned().collect();
        assert_eq!(ids(&self.store.recent(5).expect("it keeps up")), ids(&newest));
    }

    fn crash(&mut self, of: usize) {
        self.writer.flush().expect("it is sent");
        self.naive.flush();
        self.sim.run_until_idle();
        let shard = shard_in_charge(of, self.naive.limits.shards);
        self.sim.crash_next(format!("shard-{shard}"));
        let (receipt, told) = receipt();
        self.store.store_with(Event::of("lost", CORRELATIONS[of]), receipt).expect("it is sent");
        self.sim.run_until_idle();
        assert!(matches!(told.try_recv().expect("it is told"), Err(Refusal::Unknown { .. })));
        self.naive.shards[shard].lost += 1;
        self.advance(100);
    }

    /// Who was told what by now.
    fn hear(&mut self) {
        for (name, told) in self.desk.told() {
            match told {
                Ok(number) => assert_eq!(self.numbers.insert(name, number.get()), None, "once"),
                Err(why) => assert!(matches!(why, Refusal::TooManyStreams { .. }), "{why}"),
            }
        }
    }

    // ---- the same --------------------------------------------------------------------------

    fn compare(&self) {
        let (stats, shards) = (self.store.stats(), &self.naive.shards);
        let sum = |count: fn(&NaiveShard) -> u64| shards.iter().map(count).sum::<u64>();
        let current = sum(|shard| shard.there.len() as u64);
        let accounts = (stats.stored, stats.current, stats.pruned, stats.dropped);
        assert_eq!(accounts, (sum(|s| s.stored), current, sum(|s| s.pruned), sum(|s| s.dropped)));
        assert_eq!(stats.stored, stats.current + stats.pruned + stats.dropped);
        assert_eq!((stats.shed, stats.lost, stats.refused), (0, sum(|s| s.lost), sum(|s| s.refused)));
        assert_eq!((stats.bytes, stats.streams), (sum(NaiveShard::bytes), self.naive.versions.len()));
        for (at, stream) in STREAMS.iter().enumerate() {
            let version = self.naive.versions.get(&at).copied().unwrap_or(0);
            assert_eq!(self.store.stream_version(stream), version);
        }
        let snapshot = self.store.published();
        let found = snapshot.query(&Query::new().limit(1_000)).expect("it makes sense").entries;
        assert_eq!(found.len() as u64, current);
        self.is_all(&found);
    }

    /// What is found is what is there, in the order of all.
    fn is_all(&self, found: &[Entry]) {
        let mut there: Vec<_> = self.naive.shards.iter().flat_map(|shard| &shard.there).collect();
        let number = |known: &Known| self.numbers[&known.name];
        there.sort_by_key(|known| (known.order, number(known)));
        let plain = |entry: &Entry| {
            let text = entry.data().as_text().expect("a text").trim().parse::<u64>();
            (text.expect("a number"), entry.id().get(), entry.version())
        };
        let expected: Vec<_> = there.iter().map(|known| (known.name, number(known), known.version)).collect();
        assert_eq!(found.iter().map(plain).collect::<Vec<_>>(), expected);
        for shard in &self.naive.shards {
            assert!(shard.there.is_sorted_by_key(&number), "numbers rise along a shard");
        }
    }

    /// No number was given twice.
    fn are_numbers_unique(&self) {
        let mut numbers: Vec<_> = self.numbers.values().collect();
        numbers.sort();
        assert!(
            numbers.is_sorted_by(|a, b| a < b)
                && numbers.last().is_none_or(|last| **last < self.naive.next_id)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_store_has_what_a_naive_one_has(limits in limits(), steps in prop::collection::vec(step(), 1..60)) {
        let mut both = Both::new(&limits);
        for step in &steps {
            both.do_it(step);
            both.compare();
        }
        both.are_numbers_unique();
        both.sim.advance(SECOND);
    }
}
