//! What is written by hand today to keep the newest events: a `VecDeque` under a mutex of parking_lot.

use std::collections::{HashMap, VecDeque};
use std::hint::black_box;
use std::sync::Arc;

use parking_lot::Mutex;

use super::sample::{KEPT, Sample};
use super::{Arena, Bout};

/// How many events belong together in a store that is queried.
const TOGETHER: u64 = 10;

/// The newest events, at most [`KEPT`].
pub struct Newest<T>(VecDeque<T>);

impl<T> Newest<T> {
    pub fn new() -> Self {
        Self(VecDeque::with_capacity(KEPT + 1))
    }

    /// Stores one; hands back the one that had to go.
    pub fn push(&mut self, event: T) -> Option<T> {
        self.0.push_back(event);
        if self.0.len() > KEPT { self.0.pop_front() } else { None }
    }
}

/// A store of the newest events. What goes is dropped when the lock is free again.
pub fn kept<T: Sample>() -> Arena {
    let events = Arc::new(Mutex::new(Newest::new()));
    Box::new(move || {
        let events = Arc::clone(&events);
        let store = move |n| {
            let _gone = events.lock().push(T::new(n, n));
        };
        Box::new(move |n| (0..n).for_each(&store)) as Box<dyn Bout>
    })
}

/// So many events, ten of each correlation, which lie far apart.
fn correlated<T: Sample>(events: u64) -> impl Iterator<Item = T> {
    (0..events).map(move |n| T::new(n, n % (events / TOGETHER)))
}

/// A client that asks for the events of one correlation after another.
fn queries<T: Sample>(events: u64, query: impl Fn(u64) -> Vec<T> + Send + 'static) -> Box<dyn Bout> {
    Box::new(move |n| {
        for i in 0..n {
            // A prime: neighbours in time are no neighbours in the store.
            let found = query(i * 7919 % (events / TOGETHER));
            assert_eq!(black_box(found).len() as u64, TOGETHER);
        }
    })
}

/// By correlation: each event is looked at.
pub fn scan<T: Sample, const EVENTS: u64>() -> Arena {
    let events: Arc<Mutex<VecDeque<T>>> = Arc::new(Mutex::new(correlated(EVENTS).collect()));
    Box::new(move || {
        let events = Arc::clone(&events);
        queries(EVENTS, move |wanted| {
            events.lock().iter().filter(|event| event.correlation() == wanted).cloned().collect::<Vec<T>>()
        })
    })
}

/// A deque, and where in it the events of each correlation are.
struct Indexed<T> {
    events: VecDeque<T>,
    places: HashMap<u64, Vec<usize>>,
}

impl<T: Sample> Indexed<T> {
    fn new(events: VecDeque<T>) -> Self {
        let mut places = HashMap::<_, Vec<_>>::new();
        for (place, event) in events.iter().enumerate() {
            places.entry(event.correlation()).or_default().push(place);
        }
        Self { events, places }
    }

    fn by_correlation(&self, wanted: u64) -> Vec<T> {
        let places = self.places.get(&wanted).into_iter().flatten();
        places.map(|place| self.events[*place].clone()).collect()
    }
}

/// By correlation: a map says where they are. Nothing is ever removed, so nothing has to be renumbered.
pub fn index<T: Sample, const EVENTS: u64>() -> Arena {
    let events = Arc::new(Mutex::new(Indexed::<T>::new(correlated(EVENTS).collect())));
    Box::new(move || {
        let events = Arc::clone(&events);
        queries(EVENTS, move |wanted| events.lock().by_correlation(wanted))
    })
}
