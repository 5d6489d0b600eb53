//! A service that goes wrong on command.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use super::latch::{Latch, NotOpened};
use crate::error::ErrorKind;
use crate::service::context::Context;
use crate::service::exit::Exit;
use crate::service::reply::Reply;
use crate::service::service::{Init, Next, Service};
use crate::supervisor::spec::{ChildSpec, child};

/// How long a handler hangs at most if nothing else is said.
const MOST: Duration = Duration::from_secs(60);

/// A service that goes wrong on command: in its handler as its [`Order`]s say, in its start and its
/// end as it was told before.
///
/// It is for tests of what happens around it: the tree it is in, the services that call it, the
/// events that are reported. Its panics print nothing.
///
/// # Example
///
/// ```
/// use underpin::testing::{Crasher, Order};
/// use underpin::{CallError, Exit, Supervisor};
///
/// let victim = Crasher::new().fail_init(2).child("victim"); // its second life does not begin
/// let handle = victim.handle();
/// let app = Supervisor::new("app").child(victim).start()?;
/// let error = handle.call(|reply| Order::With(reply, Box::new(Order::Panic))).unwrap_err();
/// assert!(matches!(error, CallError::Crashed { .. }));
/// assert_eq!(handle.call(Order::Epoch).ok(), None); // one restart in 5 s, and this is the second
/// # let exit = app.wait(std::time::Duration::from_secs(5));
/// # assert!(matches!(exit, Some(Exit::Escalated { .. })), "{exit:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Crasher {
    fail_init: Vec<u64>,
    panic_in_init: Vec<u64>,
    panic_in_terminate: bool,
    panic_in_drop: bool,
    /// It was started: what is dropped is a state, not a description.
    is_live: bool,
    kept: Kept,
}

/// What is said to a [`Crasher`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Order {
    /// Panic.
    Panic,
    /// Return an error of this kind.
    Fail(ErrorKind),
    /// End normally.
    Stop,
    /// Hang, until it is let go.
    Hang(Hang),
    /// Say which incarnation it is; 1 is the first.
    Epoch(Reply<u64>),
    /// Carry out the order with a call in hand. If that comes out well, the call is answered with the
    /// epoch.
    With(Reply<u64>, Box<Order>),
    /// Keep the reply, and answer it never.
    Keep(Reply<u64>),
}

/// The error of a [`Crasher`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed as ordered")]
pub struct Ordered {
    /// What kind of fault.
    pub kind: ErrorKind,
}

/// Holds a handler of a [`Crasher`] until it lets go. Clones are the same.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::testing::{Crasher, Hang, Order};
/// use underpin::{CallError, Supervisor};
///
/// let slow = Crasher::new().child("slow");
/// let handle = slow.handle();
/// let app = Supervisor::new("app").child(slow).start()?;
/// let hang = Hang::new();
/// handle.cast(Order::Hang(hang.clone()))?;
/// hang.wait_until_hung(Duration::from_secs(5))?;
/// let late = handle.call_timeout(Duration::from_millis(1), Order::Epoch);
/// assert!(matches!(late, Err(CallError::TimedOut { .. })));
/// hang.let_go();
/// assert_eq!(handle.call(Order::Epoch)?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Hang {
    hung: Latch,
    released: Latch,
    most: Duration,
}

/// The replies that are never answered. A description has none.
#[derive(Debug, Default)]
struct Kept(Vec<Reply<u64>>);

impl Clone for Kept {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Hang {
    /// Holds a handler at most 60 s: a test that fails before it lets go does not leave it for ever.
    pub fn new() -> Self {
        Self::at_most(MOST)
    }

    /// As [`new`](Self::new), with a time of its own.
    pub fn at_most(most: Duration) -> Self {
        Self { hung: Latch::new(), released: Latch::new(), most }
    }

