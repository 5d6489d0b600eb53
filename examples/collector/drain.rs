//! The drain: lets the queues run empty between the stop of `intake` and that of `pipeline`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use underpin::{ChildSpec, Context, Deadline, Exit, Handle, Next, Reply, Service, child};

use crate::foreman::Crew;
use crate::forward::{self, Forwarding};
use crate::{medic, parser, router, sink};

/// How long the queues may take.
pub(crate) const LONGEST: Duration = Duration::from_secs(30);
/// What is left for the rest of its stop.
const MARGIN: Duration = Duration::from_secs(2);

/// Does nothing until it is stopped. Then it asks each parser, and after them the sink, to answer
/// when all before that is done. The answers come in order, so nothing is left behind. Then it has what waits to be
/// forwarded done, as far as the sink downstream takes it in time.
///
/// It is asked of children that still run and are still restarted: a parser that crashes even now
/// costs one line and not its queue.
pub(crate) struct Drain {
    crew: Arc<Crew>,
    sink: Handle<sink::Msg>,
    medic: Option<Handle<medic::Msg>>,
    forwarding: Option<Arc<Forwarding>>,
}

/// Describes the drain. With a medic, it also waits until no parser hangs.
pub(crate) fn spec(
    crew: Arc<Crew>,
    sink: Handle<sink::Msg>,
    medic: Option<Handle<medic::Msg>>,
    forwarding: Option<Arc<Forwarding>>,
) -> ChildSpec<Drain> {
    let drain = move || Drain {
        crew: Arc::clone(&crew),
        sink: sink.clone(),
        medic: medic.clone(),
        forwarding: forwarding.clone(),
    };
    child("drain", drain).capacity(1).shutdown(LONGEST + forward::FAREWELL + MARGIN)
}

impl Service for Drain {
    type Msg = Infallible;
    type Error = Infallible;

    fn handle(&mut self, msg: Infallible, _: &mut Context<Self>) -> Result<Next, Infallible> {
        match msg {}
    }

    fn terminate(&mut self, _: &Exit) {
        let until = Deadline::after(LONGEST);
        for parser in self.crew.parsers() {
            wait_for(&parser, until, parser::Msg::Barrier);
        }
        wait_for(&self.sink, until, sink::Msg::Barrier);
        if let Some(medic) = &self.medic {
            wait_for(medic, until, medic::Msg::Calm);
        }
        if let Some(forwarding) = &self.forwarding {
            forwarding.end();
        }
    }
}

fn wait_for<M: Send + 'static>(child: &Handle<M>, until: Deadline, barrier: fn(Reply<()>) -> M) {
    if let Err(error) = router::wait_for(child, until, barrier) {
        eprintln!("collector: drain: {error}");
    }
}
