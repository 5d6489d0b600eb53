//! The first start, single restarts, the budget, backoff.

use super::super::*;
use super::world::{INIT, MS, SECOND, World, child, clock, constant, dynamic, rules};
use crate::{Backoff, Hung, Restart, Strategy};
use Action::{Abandon, Finish, Forget, GaveUp, Launch, Restarting, Retire};
use ChildState::{Running, Starting, Stopped, Waiting};
use ExitKind::{Abnormal, Ignored, Normal, Shutdown};

const PERMANENT: ChildRules = child(Restart::Permanent);

fn three(strategy: Strategy) -> World {
    World::running(rules(strategy), &[PERMANENT; 3])
}

// The first start.

#[test]
fn starts_and_stops_without_children() {
    let mut world = World::new(rules(Strategy::OneForOne));
    let begin = world.begin();
    assert_eq!(world.answer(begin), Some(Answer::Started));
    world.stop(None);
    assert_eq!(world.outcome(), Some(Outcome::Stopped));
}

#[test]
fn the_first_start_is_in_order_and_each_waits_for_the_one_before() {
    let mut world = World::new(rules(Strategy::OneForOne));
    for _ in 0..3 {
        world.add_static(PERMANENT);
    }
    let begin = world.begin();
    assert!(world.is(&[(1, Starting), (2, Waiting), (3, Waiting)]));
    world.ready(1);
    assert!(world.is(&[(1, Running), (2, Starting), (3, Waiting)]));
    assert_eq!(world.settle(), [2, 3]);
    assert_eq!(world.answer(begin), Some(Answer::Started));
}

#[test]
fn a_failed_first_start_stops_those_before_in_reverse_and_is_not_retried() {
    let mut world = World::new(rules(Strategy::OneForOne));
    for _ in 0..4 {
        world.add_static(PERMANENT);
    }
    let begin = world.begin();
    world.ready(1);
    world.ready(2);
    world.crash(3);
    assert!(world.did(Retire { key: 3, failed: true }) && world.did(Retire { key: 4, failed: false }));
    assert_eq!((world.asked(), world.answer(begin)), (vec![2], None));
    world.exit(2, Shutdown);
    assert_eq!(world.asked(), [1]);
    world.exit(1, Shutdown);
    assert_eq!(world.answer(begin), Some(Answer::StartFailed));
    assert_eq!(world.outcome(), Some(Outcome::FailedToStart { key: 3 }));
}

#[test]
fn an_exit_before_ready_is_a_failed_start_whatever_its_kind() {
    for exit in [Normal, Shutdown, Abnormal] {
        let mut world = World::new(rules(Strategy::OneForOne));
        world.add_static(child(Restart::Transient));
        world.begin();
        world.exit(1, exit);
        assert_eq!(world.outcome(), Some(Outcome::FailedToStart { key: 1 }));
    }
}

#[test]
fn an_init_that_takes_too_long_is_abandoned_and_fails() {
    let mut world = World::new(rules(Strategy::OneForOne));
    world.add_static(PERMANENT);
    world.begin();
    world.pass(INIT - MS);
    assert_eq!(world.actions, []);
    world.pass(MS);
    assert!(world.did(Abandon { key: 1, epoch: 1, why: Hung::Init }));
    assert_eq!(world.outcome(), Some(Outcome::FailedToStart { key: 1 }));
}

#[test]
fn an_init_that_says_ignore_keeps_the_spec_not_running() {
    let mut world = World::new(rules(Strategy::OneForOne));
    world.add_static(PERMANENT);
    world.add_static(PERMANENT);
    let begin = world.begin();
    world.exit(1, Ignored);
    assert!(world.did(Retire { key: 1, failed: false }));
    world.ready(2);
    assert_eq!(world.answer(begin), Some(Answer::Started));
    assert!(world.is(&[(1, Stopped), (2, Running)]));
}

#[test]
fn a_temporary_child_that_says_ignore_is_deleted() {
    let mut world = World::new(rules(Strategy::OneForOne));
    world.add_static(child(Restart::Temporary));
    world.begin();
    world.exit(1, Ignored);
    assert!(world.is(&[]));
}

