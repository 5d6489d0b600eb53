//! The medic: what the program does about parsers that hang. Their supervisor reports them and no
//! more.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use underpin::{
    ChildSpec, Context, Lifecycle, Next, NodeInfo, Overflow, RecycleChildError, Reply, Service,
    SupervisorRef, child,
};

use crate::hang::STUCK;

/// More reports than this do not wait: each parser is reported once for a line.
const QUEUE: usize = 256;
/// How often it looks again, while anybody hangs.
const AGAIN: Duration = Duration::from_millis(50);

/// What the medic is told.
pub(crate) enum Msg {
    /// This incarnation has been at one line for too long.
    Stuck { name: Arc<str>, epoch: u64 },
    /// Look again.
    Look,
    /// Answer when no parser hangs any more. Threads that were given up may.
    Calm(Reply<()>),
}

/// Has parsers that hang recycled: they are asked to stop, and given up if they do not. As long as too
/// many have been given up and have not come back, the others wait for that.
///
/// It says so on stderr when the first is given up, when one has to wait, and when all are back.
pub(crate) struct Medic {
    pipeline: SupervisorRef,
    patients: Vec<Patient>,
    /// Threads that were given up and are not back.
    away: usize,
    is_full: bool,
    looks_again: bool,
    asked: Vec<Reply<()>>,
}

struct Patient {
    name: Arc<str>,
    epoch: u64,
}

/// Describes the medic. It lives as long as the pipeline: what hangs while all else stops holds the
/// stop up.
pub(crate) fn spec(pipeline: SupervisorRef) -> ChildSpec<Medic> {
    child("medic", move || Medic {
        pipeline: pipeline.clone(),
        patients: Vec::new(),
        away: 0,
        is_full: false,
        looks_again: false,
        asked: Vec::new(),
    })
    .capacity(QUEUE)
    .overflow(Overflow::Reject)
}

impl Medic {
    /// Sees to all that hang, one after the other, and says what has changed.
    fn make_a_round(&mut self) {
        let Ok(pipeline) = self.pipeline.inspect() else { return };
        self.patients.retain(|patient| patient.is_stuck(&pipeline));
        let treated = self.patients.iter().take_while(|patient| treat(&self.pipeline, patient)).count();
        self.patients.drain(..treated);
        self.tell_who_waits();
        self.tell_who_is_away();
        if self.is_calm() {
            self.asked.drain(..).for_each(|reply| reply.send(()));
        }
    }

    fn is_calm(&self) -> bool {
        self.patients.is_empty()
    }

    fn tell_who_waits(&mut self) {
        let waits = self.patients.first();
        if let Some(Patient { name, .. }) = waits
            && !self.is_full
        {
            eprintln!("collector: {name} hangs and has to: too many were given up. Its lines wait");
        }
        self.is_full = waits.is_some();
    }

    fn tell_who_is_away(&mut self) {
        let away = self.pipeline.inspect().ok().and_then(|pipeline| Some(pipeline.supervisor?.abandoned));
        let Some(away) = away else { return };
        match (self.away, away) {
            (0, 1..) => eprintln!("collector: a parser hangs and was given up, another has its queue"),
            (1.., 0) => eprintln!("collector: all that hung are back"),
            _ => {}
        }
        self.away = away;
    }

    fn look_again(&mut self, cx: &mut Context<Self>) {
        let has_to = !self.is_calm() || self.away > 0 || !self.asked.is_empty();
        if has_to && !self.looks_again {
            self.looks_again = true;
            cx.send_after(AGAIN, Msg::Look);
        }
    }
}

impl Patient {
    /// Whether it is still as it was reported, or down because it could not be started again.
    fn is_stuck(&self, pipeline: &NodeInfo) -> bool {
        let Some(node) = pipeline.children.iter().find(|node| node.name == self.name) else { return false };
        let is_busy = node.current.as_ref().is_some_and(|current| current.busy >= STUCK);
        node.epoch == self.epoch && is_busy || is_down(node.state)
    }
}

fn is_down(state: Lifecycle) -> bool {
    matches!(state, Lifecycle::Stopped | Lifecycle::Failed)
}

/// Gives the patient's child another incarnation. `false` if that has to wait.
fn treat(pipeline: &SupervisorRef, patient: &Patient) -> bool {
    match pipeline.recycle_child(&patient.name) {
        Err(RecycleChildError::TooManyAbandoned { .. } | RecycleChildError::FailedToStart { .. }) => false,
        Err(RecycleChildError::NotRunning { state, .. }) if is_down(state) => {
            pipeline.restart_child(&patient.name).is_ok()
        }
        // It is in another life by now, or everything stops.
        Ok(()) | Err(_) => true,
    }
}

impl Service for Medic {
    type Msg = Msg;
    type Error = Infallible;

    fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<Next, Infallible> {
        match msg {
            Msg::Stuck { name, epoch } => self.patients.push(Patient { name, epoch }),
            Msg::Look => self.looks_again = false,
            Msg::Calm(reply) => self.asked.push(reply),
        }
        self.make_a_round();
        self.look_again(cx);
        Ok(Next::Continue)
    }

    fn label(msg: &Msg) -> &'static str {
        match msg {
            Msg::Stuck { .. } => "stuck",
            Msg::Look => "look",
            Msg::Calm(_) => "calm",
        }
    }
}
