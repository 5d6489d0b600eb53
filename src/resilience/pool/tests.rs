//! What a pool does for its callers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering as Order};
use std::thread;
use std::time::Duration;

use super::*;
use crate::error::ErrorKind;
use crate::sync::{Clock, Mutex};

const SECOND: Duration = Duration::from_secs(1);
const FAR: Deadline = Deadline::unbounded();

/// How many resources there are, and were at most.
#[derive(Clone, Default)]
struct Alive(Arc<[AtomicUsize; 2]>);

/// One of them, and its number.
struct Resource {
    number: usize,
    alive: Alive,
    panics: bool,
}

impl Alive {
    fn more(&self, number: usize) -> Resource {
        let now = self.0[0].fetch_add(1, Order::SeqCst) + 1;
        self.0[1].fetch_max(now, Order::SeqCst);
        Resource { number, alive: self.clone(), panics: false }
    }

    fn now(&self) -> usize {
        self.0[0].load(Order::SeqCst)
    }

    fn most(&self) -> usize {
        self.0[1].load(Order::SeqCst)
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        self.alive.0[0].fetch_sub(1, Order::SeqCst);
        if self.panics {
            std::panic::resume_unwind(Box::new("it does not go quietly"));
        }
    }
}

type Numbered = Pool<Resource, ErrorKind>;

/// Makes resources 1, 2, 3..
fn builder(alive: &Alive) -> PoolBuilder<Resource, ErrorKind> {
    let (alive, made) = (alive.clone(), AtomicUsize::new(0));
    Pool::builder("a", move || Ok(alive.more(made.fetch_add(1, Order::SeqCst) + 1)))
}

fn one(alive: &Alive) -> Numbered {
    builder(alive).size(1).build()
}

fn taken(pool: &Numbered) -> Pooled<Resource, ErrorKind> {
    pool.try_checkout().unwrap_or_else(|error| panic!("{error:?}"))
}

fn until_waiting(pool: &Numbered, count: usize) {
    while pool.snapshot().waiting < count {
        thread::yield_now();
    }
}

/// What somebody gets who waits while `then` is done.
fn waiting<R>(pool: &Numbered, then: impl FnOnce() -> R) -> (Result<usize, PoolError<ErrorKind>>, R) {
    thread::scope(|scope| {
        let waiter = scope.spawn(|| pool.checkout_by(FAR).map(|resource| resource.number));
        until_waiting(pool, 1);
        let done = then();
        (waiter.join().expect("no panic"), done)
    })
}

#[test]
fn a_resource_is_made_when_needed_and_used_again() {
    let alive = Alive::default();
    let pool = builder(&alive).size(2).build();
    assert_eq!(alive.now(), 0);
    let (first, second) = (taken(&pool), taken(&pool));
    assert_eq!((first.number, second.number), (1, 2));
    drop(first);
    drop(second);
    assert_eq!(taken(&pool).number, 2, "the one that was used last");
    assert_eq!((pool.snapshot().idle, pool.snapshot().made, alive.now()), (2, 2, 2));
}

#[test]
fn overflow_is_there_while_all_are_in_use() {
    let alive = Alive::default();
    let pool = builder(&alive).size(1).overflow(1).build();
    let (first, second) = (taken(&pool), taken(&pool));
    assert!(matches!(pool.try_checkout(), Err(PoolError::Exhausted { most: 2, .. })));
    drop(first);
    drop(second);
    let seen = pool.snapshot();
    assert_eq!((seen.idle, seen.in_use, seen.overflowed, alive.now()), (1, 0, 1, 1));
}

#[test]
fn who_waits_is_served_in_order() {
    let pool = one(&Alive::default());
    let held = taken(&pool);
    let order = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for number in 1..=5 {
            let (pool, order) = (&pool, &order);
            scope.spawn(move || {
                let _resource = pool.checkout_by(FAR).expect("it comes back");
                order.lock().push(number);
            });
            until_waiting(pool, number);
        }
        drop(held);
    });
    assert_eq!(order.into_inner(), [1, 2, 3, 4, 5]);
    assert_eq!(pool.snapshot().made, 1);
}

