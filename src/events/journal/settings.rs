//! How a journal is kept.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::errors::JournalError;

/// How many bytes a segment may be set to have: 64 KiB to 1 GiB.
const SEGMENT_BYTES: RangeInclusive<u64> = 64 << 10..=1 << 30;
/// How many bytes a segment has unless another number is set.
const DEFAULT_SEGMENT_BYTES: u64 = 16 << 20;
/// How far zeros are written ahead of the records, at once. Measured with groups of 200 KB: with less, too many
/// syncs have a new length of the file to make durable beside the data; with more, the few that have the zeros
/// to write take too long, 80 ms with 16 MiB.
const FILL_BYTES: u64 = 1 << 20;

/// When what was written is made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sync {
    /// After each group of records, before anybody is told that they are stored.
    #[default]
    Always,
    /// After so many records. A crash of the machine takes those since the last sync.
    EveryCount(u64),
    /// So long after the first record that is not synced yet.
    Every(Duration),
    /// When the operating system writes them. A crash of the process takes nothing, one of the machine what
    /// the system had not written yet.
    OsDecides,
}

/// What is done about a place in the middle of a journal that is not what was written there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnCorruption {
    /// The journal is not opened, and nothing in it is changed.
    #[default]
    Refuse,
    /// It is reported, and the valid records behind it are taken. It stays in the file, to be looked at, and
    /// is reported again each time.
    Skip,
}

/// Where a journal is, and how it is kept.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::events::{Journal, Sync};
///
/// let journal = Journal::at("/var/lib/app/events")
///     .sync(Sync::Every(Duration::from_millis(50)))
///     .retain_bytes(Some(1 << 30));
/// # let _ = journal;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Journal {
    dir: PathBuf,
    segment_bytes: u64,
    sync: Sync,
    retain_bytes: Option<u64>,
    retain_age: Option<Duration>,
    on_corruption: OnCorruption,
}

impl Journal {
    /// In a directory, which is made when the journal is opened, if it is missing. It keeps all records.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: DEFAULT_SEGMENT_BYTES,
            sync: Sync::default(),
            retain_bytes: None,
            retain_age: None,
            on_corruption: OnCorruption::default(),
        }
    }

    /// How many bytes a segment file has: 16 MiB unless set, 64 KiB to 1 GiB. Records that are handed over
    /// at once and are more than that are in a larger one of their own.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// When records are made durable: always, unless set.
    pub fn sync(mut self, sync: Sync) -> Self {
        self.sync = sync;
        self
    }

    /// Deletes the oldest segments when all have more bytes, at least those of one segment. The one that is
    /// written to is never deleted.
    pub fn retain_bytes(mut self, bytes: Option<u64>) -> Self {
        self.retain_bytes = bytes;
        self
    }

    /// Deletes segments whose last record is older.
    pub fn retain_age(mut self, age: Option<Duration>) -> Self {
        self.retain_age = age;
        self
    }

    /// What is done about corruption: the journal is refused, unless set.
    pub fn on_corruption(mut self, on_corruption: OnCorruption) -> Self {
        self.on_corruption = on_corruption;
        self
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What was set, if it can be done.
    ///
    /// # Errors
    ///
    /// [`JournalError::BadSetting`] names the first that cannot.
    pub(crate) fn settings(&self) -> Result<Settings, JournalError> {
        let Self { segment_bytes, sync, retain_bytes, retain_age, on_corruption, .. } = *self;
        self.check_dir()?;
        check_segment_bytes(segment_bytes)?;
        check_sync(sync)?;
        check_retained(retain_bytes, retain_age, segment_bytes)?;
        Ok(Settings { segment_bytes, fill_bytes: FILL_BYTES, sync, retain_bytes, retain_age, on_corruption })
    }

    fn check_dir(&self) -> Result<(), JournalError> {
        expect(!self.dir.as_os_str().is_empty(), "dir", &"an empty path", "the path of a directory")
    }
}

/// What a journal was set to, checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) segment_bytes: u64,
    /// How far zeros are written ahead, at once.
    pub(crate) fill_bytes: u64,
    pub(crate) sync: Sync,
    pub(crate) retain_bytes: Option<u64>,
    pub(crate) retain_age: Option<Duration>,
    pub(crate) on_corruption: OnCorruption,
}

fn expect(
    holds: bool,
    setting: &'static str,
    found: &dyn std::fmt::Debug,
    expected: &str,
) -> Result<(), JournalError> {
    if holds {
        return Ok(());
    }
    let (found, expected) = (format!("{found:?}"), expected.to_owned());
    Err(JournalError::BadSetting { setting, found, expected })
}

fn check_segment_bytes(bytes: u64) -> Result<(), JournalError> {
    expect(SEGMENT_BYTES.contains(&bytes), "segment_bytes", &bytes, "64 KiB to 1 GiB")
}

fn check_sync(sync: Sync) -> Result<(), JournalError> {
    let is_never = sync == Sync::EveryCount(0) || sync == Sync::Every(Duration::ZERO);
    expect(!is_never, "sync", &sync, "more than zero")
}

fn check_retained(bytes: Option<u64>, age: Option<Duration>, segment_bytes: u64) -> Result<(), JournalError> {
    let is_enough = bytes.is_none_or(|bytes| bytes >= segment_bytes);
    expect(is_enough, "retain_bytes", &bytes, "at least the bytes of one segment")?;
    expect(age != Some(Duration::ZERO), "retain_age", &age, "more than zero")
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    fn refused(journal: &Journal) -> String {
        journal.settings().expect_err("it cannot be done").to_string()
    }

    #[test]
    fn what_is_not_set_is_as_documented() {
        let settings = Journal::at("x").settings().expect("it can be done");
        assert_eq!((settings.segment_bytes, settings.sync), (16 << 20, Sync::Always));
        assert_eq!((settings.retain_bytes, settings.retain_age), (None, None));
        assert_eq!(settings.on_corruption, OnCorruption::Refuse);
    }

    #[test]
    fn segments_have_64_kib_to_1_gib() {
        for bytes in [64 << 10, 1 << 30] {
            assert!(Journal::at("x").segment_bytes(bytes).settings().is_ok());
        }
        for bytes in [0, (64 << 10) - 1, (1 << 30) + 1, u64::MAX] {
            let refused = refused(&Journal::at("x").segment_bytes(bytes));
            let expected =
                format!("the journal's `segment_bytes` cannot be {bytes}: expected 64 KiB to 1 GiB");
            assert_eq!(refused, expected);
        }
    }

    #[test]
    fn what_would_never_or_always_happen_is_refused() {
        let journal = Journal::at("x");
        for sync in [Sync::EveryCount(0), Sync::Every(Duration::ZERO)] {
            assert!(refused(&journal.clone().sync(sync)).contains("`sync`"));
        }
        assert!(refused(&journal.clone().retain_age(Some(Duration::ZERO))).contains("`retain_age`"));
        assert!(refused(&journal.clone().retain_bytes(Some((16 << 20) - 1))).contains("`retain_bytes`"));
        assert!(journal.retain_bytes(Some(16 << 20)).settings().is_ok());
        assert!(refused(&Journal::at("")).contains("`dir`"));
    }
}
