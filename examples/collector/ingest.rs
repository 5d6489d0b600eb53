//! Reads files, line by line.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::sync::Mutex;
use std::time::Duration;

use underpin::{ChildSpec, Context, Exit, Init, Next, Restart, Service, Stopper, child};

use crate::framing::Decoder;
use crate::router::{Gone, Route, Router};
use crate::tree::Tree;

/// A file to read. The lines of one file go to one parser.
pub(crate) struct Source {
    number: u64,
    path: String,
    file: File,
    decoder: Decoder,
}

/// Opens the files.
///
/// # Errors
///
/// One line that says which cannot be read.
pub(crate) fn open(paths: &[String]) -> Result<VecDeque<Source>, String> {
    let source = |(number, path): (usize, &String)| {
        let file = open_one(path).map_err(|error| format!("{path}: {error}"))?;
        Ok(Source { number: number as u64, path: path.clone(), file, decoder: Decoder::of_lines() })
    };
    paths.iter().enumerate().map(source).collect()
}

fn open_one(path: &str) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

/// Starts to read.
pub(crate) fn start(tree: &Tree, sources: VecDeque<Source>) -> Result<(), String> {
    let ingest = spec(sources, tree.router.clone(), tree.foundation.stopper());
    tree.foundation.root().start_child(ingest).map(drop).map_err(|error| error.to_string())
}

/// The only message: read some more.
pub(crate) struct More;

/// Reads one file after the other, then asks for the end.
pub(crate) struct Ingest {
    sources: VecDeque<Source>,
    route: Route,
    stopper: Stopper,
    stopped: bool,
}

fn spec(sources: VecDeque<Source>, router: Router, stopper: Stopper) -> ChildSpec<Ingest> {
    let sources = Mutex::new(sources);
    child("ingest", move || Ingest {
        sources: sources.lock().map(|mut sources| std::mem::take(&mut *sources)).unwrap_or_default(),
        route: router.route(),
        stopper: stopper.clone(),
        stopped: false,
    })
    .restart(Restart::Temporary)
    .capacity(1)
}

impl Source {
    /// Reads once, and hands on what that completes. `false` at the end of the file.
    fn read(&mut self, route: &mut Route) -> Result<bool, Gone> {
        let bytes = match self.file.read(self.decoder.space()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            Err(error) => {
                eprintln!("collector: {}: {error}", self.path);
                route.stats().unread.up();
                0
            }
        };
        self.decoder.filled(bytes);
        self.decoder.limit(route.max_line());
        while let Some(frame) = self.decoder.next() {
            route.send(self.number, frame)?;
        }
        if bytes == 0
            && let Some(last) = self.decoder.finish()
        {
            route.send(self.number, last)?;
        }
        Ok(bytes > 0)
    }
}

impl Service for Ingest {
    type Msg = More;
    type Error = Gone;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Gone> {
        cx.send_after(Duration::ZERO, More);
        Ok(Init::Ready)
    }

    fn handle(&mut self, More: More, cx: &mut Context<Self>) -> Result<Next, Gone> {
        let Some(source) = self.sources.front_mut() else {
            return Ok(Next::Stop);
        };
        if !source.read(&mut self.route)? {
            self.sources.pop_front();
        }
        cx.send_after(Duration::ZERO, More);
        Ok(Next::Continue)
    }

    fn terminate(&mut self, exit: &Exit) {
        self.stopped = exit.is_calm();
    }

    fn label(_: &More) -> &'static str {
        "more"
    }
}

impl Drop for Ingest {
    /// However it ended, nothing more will come.
    fn drop(&mut self) {
        if !self.stopped {
            self.route.stats().unread.add(self.sources.len() as u64);
        }
        self.stopper.stop_because("all is read");
    }
}
