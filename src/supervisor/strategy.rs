//! The words a supervisor is configured with: which children a crash concerns, and which exits call
//! for a restart.

use super::policy::ExitKind;

/// Which children are restarted when one of them crashes.
///
/// # Example
///
/// ```
/// use underpin::Strategy;
///
/// assert_eq!(Strategy::default(), Strategy::OneForOne);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Strategy {
    /// Only the child that crashed. For children that do not depend on each other.
    #[default]
    OneForOne,
    /// All of them: the others are stopped in reverse order, then all are started in order.
    /// For children that cannot work with a new incarnation of any other.
    OneForAll,
    /// The child that crashed and all that were started after it.
    /// For children that depend on those before them: start order is the order of dependency.
    RestForOne,
}

/// Which exits of a child are followed by a restart.
///
/// A crash is a panic, an `Err` from a callback, or a stop that had to be enforced.
///
/// # Example
///
/// ```
/// use underpin::Restart;
///
/// assert_eq!(Restart::default(), Restart::Permanent);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Restart {
    /// Every exit, a normal one too. Only its supervisor can keep it down.
    #[default]
    Permanent,
    /// A crash only. After a normal exit it stays down and its spec is kept.
    Transient,
    /// None. Its spec is deleted when it exits, and also when it is stopped because of a sibling.
    Temporary,
}

impl Restart {
    /// Does a running child that left in this way, unasked, have to be started again?
    pub(crate) fn wants(self, exit: ExitKind) -> bool {
        match self {
            Self::Permanent => true,
            Self::Transient => exit == ExitKind::Abnormal,
            Self::Temporary => false,
        }
    }
}

/// Whether a supervisor stops itself when its significant children are done.
///
/// Only a child's own exit counts: one that is restarted after it, one that was terminated through
/// the supervisor and one that was stopped because of a sibling do not trigger it. One that returned
/// [`Next::Stop`](crate::Next::Stop) before it heard that it is stopped because of a sibling has exited
/// by itself.
///
/// # Example
///
/// ```
/// use underpin::AutoShutdown;
///
/// assert_eq!(AutoShutdown::default(), AutoShutdown::Never);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AutoShutdown {
    /// It goes on, even with no child left.
    #[default]
    Never,
    /// It stops when the first significant child has exited.
    AnySignificant,
    /// It stops when the last significant child has exited.
    AllSignificant,
}
