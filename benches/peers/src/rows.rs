//! The table: what is measured, against whom, and how far it has to come.

use self::Counted::{Clients, Everybodys, Nobodys};
use crate::contenders::disk;
use crate::contenders::disk::file::{Appended, Bare, Filled};
#[cfg(feature = "disk-peers")]
use crate::contenders::disk::{fjall::Fjall, redb::Redb, sqlite::Sqlite};
use crate::contenders::ours_events::{self, Event};
use crate::contenders::sample::Plain;
use crate::contenders::{
    Arena, config, deque, erlang, flume, kanal, ours, raw, resilience, std, task_pools, telemetry, tonari,
};
#[cfg(feature = "async-peers")]
use crate::contenders::{actix, kameo, ractor, spawned_tasks, spawned_threads};
use crate::measure::Timing;

/// One measure of ours beside its peers.
pub struct Row {
    pub id: &'static str,
    pub measure: &'static str,
    pub clients: usize,
    pub timing: Timing,
    /// Whether one core is kept busy, whatever the command line says.
    pub busy: bool,
    /// Whose instructions say what its operations take.
    pub counted: Counted,
    pub ours: fn() -> Arena,
    pub peers: Vec<Peer>,
}

impl Row {
    fn and(mut self, peer: Peer) -> Self {
        self.peers.push(peer);
        self
    }
}

/// Whose instructions say what operations take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Nobody's.
    Nobodys,
    /// The client's: nobody else does anything.
    Clients,
    /// Those of all threads, for others do much of it. They take turns then, one at a time.
    Everybodys,
}

/// Whom ours is compared with.
pub struct Peer {
    pub name: &'static str,
    pub start: fn() -> Arena,
    /// Why it cannot take part on this machine, if it cannot.
    pub missing: fn() -> Option<&'static str>,
    /// The most that ours may take of the peer's time, as a ratio.
    pub must: Option<f64>,
    /// The same for CPU time.
    pub must_cpu: Option<f64>,
}

/// A peer that sets no limit.
fn beside(name: &'static str, start: fn() -> Arena) -> Peer {
    Peer { name, start, missing: || None, must: None, must_cpu: None }
}

/// The peer that ours is held against.
fn against(name: &'static str, start: fn() -> Arena, must: f64) -> Peer {
    Peer { must: Some(must), ..beside(name, start) }
}

/// Erlang/OTP, which is not everywhere.
fn otp(start: fn() -> Arena, must: Option<f64>) -> Peer {
    Peer { must, missing: erlang::missing, ..beside("Erlang/OTP", start) }
}

fn call_peers(must: f64) -> Vec<Peer> {
    vec![
        against("crossbeam", raw::calls, must),
        beside("std sync_channel", std::calls),
        beside("flume", flume::calls),
        beside("kanal", kanal::calls),
        beside("tonari-actor", tonari::calls),
        #[cfg(feature = "async-peers")]
        beside("spawned threads", spawned_threads::calls),
        #[cfg(feature = "async-peers")]
        beside("spawned tasks", spawned_tasks::calls),
        #[cfg(feature = "async-peers")]
        beside("kameo", kameo::calls),
        #[cfg(feature = "async-peers")]
        beside("ractor", ractor::calls),
        #[cfg(feature = "async-peers")]
        beside("actix", actix::calls),
    ]
}

fn cast_peers<const CAPACITY: usize>(must: f64) -> Vec<Peer> {
    vec![
        against("crossbeam", raw::sink::<CAPACITY>, must),
        beside("std sync_channel", std::sink::<CAPACITY>),
        beside("flume", flume::sink::<CAPACITY>),
        beside("kanal", kanal::sink::<CAPACITY>),
        beside("tonari-actor", tonari::sink::<CAPACITY>),
        #[cfg(feature = "async-peers")]
        beside("spawned threads", spawned_threads::sink),
        #[cfg(feature = "async-peers")]
        beside("spawned tasks", spawned_tasks::sink),
        #[cfg(feature = "async-peers")]
        beside("kameo", kameo::sink::<CAPACITY>),
        #[cfg(feature = "async-peers")]
        beside("ractor", ractor::sink),
        #[cfg(feature = "async-peers")]
        beside("actix", actix::sink::<CAPACITY>),
    ]
}

