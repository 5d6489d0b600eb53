use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::sync::Clock;

const MS: Duration = Duration::from_millis(1);

fn plain(job: u32) -> Waiting<u32> {
    Waiting::new(job, None)
}

fn keyed(job: u32, key: &str) -> Waiting<u32> {
    Waiting::new(job, Some(key.into()))
}

/// A desk whose workers are all there and idle; the last is the first to be called.
fn desk(workers: usize) -> Desk<u32> {
    let mut desk = Desk::new(4, workers, workers, 1);
    for worker in (0..workers).rev() {
        desk.arrived(worker);
        assert_eq!(desk.take(worker), None);
    }
    desk
}

fn wakes(worker: usize) -> Call {
    Call { wake: Some(worker), hire: false }
}

const NOTHING: Call = Call { wake: None, hire: false };
const HIRE: Call = Call { wake: None, hire: true };

#[test]
fn a_task_calls_one_who_is_idle_and_that_one_the_next_and_nobody_twice() {
    let mut desk = desk(2);
    let calls = [1, 2, 3].map(|job| desk.submit(plain(job)));
    assert_eq!(calls.map(|call| call.expect("room")), [wakes(0), NOTHING, NOTHING]);
    assert_eq!((desk.take(0), desk.pass_on()), (Some(1), wakes(1)));
    assert_eq!((desk.take(0), desk.pass_on()), (Some(2), NOTHING));
    assert_eq!((desk.take(1), desk.pass_on(), desk.take(0)), (Some(3), NOTHING, None));
    assert_eq!(desk.submit(plain(4)).expect("room"), wakes(0));
}

#[test]
fn there_is_room_for_so_many_and_for_none_once_it_is_closed() {
    let mut desk = desk(0);
    let due = Clock::system().now();
    assert!(desk.submit_at(due + MS, plain(0)).expect("room"));
    for job in 1..4 {
        assert_eq!(desk.submit(plain(job)).expect("room"), NOTHING);
    }
    assert!(matches!(desk.submit(plain(4)), Err((Waiting { job: 4, .. }, Refusal::Full))));
    assert!(matches!(desk.submit_at(due, plain(5)), Err((Waiting { job: 5, .. }, Refusal::Full))));
    let left: BTreeSet<_> = desk.close().into_iter().map(|waiting| waiting.job).collect();
    assert_eq!((left, desk.waiting()), (BTreeSet::from([0, 1, 2, 3]), 0));
    assert!(matches!(desk.submit(plain(6)), Err((_, Refusal::Closed))));
    assert!(desk.resume().is_empty());
    assert!(desk.submit(plain(7)).is_ok());
    assert_eq!((desk.figures.accepted, desk.figures.high_water), (5, 4));
}

#[test]
fn what_is_due_becomes_ready_in_its_order() {
    let mut desk = desk(1);
    let now = Clock::system().now();
    assert!(desk.submit_at(now + 2 * MS, plain(2)).expect("room"));
    assert!(!desk.submit_at(now + 3 * MS, plain(3)).expect("room"));
    assert!(
        !desk.submit_at(now + MS, plain(1)).expect("room"),
        "who is to look was told, and has not looked"
    );
    assert_eq!((desk.next_due(), desk.begin_due(now)), (Some(now + MS), vec![]));
    assert!(desk.submit_at(now + MS / 2, plain(0)).expect("room"));
    assert_eq!((desk.begin_due(now + MS / 2), desk.take(0)), (vec![wakes(0)], Some(0)));
    desk.done(None, true);
    assert_eq!(desk.take(0), None);
    assert_eq!(desk.begin_due(now + 2 * MS), [wakes(0), NOTHING]);
    assert_eq!((desk.take(0), desk.take(0), desk.take(0)), (Some(1), Some(2), None));
    assert_eq!((desk.next_due(), desk.waiting()), (Some(now + 3 * MS), 1));
}

#[test]
fn who_waits_for_its_key_is_next_when_that_is_free() {
    let mut desk = desk(2);
    for waiting in [keyed(1, "a"), keyed(2, "a"), keyed(3, "b"), plain(4)] {
        let _ = desk.submit(waiting).expect("room");
    }
    let a = Key::from("a");
    assert_eq!((desk.take(0), desk.take(1)), (Some(1), Some(3)));
    assert!(!desk.begin_key(&a), "its joiner may not run it either");
    assert_eq!(desk.waiting(), 2);
    desk.done(Some(&a), true);
    assert_eq!((desk.take(0), desk.take(1)), (Some(2), Some(4)));
    desk.done(Some(&a), true);
    desk.done(Some(&Key::from("b")), true);
    assert_eq!((desk.keys(), desk.figures.completed), (0, 3));
}

