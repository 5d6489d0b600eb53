use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::config::consent::Silence;
use crate::config::edits::Edits;
use crate::config::keep;
use crate::config::tree::Origin;
use crate::config::validate::{Checks, Validate};
use crate::service::context::Context;
use crate::service::incarnation::{Incarnation, Node};
use crate::service::service::{Next, Service};
use crate::supervisor::spec::child;

/// How long a test waits for what has to come.
const SOON: Duration = Duration::from_secs(10);

/// What a slow validation says, and hears.
static SLOW: Mutex<Option<(Sender<()>, Receiver<()>)>> = Mutex::new(None);

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Settings {
    quick: u64,
    slow: u64,
}

impl Validate for Settings {
    fn validate(&self, _: &mut Checks) {
        if self.slow == 0 {
            return;
        }
        if let Some((begun, go_on)) = SLOW.lock().expect("no panic").take() {
            begun.send(()).expect("somebody waits");
            go_on.recv_timeout(SOON).expect("it goes on");
        }
    }
}

fn board(kept: &std::path::Path) -> Board<Settings> {
    let defaults = Arc::new(Tree::of(&json!({"quick": 0, "slow": 0}), &Origin::Default));
    let sources =
        Sources::new((Arc::clone(&defaults), None), Vec::new(), None, Vec::new(), Some(kept.into()));
    sources.set_owes_kept(false);
    let (base, terms) = (Arc::clone(&defaults), Terms::default());
    let first = Draft::first(Target { base, edits: Arc::<Edits>::default() }, &terms);
    Board::new(Opening {
        first: first.expect("it is valid").into_current(None, Clock::SYSTEM.now()),
        terms,
        sources,
        degraded: None,
        defaults,
        history: (8, None),
        consent_timeout: SOON,
    })
}

fn set(path: &str, value: u64) -> Proposal {
    let updates = vec![(Path::parse(path).expect("a path"), Some(json!(value)))];
    Proposal::Edit { updates, expected: Some(1) }
}

#[test]
fn a_life_that_was_given_up_keeps_nothing_that_is_refused_in_the_end() {
    let file = std::env::temp_dir().join(format!("underpin-board-{}.json", std::process::id()));
    let board = Arc::new(board(&file));
    let ((begun, has_begun), (go_on, goes_on)) = (channel(), channel());
    *SLOW.lock().expect("no panic") = Some((begun, goes_on));
    let given_up = std::thread::spawn({
        let board = Arc::clone(&board);
        move || board.carry_out(&set("slow", 1), &Clock::SYSTEM)
    });
    has_begun.recv_timeout(SOON).expect("it begins");
    board.carry_out(&set("quick", 1), &Clock::SYSTEM).expect("a valid update");
    go_on.send(()).expect("it waits");
    let refused = given_up.join().expect("no panic");
    assert!(matches!(refused, Err(UpdateError::Conflict { expected: 1, present: 2 })), "{refused:?}");

    let bytes = std::fs::read(&file).expect("it was kept");
    std::fs::remove_file(&file).expect("it is there");
    let kept = keep::parse(&file.into(), &bytes).expect("what was written can be read");
    let kept: Vec<(String, Option<Value>)> =
        kept.iter().map(|(path, edit)| (path.to_string(), edit.value.clone())).collect();
    assert_eq!(kept, [("quick".to_owned(), Some(json!(1)))]);
}

// ---- on the thread of a life that was given up -------------------------------------------

fn given_up<R>(work: impl FnOnce() -> R) -> R {
    let life = Incarnation::new(Node::new("config".into()), 1, Clock::SYSTEM.now());
    life.abandon();
    scope::enter(&life, work)
}

#[test]
fn a_life_that_was_given_up_says_nothing_of_the_layers() {
    let board = board("given-up.json".as_ref());
    let outcome = given_up(|| board.reload(true, &Clock::SYSTEM));
    assert!(matches!(outcome, Err(UpdateError::Crashed)), "{outcome:?}");
    assert_eq!(board.degraded(), None, "its successor may have read them meanwhile");
    assert!(matches!(board.reload(true, &Clock::SYSTEM), Ok(Some(2))));
}

struct Juror;

impl Service for Juror {
    type Msg = ();
    type Error = std::convert::Infallible;

    fn handle(&mut self, (): (), _: &mut Context<Self>) -> Result<Next, Self::Error> {
        Ok(Next::Continue)
    }
}

/// Counts who is said not to have answered.
#[derive(Default)]
struct Unanswered(Mutex<u64>);

impl Sink for Unanswered {
    fn event(&self, event: &ConfigEvent) {
        if matches!(event, ConfigEvent::Unanswered { .. }) {
            *self.0.lock().expect("no panic") += 1;
        }
    }
}

#[test]
fn a_life_that_was_given_up_blames_nobody() {
    let board = board("given-up.json".as_ref());
    let (juror, sink) = (child("juror", || Juror), Arc::new(Unanswered::default()));
    board.set_sink(Arc::clone(&sink) as Arc<dyn Sink>);
    for silence in [Silence::Consents, Silence::Refuses] {
        board.jury.add(&juror.handle(), Path::TOP, silence, |_, reply| drop(reply));
        let outcome = given_up(|| board.carry_out(&set("quick", 1), &Clock::SYSTEM));
        assert!(matches!(outcome, Err(UpdateError::Crashed)), "{silence:?}: {outcome:?}");
    }
    assert_eq!(*sink.0.lock().expect("no panic"), 0);
}
