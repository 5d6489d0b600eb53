//! The running application: what is started, what keeps it running, how it ends.

#[allow(clippy::module_inception)] // the noun of the file
pub(crate) mod foundation;
#[cfg(feature = "signals")]
mod signals;
