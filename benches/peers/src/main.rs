//! underpin beside its peers, in interleaved rounds. See `benches/README.md`.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml -- [--busy] [ROW ...]`

mod contenders;
mod measure;
mod rounds;
mod rows;
mod scale;

use measure::{Contestant, Timing, beside_a_busy_thread};
use rounds::{Outcome, Series};
use rows::{Peer, Row};

const ROUNDS: usize = 15;

fn main() {
    let (flags, wanted): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|arg| arg.starts_with('-'));
    if flags.iter().any(|flag| flag != "--busy") {
        eprintln!("usage: underpin-peers [--busy] [ROW ...]    rows: A, A1, B2, F, S ...");
        std::process::exit(2);
    }
    let rows = rows::rows();
    let ids = || rows.iter().map(|row| row.id).chain(["S1", "S2"]);
    if let Some(unknown) = wanted.iter().find(|wanted| !ids().any(|id| id.starts_with(wanted.as_str()))) {
        eprintln!("{unknown}: there is no such row, expected one of {}", ids().collect::<Vec<_>>().join(" "));
        std::process::exit(2);
    }
    let is_wanted =
        |id: &str| wanted.is_empty() || wanted.iter().any(|wanted| id.starts_with(wanted.as_str()));
    // First: memory that other rows have freed would be taken again and not be seen.
    scale::compare(is_wanted);
    for row in rows.iter().filter(|row| is_wanted(row.id)) {
        if row.busy || !flags.is_empty() {
            beside_a_busy_thread(|| compare(row));
        } else {
            compare(row);
        }
    }
}

fn compare(row: &Row) {
    for peer in &row.peers {
        duel(row, peer);
    }
}

/// Ours and a peer by turns; a line for each thing that is measured.
fn duel(row: &Row, peer: &Peer) {
    let mut ours = Contestant::start((row.ours)(), row.clients, row.timing);
    let mut theirs = Contestant::start((peer.start)(), row.clients, row.timing);
    let [mut time, mut p99, mut cpu] = [(); 3].map(|()| Series::default());
    for _ in 0..ROUNDS {
        let (one, other) = (ours.round(), theirs.round());
        time.push(one.time, other.time);
        p99.push(one.p99, other.p99);
        cpu.push(one.cpu, other.cpu);
    }
    line(row, "ns", peer, time.outcome(), peer.must);
    if row.timing != Timing::Loop {
        line(row, "ns at p99", peer, p99.outcome(), None);
    }
    line(row, "ns of CPU", peer, cpu.outcome(), peer.must_cpu);
}

fn line(row: &Row, unit: &str, peer: &Peer, outcome: Outcome, must: Option<f64>) {
    let Outcome { ours, peer: theirs, ratio } = outcome;
    let verdict = if must.is_none_or(|must| ratio <= must) { "ok" } else { "short" };
    let must = must.map_or("-".into(), |must| format!("{must:.2}"));
    let (id, measure, name) = (row.id, row.measure, peer.name);
    println!("{id}\t{measure}, {unit}\t{ours:.0}\t{name}\t{theirs:.0}\t{ratio:.2}\t{must}\t{verdict}");
}
