//! What has happened, told once more.

use super::entry::Entry;
use super::errors::ReplayError;
use super::event::SNAPSHOT;
use super::id::EventId;
use super::query::Query;
use super::snapshot::EventSnapshot;
use super::store::EventStore;

/// How many events are looked up at once.
const RUN: usize = 4096;

/// A state that was built from a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rebuilt<S> {
    /// The state.
    pub state: S,
    /// How many events the stream had: what [`Expected::Exact`](super::Expected::Exact) takes.
    pub version: u64,
}

impl EventStore {
    /// Folds all that was stored after an event, or since the beginning: by time and number what memory has, in the
    /// order of the journal what only that has.
    ///
    /// # Errors
    ///
    /// When something of it is not there any more, neither in memory nor in the journal: the state would be
    /// wrong. When the services are behind, and when the journal cannot be read.
    ///
    /// # Blocking
    ///
    /// As [`fresh`](Self::fresh); where the journal has to be read, as [`sync`](Self::sync), and as long as it is read,
    /// on the calling thread.
    ///
    /// # Example
    ///
    /// ```
    /// # use underpin::Supervisor;
    /// # use underpin::events::{Entry, Event, EventStore};
    /// # let store = EventStore::in_memory();
    /// # let app = Supervisor::new("app").supervisor(store.supervisor()).start()?;
    /// store.store(Event::new("deposit").with_data("7"))?;
    /// store.store(Event::new("deposit").with_data("5"))?;
    /// let amount = |entry: &Entry| entry.data().as_text().and_then(|text| text.parse().ok());
    /// let balance = store.replay(None, 0, |balance, entry| balance + amount(entry).unwrap_or(0))?;
    /// assert_eq!(balance, 12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn replay<S>(
        &self,
        after: Option<EventId>,
        state: S,
        mut fold: impl FnMut(S, &Entry) -> S,
    ) -> Result<S, ReplayError> {
        let mut state = Some(state);
        let mut each = |entry: &Entry| {
            let folded = fold(state.take().expect("it is put back"), entry);
            state = Some(folded);
        };
        let after = after.map_or(0, EventId::get);
        let snapshot = self.fresh()?;
        if snapshot.gone().max(self.0.common.lost()) <= after {
            all_of(&snapshot, Query::new(), |entry| entry.id().get() > after, &mut each)?;
        } else {
            self.read_back(after, false, &mut each)?;
        }
        Ok(state.expect("it is put back"))
    }

    /// Rebuilds what a stream says: folds its events from the first on, or from its last
    /// [snapshot](super::Event::snapshot) on, with that.
    ///
    /// This is how a service gets its state back in its `init`: what it is told is what it did, in order.
    ///
    /// # Errors
    ///
    /// When neither the first event of the stream nor a snapshot is there any more; else as
    /// [`replay`](Self::replay).
    ///
    /// # Blocking
    ///
    /// As [`replay`](Self::replay).
    ///
    /// # Example
    ///
    /// ```
    /// # use underpin::Supervisor;
    /// use underpin::events::{Entry, Event, EventStore, Expected, SNAPSHOT};
    ///
    /// let store = EventStore::in_memory();
    /// let app = Supervisor::new("app").supervisor(store.supervisor()).start()?;
    /// let amount = |entry: &Entry| -> i64 { entry.data().as_text().map_or(0, |text| text.parse().unwrap_or(0)) };
    /// let balance = |balance, entry: &Entry| match entry.kind() {
    ///     SNAPSHOT => amount(entry),
    ///     _ => balance + amount(entry),
    /// };
    /// let deposit = |amount: &'static str| [Event::new("deposit").with_data(amount)];
    /// store.append("account 1", Expected::NoStream, deposit("7"))?;
    /// store.append("account 1", Expected::Exact(1), [Event::snapshot("7")])?;
    /// store.append("account 1", Expected::Exact(2), deposit("5"))?;
    /// let rebuilt = store.rebuild("account 1", 0, balance)?;
    /// assert_eq!((rebuilt.state, rebuilt.version), (12, 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn rebuild<S>(
        &self,
        stream: &str,
        state: S,
        fold: impl FnMut(S, &Entry) -> S,
    ) -> Result<Rebuilt<S>, ReplayError> {
        let expected = self.stream_version(stream);
        let mut tail = Tail::default();
        let snapshot = self.fresh()?;
        let query = Query::new().stream(stream);
        all_of(&snapshot, query, |_| true, &mut |entry| tail.entries.push(entry.clone()))?;
        tail.cut(expected);
        if !tail.is_whole(expected) {
            let mut back = Tail::default();
            // What is missing may be of other streams; of this one that is seen from the versions.
            self.read_back(0, true, &mut |entry| back.take(stream, entry)).or_else(no_journal)?;
            back.cut(expected);
            if back.is_whole(expected) {
                tail = back;
            }
        }
        match tail.is_whole(expected) {
            true => Ok(tail.fold(state, fold)),
            false => Err(ReplayError::Incomplete { missing: tail.missing(stream) }),
        }
    }

    #[cfg(not(feature = "journal"))]
    fn read_back(&self, after: u64, _: bool, _: &mut dyn FnMut(&Entry)) -> Result<(), ReplayError> {
        Err(ReplayError::Incomplete { missing: format!("events after {after}") })
    }
}

