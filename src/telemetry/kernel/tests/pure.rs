//! Trees made by hand.

use std::collections::HashMap;

use proptest::prelude::{prop, prop_assert_eq, proptest};
use proptest::strategy::Strategy as Values;

use super::*;

fn node(path: &str, kind: ChildKind) -> NodeInfo {
    NodeInfo {
        path: path.into(),
        name: path.rsplit('/').next().unwrap_or_default().into(),
        kind,
        restart: Restart::Permanent,
        state: Lifecycle::Running,
        epoch: 1,
        uptime: Duration::ZERO,
        restarts: 0,
        last_exit: None,
        mailbox: MailboxInfo { queued: 0, capacity: 8, high_water: 0 },
        handled: 0,
        drops: Drops::default(),
        busy: Duration::ZERO,
        current: None,
        waits_for: None,
        supervisor: None,
        children: Vec::new(),
    }
}

fn service(path: &str) -> NodeInfo {
    node(path, ChildKind::Worker)
}

fn supervisor(path: &str, abandoned: usize, children: Vec<NodeInfo>) -> NodeInfo {
    let (strategy, period) = (Strategy::OneForOne, 5 * SECOND);
    let own = SupervisorInfo { strategy, intensity: 3, period, recent: 2, abandoned };
    NodeInfo { supervisor: Some(own), children, ..node(path, ChildKind::Supervisor) }
}

fn app(children: Vec<NodeInfo>) -> NodeInfo {
    supervisor("app", 0, children)
}

fn look(before: &mut Previous, tree: &NodeInfo) -> Shown {
    look_at(before, tree, 1_000)
}

fn look_at(before: &mut Previous, tree: &NodeInfo, most: usize) -> Shown {
    let mut sheet = Sheet::default();
    kernel_sheet("app", tree, before, most, &mut sheet);
    Shown::of(sheet)
}

/// Its life so far: seconds up, seconds busy, seconds of these with the present message, messages.
fn lived(up: u32, busy: u32, running: u32, handled: u64) -> NodeInfo {
    let current = (running > 0).then_some(Current { label: "m", busy: running * SECOND, exact: true });
    NodeInfo { uptime: up * SECOND, busy: busy * SECOND, current, handled, ..service("app/a") }
}

fn queued(node: NodeInfo, queued: usize) -> NodeInfo {
    NodeInfo { mailbox: MailboxInfo { queued, capacity: 100, high_water: queued }, ..node }
}

#[test]
fn every_name_is_one_that_may_be_exported() {
    for descriptor in &super::super::names::ALL {
        assert_eq!(descriptor.check(), Ok(()));
        assert!(!descriptor.help_text().is_empty() && descriptor.name().starts_with("underpin."));
    }
}

#[test]
fn all_figures_of_a_service_stand_under_its_path() {
    let drops =
        Drops { stopped: 1, cleared: 2, shed_newest: 3, shed_oldest: 4, calls: 5, rejected: 6, timed_out: 7 };
    let a = NodeInfo { drops, restarts: 9, state: Lifecycle::Processing, ..queued(lived(10, 5, 1, 2), 3) };
    let shown = look(&mut Previous::default(), &app(vec![a]));
    let expected = [
        ("restarts", 9.0),
        ("handled", 2.0),
        ("mailbox.depth", 3.0),
        ("mailbox.capacity", 100.0),
        ("mailbox.high_water", 3.0),
        ("mailbox.wait", 6.0),
        ("message.latency", 2.0),
        ("message.running", 1.0),
        ("busy", 0.5),
        ("uptime", 10.0),
    ];
    for (name, value) in expected {
        assert_eq!(shown.service("app/a", name), Some(value), "{name}");
    }
    let reasons = ["stopped", "cleared", "shed_newest", "shed_oldest", "calls", "rejected", "timed_out"];
    for (value, reason) in (1_u32..).zip(reasons) {
        assert_eq!(shown.drops("app/a", reason), Some(f64::from(value)), "{reason}");
    }
    assert_eq!(shown.state("app/a").as_deref(), Some("processing"));
    assert_eq!(shown.series_of("app/a"), expected.len() + reasons.len() + 1, "and no others");
}

#[test]
fn a_tree_counts_its_services_by_state_and_its_zombies() {
    let b = NodeInfo { state: Lifecycle::Failed, ..service("app/b") };
    let net = supervisor("app/net", 2, vec![service("app/net/c")]);
    let tree = supervisor("app", 1, vec![service("app/a"), b, net]);
    let shown = look(&mut Previous::default(), &tree);
    let count = |state| shown.value("tree.services", &[("tree", "app"), ("state", state)]);
    assert_eq!((count("running"), count("failed"), count("stopped")), (Some(2.0), Some(1.0), Some(0.0)));
    assert_eq!(
        (shown.tree("zombies"), shown.tree("up"), shown.tree("summed")),
        (Some(3.0), Some(1.0), Some(0.0))
    );
    let own = ["up", "restarts", "recent_restarts", "intensity", "abandoned", "uptime"];
    let own = own.map(|name| shown.supervisor("app/net", name));
    assert_eq!(own, [1.0, 0.0, 2.0, 3.0, 2.0, 0.0].map(Some));
}

