//! A service of one's own, model-checked: in every order of events, not in those that a test meets.
//!
//! ```text
//! RUSTFLAGS="--cfg underpin_loom" cargo run --release --features loom --example model_check
//! ```
//!
//! With that cfg the whole of `underpin` runs on stand-ins that loom can explore. A model starts the
//! service with [`Solo`], for it has few threads to spare, and its clients beside it. Without the cfg
//! the same body runs once, on real threads:
//!
//! ```text
//! cargo run --example model_check
//! ```
//!
//! # What is checked
//!
//! A pool lends out a thing that only one client may have at a time: a connection, a port, a device.
//! A client who does not want to wait any longer gives up. So the answer and the client's patience
//! race, and there are three ways to deal with that. Two of them look well, pass their tests, and are
//! wrong once in a long while.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use underpin::testing::Solo;
use underpin::{CallError, Context, Deadline, Exit, Handle, Next, Reply, Service, child};

/// Who sees to it that a lease comes back whose client gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(underpin_loom), allow(dead_code))] // only a model finds the wrong ones
enum Way {
    /// The lease itself: it comes back when it is dropped, also as an answer that nobody takes.
    Guard,
    /// The pool: it lends nothing to a client who has given up. Wrong: he may do so right after.
    LookFirst,
    /// The pool, as before, and the client too, to be safe. Wrong: then it comes back twice.
    Both,
}

// ---- the service -------------------------------------------------------------------------

enum Msg {
    Take(Reply<Lease>),
    Back,
    /// The pool ends when the thing is back.
    Close,
}

/// The right to use the thing.
struct Lease {
    /// Where it goes back by itself.
    home: Option<Handle<Msg>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            let _ = home.cast(Msg::Back); // a pool that is gone wants nothing back
        }
    }
}

/// Lends one thing to one client at a time.
struct Pool {
    way: Way,
    free: u64,
    waiting: VecDeque<Reply<Lease>>,
    closing: bool,
}

impl Pool {
    fn new(way: Way) -> Self {
        Self { way, free: 1, waiting: VecDeque::new(), closing: false }
    }

    /// Serves those who wait, as far as there is something to lend.
    fn lend(&mut self, cx: &Context<Self>) {
        while self.free > 0
            && let Some(client) = self.waiting.pop_front()
        {
            if self.way != Way::Guard && client.is_abandoned() {
                continue;
            }
            self.free -= 1;
            client.send(Lease { home: (self.way == Way::Guard).then(|| cx.handle()) });
        }
    }
}

impl Service for Pool {
    type Msg = Msg;
    type Error = Infallible;

    fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<Next, Infallible> {
        match msg {
            Msg::Take(client) => self.waiting.push_back(client),
            Msg::Back => {
                assert_eq!(self.free, 0, "it came back twice");
                self.free = 1;
            }
            Msg::Close => self.closing = true,
        }
        self.lend(cx);
        let is_over = self.closing && self.free == 1;
        Ok(if is_over { Next::Stop } else { Next::Continue })
    }
}

// ---- the model ---------------------------------------------------------------------------

/// What a client does: takes the thing, uses it, gives it back.
fn client(way: Way, pool: &Handle<Msg>, patience: Deadline, in_use: &AtomicU64) {
    match pool.call_by(patience, Msg::Take) {
        Ok(lease) => {
            assert_eq!(in_use.fetch_add(1, Ordering::SeqCst), 0, "two clients use it");
            in_use.fetch_sub(1, Ordering::SeqCst);
            drop(lease);
            if way != Way::Guard {
                let _ = pool.cast(Msg::Back);
            }
        }
        Err(CallError::TimedOut { .. }) if way == Way::Both => drop(pool.cast(Msg::Back)),
        Err(error) => drop(error), // he gave up, or the pool was closed before him
    }
}

/// A client who gives up and comes again, with all the time there is, and closes the pool then. In the
/// end the thing is back, once: else the pool does not end, or crashes.
fn comes_again(way: Way) {
    let (pool, mut solo) = Solo::new(child("pool", move || Pool::new(way)).capacity(8));
    let soon = Deadline::at(Instant::now());
    let both = spawn("client", move || {
        let in_use = AtomicU64::new(0);
        client(way, &pool, soon, &in_use);
        client(way, &pool, Deadline::unbounded(), &in_use);
        let _ = pool.cast(Msg::Close);
    });
    assert!(matches!(solo.run(), Exit::Normal), "the pool crashed");
    both.join().expect("no panic");
}

/// The same by two clients: no two use the thing at a time.
fn two_clients(way: Way) {
    let in_use = Arc::new(AtomicU64::new(0));
    let (pool, mut solo) = Solo::new(child("pool", move || Pool::new(way)).capacity(8));
    let (early, soon) = ((pool.clone(), Arc::clone(&in_use)), Deadline::at(Instant::now()));
    let hasty = spawn("hasty", move || client(way, &early.0, soon, &early.1));
    let patient = spawn("patient", move || {
        client(way, &pool, Deadline::unbounded(), &in_use);
        let _ = pool.cast(Msg::Close);
    });
    assert!(matches!(solo.run(), Exit::Normal), "the pool crashed");
    drop(solo); // who comes late is told
    hasty.join().expect("no panic");
    patient.join().expect("no panic");
}

#[cfg(underpin_loom)]
fn spawn(name: &str, main: impl FnOnce() + Send + 'static) -> underpin::model::JoinHandle<()> {
    underpin::model::spawn(name.into(), None, main).expect("a model's threads are free")
}

#[cfg(not(underpin_loom))]
fn spawn(name: &str, main: impl FnOnce() + Send + 'static) -> std::thread::JoinHandle<()> {
    std::thread::Builder::new().name(name.into()).spawn(main).expect("a thread")
}

/// Explores the right way, and has copies of this program explore the wrong ones: what loom finds
/// ends a program, for it may be unable to unwind what it has stopped in the middle.
#[cfg(underpin_loom)]
fn main() {
    use underpin::model::{model, model_with};

    match std::env::args().nth(1).as_deref() {
        Some("look first") => {
            model(|| comes_again(Way::LookFirst));
        }
        Some("both") => {
            model(|| comes_again(Way::Both));
        }
        _ => {
            let executions = model(|| comes_again(Way::Guard));
            println!("one client who comes again: holds in {executions} executions");
            // More threads have far more orders: fewer interruptions in each will do.
            let executions = model_with(1, || two_clients(Way::Guard));
            println!("two clients: hold in {executions} executions");
            finds("look first", "deadlock");
            finds("both", "it came back twice");
        }
    }
}

/// The wrong way is found, for the reason that it is wrong for.
#[cfg(underpin_loom)]
fn finds(wrong: &str, because: &str) {
    let me = std::env::current_exe().expect("this program");
    let output = std::process::Command::new(me).arg(wrong).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(because), "`{wrong}` was not found:\n{said}");
    println!("{wrong}: found to be wrong, {because}");
}

#[cfg(not(underpin_loom))]
fn main() {
    comes_again(Way::Guard);
    two_clients(Way::Guard);
    println!("it held once; this is for every order there is:");
    println!("RUSTFLAGS=\"--cfg underpin_loom\" cargo run --release --features loom --example model_check");
}

#[cfg(not(underpin_loom))]
#[test]
fn the_right_way_holds_on_real_threads() {
    (0..100).for_each(|_| comes_again(Way::Guard));
    (0..100).for_each(|_| two_clients(Way::Guard));
}
