//! A child's claim to its name in the registry.

use std::any::type_name;
use std::sync::Arc;

use super::core::Core;
use super::handle::Handle;
use super::incarnation::Incarnation;
use crate::registry::{AlreadyRegistered, Entry, Registration, Registry, Tags};
use crate::sync::{Clock, Mutex, mutant};

/// A child's claim to its name, if it makes one. Cheap to clone.
///
/// The name is the child's, over all incarnations. The tags that an incarnation sets are its own:
/// they end with it, or when it is abandoned. A launch takes the name, resets the tags and begins
/// the next life under one lock, under which an older life finds that it is older.
#[derive(Clone, Default)]
pub(crate) struct Claim(Option<Arc<Claimed>>);

struct Claimed {
    /// The tags that each incarnation begins with.
    described: Tags,
    held: Mutex<Option<Registration>>,
}

impl Claim {
    /// The claim of a child that is to be registered, with these tags.
    pub(crate) fn with(described: Tags) -> Self {
        Self(Some(Arc::new(Claimed { described, held: Mutex::new(None) })))
    }

    /// Takes the name, unless the child has it from an earlier life, and begins the next life.
    pub(crate) fn next_life<M: Send + 'static>(
        &self,
        core: &Arc<Core<M>>,
        registry: &Registry,
        clock: &Clock,
    ) -> Result<Arc<Incarnation>, AlreadyRegistered> {
        let Some(claimed) = &self.0 else {
            return Ok(core.be_born(clock));
        };
        let mut held = claimed.held.lock();
        if let Some(registration) = &*held {
            claimed.reset(registry, registration);
        } else {
            let entry = Entry::new(Handle::new(Arc::clone(core)), type_name::<M>());
            *held = Some(registry.register(core.name(), entry, claimed.described.clone())?);
        }
        Ok(core.be_born(clock))
    }

    /// Frees the name, if the child has it and if `life` is still its newest.
    pub(crate) fn free<M: Send + 'static>(&self, core: &Core<M>, registry: &Registry, life: u64) {
        let Some(claimed) = &self.0 else { return };
        let mut held = claimed.held.lock();
        if is_newest(core, life)
            && let Some(registration) = held.take()
        {
            registry.unregister(&registration);
        }
    }

    /// Takes back what a life has set that ends, or was abandoned, and will have a successor.
    pub(crate) fn end_tags<M: Send + 'static>(&self, core: &Core<M>, registry: &Registry, life: u64) {
        let Some(claimed) = &self.0 else { return };
        let held = claimed.held.lock();
        if let Some(registration) = held.as_ref().filter(|_| is_newest(core, life)) {
            claimed.reset(registry, registration);
        }
    }

    /// Changes the tags on behalf of a life. `None` if there is no name, or it is a later life's, or is
    /// to be: the life was abandoned.
    /// `change` is not the user's.
    pub(crate) fn change_tags<M: Send + 'static, R>(
        &self,
        core: &Core<M>,
        registry: &Registry,
        life: u64,
        change: impl FnOnce(&mut Tags) -> R,
    ) -> Option<R> {
        let held = self.0.as_ref()?.held.lock();
        let is_its = is_newest(core, life) && !core.incarnation().is_abandoned();
        let registration = held.as_ref().filter(|_| is_its || mutant!(TagForAnyLife))?;
        registry.change_tags(registration, change)
    }
}

impl Claimed {
    fn reset(&self, registry: &Registry, registration: &Registration) {
        registry.change_tags(registration, |tags| tags.clone_from(&self.described));
    }
}

fn is_newest<M: Send + 'static>(core: &Core<M>, life: u64) -> bool {
    core.incarnation().epoch == life
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::service::dead_letters::DeadLetters;
    use crate::service::mailbox::Overflow;

    fn tag(tags: &mut Tags) -> bool {
        tags.set("k".into(), "v".into()).is_ok()
    }

    #[test]
    fn an_older_life_neither_frees_nor_tags_nor_untags() {
        let (registry, clock) = (Registry::new(), Clock::system());
        let core = Arc::new(Core::<u8>::new("a".into(), 1, Overflow::Reject, DeadLetters::lost()));
        let claim = Claim::with(Tags::default());
        let begin = || claim.next_life(&core, &registry, &clock).expect("the name is free").epoch;
        let (first, second) = (begin(), begin());
        let tags = || registry.metadata("a").map(|tags| tags.len());
        assert_eq!(claim.change_tags(&core, &registry, first, tag), None);
        assert_eq!(tags(), Some(0));
        assert_eq!(claim.change_tags(&core, &registry, second, tag), Some(true));
        claim.end_tags(&core, &registry, first);
        claim.free(&core, &registry, first);
        assert_eq!(tags(), Some(1), "it is the second's");
        claim.end_tags(&core, &registry, second);
        assert_eq!(tags(), Some(0));
        claim.free(&core, &registry, second);
        assert_eq!(tags(), None);
        assert_eq!(claim.change_tags(&core, &registry, second, tag), None);
        assert_eq!(begin(), 3, "and takes the name again");
        assert_eq!(registry.names(), ["a"]);
    }

    #[test]
    fn without_a_claim_there_is_no_name() {
        let (registry, clock) = (Registry::new(), Clock::system());
        let core = Arc::new(Core::<u8>::new("a".into(), 1, Overflow::Reject, DeadLetters::lost()));
        let claim = Claim::default();
        let life = claim.next_life(&core, &registry, &clock).expect("none is asked for").epoch;
        assert_eq!(claim.change_tags(&core, &registry, life, tag), None);
        assert!(registry.is_empty());
    }
}
