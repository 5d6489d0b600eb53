//! Opens the journal of a store.

use std::sync::Arc;
use std::time::Duration;

use super::journal::{Disk, Journal, JournalError, OnCorruption, RealDisk, Writer};
use super::pen::{Found, Pen};
use super::receipt::Settlement;
use super::recover::Recoverer;
use super::scribe::{GIVEN_UP, JournalRequest, JournalService, Order, Press};
use super::store::{EventStore, Paper};
use crate::service::dead_letters::DeadLetter;
use crate::service::mailbox::Overflow;
use crate::supervisor::spec::{ChildSpec, child};
use crate::sync::{Clock, Ordering};

/// How long a journal may take to write what it has, when it stops.
const GRACE: Duration = Duration::from_secs(30);

/// Puts what the journal has into a store that is new, and has the store write it from then on.
/// Its mailbox has so much room, and is waited for so long.
pub(crate) fn open(
    store: &EventStore,
    journal: &Journal,
    mailbox: (usize, Duration),
) -> Result<(), JournalError> {
    open_on(Box::new(RealDisk), store, journal, mailbox)
}

/// The same on a disk that may be another.
pub(crate) fn open_on(
    disk: Box<dyn Disk>,
    store: &EventStore,
    journal: &Journal,
    mailbox: (usize, Duration),
) -> Result<(), JournalError> {
    let settings = journal.settings()?;
    let mut recoverer = Recoverer::new(&store.0.common, &store.0.shards);
    let mut take = |payload: &[u8]| recoverer.take(payload);
    let (writer, recovery) = Writer::open(disk, journal.dir(), settings, &mut take)?;
    if let (Some(reason), OnCorruption::Refuse) = (recoverer.first_error(), settings.on_corruption) {
        return Err(JournalError::Unreadable { dir: journal.dir().to_owned(), reason });
    }
    let recovered = recoverer.finish();
    let unreadable = recovered.unreadable;
    let has_holes =
        recovery.gap_records + recovery.corrupt_places + unreadable > 0 || !recovery.missing.is_empty();
    store.0.common.ids.go_on_from(recovered.next);
    store.0.common.lost.store(recovered.lost(has_holes, recovery.first_segment), Ordering::Release);
    let pen = Arc::new(Pen::new(journal.dir(), writer, settings, Found { recovery, unreadable }));
    let spec = spec(&pen, mailbox);
    let handle = spec.handle();
    for door in &store.0.shards {
        door.shard.lead_to(Arc::new(Press::new(&pen, &handle)));
    }
    // The first to start, the last to stop.
    let supervisor = store.0.supervisor.lock().take();
    *store.0.supervisor.lock() = supervisor.map(|supervisor| supervisor.child_at(0, spec));
    let _ = store.0.paper.set(Paper::Good(pen, handle)); // it is new
    Ok(())
}

pub(crate) fn spec(pen: &Arc<Pen>, (capacity, patience): (usize, Duration)) -> ChildSpec<JournalService> {
    let (of_service, of_letters) = (Arc::clone(pen), Arc::clone(pen));
    child("journal", move || JournalService::new(Arc::clone(&of_service)))
        .capacity(capacity)
        .overflow(Overflow::Block(patience))
        .shutdown(GRACE)
        .on_dead_letter(move |letter| write_letter(&of_letters, letter))
}

/// What was handed over and finds no service any more is written all the same.
fn write_letter(pen: &Pen, letter: DeadLetter<JournalRequest>) {
    let JournalRequest(Order::Write(block)) = letter.message else { return };
    let now = Clock::SYSTEM.now();
    match pen.take(block) {
        Ok(_) => pen.commit(now, true).into_iter().for_each(super::pen::Outcome::tell),
        Err(block) => pen.skip(block, GIVEN_UP, now).into_iter().for_each(Settlement::settle),
    }
    pen.speak();
}
