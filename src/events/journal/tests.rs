//! Writers, readers and crashes on the model of a disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::model::{Fault, Loss, ModelDisk};
use super::*;
use crate::events::journal::segment::HEADER;
use crate::testing::chance::Chance;

mod crashes;
mod flips;
mod real;

const DIR: &str = "/journal";

/// Small enough for a handful of records.
pub(super) fn small() -> Settings {
    let settings = Journal::at(DIR).settings().expect("they can be kept");
    Settings { segment_bytes: 2048, fill_bytes: 512, ..settings }
}

fn skipping() -> Settings {
    Settings { on_corruption: OnCorruption::Skip, ..small() }
}

fn file(number: u64) -> PathBuf {
    Path::new(DIR).join(segment::name(number))
}

/// A writer, with what it found and the payloads it was given.
type Opened = (Writer, Recovery, Vec<Vec<u8>>);

fn try_open(disk: &ModelDisk, settings: Settings) -> Result<Opened, JournalError> {
    let mut payloads = Vec::new();
    let visit = &mut |payload: &[u8]| payloads.push(payload.to_vec());
    let (writer, recovery) = Writer::open(Box::new(disk.clone()), Path::new(DIR), settings, visit)?;
    Ok((writer, recovery, payloads))
}

fn open(disk: &ModelDisk, settings: Settings) -> Opened {
    try_open(disk, settings).expect("it can be opened")
}

fn group(writer: &Writer, payloads: &[&[u8]]) -> Group {
    let (encoder, mut group) = (writer.encoder(), Group::default());
    for payload in payloads {
        encoder.encode(&mut group, |into| into.extend_from_slice(payload)).expect("it is short");
    }
    group
}

fn write(writer: &mut Writer, payloads: &[&[u8]]) -> Result<(), JournalError> {
    writer.write(&group(writer, payloads), 7)
}

fn must_write(writer: &mut Writer, payloads: &[&[u8]]) {
    write(writer, payloads).expect("it can be written");
}

/// What a reader comes to, as text.
fn read(disk: &ModelDisk) -> Vec<String> {
    let mut reader = Reader::on(Box::new(disk.clone()), Path::new(DIR)).expect("it can be looked at");
    let mut items = Vec::new();
    while let Some(item) = reader.read().expect("it can be read") {
        items.push(match item {
            Item::Record { payload, .. } => String::from_utf8_lossy(payload).into_owned(),
            Item::Gap(gap) => format!("{} are missing", gap.records),
            Item::Corrupt(corrupt) => format!("corrupt at {}", corrupt.offset),
            Item::Missing(range) => format!("segments {range:?} are missing"),
            Item::Torn(torn) => format!("torn at {}", torn.offset),
        });
    }
    items
}

/// Three segments: two records of 900 bytes in each, the last byte of them says which.
fn three_segments(disk: &ModelDisk) -> Vec<Vec<u8>> {
    let (mut writer, ..) = open(disk, small());
    let payloads: Vec<_> = (1..=6).map(|number| vec![number; 900]).collect();
    for payload in &payloads {
        must_write(&mut writer, &[payload]);
        writer.sync().expect("it can be synced");
    }
    payloads
}

// ---- what is written is there ------------------------------------------------------------

#[test]
fn what_was_written_is_found_in_its_order() {
    let disk = ModelDisk::default();
    let (mut writer, recovery, payloads) = open(&disk, small());
    assert_eq!((recovery, payloads.len()), (Recovery::default(), 0));
    must_write(&mut writer, &[b"a", b"", b"b"]);
    must_write(&mut writer, &[b"c"]);
    drop(writer);
    let (mut writer, recovery, payloads) = open(&disk, small());
    assert_eq!(payloads, [&b"a"[..], b"", b"b", b"c"]);
    assert_eq!((recovery.records, recovery.segments, recovery.torn), (4, 1, None));
    must_write(&mut writer, &[b"d"]);
    drop(writer);
    assert_eq!(read(&disk), ["a", "", "b", "c", "d"]);
}

#[test]
fn an_empty_group_is_nothing() {
    let disk = ModelDisk::default();
    let (mut writer, ..) = open(&disk, small());
    assert!(writer.write(&Group::default(), 7).is_ok() && writer.sync().is_ok());
    assert_eq!(writer.stats(), Stats::default());
}

