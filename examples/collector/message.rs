//! From text to a message: what syslog_loose makes of it, and a little more.

use syslog_loose::{Message, Variant, decompose_pri, parse_message};

/// The highest priority: facility 23, severity 7.
const MAX_PRIORITY: u8 = 191;

/// The message in a line of text. Every text is one: what fits neither RFC 5424 nor RFC 3164 is
/// all content, behind its priority if it has one (RFC 3164, section 4.3.2).
pub(crate) fn of(text: &str) -> Message<&str> {
    let mut message = parse_message(text, Variant::Either);
    if message.facility.is_none()
        && let Some((priority, content)) = split(message.msg)
    {
        (message.facility, message.severity) = decompose_pri(priority);
        message.msg = content;
    }
    message
}

/// `<13>content`.
fn split(text: &str) -> Option<(u8, &str)> {
    let (priority, content) = text.strip_prefix('<')?.split_once('>')?;
    let is_number = (1..=3).contains(&priority.len()) && priority.bytes().all(|byte| byte.is_ascii_digit());
    let priority = priority.parse().ok().filter(|priority| is_number && *priority <= MAX_PRIORITY)?;
    Some((priority, content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use syslog_loose::{SyslogFacility, SyslogSeverity};

    #[test]
    fn a_priority_is_one_without_a_date_too() {
        let message = of("<13>hello");
        assert_eq!(message.facility, Some(SyslogFacility::LOG_USER));
        assert_eq!(message.severity, Some(SyslogSeverity::SEV_NOTICE));
        assert_eq!(message.msg, "hello");
    }

    #[test]
    fn what_only_looks_like_a_priority_is_text() {
        for text in ["<192>x", "<>x", "<+1>x", "<0013>x", "<13", "x<13>"] {
            let message = of(text);
            assert_eq!((message.facility, message.msg), (None, text));
        }
    }

    #[test]
    fn both_formats_are_parsed() {
        assert_eq!(of("<34>1 2026-01-01T00:00:00Z host su - ID47 - failed").msgid, Some("ID47"));
        assert_eq!(of("<34>Oct 11 22:14:15 host su: failed").appname, Some("su"));
    }
}
