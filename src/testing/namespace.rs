//! Names for one test.

use crate::registry::Registry;
use crate::sync::{Ordering, Tally};

/// A registry of its own, seen through a namespace whose name no other call returns in this process:
/// tests that run at the same time, and register the same names, do not meet.
///
/// # Example
///
/// ```
/// use underpin::{Supervisor, testing};
/// # use underpin::{Context, Next, Service, child};
/// # struct Store;
/// # impl Service for Store {
/// #     type Msg = ();
/// #     type Error = std::convert::Infallible;
/// #     fn handle(&mut self, _: (), _: &mut Context<Self>) -> Result<Next, Self::Error> { Ok(Next::Continue) }
/// # }
///
/// let (one, other) = (testing::namespace(), testing::namespace());
/// assert_ne!(one.name(), other.name());
///
/// let tree = || Supervisor::new("app").child(child("store", || Store).registered());
/// let mine = tree().registry(one.clone()).start()?;
/// let theirs = tree().registry(other.clone()).start()?; // the same name, and no clash
/// assert_eq!(one.names(), other.names());
/// # Ok::<(), underpin::StartError>(())
/// ```
pub fn namespace() -> Registry {
    static MADE: Tally = Tally::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    Registry::new().namespace(format!("test-{number}"))
}
