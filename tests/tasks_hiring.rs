//! What a pool does where the system has no more threads to give. One test: there is one logger in a process.
#![cfg(feature = "tasks")]

use std::convert::Infallible;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use underpin::tasks::TaskPool;
use underpin::{ChildSettings, Context, Next, Service, Supervisor, child};

const SECOND: Duration = Duration::from_secs(1);
/// Longer than any machine takes.
const FAR: Duration = Duration::from_secs(20);

/// Says when a thread was refused.
struct Logger(OnceLock<Mutex<Sender<Instant>>>);

static LOGGER: Logger = Logger(OnceLock::new());

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let text = record.args().to_string();
        if text.starts_with("`work` gets no more threads: ") && text.contains("abandoned") {
            let told = self.0.get().expect("it is set").lock().expect("nobody panics");
            told.send(Instant::now()).ok();
        }
    }

    fn flush(&self) {}
}

/// Hangs until the other end is dropped.
struct Hang(Sender<()>, Receiver<()>);

impl Service for Hang {
    type Msg = ();
    type Error = Infallible;

    fn handle(&mut self, (): (), _: &mut Context<Self>) -> Result<Next, Infallible> {
        self.0.send(()).ok();
        self.1.recv().ok();
        Ok(Next::Continue)
    }
}

#[test]
fn a_thread_that_was_refused_is_asked_for_once_a_second_and_comes_when_there_is_one() {
    let (tell, told) = channel();
    LOGGER.0.set(Mutex::new(tell)).expect("it is set once");
    log::set_logger(&LOGGER).expect("there is no other logger");
    log::set_max_level(log::LevelFilter::Error);
    let ((hold, held), (begin, begun)) = (channel(), channel());
    let once = Mutex::new(Some(Hang(begin.clone(), held)));
    let hang = child("hang", move || once.lock().expect("no panic").take().ok_or("it was there"));
    let handle = hang.handle();
    let tasks = TaskPool::builder("work").elastic(1..=2).build().expect("it makes sense");
    let app = Supervisor::new("app").max_abandoned(1).child(hang).supervisor(tasks.supervisor());
    let app = app.start().expect("it starts");
    handle.cast(()).expect("it is taken");
    begun.recv_timeout(FAR).expect("it hangs");
    app.reconfigure_child("hang", ChildSettings::new().shutdown(Duration::ZERO)).expect("it is there");
    app.terminate_child("hang").expect("it is given up");

    let (go, gone) = channel::<()>();
    let first = move || {
        begin.send(()).ok();
        gone.recv().ok();
    };
    tasks.spawn("first", first).detach();
    begun.recv_timeout(FAR).expect("it begins");
    let second = tasks.spawn("second", || 7);
    let [before, after] = [(); 2].map(|()| told.recv_timeout(FAR).expect("it is told that there is none"));
    assert!(after - before >= SECOND, "{:?}", after - before);
    assert!(!second.is_done());
    drop(hold);
    assert_eq!(second.join_timeout(FAR), Ok(7));
    drop((go, app));
}
