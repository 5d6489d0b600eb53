//! Dead letters: accepted messages without a call that no incarnation will handle.
//!
//! They all come through [`Core::bury`] or [`Core::shed`], are counted by reason, and have one of
//! three fates: they are dropped, handed to the child's hook, or kept on its
//! [shelf](super::shelf). Code of the user's (hook, label, drop of a message) runs where the
//! message was given up, never under a lock, and a panic of it costs only itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::core::Core;
use super::drops::{DropCounters, Dropped, Drops};
use super::handle::Handle;
use super::mailbox::{Envelope, Overflow};
use super::reply::Failure;
use super::scope;
use super::shelf::{DeadLetterCounts, DeadLetterInfo, Letter, Postmark, Shelf};
use crate::error::{complain, panic_text};
use crate::sync::{Mutex, mutant};

/// Why a message became a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadReason {
    /// The service stopped for good with the message in its mailbox.
    Stopped,
    /// The service crashed, and its mailbox is [cleared](crate::Mailbox::Clear) at a restart.
    Cleared,
    /// The full mailbox gave the message up.
    Shed,
}

impl DeadReason {
    /// What the caller gets, where the message was a call.
    pub(super) fn failure(self) -> Failure {
        match self {
            Self::Stopped => Failure::Stopped,
            Self::Cleared => Failure::Crashed,
            Self::Shed => Failure::Shed,
        }
    }
}

/// An accepted message without a call that no incarnation will handle.
#[derive(Debug)]
#[non_exhaustive]
pub struct DeadLetter<M> {
    /// The recipient.
    pub name: Arc<str>,
    /// Why it was not handled.
    pub reason: DeadReason,
    /// The message.
    pub message: M,
}

/// Who gets dead letters.
pub(crate) type Undertaker<M> = Box<dyn Fn(DeadLetter<M>) + Send + Sync>;

/// The dead letters of one child.
pub(crate) struct DeadLetters<M> {
    fate: Fate<M>,
    drops: DropCounters,
}

enum Fate<M> {
    Lost,
    Handed(Undertaker<M>),
    Kept(Box<Keeper<M>>),
}

/// Keeps the dead letters of one child. Its lock is held for a moment, and never by code of the
/// user's.
pub(super) struct Keeper<M> {
    label: fn(&M) -> &'static str,
    pub(super) kept: Mutex<Kept<M>>,
}

/// A shelf whose letters are dropped with care, each for its reason.
pub(super) struct Kept<M> {
    name: Arc<str>,
    pub(super) shelf: Shelf<M>,
}

impl<M> Drop for Kept<M> {
    fn drop(&mut self) {
        self.shelf.take().into_iter().for_each(|letter| discard(&self.name, letter));
    }
}

impl<M> DeadLetters<M> {
    /// They are counted and dropped.
    pub(crate) fn lost() -> Self {
        Self::of(Fate::Lost)
    }

    pub(crate) fn handed(hook: Undertaker<M>) -> Self {
        Self::of(Fate::Handed(hook))
    }

    /// The last `most` are kept; with 0 they are lost.
    pub(crate) fn kept(name: &Arc<str>, most: usize, label: fn(&M) -> &'static str) -> Self {
        if most == 0 {
            return Self::lost();
        }
        let kept = Mutex::new(Kept { name: Arc::clone(name), shelf: Shelf::new(most) });
        Self::of(Fate::Kept(Box::new(Keeper { label, kept })))
    }

    fn of(fate: Fate<M>) -> Self {
        Self { fate, drops: DropCounters::default() }
    }

    pub(super) fn count(&self, what: Dropped) {
        self.drops.count(what);
    }

    pub(super) fn keeper(&self) -> Option<&Keeper<M>> {
        match &self.fate {
            Fate::Kept(keeper) => Some(keeper),
            Fate::Lost | Fate::Handed(_) => None,
        }
    }

    fn counts(&self) -> DeadLetterCounts {
        let dead = self.drops.read().dead_letters();
        match &self.fate {
            Fate::Lost => DeadLetterCounts { lost: dead, ..DeadLetterCounts::default() },
            Fate::Handed(_) => DeadLetterCounts { handed: dead, ..DeadLetterCounts::default() },
            Fate::Kept(keeper) => keeper.kept.lock().shelf.counts(),
        }
    }

    fn take(&self) -> Vec<DeadLetter<M>> {
        let Some(keeper) = self.keeper() else { return Vec::new() };
        let mut kept = keeper.kept.lock();
        let name = Arc::clone(&kept.name);
        let letters = kept.shelf.take();
        drop(kept);
        if mutant!(TakeBlindly) {
            keeper.kept.lock().shelf.take();
        }
        let letter = |Letter { mark, message, .. }| DeadLetter {
            name: Arc::clone(&name),
            reason: mark.reason,
            message,
        };
        letters.into_iter().map(letter).collect()
    }
}