/// Then memory is all there is.
fn no_journal(error: ReplayError) -> Result<(), ReplayError> {
    match error {
        ReplayError::Incomplete { .. } => Ok(()),
        error => Err(error),
    }
}

/// The events of a stream, from its last snapshot on.
#[derive(Default)]
struct Tail {
    entries: Vec<Entry>,
}

impl Tail {
    fn take(&mut self, stream: &str, entry: &Entry) {
        if entry.stream() != Some(stream) {
            return;
        }
        if entry.kind() == SNAPSHOT {
            // Of several shards the later may come first.
            self.entries.retain(|other| other.version() > entry.version());
        }
        self.entries.push(entry.clone());
    }

    /// Puts them in their order: several shards may have some. What came since the question is left out, for it may be
    /// seen in part.
    fn cut(&mut self, expected: u64) {
        self.entries.retain(|entry| entry.version() <= expected);
        self.entries.sort_by_key(Entry::version);
        let last = self.entries.iter().rposition(|entry| entry.kind() == SNAPSHOT);
        self.entries.drain(..last.unwrap_or(0));
    }

    /// Whether it begins with a beginning, leaves nothing out, and has come as far as was known.
    fn is_whole(&self, expected: u64) -> bool {
        let Some(first) = self.entries.first() else { return expected == 0 };
        let begins = first.version() == 1 || first.kind() == SNAPSHOT;
        let follows = |pair: &[Entry]| pair[1].version() == pair[0].version() + 1;
        let last = self.entries.last().map_or(0, Entry::version);
        begins && self.entries.windows(2).all(follows) && last >= expected
    }

    fn missing(&self, stream: &str) -> String {
        let what = match self.entries.first() {
            Some(first) => format!("the first that is there has version {}", first.version()),
            None => "none is there".to_owned(),
        };
        format!("events of the stream `{stream}`: {what}")
    }

    fn fold<S>(&self, state: S, fold: impl FnMut(S, &Entry) -> S) -> Rebuilt<S> {
        let version = self.entries.last().map_or(0, Entry::version);
        Rebuilt { state: self.entries.iter().fold(state, fold), version }
    }
}

/// All events that a query asks for, a page at a time.
fn all_of(
    snapshot: &EventSnapshot,
    query: Query,
    wanted: impl Fn(&Entry) -> bool,
    each: &mut dyn FnMut(&Entry),
) -> Result<(), ReplayError> {
    let query = query.limit(RUN);
    let mut page = snapshot.query(&query)?;
    loop {
        page.entries.iter().filter(|entry| wanted(entry)).for_each(&mut *each);
        let Some(cursor) = page.next else { return Ok(()) };
        page = snapshot.query(&query.clone().after(cursor))?;
    }
}
