//! The alarms: what alerts raise and clear, and when the breaker opens and closes, is said on stderr, and stored.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use serde_json::json;
use underpin::config::Config;
use underpin::events::{Entry, Event, EventId, EventStore, Receipt, Refusal};
use underpin::health::{AlertEvent, AlertSettings, Change, HealthMonitor};
use underpin::{ALERT_CLEARED, ALERT_RAISED, ChildSpec, Context, Handle, Next, Overflow, Service, child};

use crate::bell::BreakerTurn;
use crate::settings::Settings;
use crate::stats::Stats;

/// How many changes wait to be stored. More than that in the time of a slow disk are not.
const QUEUE: usize = 256;
/// The kinds of events of the breaker.
const BREAKER_OPENED: &str = "breaker.opened";
/// As above.
const BREAKER_CLOSED: &str = "breaker.closed";
/// How long a demonstration waits until an event is stored, before it goes without.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the alarms work with.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) store: EventStore,
    pub(crate) config: Config<Settings>,
    pub(crate) stats: Arc<Stats>,
    /// Who is shown the events, as they stand in the store. Then nothing is said on stderr.
    pub(crate) shown: Option<Sender<Entry>>,
}

/// What has changed.
#[derive(Clone, Debug)]
pub(crate) enum Msg {
    Alert(AlertEvent),
    Breaker(BreakerTurn),
}

/// Stores each change of an alert and of the breaker, and says it. It has a thread of its own: the store may let it wait,
/// and neither the health service nor a forwarder must.
pub(crate) struct Alarms(Means);

/// Describes who hears of the alerts of this monitor. To be started after the store and before the monitor.
pub(crate) fn spec(health: &HealthMonitor, means: Means) -> ChildSpec<Alarms> {
    let stats = Arc::clone(&means.stats);
    let spec = child("alarms", move || Alarms(means.clone()))
        .capacity(QUEUE)
        .overflow(Overflow::Reject)
        .on_dead_letter(|letter| tell_unstored(&letter.message, &"the end came first"));
    let handle = spec.handle();
    health.on_alert(move |event| {
        let counter =
            if event.change == Change::Raised { &stats.alerts_raised } else { &stats.alerts_cleared };
        counter.up();
        send(&handle, Msg::Alert(event.clone()));
    });
    spec
}

/// Has it stored and said. Never blocks.
pub(crate) fn send(alarms: &Handle<Msg>, change: Msg) {
    if let Err(error) = alarms.cast(change.clone()) {
        tell_unstored(&change, &error);
    }
}

fn tell_unstored(change: &Msg, why: &dyn std::fmt::Display) {
    eprintln!("collector: {}: it is not stored: {why}", change.name());
}

impl Msg {
    /// As `alert crashes raised`.
    fn name(&self) -> String {
        match self {
            Self::Alert(event) => format!("alert {} {}", event.alert, event.change.as_str()),
            Self::Breaker(turn) => format!("breaker {} {}", turn.breaker, turn.word()),
        }
    }

    fn event(&self) -> Event {
        match self {
            Self::Alert(event) => event_of(event),
            Self::Breaker(turn) => event_of_breaker(turn),
        }
    }
}

impl Alarms {
    fn say(&self, change: &Msg) {
        let words = match change {
            Msg::Alert(event) => {
                words_of(&event.alert, event.value, &event.detail, &self.0.config.load().alerts)
            }
            Msg::Breaker(turn) => turn.detail.clone(),
        };
        eprintln!("collector: {}: {words}", change.name());
    }

    /// Returns where it will be heard which number it has.
    fn store(&self, change: &Msg) -> mpsc::Receiver<EventId> {
        let (stored, number) = mpsc::channel();
        let stats = Arc::clone(&self.0.stats);
        let receipt = Receipt::new(move |outcome| note(&stats, outcome, &stored));
        if let Err(error) = self.0.store.store_with(change.event(), receipt) {
            tell_unstored(change, &error);
        }
        number
    }

    /// Shows the event as the store has it.
    fn show(&self, shown: &Sender<Entry>, number: &mpsc::Receiver<EventId>) {
        let entry =
            number.recv_timeout(PATIENCE).ok().and_then(|number| self.0.store.get(number).ok().flatten());
        entry.into_iter().for_each(|entry| drop(shown.send(entry)));
    }
}

