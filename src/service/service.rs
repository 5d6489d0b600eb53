//! The contract of a service.

use super::context::Context;
use super::exit::Exit;
use crate::error::ErrorKind;

/// What a service does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on with the next message.
    Continue,
    /// End this incarnation normally. A permanent child is started again all the same.
    Stop,
}

/// Whether a service wants to run, as its `init` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// It is ready for messages.
    Ready,
    /// It does not want to run now. This is no error: the child is kept, not running, and its
    /// supervisor can be asked to [start it](crate::SupervisorRef::restart_child) later.
    Ignore,
}

/// One service: a state, on a thread of its own, that handles one message at a time.
///
/// All callbacks run on the thread of the incarnation, so the state needs to be neither `Send` nor
/// `Sync`. A panic in any of them ends the incarnation, not the process.
///
/// A service
///
/// - MUST return from each callback in bounded time. A thread cannot be killed: one that does not
///   come back is abandoned after its grace, and lives on as a zombie, or what else
///   [`OnHang`](crate::OnHang) says.
/// - MUST NOT rely on `terminate` for what has to happen: after a panic, or when it is abandoned,
///   it is not called. The state is dropped in any case but the last; put what must be undone into
///   a `Drop`.
/// - SHOULD answer, keep or hand on the [`Reply`](crate::Reply) of each call. One that it drops
///   tells the caller so.
/// - SHOULD crash on what it cannot handle: a state in doubt is worth less than a fresh one.
///
/// # Example
///
/// ```
/// use underpin::{Context, Next, Reply, Service, Supervisor, child};
///
/// struct Counter(u64);
///
/// enum Msg {
///     Add(u64),
///     Total(Reply<u64>),
/// }
///
/// impl Service for Counter {
///     type Msg = Msg;
///     type Error = std::convert::Infallible;
///
///     fn handle(&mut self, msg: Msg, _cx: &mut Context<Self>) -> Result<Next, Self::Error> {
///         match msg {
///             Msg::Add(n) => self.0 += n,
///             Msg::Total(reply) => reply.send(self.0),
///         }
///         Ok(Next::Continue)
///     }
/// }
///
/// let counter = child("counter", || Counter(0));
/// let handle = counter.handle();
/// let supervisor = Supervisor::new("app").child(counter).start()?;
/// handle.cast(Msg::Add(2))?;
/// assert_eq!(handle.call(Msg::Total)?, 2);
/// # drop(supervisor);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Service: Sized + 'static {
    /// What can be said to the service. An enum; calls carry a [`Reply`](crate::Reply).
    type Msg: Send + 'static;
    /// What its callbacks fail with.
    type Error: Into<Box<dyn std::error::Error + Send + Sync>>;

    /// Handles one message.
    ///
    /// # Errors
    ///
    /// What an `Err` does depends on its [`kind`](Self::kind): by default the incarnation ends
    /// abnormally, as after a panic.
    fn handle(&mut self, msg: Self::Msg, cx: &mut Context<Self>) -> Result<Next, Self::Error>;

    /// Makes the fresh state ready, after the factory and before the first message. Whoever starts
    /// the child waits for it, at most [`init_timeout`](crate::ChildSpec::init_timeout).
    ///
    /// # Errors
    ///
    /// An `Err` of any kind is a failed start.
    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Self::Error> {
        let _ = cx;
        Ok(Init::Ready)
    }

    /// Is called once when no message came for as long as
    /// [`set_idle_timeout`](Context::set_idle_timeout) says, and again after the next message.
    ///
    /// # Errors
    ///
    /// As in [`handle`](Self::handle).
    fn idle(&mut self, cx: &mut Context<Self>) -> Result<Next, Self::Error> {
        let _ = cx;
        Ok(Next::Continue)
    }

    /// Is called before the state is dropped, after a normal end, a shutdown or an `Err`; not after
    /// a panic, for the state may be torn. Counts against the child's grace.
    fn terminate(&mut self, exit: &Exit) {
        let _ = exit;
    }

    /// What to call a message in reports: a word, made without its contents. Called for each message,
    /// before it is handled; a panic in it is a crash.
    fn label(msg: &Self::Msg) -> &'static str {
        let _ = msg;
        std::any::type_name::<Self::Msg>()
    }

    /// What kind of fault an error of `handle` or `idle` is. The kind decides what happens next, by
    /// the table at [`ErrorKind`].
    fn kind(error: &Self::Error) -> ErrorKind {
        let _ = error;
        ErrorKind::Permanent
    }
}
