//! Policies whose settings are a part of a configuration.

use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::config::{Config, Settings};
use crate::error::{complain, panic_text};
use crate::resilience::{Policy, PolicySettings};
use crate::service::context::Context;
use crate::service::service::{Init, Next, Service};
use crate::supervisor::spec::{ChildSpec, child};

/// Has a policy go by what its configuration says now, if it does not.
type Rule = Arc<dyn Fn() + Send + Sync>;

/// Has the service hear of changes.
type Subscribe = Box<dyn FnOnce(&ChildSpec<PolicyKeeper>)>;

/// Has policies follow their configurations. What was said while it was away, it finds when it begins.
pub(super) struct PolicyKeeper {
    rules: Arc<[Rule]>,
}

/// A configuration has changed.
pub(super) struct Look;

/// What is to follow what.
#[derive(Default)]
pub(super) struct PolicyRules {
    led: Vec<Policy>,
    rules: Vec<Rule>,
    subscribe: Vec<Subscribe>,
}

impl PolicyRules {
    pub(super) fn add<T: Settings>(
        &mut self,
        config: &Config<T>,
        policy: &Policy,
        settings: impl Fn(&T) -> PolicySettings + Send + Sync + 'static,
    ) {
        self.led.push(policy.clone());
        let (followed, policy) = (config.clone(), policy.clone());
        self.rules.push(Arc::new(move || follow(&policy, || settings(&followed.snapshot()))));
        let config = config.clone();
        self.subscribe.push(Box::new(move |keeper| {
            // The whole is a path.
            let _ = config.subscribe_service("", &keeper.handle(), |_| Look);
        }));
    }

    /// What makes no sense: each of two rules for one policy would undo what the other has done.
    pub(super) fn fault(&self) -> Option<String> {
        let is_led_before =
            |(place, policy): &(usize, &Policy)| self.led[..*place].iter().any(|led| led.is(policy));
        let (_, twice) = self.led.iter().enumerate().find(is_led_before)?;
        Some(format!("the settings of the policy `{}` were said twice, and only one can hold", twice.name()))
    }

    /// The service, if it has anything to do.
    pub(super) fn keeper(self) -> Option<ChildSpec<PolicyKeeper>> {
        if self.rules.is_empty() {
            return None;
        }
        let rules: Arc<[Rule]> = self.rules.into();
        let keeper = child("policies", move || PolicyKeeper { rules: Arc::clone(&rules) });
        self.subscribe.into_iter().for_each(|subscribe| subscribe(&keeper));
        Some(keeper)
    }
}

/// Settings that make the closure panic are wrong as others are: nobody else is to suffer by them.
fn follow(policy: &Policy, settings: impl FnOnce() -> PolicySettings) {
    let stays = |why: fmt::Arguments<'_>| {
        complain(format_args!("the settings of the policy `{}` stay as they are: {why}", policy.name()));
    };
    match catch_unwind(AssertUnwindSafe(settings)) {
        Err(panic) => stays(format_args!("what makes them panicked: {}", panic_text(panic))),
        Ok(settings) if settings == policy.settings() => {}
        Ok(settings) => {
            if let Err(error) = policy.change(settings) {
                stays(format_args!("{error}"));
            }
        }
    }
}

impl Service for PolicyKeeper {
    type Msg = Look;
    type Error = Infallible;

    fn init(&mut self, _: &mut Context<Self>) -> Result<Init, Infallible> {
        self.rules.iter().for_each(|rule| rule());
        Ok(Init::Ready)
    }

    fn handle(&mut self, Look: Look, _: &mut Context<Self>) -> Result<Next, Infallible> {
        self.rules.iter().for_each(|rule| rule());
        Ok(Next::Continue)
    }

    fn label(_: &Look) -> &'static str {
        "look"
    }
}
