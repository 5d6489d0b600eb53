//! Chaos: strikes a random parser or forwarder, every so often, so that it crashes or hangs.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use underpin::{ChildSpec, Context, Exit, Init, Next, Service, child};

use crate::foreman::Crew;
use crate::forward::Forwarding;
use crate::parser::Place;

/// What a crash by chaos says. It is not reported.
pub(crate) const CHAOS: &str = "chaos";

/// The only message: it is time.
pub(crate) struct Strike;

/// Whom it strikes, and where they note it.
#[derive(Clone)]
enum Target {
    Parsers(Arc<Crew>, fn(&Place) -> &AtomicBool),
    Forwarders(Arc<Forwarding>),
}

impl Target {
    /// Does something with the marks of all.
    fn with_marks(&self, work: impl FnOnce(&[&AtomicBool])) {
        match self {
            Self::Parsers(crew, mark) => {
                let places = crew.places();
                work(&places.iter().map(|place| mark(place)).collect::<Vec<_>>());
            }
            Self::Forwarders(forwarding) => work(&forwarding.marks().collect::<Vec<_>>()),
        }
    }
}

/// Strikes one after the other. It feels that while it handles its next line.
pub(crate) struct Chaos {
    target: Target,
    every: Duration,
    dice: RandomState,
    strikes: u64,
}

/// Describes the crashes of `--chaos` among the parsers of this crew.
pub(crate) fn crashes(crew: &Arc<Crew>, every: Duration) -> ChildSpec<Chaos> {
    spec("chaos", Target::Parsers(Arc::clone(crew), |place| &place.crash), every)
}

/// Describes the hangs of `--hang`. A strike at a parser that hangs already is spent: its successor
/// begins unharmed.
pub(crate) fn hangs(crew: &Arc<Crew>, every: Duration) -> ChildSpec<Chaos> {
    spec("hangs", Target::Parsers(Arc::clone(crew), |place| &place.hang), every)
}

/// Describes the crashes of `--chaos-forward` among the forwarders.
pub(crate) fn forwarder_crashes(forwarding: &Arc<Forwarding>, every: Duration) -> ChildSpec<Chaos> {
    spec("chaos-forward", Target::Forwarders(Arc::clone(forwarding)), every)
}

fn spec(name: &str, target: Target, every: Duration) -> ChildSpec<Chaos> {
    let chaos = move || Chaos { target: target.clone(), every, dice: RandomState::new(), strikes: 0 };
    child(name, chaos).capacity(1)
}

/// The crash point: whoever was struck crashes here, once.
pub(crate) fn crash_if_struck(mark: &AtomicBool) {
    if is_struck(mark) {
        // Not `panic!`: that would print a message for each.
        resume_unwind(Box::new(CHAOS));
    }
}

/// Whether it was struck since it was asked last.
pub(crate) fn is_struck(mark: &AtomicBool) -> bool {
    mark.load(Ordering::Relaxed) && mark.swap(false, Ordering::Relaxed)
}

impl Service for Chaos {
    type Msg = Strike;
    type Error = Infallible;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Infallible> {
        cx.send_after(self.every, Strike);
        Ok(Init::Ready)
    }

    fn handle(&mut self, Strike: Strike, cx: &mut Context<Self>) -> Result<Next, Infallible> {
        self.strikes += 1;
        let dice = self.dice.hash_one(self.strikes);
        self.target.with_marks(|marks| {
            let chosen = dice % marks.len() as u64;
            marks[chosen as usize].store(true, Ordering::Relaxed);
        });
        cx.send_after(self.every, Strike);
        Ok(Next::Continue)
    }

    fn terminate(&mut self, _: &Exit) {
        self.target.with_marks(|marks| marks.iter().for_each(|mark| mark.store(false, Ordering::Relaxed)));
    }

    fn label(_: &Strike) -> &'static str {
        "strike"
    }
}