#[test]
fn a_segment_that_is_full_is_followed_by_another() {
    let disk = ModelDisk::default();
    let payloads = three_segments(&disk);
    assert_eq!(disk.files().len(), 3, "{:?}", disk.files().keys());
    let (writer, recovery, found) = open(&disk, small());
    assert_eq!((found, recovery.segments), (payloads, 3));
    assert_eq!((writer.stats().segments, writer.stats().records), (3, 6));
}

#[test]
fn a_group_larger_than_a_segment_has_one_of_its_own() {
    let disk = ModelDisk::default();
    let (mut writer, ..) = open(&disk, small());
    let large = vec![b'l'; 10_000];
    must_write(&mut writer, &[b"a"]);
    must_write(&mut writer, &[&large, &large]);
    must_write(&mut writer, &[b"z"]);
    assert_eq!(writer.stats().segments, 3);
    drop(writer);
    let (_, _, payloads) = open(&disk, small());
    assert_eq!(payloads, [&b"a"[..], &large, &large, b"z"]);
}

#[test]
fn files_have_zeros_ahead_and_no_more_than_a_segment() {
    let disk = ModelDisk::default();
    let (mut writer, ..) = open(&disk, small());
    let mut lengths = Vec::new();
    for _ in 0..6 {
        must_write(&mut writer, &[&[1; 250]]);
        lengths.push(disk.bytes(&file(1)).len());
    }
    assert_eq!(lengths, [512, 1024, 1024, 1536, 1536, 2048]);
}

// ---- gaps --------------------------------------------------------------------------------

#[test]
fn records_that_were_not_taken_are_said_with_the_next_group() {
    let disk = ModelDisk::default();
    let (mut writer, ..) = open(&disk, small());
    must_write(&mut writer, &[b"a"]);
    writer.gap(3, 100);
    writer.gap(0, 1);
    writer.gap(2, 200);
    must_write(&mut writer, &[b"b"]);
    must_write(&mut writer, &[b"c"]);
    drop(writer);
    let (_, recovery, _) = open(&disk, small());
    assert_eq!((recovery.gaps, recovery.gap_records), (vec![Gap { records: 5, since_ns: 100 }], 5));
    assert_eq!(read(&disk), ["a", "5 are missing", "b", "c"]);
}

#[test]
fn an_empty_group_says_a_gap_alone() {
    let disk = ModelDisk::default();
    let (mut writer, ..) = open(&disk, small());
    writer.gap(1, 1);
    writer.write(&Group::default(), 7).expect("it can be written");
    assert_eq!(read(&disk), ["1 are missing"]);
}

#[test]
fn what_a_failed_sync_gives_up_is_a_gap_in_a_fresh_segment() {
    let disk = ModelDisk::default();
    let (mut writer, ..) = open(&disk, small());
    must_write(&mut writer, &[b"a"]);
    writer.sync().expect("it can be synced");
    writer.gap(10, 5);
    must_write(&mut writer, &[b"b", b"c"]);
    disk.plan(Some(Fault::Fail { at: 0, operations: 1, bytes: 0 }));
    let failed = writer.sync().expect_err("it fails");
    assert_eq!(failed.to_string(), format!("{}: sync: injected", file(1).display()));
    assert!(writer.sync().is_ok(), "it was said");
    must_write(&mut writer, &[b"d"]);
    assert_eq!(read(&disk), ["a", "12 are missing", "d"]);
    assert_eq!((writer.stats().records, writer.stats().failed_syncs), (2, 1));
    drop(writer);
    let (_, recovery, payloads) = open(&disk, small());
    assert_eq!((payloads, recovery.gap_records), (vec![b"a".to_vec(), b"d".to_vec()], 12));
}

#[test]
fn a_sync_that_fails_on_the_way_of_a_write_is_said_by_the_next_sync_too() {
    let disk = ModelDisk::default();
    let (mut writer, ..) = open(&disk, small());
    must_write(&mut writer, &[&[b'a'; 1500]]);
    disk.plan(Some(Fault::Fail { at: 0, operations: 1, bytes: 0 }));
    let large = [b'b'; 1500];
    assert!(write(&mut writer, &[&large]).is_err(), "the full segment cannot be synced");
    must_write(&mut writer, &[b"c"]);
    assert!(writer.sync().is_err(), "somebody still hopes for the first");
    assert!(writer.sync().is_ok());
    assert_eq!(read(&disk), ["1 are missing", "c"]);
}