fn restart_peers() -> Vec<Peer> {
    vec![
        against("notice + spawn + join", raw::restarts, 1.1),
        #[cfg(feature = "async-peers")]
        beside("kameo", kameo::restarts),
        #[cfg(feature = "async-peers")]
        beside("ractor", ractor::restarts),
        otp(erlang::restarts, None),
    ]
}

fn call(id: &'static str, measure: &'static str, clients: usize, must: f64) -> Row {
    let peers = call_peers(must);
    Row {
        id,
        measure,
        clients,
        timing: Timing::LoopAndEach,
        busy: false,
        counted: Nobodys,
        ours: ours::calls,
        peers,
    }
}

fn cast<const CAPACITY: usize>(id: &'static str, measure: &'static str, clients: usize, must: f64) -> Row {
    let (ours, peers) = (ours::sink::<CAPACITY>, cast_peers::<CAPACITY>(must));
    Row { id, measure, clients, timing: Timing::Loop, busy: false, counted: Nobodys, ours, peers }
}

fn deadline(measure: &'static str, ours: fn() -> Arena) -> Row {
    let peers = vec![against("plain call", ours::calls, 1.05)];
    Row { ours, peers, ..call("A5", measure, 1, 1.05) }
}

/// A field of the settings, beside a thousand updates a second.
fn field(measure: &'static str, clients: usize, ours: fn() -> Arena, must: f64) -> Row {
    let peers = vec![against("arc-swap", config::arc_swap, must), beside("RwLock", config::rw_lock)];
    Row { id: "C1", measure, clients, timing: Timing::Loop, busy: false, counted: Nobodys, ours, peers }
}

/// A value by its path.
fn value(measure: &'static str, ours: fn() -> Arena, peers: Vec<Peer>) -> Row {
    Row { id: "C2", measure, clients: 1, timing: Timing::Loop, busy: false, counted: Clients, ours, peers }
}

/// An update, beside one that nobody subscribed to.
fn update(measure: &'static str, ours: fn() -> Arena) -> Row {
    let peers = vec![beside("no subscribers", config::updates::<0>)];
    Row { id: "C3", measure, clients: 1, timing: Timing::Each, busy: false, counted: Nobodys, ours, peers }
}

fn settings() -> Vec<Row> {
    let by_path = vec![
        against("flat HashMap", config::flat_map, 1.0),
        against("config-rs", config::config_rs, 0.2),
        against("figment", config::figment, 0.02),
    ];
    vec![
        field("load(), 1 reader", 1, config::load, 1.1),
        field("load(), 2 readers", 2, config::load, 1.1),
        field("reader(), 1 reader", 1, config::reader, 0.15),
        field("reader(), 2 readers", 2, config::reader, 0.15),
        value("value by path", config::by_path, by_path),
        value("value by key", config::by_key, vec![against("flat HashMap", config::flat_map, 0.1)]),
        update("update, 10 subscribers", config::updates::<10>),
        update("update, 100 subscribers", config::updates::<100>),
        update("update, 1,000 subscribers", config::updates::<1000>),
    ]
}

// ---- events ------------------------------------------------------------------------------

/// Something done with events, by so many clients at once.
fn event(id: &'static str, measure: &'static str, clients: usize, ours: fn() -> Arena) -> Row {
    Row { id, measure, clients, timing: Timing::Loop, busy: false, counted: Nobodys, ours, peers: vec![] }
}

/// Into a store that keeps the newest. Both sides store the same events; what is the least that an event can be is
/// there to compare.
fn kept(measure: &'static str, clients: usize, deque: Peer) -> Row {
    let peers = vec![
        deque,
        against("crossbeam, our events", raw::kept::<Event, 1024>, 0.5),
        beside("VecDeque of plain bytes", deque::kept::<Plain>),
        beside("crossbeam, plain bytes", raw::kept::<Plain, 1024>),
    ];
    Row { peers, ..event("D1", measure, clients, ours_events::kept) }
}

