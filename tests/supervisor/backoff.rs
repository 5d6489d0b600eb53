//! Backoff.

use super::*;

#[test]
fn backoff_begins_at_min_doubles_is_capped_and_is_reset_after_being_up() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let backoff = Backoff::exponential(MS * 100, MS * 350).reset_after(SECOND * 10);
    let spec = bot("a", &journal).backoff(backoff);
    let handle = spec.handle();
    let sup = patient("app").clock(clock).on_event(events.hook()).child(spec).start().expect("starts");
    let crash_and_wait = |count: usize, delay: Duration| {
        handle.cast(boom()).expect("accepted");
        assert_eq!(events.restart_of("a", count), delay);
        let life = count as u64 + 1;
        hand.advance(delay - NS);
        assert_eq!(sup.count_children().restarting, 1, "not before its time");
        assert!(!journal.has(&format!("a init {life}")));
        hand.advance(NS);
        assert_eq!(handle.call(Msg::Epoch).expect("answered"), life);
        // It counts from when the supervisor has heard that it is ready.
        eventually("heard of", || sup.which_children()[0].state != Lifecycle::Initializing);
        sup.count_children();
    };
    crash_and_wait(1, MS * 100);
    crash_and_wait(2, MS * 200);
    crash_and_wait(3, MS * 350);
    hand.advance(SECOND * 10 - NS);
    crash_and_wait(4, MS * 350);
    hand.advance(SECOND * 10);
    crash_and_wait(5, MS * 100);
    drop(sup);
}

#[test]
fn backoff_of_the_supervisor_is_for_those_that_have_none_and_jitter_stays_in_bounds() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let jittery = Backoff::exponential(SECOND, SECOND * 8).jitter(0.5);
    let app = patient("app").clock(clock).on_event(events.hook()).backoff(jittery);
    let (app, handles) = with_bots(app, &["a"], &journal);
    let own = bot("own", &journal).backoff(Backoff::none());
    let own_handle = own.handle();
    let sup = app.child(own).start().expect("starts");
    let mut whole = SECOND;
    for count in 1..=6 {
        handles["a"].cast(boom()).expect("accepted");
        let delay = events.restart_of("a", count);
        assert!(delay >= whole / 2 && delay <= whole, "{delay:?} of {whole:?}");
        hand.advance(delay);
        assert_eq!(handles["a"].call(Msg::Epoch).expect("answered"), count as u64 + 1);
        sup.count_children();
        whole = (whole * 2).min(SECOND * 8);
    }
    own_handle.cast(boom()).expect("accepted");
    assert_eq!(own_handle.call(Msg::Epoch).expect("at once"), 2);
    assert_eq!(events.restart_of("own", 1), Duration::ZERO);
    drop(sup);
}

#[test]
fn backoff_mail_is_accepted_meanwhile_and_handled_after() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot("a", &journal).backoff(Backoff::exponential(SECOND, SECOND));
    let handle = spec.handle();
    let sup = patient("app").clock(clock).on_event(events.hook()).child(spec).start().expect("starts");
    handle.cast(boom()).expect("accepted");
    events.restart_of("a", 1);
    handle.cast(Msg::Add(4)).expect("accepted");
    let call = handle.request(Msg::Total).expect("accepted");
    assert_eq!((handle.status().queued, handle.status().state), (2, Lifecycle::Restarting));
    hand.advance(SECOND);
    assert_eq!(call.wait().expect("answered"), 4);
    drop(sup);
}

#[test]
fn backoff_of_a_group_and_of_a_nested_supervisor() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let slow = Backoff::exponential(SECOND, SECOND);
    let nested = Supervisor::new("nested").intensity(0, SECOND).restart_backoff(slow);
    let (nested, inner) = with_bots(nested, &["x"], &journal);
    let app = patient("app").strategy(Strategy::OneForAll).clock(clock).on_event(events.hook());
    let a = bot("a", &journal).backoff(slow);
    let crasher = a.handle();
    let sup = app.child(a).supervisor(nested).start().expect("starts");
    crasher.cast(boom()).expect("accepted");
    assert_eq!(events.restart_of("a", 1), SECOND);
    eventually("its group is down", || sup.count_children().restarting == 2);
    hand.advance(SECOND - NS);
    assert_eq!(sup.count_children().restarting, 2);
    hand.advance(NS);
    assert_eq!(inner["x"].call(Msg::Epoch).expect("answered"), 2);
    inner["x"].cast(boom()).expect("accepted");
    assert_eq!(events.restart_of("nested", 1), SECOND);
    eventually("its group is down", || sup.count_children().restarting == 2);
    hand.advance(SECOND);
    assert_eq!(inner["x"].call(Msg::Epoch).expect("answered"), 3);
    assert_eq!(crasher.call(Msg::Epoch).expect("answered"), 3);
    drop(sup);
}
