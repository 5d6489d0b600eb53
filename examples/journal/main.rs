//! A look into a journal of events, without the program that writes it, and also while it does.
//!
//! ```text
//! cargo run --example journal -- cat DIR [--filter FILTER] [--json]
//! cargo run --example journal -- tail DIR [--lines N] [--filter FILTER] [--json]
//! cargo run --example journal -- verify DIR
//! cargo run --example journal -- stats DIR [--filter FILTER] [--json]
//! ```
//!
//! - `cat` prints the events, the oldest first: number, time, kind, correlation and data of each, or with
//!   `--json` all of it as one JSON object a line.
//! - `tail` prints the last ten, or so many.
//! - `verify` reads all of it and says what is wrong, with file and offset.
//! - `stats` counts: events, kinds, correlations, streams, what is missing.
//!
//! A filter is what [`Filter`](underpin::events::Filter) takes, as `kind=login,since=2026-01-01T00:00:00Z`; what it
//! does not know is refused.
//!
//! What is wrong with the journal goes to stderr in each case, after which it goes on with what is whole. Status 0;
//! 1 if something is corrupt, missing or unreadable; 2 for bad arguments, or where there is no journal. What a crash has
//! left of a last write is no fault: nobody was told that it is there. Events that were not journaled, because the disk
//! was full for one, are said, and are no fault of the journal.

mod args;
mod print;
mod reading;
mod stats;

use std::process::ExitCode;

use args::{Args, Asked, Command};

/// What a wrong argument ends with.
const BAD_ARGUMENTS: u8 = 2;
/// What a journal that is not whole ends with.
const NOT_WHOLE: u8 = 1;

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    match Args::parse(words).and_then(carry_out) {
        Ok(is_whole) => ExitCode::from(if is_whole { 0 } else { NOT_WHOLE }),
        Err(wrong) => {
            eprintln!("journal: {wrong}");
            ExitCode::from(BAD_ARGUMENTS)
        }
    }
}

/// Does what was asked for. Returns whether the journal is whole.
fn carry_out(asked: Asked) -> Result<bool, String> {
    let Asked::Look(args) = asked else {
        print!("{}", args::HELP);
        return Ok(true);
    };
    match args.command {
        Command::Cat => print::all(&args),
        Command::Tail => print::last(&args),
        Command::Verify => reading::verify(&args),
        Command::Stats => stats::say(&args),
    }
}