/// Onto a disk, a thousand at a time.
fn durable_batches() -> Row {
    let peers = vec![
        against("write + fdatasync", disk::batches::<Appended>, 1.1),
        beside("the same, zero-filled", disk::batches::<Filled>),
        #[cfg(feature = "disk-peers")]
        against("okaywal", disk::batches::<::okaywal::WriteAheadLog>, 1.0),
        #[cfg(feature = "disk-peers")]
        against("fjall", disk::batches::<Fjall>, 1.0),
        #[cfg(feature = "disk-peers")]
        against("redb", disk::batches::<Redb>, 1.0),
        #[cfg(feature = "disk-peers")]
        against("SQLite", disk::batches::<Sqlite>, 1.0),
    ];
    Row { peers, ..event("D2", "1,000 events durable together", 1, ours_events::durable_batches) }
}

/// Onto a disk, each by itself.
fn durable_each(measure: &'static str, writers: usize) -> Row {
    let peers = vec![
        against("one fdatasync", disk::each::<Bare>, 1.1),
        beside("write + fdatasync", disk::each::<Appended>),
        beside("the same, zero-filled", disk::each::<Filled>),
        #[cfg(feature = "disk-peers")]
        beside("okaywal", disk::each::<::okaywal::WriteAheadLog>),
        #[cfg(feature = "disk-peers")]
        beside("fjall", disk::each::<Fjall>),
        #[cfg(feature = "disk-peers")]
        beside("redb", disk::each::<Redb>),
        #[cfg(feature = "disk-peers")]
        beside("SQLite", disk::each::<Sqlite>),
    ];
    Row { peers, ..event("D3", measure, writers, ours_events::durable_each) }
}

/// Out of a store of so many.
fn query<const EVENTS: u64>(measure: &'static str) -> Row {
    let peers = vec![
        beside("scan of a VecDeque", deque::scan::<Event, EVENTS>),
        beside("VecDeque with a map", deque::index::<Event, EVENTS>),
    ];
    Row { peers, ..event("Q1", measure, 1, ours_events::query::<EVENTS>) }
}

/// Back from a disk.
fn recovery() -> Row {
    let peers = vec![beside("its files read", ours_events::files_read)];
    Row { peers, ..event("Q2", "journal of 100,000 events opened", 1, ours_events::recovery) }
}

fn events() -> Vec<Row> {
    vec![
        kept("event stored, 1 producer", 1, beside("VecDeque of our events", deque::kept::<Event>)),
        kept("event stored, 2 producers", 2, against("VecDeque of our events", deque::kept::<Event>, 1.0)),
        durable_batches(),
        durable_each("event durable, 1 writer", 1),
        durable_each("event durable, 2 writers", 2),
        durable_each("event durable, 4 writers", 4),
        durable_each("event durable, 8 writers", 8),
        query::<10_000>("by correlation, of 10,000 events"),
        query::<1_000_000>("by correlation, of 1,000,000 events"),
        recovery(),
    ]
}

// ---- telemetry ---------------------------------------------------------------------------

/// Something counted, by so many threads at once.
fn counted(
    id: &'static str,
    measure: &'static str,
    clients: usize,
    ours: fn() -> Arena,
    peers: Vec<Peer>,
) -> Row {
    Row { id, measure, clients, timing: Timing::Loop, busy: false, counted: Clients, ours, peers }
}

fn metrics() -> Vec<Row> {
    use telemetry as t;
    let counters = |prometheus, shared| {
        vec![
            prometheus,
            shared,
            beside("prometheus-client", t::prometheus_client_counter),
            beside("metrics macro", t::metrics_macro),
        ]
    };
    let alone =
        counters(against("prometheus", t::prometheus_counter, 1.0), beside("fetch_add", t::fetch_add));
    let together =
        counters(beside("prometheus", t::prometheus_counter), against("fetch_add", t::fetch_add, 0.25));
    let by_name = vec![against("metrics macro", t::metrics_macro, 0.3)];
    let histograms = || {
        vec![
            against("hdrhistogram, Mutex", t::hdrhistogram, 0.6),
            beside("prometheus", t::prometheus_histogram),
            beside("prometheus-client", t::prometheus_client_histogram),
            beside("metrics macro", t::metrics_histogram),
        ]
    };
    let by_two = vec![against("by one thread", t::histogram_by::<1>, 1.1)];
    let scrapes = vec![
        beside("prometheus", t::prometheus_scrape),
        beside("prometheus-client", t::prometheus_client_scrape),
    ];
    vec![
        counted("E1", "counter + 1, 1 thread", 1, t::counter, alone),
        counted("E1", "counter + 1, 2 threads", 2, t::counter, together),
        counted("E2", "counter by name", 1, t::counter_by_name, by_name),
        counted("E3", "histogram, 1 thread", 1, t::histogram, histograms()),
        counted("E3", "histogram, 2 threads", 2, t::histogram, histograms()),
        Row {
            counted: Nobodys,
            ..counted("E3", "histogram, by two threads", 1, t::histogram_by::<2>, by_two)
        },
        Row { counted: Nobodys, ..counted("E4", "scrape of 10,000 series", 1, t::scrape, scrapes) },
    ]
}

