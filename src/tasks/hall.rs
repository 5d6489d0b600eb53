//! What a scope is inside: the desk behind its lock, and the threads that are called.

use std::mem;

use super::desk::{Call, Desk, Refusal, Waiting};
use super::error::TaskError;
use super::ground::HeldFor;
use super::job::Job;
use super::settings::MAX_QUEUE;
use super::shared::{Shared, name, tally};
use super::sink::Voice;
use crate::sync::{self, Clock, Mutex, Thread};

/// So many claimed tasks may lie in the queue before they are thrown out, and as many as there are others.
const HUSKS: usize = 1024;

/// What a scope shares with its threads.
///
/// They are workers of a [desk](Desk), as those of a pool. The last of its seats is for whoever leaves the scope: from then on he is a worker as
/// well, and all go when nothing waits and nothing runs.
pub(crate) struct Hall<'s> {
    pub(super) shared: Shared,
    /// No user's code runs under its lock, and nothing of the user's is dropped there.
    inside: Mutex<Inside<'s>>,
    hands: Vec<Mutex<Option<Thread>>>,
}

struct Inside<'s> {
    desk: Desk<HeldFor<'s>>,
    husks: usize,
    is_leaving: bool,
    is_over: bool,
}

/// What a thread does next.
enum Step<'s> {
    Run(HeldFor<'s>),
    Wait,
    Go,
}

impl<'s> Hall<'s> {
    pub(crate) fn new(threads: usize) -> Self {
        let mut desk = Desk::new(MAX_QUEUE, 0, threads + 1, usize::MAX);
        desk.keep(threads); // whoever leaves: nobody else is to have this seat
        let inside = Inside { desk, husks: 0, is_leaving: false, is_over: false };
        Self {
            shared: Shared::new("scope".into(), Clock::system(), Voice::default()),
            inside: Mutex::new(inside),
            hands: (0..=threads).map(|_| Mutex::new(None)).collect(),
        }
    }

    /// How many threads it may have.
    pub(crate) fn threads(&self) -> usize {
        self.hands.len() - 1
    }

    // ---- tasks ---------------------------------------------------------------------------

    /// Takes a task in. Whether one more thread may be [wanted](Self::hire).
    pub(crate) fn submit(&self, job: HeldFor<'s>) -> Result<bool, Refusal> {
        let waiting = Waiting::new(job, None);
        let submitted = self.inside.lock().desk.submit(waiting);
        let Call { wake, hire } = submitted.map_err(|(_, refusal)| refusal)?;
        if let Some(worker) = wake {
            self.wake(worker);
        }
        Ok(hire)
    }

    /// Runs a task on the calling thread, if nobody has it. Whether it did.
    pub(crate) fn run_here(&self, job: &dyn Job, is_queued: bool) -> bool {
        let is_mine = job.head().claim();
        if is_mine {
            job.run(&self.shared);
            self.left_husk(is_queued);
        }
        is_mine
    }

    /// Ends a task that nobody has begun, or tells the one that runs.
    pub(crate) fn cancel(&self, job: &dyn Job) {
        job.head().cancel();
        if self.end(job) {
            self.left_husk(true);
        }
    }

    /// What has not begun never does, what runs is told to end, and nothing comes any more.
    pub(crate) fn cancel_all(&self) {
        let left = self.inside.lock().desk.close();
        self.shared.set_halting(true);
        for waiting in &left {
            self.end(&*waiting.job);
        }
    }

    pub(crate) fn cancelled(&self, job: &dyn Job) -> TaskError {
        tally(&self.shared.counts.cancelled);
        TaskError::Cancelled { name: name(job.head()) }
    }

    fn end(&self, job: &dyn Job) -> bool {
        let is_mine = job.head().claim();
        if is_mine {
            job.end(&self.shared, self.cancelled(job));
        }
        is_mine
    }

    /// A task in the queue was claimed by one who is no worker.
    fn left_husk(&self, is_queued: bool) {
        let mut inside = self.inside.lock();
        inside.husks += usize::from(is_queued);
        let husks = inside.sweep();
        drop((inside, husks));
    }

    /// Whether one of its threads is free, or about to be there.
    pub(crate) fn has_free_hands(&self) -> bool {
        let inside = self.inside.lock();
        inside.desk.hands() - 1 > inside.desk.figures.running
    }

