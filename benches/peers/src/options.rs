//! What is asked for on the command line.

use crate::report::Format;

pub const USAGE: &str = "usage: underpin-peers [--busy | --instructions] [--markdown] [--rounds N] [--peer NAME]... [ROW ...]\n    \
     rows: A, A1, B2, F, S ...; a part of a peer's name will do";

const ROUNDS: usize = 15;

/// The answers to: which rows, against whom, and how.
#[derive(Debug, PartialEq)]
pub struct Options {
    /// Whether one core is kept busy in every row.
    pub busy: bool,
    /// Whether instructions are counted, in the rows where that can be done, instead of times taken.
    pub instructions: bool,
    pub format: Format,
    /// How many rounds a duel has, at least one.
    pub rounds: usize,
    rows: Vec<String>,
    peers: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            busy: false,
            instructions: false,
            format: Format::Tabs,
            rounds: ROUNDS,
            rows: vec![],
            peers: vec![],
        }
    }
}

impl Options {
    /// # Errors
    ///
    /// What is wrong with the arguments.
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--busy" => options.busy = true,
                "--instructions" => options.instructions = true,
                "--markdown" => options.format = Format::Markdown,
                "--rounds" => options.rounds = rounds(args.next())?,
                "--peer" => options.peers.push(args.next().ok_or("--peer: whom?")?.to_lowercase()),
                flag if flag.starts_with('-') => return Err(format!("{flag}: there is no such option")),
                _ => options.rows.push(arg),
            }
        }
        Ok(options)
    }

    /// Whether each row and each peer that was asked for is there.
    ///
    /// # Errors
    ///
    /// The first one that is not.
    pub fn check(&self, rows: &[&str], peers: &[&str]) -> Result<(), String> {
        if let Some(row) = self.rows.iter().find(|row| !rows.iter().any(|id| id.starts_with(row.as_str()))) {
            return Err(format!("{row}: there is no such row, expected one of {}", rows.join(" ")));
        }
        let is_there = |peer: &&String| peers.iter().any(|name| matches(name, peer));
        match self.peers.iter().find(|peer| !is_there(peer)) {
            Some(peer) => Err(format!("{peer}: there is no such peer, expected one of {}", peers.join(", "))),
            None => Ok(()),
        }
    }

    pub fn wants_row(&self, id: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|row| id.starts_with(row.as_str()))
    }

    pub fn wants_every_peer(&self) -> bool {
        self.peers.is_empty()
    }

    pub fn wants_peer(&self, name: &str) -> bool {
        self.wants_every_peer() || self.peers.iter().any(|peer| matches(name, peer))
    }
}

fn rounds(number: Option<String>) -> Result<usize, String> {
    let number = number.and_then(|number| number.parse().ok()).filter(|number| *number > 0);
    number.ok_or("--rounds: how many?".into())
}

fn matches(name: &str, part: &str) -> bool {
    name.to_lowercase().contains(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &str) -> Result<Options, String> {
        Options::parse(args.split_whitespace().map(String::from))
    }

    #[test]
    fn without_arguments_everything_is_wanted() {
        let options = parse("").expect("nothing is wrong");
        assert_eq!(options, Options::default());
        assert!(!options.busy && options.wants_row("A1") && options.wants_every_peer());
        assert!(options.wants_peer("kameo"));
    }

    #[test]
    fn rows_are_chosen_by_how_they_begin_and_peers_by_a_part() {
        let options = parse("A --busy B2 --peer Erlang --markdown").expect("nothing is wrong");
        assert!(options.busy && options.format == Format::Markdown);
        assert_eq!(["A1", "B1", "B2", "F1"].map(|id| options.wants_row(id)), [true, false, true, false]);
        assert!(options.wants_peer("Erlang/OTP") && !options.wants_peer("kameo"));
        assert!(!options.wants_every_peer());
    }

    #[test]
    fn there_is_at_least_one_round() {
        let rounds = |args| parse(args).map(|options| options.rounds);
        assert_eq!((rounds(""), rounds("A --rounds 3")), (Ok(15), Ok(3)));
        for wrong in ["--rounds", "--rounds 0", "--rounds A1"] {
            assert!(rounds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        let check = |args| parse(args)?.check(&["A1", "B2"], &["Erlang/OTP"]);
        assert_eq!(check("A1 B --peer erl"), Ok(()));
        for wrong in ["--quick", "--peer", "A2", "--peer kameo"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
