//! What the tests of configurations share: settings, a tree around their service, a service that is
//! asked and told.
#![allow(dead_code)] // each test crate uses a part of it

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use underpin::config::{
    Changes, Checks, Config, Layers, Notice, Proposed, Registration, Settings, Silence, UpdateError,
    Validate, Verdict,
};
use underpin::{ChildSpec, Context, Handle, Next, Reply, Service, Supervisor, SupervisorHandle, child};

use super::common::{Latch, Log, panic_quietly, patient};

/// The name over which a [`saboteur`] crashes the config service.
pub(crate) const BOOM: &str = "boom";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct App {
    pub(crate) name: String,
    pub(crate) workers: u64,
    pub(crate) limits: Limits,
    #[serde(default)]
    pub(crate) hosts: BTreeMap<String, u64>,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

impl Validate for App {
    fn validate(&self, checks: &mut Checks) {
        checks.within("workers", self.workers, 1..=1_000_000);
        checks.nested("limits", &self.limits);
    }
}

impl Validate for Limits {
    fn validate(&self, checks: &mut Checks) {
        checks.that("soft", self.soft <= self.hard, "at most `hard`");
    }
}

pub(crate) fn app() -> App {
    let limits = Limits { soft: 10, hard: 20 };
    App { name: "app".into(), workers: 2, limits, hosts: BTreeMap::new(), tags: Vec::new() }
}

pub(crate) fn layers() -> Layers {
    Layers::new().defaults(app())
}

pub(crate) fn load(layers: Layers) -> Config<App> {
    layers.load().expect("the layers are valid")
}

/// A configuration whose service runs.
pub(crate) fn running(layers: Layers) -> (Config<App>, SupervisorHandle) {
    let config = load(layers);
    let tree = start(patient("tree"), &config);
    (config, tree)
}

pub(crate) fn start<T: Settings>(tree: Supervisor, config: &Config<T>) -> SupervisorHandle {
    tree.child(config.child()).start().expect("the tree starts")
}

/// Crashes the config service over an update of the name to [`BOOM`].
pub(crate) struct Saboteur {
    asked: Registration,
    _nobody: ChildSpec<Clerk>,
}

/// One, until it is dropped.
pub(crate) fn saboteur(config: &Config<App>) -> Saboteur {
    // What makes the question runs on the thread of the config service; the juror never does.
    let nobody = child("nobody", || Clerk::juror(|_, _| ()));
    let asked = config.ask_before("name", &nobody.handle(), Silence::Refuses, |proposed, reply| {
        if proposed.changes.iter().any(|change| change.new == Some(BOOM.into())) {
            panic_quietly("boom");
        }
        reply.send(Ok(()));
        Letter::Nothing
    });
    Saboteur { asked: asked.expect("a path"), _nobody: nobody }
}

/// Crashes the config service with an update in hand.
#[track_caller]
pub(crate) fn crash(config: &Config<App>) {
    let saboteur = saboteur(config);
    let crashed = config.update("name", BOOM).expect_err("nothing comes of it");
    assert!(matches!(crashed, UpdateError::Crashed), "{crashed}");
    saboteur.asked.cancel();
}

pub(crate) fn soft_and_hard(soft: u64, hard: u64) -> Changes {
    Changes::new().set("limits.soft", soft).set("limits.hard", hard)
}

// ---- a service that is asked and told ----------------------------------------------------

/// What a [`Clerk`] is told, and asked.
pub(crate) enum Letter {
    Told(Notice),
    Asked(Arc<Proposed>, Reply<Verdict>),
    /// Tells that it is there, and stays until the second latch opens.
    Stay(Latch, Latch),
    Crash,
    Nothing,
    Ping(Reply<()>),
    Update(Box<dyn FnOnce() -> Result<u64, UpdateError> + Send>, Reply<bool>),
}

type Answer = Arc<dyn Fn(&Proposed, Reply<Verdict>) + Send + Sync>;

/// Passes on what it is told, and answers what it is asked.
pub(crate) struct Clerk {
    heard: Log<Notice>,
    answer: Answer,
}

impl Clerk {
    pub(crate) fn listener(heard: &Log<Notice>) -> Self {
        Self { heard: heard.clone(), answer: Arc::new(|_, reply| reply.send(Ok(()))) }
    }

    pub(crate) fn juror(answer: impl Fn(&Proposed, Reply<Verdict>) + Send + Sync + 'static) -> Self {
        Self { heard: Log::new(), answer: Arc::new(answer) }
    }
}

impl Service for Clerk {
    type Msg = Letter;
    type Error = Infallible;

    fn handle(&mut self, letter: Letter, _: &mut Context<Self>) -> Result<Next, Infallible> {
        match letter {
            Letter::Told(notice) => self.heard.push(notice),
            Letter::Asked(proposed, reply) => (self.answer)(&proposed, reply),
            Letter::Stay(inside, release) => {
                inside.open();
                release.wait();
            }
            Letter::Crash => panic_quietly("as told"),
            Letter::Nothing => {}
            Letter::Ping(reply) => reply.send(()),
            Letter::Update(update, reply) => reply.send(update().is_ok()),
        }
        Ok(Next::Continue)
    }
}

/// Has a clerk wait in its handler; it goes on when the latch opens.
#[track_caller]
pub(crate) fn hold(clerk: &Handle<Letter>) -> Latch {
    let (inside, release) = (Latch::new(), Latch::new());
    assert!(clerk.cast(Letter::Stay(inside.clone(), release.clone())).is_ok());
    inside.wait();
    release
}
