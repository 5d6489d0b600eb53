//! Forwarding: what those share who hand lines to a sink downstream, and those who have lines for it.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use underpin::config::Config;
use underpin::resilience::{BreakerState, Policy, Sink, StopSignal};
use underpin::telemetry::{Descriptor, Sheet, Telemetry};
use underpin::{Handle, Supervisor};

use crate::backlog::Backlog;
use crate::forwarder::{self, Msg};
use crate::settings::Settings;
use crate::stats::Stats;

/// What the policy and its breaker are called.
const NAME: &str = "forward";
/// How long the lines that wait at the end have to be forwarded.
pub(crate) const FAREWELL: Duration = Duration::from_secs(5);
/// How long the sink may take after that to hang up, when it has been told that there is no more.
const HANG_UP: Duration = Duration::from_secs(1);
/// How often forwarders may crash.
const CRASHES: (u32, Duration) = (100, Duration::from_secs(10));

/// What became of lines.
const FORWARDED: Descriptor =
    Descriptor::counter("collector.forwarded", "Lines that were to be forwarded, by what became of them.");
/// As the policy counts it.
const RETRIED: Descriptor =
    Descriptor::counter("collector.forward.retried", "Attempts that were not the first of their line.");
/// Over all connections.
const QUEUED: Descriptor = Descriptor::gauge("collector.forward.queued", "Lines that wait to be forwarded.");
/// One of its states is 1.
const STATE: Descriptor =
    Descriptor::gauge("collector.breaker.state", "Whether the breaker is in this state: 1 or 0.");
/// How often.
const OPENED: Descriptor =
    Descriptor::counter("collector.breaker.opened", "How often the breaker has opened.");
/// The states it comes to by itself.
const STATES: [BreakerState; 3] = [BreakerState::Closed, BreakerState::Open, BreakerState::HalfOpen];

/// The way downstream. The lines of one source go over one connection, so that they stay in order.
///
/// Each connection has a [`Backlog`] and a [forwarder](crate::forwarder) of its own. The policy is one: when the sink is
/// down it is so for all.
pub(crate) struct Forwarding {
    pub(crate) address: SocketAddr,
    pub(crate) policy: Policy,
    pub(crate) config: Config<Settings>,
    backlogs: Vec<Arc<Backlog>>,
    forwarders: OnceLock<Vec<Handle<Msg>>>,
    stop: StopSignal,
    /// When the end is over, once it has begun.
    end: OnceLock<Instant>,
    /// When the first connection had nothing more to send.
    over: OnceLock<Instant>,
    stats: Arc<Stats>,
}

impl Forwarding {
    /// As the settings say; `None` if they say no address. The sink hears of the breaker.
    ///
    /// # Errors
    ///
    /// One line that says which number the policy does not take.
    pub(crate) fn new(
        config: &Config<Settings>,
        stats: &Arc<Stats>,
        sink: Arc<dyn Sink>,
    ) -> Result<Option<Arc<Self>>, String> {
        let settings = &config.load().forward;
        let Some(address) = settings.address else { return Ok(None) };
        let stop = StopSignal::new();
        let policy = Policy::builder(NAME).settings(settings.policy()).sink(sink).stop_on(&stop);
        Ok(Some(Arc::new(Self {
            address,
            policy: policy.build().map_err(|error| error.to_string())?,
            config: config.clone(),
            backlogs: (0..settings.connections).map(|_| Backlog::new(stats)).collect(),
            forwarders: OnceLock::new(),
            stop,
            end: OnceLock::new(),
            over: OnceLock::new(),
            stats: Arc::clone(stats),
        })))
    }

    /// The forwarders, one for each connection.
    ///
    /// # Errors
    ///
    /// One line that says why the settings cannot be followed.
    pub(crate) fn supervisor(self: &Arc<Self>) -> Result<Supervisor, String> {
        let mut supervisor = Supervisor::new("forwarding").intensity(CRASHES.0, CRASHES.1);
        let mut forwarders = Vec::new();
        for (index, backlog) in self.backlogs.iter().enumerate() {
            let spec = forwarder::spec(index, self, backlog)?;
            forwarders.push(spec.handle());
            supervisor = supervisor.child(spec);
        }
        let _ = self.forwarders.set(forwarders);
        Ok(supervisor)
    }

    /// Where each forwarder is struck by chaos.
    pub(crate) fn marks(&self) -> impl Iterator<Item = &AtomicBool> {
        self.backlogs.iter().map(|backlog| &backlog.crash)
    }

    /// A line of this source is to be forwarded, or is shed. Never blocks.
    pub(crate) fn offer(&self, source: u64, frame: Vec<u8>, max_depth: usize) {
        let index = (source % self.backlogs.len() as u64) as usize;
        self.backlogs[index].add(frame, max_depth);
    }

    /// When an attempt that begins now has to be over at the latest; `None` when there is to be none any more.
    pub(crate) fn until(&self, longest: Duration) -> Option<Instant> {
        let now = Instant::now();
        match self.end.get() {
            Some(end) => (now < *end).then(|| (now + longest).min(*end)),
            None => Some(now + longest),
        }
    }

    /// Until when the sink may take the rest and hang up: of all connections together, at the end.
    pub(crate) fn farewell(&self) -> Instant {
        *self.over.get_or_init(Instant::now) + HANG_UP
    }

    /// Nothing more comes. From now on each line has one attempt, and all together have 5 s.
    ///
    /// # Blocking
    ///
    /// Until all are done, for those 5 s at most.
    pub(crate) fn end(&self) {
        let until = *self.end.get_or_init(|| Instant::now() + FAREWELL);
        self.stop.stop();
        for forwarder in self.forwarders.get().into_iter().flatten() {
            let _ = forwarder.cast(Msg::Hurry); // one that is gone has nothing in its hands
        }
        for backlog in &self.backlogs {
            backlog.is_empty_by(until);
        }
    }

    /// Whatever is not forwarded by now is not. To be called when everything has stopped.
    pub(crate) fn close(&self) {
        self.backlogs.iter().for_each(|backlog| backlog.close());
    }

    /// How many attempts were not the first of their line.
    pub(crate) fn retried(&self) -> u64 {
        self.policy.snapshot().counts.retried
    }

    /// How often the breaker has opened.
    pub(crate) fn breaker_opened(&self) -> u64 {
        self.policy.breaker().map_or(0, |breaker| breaker.snapshot().opened)
    }

    /// Has its figures among the metrics.
    pub(crate) fn measure(self: &Arc<Self>, telemetry: &Telemetry) {
        let forwarding = Arc::clone(self);
        telemetry.add_collector(NAME, move |sheet| forwarding.write(sheet));
    }

    fn write(&self, sheet: &mut Sheet) {
        let stats = &self.stats;
        for (outcome, lines) in [
            ("forwarded", stats.forwarded.get()),
            ("shed", stats.shed()),
            ("failed", stats.forward_failed.get()),
        ] {
            sheet.counter(&FORWARDED, &[("outcome", outcome)], lines);
        }
        let queued: usize = self.backlogs.iter().map(|backlog| backlog.depth()).sum();
        sheet.gauge(&QUEUED, &[], queued as f64);
        sheet.counter(&RETRIED, &[], self.retried());
        let Some(breaker) = self.policy.breaker().map(|breaker| breaker.snapshot()) else { return };
        sheet.counter(&OPENED, &[], breaker.opened);
        for state in STATES {
            sheet.gauge(&STATE, &[("state", state.as_str())], f64::from(u8::from(state == breaker.state)));
        }
    }
}
