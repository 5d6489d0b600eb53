//! One who follows what is stored.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::checkpoint::Checkpoint;
use super::entry::Entry;
use super::errors::FollowError;
use super::store::EventStore;
use super::view::View;
use crate::service::deadline::Deadline;
use crate::sync::{self, Clock, mutant};

/// From where a subscription begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartFrom {
    /// With the oldest event that is there.
    Oldest,
    /// With what is stored from now on.
    Now,
    /// After what a subscription had come to.
    Checkpoint(Checkpoint),
}

/// How many events are looked up at once.
const RUN: usize = 64;

/// Follows what is stored: first what is there, then what comes.
///
/// It keeps nothing but its place and a few events to come: the store is its buffer. So a slow one holds up
/// nobody and takes no memory; what was taken out of the store before it was received is told as a number, by
/// [`FollowError::Missed`]. There is no gap and no duplicate between what was there and what comes, for both are
/// looked up from one place.
///
/// Events of one correlation come in their order. Of several shards, those that are there come by time and
/// number.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::Supervisor;
/// use underpin::events::{Event, EventStore, StartFrom};
///
/// let store = EventStore::in_memory();
/// let app = Supervisor::new("app").supervisor(store.supervisor()).start()?;
/// store.store(Event::new("before"))?;
/// let mut following = store.subscribe(StartFrom::Oldest);
/// store.store(Event::new("after"))?;
/// assert_eq!(following.recv_timeout(Duration::from_secs(5))?.kind(), "before");
/// assert_eq!(following.recv_timeout(Duration::from_secs(5))?.kind(), "after");
/// let checkpoint = following.checkpoint(); // to go on from here, another time
/// # drop(checkpoint);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Subscription {
    store: EventStore,
    lanes: Vec<Lane>,
    /// Of each shard, up to which number all was received.
    passed: Vec<u64>,
    /// What it began with: what this covers was received before.
    before: Option<Checkpoint>,
    missed: u64,
}

/// Of one shard.
struct Lane {
    /// The position up to which events were looked up.
    place: u64,
    ready: VecDeque<Entry>,
}

impl EventStore {
    /// Follows what is stored. What lies in writers' buffers comes when it is sent.
    ///
    /// Never blocks.
    pub fn subscribe(&self, from: StartFrom) -> Subscription {
        let views: Vec<_> = self.0.shards.iter().map(|door| door.shard.view()).collect();
        let (lost, shards) = (self.0.common.lost(), views.len());
        let start = |(shard, view): (usize, &Arc<View>)| match &from {
            StartFrom::Oldest => (view.first, passed_before(view, view.first, lost)),
            StartFrom::Now => (view.end, passed_before(view, view.end, lost)),
            StartFrom::Checkpoint(before) => {
                let passed = before.of_shard(shard, shards);
                (view.position_after(passed), passed)
            }
        };
        let (places, passed): (Vec<_>, Vec<_>) = views.iter().enumerate().map(start).unzip();
        let lanes = places.into_iter().map(|place| Lane { place, ready: VecDeque::new() }).collect();
        let before = if let StartFrom::Checkpoint(before) = from { Some(before) } else { None };
        let missed = before.as_ref().map_or(0, |_| gap_after(&passed, &views, lost));
        Subscription { store: self.clone(), lanes, passed, before, missed }
    }
}

/// The number up to which nothing of a shard comes for one who begins at a place in it: of what the journal had no
/// more when it was opened nothing comes, either.
fn passed_before(view: &View, place: u64, lost: u64) -> u64 {
    let next = view.entry_at(place).map_or(u64::MAX, |entry| entry.id().get());
    view.last_id_before(place).max(lost.min(next - 1))
}

/// How many events were missed at most by one who has come so far in each shard: so many numbers are not there, from
/// there up to the largest that went.
fn gap_after(passed: &[u64], views: &[Arc<View>], lost: u64) -> u64 {
    let gaps = views.iter().zip(passed).filter(|(view, passed)| view.gone.max(lost) > **passed);
    let gaps: Vec<_> = gaps.map(|(view, passed)| (*passed, view.gone.max(lost))).collect();
    let (Some(from), Some(to)) = (gaps.iter().map(|gap| gap.0).min(), gaps.iter().map(|gap| gap.1).max())
    else {
        return 0;
    };
    let there = views.iter().map(|view| view.position_after(to) - view.position_after(from));
    (to - from).saturating_sub(there.sum())
}

impl Subscription {
    /// The next event, if it is there. Never blocks.
    ///
    /// # Errors
    ///
    /// As [`recv_by`](Self::recv_by); a time-out of 0 s, if there is none.
    pub fn try_recv(&mut self) -> Result<Entry, FollowError> {
        self.next()?.ok_or(FollowError::TimedOut { waited: Duration::ZERO })
    }

