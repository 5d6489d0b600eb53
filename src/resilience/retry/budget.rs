//! How many retries there may be, over many calls.

use std::fmt;
use std::sync::Arc;

use crate::sync::{AtomicU64, Ordering, Tally};

/// How many tokens a budget holds if nothing else is said.
pub const DEFAULT_MAX_TOKENS: u32 = 100;
/// What a success adds if nothing else is said: retries are at most a tenth of the calls that succeed.
pub const DEFAULT_TOKEN_RATIO: f64 = 0.1;

const PARTS_PER_TOKEN: u64 = 1000;

/// A bucket of tokens for retries, which all calls share that are to be limited together. Clones are the same
/// bucket.
///
/// It is full at first. A retry takes a token, and where there is none there is no retry; a call that succeeds
/// puts a part of one back. So a peer that is down is not asked many times more often than one that is up: once
/// the bucket is empty each call is one attempt. The names are those of gRPC's retry throttling, the way is that
/// of the AWS SDKs: no clock, so a bucket that is empty stays so until something succeeds.
///
/// # Example
///
/// ```
/// use underpin::resilience::RetryBudget;
///
/// let budget = RetryBudget::new(2, 0.5);
/// assert!(budget.withdraw() && budget.withdraw() && !budget.withdraw());
/// budget.deposit();
/// assert!(!budget.withdraw(), "half a token");
/// budget.deposit();
/// assert!(budget.withdraw());
/// ```
#[derive(Clone)]
pub struct RetryBudget(Arc<Bucket>);

struct Bucket {
    /// In thousandths of a token, as the ratio.
    most: Tally,
    ratio: Tally,
    parts: AtomicU64,
}

// ORDERING: Relaxed throughout. The number orders nothing else, and its changes are atomic by themselves.
impl RetryBudget {
    /// At most `max_tokens`, of which each success gives back `token_ratio`: in thousandths, from 0 to 1000 tokens;
    /// not a number counts as 0.
    pub fn new(max_tokens: u32, token_ratio: f64) -> Self {
        let (most, ratio) = (parts(max_tokens), ratio(token_ratio));
        Self(Arc::new(Bucket {
            most: Tally::new(most),
            ratio: Tally::new(ratio),
            parts: AtomicU64::new(most),
        }))
    }

    /// At most so many from now on, and so much for each success. There are as many tokens as there were, or as many
    /// as may be.
    pub(crate) fn change(&self, max_tokens: u32, token_ratio: f64) {
        let most = parts(max_tokens);
        self.0.most.store(most, Ordering::Relaxed);
        self.0.ratio.store(ratio(token_ratio), Ordering::Relaxed);
        self.0.parts.fetch_min(most, Ordering::Relaxed);
    }

    /// Takes a token for a retry. `false` where there is none.
    pub fn withdraw(&self) -> bool {
        let take = |parts: u64| parts.checked_sub(PARTS_PER_TOKEN);
        self.0.parts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// A token that was taken is not needed after all.
    pub(super) fn give_back(&self) {
        self.add(PARTS_PER_TOKEN);
    }

    /// Something succeeded. One look where the bucket is full.
    #[inline]
    pub fn deposit(&self) {
        if self.0.parts.load(Ordering::Relaxed) < self.0.most.load(Ordering::Relaxed) {
            self.add(self.0.ratio.load(Ordering::Relaxed));
        }
    }

    #[cold]
    fn add(&self, more: u64) {
        let add = |parts: u64| Some((parts + more).min(self.0.most.load(Ordering::Relaxed)));
        let _ = self.0.parts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// How many whole tokens there are.
    pub fn tokens(&self) -> u32 {
        // It fits: there are no more than were given as a `u32`.
        u32::try_from(self.0.parts.load(Ordering::Relaxed) / PARTS_PER_TOKEN).unwrap_or(u32::MAX)
    }
}

fn parts(tokens: u32) -> u64 {
    u64::from(tokens) * PARTS_PER_TOKEN
}

fn ratio(of_a_token: f64) -> u64 {
    // Saturates, and takes what is not a number for 0.
    (of_a_token.clamp(0.0, 1000.0) * PARTS_PER_TOKEN as f64).round() as u64
}

/// 100 tokens, and a tenth of one for each success.
impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_TOKENS, DEFAULT_TOKEN_RATIO)
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget").field("tokens", &self.tokens()).finish()
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_hundred_threads_take_a_hundred_tokens_and_no_more() {
        let budget = RetryBudget::new(100, 0.0);
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..200).map(|_| scope.spawn(|| (0..10).filter(|_| budget.withdraw()).count())).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!((taken, budget.tokens()), (100, 0));
    }

    #[test]
    fn weird_ratios_are_clamped() {
        for (ratio, then) in [(f64::NAN, 0), (-1.0, 0), (f64::INFINITY, 5), (1e300, 5), (0.0004, 0)] {
            let budget = RetryBudget::new(5, ratio);
            (0..5).for_each(|_| assert!(budget.withdraw()));
            budget.deposit();
            assert_eq!(budget.tokens(), then, "{ratio}");
        }
        assert!(!RetryBudget::new(0, 1.0).withdraw());
    }

    #[test]
    fn a_change_fills_nothing_up_and_takes_what_does_not_fit() {
        let budget = RetryBudget::new(3, 0.0);
        assert!(budget.withdraw());
        budget.change(10, 2.0);
        assert_eq!(budget.tokens(), 2);
        budget.deposit();
        assert_eq!(budget.tokens(), 4);
        budget.change(1, 2.0);
        assert_eq!(budget.tokens(), 1);
        budget.deposit();
        assert_eq!(budget.tokens(), 1);
    }

    proptest! {
        #[test]
        fn it_is_a_naive_bucket(
            most in 0..20_u32, thousandths in 0..3000_u32,
            takes in prop::collection::vec(any::<bool>(), 0..200),
        ) {
            let budget = RetryBudget::new(most, f64::from(thousandths) / 1000.0);
            let mut parts = most * 1000;
            for take in takes {
                if take {
                    prop_assert_eq!(budget.withdraw(), parts >= 1000);
                    parts -= if parts >= 1000 { 1000 } else { 0 };
                } else {
                    budget.deposit();
                    parts = (parts + thousandths).min(most * 1000);
                }
                prop_assert_eq!(budget.tokens(), parts / 1000);
            }
        }
    }
}
