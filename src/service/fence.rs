//! Whether an incarnation still stands for its child.

use std::fmt;
use std::sync::Arc;

use super::incarnation::Incarnation;

/// Tells whether an incarnation still stands for its child. Made by
/// [`Context::fence`](crate::Context::fence); cheap to clone, and may go to any thread.
///
/// An incarnation that hangs may be abandoned, and come back when another has taken over. The crate
/// keeps apart what goes through it: see [`OnHang`](crate::OnHang). It cannot keep apart what does
/// not: a file that both write, a device, a row in a database, a thread that the first has started.
/// There, whoever is about to do something that only the present incarnation may do asks the fence.
///
/// The fence is open from the start of its incarnation, and closed for ever once that was abandoned
/// or has ended. So there are never two open ones of one child: **when an incarnation begins, the
/// fences of all before it are closed.**
///
/// # What it does not do
///
/// An incarnation may be abandoned right after it has looked. So a look narrows the window in which two
/// write to one place, and does not close it. Where that matters the other side has to decide: give
/// it the [`epoch`](Self::epoch) with each request, as a *fencing token*, and have it refuse one that
/// is smaller than the greatest it has seen.
///
/// # Example
///
/// ```
/// use underpin::{Context, Next, Service, Supervisor, child};
///
/// # #[derive(Clone, Default)]
/// # struct Table(std::sync::Arc<std::sync::Mutex<(u64, Vec<u8>)>>);
/// # impl Table {
/// #     fn write(&self, token: u64, value: u8) -> Result<(), String> {
/// #         let mut inside = self.0.lock().unwrap();
/// #         if token < inside.0 { return Err("stale token".into()); }
/// #         inside.0 = token;
/// #         inside.1.push(value);
/// #         Ok(())
/// #     }
/// # }
/// struct Writer(Table);
///
/// impl Service for Writer {
///     type Msg = u8;
///     type Error = Box<dyn std::error::Error + Send + Sync>;
///
///     fn handle(&mut self, value: u8, cx: &mut Context<Self>) -> Result<Next, Self::Error> {
///         // .. something that may hang for long ..
///         let fence = cx.fence();
///         fence.check()?; // one that is not the present one any more ends here
///         self.0.write(fence.epoch(), value)?; // and the table refuses what is too late even so
///         Ok(Next::Continue)
///     }
/// }
/// # let table = Table::default();
/// # let own = table.clone();
/// # let spec = child("writer", move || Writer(own.clone()));
/// # let handle = spec.handle();
/// # let app = Supervisor::new("app").child(spec).start()?;
/// # handle.cast(7)?;
/// # assert!(table.write(1, 8).is_ok() && table.write(0, 9).is_err());
/// # drop(app);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Fence(Arc<Incarnation>);

/// The incarnation was abandoned, or has ended: it does not stand for its child any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("incarnation {epoch} of `{name}` does not stand for it any more")]
#[non_exhaustive]
pub struct Fenced {
    /// The child.
    pub name: Arc<str>,
    /// Which incarnation.
    pub epoch: u64,
}

impl Fence {
    pub(super) fn of(incarnation: &Arc<Incarnation>) -> Self {
        Self(Arc::clone(incarnation))
    }

    /// Whether the incarnation still stands for its child. `false` is for ever; `true` may be over
    /// in the next moment.
    ///
    /// Never blocks.
    pub fn is_open(&self) -> bool {
        self.0.is_present()
    }

    /// As [`is_open`](Self::is_open), to be used with `?`.
    ///
    /// # Errors
    ///
    /// When it is closed.
    pub fn check(&self) -> Result<(), Fenced> {
        if self.is_open() {
            return Ok(());
        }
        Err(Fenced { name: Arc::clone(&self.0.node.name), epoch: self.epoch() })
    }

    /// The number of the incarnation, as a fencing token: every later incarnation of the child has a
    /// greater one.
    ///
    /// It counts from 1 within one life of the program, and of a child that was deleted and added
    /// anew. What outlives that needs something before it that rises with each start of the program.
    pub fn epoch(&self) -> u64 {
        self.0.epoch
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, epoch) = (&self.0.node.name, self.epoch());
        f.debug_struct("Fence")
            .field("child", name)
            .field("epoch", &epoch)
            .field("open", &self.is_open())
            .finish()
    }
}
