//! Stores to try queries on: views as shards have them, and what is in them as a plain list.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::batch::Stub;
use super::correlation::Correlation;
use super::entry::{Chunk, Entry};
use super::event::Event;
use super::id::EventId;
use super::segment::Segment;
use super::source::Source;
use super::view::View;

/// A shard that seals after so many events.
pub(crate) struct Shard {
    pub(crate) view: View,
    seal_at: u64,
    order: u64,
}

impl Shard {
    pub(crate) fn new(seal_at: u64) -> Self {
        Self { view: View::default(), seal_at, order: 0 }
    }

    pub(crate) fn store(&mut self, first_id: u64, events: Vec<Event>, source: &Arc<Source>) {
        let stubs = events.iter().map(|event| Stub::of(event).expect("it is allowed")).collect();
        self.store_with(first_id, events, stubs, source);
    }

    /// With stubs that may be wrong.
    pub(crate) fn store_with(
        &mut self,
        first_id: u64,
        events: Vec<Event>,
        mut stubs: Vec<Stub>,
        source: &Arc<Source>,
    ) {
        for stub in &mut stubs {
            self.order = self.order.max(stub.wall);
            stub.order = self.order;
        }
        let first = self.view.end;
        self.view.end += stubs.len() as u64;
        let source = Arc::clone(source);
        let bytes = stubs.iter().map(|stub| u64::from(stub.bytes)).sum();
        let chunk = Chunk { first_id, first, stored: 0, is_recovered: false, bytes, events, stubs, source };
        self.view.open.push(Arc::new(chunk));
        let open = self.view.open.iter().next().expect("it is there").first;
        if self.view.end - open >= self.seal_at {
            let segment = Segment::of(self.view.open.take());
            self.view.index.add(&segment);
            Arc::make_mut(&mut self.view.sealed).push(Arc::new(segment));
        }
    }

    pub(crate) fn drop_before(&mut self, first: u64) {
        self.view.first = first.min(self.view.end);
        let first = self.view.first;
        Arc::make_mut(&mut self.view.sealed).retain(|segment| segment.end() > first);
        self.view.index.forget_before(first);
    }
}

pub(crate) fn source(service: Option<&str>) -> Arc<Source> {
    Arc::new(Source::new(service, "main", "here"))
}

pub(crate) fn id(number: u64) -> EventId {
    EventId::new(number).expect("it is not 0")
}

pub(crate) fn ids<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<u64> {
    entries.into_iter().map(|entry| entry.id().get()).collect()
}

pub(crate) fn at(nanoseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}

pub(crate) const KINDS: [&str; 4] = ["login", "logout", "log", "order.placed"];
pub(crate) const SERVICES: [&str; 3] = ["web", "mail", "we"];
pub(crate) const THREADS: [&str; 2] = ["main", "worker"];
pub(crate) const STREAMS: [&str; 2] = ["cart", "car"];

/// An event, by numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain {
    pub(crate) kind: usize,
    pub(crate) correlation: u128,
    pub(crate) stream: Option<usize>,
    pub(crate) parent: Option<u64>,
    pub(crate) service: Option<usize>,
    pub(crate) thread: usize,
    pub(crate) wall: u64,
    pub(crate) text: char,
}

fn plain() -> impl Strategy<Value = Plain> {
    let names = (0..KINDS.len(), 0..4_u128, prop::option::of(0..STREAMS.len()));
    let source = (prop::option::of(0..SERVICES.len()), 0..THREADS.len());
    (names, prop::option::of(1..60_u64), source, 0..40_u64, prop::char::range('a', 'c')).prop_map(
        |((kind, correlation, stream), parent, (service, thread), wall, text)| Plain {
            kind,
            correlation,
            stream,
            parent,
            service,
            thread,
            wall,
            text,
        },
    )
}

impl Plain {
    /// With a source of its own, if its number is even.
    fn event(self, number: u64) -> Event {
        let mut event = Event::of(KINDS[self.kind], Correlation::from_u128(self.correlation))
            .happened_at(at(self.wall))
            .with_data(self.text.to_string());
        if let Some(stream) = self.stream {
            event = event.with_stream(STREAMS[stream]);
        }
        if let Some(parent) = self.parent {
            event = event.with_parent(id(parent));
        }
        if number.is_multiple_of(2) { event.with_source(self.source()) } else { event }
    }

    fn source(self) -> Arc<Source> {
        Arc::new(Source::new(self.service.map(|at| SERVICES[at]), THREADS[self.thread], "here"))
    }
}

/// What is in a store, in its order, and the views of its shards.
#[derive(Debug)]
pub(crate) struct Store {
    /// The order, the number and the event.
    pub(crate) all: Vec<(u64, u64, Plain)>,
    pub(crate) views: Vec<Arc<View>>,
}

/// Stores of one to three shards that seal early, with open ends and dropped beginnings. Batches have up to
/// three events; the events of one number after the other.
pub(crate) fn store() -> impl Strategy<Value = Store> {
    let batches = prop::collection::vec((prop::collection::vec(plain(), 1..4), 1..3_u64), 0..40);
    (1..4_usize, 1..12_u64, batches, 0..4_u64).prop_map(|(shards, seal_at, batches, dropped)| {
        let mut shards: Vec<_> = (0..shards).map(|_| Shard::new(seal_at)).collect();
        let mut all = vec![Vec::new(); shards.len()];
        let mut next = 1;
        for (batch, gap) in batches {
            let at = (batch[0].correlation % shards.len() as u128) as usize;
            put(&mut shards[at], &mut all[at], next, &batch);
            next += batch.len() as u64 + gap - 1;
        }
        for (shard, all) in shards.iter_mut().zip(&mut all) {
            let gone = shard.view.end * dropped / 8;
            shard.drop_before(gone);
            all.drain(..gone as usize);
        }
        let mut all = all.concat();
        all.sort_by_key(|(order, id, _)| (*order, *id));
        Store { all, views: shards.into_iter().map(|shard| Arc::new(shard.view)).collect() }
    })
}

/// All of a batch have the correlation and the source of the first.
fn put(shard: &mut Shard, all: &mut Vec<(u64, u64, Plain)>, first_id: u64, batch: &[Plain]) {
    let mut events = Vec::new();
    for (number, plain) in (first_id..).zip(batch) {
        let mut plain = Plain { correlation: batch[0].correlation, ..*plain };
        if number % 2 == 1 {
            plain = Plain { service: batch[0].service, thread: batch[0].thread, ..plain };
        }
        let order = all.last().map_or(plain.wall, |(order, _, _)| plain.wall.max(*order));
        all.push((order, number, plain));
        events.push(plain.event(number));
    }
    shard.store(first_id, events, &batch[0].source());
}
