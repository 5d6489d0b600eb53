//! What belongs to a journal and outlives the incarnations of its service.
//!
//! The page [`protocol`](super::protocol) says how an event becomes durable, and what is lost.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::journal::{Encoder, Group, JournalError, Recovery, Settings, SyncPolicy, Writer};
use super::later::Later;
use super::memories::Memories;
use super::moment::since_1970;
use super::receipt::Settlement;
use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering, mutant, wall_now};

/// How many bytes are written at once: what has come together by then is a group.
const GROUP_BYTES: usize = 1 << 20;

/// The journal of a store.
pub(crate) struct Pen {
    inside: Mutex<Inside>,
    pub(crate) encoder: Encoder,
    /// For the blocks to come.
    pub(crate) memories: Memories,
    pub(crate) dir: Arc<Path>,
    /// Records that were not handed over, and of which the journal has not been told.
    skipped: AtomicU64,
    /// Nobody waits for it as long as it is behind.
    is_behind: AtomicBool,
    /// How many of those that are not in the journal a sync has been told of.
    told: AtomicU64,
    state: Mutex<JournalStats>,
    ages: bool,
    /// What is to be logged.
    said: Later<String>,
}

/// What is changed by one at a time. Held while the disk is waited for; so nobody waits for it who is not
/// the journal's.
struct Inside {
    writer: Writer,
    policy: SyncPolicy,
    group: Group,
    settlements: Vec<Settlement>,
}

/// Why a journal does not take what it is to take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalTrouble {
    /// Since when.
    pub since: Instant,
    /// What is wrong.
    pub reason: Arc<str>,
}

/// What became of a store's journal.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct JournalStats {
    /// What was found when it was opened.
    pub recovery: Recovery,
    /// Records that were found, whole, and are no events: they were skipped.
    pub unreadable: u64,
    /// Records that were written since.
    pub written: u64,
    /// How often they were made durable.
    pub syncs: u64,
    /// Records that are written, and not durable yet.
    pub unsynced: u64,
    /// Events that are stored, and not in the journal: it was in trouble, or too far behind.
    pub unjournaled: u64,
    /// Its segment files.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records that were deleted with segments that were too old, or too many.
    pub deleted: u64,
    /// Why old segments are not deleted, if they are not.
    pub retention: Option<Arc<str>>,
    /// Whether it is in trouble. The store goes on in memory; the journal, when the trouble is over.
    pub trouble: Option<JournalTrouble>,
}

/// Encoded records on their way into a journal.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) group: Group,
    pub(crate) settlement: Option<Settlement>,
    /// Between it and the one before it from its shard, some are missing.
    pub(crate) follows_gap: bool,
}

/// What opening a journal has found.
pub(crate) struct Found {
    pub(crate) recovery: Recovery,
    pub(crate) unreadable: u64,
}

/// Who hears of a group, and what.
pub(crate) struct Outcome {
    settlements: Vec<Settlement>,
    error: Option<Arc<str>>,
}

impl Outcome {
    /// Tells everyone. Under no lock: code of the user's runs.
    pub(crate) fn tell(self) {
        self.settlements.into_iter().for_each(|settlement| match &self.error {
            None => settlement.settle(),
            Some(reason) => settlement.not_durable(reason).settle(),
        });
    }

    pub(crate) fn is_error(&self) -> bool {
        self.error.is_some()
    }
}

impl Pen {
    pub(crate) fn new(dir: &Path, writer: Writer, settings: Settings, found: Found) -> Self {
        let encoder = writer.encoder();
        let Found { recovery, unreadable } = found;
        let policy = SyncPolicy::new(settings.sync);
        let state = JournalStats { recovery, unreadable, ..JournalStats::default() };
        let settlements = Vec::new();
        let inside = Inside { writer, policy, group: Group::default(), settlements };
        let pen = Self {
            inside: Mutex::new(inside),
            encoder,
            memories: Memories::default(),
            dir: dir.into(),
            skipped: AtomicU64::new(0),
            is_behind: AtomicBool::new(false),
            told: AtomicU64::new(0),
            state: Mutex::new(state),
            ages: settings.retain_age.is_some(),
            said: Later::new(),
        };
        pen.take_stock(&pen.inside.lock());
        pen
    }

