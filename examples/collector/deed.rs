//! A line as an event: of which kind, and what it belongs together with.

use std::fmt::Write;

use syslog_loose::{Message, ProcId, Protocol};
use underpin::events::{Event, MAX_NAME_BYTES};

use crate::framing::Fault;

/// A line that is no text.
const NO_TEXT: &str = "malformed";

/// The kind of what this is.
pub(crate) fn kind_of(message: &Message<&str>) -> &'static str {
    match message.protocol {
        Protocol::RFC3164 => "syslog.rfc3164",
        Protocol::RFC5424(_) => "syslog.rfc5424",
    }
}

/// The host that a message says, or the source if it says none.
pub(crate) fn host_of<'a>(message: &Message<&'a str>, source: &'a str) -> &'a str {
    message.hostname.filter(|host| !host.is_empty()).unwrap_or(source)
}

/// Says who speaks, as `host/app[pid]`, as far as the message says that; the host is the source if it says
/// none. At most as long as a correlation may be: the rest is cut off.
pub(crate) fn speaker_of(message: &Message<&str>, source: &str, speaker: &mut String) {
    speaker.clear();
    speaker.push_str(host_of(message, source));
    if let Some(app) = message.appname {
        speaker.extend(["/", app]);
    }
    // Nothing goes wrong with a text.
    let _ = match &message.procid {
        Some(ProcId::PID(pid)) => write!(speaker, "[{pid}]"),
        Some(ProcId::Name(name)) => write!(speaker, "[{name}]"),
        None => Ok(()),
    };
    cut(speaker);
}

/// A line that is text, without its end.
pub(crate) fn of_text(kind: &'static str, speaker: &str, text: String) -> Event {
    Event::of(kind, speaker).with_data(text)
}

/// A line that is no text, without its end.
pub(crate) fn of_bytes(source: &str, bytes: Vec<u8>) -> Event {
    malformed(NO_TEXT, source).with_data(bytes)
}

/// A frame that holds no line: what it held was skipped, so there are no data.
pub(crate) fn of_fault(source: &str, fault: Fault) -> Event {
    let kind = match fault {
        Fault::TooLong => "malformed.too_long",
        Fault::Truncated => "malformed.truncated",
    };
    malformed(kind, source)
}

fn malformed(kind: &'static str, source: &str) -> Event {
    let mut source = source.to_owned();
    cut(&mut source);
    Event::of(kind, source)
}

/// A path, or what a message says, may be longer than a correlation.
fn cut(name: &mut String) {
    name.truncate(cut_to(name, MAX_NAME_BYTES).len());
}

/// As much of a text as so many bytes hold.
pub(crate) fn cut_to(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message;

    fn speaker(text: &str) -> String {
        let mut speaker = String::from("what was there before");
        speaker_of(&message::of(text), "::1", &mut speaker);
        speaker
    }

    #[test]
    fn who_speaks_is_host_and_process_as_far_as_they_are_said() {
        let said = [
            ("<34>Oct 11 22:14:15 host su[9]: x", "host/su[9]"),
            ("<34>Oct 11 22:14:15 host su: x", "host/su"),
            ("<34>1 2026-01-01T00:00:00Z host app p-7 ID47 - x", "host/app[p-7]"),
            ("<34>1 2026-01-01T00:00:00Z - app 7 ID47 - x", "::1/app[7]"),
            ("<34>1 2026-01-01T00:00:00Z - - - - - x", "::1"),
            ("just text", "::1"),
        ];
        said.into_iter().for_each(|(text, expected)| assert_eq!(speaker(text), expected, "{text}"));
    }

    #[test]
    fn a_long_name_is_cut_between_letters() {
        let long = "é".repeat(200);
        let speaker = speaker(&format!("<34>1 2026-01-01T00:00:00Z h{long} app 7 - - x"));
        assert_eq!(speaker, format!("h{}", "é".repeat(127)));
        assert_eq!(malformed(NO_TEXT, &long).correlation().to_string(), "é".repeat(127));
    }

    #[test]
    fn the_kind_is_the_format() {
        assert_eq!(kind_of(&message::of("<34>1 2026-01-01T00:00:00Z h a 7 - - x")), "syslog.rfc5424");
        assert_eq!(kind_of(&message::of("just text")), "syslog.rfc3164");
        assert_eq!(of_fault("s", Fault::TooLong).kind(), "malformed.too_long");
    }
}
