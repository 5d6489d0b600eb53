//! A resource in use.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::machine::Made;
use super::store::Store;
use crate::sync::Ordering;

/// A resource in use. It goes back when this is dropped.
pub struct Pooled<R, E> {
    /// There until it goes back.
    pub(super) made: Option<Made<R>>,
    pub(super) store: Arc<Store<R, E>>,
    pub(super) is_poisoned: bool,
    pub(super) was_panicking: bool,
}

impl<R, E> Pooled<R, E> {
    /// Says that the resource is not to be used again: it is dropped instead of going back. A panic of its user says
    /// so by itself.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::ErrorKind;
    /// use underpin::resilience::{Pool, Pooled};
    ///
    /// let pool: Pool<u8, ErrorKind> = Pool::builder("bytes", || Ok(7)).build();
    /// let mut byte = pool.checkout().unwrap();
    /// Pooled::poison(&mut byte);
    /// drop(byte);
    /// assert_eq!((pool.snapshot().idle, pool.snapshot().poisoned), (0, 1));
    /// ```
    pub fn poison(this: &mut Self) {
        this.is_poisoned = true;
    }

    /// Takes the resource out of the pool for good, which may make another.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::ErrorKind;
    /// use underpin::resilience::{Pool, Pooled};
    ///
    /// let pool: Pool<u8, ErrorKind> = Pool::builder("bytes", || Ok(7)).build();
    /// assert_eq!(Pooled::detach(pool.checkout().unwrap()), 7);
    /// assert_eq!((pool.snapshot().idle, pool.snapshot().in_use), (0, 0));
    /// ```
    pub fn detach(mut this: Self) -> R {
        let made = this.made.take().expect("it is there until it goes back");
        this.store.tally.detached.fetch_add(1, Ordering::Relaxed);
        this.store.give_up();
        made.resource
    }
}

impl<R, E> Deref for Pooled<R, E> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.made.as_ref().expect("it is there until it goes back").resource
    }
}

impl<R, E> DerefMut for Pooled<R, E> {
    fn deref_mut(&mut self) -> &mut R {
        &mut self.made.as_mut().expect("it is there until it goes back").resource
    }
}

impl<R, E> Drop for Pooled<R, E> {
    fn drop(&mut self) {
        let has_panicked = std::thread::panicking() && !self.was_panicking;
        if let Some(made) = self.made.take() {
            self.store.take_back(made, self.is_poisoned || has_panicked);
        }
    }
}

impl<R: fmt::Debug, E> fmt::Debug for Pooled<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pooled").field(&**self).finish()
    }
}
