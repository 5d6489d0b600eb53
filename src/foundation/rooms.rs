//! Which rooms a foundation has, and what one tells another.

#[cfg(all(feature = "config", any(feature = "events", feature = "telemetry")))]
use std::sync::Arc;

#[cfg(any(feature = "health", feature = "resilience"))]
use super::refusal::Refusal;
#[cfg(all(feature = "config", any(feature = "events", feature = "telemetry")))]
use crate::config::Sink;
#[cfg(feature = "config")]
use crate::config::{Config, Settings};
#[cfg(feature = "events")]
use crate::events::EventStore;
#[cfg(all(feature = "config", feature = "health"))]
use crate::health::AlertSettings;
#[cfg(feature = "health")]
use crate::health::HealthMonitor;
#[cfg(feature = "resilience")]
use crate::resilience::Policy;
use crate::supervisor::supervisor::Supervisor;
#[cfg(feature = "tasks")]
use crate::tasks::TaskPool;
#[cfg(feature = "telemetry")]
use crate::telemetry::Telemetry;

/// Which rooms a foundation has beside its root.
#[derive(Default)]
pub(super) struct Rooms {
    /// How many configurations there are; their services are the first children.
    #[cfg(feature = "config")]
    configs: usize,
    #[cfg(all(feature = "config", any(feature = "events", feature = "telemetry")))]
    wires: Vec<Wire>,
    #[cfg(all(feature = "config", feature = "health"))]
    rules: Option<Rules>,
    #[cfg(all(feature = "config", feature = "resilience"))]
    pub(super) policies: super::policies::PolicyRules,
    pub(super) kept: Kept,
}

/// Those that are known by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    #[cfg(feature = "events")]
    pub(super) store: Option<EventStore>,
    #[cfg(feature = "telemetry")]
    pub(super) telemetry: Option<Telemetry>,
    #[cfg(feature = "health")]
    pub(super) health: Option<HealthMonitor>,
    #[cfg(feature = "tasks")]
    pub(super) pools: Vec<TaskPool>,
    #[cfg(feature = "resilience")]
    pub(super) policies: Vec<Policy>,
}

/// Leads what becomes of a configuration to the rooms that are there.
#[cfg(all(feature = "config", any(feature = "events", feature = "telemetry")))]
type Wire = Box<dyn FnOnce(&Kept)>;

#[cfg(all(feature = "config", any(feature = "events", feature = "telemetry")))]
fn wire_of<T: Settings>(config: &Config<T>) -> Wire {
    let config = config.clone();
    Box::new(move |kept| {
        let sinks = kept.sinks(config.name());
        if !sinks.is_empty() {
            config.set_default_sink(Arc::new(super::sinks::Sinks(sinks)));
        }
    })
}

/// Says when which alert is raised, and the version of that, if it is another than stands.
#[cfg(all(feature = "config", feature = "health"))]
type Rules = Box<dyn Fn(u64) -> Option<(u64, AlertSettings)> + Send + Sync>;

#[cfg(all(feature = "config", feature = "health"))]
fn rules_of<T: Settings>(
    config: &Config<T>,
    alerts: impl Fn(&T) -> AlertSettings + Send + Sync + 'static,
) -> Rules {
    let config = config.clone();
    Box::new(move |standing| {
        let snapshot = config.snapshot();
        let version = snapshot.version();
        (version != standing).then(|| (version, alerts(&snapshot)))
    })
}

impl Kept {
    #[cfg(all(feature = "config", any(feature = "events", feature = "telemetry")))]
    fn sinks(&self, config: &str) -> Vec<Arc<dyn Sink>> {
        let mut sinks: Vec<Arc<dyn Sink>> = Vec::new();
        #[cfg(feature = "events")]
        if let Some(store) = &self.store {
            sinks.push(Arc::new(super::config_events::ConfigEvents::new(store, config)));
        }
        #[cfg(feature = "telemetry")]
        if let Some(telemetry) = &self.telemetry {
            sinks.push(Arc::new(super::meters::ConfigMeters::new(telemetry, config)));
        }
        let _ = config;
        sinks
    }
}

