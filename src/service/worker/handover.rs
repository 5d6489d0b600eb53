//! The end of an incarnation whose child is replaced: its state goes on without it.

use super::*;

impl<S: Service> Worker<S> {
    /// Gives the state to its successor, between two messages; `terminate` is not called. When that
    /// was called off in this moment, the incarnation goes on as if nobody had asked.
    #[cold]
    pub(super) fn hand_over(&mut self) -> Option<Step> {
        let exchange = self.incarnation.successor()?;
        exchange.give(&mut self.service).then(|| self.end(Exit::Replaced, CrashContext::Running))
    }
}
