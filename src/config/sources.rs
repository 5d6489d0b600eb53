//! Where the layers are read from, and how they read last.

use std::ffi::OsString;
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use super::edits::Edits;
use super::environment::variables;
use super::errors::UpdateError;
use super::fault::{Fault, Faults};
use super::file::{Format, ReadError, parse, read};
use super::keep;
use super::limits::MAX_FILE_BYTES;
use super::merge::overlay;
use super::overrides::{OverrideValue, overrides};
use super::path::Path;
use super::tree::Tree;
use crate::sync::{AtomicBool, Mutex, Ordering};

/// A file of settings.
#[derive(Debug)]
pub(crate) struct FileLayer {
    file: Arc<FilePath>,
    is_required: bool,
}

/// The variables of the environment, as they were when the layers were described.
pub(crate) struct Environment {
    pub(crate) prefix: String,
    pub(crate) variables: Vec<(OsString, OsString)>,
}

/// Where the layers are read from.
pub(crate) struct Sources {
    defaults: Arc<Tree>,
    /// The keys that the type is known to have.
    shape: Option<Tree>,
    files: Vec<FileLayer>,
    environment: Option<Environment>,
    overrides: Vec<(Arc<str>, Path, OverrideValue)>,
    kept: Option<Arc<FilePath>>,
    /// What each file held when it was read last; nothing if one could not be read.
    last: Mutex<Contents>,
    /// Whether the updates of earlier runs are not in force: then their file is left alone.
    owes_kept: AtomicBool,
}

/// What the layers come to, and all that is wrong with them.
pub(crate) struct Reading {
    pub(crate) tree: Tree,
    pub(crate) faults: Faults,
    /// Whether no layer is missing in it.
    pub(crate) is_whole: bool,
    /// What was read; nothing, if some could not be.
    pub(crate) contents: Contents,
}

/// What each file held; `None` where it was missing and may be.
pub(crate) type Contents = Vec<Option<Arc<[u8]>>>;

impl FileLayer {
    pub(crate) fn new(file: PathBuf, is_required: bool) -> Self {
        Self { file: file.into(), is_required }
    }

    fn read(&self) -> Result<Option<Arc<[u8]>>, Fault> {
        match read(&self.file) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(ReadError::NotFound { .. }) if !self.is_required => Ok(None),
            Err(error) => Err(Fault::new(Path::TOP, error.to_string())),
        }
    }

    fn parse(&self, bytes: &[u8]) -> Result<Tree, Fault> {
        parse(&self.file, Format::of(&self.file)?, bytes)
    }
}

impl Sources {
    pub(crate) fn new(
        (defaults, shape): (Arc<Tree>, Option<Tree>),
        files: Vec<FileLayer>,
        environment: Option<Environment>,
        overrides: Vec<(Arc<str>, Path, OverrideValue)>,
        kept: Option<Arc<FilePath>>,
    ) -> Self {
        let (last, owes_kept) = (Mutex::new(Vec::new()), AtomicBool::new(kept.is_some()));
        Self { defaults, shape, files, environment, overrides, kept, last, owes_kept }
    }

