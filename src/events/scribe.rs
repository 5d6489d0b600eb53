//! The journal service: the one thread that waits for the disk.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::codec;
use super::entry::Chunk;
use super::journal::{Group, MAX_PAYLOAD_BYTES};
use super::outlet::Outlet;
use super::pen::{Block, Outcome, Pen};
use super::receipt::Settlement;
use super::written::Written;
use crate::error::CastError;
use crate::service::context::Context;
use crate::service::deadline::{Deadline, Limit};
use crate::service::exit::Exit;
use crate::service::handle::Handle;
use crate::service::mailbox::Envelope;
use crate::service::reply::Reply;
use crate::service::service::{Init, Next, Service};
use crate::service::timers::TimerRef;
use crate::sync::{AtomicBool, Ordering, mutant};

/// Why a block is skipped whose incarnation cannot write.
pub(crate) const GIVEN_UP: &str = "an incarnation that was given up still writes";
/// How often a journal in trouble is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often old segments are looked for.
const RETAIN: Duration = Duration::from_secs(10);

/// The service of a journal. Events are encoded on the threads of the shards, while it waits for the disk; what has
/// come together by then is written and made durable at once.
pub struct JournalService {
    pen: Arc<Pen>,
    /// When it looks next, and by which timer.
    timed: Option<(Instant, TimerRef)>,
    is_retaining: bool,
    /// How many segments there were when old ones were looked for last.
    segments: u64,
}

/// What is said to a [`JournalService`]. The services of the shards say it.
#[derive(Debug)]
pub struct JournalRequest(pub(crate) Order);

#[derive(Debug)]
pub(crate) enum Order {
    Write(Block),
    /// Answer when all before this is durable, or why it is not.
    Flush(Reply<Result<(), Arc<str>>>),
    /// A sync may be due, or trouble over.
    Look,
    Retain,
}

impl JournalService {
    pub(crate) fn new(pen: Arc<Pen>) -> Self {
        Self { pen, timed: None, is_retaining: false, segments: 0 }
    }

    fn write(&mut self, block: Block, cx: &Context<Self>) {
        if block.follows_gap {
            self.commit_group(cx, false); // what is before the gap
            self.pen.note_gap();
        }
        match self.pen.take(block) {
            Ok(is_full) if is_full || !cx.has_mail() => {
                self.commit(cx, false);
            }
            Ok(_) => {}
            Err(block) => {
                let skipped = self.pen.skip(block, GIVEN_UP, cx.now());
                skipped.into_iter().for_each(Settlement::settle);
            }
        }
    }

    fn commit(&mut self, cx: &Context<Self>, at_once: bool) -> bool {
        let mut is_open = self.commit_group(cx, at_once);
        if !cx.has_mail() {
            if self.pen.note_gap() {
                is_open = self.commit_group(cx, at_once);
            }
            self.pen.caught_up();
        }
        is_open
    }

    /// `false`: an incarnation that was given up still has the journal in hand.
    fn commit_group(&mut self, cx: &Context<Self>, at_once: bool) -> bool {
        let Some(outcome) = self.pen.commit(cx.now(), at_once) else { return false };
        let is_error = outcome.is_error();
        outcome.tell();
        let segments = self.pen.segments();
        if is_error || segments != self.segments {
            self.pen.retain(); // there may be room to be made
            self.segments = self.pen.segments();
        }
        true
    }

    /// One timer at most, for what is due first.
    fn look_later(&mut self, cx: &mut Context<Self>) {
        let again = self.pen.reason().map(|_| cx.now() + AGAIN);
        let Some(due) = self.pen.next_deadline().into_iter().chain(again).min() else { return };
        if self.timed.is_some_and(|(earlier, _)| earlier <= due) {
            return;
        }
        if let Some((_, later)) = self.timed.take() {
            cx.cancel(later);
        }
        self.timed = Some((due, cx.send_at(due, JournalRequest(Order::Look))));
    }

    fn retain_later(&mut self, cx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.is_retaining, true) {
            cx.send_after(RETAIN, JournalRequest(Order::Retain));
        }
    }

    fn flush(&mut self, cx: &Context<Self>) -> Result<(), Arc<str>> {
        if !self.commit(cx, true) {
            return Err(GIVEN_UP.into());
        }
        let trouble = self.pen.reason();
        match self.pen.take_untold() {
            0 => trouble.map_or(Ok(()), Err),
            events => {
                let why = trouble.as_deref().unwrap_or("it was in trouble");
                Err(format!("{events} events are not in the journal: {why}").into())
            }
        }
    }
}

