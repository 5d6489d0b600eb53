//! Drop of handles.

use super::*;

#[test]
fn drop_of_the_last_handle_never_stops_a_service() {
    let journal = Journal::new();
    let spec = bot_with("a", &journal, |bot| {
        bot.on_init(|_, cx| {
            cx.send_after(Duration::ZERO, Msg::Add(1));
            Ok(underpin::Init::Ready)
        })
    });
    drop(spec.handle());
    let sup = Supervisor::new("app").child(spec.registered()).start().expect("starts");
    drop(sup.registry().find::<Msg>("a").expect("it is there"));
    journal.wait_line("a add 1");
    assert_eq!(sup.count_children().active, 1);
    assert!(!journal.has("a drop"));
    drop(sup);
    assert!(journal.has("a terminate: was shut down"));
}

#[test]
fn drop_of_the_supervisors_handle_stops_the_tree_in_order() {
    let journal = Journal::new();
    let nested = Supervisor::new("nested").child(bot("b", &journal)).child(bot("c", &journal));
    let sup = Supervisor::new("app")
        .child(bot("a", &journal))
        .supervisor(nested)
        .child(bot("d", &journal))
        .start()
        .expect("starts");
    journal.clear();
    let reference = sup.reference();
    drop(sup);
    let lines = journal.all();
    let expected: Vec<String> = ["d", "c", "b", "a"]
        .into_iter()
        .flat_map(|name| [format!("{name} terminate: was shut down"), format!("{name} drop")])
        .collect();
    assert_eq!(lines, expected);
    assert!(reference.which_children().is_empty());
    assert_eq!(reference.status().state, Lifecycle::Stopped);
}

#[test]
fn drop_of_the_supervisors_handle_has_a_deadline() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let spec = bot("a", &journal).shutdown(SECOND * 1000);
    let handle = spec.handle();
    let app = Supervisor::new("app").clock(clock).on_event(events.hook()).shutdown_timeout(SECOND * 7);
    let sup = app.child(spec).start().expect("starts");
    let (asked, release) = hang(&handle);
    let dropping = aside(move || drop(sup));
    asked.wait();
    hand.advance(SECOND * 7 - NS);
    assert!(!dropping.is_done());
    hand.advance(NS);
    dropping.done();
    let abandoned = |event: &_| matches!(event, SupervisionEvent::Abandoned { .. });
    assert_eq!(events.count(abandoned), 1);
    release.open();
    journal.wait_line("a drop");
}

#[test]
fn drop_of_a_reference_or_of_a_clone_stops_nothing() {
    let journal = Journal::new();
    let sup = Supervisor::new("app").child(bot("a", &journal)).start().expect("starts");
    let reference = sup.reference();
    drop(reference.clone());
    drop(reference);
    assert_eq!(sup.count_children().active, 1);
    drop(sup);
}