// ---- failures ----------------------------------------------------------------------------

#[test]
fn a_failed_write_takes_nothing_and_leaves_nothing_behind_a_shorter_group() {
    let disk = ModelDisk::default();
    let (mut writer, ..) = open(&disk, small());
    must_write(&mut writer, &[b"a"]);
    disk.plan(Some(Fault::Fail { at: 0, operations: 1, bytes: 1000 }));
    assert!(write(&mut writer, &[b"gone", b"gone", b"gone"]).is_err());
    must_write(&mut writer, &[b"b"]);
    assert_eq!(read(&disk), ["a", "b"]);
}

#[test]
fn where_remains_cannot_be_overwritten_the_segment_ends_before_them() {
    let disk = ModelDisk::default();
    let (mut writer, ..) = open(&disk, small());
    must_write(&mut writer, &[b"a"]);
    disk.plan(Some(Fault::Fail { at: 0, operations: 2, bytes: 1000 }));
    assert!(write(&mut writer, &[b"gone", b"gone", b"gone"]).is_err());
    must_write(&mut writer, &[b"b"]);
    assert_eq!(writer.stats().segments, 2);
    assert_eq!(read(&disk), ["a", "b"]);
}

#[test]
fn a_full_disk_is_said_and_it_goes_on_when_there_is_room_again() {
    let disk = ModelDisk::default();
    let (mut writer, ..) = open(&disk, small());
    must_write(&mut writer, &[b"a"]);
    disk.set_room(Some(1000));
    let mut taken = 0;
    let full = loop {
        match write(&mut writer, &[&[b'x'; 100]]) {
            Ok(()) => taken += 1,
            Err(full) => break full,
        }
    };
    assert!(matches!(full, JournalError::Full { doing: "write", .. }), "{full}");
    assert!(writer.sync().is_ok(), "what was taken is durable");
    assert!(write(&mut writer, &[&[b'x'; 1500]]).is_err(), "nor is there room for another segment");
    disk.set_room(None);
    must_write(&mut writer, &[b"z"]);
    drop(writer);
    let (_, recovery, payloads) = open(&disk, small());
    assert_eq!(payloads.len(), taken + 2);
    assert_eq!((recovery.torn, recovery.corrupt_places), (None, 0));
}

#[test]
fn a_read_only_disk_is_said() {
    let disk = ModelDisk::default();
    three_segments(&disk);
    disk.set_read_only(true);
    let refused = try_open(&disk, small()).map(drop).expect_err("it is locked first");
    assert!(matches!(refused, JournalError::ReadOnly { doing: "lock", .. }), "{refused}");
    assert_eq!(read(&disk).len(), 6);
}

#[test]
fn a_second_writer_is_refused_and_a_reader_is_not() {
    let disk = ModelDisk::default();
    let (mut writer, ..) = open(&disk, small());
    must_write(&mut writer, &[b"a"]);
    assert!(matches!(try_open(&disk, small()), Err(JournalError::Locked { .. })));
    assert_eq!(read(&disk), ["a"]);
    drop(writer);
    assert!(try_open(&disk, small()).is_ok());
}

#[test]
fn what_is_written_while_it_is_read_is_not_taken_for_corrupt() {
    let disk = ModelDisk::default();
    let (mut writer, ..) = open(&disk, small());
    for payload in [b"a", b"b", b"c"] {
        must_write(&mut writer, &[payload]);
        writer.sync().expect("it can be synced");
    }
    disk.hide_once(128..144);
    assert_eq!(read(&disk), ["a", "b", "c"]);
    assert_eq!(disk.bytes(&file(1))[128 + 9], b'b');
}

// ---- what is found -----------------------------------------------------------------------

#[test]
fn a_segment_that_is_missing_is_refused_or_reported() {
    let disk = ModelDisk::default();
    let payloads = three_segments(&disk);
    disk.remove(&file(2)).expect("it is there");
    let refused = try_open(&disk, small()).map(drop).expect_err("it is missing");
    assert!(refused.to_string().contains("2.journal: is corrupt at offset 0: the segment is missing"));
    assert_eq!(read(&disk)[2], "segments 2..=2 are missing");
    let (_, recovery, found) = open(&disk, skipping());
    assert_eq!(recovery.missing, [2..=2]);
    assert_eq!(found, [&payloads[..2], &payloads[4..]].concat());
}

