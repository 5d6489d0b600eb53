//! One versioned snapshot of the program's settings: layered, validated, watched, read lock-free.
//!
//! - [`Layers`] says what settings are made from: defaults, files, the environment, overrides.
//!   [`Layers::load`] makes a [`Config`] of them.
//! - [`Config`] is how the program reads and changes them. [`Guard`], [`Reader`], [`Key`] and [`Snapshot`] are
//!   the ways to read; [`Changes`] are several at once, a [`Ticket`] is one under way.
//! - [`Validate`] is what a type says about itself beyond its fields, into [`Checks`]. [`Fault`] is one thing
//!   that is wrong, with its [`Path`] and [`Origin`].
//! - [`ConfigService`] is the one thread that changes them, a child as any other.
//! - [`Subscription`] receives [`Notice`]s of [`Change`]s. A service may be told too, or asked about a version
//!   that is [`Proposed`].
//! - [`Section`] is a part that has a type of its own.
//! - [`Sink`] is where events and metrics go.
//! - Errors are one enum for each operation: [`LoadError`], [`UpdateError`], [`GetError`], [`RecvError`],
//!   [`PathError`].
//!
//! The chapter [`settings`](crate::guide::settings) of the guide says what to take when.

mod board;
mod changes;
#[allow(clippy::module_inception)] // the noun of the file
mod config;
mod consent;
mod courier;
mod current;
mod debounce;
mod decode;
mod diff;
mod draft;
mod edits;
mod environment;
mod errors;
mod fault;
mod file;
mod get;
mod glance;
mod graft;
mod history;
mod index;
mod keep;
mod key;
mod layers;
mod limits;
mod merge;
#[cfg(all(test, underpin_loom))]
mod models;
mod notices;
mod overrides;
mod path;
mod proposal;
#[doc = include_str!("PROTOCOL.md")]
mod protocol {}
mod reader;
mod registration;
mod resolve;
mod section;
mod server;
mod sink;
mod snapshot;
mod sources;
mod subscribers;
mod subscription;
mod ticket;
mod tree;
mod validate;
mod watch;
#[cfg(feature = "watch")]
mod way;

pub use board::Degraded;
pub use changes::Changes;
pub use config::{Config, Settings};
pub use consent::{Proposed, Silence, Verdict};
pub use diff::Change;
pub use draft::Unknown;
pub use errors::{LoadError, RecvError, UpdateError};
pub use fault::{Fault, Faults};
pub use get::GetError;
pub use key::Key;
pub use layers::{BadStart, Layers};
pub use limits::{MAX_FILE_BYTES, MAX_VALUE_BYTES};
pub use notices::Notice;
pub use path::{MAX_DEPTH, Path, PathError};
pub use proposal::Cause;
pub use reader::{Guard, Reader};
pub use registration::Registration;
pub use section::Section;
pub use server::{ConfigService, Request};
pub use sink::{ConfigEvent, Metric, Sink};
pub use snapshot::Snapshot;
pub use subscription::Subscription;
pub use ticket::Ticket;
pub use tree::Origin;
pub use validate::{Checks, Validate};
pub use watch::Watch;
