//! Dead letters: each is counted for its reason, and dropped, handed over, or kept; what is kept is
//! bounded, listed, sent again or taken, once.

mod common;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::*;
use underpin::{
    CallError, ChildSettings, ChildSpec, Clock, Context, DeadReason, Handle, Mailbox, ManualClock, Next,
    Overflow, ReplayHalt, Replayed, Reply, Restart, Service, StartError, Supervisor, SupervisorHandle,
    SupervisorRef, child,
};

// ---- helpers -----------------------------------------------------------------------------

/// What is kept: for each letter its number and its reason.
fn listed<M: Send + 'static>(handle: &Handle<M>) -> Vec<(u64, DeadReason)> {
    handle.dead_letters().into_iter().map(|letter| (letter.number, letter.reason)).collect()
}

/// Takes what is kept, which is `Add`s.
fn taken(handle: &Handle<Msg>) -> Vec<u64> {
    let number = |message| match message {
        Msg::Add(n) => n,
        _ => panic!("not an Add"),
    };
    handle.take_dead_letters().into_iter().map(|letter| number(letter.message)).collect()
}

#[track_caller]
fn accounted<M: Send + 'static>(handle: &Handle<M>) {
    let (counts, status) = (handle.dead_letter_counts(), handle.status());
    let sum = counts.handed + counts.kept + counts.replayed + counts.taken + counts.lost;
    assert_eq!(sum, status.dead_letters, "{counts:?}");
    assert_eq!(status.drops.dead_letters(), status.dead_letters);
    assert_eq!(counts.kept, handle.dead_letters().len() as u64);
}

fn adds(journal: &Journal) -> Vec<u64> {
    let number = |line: String| line.strip_prefix("a add ").and_then(|number| number.parse().ok());
    journal.all().into_iter().filter_map(number).collect()
}

/// A tree with one child, held in its handler and then stopped for good with the `Add`s queued.
#[track_caller]
fn stopped_with(
    spec: ChildSpec<Bot>,
    numbers: std::ops::RangeInclusive<u64>,
) -> (SupervisorHandle, Handle<Msg>) {
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    stop_with(&sup, &handle, numbers);
    (sup, handle)
}

#[track_caller]
fn stop_with(sup: &SupervisorHandle, handle: &Handle<Msg>, numbers: std::ops::RangeInclusive<u64>) {
    let (asked, release) = hang(handle);
    numbers.for_each(|n| handle.cast(Msg::Add(n)).expect("accepted"));
    let reference = sup.reference();
    let stopping = aside(move || reference.terminate_child("a"));
    asked.wait();
    release.open();
    stopping.done().expect("terminated");
}

/// A child that runs, with an empty mailbox, and as many letters as are asked for: `Add(1)` and so
/// on. Its clock stands still.
struct Lettered {
    sup: SupervisorHandle,
    handle: Handle<Msg>,
    journal: Journal,
    hand: ManualClock,
}

impl Lettered {
    #[track_caller]
    fn new(capacity: usize, overflow: Overflow, letters: u64) -> Self {
        let ((clock, hand), journal) = (Clock::manual(), Journal::new());
        let spec = bot("a", &journal).capacity(capacity).overflow(overflow).keep_dead_letters(100);
        let handle = spec.handle();
        let sup = patient("app").clock(clock).child(spec).start().expect("starts");
        for n in 1..=letters {
            stop_with(&sup, &handle, n..=n);
            sup.restart_child("a").expect("restarted");
        }
        assert_eq!(handle.dead_letters().len() as u64, letters);
        Self { sup, handle, journal, hand }
    }

    /// Replays on another thread, and returns when that waits with a letter in hand.
    #[track_caller]
    fn replay_aside(&self) -> Aside<Replayed> {
        let (handle, letters) = (self.handle.clone(), self.handle.dead_letters().len());
        let replaying = aside(move || handle.replay_dead_letters());
        eventually("one is in hand", || self.handle.dead_letters().len() == letters - 1);
        assert_eq!(self.handle.dead_letter_counts().kept, letters as u64);
        let busy = self.handle.replay_dead_letters();
        assert_eq!((busy.sent, busy.kept, busy.halt), (0, letters, Some(ReplayHalt::Busy)));
        assert!(!replaying.is_done());
        replaying
    }
}

/// Fills the mailbox of a child that is held.
#[track_caller]
fn fill(handle: &Handle<Msg>) {
    handle.cast(Msg::Add(101)).expect("accepted");
    handle.cast(Msg::Add(102)).expect("accepted");
    assert_eq!(handle.status().queued, handle.status().capacity);
}

/// Tells of its drop, and does whatever else is wanted then.
struct Parcel {
    number: u64,
    on_drop: Arc<dyn Fn(u64) + Send + Sync>,
}

