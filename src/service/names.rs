//! Names as services use them: look-ups that know what they look for, and tags.

use std::any::type_name;
use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use super::deadline::Deadline;
use super::handle::Handle;
use super::scope;
use super::service::Service;
use crate::registry::{Entry, Registry, TagError};

/// Why a name did not lead to a handle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// Nobody has the name now. Only a [look-up](Registry::lookup) says so.
    #[error("`{name}` is not registered in the namespace `{namespace}`")]
    NotRegistered {
        /// The namespace that was asked.
        namespace: Arc<str>,
        /// The name.
        name: Arc<str>,
    },
    /// The deadline came before the name. Only a [wait](Registry::wait_for) says so.
    #[error("`{name}` was not registered in the namespace `{namespace}` within {waited:?}")]
    TimedOut {
        /// The namespace that was asked.
        namespace: Arc<str>,
        /// The name.
        name: Arc<str>,
        /// How long was waited.
        waited: Duration,
    },
    /// The name is there, and stands for a child with messages of another type.
    #[error("`{name}` in the namespace `{namespace}` takes `{found}`, not `{expected}`")]
    WrongType {
        /// The namespace that was asked.
        namespace: Arc<str>,
        /// The name.
        name: Arc<str>,
        /// The type of messages that was asked for, as the compiler spells it.
        expected: &'static str,
        /// The type of messages of the child that has the name, as the compiler spells it.
        found: &'static str,
    },
}

impl Registry {
    /// The child that is registered under `name`, if its messages are of type `M`.
    ///
    /// As [`lookup`](Self::lookup), for those who do not ask why not.
    pub fn find<M: Send + 'static>(&self, name: &str) -> Option<Handle<M>> {
        self.whereis(name)?.downcast_ref().cloned()
    }

    /// The child that is registered under `name`, whose messages are of type `M`.
    ///
    /// # Errors
    ///
    /// [`NotRegistered`](LookupError::NotRegistered), and [`WrongType`](LookupError::WrongType).
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::{LookupError, Registry};
    ///
    /// let error = Registry::new().lookup::<u64>("store").unwrap_err();
    /// assert!(matches!(error, LookupError::NotRegistered { .. }));
    /// assert_eq!(error.to_string(), "`store` is not registered in the namespace `default`");
    /// ```
    pub fn lookup<M: Send + 'static>(&self, name: &str) -> Result<Handle<M>, LookupError> {
        match self.whereis(name) {
            Some(entry) => self.typed(name, &entry),
            None => Err(LookupError::NotRegistered { namespace: self.name(), name: name.into() }),
        }
    }

    /// Waits until a child is registered under `name`, whose messages are of type `M`.
    ///
    /// A child has its name from before its first start, so its service may be starting still:
    /// messages wait for it. A name that comes and goes again at once may be missed.
    ///
    /// The deadline is read on the clock of the tree that the registry came from
    /// ([`Context::registry`], [`SupervisorHandle::registry`](crate::SupervisorHandle::registry)), the
    /// system's if it came from none. Inside a handler the deadline of that handler's caller
    /// applies too.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](LookupError::TimedOut), and, as soon as the name is there,
    /// [`WrongType`](LookupError::WrongType).
    ///
    /// # Blocking
    ///
    /// On the registration, until the deadline. A supervisor starts its children one by one, each
    /// when the one before is ready: a service that waits in its `init` for one that is started
    /// after it in the same tree waits in vain, and is abandoned when its
    /// [`init_timeout`](crate::ChildSpec::init_timeout) is over. One that was started before it is
    /// there at once. A service that is asked to stop while it waits is not woken: give a deadline
    /// that is shorter than its [`shutdown`](crate::ChildSpec::shutdown) grace.
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use underpin::{Deadline, LookupError, Registry};
    ///
    /// let soon = Deadline::after(Duration::from_millis(5));
    /// let error = Registry::new().wait_for::<u64>("store", soon).unwrap_err();
    /// assert!(matches!(error, LookupError::TimedOut { waited, .. } if waited >= Duration::from_millis(4)));
    /// ```
    pub fn wait_for<M: Send + 'static>(
        &self,
        name: &str,
        deadline: Deadline,
    ) -> Result<Handle<M>, LookupError> {
        let begun = self.clock().now();
        let deadline = scope::within_the_callers(deadline, || begun);
        match self.await_entry(name, deadline.instant()) {
            Some(entry) => self.typed(name, &entry),
            None => {
                let waited = self.clock().now().saturating_duration_since(begun);
                Err(LookupError::TimedOut { namespace: self.name(), name: name.into(), waited })
            }
        }
    }

    /// The children whose tag `key` is `value` and whose messages are of type `M`, at one moment,
    /// sorted by name.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use underpin::{Context, Next, Service};
    /// use underpin::{Supervisor, child};
    /// # struct Shard;
    /// # impl Service for Shard {
    /// #     type Msg = u64;
    /// #     type Error = Infallible;
    /// #     fn handle(&mut self, _: u64, _: &mut Context<Self>) -> Result<Next, Infallible> { Ok(Next::Continue) }
    /// # }
    ///
    /// let shard = |name: &str, role: &str| child(name, || Shard).registered().tag("role", role);
    /// let app = Supervisor::new("app");
    /// let app = app.child(shard("a", "primary")).child(shard("b", "replica")).child(shard("c", "replica"));
    /// let app = app.start()?;
    /// let replicas = app.registry().find_tagged::<u64>("role", "replica");
    /// assert_eq!(replicas.iter().map(|handle| handle.name()).collect::<Vec<_>>(), ["b", "c"]);
    /// # drop(app);
    /// # Ok::<(), underpin::StartError>(())
    /// ```
    pub fn find_tagged<M: Send + 'static>(&self, key: &str, value: &str) -> Vec<Handle<M>> {
        self.tagged(key, value).iter().filter_map(|entry| entry.downcast_ref().cloned()).collect()
    }

    fn typed<M: Send + 'static>(&self, name: &str, entry: &Entry) -> Result<Handle<M>, LookupError> {
        entry.downcast_ref().cloned().ok_or_else(|| LookupError::WrongType {
            namespace: self.name(),
            name: name.into(),
            expected: type_name::<M>(),
            found: entry.type_name(),
        })
    }
}

