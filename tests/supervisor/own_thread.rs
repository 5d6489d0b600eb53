//! No code of the user's on the supervisor's thread.

use super::*;

#[test]
fn no_code_of_the_users_runs_on_the_supervisors_thread() {
    let journal = Journal::new();
    let threads: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&threads);
    let note = move || {
        let name = std::thread::current().name().unwrap_or("?").to_owned();
        noted.lock().expect("no panic").push(name);
    };
    let (in_factory, in_letter, in_drop) = (note.clone(), note.clone(), note.clone());
    let own = journal.clone();
    let spec = child("a", move || {
        in_factory();
        let in_drop = in_drop.clone();
        Bot::new("a", &own).on_drop(move |_| in_drop())
    });
    let spec = spec.on_dead_letter(move |_| in_letter());
    let handle = spec.handle();
    let hook = note.clone();
    let app = Supervisor::new("app").intensity(1, SECOND * 60).on_event(move |_| hook()).child(spec);
    let sup = app.start().expect("starts");
    handle.cast(boom()).expect("accepted");
    handle.call(Msg::Total).expect("answered");
    let go_on = occupy(&handle);
    handle.cast(boom()).expect("accepted");
    handle.cast(Msg::Add(1)).expect("accepted");
    go_on.open();
    sup.wait(LONG).expect("it gives up");
    drop(sup);
    let threads = threads.lock().expect("no panic").clone();
    assert!(!threads.is_empty());
    assert!(threads.iter().all(|name| name != "app"), "{threads:?}");
}

#[test]
fn a_temporary_static_child_lives_again_with_its_supervisor() {
    let journal = Journal::new();
    let (once, other) = (bot("once", &journal).restart(Restart::Temporary), bot("other", &journal));
    let (handle, fails) = (once.handle(), other.handle());
    let nested = Supervisor::new("nested").intensity(0, SECOND).child(once).child(other);
    let sup = patient("app").supervisor(nested).start().expect("starts");
    fails.cast(boom()).expect("accepted");
    journal.wait_line("once init 2");
    assert_eq!(handle.call(Msg::Epoch).expect("answered"), 2);
    assert!(sup.shutdown(LONG).is_clean());
}
