//! A child is replaced by another that takes over its state.

use std::any::Any;

use super::*;
use crate::service::reply::Failure;
use crate::service::scope;
use crate::supervisor::replacement::Replacement;

/// Whoever asked for a replacement.
pub(super) struct Ask {
    key: Key,
    /// Until it has taken its place.
    replacement: Option<Replacement>,
    reply: Reply<Result<(), ReplaceChildError>>,
}

impl Supervision {
    pub(super) fn replace_child(
        &mut self,
        now: Instant,
        name: Arc<str>,
        asker: &Option<Arc<Incarnation>>,
        replacement: Replacement,
        reply: Reply<Result<(), ReplaceChildError>>,
    ) {
        match self.replaceable(name, asker, &replacement) {
            Err(refusal) => {
                self.discard(replacement);
                reply.send(Err(refusal));
            }
            Ok(key) => {
                let ask = Ask { key, replacement: Some(replacement), reply };
                let ticket = self.ticket(super::Ask::Replace(ask));
                self.decide(now, Event::Replace { key, ticket });
            }
        }
    }

    /// The child that is meant, if it is one that this can replace. Where it stands, the policy
    /// knows.
    fn replaceable(
        &self,
        name: Arc<str>,
        asker: &Option<Arc<Incarnation>>,
        replacement: &Replacement,
    ) -> Result<Key, ReplaceChildError> {
        let Some((key, kid)) = self.names.get(&name).and_then(|key| Some((*key, self.kids.get(key)?))) else {
            return Err(ReplaceChildError::NotFound { name });
        };
        let Some(runs) = kid.child.service() else {
            return Err(ReplaceChildError::IsSupervisor { name });
        };
        if self.is_child(key, asker) {
            return Err(ReplaceChildError::ReplacingSelf { name });
        }
        if !kid.child.fits(replacement) {
            let (expected, found) = (replacement.follows.name, runs.name);
            return Err(ReplaceChildError::WrongType { name, expected, found });
        }
        Ok(key)
    }

    pub(super) fn replaced(&mut self, ask: Ask, answer: Answer) {
        let Ask { key, replacement, reply } = ask;
        replacement.into_iter().for_each(|refused| self.discard(refused));
        reply.send(self.replace_outcome(key, answer));
    }

    fn replace_outcome(&self, key: Key, answer: Answer) -> Result<(), ReplaceChildError> {
        let name = self.name_of(key);
        match answer {
            Answer::Started | Answer::Ignored | Answer::Replaced => Ok(()),
            Answer::Busy(state) => Err(ReplaceChildError::Busy { name, state: lifecycle(state) }),
            Answer::StartFailed => Err(ReplaceChildError::FailedToStart { name, source: self.exit_of(key) }),
            Answer::NotFound => Err(ReplaceChildError::NotFound { name }),
            _ => Err(ReplaceChildError::ShuttingDown { name }),
        }
    }

    // ---- what the policy says --------------------------------------------------------------

    pub(super) fn replace(&mut self, key: Key, ticket: Ticket) {
        let Some(super::Ask::Replace(ask)) = self.asks.get_mut(&ticket) else {
            return self.recycle(key);
        };
        let (Some(kid), Some(replacement)) = (self.kids.get(&key), ask.replacement.take()) else { return };
        let old = kid.child.replace(replacement);
        self.discard(old);
    }

    pub(super) fn hand_over(&self, key: Key) {
        match self.kids.get(&key) {
            Some(kid) if kid.recycled => kid.child.stop(false, None),
            Some(kid) => kid.child.hand_over(),
            None => {}
        }
    }

    pub(super) fn call_off(&self, key: Key) {
        self.shred_state(self.kids.get(&key).and_then(|kid| kid.child.call_off()));
    }

    /// A state that nobody takes any more. Whom it owes an answer hears that his service stopped.
    pub(super) fn shred_state(&self, state: Option<Box<dyn Any + Send>>) {
        if let Some(state) = state {
            let drop_it = move || scope::dropping(Failure::Stopped, || drop(state));
            self.site.janitor.submit(Box::new(drop_it));
        }
    }

    /// A factory holds code of the user's: it is not dropped here.
    fn discard(&self, what: impl Send + 'static) {
        self.site.janitor.submit(Box::new(move || drop(what)));
    }
}

/// What the state of a child is called where its users look.
pub(super) fn lifecycle(state: ChildState) -> Lifecycle {
    match state {
        ChildState::Starting => Lifecycle::Starting,
        ChildState::Running => Lifecycle::Running,
        ChildState::Stopping | ChildState::HandingOver => Lifecycle::Terminating,
        ChildState::Waiting | ChildState::Backoff { .. } => Lifecycle::Restarting,
        ChildState::Stopped => Lifecycle::Stopped,
    }
}
