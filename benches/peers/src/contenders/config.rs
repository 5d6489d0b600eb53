//! Settings: a field of a struct that is replaced a thousand times a second, and a value by its path.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use underpin::config::{Config, Layers, Validate};
use underpin::{Supervisor, SupervisorHandle};

use super::{Arena, Bout};

/// What is read.
pub const PATH: &str = "limits.connections";
/// How long there is between two updates.
const PAUSE: Duration = Duration::from_millis(1);

/// A configuration of fifty values, as of a daemon.
#[derive(Clone, Serialize, Deserialize)]
pub struct Settings {
    listen: String,
    pub limits: Limits,
    /// The rest: four tables of ten.
    sections: HashMap<String, HashMap<String, u64>>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Limits {
    pub connections: u64,
    lines: u64,
    bytes: u64,
}

impl Validate for Settings {}

impl Default for Settings {
    fn default() -> Self {
        let section = || (0..10).map(|n| (format!("value_{n}"), n)).collect();
        Self {
            listen: "127.0.0.1:5514".into(),
            limits: Limits { connections: 1, lines: 2, bytes: 3 },
            sections: (0..4).map(|n| (format!("section_{n}"), section())).collect(),
        }
    }
}

// ---- ours --------------------------------------------------------------------------------

/// Our configuration, with the service that updates it.
#[derive(Clone)]
struct Ours {
    config: Config<Settings>,
    _running: Arc<SupervisorHandle>,
}

fn ours() -> Ours {
    let config: Config<Settings> = Layers::new().defaults(Settings::default()).load().expect("it is valid");
    let supervisor = Supervisor::new("bench").child(config.child()).start().expect("it starts");
    Ours { config, _running: Arc::new(supervisor) }
}

fn updated() -> (Ours, Arc<Updates>) {
    let ours = ours();
    let config = ours.config.clone();
    // The tree may be stopped before the updates are.
    let updates = Updates::start(move |n| drop(config.update(PATH, n)));
    (ours, updates)
}

pub fn load() -> Arena {
    let (ours, updates) = updated();
    Box::new(move || {
        let (ours, _updates) = (ours.clone(), Arc::clone(&updates));
        repeat(move || ours.config.load().limits.connections)
    })
}

pub fn reader() -> Arena {
    let (ours, updates) = updated();
    Box::new(move || {
        let (ours, _updates) = (ours.clone(), Arc::clone(&updates));
        let mut reader = ours.config.reader();
        repeat(move || reader.get().limits.connections)
    })
}

pub fn by_path() -> Arena {
    let ours = ours();
    Box::new(move || {
        let ours = ours.clone();
        repeat(move || ours.config.get_as::<u64>(black_box(PATH)).expect("it is there"))
    })
}

pub fn by_key() -> Arena {
    let ours = ours();
    Box::new(move || {
        let ours = ours.clone();
        let mut key = ours.config.key::<u64>(PATH).expect("it is there");
        repeat(move || *key.get().expect("it is there"))
    })
}

/// Updates, with so many subscribers, of whom nobody takes a notice.
pub fn updates<const SUBSCRIBERS: usize>() -> Arena {
    let ours = ours();
    let subscribed = (0..SUBSCRIBERS).map(|_| ours.config.subscribe("limits").expect("a path"));
    let subscriptions: Vec<_> = subscribed.collect();
    Box::new(move || {
        let _subscriptions = &subscriptions;
        let (ours, mut next) = (ours.clone(), 0_u64);
        repeat(move || {
            next += 1;
            ours.config.update(PATH, next).expect("it is updated")
        })
    })
}

// ---- peers -------------------------------------------------------------------------------

pub fn arc_swap() -> Arena {
    let settings = Arc::new(ArcSwap::from_pointee(Settings::default()));
    let updates = Updates::start({
        let settings = Arc::clone(&settings);
        move |n| settings.store(Arc::new(with_connections(n)))
    });
    Box::new(move || {
        let (settings, _updates) = (Arc::clone(&settings), Arc::clone(&updates));
        repeat(move || settings.load().limits.connections)
    })
}

pub fn rw_lock() -> Arena {
    let settings = Arc::new(RwLock::new(Settings::default()));
    let updates = Updates::start({
        let settings = Arc::clone(&settings);
        move |n| *settings.write().expect("nobody panics") = with_connections(n)
    });
    Box::new(move || {
        let (settings, _updates) = (Arc::clone(&settings), Arc::clone(&updates));
        repeat(move || settings.read().expect("nobody panics").limits.connections)
    })
}

/// A map of all paths that never changes: no snapshot, no lock.
pub fn flat_map() -> Arena {
    let map = Arc::new(flat(&serde_json::to_value(Settings::default()).expect("plain data")));
    Box::new(move || {
        let map = Arc::clone(&map);
        repeat(move || map.get(black_box(PATH)).and_then(Value::as_u64).expect("it is there"))
    })
}

pub fn config_rs() -> Arena {
    let source = ::config::Config::try_from(&Settings::default()).expect("plain data");
    let settings = Arc::new(source);
    Box::new(move || {
        let settings = Arc::clone(&settings);
        repeat(move || settings.get::<u64>(black_box(PATH)).expect("it is there"))
    })
}

pub fn figment() -> Arena {
    use ::figment::providers::Serialized;
    let settings = Arc::new(::figment::Figment::from(Serialized::defaults(Settings::default())));
    Box::new(move || {
        let settings = Arc::clone(&settings);
        repeat(move || settings.extract_inner::<u64>(black_box(PATH)).expect("it is there"))
    })
}

fn with_connections(connections: u64) -> Settings {
    let settings = Settings::default();
    Settings { limits: Limits { connections, ..settings.limits }, ..settings }
}

fn flat(document: &Value) -> HashMap<String, Value> {
    let mut map = HashMap::new();
    let mut todo = vec![(String::new(), document)];
    while let Some((path, value)) = todo.pop() {
        match value {
            Value::Object(table) => todo.extend(table.iter().map(|(key, value)| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                (path, value)
            })),
            value => drop(map.insert(path, value.clone())),
        }
    }
    map
}

fn repeat(mut read: impl FnMut() -> u64 + Send + 'static) -> Box<dyn Bout> {
    Box::new(move |n| {
        for _ in 0..n {
            black_box(read());
        }
    })
}

// ---- updates -----------------------------------------------------------------------------

/// A thread that makes a thousand updates a second.
struct Updates {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Updates {
    fn start(mut update: impl FnMut(u64) + Send + 'static) -> Arc<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let thread = thread::spawn(move || {
            for n in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                update(n);
                thread::sleep(PAUSE);
            }
        });
        Arc::new(Self { over, thread: Some(thread) })
    }
}

impl Drop for Updates {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no update fails");
        }
    }
}
