//! A file of settings, read into a tree that knows the line of every value.
//!
//! [`read`] is the one function that touches the disk; [`parse`] takes bytes.

mod from_json;
mod from_toml;
mod place;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use super::fault::Fault;
use super::limits::MAX_FILE_BYTES;
use super::path::Path;
use super::tree::{Origin, Tree};

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Toml,
    Json,
}

impl Format {
    /// The format that the extension of a file's name tells, in whatever case.
    ///
    /// # Errors
    ///
    /// When it is neither `.toml` nor `.json`.
    pub(crate) fn of(file: &FilePath) -> Result<Self, Fault> {
        let extension = file.extension().unwrap_or_default();
        if extension.eq_ignore_ascii_case("toml") {
            return Ok(Self::Toml);
        }
        if extension.eq_ignore_ascii_case("json") {
            return Ok(Self::Json);
        }
        let name = file.display();
        Err(Fault::new(Path::TOP, format!("expected a file that ends in .toml or .json, found {name}")))
    }
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ReadError {
    /// There is none of this name, or it is a link to nothing.
    #[error("{}: there is no such file", file.display())]
    NotFound { file: PathBuf },
    /// It is a directory, a pipe or a device.
    #[error("{}: not a regular file", file.display())]
    NotRegular { file: PathBuf },
    /// It has more than [`MAX_FILE_BYTES`].
    #[error("{}: too large, a file has at most {MAX_FILE_BYTES} bytes", file.display())]
    TooLarge { file: PathBuf },
    /// The system says no.
    #[error("{}: cannot be read: {source}", file.display())]
    NotReadable { file: PathBuf, source: io::Error },
}

impl ReadError {
    fn of(file: &FilePath, source: io::Error) -> Self {
        let file = file.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { file },
            _ => Self::NotReadable { file, source },
        }
    }
}

/// The bytes of a regular file; links are followed.
///
/// # Errors
///
/// When there is none, it is too large, or it cannot be read. Never more than one byte beyond
/// [`MAX_FILE_BYTES`] is read, whatever size the system states.
///
/// # Blocking
///
/// On the disk. A pipe or a device is not opened: that could wait for ever.
pub(crate) fn read(file: &FilePath) -> Result<Vec<u8>, ReadError> {
    let fail = |source| ReadError::of(file, source);
    if !fs::metadata(file).map_err(fail)?.is_file() {
        return Err(ReadError::NotRegular { file: file.to_owned() });
    }
    let opened = File::open(file).map_err(fail)?;
    // What is of this name now may be another one than it was above.
    if !opened.metadata().map_err(fail)?.is_file() {
        return Err(ReadError::NotRegular { file: file.to_owned() });
    }
    bytes(file, opened, MAX_FILE_BYTES)
}

/// All that `source` holds, if it is at most `most` bytes.
fn bytes(file: &FilePath, source: impl Read, most: usize) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    let read = source.take(most as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|source| ReadError::of(file, source))?;
    if bytes.len() > most { Err(ReadError::TooLarge { file: file.to_owned() }) } else { Ok(bytes) }
}

/// What the bytes of a file say. `file` is its name in messages.
///
/// A byte order mark at its beginning is passed over. Dates and times of TOML become text. Of
/// numbers, those are refused that are no number (`nan`, `inf`) or that 64 bits do not hold; a large integer
/// of JSON is a float.
///
/// # Errors
///
/// When it is too large, not UTF-8, not of its format, has a key twice or no table at its top, or when a
/// value in it is beyond the [limits](super::limits): the first of what is wrong, with its line.
pub(crate) fn parse(file: &Arc<FilePath>, format: Format, bytes: &[u8]) -> Result<Tree, Fault> {
    if bytes.len() > MAX_FILE_BYTES {
        let message = format!("too large, a file has at most {MAX_FILE_BYTES} bytes");
        return Err(Fault::new(Path::TOP, message).from(line(file, 1)));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(file, bytes, error.valid_up_to()))?;
    let place = place::Place::new(file, text);
    match format {
        Format::Toml => from_toml::tree(place),
        Format::Json => from_json::tree(place),
    }
}

fn not_utf8(file: &Arc<FilePath>, bytes: &[u8], valid: usize) -> Fault {
    let before = bytes.iter().take(valid).filter(|byte| **byte == b'\n').count();
    Fault::new(Path::TOP, "not UTF-8").from(line(file, before + 1))
}

fn line(file: &Arc<FilePath>, line: usize) -> Origin {
    Origin::File { file: file.clone(), line: u32::try_from(line).unwrap_or(u32::MAX) }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests;