#[test]
fn a_crash_during_the_first_start_is_an_ordinary_crash() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        let mut world = World::new(rules(strategy));
        for _ in 0..3 {
            world.add_static(PERMANENT);
        }
        let begin = world.begin();
        world.ready(1);
        world.crash(1);
        assert!(world.did(Restarting { key: 1, epoch_lost: 1, delay: Duration::ZERO }));
        world.settle();
        assert_eq!(world.answer(begin), Some(Answer::Started));
        assert!(world.is(&[(1, Running), (2, Running), (3, Running)]));
    }
}

#[test]
fn giving_up_during_the_first_start_fails_it() {
    let rules = Rules { max_restarts: 0, ..rules(Strategy::OneForOne) };
    let mut world = World::new(rules);
    world.add_static(PERMANENT);
    world.add_static(PERMANENT);
    let begin = world.begin();
    world.ready(1);
    world.crash(1);
    assert_eq!((world.asked(), world.answer(begin)), (vec![2], None));
    world.exit(2, Shutdown);
    assert_eq!(world.answer(begin), Some(Answer::StartFailed));
    assert_eq!(world.outcome(), Some(Outcome::Escalated { key: 1 }));
}

#[test]
fn a_child_added_during_the_first_start_joins_its_end_and_cannot_fail_it() {
    let mut world = World::new(rules(Strategy::OneForOne));
    world.add_static(PERMANENT);
    let begin = world.begin();
    let (key, ticket) = world.add(PERMANENT);
    assert!(world.is(&[(1, Starting), (2, Waiting)]));
    world.ready(1);
    world.crash(key);
    assert_eq!(world.answer(ticket), Some(Answer::StartFailed));
    assert_eq!(world.answer(begin), Some(Answer::Started));
}

#[test]
fn begin_is_refused_once_begun() {
    let mut world = three(Strategy::OneForOne);
    let again = world.begin();
    assert_eq!(world.answer(again), Some(Answer::Running));
}

// Strategy x restart x exit.

#[test]
fn which_exits_are_followed_by_which_restarts() {
    use Restart::{Permanent, Temporary, Transient};
    use Strategy::{OneForAll, OneForOne, RestForOne};
    let restarted = [
        (Permanent, [true, true, true]),
        (Transient, [false, false, true]),
        (Temporary, [false, false, false]),
    ];
    for (restart, row) in restarted {
        for (exit, is_restarted) in [Normal, Shutdown, Abnormal].into_iter().zip(row) {
            for strategy in [OneForOne, OneForAll, RestForOne] {
                let mut world = World::running(rules(strategy), &[PERMANENT, child(restart), PERMANENT]);
                world.exit(2, exit);
                world.settle();
                let epochs = [1, 2, 3].map(|key| world.epoch(key));
                let expected = match (is_restarted, strategy) {
                    (true, OneForOne) => [1, 2, 1],
                    (true, OneForAll) => [2, 2, 2],
                    (true, RestForOne) => [1, 2, 2],
                    (false, _) if restart == Temporary => [1, 0, 1],
                    (false, _) => [1, 1, 1],
                };
                assert_eq!(epochs, expected, "{strategy:?} {restart:?} {exit:?}");
                let kept = (restart != Temporary).then_some(if is_restarted { Running } else { Stopped });
                assert_eq!(world.state(2), kept);
            }
        }
    }
}

#[test]
fn one_for_one_renews_only_the_child_that_crashed() {
    let mut world = three(Strategy::OneForOne);
    world.crash(2);
    let restarting = Restarting { key: 2, epoch_lost: 1, delay: Duration::ZERO };
    assert_eq!(world.actions, [restarting, Launch { key: 2, epoch: 2 }]);
    assert!(world.is(&[(1, Running), (2, Starting), (3, Running)]));
}

#[test]
fn children_of_one_for_one_restart_independently() {
    let mut world = three(Strategy::OneForOne);
    world.crash(1);
    world.crash(3);
    assert!(world.is(&[(1, Starting), (2, Running), (3, Starting)]));
    world.ready(3);
    assert!(world.is(&[(1, Starting), (2, Running), (3, Running)]));
}

