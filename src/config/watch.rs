//! How changes of files are noticed.

#[cfg(feature = "watch")]
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path as FilePath;
#[cfg(feature = "watch")]
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

#[cfg(feature = "watch")]
use super::way::{Step, ways};

/// How changes of the files are noticed.
///
/// However they are, files settle for 200 ms before they are read, 2 s at most, and are only taken when
/// they hold something else than before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Watch {
    /// They are not: somebody says so, by [`reload`](super::Config::reload) or, in a foundation, by SIGHUP.
    #[default]
    No,
    /// By the operating system, which watches the directories on the way to the files: a file that is
    /// replaced by a rename is noticed, and so is a link or a directory on the way to it that is, or that
    /// was missing. Where that cannot be had, which is logged, or without the feature `watch`, they are
    /// looked at every 2 s.
    Notify,
    /// They are looked at so often, every 10 ms at most: for file systems that tell of no changes, as
    /// network ones.
    Poll(Duration),
}

/// How often files are looked at where nobody tells of their changes.
pub(crate) const FALLBACK: Duration = Duration::from_secs(2);
/// However often files are to be looked at, there is something else to do, too.
const SHORTEST: Duration = Duration::from_millis(10);

/// What tells of changes, as long as it lives.
pub(crate) enum Watcher {
    /// The operating system.
    #[cfg(feature = "watch")]
    Told { _watcher: notify::RecommendedWatcher },
    /// A look at them, so often.
    Every(Duration),
}

impl Watcher {
    /// Watches, as far as that is asked for and can be had. `touched` is called on a thread of the
    /// watcher's and must not block. `before` is what watched so far: what it could not do either is
    /// not said again.
    pub(crate) fn of(
        before: Option<&Self>,
        watch: Watch,
        files: &[Arc<FilePath>],
        touched: impl Fn() + Send + 'static,
    ) -> Option<Self> {
        match watch {
            Watch::No => None,
            _ if files.is_empty() => None,
            Watch::Poll(every) => Some(Self::Every(every.max(SHORTEST))),
            Watch::Notify => Some(Self::told(before, files, touched)),
        }
    }

    #[cfg(feature = "watch")]
    fn told(before: Option<&Self>, files: &[Arc<FilePath>], touched: impl Fn() + Send + 'static) -> Self {
        let is_said = before.is_some_and(|before| before.every().is_some());
        match told(files, touched) {
            Ok(watcher) => Self::Told { _watcher: watcher },
            Err(_) if is_said => Self::Every(FALLBACK),
            Err(error) => {
                log::warn!("config: files are looked at every {FALLBACK:?}, they cannot be watched: {error}");
                Self::Every(FALLBACK)
            }
        }
    }

    #[cfg(not(feature = "watch"))]
    fn told(_: Option<&Self>, _: &[Arc<FilePath>], _: impl Fn() + Send + 'static) -> Self {
        Self::Every(FALLBACK)
    }

    /// How often somebody has to look.
    pub(crate) fn every(&self) -> Option<Duration> {
        match self {
            #[cfg(feature = "watch")]
            Self::Told { .. } => None,
            Self::Every(every) => Some(*every),
        }
    }
}

/// By what a change of files is seen without reading them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamps(Vec<Option<Stamp>>);

/// When a file was written to, how long it is, and which one it is.
type Stamp = (SystemTime, u64, Identity);

impl Stamps {
    pub(crate) fn of(files: &[Arc<FilePath>]) -> Self {
        let stamp = |file: &Arc<FilePath>| {
            let metadata = std::fs::metadata(file).ok()?;
            Some((metadata.modified().ok()?, metadata.len(), identity(&metadata)))
        };
        Self(files.iter().map(stamp).collect())
    }
}

/// Another file of the same name, length and time is another one all the same.
#[cfg(unix)]
type Identity = (u64, u64, i64, i64);

#[cfg(unix)]
fn identity(metadata: &std::fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
type Identity = ();

#[cfg(not(unix))]
fn identity(_: &std::fs::Metadata) -> Identity {}

// ---- the operating system ----------------------------------------------------------------

/// Watches all directories on the ways to the files: what is replaced may be a file, a link to it, or a
/// directory that either is in.
///
/// # Errors
///
/// When one that files or links are in is there and cannot be watched. Others above them cannot, where
/// they may not be listed.
#[cfg(feature = "watch")]
fn told(
    files: &[Arc<FilePath>],
    touched: impl Fn() + Send + 'static,
) -> notify::Result<notify::RecommendedWatcher> {
    use notify::{RecursiveMode, Watcher as _};
    let ways = ways(files);
    let of_interest: BTreeSet<_> = ways.iter().map(Step::place).collect();
    let mut watcher = notify::recommended_watcher(move |event| {
        if concerns(&event, &of_interest) {
            touched();
        }
    })?;
    let mut directories: BTreeMap<_, bool> = BTreeMap::new();
    for Step { directory, is_needed, .. } in ways {
        *directories.entry(directory).or_default() |= is_needed;
    }
    // From the top: what is missing is seen when it is made, in what is above it.
    for (directory, is_needed) in directories {
        match watcher.watch(&directory, RecursiveMode::NonRecursive) {
            Err(error) if is_needed && directory.is_dir() => return Err(error),
            _ => {}
        }
    }
    Ok(watcher)
}

/// Whether an event is of something on the way to a file. Who only reads changes nothing. After an
/// error, such as too many events, all may have changed.
#[cfg(feature = "watch")]
fn concerns(event: &notify::Result<notify::Event>, of_interest: &BTreeSet<PathBuf>) -> bool {
    let Ok(event) = event else { return true };
    let is_of_it = |path: &PathBuf| of_interest.contains(path);
    let is_vague = event.need_rescan() || event.paths.is_empty();
    !event.kind.is_access() && (is_vague || event.paths.iter().any(is_of_it))
}

#[cfg(all(test, feature = "watch", not(underpin_loom)))]
mod tests {
    use super::*;
    use notify::event::{AccessKind, Event, EventKind, Flag, ModifyKind};

    #[test]
    fn what_is_on_the_way_concerns_us_and_what_only_reads_does_not() {
        let of_interest = BTreeSet::from([PathBuf::from("/etc/app.toml"), PathBuf::from("/etc")]);
        let of = |kind, path: &str| concerns(&Ok(Event::new(kind).add_path(path.into())), &of_interest);
        let written = EventKind::Modify(ModifyKind::Any);
        assert!(of(written, "/etc/app.toml") && of(written, "/etc"));
        assert!(!of(written, "/etc/app.toml.swp") && !of(written, "/etc/other/app.toml"));
        assert!(!of(EventKind::Access(AccessKind::Any), "/etc/app.toml"));
        let renamed = Event::new(written).add_path("/etc/new".into()).add_path("/etc/app.toml".into());
        assert!(concerns(&Ok(renamed), &of_interest), "one of two names");
    }

    #[test]
    fn what_says_nothing_concerns_us() {
        let none = BTreeSet::new();
        let rescan = Event::new(EventKind::Other).add_path("/x".into()).set_flag(Flag::Rescan);
        assert!(concerns(&Ok(rescan), &none) && concerns(&Ok(Event::new(EventKind::Any)), &none));
        assert!(concerns(&Err(notify::Error::generic("too many")), &none));
    }
}
