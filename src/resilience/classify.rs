//! What kind of fault an error is, and what its caller does about it.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{CallError, CastError, ErrorKind, SharedError};

/// How many causes of an error are looked at, itself among them: a chain of them may be a circle.
const MAX_CAUSES: usize = 32;

/// What the caller of something that failed does about it. The other side of
/// [`Reaction`](crate::Reaction), which is what the service does in which it failed.
///
/// | kind | remedy |
/// |---|---|
/// | `Transient` | `Retry` |
/// | `Permanent` | `Restart` |
/// | `System` | `Fallback` |
/// | `User` | `Propagate` |
///
/// # Example
///
/// ```
/// use underpin::ErrorKind;
/// use underpin::resilience::Remedy;
///
/// assert_eq!(Remedy::of(ErrorKind::Transient), Remedy::Retry);
/// assert_eq!(Remedy::of(ErrorKind::User), Remedy::Propagate);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Try again: [`Retry`](super::Retry) does.
    Retry,
    /// Begin anew with a fresh state: return the error from the handler, and the supervisor does.
    Restart,
    /// Make do with something else: [`Fallback`](super::Fallback) does.
    Fallback,
    /// Give the error to whoever asked.
    Propagate,
}

impl Remedy {
    /// What the table gives for this kind.
    pub const fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Transient => Self::Retry,
            ErrorKind::Permanent => Self::Restart,
            ErrorKind::System => Self::Fallback,
            ErrorKind::User => Self::Propagate,
        }
    }
}

/// An error that knows what kind of fault it is.
///
/// Errors of others, which cannot have it, are told apart by a [`Classifier`] or a closure.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::ErrorKind;
/// use underpin::resilience::Classify;
///
/// enum Refusal {
///     Busy { seconds: u64 },
///     NoSuchPage,
/// }
///
/// impl Classify for Refusal {
///     fn kind(&self) -> ErrorKind {
///         match self {
///             Self::Busy { .. } => ErrorKind::Transient,
///             Self::NoSuchPage => ErrorKind::User,
///         }
///     }
///     fn retry_after(&self) -> Option<Duration> {
///         match self {
///             Self::Busy { seconds } => Some(Duration::from_secs(*seconds)),
///             Self::NoSuchPage => None,
///         }
///     }
/// }
/// assert_eq!(Refusal::Busy { seconds: 3 }.retry_after(), Some(Duration::from_secs(3)));
/// assert_eq!(Refusal::NoSuchPage.kind(), ErrorKind::User);
/// ```
pub trait Classify {
    /// What kind of fault it is.
    fn kind(&self) -> ErrorKind;

    /// How long whoever refused wants to be left alone, if it said so: HTTP's `Retry-After`.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// An error of which nothing is known but its kind.
impl Classify for ErrorKind {
    fn kind(&self) -> ErrorKind {
        *self
    }
}

/// As a [`Classifier`] without rules says.
impl Classify for io::Error {
    fn kind(&self) -> ErrorKind {
        Classifier::new().kind(self)
    }
}

/// As a [`Classifier`] without rules says.
impl Classify for SharedError {
    fn kind(&self) -> ErrorKind {
        Classifier::new().kind(&**self)
    }
}

/// As a [`Classifier`] without rules says.
impl Classify for Box<dyn Error + Send + Sync> {
    fn kind(&self) -> ErrorKind {
        Classifier::new().kind(&**self)
    }
}

/// A full mailbox is transient. A service that is stopped stays so.
impl<M> Classify for CastError<M> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Full { .. } | Self::TimedOut { .. } => ErrorKind::Transient,
            Self::Stopped { .. } | Self::Fenced { .. } => ErrorKind::Permanent,
        }
    }
}

/// Who is late, crashed or overloaded may do better next time: but after all errors that do not hand the message
/// back the service may have acted on it, so retry only what may be done twice.
impl<M> Classify for CallError<M> {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotSent(error) => error.kind(),
            Self::TimedOut { .. } | Self::Crashed { .. } | Self::Shed { .. } => ErrorKind::Transient,
            Self::Failed { kind, .. } => *kind,
            Self::Stopped { .. } | Self::NoReply { .. } | Self::CallingSelf { .. } | Self::Cycle { .. } => {
                ErrorKind::Permanent
            }
        }
    }
}

