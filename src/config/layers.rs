//! What a configuration is made from.

use std::ffi::OsString;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::board::{Board, Degraded, Opening};
use super::config::{Config, Settings};
use super::draft::{Draft, Terms, Unknown};
use super::edits::Edits;
use super::environment::has_prefix;
use super::errors::LoadError;
use super::fault::{Fault, Faults};
use super::overrides::OverrideValue;
use super::path::Path;
use super::proposal::Target;
use super::resolve::shape;
use super::sources::{Environment, FileLayer, Reading, Sources};
use super::tree::{Origin, Tree};
use super::watch::Watch;
use crate::sync::Clock;

/// How many versions are kept if nothing else is said.
const DEFAULT_HISTORY: usize = 32;
/// How long a service may take to agree if nothing else is said.
const DEFAULT_CONSENT: Duration = Duration::from_secs(1);

/// What happens when the layers are wrong at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadStart {
    /// There is no configuration, and the error says all that is wrong.
    #[default]
    Refuse,
    /// The defaults alone are in force, marked as [degraded](super::Degraded), until the layers are
    /// right and read again.
    Defaults,
}

/// What a configuration is made from, the later before the earlier: defaults, files in the order in
/// which they are named, the environment, overrides. Updates at run time go before them all.
///
/// Tables are laid over one another key by key; everything else, lists too, replaces what is below.
///
/// # Example
///
/// ```
/// use underpin::config::{Config, Layers, Validate};
///
/// #[derive(Clone, serde::Serialize, serde::Deserialize)]
/// struct Settings { listen: std::net::SocketAddr, workers: usize }
///
/// impl Validate for Settings {
///     fn validate(&self, checks: &mut underpin::config::Checks) {
///         checks.within("workers", self.workers, 1..=64);
///     }
/// }
///
/// let config: Config<Settings> = Layers::new()
///     .defaults(Settings { listen: ([127, 0, 0, 1], 5514).into(), workers: 2 })
///     .optional_file("app.toml")
///     .environment("APP") // APP__WORKERS=4
///     .override_text("--workers", "workers", "8")
///     .frozen("listen")
///     .load()?;
/// assert_eq!(config.load().workers, 8);
/// # Ok::<(), underpin::config::LoadError>(())
/// ```
#[must_use = "nothing is read before it is loaded"]
pub struct Layers {
    name: Arc<str>,
    defaults: Option<Value>,
    files: Vec<FileLayer>,
    environment: Option<Environment>,
    overrides: Vec<(Arc<str>, Path, OverrideValue)>,
    kept: Option<Arc<FilePath>>,
    terms: Terms,
    bad_start: BadStart,
    history: (usize, Option<Duration>),
    consent_timeout: Duration,
    watch: Watch,
    /// What was wrong with the description itself.
    faults: Faults,
}

impl Default for Layers {
    fn default() -> Self {
        Self::new()
    }
}

impl Layers {
    /// No layers.
    pub fn new() -> Self {
        Self {
            name: "config".into(),
            defaults: None,
            files: Vec::new(),
            environment: None,
            overrides: Vec::new(),
            kept: None,
            terms: Terms::default(),
            bad_start: BadStart::default(),
            history: (DEFAULT_HISTORY, None),
            consent_timeout: DEFAULT_CONSENT,
            watch: Watch::default(),
            faults: Faults::default(),
        }
    }

    /// The name of the config service. `config` if nothing is said.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// The lowest layer. Without it, what no other layer says has to have a default in its type.
    pub fn defaults(mut self, defaults: impl Serialize) -> Self {
        match serde_json::to_value(defaults) {
            Ok(value @ Value::Object(_)) => self.defaults = Some(value),
            Ok(_) => self.wrong(Path::TOP, "the defaults are no table"),
            Err(error) => self.wrong(Path::TOP, format!("the defaults cannot be serialised: {error}")),
        }
        self
    }

    /// A file that must be there: TOML or JSON, by its extension. At most 4 MiB.
    pub fn file(mut self, file: impl Into<PathBuf>) -> Self {
        self.files.push(FileLayer::new(file.into(), true));
        self
    }

