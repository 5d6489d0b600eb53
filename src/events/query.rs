//! What somebody wants to know of a store.

use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::time::SystemTime;

use super::correlation::Correlation;
use super::cursor::Cursor;
use super::entry::Entry;
use super::errors::{Behind, Invalid};
use super::id::EventId;
use super::wanted::{Name, Wanted};

/// How many events a page has, unless a query says so.
pub const DEFAULT_LIMIT: usize = 1_000;
/// How many events a page has at most.
pub const MAX_LIMIT: usize = 100_000;

/// A question to a store: which events, in which order, how many.
///
/// Events have to meet all that is asked for; each filter may be given once. What makes no sense is
/// refused when the query is run.
///
/// By correlation, parent, stream or kind events are found by an index, by number and time by a search;
/// a query that says something of these costs what its result costs. All others look at every event.
///
/// # Example
///
/// ```
/// use underpin::events::{Order, Query};
///
/// let last_logins = Query::new().kind("login").service("web").order(Order::NewestFirst).limit(10);
/// # let _ = last_logins;
/// ```
#[derive(Clone, Debug)]
pub struct Query {
    pub(crate) wanted: Wanted,
    pub(crate) predicates: Predicates,
    pub(crate) order: Order,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
    pub(crate) after: Option<Cursor>,
}

/// In which order events are given. They are ordered by the time at which they happened and then by
/// number. In a shard none is before one that was stored earlier, be its time later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// The oldest is the first.
    #[default]
    OldestFirst,
    /// The newest is the first.
    NewestFirst,
}

/// What is wrong with a query.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// A page of no events says nothing.
    #[error("a limit of 0 leaves nothing to find, from 1 to {MAX_LIMIT} are allowed")]
    LimitZero,
    /// A page would be too large.
    #[error("a limit of {limit} is too large, at most {most} are allowed")]
    LimitTooLarge {
        /// What was asked for.
        limit: usize,
        /// What is allowed.
        most: usize,
    },
    /// Nothing can be in a range.
    #[error("the {field} is empty: its end is not after its start")]
    EmptyRange {
        /// Which.
        field: &'static str,
    },
    /// A filter was given twice.
    #[error("the {field} was given twice, once is allowed")]
    Twice {
        /// Which.
        field: &'static str,
    },
    /// There can be no such name.
    #[error("no event has such a name: {0}")]
    Name(#[from] Invalid),
    /// What was stored before cannot be seen yet.
    #[error(transparent)]
    Behind(#[from] Behind),
    /// The query that the cursor comes from had another order.
    #[error("the cursor is of a query with another order than {expected:?}")]
    CursorOrder {
        /// The order of this query.
        expected: Order,
    },
}

impl Default for Query {
    fn default() -> Self {
        Self {
            wanted: Wanted::default(),
            predicates: Predicates::default(),
            order: Order::default(),
            offset: 0,
            limit: DEFAULT_LIMIT,
            after: None,
        }
    }
}

/// Which events.
impl Query {
    /// All events, the oldest first, a thousand of them.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn of(wanted: Wanted) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Of this kind.
    pub fn kind(self, kind: &str) -> Self {
        self.name(Name::Kind, kind)
    }

    /// Of a kind that begins like this: `"order."` for `order.placed` and `order.paid`.
    pub fn kind_prefix(self, prefix: &str) -> Self {
        self.name(Name::KindPrefix, prefix)
    }

    /// Of this stream.
    pub fn stream(self, stream: &str) -> Self {
        self.name(Name::Stream, stream)
    }

    /// Of this service; what was stored on a thread of the program's own is of none.
    pub fn service(self, service: &str) -> Self {
        self.name(Name::Service, service)
    }

    /// From this thread.
    pub fn thread(self, thread: &str) -> Self {
        self.name(Name::Thread, thread)
    }

    /// From this node.
    pub fn node(self, node: &str) -> Self {
        self.name(Name::Node, node)
    }

    fn name(mut self, name: Name, wanted: &str) -> Self {
        self.wanted.name(name, wanted);
        self
    }

    /// With this correlation.
    pub fn correlation(mut self, correlation: impl Into<Correlation>) -> Self {
        self.wanted.correlation(correlation.into());
        self
    }

    /// Caused directly by this event.
    pub fn parent(mut self, parent: EventId) -> Self {
        self.wanted.parent(parent);
        self
    }

    /// Happened at these times, by the wall's clock: `start..end`, `start..`, `..end`.
    pub fn between(mut self, times: impl RangeBounds<SystemTime>) -> Self {
        self.wanted.times(times);
        self
    }

    /// With these numbers: `first..end`, `first..`.
    pub fn ids(mut self, ids: impl RangeBounds<EventId>) -> Self {
        self.wanted.ids(ids);
        self
    }

    /// Of which this is true, too. May be given many times. It is asked of those only of which all else
    /// is true, on the thread that runs the query.
    pub fn matching(mut self, predicate: impl Fn(&Entry) -> bool + Send + Sync + 'static) -> Self {
        self.predicates.0.push(Arc::new(predicate));
        self
    }
}

/// How many, and in which order. What is said last counts.
impl Query {
    /// In this order.
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Without the first so many. They are looked for all the same: to go from page to page,
    /// [`after`](Self::after) is faster, and misses nothing when events are dropped meanwhile.
    pub fn offset(mut self, offset: usize) -> Self {
        self.offset = offset;
        self
    }

    /// At most so many, up to [`MAX_LIMIT`]; [`DEFAULT_LIMIT`] unless it is said.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// From where a page of a query in the same order ended.
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// # Errors
    ///
    /// When it makes no sense.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        match self.limit {
            0 => return Err(QueryError::LimitZero),
            limit if limit > MAX_LIMIT => return Err(QueryError::LimitTooLarge { limit, most: MAX_LIMIT }),
            _ => {}
        }
        if self.after.is_some_and(|cursor| cursor.order != self.order) {
            return Err(QueryError::CursorOrder { expected: self.order });
        }
        self.wanted.check()
    }
}

