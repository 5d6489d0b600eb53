//! Tells systemd how the program does. Feature `systemd`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

use super::board::ModeReader;
use super::herald::{Herald, Word};
use super::verdict::Health;
use super::view::View;
use crate::error::complain;
use crate::service::context::Context;
use crate::service::exit::Exit;
use crate::service::handle::Handle;
use crate::service::incarnation::told;
use crate::service::service::{Init, Next, Service};
use crate::supervisor::spec::{ChildSpec, child};

/// How often is looked whether there is something to say.
const TICK: Duration = Duration::from_secs(1);
/// How long its thread is waited for: a manager that does not read may hold up whoever writes.
const GRACE: Duration = Duration::from_secs(1);

/// The service that tells systemd. A thread of its own: whoever holds it up, holds up nobody else.
pub(crate) struct SystemdService {
    view: Arc<View>,
    own: Option<Handle<Due>>,
    herald: Herald,
    is_failing: bool,
}

/// It is time to look.
pub(crate) struct Due;

pub(crate) fn child_of(view: &Arc<View>) -> ChildSpec<SystemdService> {
    let view = Arc::clone(view);
    child("systemd", move || SystemdService::new(Arc::clone(&view))).shutdown(GRACE)
}

impl SystemdService {
    fn new(view: Arc<View>) -> Self {
        let herald = Herald::new(sd_notify::watchdog_enabled());
        Self { view, own: None, herald, is_failing: false }
    }

    fn look(&mut self, cx: &mut Context<Self>) {
        let is_ready = self.view.readiness().health <= Health::Degraded;
        let is_alive = self.view.liveness().health != Health::Unhealthy;
        let mode = ModeReader::new(self.view.board.mode()).get();
        let status = format!("mode {mode}, {}", self.view.health());
        let words = self.herald.step(cx.now(), is_ready, is_alive, &status);
        self.say(&words);
        let next = cx.now() + TICK;
        let due = self.herald.next_deadline().filter(|due| *due > cx.now());
        cx.send_at(due.map_or(next, |due| due.min(next)), Due);
    }

    fn say(&mut self, words: &[Word]) {
        let states: Vec<_> = words.iter().map(state).collect();
        if !states.is_empty() {
            self.send(&states);
        }
    }

    /// A failure is logged once, until it works again.
    fn send(&mut self, states: &[NotifyState<'_>]) {
        let sent = sd_notify::notify(states);
        let was_failing = std::mem::replace(&mut self.is_failing, sent.is_err());
        if let Err(error) = sent
            && !was_failing
        {
            complain(format_args!("systemd cannot be told {states:?}: {error}"));
        }
    }

    /// Whether nobody starts it again.
    fn ends_for_good(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.core().incarnation().told() & told::FOR_GOOD != 0)
    }
}

fn state(word: &Word) -> NotifyState<'_> {
    match word {
        Word::Ready => NotifyState::Ready,
        Word::Status(text) => NotifyState::Status(text),
        Word::Watchdog => NotifyState::Watchdog,
    }
}

impl Service for SystemdService {
    type Msg = Due;
    type Error = Infallible;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Infallible> {
        self.own = Some(cx.handle());
        cx.send_after(Duration::ZERO, Due);
        Ok(Init::Ready)
    }

    fn handle(&mut self, _: Due, cx: &mut Context<Self>) -> Result<Next, Infallible> {
        self.look(cx);
        Ok(Next::Continue)
    }

    fn terminate(&mut self, _: &Exit) {
        if self.ends_for_good() {
            self.send(&[NotifyState::Stopping]);
        }
    }
}
