//! Why a run has no value.

use std::fmt;
use std::time::Duration;

use super::super::breaker::refusal::Open;
use super::super::bulkhead::BulkheadError;
use super::super::classify::Classify;
use super::super::limited::Limited;
use super::super::shed::Shed;
use super::end::End;
use super::trail::{NoRetry, PolicyTrail};
use crate::error::ErrorKind;

/// Why a run of a [`Policy`](super::Policy) has no value, with what it went through.
///
/// Nothing was attempted after `Shed`, `Limited`, `Full` and `Open`, nor after `Stopped` and `TimedOut` without a
/// source.
///
/// # Example
///
/// ```
/// use underpin::ErrorKind;
/// use underpin::resilience::{BreakerSettings, Policy, PolicyError, PolicySettings};
///
/// let breaker = BreakerSettings { consecutive_failures: Some(1), ..Default::default() };
/// let settings = PolicySettings { breaker: Some(breaker), ..Default::default() };
/// let policy = Policy::builder("store").settings(settings).build()?;
///
/// let failed = policy.run(|_| Err::<(), _>(ErrorKind::System)).unwrap_err();
/// assert!(matches!(failed, PolicyError::Failed { source: ErrorKind::System, .. }));
/// let refused = policy.run(|_| Ok::<(), ErrorKind>(())).unwrap_err();
/// assert!(matches!(refused, PolicyError::Open { .. }));
/// assert!(refused.retry_after().is_some() && refused.kind() == ErrorKind::Transient);
/// # Ok::<(), underpin::resilience::PolicySettingsError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum PolicyError<E> {
    /// There are too many runs, or this one is too late.
    Shed {
        /// What was exceeded.
        source: Shed,
        /// What the run went through.
        trail: Box<PolicyTrail>,
    },
    /// There would be too many in this time.
    Limited {
        /// What was exceeded, and for how long.
        source: Limited,
        /// What the run went through.
        trail: Box<PolicyTrail>,
    },
    /// As many are run at once as may be.
    Full {
        /// What was full, and how long it was waited for.
        source: BulkheadError,
        /// What the run went through.
        trail: Box<PolicyTrail>,
    },
    /// The breaker is open.
    Open {
        /// The breaker.
        source: Open,
        /// What the run went through.
        trail: Box<PolicyTrail>,
    },
    /// The stop signal ended a wait.
    Stopped {
        /// What the last attempt returned, if there was one.
        source: Option<E>,
        /// What the run went through.
        trail: Box<PolicyTrail>,
    },
    /// The time budget was over, or the patience of the caller in whose handler it ran: before there was an attempt,
    /// when the last one failed, or before there could have been another.
    TimedOut {
        /// The time budget, if there is one.
        time_budget: Option<Duration>,
        /// What the last attempt returned, if there was one.
        source: Option<E>,
        /// What the run went through.
        trail: Box<PolicyTrail>,
    },
    /// The last attempt failed, and there is no other.
    Failed {
        /// Why there is no other.
        no_retry: NoRetry,
        /// What the last attempt returned.
        source: E,
        /// What the run went through.
        trail: Box<PolicyTrail>,
    },
}

impl<E> PolicyError<E> {
    /// What the run went through.
    pub fn trail(&self) -> &PolicyTrail {
        match self {
            Self::Shed { trail, .. }
            | Self::Limited { trail, .. }
            | Self::Full { trail, .. }
            | Self::Open { trail, .. }
            | Self::Stopped { trail, .. }
            | Self::TimedOut { trail, .. }
            | Self::Failed { trail, .. } => trail,
        }
    }

    pub(super) fn trail_mut(&mut self) -> &mut PolicyTrail {
        match self {
            Self::Shed { trail, .. }
            | Self::Limited { trail, .. }
            | Self::Full { trail, .. }
            | Self::Open { trail, .. }
            | Self::Stopped { trail, .. }
            | Self::TimedOut { trail, .. }
            | Self::Failed { trail, .. } => trail,
        }
    }

    /// What kind of fault it is: that of the last attempt where there was one, and `Transient` otherwise. `TimedOut` is
    /// always transient.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Stopped { trail, .. } | Self::Failed { trail, .. } => {
                trail.fault.map_or(ErrorKind::Transient, |fault| fault.kind)
            }
            _ => ErrorKind::Transient,
        }
    }

    /// After how long it may work, if anybody knows: the limit, the open breaker, or whoever refused the last attempt.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited { source, .. } => Some(source.retry_after),
            Self::Open { source, .. } => source.retry_after(),
            _ => self.trail().fault.and_then(|fault| fault.retry_after),
        }
    }

    /// Whether it was refused before anything was attempted, for there was too much, or it would have failed.
    pub fn is_refused(&self) -> bool {
        matches!(self.end(), End::Shed | End::Limited | End::Full | End::Open)
    }

    /// What the last attempt returned, if there was one.
    pub fn last(&self) -> Option<&E> {
        match self {
            Self::Stopped { source, .. } | Self::TimedOut { source, .. } => source.as_ref(),
            Self::Failed { source, .. } => Some(source),
            _ => None,
        }
    }

    /// The same, for keeps.
    pub fn into_last(self) -> Option<E> {
        match self {
            Self::Stopped { source, .. } | Self::TimedOut { source, .. } => source,
            Self::Failed { source, .. } => Some(source),
            _ => None,
        }
    }

    pub(super) fn end(&self) -> End {
        match self {
            Self::Shed { .. } => End::Shed,
            Self::Limited { .. } => End::Limited,
            Self::Full { .. } => End::Full,
            Self::Open { .. } => End::Open,
            Self::Stopped { .. } => End::Stopped,
            Self::TimedOut { .. } => End::TimedOut,
            Self::Failed { .. } => End::Failed,
        }
    }

    /// What ended it, without what the last attempt returned: of that nobody knows whether it is a text.
    pub(super) fn cause(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shed { source, .. } => write!(f, "{source}"),
            Self::Limited { source, .. } => write!(f, "{source}"),
            Self::Full { source, .. } => write!(f, "{source}"),
            Self::Open { source, .. } => write!(f, "{source}"),
            Self::Stopped { trail, .. } => write!(f, "`{}` was stopped", trail.name),
            Self::TimedOut { time_budget: Some(budget), trail, .. } => {
                write!(f, "the time of `{}` was over, a budget of {budget:?}", trail.name)
            }
            Self::TimedOut { trail, .. } => write!(f, "the time of `{}` was over", trail.name),
            Self::Failed { no_retry, trail, .. } => write!(f, "`{}` failed, {no_retry}", trail.name),
        }
    }
}

/// As ``the time of `store` was over, a budget of 2s: timed out; 3 attempts, waited 1s, took 2.1s``.
impl<E: fmt::Display> fmt::Display for PolicyError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause(f)?;
        if let Some(last) = self.last() {
            write!(f, ": {last}")?;
        }
        write!(f, "; {}", self.trail())
    }
}

/// Its text tells what its source tells, so that is the source of its source.
impl<E: std::error::Error + 'static> std::error::Error for PolicyError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.last().and_then(std::error::Error::source)
    }
}

impl<E> Classify for PolicyError<E> {
    fn kind(&self) -> ErrorKind {
        self.kind()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.retry_after()
    }
}
