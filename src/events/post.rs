//! Sends batches to a shard.
#![allow(clippy::result_large_err)] // what could not be sent comes back

use std::sync::Arc;

use super::batch::Batch;
use super::errors::Refusal;
use super::event::Event;
use super::here::store_here;
use super::parcel::{Contents, Parcel};
use super::receipt::{Answer, Stored};
use super::service::{Order, Request};
use super::shard::Shard;
use crate::error::{CallError, CastError};
use crate::service::deadline::{Deadline, Limit};
use crate::service::handle::Handle;
use crate::service::mailbox::{Envelope, Overflow};

/// Sends a batch, under the overflow rule of the mailbox, and no longer than `limit`. What could not be
/// sent comes back.
pub(crate) fn post(
    shard: &Arc<Shard>,
    to: &Handle<Request>,
    batch: Batch,
    limit: Limit,
) -> Result<(), (Refusal, Batch)> {
    let contents = Contents { batch, expected: None, answer: Answer::Nobody };
    let parcel = pack(shard, to, contents, limit).map_err(|contents| (Refusal::Full, contents.batch))?;
    let message = Request(Order::Store(parcel));
    to.core().send(Envelope { message, call: None }, limit).map_err(not_sent)
}

/// Packs a parcel; where senders wait for space, it waits for the space that bytes take, too.
pub(crate) fn pack(
    shard: &Arc<Shard>,
    to: &Handle<Request>,
    mut contents: Contents,
    limit: Limit,
) -> Result<Parcel, Contents> {
    let core = to.core();
    let Overflow::Block(patience) = core.mailbox.overflow() else { return Parcel::pack(shard, contents) };
    let now = core.clock().now();
    let deadline = limit.deadline(now).min(Limit::In(patience).deadline(now));
    loop {
        contents = match Parcel::pack(shard, contents) {
            Ok(parcel) => return Ok(parcel),
            Err(contents) if core.is_me() || deadline.has_passed(core.clock().now()) => return Err(contents),
            Err(contents) => contents,
        };
        // Once all that waits now is stored, there is room; unless others are faster.
        if to.call_by(deadline, |reply| Request(Order::Barrier(reply))).is_err() {
            return Err(contents);
        }
    }
}

/// Stores a batch and waits for that, until it is durable where the journal is told to be: on this thread, if nothing
/// comes before it, else by the mailbox.
pub(crate) fn post_and_wait(
    shard: &Arc<Shard>,
    to: &Handle<Request>,
    contents: Contents,
    deadline: Deadline,
) -> Result<Stored, (Refusal, Vec<Event>)> {
    let contents = match store_here(shard, to, contents, deadline) {
        Ok(outcome) => return outcome,
        Err(contents) => contents,
    };
    let parcel = pack(shard, to, contents, Limit::By(deadline));
    let parcel = parcel.map_err(|contents| (Refusal::Full, contents.batch.events))?;
    match to.call_by(deadline, |reply| Request(Order::Store(parcel.answered(reply)))) {
        Ok(outcome) => outcome.map_err(|why| (why, Vec::new())),
        Err(error) => Err(not_called(error)),
    }
}

fn not_called(error: CallError<Request>) -> (Refusal, Vec<Event>) {
    let refusal = match &error {
        CallError::NotSent(error) => refusal_of(error),
        CallError::Shed { .. } => Refusal::Full,
        CallError::Stopped { .. } => Refusal::Stopped,
        error => Refusal::Unknown { reason: error.to_string().into() },
    };
    match error.into_message() {
        Some(Request(Order::Store(parcel))) => (refusal, parcel.take_back().batch.events),
        _ => (refusal, Vec::new()),
    }
}

fn not_sent(error: CastError<Request>) -> (Refusal, Batch) {
    let refusal = refusal_of(&error);
    match error.into_message() {
        Request(Order::Store(parcel)) => (refusal, parcel.take_back().batch),
        Request(_) => unreachable!("a parcel was sent"),
    }
}

fn refusal_of<M>(error: &CastError<M>) -> Refusal {
    match error {
        CastError::Full { .. } | CastError::TimedOut { .. } => Refusal::Full,
        CastError::Fenced { .. } => Refusal::Unknown { reason: error.to_string().into() },
        _ => Refusal::Stopped,
    }
}
