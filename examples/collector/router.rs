//! The way to the parsers: who gets which line, what happens while they are busy, and while their
//! number changes.
//!
//! Which parsers there are stands in a [`Table`], which never changes: with another number of parsers there
//! is another table. Each sender goes by a table of its own choice, and turns to the present one when all
//! that it has sent by the old one is done. So the lines of one source stay in order when it comes to
//! another parser, and nobody waits for anybody but the parser that has his lines. A parser that is in no
//! table any more gets nothing more: only then the [`foreman`](crate::foreman) lets it go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use underpin::config::{Config, Reader};
use underpin::{CallError, CastError, Deadline, Handle, Reply};

use crate::foreman;
use crate::line::Line;
use crate::parser;
use crate::settings::Settings;
use crate::stats::Stats;

/// How long a sender waits for his parser at a time, before he goes on by the old table.
const PATIENCE: Duration = Duration::from_secs(1);

/// Nothing more can be handed over: the recipient is stopped for good, or the sender itself was
/// abandoned.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Gone(String);

/// Knows the present table.
#[derive(Clone)]
pub(crate) struct Router {
    shared: Arc<Shared>,
    config: Config<Settings>,
    stats: Arc<Stats>,
}

struct Shared {
    /// The number of the present table, so that a look at it costs little.
    number: AtomicU64,
    tables: Mutex<Tables>,
    /// Who hears that nobody goes by a table any more.
    foreman: Arc<OnceLock<Handle<foreman::Msg>>>,
}

struct Tables {
    present: Arc<Table>,
    /// Those that somebody may still go by, and their sizes.
    former: Vec<(Weak<Table>, usize)>,
}

/// The parsers that share the sources between them.
struct Table {
    number: u64,
    parsers: Vec<Handle<parser::Msg>>,
    foreman: Arc<OnceLock<Handle<foreman::Msg>>>,
}

impl Drop for Table {
    /// Nobody goes by it any more.
    fn drop(&mut self) {
        if let Some(foreman) = self.foreman.get() {
            // He rejects what is too much: then he looks anyway. At the end he is gone.
            let _ = foreman.cast(foreman::Msg::Look);
        }
    }
}

impl Router {
    /// At least one parser.
    pub(crate) fn new(
        parsers: Vec<Handle<parser::Msg>>,
        config: Config<Settings>,
        stats: Arc<Stats>,
    ) -> Self {
        let foreman = Arc::default();
        let present = Arc::new(Table { number: 0, parsers, foreman: Arc::clone(&foreman) });
        let tables = Mutex::new(Tables { present, former: Vec::new() });
        Self { shared: Arc::new(Shared { number: AtomicU64::new(0), tables, foreman }), config, stats }
    }

    /// He hears of tables that nobody goes by any more.
    pub(crate) fn employ(&self, foreman: Handle<foreman::Msg>) {
        let _ = self.shared.foreman.set(foreman);
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.stats
    }

    /// A way of one's own.
    pub(crate) fn route(&self) -> Route {
        let table = self.shared.present();
        Route { router: self.clone(), table, used: 0, settings: self.config.reader() }
    }

    /// From now on there are these. The same ones as before are no change.
    pub(crate) fn publish(&self, parsers: Vec<Handle<parser::Msg>>) {
        let mut tables = self.shared.lock();
        if tables.present.parsers.len() == parsers.len() {
            return;
        }
        let number = tables.present.number + 1;
        let next = Arc::new(Table { number, parsers, foreman: Arc::clone(&self.shared.foreman) });
        let before = std::mem::replace(&mut tables.present, next);
        tables.former.push((Arc::downgrade(&before), before.parsers.len()));
        self.shared.number.store(number, Ordering::Release);
        drop(tables);
        drop(before); // after the lock: it may be the last one, and says so
    }

