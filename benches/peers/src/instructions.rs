//! What one operation takes in instructions, which do not depend on the machine's mood.
//!
//! A contender is run twice under callgrind, with more and with fewer operations; the difference is what the
//! operations took: the client, or all threads of the program, where others do much of it. What comes before them is not
//! counted: some of it takes as long as the clock says, as of a counter of cycles whose rate has to be found out.

use std::process::Command;

use crate::measure::{Contestant, Timing};
use crate::rows::{Counted, Peer, Row};

/// How many operations the two runs have.
const FEWER: u64 = 2_000;
const MORE: u64 = 12_000;
/// Nothing but what this function does is counted, where the client's instructions are.
const CLIENTS: &str = "--toggle-collect=*Contestant::run_once*";
/// What tells the program that it is such a run: row, measure, contender, operations.
const TASK: &str = "UNDERPIN_PEERS_TASK";

/// Does the run that it was started for, if it was started for one.
pub fn is_done(rows: &[Row]) -> bool {
    let Ok(task) = std::env::var(TASK) else { return false };
    let [id, measure, contender, operations]: [&str; 4] =
        task.split('|').collect::<Vec<_>>().try_into().expect("a task of four parts");
    let row = rows.iter().find(|row| row.id == id && row.measure == measure).expect("there is such a row");
    let peer = row.peers.iter().find(|peer| peer.name == contender);
    let start = peer.map_or(row.ours, |peer| peer.start);
    Contestant::run_once(start(), operations.parse().expect("a number"));
    true
}

/// Whether operations of a row can be counted: those of one client alone.
pub fn can_count(row: &Row) -> bool {
    row.timing == Timing::Loop && row.clients == 1 && row.counted != Counted::Nobodys
}

/// A line for each peer of a row: as for times, with instructions.
pub fn compare(row: &Row, wanted: impl Fn(&Peer) -> bool) {
    let ours = count(row, "ours");
    let Row { id, measure, .. } = row;
    for peer in row.peers.iter().filter(|peer| wanted(peer)) {
        let both = ours.clone().and_then(|ours| Ok((ours, count(row, peer.name)?)));
        match both {
            Ok((ours, theirs)) => print!("{}", line(row, peer, ours, theirs)),
            Err(why) => println!("{id}\t{measure}\t-\t{}\t-\t-\t-\t{why}", peer.name),
        }
    }
}

fn line(Row { id, measure, .. }: &Row, Peer { name, must, .. }: &Peer, ours: f64, theirs: f64) -> String {
    let ratio = ours / theirs;
    let verdict = if must.is_some_and(|must| ratio > must) { "short" } else { "ok" };
    let must = must.map_or("-".into(), |must| format!("{must:.2}"));
    format!("{id}\t{measure}, instructions\t{ours:.0}\t{name}\t{theirs:.0}\t{ratio:.2}\t{must}\t{verdict}\n")
}

/// Instructions for each operation.
fn count(row: &Row, contender: &str) -> Result<f64, String> {
    let (fewer, more) = (total(row, contender, FEWER)?, total(row, contender, MORE)?);
    Ok((more - fewer) / (MORE - FEWER) as f64)
}

fn total(row: &Row, contender: &str, operations: u64) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args((row.counted == Counted::Clients).then_some(CLIENTS))
        .arg(program)
        .env(TASK, format!("{}|{}|{contender}|{operations}", row.id, row.measure))
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split("Collected : ").nth(1));
    let number = collected.and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| format!("valgrind ended with {}", output.status))
}
