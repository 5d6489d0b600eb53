//! Metrics: what is counted is seen, exactly, whatever happens to threads and services.
#![cfg(feature = "telemetry")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use common::{LONG, Log, MS, SECOND};
use underpin::telemetry::{Descriptor, Exporter, Kind, MeterError, MetricsSnapshot, Telemetry, Unit};
use underpin::testing::Simulation;
use underpin::{SupervisorHandle, counter, gauge, histogram};

const LINES: Descriptor = Descriptor::counter("test.lines", "Lines.");
const OPEN: Descriptor = Descriptor::gauge("test.open", "Open.");
const TIMES: Descriptor = Descriptor::histogram("test.times", "Times.").unit(Unit::Seconds);
const HOUR: Duration = Duration::from_secs(3600);

fn started(telemetry: &Telemetry) -> SupervisorHandle {
    telemetry.supervisor().intensity(10_000, SECOND).start().expect("it starts")
}

// ---- exact -------------------------------------------------------------------------------

/// 64 threads count while the services are killed again and again, and end while others look.
#[test]
fn sixty_four_threads_lose_nothing_while_services_are_killed_each_ten_milliseconds() {
    const THREADS: u64 = 64;
    const EACH: u64 = 100_000;
    let telemetry = Telemetry::builder().tick(10 * MS).build();
    let tree = started(&telemetry);
    let (lines, times) = (telemetry.counter(&LINES, &[]), telemetry.histogram(&TIMES, &[]));
    let is_over = AtomicBool::new(false);
    let kills = std::thread::scope(|scope| {
        let counting: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    for n in 0..EACH {
                        lines.increment();
                        if n % 16 == 0 {
                            times.record(n);
                        }
                    }
                })
            })
            .collect();
        let killing = scope.spawn(|| kill_each_ten_milliseconds(&tree, &is_over));
        let looking = scope.spawn(|| look_for_less(&telemetry, &is_over));
        counting.into_iter().for_each(|thread| thread.join().expect("it counts"));
        is_over.store(true, Ordering::SeqCst);
        looking.join().expect("it never sees less than before");
        killing.join().expect("it kills")
    });
    assert!(kills > 0);
    let metrics = telemetry.metrics("test", &[]);
    assert_eq!(metrics.counter("test.lines", &[]), Some(THREADS * EACH));
    assert_eq!(metrics.histogram("test.times", &[]).map(|times| times.count()), Some(THREADS * EACH / 16));
    assert_eq!(lines.value(), THREADS * EACH);
}

fn kill_each_ten_milliseconds(tree: &SupervisorHandle, is_over: &AtomicBool) -> u64 {
    let pace = Log::<()>::new();
    let mut kills = 0;
    while !is_over.load(Ordering::SeqCst) {
        pace.comes_within(10 * MS, |()| true);
        kills += u64::from(tree.recycle_child("collect").is_ok());
    }
    kills
}

fn look_for_less(telemetry: &Telemetry, is_over: &AtomicBool) {
    let mut before = 0;
    while !is_over.load(Ordering::SeqCst) {
        let seen = telemetry.metrics("test.lines", &[]).counter("test.lines", &[]).expect("it is there");
        assert!(seen >= before, "{before}, then {seen}");
        before = seen;
    }
}

#[test]
fn what_a_thread_counted_outlives_it() {
    let telemetry = Telemetry::new();
    let lines = telemetry.counter(&LINES, &[]);
    for round in 1..=200 {
        let lines = lines.clone();
        std::thread::spawn(move || lines.add(3)).join().expect("it counts");
        assert_eq!(telemetry.metrics("", &[]).counter("test.lines", &[]), Some(3 * round));
    }
}

