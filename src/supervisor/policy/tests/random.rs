//! Long random sequences with random pauses, each step compared with the books.

use proptest::prelude::*;
use proptest::strategy::Strategy as Generator;

use super::super::*;
use super::world::{MS, SECOND, World, child, constant, dynamic, rules};
use crate::{AutoShutdown, Backoff, OnHang, Restart, Strategy, SupervisorSettings};

#[derive(Debug, Clone, Copy)]
enum Happening {
    Ready,
    Exit(ExitKind),
    /// A notice of an incarnation that was before the current one, or will be after it.
    Stale(ExitKind, i64),
    Add(Restart),
    Terminate,
    Restart,
    Delete,
    Replace,
    /// It was asked to, or even if not.
    HandOver(bool),
    Configure(u32, u64),
    ConfigureChild(u64),
    Pass(u64),
    Due,
    Settle,
    Hurry(u64),
}

fn exit() -> impl Generator<Value = ExitKind> {
    prop_oneof![
        1 => Just(ExitKind::Normal),
        1 => Just(ExitKind::Shutdown),
        3 => Just(ExitKind::Abnormal),
        1 => Just(ExitKind::Ignored)
    ]
}

fn restart() -> impl Generator<Value = Restart> {
    prop_oneof![
        3 => Just(Restart::Permanent),
        1 => Just(Restart::Transient),
        1 => Just(Restart::Temporary)
    ]
}

fn stale((exit, by): (ExitKind, i64)) -> Happening {
    Happening::Stale(exit, by)
}

/// Any of them, and once the stop has begun a later one that may hurry it.
fn late() -> impl Generator<Value = Happening> {
    prop_oneof![3 => happening(), 1 => (0_u64..2000).prop_map(Happening::Hurry)]
}

fn happening() -> impl Generator<Value = Happening> {
    prop_oneof![
        8 => Just(Happening::Ready),
        8 => exit().prop_map(Happening::Exit),
        1 => (exit(), prop_oneof![Just(-1), Just(1)]).prop_map(stale),
        2 => restart().prop_map(Happening::Add),
        2 => Just(Happening::Terminate),
        2 => Just(Happening::Restart),
        1 => Just(Happening::Delete),
        4 => Just(Happening::Replace),
        4 => prop::bool::weighted(0.1).prop_map(Happening::HandOver),
        1 => (0_u32..9, 1_u64..2000).prop_map(|(restarts, ms)| Happening::Configure(restarts, ms)),
        1 => (0_u64..400).prop_map(Happening::ConfigureChild),
        4 => (0_u64..700).prop_map(Happening::Pass),
        4 => Just(Happening::Due),
        3 => Just(Happening::Settle),
    ]
}

fn any_rules() -> impl Generator<Value = Rules> {
    let strategy =
        prop_oneof![Just(Strategy::OneForOne), Just(Strategy::OneForAll), Just(Strategy::RestForOne)];
    let backoff = prop_oneof![
        Just(Backoff::none()),
        Just(constant(MS * 40)),
        Just(Backoff::exponential(MS * 10, SECOND).jitter(0.5)),
    ];
    let auto_shutdown = prop_oneof![
        4 => Just(AutoShutdown::Never),
        1 => Just(AutoShutdown::AnySignificant),
        1 => Just(AutoShutdown::AllSignificant)
    ];
    (strategy, 0_u32..9, backoff, auto_shutdown, any::<u64>(), any::<bool>()).prop_map(
        |(strategy, max_restarts, backoff, auto_shutdown, seed, is_dynamic)| {
            let kind = if is_dynamic { dynamic(Some(5)) } else { rules(strategy) };
            Rules { max_restarts, period: SECOND, backoff, auto_shutdown, seed, ..kind }
        },
    )
}

fn kind(restart: Restart, key: Key) -> ChildRules {
    let nested = key.is_multiple_of(4);
    let mut rules = child(restart);
    rules.grace = rules.grace.filter(|_| !nested);
    // A nested supervisor bounds itself.
    rules.on_hang = if nested { OnHang::Abandon } else { on_hang(key) };
    rules.significant = restart != Restart::Permanent && key.is_multiple_of(2);
    rules.backoff = key.is_multiple_of(5).then(|| constant(MS * 90));
    rules
}

fn on_hang(key: Key) -> OnHang {
    match key % 3 {
        0 => OnHang::Wait,
        1 => OnHang::Abandon,
        _ => OnHang::AbortProcess,
    }
}

fn happen(world: &mut World, key: Key, happening: Happening) {
    match happening {
        Happening::Ready => world.ready(key),
        Happening::Exit(exit) => world.exit(key, exit),
        Happening::Stale(exit, by) => {
            let epoch = world.epoch(key).saturating_add_signed(by);
            world.step(Event::Exited { key, epoch, exit });
            assert!(world.actions.iter().all(|action| !matches!(action, Action::Restarting { .. })));
        }
        Happening::Add(restart) => _ = world.add(kind(restart, key)),
        Happening::Terminate => _ = world.terminate(key),
        Happening::Restart => _ = world.restart(key),
        Happening::Delete => _ = world.delete(key),
        Happening::Replace => _ = world.replace(key),
        Happening::HandOver(unasked) => {
            if unasked || world.may_hand_over(key) {
                world.hand_over(key);
            }
        }
        Happening::Configure(restarts, ms) => {
            let period = Duration::from_millis(ms);
            let settings = SupervisorSettings::new().intensity(restarts, period).shutdown(period);
            world.configure(settings.max_children(usize::try_from(restarts).unwrap_or(0)));
        }
        Happening::ConfigureChild(ms) => {
            let time = Duration::from_millis(ms);
            world.configure_child(
                key,
                ChildRules { init: time * 2, grace: Some(time), backoff: None, ..child(Restart::Permanent) },
            );
        }
        Happening::Pass(ms) => world.pass(MS * u32::try_from(ms).unwrap_or(0)),
        Happening::Due => _ = world.pass_to_deadline(),
        Happening::Settle => _ = world.settle(),
        Happening::Hurry(ms) => _ = world.stop(Some(world.now + Duration::from_millis(ms))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_books_agree(
        rules in any_rules(),
        kinds in prop::collection::vec(restart(), 0..6),
        early in prop::collection::vec((1_u64..8, happening()), 0..4),
        events in prop::collection::vec((1_u64..9, happening()), 0..120),
        stop in prop::option::of(0_u64..2000),
        late in prop::collection::vec((1_u64..9, late()), 0..12),
    ) {
        let mut world = World::new(rules);
        for (key, restart) in (1..).zip(kinds) {
            world.add_static(kind(restart, key));
        }
        for (key, event) in early {
            happen(&mut world, key, event);
        }
        world.begin();
        for (key, event) in events {
            happen(&mut world, key, event);
        }
        world.stop(stop.map(|ms| world.now + Duration::from_millis(ms)));
        for (key, event) in late {
            happen(&mut world, key, event);
        }
        world.end();
    }
}
