//! What a journal has, in numbers.

use std::collections::{BTreeMap, HashSet};

use serde_json::json;
use underpin::events::Entry;

use crate::args::Args;
use crate::reading::{Go, Read, read};

/// How many different kinds, correlations or streams are told apart; what comes beyond is counted as an event alone.
const MOST: usize = 1_000_000;

#[derive(Default)]
struct Stats {
    events: u64,
    kinds: BTreeMap<String, u64>,
    correlations: HashSet<String>,
    streams: HashSet<String>,
    first: Option<(u64, String)>,
    last: Option<(u64, String)>,
}

impl Stats {
    fn add(&mut self, entry: &Entry) {
        self.events += 1;
        if let Some(known) = self.kinds.get_mut(entry.kind()) {
            *known += 1;
        } else if self.kinds.len() < MOST {
            self.kinds.insert(entry.kind().to_owned(), 1);
        }
        if self.correlations.len() < MOST {
            self.correlations.insert(entry.correlation().to_string());
        }
        if let Some(stream) = entry.stream().filter(|_| self.streams.len() < MOST) {
            self.streams.insert(stream.to_owned());
        }
        let place = (entry.id().get(), entry.time_text());
        self.first.get_or_insert_with(|| place.clone());
        self.last = Some(place);
    }

    fn print(&self, read: &Read) {
        println!("events          {}", self.events);
        println!("correlations    {}", self.correlations.len());
        println!("streams         {}", self.streams.len());
        println!("faults          {}", read.faults);
        println!("not journaled   {}", read.unjournaled);
        for (what, place) in [("first", &self.first), ("last", &self.last)] {
            if let Some((id, time)) = place {
                println!("{what:<15} {id} at {time}");
            }
        }
        self.kinds.iter().for_each(|(kind, events)| println!("kind {kind}: {events}"));
    }

    fn to_json(&self, read: &Read) -> serde_json::Value {
        let place =
            |place: &Option<(u64, String)>| place.as_ref().map(|(id, time)| json!({"id": id, "time": time}));
        json!({
            "events": self.events, "correlations": self.correlations.len(), "streams": self.streams.len(),
            "faults": read.faults, "unjournaled": read.unjournaled,
            "first": place(&self.first), "last": place(&self.last), "kinds": self.kinds,
        })
    }
}

/// Counts, and prints what was counted. Returns whether the journal is whole.
pub(crate) fn say(args: &Args) -> Result<bool, String> {
    let mut stats = Stats::default();
    let read = read(args, |entry| {
        stats.add(entry);
        Go::On
    })?;
    match args.json {
        true => println!("{}", stats.to_json(&read)),
        false => stats.print(&read),
    }
    Ok(read.faults == 0)
}