#[test]
fn a_guest_that_ends_calls_for_who_waited_for_its_key() {
    let mut desk = desk(1);
    let a = Key::from("a");
    assert!(desk.begin_key(&a));
    assert_eq!(desk.submit(keyed(1, "a")).expect("room"), wakes(0));
    assert_eq!((desk.take(0), desk.idle()), (None, 1));
    assert_eq!(desk.end_key(&a), wakes(0));
    assert_eq!(desk.take(0), Some(1));
}

#[test]
fn a_joiner_takes_out_the_first_and_the_last_and_leaves_keys_alone() {
    let mut desk = desk(0);
    for waiting in [plain(1), plain(2), plain(3), keyed(4, "a")] {
        let _ = desk.submit(waiting).expect("room");
    }
    let mut withdraw = |job: u32| desk.withdraw(|&other| other == job);
    assert_eq!((withdraw(2), withdraw(4), withdraw(1), withdraw(2)), (None, None, Some(1), Some(2)));
    assert_eq!((desk.waiting(), desk.figures.withdrawn), (2, 2));
}

#[test]
fn more_are_asked_for_when_more_wait_than_are_on_their_way() {
    let mut desk = Desk::new(9, 1, 3, 1);
    desk.arrived(0);
    assert_eq!(desk.take(0), None);
    let calls = [1, 2, 3].map(|job| desk.submit(plain(job)).expect("room"));
    assert_eq!(calls, [wakes(0), HIRE, NOTHING], "one is told once");
    assert_eq!((desk.hire(), desk.hire(), desk.hire()), (Some(1), Some(2), None), "three for three");
    desk.not_hired(2, false);
    desk.arrived(1);
    assert_eq!((desk.take(1), desk.take(0), desk.crew()), (Some(1), Some(2), 2));
    assert_eq!(desk.submit(plain(4)).expect("room"), HIRE);
    assert_eq!((desk.hire(), desk.hire()), (Some(2), None));
    desk.hire_anew();
    assert_eq!(desk.hire(), Some(2), "whoever was asked for did not come");
}

#[test]
fn more_are_asked_for_when_more_wait_than_are_idle_and_only_one_of_these_was_called() {
    let mut desk = Desk::new(9, 2, 4, 1);
    for worker in [1, 0] {
        desk.arrived(worker);
        assert_eq!(desk.take(worker), None);
    }
    let calls = [1, 2, 3, 4].map(|job| desk.submit(plain(job)).expect("room"));
    assert_eq!(calls, [wakes(0), NOTHING, HIRE, NOTHING], "one for each of the first two");
    assert_eq!((desk.hire(), desk.hire(), desk.hire()), (Some(2), Some(3), None), "four for four");
    assert_eq!((desk.take(0), desk.pass_on()), (Some(1), wakes(1)));
}

#[test]
fn who_is_idle_may_go_above_the_fewest_unless_it_was_called() {
    let mut desk = Desk::new(9, 1, 2, 1);
    for worker in [0, 1] {
        desk.arrived(worker);
        assert_eq!(desk.take(worker), None);
    }
    assert_eq!(desk.submit(plain(1)).expect("room"), wakes(1));
    assert!(!desk.retire(1) && desk.retire(0) && !desk.retire(0));
    assert_eq!((desk.take(1), desk.take(1)), (Some(1), None));
    assert!(!desk.retire(1), "it is the last");
    assert_eq!(desk.crew(), 1);
}

#[test]
fn another_is_called_where_too_many_wait_for_one() {
    let mut desk = Desk::new(100, 2, 2, 1);
    for worker in [1, 0] {
        desk.arrived(worker);
        assert_eq!(desk.take(worker), None);
    }
    let calls = (0..100).map(|job| desk.submit(plain(job)).expect("room"));
    let calls: Vec<_> = calls.enumerate().filter(|(_, call)| *call != NOTHING).collect();
    assert_eq!(calls, [(0, wakes(0)), (FOR_ONE, wakes(1))]);
}

