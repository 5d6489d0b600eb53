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
                // Answered first: if nobody waits any more, what is dropped here is not the last of it.
                reply.send(outcome);
                if self.policy.state(key).is_none() {
                    self.forget(key);
                }
            }
            Some(Ask::Restart(key, reply)) => reply.send(self.restart_outcome(key, answer)),
            Some(Ask::Terminate(reply)) => reply.send(match answer {
                Answer::ShuttingDown => Err(TerminateChildError::ShuttingDown),
                _ => Ok(()),
            }),
            Some(Ask::Delete(reply)) => reply.send(match answer {
                Answer::Deleted => Ok(()),
                Answer::Restarting => Err(DeleteChildError::Restarting),
                Answer::ShuttingDown => Err(DeleteChildError::ShuttingDown),
                _ => Err(DeleteChildError::Running),
            }),
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
}
