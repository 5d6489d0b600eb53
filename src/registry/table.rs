//! The table behind the views: what stands in each namespace, and who waits there.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::tags::Tags;
use crate::sync::{self, Mutex, Thread, mutant};

/// What a name stands for, and what that calls itself. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Entry {
    thing: Arc<dyn Any + Send + Sync>,
    type_name: &'static str,
}

impl Entry {
    pub(crate) fn new(thing: impl Any + Send + Sync, type_name: &'static str) -> Self {
        Self { thing: Arc::new(thing), type_name }
    }

    /// The thing itself, if it is a `T`.
    pub(crate) fn downcast_ref<T: Any>(&self) -> Option<&T> {
        self.thing.downcast_ref()
    }

    pub(crate) fn type_name(&self) -> &'static str {
        self.type_name
    }
}

/// The right to change one name and to take it out again. It fits the registration it was given
/// for and no later one of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    namespace: Arc<str>,
    name: Arc<str>,
    generation: u64,
}

/// All names of all namespaces that share a table.
#[derive(Default)]
pub(super) struct Table(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    generation: u64,
    spaces: BTreeMap<Arc<str>, Space>,
}

/// One namespace. It is in the table while there is something in it.
#[derive(Default)]
struct Space {
    names: BTreeMap<Arc<str>, Held>,
    /// Who waits for which name. Nobody waits for one that is there.
    waiting: BTreeMap<Arc<str>, Vec<Thread>>,
}

/// A name that is taken.
pub(super) struct Held {
    generation: u64,
    pub(super) entry: Entry,
    pub(super) tags: Tags,
}

impl Inside {
    fn held(&self, namespace: &str, name: &str) -> Option<&Held> {
        self.spaces.get(namespace)?.names.get(name)
    }

    /// What a registration stands for, unless it is over.
    fn held_by(&mut self, registration: &Registration) -> Option<&mut Held> {
        let held = self.spaces.get_mut(&registration.namespace)?.names.get_mut(&registration.name)?;
        let is_its_own = held.generation == registration.generation || mutant!(AnyGeneration);
        is_its_own.then_some(held)
    }

    /// A namespace with nothing in it leaves no trace.
    fn tidy(&mut self, namespace: &str) {
        let is_empty = |space: &Space| space.names.is_empty() && space.waiting.is_empty();
        if self.spaces.get(namespace).is_some_and(is_empty) {
            self.spaces.remove(namespace);
        }
    }
}

impl Table {
    /// Takes a name, and wakes who waits for it. `None` if it is taken.
    pub(super) fn register(
        &self,
        namespace: &Arc<str>,
        name: Arc<str>,
        entry: Entry,
        tags: Tags,
    ) -> Option<Registration> {
        let mut inside = self.0.lock();
        if inside.held(namespace, &name).is_some() {
            return None;
        }
        inside.generation += 1;
        let generation = inside.generation;
        let space = inside.spaces.entry(Arc::clone(namespace)).or_default();
        space.names.insert(Arc::clone(&name), Held { generation, entry, tags });
        let waiting = space.waiting.remove(&name).unwrap_or_default();
        drop(inside);
        let called = if mutant!(WakeFirst) { waiting.len().min(1) } else { waiting.len() };
        waiting.iter().take(called).for_each(Thread::unpark);
        Some(Registration { namespace: Arc::clone(namespace), name, generation })
    }

    /// Takes a name out, if the registration still holds it.
    pub(super) fn unregister(&self, registration: &Registration) {
        let mut inside = self.0.lock();
        if inside.held_by(registration).is_none() {
            return;
        }
        let space = inside.spaces.get_mut(&registration.namespace);
        let gone = space.and_then(|space| space.names.remove(&registration.name));
        inside.tidy(&registration.namespace);
        drop(inside);
        drop(gone); // after the lock: the last handle may hold messages of the user's
    }

    /// Changes the tags of a name, if the registration still holds it. `change` is not the user's.
    pub(super) fn change_tags<R>(
        &self,
        registration: &Registration,
        change: impl FnOnce(&mut Tags) -> R,
    ) -> Option<R> {
        self.0.lock().held_by(registration).map(|held| change(&mut held.tags))
    }

    /// Looks at one name. `look` is not the user's.
    pub(super) fn look<R>(&self, namespace: &str, name: &str, look: impl FnOnce(&Held) -> R) -> Option<R> {
        self.0.lock().held(namespace, name).map(look)
    }

    /// Looks at all names of a namespace at one moment, sorted. `look` is not the user's.
    pub(super) fn look_at_all<R>(
        &self,
        namespace: &str,
        look: impl FnMut((&Arc<str>, &Held)) -> Option<R>,
    ) -> Vec<R> {
        let inside = self.0.lock();
        let names = inside.spaces.get(namespace).map(|space| &space.names);
        names.into_iter().flatten().filter_map(look).collect()
    }

