//! What a supervisor is asked for, and what it answers.

use super::*;

impl Supervision {
    pub(super) fn start_child(
        &mut self,
        now: Instant,
        child: Arc<dyn Child>,
        reply: Reply<Result<(), StartChildError>>,
    ) {
        let name = child.name();
        let refusal = match (child.fault(), self.names.get(&name).map(|key| self.policy.state(*key))) {
            (Some(reason), _) => StartChildError::BadSpec { name, reason },
            (None, Some(Some(ChildState::Stopped))) => StartChildError::AlreadyPresent { name },
            (None, Some(_)) => StartChildError::AlreadyStarted { name },
            (None, None) => {
                let rules = child.rules();
                let key = self.adopt(child);
                let ticket = self.ticket(Ask::Start(key, reply));
                return self.decide(now, Event::Add { key, rules, ticket: Some(ticket) });
            }
        };
        self.bury(child);
        reply.send(Err(refusal));
    }

    pub(super) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        match self.asks.remove(&ticket) {
            None => {}
            Some(Ask::Begin) => self.began(answer),
            Some(Ask::Start(key, reply)) => {
                let outcome = self.start_outcome(key, answer);
                let refused = self.policy.state(key).is_none();
                if refused && let Some(kid) = self.kids.get(&key) {
                    kid.child.retire(&self.site, &self.path, &Exit::Shutdown); // unless it is
                }
                // Before it is forgotten: if nobody waits, what is dropped here is not the last of it.
                reply.send(outcome);
                if refused {
                    self.forget(key);
                }
            }
            Some(Ask::Restart(key, reply)) => reply.send(self.restart_outcome(key, answer)),
            Some(Ask::Terminate(key, reply)) => reply.send(match answer {
                Answer::ShuttingDown => Err(TerminateChildError::ShuttingDown { name: self.name_of(key) }),
                _ => Ok(()),
            }),
            Some(Ask::Delete(key, reply)) => reply.send(self.delete_outcome(key, answer)),
            Some(Ask::Replace(ask)) => self.replaced(ask, answer),
            Some(Ask::Recycle(ask)) => self.recycled(ask, answer),
        }
    }

    pub(super) fn began(&mut self, answer: Answer) {
        if answer == Answer::Started {
            self.enter(Lifecycle::Running);
            self.upward.ready();
        }
    }

    pub(super) fn start_outcome(&self, key: Key, answer: Answer) -> Result<(), StartChildError> {
        let name = self.name_of(key);
        match answer {
            Answer::Started | Answer::Ignored => Ok(()),
            Answer::TooMany { max } => Err(StartChildError::TooMany { name, max }),
            Answer::StartFailed => Err(StartChildError::FailedToStart { name, source: self.exit_of(key) }),
            _ => Err(StartChildError::ShuttingDown { name }),
        }
    }

    pub(super) fn restart_outcome(&self, key: Key, answer: Answer) -> Result<(), RestartChildError> {
        let name = self.name_of(key);
        match answer {
            Answer::Started | Answer::Ignored => Ok(()),
            Answer::Running => Err(RestartChildError::Running { name }),
            Answer::Restarting => Err(RestartChildError::Restarting { name }),
            Answer::StartFailed => Err(RestartChildError::FailedToStart { name, source: self.exit_of(key) }),
            _ => Err(RestartChildError::ShuttingDown { name }),
        }
    }

    fn delete_outcome(&self, key: Key, answer: Answer) -> Result<(), DeleteChildError> {
        let name = self.name_of(key);
        match answer {
            Answer::Deleted => Ok(()),
            Answer::Restarting => Err(DeleteChildError::Restarting { name }),
            Answer::ShuttingDown => Err(DeleteChildError::ShuttingDown { name }),
            _ => Err(DeleteChildError::Running { name }),
        }
    }
}