    /// How many parsers somebody may still send to: the first so many.
    pub(crate) fn in_use(&self) -> usize {
        let mut tables = self.shared.lock();
        tables.former.retain(|(table, _)| table.strong_count() > 0);
        let former = tables.former.iter().map(|(_, size)| *size);
        former.chain([tables.present.parsers.len()]).max().unwrap_or(0)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn present(&self) -> Arc<Table> {
        Arc::clone(&self.lock().present)
    }
}

/// The way of one sender: hands frames to the parsers, and counts what they take.
pub(crate) struct Route {
    router: Router,
    table: Arc<Table>,
    /// To which of its parsers something was sent, a bit for each.
    used: u64,
    settings: Reader<Settings>,
}

impl Route {
    pub(crate) fn stats(&self) -> &Stats {
        &self.router.stats
    }

    /// The longest line that is taken at present.
    pub(crate) fn max_line(&mut self) -> usize {
        self.settings.get().max_line
    }

    /// Hands a line over, and waits as long as that takes: the source is slowed to the pace of
    /// its parser.
    pub(crate) fn send(&mut self, line: Line) -> Result<(), Gone> {
        self.turn();
        cast_patiently(self.parser_of(line.from.number), parser::Msg::Line(line))?;
        self.stats().received.up();
        Ok(())
    }

    /// Hands a line over, or gives it up, counted, when its parser was busy for a second.
    pub(crate) fn offer(&mut self, line: Line) {
        self.turn();
        let accepted = self.parser_of(line.from.number).cast(parser::Msg::Line(line)).is_ok();
        let counter = if accepted { &self.stats().received } else { &self.stats().udp_dropped };
        counter.up();
    }

    /// Turns to the present table, if it is another and all that was sent by the old one is done. To be
    /// called now and then by who has nothing to send: a parser cannot go while somebody might send to it.
    ///
    /// # Blocking
    ///
    /// On the parsers that have lines of this sender, 1 s at most. If that is not enough the old table
    /// serves until the next time.
    pub(crate) fn turn(&mut self) {
        let is_present = self.table.number == self.router.shared.number.load(Ordering::Acquire);
        if !is_present && self.is_done() {
            self.used = 0;
            self.table = self.router.shared.present();
        }
    }

    fn is_done(&self) -> bool {
        let until = Deadline::after(PATIENCE);
        let used = self.table.parsers.iter().enumerate().filter(|(index, _)| self.used >> index & 1 == 1);
        used.map(|(_, parser)| parser).all(|parser| is_done(parser, until))
    }

    fn parser_of(&mut self, source: u64) -> &Handle<parser::Msg> {
        let index = (source % self.table.parsers.len() as u64) as usize;
        self.used |= 1 << index;
        &self.table.parsers[index]
    }
}

/// Casts, and tries again while the mailbox is full: backpressure without a limit.
///
/// # Blocking
///
/// Until there is room. Whoever reads the mailbox is supervised, so there will be, or the child is
/// gone; or whoever sends is abandoned.
pub(crate) fn cast_patiently<M: Send + 'static>(to: &Handle<M>, message: M) -> Result<(), Gone> {
    let mut sent = to.cast(message);
    loop {
        match sent {
            Ok(()) => return Ok(()),
            Err(CastError::Full { message, .. } | CastError::TimedOut { message, .. }) => {
                sent = to.cast(message);
            }
            Err(final_one) => return Err(Gone(final_one.to_string())),
        }
    }
}

/// Waits until a parser has done all that was sent to it before. Of one that is stopped for good nothing
/// will come.
pub(crate) fn is_done(parser: &Handle<parser::Msg>, until: Deadline) -> bool {
    let waited = wait_for(parser, until, parser::Msg::Barrier);
    matches!(waited, Ok(()) | Err(CallError::Stopped { .. } | CallError::NotSent(CastError::Stopped { .. })))
}

/// Waits until everything that was sent to this child before is handled.
///
/// # Blocking
///
/// As long as that takes, until the deadline.
pub(crate) fn wait_for<M: Send + 'static>(
    child: &Handle<M>,
    until: Deadline,
    barrier: fn(Reply<()>) -> M,
) -> Result<(), CallError<M>> {
    loop {
        match child.call_by(until, barrier) {
            // Its mailbox was full for a second, or it was given up just when it took this up.
            Err(
                CallError::NotSent(CastError::Full { .. } | CastError::TimedOut { .. })
                | CallError::Crashed { .. },
            ) if !until.has_passed(Instant::now()) => {}
            outcome => return outcome,
        }
    }
}