// ---- tasks -------------------------------------------------------------------------------

/// Tasks spawned and joined by one client.
fn tasks(id: &'static str, measure: &'static str, ours: fn() -> Arena, peers: Vec<Peer>) -> Row {
    Row { id, measure, clients: 1, timing: Timing::Loop, busy: false, counted: Everybodys, ours, peers }
}

fn pools() -> Vec<Row> {
    use task_pools as p;
    let one = vec![
        against("thread", p::std_thread, 0.12),
        beside("rayon, install", p::rayon_install),
        beside("rayon::scope, inside", p::rayon_one_inside),
        beside("threadpool", p::threadpool_one),
        beside("rusty_pool", p::rusty_pool_one),
    ];
    let many = vec![
        against("rayon::scope, inside", p::rayon_scope_inside, 1.2),
        beside("rayon::scope", p::rayon_scope),
        beside("threadpool", p::threadpool_many),
        beside("rusty_pool", p::rusty_pool_many),
    ];
    vec![tasks("G1", "task, spawn + join", p::one, one), tasks("G2", "100 tasks, each", p::many, many)]
}

// ---- resilience --------------------------------------------------------------------------

/// Calls that go well, through breakers that count failures; and how much of recloser's time ours may take.
fn closed(recloser: Option<f64>) -> Vec<Peer> {
    use resilience as r;
    vec![
        Peer { must: recloser, ..beside("recloser", || r::closed(r::recloser_consecutive())) },
        beside("failsafe", || r::closed(r::failsafe_consecutive())),
        beside("bare call", || r::closed(r::Bare)),
    ]
}

/// Calls that are refused.
fn open(recloser: Option<f64>) -> Vec<Peer> {
    use resilience as r;
    vec![
        Peer { must: recloser, ..beside("recloser", || r::open(r::recloser_consecutive())) },
        beside("failsafe", || r::open(r::failsafe_consecutive())),
    ]
}

/// Calls that go well, through breakers that go by a rate.
fn rated(recloser: Option<f64>, failsafe: Option<f64>) -> Vec<Peer> {
    use resilience as r;
    vec![
        Peer { must: recloser, ..beside("recloser", || r::closed(r::recloser_by_count())) },
        Peer { must: failsafe, ..beside("failsafe, default", || r::closed(r::failsafe_default())) },
        beside("failsafe, by time", || r::closed(r::failsafe_by_time())),
    ]
}

fn breakers() -> Vec<Row> {
    use resilience as r;
    let by_failures: fn() -> Arena = || r::closed(r::consecutive());
    let by_count: fn() -> Arena = || r::closed(r::by_count());
    let rate = |measure, ours| counted("H2", measure, 1, ours, rated(Some(1.0), Some(0.5)));
    vec![
        counted("H1", "by failures in a row, closed", 1, by_failures, closed(Some(0.15))),
        counted("H1", "by failures in a row, closed, 2 threads", 2, by_failures, closed(None)),
        counted("H1", "by counted failures, closed", 1, || r::closed(r::counted()), closed(Some(0.15))),
        Row {
            // Under what counts them, refusals are too slow for a storm, in which alone it looks at no clock.
            counted: Nobodys,
            ..counted("H1", "open, coarse clock", 1, || r::open(r::coarse()), open(Some(0.5)))
        },
        counted("H1", "open", 1, || r::open(r::consecutive()), open(None)),
        rate("by rate of 100 calls", by_count),
        rate("by rate of 100 calls, slow ones too", || r::closed(r::slow_by_count())),
        rate("by rate of 10 s", || r::closed(r::by_time())),
        rate("by rate of 10 s, slow ones too", || r::closed(r::slow_by_time())),
        counted("H2", "by rate of 100 calls, 2 threads", 2, by_count, rated(None, None)),
        counted("H2", "by rate of 10 s, 2 threads", 2, || r::closed(r::by_time()), rated(None, None)),
    ]
}

