//! A message on its way to another collector: as RFC 5424 has it, in a frame of RFC 6587.

use std::borrow::Cow;
use std::fmt::{Display, Write};

use syslog_loose::{Message, ProcId, Protocol, SyslogFacility, SyslogSeverity};

use crate::deed;

/// What stands for a field that there is not (RFC 5424, section 6).
const NIL: &str = "-";
/// How long fields may be, in bytes (section 6): the host, the application, its process, the kind of the message.
const HOST: usize = 255;
const APP: usize = 48;
const PROCESS: usize = 128;
const MESSAGE_ID: usize = 32;

/// The frame of a line, which this message is; `source` is where it came from.
///
/// A line of RFC 5424 is as it came. Any other is put into that form: what it does not say is `-`, the host is the source
/// then, and a line without a priority is user.notice (RFC 3164, section 4.3.3).
pub(crate) fn frame_of(message: &Message<&str>, source: &str, line: &str) -> Vec<u8> {
    let text = if is_whole(message) { Cow::Borrowed(line) } else { Cow::Owned(text_of(message, source)) };
    let mut frame = Vec::with_capacity(text.len() + 8);
    frame.extend_from_slice(text.len().to_string().as_bytes());
    frame.push(b' ');
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// Whether the line needs no change.
fn is_whole(message: &Message<&str>) -> bool {
    message.protocol == Protocol::RFC5424(1) && message.facility.is_some() && message.severity.is_some()
}

fn text_of(message: &Message<&str>, source: &str) -> String {
    let mut text = String::with_capacity(message.msg.len() + 128);
    let host = deed::host_of(message, source);
    // Nothing goes wrong with a text.
    let _ = write!(text, "<{}>1 {} ", priority_of(message), time_of(message));
    for (field, most) in [(Some(host), HOST), (message.appname, APP)] {
        put_name(&mut text, field, most);
    }
    match &message.procid {
        Some(ProcId::PID(pid)) => put_name(&mut text, Some(&pid.to_string()), PROCESS),
        Some(ProcId::Name(name)) => put_name(&mut text, Some(name), PROCESS),
        None => put_name(&mut text, None, PROCESS),
    }
    put_name(&mut text, message.msgid, MESSAGE_ID);
    put_data(&mut text, message);
    if !message.msg.is_empty() {
        text.extend([" ", message.msg]);
    }
    text
}

fn priority_of(message: &Message<&str>) -> i32 {
    let facility = message.facility.unwrap_or(SyslogFacility::LOG_USER) as i32;
    let severity = message.severity.unwrap_or(SyslogSeverity::SEV_NOTICE) as i32;
    facility * 8 + severity
}

/// Years beyond those of four digits are none of the format's.
fn time_of(message: &Message<&str>) -> impl Display {
    let time = message.timestamp.map(|time| time.format("%Y-%m-%dT%H:%M:%S%.6f%:z").to_string());
    time.filter(|time| time.find('-') == Some(4)).unwrap_or_else(|| NIL.to_owned())
}

/// A field, and the space behind it: visible ASCII, as much of it as there may be. Anything else is `?`.
fn put_name(text: &mut String, name: Option<&str>, most: usize) {
    let name = name.filter(|name| !name.is_empty()).unwrap_or(NIL);
    text.extend(name.chars().take(most).map(|letter| if letter.is_ascii_graphic() { letter } else { '?' }));
    text.push(' ');
}

/// Structured data as they came.
fn put_data(text: &mut String, message: &Message<&str>) {
    if message.structured_data.is_empty() {
        text.push_str(NIL);
    }
    for element in &message.structured_data {
        let _ = write!(text, "{element}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::{Decoder, Frame};
    use crate::message;
    use proptest::prelude::*;

    fn relayed(line: &str) -> String {
        let frame = frame_of(&message::of(line), "10.0.0.1", line);
        let text = String::from_utf8(frame).expect("text");
        let (octets, text) = text.split_once(' ').expect("a count");
        assert_eq!(octets.parse(), Ok(text.len()));
        text.to_owned()
    }

    #[test]
    fn a_line_of_rfc_5424_is_as_it_came() {
        let line = r#"<165>1 2026-03-01T12:00:00.5Z host app 17 ID7 [x@1 a="q\"q"]  two  spaces"#;
        assert_eq!(relayed(line), line);
    }

    #[test]
    fn other_lines_are_put_into_its_form() {
        assert_eq!(relayed("just text"), "<13>1 - 10.0.0.1 - - - - just text");
        assert_eq!(relayed("<34>text"), "<34>1 - 10.0.0.1 - - - - text");
        assert_eq!(relayed("<0>text"), "<0>1 - 10.0.0.1 - - - - text");
        assert_eq!(relayed("<191>text"), "<191>1 - 10.0.0.1 - - - - text");
        let line = relayed("<34>Oct 11 22:14:15 host su[9]: it failed");
        let (head, tail) = line.split_once("-10-11T22:14:15.000000").expect("the time");
        assert!(head.starts_with("<34>1 2") && tail.ends_with(" host su 9 - - it failed"), "{line}");
    }

    #[test]
    fn every_priority_stays_what_it_is() {
        for priority in 0..=191 {
            let line = format!("<{priority}>Oct 11 22:14:15 host su: x");
            assert!(relayed(&line).starts_with(&format!("<{priority}>1 ")), "{line}");
        }
    }

    #[test]
    fn names_are_visible_ascii_and_as_long_as_they_may_be() {
        let app = "a".repeat(60);
        let line = relayed(&format!("<34>Oct 11 22:14:15 hôst {app}[p q]: x"));
        assert!(line.contains(" h?st "), "{line}");
        assert!(line.contains(&format!(" {} ", "a".repeat(48))), "{line}");
    }

    proptest! {
        /// The collector that gets it reads of it what this one has read, whatever the line was.
        #[test]
        fn who_gets_it_reads_the_same(line in "(<[0-9]{1,3}>)?((Oct 11 22:14:15 )?[a-z]{1,5} [a-z]{1,5}(\\[[0-9]{1,4}\\])?: )?\\PC{0,60}") {
            let before = message::of(&line);
            let frame = frame_of(&before, "10.0.0.1", &line);
            let mut decoder = Decoder::new();
            let mut rest = &frame[..];
            while !rest.is_empty() {
                let space = decoder.space();
                let fits = space.len().min(rest.len());
                space[..fits].copy_from_slice(&rest[..fits]);
                decoder.filled(fits);
                rest = &rest[fits..];
            }
            let Some(Frame::Line(bytes)) = decoder.next() else { panic!("no line in {frame:?}") };
            prop_assert_eq!((decoder.next(), decoder.finish()), (None, None));
            let text = String::from_utf8(bytes).expect("text");
            let after = message::of(&text);
            prop_assert_eq!(after.protocol, Protocol::RFC5424(1));
            prop_assert_eq!(after.msg.trim(), before.msg.trim()); // what is around it is nobody's
            prop_assert_eq!(after.severity, before.severity.or(Some(SyslogSeverity::SEV_NOTICE)));
            prop_assert_eq!(after.timestamp, before.timestamp);
        }
    }
}
