//! What a thread was doing when something failed.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::sync;

/// How many crumbs a context holds. The oldest makes room for one more, and is counted.
pub const MAX_CRUMBS: usize = 32;
/// How many bytes of a crumb or a correlation are kept. What is longer is cut.
pub const MAX_CRUMB_BYTES: usize = 256;

/// What a thread was doing when something failed: the steps that led there, and what they belong to.
///
/// Each thread has one. A [step](Self::within) is in it for as long as it runs; a [crumb](Self::crumb) until the
/// step ends that left it. Whatever ends a step, a panic among it, the context is as it was before. An error
/// takes it along by [`attach`](Self::attach), since it leaves the steps in which it arose.
///
/// It holds 32 crumbs of 256 bytes.
///
/// # Example
///
/// ```
/// use underpin::resilience::ErrorContext;
///
/// let order = || {
///     ErrorContext::crumb("3 items");
///     ErrorContext::within("payment", || "17a".parse::<u32>().map_err(ErrorContext::attach))
/// };
/// let failed = ErrorContext::correlated("order 17", || ErrorContext::within("checkout", order));
/// let error = failed.unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "invalid digit found in string (in checkout > 3 items > payment; order 17)"
/// );
/// assert!(ErrorContext::current().is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorContext {
    correlation: Option<Arc<str>>,
    crumbs: VecDeque<Arc<str>>,
    dropped: u64,
}

sync::thread_local! {
    static CURRENT: RefCell<ErrorContext> = const { RefCell::new(ErrorContext::EMPTY) };
}

impl ErrorContext {
    const EMPTY: Self = Self { correlation: None, crumbs: VecDeque::new(), dropped: 0 };

    /// That of the calling thread, as it is now. Empty where the thread is about to end.
    pub fn current() -> Self {
        CURRENT.try_with(|current| current.borrow().clone()).unwrap_or(Self::EMPTY)
    }

    /// Runs `work` as a step of that name.
    ///
    /// # Panics
    ///
    /// When `work` does; the context is restored.
    pub fn within<R>(step: &str, work: impl FnOnce() -> R) -> R {
        let mut inside = Self::current();
        inside.push(step);
        inside.run(work)
    }

    /// Runs `work` as part of what that text stands for: a request, an order. It goes before one from outside.
    ///
    /// # Panics
    ///
    /// When `work` does; the context is restored.
    pub fn correlated<R>(correlation: &str, work: impl FnOnce() -> R) -> R {
        let mut inside = Self::current();
        inside.correlation = Some(cut(correlation).into());
        inside.run(work)
    }

    /// Leaves a note of what was done, until the present step ends; outside all steps until the thread does.
    pub fn crumb(text: &str) {
        // Whoever is displaced is a text: its drop runs no code of others.
        let _ = CURRENT.try_with(|current| current.borrow_mut().push(text));
    }

    /// Runs `work` in this context instead of the thread's own: what one thread was doing goes on in another.
    ///
    /// # Panics
    ///
    /// When `work` does; the thread's own context is restored.
    ///
    /// # Example
    ///
    /// ```
    /// use underpin::resilience::ErrorContext;
    ///
    /// let here = ErrorContext::within("request", ErrorContext::current);
    /// let there = std::thread::spawn(move || here.run(ErrorContext::current));
    /// assert_eq!(there.join().unwrap().crumbs().collect::<Vec<_>>(), ["request"]);
    /// ```
    pub fn run<R>(self, work: impl FnOnce() -> R) -> R {
        let _restored = Restore(CURRENT.try_with(|current| current.replace(self)).ok());
        work()
    }

    /// An error, with the context of the calling thread.
    pub fn attach<E>(error: E) -> InContext<E> {
        InContext { error, context: Self::current() }
    }

    /// What the present work belongs to, if that was said.
    pub fn correlation(&self) -> Option<&str> {
        self.correlation.as_deref()
    }

    /// Steps and notes, oldest first.
    pub fn crumbs(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.crumbs.iter().map(|crumb| &**crumb)
    }

    /// How many older ones there were no room for.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.correlation.is_none() && self.crumbs.is_empty()
    }

    fn push(&mut self, text: &str) {
        if self.crumbs.len() >= MAX_CRUMBS {
            self.crumbs.pop_front();
            self.dropped += 1;
        }
        self.crumbs.push_back(cut(text).into());
    }
}

/// As `checkout > 3 items > payment; order 17`.
impl fmt::Display for ErrorContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dropped > 0 {
            write!(f, "({} more) > ", self.dropped)?;
        }
        for (at, crumb) in self.crumbs().enumerate() {
            write!(f, "{}{crumb}", if at == 0 { "" } else { " > " })?;
        }
        match self.correlation() {
            Some(correlation) if self.crumbs.is_empty() => f.write_str(correlation),
            Some(correlation) => write!(f, "; {correlation}"),
            None => Ok(()),
        }
    }
}

