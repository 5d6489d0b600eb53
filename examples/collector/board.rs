//! The board: which clients are to be told something.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use underpin::Handle;

use crate::acks;
use crate::client::Client;

/// Clients of which more lines are decided than they were told. It outlives the incarnations of who tells
/// them; all clones are the same board.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    listed: Mutex<VecDeque<Arc<Client>>>,
    reader: OnceLock<Handle<acks::Msg>>,
}

impl Board {
    /// He is woken when somebody is listed.
    pub(crate) fn employ(&self, reader: Handle<acks::Msg>) {
        let _ = self.0.reader.set(reader);
    }

    /// Puts a client onto the board. Only the first on an empty one costs a message. Never blocks.
    pub(crate) fn list(&self, client: Arc<Client>) {
        let mut listed = self.lock();
        let was_empty = listed.is_empty();
        listed.push_back(client);
        drop(listed);
        if was_empty && let Some(reader) = self.0.reader.get() {
            // He rejects what is too much: then he has been told already. At the end he is gone.
            let _ = reader.cast(acks::Msg::Look);
        }
    }

    /// Takes a client off.
    pub(crate) fn next(&self) -> Option<Arc<Client>> {
        self.lock().pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Client>>> {
        self.0.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
