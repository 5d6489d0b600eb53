//! What supervision has to say: to the medic, and on stderr.

use std::sync::Arc;

use underpin::{CrashReport, Exit, Handle, SupervisionEvent};

use crate::{chaos, medic, parser};

/// Tells of crashes and hangs that nobody ordered, and of those that did not stop. With a medic, he is
/// told of parsers that hang, and says himself what came of it.
pub(crate) fn hook(medic: Option<Handle<medic::Msg>>) -> impl Fn(&SupervisionEvent) + Send + Sync {
    move |event| match (event, &medic) {
        (SupervisionEvent::Stuck { child, epoch, .. }, Some(medic)) => {
            // He rejects what is too much, and is gone at the end. In neither case is there to wait.
            let _ = medic.cast(medic::Msg::Stuck { name: Arc::clone(child), epoch: *epoch });
        }
        (SupervisionEvent::Abandoned { child, .. }, Some(_)) if child.starts_with(parser::NAME) => {}
        _ => tell(event),
    }
}

fn tell(event: &SupervisionEvent) {
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
    matches!(&crash.exit, Exit::Panicked(text) if **text == *chaos::CHAOS)
}