    /// The namespaces that hold a name, sorted.
    pub(super) fn namespaces(&self) -> Vec<Arc<str>> {
        let inside = self.0.lock();
        let held = inside.spaces.iter().filter(|(_, space)| !space.names.is_empty());
        held.map(|(namespace, _)| Arc::clone(namespace)).collect()
    }

    // ---- waiting -------------------------------------------------------------------------

    /// What stands under a name; if nothing does, the thread is woken when that changes.
    ///
    /// Both under one lock, so no registration is missed.
    pub(super) fn look_or_join(&self, namespace: &Arc<str>, name: &str) -> Option<Entry> {
        let mut inside = self.0.lock();
        if let Some(held) = inside.held(namespace, name) {
            return Some(held.entry.clone());
        }
        if mutant!(WaitBlindly) {
            drop(inside);
            inside = self.0.lock();
        }
        let me = sync::current_thread();
        let space = inside.spaces.entry(Arc::clone(namespace)).or_default();
        let waiting = space.waiting.entry(name.into()).or_default();
        if !waiting.iter().any(|thread| thread.id() == me.id()) {
            waiting.push(me);
        }
        None
    }

    /// The thread waits no longer: whoever asks again and again must not pile up.
    pub(super) fn leave(&self, namespace: &str, name: &str) {
        let me = sync::current_thread().id();
        let mut inside = self.0.lock();
        let Some(space) = inside.spaces.get_mut(namespace) else { return };
        if let Some(waiting) = space.waiting.get_mut(name) {
            waiting.retain(|thread| thread.id() != me && !mutant!(LeaveForAll));
            if waiting.is_empty() {
                space.waiting.remove(name);
            }
        }
        inside.tidy(namespace);
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry::new((), "nothing")
    }

    /// How many threads wait for a name.
    fn waiting(table: &Table, namespace: &str, name: &str) -> usize {
        let inside = table.0.lock();
        let space = inside.spaces.get(namespace);
        space.and_then(|space| space.waiting.get(name)).map_or(0, Vec::len)
    }

    fn register(table: &Table, namespace: &str, name: &str) -> Registration {
        table.register(&namespace.into(), name.into(), entry(), Tags::default()).expect("it is free")
    }

    #[test]
    fn a_registration_wakes_nobody_who_waits_for_another_name_or_in_another_namespace() {
        let table = Table::default();
        assert!(table.look_or_join(&"here".into(), "a").is_none());
        register(&table, "here", "b");
        register(&table, "there", "a");
        assert_eq!(waiting(&table, "here", "a"), 1, "it was not called");
        register(&table, "here", "a");
        assert_eq!(waiting(&table, "here", "a"), 0, "it was");
    }

    #[test]
    fn a_thread_waits_once_however_often_it_looks() {
        let table = Table::default();
        for _ in 0..3 {
            assert!(table.look_or_join(&"here".into(), "a").is_none());
        }
        assert_eq!(waiting(&table, "here", "a"), 1);
        table.leave("here", "a");
        assert_eq!(waiting(&table, "here", "a"), 0);
    }

    #[test]
    fn a_namespace_with_nothing_in_it_leaves_no_trace() {
        let table = Table::default();
        let spaces = || table.0.lock().spaces.len();
        let mine = register(&table, "here", "a");
        table.look_or_join(&"there".into(), "a");
        assert_eq!((spaces(), table.namespaces().len()), (2, 1), "who only waits is not a name");
        table.unregister(&mine);
        table.leave("there", "a");
        assert_eq!(spaces(), 0);
    }

    #[test]
    fn who_waited_in_vain_leaves_no_trace() {
        let registry = crate::registry::Registry::new();
        let now = Some(registry.clock().now());
        assert!(registry.await_entry("a", now).is_none());
        assert!(registry.namespace("test").await_entry("b", now).is_none());
        assert_eq!(registry.table.0.lock().spaces.len(), 0);
    }

    #[test]
    fn a_registration_that_is_over_changes_nothing_of_a_later_one() {
        let table = Table::default();
        let first = register(&table, "here", "a");
        table.unregister(&first);
        let second = register(&table, "here", "a");
        let tag = |tags: &mut Tags| tags.set("k".into(), "v".into());
        assert!(table.change_tags(&first, tag).is_none());
        assert_eq!(table.look("here", "a", |held| held.tags.is_empty()), Some(true));
        assert_eq!(table.change_tags(&second, tag), Some(Ok(())));
        table.unregister(&first);
        assert_eq!(table.look("here", "a", |held| held.tags.has("k", "v")), Some(true));
    }
}
