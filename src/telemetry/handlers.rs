//! Who hears what is executed.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::descriptor::{DescriptorError, MAX_NAME_BYTES, check_name};
use super::measurement::Execution;
use super::snapshot::is_below;
use crate::error::panic_text;
use crate::sync::{AtomicBool, Ordering, Tally, mutant};

/// Why a handler was not attached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The id is empty, or longer than [`MAX_NAME_BYTES`].
    #[error("an id has 1 to {MAX_NAME_BYTES} bytes, not {found}")]
    Id {
        /// How many bytes it has.
        found: usize,
    },
    /// The prefix is neither empty nor a name.
    #[error("prefix: {0}")]
    Prefix(DescriptorError),
    /// A handler of this id is attached.
    #[error("a handler `{id}` is attached already")]
    Taken {
        /// The id.
        id: Arc<str>,
    },
    /// As many are attached as may be.
    #[error("handler `{id}`: {most} are attached, and no more may be")]
    TooMany {
        /// The id.
        id: Arc<str>,
        /// How many may be.
        most: usize,
    },
    /// The telemetry has ended.
    #[error("handler `{id}`: the telemetry has ended")]
    Closed {
        /// The id.
        id: Arc<str>,
    },
}

/// A handler that is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandlerInfo {
    /// Tells it from the others.
    pub id: Arc<str>,
    /// It hears this name and those below it. All, if this is empty.
    pub prefix: Arc<str>,
    /// Whether it runs on the telemetry's thread, not on that of who executes.
    pub deferred: bool,
    /// How often it was called.
    pub calls: u64,
}

// ---- one of them -------------------------------------------------------------------------

/// One that hears a name and those below it, until it is retired.
#[derive(Debug)]
pub(crate) struct Handler {
    id: Arc<str>,
    prefix: Arc<str>,
    is_deferred: bool,
    callback: Callback,
    is_attached: AtomicBool,
    calls: Tally,
}

type Hearing = Box<dyn Fn(&Execution<'_>) + Send + Sync>;

/// Code of the user's. It may panic where it is dropped, too, and that may be anywhere: whoever looked last drops it.
struct Callback(Option<Hearing>);

impl Drop for Callback {
    fn drop(&mut self) {
        let callback = self.0.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(callback))) {
            panic_text(panic);
        }
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback")
    }
}

impl Handler {
    /// # Errors
    ///
    /// When the id or the prefix is none.
    pub(crate) fn new(
        id: &str,
        prefix: &str,
        is_deferred: bool,
        callback: impl Fn(&Execution<'_>) + Send + Sync + 'static,
    ) -> Result<Self, AttachError> {
        let callback = Callback(Some(Box::new(callback)));
        if !(1..=MAX_NAME_BYTES).contains(&id.len()) {
            return Err(AttachError::Id { found: id.len() });
        }
        if !prefix.is_empty() {
            check_name(prefix).map_err(AttachError::Prefix)?;
        }
        let (is_attached, calls) = (AtomicBool::new(true), Tally::new(0));
        Ok(Self { id: id.into(), prefix: prefix.into(), is_deferred, callback, is_attached, calls })
    }

    pub(crate) fn id(&self) -> &Arc<str> {
        &self.id
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    // ORDERING: the flag says all there is to say, so Relaxed loads do: who knows of the detachment from whoever made it
    // sees it. `calls` is a figure.
    pub(crate) fn is_attached(&self) -> bool {
        self.is_attached.load(Ordering::Relaxed)
    }

    /// It is called no more. `true` for one alone of those who say so.
    pub(crate) fn retire(&self) -> bool {
        if mutant!(RetireBlindly) {
            let was = self.is_attached.load(Ordering::Acquire);
            self.is_attached.store(false, Ordering::Release);
            return was;
        }
        self.is_attached.swap(false, Ordering::AcqRel)
    }

    /// Runs the user's code, which may panic.
    pub(crate) fn call(&self, execution: &Execution<'_>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some(callback) = &self.callback.0 {
            callback(execution);
        }
    }

    fn info(&self) -> HandlerInfo {
        let calls = self.calls.load(Ordering::Relaxed);
        HandlerInfo {
            id: Arc::clone(&self.id),
            prefix: Arc::clone(&self.prefix),
            deferred: self.is_deferred,
            calls,
        }
    }
}

// ---- all of them -------------------------------------------------------------------------

/// All that are attached, as they were at one moment: by prefix, and in the order of attachment for each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handlers {
    /// In the order of prefixes; none is empty.
    groups: Vec<(Arc<str>, Vec<Arc<Handler>>)>,
}

