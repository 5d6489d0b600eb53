//! Reads files, line by line.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use underpin::{ChildSpec, Context, Exit, Init, Next, Restart, Service, Stopper, child};

use crate::framing::Decoder;
use crate::line::Source;
use crate::router::{Gone, Route, Router};
use crate::tree::Tree;

/// A file to read. The lines of one file go to one parser.
pub(crate) struct Input {
    source: Arc<Source>,
    file: File,
    decoder: Decoder,
}

/// Opens the files.
///
/// # Errors
///
/// One line that says which cannot be read.
pub(crate) fn open(paths: &[String]) -> Result<VecDeque<Input>, String> {
    let input = |(number, path): (usize, &String)| {
        let file = open_one(path).map_err(|error| format!("{path}: {error}"))?;
        Ok(Input { source: Source::new(number as u64, path), file, decoder: Decoder::of_lines() })
    };
    paths.iter().enumerate().map(input).collect()
}

fn open_one(path: &str) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    Ok(file)
}

/// Starts to read.
pub(crate) fn start(tree: &Tree, inputs: VecDeque<Input>) -> Result<(), String> {
    let ingest = spec(inputs, tree.router.clone(), tree.foundation.stopper());
    tree.foundation.root().start_child(ingest).map(drop).map_err(|error| error.to_string())
}

/// The only message: read some more.
pub(crate) struct More;

/// Reads one file after the other, then asks for the end.
pub(crate) struct Ingest {
    inputs: VecDeque<Input>,
    route: Route,
    stopper: Stopper,
    stopped: bool,
}

fn spec(inputs: VecDeque<Input>, router: Router, stopper: Stopper) -> ChildSpec<Ingest> {
    let inputs = Mutex::new(inputs);
    child("ingest", move || Ingest {
        inputs: inputs.lock().map(|mut inputs| std::mem::take(&mut *inputs)).unwrap_or_default(),
        route: router.route(),
        stopper: stopper.clone(),
        stopped: false,
    })
    .restart(Restart::Temporary)
    .capacity(1)
}

impl Input {
    /// Reads once, and hands on what that completes. `false` at the end of the file.
    fn read(&mut self, route: &mut Route) -> Result<bool, Gone> {
        let bytes = match self.file.read(self.decoder.space()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            Err(error) => {
                eprintln!("collector: {}: {error}", self.source.name);
                route.stats().unread.up();
                0
            }
        };
        self.decoder.filled(bytes);
        self.decoder.limit(route.max_line());
        while let Some(frame) = self.decoder.next() {
            route.send(self.source.line(frame))?;
        }
        if bytes == 0
            && let Some(last) = self.decoder.finish()
        {
            route.send(self.source.line(last))?;
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
        let Some(input) = self.inputs.front_mut() else {
            return Ok(Next::Stop);
        };
        if !input.read(&mut self.route)? {
            self.inputs.pop_front();
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
            self.route.stats().unread.add(self.inputs.len() as u64);
        }
        self.stopper.stop_because("all is read");
    }
}
