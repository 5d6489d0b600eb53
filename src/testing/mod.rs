//! For tests of programs that are built on this crate. Feature `testing`.
//!
//! It is the crate's own kind of testing. No test sleeps, and none asks again and again whether
//! something has become true: each waits for what it wants to see, with a deadline, and goes on when
//! it is there.
//!
//! ```toml
//! [dev-dependencies]
//! underpin = { version = "0.1", features = ["testing"] }
//! ```
//!
//! # What to take for what
//!
//! | a test of | takes |
//! |---|---|
//! | a service that talks to others | [`Probe`] in the place of the others: records what it gets, answers by a script |
//! | what happens around a crash | [`Crasher`]: panics, fails, hangs or stops on command |
//! | a tree | [`Events`]: waits for what the tree tells of itself |
//! | timers, backoff, deadlines | [`Clock::manual`], see below, or a simulation |
//! | whatever may come in any order | [`Simulation`] and [`check`]: the whole tree in virtual time, in an order that chance decides, from a seed that replays it |
//! | how threads interleave inside of one protocol | [`Solo`] under `underpin::model`: every order there is |
//! | names | [`namespace`]: a registry of its own for each test |
//!
//! # A clock that is moved by hand
//!
//! A tree reads its time from one [`Clock`]. With [`Clock::manual`] it stands still until the test
//! [advances](ManualClock::advance) it. Two things are to be known. A timer is set when the message
//! that sets it is handled: make a call before the clock is moved, then that is certain. And the
//! clock wakes who waits, but does not wait for what they do then: receive it, as here, or make
//! another call.
//!
//! ```
//! use std::time::Duration;
//! use underpin::testing::{Clock, Probe};
//! use underpin::{Context, Handle, Next, Reply, Service, Supervisor, child};
//!
//! /// Reminds somebody, after a while.
//! struct Reminder(Handle<&'static str>);
//! enum Msg { Remind(Duration, &'static str, Reply<()>), Now(&'static str) }
//!
//! impl Service for Reminder {
//!     type Msg = Msg;
//!     type Error = std::convert::Infallible;
//!     fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<Next, Self::Error> {
//!         match msg {
//!             Msg::Remind(after, text, reply) => {
//!                 cx.send_after(after, Msg::Now(text));
//!                 reply.send(());
//!             }
//!             Msg::Now(text) => drop(self.0.cast(text)),
//!         }
//!         Ok(Next::Continue)
//!     }
//! }
//!
//! let (clock, hand) = Clock::manual();
//! let (forgetful, probe) = Probe::child("forgetful");
//! let to = forgetful.handle();
//! let reminder = child("reminder", move || Reminder(to.clone()));
//! let handle = reminder.handle();
//! let app = Supervisor::new("app").clock(clock).child(forgetful).child(reminder).start()?;
//!
//! let hour = Duration::from_secs(3600);
//! handle.call(|reply| Msg::Remind(hour, "the bread", reply))?; // the timer is set
//! hand.advance(hour - Duration::from_nanos(1));
//! handle.call(|reply| Msg::Remind(hour, "the tea", reply))?; // it has looked at the clock since
//! probe.expect_none()?;
//! hand.advance(Duration::from_nanos(1));
//! assert_eq!(probe.recv()?, "the bread");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! In a [`Simulation`] neither is a question: time moves when everyone rests.

pub(crate) mod chance;
mod check;
mod crasher;
mod events;
mod fiber;
mod here;
mod latch;
mod log;
mod namespace;
mod probe;
mod simulation;
mod solo;
mod stage;

pub use crate::sync::{Clock, ManualClock};
pub use check::check;
pub use crasher::{Crasher, Hang, Order, Ordered};
pub use events::{Events, TimedOut};
pub use latch::{Latch, NotOpened};
pub use namespace::namespace;
pub use probe::{NotQuiet, NothingCame, Probe, Recorder};
pub use simulation::Simulation;
pub use solo::Solo;
