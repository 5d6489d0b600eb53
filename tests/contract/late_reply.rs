//! The late reply.

use super::*;

#[test]
fn late_reply_vanishes_and_the_service_can_know() {
    let journal = Journal::new();
    let spec = bot("a", &journal);
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let (given_up, answered) = (Latch::new(), Latch::new());
    let (wait, tell) = (given_up.clone(), answered.clone());
    let late = handle.call_timeout(
        MS,
        ask(move |bot, _, reply| {
            wait.wait();
            bot.note(format_args!("abandoned: {}", reply.is_abandoned()));
            reply.send(13);
            tell.open();
            Ok(Next::Continue)
        }),
    );
    assert!(matches!(late, Err(CallError::TimedOut { ref name }) if &**name == "a"), "{late:?}");
    given_up.open();
    answered.wait();
    assert!(journal.has("a abandoned: true"));
    assert_eq!(handle.call(Msg::Total).expect("the next call is not confused by it"), 0);
    assert_eq!(handle.status().epoch, 1);
    drop(sup);
}

#[test]
fn late_reply_the_answer_is_dropped_and_not_kept() {
    struct Held(Arc<AtomicU64>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    struct Slow(Latch);
    enum Ask {
        Make(underpin::Reply<Held>, Arc<AtomicU64>),
        Abandoned(underpin::Reply<()>),
    }
    impl underpin::Service for Slow {
        type Msg = Ask;
        type Error = Oops;
        fn handle(&mut self, msg: Ask, _: &mut underpin::Context<Self>) -> common::Done {
            match msg {
                Ask::Make(reply, count) => {
                    self.0.wait();
                    reply.send(Held(count));
                }
                Ask::Abandoned(reply) => reply.send(()),
            }
            Ok(Next::Continue)
        }
    }
    let (dropped, release) = (Arc::new(AtomicU64::new(0)), Latch::new());
    let held = release.clone();
    let spec = underpin::child("slow", move || Slow(held.clone()));
    let handle = spec.handle();
    let sup = Supervisor::new("app").child(spec).start().expect("starts");
    let count = Arc::clone(&dropped);
    assert!(handle.call_timeout(MS, |reply| Ask::Make(reply, count)).is_err());
    let count = Arc::clone(&dropped);
    drop(handle.request(|reply| Ask::Make(reply, count)).expect("accepted"));
    release.open();
    handle.call(Ask::Abandoned).expect("answered");
    assert_eq!(dropped.load(Ordering::SeqCst), 2, "both answers are gone");
    drop(sup);
}
