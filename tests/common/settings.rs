//! What the tests of configurations share: directories of their own, what is logged, what the sink hears.
#![allow(dead_code)] // each test crate uses a part of it

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use log::{Level, LevelFilter, Metadata, Record};
use serde::{Deserialize, Serialize};
use underpin::config::{
    Checks, Config, ConfigEvent, Layers, LoadError, Settings, Sink, UpdateError, Validate,
};

use crate::common::Log;

/// What the tests configure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct App {
    pub(crate) workers: u16,
    pub(crate) listen: std::net::SocketAddr,
    pub(crate) limits: Limits,
    pub(crate) hosts: Vec<String>,
    pub(crate) name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

impl Default for App {
    fn default() -> Self {
        let limits = Limits { soft: 10, hard: 20 };
        Self { workers: 1, listen: ([127, 0, 0, 1], 80).into(), limits, hosts: vec!["a".into()], name: None }
    }
}

impl Validate for App {
    fn validate(&self, checks: &mut Checks) {
        checks.within("workers", self.workers, 1..=64);
        checks.nested("limits", &self.limits);
    }
}

impl Validate for Limits {
    fn validate(&self, checks: &mut Checks) {
        checks.that("soft", self.soft <= self.hard, "at most `hard`");
    }
}

pub(crate) fn layers() -> Layers {
    Layers::new().defaults(App::default())
}

/// What is wrong, line by line, without the names of directories.
#[track_caller]
pub(crate) fn refused<T: Settings>(layers: Layers) -> Vec<String> {
    match layers.load::<T>() {
        Ok(config) => panic!("it is refused: {config:?}"),
        Err(LoadError::Invalid(faults)) => faults.iter().map(|fault| named(&fault.to_string())).collect(),
        Err(error) => panic!("{error}"),
    }
}

/// A text without the directory of the test in it.
pub(crate) fn named(text: &str) -> String {
    let temporary = format!("{}/underpin-", std::env::temp_dir().display());
    let mut rest = text;
    let mut named = String::new();
    while let Some((before, after)) = rest.split_once(&temporary) {
        named += before;
        rest = after.split_once('/').map_or("", |(_, rest)| rest);
    }
    named + rest
}

pub(crate) fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// A call that changes nothing: what was due before is done when it returns.
#[track_caller]
pub(crate) fn rest<T: Settings>(config: &Config<T>) {
    for _ in 0..2 {
        let answer = config.compare_and_update(0, "workers", 1);
        assert!(matches!(answer, Err(UpdateError::Conflict { .. })), "{answer:?}");
    }
}

// ---- files -------------------------------------------------------------------------------

/// A directory of its own that goes with the test.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("underpin-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).expect("a directory");
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, and returns its name.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let file = self.at(name);
        fs::write(&file, text).expect("written");
        file
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).expect("read")
    }

    /// What is in it, by name.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("a directory");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

// ---- what is told ------------------------------------------------------------------------

/// Keeps what is logged as a warning or an error. There is one logger in a process: who looks for a
/// record names a file or a setting that no other test has.
struct Logger(Log<(Level, String)>);

impl log::Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.0.push((record.level(), record.args().to_string()));
    }

    fn flush(&self) {}
}

pub(crate) fn records() -> &'static Log<(Level, String)> {
    static LOGGER: OnceLock<Logger> = OnceLock::new();
    static SET: OnceLock<()> = OnceLock::new();
    let logger = LOGGER.get_or_init(|| Logger(Log::new()));
    SET.get_or_init(|| {
        log::set_logger(logger).expect("there is no other logger");
        log::set_max_level(LevelFilter::Warn);
    });
    &logger.0
}

/// How often a text was logged.
pub(crate) fn logged(level: Level, text: &str) -> usize {
    records().count(|(of, said)| *of == level && said.contains(text))
}

/// Keeps what happens.
#[derive(Clone)]
pub(crate) struct Ears(pub(crate) Log<ConfigEvent>);

impl Ears {
    pub(crate) fn of<T: Settings>(config: &Config<T>) -> Self {
        let ears = Self(Log::new());
        config.set_sink(Arc::new(ears.clone()));
        ears
    }

    pub(crate) fn degraded(&self) -> usize {
        self.0.count(|event| matches!(event, ConfigEvent::Degraded { .. }))
    }

    pub(crate) fn recovered(&self) -> usize {
        self.0.count(|event| matches!(event, ConfigEvent::Recovered { .. }))
    }
}

impl Sink for Ears {
    fn event(&self, event: &ConfigEvent) {
        self.0.push(event.clone());
    }
}
