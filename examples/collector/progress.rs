//! A bar on the terminal.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use underpin::{ChildSpec, Context, Exit, Init, Next, Service, child};

use crate::stats::Stats;

/// How often it is drawn.
const EVERY: Duration = Duration::from_millis(50);
/// How long it is.
const CELLS: u64 = 40;

/// The only message: draw it.
pub(crate) struct Draw;

/// Shows how many of `total` lines are through.
pub(crate) struct Progress {
    stats: Arc<Stats>,
    total: u64,
}

/// Describes the bar.
pub(crate) fn spec(stats: &Arc<Stats>, total: u64) -> ChildSpec<Progress> {
    let stats = Arc::clone(stats);
    child("progress", move || Progress { stats: Arc::clone(&stats), total }).capacity(1)
}

impl Progress {
    fn draw(&self) {
        let done = self.stats.parsed.get() + self.stats.malformed.get() + self.stats.lost.get();
        let bar = bar(done, self.total);
        let (crashes, hung) = (self.stats.crashes.get(), self.stats.hung.get());
        eprint!("\r{bar} {done}/{} lines, {crashes} crashes, {hung} hangs ", self.total);
    }
}

fn bar(done: u64, total: u64) -> String {
    let full = (done.min(total) * CELLS / total.max(1)) as usize;
    format!("[{}{}]", "#".repeat(full), ".".repeat(CELLS as usize - full))
}

impl Service for Progress {
    type Msg = Draw;
    type Error = Infallible;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Infallible> {
        cx.send_after(Duration::ZERO, Draw);
        Ok(Init::Ready)
    }

    fn handle(&mut self, Draw: Draw, cx: &mut Context<Self>) -> Result<Next, Infallible> {
        self.draw();
        cx.send_after(EVERY, Draw);
        Ok(Next::Continue)
    }

    fn terminate(&mut self, _: &Exit) {
        self.draw();
        eprintln!();
    }

    fn label(_: &Draw) -> &'static str {
        "draw"
    }
}
