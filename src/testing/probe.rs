//! A stand-in for somebody whom a service talks to.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::here;
use super::log::Log;
use crate::service::context::Context;
use crate::service::core::Urgent;
use crate::service::deadline::DEFAULT_TIMEOUT;
use crate::service::handle::Handle;
use crate::service::service::{Init, Next, Service};
use crate::service::wait::Gate;
use crate::supervisor::errors::StartError;
use crate::supervisor::owner::SupervisorHandle;
use crate::supervisor::spec::{ChildSpec, child};
use crate::supervisor::supervisor::Supervisor;
use crate::sync::Mutex;

/// Reads what a [`Recorder`] got: the stand-in for a collaborator whose handle a service needs.
///
/// The recorder is a child like any other, with a mailbox, an overflow policy and restarts, made by
/// [`child`](Self::child) or [`scripted`](Self::scripted); or it stands alone, see
/// [`start`](Self::start). What it got is recorded in order, over all its incarnations, and read
/// once: whoever reads a message takes it.
///
/// # Example
///
/// ```
/// use underpin::testing::Probe;
/// use underpin::{Context, Handle, Next, Service, Supervisor, child};
///
/// /// The service to be tested: passes on what is even.
/// struct Filter(Handle<u64>);
///
/// impl Service for Filter {
///     type Msg = u64;
///     type Error = std::convert::Infallible;
///     fn handle(&mut self, number: u64, _: &mut Context<Self>) -> Result<Next, Self::Error> {
///         if number % 2 == 0 {
///             let _ = self.0.cast(number);
///         }
///         Ok(if number == 0 { Next::Stop } else { Next::Continue })
///     }
/// }
///
/// let (sink, probe) = Probe::child("sink");
/// let to = sink.handle();
/// let filter = child("filter", move || Filter(to.clone()));
/// let handle = filter.handle();
/// let app = Supervisor::new("app").child(sink).child(filter).start()?;
///
/// (1..=4).try_for_each(|number| handle.cast(number))?;
/// assert_eq!(probe.recv()?, 2);
/// assert_eq!(probe.recv()?, 4);
/// handle.cast(5)?;
/// handle.stop()?; // 5 is handled: nothing more is on its way
/// probe.expect_none()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Probe<M: Send + 'static, T: Send + 'static = M> {
    name: Arc<str>,
    record: Record<M, T>,
    // After the record: what stands alone ends with its probe.
    _tree: Option<SupervisorHandle>,
}

/// The service behind a [`Probe`]: records its messages, or what a script makes of them.
pub struct Recorder<M: Send + 'static, T: Send + 'static = M> {
    record: Record<M, T>,
    script: Script<M, T>,
}

type Script<M, T> = Arc<dyn Fn(M) -> T + Send + Sync>;

/// What the recorder writes and the probe reads.
struct Record<M, T> {
    log: Log<T>,
    /// Who records; once it was started.
    recorder: Arc<Mutex<Option<Handle<M>>>>,
    _made_of: PhantomData<fn(M)>,
}

/// Nothing came to a probe in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing came to the probe `{name}` within {waited:?}")]
pub struct NothingCame {
    /// The probe's child.
    pub name: Arc<str>,
    /// How long was waited.
    pub waited: Duration,
}

/// A probe of which nothing was expected.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum NotQuiet<T> {
    /// Something came all the same.
    #[error("{} unexpected came to the probe `{name}`", messages.len())]
    Came {
        /// The probe's child.
        name: Arc<str>,
        /// What came, in order.
        messages: Vec<T>,
    },
    /// It is not known: the probe's child was never started, is stuck in its script, or has not come
    /// back from a crash. (Of one that is gone for good it is known: nothing more comes.)
    #[error("the probe `{name}` was not there to be asked within {waited:?}")]
    NotThere {
        /// The probe's child.
        name: Arc<str>,
        /// How long was waited.
        waited: Duration,
    },
}

impl<M: Send + 'static> Probe<M> {
    /// A child called `name` that records its messages, and its probe. A call that it gets is
    /// answered by whoever takes the message out.
    ///
    /// The description can be given a capacity, an overflow policy and the rest, as any other.
    pub fn child(name: impl Into<Arc<str>>) -> (ChildSpec<Recorder<M>>, Self) {
        Self::scripted(name, |message| message)
    }

    /// A recorder that stands alone, its handle, and its probe. It ends with the probe. Started in a
    /// [simulation](super::Simulation), it is simulated too.
    ///
    /// # Errors
    ///
    /// As [`Supervisor::start`].
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::testing::Probe;
    ///
    /// let (handle, probe) = Probe::start("sink")?;
    /// handle.cast("hello")?;
    /// assert_eq!(probe.recv()?, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start(name: impl Into<Arc<str>>) -> Result<(Handle<M>, Self), StartError> {
        let (spec, probe) = Self::child(name);
        let (handle, root) = (spec.handle(), Supervisor::new(format!("probe-{}", probe.name)));
        let tree = Some(here::start(root.child(spec))?);
        Ok((handle, Self { _tree: tree, ..probe }))
    }
}

