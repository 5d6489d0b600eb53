//! How a model says that a protocol holds, and that its mutant is found.

use super::model::{Mutant, finds_mutant, model_with};
use super::{JoinHandle, spawn};

/// With so many preemptions in an execution every mutant is found; two are too few for some.
pub(crate) const PREEMPTIONS: usize = 3;

/// The protocol holds.
pub(crate) fn holds(name: &str, body: impl Fn() + Send + Sync + 'static) {
    holds_at(PREEMPTIONS, name, body);
}

/// The same as far as so many preemptions show: for models with much in them.
pub(crate) fn holds_at(preemptions: usize, name: &str, body: impl Fn() + Send + Sync + 'static) {
    println!("{name}: {} executions", model_with(preemptions, body));
}

/// The model of it finds the mutant.
pub(crate) fn finds(mutant: Mutant, body: impl Fn() + Send + Sync + 'static) {
    println!("{mutant:?}: found after {} executions", finds_mutant(mutant, PREEMPTIONS, body));
}

pub(crate) fn thread<T: Send + 'static>(main: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    spawn(String::new(), None, main).expect("a model's threads are free")
}

pub(crate) fn joined<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("a model's panics do not leave their threads")
}

/// What is not dropped in unwinding: loom may have stopped somebody in the middle of it.
pub(crate) struct Kept<T>(Option<T>);

impl<T> Kept<T> {
    pub(crate) fn new(kept: T) -> Self {
        Self(Some(kept))
    }

    pub(crate) fn get(&mut self) -> &mut T {
        self.0.as_mut().expect("it is there until it is dropped")
    }
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::mem::forget(self.0.take());
        }
    }
}
