//! Reading a journal to its end.

use underpin::events::{Entry, JournalItem, JournalReader};

use crate::args::Args;

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) events: u64,
    /// Places that are not what was written there, or are not there.
    pub(crate) faults: u64,
    /// Events that were not journaled.
    pub(crate) unjournaled: u64,
    /// Bytes that a crash has left of a last write.
    pub(crate) torn_bytes: u64,
}

/// What to do after an event.
#[derive(PartialEq)]
pub(crate) enum Go {
    On,
    Home,
}

/// Calls `each` for every event that the filter lets pass, and says on stderr what else there is.
///
/// # Errors
///
/// One line, where there is no journal.
pub(crate) fn read(args: &Args, mut each: impl FnMut(&Entry) -> Go) -> Result<Read, String> {
    let dir = &args.dir;
    let mut reader = JournalReader::open(dir).map_err(|error| error.to_string())?;
    let mut read = Read::default();
    for file in reader.foreign() {
        eprintln!("journal: {}: is no segment of a journal", file.display());
    }
    loop {
        match reader.read() {
            Ok(None) => return Ok(read),
            Ok(Some(JournalItem::Event { entry, .. })) => {
                read.events += 1;
                let passes =
                    |filter: &underpin::events::Filter| filter.matches(&entry, entry.id(), entry.source());
                if args.filter.as_ref().is_none_or(passes) && each(&entry) == Go::Home {
                    return Ok(read);
                }
            }
            Ok(Some(item)) => note(&mut read, &item),
            Err(error) => {
                read.faults += 1;
                eprintln!("journal: {error}");
            }
        }
    }
}

fn note(read: &mut Read, item: &JournalItem) {
    match item {
        JournalItem::Gap(gap) => read.unjournaled += gap.records,
        JournalItem::Torn(torn) => read.torn_bytes += torn.bytes,
        _ => read.faults += 1,
    }
    eprintln!("journal: {item}");
}

/// Reads all of it, and says what is wrong. Returns whether it is whole.
pub(crate) fn verify(args: &Args) -> Result<bool, String> {
    let read = read(args, |_| Go::On)?;
    let Read { events, faults, unjournaled, torn_bytes } = read;
    println!(
        "{events} events, {faults} faults, {unjournaled} not journaled, {torn_bytes} bytes of a last write"
    );
    Ok(faults == 0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use underpin::Supervisor;
    use underpin::events::{Event, EventStore, Journal};

    use super::*;
    use crate::args::Asked;

    /// A journal of ten events of two kinds, and its only segment.
    fn journal(name: &str) -> (PathBuf, PathBuf) {
        let dir = std::env::temp_dir().join(format!("underpin-journal-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&dir));
        let store = EventStore::builder().journal(Journal::at(&dir)).open().expect("a fresh directory");
        let app = Supervisor::new("app").supervisor(store.supervisor()).start().expect("it starts");
        for n in 0..10 {
            let kind = if n % 5 == 0 { "rare" } else { "common" };
            store.store_sync(Event::of(kind, format!("c{n}")).with_data("some text")).expect("it is durable");
        }
        drop(app);
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "journal");
        let files =
            fs::read_dir(&dir).expect("it is there").map(|entry| entry.expect("it can be read").path());
        let segment = files.into_iter().find(is_segment).expect("there is one");
        (dir, segment)
    }

    fn args(words: &[&str], dir: &Path) -> Args {
        let dir = dir.display().to_string();
        let words = words.iter().map(|word| (*word).to_owned()).chain([dir]);
        let Ok(Asked::Look(args)) = Args::parse(words) else { panic!("it makes sense") };
        *args
    }

    #[test]
    fn a_filter_lets_pass_what_it_says() {
        let (dir, _) = journal("filter");
        let mut seen = Vec::new();
        let read = read(&args(&["cat", "--filter", "kind=rare"], &dir), |entry| {
            seen.push(entry.id().get());
            Go::On
        });
        assert_eq!((seen, read.expect("it is there").events), (vec![1, 6], 10));
        fs::remove_dir_all(dir).expect("it can be removed");
    }

    #[test]
    fn a_journal_is_whole_until_a_byte_of_it_is_another() {
        let (dir, segment) = journal("whole");
        assert_eq!(verify(&args(&["verify"], &dir)), Ok(true));
        let mut bytes = fs::read(&segment).expect("it can be read");
        let place = bytes.windows(9).position(|window| window == b"some text").expect("the first event");
        bytes[place] ^= 1;
        fs::write(&segment, bytes).expect("it can be written");
        assert_eq!(verify(&args(&["verify"], &dir)), Ok(false));
        let read = read(&args(&["cat"], &dir), |_| Go::On).expect("it is there");
        assert_eq!((read.events, read.faults), (9, 1));
        fs::remove_dir_all(dir).expect("it can be removed");
    }

    #[test]
    fn where_there_is_no_journal_that_is_said() {
        let nowhere = Path::new("/nonexistent/journal");
        let error = verify(&args(&["verify"], nowhere)).expect_err("there is none");
        assert!(error.contains("/nonexistent/journal"), "{error}");
    }
}
