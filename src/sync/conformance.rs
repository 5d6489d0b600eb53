//! The stand-in channel does what the real one does: every sequence of five operations that do not
//! block, at capacities 1 and 2, step by step. So does the stand-in snapshot, with those who look at it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::{model, real};

const LENGTH: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    TrySend,
    TryRecv,
    CloneSender,
    CloneReceiver,
    DropSender,
    DropReceiver,
    CloseSenders,
    CloseReceivers,
}

impl Op {
    const ALL: [Self; 8] = [
        Self::TrySend,
        Self::TryRecv,
        Self::CloneSender,
        Self::CloneReceiver,
        Self::DropSender,
        Self::DropReceiver,
        Self::CloseSenders,
        Self::CloseReceivers,
    ];

    /// The operations of sequence number `number`, of `ALL.len()` to the power of `LENGTH`.
    fn sequence(number: usize) -> [Self; LENGTH] {
        let mut rest = number;
        [(); LENGTH].map(|()| {
            let op = Self::ALL[rest % Self::ALL.len()];
            rest /= Self::ALL.len();
            op
        })
    }
}

/// The numbers of the messages that have been dropped, in that order.
#[derive(Clone, Default)]
struct Dropped(Arc<Mutex<Vec<usize>>>);

impl Dropped {
    fn so_far(&self) -> Vec<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Message {
    number: usize,
    dropped: Dropped,
}

impl Drop for Message {
    fn drop(&mut self) {
        self.dropped.0.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

/// What can be seen after one operation.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    outcome: String,
    len: Option<usize>,
    capacity: Option<usize>,
    is_empty: Option<bool>,
    dropped: Vec<usize>,
}

/// The same code for both channels: their types share names, not a trait.
macro_rules! observe {
    ($channel:ident, $capacity:expr, $ops:expr) => {{
        let (sender, receiver) = $channel::bounded::<Message>($capacity);
        let (mut senders, mut receivers) = (vec![sender], vec![receiver]);
        let dropped = Dropped::default();
        let mut seen = Vec::new();
        for (number, op) in $ops.into_iter().enumerate() {
            let message = || Message { number, dropped: dropped.clone() };
            let outcome = match op {
                Op::TrySend => format!("{:?}", senders.last().map(|end| end.try_send(message()))),
                Op::TryRecv => format!("{:?}", receivers.last().map(|end| end.try_recv())),
                Op::CloneSender => format!("{:?}", senders.last().cloned().map(|end| senders.push(end))),
                Op::CloneReceiver => {
                    format!("{:?}", receivers.last().cloned().map(|end| receivers.push(end)))
                }
                Op::DropSender => format!("{:?}", senders.pop().map(drop)),
                Op::DropReceiver => format!("{:?}", receivers.pop().map(drop)),
                Op::CloseSenders => format!("{:?}", senders.clear()),
                Op::CloseReceivers => format!("{:?}", receivers.clear()),
            };
            seen.push(Seen {
                outcome,
                len: senders.last().map(|end| end.len()),
                capacity: senders.last().map(|end| end.capacity()),
                is_empty: receivers.last().map(|end| end.is_empty()),
                dropped: dropped.so_far(),
            });
        }
        drop((senders, receivers));
        (seen, dropped.so_far())
    }};
}

fn agree(capacity: usize) {
    let all = Op::ALL.len().pow(u32::try_from(LENGTH).expect("small"));
    for number in 0..all {
        // One thread: one execution, in which the stand-in behaves like anything else.
        loom::model::Builder::new().check(move || {
            let ops = Op::sequence(number);
            assert_eq!(observe!(model, capacity, ops), observe!(real, capacity, ops), "{ops:?}");
        });
    }
}

#[test]
fn channels_of_one_agree() {
    agree(1);
}

#[test]
fn channels_of_two_agree() {
    agree(2);
}

// ---- a value that is replaced as a whole -------------------------------------------------

#[cfg(feature = "config")]
mod snapshot {
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Store,
        Load,
        Peek,
        DropPeek,
        NewCached,
        LoadCached,
        CloneCached,
        DropCached,
    }

    const ALL: [Op; 8] = [
        Op::Store,
        Op::Load,
        Op::Peek,
        Op::DropPeek,
        Op::NewCached,
        Op::LoadCached,
        Op::CloneCached,
        Op::DropCached,
    ];

    fn sequence(number: usize) -> [Op; LENGTH] {
        let mut rest = number;
        [(); LENGTH].map(|()| {
            let op = ALL[rest % ALL.len()];
            rest /= ALL.len();
            op
        })
    }

    /// Which value each operation comes to, and which ones are held after it. What is held stays what it
    /// is: when values are dropped is where the two differ.
    macro_rules! observe {
        ($kind:ident, $ops:expr) => {{
            let snapshot = Arc::new($kind::Snapshot::new(Arc::new(0)));
            let (mut peeks, mut caches) = (Vec::new(), Vec::new());
            let mut seen = Vec::new();
            for (number, op) in (1..).zip($ops) {
                let outcome = match op {
                    Op::Store => {
                        snapshot.store(Arc::new(number));
                        None
                    }
                    Op::Load => Some(*snapshot.load()),
                    Op::Peek => {
                        peeks.push(snapshot.peek());
                        None
                    }
                    Op::DropPeek => peeks.pop().map(|peek| **peek),
                    Op::NewCached => {
                        caches.push($kind::Cached::new(Arc::clone(&snapshot)));
                        None
                    }
                    Op::LoadCached => caches.last_mut().map(|cached| **cached.load()),
                    Op::CloneCached => {
                        let copy = caches.last().cloned();
                        caches.extend(copy);
                        None
                    }
                    Op::DropCached => caches.pop().map(|mut cached| **cached.load()),
                };
                let held: Vec<i32> = peeks.iter().map(|peek| ***peek).collect();
                seen.push((outcome, held));
            }
            let last: Vec<i32> = caches.iter_mut().map(|cached| **cached.load()).collect();
            (seen, last)
        }};
    }

    #[test]
    fn snapshots_agree() {
        for number in 0..ALL.len().pow(u32::try_from(LENGTH).expect("small")) {
            loom::model::Builder::new().check(move || {
                let ops = sequence(number);
                assert_eq!(observe!(model, ops), observe!(real, ops), "{ops:?}");
            });
        }
    }
}