/// What is compared reads the same clock as ours does, or it is for information.
fn limiters() -> Vec<Row> {
    use resilience as r;
    const IS_FAST: bool = cfg!(feature = "fast-clock");
    let measure = |fast, system| if IS_FAST { fast } else { system };
    let governor = |must: Option<f64>| {
        let must = must.filter(|_| IS_FAST);
        vec![
            Peer { must, ..beside("governor, quanta", r::governor_quanta) },
            beside("governor, system's clock", r::governor_system),
        ]
    };
    let (one, two) = (
        measure("limit, allowed, fast clock", "limit, allowed, system's clock"),
        measure("limit, allowed, fast clock, 2 threads", "limit, allowed, system's clock, 2 threads"),
    );
    vec![
        counted("H3", one, 1, r::allowed, governor(Some(1.1))),
        counted("H3", two, 2, r::allowed, governor(None)),
        counted("H3", "limit, allowed, leases of 64", 1, r::leased, governor(None)),
    ]
}

/// All of it.
pub fn rows() -> Vec<Row> {
    let parts = [kernel(), settings(), events(), metrics(), pools(), breakers(), limiters()];
    parts.into_iter().flatten().collect()
}

fn kernel() -> Vec<Row> {
    let mut after_work = call("A4", "call after 100 us of other work", 1, 0.95);
    after_work.timing = Timing::AfterWork;
    after_work.peers[0].must_cpu = Some(1.15);
    let beside_work = call("A2", "call, 1 client, one core busy", 1, 0.5);
    vec![
        call("A1", "call, 1 client", 1, 0.5).and(otp(erlang::calls, Some(0.25))),
        Row { busy: true, ..beside_work.and(otp(erlang::calls, Some(2.0))) },
        call("A3", "call, 4 clients", 4, 1.2).and(otp(erlang::calls, None)),
        after_work,
        deadline("call_by an absolute deadline", ours::calls_with_deadline),
        deadline("call_timeout", ours::calls_with_timeout),
        cast::<1024>("B1", "cast, 1 producer, capacity 1024", 1, 1.0).and(otp(erlang::sink, None)),
        cast::<65536>("B1", "cast, 1 producer, capacity 65536", 1, 1.2).and(otp(erlang::sink, None)),
        cast::<1024>("B2", "cast, 4 producers, capacity 1024", 4, 1.0).and(otp(erlang::sink, Some(0.3))),
        Row {
            id: "F1",
            measure: "panic to first call served",
            clients: 1,
            timing: Timing::Each,
            busy: false,
            counted: Nobodys,
            ours: ours::restarts,
            peers: restart_peers(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients of one contender, all at work, each way of working.
    fn try_out(arena: &Arena, clients: usize, timing: Timing) {
        let mut clients: Vec<_> = (0..clients).map(|_| arena.client()).collect();
        ::std::thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(move || {
                    client.run(100);
                    if timing != Timing::Loop {
                        let latencies = client.each(40, || ());
                        assert_eq!(latencies.len(), 40);
                        assert!(latencies.iter().all(|nanos| *nanos > 0.0), "{latencies:?}");
                    }
                });
            }
        });
        drop(clients);
    }

    #[test]
    fn every_contender_does_what_its_row_says() {
        for row in rows() {
            try_out(&(row.ours)(), row.clients, row.timing);
            for peer in row.peers.iter().filter(|peer| (peer.missing)().is_none()) {
                println!("{} {}", row.id, peer.name);
                try_out(&(peer.start)(), row.clients, row.timing);
            }
        }
    }
}
