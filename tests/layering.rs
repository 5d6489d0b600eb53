//! The walls of the house: who may import whom, and what may be named where. Reads `src/`.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors, from the ground up. A module imports from floors below its own, and never from
/// another module of its own floor. The guide is on the ground, so that it imports nothing.
const FLOORS: [&[&str]; 9] = [
    &["sync", "error", "guide", "gcra"],
    &["registry"],
    &["service"],
    &["supervisor"],
    &["testing"],
    &["config", "events", "telemetry", "tasks", "resilience"],
    &["health"],
    &["cluster", "admin"],
    &["foundation"],
];

/// Only the door names these.
const BEHIND_THE_DOOR: [&str; 12] = [
    "crossbeam_channel",
    "parking_lot",
    "arc_swap",
    "quanta",
    "rustix",
    "std::thread",
    "std::process::abort",
    "Instant::now",
    "std::sync::atomic",
    "std::sync::Mutex",
    "std::sync::mpsc",
    "std::sync::Condvar",
];

/// What signal handlers look at is the real thing, also in a model.
const EXEMPT: [(&str, &str); 1] = [("foundation/signals.rs", "std::sync::atomic")];

/// What is nowhere, in tests neither.
const NOWHERE: [&str; 4] = ["unsafe", "todo!", "unimplemented!", "#[ignore"];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

// ---- reading -----------------------------------------------------------------------------

/// A source file without its comments, and without the insides of its literals.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    text: String,
    /// The same without modules that are compiled for tests only.
    without_tests: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    let mut sources: Vec<_> = paths.iter().map(|path| read(&root, path)).collect();
    let tests: Vec<_> = sources.iter().flat_map(test_files).collect();
    for source in &mut sources {
        if tests.iter().any(|test| is_at(&source.path, test)) {
            source.without_tests.clear();
        }
    }
    sources
}