#[test]
fn an_exited_temporary_child_leaves_nothing_behind() {
    let mut world = World::running(rules(Strategy::OneForAll), &[PERMANENT]);
    for _ in 0..1_000 {
        let (key, _) = world.add(child(Restart::Temporary));
        world.ready(key);
        world.crash(key);
        assert_eq!(world.actions, [Retire { key, failed: true }, Forget { key }]);
    }
    assert_eq!(world.policy.counts(), Counts { specs: 1, active: 1, ..Counts::default() });
}

#[test]
fn a_transient_child_that_ended_normally_is_retired_and_kept() {
    let mut world = World::running(rules(Strategy::OneForOne), &[child(Restart::Transient)]);
    world.exit(1, Normal);
    assert_eq!(world.actions, [Retire { key: 1, failed: false }]);
    assert!(world.is(&[(1, Stopped)]));
}

#[test]
fn a_restart_may_be_ignored() {
    let mut world = three(Strategy::OneForOne);
    world.crash(2);
    world.exit(2, Ignored);
    assert!(world.is(&[(1, Running), (2, Stopped), (3, Running)]));
}

#[test]
fn stale_events_are_dropped() {
    let mut world = three(Strategy::OneForOne);
    world.crash(2);
    for (key, epoch) in [(2, 1), (2, 3), (9, 1)] {
        world.step(Event::Exited { key, epoch, exit: Abnormal });
        assert_eq!(world.actions, []);
        world.step(Event::Ready { key, epoch });
        assert_eq!(world.actions, []);
    }
}

#[test]
fn what_an_abandoned_incarnation_says_is_stale() {
    let mut world = three(Strategy::OneForOne);
    world.crash(2);
    world.pass(INIT);
    assert_eq!(world.epoch(2), 3);
    world.step(Event::Ready { key: 2, epoch: 2 });
    world.step(Event::Exited { key: 2, epoch: 2, exit: Normal });
    assert_eq!(world.actions, []);
}

// The budget.

#[test]
fn gives_up_at_the_first_restart_over_the_intensity() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        let mut world = three(strategy);
        for _ in 0..3 {
            world.crash(2);
            world.settle();
        }
        world.crash(2);
        assert_eq!(world.actions[..2], [GaveUp { key: 2 }, Retire { key: 2, failed: true }]);
        assert_eq!((world.launched(), world.asked()), (vec![], vec![3]));
        assert_eq!(world.settle(), [3, 1]);
        assert_eq!(world.outcome(), Some(Outcome::Escalated { key: 2 }));
    }
}

#[test]
fn an_intensity_of_zero_allows_no_restart() {
    let rules = Rules { max_restarts: 0, ..rules(Strategy::OneForOne) };
    let mut world = World::running(rules, &[PERMANENT]);
    world.exit(1, Normal);
    assert!(world.did(GaveUp { key: 1 }) && world.did(Finish(Outcome::Escalated { key: 1 })));
}

#[test]
fn one_crash_per_period_never_trips_intensity_one() {
    let rules = Rules { max_restarts: 1, ..rules(Strategy::OneForOne) };
    let mut world = World::running(rules, &[PERMANENT]);
    for _ in 0..50 {
        world.crash(1);
        world.ready(1);
        world.pass(SECOND * 5 + MS);
    }
    assert!(!world.policy.is_down());
}

#[test]
fn every_retry_of_a_failing_restart_is_charged() {
    let mut world = three(Strategy::OneForOne);
    world.crash(2);
    world.crash(2);
    world.crash(2);
    assert!(!world.did(GaveUp { key: 2 }));
    world.crash(2);
    assert!(world.did(GaveUp { key: 2 }));
}

#[test]
fn a_restart_that_takes_too_long_is_charged_as_a_failing_one() {
    let mut world = three(Strategy::OneForOne);
    world.crash(2);
    for _ in 0..2 {
        world.pass(INIT);
        assert_eq!(world.launched(), [2]);
    }
    world.pass(INIT);
    assert!(world.did(GaveUp { key: 2 }));
}

#[test]
fn a_transient_child_whose_restart_ends_normally_before_ready_is_retried() {
    let mut world = World::running(rules(Strategy::OneForOne), &[child(Restart::Transient)]);
    world.crash(1);
    world.exit(1, Normal);
    assert_eq!(world.launched(), [1]);
}

