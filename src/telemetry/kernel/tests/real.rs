//! Trees that run.

use std::convert::Infallible;
use std::sync::mpsc;

use super::*;
use crate::service::context::Context;
use crate::service::handle::Handle;
use crate::service::mailbox::Overflow;
use crate::service::service::{Next, Service};
use crate::supervisor::owner::SupervisorHandle;
use crate::supervisor::spec::{ChildSpec, child};
use crate::supervisor::supervisor::Supervisor;
use crate::sync::ManualClock;
use crate::testing::{Crasher, Events, Hang, Latch, Order};

const LONG: Duration = Duration::from_secs(15);

fn start(clock: Clock, spec: ChildSpec<Crasher>) -> (SupervisorHandle, Handle<Order>, KernelCollector) {
    let handle = spec.handle();
    let app = Supervisor::new("app").intensity(100, SECOND).clock(clock).child(spec).start().expect("starts");
    let collector = KernelCollector::new(app.reference());
    (app, handle, collector)
}

fn crash(handle: &Handle<Order>, epoch: u64) {
    handle.call(|reply| Order::With(reply, Box::new(Order::Panic))).expect_err("it crashes");
    assert_eq!(handle.call_timeout(LONG, Order::Epoch).ok(), Some(epoch), "it is back");
}

/// Has it hang in its handler.
fn hang(handle: &Handle<Order>) -> Hang {
    let hang = Hang::new();
    handle.cast(Order::Hang(hang.clone())).expect("sent");
    hang.wait_until_hung(LONG).expect("it hangs");
    hang
}

fn hang_for(handle: &Handle<Order>, hand: &ManualClock, time: Duration) {
    let hang = hang(handle);
    hand.advance(time);
    hang.let_go();
    handle.call_timeout(Duration::MAX, Order::Epoch).expect("it goes on");
}

#[test]
fn a_crash_is_one_restart() {
    let (_app, handle, mut collector) = start(Clock::system(), Crasher::new().child("a"));
    assert_eq!(Shown::by(&mut collector).service("app/a", "restarts"), Some(0.0));
    crash(&handle, 2);
    let shown = Shown::by(&mut collector);
    assert_eq!(shown.service("app/a", "restarts"), Some(1.0));
    assert_eq!(
        (shown.supervisor("app", "recent_restarts"), shown.supervisor("app", "intensity")),
        (Some(1.0), Some(100.0))
    );
}

#[test]
fn messages_that_a_full_mailbox_did_not_take_are_counted_by_reason() {
    let spec = Crasher::new().child("a").capacity(2).overflow(Overflow::DropNewest);
    let (_app, handle, mut collector) = start(Clock::system(), spec);
    let hang = hang(&handle);
    for _ in 0..5 {
        handle.cast(Order::Stop).expect("taken or shed");
    }
    let shown = Shown::by(&mut collector);
    assert_eq!(
        (shown.drops("app/a", "shed_newest"), shown.drops("app/a", "rejected")),
        (Some(3.0), Some(0.0))
    );
    let mailbox =
        ["depth", "capacity", "high_water"].map(|name| shown.service("app/a", &format!("mailbox.{name}")));
    assert_eq!(mailbox, [Some(2.0); 3]);
    assert_eq!(shown.state("app/a").as_deref(), Some("processing"));
    hang.let_go();
}

#[test]
fn a_child_that_hangs_at_its_end_is_a_zombie() {
    let (app, handle, mut collector) = start(Clock::system(), Crasher::new().child("a").shutdown(MS));
    let hang = hang(&handle);
    app.terminate_child("a").expect("it is abandoned");
    let shown = Shown::by(&mut collector);
    assert_eq!((shown.tree("zombies"), shown.supervisor("app", "abandoned")), (Some(1.0), Some(1.0)));
    assert_ne!(shown.state("app/a").as_deref(), Some("processing"), "its successor is down");
    hang.let_go();
}

#[test]
fn a_message_that_takes_three_seconds_has_that_latency() {
    let (clock, hand) = Clock::manual();
    let (_app, handle, mut collector) = start(clock, Crasher::new().child("a"));
    handle.call_timeout(Duration::MAX, Order::Epoch).expect("answered");
    Shown::by(&mut collector);
    let held = hang(&handle);
    hand.advance(3 * SECOND);
    let shown = Shown::by(&mut collector);
    assert_eq!(
        (shown.service("app/a", "message.running"), shown.service("app/a", "busy")),
        (Some(3.0), Some(1.0))
    );
    held.let_go();
    handle.call_timeout(Duration::MAX, Order::Epoch).expect("answered");
    handle.sys().suspend().expect("it lives"); // so that what it handled is told
    let shown = Shown::by(&mut collector);
    let latency = shown.service("app/a", "message.latency").expect("it handled some");
    // The long one and at most three quick ones, of which some may have been told before.
    assert!([3.0, 1.5, 1.0].iter().any(|mean| (latency - mean).abs() < 1e-6), "{latency}");
    assert_eq!(shown.service("app/a", "message.running"), Some(0.0));
    assert_eq!(shown.state("app/a").as_deref(), Some("suspended"));
}

