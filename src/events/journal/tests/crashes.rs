//! Faults and crashes at every operation: what was synced is there, once, in order, and what follows is a
//! beginning of what was written.

use super::*;

/// How many histories there are. Ten times as many take a minute, and have been tried.
const SEEDS: u64 = 7;

/// What may be found after a crash: all that is durable, and a beginning of one of the rests.
#[derive(Default)]
struct Expected {
    next: u64,
    durable: Vec<u64>,
    /// What was written since.
    rest: Vec<u64>,
    /// All with what was refused or given up, which may be found if the crash is near.
    or: Vec<Vec<u64>>,
}

impl Expected {
    fn check(&mut self, payloads: &[Vec<u8>], context: &str) {
        let found: Vec<_> = payloads.iter().map(|payload| id(payload)).collect();
        assert!(found.is_sorted_by(|a, b| a < b), "{context}: in order, none twice: {found:?}");
        assert!(found.starts_with(&self.durable), "{context}: durable {:?}, found {found:?}", self.durable);
        self.or.push([&self.durable[..], &self.rest].concat());
        let is_one = self.or.iter().any(|all| all.starts_with(&found));
        assert!(is_one, "{context}: {found:?} does not begin one of {:?}", self.or);
        (self.durable, self.rest) = (found, Vec::new());
        self.or.clear();
    }

    fn wrote(&mut self, ids: Vec<u64>) {
        self.rest.extend(ids);
        self.or.clear();
    }

    /// A group was refused, and so many that were written last were given up.
    fn refused(&mut self, ids: &[u64], given_up: u64) {
        self.or.push([&self.durable[..], &self.rest, ids].concat());
        self.rest.truncate(self.rest.len() - given_up as usize);
    }

    fn synced(&mut self) {
        self.durable.append(&mut self.rest);
    }
}

fn id(payload: &[u8]) -> u64 {
    u64::from_le_bytes(payload[..8].try_into().expect("it begins with its number"))
}

/// Writes and syncs at random. Stops when all fails.
fn live(writer: &mut Writer, expected: &mut Expected, chance: &mut Chance) {
    for _ in 0..12 {
        if chance.one_in(3) {
            let before = writer.stats();
            match writer.sync() {
                Ok(()) if writer.stats().syncs > before.syncs => {
                    expected.synced();
                    expected.or.clear();
                }
                Ok(()) => expected.synced(),
                Err(_) => expected.refused(&[], given_up(writer, &before)),
            }
            continue;
        }
        let count = 1 + chance.below(5) as u64;
        let ids: Vec<_> = (expected.next..expected.next + count).collect();
        expected.next += count;
        let (encoder, mut group) = (writer.encoder(), Group::default());
        let longest = if chance.one_in(12) { 2500 } else { 250 };
        for id in &ids {
            let length = chance.below(longest);
            let payload = |into: &mut Vec<u8>| {
                into.extend_from_slice(&id.to_le_bytes());
                into.resize(into.len() + length, *id as u8);
            };
            encoder.encode(&mut group, payload).expect("it is short");
        }
        let before = writer.stats();
        match writer.write(&group, 7) {
            Ok(()) => expected.wrote(ids),
            Err(_) => expected.refused(&ids, given_up(writer, &before)),
        }
    }
}

/// What a sync that failed has given up.
fn given_up(writer: &Writer, before: &Stats) -> u64 {
    if writer.stats().failed_syncs > before.failed_syncs { before.unsynced } else { 0 }
}

/// Several lives of a journal, each ended by a loss, the first with a fault. Returns how many operations that
/// one had.
fn lives(seed: u64, fault: Option<Fault>) -> usize {
    let (disk, mut chance, mut expected) = (ModelDisk::default(), Chance::new(seed), Expected::default());
    let mut operations = 0;
    disk.set_seed(seed);
    for life in 0..4 {
        let fault = match life {
            0 => fault,
            _ => Some(Fault::Crash { at: chance.below(30), bytes: chance.below(3000) }),
        };
        disk.plan(fault);
        let context = format!("seed {seed}, life {life}, {fault:?}");
        let opened = try_open(&disk, small());
        // Cut short while it was opened, it is opened again.
        let (mut writer, recovery, payloads) = opened.unwrap_or_else(|_| {
            disk.reboot(loss(&mut chance));
            try_open(&disk, small()).unwrap_or_else(|error| panic!("{context}: {error}"))
        });
        assert_eq!((recovery.corrupt_places, recovery.missing.len()), (0, 0), "{context}");
        expected.check(&payloads, &context);
        live(&mut writer, &mut expected, &mut chance);
        drop(writer);
        if life == 0 {
            operations = disk.operations();
        }
        disk.reboot(loss(&mut chance));
    }
    let (_, _, payloads) = open(&disk, small());
    expected.check(&payloads, &format!("seed {seed}, the end"));
    operations
}

