//! Partitions: several services of one kind, each in charge of its part of the keys.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::spec::ChildSpec;
use super::supervisor::Supervisor;
use crate::error::{CallError, CastError};
use crate::service::deadline::Deadline;
use crate::service::handle::Handle;
use crate::service::pending::{self, FanOut};
use crate::service::reply::Reply;
use crate::service::service::Service;
use crate::sync;

/// How many partitions there may be. Each is a thread.
const MAX_PARTITIONS: usize = 4096;

/// Why a partitioned service cannot be described.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartitionError {
    /// There is to be none, so no key would have one.
    #[error("`{name}` has no partitions, expected at least one")]
    NoPartitions {
        /// The supervisor.
        name: Arc<str>,
    },
    /// There are to be more than there may be.
    #[error("`{name}` has {count} partitions, expected at most {max}")]
    TooMany {
        /// The supervisor.
        name: Arc<str>,
        /// How many there were to be.
        count: usize,
        /// How many there may be.
        max: usize,
    },
}

/// Describes `count` services of one kind under one supervisor, and a router that knows which of them
/// is in charge of a key: work on different keys runs at once, and work on one key in order.
///
/// `each` describes a partition, from the name that it has and from its number. The names are
/// `<name>-0`, `<name>-1` and so on. The supervisor is one_for_one and may be told otherwise; it is
/// given to [`supervisor`](Supervisor::supervisor), [`start_supervisor`] or started by itself.
/// [`available_cores`] is a good `count` for work that computes.
///
/// The partition of a key stays the same: while a partition restarts, its messages wait in its mailbox.
/// One that is stopped for good hands back what it is sent; no other takes over its keys.
///
/// [`start_supervisor`]: crate::SupervisorRef::start_supervisor
///
/// # Errors
///
/// When `count` is 0, or more than 4,096.
///
/// # Example
///
/// ```
/// # use std::collections::HashMap;
/// # use std::convert::Infallible;
/// # use std::time::Duration;
/// # use underpin::{Context, Deadline, Next, Reply, Service};
/// use underpin::{Supervisor, child, partition};
/// # #[derive(Default)]
/// # struct Store(HashMap<String, u64>);
/// enum Msg { Add(String, u64), Get(String, Reply<u64>), Len(Reply<usize>) }
/// # impl Service for Store {
/// #     type Msg = Msg;
/// #     type Error = Infallible;
/// #     fn handle(&mut self, msg: Msg, _: &mut Context<Self>) -> Result<Next, Infallible> {
/// #         match msg {
/// #             Msg::Add(key, more) => *self.0.entry(key).or_default() += more,
/// #             Msg::Get(key, reply) => reply.send(self.0.get(&key).copied().unwrap_or_default()),
/// #             Msg::Len(reply) => reply.send(self.0.len()),
/// #         }
/// #         Ok(Next::Continue)
/// #     }
/// # }
///
/// let (stores, store) = partition("store", 4, |name, _index| child(name, Store::default))?;
/// let app = Supervisor::new("app").supervisor(stores).start()?;
/// store.cast("apples", Msg::Add("apples".into(), 3))?;
/// assert_eq!(store.call("apples", |reply| Msg::Get("apples".into(), reply))?, 3);
/// let lengths = store.fan_out(Deadline::after(Duration::from_secs(1)), Msg::Len);
/// assert_eq!(lengths.answers.iter().map(|(_, len)| len).sum::<usize>(), 1);
/// # drop(app);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn partition<S: Service>(
    name: impl Into<Arc<str>>,
    count: usize,
    mut each: impl FnMut(Arc<str>, usize) -> ChildSpec<S>,
) -> Result<(Supervisor, Partitioned<S::Msg>), PartitionError> {
    let name = checked(name.into(), count)?;
    let mut supervisor = Supervisor::new(Arc::clone(&name));
    let mut handles = Vec::with_capacity(count);
    for index in 0..count {
        let spec = each(format!("{name}-{index}").into(), index);
        handles.push(spec.handle());
        supervisor = supervisor.child(spec);
    }
    Ok((supervisor, Partitioned { handles: handles.into() }))
}

fn checked(name: Arc<str>, count: usize) -> Result<Arc<str>, PartitionError> {
    match count {
        0 => Err(PartitionError::NoPartitions { name }),
        1..=MAX_PARTITIONS => Ok(name),
        _ => Err(PartitionError::TooMany { name, count, max: MAX_PARTITIONS }),
    }
}

/// How many threads this process may run at once, by what the operating system says now; 1 if it does
/// not say. Ask once: it may read files.
///
/// # Example
///
/// ```
/// assert!(underpin::available_cores() >= 1);
/// ```
pub fn available_cores() -> usize {
    sync::cores()
}

