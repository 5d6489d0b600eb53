//! What a journal had, put back into memory.

use std::collections::VecDeque;
use std::sync::Arc;

use super::batch::{Batch, Stub};
use super::bounds::Bounds;
use super::checkpoint::shard_of;
use super::codec::{Decoded, Decoder};
use super::errors::CodecError;
use super::event::Event;
use super::id::EventId;
use super::moment::since_1970;
use super::shard::Common;
use super::source::Source;
use super::store::Door;
use crate::sync::wall_now;

/// Puts the events of a journal onto the shelves they belong to, as far as there is room: in the order of their
/// numbers, which need not be that of the journal, if the store had another number of shards then.
pub(crate) struct Recoverer<'a> {
    common: &'a Common,
    doors: &'a [Door],
    decoder: Decoder,
    piles: Vec<Pile>,
    first_id: Option<u64>,
    last_id: u64,
    wall: u64,
    /// What is no event, though it is as it was written: how many, and what is wrong with the first.
    unreadable: u64,
    first_error: Option<CodecError>,
}

/// How many events are put in at once at most.
const RUN: usize = 256;
/// How far the numbers of a run go beyond those of the last that are known: an earlier process may have given
/// more, to events that did not come into the journal, and somebody may have seen them.
const STEP: u64 = 1 << 30;

/// What one shelf gets.
#[derive(Default)]
struct Pile {
    events: VecDeque<(u64, Event, Stub)>,
    bytes: u64,
    is_mixed: bool,
    /// For how many there was no room, and the largest of their numbers.
    passed: u64,
    gone: u64,
}

impl Pile {
    fn put(&mut self, id: u64, event: Event, stub: Stub, bounds: Bounds) {
        self.is_mixed |= self.events.back().is_some_and(|(before, ..)| *before > id);
        self.bytes += u64::from(stub.bytes);
        self.events.push_back((id, event, stub));
        while self.events.len() as u64 > bounds.events || (self.bytes > bounds.bytes && self.events.len() > 1)
        {
            let Some((id, _, stub)) = self.events.pop_front() else { break };
            self.bytes -= u64::from(stub.bytes);
            self.passed += 1;
            self.gone = self.gone.max(id);
        }
    }

    fn sort(&mut self) {
        if self.is_mixed {
            self.events.make_contiguous().sort_unstable_by_key(|(id, ..)| *id);
        }
    }

    /// The next few whose numbers follow one another, with the first.
    fn next_run(&mut self, source: &Arc<Source>) -> Option<(u64, Batch)> {
        let first = self.events.front()?.0;
        let mut batch = Batch::with_capacity(0, Arc::clone(source));
        let follows = |batch: &Batch, id: u64| batch.len() < RUN && first + batch.len() as u64 == id;
        while self.events.front().is_some_and(|(id, ..)| follows(&batch, *id)) {
            let Some((_, event, stub)) = self.events.pop_front() else { break };
            batch.push(event, stub);
        }
        Some((first, batch))
    }
}

impl<'a> Recoverer<'a> {
    pub(crate) fn new(common: &'a Common, doors: &'a [Door]) -> Self {
        let piles = doors.iter().map(|_| Pile::default()).collect();
        let (decoder, wall) = (Decoder::default(), since_1970(wall_now()));
        let (first_id, last_id, unreadable, first_error) = (None, 0, 0, None);
        Self { common, doors, decoder, piles, first_id, last_id, wall, unreadable, first_error }
    }

    /// Takes a record.
    pub(crate) fn take(&mut self, payload: &[u8]) {
        match self.decoder.decode(payload) {
            Ok(decoded) => self.put(decoded),
            Err(error) => {
                self.unreadable += 1;
                self.first_error.get_or_insert(error);
            }
        }
    }

    fn put(&mut self, decoded: Decoded) {
        let Decoded { id, version, event } = decoded;
        let Ok(mut stub) = Stub::of(&event) else { return }; // the decoder knows the limits
        stub.version = version;
        if let Some(stream) = event.shared_stream() {
            self.common.streams.lock().recover(stream, version);
        }
        let id = id.get();
        self.first_id = Some(self.first_id.map_or(id, |first| first.min(id)));
        self.last_id = self.last_id.max(id);
        let shard = shard_of(stub.correlation, self.doors.len());
        self.piles[shard].put(id, event, stub, self.doors[shard].shard.bounds());
    }

    /// What is wrong with the first record that is no event.
    pub(crate) fn first_error(&self) -> Option<String> {
        self.first_error.as_ref().map(ToString::to_string)
    }

    /// All is read, and goes onto the shelves.
    pub(crate) fn finish(mut self) -> Recovered {
        let source = Arc::new(Source::new(None, "journal", "local"));
        for (pile, door) in self.piles.iter_mut().zip(self.doors) {
            pile.sort();
            door.shard.pass_over(pile.passed, pile.gone);
            while let Some((first, batch)) = pile.next_run(&source) {
                // It is as old as what happened: it was stored by another process.
                let age = self.wall.saturating_sub(batch.stubs[0].wall);
                door.shard.recover(batch, first, -i64::try_from(age).unwrap_or(i64::MAX));
            }
            door.shard.publish();
        }
        let step = if self.last_id > 0 { STEP } else { 0 };
        let next = EventId::new(self.last_id.saturating_add(1 + step)).expect("it is more than 0");
        Recovered { next, unreadable: self.unreadable, first: self.first_id, last: self.last_id }
    }
}

/// What was recovered.
pub(crate) struct Recovered {
    /// The number that is next.
    pub(crate) next: EventId,
    /// How many records were no events.
    pub(crate) unreadable: u64,
    first: Option<u64>,
    last: u64,
}

impl Recovered {
    /// The largest number of what is missing; where that is in the midst of others, all of them count. In front of
    /// the first segment that there ever was nothing is missing.
    pub(crate) fn lost(&self, has_holes: bool, first_segment: u64) -> u64 {
        match has_holes {
            true => self.last,
            false if first_segment <= 1 => 0,
            false => self.first.map_or(0, |first| first - 1),
        }
    }
}
