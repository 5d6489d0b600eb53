//! reconfigure: other limits and delays, from here on.

use super::words::{ChildRules, Key};
use super::{Policy, Turn};
use crate::SupervisorSettings;

impl Policy {
    /// What holds for the supervisor. Restarts that still counted under the old period count under
    /// the new one; delays that have begun stay as they are.
    pub(super) fn configure(&mut self, settings: &SupervisorSettings, turn: &Turn) {
        settings.apply(&mut self.rules);
        self.window.admit(self.rules.max_restarts, self.rules.period, turn.now);
    }

    /// What holds for one child, save what its supervisor's own state depends on.
    pub(super) fn configure_child(&mut self, key: Key, rules: ChildRules) {
        if let Some(child) = self.children.get_mut(key) {
            let ChildRules { init, grace, backoff, .. } = rules;
            child.rules = ChildRules { init, grace, backoff, ..child.rules };
        }
    }
}
