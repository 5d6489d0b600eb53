//! The hand-over to the journal, and who is told when.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::*;
use crate::events::errors::Refusal;
use crate::events::journal::{Disk, DiskFile, Group, Journal, Recovery, Writer as JournalWriter};
use crate::events::pen::{Block, Found, Pen};
use crate::events::receipt::Stored;
use crate::events::scribe::{JournalRequest, Press};
use crate::service::gate::Gate;

// ---- a disk ------------------------------------------------------------------------------

/// A disk in memory. Not one of the model's primitives: it is held between two turns only.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<BTreeMap<PathBuf, File>>>);

#[derive(Clone, Default)]
struct File {
    written: Vec<u8>,
    durable: Vec<u8>,
}

struct Open(Memory, PathBuf);

impl Memory {
    fn with<T>(&self, file: &Path, work: impl FnOnce(&mut File) -> T) -> T {
        let mut files = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        work(files.entry(file.to_owned()).or_default())
    }

    fn open_file(&self, file: &Path) -> Box<dyn DiskFile> {
        Box::new(Open(self.clone(), file.to_owned()))
    }

    /// What is left of it when the power goes.
    fn after_a_loss(&self) -> Self {
        let mut files = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        files.values_mut().for_each(|file| file.written.clone_from(&file.durable));
        Self(Arc::new(Mutex::new(files)))
    }

    /// Whether an event is there after a loss. Its number is not part of anything else.
    fn has(&self, number: u64) -> bool {
        let text = number.to_string();
        let is_in = |file: &File| file.durable.windows(text.len()).any(|found| found == text.as_bytes());
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).values().any(is_in)
    }
}

impl Disk for Memory {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<OsString>> {
        let files = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(files.keys().filter_map(|file| file.file_name().map(OsString::from)).collect())
    }

    fn create(&self, file: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.with(file, |file| *file = File::default());
        Ok(self.open_file(file))
    }

    fn open(&self, file: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.open_file(file))
    }

    fn read(&self, file: &Path, most: u64, into: &mut Vec<u8>) -> io::Result<()> {
        self.with(file, |file| into.clone_from(&file.written));
        into.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(())
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(file);
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self, _: &Path) -> io::Result<Option<Box<dyn Send>>> {
        Ok(Some(Box::new(())))
    }
}

impl DiskFile for Open {
    fn write_at(&mut self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        let bytes = parts.concat();
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.0.with(&self.1, |file| {
            let end = offset + bytes.len();
            file.written.resize(file.written.len().max(end), 0);
            file.written[offset..end].copy_from_slice(&bytes);
        });
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.0.with(&self.1, |file| file.durable.clone_from(&file.written));
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.with(&self.1, |file| file.written.len() as u64))
    }
}

// ---- a journal ---------------------------------------------------------------------------

/// A journal, and what is on its disk.
#[derive(Clone)]
struct Desk {
    pen: Arc<Pen>,
    disk: Memory,
    /// Somebody was told what is not so. A panic in a receipt costs only itself: so it is kept until the end.
    was_lie: Arc<AtomicBool>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::mem::forget(self.pen.clone()); // see `Kept`
        }
    }
}

fn opened(disk: &Memory) -> (JournalWriter, Recovery) {
    let settings = crate::events::journal::Settings { fill_bytes: 512, ..settings() };
    JournalWriter::open(Box::new(disk.clone()), Path::new("journal"), settings, &mut |_| ()).expect("a disk")
}

fn settings() -> crate::events::journal::Settings {
    Journal::at("journal").segment_bytes(64 << 10).settings().expect("it can be done")
}

impl Desk {
    fn new() -> Self {
        let disk = Memory::default();
        let (writer, recovery) = opened(&disk);
        let found = Found { recovery, unreadable: 0 };
        let pen = Arc::new(Pen::new(Path::new("journal"), writer, settings(), found));
        Self { pen, disk, was_lie: Arc::default() }
    }

    /// Its service, one life of which is born.
    fn with_service(capacity: usize, overflow: Overflow) -> (Self, Handle<JournalRequest>, Kept<Solo>) {
        let desk = Self::new();
        let spec =
            crate::events::opening::spec(&desk.pen, (capacity, std::time::Duration::ZERO)).overflow(overflow);
        let (handle, solo) = Solo::by(Restless::new().clock(), spec);
        (desk, handle, Kept::new(solo))
    }

    /// A store that writes into it.
    fn store(&self, journal: &Handle<JournalRequest>) -> World {
        let world = World::by_hand(builder());
        let press = Press::new(&self.pen, journal);
        world.shard().lead_to(Arc::new(press));
        world
    }

    /// One who must not be told that an event is stored before it is durable.
    fn receipt(&self, number: u64, told: &Arc<Gate>) -> Receipt {
        let (disk, told, was_lie) = (self.disk.clone(), Arc::clone(told), Arc::clone(&self.was_lie));
        Receipt::new(move |outcome| {
            let is_true = disk.has(number) || matches!(outcome, Err(Refusal::NotDurable { .. }));
            was_lie.fetch_or(!is_true, SeqCst);
            told.open();
        })
    }

