//! What belongs to a configuration and outlives the incarnations of its service.
//!
//! The page [`protocol`](super::protocol) says in which order a version comes about, and why.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::config::Settings;
use super::consent::{Jury, Proposed, Silent};
use super::current::Current;
use super::diff::{Change, at, diff};
use super::draft::{Draft, Terms};
use super::errors::UpdateError;
use super::glance::Newest;
use super::history::History;
use super::path::Path;
use super::proposal::{Cause, Proposal, Situation, Target};
use super::sink::{ConfigEvent, Metric, Sink};
use super::sources::{Reading, Sources};
use super::subscribers::{News, Subscribers};
use super::tree::Tree;
use crate::error::{complain, panic_text};
use crate::service::deadline::Deadline;
use crate::service::scope;
use crate::sync::{Clock, Mutex, Snapshot, mutant};

/// Why a configuration is not what its layers say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Degraded {
    /// Since when.
    pub since: Instant,
    /// What is wrong with the layers.
    pub reason: Arc<str>,
}

/// The published versions, and everyone who hears of them.
pub(crate) struct Board<T> {
    pub(crate) present: Arc<Snapshot<Current<T>>>,
    /// Written before the present, under the same lock.
    pub(crate) newest: Newest,
    pub(crate) terms: Terms,
    pub(crate) subscribers: Subscribers,
    pub(crate) jury: Jury,
    pub(crate) sources: Sources,
    degraded: Snapshot<Option<Degraded>>,
    /// Whoever publishes holds it, also while the kept updates are written: the file, the layers and the
    /// present are of one mind. Nobody else waits for it, and no code of the user's runs under it.
    turn: Mutex<()>,
    /// The present is replaced under it: the two are of one mind.
    past: Mutex<History<Arc<Current<T>>>>,
    /// What the layers said when they were last read, and were valid.
    layers: Snapshot<Tree>,
    defaults: Arc<Tree>,
    /// Nobody, if nothing was said.
    sink: Mutex<Option<Arc<dyn Sink>>>,
    pub(crate) consent_timeout: Duration,
}

/// A version and the one that it follows.
pub(crate) struct Made<T> {
    pub(crate) before: Arc<Current<T>>,
    pub(crate) next: Arc<Current<T>>,
    /// What differs.
    pub(crate) changes: Arc<[Change]>,
}

/// What a board begins with.
pub(crate) struct Opening<T> {
    pub(crate) first: Current<T>,
    pub(crate) terms: Terms,
    pub(crate) sources: Sources,
    pub(crate) degraded: Option<Degraded>,
    pub(crate) defaults: Arc<Tree>,
    pub(crate) history: (usize, Option<Duration>),
    pub(crate) consent_timeout: Duration,
}

impl<T: Settings> Board<T> {
    pub(crate) fn new(opening: Opening<T>) -> Self {
        let first = Arc::new(opening.first);
        let (most, age) = opening.history;
        let mut past = History::new(most, age);
        drop(past.add(first.version, Arc::clone(&first), first.at));
        Self {
            layers: Snapshot::new(Arc::clone(&first.base)),
            newest: Newest::new(first.version),
            present: Arc::new(Snapshot::new(first)),
            terms: opening.terms,
            subscribers: Subscribers::default(),
            jury: Jury::default(),
            sources: opening.sources,
            degraded: Snapshot::new(Arc::new(opening.degraded)),
            turn: Mutex::new(()),
            past: Mutex::new(past),
            defaults: opening.defaults,
            sink: Mutex::new(None),
            consent_timeout: opening.consent_timeout,
        }
    }

    pub(crate) fn degraded(&self) -> Option<Degraded> {
        Option::clone(&self.degraded.load())
    }

    pub(crate) fn find(&self, version: u64) -> Result<Arc<Current<T>>, UpdateError> {
        let past = self.past.lock();
        let (oldest, newest) = past.range().unwrap_or((0, 0));
        past.find(version).cloned().ok_or(UpdateError::NoSuchVersion { version, oldest, newest })
    }

    pub(crate) fn versions(&self) -> (u64, u64) {
        self.past.lock().range().unwrap_or((0, 0))
    }

    pub(crate) fn set_sink(&self, sink: Arc<dyn Sink>) {
        let old = self.sink.lock().replace(sink);
        drop(old); // after the lock
    }

    /// Where nothing was said.
    #[cfg(all(feature = "foundation", any(feature = "events", feature = "telemetry")))]
    pub(crate) fn set_default_sink(&self, sink: Arc<dyn Sink>) {
        self.sink.lock().get_or_insert(sink);
    }

    // ---- an update -----------------------------------------------------------------------

    /// Carries a proposal out: valid, agreed, kept, published, told.
    ///
    /// # Errors
    ///
    /// Nothing was changed then.
    pub(crate) fn carry_out(&self, proposal: &Proposal, clock: &Clock) -> Result<u64, UpdateError> {
        let result = self.try_until_first(proposal, clock);
        if result.is_err() {
            self.measured(Metric::Refused, 1.0);
        }
        result
    }

