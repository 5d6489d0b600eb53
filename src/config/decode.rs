//! How a tree becomes the program's own type.
//!
//! What is asked for decides how loose text (of a variable, of a command line) is read:
//!
//! | asked for | loose text |
//! |---|---|
//! | bool | `true` or `false`, nothing else: `1`, `on` and `yes` mean different things to different people |
//! | integer, float | as JSON writes them, in range, finite; `3.0` is no integer, `007` no number |
//! | text, bytes | as it is |
//! | character | one |
//! | enum | the name of a variant, or a JSON object for one that holds something |
//! | `Option` | empty is `None` |
//! | unit | empty |
//! | list, tuple, array | a JSON array if it begins with `[`; else split at commas, the parts trimmed; empty is the empty list |
//! | table, struct, map | a JSON object |
//!
//! White space around it counts, but for the parts of a list. Where the type does not say what it
//! asks for (`untagged`, `flatten`, internally tagged enums, `serde_json::Value`), what stands below the text
//! decides; where nothing does, it is text, and only if that does not decode, a plain number or bool.
//!
//! Inside of such types skipped keys are not found, and a fault has the path of the whole of them unless
//! only one value in it is like the faulty one: serde has copied the value by then.

mod access;
mod error;
mod loose;
mod reader;
mod stand_in;
pub(crate) mod words;

use std::marker::PhantomData;

use serde::de::{DeserializeOwned, DeserializeSeed};

use self::error::Error;
use self::reader::Reader;
use self::stand_in::StandIn;
use super::fault::Fault;
use super::path::{MAX_DEPTH, Path};
use super::tree::{Origin, Tree};

/// A value, and the keys that its type has skipped.
#[derive(Debug)]
pub(crate) struct Decoded<T> {
    pub(crate) value: T,
    pub(crate) unknown: Vec<(Path, Origin)>,
}

/// Decodes a tree.
///
/// # Errors
///
/// The first fault, with the path below this tree.
pub(crate) fn decode<T: DeserializeOwned>(tree: &Tree) -> Result<Decoded<T>, Fault> {
    decode_around(tree, &[])
}

/// Decodes a tree in which something harmless stands in for what is at these paths, so that faults
/// elsewhere are found. The value is of no use then.
pub(crate) fn decode_around<T: DeserializeOwned>(
    tree: &Tree,
    stand_ins: &[Path],
) -> Result<Decoded<T>, Fault> {
    let mut guessed: Vec<Fault> = Vec::new();
    loop {
        let mut trail = Trail::new(stand_ins, &guessed);
        let fault = match trail.read(tree, false, PhantomData::<T>) {
            Ok(value) => return Ok(Decoded { value, unknown: trail.unknown }),
            Err(error) => error.into_fault(&Path::TOP, tree),
        };
        if let Some(first) = guessed.iter().find(|guessed| guessed.path == fault.path) {
            return Err(first.clone()); // it is not that what was text should have been a number
        }
        if !trail.texts.iter().any(|text| fault.path.contains(text)) {
            return Err(fault);
        }
        guessed.push(fault); // there is one text less to guess at in each turn
    }
}

/// Where the readers are, and what they have seen on the way.
#[derive(Debug)]
struct Trail {
    path: Path,
    unknown: Vec<(Path, Origin)>,
    /// Where a [`StandIn`] is read instead of what is there.
    stand_ins: Vec<Path>,
    /// Below these, text that nothing settles is a number or a bool if it can be.
    guesses: Vec<Path>,
    /// The texts that nothing settled and that were not guessed at.
    texts: Vec<Path>,
}

impl Trail {
    fn new(stand_ins: &[Path], guessed: &[Fault]) -> Self {
        let guesses = guessed.iter().map(|fault| fault.path.clone()).collect();
        let (stand_ins, unknown, texts) = (stand_ins.to_vec(), Vec::new(), Vec::new());
        Self { path: Path::TOP, unknown, stand_ins, guesses, texts }
    }

    /// Reads `tree`, which stands where the trail is.
    fn read<'de, S: DeserializeSeed<'de>>(
        &mut self,
        tree: &Tree,
        is_unknown: bool,
        seed: S,
    ) -> Result<S::Value, Error> {
        let result = if self.stand_ins.contains(&self.path) {
            seed.deserialize(StandIn::default())
        } else {
            seed.deserialize(Reader { tree, is_unknown, trail: self })
        };
        result.map_err(|error| error.at(&self.path, tree))
    }

    /// Reads `tree`, which is one step further down.
    fn read_below<'de, S: DeserializeSeed<'de>>(
        &mut self,
        segment: &str,
        tree: &Tree,
        is_unknown: bool,
        seed: S,
    ) -> Result<S::Value, Error> {
        if self.path.depth() >= MAX_DEPTH {
            return Err(Error::Mismatch(format!("expected at most {MAX_DEPTH} levels, found more")));
        }
        self.path.push(segment);
        let result = self.read(tree, is_unknown, seed);
        self.path.pop();
        result
    }

    /// Reads a key of the table where the trail is, as the type of the key.
    fn read_key<'de, S: DeserializeSeed<'de>>(
        &mut self,
        name: &str,
        key: &Tree,
        seed: S,
    ) -> Result<S::Value, Error> {
        self.path.push(name);
        let result = seed.deserialize(Reader { tree: key, is_unknown: false, trail: self });
        let result = result.map_err(|error| error.of_this_key().at(&self.path, key));
        self.path.pop();
        result
    }

    /// Whether a text here that nothing settles may be guessed at. Remembered if not.
    fn may_guess(&mut self) -> bool {
        let may = self.guesses.iter().any(|guess| guess.contains(&self.path));
        if !may {
            self.texts.push(self.path.clone());
        }
        may
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests;
