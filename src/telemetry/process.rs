//! What the operating system knows of the process.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::descriptor::Descriptor;
use super::proc_text::{
    ProcStat, ProcTextError, TICKS_PER_SECOND, boot_seconds, most_open_files, resident_bytes, up_ticks,
};
use super::sheet::Sheet;
use super::unit::Unit;
use crate::sync::Clock;

/// So much of a file is read at most: `/proc/stat` has a number for each interrupt of the machine.
const MOST_BYTES: u64 = 4 << 20;

const CPU: Descriptor =
    Descriptor::counter("process.cpu", "Time on processors, in the program and in the kernel.")
        .unit(Unit::Seconds);
const CPU_USER: Descriptor =
    Descriptor::counter("process.cpu.user", "Time on processors, in the program.").unit(Unit::Seconds);
const CPU_SYSTEM: Descriptor =
    Descriptor::counter("process.cpu.system", "Time on processors, in the kernel.").unit(Unit::Seconds);
const RESIDENT: Descriptor =
    Descriptor::gauge("process.resident_memory", "Memory in use that is not swapped out.").unit(Unit::Bytes);
const VIRTUAL: Descriptor =
    Descriptor::gauge("process.virtual_memory", "Addresses in use.").unit(Unit::Bytes);
const THREADS: Descriptor = Descriptor::gauge("process.threads", "Threads that exist.");
const OPEN_FDS: Descriptor =
    Descriptor::gauge("process.open_fds", "Files, sockets and the like that are open.");
const MAX_FDS: Descriptor = Descriptor::gauge("process.max_fds", "How many may be open at once.");
const START_TIME: Descriptor =
    Descriptor::gauge("process.start_time", "When the process started, since the epoch.").unit(Unit::Seconds);
const UPTIME: Descriptor =
    Descriptor::gauge("process.uptime", "How long ago the process started.").unit(Unit::Seconds);
const READ_FAILURES: Descriptor =
    Descriptor::counter("process.read_failures", "Figures that the system did not tell.");

/// What the operating system knows of the process: time on processors, memory, threads, open files.
///
/// | name | what |
/// |---|---|
/// | `process.cpu`, `.user`, `.system` | time on processors, to 10 ms |
/// | `process.resident_memory`, `process.virtual_memory` | bytes |
/// | `process.threads` | threads that exist |
/// | `process.open_fds`, `process.max_fds` | open files and their soft limit, which is left out where there is none |
/// | `process.start_time` | when it started, since the epoch: the machine's start by the wall's clock, and what the process came later |
/// | `process.uptime` | how long ago that was, by the monotonic clock: no wall's clock that is set moves it |
/// | `process.read_failures` | figures that were left out, for the system did not tell them |
///
/// An exporter makes of the first ones the names that Prometheus' own clients use: `process_cpu_seconds_total`,
/// `process_resident_memory_bytes`, `process_open_fds`.
///
/// On Linux they are read from `/proc`. Elsewhere there are the uptime, counted from when the collector was made,
/// and the failures, which are 0.
///
/// # Example
///
/// ```
/// use underpin::Clock;
/// use underpin::telemetry::{ProcessCollector, Sheet};
///
/// let mut process = ProcessCollector::new(Clock::system());
/// let mut sheet = Sheet::default();
/// process.collect(&mut sheet);
/// assert_eq!((sheet.refused(), process.last_failure()), (0, None));
/// ```
#[derive(Debug)]
pub struct ProcessCollector {
    /// Where `/proc` is; `None` where there is none.
    root: Option<PathBuf>,
    clock: Clock,
    made: Instant,
    /// For how long the process had been up then.
    age: Duration,
    /// Since the epoch; looked up once, for the wall's clock may be set.
    start_seconds: Option<f64>,
    /// The highest that was seen, for a counter never falls.
    cpu_nanos: [u64; 3],
    failures: u64,
    last_failure: Option<String>,
}

/// Why a figure is left out.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Text(#[from] ProcTextError),
}

