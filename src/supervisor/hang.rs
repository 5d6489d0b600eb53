//! What is done about a thread that does not come back.

use std::fmt;

/// What is done about a child that does not end within its
/// [`shutdown`](crate::ChildSpec::shutdown) grace, or does not start within its
/// [`init_timeout`](crate::ChildSpec::init_timeout).
///
/// A thread cannot be killed. So one of three things is given up: the thread, the time, or the
/// process.
///
/// | | the thread | whoever waits for it | when a [`shutdown`](crate::SupervisorHandle::shutdown) with a deadline comes to that |
/// |---|---|---|---|
/// | `Abandon` | is left to itself | goes on at the limit | abandoned |
/// | `Wait` | is waited for, the limit is only reported | goes on when it is really gone, or ready | abandoned |
/// | `AbortProcess` | ends with the process | ends with the process | the process is aborted |
///
/// # What an abandoned incarnation gets, and what it may still do
///
/// It is marked. The caller of the message in its hands is told
/// [`Crashed`](crate::CallError::Crashed) at once, its child goes on with the next incarnation, and
/// from then on it stands for nobody:
///
/// - It finishes the callback that it is in, for that cannot be helped, and at most one message that
///   it was just taking. Then it drops its state and its thread ends. `terminate` is not called.
/// - What it sends through the crate from its own thread is refused and handed back:
///   [`CastError::Fenced`](crate::CastError::Fenced) for casts, calls and requests, and `Fenced` of
///   [`StopError`](crate::StopError), [`StartChildError`](crate::StartChildError) and so on for what
///   it asks of others and of supervisors. One send that had begun before may still arrive.
/// - Its timers do not fire, its monitors tell nobody, and what it answers vanishes: the callers whose
///   replies it kept are told `Crashed` when it tries, and at the latest when it drops them. One reply
///   is beyond that: that of a call whose own handler, in another service, has not returned yet.
/// - Its name is its child's, and so is its mailbox. It can neither free nor tag the one, nor close the
///   other.
/// - A call that it waits for goes on, and so does a request that it made before: what was asked for
///   happens.
/// - What it owns it may still end: a [`SupervisorHandle`](crate::SupervisorHandle) in its state stops
///   its tree when it is dropped.
/// - Nothing outside of the crate hears of any of this: files, sockets, devices, memory that it
///   shares, threads that it started. There it looks at its [`Fence`](crate::Fence) itself.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::{Context, Next, OnHang, Service, child};
/// # struct Disk;
/// # impl Service for Disk {
/// #     type Msg = ();
/// #     type Error = std::convert::Infallible;
/// #     fn handle(&mut self, _: (), _: &mut Context<Self>) -> Result<Next, Self::Error> { Ok(Next::Continue) }
/// # }
///
/// // Two writers at once would be worse than none: nobody takes over before the first is gone.
/// let disk = child("disk", || Disk).shutdown(Duration::from_secs(10)).on_hang(OnHang::Wait);
/// # drop(disk);
/// assert_eq!(OnHang::default(), OnHang::Abandon);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnHang {
    /// It is abandoned, and its child goes on without it, as after a crash. How many such threads
    /// there may be says [`max_abandoned`](crate::Supervisor::max_abandoned).
    #[default]
    Abandon,
    /// It is waited for, as long as it takes: no successor is started, and no sibling whose turn
    /// comes after it is started or stopped. Each limit that passes is reported, once, as
    /// [`Overdue`](crate::SupervisionEvent::Overdue). The supervisor answers meanwhile, but whoever
    /// asked for this start or this stop waits too, also
    /// [`Supervisor::start`](crate::Supervisor::start).
    ///
    /// Only the deadline of a whole shutdown ends the wait. It is then abandoned and named in
    /// [`ShutdownReport::unstopped`](crate::ShutdownReport::unstopped), and so may be those that
    /// were to be stopped after it, for whom no time is left.
    Wait,
    /// The process is aborted where it would be abandoned: for a program that is better started
    /// again from outside than run beside a thread that it has lost. Before that one line on stderr
    /// names the child, its thread and what it was busy with, and the event hook, or the logger,
    /// hears of [`Aborting`](crate::SupervisionEvent::Aborting). Both together have 1 s.
    AbortProcess,
}

/// Which of its limits an incarnation did not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hung {
    /// It did not start within its [`init_timeout`](crate::ChildSpec::init_timeout).
    Init,
    /// It did not end within its [`shutdown`](crate::ChildSpec::shutdown) grace, or by the deadline
    /// of a whole shutdown.
    Grace,
}

impl Hung {
    /// The limit in one lower-case word, as logs have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Grace => "grace",
        }
    }
}

impl fmt::Display for Hung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Init => "did not start in time",
            Self::Grace => "did not stop in its grace",
        })
    }
}