    // ---- threads -------------------------------------------------------------------------

    /// The next thread to be started, if one more is wanted.
    pub(crate) fn hire(&self) -> Option<usize> {
        self.inside.lock().desk.hire()
    }

    /// It could not be started.
    pub(crate) fn not_hired(&self, worker: usize) {
        self.inside.lock().desk.not_hired(worker, false);
    }

    /// Is a worker until the scope is over.
    pub(crate) fn work(&self, worker: usize) {
        *self.hands[worker].lock() = Some(sync::current_thread());
        self.inside.lock().desk.arrived(worker);
        let mut done = None;
        loop {
            match self.next(worker, done.take()) {
                Step::Run(job) => {
                    let has_run = job.head().claim();
                    if has_run {
                        job.run(&self.shared);
                    }
                    done = Some(has_run);
                }
                Step::Wait => sync::park(),
                Step::Go => return,
            }
        }
    }

    /// Nothing comes from outside any more: works until nothing is left.
    pub(crate) fn leave(&self) {
        self.inside.lock().is_leaving = true;
        self.work(self.threads());
    }

    fn next(&self, worker: usize, done: Option<bool>) -> Step<'s> {
        let mut inside = self.inside.lock();
        if let Some(has_run) = done {
            inside.desk.done(None, has_run);
            inside.husks -= usize::from(!has_run && inside.husks > 0);
        }
        if let Some(job) = inside.desk.take(worker) {
            let call = inside.desk.pass_on();
            drop(inside);
            call.wake.into_iter().for_each(|next| self.wake(next));
            return Step::Run(job);
        }
        if !inside.has_ended() {
            return Step::Wait;
        }
        let is_first = !mem::replace(&mut inside.is_over, true);
        drop(inside);
        if is_first {
            (0..self.hands.len()).for_each(|worker| self.wake(worker));
        }
        Step::Go
    }

    fn wake(&self, worker: usize) {
        let hand = self.hands[worker].lock().clone();
        hand.iter().for_each(Thread::unpark);
    }
}

impl<'s> Inside<'s> {
    fn has_ended(&self) -> bool {
        self.is_leaving && self.desk.waiting() == 0 && self.desk.figures.running == 0
    }

    /// Those that were claimed, if they are many. They hold nothing of the user's.
    fn sweep(&mut self) -> Vec<Waiting<HeldFor<'s>>> {
        if 2 * self.husks <= HUSKS + self.desk.waiting() {
            return Vec::new();
        }
        self.husks = 0;
        self.desk.purge(|job| !job.head().is_claimed())
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use super::*;
    use crate::service::deadline::Deadline;
    use crate::tasks::head::Head;
    use crate::tasks::job::{Cell, Plain};

    /// Waits until it is so, 20 s at most: what is asserted next says whether it is.
    fn until(is_so: impl Fn() -> bool) {
        let clock = Clock::system();
        let end = clock.now() + Duration::from_secs(20);
        while !is_so() && clock.now() < end {
            std::thread::yield_now();
        }
    }

    fn head() -> Head {
        Head::new("one".into(), None, Deadline::unbounded())
    }

    fn job<'a, T: Send + 'a>(work: impl FnOnce() -> T + Send + 'a) -> HeldFor<'a> {
        Arc::new(Cell::new(head(), Plain(work)))
    }

    fn counting(ran: &AtomicUsize) -> HeldFor<'_> {
        job(|| ran.fetch_add(1, Ordering::SeqCst))
    }

    #[test]
    fn so_many_threads_are_wanted_as_tasks_wait_and_the_last_seat_is_for_who_leaves() {
        let ran = AtomicUsize::new(0);
        let hall = Hall::new(2);
        assert_eq!((hall.threads(), hall.hire(), hall.has_free_hands()), (2, None, false));
        assert_eq!(hall.submit(counting(&ran)), Ok(true));
        assert_eq!((hall.hire(), hall.hire(), hall.has_free_hands()), (Some(0), None, true));
        for is_first in [true, false, false] {
            assert_eq!(hall.submit(counting(&ran)), Ok(is_first));
        }
        assert_eq!((hall.hire(), hall.hire()), (Some(1), None));
        hall.not_hired(1);
        hall.leave();
        assert_eq!(ran.load(Ordering::SeqCst), 4);
    }

