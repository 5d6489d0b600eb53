//! Who did not stop.

use super::*;

fn running(handle: &Handle<Msg>) {
    handle.call(Msg::Epoch).expect("it runs");
}

/// In its handler, from before it is asked to stop.
fn in_handler(handle: &Handle<Msg>, pause: &Pause) {
    let (inside, pause) = (Latch::new(), pause.clone());
    let tell = inside.clone();
    let sent = handle.cast(act(move |_, cx| {
        tell.open();
        eventually("asked to stop", || cx.is_stopping());
        pause.here();
        Ok(Next::Continue)
    }));
    sent.expect("accepted");
    inside.wait();
}

#[test]
fn unstopped_names_the_thread_as_the_thread_itself_does() {
    let pause = Pause::new();
    let seen: Arc<Mutex<Option<ThreadId>>> = Arc::default();
    let note = Arc::clone(&seen);
    let one = unstopped(
        &pause,
        |handle| in_handler(handle, &pause),
        move |bot, _| {
            *note.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current().id());
            bot
        },
    );
    let id = seen.lock().unwrap_or_else(PoisonError::into_inner).expect("it ran");
    assert_eq!((&*one.thread, one.thread_id), ("a", Some(id)));
    assert_eq!((&*one.supervisor, &*one.child, one.epoch), ("app", "a", 1));
    let text = one.to_string();
    assert!(text.starts_with("app/a is still processing: "), "{text}");
    assert!(text.ends_with(&format!("incarnation 1, thread `a` {id:?}")), "{text}");
}

#[test]
fn unstopped_label_is_the_message_in_its_handler() {
    let pause = Pause::new();
    let one = unstopped(&pause, |handle| in_handler(handle, &pause), |bot, _| bot);
    assert_eq!((one.label, one.busy), (Some("Do"), Some(SECOND * 3)));
    assert!(one.to_string().starts_with("app/a is still processing: `Do` for 3.0s, "), "{one}");
}

#[test]
fn unstopped_label_is_init_in_a_start() {
    let pause = Pause::new();
    let one = unstopped(
        &pause,
        |_| (),
        |bot, pause| {
            bot.on_init(move |_, cx| {
                eventually("asked to stop", || cx.is_stopping());
                pause.here();
                Ok(Init::Ready)
            })
        },
    );
    assert_eq!((one.label, one.busy), (Some("init"), Some(SECOND * 3)));
}

#[test]
fn unstopped_label_is_terminate_in_its_terminate() {
    let pause = Pause::new();
    let one = unstopped(&pause, running, |bot, pause| bot.on_terminate(move |_, _| pause.here()));
    assert_eq!((one.label, one.busy), (Some("terminate"), Some(SECOND * 3)));
}

#[test]
fn unstopped_label_is_drop_in_the_drop_of_its_state() {
    let pause = Pause::new();
    let one = unstopped(&pause, running, |bot, pause| bot.on_drop(move |_| pause.here()));
    assert_eq!((one.label, one.busy), (Some("drop"), Some(SECOND * 3)));
}

#[test]
fn events_label_what_hangs() {
    let (clock, hand) = Clock::manual();
    let (journal, events) = (Journal::new(), Events::new());
    let (a, b) = (bot("a", &journal).shutdown(SECOND), bot("b", &journal).shutdown(SECOND));
    let b = b.on_hang(OnHang::Wait);
    let (plain, patient) = (a.handle(), b.handle());
    let app = Supervisor::new("app").clock(clock).on_event(events.hook());
    let sup = app.child(a).child(b).start().expect("starts");
    let release = abandon(&sup, &hand, &plain);
    let (asked, release_b) = hang(&patient);
    let reference = sup.reference();
    let terminating = aside(move || reference.terminate_child("b"));
    asked.wait();
    hand.advance(SECOND);
    let told = events.wait(is_overdue);
    assert!(matches!(told, SupervisionEvent::Overdue { label: Some("Do"), .. }), "{told:?}");
    let told = events.wait(is_abandoned);
    let SupervisionEvent::Abandoned { why, label, busy, .. } = told else {
        unreachable!("one was waited for")
    };
    assert_eq!((why, label, busy), (Hung::Grace, Some("Do"), Some(SECOND)));
    release.open();
    release_b.open();
    terminating.done().expect("terminated");
    drop(sup);
}

#[test]
fn unstopped_names_the_thread_of_a_hook_that_hangs() {
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let seen: Arc<Mutex<Option<ThreadId>>> = Arc::default();
    let note = Arc::clone(&seen);
    let app = Supervisor::new("app").on_event(move |_| {
        *note.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current().id());
        tell.open();
        held.wait();
    });
    let sup = app.start().expect("starts");
    inside.wait();
    let report = sup.shutdown(Duration::ZERO);
    assert_eq!(report.unstopped.len(), 1, "{report}");
    let (one, id) = (&report.unstopped[0], *seen.lock().unwrap_or_else(PoisonError::into_inner));
    assert_eq!((&*one.thread, one.thread_id, one.epoch), ("app:events", id, 0));
    let id = id.expect("it ran");
    assert_eq!(one.to_string(), format!("/app:events is still processing: thread `app:events` {id:?}"));
    release.open();
}