/// Lines and these are in one store: so that lines can be counted, these are.
fn note(stats: &Stats, outcome: Result<EventId, Refusal>, stored: &Sender<EventId>) {
    match outcome {
        Ok(number) => {
            stats.changes_stored.up();
            let _ = stored.send(number);
        }
        Err(Refusal::NotDurable { .. }) => stats.changes_unjournaled.up(),
        Err(_) => {}
    }
}

/// As a [`Foundation`](underpin::Foundation) with a store has it.
fn event_of(event: &AlertEvent) -> Event {
    let AlertEvent { alert, number, value, threshold, detail, .. } = event;
    let kind = if event.change == Change::Raised { ALERT_RAISED } else { ALERT_CLEARED };
    let data = json!({
        "alert": alert, "number": number, "value": value, "threshold": threshold, "detail": detail,
    });
    Event::of(kind, format!("alert/{alert}")).with_data(data)
}

/// In the same manner.
fn event_of_breaker(turn: &BreakerTurn) -> Event {
    let kind = if turn.is_open { BREAKER_OPENED } else { BREAKER_CLOSED };
    let data = json!({"breaker": turn.breaker, "detail": turn.detail});
    Event::of(kind, format!("breaker/{}", turn.breaker)).with_data(data)
}

/// What was found.
fn words_of(alert: &str, value: Option<f64>, detail: &str, alerts: &AlertSettings) -> String {
    let Some(value) = value else { return "there is nothing to look at any more".to_owned() };
    let percent = format!("{:.0} %", value * 100.0);
    let is_rate = |name: &str| alerts.error_rate.iter().any(|rule| rule.name == name);
    match alert {
        "crashes" if value == 1.0 => format!("1 restart in {} s", alerts.crashes.within_seconds),
        "crashes" => format!("{value} restarts in {} s", alerts.crashes.within_seconds),
        "mailbox" => format!("{percent} of the mailbox of {detail} is taken"),
        "memory" => format!("{percent} of the limit is resident"),
        "series" => format!("{percent} of the series that there may be"),
        "zombies" => format!("threads that were given up and still exist: {value}"),
        name if is_rate(name) => format!("{percent} are errors"),
        _ => format!("{value:.6}"),
    }
}

impl Service for Alarms {
    type Msg = Msg;
    type Error = Infallible;

    fn handle(&mut self, change: Msg, _: &mut Context<Self>) -> Result<Next, Infallible> {
        let number = self.store(&change);
        match (&self.0.shown, &change) {
            (Some(shown), Msg::Alert(_)) => self.show(shown, &number),
            _ => self.say(&change),
        }
        Ok(Next::Continue)
    }

    fn label(change: &Msg) -> &'static str {
        match change {
            Msg::Alert(event) => event.change.as_str(),
            Msg::Breaker(turn) => turn.word(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use underpin::health::{ErrorRateRule, LatencyRule, Level};

    #[test]
    fn what_was_found_is_said_in_the_words_of_each_alert() {
        let mut alerts = AlertSettings::default();
        let level = Level::new(1.0, 0.5);
        alerts.error_rate.push(ErrorRateRule::new("garbage", "a", "b", level));
        alerts.latency.push(LatencyRule::new("slow", "a", level));
        let said = [
            ("crashes", Some(3.0), "3 restarts in 60 s"),
            ("crashes", Some(1.0), "1 restart in 60 s"),
            ("mailbox", Some(0.914), "91 % of the mailbox of app/a is taken"),
            ("memory", Some(0.9), "90 % of the limit is resident"),
            ("series", Some(1.0), "100 % of the series that there may be"),
            ("zombies", Some(2.0), "threads that were given up and still exist: 2"),
            ("garbage", Some(0.5), "50 % are errors"),
            ("slow", Some(0.25), "0.250000"),
            ("zombies", None, "there is nothing to look at any more"),
        ];
        for (alert, value, expected) in said {
            assert_eq!(words_of(alert, value, "app/a", &alerts), expected, "{alert}");
        }
    }
}
