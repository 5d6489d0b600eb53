//! kanal: a channel for requests, and another one for each answer.

use std::thread;

use kanal::{Sender, bounded, unbounded};

use super::{Arena, Bout, Cast, LAST, casts};

const REQUESTS: usize = 1024;

fn call(requests: &Sender<(u64, Sender<u64>)>, i: u64) {
    let (reply, answer) = bounded(1);
    requests.send((i, reply)).expect("the server is alive");
    assert_eq!(answer.recv().expect("an answer"), i + 1);
}

/// A call: a request, and a fresh channel of one for its answer.
pub fn calls() -> Arena {
    let (sender, receiver) = bounded::<(u64, Sender<u64>)>(REQUESTS);
    thread::spawn(move || {
        while let Ok((n, reply)) = receiver.recv() {
            reply.send(n + 1).expect("the caller waits");
        }
    });
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
