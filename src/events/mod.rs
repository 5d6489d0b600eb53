//! A bounded store of what happened: it accounts for every event, is asked without holding anybody up, and keeps a
//! journal that survives a crash.
//!
//! - [`Event`] is something that happened; [`Entry`] is what it is once it is stored. [`EventId`], [`Correlation`],
//!   [`Source`] and [`Data`] are what they are made of.
//! - [`EventStore`] is the store, [`StoreBuilder`] says what is special about one. [`Writer`] stores by the batch,
//!   [`Receipt`] hears what became of an event, [`Stored`] is what a batch has come to, and [`Expected`] how far a
//!   stream must have come. [`StoreStats`] are the accounts.
//! - [`Query`] is a question, [`Page`] an answer, [`Cursor`] where the next page begins, [`Filter`] a question as a
//!   text. [`EventSnapshot`] is the store as it was at one moment, [`Chain`] what led to an event and came of it.
//! - [`Subscription`] follows what is stored, from a [`StartFrom`] on; a [`Checkpoint`] is how far it has come.
//! - `Journal` says where events are kept on disk, `JournalReader` looks into one from outside, and `JournalStats` say
//!   how it goes; with the feature `journal`.
//! - [`Rebuilt`] is a state that was built from a stream.
//! - [`EventService`] is the thread of a shard, a child as any other.
//! - Errors: [`Refusal`] and [`NotStored`] of storing, [`QueryError`] and [`Behind`] of asking, [`FollowError`] of
//!   following, [`ReplayError`] of replaying; `JournalError`.
//!
//! The chapter [`events`](crate::guide::events) of the guide says what to take when.

mod base64;
mod batch;
mod bounds;
mod buffer;
mod builder;
mod chain;
mod checkpoint;
mod chunks;
mod civil;
#[cfg(feature = "journal")]
mod codec;
mod correlation;
mod cursor;
mod data;
mod entry;
mod errors;
mod event;
#[cfg(all(test, feature = "journal", not(underpin_loom)))]
mod faults;
mod filter;
mod here;
mod id;
mod ids;
mod index;
#[cfg(feature = "journal")]
mod intern;
#[cfg(feature = "journal")]
mod journal;
#[cfg(feature = "journal")]
mod journal_reader;
mod json;
mod kind;
mod later;
mod limits;
mod looking;
mod lookup;
#[cfg(feature = "journal")]
mod memories;
mod merge;
#[cfg(all(test, underpin_loom))]
mod models;
mod moment;
#[cfg(feature = "journal")]
mod opening;
mod origin;
mod outlet;
#[cfg(feature = "journal")]
mod paper;
mod parcel;
#[cfg(feature = "journal")]
mod pen;
mod post;
#[doc = include_str!("PROTOCOL.md")]
mod protocol {}
mod query;
#[cfg(feature = "journal")]
mod read_back;
mod receipt;
#[cfg(feature = "journal")]
mod recover;
mod replay;
mod rfc3339;
#[cfg(all(test, not(underpin_loom)))]
mod sample;
mod scan;
#[cfg(feature = "journal")]
mod scribe;
mod segment;
mod service;
mod shard;
mod shelf;
mod snapshot;
mod source;
mod spent;
mod stats;
mod store;
mod streams;
mod subscription;
mod view;
mod wanted;
mod writer;
mod written;

pub use bounds::{DEFAULT_MAX_AGE, DEFAULT_MAX_BYTES, DEFAULT_MAX_EVENTS};
pub use builder::{MAX_SHARDS, StoreBuilder};
pub use chain::{CHAIN_LIMIT, Chain};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use correlation::Correlation;
pub use cursor::{Cursor, CursorError};
pub use data::Data;
pub use entry::Entry;
pub use errors::{Behind, FollowError, Invalid, JsonLineError, NotStored, Refusal, ReplayError};
pub use event::{Event, SNAPSHOT, SPAN_END, SPAN_START, STATE_CHANGE};
pub use filter::{Filter, FilterError, MAX_FILTER_BYTES};
pub use id::EventId;
#[cfg(feature = "journal")]
pub use journal::{Corrupt, Gap, Journal, JournalError, OnCorruption, Recovery, Sync, Torn};
#[cfg(feature = "journal")]
pub use journal_reader::{JournalItem, JournalReader};
pub use json::parse_line;
pub use limits::{MAX_BATCH, MAX_BATCH_BYTES, MAX_DATA_BYTES, MAX_JSON_DEPTH, MAX_NAME_BYTES};
#[cfg(feature = "journal")]
pub use pen::{JournalStats, JournalTrouble};
pub use query::{DEFAULT_LIMIT, MAX_LIMIT, Order, Page, Query, QueryError};
pub use receipt::{Receipt, Stored};
pub use replay::Rebuilt;
#[cfg(feature = "journal")]
pub use scribe::{JournalRequest, JournalService};
pub use service::{EventService, Request};
pub use snapshot::EventSnapshot;
pub use source::Source;
pub use stats::StoreStats;
pub use store::EventStore;
pub use streams::{DEFAULT_MAX_STREAMS, Expected};
pub use subscription::{StartFrom, Subscription};
pub use writer::Writer;