    /// An incarnation that was given up may still publish what it had in hand. Then another is first
    /// by one, and looks again: each of the two publishes once, so there is an end.
    fn try_until_first(&self, proposal: &Proposal, clock: &Clock) -> Result<u64, UpdateError> {
        let began = clock.now();
        loop {
            if let Some(made) = self.try_once(proposal, clock)? {
                let taken = clock.now().saturating_duration_since(began);
                self.report(proposal.cause(), &made);
                self.measured(Metric::UpdateSeconds, taken.as_secs_f64());
                self.tell_of(&made);
                return Ok(made.next.version);
            }
        }
    }

    /// Up to the publication. `None`: another was first.
    pub(crate) fn try_once(
        &self,
        proposal: &Proposal,
        clock: &Clock,
    ) -> Result<Option<Made<T>>, UpdateError> {
        let before = self.present.load();
        let target = self.target(proposal, &before)?;
        let draft = Draft::make(&before, target, proposal, &self.terms)?;
        let changes: Arc<[Change]> = diff(&before.document, &draft.document).into();
        let heard = self.agree(&before, &changes, clock);
        if scope::is_fenced() {
            return Err(UpdateError::Crashed); // whoever asked has been told so
        }
        heard?.into_iter().for_each(|silent| self.unanswered(silent));
        let next = Arc::new(draft.into_current(Some(&before), clock.now()));
        let made = Made { before, next, changes };
        Ok(self.publish(&made, proposal)?.then_some(made))
    }

    fn target(&self, proposal: &Proposal, present: &Current<T>) -> Result<Target, UpdateError> {
        let past = |version| self.find(version).map(|found| found.target());
        let layers = self.layers.load();
        proposal.target(Situation {
            version: present.version,
            present: present.target(),
            layers: &layers,
            defaults: &|| self.frozen_defaults(present),
            past: &past,
        })
    }