fn collect(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("src can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn read(root: &Path, path: &Path) -> Source {
    let text = stripped(&fs::read_to_string(path).expect("a file can be read"));
    let path = path.strip_prefix(root).expect("it is inside").to_owned();
    Source { path, without_tests: without_tests(&text), text }
}

/// Blanks comments and the insides of literals; lines stay where they are.
fn stripped(code: &str) -> String {
    let bytes: Vec<char> = code.chars().collect();
    let (mut out, mut at) = (String::with_capacity(code.len()), 0);
    let starts = |at: usize, what: &str| what.chars().enumerate().all(|(n, c)| bytes.get(at + n) == Some(&c));
    while at < bytes.len() {
        let end = if starts(at, "//") {
            (at..bytes.len()).find(|&n| bytes[n] == '\n').unwrap_or(bytes.len())
        } else if starts(at, "/*") {
            (at + 2..bytes.len()).find(|&n| starts(n, "*/")).map_or(bytes.len(), |n| n + 2)
        } else if bytes[at] == '"' {
            string_end(&bytes, at + 1)
        } else if bytes[at] == 'r' && !out.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            raw_string_end(&bytes, at).unwrap_or(at)
        } else if bytes[at] == '\'' && (bytes.get(at + 1) == Some(&'\\') || bytes.get(at + 2) == Some(&'\''))
        {
            (at + 3..bytes.len().min(at + 14))
                .find(|&n| bytes[n - 1] == '\'' && n - 1 > at + 1)
                .unwrap_or(at + 1)
        } else {
            at
        };
        if end == at {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        out.extend(bytes[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

fn string_end(bytes: &[char], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn raw_string_end(bytes: &[char], at: usize) -> Option<usize> {
    let hashes = bytes[at + 1..].iter().take_while(|&&c| c == '#').count();
    let open = at + 1 + hashes;
    if bytes.get(open) != Some(&'"') {
        return None;
    }
    let closes = |n: usize| {
        bytes[n] == '"' && bytes[n + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes
    };
    (open + 1..bytes.len()).find(|&n| closes(n)).map(|n| n + 1 + hashes)
}

/// Where `#[cfg(.. test ..)]` attributes end.
fn test_attributes(text: &str) -> Vec<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices("#[cfg(")
        .filter_map(|(at, _)| {
            let end = at + text[at..].find(']')?;
            let inside = &text[at + 6..end];
            let is_test =
                inside.split(|c| !is_word(c)).any(|word| word == "test") && !inside.contains("not(test");
            is_test.then_some(end + 1)
        })
        .collect()
}

/// Drops what follows an attribute for tests: an item with its block.
fn without_tests(text: &str) -> String {
    let (mut out, mut from) = (String::new(), 0);
    for at in test_attributes(text) {
        if at < from {
            continue;
        }
        out.push_str(&text[from..at]);
        from = at + item_end(&text[at..]);
    }
    out.push_str(&text[from..]);
    out
}

fn item_end(text: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            ';' | ',' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The files that a `mod name;` for tests stands for: `dir/name.rs` and all of `dir/name/`.
fn test_files(source: &Source) -> Vec<PathBuf> {
    let stem = source.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let parent = source.path.parent().unwrap_or(Path::new(""));
    let dir = if matches!(stem, "mod" | "lib") { parent.to_owned() } else { parent.join(stem) };
    test_attributes(&source.text)
        .into_iter()
        .filter_map(|at| {
            let item = source.text[at..at + item_end(&source.text[at..])].trim();
            let name = item.split("mod ").nth(1)?.strip_suffix(';')?;
            Some(dir.join(name.trim()))
        })
        .collect()
}

fn is_at(path: &Path, module: &Path) -> bool {
    path == module.with_extension("rs") || path.starts_with(module)
}

// ---- imports -----------------------------------------------------------------------------

fn own_module(path: &Path) -> String {
    let first = path.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
    first.unwrap_or_default().trim_end_matches(".rs").to_owned()
}

/// Where the names that the crate root exports come from.
fn root_names(sources: &[Source]) -> HashMap<String, String> {
    let root = sources.iter().find(|source| source.path == Path::new("lib.rs")).expect("there is a root");
    let mut names = HashMap::new();
    for (at, _) in root.text.match_indices("pub use ") {
        let item = &root.text[at + 8..at + root.text[at..].find(';').expect("it ends")];
        let module = item.split("::").next().unwrap_or_default().trim().to_owned();
        let list = item.rsplit_once("::").map_or(item, |(_, list)| list);
        for name in list.split([',', '{', '}']).map(str::trim).filter(|name| !name.is_empty()) {
            let name = name.rsplit(' ').next().unwrap_or(name);
            names.insert(name.to_owned(), module.clone());
        }
    }
    names
}

/// The first segments of all paths that begin with `crate::`, with those of `crate::{..}`.
fn from_the_root(text: &str) -> Vec<(usize, String)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        if text[..at].ends_with(is_word) {
            continue;
        }
        let (rest, line) = (&text[at + 7..], text[..at].matches('\n').count() + 1);
        if !rest.starts_with('{') {
            found.push((line, rest.chars().take_while(|&c| is_word(c)).collect()));
            continue;
        }
        let group = &rest[1..item_end(rest) - 1];
        let mut depth = 0_usize;
        let parts = group.split(|c| {
            depth = if c == '{' {
                depth + 1
            } else if c == '}' {
                depth - 1
            } else {
                depth
            };
            c == ',' && depth == 0
        });
        let firsts = parts.map(|part| part.trim().chars().take_while(|&c| is_word(c)).collect::<String>());
        found.extend(firsts.filter(|name| !name.is_empty()).map(|name| (line, name)));
    }
    found
}

/// What is wrong with the imports of one file.
fn wrong_imports(source: &Source, names: &HashMap<String, String>) -> Vec<String> {
    let own = own_module(&source.path);
    if own == "lib" {
        return Vec::new();
    }
    let Some(own_floor) = floor(&own) else {
        return vec![format!("{}: the module `{own}` has no floor", source.path.display())];
    };
    let mut wrong = Vec::new();
    for (line, first) in from_the_root(&source.without_tests) {
        let module = names.get(&first).unwrap_or(&first);
        let is_hidden_macro = first.starts_with("__");
        let may = is_hidden_macro || *module == own || floor(module).is_some_and(|below| below < own_floor);
        if !may {
            wrong.push(format!("{}:{line}: `{own}` imports `{first}` of `{module}`", source.path.display()));
        }
    }
    wrong
}

#[test]
fn imports_go_downwards_only() {
    let sources = sources();
    assert!(sources.len() > 20, "src was read");
    let names = root_names(&sources);
    assert_eq!(names.get("Supervisor").map(String::as_str), Some("supervisor"));
    let wrong: Vec<_> = sources.iter().flat_map(|source| wrong_imports(source, &names)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn siblings_are_reached_by_super_and_not_beyond_their_module() {
    // `super::` from a file directly below `src/` or from the top of a module would go around the
    // rule above.
    for source in sources() {
        let depth = source.path.components().count();
        let is_top = source.path.file_name().is_some_and(|name| name == "mod.rs");
        let supers = if is_top { depth - 1 } else { depth };
        let too_far = "super::".repeat(supers);
        let line = source.without_tests.lines().position(|line| line.contains(&too_far));
        assert!(line.is_none(), "{}:{}", source.path.display(), line.unwrap_or(0) + 1);
    }
}

// ---- names -------------------------------------------------------------------------------

/// The lines that name `what` as a whole word.
fn lines_with(text: &str, what: &str) -> Vec<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let edge = what.chars().next_back().is_some_and(is_word);
    let named = text.match_indices(what).filter(|(at, _)| {
        let (before, after) = (&text[..*at], &text[at + what.len()..]);
        let inside = before.ends_with(is_word) && what.starts_with(is_word);
        !(inside || edge && after.starts_with(is_word))
    });
    named.map(|(at, _)| text[..at].matches('\n').count() + 1).collect()
}

#[test]
fn only_the_door_names_threads_channels_locks_and_the_clock() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| own_module(&source.path) != "sync") {
        let text = source.without_tests.replace("std::thread::panicking", "");
        for group in ["std::{", "std::sync::{"] {
            for (at, _) in text.match_indices(group) {
                let inside = &text[at..at + item_end(&text[at..])];
                let forbidden = ["thread", "atomic", "Mutex", "mpsc", "Condvar", "RwLock"];
                for name in forbidden.iter().filter(|name| !lines_with(inside, name).is_empty()) {
                    wrong.push(format!("{}: `{name}` in `{group}..`", source.path.display()));
                }
            }
        }
        let is_exempt =
            |what: &str| EXEMPT.iter().any(|(path, name)| source.path == Path::new(path) && *name == what);
        for what in BEHIND_THE_DOOR.into_iter().filter(|what| !is_exempt(what)) {
            let lines = lines_with(&text, what);
            wrong.extend(lines.iter().map(|line| format!("{}:{line}: `{what}`", source.path.display())));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn nothing_is_unsafe_unfinished_or_ignored() {
    let mut wrong = Vec::new();
    for source in sources() {
        for what in NOWHERE {
            let lines = lines_with(&source.text, what);
            wrong.extend(lines.iter().map(|line| format!("{}:{line}: `{what}`", source.path.display())));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn pure_files_name_no_thread_lock_channel_log_or_clock() {
    let pure = [
        "supervisor/policy.rs",
        "supervisor/policy",
        "supervisor/backoff.rs",
        "supervisor/intensity.rs",
        "service/shelf.rs",
        "service/timers.rs",
        "testing/chance.rs",
        "config/debounce.rs",
        "config/diff.rs",
        "config/edits.rs",
        "config/environment.rs",
        "config/graft.rs",
        "config/history.rs",
        "config/merge.rs",
        "config/path.rs",
        "events/journal/archive.rs",
        "events/journal/policy.rs",
        "events/journal/record.rs",
        "events/journal/recovery.rs",
        "events/journal/segment.rs",
        "events/base64.rs",
        "events/bounds.rs",
        "events/civil.rs",
        "events/id.rs",
        "events/limits.rs",
        "events/cursor.rs",
        "events/merge.rs",
        "events/rfc3339.rs",
        "health/alert.rs",
        "health/alerts.rs",
        "health/live.rs",
        "health/mode.rs",
        "health/names.rs",
        "health/news.rs",
        "health/outlook.rs",
        "health/readings.rs",
        "health/record.rs",
        "health/settings.rs",
        "health/verdict.rs",
        "resilience/backoff.rs",
        "resilience/policy/check.rs",
        "resilience/policy/end.rs",
        "resilience/policy/fault.rs",
        "resilience/policy/settings.rs",
        "resilience/pool/machine.rs",
        "resilience/breaker/ledger.rs",
        "resilience/breaker/machine.rs",
        "resilience/breaker/rates.rs",
        "resilience/breaker/settings.rs",
        "resilience/breaker/shelf.rs",
        "resilience/breaker/window.rs",
        "resilience/codel.rs",
        "resilience/gradient.rs",
        "resilience/keys.rs",
        "resilience/seats.rs",
        "resilience/window_log.rs",
        "tasks/desk.rs",
        "tasks/flight.rs",
        "tasks/keys.rs",
        "tasks/later.rs",
        "tasks/period.rs",
        "telemetry/bounds.rs",
        "telemetry/buckets.rs",
        "telemetry/decimal.rs",
        "telemetry/distribution.rs",
        "telemetry/exported.rs",
        "telemetry/facade/names.rs",
        "telemetry/facade/scale.rs",
        "gcra.rs",
        "telemetry/json.rs",
        "telemetry/kernel/known.rs",
        "telemetry/kernel/names.rs",
        "telemetry/kernel/previous.rs",
        "telemetry/kernel/rising.rs",
        "telemetry/kernel/service.rs",
        "telemetry/kernel/supervisor.rs",
        "telemetry/line.rs",
        "telemetry/pressure.rs",
        "telemetry/proc_text.rs",
        "telemetry/prometheus.rs",
    ];
    let mut seen = 0;
    for source in sources().iter().filter(|source| pure.iter().any(|pure| source.path.starts_with(pure))) {
        seen += 1;
        for what in ["sync", "log", "Clock", "Mutex", "Atomic", "thread", "Arc", "channel"] {
            let lines = lines_with(&source.without_tests, what);
            assert!(lines.is_empty(), "{}: `{what}` in lines {lines:?}", source.path.display());
        }
    }
    assert!(seen >= 6, "{seen} files");
}

// ---- the reader itself -------------------------------------------------------------------

fn source(path: &str, code: &str) -> Source {
    let text = stripped(code);
    Source { path: path.into(), without_tests: without_tests(&text), text }
}

#[test]
fn the_reader_finds_what_breaks_the_rules() {
    let names = HashMap::from([("Supervisor".to_owned(), "supervisor".to_owned())]);
    let wrong = |path: &str, code: &str| wrong_imports(&source(path, code), &names).len();
    assert_eq!(wrong("service/core.rs", "use crate::supervisor::spec::ChildSpec;"), 1);
    assert_eq!(
        wrong("service/core.rs", "use crate::{Supervisor, error::{CallError, SharedError}, sync};"),
        1
    );
    assert_eq!(wrong("service/core.rs", "fn f(x: crate::foundation::X) {}"), 1);
    assert_eq!(wrong("service/core.rs", "use crate::sync::{self, Clock}; use crate::registry::Registry;"), 0);
    assert_eq!(wrong("events/ring.rs", "use crate::config::Config;"), 1);
    assert_eq!(wrong("sync/real.rs", "use crate::error::SharedError;"), 1);
    assert_eq!(wrong("unknown.rs", ""), 1);
    assert_eq!(wrong("service/core.rs", "// crate::supervisor\n/// crate::supervisor\n"), 0);
    assert_eq!(
        wrong("service/core.rs", "let s = \"crate::supervisor\"; let r = r#\"crate::supervisor\"#;"),
        0
    );
    assert_eq!(wrong("service/core.rs", "let c = '\"'; use crate::supervisor::x; let d = '\"';"), 1);
    let tests = "#[cfg(all(test, not(underpin_loom)))]\nmod tests { fn f() { use crate::supervisor::x; } }\n";
    assert_eq!(wrong("service/core.rs", tests), 0);
    assert_eq!(wrong("service/core.rs", &format!("{tests} use crate::supervisor::x;")), 1);
}

#[test]
fn the_reader_finds_names_as_whole_words() {
    assert_eq!(lines_with("a\nunsafe {}\n", "unsafe"), [2]);
    assert!(lines_with("forbid(unsafe_code)", "unsafe").is_empty());
    assert_eq!(lines_with("todo!()", "todo!"), [1]);
    assert_eq!(lines_with("std::thread::spawn(f)", "std::thread"), [1]);
    let module = source("service/mod.rs", "#[cfg(test)]\nmod models;\n");
    assert_eq!(test_files(&module), [PathBuf::from("service/models")]);
    assert!(is_at(Path::new("service/models/end.rs"), Path::new("service/models")));
    assert!(is_at(Path::new("service/models.rs"), Path::new("service/models")));
}