impl Drop for Parcel {
    fn drop(&mut self) {
        (self.on_drop)(self.number);
    }
}

/// What became of each parcel: `handled`, or the thread that it was dropped on.
type Fates = Log<(u64, String)>;

/// A service for parcels, whose label notes that it is asked, and panics at number 13.
struct Carrier(Fates);

fn thread_name() -> String {
    std::thread::current().name().unwrap_or("?").to_owned()
}

static LABELLED_ON: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Service for Carrier {
    type Msg = Parcel;
    type Error = Infallible;

    fn handle(&mut self, parcel: Parcel, _: &mut Context<Self>) -> Result<Next, Infallible> {
        self.0.push((parcel.number, "handled".into()));
        Ok(Next::Continue)
    }

    fn label(parcel: &Parcel) -> &'static str {
        LABELLED_ON.lock().expect("no panic").push(thread_name());
        if parcel.number == 13 { panic_quietly("in label") } else { "parcel" }
    }
}

/// A carrier, and a way to make parcels that note where they are dropped.
fn carrier(name: &str) -> (ChildSpec<Carrier>, Fates, impl Fn(u64) -> Parcel + use<>) {
    let log = Log::new();
    let (own, dropped) = (log.clone(), log.clone());
    let on_drop = move |number| dropped.push((number, thread_name()));
    let on_drop: Arc<dyn Fn(u64) + Send + Sync> = Arc::new(on_drop);
    let parcel = move |number| Parcel { number, on_drop: Arc::clone(&on_drop) };
    (child(name, move || Carrier(own.clone())), log, parcel)
}

// ---- each reason -------------------------------------------------------------------------

#[test]
fn a_stop_for_good_leaves_its_casts_and_counts_its_calls() {
    let journal = Journal::new();
    let spec = bot("a", &journal).keep_dead_letters(10);
    let handle = spec.handle();
    handle.cast(Msg::Add(1)).expect("accepted");
    let call = handle.request(Msg::Total).expect("accepted");
    handle.cast(Msg::Add(2)).expect("accepted");
    drop(spec);
    assert!(matches!(call.wait(), Err(CallError::Stopped { .. })));
    assert_eq!(listed(&handle), [(1, DeadReason::Stopped), (2, DeadReason::Stopped)]);
    let drops = handle.status().drops;
    assert_eq!((drops.stopped, drops.calls, drops.dead_letters()), (2, 1, 2));
    assert_eq!((drops.cleared, drops.shed_newest, drops.shed_oldest), (0, 0, 0));
    accounted(&handle);
    assert_eq!(taken(&handle), [1, 2]);
}

#[test]
fn a_cleared_mailbox_leaves_its_casts() {
    let journal = Journal::new();
    let spec = bot("a", &journal).mailbox(Mailbox::Clear).keep_dead_letters(10);
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    let release = occupy(&handle);
    handle.cast(boom()).expect("accepted");
    handle.cast(Msg::Add(1)).expect("accepted");
    let call = handle.request(Msg::Total).expect("accepted");
    handle.cast(Msg::Add(2)).expect("accepted");
    release.open();
    assert!(matches!(call.wait(), Err(CallError::Crashed { .. })));
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    assert_eq!(listed(&handle), [(1, DeadReason::Cleared), (2, DeadReason::Cleared)]);
    let drops = handle.status().drops;
    assert_eq!((drops.cleared, drops.calls, drops.dead_letters()), (2, 1, 2));
    let replayed = handle.replay_dead_letters();
    assert_eq!((replayed.sent, replayed.kept, replayed.halt), (2, 0, None));
    assert_eq!(handle.call(Msg::Total).expect("answered"), 3);
    accounted(&handle);
    drop(sup);
}

#[test]
fn what_is_shed_is_counted_as_the_newest_or_the_oldest() {
    let journal = Journal::new();
    for (overflow, kept) in [(Overflow::DropNewest, [2, 3]), (Overflow::DropOldest, [1, 2])] {
        let spec = bot("a", &journal).capacity(1).overflow(overflow).keep_dead_letters(10);
        let handle = spec.handle();
        (1..=3).for_each(|n| handle.cast(Msg::Add(n)).expect("accepted"));
        assert_eq!(listed(&handle), [(1, DeadReason::Shed), (2, DeadReason::Shed)]);
        let call = handle.request(Msg::Total).expect("accepted");
        if overflow == Overflow::DropOldest {
            handle.cast(Msg::Add(4)).expect("accepted");
        }
        assert!(matches!(call.wait(), Err(CallError::Shed { .. })));
        let status = handle.status();
        let by_age = (status.drops.shed_newest, status.drops.shed_oldest);
        // The third that made room was evicted by the call, and the call by a fourth.
        let newest = overflow == Overflow::DropNewest;
        assert_eq!(by_age, if newest { (2, 0) } else { (0, 3) });
        assert_eq!((status.drops.calls, status.shed), (1, by_age.0 + by_age.1 + 1));
        accounted(&handle);
        assert_eq!(taken(&handle)[..2], kept);
    }
}

