//! What is written by hand today: threads over crossbeam channels, with nothing around them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::deque::Newest;
use super::sample::Sample;
use super::{Arena, Bout, Cast, LAST, casts};

const REQUESTS: usize = 1024;

enum Request {
    Next(u64, Sender<u64>),
    Crash,
}

fn serve(requests: &Receiver<Request>) {
    while let Ok(request) = requests.recv() {
        match request {
            Request::Next(n, reply) => reply.send(n + 1).expect("the caller waits"),
            Request::Crash => resume_unwind(Box::new("crash")),
        }
    }
}

fn call(requests: &Sender<Request>, i: u64) {
    let (reply, answer) = bounded(1);
    requests.send(Request::Next(i, reply)).expect("the server is alive");
    assert_eq!(answer.recv().expect("an answer"), i + 1);
}

/// A call: a request, and a fresh channel of one for its answer.
pub fn calls() -> Arena {
    let (sender, receiver) = bounded(REQUESTS);
    thread::spawn(move || serve(&receiver));
    Box::new(move || {
        let sender = sender.clone();
        Box::new(move |n| (0..n).for_each(|i| call(&sender, i))) as Box<dyn Bout>
    })
}

/// Casts: `send` in a loop, `recv` in a loop.
pub fn sink<const CAPACITY: usize>() -> Arena {
    let (sender, receiver) = bounded::<Cast>(CAPACITY);
    let (done, acknowledged) = unbounded();
    thread::spawn(move || {
        let mut sum = 0_u64;
        while let Ok(cast) = receiver.recv() {
            sum = sum.wrapping_add(cast[0]);
            if cast[0] == LAST {
                let _ = done.send(sum);
            }
        }
    });
    Box::new(move || {
        let (sender, acknowledged) = (sender.clone(), acknowledged.clone());
        Box::new(move |n| {
            casts(n, |cast| sender.send(cast).expect("the sink is alive"));
            acknowledged.recv().expect("the sink is alive");
        }) as Box<dyn Bout>
    })
}

/// What producers of events send.
enum Parcel<T> {
    Event(T),
    /// All events of a producer are before it.
    Last(Sender<()>),
}

fn keep<T>(parcels: &Receiver<Parcel<T>>) {
    let mut events = Newest::new();
    while let Ok(parcel) = parcels.recv() {
        match parcel {
            Parcel::Event(event) => drop(events.push(event)),
            Parcel::Last(kept) => drop(kept.send(())),
        }
    }
}

/// A store of the newest events: by value to the one thread that keeps them.
pub fn kept<T: Sample, const CAPACITY: usize>() -> Arena {
    let (sender, parcels) = bounded(CAPACITY);
    thread::spawn(move || keep::<T>(&parcels));
    Box::new(move || {
        let (sender, (done, kept)) = (sender.clone(), bounded(1));
        let send = move |parcel| sender.send(parcel).expect("the store is alive");
        Box::new(move |n| {
            (0..n).for_each(|i| send(Parcel::Event(T::new(i, i))));
            send(Parcel::Last(done.clone()));
            kept.recv().expect("the store is alive");
        }) as Box<dyn Bout>
    })
}

/// Tells of the end of a worker, whatever ends it.
struct Notice(Sender<()>);

impl Drop for Notice {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

fn worker(requests: &Receiver<Request>, over: &Sender<()>) -> JoinHandle<bool> {
    let (requests, over) = (requests.clone(), over.clone());
    thread::spawn(move || {
        let _last = Notice(over);
        catch_unwind(AssertUnwindSafe(|| serve(&requests))).is_err()
    })
}

/// A crash and its repair: the notice, the spawn of the replacement, the join of the old thread.
pub fn restarts() -> Arena {
    let (sender, requests) = bounded(REQUESTS);
    thread::spawn(move || {
        let (notice, over) = bounded(REQUESTS);
        let mut running = worker(&requests, &notice);
        while let Ok(()) = over.recv() {
            let replacement = worker(&requests, &notice);
            let old = std::mem::replace(&mut running, replacement);
            if !old.join().expect("it caught its panic") {
                break; // the clients are gone
            }
        }
    });
    Box::new(move || {
        let sender = sender.clone();
        Box::new(move |n| {
            for i in 0..n {
                sender.send(Request::Crash).expect("somebody serves");
                call(&sender, i);
            }
        }) as Box<dyn Bout>
    })
}
