//! Models of the room's protocols: the crate's own code, in every order of events, on the stand-ins of `sync/model.rs`.
//! Each has a mutant, a known-wrong variant of the same code, that it must find.

mod claim;
mod completed;

use crate::sync::checks::{finds, holds, joined, thread};
use crate::sync::model::Mutant;
