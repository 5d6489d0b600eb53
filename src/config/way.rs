//! The way to a file: what must not be replaced unseen.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

/// How many links are followed on the way to a file: as many as systems do.
const MOST_LINKS: usize = 40;

/// One step of the way to a file: a name in a directory, which is one without links.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) directory: PathBuf,
    name: OsString,
    /// Whether it leads to a link or to the file: a directory can stay the same for ever.
    pub(crate) is_needed: bool,
}

impl Step {
    pub(crate) fn place(&self) -> PathBuf {
        self.directory.join(&self.name)
    }
}

/// All steps to the files.
pub(crate) fn ways(files: &[Arc<FilePath>]) -> Vec<Step> {
    files.iter().flat_map(|file| way(file)).collect()
}

/// The steps from the top to a file, and through each link to where it leads. What is missing is
/// taken to be a directory, or the file.
fn way(file: &FilePath) -> Vec<Step> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let mut ahead = parts(&file);
    let (mut place, mut steps, mut links) = (PathBuf::new(), Vec::new(), 0);
    while let Some(part) = ahead.pop_front() {
        if part == ".." {
            place.pop();
            continue;
        }
        let next = place.join(&part);
        if next.parent().is_none() {
            place = next; // the root
            continue;
        }
        let target = std::fs::read_link(&next).ok().filter(|_| links < MOST_LINKS);
        let is_needed = target.is_some() || ahead.is_empty();
        steps.push(Step { directory: place.clone(), name: part, is_needed });
        match target {
            Some(target) => {
                links += 1;
                parts(&target).into_iter().rev().for_each(|part| ahead.push_front(part));
            }
            None => place = next,
        }
    }
    steps
}

fn parts(path: &FilePath) -> VecDeque<OsString> {
    path.components().map(|part| part.as_os_str().to_owned()).filter(|part| part != ".").collect()
}

#[cfg(all(test, unix, not(underpin_loom)))]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_way_to_a_file_leads_through_all_links() {
        let top = std::env::temp_dir().join(format!("underpin-way-{}", std::process::id()));
        let top = fs::create_dir_all(&top).and_then(|()| fs::canonicalize(&top)).expect("a directory");
        fs::create_dir_all(top.join("releases/1")).expect("made");
        symlink("releases/1", top.join("current")).expect("a link");
        symlink("../../shared.toml", top.join("releases/1/app.toml")).expect("a link");
        let steps = way(&top.join("current/./app.toml"));
        let below: Vec<_> = steps
            .iter()
            .filter_map(|step| Some((step.place().strip_prefix(&top).ok()?.to_owned(), step.is_needed)))
            .filter(|(place, _)| !place.as_os_str().is_empty())
            .collect();
        let expected = [
            ("current", true),
            ("releases", false),
            ("releases/1", false),
            ("releases/1/app.toml", true),
            ("shared.toml", true),
        ];
        assert_eq!(below, expected.map(|(place, is_needed)| (PathBuf::from(place), is_needed)));
        symlink("loop.toml", top.join("loop.toml")).expect("a link");
        assert!(way(&top.join("loop.toml")).len() < 100, "it ends");
        fs::remove_dir_all(&top).expect("removed");
    }
}
