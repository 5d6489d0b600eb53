//! The drain: lets the queues run empty between the stop of `intake` and that of `pipeline`.

use std::convert::Infallible;
use std::time::Duration;

use underpin::{CallError, ChildSpec, Context, Deadline, Exit, Handle, Next, Reply, Service, child};

use crate::router::Router;
use crate::{medic, parser, sink};

/// How long the queues may take.
pub(crate) const LONGEST: Duration = Duration::from_secs(30);
/// What is left for the rest of its stop.
const MARGIN: Duration = Duration::from_secs(2);

/// Does nothing until it is stopped. Then it asks each parser, and after them the sink, to answer
/// when all before that is done. The answers come in order, so nothing is left behind.
///
/// It is asked of children that still run and are still restarted: a parser that crashes even now
/// costs one line and not its queue.
pub(crate) struct Drain {
    router: Router,
    sink: Handle<sink::Msg>,
    medic: Option<Handle<medic::Msg>>,
}

/// Describes the drain. With a medic, it also waits until no parser hangs.
pub(crate) fn spec(
    router: Router,
    sink: Handle<sink::Msg>,
    medic: Option<Handle<medic::Msg>>,
) -> ChildSpec<Drain> {
    child("drain", move || Drain { router: router.clone(), sink: sink.clone(), medic: medic.clone() })
        .capacity(1)
        .shutdown(LONGEST + MARGIN)
}

impl Service for Drain {
    type Msg = Infallible;
    type Error = Infallible;

    fn handle(&mut self, msg: Infallible, _: &mut Context<Self>) -> Result<Next, Infallible> {
        match msg {}
    }

    fn terminate(&mut self, _: &Exit) {
        let until = Deadline::after(LONGEST);
        for parser in self.router.parsers() {
            wait_for(parser, until, parser::Msg::Barrier);
        }
        wait_for(&self.sink, until, sink::Msg::Barrier);
        if let Some(medic) = &self.medic {
            wait_for(medic, until, medic::Msg::Calm);
        }
    }
}

/// Waits until everything that was sent to this child before is handled.
fn wait_for<M: Send + 'static>(child: &Handle<M>, until: Deadline, barrier: fn(Reply<()>) -> M) {
    loop {
        match child.call_by(until, barrier) {
            Ok(()) => return,
            // Its mailbox was full for a second, or it was given up just when it took this up.
            Err(CallError::NotSent(_) | CallError::Crashed { .. })
                if !until.has_passed(std::time::Instant::now()) => {}
            Err(error) => {
                eprintln!("collector: drain: {error}");
                return;
            }
        }
    }
}