impl ProcessCollector {
    /// Of this process. The clock is for the uptime.
    ///
    /// # Blocking
    ///
    /// On `/proc`, which is no disk.
    pub fn new(clock: Clock) -> Self {
        Self::of(cfg!(target_os = "linux").then(|| "/proc".into()), clock)
    }

    fn of(root: Option<PathBuf>, clock: Clock) -> Self {
        let made = clock.now();
        let mut collector = Self {
            root,
            clock,
            made,
            age: Duration::ZERO,
            start_seconds: None,
            cpu_nanos: [0; 3],
            failures: 0,
            last_failure: None,
        };
        let age = collector.with_root(age);
        collector.age = age.unwrap_or_default();
        collector
    }

    /// Writes all that is known now.
    ///
    /// # Blocking
    ///
    /// On `/proc`, which is no disk: some 50 us. Kernels before 6.2 do not tell how many files are open; there they
    /// are counted, some 1 us each.
    pub fn collect(&mut self, sheet: &mut Sheet) {
        if let Some(stat) = self.with_root(stat) {
            self.write_stat(&stat, sheet);
        }
        let resident = self.with_root(|root| Ok(resident_bytes(&text(root, "self/status")?)?));
        gauge(sheet, &RESIDENT, resident);
        let open = self.with_root(open_files);
        gauge(sheet, &OPEN_FDS, open);
        let most = self.with_root(|root| Ok(most_open_files(&text(root, "self/limits")?)?));
        gauge(sheet, &MAX_FDS, most.flatten());
        self.write_times(sheet);
        sheet.counter(&READ_FAILURES, &[], self.failures);
    }

    /// Why a figure was left out most recently: file, field, and what was expected there.
    pub fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }

    /// How many figures were left out so far.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// What is read below `/proc`, if there is one. A failure is counted.
    fn with_root<T>(&mut self, read: impl FnOnce(&Path) -> Result<T, Failure>) -> Option<T> {
        match read(self.root.as_deref()?) {
            Ok(value) => Some(value),
            Err(failure) => {
                self.failures += 1;
                self.last_failure = Some(failure.to_string());
                None
            }
        }
    }

    fn write_stat(&mut self, stat: &ProcStat, sheet: &mut Sheet) {
        let (user, system) = (stat.user_nanos, stat.system_nanos);
        let now = [user.saturating_add(system), user, system];
        for (at, descriptor) in [CPU, CPU_USER, CPU_SYSTEM].iter().enumerate() {
            self.cpu_nanos[at] = self.cpu_nanos[at].max(now[at]);
            sheet.counter(descriptor, &[], self.cpu_nanos[at]);
        }
        gauge(sheet, &THREADS, Some(stat.threads));
        gauge(sheet, &VIRTUAL, Some(stat.virtual_bytes));
    }

    fn write_times(&mut self, sheet: &mut Sheet) {
        if self.start_seconds.is_none() {
            self.start_seconds = self.with_root(start_seconds);
        }
        if let Some(seconds) = self.start_seconds {
            sheet.gauge(&START_TIME, &[], seconds);
        }
        let passed = self.clock.now().saturating_duration_since(self.made);
        sheet.gauge(&UPTIME, &[], self.age.saturating_add(passed).as_secs_f64());
    }
}

fn gauge(sheet: &mut Sheet, descriptor: &Descriptor, value: Option<u64>) {
    if let Some(value) = value {
        sheet.gauge(descriptor, &[], value as f64);
    }
}

fn text(root: &Path, name: &str) -> Result<String, Failure> {
    let path = root.join(name);
    let mut bytes = Vec::new();
    match File::open(&path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes)) {
        // The name of a command is any bytes.
        Ok(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(source) => Err(Failure::Read { path, source }),
    }
}

fn stat(root: &Path) -> Result<ProcStat, Failure> {
    Ok(ProcStat::parse(&text(root, "self/stat")?)?)
}

/// For how long the process has been up. Not more than the machine, whatever they say.
fn age(root: &Path) -> Result<Duration, Failure> {
    let ticks = up_ticks(&text(root, "uptime")?)?.saturating_sub(stat(root)?.started_ticks);
    Ok(Duration::from_secs(ticks) / TICKS_PER_SECOND as u32)
}