#[test]
fn another_is_called_for_who_does_not_come_and_that_one_comes_when_it_can() {
    let mut desk = desk(2);
    assert_eq!(desk.submit(plain(1)).expect("room"), wakes(0));
    assert_eq!((desk.passed_over(0), desk.passed_over(0)), (wakes(1), NOTHING));
    assert_eq!((desk.take(1), desk.take(1), desk.idle()), (Some(1), None, 1));
    assert_eq!((desk.take(0), desk.idle()), (None, 2));
}

#[test]
fn another_is_asked_for_in_the_stead_of_who_has_arrived_and_does_not_come() {
    let mut desk = Desk::new(9, 1, 2, 1);
    desk.arrived(0);
    assert_eq!(desk.submit(plain(1)).expect("room"), NOTHING);
    assert_eq!((desk.passed_over(0), desk.hire()), (HIRE, Some(1)));
    assert_eq!((desk.take(0), desk.take(0), desk.idle()), (Some(1), None, 1));
}

#[test]
fn another_is_called_for_who_left_with_its_call() {
    let mut desk = desk(2);
    assert_eq!(desk.submit(plain(1)).expect("room"), wakes(0));
    assert_eq!(desk.left(0), wakes(1));
    assert_eq!((desk.take(1), desk.left(1)), (Some(1), NOTHING));
}

#[test]
fn a_halted_desk_hands_out_nothing_until_it_goes_on() {
    let mut desk = desk(1);
    desk.halt();
    assert_eq!(desk.submit(plain(1)).expect("room"), NOTHING);
    assert_eq!((desk.take(0), desk.nudge()), (None, NOTHING));
    assert_eq!(desk.resume(), [wakes(0)]);
    assert_eq!(desk.take(0), Some(1));
}

#[test]
fn who_has_arrived_is_on_its_way_and_nobody_more_is_asked_for() {
    let mut desk = Desk::new(9, 1, 4, 1);
    desk.arrived(0);
    assert_eq!(desk.take(0), None);
    assert_eq!(desk.submit(plain(1)).expect("room"), wakes(0));
    assert_eq!(desk.take(0), Some(1));
    assert_eq!(desk.submit(plain(2)).expect("room"), HIRE);
    assert_eq!(desk.hire(), Some(1));
    desk.arrived(1);
    assert_eq!(desk.hire(), None, "one for one");
    assert!(!desk.retire(1), "it is to look first");
    assert_eq!((desk.take(1), desk.crew()), (Some(2), 2));
}

/// All that a worker takes of this key, one after the other.
fn taken(desk: &mut Desk<u32>, key: &Key) -> Vec<u32> {
    let next = || {
        let job = desk.take(0)?;
        desk.done(Some(key), true);
        Some(job)
    };
    std::iter::from_fn(next).collect()
}

#[test]
fn who_waits_for_its_key_is_not_lost_with_the_one_before_it_that_is_thrown_out() {
    let (mut desk, a) = (desk(1), Key::from("a"));
    assert!(desk.begin_key(&a));
    for job in 1..=3 {
        let _ = desk.submit(keyed(job, "a")).expect("room");
    }
    assert_eq!((desk.take(0), desk.end_key(&a)), (None, wakes(0)), "the first may run");
    assert_eq!(desk.purge(|&job| job != 1).len(), 1);
    assert_eq!(taken(&mut desk, &a), [2, 3]);
    assert_eq!((desk.keys(), desk.waiting()), (0, 0));
}

#[test]
fn those_of_a_key_keep_their_order_where_a_guest_comes_between() {
    for (ends_first, guests) in [(false, 1), (true, 1), (true, 2)] {
        let (mut desk, a) = (desk(1), Key::from("a"));
        assert!(desk.begin_key(&a));
        for job in 1..=3 {
            let _ = desk.submit(keyed(job, "a")).expect("room");
        }
        assert_eq!((desk.take(0), desk.end_key(&a)), (None, wakes(0)), "the first may run");
        for guest in 0..guests {
            assert!(desk.begin_key(&a), "it has not begun");
            if !ends_first || guest == 1 {
                assert_eq!(desk.take(0), None);
            }
            let _ = desk.end_key(&a);
        }
        assert_eq!(taken(&mut desk, &a), [1, 2, 3]);
        assert_eq!(desk.keys(), 0);
    }
}

