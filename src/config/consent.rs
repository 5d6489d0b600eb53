//! Services that are asked before a version is published.

use std::fmt;
use std::sync::Arc;

use super::diff::Change;
use super::errors::UpdateError;
use super::path::Path;
use crate::error::CallError;
use crate::service::deadline::{Deadline, Limit};
use crate::service::handle::Handle;
use crate::service::pending;
use crate::service::reply::Reply;
use crate::sync::{AtomicBool, Mutex, Ordering};

/// A version that is about to be published, as a service is [asked](super::Config::ask_before) about it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Proposed {
    /// The number that it would have.
    pub version: u64,
    /// What would change: all of it, also beyond what the service asked to be asked about.
    pub changes: Vec<Change>,
}

/// The answer to a [`Proposed`] version: yes, or why not.
pub type Verdict = Result<(), String>;

/// What it means that a service does not answer in time, or crashes over the question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Silence {
    /// It is no veto: the version is published, and the silence is reported.
    #[default]
    Consents,
    /// The update is refused.
    Refuses,
}

/// Someone who is asked. Its methods run the user's code: not under a lock.
trait Juror: Send + Sync {
    fn name(&self) -> Arc<str>;
    fn prefix(&self) -> &Path;
    fn silence(&self) -> Silence;
    /// Sends the question, if that needs no wait.
    fn ask(&self, proposed: &Arc<Proposed>, deadline: Deadline) -> Question;
    fn is_gone(&self) -> bool;
    /// How many messages it has handled: whoever handles more is no longer stuck at the question.
    fn progress(&self) -> (u64, u64);
    /// Whether it is at rest, and nothing waits for it.
    fn rests(&self) -> bool;
}

/// Sends the question, if it is not sent yet: the mailbox was full.
type Question = Box<dyn FnOnce() -> Answer>;

/// Waits for one answer.
type Answer = Box<dyn FnOnce() -> Result<Verdict, Quiet>>;

/// Why there is no answer.
enum Quiet {
    /// There is nobody to answer, or it is the service that the update comes from.
    Excused,
    /// It should have answered, and still may: the question is with it.
    Silent(String),
    /// It should have answered. The question is lost, as with a crash.
    Lost(String),
}

struct Asked<M: Send + 'static, F> {
    handle: Handle<M>,
    prefix: Path,
    silence: Silence,
    message: F,
    is_gone: Arc<AtomicBool>,
    /// Its place among those who watch the child.
    watch: u64,
}

impl<M: Send + 'static, F> Drop for Asked<M, F> {
    fn drop(&mut self) {
        self.handle.core().watchers.remove(self.watch);
    }
}

/// One who did not answer.
#[derive(Clone, Debug)]
pub(crate) struct Silent {
    pub(crate) by: Arc<str>,
    pub(crate) reason: Arc<str>,
}

/// Everyone who is asked.
#[derive(Default)]
pub(crate) struct Jury(Mutex<Vec<Seat>>);

#[derive(Clone)]
struct Seat {
    juror: Arc<dyn Juror>,
    /// How far it was when it did not answer. It is not waited for again while it is still there.
    silent_at: Option<(u64, u64)>,
}

impl Jury {
    /// Adds one, until its child is gone for good or the flag that is returned is set.
    pub(crate) fn add<M, F>(
        &self,
        handle: &Handle<M>,
        prefix: Path,
        silence: Silence,
        message: F,
    ) -> Arc<AtomicBool>
    where
        M: Send + 'static,
        F: Fn(Arc<Proposed>, Reply<Verdict>) -> M + Send + Sync + 'static,
    {
        let is_gone = Arc::new(AtomicBool::new(false));
        let (end, flag) = (Arc::clone(&is_gone), Arc::clone(&is_gone));
        let watch = handle.core().watchers.add(Box::new(move |_| end.store(true, Ordering::Release)));
        let juror = Arc::new(Asked { handle: handle.clone(), prefix, silence, message, is_gone, watch });
        self.sweep(); // nobody else does while nothing is asked for
        self.0.lock().push(Seat { juror, silent_at: None });
        flag
    }

    /// Forgets who is gone. Returns how many are left.
    pub(crate) fn sweep(&self) -> usize {
        let mut seats = self.0.lock();
        let gone: Vec<_> = seats.extract_if(.., |seat| seat.juror.is_gone()).collect();
        let left = seats.len();
        drop(seats);
        drop(gone);
        left
    }