#[test]
fn a_wait_ends_with_its_deadline_by_the_clock() {
    let (clock, hand) = Clock::manual();
    let pool = builder(&Alive::default()).size(1).checkout_timeout(3 * SECOND).clock(clock).build();
    let _held = taken(&pool);
    let late = thread::scope(|scope| {
        let waiter = scope.spawn(|| pool.checkout().map(|_| ()));
        until_waiting(&pool, 1);
        hand.advance(3 * SECOND);
        waiter.join().expect("no panic")
    });
    assert!(matches!(late, Err(PoolError::TimedOut { waited, most: 1, .. }) if waited == 3 * SECOND));
    let seen = pool.snapshot();
    assert_eq!((seen.waiting, seen.in_use, seen.timed_out), (0, 1, 1));
}

#[test]
fn close_tells_who_waits_and_drops_what_idles_now_and_the_rest_later() {
    let alive = Alive::default();
    let pool = builder(&alive).size(2).build();
    let (held, idle) = (taken(&pool), taken(&pool));
    drop(idle);
    let _other = taken(&pool);
    let (told, ()) = waiting(&pool, || pool.close());
    assert!(matches!(told, Err(PoolError::Closed { .. })));
    assert!(matches!(pool.checkout(), Err(PoolError::Closed { .. })));
    assert!(matches!(pool.try_checkout().map_err(|error| error.kind()), Err(ErrorKind::Permanent)));
    assert_eq!(alive.now(), 2);
    drop(held);
    assert_eq!((alive.now(), pool.snapshot().idle), (1, 0));
    pool.close();
    assert!(pool.snapshot().is_closed);
}

#[test]
fn what_idles_is_dropped_at_the_close() {
    let alive = Alive::default();
    let pool = one(&alive);
    drop(taken(&pool));
    assert_eq!(alive.now(), 1);
    pool.close();
    assert_eq!(alive.now(), 0);
}

#[test]
fn what_is_being_made_at_the_close_is_dropped() {
    let (alive, slot) = (Alive::default(), Arc::new(Mutex::new(None::<Numbered>)));
    let (make, itself) = (alive.clone(), Arc::clone(&slot));
    let pool: Numbered = Pool::builder("a", move || {
        itself.lock().take().expect("it is made once").close();
        Ok(make.more(1))
    })
    .build();
    *slot.lock() = Some(pool.clone());
    assert!(matches!(pool.checkout(), Err(PoolError::Closed { .. })));
    assert_eq!((alive.now(), pool.snapshot().in_use), (0, 0));
}

#[test]
fn a_panic_of_its_user_spoils_a_resource_and_who_waits_gets_a_new_one() {
    let alive = Alive::default();
    let pool = one(&alive);
    let held = taken(&pool);
    let (next, _) = waiting(&pool, || {
        catch_unwind(AssertUnwindSafe(|| {
            let _held = held;
            std::panic::resume_unwind(Box::new("boom"))
        }))
    });
    assert_eq!(next.ok(), Some(2));
    assert_eq!((pool.snapshot().poisoned, alive.now(), alive.most()), (1, 1, 1));
}

#[test]
fn what_is_used_in_the_midst_of_unwinding_is_not_spoilt_by_that() {
    struct Uses(Numbered);
    impl Drop for Uses {
        fn drop(&mut self) {
            drop(taken(&self.0));
        }
    }
    let pool = one(&Alive::default());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _uses = Uses(pool.clone());
        std::panic::resume_unwind(Box::new("boom"))
    }));
    assert!(panicked.is_err());
    assert_eq!((pool.snapshot().idle, pool.snapshot().poisoned), (1, 0));
}

#[test]
fn the_check_says_what_may_be_used_again() {
    let alive = Alive::default();
    let pool = builder(&alive).size(3).check(|resource| match resource.number {
        1 => false,
        2 => std::panic::resume_unwind(Box::new("boom")),
        _ => true,
    });
    let pool = pool.build();
    let held = [taken(&pool), taken(&pool), taken(&pool)];
    drop(held);
    let seen = pool.snapshot();
    assert_eq!((seen.idle, seen.in_use, seen.unhealthy, alive.now()), (1, 0, 2, 1));
    assert_eq!(taken(&pool).number, 3);
}

#[test]
fn a_resource_that_panics_while_it_is_dropped_leaves_its_place() {
    let pool = one(&Alive::default());
    let mut held = taken(&pool);
    held.panics = true;
    Pooled::poison(&mut held);
    drop(held);
    assert_eq!(taken(&pool).number, 2);
}

