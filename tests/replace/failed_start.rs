//! A successor that does not start.

use super::*;

type Failing = Box<dyn Fn(&SupervisorHandle, &Journal) -> Result<(), ReplaceChildError>>;

/// Ways to fail, and what is said of each. The third times out by the hand that moves the clock.
fn failing() -> Vec<(Failing, &'static str)> {
    let with_init = |hook: fn(&mut Bot, &mut Context<Bot>) -> Result<Init, Oops>| -> Failing {
        Box::new(move |sup, journal| {
            let heir = heir("a", journal);
            sup.replace_child("a", move |old: Option<Bot>| {
                heir(old)
                    .on_init(move |bot, cx| if cx.epoch() == 2 { hook(bot, cx) } else { Ok(Init::Ready) })
            })
        })
    };
    let in_factory: Failing = Box::new(|sup, journal| {
        let heir = heir("a", journal);
        sup.replace_child("a", move |old: Option<Bot>| match old {
            Some(_) => Err(Oops(ErrorKind::System, "no factory")),
            None => Ok(heir(None)),
        })
    });
    let panics: Failing = Box::new(|sup, journal| {
        let heir = heir("a", journal);
        sup.replace_child("a", move |old: Option<Bot>| match old {
            Some(_) => panic_quietly("in the factory"),
            None => heir(None),
        })
    });
    vec![
        (in_factory, "failed: no factory"),
        (panics, "panicked: in the factory"),
        (with_init(|_, _| Err(Oops(ErrorKind::User, "no init"))), "failed: no init"),
        (with_init(|_, _| panic_quietly("in init")), "panicked: in init"),
    ]
}

#[test]
fn a_successor_that_fails_leaves_the_child_down_with_its_new_description_and_is_not_charged() {
    for (replace, said) in failing() {
        let journal = Journal::new();
        let (sup, handle) = one(Supervisor::new("app").intensity(0, SECOND), &journal);
        add(&handle, 5);
        let parked = handle.request(park()).expect("accepted");
        let error = replace(&sup, &journal).expect_err(said);
        let ReplaceChildError::FailedToStart { name, source } = &error else { panic!("{error}") };
        assert_eq!((&**name, source.to_string().as_str()), ("a", said));
        assert_eq!(sup.count_children().stopped, 1);
        assert!(handle.wait_down(LONG).is_some());
        parked.wait().expect_err("gone with the state");
        assert_eq!(count(&journal, "a drop"), 1, "{said}");
        sup.restart_child("a").expect("the new factory makes another");
        assert_eq!(handle.call(Msg::Total).expect("answered"), 0);
        assert_eq!(count(&journal, "a made from None"), 1, "{said}");
    }
}

#[test]
fn a_successor_that_is_too_late_is_abandoned_with_the_state() {
    let journal = Journal::new();
    let (clock, hand) = Clock::manual();
    let spec = bot("a", &journal).init_timeout(SECOND);
    let handle = spec.handle();
    let sup = Supervisor::new("app").intensity(0, SECOND).clock(clock).child(spec).start().expect("starts");
    add(&handle, 5);
    let (inside, release) = (Latch::new(), Latch::new());
    let (tell, held) = (inside.clone(), release.clone());
    let make = heir("a", &journal);
    let replacing = aside({
        let reference = sup.reference();
        move || {
            reference.replace_child("a", move |old: Option<Bot>| {
                let bot = make(old);
                if bot.total == 5 {
                    tell.open();
                    held.wait();
                }
                bot
            })
        }
    });
    inside.wait();
    hand.advance(SECOND);
    let error = replacing.done().expect_err("too late");
    assert!(
        matches!(&error, ReplaceChildError::FailedToStart { source: Exit::InitTimedOut(_), .. }),
        "{error}"
    );
    release.open();
    journal.wait_line("a drop");
    sup.restart_child("a").expect("restarted");
    assert!(journal.has("a made from None"));
}

#[test]
fn a_successor_that_declines_to_run_was_replaced_well() {
    let journal = Journal::new();
    let (sup, handle) = one(Supervisor::new("app"), &journal);
    let make = heir("a", &journal);
    let ignoring = move |old: Option<Bot>| {
        make(old).on_init(|_, cx| Ok(if cx.epoch() == 2 { Init::Ignore } else { Init::Ready }))
    };
    sup.replace_child("a", ignoring).expect("replaced");
    assert!(handle.wait_down(LONG).is_some());
    assert_eq!(sup.count_children().stopped, 1);
    sup.restart_child("a").expect("it runs now");
}
