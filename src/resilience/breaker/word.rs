//! What a call has to know of a breaker, in one word.

use super::machine::{BreakerState, Machine};

/// What a call has to know of a breaker, in one word that is read at once: whether it may be made, what has to be done
/// about it, the state, and the generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

const ADMITS: u64 = 1;
const RECORDS: u64 = 2;
const TIMED: u64 = 4;
const STATE_SHIFT: u32 = 3;
const STATE_MASK: u64 = 7;
const GENERATION_SHIFT: u32 = 6;

impl Word {
    pub(crate) fn of(machine: &Machine, is_timed: bool) -> Self {
        let state = machine.state();
        let flag = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
        Self(
            flag(state.admits_all(), ADMITS)
                | flag(machine.wants_successes(), RECORDS)
                | flag(is_timed && state != BreakerState::Disabled, TIMED)
                | (state as u64) << STATE_SHIFT
                | machine.generation() << GENERATION_SHIFT,
        )
    }

    /// Whether every call is let through.
    #[inline]
    pub(crate) fn admits(self) -> bool {
        self.0 & ADMITS != 0
    }

    /// Whether a call that goes well, and is quick where that matters, has to be recorded.
    #[inline]
    pub(crate) fn records(self) -> bool {
        self.0 & RECORDS != 0
    }

    /// Whether anything has to be done about a call that goes well: to record it, or to find out whether it was slow.
    #[inline]
    pub(crate) fn heeds_successes(self) -> bool {
        self.0 & (RECORDS | TIMED) != 0
    }

    /// Whether it matters how long a call takes.
    #[inline]
    pub(crate) fn is_timed(self) -> bool {
        self.0 & TIMED != 0
    }

    #[inline]
    pub(crate) fn generation(self) -> u64 {
        self.0 >> GENERATION_SHIFT
    }

    #[inline]
    pub(crate) fn state(self) -> BreakerState {
        match self.0 >> STATE_SHIFT & STATE_MASK {
            0 => BreakerState::Closed,
            1 => BreakerState::Open,
            2 => BreakerState::HalfOpen,
            3 => BreakerState::ForcedOpen,
            4 => BreakerState::Disabled,
            _ => BreakerState::MetricsOnly,
        }
    }
}
