//! The table: what is measured, against whom, and how far it has to come.

use crate::contenders::{Arena, kameo, ours, raw, std, tonari};
use crate::measure::Timing;

/// One measure of ours beside its peers.
pub struct Row {
    pub id: &'static str,
    pub measure: &'static str,
    pub clients: usize,
    pub timing: Timing,
    /// Whether one core is kept busy, whatever the command line says.
    pub busy: bool,
    pub ours: fn() -> Arena,
    pub peers: Vec<Peer>,
}

/// Whom ours is compared with.
pub struct Peer {
    pub name: &'static str,
    pub start: fn() -> Arena,
    /// The most that ours may take of the peer's time, as a ratio.
    pub must: Option<f64>,
    /// The same for CPU time.
    pub must_cpu: Option<f64>,
}

/// A peer that sets no limit.
fn beside(name: &'static str, start: fn() -> Arena) -> Peer {
    Peer { name, start, must: None, must_cpu: None }
}

/// The peer that ours is held against.
fn against(name: &'static str, start: fn() -> Arena, must: f64) -> Peer {
    Peer { must: Some(must), ..beside(name, start) }
}

fn call_peers(must: f64) -> Vec<Peer> {
    vec![
        against("crossbeam", raw::calls, must),
        beside("std sync_channel", std::calls),
        beside("tonari-actor", tonari::calls),
        beside("kameo", kameo::calls),
    ]
}

fn cast_peers<const CAPACITY: usize>(must: f64) -> Vec<Peer> {
    vec![
        against("crossbeam", raw::sink::<CAPACITY>, must),
        beside("std sync_channel", std::sink::<CAPACITY>),
        beside("tonari-actor", tonari::sink::<CAPACITY>),
        beside("kameo", kameo::sink::<CAPACITY>),
    ]
}

fn call(id: &'static str, measure: &'static str, clients: usize, must: f64) -> Row {
    let peers = call_peers(must);
    Row { id, measure, clients, timing: Timing::LoopAndEach, busy: false, ours: ours::calls, peers }
}

fn cast<const CAPACITY: usize>(id: &'static str, measure: &'static str, clients: usize, must: f64) -> Row {
    let (ours, peers) = (ours::sink::<CAPACITY>, cast_peers::<CAPACITY>(must));
    Row { id, measure, clients, timing: Timing::Loop, busy: false, ours, peers }
}

fn deadline(measure: &'static str, ours: fn() -> Arena) -> Row {
    let peers = vec![against("plain call", ours::calls, 1.05)];
    Row { ours, peers, ..call("A5", measure, 1, 1.05) }
}

/// All of it.
pub fn rows() -> Vec<Row> {
    let mut after_work = call("A4", "call after 100 us of other work", 1, 0.95);
    after_work.timing = Timing::AfterWork;
    after_work.peers[0].must_cpu = Some(1.15);
    vec![
        call("A1", "call, 1 client", 1, 0.5),
        Row { busy: true, ..call("A2", "call, 1 client, one core busy", 1, 0.5) },
        call("A3", "call, 4 clients", 4, 1.2),
        after_work,
        deadline("call_by an absolute deadline", ours::calls_with_deadline),
        deadline("call_timeout", ours::calls_with_timeout),
        cast::<1024>("B1", "cast, 1 producer, capacity 1024", 1, 1.0),
        cast::<65536>("B1", "cast, 1 producer, capacity 65536", 1, 1.2),
        cast::<1024>("B2", "cast, 4 producers, capacity 1024", 4, 1.0),
        Row {
            id: "F1",
            measure: "panic to first call served",
            clients: 1,
            timing: Timing::Each,
            busy: false,
            ours: ours::restarts,
            peers: vec![
                against("notice + spawn + join", raw::restarts, 1.1),
                beside("kameo", kameo::restarts),
            ],
        },
    ]
}