#[test]
fn what_is_shed_is_counted_by_the_policy_that_shed_it_whatever_it_is_set_to_meanwhile() {
    type Armed = Option<(SupervisorRef, Handle<Msg>)>;
    let journal = Journal::new();
    let armed = Arc::<Mutex<Armed>>::default();
    let taken = Arc::clone(&armed);
    // While the first is given up, another takes its space, and the policy changes.
    let meanwhile = move |_| {
        let Some((sup, handle)) = taken.lock().expect("no panic").take() else { return };
        handle.cast(Msg::Add(9)).expect("there is space");
        sup.reconfigure_child("a", ChildSettings::new().overflow(Overflow::Reject)).expect("set");
    };
    let spec = bot("a", &journal).capacity(1).overflow(Overflow::DropOldest).on_dead_letter(meanwhile);
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    let release = occupy(&handle);
    handle.cast(Msg::Add(1)).expect("accepted");
    *armed.lock().expect("no panic") = Some((sup.reference(), handle.clone()));
    handle.cast(Msg::Add(2)).expect("accepted");
    let drops = handle.status().drops;
    assert_eq!((drops.shed_oldest, drops.shed_newest, drops.rejected), (2, 0, 0));
    accounted(&handle);
    release.open();
    drop(sup);
}

#[test]
fn what_is_handed_back_is_counted_and_is_no_dead_letter() {
    let journal = Journal::new();
    let blocks = Overflow::Block(MS);
    for (overflow, rejected, timed_out) in [(Overflow::Reject, 2, 0), (blocks, 0, 2)] {
        let spec = bot("a", &journal).capacity(1).overflow(overflow).keep_dead_letters(10);
        let handle = spec.handle();
        handle.cast(Msg::Add(1)).expect("accepted");
        handle.cast(Msg::Add(2)).expect_err("full");
        handle.call(Msg::Total).expect_err("full");
        let drops = handle.status().drops;
        assert_eq!((drops.rejected, drops.timed_out), (rejected, timed_out));
        assert_eq!((drops.dead_letters(), drops.calls), (0, 0));
        assert!(handle.dead_letters().is_empty());
        drop(spec);
        handle.cast(Msg::Add(3)).expect_err("stopped");
        let drops = handle.status().drops;
        assert_eq!((drops.rejected, drops.timed_out, drops.stopped), (rejected, timed_out, 1));
    }
}

// ---- one fate ----------------------------------------------------------------------------

#[test]
fn a_hook_gets_all_and_nothing_is_kept() {
    let (journal, told) = (Journal::new(), Log::new());
    let hears = told.clone();
    let spec = bot("a", &journal).on_dead_letter(move |letter| hears.push(letter.reason));
    let handle = spec.handle();
    (1..=3).for_each(|n| handle.cast(Msg::Add(n)).expect("accepted"));
    drop(spec);
    assert_eq!(told.all(), [DeadReason::Stopped; 3]);
    assert!(handle.dead_letters().is_empty() && handle.take_dead_letters().is_empty());
    assert_eq!(handle.replay_dead_letters(), Replayed::default());
    assert_eq!((handle.dead_letter_counts().handed, handle.dead_letter_counts().lost), (3, 0));
    accounted(&handle);
}

#[test]
fn without_hook_and_keeping_they_are_lost_and_counted() {
    let (spec, log, parcel) = carrier("a");
    let spec = spec.keep_dead_letters(0);
    let handle = spec.handle();
    (1..=3).for_each(|n| assert!(handle.cast(parcel(n)).is_ok()));
    drop(spec);
    let dropped: Vec<_> = log.all().into_iter().map(|(number, _)| number).collect();
    assert_eq!(dropped, [1, 2, 3]);
    assert_eq!((handle.dead_letter_counts().lost, handle.dead_letter_counts().handed), (3, 0));
    accounted(&handle);
}

#[test]
fn what_cannot_be_kept_is_refused_at_the_start() {
    let journal = Journal::new();
    let late = bot("a", &journal);
    drop(late.handle());
    let cases = [
        (bot("a", &journal).on_dead_letter(drop).keep_dead_letters(1), "not both"),
        (bot("a", &journal).keep_dead_letters(1).on_dead_letter(drop), "not both"),
        (bot("a", &journal).keep_dead_letters(usize::MAX), "16777216 dead letters"),
        (late.keep_dead_letters(1), "`keep_dead_letters` was set after a handle was taken"),
    ];
    for (spec, part) in cases {
        match Supervisor::new("app").child(spec).start() {
            Err(StartError::BadSpec { reason, .. }) => assert!(reason.contains(part), "{reason}"),
            other => panic!("{part}: {other:?}"),
        }
    }
    let fine = bot("a", &journal).keep_dead_letters(1).on_dead_letter(drop).keep_dead_letters(0);
    drop(Supervisor::new("app").child(fine).start().expect("the hook alone"));
}