fn start_seconds(root: &Path) -> Result<f64, Failure> {
    let later = stat(root)?.started_ticks as f64 / TICKS_PER_SECOND as f64;
    Ok(boot_seconds(&text(root, "stat")?)? as f64 + later)
}

fn open_files(root: &Path) -> Result<u64, Failure> {
    let path = root.join("self/fd");
    told(&path).or_else(|_| counted(&path)).map_err(|source| Failure::Read { path, source })
}

/// Linux 6.2 and later tell how many files are open as the size of the directory; before, that was 0.
fn told(path: &Path) -> io::Result<u64> {
    let told = std::fs::metadata(path)?.len();
    if told > 0 { Ok(told) } else { Err(io::ErrorKind::Unsupported.into()) }
}

/// All that is listed, less the directory itself, which is open meanwhile.
fn counted(path: &Path) -> io::Result<u64> {
    Ok((std::fs::read_dir(path)?.count() as u64).saturating_sub(1))
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::telemetry::snapshot::Value;

    fn figures(collector: &mut ProcessCollector) -> BTreeMap<String, f64> {
        let mut sheet = Sheet::default();
        collector.collect(&mut sheet);
        assert_eq!(sheet.refused(), 0);
        let families = sheet.into_families().into_iter();
        families
            .map(|family| (family.descriptor.name().to_owned(), number(&family.series[0].value)))
            .collect()
    }

    fn number(value: &Value) -> f64 {
        match value {
            Value::Counter(total) => *total as f64,
            Value::Gauge(value) => *value,
            Value::Histogram(_) => f64::NAN,
        }
    }

    /// A directory that looks like `/proc`, and is removed in the end.
    struct Proc(PathBuf);

    impl Proc {
        fn new() -> Self {
            static NUMBER: AtomicU64 = AtomicU64::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let proc =
                Self(std::env::temp_dir().join(format!("underpin-proc-{}-{number}", std::process::id())));
            std::fs::create_dir_all(proc.0.join("self/fd")).expect("a directory");
            proc.stat(12, 34);
            proc.put("self/status", "Name:\tx\nVmRSS:\t 8 kB\n");
            proc.put(
                "self/limits",
                "Max open files            1024                 4096                 files\n",
            );
            proc.put("stat", "cpu 1\nbtime 1000\n");
            proc.put("uptime", "50.25 1.00\n");
            proc
        }

        fn put(&self, name: &str, text: &str) {
            std::fs::write(self.0.join(name), text).expect("it is written");
        }

        fn stat(&self, user: u64, system: u64) {
            self.put(
                "self/stat",
                &format!("1 (a b) R 1 1 1 0 -1 0 0 0 0 0 {user} {system} 0 0 0 0 7 0 1025 4096 1\n"),
            );
        }

        fn collector(&self, clock: Clock) -> ProcessCollector {
            ProcessCollector::of(Some(self.0.clone()), clock)
        }
    }

    impl Drop for Proc {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn each_figure_is_what_the_system_says_in_the_unit_of_its_name() {
        let (clock, hand) = Clock::manual();
        let proc = Proc::new();
        let mut collector = proc.collector(clock);
        hand.advance(Duration::from_millis(500));
        let mut figures = figures(&mut collector);
        figures.remove("process.open_fds").expect("it is told"); // the size of some directory
        let expected = [
            ("process.cpu", 460_000_000.0),
            ("process.cpu.system", 340_000_000.0),
            ("process.cpu.user", 120_000_000.0),
            ("process.max_fds", 1024.0),
            ("process.read_failures", 0.0),
            ("process.resident_memory", 8192.0),
            ("process.start_time", 1010.25),
            ("process.threads", 7.0),
            ("process.uptime", 40.5),
            ("process.virtual_memory", 4096.0),
        ];
        assert_eq!(figures, expected.map(|(name, value)| (name.to_owned(), value)).into());
    }

    #[test]
    fn what_cannot_be_read_is_left_out_alone_and_counted() {
        let (clock, hand) = Clock::manual();
        let proc = Proc::new();
        let mut collector = proc.collector(clock);
        std::fs::remove_file(proc.0.join("self/status")).expect("it is there");
        let first = figures(&mut collector);
        assert_eq!((first.get("process.resident_memory"), first["process.read_failures"]), (None, 1.0));
        assert_eq!((first["process.threads"], first["process.max_fds"]), (7.0, 1024.0));
        assert!(collector.last_failure().is_some_and(|told| told.contains("self/status: ")));
        proc.put("self/stat", "garbage");
        let later = figures(&mut collector);
        assert_eq!((later.get("process.cpu"), later["process.read_failures"]), (None, 3.0));
        assert_eq!(later["process.start_time"], 1010.25, "it is known already");
        hand.advance(Duration::from_secs(1));
        assert_eq!(figures(&mut collector)["process.uptime"], 41.0);
        assert_eq!(collector.failures(), 5);
    }

    #[test]
    fn where_there_is_no_limit_none_is_written_and_nothing_failed() {
        let proc = Proc::new();
        proc.put("self/limits", "Max open files  unlimited  unlimited  files\n");
        let figures = figures(&mut proc.collector(Clock::system()));
        assert_eq!((figures.get("process.max_fds"), figures["process.read_failures"]), (None, 0.0));
    }

    #[test]
    fn the_time_on_processors_never_falls() {
        let proc = Proc::new();
        let mut collector = proc.collector(Clock::system());
        let first = figures(&mut collector);
        proc.stat(13, 33);
        let second = figures(&mut collector);
        for name in ["process.cpu", "process.cpu.user", "process.cpu.system"] {
            assert!(second[name] >= first[name], "{name}");
        }
        assert_eq!(second["process.cpu.user"], 130_000_000.0);
    }

    #[test]
    fn where_there_is_no_proc_there_is_the_uptime() {
        let (clock, hand) = Clock::manual();
        let mut collector = ProcessCollector::of(None, clock);
        hand.advance(Duration::from_secs(2));
        let expected = [("process.read_failures".to_owned(), 0.0), ("process.uptime".to_owned(), 2.0)];
        assert_eq!(figures(&mut collector), expected.into());
    }

    #[test]
    fn the_uptime_is_not_negative_where_the_machine_seems_younger_than_the_process() {
        let (clock, _hand) = Clock::manual();
        let proc = Proc::new();
        proc.put("uptime", "1.00 1.00\n");
        assert_eq!(figures(&mut proc.collector(clock))["process.uptime"], 0.0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_threads_memory_and_the_files_that_it_opened() {
        let files: Vec<_> = (0..100).map(|_| File::open("/dev/null").expect("it is there")).collect();
        let mut collector = ProcessCollector::new(Clock::system());
        let figures = figures(&mut collector);
        assert_eq!(collector.last_failure(), None);
        let most = figures.get("process.max_fds").copied().unwrap_or(f64::INFINITY);
        let open = figures["process.open_fds"];
        assert!(open >= files.len() as f64 && open <= most, "{open} of {most}");
        assert!(figures["process.threads"] >= 2.0, "that of the test and the main one");
        assert!(figures["process.resident_memory"] >= 100_000.0);
        assert!(figures["process.virtual_memory"] >= figures["process.resident_memory"]);
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let age = since_epoch.as_secs_f64() - figures["process.start_time"];
        assert!((age - figures["process.uptime"]).abs() < 60.0, "{age} s by the wall");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn files_are_counted_where_the_kernel_does_not_tell() {
        let proc = Proc::new();
        let fd = proc.0.join("self/fd");
        (0..4).for_each(|number| proc.put(&format!("self/fd/{number}"), ""));
        assert_eq!(counted(&fd).ok(), Some(3));
        std::fs::remove_dir_all(&fd).expect("it is there");
        let error = open_files(&proc.0).expect_err("it is gone").to_string();
        assert!(error.contains("self/fd: "), "{error}");
    }
}