/// What the caller asks of each event.
#[derive(Clone, Default)]
pub(crate) struct Predicates(Vec<Arc<Predicate>>);

type Predicate = dyn Fn(&Entry) -> bool + Send + Sync;

impl Predicates {
    pub(crate) fn hold(&self, entry: impl FnOnce() -> Entry) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let entry = entry();
        self.0.iter().all(|predicate| predicate(&entry))
    }
}

impl fmt::Debug for Predicates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|_| format_args!("Fn(&Entry) -> bool"))).finish()
    }
}

/// What a query found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page {
    /// In the order of the query.
    pub entries: Vec<Entry>,
    /// From where to go on: `None` if there was no more. After a full page there may be none either, that is
    /// not looked for; then the next one is empty.
    pub next: Option<Cursor>,
}

impl IntoIterator for Page {
    type Item = Entry;
    type IntoIter = std::vec::IntoIter<Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a> IntoIterator for &'a Page {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::sample::id;
    use super::*;

    fn wrong(query: Query) -> String {
        query.check().expect_err("it makes no sense").to_string()
    }

    #[test]
    fn limits_are_from_1_to_100_000() {
        assert_eq!(Query::new().limit, 1_000);
        assert!(Query::new().limit(1).check().is_ok() && Query::new().limit(MAX_LIMIT).check().is_ok());
        assert_eq!(
            wrong(Query::new().limit(0)),
            "a limit of 0 leaves nothing to find, from 1 to 100000 are allowed"
        );
        let too_large = QueryError::LimitTooLarge { limit: usize::MAX, most: 100_000 };
        assert_eq!(Query::new().limit(usize::MAX).check(), Err(too_large));
    }

    type By = fn(Query, &str) -> Query;

    #[test]
    fn names_that_cannot_be_are_refused() {
        let long = "x".repeat(256);
        let by: [(&str, By); 7] = [
            ("kind", Query::kind),
            ("kind prefix", Query::kind_prefix),
            ("stream", Query::stream),
            ("service", Query::service),
            ("thread", Query::thread),
            ("node", Query::node),
            ("correlation", |query, text| query.correlation(text)),
        ];
        for (field, by) in by {
            assert_eq!(wrong(by(Query::new(), "")), format!("no event has such a name: {field} is empty"));
            assert!(wrong(by(Query::new(), &long)).contains(&format!("{field} has 256 bytes")));
            assert!(by(Query::new(), &long[1..]).check().is_ok());
            let twice = wrong(by(by(Query::new(), "a"), "a"));
            assert_eq!(twice, format!("the {field} was given twice, once is allowed"));
        }
    }

    #[test]
    fn ranges_that_nothing_is_in_are_refused() {
        let time = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let error = "the time range is empty: its end is not after its start";
        assert_eq!(wrong(Query::new().between(time(5)..time(5))), error);
        assert_eq!(wrong(Query::new().between(time(6)..=time(5))), error);
        assert!(Query::new().between(time(5)..=time(5)).check().is_ok());
        assert_eq!(
            wrong(Query::new().ids(id(5)..id(5))),
            "the range of numbers is empty: its end is not after its start"
        );
        assert!(Query::new().ids(id(u64::MAX)..).ids(id(1)..).check().is_err(), "twice");
        assert!(Query::new().ids(id(u64::MAX)..=id(u64::MAX)).check().is_ok());
        assert!(Query::new().between(..UNIX_EPOCH - Duration::from_secs(1)).check().is_ok());
    }

    #[test]
    fn a_cursor_of_another_order_is_refused() {
        let cursor = Cursor { place: (1, 1), order: Order::NewestFirst };
        let error = QueryError::CursorOrder { expected: Order::OldestFirst };
        assert_eq!(Query::new().after(cursor).check(), Err(error));
        assert!(Query::new().after(cursor).order(Order::NewestFirst).check().is_ok());
    }

    #[test]
    fn all_of_it_is_shown_but_what_closures_do() {
        let query = Query::new().kind("a").kind_prefix("b").stream("c").service("d").thread("e").node("f");
        let query =
            query.correlation("g").parent(id(71)).ids(id(81)..).between(UNIX_EPOCH..).matching(|_| true);
        let shown = format!("{:?}", query.offset(91).after("up.5.6".parse().expect("it is one")));
        let parts = [
            "kind", "\"a\"", "\"b\"", "\"c\"", "\"d\"", "\"e\"", "\"f\"", "(g)", "71", "81..", "1970", "Fn(",
            "91", "1000", "(5, 6)",
        ];
        parts.into_iter().for_each(|part| assert!(shown.contains(part), "{part} in {shown}"));
        assert!(!format!("{:?}", Query::new()).contains("parent"));
    }
}