// ---- bounded -----------------------------------------------------------------------------

#[test]
fn the_last_ones_are_kept_and_the_oldest_dropped_once() {
    let (spec, log, parcel) = carrier("a");
    let spec = spec.keep_dead_letters(3);
    let handle = spec.handle();
    (1..=10).for_each(|n| assert!(handle.cast(parcel(n)).is_ok()));
    drop(spec);
    let dropped = |log: &Fates| log.all().into_iter().map(|(number, _)| number).collect::<Vec<_>>();
    assert_eq!(dropped(&log), [1, 2, 3, 4, 5, 6, 7]);
    let numbers: Vec<_> = handle.dead_letters().into_iter().map(|letter| letter.number).collect();
    assert_eq!(numbers, [8, 9, 10]);
    let counts = handle.dead_letter_counts();
    assert_eq!((counts.kept, counts.lost, counts.taken), (3, 7, 0));
    accounted(&handle);
    let letters = handle.take_dead_letters();
    assert!(letters.iter().all(|letter| &*letter.name == "a" && letter.reason == DeadReason::Stopped));
    assert_eq!(letters.iter().map(|letter| letter.message.number).collect::<Vec<_>>(), [8, 9, 10]);
    assert_eq!(log.all().len(), 7);
    accounted(&handle);
    drop(letters);
    assert_eq!(dropped(&log), (1..=10).collect::<Vec<_>>());
    assert!(handle.take_dead_letters().is_empty());
}

// ---- listed ------------------------------------------------------------------------------

#[test]
fn the_list_says_what_is_known_by_the_clock_of_the_tree() {
    let (clock, hand) = Clock::manual();
    let journal = Journal::new();
    let spec = bot("a", &journal).capacity(4).keep_dead_letters(10);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).child(spec).start().expect("starts");
    stop_with(&sup, &handle, 1..=1);
    hand.advance(SECOND);
    sup.restart_child("a").expect("restarted");
    let (asked, release) = hang(&handle);
    handle.cast(quit()).expect("accepted");
    let reference = sup.reference();
    let stopping = aside(move || reference.terminate_child("a"));
    asked.wait();
    release.open();
    stopping.done().expect("terminated");
    hand.advance(SECOND * 2);
    let list = handle.dead_letters();
    let of = |at: usize| (list[at].number, list[at].label, list[at].epoch, list[at].age);
    assert_eq!(list.len(), 2);
    assert_eq!(of(0), (1, "Add", 1, SECOND * 3));
    assert_eq!(of(1), (2, "Do", 2, SECOND * 2));
    drop(sup);
}

#[test]
fn a_label_that_panics_costs_only_itself() {
    let (spec, _log, parcel) = carrier("a");
    let spec = spec.keep_dead_letters(10);
    let handle = spec.handle();
    (12..=14).for_each(|n| assert!(handle.cast(parcel(n)).is_ok()));
    drop(spec);
    let labels: Vec<_> = handle.dead_letters().into_iter().map(|letter| letter.label).collect();
    assert_eq!(labels, ["parcel", "?", "parcel"]);
    let letters = handle.take_dead_letters();
    assert_eq!(letters.iter().map(|letter| letter.message.number).collect::<Vec<_>>(), [12, 13, 14]);
}

// ---- sent again --------------------------------------------------------------------------

