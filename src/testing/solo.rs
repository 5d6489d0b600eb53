//! One service without a supervisor, driven by a thread of the user's.

use std::sync::Arc;

use crate::error::SharedError;
use crate::service::exit::Exit;
use crate::service::handle::Handle;
use crate::service::machine::{Ending, Overseer};
use crate::service::service::Service;
use crate::service::thread::Job;
use crate::service::worker::Before;
use crate::supervisor::child::{Child, Launch, Site};
use crate::supervisor::spec::ChildSpec;
use crate::sync::Mutex;

/// One service without a supervisor: a thread of yours is its thread, for one life at a time.
///
/// The code that runs is the one that runs under a supervisor: mailbox, replies, timers, panics that
/// end an incarnation. What is left out is all around it: nobody starts the next life but you, and no
/// thread is there but yours. So a model of a user's service has few threads, and with
/// `--cfg underpin_loom` it can be explored; see the example `model_check`.
///
/// Dropped, it is gone for good: what is queued is settled, and later messages are handed back.
///
/// # Example
///
/// ```
/// use underpin::testing::Solo;
/// use underpin::{Context, Exit, Next, Reply, Service, child};
///
/// struct Counter(u64);
/// enum Msg { Add(u64), Total(Reply<u64>), Stop }
///
/// impl Service for Counter {
///     type Msg = Msg;
///     type Error = std::convert::Infallible;
///     fn handle(&mut self, msg: Msg, _: &mut Context<Self>) -> Result<Next, Self::Error> {
///         match msg {
///             Msg::Add(number) => self.0 += number,
///             Msg::Total(reply) => reply.send(self.0),
///             Msg::Stop => return Ok(Next::Stop),
///         }
///         Ok(Next::Continue)
///     }
/// }
///
/// let (handle, mut solo) = Solo::new(child("counter", || Counter(0)));
/// handle.cast(Msg::Add(2))?;
/// let total = handle.request(Msg::Total)?;
/// handle.cast(Msg::Stop)?;
/// assert!(matches!(solo.run(), Exit::Normal));
/// assert_eq!(total.wait()?, 2);
///
/// let total = handle.request(Msg::Total)?; // what is sent between two lives waits
/// handle.cast(Msg::Stop)?;
/// solo.run();
/// assert_eq!(total.wait()?, 0); // a fresh state
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Solo {
    child: Arc<dyn Child>,
    site: Site,
    ended: Arc<Ended>,
    lives: u64,
    /// The life that comes next, if it is born already.
    next: Option<Job>,
    crashed: bool,
}

/// Where the end of a life is told.
#[derive(Default)]
struct Ended(Mutex<Option<Ending>>);

impl Overseer for Ended {
    fn ready(&self, _child: u64, _epoch: u64) {}

    fn busy(&self, _child: u64, _epoch: u64) {}

    fn over(&self, _child: u64, _epoch: u64, ending: Ending) {
        let before = self.0.lock().replace(ending);
        drop(before);
    }
}

impl Solo {
    /// The service that is described, and a handle to it. It is born, so that what is asked of it is
    /// asked of its first life, but nothing of it runs before [`run`](Self::run).
    ///
    /// Its supervision (restarts, graces, backoff) has no effect.
    pub fn new<S: Service>(spec: ChildSpec<S>) -> (Handle<S::Msg>, Self) {
        let site = Site::alone(spec.handle().name());
        Self::at(site, spec)
    }

    /// As [`new`](Self::new), by a clock of the model's.
    #[cfg(all(test, underpin_loom, feature = "events"))]
    pub(crate) fn by<S: Service>(clock: crate::sync::Clock, spec: ChildSpec<S>) -> (Handle<S::Msg>, Self) {
        let site = Site { clock, ..Site::alone(spec.handle().name()) };
        Self::at(site, spec)
    }

    fn at<S: Service>(site: Site, spec: ChildSpec<S>) -> (Handle<S::Msg>, Self) {
        let (handle, child) = (spec.handle(), spec.into_child());
        let child = Arc::new(child);
        let mut solo = Self { child, site, ended: Arc::default(), lives: 0, next: None, crashed: false };
        solo.next = solo.born().ok(); // else the run says what is wrong
        (handle, solo)
    }

    /// Lives one life to its end, on the calling thread, and returns how it ended. The next call
    /// lives the next: with a fresh state, and with what is queued.
    ///
    /// A wrong description ends as [`Exit::Failed`], before it begins.
    ///
    /// # Blocking
    ///
    /// Until the service ends: by [`Next::Stop`](crate::Next::Stop), by an error, by a panic, or by
    /// [`Handle::stop`].
    pub fn run(&mut self) -> Exit {
        let job = match self.next.take().map_or_else(|| self.born(), Ok) {
            Ok(job) => job,
            Err(exit) => return exit,
        };
        job.live();
        let ending = self.ended.0.lock().take();
        let exit = ending.map_or(Exit::Killed, |ending| ending.exit);
        self.crashed = !exit.is_calm();
        exit
    }

    /// The next life, which nobody drives yet.
    fn born(&mut self) -> Result<Job, Exit> {
        if let Some(fault) = self.child.fault() {
            let fault = Box::<dyn std::error::Error + Send + Sync>::from(fault);
            return Err(Exit::Failed(SharedError::from(fault)));
        }
        self.lives += 1;
        let launch = Launch {
            child: 0,
            epoch: self.lives,
            overseer: Arc::clone(&self.ended) as Arc<dyn Overseer>,
            predecessor: None,
            before: Before { crashed: self.crashed, is_last: false, watched: false },
        };
        self.child.launch(&self.site, &Arc::from(""), launch)
    }
}

impl std::fmt::Debug for Solo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Solo").field(&self.child.name()).finish()
    }
}