/// A destructor of another thread-local variable runs after the thread has given its cells back, or before.
#[test]
fn what_a_thread_counts_while_it_ends_is_not_lost() {
    struct AtTheEnd(Option<Arc<dyn Fn()>>);
    impl Drop for AtTheEnd {
        fn drop(&mut self) {
            self.0.iter().for_each(|count| count());
        }
    }
    std::thread_local! {
        static FIRST: std::cell::RefCell<AtTheEnd> = const { std::cell::RefCell::new(AtTheEnd(None)) };
        static LAST: std::cell::RefCell<AtTheEnd> = const { std::cell::RefCell::new(AtTheEnd(None)) };
    }
    let telemetry = Telemetry::new();
    let (lines, times) = (telemetry.counter(&LINES, &[]), telemetry.histogram(&TIMES, &[]));
    let (by_thread, in_buckets) = (lines.clone(), times.clone());
    let thread = std::thread::spawn(move || {
        let count: Arc<dyn Fn()> = Arc::new({
            let (lines, times) = (by_thread.clone(), in_buckets.clone());
            move || {
                lines.add(1);
                times.record(7);
            }
        });
        FIRST.with_borrow_mut(|end| end.0 = Some(Arc::clone(&count)));
        count();
        LAST.with_borrow_mut(|end| end.0 = Some(count));
    });
    thread.join().expect("it ends");
    assert_eq!((lines.value(), times.values().count()), (3, 3));
}

#[test]
fn none_of_what_several_threads_add_to_a_gauge_is_lost() {
    let open = Telemetry::new().gauge(&OPEN, &[]);
    std::thread::scope(|scope| {
        for by in [1.0, 2.0, -1.0, -1.5] {
            let open = &open;
            scope.spawn(move || (0..10_000).for_each(|_| open.add(by)));
        }
    });
    assert_eq!(open.value(), 5_000.0);
}

// ---- looked for --------------------------------------------------------------------------

#[test]
fn a_prefix_finds_what_is_below_it_and_labels_find_series() {
    let telemetry = Telemetry::new();
    for (name, host) in
        [("app.net.calls", "a"), ("app.net.calls", "b"), ("app.network", "a"), ("app.disk", "a")]
    {
        telemetry.counter(&Descriptor::named(name, Kind::Counter), &[("host", host), ("role", "x")]).add(1);
    }
    let found = |prefix, labels| -> Vec<(String, usize)> {
        let metrics = telemetry.metrics(prefix, labels);
        let families = metrics.families.iter();
        families.map(|family| (family.descriptor.name().to_owned(), family.series.len())).collect()
    };
    assert_eq!(found("app.net", &[]), [("app.net.calls".into(), 2)]);
    assert_eq!(found("app.net", &[("host", "b")]), [("app.net.calls".into(), 1)]);
    let all = [("app.disk".into(), 1), ("app.net.calls".into(), 1), ("app.network".into(), 1)];
    assert_eq!(found("app", &[("host", "a")]), all);
    assert_eq!(found("ap", &[]), []);
    assert!(telemetry.metrics("", &[]).family("app.disk").is_some());
}

#[test]
fn a_snapshot_does_not_change_any_more() {
    let telemetry = Telemetry::new();
    let lines = telemetry.counter(&LINES, &[]);
    lines.add(1);
    let before = telemetry.metrics("", &[]);
    lines.add(1);
    assert_eq!(before.counter("test.lines", &[]), Some(1));
}

/// The mean of means would be 25.75.
#[test]
fn the_mean_of_a_histogram_is_that_of_its_values() {
    let telemetry = Telemetry::new();
    let times = telemetry.histogram(&TIMES, &[]);
    [1, 100, 1].into_iter().for_each(|value| times.record(value));
    assert_eq!(times.values().mean(), Some(34.0));
}

// ---- limits and faults -------------------------------------------------------------------

