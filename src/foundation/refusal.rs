//! A child that never starts, and says why.

use std::convert::Infallible;

use crate::service::context::Context;
use crate::service::service::{Next, Service};
use crate::supervisor::spec::{ChildSpec, child};

/// Stands where a service would be for which what was said makes no sense: the start of the application fails, and says so.
pub(super) struct Refusal;

impl Refusal {
    pub(super) fn of(name: &str, fault: String) -> ChildSpec<Self> {
        child(name, || Self).faulty(fault)
    }
}

impl Service for Refusal {
    type Msg = Infallible;
    type Error = Infallible;

    fn handle(&mut self, never: Infallible, _: &mut Context<Self>) -> Result<Next, Infallible> {
        match never {}
    }
}