    /// The files, to watch them.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Arc<FilePath>> {
        self.files.iter().map(|layer| &layer.file)
    }

    /// What the layers come to.
    pub(crate) fn read(&self) -> Reading {
        let (contents, faults) = self.contents();
        let mut reading = self.layered(contents, faults);
        self.dealt_with(std::mem::take(&mut reading.contents));
        reading
    }

    /// As [`read`](Self::read). `None` if the files hold what they held when they were last
    /// [dealt with](Self::dealt_with), unless it is to be done in any case.
    pub(crate) fn read_again(&self, in_any_case: bool) -> Option<Reading> {
        let (contents, faults) = self.contents();
        let is_new = !faults.is_empty() || *self.last.lock() != contents;
        (is_new || in_any_case).then(|| self.layered(contents, faults))
    }

    /// It is known what comes of a reading. Not before: after a crash over it the files are read again.
    pub(crate) fn dealt_with(&self, contents: Contents) {
        let old = std::mem::replace(&mut *self.last.lock(), contents);
        drop(old); // after the lock
    }

    /// What the files hold, and what is wrong with those that cannot be read.
    fn contents(&self) -> (Contents, Faults) {
        let mut faults = Faults::default();
        let read = |layer: &FileLayer| layer.read().map_err(|fault| faults.add(fault)).ok().flatten();
        (self.files.iter().map(read).collect(), faults)
    }

    /// Each layer over those below. What is wrong with one does not hide what is with another.
    fn layered(&self, contents: Contents, mut faults: Faults) -> Reading {
        // One that could not be read may come back as it was: that is to be noticed.
        let is_read = faults.is_empty();
        let mut tree = Tree::clone(&self.defaults);
        for (layer, bytes) in self.files.iter().zip(&contents) {
            match bytes.as_ref().map(|bytes| layer.parse(bytes)) {
                Some(Ok(file)) => tree = overlay(tree, file),
                Some(Err(fault)) => faults.add(fault),
                None => {}
            }
        }
        let is_whole = faults.is_empty();
        if let Some(Environment { prefix, variables: all }) = &self.environment {
            let (layer, more) = variables(prefix, all.iter().cloned(), &self.known(&tree));
            tree = overlay(tree, layer);
            faults.extend(more);
        }
        let (layer, more) = overrides(&self.overrides, &tree);
        tree = overlay(tree, layer);
        faults.extend(more);
        let contents = if is_read { contents } else { Vec::new() };
        Reading { tree, faults, is_whole, contents }
    }

    /// A tree with all keys that are known beside its own.
    fn known(&self, tree: &Tree) -> Tree {
        match &self.shape {
            Some(shape) => overlay(shape.clone(), tree.clone()),
            None => tree.clone(),
        }
    }

    // ---- kept updates --------------------------------------------------------------------

    /// The updates of earlier runs.
    ///
    /// # Errors
    ///
    /// All that is wrong with their file.
    pub(crate) fn kept(&self) -> Result<Edits, Faults> {
        let Some(file) = &self.kept else { return Ok(Edits::default()) };
        match read(file) {
            Ok(bytes) => keep::parse(file, &bytes),
            Err(ReadError::NotFound { .. }) => Ok(Edits::default()),
            Err(error) => Err(Fault::new(Path::TOP, error.to_string()).into()),
        }
    }

    /// Whether the updates of earlier runs are not in force.
    pub(crate) fn owes_kept(&self) -> bool {
        self.owes_kept.load(Ordering::Acquire)
    }

    /// Those of earlier runs are in force, or are not.
    pub(crate) fn set_owes_kept(&self, owes: bool) {
        self.owes_kept.store(owes && self.kept.is_some(), Ordering::Release);
    }

    /// Keeps the updates for later runs, if they are to be and are others than before.
    ///
    /// # Errors
    ///
    /// When the file cannot be replaced, could not be read again, or holds updates that are not in force.
    pub(crate) fn keep(&self, edits: &Arc<Edits>, before: &Arc<Edits>) -> Result<(), UpdateError> {
        let Some(file) = &self.kept else { return Ok(()) };
        if Arc::ptr_eq(edits, before) {
            return Ok(());
        }
        self.replace(file, &keep::written(edits)).map_err(|error| {
            let source = io::Error::new(error.kind(), format!("{}: {error}", file.display()));
            UpdateError::NotKept { source: Arc::new(source) }
        })
    }

    fn replace(&self, file: &FilePath, text: &str) -> io::Result<()> {
        if self.owes_kept() {
            return Err(io::Error::other(
                "it holds updates that are not in force: put right what is wrong first",
            ));
        }
        let bytes = text.len();
        if bytes > MAX_FILE_BYTES {
            let message = format!("too large, a file has at most {MAX_FILE_BYTES} bytes, not {bytes}");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        keep::replace(file, text)
    }
}