    /// A record of an event, as a press makes it.
    fn block(&self, number: u64, receipt: Option<Receipt>) -> Block {
        let mut group = Group::default();
        let payload = number.to_string();
        let encoded = self.pen.encoder.encode(&mut group, |into| into.extend_from_slice(payload.as_bytes()));
        assert!(encoded.is_ok());
        let stored =
            Stored { first: crate::events::EventId::new(number).expect("not 0"), events: 1, version: 0 };
        let receipts = receipt.into_iter().map(|receipt| (0, receipt)).collect();
        let settlement = Settlement { answer: Answer::Nobody, receipts, stored, refusal: None };
        Block { group, settlement: Some(settlement), follows_gap: false }
    }

    /// What a life does with a block that came alone.
    fn write(&self, block: Block) {
        match self.pen.take(block) {
            Ok(_) => self.commit(),
            Err(block) => {
                let skipped = self.pen.skip(block, "given up", Clock::SYSTEM.now());
                skipped.into_iter().for_each(Settlement::settle);
            }
        }
    }

    fn commit(&self) {
        self.pen.note_gap();
        if let Some(outcome) = self.pen.commit(Clock::SYSTEM.now(), false) {
            outcome.tell();
        }
    }

    /// What the next process finds.
    fn recovered(&self) -> Recovery {
        opened(&self.disk.after_a_loss()).1
    }
}

const FIRST: u64 = 71_234_561;
const SECOND: u64 = 71_234_562;

/// Two events are stored, and go to the journal: who waits for one is told, and finds it after a loss.
fn told() {
    let (desk, journal, mut solo) = Desk::with_service(4, Overflow::Reject);
    let world = desk.store(&journal);
    let client = thread({
        let desk = desk.clone();
        move || {
            for number in [FIRST, SECOND] {
                let told = Arc::<Gate>::default();
                world.add(world.contents(&[number], Some(desk.receipt(number, &told))));
                told.wait(&Clock::SYSTEM, None);
                assert!(desk.disk.has(number), "it is not durable");
            }
            journal.stop().expect("it stops");
        }
    });
    drop(solo.get().run());
    joined(client);
    accounted(&desk, 2);
}

/// Its mailbox has one place, and nobody waits: each event is in the journal, or counted there and here.
fn skipped() {
    let (desk, journal, mut solo) = Desk::with_service(1, Overflow::Reject);
    let world = desk.store(&journal);
    let client = thread({
        let world = world.clone();
        move || {
            [FIRST, SECOND].into_iter().for_each(|number| world.add(world.contents(&[number], None)));
            journal.stop().expect("it stops");
        }
    });
    drop(solo.get().run());
    joined(client);
    drop(solo);
    accounted(&desk, 2);
}

fn accounted(desk: &Desk, records: u64) {
    // What a gap says is written with the next record.
    desk.write(desk.block(1, None));
    let found = desk.recovered();
    assert_eq!(found.records + found.gap_records, records + 1, "{found:?}");
    assert_eq!(desk.pen.stats().unjournaled, found.gap_records);
    assert!(!desk.was_lie.load(SeqCst), "told what is not so");
}

/// Blocks are skipped while a life writes: each is counted once.
fn skipped_by_hand() {
    let desk = Desk::new();
    let shard = thread({
        let desk = desk.clone();
        move || desk.pen.skip(desk.block(FIRST, None), "it is behind", Clock::SYSTEM.now())
    });
    desk.write(desk.block(SECOND, None));
    joined(shard);
    accounted(&desk, 2);
}

/// A life was given up while it writes, and its successor writes as well: who is told by either finds it.
fn two_lives() {
    let desk = Desk::new();
    let gates = [FIRST, SECOND].map(|number| (number, Arc::<Gate>::default()));
    let lives = gates.clone().map(|(number, told)| {
        let desk = desk.clone();
        thread(move || desk.write(desk.block(number, Some(desk.receipt(number, &told)))))
    });
    lives.into_iter().for_each(joined);
    desk.commit();
    assert!(gates.iter().all(|(_, told)| told.is_open()), "somebody was not told");
    accounted(&desk, 2);
}

/// A life ends with a group that is not written: the next one writes it, though nothing more comes.
fn group_survives() {
    let (desk, journal, mut solo) = Desk::with_service(4, Overflow::Reject);
    let told = Arc::<Gate>::default();
    assert!(desk.pen.take(desk.block(FIRST, Some(desk.receipt(FIRST, &told)))).is_ok());
    let client = thread(move || {
        told.wait(&Clock::SYSTEM, None);
        journal.stop().expect("it stops");
    });
    drop(solo.get().run());
    joined(client);
    accounted(&desk, 1);
}

#[test]
fn who_is_told_finds_it_after_a_loss() {
    holds_at(FEW_PREEMPTIONS, "told", told);
}

#[test]
fn what_is_told_before_the_sync_is_found() {
    finds(Mutant::TellUnsynced, told);
}

#[test]
fn what_is_skipped_is_counted_once() {
    holds_at(FEW_PREEMPTIONS, "skipped", skipped);
    holds("skipped by hand", skipped_by_hand);
}

#[test]
fn what_is_skipped_and_forgotten_is_found() {
    finds(Mutant::ForgetSkipped, skipped_by_hand);
}

#[test]
fn two_lives_tell_what_they_have_written() {
    holds("two lives", two_lives);
}

#[test]
fn who_is_told_of_a_group_that_another_has_is_found() {
    finds(Mutant::SettleUnwritten, two_lives);
}

#[test]
fn a_group_outlives_its_incarnation() {
    holds("group survives", group_survives);
}

#[test]
fn a_group_that_is_left_behind_is_found() {
    finds(Mutant::StartUncommitted, group_survives);
}
