//! What belongs together.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use uuid::{Builder, Uuid};

use crate::sync;

/// What several events have in common: a request, a session, a job. A random UUID (version 4), or
/// whatever the program calls it.
///
/// A text that is a UUID with hyphens, in lower case, is that UUID.
///
/// # Example
///
/// ```
/// use underpin::events::Correlation;
///
/// let order = Correlation::from("order 17");
/// assert_eq!(order.to_string(), "order 17");
/// let request = Correlation::random();
/// assert_eq!(Correlation::from(request.to_string().as_str()), request);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Correlation(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Uuid(Uuid),
    Text(Arc<str>),
}

impl Correlation {
    /// A new one that no other is equal to: a UUID of version 4.
    ///
    /// # Panics
    ///
    /// Where the operating system has no random bytes.
    pub fn random() -> Self {
        Self(Repr::Uuid(Builder::from_random_bytes(random_bytes()).into_uuid()))
    }

    /// The UUID with these bits.
    pub const fn from_u128(bits: u128) -> Self {
        Self(Repr::Uuid(Uuid::from_u128(bits)))
    }

    /// The bits of the UUID, if it is one.
    pub fn as_u128(&self) -> Option<u128> {
        match &self.0 {
            Repr::Uuid(uuid) => Some(uuid.as_u128()),
            Repr::Text(_) => None,
        }
    }

    /// The text, if it is no UUID.
    pub(crate) fn as_text(&self) -> Option<&Arc<str>> {
        match &self.0 {
            Repr::Uuid(_) => None,
            Repr::Text(text) => Some(text),
        }
    }
}

/// UUIDs are drawn by the page: asking the system for each would cost more than storing an event.
const PAGE: usize = 64;

sync::thread_local! {
    static DRAWN: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
}

fn random_bytes() -> [u8; 16] {
    let drawn = DRAWN.try_with(|drawn| drawn.try_borrow_mut().ok().and_then(|mut drawn| next(&mut drawn)));
    // A thread that ends has no page any more.
    drawn.ok().flatten().unwrap_or_else(|| *Uuid::new_v4().as_bytes())
}

fn next(drawn: &mut Vec<[u8; 16]>) -> Option<[u8; 16]> {
    if drawn.is_empty() {
        let mut page = [0; PAGE * 16];
        getrandom::fill(&mut page).expect("the system has random bytes");
        drawn.extend(page.as_chunks::<16>().0);
    }
    drawn.pop()
}

impl From<&str> for Correlation {
    fn from(text: &str) -> Self {
        let uuid = Uuid::try_parse(text).ok().filter(|uuid| uuid.hyphenated().to_string() == text);
        Self(uuid.map_or_else(|| Repr::Text(text.into()), Repr::Uuid))
    }
}

impl From<String> for Correlation {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Arc<str>> for Correlation {
    fn from(text: Arc<str>) -> Self {
        match Self::from(&*text) {
            Self(Repr::Text(_)) => Self(Repr::Text(text)),
            uuid => uuid,
        }
    }
}

impl fmt::Display for Correlation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Uuid(uuid) => uuid.hyphenated().fmt(f),
            Repr::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Correlation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Correlation({self})")
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn random_ones_are_of_version_4_and_all_differ() {
        let drawn: HashSet<_> = (0..10_000).map(|_| Correlation::random()).collect();
        assert_eq!(drawn.len(), 10_000);
        let version = |correlation: &Correlation| correlation.as_u128().map(|bits| bits >> 76 & 0xF);
        assert!(drawn.iter().all(|correlation| version(correlation) == Some(4)));
    }

    #[test]
    fn a_text_that_only_looks_like_a_uuid_stays_as_it_is() {
        for text in ["67E55044-10b1-426f-9247-bb680e5fe0c8", "{67e55044-10b1-426f-9247-bb680e5fe0c8}", ""] {
            assert_eq!(
                (Correlation::from(text).as_u128(), Correlation::from(text).to_string()),
                (None, text.into())
            );
        }
        let text: Arc<str> = "67e55044-10b1-426f-9247-bb680e5fe0c8".into();
        assert!(Correlation::from(text).as_u128().is_some());
    }
}