    /// A file that may be missing.
    pub fn optional_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.files.push(FileLayer::new(file.into(), false));
        self
    }

    /// The variables that begin with `prefix` and two underscores. Two underscores separate the
    /// segments of a path, so `APP__LIMITS__MAX_LINE` is `limits.max_line`. Upper and lower case do not
    /// matter, nor whether a key has `-` or `_`, where the key is known from a file or from the defaults, those of
    /// the type too; where it is not, it is taken in lower case and with `_`. A text is taken as what the setting
    /// is: a number, a truth value, a list `a,b,c` or `["a"]`, an element `APP__HOSTS__0`, a table `{"a": 1}`. A
    /// list or a table in one text replaces the one below as a whole.
    ///
    /// They are read once, here.
    pub fn environment(self, prefix: impl Into<String>) -> Self {
        self.environment_of(prefix, std::env::vars_os())
    }

    /// As [`environment`](Self::environment), from these variables instead of the process's.
    pub fn environment_of(
        mut self,
        prefix: impl Into<String>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let prefix = prefix.into();
        if prefix.is_empty() {
            self.wrong(Path::TOP, "the prefix of the environment is empty: any variable would be a setting");
            return self;
        }
        if let Some(before) = prefix.strip_suffix("__") {
            let expected = format!("expected `{before}`, without the underscores that follow it");
            self.wrong(Path::TOP, format!("the prefix of the environment is {prefix:?}: {expected}"));
        }
        if self.environment.is_some() {
            self.wrong(Path::TOP, "a second environment would replace the first");
        }
        // The rest may be secrets of others, and is not kept.
        let own = variables.into_iter().filter(|(name, _)| has_prefix(&prefix, name)).collect();
        self.environment = Some(Environment { prefix, variables: own });
        self
    }

    /// A value that goes before all other layers. `name` is what it is called in messages, such as
    /// the option of the command line that says it.
    pub fn override_value(mut self, name: impl Into<Arc<str>>, path: &str, value: impl Serialize) -> Self {
        match (Path::parse(path), serde_json::to_value(value)) {
            (Ok(path), Ok(value)) => self.overrides.push((name.into(), path, OverrideValue::Plain(value))),
            (Err(error), _) => self.wrong(Path::TOP, error.to_string()),
            (Ok(path), Err(error)) => self.wrong(path, format!("cannot be serialised: {error}")),
        }
        self
    }

    /// As [`override_value`](Self::override_value), with a text that is taken as what the setting is, as
    /// one of the environment.
    pub fn override_text(mut self, name: impl Into<Arc<str>>, path: &str, text: impl Into<String>) -> Self {
        match Path::parse(path) {
            Ok(path) => self.overrides.push((name.into(), path, OverrideValue::Loose(text.into()))),
            Err(error) => self.wrong(Path::TOP, error.to_string()),
        }
        self
    }

    /// Keeps updates in a file, so that they outlive the process. An update is made when the file
    /// holds it, after a rename and a synchronisation of its directory; a
    /// [reset](super::Config::reset) empties it. More than a file may hold is refused. While the defaults
    /// are in force after a [bad start](BadStart::Defaults), what the file holds is left as it is, and
    /// updates are refused.
    pub fn keep_updates(mut self, file: impl Into<PathBuf>) -> Self {
        self.kept = Some(file.into().into());
        self
    }

    /// What stands at this path, and below, does not change while the program runs: an update of it
    /// is refused, and a file that says something else is heard at the next start.
    pub fn frozen(mut self, path: &str) -> Self {
        match Path::parse(path) {
            Ok(path) => self.terms.frozen.push(path),
            Err(error) => self.wrong(Path::TOP, error.to_string()),
        }
        self
    }

    /// What stands at this path, and below, is somebody else's, who will
    /// [register](super::Config::section) it: its keys are not unknown.
    pub fn reserved(mut self, path: &str) -> Self {
        match Path::parse(path) {
            Ok(path) => self.terms.reserved.push(path),
            Err(error) => self.wrong(Path::TOP, error.to_string()),
        }
        self
    }

    /// What becomes of keys that no type knows. [`Unknown::Warn`] if nothing is said. An update of one is
    /// refused in any case.
    pub fn unknown(mut self, unknown: Unknown) -> Self {
        self.terms.unknown = unknown;
        self
    }

    /// What happens when the layers are wrong at the start. [`BadStart::Refuse`] if nothing is said.
    pub fn on_bad_start(mut self, bad_start: BadStart) -> Self {
        self.bad_start = bad_start;
        self
    }

    /// How many versions are kept to [go back](super::Config::rollback) to, the present one among
    /// them: 32 if nothing is said, and at least 1. With an `age`, those that were replaced longer ago
    /// are forgotten.
    pub fn history(mut self, versions: usize, age: Option<Duration>) -> Self {
        self.history = (versions, age);
        self
    }

    /// How long the services that are [asked](super::Config::ask_before) about an update may take to
    /// answer, all together. 1 s if nothing is said.
    pub fn consent_timeout(mut self, timeout: Duration) -> Self {
        self.consent_timeout = timeout;
        self
    }

    /// How changes of the files are noticed. [`Watch::No`] if nothing is said: then they are read
    /// again when somebody [says so](super::Config::reload).
    pub fn watch(mut self, watch: Watch) -> Self {
        self.watch = watch;
        self
    }

    fn wrong(&mut self, path: Path, message: impl Into<String>) {
        self.faults.add(Fault::new(path, message));
    }

    /// Reads the layers, and publishes what they come to as version 1. It can be read from now on;
    /// to change it, its [service](Config::child) has to run.
    ///
    /// # Errors
    ///
    /// All that is wrong: with the files, with the types, with what [`Validate`](super::Validate) says.
    /// With [`BadStart::Defaults`] only what is wrong with this description or with the defaults.
    ///
    /// # Blocking
    ///
    /// On the disk.
    pub fn load<T: Settings>(self) -> Result<Config<T>, LoadError> {
        if !self.faults.is_empty() {
            return Err(LoadError::Invalid(self.faults));
        }
        let defaults = self.defaults.as_ref().map(|value| Tree::of(value, &Origin::Default));
        let defaults = Arc::new(defaults.unwrap_or_else(|| Tree::empty_table(Origin::Default)));
        let watch = self.watch;
        let shape = shape::<T>(&defaults);
        let sources = Sources::new(
            (Arc::clone(&defaults), shape),
            self.files,
            self.environment,
            self.overrides,
            self.kept,
        );
        let first = first::<T>(&sources, &self.terms);
        sources.set_owes_kept(first.is_err());
        let (draft, degraded) = match (first, self.bad_start) {
            (Ok(draft), _) => (draft, None),
            (Err(faults), BadStart::Refuse) => return Err(LoadError::Invalid(faults)),
            (Err(faults), BadStart::Defaults) => (on_defaults(&defaults, &self.terms)?, Some(faults)),
        };
        let now = Clock::system().now();
        let degraded = degraded.map(|faults| {
            log::error!("config: the defaults are in force: {faults}");
            Degraded { since: now, reason: faults.to_string().into() }
        });
        let board = Board::new(Opening {
            first: draft.into_current(None, now),
            terms: self.terms,
            sources,
            degraded,
            defaults,
            history: self.history,
            consent_timeout: self.consent_timeout,
        });
        Ok(Config::new(self.name, Arc::new(board), watch))
    }
}

fn first<T: Settings>(sources: &Sources, terms: &Terms) -> Result<Draft<T>, Faults> {
    let Reading { tree, mut faults, mut is_whole, .. } = sources.read();
    let edits = sources.kept().unwrap_or_else(|more| {
        faults.extend(more);
        is_whole = false;
        Edits::default()
    });
    if !is_whole {
        return Err(faults); // what is missing in the rest is most likely said in what could not be read
    }
    let draft = Draft::first(Target { base: Arc::new(tree), edits: Arc::new(edits) }, terms);
    match draft {
        Ok(draft) if faults.is_empty() => return Ok(draft),
        Ok(_) => {}
        Err(more) => faults.extend(more),
    }
    Err(faults)
}

fn on_defaults<T: Settings>(defaults: &Arc<Tree>, terms: &Terms) -> Result<Draft<T>, LoadError> {
    let target = Target { base: Arc::clone(defaults), edits: Arc::<Edits>::default() };
    Draft::first(target, terms).map_err(LoadError::Invalid)
}
