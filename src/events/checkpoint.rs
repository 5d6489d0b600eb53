//! How far a subscription has come.

use std::fmt;
use std::str::FromStr;

use super::batch::correlation_key;
use super::builder::MAX_SHARDS;
use super::entry::Entry;

/// How far a subscription has come, for a later one of this store, or of a later process that goes on from its journal: of each shard, the number up to which all was received. It is small, is written
/// as a text, and leads to the same place in a later process, also where the store has another number of shards. Then
/// it says both, until all that was received under the old number is behind: `17,12;15`.
///
/// # Example
///
/// ```
/// use underpin::events::Checkpoint;
///
/// let checkpoint: Checkpoint = "17,0".parse()?;
/// assert_eq!(checkpoint.to_string(), "17,0");
/// # Ok::<(), underpin::events::CheckpointError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// For each number of shards that the store had, how far each shard has come; no two of one length. What one
    /// of them covers was received.
    rows: Vec<Vec<u64>>,
}

/// A text is no checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no checkpoint: expected 1 to {MAX_SHARDS} numbers with commas between them, as in `17,0`"
)]
pub struct CheckpointError {
    text: String,
}

impl Checkpoint {
    pub(crate) fn of(row: Vec<u64>) -> Self {
        Self { rows: vec![row] }
    }

    /// With how far a store has come that has so many shards now. What that covers as a whole is not said any more.
    pub(crate) fn with(mut self, row: Vec<u64>) -> Self {
        let all_up_to = least(&row);
        self.rows.retain(|old| old.len() != row.len() && most(old) > all_up_to);
        self.rows.push(row);
        self
    }

    /// How far a shard of so many has come: all in it up to this number was received.
    pub(crate) fn of_shard(&self, shard: usize, shards: usize) -> u64 {
        let own = self.rows.iter().find(|row| row.len() == shards).map_or(0, |row| row[shard]);
        self.rows.iter().map(|row| least(row)).fold(own, u64::max)
    }

    /// Whether an event is before it. Which of its shards was in charge follows from the correlation.
    pub(crate) fn covers(&self, entry: &Entry) -> bool {
        let (id, key) = (entry.id().get(), correlation_key(entry.correlation()));
        self.rows.iter().any(|row| id <= row[shard_of(key, row.len())])
    }
}

fn least(row: &[u64]) -> u64 {
    row.iter().copied().min().unwrap_or(0)
}

fn most(row: &[u64]) -> u64 {
    row.iter().copied().max().unwrap_or(0)
}

/// Which of so many shards is in charge of a key: its upper bits say so.
pub(crate) fn shard_of(correlation: u64, shards: usize) -> usize {
    ((u128::from(correlation) * shards as u128) >> 64) as usize
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |row: &Vec<u64>| row.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        f.write_str(&self.rows.iter().map(row).collect::<Vec<_>>().join(";"))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let rows = text.split(';').take(MAX_SHARDS + 1).map(row).collect::<Option<Vec<_>>>();
        let is_allowed = |rows: &Vec<Vec<u64>>| {
            let is_single =
                |row: &Vec<u64>| rows.iter().filter(|other| other.len() == row.len()).count() == 1;
            rows.iter().all(is_single)
        };
        let wrong = || CheckpointError { text: text.chars().take(100).collect() };
        Ok(Self { rows: rows.filter(is_allowed).ok_or_else(wrong)? })
    }
}

fn row(text: &str) -> Option<Vec<u64>> {
    let row = text.split(',').take(MAX_SHARDS + 1).map(number).collect::<Option<Vec<_>>>();
    row.filter(|row| row.len() <= MAX_SHARDS)
}

/// As it is written: without sign and without zeros in front.
fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_that_is_none_is_refused() {
        for text in [
            "",
            ",",
            "1,",
            "a",
            "-1",
            "+1",
            "01",
            "1 ",
            "99999999999999999999",
            ";",
            "1;",
            "1;2",
            "1,2;3;4,5",
        ] {
            assert!(text.parse::<Checkpoint>().is_err(), "{text:?}");
        }
        let many = vec!["1"; MAX_SHARDS + 1].join(",");
        assert!(many.parse::<Checkpoint>().is_err());
    }

    #[test]
    fn what_is_wrong_is_said_without_the_whole_of_a_long_text() {
        let error = "x".repeat(10_000).parse::<Checkpoint>().expect_err("it is none");
        let says = "is no checkpoint: expected 1 to 64 numbers with commas between them, as in `17,0`";
        assert_eq!(error.to_string(), format!("{:?} {says}", "x".repeat(100)));
    }

    #[test]
    fn what_was_received_under_another_number_of_shards_is_said_until_it_is_behind() {
        let checkpoint: Checkpoint = "17,12".parse().expect("it is one");
        assert_eq!((checkpoint.of_shard(0, 2), checkpoint.of_shard(1, 2)), (17, 12));
        assert_eq!((checkpoint.of_shard(0, 1), checkpoint.of_shard(2, 3)), (12, 12));
        let checkpoint = checkpoint.with(vec![15]);
        assert_eq!((checkpoint.to_string(), checkpoint.of_shard(1, 2)), ("17,12;15".to_owned(), 15));
        assert_eq!(checkpoint.clone().with(vec![16]).to_string(), "17,12;16");
        assert_eq!(checkpoint.with(vec![17]).to_string(), "17");
    }

    proptest! {
        #[test]
        fn a_checkpoint_survives_as_a_text(row in prop::collection::vec(any::<u64>(), 1..=MAX_SHARDS), other in any::<u64>()) {
            for checkpoint in [Checkpoint::of(row.clone()), Checkpoint::of(row).with(vec![other])] {
                prop_assert_eq!(checkpoint.to_string().parse(), Ok(checkpoint));
            }
        }

        #[test]
        fn a_text_is_refused_or_stays_as_it_is(text in "[0-9,;+ ]{0,12}|\\PC{0,300}") {
            if let Ok(checkpoint) = text.parse::<Checkpoint>() {
                prop_assert_eq!(checkpoint.to_string(), text);
            }
        }
    }

    #[test]
    fn each_of_so_many_shards_is_in_charge_of_as_many_keys() {
        for shards in 1..=MAX_SHARDS {
            let mut keys = vec![0; shards];
            let step = u64::MAX / (shards as u64 * 10);
            (0..shards as u64 * 10).for_each(|n| keys[shard_of(n * step + step / 2, shards)] += 1);
            assert!(keys.iter().all(|keys| (9..=11).contains(keys)), "{keys:?}");
            assert_eq!((shard_of(0, shards), shard_of(u64::MAX, shards)), (0, shards - 1));
        }
    }
}
