//! What supervision has to say, on stderr.

use underpin::{CrashReport, Exit, SupervisionEvent};

use crate::parser;

/// Tells of crashes that nobody ordered, and of those that did not stop.
pub(crate) fn tell(event: &SupervisionEvent) {
    match event {
        SupervisionEvent::Crashed(crash) if !is_chaos(crash) => {
            eprintln!("collector: {} {}", crash.child, crash.exit)
        }
        SupervisionEvent::Abandoned { child, .. } => eprintln!("collector: {child} hangs and was abandoned"),
        SupervisionEvent::GaveUp { supervisor, child, .. } => {
            eprintln!("collector: {supervisor} gave up on {child}");
        }
        _ => {}
    }
}

fn is_chaos(crash: &CrashReport) -> bool {
    matches!(&crash.exit, Exit::Panicked(text) if **text == *parser::CHAOS)
}
