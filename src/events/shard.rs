//! What belongs to a shard and outlives the incarnations of its service.
//!
//! The page [`protocol`](super::protocol) says how an event comes into it, and what is lost.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::bounds::Bounds;
use super::buffer::{Buffer, Open};
use super::errors::Refusal;
use super::id::EventId;
use super::ids::Ids;
use super::later::Later;
use super::outlet::Outlet;
use super::parcel::{Contents, Parcel};
use super::post::post;
use super::receipt::{Answer, Receipt, Settlement, Stored};
use super::segment::Segment;
use super::service::Request;
use super::shelf::{Shelf, Stamp, Until};
use super::spent::Spent;
use super::streams::{Expected, Streams};
use super::view::View;
use crate::service::deadline::Limit;
use crate::service::handle::Handle;
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering, Snapshot, Thread, fence, mutant};

/// What the shards of a store share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) ids: Ids,
    /// Held for a moment, inside the lock of a shelf.
    pub(crate) streams: Mutex<Streams>,
    /// From where the clock of the store counts.
    pub(crate) base: Instant,
    /// The largest number of what a journal had no more when it was opened.
    pub(crate) lost: AtomicU64,
}

impl Common {
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Acquire)
    }

    /// A moment by the clock of the store, in nanoseconds.
    pub(crate) fn nanos(&self, now: Instant) -> i64 {
        let after = now.saturating_duration_since(self.base).as_nanos();
        let before = self.base.saturating_duration_since(now).as_nanos();
        i64::try_from(after).unwrap_or(i64::MAX) - i64::try_from(before).unwrap_or(i64::MAX)
    }

    /// The reverse.
    pub(crate) fn instant(&self, nanos: i64) -> Instant {
        let by = Duration::from_nanos(nanos.unsigned_abs());
        let instant = if nanos < 0 { self.base.checked_sub(by) } else { self.base.checked_add(by) };
        instant.unwrap_or(self.base)
    }
}

/// A shard: its events, what others see of them, and its accounts.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) common: Arc<Common>,
    bounds: Bounds,
    most_queued: u64,
    desk: Mutex<Desk>,
    published: Snapshot<View>,
    waiting: Mutex<Vec<Thread>>,
    outlet: OnceLock<Arc<dyn Outlet>>,
    // The accounts of what is on its way. `expected` is written before a parcel is sent, `settled` when it
    // can be seen, or never will be.
    expected: AtomicU64,
    settled: AtomicU64,
    queued_bytes: AtomicU64,
    shed: AtomicU64,
    lost: AtomicU64,
    refused: AtomicU64,
    // Writers' buffers.
    buffers: Mutex<Vec<Arc<Buffer>>>,
    is_ticking: AtomicBool,
    pub(crate) spent: Spent,
    // Its service.
    is_watched: AtomicBool,
    /// Receipts of what was given up.
    owed: Later<(Receipt, Refusal)>,
    is_closed: AtomicBool,
}

/// What is changed under one lock, by the service or whoever stands in for it.
#[derive(Debug, Default)]
struct Desk {
    shelf: Shelf,
    /// How many events are on the shelf and not published.
    unpublished: u64,
}

/// What a shard has counted beside what it keeps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) shed: u64,
    pub(crate) lost: u64,
    pub(crate) refused: u64,
}

impl Shard {
    pub(crate) fn new(common: Arc<Common>, bounds: Bounds, most_queued: u64) -> Self {
        Self {
            common,
            bounds,
            most_queued,
            desk: Mutex::new(Desk::default()),
            published: Snapshot::new(Arc::default()),
            waiting: Mutex::new(Vec::new()),
            outlet: OnceLock::new(),
            expected: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            queued_bytes: AtomicU64::new(0),
            shed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            buffers: Mutex::new(Vec::new()),
            is_ticking: AtomicBool::new(false),
            spent: Spent::default(),
            is_watched: AtomicBool::new(false),
            owed: Later::new(),
            is_closed: AtomicBool::new(false),
        }
    }

    // ---- on the way ----------------------------------------------------------------------

    /// Something is about to be sent. `false`: too much is on its way.
    pub(crate) fn expect(&self, events: u64, bytes: u64) -> bool {
        let queued = self.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        if queued > 0 && queued + bytes > self.most_queued {
            self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
            return false;
        }
        self.expected.fetch_add(events, Ordering::AcqRel);
        true
    }

