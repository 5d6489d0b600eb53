//! underpin beside its peers, in interleaved rounds. See `benches/README.md`.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml -- [OPTION ...] [ROW ...]`

mod contenders;
mod instructions;
mod measure;
mod options;
mod report;
mod rounds;
mod rows;
mod scale;

use std::collections::BTreeSet;

use contenders::disk;
use measure::{Contestant, Timing, beside_a_busy_thread};
use options::{Options, USAGE};
use report::{Entry, Figure};
use rounds::Series;
use rows::{Peer, Row};

fn main() {
    let rows = rows::rows();
    if instructions::is_done(&rows) {
        return;
    }
    let options = asked(&rows).unwrap_or_else(|wrong| {
        eprintln!("{wrong}\n{USAGE}");
        std::process::exit(2);
    });
    if options.instructions {
        return count(&rows, &options);
    }
    if disk::ROWS.iter().any(|id| options.wants_row(id)) {
        eprintln!("files: {}", disk::whereabouts());
    }
    print!("{}", options.format.head());
    // First: memory that other rows have freed would be taken again and not be seen.
    scale::compare(&options);
    for row in rows.iter().filter(|row| options.wants_row(row.id)) {
        if row.busy || options.busy {
            beside_a_busy_thread(|| compare(row, &options));
        } else {
            compare(row, &options);
        }
    }
}

fn count(rows: &[Row], options: &Options) {
    let rows = rows.iter().filter(|row| options.wants_row(row.id) && instructions::can_count(row));
    rows.for_each(|row| instructions::compare(row, |peer| options.wants_peer(peer.name)));
}

fn asked(rows: &[Row]) -> Result<Options, String> {
    let options = Options::parse(std::env::args().skip(1))?;
    let ids = rows.iter().map(|row| row.id).chain(scale::ROWS);
    let peers = rows.iter().flat_map(|row| &row.peers).map(|peer| peer.name);
    options.check(&each_once(ids), &each_once(peers))?;
    Ok(options)
}

fn each_once<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    BTreeSet::from_iter(names).into_iter().collect()
}

fn compare(row: &Row, options: &Options) {
    for peer in row.peers.iter().filter(|peer| options.wants_peer(peer.name)) {
        let written = match (peer.missing)() {
            Some(why) => options.format.absent(row.id, row.measure, peer.name, why),
            None => options.format.entry(&duel(row, peer, options.rounds)),
        };
        print!("{written}");
    }
}

/// Ours and a peer by turns.
fn duel<'a>(row: &'a Row, peer: &'a Peer, rounds: usize) -> Entry<'a> {
    let mut ours = Contestant::start((row.ours)(), row.clients, row.timing);
    let mut theirs = Contestant::start((peer.start)(), row.clients, row.timing);
    let [mut time, mut p99, mut cpu] = [(); 3].map(|()| Series::default());
    for _ in 0..rounds {
        let (one, other) = (ours.round(), theirs.round());
        time.push(one.time, other.time);
        p99.push(one.p99, other.p99);
        cpu.push(one.cpu, other.cpu);
    }
    let figure = |unit, series: &Series, must| Figure { unit, outcome: series.outcome(), must };
    Entry {
        row: row.id,
        measure: row.measure,
        peer: peer.name,
        time: figure("ns", &time, peer.must),
        p99: (row.timing != Timing::Loop).then(|| figure("ns at p99", &p99, None)),
        cpu: Some(figure("ns of CPU", &cpu, peer.must_cpu)),
    }
}