/// Runs code of the user's for a dead letter of `name`. A panic of it is contained: the letters
/// behind it must not be lost with it.
fn contained(name: &str, work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        let text = panic_text(panic);
        complain(format_args!("a dead letter of `{name}` panicked: {text}"));
    }
}

/// Drops a letter that was kept. No lock is held.
pub(super) fn discard<M>(name: &str, letter: Letter<M>) {
    let Letter { mark, message, .. } = letter;
    contained(name, || scope::dropping(mark.reason.failure(), || drop(message)));
}

impl<M: Send + 'static> Core<M> {
    pub(crate) fn drops(&self) -> Drops {
        self.letters.drops.read()
    }

    /// Ends a message that no incarnation will handle.
    pub(super) fn bury(&self, envelope: Envelope<M>, reason: DeadReason) {
        let counted = match reason {
            DeadReason::Stopped => Dropped::Stopped,
            DeadReason::Cleared => Dropped::Cleared,
            DeadReason::Shed => Dropped::ShedNewest,
        };
        self.bury_as(envelope, reason, counted);
    }

    /// Ends a message that this policy gave up. It is told, not looked up: the mailbox may have
    /// another by now.
    pub(super) fn shed(&self, envelope: Envelope<M>, overflow: Overflow) {
        let oldest = overflow == Overflow::DropOldest;
        let counted = if oldest { Dropped::ShedOldest } else { Dropped::ShedNewest };
        self.bury_as(envelope, DeadReason::Shed, counted);
    }

    fn bury_as(&self, envelope: Envelope<M>, reason: DeadReason, counted: Dropped) {
        let Envelope { message, call } = envelope;
        contained(&self.node.name, || {
            scope::dropping(reason.failure(), || match call {
                Some(call) => {
                    self.letters.count(Dropped::Call);
                    call.settle(reason.failure());
                    drop(message);
                }
                None => {
                    self.letters.count(counted);
                    self.dead_letter(message, reason);
                }
            });
        });
    }

    fn dead_letter(&self, message: M, reason: DeadReason) {
        match &self.letters.fate {
            Fate::Lost => drop(message),
            Fate::Handed(hook) => hook(DeadLetter { name: self.name(), reason, message }),
            Fate::Kept(keeper) => self.keep(keeper, message, reason),
        }
    }

    /// The label is the user's to say, and said here: a message on the shelf is shown to nobody.
    fn keep(&self, keeper: &Keeper<M>, message: M, reason: DeadReason) {
        let label = catch_unwind(AssertUnwindSafe(|| (keeper.label)(&message)));
        let label = label.unwrap_or_else(|panic| {
            panic_text(panic);
            "?"
        });
        let (epoch, at) = (self.incarnation().epoch, self.clock().now());
        let lost = keeper.kept.lock().shelf.keep(Postmark { reason, label, epoch, at }, message);
        if let Some(lost) = lost {
            discard(&self.node.name, lost);
        }
    }
}

impl<M: Send + 'static> Handle<M> {
    /// Lists the dead letters that the child [keeps](crate::ChildSpec::keep_dead_letters), oldest
    /// first. One that is sent again at this moment is not among them.
    ///
    /// Never blocks, and runs no code of the service's.
    pub fn dead_letters(&self) -> Vec<DeadLetterInfo> {
        let now = self.core().clock().now();
        let keeper = self.core().letters.keeper();
        keeper.map_or_else(Vec::new, |keeper| keeper.kept.lock().shelf.list(now))
    }

    /// What became of the child's dead letters so far.
    ///
    /// Never blocks.
    pub fn dead_letter_counts(&self) -> DeadLetterCounts {
        self.core().letters.counts()
    }

    /// Takes the dead letters that the child keeps, oldest first, to handle them elsewhere. Each
    /// goes to one taker. One that is sent again at this moment is not among them: it is sent, or
    /// kept on. None for an incarnation that was [abandoned](crate::OnHang).
    ///
    /// Never blocks.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::{Context, Next, Service, child};
    /// # struct Idle;
    /// # impl Service for Idle {
    /// #     type Msg = u8;
    /// #     type Error = std::convert::Infallible;
    /// #     fn handle(&mut self, _: u8, _: &mut Context<Self>) -> Result<Next, Self::Error> {
    /// #         Ok(Next::Continue)
    /// #     }
    /// # }
    ///
    /// let spec = child("idle", || Idle).keep_dead_letters(100);
    /// let handle = spec.handle();
    /// handle.cast(7)?;
    /// drop(spec); // it is never started
    /// let letters = handle.take_dead_letters();
    /// assert_eq!(letters.into_iter().map(|letter| letter.message).collect::<Vec<_>>(), [7]);
    /// # Ok::<(), underpin::CastError<u8>>(())
    /// ```
    pub fn take_dead_letters(&self) -> Vec<DeadLetter<M>> {
        if scope::is_fenced() { Vec::new() } else { self.core().letters.take() }
    }
}
