//! Chaos: strikes a random parser, every so often, so that it crashes or hangs.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use underpin::{ChildSpec, Context, Exit, Init, Next, Service, child};

use crate::foreman::Crew;
use crate::parser::Place;

/// The only message: it is time.
pub(crate) struct Strike;

/// Where a place notes that it was struck.
type Mark = fn(&Place) -> &AtomicBool;

/// Strikes one parser after the other. It feels that while it handles its next line.
pub(crate) struct Chaos {
    crew: Arc<Crew>,
    mark: Mark,
    every: Duration,
    dice: RandomState,
    strikes: u64,
}

/// Describes the crashes of `--chaos` among the parsers of this crew.
pub(crate) fn crashes(crew: &Arc<Crew>, every: Duration) -> ChildSpec<Chaos> {
    spec("chaos", crew, |place| &place.crash, every)
}

/// Describes the hangs of `--hang`. A strike at a parser that hangs already is spent: its successor
/// begins unharmed.
pub(crate) fn hangs(crew: &Arc<Crew>, every: Duration) -> ChildSpec<Chaos> {
    spec("hangs", crew, |place| &place.hang, every)
}

fn spec(name: &str, crew: &Arc<Crew>, mark: Mark, every: Duration) -> ChildSpec<Chaos> {
    let crew = Arc::clone(crew);
    let chaos = move || Chaos { crew: Arc::clone(&crew), mark, every, dice: RandomState::new(), strikes: 0 };
    child(name, chaos).capacity(1)
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
        let places = self.crew.places();
        let chosen = self.dice.hash_one(self.strikes) % places.len() as u64;
        (self.mark)(&places[chosen as usize]).store(true, Ordering::Relaxed);
        cx.send_after(self.every, Strike);
        Ok(Next::Continue)
    }

    fn terminate(&mut self, _: &Exit) {
        for place in self.crew.places() {
            (self.mark)(&place).store(false, Ordering::Relaxed);
        }
    }

    fn label(_: &Strike) -> &'static str {
        "strike"
    }
}
