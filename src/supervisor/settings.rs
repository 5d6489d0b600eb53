//! What can be set anew while it runs: of a supervisor, and of one of its children.

use std::time::Duration;

use super::backoff::Backoff;
use super::policy::{ChildRules, Rules};
use crate::service::mailbox::Overflow;

/// What [`SupervisorRef::reconfigure`](crate::SupervisorRef::reconfigure) sets: what is not said
/// stays as it is.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::{Supervisor, SupervisorSettings};
///
/// let app = Supervisor::new("app").intensity(1, Duration::from_secs(5)).start()?;
/// app.reconfigure(SupervisorSettings::new().intensity(10, Duration::from_secs(60)))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use = "settings change nothing before they are given to a supervisor"]
pub struct SupervisorSettings {
    intensity: Option<(u32, Duration)>,
    backoff: Option<Backoff>,
    max_children: Option<Option<usize>>,
    grace: Option<Duration>,
}

impl SupervisorSettings {
    /// Settings that change nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many restarts are allowed within `period`, which is longer than 0. Those that still
    /// count when this is set go on counting.
    pub fn intensity(mut self, restarts: u32, period: Duration) -> Self {
        self.intensity = Some((restarts, period));
        self
    }

    /// How long to wait before each restart of a child that does not say otherwise. A restart that
    /// is pending keeps its delay.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// How many children there may be; `None` for any number. Only for a
    /// [`DynamicSupervisor`](crate::DynamicSupervisor). If there are more already, they stay, and no
    /// other is let in before they are fewer.
    pub fn max_children(mut self, most: impl Into<Option<usize>>) -> Self {
        self.max_children = Some(most.into());
        self
    }

    /// How long all children together may take to stop. Only for a
    /// [`DynamicSupervisor`](crate::DynamicSupervisor).
    pub fn shutdown(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// What is wrong with them for a supervisor with these rules, if anything.
    pub(super) fn fault(&self, rules: &Rules) -> Option<String> {
        if let Some((_, Duration::ZERO)) = self.intensity {
            return Some(PERIOD_OF_ZERO.into());
        }
        let for_dynamic = [("max_children", self.max_children.is_some()), ("shutdown", self.grace.is_some())];
        let wrong = for_dynamic.into_iter().find(|(_, is_set)| *is_set && rules.dynamic.is_none());
        wrong.map(|(setting, _)| format!("`{setting}` is a dynamic supervisor's to have, and this is none"))
    }

    pub(super) fn apply(&self, rules: &mut Rules) {
        if let Some((restarts, period)) = self.intensity {
            (rules.max_restarts, rules.period) = (restarts, period);
        }
        rules.backoff = self.backoff.unwrap_or(rules.backoff);
        if let Some(dynamic) = &mut rules.dynamic {
            dynamic.max_children = self.max_children.unwrap_or(dynamic.max_children);
            dynamic.grace = self.grace.unwrap_or(dynamic.grace);
        }
    }
}

/// What is wrong with an intensity whose period is 0.
pub(super) const PERIOD_OF_ZERO: &str = "the period of its intensity is longer than 0";

/// What [`SupervisorRef::reconfigure_child`](crate::SupervisorRef::reconfigure_child) sets: what is
/// not said stays as it is.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::{ChildSettings, Overflow, Supervisor, child};
/// # use underpin::{Context, Next, Service};
/// # struct Echo;
/// # impl Service for Echo {
/// #     type Msg = ();
/// #     type Error = std::convert::Infallible;
/// #     fn handle(&mut self, _: (), _: &mut Context<Self>) -> Result<Next, Self::Error> { Ok(Next::Continue) }
/// # }
///
/// let echo = child("echo", || Echo).capacity(16).max_capacity(1024);
/// let handle = echo.handle();
/// let app = Supervisor::new("app").child(echo).start()?;
/// app.reconfigure_child("echo", ChildSettings::new().capacity(512).overflow(Overflow::DropOldest))?;
/// assert_eq!(handle.status().capacity, 512);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use = "settings change nothing before they are given to a supervisor"]
pub struct ChildSettings {
    pub(super) capacity: Option<usize>,
    pub(super) overflow: Option<Overflow>,
    backoff: Option<Backoff>,
    grace: Option<Duration>,
    init: Option<Duration>,
}

impl ChildSettings {
    /// Settings that change nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many messages the mailbox holds: 1 to the child's
    /// [`max_capacity`](crate::ChildSpec::max_capacity). More room wakes senders that wait for it.
    /// Less room takes nothing out of the mailbox.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = Some(messages);
        self
    }

    /// What happens to a message that is sent to the full mailbox. A sender that waits for space
    /// already goes on doing so, as long as it was told.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = Some(overflow);
        self
    }

    /// How long to wait before each restart. One that is pending keeps its delay.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// How long a stop may take. One that has begun keeps its grace.
    pub fn shutdown(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// How long a start may take. One that has begun keeps its limit.
    pub fn init_timeout(mut self, limit: Duration) -> Self {
        self.init = Some(limit);
        self
    }

    /// What a nested supervisor does not have, if it is set here.
    pub(super) fn of_a_service(&self) -> Option<&'static str> {
        let settings = [
            ("capacity", self.capacity.is_some()),
            ("overflow", self.overflow.is_some()),
            ("shutdown", self.grace.is_some()),
            ("init_timeout", self.init.is_some()),
        ];
        settings.into_iter().find(|(_, is_set)| *is_set).map(|(setting, _)| setting)
    }

    pub(super) fn apply(&self, rules: &mut ChildRules) {
        rules.backoff = self.backoff.or(rules.backoff);
        rules.grace = self.grace.or(rules.grace);
        rules.init = self.init.unwrap_or(rules.init);
    }
}