/// As many bytes of a text as are kept, in whole characters.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_CRUMB_BYTES)]
}

/// Puts the context back that was there before, also in unwinding.
struct Restore(Option<ErrorContext>);

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(before) = self.0.take() {
            let _ = CURRENT.try_with(|current| current.replace(before));
        }
    }
}

/// An error, and what its thread was doing.
///
/// # Example
///
/// ```
/// use underpin::resilience::ErrorContext;
///
/// let error = ErrorContext::within("start", || ErrorContext::attach(std::fmt::Error));
/// assert_eq!(error.context.crumbs().next(), Some("start"));
/// assert_eq!(error.error, std::fmt::Error);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InContext<E> {
    /// The error.
    pub error: E,
    /// What its thread was doing.
    pub context: ErrorContext,
}

impl<E: fmt::Display> fmt::Display for InContext<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.context.is_empty() {
            return self.error.fmt(f);
        }
        write!(f, "{} (in {})", self.error, self.context)
    }
}

/// The error inside is the source, so that a [`Classifier`](super::Classifier) finds it.
impl<E: std::error::Error + 'static> std::error::Error for InContext<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Of the same kind as the error inside.
impl<E: super::Classify> super::Classify for InContext<E> {
    fn kind(&self) -> crate::error::ErrorKind {
        self.error.kind()
    }

    fn retry_after(&self) -> Option<std::time::Duration> {
        self.error.retry_after()
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    fn text() -> String {
        ErrorContext::current().to_string()
    }

    #[test]
    fn a_nested_context_is_restored() {
        let seen = ErrorContext::correlated("a", || {
            ErrorContext::within("outer", || {
                let inside = ErrorContext::correlated("b", || {
                    ErrorContext::within("inner", || {
                        ErrorContext::crumb("note");
                        text()
                    })
                });
                (inside, text())
            })
        });
        assert_eq!(seen, ("outer > inner > note; b".into(), "outer; a".into()));
        assert_eq!(ErrorContext::current(), ErrorContext::EMPTY);
    }

    #[test]
    fn a_nested_context_is_restored_also_on_panic() {
        ErrorContext::within("outer", || {
            let panicked = catch_unwind(|| {
                ErrorContext::within("inner", || {
                    ErrorContext::crumb("note");
                    ErrorContext::correlated("b", || resume_unwind(Box::new("boom")))
                })
            });
            assert!(panicked.is_err());
            assert_eq!(text(), "outer");
        });
    }

    #[test]
    fn what_is_dropped_in_unwinding_sees_the_step_it_is_dropped_in() {
        struct Looks<'a>(&'a RefCell<String>);
        impl Drop for Looks<'_> {
            fn drop(&mut self) {
                *self.0.borrow_mut() = text();
            }
        }
        let seen = RefCell::new(String::new());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            ErrorContext::within("step", || {
                let _looks = Looks(&seen);
                resume_unwind(Box::new("boom"))
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(*seen.borrow(), "step");
    }

    #[test]
    fn the_oldest_make_room_and_are_counted_and_come_back() {
        ErrorContext::within("outer", || {
            ErrorContext::within("inner", || {
                (0..40).for_each(|n| ErrorContext::crumb(&n.to_string()));
                let context = ErrorContext::current();
                assert_eq!((context.crumbs().len(), context.dropped()), (MAX_CRUMBS, 10));
                assert_eq!(context.crumbs().next(), Some("8"));
                assert!(context.to_string().starts_with("(10 more) > 8 > 9"));
            });
            assert_eq!(text(), "outer");
        });
    }

    #[test]
    fn the_kind_of_an_error_stays_what_it_is() {
        let error = ErrorContext::attach(crate::error::ErrorKind::System);
        assert_eq!(super::super::Classify::kind(&error), crate::error::ErrorKind::System);
    }

    proptest! {
        #[test]
        fn any_text_is_kept_up_to_its_bound(text: String, times in 1..60_usize) {
            let text = text.repeat(times);
            let kept = ErrorContext::within(&text, ErrorContext::current);
            let crumb = kept.crumbs().next().unwrap_or_default();
            prop_assert!(text.starts_with(crumb) && crumb.len() <= MAX_CRUMB_BYTES);
            prop_assert!(crumb.len() == text.len() || crumb.len() > MAX_CRUMB_BYTES - 4);
            let kept = ErrorContext::correlated(&text, ErrorContext::current);
            prop_assert_eq!(kept.correlation(), Some(crumb));
        }
    }
}
