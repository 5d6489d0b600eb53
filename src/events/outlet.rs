//! Where stored events go on to.

use std::fmt::Debug;
use std::sync::Arc;

use super::entry::Chunk;
use super::receipt::Settlement;

/// Takes what a shard has stored, in its order, and answers for who waits for it.
pub(crate) trait Outlet: Debug + Send + Sync {
    /// May wait a while for a journal that is slow, as long as its rules say. What is not taken comes back, to be told
    /// when no lock is held.
    fn pass(&self, chunk: &Arc<Chunk>, settlement: Settlement) -> Option<Settlement>;

    /// Whether it would take something at once, as things stand.
    fn has_room(&self) -> bool;

    /// Logs what there is to be said of it. Under no lock: a logger is the user's.
    fn speak(&self);
}