#[test]
fn a_fault_is_told_or_counts_into_nothing_and_is_counted() {
    let telemetry = Telemetry::builder().max_names(1).build();
    telemetry.counter(&LINES, &[]).add(1);
    assert!(matches!(telemetry.try_counter(&OPEN, &[]), Err(MeterError::Kind { .. })));
    assert!(matches!(telemetry.try_gauge(&OPEN, &[]), Err(MeterError::TooManyNames { .. })));
    telemetry.gauge(&OPEN, &[]).set(1.0);
    telemetry.counter(&LINES, &[("a b", "")]).add(1);
    telemetry.histogram(&Descriptor::named("Test", Kind::Histogram), &[]).record(1);
    let metrics = telemetry.metrics("", &[]);
    assert_eq!(metrics.counter("underpin.telemetry.refused", &[("what", "handle")]), Some(3));
    assert_eq!(metrics.counter("test.lines", &[]), Some(1));
    assert!(metrics.family("test.open").is_none());
}

#[test]
fn ten_thousand_labels_take_the_room_of_the_cap() {
    let telemetry = Telemetry::builder().max_series(100).build();
    (0..10_000).for_each(|n| telemetry.counter(&LINES, &[("n", &n.to_string())]).add(1));
    let metrics = telemetry.metrics("", &[]);
    assert_eq!(metrics.family("test.lines").map(|family| family.series.len()), Some(101));
    assert_eq!(metrics.counter("test.lines", &[("overflow", "true")]), Some(9_900));
    assert_eq!(metrics.gauge("underpin.telemetry.series", &[]), Some(100.0));
    assert_eq!(metrics.counter("underpin.telemetry.overflowed", &[]), Some(9_900));
}

#[test]
fn more_counters_than_a_thread_has_cells_for_count_all_the_same() {
    let telemetry = Telemetry::builder().max_series(200_000).build();
    let counters: Vec<_> = (0..70_000).map(|n| telemetry.counter(&LINES, &[("n", &n.to_string())])).collect();
    std::thread::scope(|scope| {
        (0..2).for_each(|_| drop(scope.spawn(|| counters.iter().for_each(|counter| counter.add(2)))));
    });
    assert!(counters.iter().all(|counter| counter.value() == 4));
}

// ---- time --------------------------------------------------------------------------------

#[test]
fn an_hour_of_retention_is_an_hour() {
    let simulation = Simulation::new(1);
    let telemetry = Telemetry::builder().clock(simulation.clock()).retention(Some(HOUR)).build();
    let _tree = simulation.start(telemetry.supervisor()).expect("it starts");
    let kept = telemetry.counter(&LINES, &[("is", "kept")]);
    drop(telemetry.counter(&LINES, &[("is", "gone")]));
    let is_shown = |is| telemetry.metrics("", &[]).counter("test.lines", &[("is", is)]).is_some();
    simulation.advance(HOUR - 2 * SECOND);
    assert!(is_shown("kept") && is_shown("gone"));
    kept.add(1);
    simulation.advance(4 * SECOND);
    assert!(is_shown("kept") && !is_shown("gone"));
    simulation.advance(HOUR);
    assert!(!is_shown("kept"));
    kept.add(1);
    simulation.advance(2 * SECOND);
    assert_eq!(
        telemetry.metrics("", &[]).counter("test.lines", &[("is", "kept")]),
        Some(2),
        "nothing was lost"
    );
}

// ---- collectors and exporters ------------------------------------------------------------

#[test]
fn collectors_are_asked_with_each_tick_and_a_panic_of_one_concerns_nobody() {
    let simulation = Simulation::new(1);
    let telemetry = Telemetry::builder().clock(simulation.clock()).tick(10 * SECOND).build();
    let asked = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&asked);
    telemetry.add_collector("panics", |_| panic!("on purpose"));
    telemetry.add_collector("counts", move |sheet| {
        let n = counts.fetch_add(1, Ordering::SeqCst) + 1;
        sheet.counter(&Descriptor::counter("test.asked", ""), &[], n);
    });
    let tree = simulation.start(telemetry.supervisor()).expect("it starts");
    simulation.advance(35 * SECOND);
    let metrics = telemetry.metrics("", &[]);
    assert_eq!(metrics.counter("test.asked", &[]), Some(4), "at the start, and after 10, 20 and 30 s");
    assert_eq!(metrics.counter("underpin.telemetry.panics", &[("of", "collector")]), Some(4));
    assert_eq!(metrics.gauge("underpin.telemetry.collected.age", &[]), Some(5.0));
    assert_eq!(
        tree.inspect().expect("it is up").find("telemetry/collect").map(|node| node.restarts),
        Some(0)
    );
}

