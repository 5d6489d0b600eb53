//! Where the state of one incarnation waits for the next, when a child is replaced.
//!
//! | holds | entered by |
//! |---|---|
//! | nothing | its making |
//! | the state | the old incarnation, once, if nobody closed it |
//! | closed | whoever takes first: the factory of the new one, or the supervisor that calls it off |
//!
//! All three under one lock, so a state is given and taken once, or stays where it is. No code of
//! the user's runs under it: states are moved.

use std::any::Any;

use crate::sync::{Mutex, mutant};

/// An exchange, apart from the type of the state.
pub(crate) trait Exchange: Send + Sync {
    /// Takes the state out of `from`, an `Option` of it. `false` if nobody waits for it any more:
    /// then it stays there.
    fn give(&self, from: &mut dyn Any) -> bool;
    /// From here on nobody takes anything. What was given before comes back, to be dropped where
    /// code of the user's may run.
    fn close(&self) -> Option<Box<dyn Any + Send>>;
}

/// The exchange of a state of type `S`.
pub(crate) struct Hand<S>(Mutex<Holds<S>>);

enum Holds<S> {
    Nothing,
    State(S),
    Closed,
}

impl<S> Hand<S> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Holds::Nothing))
    }

    /// What was given, the first time; nothing is given after that.
    pub(crate) fn take(&self) -> Option<S> {
        match std::mem::replace(&mut *self.0.lock(), Holds::Closed) {
            Holds::State(state) => Some(state),
            Holds::Nothing | Holds::Closed => None,
        }
    }
}

impl<S: Send + 'static> Exchange for Hand<S> {
    fn give(&self, from: &mut dyn Any) -> bool {
        let Some(from) = from.downcast_mut::<Option<S>>() else { return false };
        let mut holds = self.0.lock();
        if !matches!(*holds, Holds::Nothing) && !mutant!(GiveToNobody) {
            return false;
        }
        let Some(state) = from.take() else { return false };
        *holds = Holds::State(state);
        true
    }

    fn close(&self) -> Option<Box<dyn Any + Send>> {
        self.take().map(|state| Box::new(state) as Box<dyn Any + Send>)
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_given_once_and_taken_once() {
        let (hand, mut state) = (Hand::<i32>::new(), Some(7));
        assert!(hand.give(&mut state) && state.is_none());
        assert!(!hand.give(&mut Some(8)), "there is one already");
        assert_eq!((hand.take(), hand.take()), (Some(7), None));
    }

    #[test]
    fn nothing_is_given_to_one_that_was_closed() {
        let (hand, mut state) = (Hand::<i32>::new(), Some(7));
        assert!(hand.close().is_none());
        assert!(!hand.give(&mut state) && hand.take().is_none());
        assert_eq!(state, Some(7), "it stays where it was");
    }

    #[test]
    fn what_was_given_comes_back_when_it_is_closed() {
        let hand = Hand::<i32>::new();
        assert!(hand.give(&mut Some(7)));
        let back = hand.close().and_then(|state| state.downcast().ok());
        assert_eq!(back, Some(Box::new(7)));
        assert!(hand.close().is_none());
    }

    #[test]
    fn a_state_of_another_type_stays_where_it_is() {
        let (hand, mut other) = (Hand::<u8>::new(), Some("text"));
        assert!(!hand.give(&mut other) && other.is_some());
        assert!(hand.take().is_none());
    }
}
