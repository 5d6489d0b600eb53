//! The kit: one service is one OS thread and one bounded mailbox.

pub(crate) mod activity;
pub(crate) mod claim;
pub(crate) mod context;
pub(crate) mod core;
pub(crate) mod dead_letters;
pub(crate) mod deadline;
pub(crate) mod drops;
pub(crate) mod exchange;
pub(crate) mod exit;
pub(crate) mod fence;
pub(crate) mod gate;
pub(crate) mod handle;
pub(crate) mod incarnation;
pub(crate) mod inspect;
pub(crate) mod machine;
pub(crate) mod mailbox;
#[cfg(all(test, underpin_loom))]
mod models;
pub(crate) mod monitor;
pub(crate) mod names;
#[doc = include_str!("PROTOCOL.md")]
mod protocol {}
pub(crate) mod pending;
pub(crate) mod pulse;
pub(crate) mod recipe;
pub(crate) mod replay;
pub(crate) mod reply;
pub(crate) mod scope;
pub(crate) mod senders;
#[allow(clippy::module_inception)] // the noun of the file is the trait
pub(crate) mod service;
pub(crate) mod shelf;
pub(crate) mod spinner;
pub(crate) mod system;
pub(crate) mod thread;
pub(crate) mod timers;
pub(crate) mod wait;
pub(crate) mod wake;
pub(crate) mod watch;
pub(crate) mod worker;
pub(crate) mod zombies;