    /// The next event, waited for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`recv_by`](Self::recv_by).
    ///
    /// # Blocking
    ///
    /// Until an event is stored, at most `timeout`.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Entry, FollowError> {
        self.recv_by(Deadline::from(self.clock().now(), timeout))
    }

    /// As [`recv_timeout`](Self::recv_timeout), until `deadline`, by the clock of the tree that the store
    /// was started in.
    ///
    /// # Errors
    ///
    /// When nothing is stored in time; when events were taken out of the store before they were received, which
    /// is told once, after which it goes on; and when the store has stopped and all was received.
    ///
    /// # Blocking
    ///
    /// Until an event is stored, or `deadline`; [`Deadline::unbounded`] for ever.
    pub fn recv_by(&mut self, deadline: Deadline) -> Result<Entry, FollowError> {
        if let Some(entry) = self.next()? {
            return Ok(entry);
        }
        let began = self.clock().now();
        let received = self.wait_by(deadline);
        let me = sync::current_thread();
        self.store.0.shards.iter().for_each(|door| door.shard.withdraw(&me));
        let waited = || self.clock().now().saturating_duration_since(began);
        received?.ok_or_else(|| FollowError::TimedOut { waited: waited() })
    }

    /// Leaves its thread with each shard first, and looks second: what is published in between wakes it.
    fn wait_by(&mut self, deadline: Deadline) -> Result<Option<Entry>, FollowError> {
        loop {
            if !mutant!(AnnounceAfterLook) {
                self.announce();
            }
            let is_over = self.store.0.shards.iter().all(|door| door.shard.is_over());
            let next = self.next()?;
            if mutant!(AnnounceAfterLook) {
                self.announce();
            }
            match next {
                Some(entry) => return Ok(Some(entry)),
                None if is_over => return Err(FollowError::Closed),
                None if deadline.has_passed(self.clock().now()) => return Ok(None),
                None => self.clock().park(deadline.instant()),
            }
        }
    }

    /// That of the tree; the system's until the store is started in one.
    fn clock(&self) -> &Clock {
        self.store.0.shards[0].handle.core().clock()
    }

    fn announce(&self) {
        self.store.0.shards.iter().for_each(|door| door.shard.announce(sync::current_thread()));
    }

    /// The next event of the lane whose next is the earliest.
    fn next(&mut self) -> Result<Option<Entry>, FollowError> {
        self.look_up();
        if self.missed > 0 {
            return Err(FollowError::Missed { events: std::mem::take(&mut self.missed) });
        }
        let next = |lane: &Lane| lane.ready.front().map(|entry| (entry.stub().order, entry.id()));
        let lanes = self.lanes.iter().enumerate();
        let earliest = lanes.filter_map(|(shard, lane)| Some((next(lane)?, shard))).min();
        let Some((_, shard)) = earliest else { return Ok(None) };
        let entry = self.lanes[shard].ready.pop_front();
        entry.iter().for_each(|entry| self.passed[shard] = entry.id().get());
        Ok(entry)
    }

    /// Fills the lanes that are empty.
    fn look_up(&mut self) {
        for (lane, door) in self.lanes.iter_mut().zip(&self.store.0.shards) {
            if lane.ready.is_empty() {
                let view = door.shard.view();
                self.missed += lane.fill(&view, self.before.as_ref());
                if mutant!(SkipAhead) && lane.place == view.end {
                    lane.place = door.shard.view().end;
                }
            }
        }
    }

    /// How many events are stored that it has not received.
    pub fn lag(&self) -> u64 {
        let behind = |(lane, door): (&Lane, &super::store::Door)| {
            let view = door.shard.view();
            view.end.saturating_sub(lane.place.max(view.first)) + lane.ready.len() as u64
        };
        self.lanes.iter().zip(&self.store.0.shards).map(behind).sum()
    }

    /// How far it has come: with it, another goes on after the last event that this one has received.
    pub fn checkpoint(&self) -> Checkpoint {
        match &self.before {
            Some(before) => before.clone().with(self.passed.clone()),
            None => Checkpoint::of(self.passed.clone()),
        }
    }
}

impl Lane {
    /// Takes the next few that were not received before. Returns how many are missing before them.
    fn fill(&mut self, view: &View, before: Option<&Checkpoint>) -> u64 {
        let missed = view.first.saturating_sub(self.place);
        self.place += missed;
        while self.ready.is_empty() && self.place < view.end {
            let Some(chunk) = view.chunk_at(self.place) else { break };
            let end = chunk.end().min(self.place + RUN as u64);
            let entries = (self.place..end).map(|position| chunk.entry_at(position));
            let is_new = |entry: &Entry| before.is_none_or(|before| !before.covers(entry));
            self.ready.extend(entries.filter(is_new));
            self.place = end;
        }
        missed
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("passed", &self.passed).finish_non_exhaustive()
    }
}