/// Threads that ask at the same time, and the service with each tick: each finds what was so when it began to ask.
#[test]
fn whoever_asks_finds_figures_that_are_no_older() {
    let telemetry = Telemetry::builder().tick(10 * MS).build();
    let (figure, seen) = (Arc::new(AtomicU64::new(0)), Descriptor::counter("test.seen", ""));
    let of = Arc::clone(&figure);
    telemetry.add_collector("seen", move |sheet| sheet.counter(&seen, &[], of.load(Ordering::SeqCst)));
    telemetry.add_collector("other", |sheet| sheet.gauge(&OPEN, &[], 1.0));
    let _tree = started(&telemetry);
    std::thread::scope(|scope| {
        (0..4).for_each(|_| {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let least = figure.fetch_add(1, Ordering::SeqCst) + 1;
                    telemetry.collect();
                    let metrics = telemetry.metrics("test", &[]);
                    assert!(metrics.counter("test.seen", &[]) >= Some(least), "at least {least}");
                    assert_eq!(metrics.gauge("test.open", &[]), Some(1.0));
                }
            });
        });
    });
}

#[test]
fn a_figure_of_a_collector_that_has_no_room_is_counted() {
    let telemetry = Telemetry::new();
    telemetry.add_collector("much", |sheet| {
        (0..60_000).for_each(|n| sheet.gauge(&OPEN, &[("n", &n.to_string())], 1.0));
    });
    telemetry.collect();
    let metrics = telemetry.metrics("", &[]);
    assert_eq!(metrics.family("test.open").map(|family| family.series.len()), Some(50_000));
    assert_eq!(metrics.counter("underpin.telemetry.refused", &[("what", "figure")]), Some(10_000));
}

/// Notes what it is given; fails or panics now and then.
struct Noting(Log<Option<u64>>);

impl Exporter for Noting {
    fn export(&mut self, metrics: &MetricsSnapshot) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.0.push(metrics.counter("test.lines", &[]));
        match self.0.all().len() {
            2 => Err("no room".into()),
            3 => panic!("on purpose"),
            _ => Ok(()),
        }
    }
}

#[test]
fn an_exporter_is_called_in_time_whatever_it_did_before_and_once_more_at_the_end() {
    let simulation = Simulation::new(1);
    let log = Log::new();
    let noted = log.clone();
    let builder = Telemetry::builder().clock(simulation.clock());
    let telemetry = builder.exporter("noting", 10 * SECOND, move || Noting(noted.clone())).build();
    let tree = simulation.start(telemetry.supervisor()).expect("it starts");
    let lines = telemetry.counter(&LINES, &[]);
    for _ in 0..4 {
        lines.add(1);
        simulation.advance(10 * SECOND);
    }
    lines.add(1);
    assert_eq!(tree.inspect().expect("it is up").find("telemetry/noting").map(|node| node.restarts), Some(0));
    drop(tree);
    assert_eq!(log.all(), [Some(1), Some(2), Some(3), Some(4), Some(5)]);
    let metrics = telemetry.metrics("", &[]);
    let exports = |outcome| metrics.counter("underpin.telemetry.exports", &[("outcome", outcome)]);
    assert_eq!((exports("done"), exports("failed")), (Some(3), Some(2)));
    assert_eq!(metrics.counter("underpin.telemetry.panics", &[("of", "exporter")]), Some(1));
}

