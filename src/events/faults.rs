//! A store over a disk that fails or goes: what somebody was told is durable is there, and what is not there was told or
//! counted.

use std::sync::mpsc::channel;
use std::time::Duration;

use super::errors::Refusal;
use super::event::Event;
use super::journal::model::{Fault, Loss, ModelDisk};
use super::journal::{Journal, OnCorruption};
use super::receipt::Receipt;
use super::store::EventStore;
use crate::supervisor::owner::SupervisorHandle;
use crate::supervisor::supervisor::Supervisor;

const MAILBOX: (usize, Duration) = (256, Duration::from_secs(10));

fn open(disk: &ModelDisk) -> (EventStore, SupervisorHandle) {
    let store = EventStore::in_memory();
    let journal = Journal::at("/j").segment_bytes(64 << 10).on_corruption(OnCorruption::Refuse);
    super::opening::open_on(Box::new(disk.clone()), &store, &journal, MAILBOX).expect("it opens");
    let tree = Supervisor::new("app").supervisor(store.supervisor()).start().expect("it starts");
    (store, tree)
}

fn event(text: &str) -> Event {
    Event::of("a", "x").with_data(text.to_owned())
}

/// What a life was told: which events are durable, and which are not.
#[derive(Default)]
struct Told {
    durable: Vec<String>,
    others: Vec<String>,
}

/// Stores alone, in batches whose events are large, and through a writer.
fn live(store: &EventStore) -> Told {
    let mut told = Told::default();
    for n in 0..6 {
        let name = format!("alone {n}");
        told.note(name.clone(), store.store_sync(event(&name)).is_ok());
        let names: Vec<_> = (0..3).map(|at| format!("batch {n} {at}")).collect();
        let large = |name: &String| event(&format!("{name}{}", " ".repeat(4_000)));
        let is_stored = store.store_batch(names.iter().map(large)).is_ok();
        names.into_iter().for_each(|name| told.note(name, is_stored));
    }
    let (tell, heard) = channel();
    let mut writer = store.writer().batch(4).expect("it is empty");
    for n in 0..10 {
        let (tell, name) = (tell.clone(), format!("writer {n}"));
        let event = event(&name);
        let receipt = Receipt::new(move |outcome| drop(tell.send((name, outcome))));
        writer.store_with(event, receipt).expect("it is sent");
    }
    drop((writer, tell));
    for (name, outcome) in heard {
        assert!(matches!(outcome, Ok(_) | Err(Refusal::NotDurable { .. })), "{outcome:?}");
        told.note(name, outcome.is_ok());
    }
    told
}

impl Told {
    fn note(&mut self, name: String, is_durable: bool) {
        if is_durable { self.durable.push(name) } else { self.others.push(name) }
    }
}

/// A life with a fault, a loss, and the next life. Returns how many operations it had.
fn lives(fault: Option<Fault>, loss: Loss) -> usize {
    let disk = ModelDisk::default();
    let (store, tree) = open(&disk);
    disk.plan(fault);
    let told = live(&store);
    let synced = store.sync();
    let stats = store.journal().expect("it has one");
    let operations = disk.operations();
    assert_eq!(stats.unjournaled > 0, synced.is_err(), "{fault:?}: {synced:?}, {stats:?}");
    assert_eq!(told.others.len() as u64, stats.unjournaled, "{fault:?}: who waited was told");
    assert_eq!(store.published().len(), told.durable.len() + told.others.len(), "memory has all");
    disk.reboot(loss);
    let left = disk.copy(); // what the process does from here on is not done
    drop((store, tree));
    let (store, tree) = open(&left);
    let found = store.published().recent(1_000);
    let has = |name: &&String| found.iter().filter(|entry| text(entry).trim_end() == name.as_str()).count();
    for name in &told.durable {
        assert_eq!(has(&name), 1, "{fault:?}, {loss:?}: {name} was told durable");
    }
    assert!(told.others.iter().all(|name| has(&name) <= 1), "{fault:?}: none twice");
    drop((store, tree));
    operations
}

fn text(entry: &super::Entry) -> &str {
    entry.data().as_text().unwrap_or_default()
}

const LOSSES: [Loss; 3] = [Loss::Nothing, Loss::Unsynced(7), Loss::Unsynced(8)];

#[test]
fn what_is_told_durable_is_there_whichever_operation_fails() {
    let operations = lives(None, Loss::Unsynced(1));
    assert!(operations > 30, "{operations}");
    for at in 0..operations {
        for (loss, bytes) in LOSSES.into_iter().zip([0, 100, 5_000]) {
            lives(Some(Fault::Fail { at, operations: 1 + at % 3, bytes }), loss);
        }
    }
}

#[test]
fn what_is_told_durable_is_there_whenever_the_disk_goes_for_good() {
    let operations = lives(None, Loss::Nothing);
    for at in 0..operations {
        for (loss, bytes) in LOSSES.into_iter().zip([0, 100, 5_000]) {
            lives(Some(Fault::Crash { at, bytes }), loss);
        }
    }
}

#[test]
fn what_is_told_durable_is_there_though_a_write_panics() {
    let disk = ModelDisk::default();
    let (store, tree) = open(&disk);
    store.store_sync(event("one")).expect("it is durable");
    disk.plan(Some(Fault::Panic { at: disk.operations() }));
    let told: Vec<_> = ["two", "three"].map(|name| (name, store.store_sync(event(name)).is_ok())).into();
    drop((store, tree));
    let (store, _tree) = open(&disk.copy());
    let found = store.published().recent(10);
    for (name, _) in told.iter().filter(|(_, is_durable)| *is_durable) {
        let there = found.iter().filter(|entry| text(entry) == *name).count();
        assert_eq!(there, 1, "{name} was told durable: {told:?}");
    }
    assert!(told[1].1, "the next life of the journal goes on");
}