#[cfg(feature = "telemetry")]
impl Kept {
    /// Nothing of this application is measured any more.
    pub(super) fn forget(&self, root: &str) {
        let Some(telemetry) = &self.telemetry else { return };
        let forget = |name: String| _ = telemetry.remove_collector(&name);
        forget(super::meters::tree_name(root));
        forget(super::meters::PROCESS.to_owned());
        #[cfg(feature = "events")]
        self.store.iter().for_each(|store| forget(super::meters::store_name(store.name())));
        #[cfg(feature = "health")]
        self.health.iter().for_each(|health| forget(super::meters::health_name(health.name())));
        #[cfg(feature = "tasks")]
        self.pools.iter().for_each(|pool| forget(super::meters::pool_name(pool.name())));
        #[cfg(feature = "resilience")]
        self.policies.iter().for_each(|policy| forget(super::meters::policy_name(policy.name())));
    }

    /// What is known anyway becomes metrics.
    pub(super) fn measure(
        &self,
        root: crate::supervisor::reference::SupervisorRef,
        clock: &crate::sync::Clock,
    ) {
        let Some(telemetry) = &self.telemetry else { return };
        super::meters::watch_tree(telemetry, root, clock);
        #[cfg(feature = "events")]
        self.store.iter().for_each(|store| super::meters::watch_store(telemetry, store));
        #[cfg(feature = "health")]
        self.health.iter().for_each(|health| super::meters::watch_health(telemetry, health));
        #[cfg(feature = "tasks")]
        self.pools.iter().for_each(|pool| super::meters::watch_pool(telemetry, pool));
        #[cfg(feature = "resilience")]
        self.policies.iter().for_each(|policy| super::meters::watch_policy(telemetry, policy));
    }
}

#[cfg(feature = "resilience")]
impl Kept {
    /// One that was said before is there.
    pub(super) fn add_policy(&mut self, policy: &Policy) {
        if !self.policies.iter().any(|known| known.is(policy)) {
            self.policies.push(policy.clone());
        }
    }

    /// What makes no sense of those that were said.
    fn policy_fault(&self) -> Option<String> {
        let is_named_before = |(place, policy): &(usize, &Policy)| {
            self.policies[..*place].iter().any(|known| known.name() == policy.name())
        };
        let (_, second) = self.policies.iter().enumerate().find(is_named_before)?;
        Some(format!("two policies are named `{}`: each needs a name of its own", second.name()))
    }
}

#[cfg(all(feature = "events", feature = "tasks"))]
impl Kept {
    fn tell_of_tasks(&self) {
        let Some(store) = &self.store else { return };
        for pool in &self.pools {
            pool.set_default_sink(std::sync::Arc::new(super::task_events::TaskEvents::new(
                store,
                pool.name(),
            )));
        }
    }
}

#[cfg(all(feature = "events", feature = "resilience"))]
impl Kept {
    fn tell_of_policies(&self) {
        let Some(store) = &self.store else { return };
        for policy in &self.policies {
            policy.set_default_sink(std::sync::Arc::new(super::resilience_events::ResilienceEvents::new(
                store,
            )));
        }
    }
}

#[cfg(feature = "health")]
impl Kept {
    /// What the health looks at, and who hears of it.
    ///
    /// # Errors
    ///
    /// That there is no room for a check of the tree.
    fn connect(&self, health: &HealthMonitor, root: &Supervisor) -> Result<(), String> {
        if !health.watch(&root.reference()) {
            let name = health.name();
            return Err(format!(
                "the monitor `{name}` has no room for a check of the tree, or its services already"
            ));
        }
        if let Some(telemetry) = &self.telemetry {
            health.set_default_source(telemetry.metrics_while_there());
        }
        #[cfg(feature = "events")]
        if let Some(store) = &self.store {
            health
                .add_sink(std::sync::Arc::new(super::health_events::HealthEvents::new(store, health.name())));
        }
        Ok(())
    }
}