/// Those that hear one name.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// On the thread of who executes.
    pub(crate) here: Box<[Arc<Handler>]>,
    /// On the telemetry's.
    pub(crate) deferred: Arc<[Arc<Handler>]>,
}

impl Heard {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.here.is_empty() && self.deferred.is_empty()
    }
}

impl Handlers {
    pub(crate) fn len(&self) -> usize {
        self.iter().count()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Handler>> {
        self.groups.iter().flat_map(|(_, handlers)| handlers)
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Arc<Handler>> {
        self.iter().find(|handler| *handler.id == *id)
    }

    /// Those with a prefix that is this one or below it, in the order of prefixes.
    pub(crate) fn below(&self, prefix: &str) -> Vec<HandlerInfo> {
        let below = self.iter().filter(|handler| handler.is_attached() && is_below(&handler.prefix, prefix));
        below.map(|handler| handler.info()).collect()
    }

    /// With one more, the last of its prefix.
    pub(crate) fn with(&self, handler: &Arc<Handler>) -> Self {
        let mut groups = self.groups.clone();
        match self.place(&handler.prefix) {
            Ok(at) => groups[at].1.push(Arc::clone(handler)),
            Err(at) => groups.insert(at, (Arc::clone(&handler.prefix), vec![Arc::clone(handler)])),
        }
        Self { groups }
    }

    /// Without this very one; another of its id stays.
    pub(crate) fn without(&self, handler: &Arc<Handler>) -> Self {
        let is_it = |other: &Arc<Handler>| {
            if mutant!(RetireById) { other.id == handler.id } else { Arc::ptr_eq(other, handler) }
        };
        let mut groups = self.groups.clone();
        groups.iter_mut().for_each(|(_, handlers)| handlers.retain(|other| !is_it(other)));
        groups.retain(|(_, handlers)| !handlers.is_empty());
        Self { groups }
    }

    /// Whether anybody hears a name.
    pub(crate) fn hear(&self, name: &str) -> bool {
        self.hear_before(name, self.after(name))
    }

    /// Whether anybody hears a name or one below it.
    pub(crate) fn hear_below(&self, name: &str) -> bool {
        // No character of a name is before the dot, so what is below it comes first of all that is after it.
        let after = self.after(name);
        let is_next_below = self.groups.get(after).is_some_and(|(prefix, _)| is_below(prefix, name));
        is_next_below || self.hear_before(name, after)
    }

    /// Where the groups begin that are after a name.
    fn after(&self, name: &str) -> usize {
        self.groups.partition_point(|(prefix, _)| **prefix <= *name)
    }

    /// Whether anybody hears a name, of the groups before `end`. What is between a prefix of the name and the name
    /// begins with that prefix: so the last group that is left says how much of the name may still be one. With
    /// handlers of other things only, that is nothing, and one look has been enough.
    fn hear_before(&self, name: &str, mut end: usize) -> bool {
        while let Some((last, _)) = self.groups[..end].last() {
            if is_below(name, last) {
                return true;
            }
            end = self.after(shared_words(name, last));
        }
        false
    }

    /// Who hears a name: from the shortest prefix to the longest.
    pub(crate) fn heard(&self, name: &str) -> Heard {
        let groups = prefixes(name).filter_map(|prefix| Some(&self.groups[self.place(prefix).ok()?].1));
        let (deferred, here): (Vec<_>, Vec<_>) =
            groups.flatten().cloned().partition(|handler| handler.is_deferred);
        Heard { here: here.into(), deferred: deferred.into() }
    }

    fn place(&self, prefix: &str) -> Result<usize, usize> {
        self.groups.binary_search_by(|(other, _)| (**other).cmp(prefix))
    }
}

/// The empty one, that of the first word, of the first two, and so on to the name itself.
fn prefixes(name: &str) -> impl Iterator<Item = &str> {
    let inner = name.match_indices('.').map(|(at, _)| &name[..at]);
    std::iter::once("").chain(inner).chain(std::iter::once(name))
}

/// The first words of a name, as many as the other begins with.
fn shared_words<'a>(name: &'a str, other: &str) -> &'a str {
    let same = name.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    let words = name.as_bytes().get(..=same).unwrap_or(name.as_bytes());
    words.iter().rposition(|byte| *byte == b'.').map_or("", |dot| &name[..dot])
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn handler(id: &str, prefix: &str, is_deferred: bool) -> Arc<Handler> {
        Arc::new(Handler::new(id, prefix, is_deferred, |_| ()).expect("an id and a prefix"))
    }

