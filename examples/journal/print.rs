//! Events as lines.

use std::collections::VecDeque;
use std::io::{self, BufWriter, Write};

use underpin::events::{Data, Entry};

use crate::args::Args;
use crate::reading::{Go, read};

/// Prints all events. Returns whether the journal is whole.
pub(crate) fn all(args: &Args) -> Result<bool, String> {
    let mut out = BufWriter::new(io::stdout().lock());
    // Who reads it may have enough, as `head` has.
    let mut print = |entry: &Entry| if line(&mut out, entry, args.json).is_ok() { Go::On } else { Go::Home };
    let read = read(args, &mut print)?;
    drop(out.flush());
    Ok(read.faults == 0)
}

/// Prints the last events. Returns whether the journal is whole.
pub(crate) fn last(args: &Args) -> Result<bool, String> {
    let mut last = VecDeque::with_capacity(args.lines.min(1024));
    let read = read(args, |entry| {
        if last.len() == args.lines {
            last.pop_front();
        }
        last.push_back(entry.clone());
        Go::On
    })?;
    let mut out = BufWriter::new(io::stdout().lock());
    let printed = last.iter().try_for_each(|entry| line(&mut out, entry, args.json));
    drop(printed.and_then(|()| out.flush()));
    Ok(read.faults == 0)
}

fn line(out: &mut impl Write, entry: &Entry, json: bool) -> io::Result<()> {
    if json {
        return writeln!(out, "{}", entry.to_json());
    }
    let (id, time, kind) = (entry.id(), entry.time_text(), entry.kind());
    write!(out, "{id} {time} {kind} {} ", entry.correlation())?;
    match entry.data() {
        Data::Text(text) => writeln!(out, "{}", text.escape_debug()),
        Data::Json(value) => writeln!(out, "{value}"),
        Data::Bytes(bytes) => writeln!(out, "{}", bytes.escape_ascii()),
        _ => writeln!(out),
    }
}
