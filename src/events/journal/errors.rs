//! Why a journal was not opened, written or read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a journal was not opened, written or read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another process, or another store in this one, writes the journal.
    #[error("{}: is locked: somebody else writes this journal", .dir.display())]
    Locked {
        /// The journal.
        dir: PathBuf,
    },
    /// The directory, or a file in it, may not be written.
    #[error("{}: {doing}: may not be written: {source}", .file.display())]
    ReadOnly {
        /// What was tried.
        doing: &'static str,
        /// The file or the directory.
        file: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// There is no more room, or no file may be so large. It goes on when there is room again.
    #[error("{}: {doing}: there is no room: {source}", .file.display())]
    Full {
        /// What was tried.
        doing: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// What was durable is not what was written.
    #[error("{}: is corrupt at offset {offset}: {reason}", .file.display())]
    Corrupt {
        /// The segment.
        file: PathBuf,
        /// The place in it, in bytes.
        offset: u64,
        /// What was expected there.
        reason: String,
    },
    /// A file has the name of a segment and is none of this journal.
    #[error("{}: is not a segment of this journal: {reason}", .file.display())]
    ForeignFile {
        /// The file.
        file: PathBuf,
        /// What was expected.
        reason: String,
    },
    /// A record is whole, and holds no event that can be read.
    #[error("{}: a record holds no event that can be read: {reason}", .dir.display())]
    Unreadable {
        /// The journal.
        dir: PathBuf,
        /// What was expected.
        reason: String,
    },
    /// A segment was written by another version of the program.
    #[error("{}: has version {found}; expected {expected}", .file.display())]
    Version {
        /// The segment.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// The only one that can be read.
        expected: u32,
    },
    /// What was to be written is not a group of records.
    #[error("a group of {bytes} bytes is not taken: at offset {offset}, expected {expected}")]
    BadGroup {
        /// How many bytes it has.
        bytes: usize,
        /// The place in it, in bytes.
        offset: usize,
        /// What was expected.
        expected: &'static str,
    },
    /// The system refuses, for another reason.
    #[error("{}: {doing}: {source}", .file.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or the directory.
        file: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A setting cannot be what it is.
    #[error("the journal's `{setting}` cannot be {found}: expected {expected}")]
    BadSetting {
        /// Its name.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        expected: String,
    },
}

impl JournalError {
    /// What it means that the system refused.
    pub(super) fn io(doing: &'static str, file: &Path, error: io::Error) -> Self {
        let (file, kind, source) = (file.to_owned(), error.kind(), Arc::new(error));
        match kind {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { doing, file, source }
            }
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { doing, file, source }
            }
            _ => Self::Io { doing, file, source },
        }
    }
}

/// Names what was done, and to which file, when the system refuses it.
pub(super) trait Doing<T> {
    fn doing(self, what: &'static str, file: &Path) -> Result<T, JournalError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: &'static str, file: &Path) -> Result<T, JournalError> {
        self.map_err(|error| JournalError::io(what, file, error))
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_was_done_to_which_file() {
        let of = |kind: io::ErrorKind| {
            let result: io::Result<()> = Err(kind.into());
            result.doing("write", Path::new("/j/1.journal")).expect_err("it failed")
        };
        assert_eq!(
            of(io::ErrorKind::StorageFull).to_string(),
            "/j/1.journal: write: there is no room: no storage space"
        );
        assert!(matches!(of(io::ErrorKind::QuotaExceeded), JournalError::Full { .. }));
        assert!(matches!(of(io::ErrorKind::PermissionDenied), JournalError::ReadOnly { .. }));
        assert!(matches!(of(io::ErrorKind::ReadOnlyFilesystem), JournalError::ReadOnly { .. }));
        let other = of(io::ErrorKind::InvalidData);
        assert!(matches!(other.clone(), JournalError::Io { doing: "write", .. }), "{other}");
    }
}