    #[test]
    fn more_threads_are_wanted_than_are_idle_where_more_tasks_come() {
        let (ran, hall) = (AtomicUsize::new(0), Hall::new(3));
        for worker in [0, 1] {
            let mut inside = hall.inside.lock();
            inside.desk.arrived(worker);
            assert!(inside.desk.take(worker).is_none());
        }
        let wanted = [(); 3].map(|()| hall.submit(counting(&ran)));
        assert_eq!((wanted, hall.hire()), ([Ok(false), Ok(false), Ok(true)], Some(2)));
    }

    #[test]
    fn a_thread_that_was_called_calls_the_next() {
        let met = AtomicUsize::new(0);
        let meet = || {
            met.fetch_add(1, Ordering::SeqCst);
            until(|| met.load(Ordering::SeqCst) == 2);
        };
        let hall = Hall::new(2);
        let both = [(); 2].map(|()| Arc::new(Cell::new(head(), Plain(&meet))));
        let have_met = std::thread::scope(|scope| {
            for worker in 0..2 {
                let hall = &hall;
                scope.spawn(move || hall.work(worker));
            }
            until(|| hall.inside.lock().desk.idle() == 2);
            let calls = {
                let desk = &mut hall.inside.lock().desk;
                both.clone().map(|job| desk.submit(Waiting::new(job as HeldFor<'_>, None)).ok()?.wake)
            };
            calls.into_iter().flatten().for_each(|worker| hall.wake(worker));
            until(|| met.load(Ordering::SeqCst) == 2);
            let have_met = met.load(Ordering::SeqCst) == 2; // before the one who leaves takes part
            hall.leave();
            have_met
        });
        assert!(have_met && both.iter().all(|job| job.head().is_done()));
    }

    #[test]
    fn what_was_claimed_is_thrown_out_when_it_is_much() {
        let ran = AtomicUsize::new(0);
        let hall = Hall::new(0);
        for _ in 0..10 * HUSKS {
            let job = counting(&ran);
            assert_eq!(hall.submit(Arc::clone(&job)), Ok(false));
            assert!(hall.run_here(&*job, true));
            assert!(!hall.run_here(&*job, true), "it runs once");
            assert!(hall.inside.lock().desk.waiting() <= HUSKS + 1);
        }
        assert_eq!(ran.load(Ordering::SeqCst), 10 * HUSKS);
    }

    #[test]
    fn what_is_cancelled_never_begins_and_what_comes_is_refused() {
        let ran = AtomicUsize::new(0);
        let hall = Hall::new(1);
        let (one, all) = (counting(&ran), counting(&ran));
        assert!(hall.submit(Arc::clone(&one)).is_ok() && hall.submit(Arc::clone(&all)).is_ok());
        hall.cancel(&*one);
        assert!(one.head().is_done() && !all.head().is_done());
        hall.cancel_all();
        assert!(all.head().is_done());
        assert_eq!(hall.submit(counting(&ran)), Err(Refusal::Closed));
        hall.leave();
        assert_eq!(ran.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn who_leaves_stays_until_nothing_runs_that_may_bring_more() {
        let (hall, (go, gone)) = (Arc::new(Hall::new(1)), channel::<()>());
        let ((tell, told), (here, there)) = (channel(), (channel(), channel()));
        let meet = |mine: Sender<()>, other: Receiver<()>| {
            let tell = tell.clone();
            move || {
                mine.send(()).ok();
                tell.send(other.recv_timeout(Duration::from_secs(10))).ok();
            }
        };
        let (both, into) = ([meet(here.0, there.1), meet(there.0, here.1)], Arc::clone(&hall));
        let bring = move || {
            gone.recv().ok();
            both.into_iter().for_each(|work| assert!(into.submit(job(work)).is_ok()));
        };
        assert!(hall.submit(job(bring)).is_ok());
        assert_eq!(hall.hire(), Some(0));
        std::thread::scope(|scope| {
            scope.spawn(|| hall.work(0));
            until(|| hall.inside.lock().desk.figures.running == 1);
            scope.spawn(|| hall.leave());
            until(|| hall.inside.lock().desk.idle() == 1); // it finds nothing
            go.send(()).expect("it waits");
            assert_eq!([told.recv(), told.recv()], [Ok(Ok(())), Ok(Ok(()))], "both run at once");
        });
    }
}
