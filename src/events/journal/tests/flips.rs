//! A journal in which any byte is another: never a panic, never silent.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// Two segments, with a gap, a refused group and zeros in them.
fn journal() -> (ModelDisk, Vec<Vec<u8>>) {
    let disk = ModelDisk::default();
    let settings = Settings { segment_bytes: 512, fill_bytes: 128, ..small() };
    let (mut writer, ..) = open(&disk, settings);
    let payloads: Vec<_> = (1..=6).map(|number| vec![number; 60 + usize::from(number)]).collect();
    for (nth, payload) in payloads.iter().enumerate() {
        if nth == 2 {
            writer.gap(1, 1);
        }
        must_write(&mut writer, &[payload]);
        writer.sync().expect("it can be synced");
    }
    drop(writer);
    assert_eq!(disk.files().len(), 2);
    (disk, payloads)
}

fn is_silent(recovery: &Recovery) -> bool {
    let Recovery { torn, corrupt_places, missing, foreign, unfinished, .. } = recovery;
    torn.is_none() && *corrupt_places == 0 && missing.is_empty() && foreign.is_empty() && unfinished.is_none()
}

/// Opens and reads it as it is now: what is not reported is as it was.
fn look(disk: &ModelDisk, payloads: &[Vec<u8>], context: &str) {
    drop(read(disk));
    let before = disk.files();
    match try_open(&disk.copy(), small()) {
        Ok((_, recovery, found)) if is_silent(&recovery) => {
            assert_eq!((&found[..], recovery.gap_records), (payloads, 1), "{context}");
        }
        Ok((_, _, found)) => assert!(payloads.starts_with(&found), "{context}: only a tail is cut"),
        Err(_) => assert_eq!(disk.files(), before, "{context}: refused, and changed"),
    }
    if let Ok((_, recovery, found)) = try_open(disk, skipping()) {
        let is_all = found == payloads && recovery.gap_records == 1;
        assert!(is_all || !is_silent(&recovery), "{context}: {recovery:?}");
        assert!(found.iter().all(|payload| payloads.contains(payload)), "{context}");
        assert!(found.is_sorted(), "{context}: in order");
    }
}

#[test]
fn a_flip_of_any_bit_is_harmless_or_reported() {
    let (disk, payloads) = journal();
    for (file, bytes) in disk.files() {
        for (at, mask) in (0..bytes.len()).flat_map(|at| [1, 0x80, 0xFF].map(|mask| (at, mask))) {
            let flipped = disk.copy();
            let mut bytes = bytes.clone();
            bytes[at] ^= mask;
            flipped.put(&file, &bytes);
            look(&flipped, &payloads, &format!("{} at {at} by {mask}", file.display()));
        }
    }
}

#[test]
fn under_refuse_a_flip_in_what_is_known_to_be_synced_is_never_cut() {
    let (disk, payloads) = journal();
    let bytes = disk.bytes(&file(1));
    for at in HEADER..bytes.len() {
        let (flipped, mut bytes) = (disk.copy(), bytes.clone());
        bytes[at] ^= 4;
        flipped.put(&file(1), &bytes);
        if let Ok((_, recovery, found)) = try_open(&flipped, small()) {
            assert_eq!((found, recovery.torn), (payloads.clone(), None), "at {at}");
        }
    }
}

#[test]
fn a_file_cut_off_anywhere_is_harmless_or_reported() {
    let (disk, payloads) = journal();
    for (file, bytes) in disk.files() {
        for length in 0..bytes.len() {
            let cut = disk.copy();
            cut.put(&file, &bytes[..length]);
            drop(read(&cut));
            // The end of the last segment can go unseen where a record ends: nothing says that there was more.
            let is_last = file == super::file(2);
            if let Ok((_, recovery, found)) = try_open(&cut, skipping()) {
                assert!(
                    found == payloads || is_last || !is_silent(&recovery),
                    "{} to {length}",
                    file.display()
                );
                assert!(found.iter().all(|payload| payloads.contains(payload)));
            }
        }
    }
}

proptest! {
    #[test]
    fn garbage_in_place_of_a_segment_is_reported(
        number in 1_u64..4, bytes in vec(any::<u8>(), 0..1500), keeps_header in any::<bool>(),
    ) {
        let (disk, payloads) = journal();
        let mut content = if keeps_header { disk.bytes(&file(number))[..].to_vec() } else { Vec::new() };
        content.truncate(HEADER);
        content.extend_from_slice(&bytes);
        disk.put(&file(number), &content);
        drop(read(&disk));
        for settings in [small(), skipping()] {
            if let Ok((_, recovery, found)) = try_open(&disk.copy(), settings) {
                prop_assert!(found.iter().all(|payload| payloads.contains(payload)));
                prop_assert!(found == payloads || !is_silent(&recovery) || bytes.iter().all(|byte| *byte == 0));
            }
        }
    }

    #[test]
    fn any_files_of_any_names_are_looked_at(
        files in vec((prop_oneof!["[0-9]{20}\\.journal", ".{0,12}"], vec(any::<u8>(), 0..200)), 0..6),
    ) {
        let disk = ModelDisk::default();
        for (name, bytes) in files {
            if !name.is_empty() && !name.contains('/') {
                disk.put(&Path::new(DIR).join(name), &bytes);
            }
        }
        drop(Reader::on(Box::new(disk.clone()), Path::new(DIR)).map(|mut reader| while let Ok(Some(_)) = reader.read() {}));
        for settings in [small(), skipping()] {
            if let Ok((mut writer, ..)) = try_open(&disk.copy(), settings) {
                must_write(&mut writer, &[b"a"]);
            }
        }
    }
}
