//! The command line.

use std::ffi::OsString;
use std::time::Duration;

/// What `--help` says.
pub(crate) const HELP: &str = "\
A syslog collector over TCP and UDP.

collector [OPTIONS] [FILE ...]

  FILE ...            read these files line by line, then exit
  --listen ADDR:PORT  where to listen, TCP and UDP; port 0 takes a free one (127.0.0.1:5514)
  --workers N         how many parsers, 1 to 64 (2)
  --max-line BYTES    the longest line that is taken, 480 to 1048576 (65536)
  --forward ADDR:PORT send what is written on to this sink, over TCP, through a policy; see collector.toml
  --severity NAME     write lines of this severity and of more severe ones: emerg, alert, crit, err,
                      warning, notice, info, debug (debug); those without a priority are written
  --config FILE       read these and the thresholds of alerts from this file (TOML or JSON)
  --out FILE          write one JSON object for each parsed message; FILE is emptied first
  --data DIR          keep a journal of all lines in this directory, that survives a crash
  --metrics FILE      write the metrics as Prometheus text, each 10 s and at the end; FILE is always whole
  --ack               tell each TCP client how many of its lines are durable: a number on a line, after
                      each write to disk; needs --data
  --chaos EVERY_MS    crash a random parser so often, while it handles a message
  --chaos-forward EVERY_MS
                      crash a random forwarder so often, with a line in its hands, which fails; needs
                      a sink to forward to
  --hang EVERY_MS     have a random parser hang so often, for 4 s: it is given up, another goes on
  --demo [LINES]      send so many numbered lines through itself under chaos, and check (200000)
  --help

An option goes before a variable of the environment (COLLECTOR__WORKERS=4), that before the file, that
before the default. When the file is saved, and on SIGHUP, it is read again: all but listen and
forward.address changes at once, with connections open. A file with a fault in it changes nothing, which is said on stderr.

The last line on stdout sums up, as a JSON object. Status 0; 1 if something failed; 2 for bad
arguments.
";

/// How many lines a demo sends if nothing is said.
const DEMO_LINES: u64 = 200_000;
/// How often a demo crashes a parser if nothing is said.
const DEMO_CHAOS: Duration = Duration::from_millis(100);

/// The options that set something, and what. What they say is judged with the other
/// [settings](crate::settings).
const SETTINGS: [(&str, &str); 5] = [
    ("--listen", "listen"),
    ("--workers", "workers"),
    ("--max-line", "max_line"),
    ("--severity", "severity"),
    ("--forward", "forward.address"),
];
/// The other options that have a value.
const OTHERS: [&str; 8] =
    ["--config", "--out", "--data", "--metrics", "--chaos", "--chaos-forward", "--hang", "--demo"];

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Asked {
    Run(Args),
    Help,
}

/// What to do, once it runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Job {
    Serve,
    Ingest(Vec<String>),
    Demo(u64),
}

impl Job {
    /// What is read.
    pub(crate) fn files(&self) -> &[String] {
        match self {
            Self::Ingest(files) => files,
            Self::Serve | Self::Demo(_) => &[],
        }
    }
}

/// The arguments of the process, without its name.
///
/// # Errors
///
/// One line that says which is not UTF-8.
pub(crate) fn words() -> Result<Vec<String>, String> {
    let readable = |word: OsString| {
        word.into_string().map_err(|word| format!("{}: expected UTF-8", word.to_string_lossy()))
    };
    std::env::args_os().skip(1).map(readable).collect()
}

/// A command line that makes sense.
#[derive(Debug, PartialEq)]
pub(crate) struct Args {
    pub(crate) job: Job,
    pub(crate) config: Option<String>,
    /// What is set: by which option, at which path, to what.
    pub(crate) settings: Vec<(&'static str, &'static str, String)>,
    pub(crate) out: Option<String>,
    /// Where the journal is.
    pub(crate) data: Option<String>,
    /// Where the metrics are written.
    pub(crate) metrics: Option<String>,
    /// Whether clients are told what is durable.
    pub(crate) ack: bool,
    pub(crate) chaos: Option<Duration>,
    pub(crate) chaos_forward: Option<Duration>,
    pub(crate) hang: Option<Duration>,
}