    // ---- handing over --------------------------------------------------------------------

    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Acquire)
    }

    /// A block was not taken: it is in memory alone. Whoever waits for it is to be told.
    pub(crate) fn skip(&self, block: Block, reason: &str, now: Instant) -> Option<Settlement> {
        self.is_behind.store(true, Ordering::Release);
        self.skipped.fetch_add(block.group.records(), Ordering::AcqRel);
        self.state.lock().unjournaled += block.group.records();
        let reason: Arc<str> = reason.into();
        self.trouble(&reason, now);
        block.settlement.map(|settlement| settlement.not_durable(&reason))
    }

    /// Who waits for space in its mailbox may do so again.
    pub(crate) fn caught_up(&self) {
        self.is_behind.store(false, Ordering::Release);
    }

    // ---- writing -------------------------------------------------------------------------

    /// Takes a block into the group. `Err`: an incarnation that was given up still has it open.
    #[allow(clippy::result_large_err)] // what was not taken comes back
    pub(crate) fn take(&self, block: Block) -> Result<bool, Block> {
        let Some(mut inside) = self.inside.try_lock() else { return Err(block) };
        let memory = inside.group.append(block.group);
        self.memories.put(memory);
        inside.settlements.extend(block.settlement);
        Ok(inside.group.bytes().len() >= GROUP_BYTES)
    }

    /// Writes the group, and makes it durable where that is due, or asked for.
    pub(crate) fn commit(&self, now: Instant, at_once: bool) -> Option<Outcome> {
        let mut inside = self.inside.try_lock()?;
        let mut outcome = self.commit_inside(&mut inside, now, at_once);
        self.take_stock(&inside);
        drop(inside);
        if mutant!(SettleUnwritten) {
            outcome.settlements.append(&mut self.inside.lock().settlements);
        }
        Some(outcome)
    }

    fn commit_inside(&self, inside: &mut Inside, now: Instant, at_once: bool) -> Outcome {
        let wall = since_1970(wall_now());
        // An empty group says nothing of the disk.
        let is_told = inside.group.records() > 0 || inside.writer.owes_gap();
        let result = inside.write(now, wall, &self.memories).and_then(|()| inside.sync(now, at_once));
        let error = result.err().map(|(error, given_up)| {
            let reason: Arc<str> = error.to_string().into();
            self.state.lock().unjournaled += given_up;
            self.trouble(&reason, now);
            reason
        });
        if error.is_none() && is_told {
            self.recovered();
        }
        Outcome { settlements: std::mem::take(&mut inside.settlements), error }
    }

    /// What was skipped is missing behind what was written so far: so says the journal before what it takes next.
    /// Whether there was any.
    pub(crate) fn note_gap(&self) -> bool {
        let Some(mut inside) = self.inside.try_lock() else { return false };
        inside.writer.gap(self.take_skipped(), since_1970(wall_now()));
        inside.writer.owes_gap()
    }

    fn take_skipped(&self) -> u64 {
        if mutant!(ForgetSkipped) {
            let skipped = self.skipped.load(Ordering::Acquire);
            self.skipped.store(0, Ordering::Release);
            return skipped;
        }
        self.skipped.swap(0, Ordering::AcqRel)
    }

    /// Deletes what is too old, or too much.
    pub(crate) fn retain(&self) {
        let Some(mut inside) = self.inside.try_lock() else { return };
        let retained = inside.writer.retain(since_1970(wall_now()));
        self.take_stock(&inside);
        drop(inside);
        let reason = retained.err().map(|error| Arc::<str>::from(error.to_string()));
        let before = std::mem::replace(&mut self.state.lock().retention, reason.clone());
        if let Some(reason) = reason.filter(|reason| before.as_ref() != Some(reason)) {
            self.say(format!("the journal {} keeps what is to go: {reason}", self.dir.display()));
        }
    }

    /// All is written and durable, and nobody goes on: so it is said, and what is broken later is known to be.
    pub(crate) fn close(&self) {
        let Some(mut inside) = self.inside.try_lock() else { return };
        if let Err(error) = inside.writer.close() {
            self.say(format!("the journal {} was not closed: {error}", self.dir.display()));
        }
    }

    /// How many segments there are.
    pub(crate) fn segments(&self) -> u64 {
        self.state.lock().segments
    }

    /// How many events have stayed out of the journal since this was asked last.
    pub(crate) fn take_untold(&self) -> u64 {
        let unjournaled = self.state.lock().unjournaled;
        unjournaled.saturating_sub(self.told.swap(unjournaled, Ordering::AcqRel))
    }

    // ---- what is logged ------------------------------------------------------------------

    /// To be logged when no lock is held.
    fn say(&self, text: String) {
        self.said.put([text]);
    }

    /// Logs what there is to be said.
    pub(crate) fn speak(&self) {
        self.said.take().iter().for_each(|text| crate::error::complain(format_args!("{text}")));
    }

    /// Whether segments become old without anything being written.
    pub(crate) fn ages(&self) -> bool {
        self.ages
    }

    /// When a sync is due by the clock alone.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.inside.try_lock()?.policy.next_deadline()
    }

    // ---- its state -----------------------------------------------------------------------

    fn take_stock(&self, inside: &Inside) {
        let stats = inside.writer.stats();
        let mut state = self.state.lock();
        state.written = stats.written_records;
        state.syncs = stats.syncs;
        state.unsynced = stats.unsynced;
        state.segments = stats.segments;
        state.bytes = stats.bytes;
        state.deleted = stats.deleted.records;
    }

    fn trouble(&self, reason: &Arc<str>, now: Instant) {
        let mut state = self.state.lock();
        let is_new = state.trouble.as_ref().is_none_or(|trouble| trouble.reason != *reason);
        let since = state.trouble.as_ref().map_or(now, |trouble| trouble.since);
        state.trouble = Some(JournalTrouble { since, reason: Arc::clone(reason) });
        drop(state);
        if is_new {
            self.say(format!("the journal {} is in trouble: {reason}", self.dir.display()));
        }
    }

    fn recovered(&self) {
        let trouble = self.state.lock().trouble.take();
        if let Some(trouble) = trouble {
            let dir = self.dir.display();
            self.say(format!("the journal {dir} goes on; it was in trouble: {}", trouble.reason));
        }
    }

    /// What is wrong, if anything is.
    pub(crate) fn reason(&self) -> Option<Arc<str>> {
        self.state.lock().trouble.as_ref().map(|trouble| Arc::clone(&trouble.reason))
    }

    pub(crate) fn stats(&self) -> JournalStats {
        self.state.lock().clone()
    }
}

/// What went wrong, and how many records were given up for it.
type Failed = (JournalError, u64);

impl fmt::Debug for Pen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pen").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Inside {
    fn write(&mut self, now: Instant, wall: u64, memories: &Memories) -> Result<(), Failed> {
        // Taken out when it is written: what a panic cuts short is written by the next life, or not told.
        let (written, records) = (self.writer.write(&self.group, wall), self.group.records());
        memories.put(std::mem::take(&mut self.group).into_memory());
        match written {
            Ok(()) => self.policy.wrote(records, now),
            Err(error) => {
                self.writer.gap(records, wall);
                return Err((error, records));
            }
        }
        Ok(())
    }

    fn sync(&mut self, now: Instant, at_once: bool) -> Result<(), Failed> {
        if (!at_once && !self.policy.due(now)) || mutant!(TellUnsynced) {
            return Ok(());
        }
        let unsynced = self.writer.stats().unsynced;
        self.policy.synced();
        self.writer.sync().map_err(|error| (error, unsynced))
    }
}