#[test]
fn letters_of_before_are_sent_again_in_order_after_a_restart() {
    let journal = Journal::new();
    let (sup, handle) = stopped_with(bot("a", &journal).keep_dead_letters(10), 1..=5);
    let down = handle.replay_dead_letters();
    assert_eq!((down.sent, down.kept, down.halt), (0, 5, Some(ReplayHalt::Stopped)));
    assert_eq!(listed(&handle).iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    sup.restart_child("a").expect("restarted");
    assert_eq!(handle.dead_letters().len(), 5);
    let replayed = handle.replay_dead_letters();
    assert_eq!((replayed.sent, replayed.kept, replayed.halt), (5, 0, None));
    handle.call(Msg::Total).expect("answered");
    assert_eq!(adds(&journal), [1, 2, 3, 4, 5]);
    assert_eq!((handle.dead_letter_counts().replayed, handle.status().dead_letters), (5, 5));
    assert_eq!(handle.replay_dead_letters(), Replayed::default());
    accounted(&handle);
    drop(sup);
}

#[test]
fn a_letter_that_dies_again_is_a_new_one() {
    let journal = Journal::new();
    let (sup, handle) = stopped_with(bot("a", &journal).keep_dead_letters(10), 1..=2);
    sup.restart_child("a").expect("restarted");
    let (asked, release) = hang(&handle);
    assert_eq!(handle.replay_dead_letters().sent, 2);
    let reference = sup.reference();
    let stopping = aside(move || reference.terminate_child("a"));
    asked.wait();
    release.open();
    stopping.done().expect("terminated");
    assert_eq!(listed(&handle), [(3, DeadReason::Stopped), (4, DeadReason::Stopped)]);
    assert_eq!((handle.dead_letter_counts().replayed, handle.status().dead_letters), (2, 4));
    accounted(&handle);
    assert_eq!(taken(&handle), [1, 2]);
    drop(sup);
}

#[test]
fn a_child_that_is_deleted_keeps_its_letters_for_those_who_have_a_handle() {
    let journal = Journal::new();
    let (sup, handle) = stopped_with(bot("a", &journal).keep_dead_letters(10), 1..=3);
    sup.delete_child("a").expect("deleted");
    drop(sup);
    assert_eq!(handle.replay_dead_letters().halt, Some(ReplayHalt::Stopped));
    assert_eq!(taken(&handle), [1, 2, 3]);
}

// ---- the full mailbox --------------------------------------------------------------------

/// What does not wait sends what there is space for, and gives nothing up.
#[test]
fn a_full_mailbox_that_does_not_block_leaves_letters_where_they_are() {
    for overflow in [Overflow::Reject, Overflow::DropNewest, Overflow::DropOldest] {
        let Lettered { sup, handle, journal, .. } = Lettered::new(2, overflow, 4);
        let release = occupy(&handle);
        let before = handle.status();
        let replayed = handle.replay_dead_letters();
        let outcome = (replayed.sent, replayed.kept, replayed.halt);
        assert_eq!(outcome, (2, 2, Some(ReplayHalt::Full)), "{overflow:?}");
        assert_eq!(listed(&handle), [(3, DeadReason::Stopped), (4, DeadReason::Stopped)]);
        let replayed = handle.replay_dead_letters();
        let outcome = (replayed.sent, replayed.kept, replayed.halt);
        assert_eq!(outcome, (0, 2, Some(ReplayHalt::Full)), "{overflow:?}");
        let after = handle.status();
        assert_eq!((after.drops, after.shed), (before.drops, before.shed), "{overflow:?}");
        release.open();
        eventually("there is space", || handle.status().queued == 0);
        assert_eq!(handle.replay_dead_letters().sent, 2);
        journal.wait_line("a add 4");
        assert_eq!(adds(&journal), [1, 2, 3, 4], "{overflow:?}");
        accounted(&handle);
        drop(sup);
    }
}

#[test]
fn a_replay_waits_for_space_as_a_sender_does() {
    let child = Lettered::new(2, Overflow::Block(LONG), 4);
    let release = occupy(&child.handle);
    fill(&child.handle);
    let replaying = child.replay_aside();
    release.open();
    let replayed = replaying.done();
    assert_eq!((replayed.sent, replayed.kept, replayed.halt), (4, 0, None));
    child.handle.call(Msg::Total).expect("answered");
    assert_eq!(adds(&child.journal), [101, 102, 1, 2, 3, 4]);
    accounted(&child.handle);
    drop(child.sup);
}

#[test]
fn a_replay_waits_no_longer_than_the_policy_says() {
    let child = Lettered::new(2, Overflow::Block(MS * 20), 2);
    let release = occupy(&child.handle);
    fill(&child.handle);
    let before = child.handle.status().drops;
    let replaying = child.replay_aside();
    child.hand.advance(MS * 20); // one may be in hand before it looks at the clock
    eventually("it gives up", || {
        child.hand.advance(MS);
        replaying.is_done()
    });
    let replayed = replaying.done();
    assert_eq!((replayed.sent, replayed.kept, replayed.halt), (0, 2, Some(ReplayHalt::Full)));
    assert_eq!(listed(&child.handle), [(1, DeadReason::Stopped), (2, DeadReason::Stopped)]);
    assert_eq!(child.handle.status().drops, before, "nobody's message was handed back");
    release.open();
    drop(child.sup);
}

#[test]
fn a_replay_waits_a_second_for_all_letters_together() {
    let child = Lettered::new(1, Overflow::Block(Duration::MAX), 3);
    let (first, second) = (occupy(&child.handle), Latch::new());
    let held = second.clone();
    let holding = act(move |_, _| {
        held.wait();
        Ok(Next::Continue)
    });
    child.handle.cast(holding).expect("accepted");
    let replaying = child.replay_aside();
    child.hand.advance(MS * 600);
    first.open();
    eventually("one is sent", || child.handle.dead_letter_counts().replayed == 1);
    assert!(!replaying.is_done());
    child.hand.advance(MS * 600);
    let replayed = replaying.done();
    assert_eq!((replayed.sent, replayed.kept, replayed.halt), (1, 2, Some(ReplayHalt::Full)));
    second.open();
    drop(child.sup);
}

#[test]
fn a_service_that_replays_to_itself_does_not_wait() {
    let Lettered { sup, handle, journal, .. } = Lettered::new(2, Overflow::Block(LONG * 10), 3);
    let answer = handle.call(ask(|_, cx, reply| {
        let replayed = cx.handle().replay_dead_letters();
        assert_eq!((replayed.kept, replayed.halt), (1, Some(ReplayHalt::Full)));
        reply.send(replayed.sent as u64);
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 2);
    handle.call(Msg::Total).expect("answered");
    assert_eq!(adds(&journal), [1, 2]);
    assert_eq!(taken(&handle), [3]);
    drop(sup);
}

#[test]
fn a_replay_that_waits_hears_of_the_end_and_keeps_its_letters_in_order() {
    let child = Lettered::new(2, Overflow::Block(LONG * 10), 3);
    let (asked, release) = hang(&child.handle);
    fill(&child.handle);
    let replaying = child.replay_aside();
    let reference = child.sup.reference();
    let stopping = aside(move || reference.terminate_child("a"));
    asked.wait();
    release.open();
    stopping.done().expect("terminated");
    let replayed = replaying.done();
    assert_eq!((replayed.sent, replayed.halt), (0, Some(ReplayHalt::Stopped)));
    assert_eq!(taken(&child.handle), [1, 2, 3, 101, 102]);
    accounted(&child.handle);
    drop(child.sup);
}

// ---- several at once ---------------------------------------------------------------------

#[test]
fn many_who_replay_at_once_send_each_letter_once_and_in_order() {
    let journal = Journal::new();
    let (sup, handle) = stopped_with(bot("a", &journal).keep_dead_letters(1000), 1..=500);
    sup.restart_child("a").expect("restarted");
    let replayers: Vec<_> = (0..4)
        .map(|_| {
            let handle = handle.clone();
            aside(move || {
                let mut sent = 0;
                while handle.dead_letter_counts().kept > 0 {
                    sent += handle.replay_dead_letters().sent;
                }
                sent
            })
        })
        .collect();
    let sent: usize = replayers.into_iter().map(Aside::done).sum();
    handle.call(Msg::Total).expect("answered");
    assert_eq!(sent, 500);
    assert_eq!(adds(&journal), (1..=500).collect::<Vec<_>>());
    accounted(&handle);
    drop(sup);
}

/// Casts, crashes, stops, restarts, replays and takers, all at once: each message that was accepted
/// is handled, taken, lost or kept, once.
fn storm(overflow: Overflow, keep: Mailbox, most: usize) {
    let (handled, dropped) = (Log::new(), Arc::<Mutex<Vec<u64>>>::default());
    struct Storm(Log<u64>);
    impl Service for Storm {
        type Msg = Parcel;
        type Error = Infallible;
        fn handle(&mut self, parcel: Parcel, _: &mut Context<Self>) -> Result<Next, Infallible> {
            if parcel.number == 0 {
                panic_quietly("told to");
            }
            self.0.push(parcel.number);
            Ok(Next::Continue)
        }
    }
    let own = handled.clone();
    let spec = child("a", move || Storm(own.clone())).capacity(4).overflow(overflow).mailbox(keep);
    let spec = spec.restart(Restart::Permanent).keep_dead_letters(most);
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    let gone = Arc::clone(&dropped);
    let on_drop: Arc<dyn Fn(u64) + Send + Sync> =
        Arc::new(move |number| gone.lock().expect("no panic").push(number));
    let parcel = move |number| Parcel { number, on_drop: Arc::clone(&on_drop) };
    let over = Arc::new(AtomicBool::new(false));

    let casters: Vec<_> = (0..2)
        .map(|caster| {
            let (handle, parcel) = (handle.clone(), parcel.clone());
            aside(move || {
                let numbers = (1..=1000).map(|n| caster * 1000 + n);
                let accepted = |n: &u64| match handle.cast(parcel(*n)) {
                    Ok(()) => true,
                    Err(_) => false,
                };
                numbers.filter(accepted).collect::<BTreeSet<u64>>()
            })
        })
        .collect();
    let replayers: Vec<_> = (0..2)
        .map(|_| {
            let (handle, over) = (handle.clone(), Arc::clone(&over));
            aside(move || {
                while !over.load(SeqCst) {
                    handle.replay_dead_letters();
                }
            })
        })
        .collect();
    let taker = {
        let (handle, over) = (handle.clone(), Arc::clone(&over));
        aside(move || {
            let mut taken = Vec::new();
            while !over.load(SeqCst) {
                if handle.dead_letters().len() >= 4 {
                    taken.extend(handle.take_dead_letters());
                }
            }
            taken
        })
    };
    for _ in 0..20 {
        sup.terminate_child("a").expect("terminated");
        sup.restart_child("a").expect("restarted");
        drop(handle.cast(parcel(0)));
    }
    let accepted: Vec<_> = casters.into_iter().flat_map(Aside::done).collect();
    sup.terminate_child("a").expect("terminated");
    over.store(true, SeqCst);
    replayers.into_iter().for_each(Aside::done);
    let taken = [taker.done(), handle.take_dead_letters()].into_iter().flatten();
    let mut found: Vec<_> = taken.map(|letter| letter.message.number).collect();
    drop(sup);
    accounted(&handle);
    let (counts, status) = (handle.dead_letter_counts(), handle.status());
    assert_eq!((counts.kept, status.queued), (0, 0));
    found.extend(handled.all());
    let said = format!("{overflow:?}, {keep:?}, {most}: {counts:?}, {:?}", status.drops);
    found.retain(|number| *number != 0);
    found.sort_unstable();
    assert!(found.windows(2).all(|pair| pair[0] != pair[1]), "one was doubled; {said}");
    if counts.lost == 0 {
        assert_eq!(found, accepted, "{said}");
    }
    assert!(accepted.len() as u64 <= found.len() as u64 + counts.lost, "{said}");
    drop(handle);
    let mut dropped = std::mem::take(&mut *dropped.lock().expect("no panic"));
    dropped.retain(|number| *number != 0);
    dropped.sort_unstable();
    assert_eq!(dropped, (1..=2000).collect::<Vec<_>>(), "each is dropped once; {said}");
}

#[test]
fn in_a_storm_each_message_is_handled_taken_or_lost_once() {
    storm(Overflow::DropNewest, Mailbox::Keep, 100_000);
    storm(Overflow::DropOldest, Mailbox::Clear, 100_000);
    storm(Overflow::Reject, Mailbox::Clear, 100_000);
    storm(Overflow::Block(MS), Mailbox::Keep, 100_000);
    storm(Overflow::DropOldest, Mailbox::Keep, 2);
}

// ---- what is in a letter -----------------------------------------------------------------

#[test]
fn a_drop_that_panics_costs_only_itself() {
    let count = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&count);
    let on_drop: Arc<dyn Fn(u64) + Send + Sync> = Arc::new(move |_| {
        seen.fetch_add(1, SeqCst);
        panic_quietly("in drop");
    });
    let (spec, ..) = carrier("a");
    let spec = spec.keep_dead_letters(2);
    let handle = spec.handle();
    for number in 1..=5 {
        assert!(handle.cast(Parcel { number, on_drop: Arc::clone(&on_drop) }).is_ok());
    }
    drop(spec); // three are too many
    assert_eq!((count.load(SeqCst), handle.dead_letters().len()), (3, 2));
    accounted(&handle);
    drop(handle);
    assert_eq!(count.load(SeqCst), 5);
}

#[test]
fn no_lock_is_held_while_a_letter_is_dropped() {
    let slot: Arc<Mutex<Option<Handle<Parcel>>>> = Arc::default();
    let (own, seen) = (Arc::clone(&slot), Log::new());
    let looks = seen.clone();
    let on_drop: Arc<dyn Fn(u64) + Send + Sync> = Arc::new(move |number| {
        let Some(handle) = own.lock().expect("no panic").clone() else { return };
        let halt = handle.replay_dead_letters().halt;
        looks.push((number, handle.dead_letters().len(), halt, handle.dead_letter_counts().lost));
    });
    let (spec, ..) = carrier("a");
    let spec = spec.keep_dead_letters(2);
    let handle = spec.handle();
    *slot.lock().expect("no panic") = Some(handle.clone());
    for number in 1..=3 {
        assert!(handle.cast(Parcel { number, on_drop: Arc::clone(&on_drop) }).is_ok());
    }
    aside(move || drop(spec)).done();
    assert_eq!(seen.all(), [(1, 2, Some(ReplayHalt::Stopped), 1)]);
    *slot.lock().expect("no panic") = None;
    drop(handle);
}

#[test]
fn a_reply_in_a_letter_is_answered_late_or_told_why_not() {
    let journal = Journal::new();
    let front = bot("front", &journal);
    let asked = front.handle();
    let spec = bot("a", &journal).keep_dead_letters(1);
    let handle = spec.handle();
    let sup = patient("app").child(front).child(spec).start().expect("starts");
    sup.terminate_child("a").expect("terminated");
    sup.restart_child("a").expect("restarted");
    // The front passes its caller's reply on, in a cast to one that is held.
    let pass_on = |to: &Handle<Msg>| {
        let to = to.clone();
        let call = asked.request(ask(move |_, _, reply: Reply<u64>| {
            let sent = to.cast(act(move |_, _| {
                reply.send(7);
                Ok(Next::Continue)
            }));
            sent.expect("accepted");
            Ok(Next::Continue)
        }));
        let call = call.expect("accepted");
        asked.call(Msg::Total).expect("the cast is under way");
        call
    };
    let stopped_with_one = || {
        let (told, release) = hang(&handle);
        let call = pass_on(&handle);
        let reference = sup.reference();
        let stopping = aside(move || reference.terminate_child("a"));
        told.wait();
        release.open();
        stopping.done().expect("terminated");
        sup.restart_child("a").expect("restarted");
        call
    };
    let first = stopped_with_one();
    assert!(!first.is_ready(), "it is kept, and its caller waits");
    let second = stopped_with_one();
    assert!(matches!(first.wait(), Err(CallError::Stopped { .. })), "it was lost");
    assert!(!second.is_ready());
    assert_eq!(handle.replay_dead_letters().sent, 1);
    assert_eq!(second.wait().expect("answered"), 7);
    let third = stopped_with_one();
    drop(handle.take_dead_letters());
    assert!(matches!(third.wait(), Err(CallError::NoReply { .. })));
    drop(sup);
}

#[test]
fn a_reply_in_a_letter_that_goes_with_the_last_handle_says_why_the_letter_died() {
    let journal = Journal::new();
    let front = bot("front", &journal);
    let asked = front.handle();
    let spec = bot("a", &journal).keep_dead_letters(10);
    let handle = spec.handle();
    let sup = patient("app").child(front).start().expect("starts");
    let to = handle.clone();
    let call = asked.request(ask(move |_, _, reply: Reply<u64>| {
        let sent = to.cast(act(move |_, _| {
            reply.send(7);
            Ok(Next::Continue)
        }));
        sent.expect("accepted");
        Ok(Next::Continue)
    }));
    let call = call.expect("accepted");
    asked.call(Msg::Total).expect("the cast is under way");
    drop(spec); // it is never started
    assert_eq!((handle.dead_letters().len(), call.is_ready()), (1, false));
    drop(handle);
    assert!(matches!(call.wait(), Err(CallError::Stopped { .. })));
    drop(sup);
}

// ---- the end -----------------------------------------------------------------------------

#[test]
fn with_the_last_handle_and_the_tree_go_the_letters_once() {
    for handle_last in [false, true] {
        let (spec, log, parcel) = carrier("a");
        let spec = spec.capacity(1).overflow(Overflow::DropNewest).keep_dead_letters(100);
        let handle = spec.handle();
        (0..=5).for_each(|n| assert!(handle.cast(parcel(n)).is_ok()));
        let sup = patient("app").child(spec).start().expect("starts");
        log.wait(|(number, _)| *number == 0);
        assert_eq!(handle.dead_letters().len(), 5);
        let dropped = |log: &Fates| {
            let mut numbers: Vec<_> = log.all().into_iter().filter(|(_, what)| what != "handled").collect();
            numbers.retain(|(number, _)| *number > 0);
            numbers.into_iter().map(|(number, _)| number).collect::<Vec<_>>()
        };
        assert!(dropped(&log).is_empty());
        if handle_last {
            drop(sup);
            assert!(dropped(&log).is_empty(), "whoever has a handle may take them");
            drop(handle);
        } else {
            drop(handle);
            assert!(dropped(&log).is_empty(), "the child is there");
            drop(sup);
        }
        eventually("they are dropped", || dropped(&log).len() >= 5);
        assert_eq!(dropped(&log), [1, 2, 3, 4, 5]);
    }
}

#[test]
fn letters_are_labelled_and_dropped_on_no_supervisors_thread() {
    let (spec, log, parcel) = carrier("a");
    let spec = spec.restart(Restart::Temporary).keep_dead_letters(2);
    let handle = spec.handle();
    (1..=5).for_each(|n| assert!(handle.cast(parcel(n)).is_ok()));
    let sup = Supervisor::new("dead-app").start().expect("starts");
    sup.start_child(carrier("a").0).expect("starts");
    sup.start_child(spec).expect_err("the name is taken");
    drop(handle);
    eventually("all are dropped", || log.all().len() == 5);
    assert!(log.all().iter().all(|(_, thread)| thread != "dead-app"), "{:?}", log.all());
    let labelled = LABELLED_ON.lock().expect("no panic").clone();
    assert!(!labelled.is_empty() && !labelled.iter().any(|name| name == "dead-app"), "{labelled:?}");
    drop(sup);
}