#[test]
fn several_that_may_run_again_are_taken_in_their_order() {
    let (mut desk, a) = (Desk::new(9, 1, 1, 2), Key::from("a"));
    assert!(desk.begin_key(&a) && desk.begin_key(&a));
    desk.arrived(0);
    for job in 1..=3 {
        let _ = desk.submit(keyed(job, "a")).expect("room");
    }
    assert_eq!(desk.take(0), None);
    let _ = (desk.end_key(&a), desk.end_key(&a));
    assert_eq!(taken(&mut desk, &a), [1, 2, 3]);
}

#[derive(Clone, Debug)]
enum Step {
    Submit(Option<u8>),
    SubmitAt(u8, Option<u8>),
    Advance(u8),
    Work(usize),
    Leave(usize),
    PassOver(usize),
    Join(u8),
    Purge(u8),
    Retire(usize),
    Halt,
    Resume,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || prop::option::of(0..2_u8);
    prop_oneof![
        6 => key().prop_map(Step::Submit),
        2 => (0..9_u8, key()).prop_map(|(after, key)| Step::SubmitAt(after, key)),
        1 => (0..9_u8).prop_map(Step::Advance),
        6 => (0..3_usize).prop_map(Step::Work),
        1 => (0..3_usize).prop_map(Step::Leave),
        1 => (0..3_usize).prop_map(Step::PassOver),
        3 => any::<u8>().prop_map(Step::Join),
        1 => any::<u8>().prop_map(Step::Purge),
        1 => (0..3_usize).prop_map(Step::Retire),
        1 => Just(Step::Halt),
        2 => Just(Step::Resume),
    ]
}

/// What is known of each task from outside, and what each worker has.
#[derive(Default)]
struct World {
    now: Option<Instant>,
    next: u32,
    keys: BTreeMap<u32, Option<u8>>,
    waiting: BTreeSet<u32>,
    hands: [Option<u32>; 3],
    is_there: [bool; 3],
    is_suspended: [bool; 3],
    is_halted: bool,
    began: Vec<u32>,
    calls: BTreeSet<usize>,
}

impl World {
    fn name(&self, job: u32) -> Option<Key> {
        self.keys[&job].map(|key| Key::from(["a", "b"][usize::from(key)]))
    }

    fn hear(&mut self, desk: &mut Desk<u32>, call: Call) {
        if call.hire {
            while desk.hire().is_some() {}
        }
        if let Some(worker) = call.wake {
            assert!(self.is_there[worker] && self.hands[worker].is_none(), "one who works was called");
            assert!(!self.is_suspended[worker], "one who does not come was called");
            assert!(self.calls.insert(worker), "one was called twice");
        }
    }

    fn fresh(&mut self, key: Option<u8>) -> Waiting<u32> {
        let job = self.next;
        self.next += 1;
        self.keys.insert(job, key);
        Waiting::new(job, self.name(job))
    }

    fn running(&self, key: u8) -> usize {
        self.hands.iter().flatten().filter(|&&job| self.keys[&job] == Some(key)).count()
    }

    /// A worker does what it does when it is called, and whenever it is done.
    fn work(&mut self, desk: &mut Desk<u32>, worker: usize) {
        if !self.is_there[worker] {
            desk.arrived(worker);
            self.is_there[worker] = true;
        }
        if let Some(job) = self.hands[worker].take() {
            desk.done(self.name(job).as_ref(), true);
        }
        self.calls.remove(&worker);
        self.is_suspended[worker] = false;
        self.hands[worker] = desk.take(worker);
        if let Some(job) = self.hands[worker] {
            assert!(!self.is_halted && self.waiting.remove(&job), "{job} was not there to be taken");
            self.began.push(job);
            let call = desk.pass_on();
            self.hear(desk, call);
        }
    }

    fn leave(&mut self, desk: &mut Desk<u32>, worker: usize) {
        if let Some(job) = self.hands[worker].take() {
            desk.done(self.name(job).as_ref(), true);
        }
        self.is_suspended[worker] = false;
        if std::mem::take(&mut self.is_there[worker]) {
            self.calls.remove(&worker);
            let call = desk.left(worker);
            self.hear(desk, call);
        }
    }

