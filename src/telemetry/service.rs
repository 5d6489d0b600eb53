//! The telemetry's services: one asks collectors and forgets old series, one calls deferred handlers.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::limits::DEFAULT_DEFERRED;
use super::telemetry::Hub;
use crate::service::context::Context;
use crate::service::exit::Exit;
use crate::service::service::{Init, Next, Service};
use crate::sync::{AtomicBool, Ordering};

/// The thread that asks collectors, as [`Telemetry::supervisor`](super::Telemetry::supervisor) describes it.
///
/// It keeps nothing: what was counted is where it was counted, and what collectors said last stands until they are asked
/// again.
pub(crate) struct TelemetryService {
    hub: Arc<Hub>,
    /// Whether somebody will tell when this child is gone for good.
    is_watched: Arc<AtomicBool>,
}

pub(crate) struct Tick;

impl TelemetryService {
    pub(crate) fn new(hub: Arc<Hub>, is_watched: Arc<AtomicBool>) -> Self {
        Self { hub, is_watched }
    }

    /// The telemetry has ended when no child of it is there any more, in whatever tree.
    fn watch(&self, cx: &Context<Self>) {
        if self.is_watched.swap(true, Ordering::AcqRel) {
            return;
        }
        self.hub.open();
        let (hub, is_watched) = (Arc::clone(&self.hub), Arc::clone(&self.is_watched));
        let gone = move |_| {
            is_watched.store(false, Ordering::Release);
            hub.close();
        };
        cx.handle().core().watchers.add(Box::new(gone));
    }

    fn work(&self) {
        self.hub.collect(None);
        self.hub.sweep();
    }
}

impl Service for TelemetryService {
    type Msg = Tick;
    type Error = Infallible;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Infallible> {
        self.watch(cx);
        // Not here: a collector may ask the tree, which waits for this.
        cx.send_after(Duration::ZERO, Tick);
        Ok(Init::Ready)
    }

    fn handle(&mut self, Tick: Tick, cx: &mut Context<Self>) -> Result<Next, Infallible> {
        self.work();
        cx.send_after(self.hub.recipe.tick, Tick);
        Ok(Next::Continue)
    }

    fn terminate(&mut self, _: &Exit) {
        self.hub.collect(None);
    }

    fn label(_: &Tick) -> &'static str {
        "tick"
    }
}

/// The thread that calls deferred handlers. They may take as long as they like: nobody waits for it.
pub(crate) struct Hand {
    hub: Arc<Hub>,
}

/// Somebody may have something for it.
pub(crate) struct Run;

/// So many executions are told before it looks whether it is to stop.
const AT_ONCE: usize = 64;

impl Hand {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    /// Where more may wait it calls itself, if nobody else has: one call at most is under way.
    fn run(&self, cx: &mut Context<Self>) {
        if self.hub.dispatch.run_deferred(AT_ONCE) == AT_ONCE && self.hub.dispatch.claims_wake() {
            cx.send_after(Duration::ZERO, Run);
        }
    }
}

impl Service for Hand {
    type Msg = Run;
    type Error = Infallible;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Infallible> {
        self.hub.lend(cx.handle());
        cx.send_after(Duration::ZERO, Run); // a call to the one before may have been lost with it
        Ok(Init::Ready)
    }

    fn handle(&mut self, Run: Run, cx: &mut Context<Self>) -> Result<Next, Infallible> {
        self.run(cx);
        Ok(Next::Continue)
    }

    /// What is there, if it is not more than fits in.
    fn terminate(&mut self, _: &Exit) {
        self.hub.dispatch.run_deferred(DEFAULT_DEFERRED);
    }

    fn label(_: &Run) -> &'static str {
        "run"
    }
}
