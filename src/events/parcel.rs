//! A batch on its way through a mailbox.

use std::sync::Arc;

use super::batch::Batch;
use super::errors::Refusal;
use super::receipt::{Answer, Stored};
use super::shard::Shard;
use super::streams::Expected;
use crate::service::reply::{Failure, Reply};
use crate::service::scope;
use crate::sync::mutant;

/// A batch on its way to a shard. While it is, the shard knows: a query waits for it. However it ends,
/// it is counted.
#[derive(Debug)]
pub(crate) struct Parcel {
    /// `None` once it was taken out.
    batch: Option<Batch>,
    pub(crate) expected: Option<(Arc<str>, Expected)>,
    answer: Answer,
    events: u64,
    bytes: u64,
    shard: Arc<Shard>,
}

/// What is in a parcel.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) batch: Batch,
    pub(crate) expected: Option<(Arc<str>, Expected)>,
    pub(crate) answer: Answer,
}

impl Parcel {
    /// # Errors
    ///
    /// When too many bytes are on their way already.
    #[allow(clippy::result_large_err)] // what was to be sent comes back
    pub(crate) fn pack(shard: &Arc<Shard>, contents: Contents) -> Result<Self, Contents> {
        let Contents { batch, expected, answer } = contents;
        let (events, bytes) = (batch.len() as u64, batch.bytes());
        if !shard.expect(events, bytes) {
            return Err(Contents { batch, expected, answer });
        }
        Ok(Self { batch: Some(batch), expected, answer, events, bytes, shard: Arc::clone(shard) })
    }

    /// Who asked for it.
    pub(crate) fn answered(mut self, reply: Reply<Result<Stored, Refusal>>) -> Self {
        self.answer = Answer::Call(reply);
        self
    }

    /// It has arrived: from here on the shard answers for it.
    pub(crate) fn open(mut self) -> Contents {
        self.shard.arrived(self.bytes);
        self.take().expect("nobody else has opened it")
    }

    /// It was not sent: nobody waits for it any more.
    pub(crate) fn take_back(mut self) -> Contents {
        self.shard.forget(self.events, self.bytes);
        self.take().expect("nobody else has opened it")
    }

    /// The full mailbox gave it up. Whoever waits for it is told.
    pub(crate) fn shed(mut self) {
        self.shard.forget(self.events, self.bytes);
        self.shard.count_shed(self.events);
        if let Some(contents) = self.take() {
            self.shard.owe(contents.batch.receipts, Refusal::Full);
        }
    }

    fn take(&mut self) -> Option<Contents> {
        let batch = self.batch.take()?;
        let answer = std::mem::replace(&mut self.answer, Answer::Nobody);
        Some(Contents { batch, expected: self.expected.take(), answer })
    }
}

impl Drop for Parcel {
    /// A call that came to nothing, whose caller is told so; or a crash over it.
    fn drop(&mut self) {
        if self.batch.is_some() && !mutant!(ForgetParcel) {
            self.shard.forget(self.events, self.bytes);
            match scope::reason() {
                Some(Failure::Shed | Failure::Stopped) => self.shard.count_shed(self.events),
                _ => self.shard.count_lost(self.events),
            }
        }
    }
}
