//! Updates that outlive the process, in a file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::decode::words::found_value;
use super::edits::{Edit, Edits};
use super::fault::{Fault, Faults};
use super::path::Path;
use super::tree::Origin;

/// What the file says it is.
const FORMAT: u64 = 1;
/// How many links are followed to the file.
const MOST_LINKS: usize = 40;

/// The text of the file: the updates in the order of their paths.
pub(crate) fn written(edits: &Edits) -> String {
    let update = |(path, edit): (&Path, &Edit)| match &edit.value {
        Some(value) => json!({ "path": path.to_string(), "value": value }),
        None => json!({ "path": path.to_string(), "removed": true }),
    };
    let updates: Vec<_> = edits.iter().map(update).collect();
    let mut text = format!("{:#}", json!({ "format": FORMAT, "updates": updates }));
    text.push('\n');
    text
}

/// The updates that a file holds.
///
/// # Errors
///
/// All that is wrong with it.
pub(crate) fn parse(file: &Arc<FilePath>, bytes: &[u8]) -> Result<Edits, Faults> {
    let wrong =
        |message: String| Faults::from(Fault::new(Path::TOP, format!("{}: {message}", file.display())));
    let whole: Value = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
    let format = &whole["format"];
    if *format != FORMAT {
        let found = found_value(format);
        return Err(wrong(format!("expected updates in format {FORMAT}, found {found}")));
    }
    let updates = whole["updates"].as_array().ok_or_else(|| wrong("expected a list `updates`".into()))?;
    let (mut edits, mut faults) = (Edits::default(), Faults::default());
    for (number, update) in updates.iter().enumerate() {
        match read(update, file) {
            Ok((path, edit)) => edits.put(path, edit),
            Err(message) => faults.extend(wrong(format!("update {number}: {message}"))),
        }
    }
    if faults.is_empty() { Ok(edits) } else { Err(faults) }
}

fn read(update: &Value, file: &Arc<FilePath>) -> Result<(Path, Edit), String> {
    let empty = Map::new();
    let update = update.as_object().unwrap_or(&empty);
    let path = update.get("path").and_then(Value::as_str).ok_or("expected a `path`")?;
    let path = Path::parse(path).map_err(|error| error.to_string())?;
    let is_removed = update.get("removed") == Some(&Value::Bool(true));
    let value = update.get("value").cloned();
    if value.is_some() == is_removed {
        return Err(format!("{path}: expected a `value`, or `removed`: true"));
    }
    Ok((path, Edit { value, origin: Origin::Kept { file: Arc::clone(file) } }))
}

/// Replaces the file as a whole: whoever reads it, after whatever crash, finds the old or the new text.
///
/// Written beside it, synchronised, renamed over it, and the directory synchronised. A link stays one:
/// what it leads to is replaced. Who may read the old one may read the new one; who may read the
/// first is its owner alone.
///
/// # Errors
///
/// As the system says. The old text is in place then, save where the last step failed.
pub(crate) fn replace(file: &FilePath, text: &str) -> io::Result<()> {
    let file = &behind_links(file)?;
    let beside = beside(file);
    remove(&beside)?; // what a crash has left
    let result =
        create(&beside, file).and_then(|open| fill(open, text)).and_then(|()| fs::rename(&beside, file));
    if result.is_err() {
        drop(remove(&beside));
    }
    result?;
    sync_directory(file)
}

fn remove(file: &FilePath) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A new file, for those who may read the old one.
fn create(file: &FilePath, old: &FilePath) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true); // never through a link that somebody put there
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let open = options.open(file)?;
    if let Ok(old) = fs::metadata(old) {
        open.set_permissions(old.permissions())?;
    }
    Ok(open)
}

fn fill(mut open: File, text: &str) -> io::Result<()> {
    open.write_all(text.as_bytes())?;
    open.sync_all()
}

/// The file itself, which need not be there, where `file` is a link to it.
fn behind_links(file: &FilePath) -> io::Result<PathBuf> {
    let mut file = file.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&file) {
            Ok(target) => file = file.with_file_name("").join(target),
            Err(_) => return Ok(file),
        }
    }
    Err(io::Error::other("too many links"))
}

/// In the same directory, so that a rename is one step.
fn beside(file: &FilePath) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    file.with_file_name(name)
}

/// Makes the rename itself durable.
#[cfg(unix)]
fn sync_directory(file: &FilePath) -> io::Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(FilePath::new(".")))?.sync_all()
}

/// Directories cannot be synchronised here.
#[cfg(not(unix))]
fn sync_directory(_: &FilePath) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::config::diff::tests::tables;
    use proptest::prelude::*;

    fn file() -> Arc<FilePath> {
        FilePath::new("kept.json").into()
    }

    fn faults(text: &str) -> String {
        parse(&file(), text.as_bytes()).expect_err("it is refused").to_string()
    }

    #[test]
    fn what_is_no_such_file_is_refused_with_all_that_is_wrong() {
        assert!(faults("{").starts_with("kept.json: EOF while parsing"));
        assert_eq!(faults("{}"), "kept.json: expected updates in format 1, found null");
        assert_eq!(faults(r#"{"format": 1}"#), "kept.json: expected a list `updates`");
        let text =
            r#"{"format": 1, "updates": [{"value": 1}, {"path": "a..b", "value": 1}, {"path": "a"}, 7]}"#;
        let lines = faults(text);
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0], "kept.json: update 0: expected a `path`");
        assert_eq!(lines[2], "kept.json: update 2: a: expected a `value`, or `removed`: true");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error() {
        let full = File::options().write(true).open("/dev/full").expect("it is there");
        let error = fill(full, "text").expect_err("there is no space");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            updates in prop::collection::btree_map("[a-c]{1,2}", prop::option::of(tables()), 0..5),
        ) {
            let mut edits = Edits::default();
            for (path, value) in updates {
                let path = Path::parse(&path).expect("a path");
                edits.put(path, Edit { value, origin: Origin::Kept { file: file() } });
            }
            prop_assert_eq!(parse(&file(), written(&edits).as_bytes()), Ok(edits));
        }

        #[test]
        fn garbage_is_refused_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(&file(), &bytes));
        }
    }
}