#[test]
fn without_its_oldest_segments_a_journal_begins_later() {
    let disk = ModelDisk::default();
    let payloads = three_segments(&disk);
    disk.remove(&file(1)).expect("it is there");
    let (_, recovery, found) = open(&disk, small());
    assert_eq!((recovery.missing.len(), &found[..]), (0, &payloads[2..]));
}

#[test]
fn files_that_are_no_segments_are_left_alone() {
    let disk = ModelDisk::default();
    for name in ["notes.txt", "1.journal", "LOCK"] {
        disk.put(&Path::new(DIR).join(name), b"mine");
    }
    let (_, recovery, _) = open(&disk, small());
    assert_eq!(recovery.foreign, [Path::new("1.journal"), Path::new("notes.txt")]);
    assert_eq!(disk.files().len(), 3);
}

#[test]
fn a_file_with_the_name_of_a_segment_that_is_none_is_refused_or_reported() {
    for content in [&b"hello"[..], &[b'x'; 5000]] {
        let disk = ModelDisk::default();
        let payloads = three_segments(&disk);
        disk.put(&file(4), content);
        let refused = try_open(&disk, small()).map(drop).expect_err("it is foreign");
        assert!(matches!(refused, JournalError::ForeignFile { .. }), "{refused}");
        let (mut writer, recovery, found) = open(&disk, skipping());
        assert_eq!((found, recovery.corrupt[0].offset), (payloads, 0));
        must_write(&mut writer, &[b"on"]);
        assert_eq!(disk.bytes(&file(4)), content);
        assert!(disk.files().contains_key(&file(5)));
    }
}

#[test]
fn a_segment_of_another_journal_is_foreign() {
    let (disk, other) = (ModelDisk::default(), ModelDisk::default());
    let payloads = three_segments(&disk);
    three_segments(&other);
    disk.put(&file(3), &other.bytes(&file(3)));
    assert!(matches!(try_open(&disk, small()), Err(JournalError::ForeignFile { .. })));
    let (_, recovery, found) = open(&disk, skipping());
    assert_eq!(found, payloads[..4]);
    assert_eq!(recovery.corrupt.len(), 2, "its header and what is behind it");
}

#[test]
fn another_version_is_refused_whatever_is_skipped() {
    let disk = ModelDisk::default();
    three_segments(&disk);
    let mut bytes = disk.bytes(&file(3));
    bytes[8] = 9;
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    disk.put(&file(3), &bytes);
    let refused = try_open(&disk, skipping()).map(drop).expect_err("it is of another version");
    assert_eq!(refused.to_string(), format!("{}: has version 9; expected 1", file(3).display()));
}

#[test]
fn a_segment_whose_making_was_cut_short_is_removed() {
    let all = ModelDisk::default();
    let payloads = three_segments(&all);
    let header = segment::Header { salt: 1, number: 4, created_ns: 0, previous_end: 64 }.encode();
    for rest in [&[][..], &header[..1], &header[..63], &[0; 1000]] {
        let disk = all.copy();
        disk.put(&file(4), rest);
        assert_eq!(read(&disk).len(), 6);
        let (_, recovery, found) = open(&disk, small());
        assert_eq!((&found, recovery.unfinished), (&payloads, Some(file(4))));
        assert_eq!(disk.files().len(), 3);
    }
}

#[test]
fn records_behind_a_broken_header_are_found_when_it_is_skipped() {
    for broken in [&[3][..], &[1, 2, 3]] {
        let disk = ModelDisk::default();
        let payloads = three_segments(&disk);
        for number in broken {
            let mut bytes = disk.bytes(&file(*number));
            bytes[30] ^= 1;
            disk.put(&file(*number), &bytes);
        }
        let refused = try_open(&disk, small()).map(drop).expect_err("it is corrupt");
        assert!(matches!(refused, JournalError::Corrupt { offset: 0, .. }), "{refused}");
        let (mut writer, recovery, found) = open(&disk, skipping());
        assert_eq!((&found, recovery.corrupt.len()), (&payloads, broken.len()));
        assert_eq!((recovery.corrupt[0].offset, recovery.corrupt[0].bytes), (0, 64));
        must_write(&mut writer, &[b"on"]);
        drop(writer);
        let (_, recovery, found) = open(&disk, skipping());
        assert_eq!((found.len(), recovery.corrupt.len()), (7, broken.len()));
    }
}