#[test]
fn the_place_of_a_resource_is_free_once_it_has_been_dropped() {
    struct Asks(Arc<Mutex<Option<Pool<Self, ErrorKind>>>>, Arc<AtomicUsize>);
    impl Drop for Asks {
        fn drop(&mut self) {
            let pool = self.0.lock().clone().expect("it is there");
            assert!(matches!(pool.try_checkout(), Err(PoolError::Exhausted { .. })));
            self.1.fetch_add(1, Order::SeqCst);
        }
    }
    let (slot, asked) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
    let (make, count) = (Arc::clone(&slot), Arc::clone(&asked));
    let pool = Pool::builder("a", move || Ok::<_, ErrorKind>(Asks(Arc::clone(&make), Arc::clone(&count))));
    let pool = pool.size(1).build();
    *slot.lock() = Some(pool.clone());
    let mut held = pool.try_checkout().expect("it is free");
    Pooled::poison(&mut held);
    drop(held);
    assert_eq!((asked.load(Order::SeqCst), pool.snapshot().in_use), (1, 0));
    *slot.lock() = None;
}

#[test]
fn what_cannot_be_made_leaves_the_right_to_the_next() {
    let tries = AtomicUsize::new(0);
    let pool: Pool<u8, ErrorKind> = Pool::builder("a", move || match tries.fetch_add(1, Order::SeqCst) {
        0 => Err(ErrorKind::System),
        1 => std::panic::resume_unwind(Box::new("boom")),
        _ => Ok(3),
    })
    .size(1)
    .build();
    let failed = pool.checkout().map(|_| ()).expect_err("the first fails");
    assert!(matches!(failed, PoolError::Make { .. }) && failed.kind() == ErrorKind::System);
    assert!(catch_unwind(AssertUnwindSafe(|| pool.checkout().map(|_| ()))).is_err());
    assert_eq!(*pool.checkout().expect("the third does not"), 3);
    assert_eq!((pool.snapshot().failed, pool.snapshot().made), (2, 1));
}

#[test]
fn what_is_too_old_is_replaced_and_what_idles_too_long_goes() {
    let (clock, hand) = Clock::manual();
    let alive = Alive::default();
    let pool =
        builder(&alive).size(3).clock(clock).max_lifetime(60 * SECOND).idle_timeout(10 * SECOND).build();
    let held = [taken(&pool), taken(&pool), taken(&pool)];
    drop(held);
    hand.advance(10 * SECOND);
    assert_eq!(taken(&pool).number, 4, "the one that was used last has expired");
    assert_eq!((pool.snapshot().idle, pool.snapshot().expired), (1, 3), "the others went with the return");
    hand.advance(9 * SECOND);
    pool.prune();
    assert_eq!(pool.snapshot().idle, 1);
    hand.advance(SECOND);
    pool.prune();
    assert_eq!((pool.snapshot().idle, alive.now()), (0, 0));
    let held = taken(&pool);
    hand.advance(60 * SECOND);
    drop(held);
    assert_eq!((pool.snapshot().idle, pool.snapshot().expired, alive.now()), (0, 5, 0));
    assert_eq!((alive.most(), pool.snapshot().in_use), (3, 0));
}

#[test]
fn a_resource_that_is_taken_out_for_good_makes_room() {
    let alive = Alive::default();
    let pool = one(&alive);
    let held = taken(&pool);
    let (next, own) = waiting(&pool, || Pooled::detach(held));
    assert_eq!((next.ok(), own.number, alive.now()), (Some(2), 1, 2));
}

#[test]
fn code_of_the_users_may_ask_the_pool_itself() {
    let (alive, slot) = (Alive::default(), Arc::new(Mutex::new(None::<Numbered>)));
    let itself = Arc::clone(&slot);
    let pool = builder(&alive).size(1).check(move |_| {
        let pool = itself.lock().clone().expect("it is there");
        assert!(matches!(pool.try_checkout(), Err(PoolError::Exhausted { .. })));
        pool.snapshot().in_use == 1
    });
    let pool = pool.build();
    *slot.lock() = Some(pool.clone());
    drop(taken(&pool));
    assert_eq!((pool.snapshot().idle, pool.snapshot().unhealthy), (1, 0));
    *slot.lock() = None;
}

