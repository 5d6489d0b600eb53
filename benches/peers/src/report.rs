//! How the outcome of a duel is written down.

use crate::rounds::Outcome;

/// How it looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A line for each figure, its fields separated by tabs.
    #[default]
    Tabs,
    /// A row of a table for each duel, as in the README.
    Markdown,
}

/// One thing that was measured.
pub struct Figure {
    pub unit: &'static str,
    pub outcome: Outcome,
    /// The highest ratio that counts as good enough.
    pub must: Option<f64>,
}

impl Figure {
    fn is_short(&self) -> bool {
        self.must.is_some_and(|must| self.outcome.ratio > must)
    }
}

/// A measure of ours beside one peer.
pub struct Entry<'a> {
    pub row: &'a str,
    pub measure: &'a str,
    pub peer: &'a str,
    pub time: Figure,
    pub p99: Option<Figure>,
    pub cpu: Option<Figure>,
}

impl Entry<'_> {
    fn figures(&self) -> impl Iterator<Item = &Figure> {
        [Some(&self.time), self.p99.as_ref(), self.cpu.as_ref()].into_iter().flatten()
    }
}

impl Format {
    /// What comes before the first entry.
    pub fn head(self) -> &'static str {
        match self {
            Self::Tabs => "",
            Self::Markdown => {
                "| row | measure | peer | ours / peer's | ratio | must | p99 | ratio \
                 | CPU | ratio | must | |\n|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|\n"
            }
        }
    }

    pub fn entry(self, entry: &Entry) -> String {
        match self {
            Self::Tabs => entry.figures().map(|figure| tabs(entry, figure)).collect(),
            Self::Markdown => markdown(entry),
        }
    }

    /// A peer that could not take part.
    pub fn absent(self, row: &str, measure: &str, peer: &str, why: &str) -> String {
        match self {
            Self::Tabs => format!("{row}\t{measure}\t-\t{peer}\t-\t-\t-\t{why}\n"),
            Self::Markdown => format!("| {row} | {measure} | {peer} | - | | | | | | | | {why} |\n"),
        }
    }
}

fn tabs(entry: &Entry, figure: &Figure) -> String {
    let Entry { row, measure, peer, .. } = entry;
    let Outcome { ours, peer: theirs, ratio } = figure.outcome;
    let comma = if figure.unit.is_empty() { "" } else { ", " };
    let must = figure.must.map_or("-".into(), |must| format!("{must:.2}"));
    let verdict = if figure.is_short() { "short" } else { "ok" };
    let unit = figure.unit;
    let (ours, theirs) = (plain(ours), plain(theirs));
    format!("{row}\t{measure}{comma}{unit}\t{ours}\t{peer}\t{theirs}\t{ratio:.2}\t{must}\t{verdict}\n")
}

fn markdown(entry: &Entry) -> String {
    let Entry { row, measure, peer, time, p99, cpu } = entry;
    let [time_cells, p99_cells, cpu_cells] = [Some(time), p99.as_ref(), cpu.as_ref()].map(cells);
    let must = |figure: Option<&Figure>| {
        figure.and_then(|figure| figure.must).map_or("".into(), |must| format!("{must:.2}"))
    };
    let (must_time, must_cpu) = (must(Some(time)), must(cpu.as_ref()));
    let verdict = if entry.figures().any(Figure::is_short) {
        "**short**"
    } else if entry.figures().any(|figure| figure.must.is_some()) {
        "ok"
    } else {
        ""
    };
    format!(
        "| {row} | {measure} | {peer} | {time_cells} | {must_time} | {p99_cells} \
         | {cpu_cells} | {must_cpu} | {verdict} |\n"
    )
}

/// Both values, and the ratio.
fn cells(figure: Option<&Figure>) -> String {
    let Some(Figure { outcome, .. }) = figure else { return " | ".into() };
    format!("{} / {} | {:.2}", thousands(outcome.ours), thousands(outcome.peer), outcome.ratio)
}

/// A whole number, or, of a small one, two more digits.
fn plain(value: f64) -> String {
    if value < 9.995 { format!("{value:.2}") } else { format!("{value:.0}") }
}

/// As [`plain`], its digits in threes.
fn thousands(value: f64) -> String {
    let digits = plain(value);
    if digits.contains('.') {
        return digits;
    }
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(unit: &'static str, ours: f64, peer: f64, must: Option<f64>) -> Figure {
        Figure { unit, outcome: Outcome { ours, peer, ratio: ours / peer }, must }
    }

    fn entry() -> Entry<'static> {
        Entry {
            row: "A1",
            measure: "call",
            peer: "crossbeam",
            time: figure("ns", 400.4, 1_234_567.0, Some(0.5)),
            p99: Some(figure("ns at p99", 30.0, 10.0, None)),
            cpu: None,
        }
    }

    #[test]
    fn each_figure_has_its_line() {
        let expected = "A1\tcall, ns\t400\tcrossbeam\t1234567\t0.00\t0.50\tok\n\
                        A1\tcall, ns at p99\t30\tcrossbeam\t10\t3.00\t-\tok\n";
        assert_eq!(Format::Tabs.entry(&entry()), expected);
    }

    #[test]
    fn a_duel_is_one_row_of_as_many_cells_as_the_head() {
        let row = Format::Markdown.entry(&entry());
        let expected =
            "| A1 | call | crossbeam | 400 / 1,234,567 | 0.00 | 0.50 | 30 / 10 | 3.00 |  |  |  | ok |\n";
        assert_eq!(row, expected);
        let bars = |text: &str| text.matches('|').count();
        let absent = Format::Markdown.absent("A1", "call", "Erlang/OTP", "erl is not installed");
        for line in Format::Markdown.head().lines().chain(row.lines()).chain(absent.lines()) {
            assert_eq!(bars(line), 13, "{line}");
        }
    }

    #[test]
    fn any_figure_over_its_must_falls_short() {
        let mut entry = entry();
        entry.cpu = Some(figure("ns of CPU", 3.0, 2.0, Some(1.4)));
        assert!(Format::Markdown.entry(&entry).ends_with("| 1.50 | 1.40 | **short** |\n"));
        assert!(Format::Tabs.entry(&entry).ends_with("1.50\t1.40\tshort\n"));
    }

    #[test]
    fn a_row_without_a_must_has_no_verdict() {
        let mut entry = entry();
        entry.time.must = None;
        assert!(Format::Markdown.entry(&entry).ends_with("|  |  |\n"));
    }

    #[test]
    fn digits_come_in_threes() {
        assert_eq!([10.0, 999.6, 54_321.0].map(thousands), ["10", "1,000", "54,321"]);
        assert_eq!([0.514, 9.994, 9.996].map(thousands), ["0.51", "9.99", "10"]);
    }
}
