//! What was executed, as it is kept for later.

use std::time::Instant;

use super::labels::{MAX_LABEL_BYTES, MAX_LABELS};
use super::measurement::{Execution, Measure};

/// What was executed, as it is kept for later: the first [`MAX_LABELS`] figures and as many words, each text cut after
/// [`MAX_LABEL_BYTES`].
#[derive(Debug)]
pub(crate) struct Copied {
    /// One after the other: the name, the names of the figures, then names and words in turns.
    text: String,
    /// Where each of them ends.
    ends: Vec<usize>,
    measures: Vec<Measure>,
    at: Instant,
}

impl Copied {
    /// A copy, and whether something was left out of it.
    pub(crate) fn of(execution: &Execution<'_>) -> (Self, bool) {
        let measurements = first(execution.measurements);
        let metadata = first(execution.metadata);
        let names = measurements.iter().map(|(name, _)| *name);
        let words = metadata.iter().flat_map(|(name, word)| [*name, *word]);
        let (mut text, mut ends) =
            (String::new(), Vec::with_capacity(1 + measurements.len() + 2 * metadata.len()));
        let mut is_cut = measurements.len() < execution.measurements.len();
        is_cut |= metadata.len() < execution.metadata.len();
        for whole in std::iter::once(execution.name).chain(names).chain(words) {
            let kept = &whole[..whole.floor_char_boundary(MAX_LABEL_BYTES)];
            is_cut |= kept.len() < whole.len();
            text.push_str(kept);
            ends.push(text.len());
        }
        let measures = measurements.iter().map(|(_, measure)| *measure).collect();
        (Self { text, ends, measures, at: execution.at }, is_cut)
    }

    /// Shows it as it was executed.
    pub(crate) fn show(&self, to: impl FnOnce(&Execution<'_>)) {
        let mut texts = self.texts();
        let name = texts.next().unwrap_or_default();
        let measurements: Vec<_> =
            texts.by_ref().zip(self.measures.iter().copied()).take(self.measures.len()).collect();
        let metadata: Vec<_> = std::iter::from_fn(|| Some((texts.next()?, texts.next()?))).collect();
        to(&Execution { name, measurements: &measurements, metadata: &metadata, at: self.at });
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(start, end)| &self.text[*start..*end])
    }
}

fn first<T>(all: &[T]) -> &[T] {
    &all[..all.len().min(MAX_LABELS)]
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sync::Clock;

    fn cut(text: &str) -> String {
        let mut kept = String::new();
        for c in text.chars().take_while({
            let mut bytes = 0;
            move |c| {
                bytes += c.len_utf8();
                bytes <= MAX_LABEL_BYTES
            }
        }) {
            kept.push(c);
        }
        kept
    }

    proptest! {
        #[test]
        fn what_is_shown_is_what_was_executed_within_its_bounds(
            name: String,
            measurements in prop::collection::vec((any::<String>(), any::<i64>()), 0..20),
            metadata in prop::collection::vec((any::<String>(), prop_oneof![any::<String>(), "[aé]{0,300}"]), 0..20),
        ) {
            let given: Vec<_> = measurements.iter().map(|(name, n)| (&**name, Measure::Int(*n))).collect();
            let words: Vec<_> = metadata.iter().map(|(name, word)| (&**name, &**word)).collect();
            let at = Clock::SYSTEM.now();
            let execution = Execution { name: &name, measurements: &given, metadata: &words, at };
            let (copied, is_cut) = Copied::of(&execution);
            let (mut shown, mut same) = (0, true);
            copied.show(|execution| {
                shown += 1;
                same &= execution.name == cut(&name) && execution.at == at;
                let figures = given.iter().take(16).map(|(name, n)| (cut(name), *n));
                same &= figures.eq(execution.measurements.iter().map(|(name, n)| ((*name).to_owned(), *n)));
                let kept = words.iter().take(16).map(|(name, word)| (cut(name), cut(word)));
                same &= kept.eq(execution.metadata.iter().map(|(n, word)| ((*n).to_owned(), (*word).to_owned())));
            });
            prop_assert!(same && shown == 1);
            let texts = words.iter().flat_map(|(name, word)| [*name, *word]).chain(given.iter().map(|(name, _)| *name));
            let is_long = texts.chain([&*name]).any(|text| text.len() > MAX_LABEL_BYTES);
            prop_assert_eq!(is_cut, is_long || given.len() > 16 || words.len() > 16);
        }
    }
}
