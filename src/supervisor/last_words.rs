//! The end of the process, where [`OnHang::AbortProcess`](crate::OnHang::AbortProcess) calls for it.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use super::child::Site;
use super::hang::Hung;
use super::report::{SupervisionEvent, Unstopped};
use crate::service::wait::Gate;
use crate::sync::{self, Clock};

/// How long the line on stderr and the event hook together may take. By the system's clock: the
/// tree's may stand still.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Says who hangs on stderr and to whoever hears of events, and aborts the process. In a simulation,
/// which has no process of its own, it only tells of it.
pub(super) fn abort(site: &Site, hung: Unstopped, why: Hung) {
    let line = format!("underpin: {hung}; it {why}; the process is aborted\n");
    site.reporter.report(log::Level::Error, || SupervisionEvent::Aborting { hung, why });
    if site.host.is_simulated() {
        return;
    }
    let until = Some(Clock::SYSTEM.now() + LAST_WORDS);
    let said = say(line);
    site.reporter.clerk().flush(&Clock::SYSTEM, until);
    said.wait(&Clock::SYSTEM, until);
    sync::abort();
}

/// On a thread of its own: whoever hangs may hold stderr, or have filled the pipe behind it.
fn say(line: String) -> Arc<Gate> {
    let said = Arc::<Gate>::default();
    let told = Arc::clone(&said);
    // Without a thread for it nothing is said: the abort matters more.
    let spawned = sync::spawn("last words".into(), None, move || {
        let _ = std::io::stderr().write_all(line.as_bytes());
        told.open();
    });
    if spawned.is_err() {
        said.open();
    }
    said
}
