//! The way to the parsers: who gets which line, and what happens while they are busy.

use std::sync::Arc;

use underpin::{CastError, Handle};

use crate::framing::Frame;
use crate::parser;
use crate::stats::Stats;

/// Nothing more can be handed over: the recipient is stopped for good, or the sender itself was
/// abandoned.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Gone(String);

/// Where lines come from: a connection, a peer, a file. The lines of one go to one parser, so that
/// they stay in order.
pub(crate) type Source = u64;

/// Hands frames to the parsers, and counts what they take.
#[derive(Clone)]
pub(crate) struct Router {
    parsers: Arc<[Handle<parser::Msg>]>,
    stats: Arc<Stats>,
}

impl Router {
    /// At least one parser.
    pub(crate) fn new(parsers: Vec<Handle<parser::Msg>>, stats: Arc<Stats>) -> Self {
        Self { parsers: parsers.into(), stats }
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.stats
    }

    pub(crate) fn parsers(&self) -> &[Handle<parser::Msg>] {
        &self.parsers
    }

    /// Hands a frame over, and waits as long as that takes: the source is slowed to the pace of
    /// its parser.
    pub(crate) fn send(&self, source: Source, frame: Frame) -> Result<(), Gone> {
        cast_patiently(self.parser_of(source), parser::Msg::Frame(frame))?;
        self.stats.received.up();
        Ok(())
    }

    /// Hands a frame over, or gives it up, counted, when its parser was busy for a second.
    pub(crate) fn offer(&self, source: Source, frame: Frame) {
        let accepted = self.parser_of(source).cast(parser::Msg::Frame(frame)).is_ok();
        let counter = if accepted { &self.stats.received } else { &self.stats.udp_dropped };
        counter.up();
    }

    fn parser_of(&self, source: Source) -> &Handle<parser::Msg> {
        &self.parsers[(source % self.parsers.len() as u64) as usize]
    }
}

/// Casts, and tries again while the mailbox is full: backpressure without a limit.
///
/// # Blocking
///
/// Until there is room. Whoever reads the mailbox is supervised, so there will be, or the child is
/// gone; or whoever sends is abandoned.
pub(crate) fn cast_patiently<M: Send + 'static>(to: &Handle<M>, message: M) -> Result<(), Gone> {
    let mut sent = to.cast(message);
    loop {
        match sent {
            Ok(()) => return Ok(()),
            Err(CastError::Full { message, .. } | CastError::TimedOut { message, .. }) => {
                sent = to.cast(message);
            }
            Err(final_one) => return Err(Gone(final_one.to_string())),
        }
    }
}