/// One that never comes back, until it is let go.
struct Hanging(Arc<Barrier>);

impl Exporter for Hanging {
    fn export(&mut self, _: &MetricsSnapshot) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.0.wait();
        Ok(())
    }
}

#[test]
fn an_exporter_that_hangs_holds_up_neither_who_counts_nor_who_reads_nor_another_exporter() {
    let (gate, log) = (Arc::new(Barrier::new(2)), Log::new());
    let (hung, noted) = (Arc::clone(&gate), log.clone());
    let builder = Telemetry::builder().exporter("hangs", 10 * MS, move || Hanging(Arc::clone(&hung)));
    let telemetry = builder.exporter("noting", 10 * MS, move || Noting(noted.clone())).build();
    let tree = started(&telemetry);
    let lines = telemetry.counter(&LINES, &[]);
    lines.add(1);
    log.wait_count(4, |_| true);
    assert_eq!(telemetry.metrics("", &[]).counter("test.lines", &[]), Some(1));
    std::thread::scope(|scope| {
        scope.spawn(|| (0..2).for_each(|_| _ = gate.wait())); // the last export too
        assert!(tree.shutdown(LONG).is_clean());
    });
}

#[test]
fn after_the_end_counting_and_reading_go_on_and_nothing_else_does() {
    let telemetry = Telemetry::new();
    assert!(!telemetry.is_closed(), "it has not begun");
    let tree = started(&telemetry);
    assert!(!telemetry.is_closed());
    tree.shutdown(LONG);
    assert!(telemetry.is_closed());
    let lines = telemetry.counter(&LINES, &[]);
    std::thread::scope(|scope| (0..16).for_each(|_| drop(scope.spawn(|| lines.add(1)))));
    assert_eq!(telemetry.metrics("", &[]).counter("test.lines", &[]), Some(16));
    let again = started(&telemetry);
    assert!(!telemetry.is_closed(), "it is started once more");
    drop(again);
}

/// An error of the user's, who may do anything where it is shown.
#[derive(Debug)]
struct Odd;

impl std::fmt::Display for Odd {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::panic::resume_unwind(Box::new("shown"))
    }
}

impl std::error::Error for Odd {}

impl Exporter for Odd {
    fn export(&mut self, _: &MetricsSnapshot) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Err(Box::new(Odd))
    }
}

#[test]
fn a_fault_that_panics_where_it_is_shown_is_contained() {
    let simulation = Simulation::new(1);
    let builder = Telemetry::builder().clock(simulation.clock());
    let telemetry = builder.exporter("odd", SECOND, || Odd).build();
    let tree = simulation.start(telemetry.supervisor()).expect("it starts");
    simulation.advance(30 * SECOND);
    assert_eq!(tree.inspect().expect("it is up").find("telemetry/odd").map(|node| node.restarts), Some(0));
    let failed = telemetry.metrics("", &[]).counter("underpin.telemetry.exports", &[("outcome", "failed")]);
    assert_eq!(failed, Some(30));
}

/// Notes what collectors have said.
struct Last(Log<Option<u64>>);

impl Exporter for Last {
    fn export(&mut self, metrics: &MetricsSnapshot) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.0.push(metrics.counter("test.seen", &[]));
        Ok(())
    }
}

#[test]
fn the_last_export_has_the_last_figures_of_collectors() {
    let (log, figure) = (Log::new(), Arc::new(AtomicU64::new(1)));
    let (noted, of) = (log.clone(), Arc::clone(&figure));
    let builder = Telemetry::builder().tick(1_000 * SECOND);
    let telemetry = builder.exporter("last", 1_000 * SECOND, move || Last(noted.clone())).build();
    let seen = Descriptor::counter("test.seen", "");
    telemetry.add_collector("seen", move |sheet| sheet.counter(&seen, &[], of.load(Ordering::SeqCst)));
    let tree = started(&telemetry);
    figure.store(7, Ordering::SeqCst);
    tree.shutdown(LONG);
    assert_eq!(log.all(), [Some(7)]);
}