impl<S: Service> Context<S> {
    /// Puts a tag on the name of this child, or changes it. Others see it with
    /// [`Registry::metadata`], [`entries`](Registry::entries) and
    /// [`find_tagged`](Registry::find_tagged).
    ///
    /// The tag belongs to the incarnation: when that has ended or was abandoned, the name has the
    /// tags of its [description](crate::ChildSpec::tag) again, whether those were changed, removed
    /// or never there. Who wants it to last sets it in `init`.
    ///
    /// # Errors
    ///
    /// When the child is not [registered](crate::ChildSpec::registered), and when key or value is
    /// too long, or one tag too many: see [`TagError`].
    ///
    /// # Example
    ///
    /// ```
    /// # use underpin::{Context, Init, Next, Service, TagError};
    /// struct Replica;
    ///
    /// impl Service for Replica {
    ///     type Msg = u64; // the term in which it leads
    ///     type Error = TagError;
    ///
    ///     fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, TagError> {
    ///         cx.set_tag("role", "replica")?;
    ///         Ok(Init::Ready)
    ///     }
    ///
    ///     fn handle(&mut self, term: u64, cx: &mut Context<Self>) -> Result<Next, TagError> {
    ///         cx.set_tag("role", "primary")?;
    ///         cx.set_tag("term", term.to_string())?;
    ///         Ok(Next::Continue)
    ///     }
    /// }
    /// ```
    pub fn set_tag(&mut self, key: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Result<(), TagError> {
        let (key, value) = (key.into(), value.into());
        let set =
            self.claim.change_tags(&self.core, &self.env.registry, self.epoch(), |tags| tags.set(key, value));
        set.unwrap_or(Err(TagError::NotRegistered))
    }

    /// Takes a tag off the name of this child; as [`set_tag`](Self::set_tag), until this incarnation
    /// ends. `false` if there was none.
    pub fn remove_tag(&mut self, key: &str) -> bool {
        let removed =
            self.claim.change_tags(&self.core, &self.env.registry, self.epoch(), |tags| tags.remove(key));
        removed.unwrap_or(false)
    }
}
