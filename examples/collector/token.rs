//! What goes along with a line, so that its client hears what became of it.

use std::sync::Arc;

use underpin::events::Receipt;

use crate::client::Client;

/// A line of a client, until it is decided. Dropped, wherever that is, it says that the line came to
/// nothing: its parser crashed, or it is not to be stored.
#[derive(Debug)]
pub(crate) struct Token {
    client: Arc<Client>,
    line: u64,
    is_durable: bool,
}

impl Token {
    pub(crate) fn new(client: Arc<Client>, line: u64) -> Self {
        Self { client, line, is_durable: false }
    }

    /// Its number.
    #[cfg(test)]
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Goes into the store with the line.
    pub(crate) fn into_receipt(mut self) -> Receipt {
        Receipt::new(move |outcome| {
            self.is_durable = outcome.is_ok();
            drop(self);
        })
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.client.decide(self.line, self.is_durable);
    }
}
