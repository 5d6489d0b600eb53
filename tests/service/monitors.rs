//! Monitors.

use super::*;

fn watch(watcher: &underpin::Handle<Msg>, target: &underpin::Handle<Msg>) {
    let target = target.clone();
    let set = watcher.call(ask(move |_, cx, reply| {
        cx.monitor(&target, Msg::Gone);
        reply.send(0);
        Ok(Next::Continue)
    }));
    set.expect("answered");
}

#[test]
fn monitor_tells_the_last_words_first_and_how_it_ended() {
    let journal = Journal::new();
    let (watcher, dying) = (bot("watcher", &journal), bot("dying", &journal).restart(Restart::Temporary));
    let (w, d) = (watcher.handle(), dying.handle());
    let sup = patient("app").child(watcher).child(dying).start().expect("starts");
    watch(&w, &d);
    let (to, release) = (w.clone(), occupy(&w));
    d.cast(act(move |_, _| {
        for n in 0..10 {
            to.cast(Msg::Add(n)).map_err(|_| Oops(ErrorKind::Permanent, "not accepted"))?;
        }
        panic_quietly("last words")
    }))
    .expect("accepted");
    assert!(d.wait_down(LONG).is_some(), "told after the one that was set before");
    release.open();
    journal.wait_line("watcher sees dying panicked: last words after 1");
    assert_eq!(journal.count(|line| line.contains("watcher add")), 10);
    assert!(journal.at("watcher add 9") < journal.at("watcher sees dying panicked: last words after 1"));
    // One that is gone already is told at once.
    watch(&w, &d);
    journal.wait_count(2, |line| line.contains("sees dying"));
    drop(sup);
}

#[test]
fn monitor_removed_is_not_told_even_if_it_was_on_its_way() {
    let journal = Journal::new();
    let (watcher, dying) = (bot("watcher", &journal), bot("dying", &journal));
    let (w, d) = (watcher.handle(), dying.handle());
    let sup = patient("app").child(watcher).child(dying).start().expect("starts");
    let target = d.clone();
    let reference = sup.reference();
    let answer = w.call(ask(move |_, cx, reply| {
        let first = cx.monitor(&target, Msg::Gone);
        let second = cx.monitor(&target, Msg::Gone);
        assert!(cx.demonitor(first));
        assert!(!cx.demonitor(first), "removed once");
        reference.terminate_child("dying").expect("terminated");
        reply.send(u64::from(cx.demonitor(second)));
        Ok(Next::Continue)
    }));
    assert_eq!(answer.expect("answered"), 1);
    w.call(Msg::Total).expect("answered");
    w.call(Msg::Total).expect("answered");
    assert_eq!(journal.count(|line| line.contains("sees")), 0);
    drop(sup);
}

#[test]
fn monitor_ends_with_the_incarnation_that_set_it() {
    let journal = Journal::new();
    let (watcher, dying) = (bot("watcher", &journal), bot("dying", &journal));
    let (w, d) = (watcher.handle(), dying.handle());
    let sup = patient("app").child(watcher).child(dying).start().expect("starts");
    watch(&w, &d);
    w.cast(boom()).expect("accepted");
    assert_eq!(w.call(Msg::Epoch).expect("answered"), 2);
    watch(&w, &d);
    sup.terminate_child("dying").expect("terminated");
    journal.wait_line("watcher sees dying was shut down after 1");
    w.call(Msg::Total).expect("answered");
    assert_eq!(journal.count(|line| line.contains("sees")), 1, "the second life's only");
    // Started again, it can be watched again.
    sup.restart_child("dying").expect("restarted");
    watch(&w, &d);
    w.call(Msg::Total).expect("answered");
    assert_eq!(journal.count(|line| line.contains("sees")), 1);
    sup.terminate_child("dying").expect("terminated");
    journal.wait_line("watcher sees dying was shut down after 2");
    drop(sup);
}

#[test]
fn wait_down_times_out_while_it_lives_and_tells_everyone_after() {
    let journal = Journal::new();
    let (sup, handle) = one(bot("a", &journal));
    assert!(handle.wait_down(MS).is_none());
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let handle = handle.clone();
            aside(move || handle.wait_down(LONG))
        })
        .collect();
    sup.terminate_child("a").expect("terminated");
    for waiter in waiters {
        let down = waiter.done().expect("told");
        assert!(matches!(down.exit, Exit::Shutdown));
    }
    assert!(handle.wait_down(Duration::ZERO).is_some());
    drop(sup);
}
