//! What kind of fault an error is, and what a service does about it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Any error, as it travels between threads and is shared by everyone who is told of it.
pub type SharedError = Arc<dyn std::error::Error + Send + Sync + 'static>;

/// What kind of fault an error is. [`Service::kind`](crate::Service::kind) says it.
///
/// The kind decides the [`Reaction`] by this table, of which every row can be overridden for a
/// child with [`ChildSpec::on_error`](crate::ChildSpec::on_error):
///
/// | kind | means | reaction |
/// |---|---|---|
/// | `Transient` | may work when tried again: a time-out, a peer that is away | `Answer` |
/// | `Permanent` | the service's own state is not to be trusted | `Restart` |
/// | `System` | the machine refuses: disk full, no more file descriptors | `Restart` |
/// | `User` | the request is wrong, the service is fine | `Answer` |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// May work when tried again.
    Transient,
    /// The state of the service is not to be trusted. What an unclassified error is.
    Permanent,
    /// The machine refuses.
    System,
    /// The request is wrong, the service is fine.
    User,
}

/// What a service does when its handler returns `Err`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reaction {
    /// The error is the answer: the caller gets it as `CallError::Failed`, and the service goes on
    /// with its state.
    Answer,
    /// The service exits abnormally, its state is dropped, and its supervisor decides.
    Restart,
}

impl ErrorKind {
    const ALL: [Self; 4] = [Self::Transient, Self::Permanent, Self::System, Self::User];

    /// The reaction that the table gives for this kind.
    pub fn reaction(self) -> Reaction {
        match self {
            Self::Transient | Self::User => Reaction::Answer,
            Self::Permanent | Self::System => Reaction::Restart,
        }
    }
}

/// The table of [`ErrorKind`] to [`Reaction`], as one child uses it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reactions([Reaction; 4]);

impl Default for Reactions {
    fn default() -> Self {
        Self(ErrorKind::ALL.map(ErrorKind::reaction))
    }
}

impl Reactions {
    pub(crate) fn set(&mut self, kind: ErrorKind, reaction: Reaction) {
        self.0[kind as usize] = reaction;
    }

    pub(crate) fn of(&self, kind: ErrorKind) -> Reaction {
        self.0[kind as usize]
    }
}

/// Why the message of a cast did not reach the mailbox. The message is handed back.
#[derive(thiserror::Error)]
pub enum CastError<M> {
    /// The mailbox is full, and its overflow policy is to reject.
    #[error("the mailbox of `{name}` is full")]
    Full {
        /// The recipient.
        name: Arc<str>,
        /// What was to be sent.
        message: M,
    },
    /// The mailbox was full for as long as the sender may be blocked.
    #[error("the mailbox of `{name}` was full for {waited:?}")]
    TimedOut {
        /// The recipient.
        name: Arc<str>,
        /// How long the sender was willing to wait.
        waited: Duration,
        /// What was to be sent.
        message: M,
    },
    /// The service is stopped, and nobody will restart it by itself.
    #[error("`{name}` is stopped")]
    Stopped {
        /// The recipient.
        name: Arc<str>,
        /// What was to be sent.
        message: M,
    },
    /// The sender was [abandoned](crate::OnHang): what it does now reaches nobody.
    #[error("not sent to `{name}`: the incarnation that sends was abandoned")]
    Fenced {
        /// The recipient.
        name: Arc<str>,
        /// What was to be sent.
        message: M,
    },
}

impl<M> CastError<M> {
    /// The message that was not sent.
    pub fn into_message(self) -> M {
        match self {
            Self::Full { message, .. }
            | Self::TimedOut { message, .. }
            | Self::Stopped { message, .. }
            | Self::Fenced { message, .. } => message,
        }
    }
}

impl<M> fmt::Debug for CastError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CastError({self})")
    }
}