impl<M: Send + 'static, T: Send + 'static> Probe<M, T> {
    /// A child called `name` that does with each message what `script` says, and records what that
    /// returns. So it answers the calls of the service that is tested.
    ///
    /// It is recorded after the script has returned: a caller may have its answer a moment before, so
    /// [`recv`](Self::recv) it. A script that panics crashes the child, and nothing is recorded of
    /// that message.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::testing::Probe;
    /// use underpin::{Reply, Supervisor};
    ///
    /// enum Store {
    ///     Get(String, Reply<Option<u64>>),
    /// }
    ///
    /// let (store, probe) = Probe::scripted("store", |Store::Get(key, reply)| {
    ///     reply.send((key == "answer").then_some(42));
    ///     key
    /// });
    /// let handle = store.handle();
    /// let app = Supervisor::new("app").child(store).start()?;
    /// assert_eq!(handle.call(|reply| Store::Get("answer".into(), reply))?, Some(42));
    /// assert_eq!(probe.recv()?, "answer");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn scripted(
        name: impl Into<Arc<str>>,
        script: impl Fn(M) -> T + Send + Sync + 'static,
    ) -> (ChildSpec<Recorder<M, T>>, Self) {
        let (name, script): (Arc<str>, Script<M, T>) = (name.into(), Arc::new(script));
        let record = Record { log: Log::new(), recorder: Arc::default(), _made_of: PhantomData };
        let spec = child(Arc::clone(&name), {
            let record = record.clone();
            move || Recorder { record: record.clone(), script: Arc::clone(&script) }
        });
        (spec, Self { name, record, _tree: None })
    }

    /// Takes the oldest message that was recorded, and waits for it at most 5 s.
    ///
    /// # Errors
    ///
    /// When none came in time.
    pub fn recv(&self) -> Result<T, NothingCame> {
        self.recv_timeout(DEFAULT_TIMEOUT)
    }

    /// As [`recv`](Self::recv), with a time-out of its own.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Blocking
    ///
    /// At most as long as `timeout`, by the system's clock; in a [simulation](super::Simulation), by
    /// that one's.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, NothingCame> {
        let first = self.record.log.wait(timeout, || self.record.log.pop());
        first.ok_or_else(|| NothingCame { name: Arc::clone(&self.name), waited: timeout })
    }

    /// Takes all that was recorded so far, in order. Never blocks.
    pub fn messages(&self) -> Vec<T> {
        self.record.log.take()
    }

    /// Makes sure that nothing came that was not read: neither was recorded, nor is in the mailbox.
    ///
    /// No time is waited through for it. A mark goes through the mailbox behind all that was
    /// accepted before, and the answer is certain when it comes out. What somebody sends afterwards
    /// is not covered: have the sender finish first, by a call, or by its end.
    ///
    /// # Errors
    ///
    /// With what came, if anything did. When the mark did not come back within 5 s.
    ///
    /// # Blocking
    ///
    /// Until the recorder has recorded what is queued, at most 5 s.
    pub fn expect_none(&self) -> Result<(), NotQuiet<T>> {
        if !self.is_read_through() {
            return Err(NotQuiet::NotThere { name: Arc::clone(&self.name), waited: DEFAULT_TIMEOUT });
        }
        let messages = self.messages();
        if messages.is_empty() {
            return Ok(());
        }
        Err(NotQuiet::Came { name: Arc::clone(&self.name), messages })
    }

    /// Whether a mark came through the mailbox, or there is no more mail: what was left is dead
    /// letters then.
    fn is_read_through(&self) -> bool {
        let Some(recorder) = self.record.recorder.lock().clone() else {
            return false;
        };
        let (core, clock) = (recorder.core(), here::clock());
        if core.mailbox.is_closed() {
            return true;
        }
        let passed = Arc::new(Gate::default());
        let mark = Mark(Arc::clone(&passed));
        let message = Box::new(move || mark.is_no_message());
        // What no monitor has asked for is dropped in its turn, behind what is queued before it.
        core.mailbox.push_urgent(Urgent::Down { epoch: core.incarnation().epoch, monitor: 0, message });
        // Nobody takes it out of the mailbox of one that goes meanwhile.
        let gone = Arc::clone(&passed);
        let number = core.watchers.add(Box::new(move |_| gone.open()));
        let is_through = passed.wait(&clock, clock.now().checked_add(DEFAULT_TIMEOUT));
        core.watchers.remove(number);
        is_through
    }
}

/// Tells that the mailbox was read so far.
struct Mark(Arc<Gate>);

impl Mark {
    fn is_no_message<M>(&self) -> M {
        unreachable!("monitors are counted from 1, so that nobody asks for the message of number 0")
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.open();
    }
}

impl<M: Send + 'static, T: Send + 'static> Service for Recorder<M, T> {
    type Msg = M;
    type Error = Infallible;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Infallible> {
        let before = self.record.recorder.lock().replace(cx.handle());
        drop(before);
        Ok(Init::Ready)
    }

    fn handle(&mut self, message: M, _: &mut Context<Self>) -> Result<Next, Infallible> {
        let entry = (self.script)(message);
        self.record.log.push(entry);
        Ok(Next::Continue)
    }
}

impl<M, T> Clone for Record<M, T> {
    fn clone(&self) -> Self {
        Self { log: self.log.clone(), recorder: Arc::clone(&self.recorder), _made_of: PhantomData }
    }
}

impl<M: Send + 'static, T: Send + 'static> fmt::Debug for Probe<M, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Probe").field(&self.name).finish()
    }
}

impl<M: Send + 'static, T: Send + 'static> fmt::Debug for Recorder<M, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for NotQuiet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotQuiet({self})")
    }
}
