//! A parsed message as a line of JSON.

use serde_json::to_writer;
use syslog_loose::{Message, ProcId, Protocol};

/// The message as one JSON object and a line feed. Fields that the message does not have are left
/// out.
pub(crate) fn json_of(message: &Message<&str>) -> Vec<u8> {
    let mut object = Object(Vec::with_capacity(message.msg.len() + 192));
    object.text("protocol", Some(if message.protocol == Protocol::RFC3164 { "rfc3164" } else { "rfc5424" }));
    object.text("facility", message.facility.map(|facility| facility.as_str()));
    object.text("severity", message.severity.map(|severity| severity.as_str()));
    object.text("timestamp", message.timestamp.map(|moment| moment.to_rfc3339()).as_deref());
    object.text("hostname", message.hostname);
    object.text("appname", message.appname);
    match &message.procid {
        Some(ProcId::PID(pid)) => object.raw("procid", &pid.to_string()),
        Some(ProcId::Name(name)) => object.text("procid", Some(name)),
        None => {}
    }
    object.text("msgid", message.msgid);
    if !message.structured_data.is_empty() {
        object.structured_data(message);
    }
    object.text("message", Some(message.msg));
    object.0.extend_from_slice(b"}\n");
    object.0
}

/// An object in the making: serde_json escapes, the rest is commas.
struct Object(Vec<u8>);

impl Object {
    fn key(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.string(name);
        self.0.push(b':');
    }

    fn string(&mut self, text: &str) {
        to_writer(&mut self.0, text).expect("a vector takes every byte");
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.key(name);
            self.string(value);
        }
    }

    fn raw(&mut self, name: &str, json: &str) {
        self.key(name);
        self.0.extend_from_slice(json.as_bytes());
    }

    /// `{"id":{"name":"value"}}`. A parameter may come twice; then the last one counts, as
    /// everywhere in JSON.
    fn structured_data(&mut self, message: &Message<&str>) {
        let mut elements = serde_json::Map::new();
        for element in &message.structured_data {
            let params = element.params().map(|(name, value)| ((*name).to_owned(), value.to_string().into()));
            elements.insert(element.id.to_owned(), serde_json::Value::Object(params.collect()));
        }
        self.raw("structured_data", &serde_json::Value::Object(elements).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syslog_loose::{Variant, parse_message};

    fn object(line: &str) -> serde_json::Value {
        serde_json::from_slice(&json_of(&parse_message(line, Variant::Either))).expect("an object")
    }

    #[test]
    fn an_rfc5424_message_has_all_its_fields() {
        let line = r#"<165>1 2026-03-01T12:00:00.5Z host app 17 ID7 [x@1 a="1" b="q\"q"] text "quoted""#;
        let expected = serde_json::json!({
            "protocol": "rfc5424", "facility": "local4", "severity": "notice",
            "timestamp": "2026-03-01T12:00:00.500+00:00", "hostname": "host", "appname": "app",
            "procid": 17, "msgid": "ID7", "structured_data": {"x@1": {"a": "1", "b": "q\"q"}},
            "message": "text \"quoted\"",
        });
        assert_eq!(object(line), expected);
    }

    #[test]
    fn a_line_of_plain_text_is_a_message_without_fields() {
        let expected = serde_json::json!({"protocol": "rfc3164", "message": "just\ttext"});
        assert_eq!(object("just\ttext"), expected);
    }
}
