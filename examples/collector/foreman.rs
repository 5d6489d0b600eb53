//! The foreman: has as many parsers as the settings say, while lines flow.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use underpin::config::Config;
use underpin::{
    ChildSpec, Context, Deadline, Handle, Init, Next, Overflow, Service, Supervisor, SupervisorRef,
    TerminateChildError, child,
};

use crate::desk::Desk;
use crate::parser::{self, Parser, Place};
use crate::router::{self, Router};
use crate::settings::Settings;

/// How long a parser that goes may take to finish what it has, before he comes back later.
const PATIENCE: Duration = Duration::from_secs(2);
/// When he comes back.
const LATER: Duration = Duration::from_secs(1);
/// How long his own stop may take: he may be waiting for a parser.
const GRACE: Duration = Duration::from_secs(10);

/// What the foreman is told.
pub(crate) enum Msg {
    /// There may be something to do.
    Look,
    /// He comes back to what he could not do before.
    LookAgain,
}

/// All parsers that run: those that get lines, and behind them those that are about to go. It outlives the
/// foreman's incarnations.
pub(crate) struct Crew {
    members: Mutex<Vec<Member>>,
    hire: Box<Hire>,
}

/// What describes the parser of a number, at a place of its own.
type Hire = dyn Fn(usize) -> (ChildSpec<Parser>, Arc<Place>) + Send + Sync;

struct Member {
    place: Arc<Place>,
    handle: Handle<parser::Msg>,
}

impl Crew {
    /// Nobody, at first.
    pub(crate) fn new(
        hire: impl Fn(usize) -> (ChildSpec<Parser>, Arc<Place>) + Send + Sync + 'static,
    ) -> Self {
        Self { members: Mutex::default(), hire: Box::new(hire) }
    }

    /// One more, once `start` has taken it.
    pub(crate) fn hire<E>(&self, start: impl FnOnce(ChildSpec<Parser>) -> Result<(), E>) -> Result<(), E> {
        let (spec, place) = (self.hire)(self.lock().len());
        let handle = spec.handle();
        start(spec)?;
        self.lock().push(Member { place, handle });
        Ok(())
    }

    /// One more, among the first.
    pub(crate) fn hire_into(&self, pipeline: Supervisor) -> Supervisor {
        let mut pipeline = Some(pipeline);
        let taken = self.hire(|spec| {
            pipeline = pipeline.take().map(|pipeline| pipeline.child(spec));
            Ok::<(), Infallible>(())
        });
        let (Ok(()), Some(pipeline)) = (taken, pipeline) else { unreachable!("it takes it") };
        pipeline
    }

    pub(crate) fn parsers(&self) -> Vec<Handle<parser::Msg>> {
        self.lock().iter().map(|member| member.handle.clone()).collect()
    }

    pub(crate) fn places(&self) -> Vec<Arc<Place>> {
        self.lock().iter().map(|member| Arc::clone(&member.place)).collect()
    }

    pub(crate) fn desks(&self) -> Vec<Arc<Desk>> {
        self.lock().iter().map(|member| Arc::clone(&member.place.desk)).collect()
    }

    /// The last one is gone. What he left on his desk is lost.
    fn forget_last(&self) {
        let last = self.lock().pop();
        if let Some(Member { place, .. }) = last {
            place.desk.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts parsers and lets them go. One that is to go first finishes what it has, and that nobody sends to
/// it any more is certain then: see [`router`].
pub(crate) struct Foreman {
    crew: Arc<Crew>,
    pipeline: SupervisorRef,
    router: Router,
    config: Config<Settings>,
    comes_back: bool,
    /// He has said that one who is to go is not done yet.
    comes_back_for_one: bool,
    /// How many there were when he last said so.
    told: usize,
}

/// Describes the foreman of the parsers below `pipeline`. He is told when their number is set.
pub(crate) fn spec(
    crew: &Arc<Crew>,
    pipeline: SupervisorRef,
    router: &Router,
    config: &Config<Settings>,
) -> Result<ChildSpec<Foreman>, String> {
    let (crew, router_of_his, config_of_his) = (Arc::clone(crew), router.clone(), config.clone());
    let spec = child("foreman", move || Foreman {
        crew: Arc::clone(&crew),
        pipeline: pipeline.clone(),
        router: router_of_his.clone(),
        config: config_of_his.clone(),
        comes_back: false,
        comes_back_for_one: false,
        told: crew.parsers().len(),
    })
    .overflow(Overflow::Reject)
    .shutdown(GRACE);
    router.employ(spec.handle());
    let told = config.subscribe_service("workers", &spec.handle(), |_| Msg::Look);
    told.map(|_| spec).map_err(|error| error.to_string())
}

impl Foreman {
    /// Does what is to be done. `false` if something is left for later.
    fn look(&mut self) -> bool {
        let wanted = self.config.load().workers;
        if !self.have(wanted) {
            return false;
        }
        let mut parsers = self.crew.parsers();
        parsers.truncate(wanted);
        self.router.publish(parsers);
        self.let_go(self.router.in_use())
    }

    /// Says on stderr how many there are, if that has changed and is what is wanted.
    fn tell(&mut self) {
        let present = self.crew.parsers().len();
        if present != self.told && present == self.config.load().workers {
            self.told = present;
            eprintln!("collector: {present} {}", if present == 1 { "parser" } else { "parsers" });
        }
    }

    /// Starts those who are missing.
    fn have(&self, wanted: usize) -> bool {
        while self.crew.parsers().len() < wanted {
            if let Err(error) = self.crew.hire(|spec| self.pipeline.start_child(spec).map(drop)) {
                eprintln!("collector: foreman: {error}");
                return false;
            }
        }
        true
    }

    /// Lets all go but the first so many, the last one first.
    fn let_go(&mut self, but: usize) -> bool {
        let parsers = self.crew.parsers();
        let surplus = parsers.iter().skip(but).rev();
        for parser in surplus {
            if !self.let_one_go(parser) {
                return false;
            }
            self.crew.forget_last();
        }
        true
    }

    /// Some who sent to it may have ended since, and their lines are still in its queue.
    fn let_one_go(&mut self, parser: &Handle<parser::Msg>) -> bool {
        if !router::is_done(parser, Deadline::after(PATIENCE)) {
            if !self.comes_back_for_one {
                eprintln!("collector: {} is to go, and still has lines", parser.name());
            }
            self.comes_back_for_one = true;
            return false;
        }
        self.comes_back_for_one = false;
        match self.pipeline.terminate_child(parser.name()) {
            Ok(()) => self.pipeline.delete_child(parser.name()).is_ok(),
            Err(error) => matches!(error, TerminateChildError::NotFound { .. }),
        }
    }
}

impl Service for Foreman {
    type Msg = Msg;
    type Error = Infallible;

    /// What he is told while he is down comes to nothing, so he looks.
    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Infallible> {
        cx.send_after(Duration::ZERO, Msg::Look);
        Ok(Init::Ready)
    }

    fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<Next, Infallible> {
        self.comes_back &= matches!(msg, Msg::Look);
        let is_done = self.look();
        self.tell();
        if !is_done && !self.comes_back {
            self.comes_back = true;
            cx.send_after(LATER, Msg::LookAgain);
        }
        Ok(Next::Continue)
    }

    fn label(msg: &Msg) -> &'static str {
        match msg {
            Msg::Look => "look",
            Msg::LookAgain => "look again",
        }
    }
}
