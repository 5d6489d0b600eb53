//! What many children cost: not a race by turns, but memory and growth.

use std::sync::Arc;
use std::time::{Duration, Instant};

use underpin::{Context, Next, Service, Supervisor, SupervisorHandle, child};

/// The most resident bytes of one idle service.
const MOST_BYTES: f64 = 16.0 * 1024.0;
/// The most that ten times as many children may cost.
const MOST_GROWTH: f64 = 12.0;
const ROUNDS: usize = 7;

struct Idle;

impl Service for Idle {
    type Msg = [u64; 4];
    type Error = std::convert::Infallible;

    fn handle(&mut self, _: [u64; 4], _: &mut Context<Self>) -> Result<Next, Self::Error> {
        Ok(Next::Continue)
    }
}

fn tree(children: usize) -> SupervisorHandle {
    let names = (0..children).map(|number| -> Arc<str> { format!("idle-{number}").into() });
    let supervisor =
        names.fold(Supervisor::new("many"), |all, name| all.child(child(name, || Idle).capacity(64)));
    supervisor.start().expect("it starts")
}

/// Prints the rows that are wanted.
pub fn compare(is_wanted: impl Fn(&str) -> bool) {
    if is_wanted("S1") {
        let bytes = resident_each(1000);
        line(
            "S1",
            "resident bytes of an idle service, of 1,000",
            bytes,
            "16 KiB",
            MOST_BYTES,
            bytes / MOST_BYTES,
            1.0,
        );
    }
    if is_wanted("S2") {
        growth("start of 1,000 children, ns", |children| {
            let (started, time) = timed(|| tree(children));
            drop(started);
            time
        });
        growth("stop of 1,000 children, ns", |children| {
            let started = tree(children);
            timed(|| started.shutdown(Duration::from_secs(60))).1
        });
        growth("list of 1,000 children, ns", |children| {
            let started = tree(children);
            timed(|| started.which_children()).1
        });
    }
}

fn growth(measure: &str, cost: impl Fn(usize) -> f64) {
    let median = |children| {
        let mut costs: Vec<f64> = (0..ROUNDS).map(|_| cost(children)).collect();
        costs.sort_by(f64::total_cmp);
        costs[ROUNDS / 2]
    };
    let (many, few) = (median(1000), median(100));
    line("S2", measure, many, "100 children", few, many / few, MOST_GROWTH);
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed().as_nanos() as f64)
}

fn resident_each(children: usize) -> f64 {
    let before = resident();
    let started = tree(children);
    let each = (resident() - before) / children as f64;
    drop(started);
    each
}

/// Resident memory of the process, in bytes.
fn resident() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    resident.unwrap_or(f64::NAN) * 4096.0
}

fn line(row: &str, measure: &str, ours: f64, peer: &str, value: f64, ratio: f64, must: f64) {
    let verdict = if ratio <= must { "ok" } else { "short" };
    println!("{row}\t{measure}\t{ours:.0}\t{peer}\t{value:.0}\t{ratio:.2}\t{must:.2}\t{verdict}");
}