#[test]
fn latency_and_busy_ratio_are_of_the_time_since_the_last_look() {
    let before = &mut Previous::default();
    look(before, &app(vec![lived(10, 10, 0, 100)]));
    let shown = look(before, &app(vec![lived(20, 12, 0, 104)]));
    assert_eq!(shown.service("app/a", "message.latency"), Some(0.5));
    assert_eq!(shown.service("app/a", "busy"), Some(0.2));
    let shown = look(before, &app(vec![lived(30, 12, 0, 104)]));
    assert_eq!(shown.service("app/a", "message.latency"), None, "no message, no mean");
    assert_eq!(shown.service("app/a", "busy"), Some(0.0));
}

/// However often is looked while it runs.
#[test]
fn a_long_message_counts_whole_once_it_is_done() {
    let before = &mut Previous::default();
    look(before, &app(vec![lived(1, 1, 0, 1)]));
    for second in 1..=9 {
        let shown = look(before, &app(vec![lived(1 + second, 1 + second, second, 1)]));
        assert_eq!(shown.service("app/a", "message.latency"), None);
        assert_eq!(shown.service("app/a", "busy"), Some(1.0));
        assert_eq!(shown.service("app/a", "message.running"), Some(f64::from(second)));
    }
    let shown = look(before, &app(vec![lived(11, 11, 0, 2)]));
    assert_eq!(shown.service("app/a", "message.latency"), Some(10.0));
}

#[test]
fn a_new_incarnation_is_no_part_of_the_old_ones_means() {
    let before = &mut Previous::default();
    look(before, &app(vec![lived(100, 90, 0, 100)]));
    let second = NodeInfo { epoch: 2, restarts: 1, ..lived(4, 1, 0, 150) };
    let shown = look(before, &app(vec![second]));
    assert_eq!(shown.service("app/a", "message.latency"), None, "50 messages, of which life?");
    assert_eq!(shown.service("app/a", "busy"), Some(0.25));
    assert_eq!(shown.service("app/a", "handled"), Some(150.0));
    let second = NodeInfo { epoch: 2, restarts: 1, ..lived(8, 3, 0, 152) };
    let shown = look(before, &app(vec![second]));
    assert_eq!(
        (shown.service("app/a", "message.latency"), shown.service("app/a", "busy")),
        (Some(1.0), Some(0.5))
    );
}

#[test]
fn the_wait_is_the_queue_times_the_mean_or_the_time_that_one_is_stuck_for() {
    let before = &mut Previous::default();
    let wait = |shown: Shown| shown.service("app/a", "mailbox.wait");
    assert_eq!(wait(look(before, &app(vec![queued(lived(1, 0, 0, 0), 3)]))), None, "nobody knows");
    assert_eq!(wait(look(before, &app(vec![queued(lived(1, 0, 0, 0), 0)]))), Some(0.0));
    assert_eq!(wait(look(before, &app(vec![queued(lived(5, 4, 0, 2), 3)]))), Some(6.0));
    assert_eq!(wait(look(before, &app(vec![queued(lived(6, 5, 1, 2), 3)]))), Some(6.0), "as before");
    assert_eq!(wait(look(before, &app(vec![queued(lived(15, 14, 10, 2), 3)]))), Some(30.0), "stuck");
    let most = look(before, &app(vec![queued(lived(16, 15, 11, 2), usize::MAX)]));
    assert!(wait(most).is_some_and(f64::is_finite));
}

#[test]
fn a_state_that_is_left_has_no_series_any_more() {
    let before = &mut Previous::default();
    assert_eq!(look(before, &app(vec![service("app/a")])).state("app/a").as_deref(), Some("running"));
    let down = NodeInfo { state: Lifecycle::Restarting, ..service("app/a") };
    assert_eq!(look(before, &app(vec![down])).state("app/a").as_deref(), Some("restarting"));
}

#[test]
fn totals_go_on_where_the_supervisor_was_restarted() {
    let before = &mut Previous::default();
    let a = |restarts| NodeInfo { restarts, ..service("app/net/a") };
    look(before, &app(vec![supervisor("app/net", 0, vec![a(3)])]));
    let down = NodeInfo { state: Lifecycle::Restarting, ..node("app/net", ChildKind::Supervisor) };
    let shown = look(before, &app(vec![down]));
    assert_eq!((shown.series_of("app/net/a"), shown.supervisor("app/net", "up")), (0, Some(0.0)));
    assert_eq!(shown.supervisor("app/net", "recent_restarts"), None, "it did not answer");
    let net = NodeInfo { restarts: 1, ..supervisor("app/net", 0, vec![a(1)]) };
    let shown = look(before, &app(vec![net]));
    assert_eq!(shown.service("app/net/a", "restarts"), Some(4.0));
    assert_eq!(shown.supervisor("app/net", "restarts"), Some(1.0));
}