    /// Asks everyone whom it concerns, all at once, under one deadline.
    ///
    /// # Errors
    ///
    /// The first veto, or the first silence that refuses.
    pub(crate) fn ask(
        &self,
        proposed: &Arc<Proposed>,
        deadline: Deadline,
    ) -> Result<Vec<Silent>, UpdateError> {
        let concerned = |seat: &Seat| {
            let touches = |change: &Change| change.path.overlaps(seat.juror.prefix());
            !seat.juror.is_gone() && proposed.changes.iter().any(touches)
        };
        let seats: Vec<_> = self.0.lock().iter().filter(|seat| concerned(seat)).cloned().collect();
        let begun: Vec<_> = seats.into_iter().map(|seat| (seat.put(proposed, deadline), seat)).collect();
        // A full mailbox keeps no other from being asked.
        let asked: Vec<_> = begun.into_iter().map(|(question, seat)| (question(), seat)).collect();
        let (mut silent, mut refusal) = (Vec::new(), None);
        for (answer, seat) in asked {
            let outcome = self.hear(&seat, answer, &mut silent);
            refusal = refusal.or(outcome.err());
        }
        refusal.map_or(Ok(silent), Err)
    }

    fn hear(&self, seat: &Seat, answer: Answer, silent: &mut Vec<Silent>) -> Result<(), UpdateError> {
        let by = seat.juror.name();
        let reason = match answer() {
            Ok(verdict) => {
                self.note(seat, None);
                return verdict.map_err(|reason| UpdateError::Vetoed { by, reason });
            }
            Err(Quiet::Excused) => return Ok(()),
            Err(Quiet::Silent(reason)) => {
                self.note(seat, Some(seat.juror.progress()));
                reason
            }
            Err(Quiet::Lost(reason)) => {
                self.note(seat, None);
                reason
            }
        };
        if seat.juror.silence() == Silence::Refuses {
            return Err(UpdateError::Unanswered { by, reason });
        }
        silent.push(Silent { by, reason: reason.into() });
        Ok(())
    }

    fn note(&self, seat: &Seat, silent_at: Option<(u64, u64)>) {
        let mut seats = self.0.lock();
        if let Some(mine) = seats.iter_mut().find(|other| Arc::ptr_eq(&other.juror, &seat.juror)) {
            mine.silent_at = silent_at;
        }
    }
}

impl Seat {
    /// One that is stuck where it was when it did not answer is not asked again: it would answer no
    /// sooner, and its mailbox would fill with questions.
    fn put(&self, proposed: &Arc<Proposed>, deadline: Deadline) -> Question {
        if self.silent_at.is_some_and(|then| then == self.juror.progress()) && !self.juror.rests() {
            let silent = || Err(Quiet::Silent("it has not answered an earlier question".into()));
            return Box::new(move || Box::new(silent));
        }
        self.juror.ask(proposed, deadline)
    }
}

impl<M, F> Juror for Asked<M, F>
where
    M: Send + 'static,
    F: Fn(Arc<Proposed>, Reply<Verdict>) -> M + Send + Sync + 'static,
{
    fn name(&self) -> Arc<str> {
        self.handle.core().name()
    }

    fn prefix(&self) -> &Path {
        &self.prefix
    }

    fn silence(&self) -> Silence {
        self.silence
    }

    fn ask(&self, proposed: &Arc<Proposed>, deadline: Deadline) -> Question {
        let question = |reply| (self.message)(Arc::clone(proposed), reply);
        // Whoever asked for the update may be in a hurry: that gives nobody less time to refuse.
        let limit = Limit::By(deadline);
        let begun = pending::Asked::begin(&self.handle, limit, question);
        Box::new(move || {
            let sent = begun.finish().map_err(CallError::NotSent);
            Box::new(move || {
                let answer = sent.and_then(|pending| pending.wait_regardless(limit));
                answer.map_err(|error| Quiet::of(&error))
            })
        })
    }

    fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    fn progress(&self) -> (u64, u64) {
        let status = self.handle.status();
        (status.epoch, status.handled)
    }

    fn rests(&self) -> bool {
        let core = self.handle.core();
        let sight = core.look(core.clock().now());
        sight.current.is_none() && sight.mailbox.queued == 0
    }
}

impl Quiet {
    fn of<M>(error: &CallError<M>) -> Self {
        use crate::error::CastError;
        match error {
            // It waits for this very update.
            CallError::Cycle { .. } | CallError::CallingSelf { .. } => Self::Excused,
            CallError::Stopped { .. } | CallError::NotSent(CastError::Stopped { .. }) => Self::Excused,
            CallError::Crashed { .. }
            | CallError::NoReply { .. }
            | CallError::NotSent(CastError::Fenced { .. }) => Self::Lost(error.to_string()),
            error => Self::Silent(error.to_string()),
        }
    }
}

impl fmt::Debug for Jury {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jury").field("seats", &self.0.lock().len()).finish()
    }
}
