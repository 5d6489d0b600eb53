//! The word of a task. Each bit is set once, and never taken back.
//!
//! | bit | says | who sets it |
//! |---|---|---|
//! | [`CLAIMED`] | one thread has it, to run it or to end it | who finds it unset: a worker, the joiner, who cancels, who closes the pool |
//! | [`DONE`] | the outcome lies ready | who has claimed it |
//! | [`WAITED`] | the joiner may be parked | the joiner |
//! | [`ALONE`] | nobody will ask for the outcome | the joiner that gives up, who detaches |
//! | [`CANCELLED`] | it is to end soon | anybody |

pub(super) const CLAIMED: u64 = 1;
pub(super) const DONE: u64 = 2;
pub(super) const WAITED: u64 = 4;
pub(super) const ALONE: u64 = 8;
pub(super) const CANCELLED: u64 = 16;
