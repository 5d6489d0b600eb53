//! Other settings for a supervisor, or for one of its children, while it runs.

use super::*;
use crate::supervisor::child::SettingsFault;
use crate::supervisor::errors::{ReconfigureChildError, ReconfigureError};
use crate::supervisor::settings::{ChildSettings, SupervisorSettings};

impl Supervision {
    /// All or nothing: what is wrong is found before anything is set.
    pub(super) fn configure(
        &mut self,
        now: Instant,
        settings: &SupervisorSettings,
    ) -> Result<(), ReconfigureError> {
        let supervisor = self.plan.name();
        if self.policy.is_down() {
            return Err(ReconfigureError::ShuttingDown { supervisor });
        }
        if let Some(reason) = settings.fault(&self.plan.rules()) {
            return Err(ReconfigureError::BadSetting { supervisor, reason });
        }
        settings.apply(&mut self.plan.rules.lock());
        self.decide(now, Event::Configure { settings: *settings });
        Ok(())
    }

    /// All or nothing, as [`configure`](Self::configure).
    pub(super) fn configure_child(
        &mut self,
        now: Instant,
        name: Arc<str>,
        settings: &ChildSettings,
    ) -> Result<(), ReconfigureChildError> {
        let Some((key, kid)) = self.names.get(&name).and_then(|key| Some((*key, self.kids.get(key)?))) else {
            return Err(ReconfigureChildError::NotFound { name });
        };
        if self.policy.is_down() {
            return Err(ReconfigureChildError::ShuttingDown { name });
        }
        match kid.child.settings_fault(settings) {
            Some(SettingsFault::Wrong(reason)) => {
                return Err(ReconfigureChildError::BadSetting { name, reason });
            }
            Some(SettingsFault::OverReserved(reserved)) => {
                let asked = settings.capacity.unwrap_or_default();
                return Err(ReconfigureChildError::OverReserved { name, asked, reserved });
            }
            None => {}
        }
        let rules = kid.child.configure(settings);
        self.decide(now, Event::ConfigureChild { key, rules });
        Ok(())
    }
}