    /// Waits until the handler hangs.
    ///
    /// # Errors
    ///
    /// When it does not within `timeout`.
    ///
    /// # Blocking
    ///
    /// At most as long as `timeout`.
    pub fn wait_until_hung(&self, timeout: Duration) -> Result<(), NotOpened> {
        self.hung.wait(timeout)
    }

    /// Whether the handler hangs, or did.
    pub fn is_hung(&self) -> bool {
        self.hung.is_open()
    }

    /// Lets the handler go on.
    pub fn let_go(&self) {
        self.released.open();
    }

    fn hold(&self) {
        self.hung.open();
        let _ = self.released.wait(self.most);
    }
}

impl Default for Hang {
    fn default() -> Self {
        Self::new()
    }
}

impl Crasher {
    /// One that starts and ends well.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its `init` returns an error in the incarnation of this number; 1 is the first. May be said
    /// several times.
    pub fn fail_init(mut self, epoch: u64) -> Self {
        self.fail_init.push(epoch);
        self
    }

    /// Its `init` panics in the incarnation of this number; 1 is the first. May be said several times.
    pub fn panic_in_init(mut self, epoch: u64) -> Self {
        self.panic_in_init.push(epoch);
        self
    }

    /// Its `terminate` panics, in every incarnation.
    pub fn panic_in_terminate(mut self) -> Self {
        self.panic_in_terminate = true;
        self
    }

    /// The drop of its state panics, in every incarnation.
    pub fn panic_in_drop(mut self) -> Self {
        self.panic_in_drop = true;
        self
    }

    /// A child called `name` that runs it.
    pub fn child(self, name: impl Into<Arc<str>>) -> ChildSpec<Self> {
        child(name, move || self.clone())
    }

    fn carry_out(&mut self, order: Order, cx: &mut Context<Self>) -> Result<Next, Ordered> {
        match order {
            Order::Panic => panic_quietly("panicked as ordered"),
            Order::Fail(kind) => return Err(Ordered { kind }),
            Order::Stop => return Ok(Next::Stop),
            Order::Hang(hang) => hang.hold(),
            Order::Epoch(reply) => reply.send(cx.epoch()),
            Order::Keep(reply) => self.kept.0.push(reply),
            Order::With(reply, order) => {
                let next = self.carry_out(*order, cx)?;
                reply.send(cx.epoch());
                return Ok(next);
            }
        }
        Ok(Next::Continue)
    }
}

impl Service for Crasher {
    type Msg = Order;
    type Error = Ordered;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Ordered> {
        self.is_live = true;
        if self.panic_in_init.contains(&cx.epoch()) {
            panic_quietly("panicked in init as ordered");
        }
        if self.fail_init.contains(&cx.epoch()) {
            return Err(Ordered { kind: ErrorKind::Permanent });
        }
        Ok(Init::Ready)
    }

    fn handle(&mut self, order: Order, cx: &mut Context<Self>) -> Result<Next, Ordered> {
        self.carry_out(order, cx)
    }

    fn terminate(&mut self, _: &Exit) {
        if self.panic_in_terminate {
            panic_quietly("panicked in terminate as ordered");
        }
    }

    fn label(order: &Order) -> &'static str {
        match order {
            Order::Panic => "Panic",
            Order::Fail(_) => "Fail",
            Order::Stop => "Stop",
            Order::Hang(_) => "Hang",
            Order::Epoch(_) => "Epoch",
            Order::With(..) => "With",
            Order::Keep(_) => "Keep",
        }
    }

    fn kind(error: &Ordered) -> ErrorKind {
        error.kind
    }
}

impl Drop for Crasher {
    fn drop(&mut self) {
        if self.is_live && self.panic_in_drop && !std::thread::panicking() {
            panic_quietly("panicked in drop as ordered");
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Crasher::label(self))
    }
}

/// A panic that prints nothing.
fn panic_quietly(text: &'static str) -> ! {
    resume_unwind(Box::new(text))
}