/// Why a call got no answer.
///
/// `NotSent` hands the message back, and so do `CallingSelf` and `Cycle` when they hold one: the
/// service never saw it. After `Shed` it never saw it either, and the message is gone. After any
/// other error the service may have acted on it, or may still do so.
#[derive(thiserror::Error)]
pub enum CallError<M> {
    /// The message did not reach the mailbox.
    #[error("call not sent: {0}")]
    NotSent(CastError<M>),
    /// The deadline passed first. The service lives; its late answer will vanish.
    #[error("`{name}` did not answer in time")]
    TimedOut {
        /// The recipient.
        name: Arc<str>,
    },
    /// The service crashed while it held the message or its reply, was abandoned with it, or had its
    /// mailbox cleared after a crash.
    #[error("`{name}` crashed before it answered")]
    Crashed {
        /// The recipient.
        name: Arc<str>,
    },
    /// The service stopped for good with the message in its mailbox, or with its reply unsent.
    #[error("`{name}` stopped before it answered")]
    Stopped {
        /// The recipient.
        name: Arc<str>,
    },
    /// The service dropped the [`Reply`](crate::Reply) without an answer.
    #[error("`{name}` handled the message without answering")]
    NoReply {
        /// The recipient.
        name: Arc<str>,
    },
    /// The full mailbox gave the message up for a newer one.
    #[error("`{name}` was overloaded and shed the message")]
    Shed {
        /// The recipient.
        name: Arc<str>,
    },
    /// The handler returned an error that is answered, not fatal.
    #[error("`{name}` refused: {source}")]
    Failed {
        /// The recipient.
        name: Arc<str>,
        /// What kind of fault it is: whether to try again is decided by it.
        kind: ErrorKind,
        /// What the handler returned.
        source: SharedError,
    },
    /// A service called itself; it would have waited for its own end.
    #[error("`{name}` called itself")]
    CallingSelf {
        /// The caller and recipient.
        name: Arc<str>,
        /// What was to be sent.
        message: Option<M>,
    },
    /// The recipient waits, directly or through others, for the caller.
    #[error("call would close a cycle: {}", names.join(" -> "))]
    Cycle {
        /// The caller, then who waits for whom, back to the caller.
        names: Vec<Arc<str>>,
        /// What was to be sent; `None` if it was sent before it was waited for.
        message: Option<M>,
    },
}

impl<M> CallError<M> {
    /// The message, where it is certain that the service never saw it.
    pub fn into_message(self) -> Option<M> {
        match self {
            Self::NotSent(error) => Some(error.into_message()),
            Self::CallingSelf { message, .. } | Self::Cycle { message, .. } => message,
            _ => None,
        }
    }
}

impl<M> fmt::Debug for CallError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallError({self})")
    }
}

/// Logs an error from where nothing may unwind: a logger may panic, on a closed pipe for one.
pub(crate) fn complain(text: std::fmt::Arguments<'_>) {
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| log::error!("{text}")));
    if let Err(panic) = told {
        panic_text(panic);
    }
}

/// Tells a sink, which is the user's: a panic in it is logged, and goes no further.
#[cfg(any(feature = "resilience", feature = "tasks"))]
pub(crate) fn tell_sink(of: &str, tell: impl FnOnce()) {
    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(tell)) {
        complain(format_args!("the sink of `{of}` panicked: {}", panic_text(panic)));
    }
}

/// What a panic said, as far as it is text. The payload is dropped; if that panics too, its own
/// payload is leaked, for there must be an end.
pub(crate) fn panic_text(payload: Box<dyn std::any::Any + Send>) -> Arc<str> {
    let text = text_of(&*payload);
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(payload)));
    dropped.unwrap_or_else(std::mem::forget);
    text
}

/// The same, of a payload that goes on.
pub(crate) fn text_of(payload: &(dyn std::any::Any + Send)) -> Arc<str> {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        Arc::from(*text)
    } else if let Some(text) = payload.downcast_ref::<String>() {
        Arc::from(text.as_str())
    } else {
        Arc::from("a panic whose payload is not text")
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_reactions_is_the_documented_one_and_can_be_overridden() {
        let mut table = Reactions::default();
        assert_eq!(table.of(ErrorKind::Transient), Reaction::Answer);
        assert_eq!(table.of(ErrorKind::Permanent), Reaction::Restart);
        assert_eq!(table.of(ErrorKind::System), Reaction::Restart);
        assert_eq!(table.of(ErrorKind::User), Reaction::Answer);
        table.set(ErrorKind::System, Reaction::Answer);
        assert_eq!(table.of(ErrorKind::System), Reaction::Answer);
        assert_eq!(table.of(ErrorKind::Permanent), Reaction::Restart);
    }

    #[test]
    fn errors_name_the_recipient_and_hand_the_message_back() {
        let error = CastError::Full { name: "store".into(), message: 7 };
        assert_eq!(error.to_string(), "the mailbox of `store` is full");
        assert_eq!(CallError::NotSent(error).into_message(), Some(7));
        let cycle = CallError::Cycle { names: vec!["a".into(), "b".into(), "a".into()], message: Some(1) };
        assert_eq!(cycle.to_string(), "call would close a cycle: a -> b -> a");
    }

    #[test]
    fn a_panic_is_told_by_its_text() {
        assert_eq!(&*panic_text(Box::new("plain")), "plain");
        assert_eq!(&*panic_text(Box::new(String::from("formatted"))), "formatted");
        assert_eq!(&*panic_text(Box::new(17_u8)), "a panic whose payload is not text");
    }
}