#[test]
fn the_series_of_a_deleted_child_end_and_a_new_one_begins_at_zero() {
    let before = &mut Previous::default();
    let a = |restarts| NodeInfo { restarts, ..service("app/a") };
    assert_eq!(look(before, &app(vec![a(3)])).service("app/a", "restarts"), Some(3.0));
    assert_eq!(look(before, &app(vec![])).series_of("app/a"), 0);
    assert_eq!(look(before, &app(vec![a(1)])).service("app/a", "restarts"), Some(1.0));
}

#[test]
fn what_has_no_place_is_summed_up_and_its_totals_stay_when_it_is_gone() {
    let before = &mut Previous::default();
    let busy = |path: &str, handled: u32, queued| NodeInfo {
        handled: handled.into(),
        uptime: 4 * SECOND,
        busy: handled * SECOND,
        mailbox: MailboxInfo { queued, capacity: 10, high_water: queued },
        ..service(path)
    };
    let nested = |path: &str| supervisor(path, 1, vec![]);
    let tree = app(vec![
        busy("app/a", 1, 0),
        busy("app/b", 2, 5),
        busy("app/c", 4, 7),
        nested("app/n"),
        nested("app/m"),
    ]);
    let shown = look_at(before, &tree, 1);
    assert_eq!((shown.service("app/a", "handled"), shown.series_of("app/b")), (Some(1.0), 0));
    let expected = [
        ("service.handled", 6.0),
        ("service.mailbox.depth", 12.0),
        ("service.mailbox.capacity", 20.0),
        ("service.mailbox.high_water", 7.0),
        ("service.mailbox.wait", 7.0),
        ("service.message.latency", 1.0),
        ("service.busy", 0.75),
        ("supervisor.up", 2.0),
        ("supervisor.abandoned", 2.0),
        ("supervisor.recent_restarts", 4.0),
    ];
    for (name, value) in expected {
        assert_eq!(shown.summed(name), Some(value), "{name}");
    }
    assert_eq!(
        (shown.summed("service.uptime"), shown.tree("summed"), shown.tree("zombies")),
        (None, Some(4.0), Some(2.0))
    );
    let running = [("tree", "app"), ("overflow", "true"), ("state", "running")];
    assert_eq!(shown.value("service.state", &running), Some(2.0));

    let shown = look_at(before, &app(vec![busy("app/b", 3, 0)]), 1);
    assert_eq!((shown.summed("service.handled"), shown.series_of("app/b")), (Some(7.0), 0), "it stays there");
    let shown = look_at(before, &app(vec![busy("app/d", 9, 0)]), 1);
    assert_eq!(shown.service("app/d", "handled"), Some(9.0), "there is a place again");
    assert_eq!(
        (shown.summed("service.handled"), shown.summed("service.mailbox.depth")),
        (Some(7.0), Some(0.0))
    );
    assert_eq!(shown.tree("summed"), Some(0.0));
}

#[test]
fn figures_that_contradict_one_another_make_no_trouble() {
    let before = &mut Previous::default();
    look(before, &app(vec![lived(100, 90, 0, 100)]));
    let odd = NodeInfo { uptime: SECOND, ..lived(0, 5, 50, 7) };
    let shown = look(before, &app(vec![odd]));
    assert_eq!(
        (shown.service("app/a", "busy"), shown.service("app/a", "message.latency")),
        (Some(0.0), None)
    );
    assert_eq!(shown.service("app/a", "handled"), Some(107.0));
}

/// Whether each child is there at a look, and its total then.
fn lives() -> impl Values<Value = Vec<[Option<u64>; 4]>> {
    prop::collection::vec(prop::array::uniform4(prop::option::weighted(0.8, 0..9_u64)), 1..12)
}

proptest! {
    /// Against a reference that knows of each child all that it did.
    #[test]
    fn nothing_that_was_handled_is_lost_or_counted_twice(lives in lives(), most in 0..5_usize) {
        let before = &mut Previous::default();
        let (mut totals, mut summed) = (HashMap::new(), 0);
        let (mut alone, mut named) = (Vec::new(), Vec::new());
        for life in lives {
            let there: Vec<_> = (0..4).filter_map(|n| Some((format!("app/{n}"), life[n]?))).collect();
            let nodes = there.iter().map(|(path, handled)| NodeInfo { handled: *handled, ..service(path) });
            let shown = look_at(before, &app(nodes.collect()), most);
            for (path, handled) in &there {
                if !named.contains(path) {
                    named.push(path.clone());
                    if alone.len() < most {
                        alone.push(path.clone());
                    }
                }
                let (last, total) = totals.entry(path.clone()).or_insert((0, 0));
                let came = if *handled < *last { *handled } else { *handled - *last };
                (*last, *total) = (*handled, *total + came);
                if alone.contains(path) {
                    prop_assert_eq!(shown.service(path, "handled"), Some(*total as f64));
                } else {
                    summed += came;
                    prop_assert_eq!(shown.series_of(path), 0);
                }
            }
            prop_assert_eq!(shown.summed("service.handled").unwrap_or_default(), summed as f64);
            let is_there = |path: &String| there.iter().any(|(other, _)| other == path);
            totals.retain(|path, _| is_there(path));
            alone.retain(is_there);
            named.retain(is_there);
        }
    }
}
