//! The same on the file system.

use std::path::PathBuf;

use super::*;

/// A directory beside the tests' binary, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let test = std::env::current_exe().expect("the test is a file");
        let dir = test.with_file_name(format!("journal-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&dir));
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn open_at(dir: &Path) -> Result<Opened, JournalError> {
    let mut payloads = Vec::new();
    let visit = &mut |payload: &[u8]| payloads.push(payload.to_vec());
    let (writer, recovery) = Writer::open(Box::new(RealDisk), dir, small(), visit)?;
    Ok((writer, recovery, payloads))
}

fn payloads_at(dir: &Path) -> Vec<Vec<u8>> {
    let mut reader = Reader::open(dir).expect("it can be looked at");
    let mut payloads = Vec::new();
    while let Some(item) = reader.read().expect("it can be read") {
        let Item::Record { payload, .. } = item else { panic!("{item:?}") };
        payloads.push(payload.to_vec());
    }
    payloads
}

#[test]
fn a_journal_in_a_directory_that_is_not_there_yet_is_made_and_found_again() {
    let scratch = Scratch::new("made");
    let dir = scratch.0.join("deep").join("down");
    let (mut writer, recovery, _) = open_at(&dir).expect("it can be made");
    assert_eq!(recovery, Recovery::default());
    let payloads: Vec<_> = (0..100_u8).map(|number| vec![number; 100]).collect();
    for payload in &payloads {
        must_write(&mut writer, &[payload]);
        writer.sync().expect("it can be synced");
    }
    assert_eq!(payloads_at(&dir), payloads, "while it is written");
    drop(writer);
    let (mut writer, recovery, found) = open_at(&dir).expect("it is there");
    assert_eq!((found, recovery.torn), (payloads, None));
    assert!(recovery.segments > 3);
    must_write(&mut writer, &[b"more"]);
    assert_eq!(payloads_at(&dir).len(), 101);
}

#[test]
fn a_second_writer_on_a_directory_is_refused() {
    let scratch = Scratch::new("locked");
    let (writer, ..) = open_at(&scratch.0).expect("it can be made");
    let refused = open_at(&scratch.0).map(drop).expect_err("it is locked");
    let expected = format!("{}: is locked: somebody else writes this journal", scratch.0.display());
    assert_eq!(refused.to_string(), expected);
    drop(writer);
    assert!(open_at(&scratch.0).is_ok());
}

#[test]
fn a_tail_that_was_torn_on_disk_is_cut_there() {
    let scratch = Scratch::new("torn");
    let (mut writer, ..) = open_at(&scratch.0).expect("it can be made");
    must_write(&mut writer, &[b"a", b"b"]);
    drop(writer);
    let segment = scratch.0.join(segment::name(1));
    let mut bytes = std::fs::read(&segment).expect("it is there");
    bytes[HEADER + 24 + 16] ^= 1;
    std::fs::write(&segment, &bytes).expect("it can be written");
    let (_, recovery, payloads) = open_at(&scratch.0).expect("it is there");
    assert_eq!((payloads, recovery.torn.map(|torn| torn.offset)), (vec![b"a".to_vec()], Some(104)));
    let bytes = std::fs::read(&segment).expect("it is there");
    assert!(bytes[104..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_file_in_place_of_the_directory_is_said() {
    let scratch = Scratch::new("file");
    std::fs::write(&scratch.0, b"mine").expect("it can be written");
    let refused = open_at(&scratch.0).map(drop).expect_err("it is a file");
    assert!(matches!(refused, JournalError::Io { .. }), "{refused}");
    drop(std::fs::remove_file(&scratch.0));
}

/// On a file system that is small, if `UNDERPIN_SMALL_DISK` names a directory on one.
#[test]
fn a_full_file_system_is_said_and_it_goes_on_when_there_is_room_again() {
    let Some(small_disk) = std::env::var_os("UNDERPIN_SMALL_DISK").map(PathBuf::from) else { return };
    let (ballast, dir) = (small_disk.join("ballast"), small_disk.join("journal"));
    drop(std::fs::remove_dir_all(&dir));
    let (mut writer, ..) = open_at(&dir).expect("it can be made");
    must_write(&mut writer, &[b"first"]);
    drop(std::fs::write(&ballast, vec![1; 256 << 20])); // as much as there is room for
    let mut taken = 1;
    let full = loop {
        match write(&mut writer, &[&[2; 500]]) {
            Ok(()) => taken += 1,
            Err(full) => break full,
        }
    };
    assert!(matches!(full, JournalError::Full { .. }), "{full}");
    writer.sync().expect("what was taken can be synced");
    assert!(matches!(write(&mut writer, &[&[2; 9000]]), Err(JournalError::Full { .. })));
    std::fs::remove_file(&ballast).expect("it is there");
    must_write(&mut writer, &[b"last"]);
    drop(writer);
    let (_, recovery, payloads) = open_at(&dir).expect("it is there");
    assert_eq!((payloads.len(), recovery.torn, recovery.corrupt_places), (taken + 1, None, 0));
    drop(std::fs::remove_dir_all(&dir));
}
