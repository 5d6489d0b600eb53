//! Strategies.

use super::*;

#[test]
fn one_for_one_only_the_crashed_child_is_new() {
    let journal = Journal::new();
    let (app, handles) = with_bots(patient("app"), &["a", "b", "c"], &journal);
    let sup = app.start().expect("starts");
    handles["b"].cast(boom()).expect("accepted");
    assert_eq!(epochs(&handles, &["a", "b", "c"]), [1, 2, 1]);
    handles["c"].cast(boom()).expect("accepted");
    assert_eq!(epochs(&handles, &["a", "b", "c"]), [1, 2, 2]);
    assert_eq!(lines(&journal, "terminate").len(), 0);
    drop(sup);
}

#[test]
fn one_for_all_all_are_new_and_no_old_one_is_alive() {
    let journal = Journal::new();
    let (app, handles) = with_bots(patient("app").strategy(Strategy::OneForAll), &["a", "b", "c"], &journal);
    let sup = app.start().expect("starts");
    journal.clear();
    handles["b"].cast(boom()).expect("accepted");
    journal.wait_line("c init 2");
    assert_eq!(epochs(&handles, &["a", "b", "c"]), [2, 2, 2]);
    assert_eq!(
        journal.all(),
        [
            "b drop",
            "c terminate: was shut down",
            "c drop",
            "a terminate: was shut down",
            "a drop",
            "a init 2",
            "b init 2",
            "c init 2"
        ]
    );
    drop(sup);
}

#[test]
fn rest_for_one_those_before_stay_those_after_are_new() {
    let journal = Journal::new();
    let (app, handles) =
        with_bots(patient("app").strategy(Strategy::RestForOne), &["a", "b", "c", "d"], &journal);
    let sup = app.start().expect("starts");
    journal.clear();
    handles["b"].cast(boom()).expect("accepted");
    journal.wait_line("d init 2");
    assert_eq!(epochs(&handles, &["a", "b", "c", "d"]), [1, 2, 2, 2]);
    assert_eq!(
        journal.all(),
        [
            "b drop",
            "d terminate: was shut down",
            "d drop",
            "c terminate: was shut down",
            "c drop",
            "b init 2",
            "c init 2",
            "d init 2"
        ]
    );
    journal.clear();
    handles["d"].cast(boom()).expect("accepted");
    journal.wait_line("d init 3");
    assert_eq!(epochs(&handles, &["a", "b", "c", "d"]), [1, 2, 2, 3]);
    drop(sup);
}

#[test]
fn siblings_keep_their_mailboxes_over_a_restart_of_the_group() {
    let journal = Journal::new();
    let (app, handles) = with_bots(patient("app").strategy(Strategy::OneForAll), &["a", "b"], &journal);
    let sup = app.start().expect("starts");
    let (asked, release) = hang(&handles["b"]);
    handles["b"].cast(Msg::Add(3)).expect("accepted");
    let call = handles["b"].request(Msg::Total).expect("accepted");
    handles["a"].cast(boom()).expect("accepted");
    asked.wait();
    release.open();
    assert_eq!(call.wait().expect("answered by the next incarnation"), 3);
    assert_eq!(handles["b"].status().epoch, 2);
    assert_eq!(handles["b"].status().dead_letters, 0);
    drop(sup);
}

#[test]
fn one_for_all_an_init_that_fails_in_the_restart_stops_the_restarted_and_retries_all() {
    let journal = Journal::new();
    let (a, c) = (bot("a", &journal), bot("c", &journal));
    let (crasher, last) = (a.handle(), c.handle());
    let app = Supervisor::new("app").strategy(Strategy::OneForAll).intensity(2, SECOND * 60);
    let sup = app.child(a).child(flaky("b", &journal, |life| life == 2)).child(c).start().expect("starts");
    journal.clear();
    crasher.cast(boom()).expect("accepted");
    journal.wait_line("c init 2");
    assert_eq!(last.call(Msg::Epoch).expect("answered"), 2, "it was not started in the failed try");
    let starts_and_stops: Vec<_> = journal.all().into_iter().filter(|line| !line.contains("drop")).collect();
    assert_eq!(
        starts_and_stops,
        [
            "c terminate: was shut down",
            "b terminate: was shut down",
            "a init 2",
            "b init 2",
            "a terminate: was shut down",
            "a init 3",
            "b init 3",
            "c init 2"
        ]
    );
    drop(sup);
}

#[test]
fn rest_for_one_an_init_that_fails_in_the_restart_retries_from_there_on() {
    let journal = Journal::new();
    let (a, d) = (bot("a", &journal), bot("d", &journal));
    let (crasher, last) = (a.handle(), d.handle());
    let app = Supervisor::new("app").strategy(Strategy::RestForOne).intensity(2, SECOND * 60);
    let app = app.child(a).child(bot("b", &journal)).child(flaky("c", &journal, |life| life == 2)).child(d);
    let sup = app.start().expect("starts");
    journal.clear();
    crasher.cast(boom()).expect("accepted");
    journal.wait_line("d init 2");
    assert_eq!(last.call(Msg::Epoch).expect("answered"), 2);
    assert_eq!(lines(&journal, "init"), ["a init 2", "b init 2", "c init 2", "c init 3", "d init 2"]);
    drop(sup);
}

#[test]
fn temporary_bystanders_are_deleted_and_not_restarted() {
    let journal = Journal::new();
    let (a, b, c) = (bot("a", &journal), bot("b", &journal), bot("c", &journal));
    let (crasher, bystander, last) = (a.handle(), b.handle(), c.handle());
    let app = patient("app").strategy(Strategy::OneForAll);
    let sup = app.child(a).child(b.restart(Restart::Temporary)).child(c).start().expect("starts");
    crasher.cast(boom()).expect("accepted");
    journal.wait_line("c init 2");
    assert_eq!(last.call(Msg::Epoch).expect("answered"), 2);
    let down = bystander.wait_down(LONG).expect("gone for good");
    assert!(matches!(down.exit, Exit::Shutdown), "{}", down.exit);
    let names: Vec<_> = sup.which_children().into_iter().map(|info| info.name.to_string()).collect();
    assert_eq!(names, ["a", "c"]);
    assert_eq!(lines(&journal, "b init"), ["b init 1"]);
    drop(sup);
}

#[test]
fn children_that_are_down_for_good_stay_down_when_their_group_is_restarted() {
    let journal = Journal::new();
    let (app, handles) = with_bots(patient("app").strategy(Strategy::OneForAll), &["a", "b", "c"], &journal);
    let sup = app.start().expect("starts");
    sup.terminate_child("b").expect("terminated");
    handles["a"].cast(boom()).expect("accepted");
    journal.wait_line("c init 2");
    assert_eq!(epochs(&handles, &["a", "c"]), [2, 2]);
    assert_eq!(sup.count_children().stopped, 1);
    assert_eq!(lines(&journal, "b init"), ["b init 1"]);
    drop(sup);
}
