//! The command line.

use underpin::events::Filter;

/// What `--help` says.
pub(crate) const HELP: &str = "\
A look into a journal of events.

journal cat    DIR [--filter FILTER] [--json]
journal tail   DIR [--lines N] [--filter FILTER] [--json]
journal verify DIR
journal stats  DIR [--filter FILTER] [--json]

  --filter FILTER  only events of which all holds, as kind=login,service=web,since=2026-01-01T00:00:00Z
  --lines N        the last so many (10)
  --json           JSON instead of columns
  --help

Status 0; 1 if something is corrupt, missing or unreadable; 2 for bad arguments.
";

/// How many lines `tail` prints if nothing is said.
const LINES: usize = 10;
/// How many it prints at most.
const MAX_LINES: usize = 1_000_000;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Command {
    Cat,
    Tail,
    Verify,
    Stats,
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Asked {
    Look(Box<Args>),
    Help,
}

/// A command line that makes sense.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) command: Command,
    pub(crate) dir: String,
    pub(crate) filter: Option<Filter>,
    pub(crate) lines: usize,
    pub(crate) json: bool,
}

impl Args {
    /// Reads the arguments, without the name of the program.
    ///
    /// # Errors
    ///
    /// One line that says which argument is wrong, and what was expected.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Asked, String> {
        let mut words = words.into_iter();
        let (mut filter, mut lines, mut json, mut places) = (None, None, false, Vec::new());
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word}: a value is missing"));
            match word.as_str() {
                "--help" | "-h" => return Ok(Asked::Help),
                "--json" => json = true,
                "--filter" => filter = Some(filter_of(&value()?)?),
                "--lines" => lines = Some(lines_of(&value()?)?),
                _ if word.starts_with('-') => {
                    return Err(format!("{word}: there is no such option, see --help"));
                }
                _ => places.push(word),
            }
        }
        let (command, dir) = command_of(places)?;
        if lines.is_some() && command != Command::Tail {
            return Err("--lines: only tail takes it".into());
        }
        if command == Command::Verify && (json || filter.is_some()) {
            return Err("verify looks at all of it, and takes neither --filter nor --json".into());
        }
        Ok(Asked::Look(Box::new(Self { command, dir, filter, lines: lines.unwrap_or(LINES), json })))
    }
}

fn command_of(places: Vec<String>) -> Result<(Command, String), String> {
    let expected = "expected one of cat, tail, verify and stats, and a directory, see --help";
    let [command, dir] = <[String; 2]>::try_from(places).map_err(|_| expected.to_owned())?;
    let command = match command.as_str() {
        "cat" => Command::Cat,
        "tail" => Command::Tail,
        "verify" => Command::Verify,
        "stats" => Command::Stats,
        _ => return Err(format!("{command}: {expected}")),
    };
    Ok((command, dir))
}

fn filter_of(text: &str) -> Result<Filter, String> {
    Filter::parse(text).map_err(|error| format!("--filter: {error}"))
}

fn lines_of(text: &str) -> Result<usize, String> {
    let lines = text.parse().ok().filter(|lines| (1..=MAX_LINES).contains(lines));
    lines.ok_or_else(|| format!("--lines: expected 1 to {MAX_LINES}, not {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Asked, String> {
        Args::parse(words.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn a_command_and_a_directory_are_enough() {
        let Ok(Asked::Look(args)) = parse(&["tail", "d"]) else { panic!("it makes sense") };
        assert_eq!(
            (args.command, args.dir.as_str(), args.lines, args.json),
            (Command::Tail, "d", LINES, false)
        );
        assert!(matches!(parse(&["--help"]), Ok(Asked::Help)));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let wrong: [&[&str]; 9] = [
            &[],
            &["cat"],
            &["cat", "d", "e"],
            &["dog", "d"],
            &["cat", "d", "--colour"],
            &["cat", "d", "--filter"],
            &["cat", "d", "--filter", "nonsense=1"],
            &["cat", "d", "--lines", "3"],
            &["tail", "d", "--lines", "0"],
        ];
        for words in wrong {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