    fn apply(&mut self, desk: &mut Desk<u32>, step: Step) {
        let now = *self.now.get_or_insert_with(|| Clock::system().now());
        match step {
            Step::Submit(key) => {
                let waiting = self.fresh(key);
                let job = waiting.job;
                match desk.submit(waiting) {
                    Ok(call) => {
                        self.waiting.insert(job);
                        self.hear(desk, call);
                    }
                    Err((_, refusal)) => assert!(refusal == Refusal::Full && self.waiting.len() == 8),
                }
            }
            Step::SubmitAt(after, key) => {
                let waiting = self.fresh(key);
                let job = waiting.job;
                if desk.submit_at(now + MS * u32::from(after), waiting).is_ok() {
                    self.waiting.insert(job);
                }
            }
            Step::Advance(by) => {
                let now = now + MS * u32::from(by);
                self.now = Some(now);
                desk.begin_due(now).into_iter().for_each(|call| self.hear(desk, call));
                assert!(desk.next_due().is_none_or(|due| due > now));
            }
            Step::Work(worker) => self.work(desk, worker),
            Step::Leave(worker) => self.leave(desk, worker),
            Step::PassOver(worker) => {
                if self.calls.remove(&worker) {
                    self.is_suspended[worker] = true;
                    let call = desk.passed_over(worker);
                    self.hear(desk, call);
                }
            }
            Step::Join(job) => {
                let job = u32::from(job) % (self.next + 1);
                if let Some(out) = desk.withdraw(|&other| other == job) {
                    assert!(out == job && self.keys[&job].is_none() && self.waiting.remove(&job));
                }
            }
            Step::Purge(job) => {
                let job = u32::from(job) % (self.next + 1);
                let out = desk.purge(|&other| other != job);
                assert_eq!(out.len(), usize::from(self.waiting.remove(&job)));
            }
            Step::Retire(worker) => {
                if desk.retire(worker) {
                    let may = self.is_there[worker] && self.hands[worker].is_none();
                    assert!(may && !self.calls.contains(&worker));
                    self.is_there[worker] = false;
                    assert!(self.is_there.contains(&true), "the fewest stay");
                    let call = desk.left(worker); // it says so when it ends
                    self.hear(desk, call);
                }
            }
            Step::Halt => {
                desk.halt();
                self.is_halted = true;
            }
            Step::Resume => {
                self.is_halted = false;
                desk.resume().into_iter().for_each(|call| self.hear(desk, call));
            }
        }
        self.check(desk);
    }

    fn check(&self, desk: &Desk<u32>) {
        assert_eq!(desk.waiting(), self.waiting.len());
        assert!((0..2).all(|key| self.running(key) <= 1), "two of one key at once");
        assert_eq!(desk.figures.running, self.hands.iter().flatten().count());
        let is_free = |worker: &usize| self.is_there[*worker] && self.hands[*worker].is_none();
        let uncalled = (0..3).filter(is_free).filter(|worker| !self.is_suspended[*worker]);
        let idle = uncalled.filter(|worker| !self.calls.contains(worker)).count();
        assert_eq!(desk.idle(), idle);
        let is_seen = idle == 0 || desk.ready.is_empty() || !self.calls.is_empty();
        assert!(self.is_halted || is_seen, "something is ready, and nobody looks");
        let has_help = desk.on_their_way() > 0 || !desk.wants_one_more();
        assert!(self.is_halted || has_help, "something is ready, and nobody more was asked for");
    }
}

/// The order in which those of one key began, or those of none that came at once.
fn is_in_order(began: impl Iterator<Item = u32>) -> bool {
    began.is_sorted()
}

proptest! {
    #[test]
    fn nothing_is_lost_nobody_is_called_in_vain_and_keys_are_kept(steps in prop::collection::vec(step(), 0..120)) {
        let (mut desk, mut world) = (Desk::new(8, 1, 3, 1), World::default());
        let delayed = steps.iter().any(|step| matches!(step, Step::SubmitAt(..)));
        for step in steps {
            world.apply(&mut desk, step);
        }
        for key in [None, Some(0), Some(1)] {
            let began = world.began.iter().copied().filter(|job| world.keys[job] == key);
            prop_assert!(delayed || is_in_order(began), "{:?}", world.began);
        }
        let left: BTreeSet<_> = desk.close().into_iter().map(|waiting| waiting.job).collect();
        prop_assert_eq!(left, world.waiting);
    }
}
