//! What can go wrong.

use std::sync::Arc;
use std::time::Duration;

use super::correlation::Correlation;
use super::event::Event;
use super::id::EventId;
use super::query::QueryError;
use super::streams::Expected;

/// What is wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// A name says nothing.
    #[error("{field} is empty")]
    Empty {
        /// Which.
        field: &'static str,
    },
    /// Something is too long.
    #[error("{field} has {bytes} bytes, at most {most} are allowed")]
    TooLong {
        /// What.
        field: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// It brings a number, where numbers are given.
    #[error("it brings a number: a writer takes none, `EventStore::store` does")]
    HasId,
    /// A JSON value nests too deep.
    #[error("data nests deeper than {most} levels")]
    TooDeep {
        /// How deep it may nest.
        most: usize,
    },
}

/// Why a store did not take an event. The event, or the batch, is handed back where that is possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Something about it is not allowed.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A number was given before: to this event, or to another, or passed over.
    #[error("the number {id} is taken: all below {next} are")]
    DuplicateId {
        /// The number that the event brought.
        id: EventId,
        /// The least that is free.
        next: EventId,
    },
    /// The events of a batch bring numbers that do not follow one another.
    #[error(
        "the numbers that a batch brings must follow one another: {found} came where {expected} was expected"
    )]
    IdsNotContiguous {
        /// What came.
        found: String,
        /// What would have followed.
        expected: String,
    },
    /// The stream has come less far than was expected, or farther.
    #[error("the stream `{stream}` has {actual} events, expected was {expected:?}")]
    WrongVersion {
        /// The stream.
        stream: Arc<str>,
        /// What was expected.
        expected: Expected,
        /// How many events it has.
        actual: u64,
    },
    /// There is no room for another stream.
    #[error("the stream `{stream}` would be one too many: the store knows {most}, see `max_streams`")]
    TooManyStreams {
        /// The stream.
        stream: Arc<str>,
        /// How many there may be.
        most: usize,
    },
    /// A batch has no event.
    #[error("a batch has one event at least")]
    NoEvents,
    /// A batch has too many events.
    #[error("a batch has at most {most} events, not {events}")]
    TooManyEvents {
        /// How many it has.
        events: usize,
        /// How many it may have.
        most: usize,
    },
    /// The events of a batch are too large together.
    #[error("a batch has at most {most} bytes, not {bytes}")]
    TooManyBytes {
        /// How many it has.
        bytes: u64,
        /// How many it may have.
        most: u64,
    },
    /// The events of a batch belong to several shards: they could not be taken all or none.
    #[error(
        "a batch goes to one shard: event {at} has the correlation {correlation}, which is another's than that of the first"
    )]
    SeveralShards {
        /// The place of the first event that belongs elsewhere.
        at: usize,
        /// Its correlation.
        correlation: Correlation,
    },
    /// Too much waits to be stored.
    #[error("the store is full: its service is behind")]
    Full,
    /// The service has stopped for good.
    #[error("the store has stopped")]
    Stopped,
    /// The service crashed with it in hand, or gave it up: whether it is stored is not known.
    #[error("the store did not say whether it took it: {reason}")]
    Unknown {
        /// What came of the question.
        reason: Arc<str>,
    },
    /// It is in memory, and not in the journal.
    #[error("it is stored in memory, and not durable: {reason}")]
    NotDurable {
        /// What is wrong with the journal.
        reason: Arc<str>,
    },
}

/// Events that were not stored, and why. They are handed back, as far as it is certain that they were
/// not stored.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{why}")]
#[non_exhaustive]
pub struct NotStored {
    /// Why.
    pub why: Refusal,
    /// What was to be stored. Empty where the service had it: then what is said in `why` holds for all of it.
    pub events: Vec<Event>,
}

impl NotStored {
    pub(crate) fn new(why: impl Into<Refusal>, events: Vec<Event>) -> Self {
        Self { why: why.into(), events }
    }
}

/// What was stored before cannot be seen: the service is behind, or gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was stored before cannot be seen yet: {reason}")]
#[non_exhaustive]
pub struct Behind {
    /// What came of the question.
    pub reason: Arc<str>,
}

/// Why a state was not built from what has happened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Something is not there any more: the state would be wrong.
    #[error("something is not there any more: {missing}")]
    Incomplete {
        /// What.
        missing: String,
    },
    /// What was stored before cannot be seen, or is not in the journal.
    #[error(transparent)]
    Behind(#[from] Behind),
    /// There can be no such stream.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The journal cannot be read.
    #[cfg(feature = "journal")]
    #[error(transparent)]
    Journal(#[from] super::journal::JournalError),
}

/// Why a subscription has no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// Nothing was stored in time.
    #[error("no event was stored within {waited:?}")]
    TimedOut {
        /// How long was waited.
        waited: Duration,
    },
    /// Events were taken out of the store before they were received. It is told once; the subscription goes on
    /// with the oldest that is there.
    #[error("{events} events were taken out of the store before they were received")]
    Missed {
        /// How many; after a checkpoint, how many at most.
        events: u64,
    },
    /// The store has stopped, and all was received.
    #[error("the store has stopped")]
    Closed,
}

/// Why bytes are no stored event. Where counts from the first of them.
#[cfg(feature = "journal")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodecError {
    /// A number is none that may be there.
    #[error("byte {at}: expected {expected}, found {found}")]
    Unexpected { at: usize, expected: &'static str, found: u64 },
    /// They end in the middle of something.
    #[error("byte {at}: expected {expected} bytes of {field}, found {found}")]
    Cut { at: usize, field: &'static str, expected: usize, found: usize },
    /// They go on after the end.
    #[error("byte {at}: expected the end, found {found} more bytes")]
    Trailing { at: usize, found: usize },
    /// A text is none.
    #[error("byte {at}: expected UTF-8 in {field}")]
    NotText { at: usize, field: &'static str },
    /// What should be JSON is not.
    #[error("byte {at}: expected JSON: {reason}")]
    NotJson { at: usize, reason: String },
    /// It is one that no store would take.
    #[error("byte {at}: {invalid}")]
    Invalid { at: usize, invalid: Invalid },
}

/// Why a text is no line of JSON that a stored event is written as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonLineError {
    /// It is no JSON object.
    #[error("expected a JSON object: {reason}")]
    NotJson {
        /// What is wrong, and in which column.
        reason: String,
    },
    /// A field is not there.
    #[error("expected a field `{field}`")]
    Missing {
        /// Which.
        field: &'static str,
    },
    /// A field is there, but not as it should be.
    #[error("{field}: expected {expected}, found {found}")]
    Unexpected {
        /// Which.
        field: &'static str,
        /// What should be there.
        expected: &'static str,
        /// What is there, or its beginning.
        found: String,
    },
    /// It is an event that no store would take.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}
