//! The last look: what the services of the pipeline have come to, kept for the last export of the metrics.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use underpin::telemetry::{Descriptor, Sheet, Telemetry};
use underpin::{ChildSpec, Context, Exit, Next, Service, SupervisorRef, child};

/// What the library counts of each service, under the same name.
const RESTARTS: Descriptor =
    Descriptor::counter("underpin.service.restarts", "How often its supervisor restarted it.");
/// As above.
const HANDLED: Descriptor = Descriptor::counter("underpin.service.handled", "Messages that were handled.");

/// Does nothing until it is stopped. Then it writes down how often each service of the pipeline was restarted and how
/// much it has handled. The last export comes when the pipeline has stopped, and then nobody else says so.
pub(crate) struct LastLook {
    pipeline: SupervisorRef,
    telemetry: Telemetry,
    found: Found,
}

/// What was found, once somebody has looked.
type Found = Arc<OnceLock<Vec<Total>>>;

/// What one service has come to.
struct Total {
    path: Arc<str>,
    restarts: u64,
    handled: u64,
}

/// Describes who takes the last look at this pipeline. To be stopped before it, when its queues are empty.
pub(crate) fn spec(pipeline: SupervisorRef, telemetry: &Telemetry) -> ChildSpec<LastLook> {
    let (telemetry, found) = (telemetry.clone(), Found::default());
    child("last-look", move || LastLook {
        pipeline: pipeline.clone(),
        telemetry: telemetry.clone(),
        found: Arc::clone(&found),
    })
    .capacity(1)
}

impl LastLook {
    /// One that is down has nothing to tell: then the pipeline gave up, and all ends.
    fn look(&self) -> Vec<Total> {
        let Ok(pipeline) = self.pipeline.inspect() else { return Vec::new() };
        let total = |node: &underpin::NodeInfo| Total {
            path: Arc::clone(&node.path),
            restarts: node.restarts,
            handled: node.handled,
        };
        pipeline.walk().skip(1).map(total).collect() // the first is the pipeline itself
    }
}

/// Of a name and labels that are written twice the last stand, and this is the last to write.
fn write(found: &Found, sheet: &mut Sheet) {
    for Total { path, restarts, handled } in found.get().into_iter().flatten() {
        let labels = [("service", &**path)];
        sheet.counter(&RESTARTS, &labels, *restarts);
        sheet.counter(&HANDLED, &labels, *handled);
    }
}

impl Service for LastLook {
    type Msg = Infallible;
    type Error = Infallible;

    fn init(&mut self, _: &mut Context<Self>) -> Result<underpin::Init, Infallible> {
        let found = Arc::clone(&self.found);
        self.telemetry.add_collector("last look", move |sheet| write(&found, sheet));
        Ok(underpin::Init::Ready)
    }

    fn handle(&mut self, msg: Infallible, _: &mut Context<Self>) -> Result<Next, Infallible> {
        match msg {}
    }

    fn terminate(&mut self, exit: &Exit) {
        if exit.is_calm() {
            let _ = self.found.set(self.look());
            self.telemetry.collect();
        }
    }
}