impl Service for JournalService {
    type Msg = JournalRequest;
    type Error = Infallible;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Infallible> {
        if !mutant!(StartUncommitted) {
            self.commit(cx, false); // what the last incarnation had come to
        }
        self.retain_later(cx);
        self.look_later(cx);
        Ok(Init::Ready)
    }

    fn handle(
        &mut self,
        JournalRequest(order): JournalRequest,
        cx: &mut Context<Self>,
    ) -> Result<Next, Infallible> {
        match order {
            Order::Write(block) => {
                self.write(block, cx);
                self.retain_later(cx);
            }
            Order::Flush(reply) => reply.send(self.flush(cx)),
            Order::Look => {
                self.timed = None;
                self.commit(cx, false);
            }
            Order::Retain => {
                self.is_retaining = false;
                self.pen.retain();
                if self.pen.ages() {
                    self.retain_later(cx);
                }
            }
        }
        self.look_later(cx);
        self.pen.speak();
        Ok(Next::Continue)
    }

    fn terminate(&mut self, _: &Exit) {
        self.pen.note_gap();
        let outcome = self.pen.commit(crate::sync::Clock::SYSTEM.now(), true);
        let is_durable = outcome.as_ref().is_some_and(|outcome| !outcome.is_error());
        outcome.into_iter().for_each(Outcome::tell);
        if is_durable {
            self.pen.close();
        }
        self.pen.speak();
    }

    fn label(JournalRequest(order): &JournalRequest) -> &'static str {
        match order {
            Order::Write(_) => "write",
            Order::Flush(_) => "flush",
            Order::Look => "look",
            Order::Retain => "retain",
        }
    }
}

/// Hands what a shard has stored to the journal.
pub(crate) struct Press {
    pen: Arc<Pen>,
    journal: Handle<JournalRequest>,
    /// Something is missing in the journal since the last block.
    has_gap: AtomicBool,
}

impl Press {
    pub(crate) fn new(pen: &Arc<Pen>, journal: &Handle<JournalRequest>) -> Self {
        Self { pen: Arc::clone(pen), journal: journal.clone(), has_gap: AtomicBool::new(false) }
    }
}

impl Outlet for Press {
    fn pass(&self, chunk: &Arc<Chunk>, settlement: Settlement) -> Option<Settlement> {
        // As one block, however large: it is written and made durable as a whole, or not at all.
        let room = chunk.bytes as usize + 64 * chunk.stubs.len();
        let settlement = Some(settlement).filter(Settlement::is_awaited);
        let follows_gap = self.has_gap.swap(false, Ordering::AcqRel);
        let group = Group::within(self.pen.memories.take(room));
        let mut block = Block { group, settlement, follows_gap };
        (0..chunk.stubs.len()).for_each(|at| self.encode(chunk, at, &mut block));
        self.send(block)
    }

    fn has_room(&self) -> bool {
        let mailbox = &self.journal.core().mailbox;
        mailbox.len() < mailbox.capacity()
    }

    fn speak(&self) {
        self.pen.speak();
    }
}

impl Press {
    fn encode(&self, chunk: &Chunk, at: usize, block: &mut Block) {
        let event = &chunk.events[at];
        let source = event.own_source().unwrap_or(&chunk.source);
        let (id, version) = (chunk.first_id + at as u64, chunk.stubs[at].version);
        let written = Written { id, version, event, source };
        let encoded = self.pen.encoder.encode(&mut block.group, |bytes| codec::encode(bytes, &written));
        debug_assert!(encoded.is_ok(), "{MAX_PAYLOAD_BYTES} bytes hold every event");
    }

    /// Waits for a journal that is slow, as long as its mailbox says; not again until it has caught up.
    fn send(&self, block: Block) -> Option<Settlement> {
        let limit =
            if self.pen.is_behind() { Limit::In(Duration::ZERO) } else { Limit::By(Deadline::unbounded()) };
        let message = JournalRequest(Order::Write(block));
        let sent = self.journal.core().send(Envelope { message, call: None }, limit);
        let Err(error) = sent else { return None };
        let reason = match &error {
            CastError::Full { .. } | CastError::TimedOut { .. } => {
                "it is behind: the disk is slower than what is stored"
            }
            _ => "its service has stopped",
        };
        let JournalRequest(Order::Write(block)) = error.into_message() else { return None };
        self.has_gap.store(true, Ordering::Release);
        self.pen.skip(block, reason, self.journal.core().clock().now())
    }
}

impl std::fmt::Debug for Press {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Press").field("dir", &self.pen.dir).finish_non_exhaustive()
    }
}
