//! A total that never falls.

/// A total that never falls, made of one that may begin anew: that of a child whose supervisor was restarted, or that
/// was replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rising {
    /// What came before it last began anew.
    before: u64,
    /// As it was seen last.
    seen: u64,
}

impl Rising {
    /// What came since the last look, now that it is seen so. One that is lower than before has begun anew.
    pub(super) fn look(&mut self, seen: u64) -> u64 {
        let earlier = self.total();
        if seen < self.seen {
            self.before = earlier;
        }
        self.seen = seen;
        self.total() - earlier
    }

    /// All that came.
    pub(super) fn total(&self) -> u64 {
        self.before.saturating_add(self.seen)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_begins_anew_is_added_to_what_was_there() {
        let mut total = Rising::default();
        let steps: Vec<_> = [3, 5, 2, 2, 0, 7].map(|seen| (total.look(seen), total.total())).into();
        assert_eq!(steps, [(3, 3), (2, 5), (2, 7), (0, 7), (0, 7), (7, 14)]);
    }

    proptest! {
        #[test]
        fn it_never_falls_and_is_the_sum_of_what_came(looks in prop::collection::vec(0..u64::MAX / 8, 0..8)) {
            let (mut total, mut sum, mut last) = (Rising::default(), 0_u64, 0);
            for seen in looks {
                let came = if seen < last { seen } else { seen - last };
                prop_assert_eq!(total.look(seen), came);
                sum += came;
                last = seen;
                prop_assert_eq!(total.total(), sum);
            }
        }

        #[test]
        fn the_greatest_totals_make_no_trouble(looks in prop::collection::vec(any::<u64>(), 0..20)) {
            let mut total = Rising::default();
            for seen in looks {
                let earlier = total.total();
                prop_assert_eq!(earlier + total.look(seen), total.total());
            }
        }
    }
}
