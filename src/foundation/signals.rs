//! SIGTERM and SIGINT ask for the end, SIGHUP for another look at the configuration.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals as Listening};
use signal_hook::low_level::{emulate_default_handler, signal_name};

use super::foundation::Stopper;
use crate::service::exit::Exit;
use crate::supervisor::errors::StartError;
use crate::sync::{self, Clock, JoinHandle, Mutex, Ordering, SignalFlag};

/// How long after the first a signal may be the same one.
const ECHO: Duration = Duration::from_millis(500);

/// Who ask for the end.
const ENDS: [i32; 2] = [SIGTERM, SIGINT];

/// What a SIGHUP does to each configuration. It does not wait for the layers to be read.
pub(crate) type Rereads = Vec<Box<dyn Fn() + Send>>;

/// Has the layers of a configuration read again.
#[cfg(feature = "config")]
pub(crate) fn reread_of<T: crate::config::Settings>(
    config: &crate::config::Config<T>,
) -> Box<dyn Fn() + Send> {
    let config = config.clone();
    Box::new(move || {
        // At the end its service is gone, and then nobody needs to know.
        if let Err(error) = config.request_reload() {
            log::warn!("foundation: SIGHUP: {error}");
        }
    })
}

/// The thread that hears signals. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Signals {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
    _listeners: Vec<Listener>,
}

impl Signals {
    /// Without anything to be read again, SIGHUP is not listened to.
    pub(crate) fn listen(stopper: &Stopper, rereads: Rereads) -> Result<Self, StartError> {
        let refused = |error: std::io::Error| StartError::FailedToStart {
            supervisor: "foundation".into(),
            child: "signals".into(),
            source: Exit::NotSpawned(Arc::new(error)),
        };
        let hang_up = (!rereads.is_empty()).then_some(SIGHUP);
        let heard_of: Vec<_> = ENDS.into_iter().chain(hang_up).collect();
        // In this order: a signal that comes in between is heard, or ends the process.
        let mut signals = Listening::new(&heard_of).map_err(refused)?;
        let listeners = heard_of.iter().map(|signal| Listener::to(*signal)).collect::<Result<_, _>>();
        let listeners = listeners.map_err(refused)?;
        let handle = signals.handle();
        let stopper = stopper.clone();
        let hear = move || {
            let mut asked = None;
            for signal in signals.forever() {
                match signal {
                    SIGHUP => rereads.iter().for_each(|reread| reread()),
                    _ => asked = Some(heard(&stopper, signal, asked)),
                }
            }
        };
        let thread = sync::spawn("signals".into(), None, hear).map_err(refused)?;
        Ok(Self { handle, thread: Some(thread), _listeners: listeners })
    }
}

/// The first asks, at the moment that is returned; a later one insists. One that comes right after
/// the first is its echo: `timeout` and terminals signal a process and its group.
fn heard(stopper: &Stopper, signal: i32, asked: Option<Instant>) -> Instant {
    let now = Clock::system().now();
    if asked.is_some_and(|asked| now.duration_since(asked) > ECHO) {
        // It ends the process; where that is refused there is nothing left to try.
        let _ = emulate_default_handler(signal);
    }
    stopper.stop_because(signal_name(signal).unwrap_or("a signal"));
    asked.unwrap_or(now)
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// One of those who listen to a signal. While there are none, it does what it did before: it ends the
/// process. A handler cannot be taken back, only be told to do so.
#[derive(Debug)]
struct Listener {
    signal: i32,
}

/// For each signal that was ever listened to: how many listen, and what the handler looks at.
type Listeners = HashMap<i32, (usize, Arc<SignalFlag>)>;

static LISTENERS: OnceLock<Mutex<Listeners>> = OnceLock::new();

impl Listener {
    fn to(signal: i32) -> std::io::Result<Self> {
        let mut listeners = LISTENERS.get_or_init(Mutex::default).lock();
        let (count, nobody) = listeners.entry(signal).or_default();
        nobody.store(false, Ordering::SeqCst);
        // Nobody else holds it before the first time.
        if Arc::strong_count(nobody) == 1 {
            signal_hook::flag::register_conditional_default(signal, Arc::clone(nobody))?;
        }
        *count += 1;
        Ok(Self { signal })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let Some(listeners) = LISTENERS.get() else { return };
        if let Some((count, nobody)) = listeners.lock().get_mut(&self.signal) {
            *count -= 1;
            nobody.store(*count == 0, Ordering::SeqCst);
        }
    }
}
