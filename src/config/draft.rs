//! A version in the making.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::config::Settings;
use super::current::{Current, Part};
use super::diff::at;
use super::edits::{Edits, put, remove};
use super::errors::UpdateError;
use super::fault::{Fault, Faults};
use super::index::Index;
use super::path::Path;
use super::proposal::{Proposal, Target};
use super::resolve::{Resolved, resolve, unknown_in};
use super::section::{Kind, resolve_all};
use super::tree::{Origin, Tree};

/// What becomes of keys that nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// They are logged as warnings, once for each version of the layers.
    #[default]
    Warn,
    /// They are faults.
    Refuse,
    /// They are passed over.
    Ignore,
}

/// What holds of every version.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) frozen: Vec<Path>,
    /// Where keys are somebody else's.
    pub(crate) reserved: Vec<Path>,
    pub(crate) unknown: Unknown,
}

/// A version in the making: valid by itself, and not yet published.
pub(crate) struct Draft<T> {
    value: T,
    pub(crate) document: Arc<Value>,
    tree: Tree,
    base: Arc<Tree>,
    pub(crate) edits: Arc<Edits>,
    sections: Vec<Part>,
}

impl<T: Settings> Draft<T> {
    /// What a proposal comes to.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub(crate) fn make(
        present: &Current<T>,
        target: Target,
        proposal: &Proposal,
        terms: &Terms,
    ) -> Result<Self, UpdateError> {
        let mut kinds: Vec<_> = present.sections.iter().map(|part| Arc::clone(&part.kind)).collect();
        let asked = match proposal {
            Proposal::Edit { updates, .. } => updates.as_slice(),
            _ => &[],
        };
        if let Proposal::Section(kind) = proposal {
            if kinds.iter().any(|other| other.place().overlaps(kind.place())) {
                return Err(UpdateError::Taken { path: kind.place().clone() });
            }
            kinds.push(Arc::clone(kind));
        }
        let draft = if matches!(proposal, Proposal::Reload(..)) {
            Self::of_layers(target, &kinds, terms).map_err(UpdateError::Invalid)?
        } else {
            let (draft, unknown) = Self::of(target, &kinds).map_err(UpdateError::Invalid)?;
            no_unknown_update(asked, &unknown)?;
            draft
        };
        // A section changes nothing that was said. It may bring defaults, also of what is frozen.
        if !matches!(proposal, Proposal::Section(_)) {
            terms.no_frozen_change(&present.document, &draft.document)?;
        }
        Ok(draft)
    }

    /// The first version, which nothing is compared with.
    pub(crate) fn first(target: Target, terms: &Terms) -> Result<Self, Faults> {
        Self::of_layers(target, &[], terms)
    }

    /// What layers that were read come to: the keys in them that nobody knows are judged, too.
    fn of_layers(target: Target, kinds: &[Arc<dyn Kind>], terms: &Terms) -> Result<Self, Faults> {
        let tree = target.edits.apply(Tree::clone(&target.base));
        match (Self::of(target, kinds), tree) {
            (Ok((draft, unknown)), _) => terms.judge_unknown(unknown).map(|()| draft),
            (Err(mut faults), Ok(tree)) => {
                let mut unknown = unknown_in::<T>(&tree);
                unknown.retain(|(path, _)| !kinds.iter().any(|kind| kind.place().contains(path)));
                faults.extend(terms.judge_unknown(unknown).err().into_iter().flatten());
                Err(faults)
            }
            (Err(faults), Err(_)) => Err(faults),
        }
    }

    /// The draft, and the keys that nobody knows.
    fn of(target: Target, kinds: &[Arc<dyn Kind>]) -> Result<(Self, Vec<(Path, Origin)>), Faults> {
        let tree = target.edits.apply(Tree::clone(&target.base))?;
        let whole = resolve::<T>(&tree, &Path::TOP).map_err(|faults| with_sections(faults, kinds, &tree));
        let Resolved { value, mut document, mut unknown } = whole?;
        let sections = resolve_all(kinds, &tree, &mut document, &mut unknown)?;
        let Target { base, edits } = target;
        Ok((Self { value, document: Arc::new(document), tree, base, edits, sections }, unknown))
    }

    /// The version that follows `before`, or the first.
    pub(crate) fn into_current(self, before: Option<&Current<T>>, at: Instant) -> Current<T> {
        let Self { value, document, tree, base, edits, sections } = self;
        let version = before.map_or(1, |before| before.version + 1);
        let index = before.map_or_else(|| Index::of(&document), |before| before.index.after(&document));
        let index = Arc::new(index);
        Current { version, at, value, document, index, tree, base, edits, sections }
    }
}

/// All that is wrong with the whole, and with sections.
fn with_sections(mut faults: Faults, kinds: &[Arc<dyn Kind>], tree: &Tree) -> Faults {
    for fault in kinds.iter().filter_map(|kind| kind.resolve(tree).err()).flatten() {
        // A part of the whole can be a section, too.
        if !faults.iter().any(|known| known.path == fault.path) {
            faults.add(fault);
        }
    }
    faults
}

/// An update sets nothing that nobody knows: most likely the path is mistyped.
fn no_unknown_update(asked: &[(Path, Option<Value>)], unknown: &[(Path, Origin)]) -> Result<(), UpdateError> {
    let is_asked = |path: &Path| asked.iter().any(|(asked, value)| value.is_some() && asked.overlaps(path));
    match unknown.iter().find(|(path, origin)| matches!(origin, Origin::Update { .. }) && is_asked(path)) {
        Some((path, _)) => Err(UpdateError::Unknown { path: path.clone() }),
        None => Ok(()),
    }
}

impl Terms {
    fn no_frozen_change(&self, before: &Value, after: &Value) -> Result<(), UpdateError> {
        match self.frozen.iter().find(|path| at(before, path) != at(after, path)) {
            Some(path) => Err(UpdateError::Frozen { path: path.clone() }),
            None => Ok(()),
        }
    }

    /// Puts what is frozen back into layers, and returns those of its places where they differ.
    pub(crate) fn keep_frozen<T>(&self, present: &Current<T>, layers: &mut Tree) -> Vec<Fault> {
        let mut differing = Vec::new();
        for path in &self.frozen {
            let (now, new) = (present.tree.at(path).cloned(), layers.at(path));
            let in_force = now.as_ref().map(Tree::plain).or_else(|| at(&present.document, path).cloned());
            if new.map_or(now.is_none(), |new| in_force == Some(new.plain())) {
                continue;
            }
            let origin = new.unwrap_or(layers).origin.clone();
            differing.push(Fault::new(path.clone(), "is frozen").from(origin));
            let _ = match now {
                Some(now) => put(layers, path, now),
                None => remove(layers, path),
            };
        }
        differing
    }

    /// Warns of keys that nobody knows, or refuses them.
    fn judge_unknown(&self, unknown: Vec<(Path, Origin)>) -> Result<(), Faults> {
        let is_reserved = |path: &Path| self.reserved.iter().any(|reserved| reserved.contains(path));
        let mut faults = Faults::default();
        for (path, origin) in unknown.into_iter().filter(|(path, _)| !is_reserved(path)) {
            let fault = Fault::new(path, "there is no such setting").from(origin);
            match self.unknown {
                Unknown::Refuse => faults.add(fault),
                Unknown::Warn => log::warn!("config: {fault}"),
                Unknown::Ignore => {}
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}