impl Rooms {
    /// The settings of alerts are a part of this configuration.
    #[cfg(all(feature = "config", feature = "health"))]
    pub(super) fn alerts<T: Settings>(
        &mut self,
        config: &Config<T>,
        alerts: impl Fn(&T) -> AlertSettings + Send + Sync + 'static,
    ) {
        self.rules = Some(rules_of(config, alerts));
    }

    /// Adds the service of a configuration behind those that are there.
    #[cfg(feature = "config")]
    pub(super) fn add_config<T: Settings>(&mut self, root: Supervisor, config: &Config<T>) -> Supervisor {
        #[cfg(any(feature = "events", feature = "telemetry"))]
        self.wires.push(wire_of(config));
        self.configs += 1;
        root.child_at(self.configs - 1, config.child())
    }

    /// Puts the services of the others where they belong, and connects all.
    #[cfg_attr(not(feature = "resilience"), expect(unused_mut))]
    pub(super) fn furnish(mut self, root: Supervisor) -> (Supervisor, Kept) {
        #[cfg(any(feature = "events", feature = "tasks", feature = "telemetry"))]
        let root = self.add_services(root);
        #[cfg(feature = "resilience")]
        let root = self.add_policies(root);
        #[cfg(feature = "health")]
        let root = self.add_health(root);
        #[cfg(all(feature = "config", feature = "health"))]
        let root = follow_rules(root, self.rules, self.kept.health.as_ref());
        let kept = self.kept;
        #[cfg(all(feature = "config", any(feature = "events", feature = "telemetry")))]
        self.wires.into_iter().for_each(|wire| wire(&kept));
        #[cfg(all(feature = "events", feature = "tasks"))]
        kept.tell_of_tasks();
        (root, kept)
    }

    /// Behind the configurations, before all others.
    #[cfg(any(feature = "events", feature = "tasks", feature = "telemetry"))]
    fn add_services(&self, root: Supervisor) -> Supervisor {
        let mut services = Vec::new();
        #[cfg(feature = "telemetry")]
        services.extend(self.kept.telemetry.iter().map(Telemetry::supervisor));
        #[cfg(feature = "events")]
        services.extend(self.kept.store.iter().map(EventStore::supervisor));
        #[cfg(feature = "tasks")]
        services.extend(self.kept.pools.iter().map(TaskPool::supervisor));
        #[cfg(feature = "config")]
        let first = self.configs;
        #[cfg(not(feature = "config"))]
        let first = 0;
        (first..).zip(services).fold(root, |root, (place, service)| root.supervisor_at(place, service))
    }

    /// Right behind the configurations: whoever uses a policy finds it as they say.
    #[cfg(feature = "resilience")]
    fn add_policies(&mut self, root: Supervisor) -> Supervisor {
        let fault = self.kept.policy_fault();
        #[cfg(feature = "config")]
        let fault = fault.or_else(|| self.policies.fault());
        if let Some(fault) = fault {
            return root.child(Refusal::of("policies", fault));
        }
        #[cfg(feature = "events")]
        self.kept.tell_of_policies();
        #[cfg(feature = "config")]
        if let Some(keeper) = std::mem::take(&mut self.policies).keeper() {
            return root.child_at(self.configs, keeper);
        }
        root
    }

    /// The last: its first look sees the others up.
    #[cfg(feature = "health")]
    fn add_health(&self, root: Supervisor) -> Supervisor {
        let Some(health) = &self.kept.health else { return root };
        match self.kept.connect(health, &root) {
            Ok(()) => root.supervisor(health.supervisor()),
            Err(fault) => root.child(Refusal::of("monitor", fault)),
        }
    }
}

#[cfg(all(feature = "config", feature = "health"))]
fn follow_rules(root: Supervisor, rules: Option<Rules>, health: Option<&HealthMonitor>) -> Supervisor {
    match (rules, health) {
        (Some(rules), Some(health)) => health.follow_alerts(rules),
        (Some(_), None) => {
            let fault =
                "`alerts` was said, and there is no monitor whose alerts these could be: say `health` too";
            return root.child(Refusal::of("monitor", fault.into()));
        }
        (None, _) => {}
    }
    root
}
