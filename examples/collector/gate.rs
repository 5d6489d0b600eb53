//! The gate: the last child of `intake`, so the first to be stopped.

use std::convert::Infallible;
use std::sync::Arc;

use underpin::{ChildSpec, Context, Exit, Next, Service, child};

use crate::doors::Doors;

/// Shuts the doors when it is stopped, so that those who block on a listening socket come to hear
/// that they are stopped too.
pub(crate) struct Gate(Arc<Doors>);

/// Describes the gate.
pub(crate) fn spec(doors: &Arc<Doors>) -> ChildSpec<Gate> {
    let doors = Arc::clone(doors);
    child("gate", move || Gate(Arc::clone(&doors))).capacity(1)
}

impl Service for Gate {
    type Msg = Infallible;
    type Error = Infallible;

    fn handle(&mut self, msg: Infallible, _: &mut Context<Self>) -> Result<Next, Infallible> {
        match msg {}
    }

    fn terminate(&mut self, _: &Exit) {
        self.0.shut();
    }
}
