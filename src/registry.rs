//! Names: who is called what, in which namespace.
//!
//! The registry maps names to erased entries and knows nothing of services, so that everything
//! above it can look names up. A name belongs to a child, not to an incarnation: it is there from
//! before the first start until the child is gone for good, without a gap during restarts.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::sync::{self, Clock, Mutex, Thread, mutant};

/// What a name stands for. Cheap to clone.
pub(crate) type Entry = Arc<dyn Any + Send + Sync>;

/// The name belongs to another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name `{name}` is already registered in the namespace `{namespace}`")]
pub struct AlreadyRegistered {
    /// The namespace that was asked.
    pub namespace: Arc<str>,
    /// The name that is taken.
    pub name: Arc<str>,
}

/// A view of one namespace of names. Clones and [namespaces](Registry::namespace) share one table.
///
/// Two namespaces never see each other's names: a test that starts the program's services in a
/// namespace of its own cannot reach those in use.
///
/// # Example
///
/// ```
/// use underpin::Registry;
///
/// let registry = Registry::new();
/// let test = registry.namespace("test");
/// assert_eq!(test.names(), Vec::<String>::new());
/// assert_eq!(&*test.name(), "test");
/// ```
#[derive(Clone)]
pub struct Registry {
    table: Arc<Table>,
    namespace: Arc<str>,
}

#[derive(Default)]
struct Table(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    generation: u64,
    names: HashMap<(Arc<str>, Arc<str>), Held>,
    waiting: Vec<Thread>,
}

struct Held {
    generation: u64,
    entry: Entry,
}

/// The right to take one name out again. It fits the registration it was given for and no later
/// one of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    namespace: Arc<str>,
    name: Arc<str>,
    generation: u64,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("namespace", &self.namespace).field("names", &self.names()).finish()
    }
}

impl Registry {
    /// A table of its own, seen through the namespace `default`.
    pub fn new() -> Self {
        Self { table: Arc::default(), namespace: "default".into() }
    }

    /// The same table, seen through another namespace.
    #[must_use]
    pub fn namespace(&self, name: impl Into<Arc<str>>) -> Self {
        Self { table: Arc::clone(&self.table), namespace: name.into() }
    }

    /// The name of the namespace.
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.namespace)
    }

    /// The names in this namespace, sorted.
    pub fn names(&self) -> Vec<String> {
        let inside = self.table.0.lock();
        let here = inside.names.keys().filter(|(namespace, _)| *namespace == self.namespace);
        let mut names: Vec<_> = here.map(|(_, name)| name.to_string()).collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn register(&self, name: Arc<str>, entry: Entry) -> Result<Registration, AlreadyRegistered> {
        let key = (Arc::clone(&self.namespace), Arc::clone(&name));
        let mut inside = self.table.0.lock();
        if inside.names.contains_key(&key) {
            let namespace = Arc::clone(&self.namespace);
            return Err(AlreadyRegistered { namespace, name });
        }
        inside.generation += 1;
        let generation = inside.generation;
        inside.names.insert(key, Held { generation, entry });
        let waiting = std::mem::take(&mut inside.waiting);
        drop(inside);
        waiting.iter().for_each(Thread::unpark);
        Ok(Registration { namespace: Arc::clone(&self.namespace), name, generation })
    }

    /// Takes the name out, if the registration still holds it.
    pub(crate) fn unregister(&self, registration: &Registration) {
        let key = (Arc::clone(&registration.namespace), Arc::clone(&registration.name));
        let mut inside = self.table.0.lock();
        let held = inside.names.get(&key).map(|held| held.generation);
        if held == Some(registration.generation) || (held.is_some() && mutant!(AnyGeneration)) {
            let gone = inside.names.remove(&key);
            drop(inside);
            drop(gone); // after the lock: the last handle may hold messages of the user's
        }
    }

    pub(crate) fn whereis(&self, name: &str) -> Option<Entry> {
        let key = (Arc::clone(&self.namespace), Arc::from(name));
        let inside = self.table.0.lock();
        inside.names.get(&key).map(|held| Arc::clone(&held.entry))
    }

    /// Waits until the name is there. `None` when the deadline came first.
    pub(crate) fn wait_for(&self, name: &str, clock: &Clock, deadline: Option<Instant>) -> Option<Entry> {
        loop {
            if let Some(entry) = self.whereis(name) {
                return Some(entry);
            }
            if deadline.is_some_and(|at| clock.now() >= at) {
                self.wait_no_more();
                return None;
            }
            self.table.0.lock().waiting.push(sync::current_thread());
            // Registered as waiting first, looked once more second: no registration is missed.
            if let Some(entry) = self.whereis(name).filter(|_| !mutant!(WaitBlindly)) {
                return Some(entry);
            }
            clock.park(deadline);
        }
    }

    /// Whoever asks again and again must not pile up.
    fn wait_no_more(&self) {
        let me = sync::current_thread().id();
        self.table.0.lock().waiting.retain(|thread| thread.id() != me);
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use std::time::Duration;

    fn entry(value: i32) -> Entry {
        Arc::new(value)
    }

    fn value(entry: Option<Entry>) -> Option<i32> {
        entry.and_then(|entry| entry.downcast_ref().copied())
    }

    #[test]
    fn a_duplicate_is_refused_and_the_first_stays() {
        let registry = Registry::new();
        registry.register("a".into(), entry(1)).expect("free");
        let error = registry.register("a".into(), entry(2)).expect_err("taken");
        assert_eq!(error.to_string(), "the name `a` is already registered in the namespace `default`");
        assert_eq!(value(registry.whereis("a")), Some(1));
    }

    #[test]
    fn namespaces_are_isolated() {
        let registry = Registry::new();
        let test = registry.namespace("test");
        registry.register("a".into(), entry(1)).expect("free");
        assert_eq!(value(test.whereis("a")), None);
        let mine = test.register("a".into(), entry(2)).expect("free here");
        test.unregister(&mine);
        assert_eq!(value(registry.whereis("a")), Some(1));
        assert_eq!(registry.names(), ["a"]);
    }

    #[test]
    fn a_stale_registration_does_not_remove_a_later_one() {
        let registry = Registry::new();
        let first = registry.register("a".into(), entry(1)).expect("free");
        registry.unregister(&first);
        registry.register("a".into(), entry(2)).expect("free again");
        registry.unregister(&first);
        assert_eq!(value(registry.whereis("a")), Some(2));
    }

    #[test]
    fn wait_for_returns_when_the_name_comes_or_the_deadline() {
        let registry = Registry::new();
        let clock = Clock::system();
        let soon = clock.now() + Duration::from_millis(1);
        assert!(registry.wait_for("a", &clock, Some(soon)).is_none());
        let waiter = std::thread::spawn({
            let registry = registry.clone();
            move || value(registry.wait_for("a", &Clock::system(), None))
        });
        registry.register("a".into(), entry(7)).expect("free");
        assert_eq!(waiter.join().expect("no panic"), Some(7));
    }
}