    /// Asks those who want to be asked. Returns who did not answer.
    fn agree(
        &self,
        present: &Current<T>,
        changes: &[Change],
        clock: &Clock,
    ) -> Result<Vec<Silent>, UpdateError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let proposed = Proposed { version: present.version + 1, changes: changes.to_vec() };
        let deadline = Deadline::from(clock.now(), self.consent_timeout);
        self.jury.ask(&Arc::new(proposed), deadline)
    }

    fn unanswered(&self, Silent { by, reason }: Silent) {
        log::warn!("config: `{by}` was asked about an update and did not answer: {reason}");
        self.happened(&ConfigEvent::Unanswered { by, reason });
    }

    /// Puts a version in force, unless the one before it is in force no more. What is kept is what
    /// is in force: an incarnation that was given up writes no file over that of its successor.
    fn publish(&self, made: &Made<T>, proposal: &Proposal) -> Result<bool, UpdateError> {
        let Made { before, next, .. } = made;
        if mutant!(TellFirst) {
            self.tell_of(made);
        }
        let turn = self.turn.lock();
        if !Arc::ptr_eq(&self.present.load(), before) && !mutant!(OvertakeBlindly) {
            return Ok(false);
        }
        if !proposal.is_kept() {
            self.sources.keep(&next.edits, &before.edits)?;
        }
        if let Proposal::Reload(layers, _) = proposal
            && !mutant!(ForgetLayers)
        {
            self.layers.store(Arc::clone(layers));
        }
        let mut past = self.past.lock();
        if !mutant!(AnnounceLate) {
            self.newest.announce(next.version);
        }
        self.present.store(Arc::clone(next));
        if mutant!(AnnounceLate) {
            self.newest.announce(next.version);
        }
        let old = past.add(next.version, Arc::clone(next), next.at);
        drop((past, turn));
        drop(old); // after the locks: they hold what is the user's
        Ok(true)
    }

    /// What follows a publication: event and metric.
    pub(crate) fn report(&self, cause: Cause, made: &Made<T>) {
        let (version, changes) = (made.next.version, Arc::clone(&made.changes));
        self.happened(&match cause {
            Cause::Reset | Cause::Defaults => ConfigEvent::Reset { version, cause, changes },
            cause => ConfigEvent::Updated { version, cause, changes },
        });
    }

    /// What follows that: the notices.
    pub(crate) fn tell_of(&self, made: &Made<T>) {
        let left = self.tell(&made.before, &made.next, &made.changes);
        self.measured(Metric::Subscribers, left as f64);
    }

    fn tell(&self, before: &Current<T>, next: &Current<T>, changes: &[Change]) -> usize {
        let (document, before) = (&next.document, &before.document);
        self.subscribers.tell(&News { version: next.version, document, before, changes })
    }

    /// Tells those who have not heard of the version in force: the incarnation that published it may
    /// have crashed before it told anybody.
    pub(crate) fn catch_up(&self) {
        if mutant!(StartAfresh) {
            return;
        }
        let present = self.present.load();
        self.tell(&present, &present, &[]);
    }

    // ---- the layers ----------------------------------------------------------------------

    /// Reads the layers again. `None`: they say what they said.
    ///
    /// # Errors
    ///
    /// When they are wrong now; what was in force stays, and is degraded.
    pub(crate) fn reload(&self, is_asked: bool, clock: &Clock) -> Result<Option<u64>, UpdateError> {
        let owes_kept = self.sources.owes_kept();
        let Some(reading) = self.sources.read_again(is_asked || owes_kept) else { return Ok(None) };
        let Reading { tree, faults, contents, .. } = reading;
        let outcome = if !faults.is_empty() {
            Err(UpdateError::Invalid(faults))
        } else if owes_kept {
            self.begin(tree, clock)
        } else {
            self.carry_out(&Proposal::Reload(self.thawed(tree), None), clock)
        };
        if scope::is_fenced() {
            return outcome.map(Some); // what comes of the files is its successor's business
        }
        self.sources.dealt_with(contents);
        match &outcome {
            Ok(version) => self.recover(*version),
            Err(error) => self.degrade(error, clock.now()),
        }
        outcome.map(Some)
    }

    /// As a start does, which went wrong: the updates of earlier runs come into force too.
    fn begin(&self, tree: Tree, clock: &Clock) -> Result<u64, UpdateError> {
        let kept = Arc::new(self.sources.kept().map_err(UpdateError::Invalid)?);
        let version = self.carry_out(&Proposal::Reload(self.thawed(tree), Some(kept)), clock)?;
        self.sources.set_owes_kept(false);
        Ok(version)
    }

    /// What is frozen stays what it is, whatever the layers say now.
    fn thawed(&self, mut layers: Tree) -> Arc<Tree> {
        for fault in self.terms.keep_frozen(&self.present.load(), &mut layers) {
            log::warn!("config: {fault}: this counts from the next start");
        }
        Arc::new(layers)
    }

    /// The defaults, with what is frozen as it is.
    fn frozen_defaults(&self, present: &Current<T>) -> Arc<Tree> {
        let mut defaults = Tree::clone(&self.defaults);
        drop(self.terms.keep_frozen(present, &mut defaults));
        Arc::new(defaults)
    }

    /// Code of the user's panicked over a reload. If a version was published before that, it is told.
    pub(crate) fn reload_panicked(&self, text: &str, now: Instant) {
        self.degrade(&UpdateError::NotTaken { reason: format!("it panicked: {text}") }, now);
        self.catch_up();
    }

    fn degrade(&self, error: &UpdateError, since: Instant) {
        let reason: Arc<str> = match error {
            UpdateError::Invalid(faults) => faults.to_string().into(), // as at the start
            error => error.to_string().into(),
        };
        let before = self.degraded();
        if before.as_ref().is_some_and(|before| before.reason == reason) {
            return; // it is said once
        }
        log::error!("config: version {} stays in force: {reason}", self.present.load().version);
        let since = before.map_or(since, |before| before.since);
        self.degraded.store(Arc::new(Some(Degraded { since, reason: Arc::clone(&reason) })));
        self.happened(&ConfigEvent::Degraded { reason });
    }

    fn recover(&self, version: u64) {
        if self.degraded().is_some() {
            self.degraded.store(Arc::new(None));
            log::info!("config: all is right again, version {version} is in force");
            self.happened(&ConfigEvent::Recovered { version });
        }
    }

    // ---- sections ------------------------------------------------------------------------

    /// The number of the section at a place, if it is registered with this type.
    pub(crate) fn section<S: 'static>(&self, place: &Path) -> Option<usize> {
        let present = self.present.load();
        present.sections.iter().position(|part| part.kind.place() == place && part.value.is::<S>())
    }

    // ---- now and then --------------------------------------------------------------------

    /// Forgets who is gone of those who are told or asked. Whether there are others.
    pub(crate) fn forget_gone(&self) -> bool {
        self.subscribers.sweep() + self.jury.sweep() > 0
    }

    /// Forgets who is gone and versions that are too old. When there may be more of them: `true` if that
    /// is not known.
    pub(crate) fn sweep(&self, now: Instant) -> bool {
        let has_others = self.forget_gone();
        let mut past = self.past.lock();
        let old = past.sweep(now);
        let is_aging = past.next_deadline().is_some();
        drop(past);
        drop(old);
        has_others || is_aging
    }

    // ---- the sink ------------------------------------------------------------------------

    fn happened(&self, event: &ConfigEvent) {
        self.tell_sink(|sink| sink.event(event));
    }

    fn measured(&self, metric: Metric, value: f64) {
        self.tell_sink(|sink| sink.metric(metric, value));
    }

    fn tell_sink(&self, tell: impl FnOnce(&dyn Sink)) {
        let Some(sink) = self.sink.lock().clone() else { return };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| tell(&*sink))) {
            let text = panic_text(panic);
            complain(format_args!("config: the sink panicked: {text}"));
        }
    }
}

impl<T> Current<T> {
    pub(crate) fn target(&self) -> Target {
        Target { base: Arc::clone(&self.base), edits: Arc::clone(&self.edits) }
    }

    /// What stands at a path of the document.
    pub(crate) fn value_at(&self, path: &Path) -> Option<&Value> {
        at(&self.document, path)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests;