fn loss(chance: &mut Chance) -> Loss {
    if chance.one_in(3) { Loss::Nothing } else { Loss::Unsynced(chance.below(1 << 30) as u64) }
}

#[test]
fn a_crash_at_any_operation_loses_nothing_that_was_synced() {
    for seed in 0..SEEDS {
        for at in 0..lives(seed, None) {
            for bytes in [0, 1, 40, 300, 513, 100_000] {
                lives(seed, Some(Fault::Crash { at, bytes }));
            }
        }
    }
}

#[test]
fn a_failure_of_any_operation_loses_nothing_that_was_synced() {
    for seed in 100..100 + SEEDS {
        for at in 0..lives(seed, None) {
            for (operations, bytes) in [(1, 0), (1, 70), (1, 100_000), (2, 40), (3, 300), (5, 513)] {
                lives(seed, Some(Fault::Fail { at, operations, bytes }));
            }
        }
    }
}

#[test]
fn a_disk_that_fills_up_at_any_byte_loses_nothing_that_was_synced() {
    for room in (0..6000).step_by(37) {
        let (disk, mut expected) = (ModelDisk::default(), Expected::default());
        disk.set_room(Some(room));
        let (mut writer, ..) = open(&disk, small());
        let mut chance = Chance::new(room as u64);
        live(&mut writer, &mut expected, &mut chance);
        disk.set_room(None);
        live(&mut writer, &mut expected, &mut chance);
        drop(writer);
        disk.reboot(loss(&mut chance));
        let (_, recovery, payloads) = open(&disk, small());
        assert_eq!(recovery.corrupt_places, 0);
        expected.check(&payloads, &format!("room {room}"));
    }
}

#[test]
fn what_was_refused_does_not_come_back_behind_a_shorter_group() {
    for seed in 0..400 {
        let disk = ModelDisk::default();
        disk.set_seed(seed);
        let (mut writer, ..) = open(&disk, small());
        // From here on, records are as long as sectors, and begin where those do.
        must_write(&mut writer, &[&[b'a'; 391]]);
        writer.sync().expect("it can be synced");
        disk.plan(Some(Fault::Fail { at: 0, operations: 1, bytes: 100_000 }));
        let gone = [b'x'; 503];
        assert!(write(&mut writer, &[&gone, &gone]).is_err());
        must_write(&mut writer, &[&[b'b'; 503]]);
        drop(writer);
        disk.reboot(Loss::Unsynced(seed));
        let (_, _, payloads) = open(&disk, small());
        let firsts: Vec<_> = payloads.iter().map(|payload| payload[0]).collect();
        assert!(b"ab".starts_with(&firsts), "seed {seed}: {firsts:?}");
    }
}

#[test]
fn while_it_is_retained_none_is_missing_between() {
    let settings = Settings { retain_bytes: Some(4096), ..small() };
    for at in 0..12 {
        for seed in 0..20 {
            let disk = ModelDisk::default();
            three_segments(&disk);
            disk.plan(Some(Fault::Crash { at, bytes: 0 }));
            if let Ok((mut writer, ..)) = try_open(&disk, settings) {
                let retained = |writer: &mut Writer| drop(writer.retain(0));
                must_write(&mut writer, &[]);
                drop(write(&mut writer, &[&[1; 1900]]));
                retained(&mut writer);
                drop(write(&mut writer, &[&[1; 1900]]));
                retained(&mut writer);
            }
            disk.reboot(Loss::Unsynced(seed));
            assert!(try_open(&disk, settings).is_ok(), "at {at}, seed {seed}");
        }
    }
}
