//! A line on its way to a parser: what came, from where, and who waits for it.

use std::fmt::Display;
use std::sync::Arc;

use crate::framing::Frame;
use crate::token::Token;

/// A frame, and what goes along with it.
pub(crate) struct Line {
    pub(crate) frame: Frame,
    pub(crate) from: Arc<Source>,
    /// Of a client that waits to hear of it.
    pub(crate) token: Option<Token>,
}

/// Where lines come from: a connection, a peer, a file.
#[derive(Debug)]
pub(crate) struct Source {
    /// The lines of one number go to one parser at a time, so that they stay in order.
    pub(crate) number: u64,
    /// The address of the host, or the path of the file.
    pub(crate) name: String,
}

impl Source {
    pub(crate) fn new(number: u64, name: &dyn Display) -> Arc<Self> {
        Arc::new(Self { number, name: name.to_string() })
    }

    /// A line that nobody waits for.
    pub(crate) fn line(self: &Arc<Self>, frame: Frame) -> Line {
        Line { frame, from: Arc::clone(self), token: None }
    }
}
