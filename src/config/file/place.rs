//! Where in a file a reader is.

use std::path::Path as FilePath;
use std::sync::Arc;

use super::super::fault::Fault;
use super::super::limits;
use super::super::path::Path;
use super::super::tree::{Node, Origin, Tree};

/// Where a reader of a file is: the path of the value that it reads. It knows the line of each byte.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) text: &'a str,
    file: Arc<FilePath>,
    /// Where the lines after the first begin.
    lines: Vec<usize>,
    path: Path,
}

impl<'a> Place<'a> {
    pub(super) fn new(file: &Arc<FilePath>, text: &'a str) -> Self {
        let lines = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        Self { text, file: file.clone(), lines, path: Path::TOP }
    }

    // ---- lines ---------------------------------------------------------------------------

    /// The line that byte `at` is in, from 0.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    pub(super) fn origin(&self, at: usize) -> Origin {
        super::line(&self.file, self.line(at) + 1)
    }

    /// The column of byte `at`, in characters from 1.
    fn column(&self, at: usize) -> usize {
        let start = self.line(at).checked_sub(1).map_or(0, |line| self.lines[line]);
        self.text.get(start..at).map_or(1, |before| before.chars().count() + 1)
    }

    /// Where in a text the character at a line and a column is; both from 1, the column in bytes.
    pub(super) fn byte(text: &str, line: usize, column: usize) -> usize {
        let line_end = line.checked_sub(2).and_then(|before| text.match_indices('\n').nth(before));
        let start = line_end.map_or(0, |(at, _)| at + 1);
        (start + column.saturating_sub(1)).min(text.len())
    }

    // ---- what stands here ----------------------------------------------------------------

    pub(super) fn tree(&self, node: Node, at: usize) -> Tree {
        Tree { node, origin: self.origin(at) }
    }

    /// The text at byte `at`.
    pub(super) fn string(&self, text: String, at: usize) -> Result<Tree, Fault> {
        limits::text(&self.path, &text).map_err(|fault| fault.from(self.origin(at)))?;
        Ok(self.tree(Node::Text(text), at))
    }

    /// Reads what is at `segment`, which begins at byte `at`.
    pub(super) fn inside(
        &mut self,
        segment: &str,
        at: usize,
        read: impl FnOnce(&mut Self) -> Result<Tree, Fault>,
    ) -> Result<Tree, Fault> {
        self.path.push(segment);
        limits::depth(&self.path).map_err(|fault| fault.from(self.origin(at)))?;
        let tree = read(self)?;
        self.path.pop();
        Ok(tree)
    }

    // ---- what is wrong -------------------------------------------------------------------

    /// A fault of the value here.
    pub(super) fn fault(&self, at: usize, message: impl Into<String>) -> Fault {
        Fault::new(self.path.clone(), message).from(self.origin(at))
    }

    /// What a parser says of byte `at`, in one line.
    pub(super) fn syntax(&self, at: usize, format: &str, message: &str) -> Fault {
        let at = at.min(self.text.len());
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        self.fault(at, format!("not valid {format} at column {}: {message}", self.column(at)))
    }
}