// Backoff.

#[test]
fn backoff_begins_at_min_doubles_and_is_capped() {
    let backoff = Backoff::exponential(MS * 100, MS * 300);
    let rules = Rules { max_restarts: 9, backoff, ..rules(Strategy::OneForOne) };
    let mut world = World::running(rules, &[PERMANENT]);
    for (epoch_lost, delay) in (1..).zip([100, 200, 300, 300].map(|ms| MS * ms)) {
        world.crash(1);
        let until = world.now + delay;
        assert_eq!(world.actions, [Restarting { key: 1, epoch_lost, delay }]);
        assert!(world.is(&[(1, ChildState::Backoff { until })]));
        world.pass(delay - MS);
        assert_eq!(world.actions, []);
        world.pass(MS);
        assert_eq!(world.launched(), [1]);
    }
}

#[test]
fn backoff_is_reset_after_being_up() {
    let backoff = Backoff::exponential(MS * 100, SECOND).reset_after(SECOND * 2);
    let rules = Rules { max_restarts: 99, backoff, ..rules(Strategy::OneForOne) };
    let mut world = World::running(rules, &[PERMANENT]);
    let expected = [(0, 100), (1999, 200), (2000, 100), (0, 200), (0, 400)];
    for (epoch_lost, (up, delay)) in (1..).zip(expected) {
        world.pass(MS * up);
        world.crash(1);
        assert_eq!(world.actions, [Restarting { key: 1, epoch_lost, delay: MS * delay }]);
        world.settle();
    }
}

#[test]
fn restart_child_begins_the_backoff_anew() {
    let backoff = Backoff::exponential(MS * 100, SECOND);
    let rules = Rules { max_restarts: 99, backoff, ..rules(Strategy::OneForOne) };
    let mut world = World::running(rules, &[PERMANENT]);
    world.crash(1);
    world.terminate(1);
    world.restart(1);
    world.ready(1);
    world.crash(1);
    assert_eq!(world.actions, [Restarting { key: 1, epoch_lost: 2, delay: MS * 100 }]);
}

#[test]
fn the_backoff_of_a_child_comes_before_that_of_its_supervisor() {
    let own = ChildRules { backoff: Some(constant(MS * 7)), ..PERMANENT };
    for strategy in [Strategy::OneForOne, Strategy::OneForAll] {
        let rules = Rules { backoff: constant(MS * 50), ..rules(strategy) };
        let mut world = World::running(rules, &[own, PERMANENT]);
        world.crash(1);
        assert!(world.did(Restarting { key: 1, epoch_lost: 1, delay: MS * 7 }));
        world.settle();
        world.crash(2);
        assert!(world.did(Restarting { key: 2, epoch_lost: world.epoch(2), delay: MS * 50 }));
    }
}

#[test]
fn equal_seeds_give_equal_jitter() {
    let delays = |seed| {
        let backoff = Backoff::exponential(SECOND, SECOND).jitter(1.0);
        let rules = Rules { max_restarts: 99, backoff, seed, ..rules(Strategy::OneForOne) };
        let mut world = World::running(rules, &[PERMANENT]);
        let mut delays = Vec::new();
        for _ in 0..5 {
            world.crash(1);
            delays.push(world.policy.next_deadline().map(|until| until - world.now));
            world.settle();
        }
        delays
    };
    assert_eq!(delays(7), delays(7));
    assert_ne!(delays(7), delays(8));
}

// Dynamic.

#[test]
fn a_dynamic_supervisor_is_one_for_one_whatever_its_strategy() {
    let rules = Rules { strategy: Strategy::OneForAll, ..dynamic(None) };
    let mut policy = Policy::new(rules);
    let (mut actions, now) = (Vec::new(), clock());
    policy.step(now, Event::Begin { ticket: 1 }, &mut actions);
    for key in 1..=2 {
        policy.step(now, Event::Add { key, rules: PERMANENT, ticket: None }, &mut actions);
        policy.step(now, Event::Ready { key, epoch: 1 }, &mut actions);
    }
    policy.step(now, Event::Exited { key: 1, epoch: 1, exit: Abnormal }, &mut actions);
    assert_eq!(policy.state(2), Some(Running));
}
