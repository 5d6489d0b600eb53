//! A child's present incarnation is stopped, and another started in its place.

use super::*;

/// Whoever asked for it.
pub(super) struct Ask {
    key: Key,
    reply: Reply<Result<(), RecycleChildError>>,
}

impl Supervision {
    pub(super) fn recycle_child(
        &mut self,
        now: Instant,
        name: Arc<str>,
        asker: &Option<Arc<Incarnation>>,
        reply: Reply<Result<(), RecycleChildError>>,
    ) {
        match self.recyclable(name, asker) {
            Err(refusal) => reply.send(Err(refusal)),
            Ok(key) => {
                let ticket = self.ticket(super::Ask::Recycle(Ask { key, reply }));
                self.decide(now, Event::Replace { key, ticket });
            }
        }
    }

    /// The child that is meant, if it runs and may have a successor.
    fn recyclable(&self, name: Arc<str>, asker: &Option<Arc<Incarnation>>) -> Result<Key, RecycleChildError> {
        let Some((key, kid)) = self.names.get(&name).and_then(|key| Some((*key, self.kids.get(key)?))) else {
            return Err(RecycleChildError::NotFound { name });
        };
        if self.is_child(key, asker) {
            return Err(RecycleChildError::RecyclingSelf { name });
        }
        if kid.child.rules().restart == Restart::Temporary {
            return Err(RecycleChildError::Temporary { name });
        }
        match self.policy.state(key) {
            Some(ChildState::Running) => {}
            state => {
                let state = state.map_or(Lifecycle::Stopped, replace::lifecycle);
                return Err(RecycleChildError::NotRunning { name, state });
            }
        }
        match self.site.zombies.no_room_after(self.on_their_way() + 1) {
            Some(most) => Err(RecycleChildError::TooManyAbandoned { name, most }),
            None => Ok(key),
        }
    }

    /// How many of its children are being recycled and not gone yet: each of them may hang.
    fn on_their_way(&self) -> usize {
        let is_one = |ask: &&super::Ask| match ask {
            super::Ask::Recycle(ask) => self.policy.state(ask.key) == Some(ChildState::HandingOver),
            _ => false,
        };
        self.asks.values().filter(is_one).count()
    }

    /// From here on its end is the one that was asked for.
    pub(super) fn recycle(&mut self, key: Key) {
        if let Some(kid) = self.kids.get_mut(&key) {
            kid.recycled = true;
        }
    }

    pub(super) fn recycled(&mut self, Ask { key, reply }: Ask, answer: Answer) {
        let name = self.name_of(key);
        reply.send(match answer {
            Answer::Started | Answer::Ignored => Ok(()),
            Answer::Busy(state) => {
                Err(RecycleChildError::NotRunning { name, state: replace::lifecycle(state) })
            }
            Answer::Replaced => Err(RecycleChildError::NotRunning { name, state: Lifecycle::Stopped }),
            Answer::StartFailed => Err(RecycleChildError::FailedToStart { name, source: self.exit_of(key) }),
            Answer::NotFound => Err(RecycleChildError::NotFound { name }),
            _ => Err(RecycleChildError::ShuttingDown { name }),
        });
    }
}

impl Kid {
    /// What the policy is told of an end.
    pub(super) fn exit_kind(&self, exit: &Exit) -> ExitKind {
        match exit {
            Exit::Shutdown if self.recycled => ExitKind::HandedOver,
            exit => ExitKind::of(exit),
        }
    }
}
