//! Sections: parts of the configuration that have a type of their own.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::config::Settings;
use super::current::{Current, Part};
use super::errors::UpdateError;
use super::fault::{Fault, Faults};
use super::merge::overlay;
use super::path::Path;
use super::resolve::resolve;
use super::tree::{Origin, Tree};
use super::validate::Validate;
use crate::sync::Snapshot;

/// What is known of a section's type.
pub(crate) trait Kind: Send + Sync {
    /// Where it stands.
    fn place(&self) -> &Path;
    /// Reads it out of the whole.
    fn resolve(&self, whole: &Tree) -> Result<Resolved, Faults>;
}

/// A section that was read.
pub(crate) struct Resolved {
    pub(crate) value: Arc<dyn Any + Send + Sync>,
    pub(crate) document: Value,
    pub(crate) unknown: Vec<(Path, Origin)>,
}

struct Typed<S> {
    place: Path,
    defaults: Tree,
    marker: PhantomData<fn() -> S>,
}

/// The type of a section at `place`.
///
/// # Errors
///
/// When its defaults cannot be written down.
pub(crate) fn kind<S>(place: Path) -> Result<Arc<dyn Kind>, UpdateError>
where
    S: Default + Serialize + DeserializeOwned + Validate + Send + Sync + 'static,
{
    let defaults = serde_json::to_value(S::default()).map_err(|error| UpdateError::NotSerialisable {
        path: place.clone(),
        message: format!("the defaults of its section: {error}"),
    })?;
    let defaults = Tree::of(&defaults, &Origin::Default);
    Ok(Arc::new(Typed::<S> { place, defaults, marker: PhantomData }))
}

impl<S> Kind for Typed<S>
where
    S: Serialize + DeserializeOwned + Validate + Send + Sync + 'static,
{
    fn place(&self) -> &Path {
        &self.place
    }

    fn resolve(&self, whole: &Tree) -> Result<Resolved, Faults> {
        let said = whole.at(&self.place).cloned();
        let tree = match said {
            Some(said) => overlay(self.defaults.clone(), said),
            None => self.defaults.clone(),
        };
        let read = resolve::<S>(&tree, &self.place)?;
        Ok(Resolved { value: Arc::new(read.value), document: read.document, unknown: read.unknown })
    }
}

/// A part of the configuration with a type and a validation of its own, as a library inside the
/// program [registers](super::Config::section) it.
///
/// It is published together with the rest, under the same version. Cheap to clone.
pub struct Section<T, S> {
    present: Arc<Snapshot<Current<T>>>,
    /// Which of the sections.
    number: usize,
    place: Path,
    marker: PhantomData<fn() -> S>,
}

impl<T: Settings, S: Send + Sync + 'static> Section<T, S> {
    pub(crate) fn new(present: Arc<Snapshot<Current<T>>>, number: usize, place: Path) -> Self {
        Self { present, number, place, marker: PhantomData }
    }

    /// Where it stands.
    pub fn path(&self) -> &Path {
        &self.place
    }

    /// The present value. Never blocks.
    ///
    /// # Panics
    ///
    /// Never: a section that is registered stays.
    pub fn load(&self) -> Arc<S> {
        let part = Arc::clone(&self.present.peek().sections[self.number].value);
        part.downcast().unwrap_or_else(|_| unreachable!("a section keeps its type"))
    }
}

impl<T, S> Clone for Section<T, S> {
    fn clone(&self) -> Self {
        Self {
            present: Arc::clone(&self.present),
            number: self.number,
            place: self.place.clone(),
            marker: PhantomData,
        }
    }
}

impl<T, S> fmt::Debug for Section<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Section").field(&self.place).finish()
    }
}

/// All sections, read out of the whole; their documents become part of `document`.
pub(crate) fn resolve_all(
    kinds: &[Arc<dyn Kind>],
    whole: &Tree,
    document: &mut Value,
    unknown: &mut Vec<(Path, Origin)>,
) -> Result<Vec<Part>, Faults> {
    let (mut parts, mut faults) = (Vec::new(), Faults::default());
    for kind in kinds {
        // What the whole's type does not know here is the section's.
        unknown.retain(|(path, _)| !kind.place().contains(path));
        match kind.resolve(whole) {
            Ok(read) => {
                unknown.extend(read.unknown);
                match place(document, kind.place(), read.document) {
                    Ok(()) => parts.push(Part { kind: Arc::clone(kind), value: read.value }),
                    Err(fault) => faults.add(fault),
                }
            }
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() { Ok(parts) } else { Err(faults) }
}

/// Puts a section's document at its place; the tables above it are made where they are missing.
///
/// # Errors
///
/// When something else than a table stands above it.
fn place(document: &mut Value, path: &Path, section: Value) -> Result<(), Fault> {
    let (mut place, mut above) = (document, Path::TOP);
    for segment in path.segments() {
        if place.is_null() {
            *place = Value::Object(serde_json::Map::new());
        }
        let Value::Object(table) = place else {
            let message = format!("expected a table to hold the section {segment:?}, found a value");
            return Err(Fault::new(above, message));
        };
        place = table.entry(segment).or_insert(Value::Null);
        above.push(segment);
    }
    cover(place, section);
    Ok(())
}

/// Lays a section's document over what the whole's type knows there, which stays.
fn cover(place: &mut Value, section: Value) {
    match (place, section) {
        (Value::Object(table), Value::Object(section)) => {
            for (key, value) in section {
                cover(table.entry(key).or_insert(Value::Null), value);
            }
        }
        (place, section) => *place = section,
    }
}