    fn ids(handlers: &[Arc<Handler>]) -> Vec<&str> {
        handlers.iter().map(|handler| &**handler.id()).collect()
    }

    fn name() -> impl Strategy<Value = String> {
        let word = prop_oneof![Just("a"), Just("b"), Just("a_b"), Just("ab"), Just("a0")];
        prop::collection::vec(word, 1..4).prop_map(|words| words.join("."))
    }

    proptest! {
        #[test]
        fn a_name_is_heard_by_whoever_has_a_prefix_of_whole_words(
            attached in prop::collection::vec((prop_oneof![Just(String::new()), name()], any::<bool>()), 0..12),
            gone in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
            asked in name(),
        ) {
            let mut all: Vec<_> = (0..).zip(&attached)
                .map(|(n, (prefix, is_deferred))| handler(&format!("{n}"), prefix, *is_deferred))
                .collect();
            let mut handlers = all.iter().fold(Handlers::default(), |handlers, one| handlers.with(one));
            for index in gone.iter().filter(|_| !attached.is_empty()) {
                let one = &*index.get(&attached).0;
                let Some(at) = all.iter().position(|other| other.prefix() == one) else { continue };
                handlers = handlers.without(&all.remove(at));
            }
            let mut hearing: Vec<_> = all.iter().filter(|one| is_below(&asked, one.prefix())).cloned().collect();
            hearing.sort_by_key(|one| one.prefix().len()); // stable: by attachment within one prefix
            let (deferred, here): (Vec<_>, Vec<_>) = hearing.into_iter().partition(|one| one.is_deferred);
            let heard = handlers.heard(&asked);
            prop_assert_eq!(ids(&heard.here), ids(&here));
            prop_assert_eq!(ids(&heard.deferred), ids(&deferred));
            prop_assert_eq!(handlers.hear(&asked), !heard.is_empty());
            let is_near = |one: &Arc<Handler>| is_below(&asked, one.prefix()) || is_below(one.prefix(), &asked);
            prop_assert_eq!(handlers.hear_below(&asked), all.iter().any(is_near));
            prop_assert_eq!((handlers.len(), handlers.is_empty()), (all.len(), all.is_empty()));
            let mut below: Vec<_> = all.iter().filter(|one| is_below(one.prefix(), &asked)).cloned().collect();
            below.sort_by(|one, other| one.prefix().cmp(other.prefix()));
            let listed = handlers.below(&asked);
            prop_assert_eq!(listed.iter().map(|info| &*info.id).collect::<Vec<_>>(), ids(&below));
        }

        #[test]
        fn any_text_may_be_looked_up(text: String) {
            let handlers = Handlers::default().with(&handler("a", "a.b", false));
            let (hears, near) = (handlers.hear(&text), handlers.hear_below(&text));
            prop_assert_eq!((hears, near), (is_below(&text, "a.b"), is_below(&text, "a.b") || is_below("a.b", &text)));
        }
    }

    #[test]
    fn ids_and_prefixes_have_their_bounds() {
        let new = |id: &str, prefix: &str| Handler::new(id, prefix, false, |_| ()).map(|_| ());
        assert_eq!(new("", "a"), Err(AttachError::Id { found: 0 }));
        assert_eq!(new(&"x".repeat(201), "a"), Err(AttachError::Id { found: 201 }));
        assert!(matches!(new("a", "a."), Err(AttachError::Prefix(DescriptorError::Name { at: 2, .. }))));
        assert_eq!((new("Any text!", ""), new(&"x".repeat(200), "a.b")), (Ok(()), Ok(())));
    }

    #[test]
    fn a_handler_is_retired_once() {
        let handler = handler("a", "", false);
        assert_eq!(
            [handler.is_attached(), handler.retire(), handler.retire(), handler.is_attached()],
            [true, true, false, false]
        );
    }
}
