//! How far each stream has come.

use std::collections::HashMap;
use std::sync::Arc;

use super::errors::Refusal;

/// How many streams a store knows at most if nothing else is said.
pub const DEFAULT_MAX_STREAMS: usize = 100_000;

/// How far a stream must have come for an append to be taken.
///
/// It is how two who append to one stream find out about each other: each says which version it has
/// seen, and the one who is late is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// However far.
    Any,
    /// There is no such stream yet.
    NoStream,
    /// It has an event at least.
    Exists,
    /// It has so many events.
    Exact(u64),
}

impl Expected {
    fn is_met_by(self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => version == 0,
            Self::Exists => version > 0,
            Self::Exact(expected) => version == expected,
        }
    }
}

/// The versions of all streams: how many events each has had. They are known also when the events are
/// gone from memory.
#[derive(Debug)]
pub(crate) struct Streams {
    versions: HashMap<Arc<str>, u64>,
    most: usize,
}

impl Streams {
    pub(crate) fn new(most: usize) -> Self {
        Self { versions: HashMap::new(), most }
    }

    pub(crate) fn version(&self, stream: &str) -> u64 {
        self.versions.get(stream).copied().unwrap_or(0)
    }

    pub(crate) fn len(&self) -> usize {
        self.versions.len()
    }

    /// # Errors
    ///
    /// When the stream has not come as far, or there is no room for it.
    pub(crate) fn check(&self, stream: &Arc<str>, expected: Expected) -> Result<(), Refusal> {
        let actual = self.version(stream);
        if !expected.is_met_by(actual) {
            return Err(Refusal::WrongVersion { stream: Arc::clone(stream), expected, actual });
        }
        if actual == 0 { self.check_room(stream, 1) } else { Ok(()) }
    }

    /// # Errors
    ///
    /// When there is no room for so many more, of which this is the last.
    pub(crate) fn check_room(&self, stream: &Arc<str>, more: usize) -> Result<(), Refusal> {
        if self.versions.len() + more > self.most {
            return Err(Refusal::TooManyStreams { stream: Arc::clone(stream), most: self.most });
        }
        Ok(())
    }

    /// Takes so many steps at once, and returns how far it had come before.
    pub(crate) fn advance(&mut self, stream: &Arc<str>, by: u64) -> u64 {
        if let Some(version) = self.versions.get_mut(stream) {
            *version += by;
            return *version - by;
        }
        self.versions.insert(Arc::clone(stream), by);
        0
    }

    /// A journal says that a stream has come so far.
    #[cfg(feature = "journal")]
    pub(crate) fn recover(&mut self, stream: &Arc<str>, version: u64) {
        let known = self.versions.entry(Arc::clone(stream)).or_insert(0);
        *known = version.max(*known);
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expected() -> impl Strategy<Value = Expected> {
        let exact = (0..6_u64).prop_map(Expected::Exact);
        prop_oneof![Just(Expected::Any), Just(Expected::NoStream), Just(Expected::Exists), exact]
    }

    proptest! {
        #[test]
        fn a_stream_has_come_as_far_as_it_was_advanced(
            most in 0..5_usize,
            steps in prop::collection::vec((0..6_usize, expected(), 1..4_u64), 0..60),
        ) {
            let names: Vec<Arc<str>> = (0..6).map(|n| format!("s{n}").into()).collect();
            let (mut streams, mut versions) = (Streams::new(most), [0; 6]);
            for (at, expected, by) in steps {
                let (stream, actual) = (&names[at], versions[at]);
                let is_met = match expected {
                    Expected::Any => true,
                    Expected::NoStream => actual == 0,
                    Expected::Exists => actual != 0,
                    Expected::Exact(version) => actual == version,
                };
                let known = versions.iter().filter(|version| **version > 0).count();
                let stream = Arc::clone(stream);
                let outcome = match (is_met, actual == 0 && known == most) {
                    (false, _) => Err(Refusal::WrongVersion { stream: Arc::clone(&stream), expected, actual }),
                    (true, true) => Err(Refusal::TooManyStreams { stream: Arc::clone(&stream), most }),
                    (true, false) => Ok(()),
                };
                prop_assert_eq!(streams.check(&stream, expected), outcome.clone());
                if outcome.is_ok() {
                    prop_assert_eq!(streams.advance(&stream, by), actual);
                    versions[at] += by;
                }
                prop_assert_eq!((streams.version(&stream), streams.version("none")), (versions[at], 0));
                prop_assert_eq!(streams.len(), versions.iter().filter(|version| **version > 0).count());
            }
        }
    }

    #[cfg(feature = "journal")]
    #[test]
    fn what_a_journal_says_counts_where_it_is_farther() {
        let (mut streams, stream) = (Streams::new(1), "s".into());
        for (said, version) in [(3, 3), (1, 3), (5, 5)] {
            streams.recover(&stream, said);
            assert_eq!(streams.version("s"), version);
        }
        streams.recover(&"one too many, but it was taken once".into(), 1);
        assert_eq!((streams.len(), streams.advance(&stream, 2), streams.version("s")), (2, 5, 7));
    }
}
