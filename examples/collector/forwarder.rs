//! A forwarder: takes lines from its backlog to the sink downstream, one after the other.

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use underpin::config::Reader;
use underpin::resilience::{Fault, PolicyContext, PolicyError};
use underpin::{ChildSpec, Context, Exit, Init, Next, Overflow, Service, TimerRef, child};

use crate::backlog::{Backlog, Delivery, Taken};
use crate::chaos::crash_if_struck;
use crate::forward::Forwarding;
use crate::link::{Limits, Link};
use crate::settings::Settings;

/// After so long, and the line in hand, it looks whether it is told anything.
const TURN: Duration = Duration::from_millis(20);
/// When it comes back to a line that was refused, if nobody says when that is of use.
const LATER: Duration = Duration::from_millis(100);
/// One message says that there are lines, however many there are.
const QUEUE: usize = 8;

/// What a forwarder is told.
#[derive(Debug)]
pub(crate) enum Msg {
    /// There are lines.
    Look,
    /// It comes back to what it has left.
    Again,
    /// The settings have changed.
    Settings,
    /// The end has come: what can be tried is to be tried now.
    Hurry,
}

/// Runs each line through the policy. One that the policy refuses for now, since the breaker is open or there were too
/// many, stays the next until it is let through or too old; meanwhile the forwarder rests. So does one of which a part is
/// written already, for as long as its connection lasts.
pub(crate) struct Forwarder {
    forwarding: Arc<Forwarding>,
    backlog: Arc<Backlog>,
    settings: Reader<Settings>,
    link: Link,
    /// When it comes back.
    rest: Option<TimerRef>,
    /// It has said that the sink does not take lines.
    has_complained: bool,
}

/// Describes the forwarder of this backlog. It is told of changes of the settings.
///
/// # Errors
///
/// One line that says why it cannot be told.
pub(crate) fn spec(
    index: usize,
    forwarding: &Arc<Forwarding>,
    backlog: &Arc<Backlog>,
) -> Result<ChildSpec<Forwarder>, String> {
    let (of_it, waiting) = (Arc::clone(forwarding), Arc::clone(backlog));
    let spec = child(format!("forwarder-{index}"), move || {
        waiting.sit_down();
        Forwarder {
            forwarding: Arc::clone(&of_it),
            backlog: Arc::clone(&waiting),
            settings: of_it.config.reader(),
            link: Link::new(of_it.address),
            rest: None,
            has_complained: false,
        }
    })
    .capacity(QUEUE)
    .overflow(Overflow::Reject);
    backlog.employ(spec.handle());
    let told = forwarding.config.subscribe_service("forward", &spec.handle(), |_| Msg::Settings);
    told.map(|_| spec).map_err(|error| error.to_string())
}

/// How it goes on after a line.
enum Step {
    /// With the next.
    Next,
    /// There is none; it is woken.
    Idle,
    /// With the same one, after a while.
    Rest(Duration),
}

impl Forwarder {
    /// Forwards some lines. `None` if there are no more, else when to go on.
    fn work(&mut self) -> Option<Duration> {
        let until = Instant::now() + TURN;
        while Instant::now() < until {
            match self.step() {
                Step::Next => {}
                Step::Idle => return None,
                Step::Rest(time) => return Some(time),
            }
        }
        Some(Duration::ZERO)
    }

    fn step(&mut self) -> Step {
        let settings = self.settings.get();
        let (connect, write) = (settings.forward.connect_timeout(), settings.forward.write_timeout());
        if self.forwarding.until(write).is_none() {
            return Step::Idle; // what is left is counted when it stops
        }
        let Some(taken) = self.backlog.take() else { return Step::Idle };
        crash_if_struck(&self.backlog.crash);
        let sent = self.send(&taken, connect, write);
        self.conclude(taken, sent)
    }

    fn send(
        &mut self,
        taken: &Taken,
        connect: Duration,
        write: Duration,
    ) -> Result<(), PolicyError<io::Error>> {
        let (forwarding, link, parcel) = (&self.forwarding, &mut self.link, &taken.parcel);
        let call = forwarding.policy.call_with(|_: &io::Error| Fault::from(underpin::ErrorKind::Transient));
        call.waited(parcel.since.elapsed()).run(|cx: &PolicyContext<'_>| {
            let until = forwarding.until(write).ok_or(ErrorKind::TimedOut)?;
            let until = cx.deadline().instant().map_or(until, |deadline| deadline.min(until));
            link.send(&parcel.frame, Limits { connect, until })
        })
    }

    /// Writes down what has become of a line, if anything has.
    fn conclude(&mut self, taken: Taken, sent: Result<(), PolicyError<io::Error>>) -> Step {
        let delivery = match &sent {
            Ok(()) => Delivery::Forwarded,
            Err(PolicyError::Shed { .. }) => Delivery::TooOld,
            // The sink is slow, or does not read. To give up now would cost the connection.
            Err(error) if error.last().is_some() && self.link.is_midway() => {
                self.complain(error);
                self.backlog.put_back(taken);
                return Step::Next;
            }
            Err(error) if error.last().is_some() => {
                self.complain(error);
                Delivery::Failed
            }
            // It was not tried.
            Err(error) => {
                self.backlog.put_back(taken);
                return Step::Rest(error.retry_after().unwrap_or(LATER));
            }
        };
        self.backlog.settle(&taken, delivery);
        match delivery {
            Delivery::Forwarded => self.tell_of_recovery(),
            Delivery::TooOld | Delivery::Failed => self.link.give_up(),
        }
        Step::Next
    }

    /// Says on stderr why the sink does not take lines, once until it does again.
    fn complain(&mut self, error: &PolicyError<io::Error>) {
        if !std::mem::replace(&mut self.has_complained, true) {
            eprintln!("collector: {}: {error}", self.forwarding.address);
        }
    }

    fn tell_of_recovery(&mut self) {
        if std::mem::take(&mut self.has_complained) {
            eprintln!("collector: {} takes lines again", self.forwarding.address);
        }
    }

    /// All numbers of the policy at once.
    fn follow_settings(&mut self) {
        if let Err(error) = self.forwarding.policy.change(self.settings.get().forward.policy()) {
            eprintln!("collector: {error}");
        }
    }
}

impl Service for Forwarder {
    type Msg = Msg;
    type Error = Infallible;

    /// What was added or set while it was down has woken nobody.
    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Infallible> {
        self.follow_settings();
        self.rest = Some(cx.send_after(Duration::ZERO, Msg::Again));
        Ok(Init::Ready)
    }

    fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<Next, Infallible> {
        match msg {
            Msg::Look if self.rest.is_some() => return Ok(Next::Continue),
            Msg::Settings => self.follow_settings(),
            Msg::Look | Msg::Again | Msg::Hurry => {}
        }
        let rest = self.rest.take();
        rest.and_then(|rest| cx.cancel(rest));
        self.rest = self.work().map(|rest| cx.send_after(rest, Msg::Again));
        Ok(Next::Continue)
    }

    fn terminate(&mut self, exit: &Exit) {
        if exit.is_calm() {
            self.link.hang_up(self.forwarding.farewell());
            self.backlog.close();
        }
    }

    fn label(msg: &Msg) -> &'static str {
        match msg {
            Msg::Look => "look",
            Msg::Again => "again",
            Msg::Settings => "settings",
            Msg::Hurry => "hurry",
        }
    }
}
