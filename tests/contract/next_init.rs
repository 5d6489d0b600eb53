//! The next init starts.

use super::*;

#[test]
fn next_init_starts_only_after_terminate_ended_and_the_thread_was_joined() {
    let journal = Journal::new();
    let noted = journal.clone();
    let spec = underpin::child("a", move || {
        noted.note("factory");
        AT_THREAD_END.with(|end| *end.borrow_mut() = Some(AtThreadEnd(noted.clone())));
        Bot::new("a", &noted)
    });
    let handle = spec.handle();
    let sup = patient("app").child(spec).start().expect("starts");
    let ends: [fn() -> Msg; 3] = [|| fail(ErrorKind::Permanent), boom, quit];
    let heads = [Some("a terminate: failed: failed as told"), None, Some("a terminate: stopped normally")];
    for (life, (end, head)) in (1_u64..).zip(ends.into_iter().zip(heads)) {
        journal.clear();
        handle.cast(end()).expect("accepted");
        assert_eq!(handle.call(Msg::Epoch).expect("answered"), life + 1);
        let next = format!("a init {}", life + 1);
        let expected: Vec<&str> =
            head.into_iter().chain(["a drop", "thread gone", "factory", next.as_str()]).collect();
        assert_eq!(journal.all(), expected);
    }
    drop(sup);
}

#[test]
fn next_init_starts_when_the_previous_incarnation_was_abandoned() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let (front, spec) = (bot("front", &journal), bot("a", &journal).shutdown(SECOND));
    let (crasher, handle) = (front.handle(), spec.handle());
    let app = patient("app").strategy(Strategy::OneForAll).clock(clock).on_event(events.hook());
    let sup = app.child(front).child(spec).start().expect("starts");
    let (asked, release) = hang(&handle);
    crasher.cast(boom()).expect("accepted");
    asked.wait();
    hand.advance(SECOND - NS);
    assert_eq!(sup.count_children().specs, 2, "answered in between");
    assert!(!journal.has("a init 2"));
    hand.advance(NS);
    assert_eq!(handle.call(Msg::Epoch).expect("answered by the successor"), 2);
    assert_eq!(crasher.call(Msg::Epoch).expect("answered"), 2);
    release.open();
    drop(sup);
    let gone =
        |event: &_| matches!(event, SupervisionEvent::Abandoned { child, epoch: 1, .. } if &**child == "a");
    assert_eq!(events.count(gone), 1);
}
