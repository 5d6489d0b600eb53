//! What is asked to become of a configuration.

use std::sync::Arc;

use serde_json::Value;

use super::edits::{Edit, Edits};
use super::errors::UpdateError;
use super::path::Path;
use super::section::Kind;
use super::tree::{Origin, Tree};

/// A change that is asked for.
pub(crate) enum Proposal {
    /// Values are set, or removed where there is none. For one version only, if that is said.
    Edit { updates: Vec<(Path, Option<Value>)>, expected: Option<u64> },
    /// All updates are taken back.
    Reset,
    /// The defaults alone, whatever the other layers say.
    Defaults,
    /// As it was in a version.
    Rollback(u64),
    /// The layers say something else now; and updates of earlier runs come into force, if there are any.
    Reload(Arc<Tree>, Option<Arc<Edits>>),
    /// A section is registered.
    Section(Arc<dyn Kind>),
}

/// What a version is made from: what the layers say, and what was changed at run time.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) base: Arc<Tree>,
    pub(crate) edits: Arc<Edits>,
}

/// Why there was a new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Somebody set, removed or modified values.
    Update,
    /// [`reset`](super::Config::reset).
    Reset,
    /// [`reset_to_defaults`](super::Config::reset_to_defaults).
    Defaults,
    /// [`rollback`](super::Config::rollback).
    Rollback,
    /// The layers were read again.
    Reload,
    /// A section was registered.
    Section,
}

/// What a proposal may look at.
pub(crate) struct Situation<'a> {
    pub(crate) version: u64,
    pub(crate) present: Target,
    /// What the layers said when they were last read.
    pub(crate) layers: &'a Arc<Tree>,
    /// What the defaults alone say.
    pub(crate) defaults: &'a dyn Fn() -> Arc<Tree>,
    /// What another version was made from, or which are kept.
    pub(crate) past: &'a dyn Fn(u64) -> Result<Target, UpdateError>,
}

impl Proposal {
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::Edit { .. } => Cause::Update,
            Self::Reset => Cause::Reset,
            Self::Defaults => Cause::Defaults,
            Self::Rollback(_) => Cause::Rollback,
            Self::Reload(..) => Cause::Reload,
            Self::Section(_) => Cause::Section,
        }
    }

    /// Whether the updates that it leads to are those in their file: they were read there.
    pub(crate) fn is_kept(&self) -> bool {
        matches!(self, Self::Reload(_, Some(_)))
    }

    /// What the next version is made from.
    pub(crate) fn target(&self, now: Situation<'_>) -> Result<Target, UpdateError> {
        let none = Arc::<Edits>::default;
        let Situation { present, .. } = &now;
        Ok(match self {
            Self::Edit { updates, expected } => {
                expect(*expected, now.version)?;
                Target { base: Arc::clone(&present.base), edits: edited(present, updates, now.version + 1) }
            }
            Self::Reset => Target { base: Arc::clone(now.layers), edits: none() },
            Self::Defaults => Target { base: (now.defaults)(), edits: none() },
            Self::Rollback(version) => (now.past)(*version)?,
            Self::Reload(layers, kept) => {
                let edits = kept.as_ref().unwrap_or(&present.edits);
                Target { base: Arc::clone(layers), edits: Arc::clone(edits) }
            }
            Self::Section(_) => present.clone(),
        })
    }
}

fn expect(expected: Option<u64>, present: u64) -> Result<(), UpdateError> {
    match expected.filter(|expected| *expected != present) {
        Some(expected) => Err(UpdateError::Conflict { expected, present }),
        None => Ok(()),
    }
}

fn edited(present: &Target, updates: &[(Path, Option<Value>)], version: u64) -> Arc<Edits> {
    let mut edits = Edits::clone(&present.edits);
    for (path, value) in updates {
        edits.put(path.clone(), Edit { value: value.clone(), origin: Origin::Update { version } });
    }
    Arc::new(edits)
}
