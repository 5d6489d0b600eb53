//! What systemd is told: a program that is started as a unit would be, and a socket in the place of the manager's.
#![cfg(all(feature = "systemd", unix))]

mod common;
mod health_common;

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{LONG, eventually};
use health_common::Told;
use underpin::Supervisor;
use underpin::health::{Check, Health, HealthMonitor, Verdict};

/// Says which part the program has to play; set by the tests below alone.
const PART: &str = "UNDERPIN_TEST_UNIT";

/// The socket of a manager, and what came.
struct Manager {
    socket: UnixDatagram,
    dir: PathBuf,
    said: Vec<(Instant, String)>,
}

impl Manager {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("underpin-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&dir));
        std::fs::create_dir_all(&dir).expect("a directory");
        let socket = UnixDatagram::bind(dir.join("notify")).expect("a socket");
        socket.set_read_timeout(Some(LONG)).expect("a time-out");
        Self { socket, dir, said: Vec::new() }
    }

    /// Starts this very program again, as a unit that plays a part.
    fn start(&self, part: &str, watchdog: Duration) -> Unit {
        let mut unit = Command::new(std::env::current_exe().expect("it is known"));
        unit.args(["--exact", "a_unit", "--nocapture"]);
        unit.env(PART, part).env("NOTIFY_SOCKET", self.dir.join("notify"));
        unit.env("WATCHDOG_USEC", watchdog.as_micros().to_string()).env_remove("WATCHDOG_PID");
        let unit = unit.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Unit(unit.spawn().expect("it starts"))
    }

    /// Reads on until a line comes.
    #[track_caller]
    fn wait(&mut self, line: &str) {
        self.wait_for(line, |said| said == line);
    }

    #[track_caller]
    fn wait_for(&mut self, what: &str, is: impl Fn(&str) -> bool) {
        let mut datagram = [0; 4096];
        loop {
            let read = self.socket.recv(&mut datagram);
            let Ok(len) = read else { panic!("no {what} in {:?}", self.said) };
            let text = String::from_utf8_lossy(&datagram[..len]).into_owned();
            self.said.extend(text.lines().map(|line| (Instant::now(), line.to_owned())));
            if text.lines().any(&is) {
                return;
            }
        }
    }

    fn count(&self, line: &str) -> usize {
        self.said.iter().filter(|(_, said)| said == line).count()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

/// A program under way. It ends when its input does.
struct Unit(Child);

impl Unit {
    fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().expect("it ends").success());
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The program that the other tests start; by itself it is started with nothing to play, and so plays what they do
/// without a manager: it says nothing to nobody, and runs.
#[test]
fn a_unit() {
    let part = std::env::var(PART).unwrap_or_default();
    let told = Told::new(Verdict::healthy());
    let dying = part == "dies";
    let alive =
        Check::new("alive", move || if dying { Verdict::unhealthy("dead") } else { Verdict::healthy() });
    let health = HealthMonitor::builder().check(told.check("disk")).check(alive.liveness()).systemd().build();
    let app = Supervisor::new("app").supervisor(health.supervisor()).start().expect("it starts");
    let wanted = if dying { Health::Unhealthy } else { Health::Healthy };
    eventually("the checks have answered", || health.health().health == wanted);
    if !part.is_empty() {
        told.say(Verdict::degraded("nearly\nfull"));
        drop(std::io::read_to_string(std::io::stdin())); // until whoever started it lets it end
    }
    assert!(app.shutdown(LONG).is_clean());
}

#[test]
fn a_unit_says_that_it_is_ready_how_it_does_that_it_is_alive_and_that_it_stops() {
    let mut manager = Manager::new("alive");
    let unit = manager.start("lives", Duration::from_millis(400));
    manager.wait("READY=1");
    manager.wait_for("status", |said| {
        said.starts_with("STATUS=mode reduced, degraded: disk is degraded: nearly full")
    });
    let before = manager.count("WATCHDOG=1");
    (0..5).for_each(|_| manager.wait("WATCHDOG=1"));
    let alive: Vec<_> =
        manager.said.iter().filter(|(_, said)| said == "WATCHDOG=1").map(|(at, _)| *at).collect();
    let pauses: Vec<_> = alive[before.max(1) - 1..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    let shortest = pauses.iter().min().expect("there are some");
    assert!(*shortest >= Duration::from_millis(100), "{pauses:?}");
    unit.end();
    manager.wait("STOPPING=1");
    assert_eq!((manager.count("READY=1"), manager.count("STOPPING=1")), (1, 1));
}

#[test]
fn a_unit_that_is_not_alive_does_not_say_that_it_is() {
    let mut manager = Manager::new("dead");
    let unit = manager.start("dies", Duration::from_millis(400));
    manager.wait_for("status", |said| said.contains("alive is unhealthy: dead"));
    let before = manager.count("WATCHDOG=1");
    manager.wait_for("degraded", |said| said.contains("nearly full"));
    unit.end();
    manager.wait("STOPPING=1");
    assert_eq!(manager.count("WATCHDOG=1"), before);
}