#[test]
fn corruption_is_refused_with_its_place_and_nothing_is_changed() {
    let disk = ModelDisk::default();
    let payloads = three_segments(&disk);
    let mut bytes = disk.bytes(&file(2));
    bytes[HEADER + 24 + 100] ^= 1;
    disk.put(&file(2), &bytes);
    let before = disk.files();
    let refused = try_open(&disk, small()).map(drop).expect_err("it is corrupt");
    let expected =
        format!("{}: is corrupt at offset 88: expected a record with a valid crc", file(2).display());
    assert_eq!((refused.to_string(), disk.files()), (expected, before));
    let (_, recovery, found) = open(&disk, skipping());
    let place = &recovery.corrupt[0];
    assert_eq!((place.file.clone(), place.offset, place.bytes), (file(2), 88, 912));
    assert_eq!(found, [&payloads[..2], &payloads[3..]].concat());
    assert_eq!(read(&disk)[2], "corrupt at 88");
}

#[test]
fn a_torn_tail_is_cut_and_does_not_come_back() {
    let disk = ModelDisk::default();
    let (mut writer, ..) = open(&disk, small());
    must_write(&mut writer, &[b"a"]);
    writer.sync().expect("it can be synced");
    must_write(&mut writer, &[&[b'b'; 100], b"c", b"d"]);
    drop(writer);
    let mut bytes = disk.bytes(&file(1));
    bytes[HEADER + 24 + 16 + 24 + 50] ^= 1;
    disk.put(&file(1), &bytes);
    assert_eq!(read(&disk), ["a", "torn at 128"]);
    let (_, recovery, payloads) = open(&disk, small());
    let torn = recovery.torn.expect("it is torn");
    assert_eq!((torn.offset, torn.bytes, torn.records), (128, 112 + 32, 2));
    assert_eq!(payloads, [b"a"]);
    assert_eq!(read(&disk), ["a"]);
    assert_eq!(open(&disk, small()).1.torn, None);
}

// ---- retention ---------------------------------------------------------------------------

#[test]
fn the_oldest_segments_go_by_their_bytes_and_are_counted() {
    let disk = ModelDisk::default();
    three_segments(&disk);
    let settings = Settings { retain_bytes: Some(4096), ..small() };
    let (mut writer, ..) = open(&disk, settings);
    let deleted = writer.retain(100).expect("it can be deleted");
    assert_eq!(deleted, Retained { segments: 1, records: 2, bytes: 2048 });
    assert_eq!(writer.retain(100).expect("nothing is to be"), Retained::default());
    assert_eq!((writer.stats().records, writer.stats().deleted), (4, deleted));
    disk.reboot(Loss::Unsynced(1));
    assert_eq!(read(&disk).len(), 4);
}

#[test]
fn the_oldest_segments_go_by_their_age() {
    let disk = ModelDisk::default();
    three_segments(&disk);
    let settings = Settings { retain_age: Some(Duration::from_nanos(10)), ..small() };
    let (mut writer, ..) = open(&disk, settings);
    assert_eq!(writer.retain(17).expect("none is old").segments, 0);
    assert_eq!(writer.retain(18).expect("both can be deleted").segments, 2);
    assert_eq!(read(&disk).len(), 2);
}

#[test]
fn a_segment_that_cannot_be_deleted_stays_and_is_tried_again() {
    let disk = ModelDisk::default();
    three_segments(&disk);
    let settings = Settings { retain_bytes: Some(2048), ..small() };
    let (mut writer, ..) = open(&disk, settings);
    disk.plan(Some(Fault::Fail { at: 0, operations: 1, bytes: 0 }));
    assert!(writer.retain(0).is_err());
    assert_eq!(writer.stats().segments, 3);
    assert_eq!(writer.retain(0).expect("it can be deleted").segments, 2);
}