    pub(crate) fn arrived(&self, bytes: u64) {
        self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// It will not arrive. Who was told of the end may have waited for it.
    pub(crate) fn forget(&self, events: u64, bytes: u64) {
        self.arrived(bytes);
        self.settled.fetch_add(events, Ordering::AcqRel);
        // Under the lock, that is after the look of whoever was told that the shard is closed, or before it.
        let mut waiting = self.waiting.lock();
        if self.is_closed() {
            let waiting = std::mem::take(&mut *waiting);
            waiting.iter().for_each(Thread::unpark);
        }
    }

    pub(crate) fn count_shed(&self, events: u64) {
        self.shed.fetch_add(events, Ordering::AcqRel);
    }

    pub(crate) fn count_lost(&self, events: u64) {
        self.lost.fetch_add(events, Ordering::AcqRel);
    }

    pub(crate) fn count_refused(&self, events: u64) {
        self.refused.fetch_add(events, Ordering::AcqRel);
    }

    /// Whether all that was sent before can be seen.
    ///
    /// ORDERING: what has settled is read first, and with it what was expected by then. If as much is
    /// expected now, nothing was on its way in between; and what this thread sent was expected before.
    pub(crate) fn is_settled(&self) -> bool {
        let settled = self.settled.load(Ordering::Acquire);
        settled == self.expected.load(Ordering::Acquire)
    }

    // ---- in ------------------------------------------------------------------------------

    /// Puts a batch onto the shelf, all or nothing. Who is to be told when it can be seen is added to
    /// `settlements`; where there is a journal, it tells.
    pub(crate) fn add(&self, contents: Contents, now: Instant, settlements: &mut Vec<Settlement>) {
        self.add_to(self.desk.lock(), contents, now, settlements);
    }

    /// The same for who is not the service, and waits for nobody. What its service has to be told of comes back: that
    /// there is a first event, which becomes old.
    #[allow(clippy::result_large_err)] // what was not stored comes back
    pub(crate) fn add_here(
        &self,
        parcel: Parcel,
        now: Instant,
        settlements: &mut Vec<Settlement>,
    ) -> Result<(), Contents> {
        let desk = self.desk.try_lock();
        let is_watched = |desk: &Desk| self.bounds.age.is_none() || desk.shelf.view().current() > 0;
        // ORDERING: it is expected by now. Whoever finds that this has ended, after his fence in `is_over`, knows of that,
        // or this finds that it has ended.
        fence(Ordering::SeqCst);
        let is_closed = self.is_closed() && !mutant!(StoreHereClosed);
        let Some(desk) = desk.filter(|desk| !is_closed && is_watched(desk)) else {
            let Contents { batch, expected, .. } = parcel.take_back();
            return Err(Contents { batch, expected, answer: Answer::Nobody });
        };
        self.add_to(desk, parcel.open(), now, settlements);
        Ok(())
    }

    fn add_to(
        &self,
        mut desk: MutexGuard<'_, Desk>,
        contents: Contents,
        now: Instant,
        settlements: &mut Vec<Settlement>,
    ) {
        let Contents { mut batch, expected, answer } = contents;
        let events = batch.len() as u64;
        desk.unpublished += events;
        let receipts = std::mem::take(&mut batch.receipts);
        match self.number(&mut batch, expected.as_ref()) {
            Ok(first) => settlements.extend(self.put(&mut desk, batch, first, (answer, receipts), now)),
            // Nobody has asked for all or nothing.
            Err(Refusal::TooManyStreams { .. }) if events > 1 && matches!(answer, Answer::Nobody) => {
                desk.unpublished -= events;
                drop(desk);
                batch.receipts = receipts;
                let alone = |batch| Contents { batch, expected: None, answer: Answer::Nobody };
                batch.split().for_each(|batch| self.add(alone(batch), now, settlements));
            }
            Err(why) => {
                drop(desk);
                self.count_refused(events);
                refuse(answer, receipts, &why);
            }
        }
    }

    fn put(
        &self,
        desk: &mut Desk,
        batch: Batch,
        first: EventId,
        (answer, receipts): (Answer, Vec<(u32, Receipt)>),
        now: Instant,
    ) -> Option<Settlement> {
        let (events, version) = (batch.len() as u64, batch.stubs.last().map_or(0, |stub| stub.version));
        let stored = Stored { first, events, version };
        let stamp = Stamp { first_id: first.get(), stored: self.common.nanos(now), is_recovered: false };
        let chunk = desk.shelf.add(batch, stamp);
        let settlement = Settlement { answer, receipts, stored, refusal: None };
        let told_here = match self.outlet.get() {
            // In the order of the shelf, so under its lock: nobody waits for that but who puts in.
            Some(outlet) => outlet.pass(&chunk, settlement),
            None => Some(settlement).filter(Settlement::is_awaited),
        };
        desk.shelf.tidy(self.bounds); // while the disk is at work
        told_here
    }

    /// Says what numbers and versions a batch gets, if it may come in.
    fn number(&self, batch: &mut Batch, expected: Option<&(Arc<str>, Expected)>) -> Result<EventId, Refusal> {
        let events = batch.len() as u64;
        let take = |wanted| {
            let first = self.common.ids.take(wanted, events)?;
            Ok(EventId::new(first).expect("numbers begin with 1"))
        };
        if !batch.has_streams() {
            return take(batch.first_id);
        }
        let mut streams = self.common.streams.lock();
        match expected {
            Some((stream, expected)) => streams.check(stream, *expected)?,
            None => check_all(&streams, batch)?,
        }
        let first = take(batch.first_id)?;
        advance_all(&mut streams, batch);
        Ok(first)
    }

    /// As while somebody puts in.
    #[cfg(all(test, not(underpin_loom)))]
    pub(crate) fn while_open(&self, then: impl FnOnce()) {
        let _desk = self.desk.lock();
        then();
    }

    /// Where what is stored goes on to, from now on. Once.
    #[cfg(feature = "journal")]
    pub(crate) fn lead_to(&self, outlet: Arc<dyn Outlet>) {
        let _ = self.outlet.set(outlet);
    }

    /// What a journal had, and there is no room for. Before anything else.
    #[cfg(feature = "journal")]
    pub(crate) fn pass_over(&self, events: u64, gone: u64) {
        self.desk.lock().shelf.pass_over(events, gone);
    }

    /// What it keeps at most.
    #[cfg(feature = "journal")]
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Puts in what a journal had. Before anything else.
    #[cfg(feature = "journal")]
    pub(crate) fn recover(&self, batch: Batch, first_id: u64, stored: i64) {
        let mut desk = self.desk.lock();
        let stamp = Stamp { first_id, stored, is_recovered: true };
        drop(desk.shelf.add(batch, stamp));
        desk.shelf.tidy(self.bounds);
    }

    // ---- receipts ------------------------------------------------------------------------

    /// Receipts of what was given up, to be told when no lock is held.
    pub(crate) fn owe(&self, receipts: Vec<(u32, Receipt)>, why: Refusal) {
        if !receipts.is_empty() {
            self.owed.put(receipts.into_iter().map(|(_, receipt)| (receipt, why.clone())));
        }
    }

    /// Tells them.
    pub(crate) fn pay(&self) {
        self.owed.take().into_iter().for_each(|(receipt, why)| receipt.tell(Err(why)));
    }

    /// Logs what there is to be said of where events go on to.
    pub(crate) fn speak(&self) {
        self.outlet.get().into_iter().for_each(|outlet| outlet.speak());
    }

    // ---- out -----------------------------------------------------------------------------

    /// Lets others see what is on the shelf, and wakes who waits for more.
    pub(crate) fn publish(&self) {
        self.publish_of(self.desk.lock());
    }

    fn publish_of(&self, mut desk: MutexGuard<'_, Desk>) {
        let view = Arc::new(desk.shelf.view().clone());
        let events = std::mem::take(&mut desk.unpublished);
        let left = desk.shelf.take_left();
        if mutant!(SettleFirst) {
            self.settled.fetch_add(events, Ordering::AcqRel);
        }
        if mutant!(PublishUnlocked) {
            drop(desk);
            self.published.store(view);
        } else {
            // Under the lock: of two incarnations the one that was given up must not show less than the other.
            self.published.store(view);
            drop(desk);
        }
        if !mutant!(SettleFirst) {
            self.settled.fetch_add(events, Ordering::AcqRel);
        }
        self.wake();
        left.into_iter().for_each(|segment| self.clear_away(segment));
    }

    /// Nobody sees it in what is published; who still looks at it in what was drops it himself.
    fn clear_away(&self, segment: Arc<Segment>) {
        let chunks = Arc::into_inner(segment).map(|segment| segment.chunks);
        let alone = chunks.into_iter().flatten().filter_map(Arc::into_inner);
        alone.for_each(|chunk| self.spent.put(chunk));
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        if !mutant!(PublishSilently) {
            waiting.iter().for_each(Thread::unpark);
        }
    }

    /// The calling thread is woken at the next publication, or when the shard goes.
    pub(crate) fn announce(&self, me: Thread) {
        let mut waiting = self.waiting.lock();
        if !waiting.iter().any(|thread| thread.id() == me.id()) {
            waiting.push(me);
        }
    }

    pub(crate) fn withdraw(&self, me: &Thread) {
        self.waiting.lock().retain(|thread| thread.id() != me.id());
    }

    /// Its service begins a life. Returns whether somebody has to tell when it is gone for good.
    pub(crate) fn begin(&self) -> bool {
        self.is_closed.store(false, Ordering::Release);
        !self.is_watched.swap(true, Ordering::AcqRel)
    }

    /// Its service is gone for good. Nothing comes any more but what is still on its way: whoever clears the
    /// mailbox away puts that in.
    pub(crate) fn close(&self) {
        self.is_watched.store(false, Ordering::Release);
        self.is_closed.store(true, Ordering::Release);
        // What its last life has not shown. Who has the desk now does so himself.
        match self.desk.try_lock() {
            Some(desk) if !mutant!(CloseUnpublished) => self.publish_of(desk),
            _ => self.wake(),
        }
    }

    /// It has a service, which lives or will live again.
    pub(crate) fn is_served(&self) -> bool {
        self.is_watched.load(Ordering::Acquire)
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Nothing comes any more.
    pub(crate) fn is_over(&self) -> bool {
        if !self.is_closed() {
            return false;
        }
        fence(Ordering::SeqCst); // see `add_here`
        self.is_settled() || mutant!(CloseEarly)
    }

    /// Whether what comes in goes on at once, where it goes on.
    pub(crate) fn flows_on(&self) -> bool {
        self.outlet.get().is_none_or(|outlet| outlet.has_room())
    }

    pub(crate) fn view(&self) -> Arc<View> {
        self.published.load()
    }

    pub(crate) fn counts(&self) -> Counts {
        let load = |count: &AtomicU64| count.load(Ordering::Acquire);
        Counts { shed: load(&self.shed), lost: load(&self.lost), refused: load(&self.refused) }
    }

    /// Takes out the oldest. Returns how many went.
    pub(crate) fn prune(&self, until: Until) -> u64 {
        self.desk.lock().shelf.prune(until)
    }

    /// Takes out what is too old. Returns how many went.
    pub(crate) fn expire(&self, now: Instant) -> u64 {
        self.desk.lock().shelf.expire(self.common.nanos(now), self.bounds)
    }

    pub(crate) fn next_expiry(&self) -> Option<i64> {
        self.bounds.age?; // asked with each message
        self.desk.lock().shelf.next_expiry(self.bounds)
    }

    // ---- writers -------------------------------------------------------------------------

    pub(crate) fn register(&self, buffer: &Arc<Buffer>) {
        self.buffers.lock().push(Arc::clone(buffer));
    }

    /// Its writer goes, and has sent what lay in it: whoever does not find it any more knows of that.
    pub(crate) fn unregister(&self, buffer: &Arc<Buffer>) {
        self.buffers.lock().retain(|other| !Arc::ptr_eq(other, buffer));
    }

    /// The buffers of all writers there are.
    pub(crate) fn buffers(&self) -> Vec<Arc<Buffer>> {
        self.buffers.lock().clone()
    }

    /// Whether something lies in a buffer, or is put there right now.
    pub(crate) fn has_buffered(&self) -> bool {
        self.buffers().iter().any(|buffer| buffer.try_open().is_none_or(|open| !open.is_empty()))
    }

    /// Sends what lies in the buffers that nobody has open. Returns whether there was any.
    pub(crate) fn collect(self: &Arc<Self>, to: &Handle<Request>) -> bool {
        let mut has_any = false;
        for buffer in self.buffers() {
            let Some(open) = buffer.try_open() else {
                has_any = true;
                continue;
            };
            if !open.is_empty() {
                has_any = true;
                self.send_or_keep(&buffer, open, to);
            }
        }
        has_any
    }

    /// What finds no room stays where it is.
    fn send_or_keep<'a>(self: &Arc<Self>, buffer: &'a Buffer, mut open: Open<'a>, to: &Handle<Request>) {
        let mailbox = &to.core().mailbox;
        if mailbox.len() >= mailbox.capacity() {
            return; // under some rules another would be given up for it
        }
        let batch = open.take(&self.spent);
        let Err((_, batch)) = post(self, to, batch, Limit::In(Duration::ZERO)) else { return };
        if mutant!(PutBackLate) {
            drop(open);
            open = buffer.open();
        }
        open.put_back(batch);
    }

    /// Whether whoever puts the first event into a buffer has to ask for a tick.
    pub(crate) fn asks_for_tick(&self) -> bool {
        !self.is_ticking.load(Ordering::Acquire) && !self.is_ticking.swap(true, Ordering::AcqRel)
    }

    /// No tick is under way any more: whoever finds an empty buffer after this asks for one.
    ///
    /// ORDERING: not a plain store, so that of two lives the one that was given up knows of that if it is
    /// second.
    pub(crate) fn ticks_no_more(&self) {
        self.is_ticking.swap(false, Ordering::AcqRel);
    }
}

fn check_all(streams: &Streams, batch: &Batch) -> Result<(), Refusal> {
    let of_streams = batch.events.iter().filter_map(|event| event.shared_stream());
    let mut fresh = Vec::new();
    for stream in of_streams.filter(|stream| streams.version(stream) == 0) {
        if !fresh.contains(&stream) {
            fresh.push(stream);
            streams.check_room(stream, fresh.len())?;
        }
    }
    Ok(())
}

fn advance_all(streams: &mut Streams, batch: &mut Batch) {
    for (event, stub) in batch.events.iter().zip(&mut batch.stubs) {
        if let Some(stream) = event.shared_stream() {
            stub.version = streams.advance(stream, 1) + 1;
        }
    }
}

fn refuse(answer: Answer, receipts: Vec<(u32, Receipt)>, why: &Refusal) {
    receipts.into_iter().for_each(|(_, receipt)| receipt.tell(Err(why.clone())));
    if let Answer::Call(reply) = answer {
        reply.send(Err(why.clone()));
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::super::sample::source;
    use super::*;

    fn shard() -> Shard {
        let (ids, streams) = (Ids::from(1), Mutex::new(Streams::new(1)));
        let base = crate::sync::Clock::SYSTEM.now();
        let common = Common { ids, streams, base, lost: AtomicU64::new(0) };
        Shard::new(Arc::new(common), Bounds::new(10, 1 << 20, None), 1_000)
    }

    #[test]
    fn writers_that_went_leave_nothing() {
        let shard = shard();
        let buffer = || Arc::new(Buffer::new(64, source(None)));
        let stays = buffer();
        shard.register(&stays);
        let others: Vec<_> = (0..1_000).map(|_| buffer()).collect();
        others.iter().for_each(|buffer| shard.register(buffer));
        others.iter().for_each(|buffer| shard.unregister(buffer));
        assert!(matches!(&shard.buffers()[..], [one] if Arc::ptr_eq(one, &stays)));
    }

    #[test]
    fn so_many_bytes_are_expected_at_most_but_for_a_single_parcel() {
        let shard = shard();
        assert!(shard.expect(1, 5_000), "it is the only one");
        assert!(!shard.expect(1, 1) && !shard.is_settled());
        shard.forget(1, 5_000);
        assert!(shard.expect(1, 600) && shard.expect(1, 400) && !shard.expect(1, 1));
        shard.arrived(400);
        assert!(shard.expect(2, 400));
        shard.forget(2, 400);
        shard.forget(2, 600);
        assert!(shard.is_settled());
    }

    #[test]
    fn one_tick_is_asked_for_at_a_time() {
        let shard = shard();
        assert!(shard.asks_for_tick() && !shard.asks_for_tick());
        shard.ticks_no_more();
        assert!(shard.asks_for_tick());
    }

    #[test]
    fn a_moment_survives_the_clock_of_the_store_before_and_after_its_begin() {
        let common = shard().common;
        for nanos in [0, 1, -1, 5_000_000_000, -5_000_000_000] {
            assert_eq!(common.nanos(common.instant(nanos)), nanos);
        }
        let _ = (common.instant(i64::MAX), common.instant(i64::MIN)); // as far as there is time
    }
}