/// A command line, half read.
#[derive(Default)]
struct Reading {
    files: Vec<String>,
    config: Option<String>,
    settings: Vec<(&'static str, &'static str, String)>,
    out: Option<String>,
    data: Option<String>,
    metrics: Option<String>,
    ack: bool,
    chaos: Option<Duration>,
    chaos_forward: Option<Duration>,
    hang: Option<Duration>,
    demo: Option<u64>,
}

impl Args {
    /// Reads the arguments, without the name of the program.
    ///
    /// # Errors
    ///
    /// One line that says which argument is wrong, and what was expected.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Asked, String> {
        let mut reading = Reading::default();
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            if word == "--help" || word == "-h" {
                return Ok(Asked::Help);
            }
            if word == "--" {
                reading.files.extend(words);
                break;
            }
            if word == "--demo" {
                let lines = words.next_if(|next| next.parse::<u64>().is_ok());
                reading.demo(lines.as_deref())?;
            } else if word == "--ack" {
                reading.ack = true;
            } else if word.len() > 1 && word.starts_with('-') {
                reading.option(&word, &mut words)?;
            } else {
                reading.files.push(word);
            }
        }
        reading.finish().map(Asked::Run)
    }
}

impl Reading {
    /// An option with a value: `--name value` or `--name=value`.
    fn option(&mut self, word: &str, words: &mut impl Iterator<Item = String>) -> Result<(), String> {
        let (name, glued) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        let setting = SETTINGS.into_iter().find(|(option, _)| *option == name);
        if setting.is_none() && !OTHERS.contains(&name) {
            return Err(format!("{name}: there is no such option, see --help"));
        }
        let value = glued.or_else(|| words.next()).ok_or_else(|| format!("{name}: a value is missing"))?;
        if let Some((option, path)) = setting {
            self.settings.push((option, path, value));
            return Ok(());
        }
        self.set(name, &value).map_err(|expected| format!("{name}: expected {expected}, not {value:?}"))
    }

    /// Takes a value, or says what was expected.
    fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        match name {
            "--chaos" => self.chaos = Some(milliseconds(value).ok_or("milliseconds, at least 1")?),
            "--chaos-forward" => {
                self.chaos_forward = Some(milliseconds(value).ok_or("milliseconds, at least 1")?);
            }
            "--hang" => self.hang = Some(milliseconds(value).ok_or("milliseconds, at least 1")?),
            "--demo" => self.demo(Some(value)).map_err(|_| "a number of lines, at least 1")?,
            "--data" if value.is_empty() => return Err("the name of a directory"),
            "--data" => self.data = Some(value.to_owned()),
            _ if value.is_empty() => return Err("the name of a file"),
            "--metrics" => self.metrics = Some(value.to_owned()),
            "--config" => self.config = Some(value.to_owned()),
            _ => self.out = Some(value.to_owned()),
        }
        Ok(())
    }

    fn demo(&mut self, lines: Option<&str>) -> Result<(), String> {
        let wrong = |lines| format!("--demo: expected a number of lines, at least 1, not {lines:?}");
        let lines = match lines {
            None => DEMO_LINES,
            Some(lines) => number(lines, 1..=100_000_000).ok_or_else(|| wrong(lines))?,
        };
        self.demo = Some(lines);
        Ok(())
    }

    fn finish(mut self) -> Result<Args, String> {
        if self.ack && self.data.is_none() {
            return Err("--ack: it needs --data: without, no line is durable".into());
        }
        let job = match (self.demo, self.files.first()) {
            (Some(_), Some(file)) => return Err(format!("{file}: --demo takes no files")),
            (Some(_), None) if self.settings.iter().any(|(option, ..)| *option == "--listen") => {
                return Err("--listen: --demo listens on a free port of its own".into());
            }
            (Some(lines), None) => Job::Demo(lines),
            (None, Some(_)) => Job::Ingest(std::mem::take(&mut self.files)),
            (None, None) => Job::Serve,
        };
        let chaos = self.chaos.or(self.demo.map(|_| DEMO_CHAOS));
        let Self { config, settings, out, data, metrics, ack, chaos_forward, hang, .. } = self;
        Ok(Args { job, config, settings, out, data, metrics, ack, chaos, chaos_forward, hang })
    }
}

fn number(value: &str, allowed: std::ops::RangeInclusive<u64>) -> Option<u64> {
    value.parse().ok().filter(|number| allowed.contains(number))
}

fn milliseconds(value: &str) -> Option<Duration> {
    number(value, 1..=86_400_000).map(Duration::from_millis)
}