#[test]
fn two_hundred_threads_never_have_more_than_there_may_be_and_none_is_lost() {
    let alive = Alive::default();
    let pool = builder(&alive).size(3).overflow(2).check(|resource| resource.number % 7 != 0).build();
    let used = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread in 0..200 {
            let (pool, used) = (&pool, &used);
            scope.spawn(move || {
                for turn in 0..10 {
                    let mut resource = pool.checkout_by(FAR).expect("it comes back");
                    assert!(used.fetch_add(1, Order::SeqCst) < 5);
                    used.fetch_sub(1, Order::SeqCst);
                    if (thread + turn) % 50 == 0 {
                        Pooled::poison(&mut resource);
                    }
                }
            });
        }
    });
    let seen = pool.snapshot();
    assert!(alive.most() <= 5, "{}", alive.most());
    assert_eq!((seen.in_use, seen.waiting, seen.idle), (0, 0, alive.now()));
    let gone = seen.poisoned + seen.unhealthy + seen.overflowed;
    assert_eq!(seen.made, gone + seen.idle as u64);
    assert_eq!(seen.poisoned, 40);
}

#[test]
fn all_that_were_made_are_accounted_for() {
    let (clock, hand) = Clock::manual();
    let alive = Alive::default();
    let pool = builder(&alive).size(2).overflow(2).clock(clock).max_lifetime(60 * SECOND);
    let pool = pool.check(|resource| resource.number != 3).build();
    let sum = |seen: &PoolSnapshot| {
        let gone = seen.expired + seen.unhealthy + seen.poisoned + seen.overflowed;
        gone + seen.detached + seen.closed + (seen.idle + seen.in_use) as u64
    };
    let mut held: Vec<_> = (0..4).map(|_| taken(&pool)).collect();
    Pooled::poison(&mut held[0]);
    drop(Pooled::detach(held.remove(1)));
    drop(held);
    let seen = pool.snapshot();
    assert_eq!((seen.poisoned, seen.detached, seen.unhealthy), (1, 1, 1));
    assert_eq!((seen.made, sum(&seen)), (4, 4));
    hand.advance(60 * SECOND);
    let held = [taken(&pool), taken(&pool)];
    let (mut other, third) = (taken(&pool), taken(&pool));
    drop(held);
    Pooled::poison(&mut other);
    drop(other);
    drop(taken(&pool));
    pool.close();
    drop(third);
    let seen = pool.snapshot();
    assert_eq!((seen.closed, seen.made, seen.in_use, alive.now()), (2, 9, 0, 0), "{seen:?}");
    assert_eq!(sum(&seen), 9);
}

#[test]
fn what_is_old_is_pruned_wherever_it_idles() {
    let (clock, hand) = Clock::manual();
    let alive = Alive::default();
    let pool = builder(&alive).size(2).clock(clock).max_lifetime(60 * SECOND).build();
    let first = taken(&pool);
    hand.advance(55 * SECOND);
    drop(taken(&pool)); // the second, in front of the first
    drop(first);
    hand.advance(5 * SECOND);
    pool.prune();
    assert_eq!((pool.snapshot().idle, pool.snapshot().expired), (1, 1));
    assert_eq!(taken(&pool).number, 2);
}

#[derive(Default)]
struct Heard(Mutex<Vec<(&'static str, String)>>);

impl crate::resilience::Sink for Heard {
    fn event(&self, event: &crate::resilience::Event) {
        self.0.lock().push((event.kind, event.detail.clone()));
    }
}

#[test]
fn what_goes_wrong_is_told_and_the_end_once() {
    let (heard, broken) = (Arc::new(Heard::default()), Arc::new(Mutex::new(true)));
    let fails = Arc::clone(&broken);
    let make = move || if *fails.lock() { Err(ErrorKind::System) } else { Ok(1) };
    let pool: Pool<u8, ErrorKind> = Pool::builder("a", make)
        .size(1)
        .checkout_timeout(Duration::ZERO)
        .clock(Clock::manual().0)
        .sink(Arc::clone(&heard) as Arc<dyn crate::resilience::Sink>)
        .build();
    assert!(pool.checkout().is_err());
    *broken.lock() = false;
    let held = pool.checkout();
    assert!(held.is_ok() && pool.checkout().is_err());
    drop(held);
    pool.close();
    pool.close();
    let heard = heard.0.lock();
    let kinds: Vec<_> = heard.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, ["making_failed", "timed_out", "closed"]);
    assert_eq!((&*heard[1].1, &*heard[2].1), ("after 0ns", "0 waited, 1 were idle"));
}

#[test]
fn a_pool_of_which_nothing_is_said_keeps_ten_and_none_beyond() {
    let pool = builder(&Alive::default()).build();
    let _held: Vec<_> = (0..DEFAULT_POOL_SIZE).map(|_| taken(&pool)).collect();
    assert!(matches!(pool.try_checkout(), Err(PoolError::Exhausted { most: 10, .. })));
}
