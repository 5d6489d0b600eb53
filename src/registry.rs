//! Names: who is called what, in which namespace.
//!
//! The registry maps names to erased entries and knows nothing of services, so that everything
//! above it can look names up. A name belongs to a child, not to an incarnation: it is there from
//! before the first start until the child is gone for good, without a gap during restarts.

mod shared;
mod table;
mod tags;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

pub(crate) use table::{Entry, Registration};
pub use tags::TagError;
pub(crate) use tags::Tags;

use crate::sync::Clock;
use table::Table;

/// The name belongs to another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name `{name}` is already registered in the namespace `{namespace}`")]
pub struct AlreadyRegistered {
    /// The namespace that was asked.
    pub namespace: Arc<str>,
    /// The name that is taken.
    pub name: Arc<str>,
}

/// What is known of one registered name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryEntry {
    /// The name.
    pub name: Arc<str>,
    /// What its messages are, as the compiler spells that type: for people to read.
    pub type_name: &'static str,
    /// Its tags, by key.
    pub metadata: BTreeMap<Arc<str>, Arc<str>>,
}

/// A view of one namespace of names.
///
/// A table of names is private to those who were given a view of it ([`new`](Self::new)), or known to
/// the whole process ([`global`](Self::global), [`named`](Self::named)). Clones and
/// [namespaces](Self::namespace) share one table. A tree of services registers, looks up, waits
/// and tags in the one namespace of the one table that its root was given
/// ([`Supervisor::registry`](crate::Supervisor::registry)); without one it has a table of its own.
///
/// Two namespaces see nothing of each other, neither names nor tags nor who waits: a test that
/// starts the program's services in a namespace of its own cannot reach those in use.
///
/// A name can be [found](Self::find), [looked up](Self::lookup) with a reason where it is not,
/// and [waited for](Self::wait_for). Names have tags, to be told apart and
/// [selected](Self::find_tagged) by.
///
/// # Example
///
/// ```
/// use underpin::Registry;
///
/// let registry = Registry::new();
/// let test = registry.namespace("test");
/// assert!(test.is_empty());
/// assert_eq!(test.names(), Vec::<String>::new());
/// assert_eq!(&*test.name(), "test");
/// ```
#[derive(Clone)]
pub struct Registry {
    table: Arc<Table>,
    namespace: Arc<str>,
    clock: Clock,
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
        Self::of(Arc::default())
    }

    /// The table of the process, seen through the namespace `default`. It is the one
    /// [named](Self::named) `global`.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use underpin::{Context, Next, Service};
    /// use underpin::{Registry, Supervisor, child};
    /// # struct Store;
    /// # impl Service for Store {
    /// #     type Msg = u64;
    /// #     type Error = Infallible;
    /// #     fn handle(&mut self, _: u64, _: &mut Context<Self>) -> Result<Next, Infallible> { Ok(Next::Continue) }
    /// # }
    ///
    /// let app = Supervisor::new("app").registry(Registry::global());
    /// let app = app.child(child("store", || Store).registered()).start()?;
    /// // Anywhere in the program:
    /// let store = Registry::global().lookup::<u64>("store")?;
    /// store.cast(1)?;
    /// # drop(app);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn global() -> Self {
        Self::named("global")
    }

    /// The table of that name, the same one in the whole process, seen through the namespace
    /// `default`.
    ///
    /// It is made when it is first asked for, and lives as long as somebody has a view of it. A
    /// running tree has one, so no name is lost to that, and a table that nobody uses costs nothing.
    pub fn named(name: &str) -> Self {
        Self::of(shared::table(name))
    }

    fn of(table: Arc<Table>) -> Self {
        Self { table, namespace: "default".into(), clock: Clock::SYSTEM }
    }

    /// The same table, seen through another namespace. There is no need to make one, nor to
    /// delete it: it costs nothing while there is nothing in it.
    #[must_use]
    pub fn namespace(&self, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: name.into(), ..self.clone() }
    }

    /// The same view, for those who live by this clock.
    pub(crate) fn timed_by(self, clock: &Clock) -> Self {
        Self { clock: clock.clone(), ..self }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    // ---- looking -------------------------------------------------------------------------

    /// The name of the namespace.
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.namespace)
    }

    /// The names in this namespace, sorted.
    pub fn names(&self) -> Vec<String> {
        self.table.look_at_all(&self.namespace, |(name, _)| Some(name.to_string()))
    }

    /// Whether no name is in this namespace: what a test asserts of its own when its tree is gone.
    pub fn is_empty(&self) -> bool {
        self.table.look_at_all(&self.namespace, |_| Some(())).is_empty()
    }

    /// The namespaces of this table that hold a name, sorted.
    pub fn namespaces(&self) -> Vec<Arc<str>> {
        self.table.namespaces()
    }

    /// What is known of each name in this namespace, at one moment, sorted by name.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use underpin::{Context, Next, Service};
    /// use underpin::{Supervisor, child};
    /// # struct Store;
    /// # impl Service for Store {
    /// #     type Msg = u64;
    /// #     type Error = Infallible;
    /// #     fn handle(&mut self, _: u64, _: &mut Context<Self>) -> Result<Next, Infallible> { Ok(Next::Continue) }
    /// # }
    ///
    /// let store = child("store", || Store).registered().tag("role", "primary");
    /// let app = Supervisor::new("app").child(store).start()?;
    /// let entries = app.registry().entries();
    /// assert_eq!((&*entries[0].name, &*entries[0].metadata["role"]), ("store", "primary"));
    /// # drop(app);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn entries(&self) -> Vec<RegistryEntry> {
        self.table.look_at_all(&self.namespace, |(name, held)| {
            let (name, type_name) = (Arc::clone(name), held.entry.type_name());
            Some(RegistryEntry { name, type_name, metadata: held.tags.to_map() })
        })
    }

    /// The tags of a name, by key; `None` if it is not registered.
    pub fn metadata(&self, name: &str) -> Option<BTreeMap<Arc<str>, Arc<str>>> {
        self.table.look(&self.namespace, name, |held| held.tags.to_map())
    }

    pub(crate) fn whereis(&self, name: &str) -> Option<Entry> {
        self.table.look(&self.namespace, name, |held| held.entry.clone())
    }

    /// What has this very tag, sorted by name.
    pub(crate) fn tagged(&self, key: &str, value: &str) -> Vec<Entry> {
        self.table
            .look_at_all(&self.namespace, |(_, held)| held.tags.has(key, value).then(|| held.entry.clone()))
    }

    /// Waits until the name is there. `None` when the deadline came first.
    pub(crate) fn await_entry(&self, name: &str, deadline: Option<Instant>) -> Option<Entry> {
        loop {
            if let Some(entry) = self.table.look_or_join(&self.namespace, name) {
                return Some(entry);
            }
            if deadline.is_some_and(|at| self.clock.now() >= at) {
                self.table.leave(&self.namespace, name);
                return None;
            }
            self.clock.park(deadline);
        }
    }

    // ---- changing ------------------------------------------------------------------------

    pub(crate) fn register(
        &self,
        name: Arc<str>,
        entry: Entry,
        tags: Tags,
    ) -> Result<Registration, AlreadyRegistered> {
        let registration = self.table.register(&self.namespace, Arc::clone(&name), entry, tags);
        registration.ok_or_else(|| AlreadyRegistered { namespace: self.name(), name })
    }

    /// Takes the name out, if the registration still holds it.
    pub(crate) fn unregister(&self, registration: &Registration) {
        self.table.unregister(registration);
    }

    /// Changes the tags of a name, if the registration still holds it. `change` is not the user's.
    pub(crate) fn change_tags<R>(
        &self,
        registration: &Registration,
        change: impl FnOnce(&mut Tags) -> R,
    ) -> Option<R> {
        self.table.change_tags(registration, change)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use std::time::Duration;

    fn register(registry: &Registry, value: i32) -> Result<Registration, AlreadyRegistered> {
        registry.register("a".into(), Entry::new(value, "i32"), Tags::default())
    }

    fn value(entry: Option<Entry>) -> Option<i32> {
        entry.and_then(|entry| entry.downcast_ref().copied())
    }

    #[test]
    fn a_duplicate_is_refused_and_the_first_stays() {
        let registry = Registry::new();
        register(&registry, 1).expect("free");
        let error = register(&registry, 2).expect_err("taken");
        assert_eq!(error.to_string(), "the name `a` is already registered in the namespace `default`");
        assert_eq!(value(registry.whereis("a")), Some(1));
    }

    #[test]
    fn namespaces_are_isolated() {
        let registry = Registry::new();
        let test = registry.namespace("test");
        register(&registry, 1).expect("free");
        assert_eq!(value(test.whereis("a")), None);
        let mine = register(&test, 2).expect("free here");
        assert_eq!(registry.namespaces(), ["default".into(), "test".into()]);
        test.unregister(&mine);
        assert_eq!(value(registry.whereis("a")), Some(1));
        assert_eq!(registry.names(), ["a"]);
        assert!(test.is_empty() && !registry.is_empty());
    }

    #[test]
    fn a_stale_registration_does_not_remove_a_later_one() {
        let registry = Registry::new();
        let first = register(&registry, 1).expect("free");
        registry.unregister(&first);
        register(&registry, 2).expect("free again");
        registry.unregister(&first);
        assert_eq!(value(registry.whereis("a")), Some(2));
    }

    #[test]
    fn a_wait_returns_when_the_name_comes_or_the_deadline() {
        let registry = Registry::new();
        let soon = registry.clock().now() + Duration::from_millis(1);
        assert!(registry.await_entry("a", Some(soon)).is_none());
        let waiter = std::thread::spawn({
            let registry = registry.clone();
            move || value(registry.await_entry("a", None))
        });
        register(&registry, 7).expect("free");
        assert_eq!(waiter.join().expect("no panic"), Some(7));
    }
}
