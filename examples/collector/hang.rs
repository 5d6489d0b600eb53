//! Hangs: what `--hang` does to a parser, and how long until somebody does something about it.
//!
//! A parser hangs for [`LASTS`]. It is noticed after [`STUCK`], asked to stop, and abandoned after
//! [`GRACE`]: then its successor goes on with its queue. So one parser leaves a thread behind every 0.3 s
//! at most, and the two that are usual have at most 27 such threads at a time: fewer than [`MOST`], from
//! which on nobody is given up. Four and more parsers may come to that if they hang all the time; then
//! those that hang wait, with their lines, until a thread has come back.

use std::sync::mpsc;
use std::time::Duration;

/// How long a parser hangs. Longer than anybody waits for it, shorter than anybody waits in a test.
pub(crate) const LASTS: Duration = Duration::from_secs(4);
/// How long a parser may be at one line before it counts as stuck. A line takes some microseconds; what
/// takes longest is to wait for the sink.
pub(crate) const STUCK: Duration = Duration::from_millis(200);
/// How long it may then take to stop.
pub(crate) const GRACE: Duration = Duration::from_millis(100);
/// How many abandoned threads there may be.
pub(crate) const MOST: usize = 32;

/// Waits for an answer that does not come.
pub(crate) fn wait_in_vain() {
    let (_silent, answer) = mpsc::channel::<()>();
    let _ = answer.recv_timeout(LASTS);
}
