//! Who starts, watches, restarts and stops whom.

pub(crate) mod backoff;
pub(crate) mod child;
mod clerk;
pub(crate) mod dynamic;
pub(crate) mod errors;
pub(crate) mod hang;
pub(crate) mod inspect;
mod intensity;
mod last_words;
mod machine;
pub(crate) mod owner;
pub(crate) mod partition;
mod plan;
mod policy;
pub(crate) mod reference;
mod replacement;
pub(crate) mod report;
pub(crate) mod settings;
#[cfg(all(test, not(underpin_loom)))]
mod simulation;
pub(crate) mod spec;
pub(crate) mod strategy;
#[allow(clippy::module_inception)] // the noun of the file
pub(crate) mod supervisor;
pub(crate) mod tree;
mod watchdog;
