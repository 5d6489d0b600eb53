//! Models of the protocol: the crate's own code, in every order of events, on the stand-ins of
//! `sync/model.rs`. Each has a mutant, a known-wrong variant of the same code, that it must find.
//!
//! The page [`protocol`](super::protocol) says which model stands behind which of its claims.

mod dispatch;
mod series;
mod shards;