/// The services of a [`partition`], as seen by those who send them messages. Cheap to clone.
///
/// Which partition is in charge of a key depends on the hash of the key and the number of
/// partitions, on nothing else:
///
/// - it is the same in every run of one build of the program, for keys whose [`Hash`] says the same in
///   each: texts, numbers and what is derived from them do, addresses and random numbers do not;
/// - keys that are equal must hash alike, also where they differ in type: a `String` and its `str` do;
/// - another build, by another compiler, may say otherwise, and another number of partitions moves
///   most keys. So what is kept on disk by partition needs a rule of its own;
/// - keys spread evenly, but the hash holds no secret: who chooses keys on purpose can have them
///   all in one partition.
pub struct Partitioned<M> {
    /// At least one.
    handles: Arc<[Handle<M>]>,
}

impl<M: Send + 'static> Partitioned<M> {
    /// The number of the partition that is in charge of a key, from 0.
    ///
    /// # Example
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use underpin::{Context, Next, Service, child, partition};
    /// # struct Echo;
    /// # impl Service for Echo {
    /// #     type Msg = ();
    /// #     type Error = Infallible;
    /// #     fn handle(&mut self, _: (), _: &mut Context<Self>) -> Result<Next, Infallible> { Ok(Next::Continue) }
    /// # }
    /// let (_, echo) = partition("echo", 4, |name, _| child(name, || Echo))?;
    /// assert_eq!(echo.index_of("key"), echo.index_of(&String::from("key")));
    /// assert!(echo.index_of("key") < echo.len());
    /// # Ok::<(), underpin::PartitionError>(())
    /// ```
    pub fn index_of<K: Hash + ?Sized>(&self, key: &K) -> usize {
        // Made without a secret: every hasher of one build says the same.
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        share(hasher.finish(), self.handles.len())
    }

    /// The partition that is in charge of a key.
    pub fn of<K: Hash + ?Sized>(&self, key: &K) -> &Handle<M> {
        &self.handles[self.index_of(key)]
    }

    /// As [`Handle::cast`], to the partition of a key. What one thread casts for one key is handled
    /// in that order.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Blocking
    ///
    /// As there.
    pub fn cast<K: Hash + ?Sized>(&self, key: &K, message: M) -> Result<(), CastError<M>> {
        self.of(key).cast(message)
    }

    /// As [`Handle::call`], to the partition of a key.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Blocking
    ///
    /// As there.
    pub fn call<T: Send + 'static, K: Hash + ?Sized>(
        &self,
        key: &K,
        message: impl FnOnce(Reply<T>) -> M,
    ) -> Result<T, CallError<M>> {
        self.of(key).call(message)
    }

    /// As [`Handle::call_timeout`], to the partition of a key.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Blocking
    ///
    /// As there.
    pub fn call_timeout<T: Send + 'static, K: Hash + ?Sized>(
        &self,
        key: &K,
        timeout: Duration,
        message: impl FnOnce(Reply<T>) -> M,
    ) -> Result<T, CallError<M>> {
        self.of(key).call_timeout(timeout, message)
    }

    /// Asks all partitions the same, all at once: see [`fan_out`](crate::fan_out()).
    ///
    /// # Blocking
    ///
    /// As there.
    pub fn fan_out<T: Send + 'static>(
        &self,
        deadline: Deadline,
        message: impl Fn(Reply<T>) -> M,
    ) -> FanOut<T, M> {
        pending::fan_out(&self.handles, deadline, message)
    }

    /// All partitions, by number.
    pub fn handles(&self) -> &[Handle<M>] {
        &self.handles
    }

    /// How many partitions there are: one at least.
    #[allow(clippy::len_without_is_empty)] // it never is
    pub fn len(&self) -> usize {
        self.handles.len()
    }
}

/// Which of `count` equal shares of all hashes this one falls into.
fn share(hash: u64, count: usize) -> usize {
    let share = (u128::from(hash) * count as u128) >> 64;
    share as usize // less than `count`
}

impl<M> Clone for Partitioned<M> {
    fn clone(&self) -> Self {
        Self { handles: Arc::clone(&self.handles) }
    }
}

impl<M> fmt::Debug for Partitioned<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&*self.handles).finish()
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn shares_are_equal_and_cover_all_hashes() {
        for count in [1, 2, 3, 7, MAX_PARTITIONS] {
            assert_eq!((share(0, count), share(u64::MAX, count)), (0, count - 1));
        }
        let width = u64::MAX / 3; // a third of all hashes, as they are 2 to the 64th
        assert_eq!((share(width, 3), share(width + 1, 3)), (0, 1));
        assert_eq!((share(2 * width, 3), share(2 * width + 1, 3)), (1, 2));
    }
}