type Rule = Arc<dyn Fn(&(dyn Error + 'static)) -> Option<ErrorKind> + Send + Sync>;

/// Rules by which errors of others are told apart.
///
/// An error is looked at from the outside in: itself, then its [source](Error::source), and so on, at most 32 of
/// them. The first that a rule knows decides; of several rules the one added last. [`io::Error`] is known to all
/// classifiers. What nobody knows is permanent, as what is unclassified in a service is.
///
/// # Example
///
/// ```
/// use std::num::ParseIntError;
/// use underpin::ErrorKind;
/// use underpin::resilience::Classifier;
///
/// let classifier = Classifier::new().on(|_: &ParseIntError| Some(ErrorKind::User));
/// let error = "seven".parse::<u8>().unwrap_err();
/// assert_eq!(classifier.kind(&error), ErrorKind::User);
/// let error = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
/// assert_eq!(classifier.kind(&error), ErrorKind::Transient);
/// assert_eq!(classifier.kind(&std::fmt::Error), ErrorKind::Permanent);
/// ```
#[derive(Clone)]
pub struct Classifier {
    rules: Vec<Rule>,
    otherwise: ErrorKind,
}

impl Classifier {
    /// One that knows [`io::Error`] alone.
    pub const fn new() -> Self {
        Self { rules: Vec::new(), otherwise: ErrorKind::Permanent }
    }

    /// Adds a rule for errors of one type; `None` leaves the error to other rules and to its source.
    #[must_use]
    pub fn on<E: Error + 'static>(
        mut self,
        rule: impl Fn(&E) -> Option<ErrorKind> + Send + Sync + 'static,
    ) -> Self {
        self.rules.push(Arc::new(move |error| error.downcast_ref::<E>().and_then(&rule)));
        self
    }

    /// What an error is that nobody knows: permanent unless set.
    #[must_use]
    pub fn otherwise(mut self, kind: ErrorKind) -> Self {
        self.otherwise = kind;
        self
    }

    /// What kind of fault the error is.
    ///
    /// # Panics
    ///
    /// When a rule does.
    pub fn kind(&self, error: &(dyn Error + 'static)) -> ErrorKind {
        let causes = std::iter::successors(Some(error), |&error| inner(error)).take(MAX_CAUSES);
        causes.into_iter().find_map(|cause| self.known(cause)).unwrap_or(self.otherwise)
    }

    fn known(&self, error: &(dyn Error + 'static)) -> Option<ErrorKind> {
        let ruled = self.rules.iter().rev().find_map(|rule| rule(error));
        ruled.or_else(|| error.downcast_ref().and_then(kind_of_io))
    }
}

impl Default for Classifier {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self.rules.len();
        f.debug_struct("Classifier").field("rules", &rules).field("otherwise", &self.otherwise).finish()
    }
}

/// What an error holds. An [`io::Error`] around another names that one's source as its own, and passes it over.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    held.map(|held| held as &(dyn Error + 'static)).or_else(|| error.source())
}

/// `None` where the kind says nothing.
fn kind_of_io(error: &io::Error) -> Option<ErrorKind> {
    if error.raw_os_error().is_some_and(is_out_of_files) {
        return Some(ErrorKind::System);
    }
    use io::ErrorKind as Io;
    Some(match error.kind() {
        Io::ConnectionRefused | Io::ConnectionReset | Io::ConnectionAborted | Io::NotConnected => {
            ErrorKind::Transient
        }
        Io::BrokenPipe | Io::UnexpectedEof | Io::TimedOut | Io::Interrupted | Io::WouldBlock => {
            ErrorKind::Transient
        }
        Io::HostUnreachable | Io::NetworkUnreachable | Io::NetworkDown | Io::ResourceBusy => {
            ErrorKind::Transient
        }
        Io::AddrInUse | Io::Deadlock | Io::StaleNetworkFileHandle => ErrorKind::Transient,
        Io::StorageFull | Io::QuotaExceeded | Io::OutOfMemory | Io::ReadOnlyFilesystem => ErrorKind::System,
        Io::NotFound | Io::PermissionDenied | Io::AlreadyExists | Io::InvalidInput => ErrorKind::User,
        Io::IsADirectory | Io::NotADirectory | Io::DirectoryNotEmpty | Io::InvalidFilename => ErrorKind::User,
        Io::FileTooLarge | Io::ArgumentListTooLong => ErrorKind::User,
        Io::InvalidData | Io::Unsupported | Io::AddrNotAvailable | Io::WriteZero => ErrorKind::Permanent,
        _ => return None,
    })
}

/// std has no kind for it. ENFILE and EMFILE have these numbers on all Unixes; `ERROR_TOO_MANY_OPEN_FILES` is
/// Windows's.
const fn is_out_of_files(code: i32) -> bool {
    if cfg!(unix) { matches!(code, 23 | 24) } else { cfg!(windows) && code == 4 }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer<E: Error + 'static>(#[source] E);

    #[derive(Debug, thiserror::Error)]
    #[error("a leaf")]
    struct Leaf(u8);

    fn leaves() -> Classifier {
        Classifier::new().on(|leaf: &Leaf| (leaf.0 < 2).then_some(ErrorKind::Transient))
    }

    #[test]
    fn the_table_is_the_documented_one() {
        let remedies = [ErrorKind::Transient, ErrorKind::Permanent, ErrorKind::System, ErrorKind::User];
        let remedies = remedies.map(Remedy::of);
        assert_eq!(remedies, [Remedy::Retry, Remedy::Restart, Remedy::Fallback, Remedy::Propagate]);
    }

    #[test]
    fn the_outermost_error_that_is_known_decides() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(leaves().kind(&Outer(Outer(Leaf(1)))), ErrorKind::Transient);
        assert_eq!(leaves().kind(&Outer(refused())), ErrorKind::Transient);
        let full = io::Error::new(io::ErrorKind::StorageFull, Leaf(1));
        assert_eq!(leaves().kind(&full), ErrorKind::System);
    }

    #[test]
    fn what_an_io_error_of_no_kind_holds_is_looked_at() {
        assert_eq!(leaves().kind(&io::Error::other(Leaf(1))), ErrorKind::Transient);
        assert_eq!(leaves().kind(&io::Error::other(Outer(Leaf(1)))), ErrorKind::Transient);
        assert_eq!(leaves().kind(&io::Error::other("a text")), ErrorKind::Permanent);
    }

    #[test]
    fn a_rule_may_pass_and_the_last_one_goes_first() {
        assert_eq!(leaves().kind(&Leaf(2)), ErrorKind::Permanent);
        assert_eq!(leaves().otherwise(ErrorKind::User).kind(&Leaf(2)), ErrorKind::User);
        let later = leaves().on(|_: &Leaf| Some(ErrorKind::System));
        assert_eq!((later.kind(&Leaf(1)), later.kind(&Leaf(2))), (ErrorKind::System, ErrorKind::System));
        let own = Classifier::new().on(|_: &io::Error| Some(ErrorKind::User));
        assert_eq!(own.kind(&io::Error::from(io::ErrorKind::TimedOut)), ErrorKind::User);
    }

    #[test]
    fn a_circle_of_causes_has_an_end() {
        #[derive(Debug)]
        struct Circle;
        impl fmt::Display for Circle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("round")
            }
        }
        impl Error for Circle {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&Circle)
            }
        }
        assert_eq!(Classifier::new().kind(&Circle), ErrorKind::Permanent);
    }

    #[test]
    fn io_errors_are_told_apart() {
        let of = |kind: io::ErrorKind| Classify::kind(&io::Error::from(kind));
        assert_eq!(of(io::ErrorKind::TimedOut), ErrorKind::Transient);
        assert_eq!(of(io::ErrorKind::StorageFull), ErrorKind::System);
        assert_eq!(of(io::ErrorKind::NotFound), ErrorKind::User);
        assert_eq!(of(io::ErrorKind::InvalidData), ErrorKind::Permanent);
        assert_eq!(of(io::ErrorKind::Other), ErrorKind::Permanent);
        #[cfg(unix)]
        assert_eq!(Classify::kind(&io::Error::from_raw_os_error(24)), ErrorKind::System);
    }

    #[test]
    fn errors_without_a_type_are_told_apart_by_what_they_are() {
        let shared: SharedError = Arc::new(io::Error::from(io::ErrorKind::TimedOut));
        assert_eq!(shared.kind(), ErrorKind::Transient);
        let boxed: Box<dyn Error + Send + Sync> = "a text".into();
        assert_eq!(boxed.kind(), ErrorKind::Permanent);
    }

    #[test]
    fn errors_of_calls_say_what_the_service_says() {
        let name: Arc<str> = "store".into();
        let failed = |kind| CallError::<()>::Failed {
            name: Arc::clone(&name),
            kind,
            source: Arc::new(Leaf(1)) as SharedError,
        };
        assert_eq!(failed(ErrorKind::User).kind(), ErrorKind::User);
        assert_eq!(CallError::<()>::TimedOut { name: Arc::clone(&name) }.kind(), ErrorKind::Transient);
        assert_eq!(CallError::<()>::Stopped { name: Arc::clone(&name) }.kind(), ErrorKind::Permanent);
        let stopped = CastError::Stopped { name: Arc::clone(&name), message: () };
        assert_eq!(
            (stopped.kind(), CallError::NotSent(stopped).kind()),
            (ErrorKind::Permanent, ErrorKind::Permanent)
        );
        let full = CastError::Full { name, message: () };
        assert_eq!(CallError::NotSent(full).kind(), ErrorKind::Transient);
    }

    #[test]
    fn what_another_error_of_the_room_holds_is_looked_at() {
        use crate::resilience::{BreakerError, ErrorContext};
        let attached = ErrorContext::within("step", || ErrorContext::attach(Leaf(1)));
        assert_eq!(leaves().kind(&attached), ErrorKind::Transient);
        assert_eq!(leaves().kind(&BreakerError::Failed(Leaf(1))), ErrorKind::Transient);
    }

    #[test]
    fn refusals_are_transient_and_say_when_to_come_again() {
        use crate::resilience::{BreakerError, Bulkhead, CircuitBreaker, Decision, LoadShedder, RateLimiter};
        let hour = Duration::from_secs(3600);
        let limiter = RateLimiter::new("x", 2, hour);
        limiter.try_acquire_many(2).expect("there are two");
        let is_late = |decision| matches!(decision, Decision::RetryAfter(hint) if hint > hour / 3);
        assert!(is_late(Decision::of(&limiter.try_acquire().expect_err("there is none"))));
        assert!(is_late(Decision::of(&limiter.try_acquire_many(1).expect_err("there is none"))));
        assert_eq!(Decision::of(&limiter.try_acquire_many(3).expect_err("never")), Decision::GiveUp);
        let breaker = CircuitBreaker::builder("x").wait_duration_in_open_state(hour).build().expect("good");
        breaker.open();
        assert!(is_late(Decision::of(&breaker.permit().map(drop).expect_err("open"))));
        let open = breaker.call(|| Ok::<_, ErrorKind>(())).expect_err("open");
        assert!(is_late(Decision::of(&open)));
        assert_eq!(Decision::of(&BreakerError::Failed(ErrorKind::User)), Decision::GiveUp);
        assert_eq!(Decision::of(&BreakerError::Failed(ErrorKind::Transient)), Decision::Retry);
        let bulkhead = Bulkhead::new("x", 1);
        let _permit = bulkhead.try_acquire().expect("room");
        assert_eq!(Decision::of(&bulkhead.try_acquire().expect_err("full")), Decision::Retry);
        assert_eq!(Decision::of(&bulkhead.try_acquire_many(2).expect_err("never")), Decision::GiveUp);
        assert_eq!(Decision::of(&LoadShedder::new("x", 0).enter().expect_err("full")), Decision::Retry);
    }
}
