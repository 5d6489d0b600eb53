//! Who hears what became of an event.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(feature = "journal")]
use std::sync::Arc;

use super::errors::Refusal;
use super::id::EventId;
use crate::error::{complain, panic_text};
use crate::service::reply::Reply;

/// Hears once what became of one event, for who does not wait for it: given along with the event, by
/// [`Writer::store_with`](super::Writer::store_with) or
/// [`EventStore::store_with`](super::EventStore::store_with).
///
/// It is told the number when the event is stored, and durable where the journal syncs
/// [always](super::Sync::Always); or why that is not so. In one shard those of one thread are told in their order, but for refusals: these
/// come as soon as they are known.
///
/// It runs on a thread of the store's, or on the one that stores, which waits for it: it must not block, nor ask the
/// store. A panic in it is logged and costs only itself.
///
/// # Example
///
/// ```
/// # use underpin::Supervisor;
/// use std::sync::mpsc::channel;
/// use underpin::events::{Event, EventStore, Receipt};
///
/// let store = EventStore::in_memory();
/// let app = Supervisor::new("app").supervisor(store.supervisor()).start()?;
/// let (told, heard) = channel();
/// store.store_with(Event::new("paid"), Receipt::new(move |outcome| drop(told.send(outcome))))?;
/// assert_eq!(heard.recv()??.get(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Receipt(Option<Hook>);

type Hook = Box<dyn FnOnce(Result<EventId, Refusal>) + Send>;

impl Receipt {
    /// One that calls `hook`.
    pub fn new(hook: impl FnOnce(Result<EventId, Refusal>) + Send + 'static) -> Self {
        Self(Some(Box::new(hook)))
    }

    pub(crate) fn tell(mut self, outcome: Result<EventId, Refusal>) {
        self.call(outcome);
    }

    fn call(&mut self, outcome: Result<EventId, Refusal>) {
        let Some(hook) = self.0.take() else { return };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| hook(outcome))) {
            complain(format_args!("a receipt of an event panicked: {}", panic_text(panic)));
        }
    }
}

impl Drop for Receipt {
    /// Whoever had the event in hand is gone.
    fn drop(&mut self) {
        self.call(Err(Refusal::Unknown { reason: "it was lost on its way".into() }));
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receipt").finish()
    }
}

/// What a batch has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// The number of the first event; the others follow.
    pub first: EventId,
    /// How many events there were.
    pub events: u64,
    /// How many events the stream of the last has with it; 0 without a stream.
    pub version: u64,
}

/// Who asked for it.
#[derive(Debug)]
pub(crate) enum Answer {
    Nobody,
    Call(Reply<Result<Stored, Refusal>>),
}

/// Everyone who hears of one batch.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) answer: Answer,
    pub(crate) receipts: Vec<(u32, Receipt)>,
    pub(crate) stored: Stored,
    /// Why it is not where it was to be.
    pub(crate) refusal: Option<Refusal>,
}

impl Settlement {
    pub(crate) fn is_awaited(&self) -> bool {
        !self.receipts.is_empty() || matches!(self.answer, Answer::Call(_))
    }

    /// It is in memory, and not in the journal.
    #[cfg(feature = "journal")]
    pub(crate) fn not_durable(mut self, reason: &Arc<str>) -> Self {
        self.refusal = Some(Refusal::NotDurable { reason: Arc::clone(reason) });
        self
    }

    /// Tells everyone what has become of it. Under no lock: code of the user's runs.
    pub(crate) fn settle(self) {
        let refusal = self.refusal;
        let first = self.stored.first.get();
        for (at, receipt) in self.receipts {
            let id = EventId::new(first + u64::from(at)).expect("numbers begin with 1");
            receipt.tell(refusal.clone().map_or(Ok(id), Err));
        }
        if let Answer::Call(reply) = self.answer {
            reply.send(refusal.map_or(Ok(self.stored), Err));
        }
    }
}
