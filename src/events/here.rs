//! Stores a batch on the thread that waits for it.
#![allow(clippy::result_large_err)] // what is not stored comes back

use std::sync::Arc;

use super::errors::Refusal;
use super::event::Event;
use super::parcel::{Contents, Parcel};
use super::receipt::{Settlement, Stored};
use super::service::Request;
use super::shard::Shard;
use crate::service::deadline::{Deadline, Limit};
use crate::service::handle::Handle;
use crate::service::reply::{Failure, Reply, Slot};
use crate::service::scope;
use crate::sync::mutant;

/// What became of a batch that was put in: of one that was refused by then, no event comes back.
pub(crate) type Outcome = Result<Stored, (Refusal, Vec<Event>)>;

/// Puts a batch in and shows it here and now, and waits for the journal, if there is one: so a single event wakes no
/// thread of the shard, which would do the same. What was sent before comes first, so nothing may be on its way.
///
/// # Errors
///
/// The batch, which has to go by the mailbox: the service has something to do, or to be told, or does not run.
pub(crate) fn store_here(
    shard: &Arc<Shard>,
    service: &Handle<Request>,
    contents: Contents,
    deadline: Deadline,
) -> Result<Outcome, Contents> {
    // In a handler one waits in calls alone: they know of cycles, and of the deadline of the call in hand.
    if scope::me().is_some() || scope::is_fenced() || !is_free(shard, service) {
        return Err(contents);
    }
    let clock = service.core().clock();
    let slot = Arc::new(Slot::new(Limit::By(deadline)));
    let parcel = Parcel::pack(shard, contents)?.answered(Reply::new(Arc::clone(&slot)));
    let mut settlements = Vec::new();
    shard.add_here(parcel, clock.now(), &mut settlements)?;
    shard.publish();
    settlements.into_iter().for_each(Settlement::settle);
    shard.speak();
    let answer = slot.wait(clock, Limit::By(deadline));
    slot.spare_ticket();
    Ok(outcome(answer))
}

/// Whether the service runs, all that was sent to it is done, and the journal has room for more.
fn is_free(shard: &Shard, service: &Handle<Request>) -> bool {
    let is_first = shard.is_settled() || mutant!(StoreHereFirst);
    is_first && shard.is_served() && !service.core().mailbox.is_closed() && shard.flows_on()
}

fn outcome(answer: Option<Result<Result<Stored, Refusal>, Failure>>) -> Outcome {
    let unknown = |reason: &str| Refusal::Unknown { reason: reason.into() };
    let why = match answer {
        Some(Ok(Ok(stored))) => return Ok(stored),
        Some(Ok(Err(why))) => why,
        Some(Err(Failure::Stopped)) => unknown("the journal has stopped"),
        Some(Err(_)) => unknown("the journal has crashed over it"),
        None => unknown("the journal has not answered in time"),
    };
    Err((why, Vec::new()))
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    use super::super::batch::Batch;
    use super::super::id::EventId;
    use super::super::receipt::{Answer, Receipt};
    use super::super::store::{Door, EventStore};
    use super::*;
    use crate::{Supervisor, SupervisorHandle};

    fn event() -> Event {
        Event::of("a", "x")
    }

    fn running() -> (EventStore, SupervisorHandle) {
        let store = EventStore::in_memory();
        let app = Supervisor::new("app").supervisor(store.supervisor()).start().expect("it starts");
        store.store_sync(event()).expect("it is stored"); // from here on the service waits for it to be old
        (store, app)
    }

    /// The service is held up, with nothing left to do, until what is returned goes.
    fn hold_up(store: &EventStore) -> Sender<()> {
        let ((held, is_held), (release, released)) = (channel(), channel::<()>());
        let receipt = Receipt::new(move |_| {
            held.send(()).expect("somebody listens");
            let _ = released.recv();
        });
        store.store_with(event(), receipt).expect("it is sent");
        is_held.recv().expect("it is stored");
        release
    }

    fn here(store: &EventStore) -> Result<Outcome, Contents> {
        let mut batch = Batch::with_capacity(1, store.0.origin.of_thread());
        let stub = store.stub_of(&event()).expect("it is allowed");
        batch.push(event(), stub);
        let Door { shard, handle, .. } = &store.0.shards[0];
        let contents = Contents { batch, expected: None, answer: Answer::Nobody };
        store_here(shard, handle, contents, Deadline::unbounded())
    }

    #[test]
    fn a_service_that_has_nothing_to_do_need_not_be_there() {
        let (store, _app) = running();
        let _held = hold_up(&store);
        let stored = here(&store).expect("it is free").expect("it is stored");
        assert_eq!((stored.first.get(), stored.events, store.published().len()), (3, 1, 3));
        assert!(store.0.shards[0].shard.is_settled());
    }

    #[test]
    fn what_was_sent_before_is_not_overtaken() {
        let (store, _app) = running();
        let held = hold_up(&store);
        store.store(event()).expect("it is sent");
        let back = here(&store).expect_err("one is on its way");
        assert_eq!((back.batch.len(), matches!(back.answer, Answer::Nobody)), (1, true));
        drop(held);
        assert_eq!(store.store_sync(event()).expect("it is stored").get(), 4);
    }

    #[test]
    fn while_somebody_else_puts_in_nobody_waits_for_his_turn() {
        let (store, _app) = running();
        let shard = &store.0.shards[0].shard;
        shard.while_open(|| assert_eq!(here(&store).expect_err("it is open").batch.len(), 1));
        assert!(shard.is_settled(), "it is not expected any more");
    }

    #[test]
    fn the_first_that_may_be_too_old_goes_to_the_service() {
        let (store, _app) = running();
        store.prune_before_id(EventId::new(100).expect("not 0")).expect("it answers");
        assert!(store.published().is_empty() && here(&store).is_err());
    }

    #[test]
    fn a_store_that_does_not_run_takes_nothing() {
        let idle = EventStore::in_memory();
        assert!(here(&idle).is_err());
        let (store, app) = running();
        assert!(app.shutdown(Duration::from_secs(5)).unstopped.is_empty());
        assert!(here(&store).is_err());
        assert_eq!(store.stats().stored, 1);
    }
}
