//! Whether a queue stands.

/// Whether a queue stands, by how long those who leave it have waited: the controlled delay of RFC 8289, and what
/// Facebook's folly makes of it for requests.
///
/// A queue that empties now and then only smooths bursts, however long it gets meanwhile. It stands if, for a whole
/// interval, nobody has waited less than the target; then those who have waited twice as long as that are shed, until
/// an interval in which somebody waited less. Times are nanoseconds from any moment.
#[derive(Debug)]
pub(crate) struct Codel {
    target_nanos: u64,
    interval_nanos: u64,
    /// When the present interval ends.
    ends: u64,
    /// The shortest wait in it.
    least: u64,
    stands: bool,
}

impl Codel {
    pub(crate) fn new(target_nanos: u64, interval_nanos: u64) -> Self {
        Self { target_nanos, interval_nanos: interval_nanos.max(1), ends: 0, least: 0, stands: false }
    }

    /// Somebody leaves the queue at `now` and has waited for so long. `false`: they are shed.
    pub(crate) fn passes(&mut self, now: u64, waited: u64) -> bool {
        if now < self.ends {
            self.least = self.least.min(waited);
        } else {
            // Where nobody left the queue for a whole interval, nobody was in it.
            let is_fresh = now - self.ends < self.interval_nanos;
            self.stands = is_fresh && self.least > self.target_nanos;
            self.ends = now.saturating_add(self.interval_nanos);
            self.least = waited;
        }
        !self.stands || waited <= self.target_nanos.saturating_mul(2)
    }

    /// Whether it stands at `now`. Where nobody has left it for a whole interval it does not.
    pub(crate) fn stands(&self, now: u64) -> bool {
        self.stands && now.saturating_sub(self.ends) < self.interval_nanos
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The intervals, each with all that was waited in it.
    #[derive(Default)]
    struct Naive {
        begins: Option<u64>,
        waits: Vec<u64>,
        stands: bool,
    }

    impl Naive {
        fn passes(&mut self, now: u64, waited: u64) -> bool {
            match self.begins {
                Some(begins) if now < begins + 100 => {}
                before => {
                    let is_gap = before.is_none_or(|begins| now >= begins + 200);
                    self.stands = !is_gap && self.waits.iter().all(|waited| *waited > 5);
                    self.begins = Some(now);
                    self.waits.clear();
                }
            }
            self.waits.push(waited);
            !self.stands || waited <= 10
        }
    }

    proptest! {
        #[test]
        fn it_is_as_a_full_record_says(
            steps in prop::collection::vec((prop_oneof![9 => 0..30_u64, 1 => 0..300_u64], 0..20_u64), 1..200),
        ) {
            let (mut codel, mut naive, mut now) = (Codel::new(5, 100), Naive::default(), 0);
            for (step, waited) in steps {
                now += step;
                prop_assert_eq!(codel.passes(now, waited), naive.passes(now, waited), "at {}", now);
                prop_assert_eq!(codel.stands(now), naive.stands);
            }
        }

        #[test]
        fn any_numbers_will_do(
            target: u64,
            interval: u64,
            steps in prop::collection::vec(any::<(u64, u64)>(), 0..20),
        ) {
            let mut codel = Codel::new(target, interval);
            for (now, waited) in steps {
                prop_assert!(codel.passes(now, waited) || codel.stands);
            }
        }
    }

    #[test]
    fn a_burst_is_no_standing_queue_and_what_stands_is_shed_until_it_does_no_more() {
        let mut codel = Codel::new(5, 100);
        let mut at = |now, waited| (codel.passes(now, waited), codel.stands(now));
        assert_eq!([at(0, 50), at(50, 3), at(99, 60)], [(true, false); 3]);
        assert_eq!([at(100, 50), at(199, 6)], [(true, false); 2], "somebody waited 3 only");
        assert_eq!([at(200, 11), at(299, 10)], [(false, true), (true, true)]);
        assert_eq!([at(300, 5), at(400, 90)], [(true, true), (true, false)]);
        assert_eq!(at(600, 90), (true, false), "there was nobody for long");
    }
}
