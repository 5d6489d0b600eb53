//! The replay of dead letters: they are sent again, oldest first.
//!
//! One thread replays at a time, one letter at a time is out of the shelf, and it goes to the
//! mailbox or back to where it was. So letters are sent in their order, and each is in one place.

use std::time::Duration;

use super::core::Core;
use super::dead_letters::{DeadReason, Keeper, discard};
use super::deadline::{Deadline, Limit};
use super::handle::Handle;
use super::mailbox::{Envelope, NotSent, Overflow, Sent};
use super::scope;
use super::shelf::Letter;
use crate::sync::mutant;

/// How long one replay waits for space, all in all.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a [replay](Handle::replay_dead_letters) came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replayed {
    /// How many letters the mailbox took.
    pub sent: usize,
    /// How many are kept now, with those that came meanwhile.
    pub kept: usize,
    /// Why it went no further; `None` if no letter was left of those that it found.
    pub halt: Option<ReplayHalt>,
}

/// Why a [replay](Handle::replay_dead_letters) left letters where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplayHalt {
    /// The mailbox is full, and stayed so for as long as was waited.
    Full,
    /// The child is stopped.
    Stopped,
    /// Another thread is replaying them.
    Busy,
    /// Whoever replays was [abandoned](crate::OnHang): what it does now reaches nobody.
    Fenced,
}

/// The right to replay, which one thread has.
struct Replay<'a, M> {
    keeper: &'a Keeper<M>,
    /// Letters that come later are not part of it: it must have an end.
    last: u64,
}

impl<'a, M> Replay<'a, M> {
    fn begin(keeper: &'a Keeper<M>) -> Option<Self> {
        let mut kept = keeper.kept.lock();
        if mutant!(ReplayTogether) {
            kept.shelf.end();
        }
        let last = kept.shelf.begin()?;
        drop(kept);
        Some(Self { keeper, last })
    }

    fn next(&self) -> Option<Letter<M>> {
        self.keeper.kept.lock().shelf.next(self.last)
    }

    fn sent(&self) {
        self.keeper.kept.lock().shelf.sent();
    }

    fn put_back(&self, name: &str, letter: Letter<M>) {
        let lost = self.keeper.kept.lock().shelf.put_back(letter);
        if let Some(lost) = lost {
            discard(name, lost);
        }
    }
}

impl<M> Drop for Replay<'_, M> {
    fn drop(&mut self) {
        self.keeper.kept.lock().shelf.end();
    }
}

impl<M: Send + 'static> Core<M> {
    pub(super) fn replay(&self) -> Replayed {
        let Some(keeper) = self.letters.keeper() else { return Replayed::default() };
        let limit = Limit::By(Deadline::from(self.clock().now(), PATIENCE));
        let (sent, halt) = match Replay::begin(keeper) {
            Some(replay) => self.replay_all(&replay, limit),
            None => (0, Some(ReplayHalt::Busy)),
        };
        let kept = keeper.kept.lock().shelf.kept();
        Replayed { sent, kept, halt }
    }

    fn replay_all(&self, replay: &Replay<'_, M>, limit: Limit) -> (usize, Option<ReplayHalt>) {
        let mut sent = 0;
        while !scope::is_fenced() {
            let Some(letter) = replay.next() else { return (sent, None) };
            if let Some(halt) = self.replay_one(replay, letter, limit) {
                return (sent, Some(halt));
            }
            sent += 1;
        }
        (sent, Some(ReplayHalt::Fenced))
    }

    fn replay_one(&self, replay: &Replay<'_, M>, letter: Letter<M>, limit: Limit) -> Option<ReplayHalt> {
        let Letter { number, mark, message } = letter;
        let (message, halt) = match self.send_again(message, limit) {
            Ok(sent) => {
                replay.sent();
                if sent == Sent::RacedWithClose {
                    self.drain(DeadReason::Stopped);
                }
                return None;
            }
            Err(NotSent::Closed(envelope)) => (envelope.message, ReplayHalt::Stopped),
            Err(NotSent::Full(envelope) | NotSent::TimedOut(envelope)) => {
                (envelope.message, ReplayHalt::Full)
            }
        };
        if !mutant!(ForgetRefused) {
            replay.put_back(&self.node.name, Letter { number, mark, message });
        }
        Some(halt)
    }

    /// Waits for space where a sender would, but gives nothing up: of all messages the letter is
    /// the oldest, and the one being sent.
    fn send_again(&self, message: M, limit: Limit) -> Result<Sent, NotSent<M>> {
        let overflow = self.mailbox.overflow();
        match self.mailbox.offer(Envelope { message, call: None }) {
            Err(NotSent::Full(envelope)) if matches!(overflow, Overflow::Block(_)) && !self.is_me() => {
                let spill = |given_up| self.shed(given_up, overflow);
                self.mailbox.overflowed(envelope, overflow, self.clock(), limit, spill)
            }
            outcome => outcome,
        }
    }
}

impl<M: Send + 'static> Handle<M> {
    /// Sends the dead letters that the child [keeps](crate::ChildSpec::keep_dead_letters) again,
    /// oldest first, until there are no more of those that were kept when it began, or until one
    /// cannot be sent. That one and those behind it stay kept, in their order.
    ///
    /// A letter is sent as other messages are, save that nothing is given up for it: with
    /// [`Overflow::DropNewest`](crate::Overflow::DropNewest), where it is the one being sent, and
    /// with [`DropOldest`](crate::Overflow::DropOldest), where it is the oldest, it stays kept while
    /// the mailbox is full. To a child that is stopped nothing is sent. A letter that was sent and
    /// dies again is a new letter, behind the others.
    ///
    /// One thread replays at a time; another is told that it is [`Busy`](ReplayHalt::Busy).
    ///
    /// # Blocking
    ///
    /// On a full mailbox with [`Overflow::Block`](crate::Overflow::Block), for each letter at most
    /// as long as that says, and at most 1 s for all of them. A service that replays to itself does
    /// not wait.
    ///
    /// # Example
    ///
    /// ```
    /// # use underpin::{Context, Next, Service, Supervisor, child};
    /// # struct Idle;
    /// # impl Service for Idle {
    /// #     type Msg = u8;
    /// #     type Error = std::convert::Infallible;
    /// #     fn handle(&mut self, _: u8, _: &mut Context<Self>) -> Result<Next, Self::Error> {
    /// #         Ok(Next::Continue)
    /// #     }
    /// # }
    /// let spec = child("idle", || Idle).keep_dead_letters(100);
    /// let handle = spec.handle();
    /// let app = Supervisor::new("app").child(spec).start()?;
    /// app.terminate_child("idle")?; // what it has not handled yet are dead letters
    /// app.restart_child("idle")?;
    /// let replayed = handle.replay_dead_letters();
    /// assert_eq!((replayed.kept, replayed.halt), (0, None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replay_dead_letters(&self) -> Replayed {
        self.core().replay()
    }
}