#[test]
fn figures_of_collectors_never_go_back_however_many_ask() {
    let telemetry = Telemetry::new();
    let (figure, gate) = (Arc::new(AtomicU64::new(5)), Arc::new(Barrier::new(2)));
    let (of, slow, is_first) = (Arc::clone(&figure), Arc::clone(&gate), AtomicBool::new(true));
    let seen = Descriptor::counter("test.seen", "");
    telemetry.add_collector("seen", move |sheet| sheet.counter(&seen, &[], of.load(Ordering::SeqCst)));
    telemetry.add_collector("slow", move |sheet| {
        sheet.gauge(&OPEN, &[], 1.0);
        if is_first.swap(false, Ordering::SeqCst) {
            (0..2).for_each(|_| _ = slow.wait());
        }
    });
    let look = || telemetry.metrics("test", &[]).counter("test.seen", &[]);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| telemetry.collect());
        gate.wait();
        figure.store(10, Ordering::SeqCst);
        telemetry.collect();
        assert_eq!(look(), Some(10), "one that hangs holds up its own figures alone");
        gate.wait();
        first.join().expect("it ends");
    });
    assert_eq!(look(), Some(10), "the first began earlier");
    telemetry.collect();
    assert_eq!(telemetry.metrics("test", &[]).gauge("test.open", &[]), Some(1.0));
    assert!(telemetry.remove_collector("slow") && !telemetry.remove_collector("slow"));
    telemetry.collect();
    assert_eq!(telemetry.metrics("test", &[]).gauge("test.open", &[]), None);
}

#[test]
fn a_telemetry_in_two_trees_ends_with_the_second() {
    let telemetry = Telemetry::new();
    let (first, second) = (started(&telemetry), started(&telemetry));
    telemetry.attach("mine", "", |_| ()).expect("it is attached");
    first.shutdown(LONG);
    assert!(!telemetry.is_closed() && telemetry.list("").len() == 1);
    second.shutdown(LONG);
    assert!(telemetry.is_closed() && telemetry.list("").is_empty());
    let _third = started(&telemetry);
    telemetry.attach("mine", "", |_| ()).expect("it has begun once more");
}

/// Says on which thread it was dropped.
struct Dropped(Log<Option<String>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.push(std::thread::current().name().map(str::to_owned));
    }
}

#[test]
fn handlers_are_not_dropped_by_the_supervisor() {
    let (telemetry, log) = (Telemetry::new(), Log::new());
    let dropped = Dropped(log.clone());
    let tree = started(&telemetry);
    telemetry.attach("mine", "", move |_| _ = &dropped).expect("it is attached");
    tree.shutdown(LONG);
    assert_eq!(log.all().len(), 0, "whoever looks next drops it");
    telemetry.metrics("", &[]);
    assert_eq!(log.all(), [std::thread::current().name().map(str::to_owned)]);
}

// ---- macros ------------------------------------------------------------------------------

#[test]
fn a_call_site_keeps_its_handle() {
    for _ in 0..10 {
        counter!("sites.lines", "Lines.", "from" => "here").increment();
        gauge!("sites.open").set(2.0);
        histogram!("sites.times", "Times.", Seconds).record(1_000);
    }
    let metrics = Telemetry::global().metrics("sites", &[]);
    assert_eq!(metrics.counter("sites.lines", &[("from", "here")]), Some(10));
    assert_eq!(metrics.gauge("sites.open", &[]), Some(2.0));
    assert_eq!(metrics.histogram("sites.times", &[]).map(|times| times.count()), Some(10));
    assert_eq!(metrics.family("sites.times").map(|family| family.descriptor.of_unit()), Some(Unit::Seconds));
}