#[test]
fn totals_do_not_fall_when_the_child_is_restarted_and_replaced() {
    let (clock, hand) = Clock::manual();
    let (app, handle, mut collector) = start(clock, Crasher::new().child("a"));
    let mut last = [0.0; 2];
    for epoch in 2..6 {
        hang_for(&handle, &hand, SECOND);
        handle.call(|reply| Order::With(reply, Box::new(Order::Panic))).expect_err("it crashes");
        assert_eq!(handle.call_timeout(Duration::MAX, Order::Epoch).ok(), Some(epoch));
        let shown = Shown::by(&mut collector);
        let now = ["restarts", "handled"].map(|name| shown.service("app/a", name).expect("it is there"));
        assert!(now[0] == last[0] + 1.0 && now[1] >= last[1], "{now:?} after {last:?}");
        last = now;
    }
    app.terminate_child("a").expect("it ends");
    let shown = Shown::by(&mut collector);
    assert_eq!(
        (shown.state("app/a").as_deref(), shown.service("app/a", "restarts")),
        (Some("stopped"), Some(last[0]))
    );
    assert_eq!(shown.service("app/a", "uptime"), Some(0.0));
    app.restart_child("a").expect("it starts");
    let shown = Shown::by(&mut collector);
    assert!(
        shown.service("app/a", "restarts") >= Some(last[0])
            && shown.service("app/a", "handled") >= Some(last[1])
    );
    app.terminate_child("a").expect("it ends");
    app.delete_child("a").expect("it is stopped");
    assert_eq!(Shown::by(&mut collector).series_of("app/a"), 0);
}

#[test]
fn restarts_below_a_supervisor_go_on_after_its_own_restart() {
    let events = Events::new();
    let spec = Crasher::new().child("a");
    let handle = spec.handle();
    let net = Supervisor::new("net").intensity(1, LONG).child(spec);
    let app = Supervisor::new("app").intensity(9, LONG).on_event(events.hook()).supervisor(net);
    let app = app.start().expect("starts");
    let mut collector = KernelCollector::new(app.reference());
    crash(&handle, 2);
    let before = Shown::by(&mut collector).service("app/net/a", "restarts");
    assert_eq!(before, Some(1.0));
    handle.call(|reply| Order::With(reply, Box::new(Order::Panic))).expect_err("it crashes");
    let later = handle.call_timeout(LONG, Order::Epoch).expect("it is back, with `net`");
    assert!(later >= 3, "{later}");
    let shown = Shown::by(&mut collector);
    assert!(shown.service("app/net/a", "restarts") >= before, "{:?}", shown.service("app/net/a", "restarts"));
    assert_eq!(shown.supervisor("app/net", "restarts"), Some(1.0));
}

#[test]
fn a_tree_that_is_down_is_told_to_be() {
    let (app, _handle, mut collector) = start(Clock::system(), Crasher::new().child("a"));
    assert_eq!(Shown::by(&mut collector).tree("up"), Some(1.0));
    app.shutdown(LONG);
    let shown = Shown::by(&mut collector);
    assert_eq!((shown.tree("up"), shown.0.families.len()), (Some(0.0), 1));
}

#[test]
fn more_services_than_have_a_place_are_summed_up() {
    let app = (0..5).fold(Supervisor::new("app"), |app, n| app.child(Crasher::new().child(format!("a{n}"))));
    let app = app.start().expect("starts");
    let mut collector = KernelCollector::new(app.reference()).max_services(2);
    let shown = Shown::by(&mut collector);
    let capacity = shown.service("app/a1", "mailbox.capacity").expect("it has a place");
    assert_eq!((shown.series_of("app/a2"), shown.tree("summed")), (0, Some(3.0)));
    assert_eq!(shown.summed("service.mailbox.capacity"), Some(3.0 * capacity));
}

/// Looks at its own tree, once it is let go.
struct Late(KernelCollector);

impl Service for Late {
    type Msg = (Latch, Latch, mpsc::Sender<usize>);
    type Error = Infallible;

    fn handle(
        &mut self,
        (inside, release, told): Self::Msg,
        _: &mut Context<Self>,
    ) -> Result<Next, Infallible> {
        inside.open();
        release.wait(LONG).expect("it is let go");
        let mut sheet = Sheet::default();
        self.0.collect(&mut sheet);
        told.send(sheet.into_families().len()).expect("somebody listens");
        Ok(Next::Continue)
    }
}

#[test]
fn one_that_was_abandoned_does_not_tell_that_the_tree_is_down() {
    let app = Supervisor::new("app");
    let tree = app.reference();
    let spec = child("late", move || Late(KernelCollector::new(tree.clone()))).shutdown(MS);
    let handle = spec.handle();
    let app = app.child(spec).start().expect("starts");
    let (inside, release, (told, listener)) = (Latch::new(), Latch::new(), mpsc::channel());
    handle.cast((inside.clone(), release.clone(), told)).expect("sent");
    inside.wait(LONG).expect("it is in its handler");
    app.terminate_child("late").expect("it is abandoned");
    release.open();
    assert_eq!(listener.recv_timeout(LONG), Ok(0), "it knows nothing");
}
