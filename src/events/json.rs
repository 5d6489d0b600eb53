//! A stored event as a line of JSON, for people and tools.
//!
//! ```json
//! {"id":7,"time":"2026-01-31T09:05:00.000000001Z","kind":"order.placed","correlation":"order 17","parent":3,
//!  "stream":"orders","version":2,"service":"shop","thread":"shop","node":"a","text":"3 pears"}
//! ```
//!
//! On one line, the fields in this order. What an event has not is left out: a parent, a stream and its
//! version, a service, data. What sort of data it has, the name of the field says: `text`, `json` (any value)
//! or `base64` (bytes). The clock that only goes forward says nothing to others: its time is not there.
//!
//! The form changes by new fields alone, and who reads it passes over those he does not know.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use serde_json::value::RawValue;
use serde_json::{Value, from_str};

use super::correlation::Correlation;
use super::data::Data;
use super::entry::Entry;
use super::errors::JsonLineError;
use super::event::Event;
use super::id::EventId;
use super::kind::Kind;
use super::moment::{Moment, countable};
use super::source::Source;
use super::written::Written;
use super::{base64, civil, rfc3339};

// ---- writing -----------------------------------------------------------------------------

impl Entry {
    /// The event as one line of JSON, without a line break:
    /// `{"id":7,"time":"2026-01-31T09:05:00.000000001Z","kind":"order.placed",..}`.
    ///
    /// Fields are `id`, `time` (RFC 3339, UTC), `kind`, `correlation`, `parent`, `stream`, `version` (how many
    /// events the stream had with it), `service`, `thread`, `node`, and for the data one of `text`, `json` and
    /// `base64`. What it has not is left out. In future versions there may be more fields, and these stay as
    /// they are. [`parse_line`] reads it.
    pub fn to_json(&self) -> String {
        let mut line = Vec::with_capacity(256);
        self.write_json(&mut line);
        String::from_utf8(line).expect("JSON is text")
    }

    /// Appends what [`to_json`](Self::to_json) returns.
    pub fn write_json(&self, into: &mut Vec<u8>) {
        write(into, &self.into());
    }
}

/// Appends a stored event as one line, without a line break.
pub(crate) fn write(into: &mut Vec<u8>, stored: &Written<'_>) {
    let Written { event, source, .. } = *stored;
    put(into, format_args!("{{\"id\":{},\"time\":\"", stored.id));
    civil::write_time(into, event.moment().wall);
    into.push(b'"');
    put_text(into, "kind", event.kind());
    put_correlation(into, event.correlation());
    event.parent().iter().for_each(|parent| put(into, format_args!(",\"parent\":{parent}")));
    if let Some(stream) = event.stream() {
        put_text(into, "stream", stream);
        put(into, format_args!(",\"version\":{}", stored.version));
    }
    source.service.iter().for_each(|service| put_text(into, "service", service));
    put_text(into, "thread", &source.thread);
    put_text(into, "node", &source.node);
    put_data(into, event.data());
    into.push(b'}');
}

/// Writing into memory does not fail.
fn put(into: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    drop(into.write_fmt(text));
}

fn put_text(into: &mut Vec<u8>, field: &str, text: &str) {
    put(into, format_args!(",\"{field}\":"));
    drop(serde_json::to_writer(into, text));
}

fn put_correlation(into: &mut Vec<u8>, correlation: &Correlation) {
    match correlation.as_text() {
        Some(text) => put_text(into, "correlation", text),
        None => put(into, format_args!(",\"correlation\":\"{correlation}\"")),
    }
}

fn put_data(into: &mut Vec<u8>, data: &Data) {
    match data {
        Data::None => {}
        Data::Text(text) => put_text(into, "text", text),
        Data::Json(value) => {
            into.extend_from_slice(b",\"json\":");
            drop(serde_json::to_writer(into, value));
        }
        Data::Bytes(bytes) => {
            into.extend_from_slice(b",\"base64\":\"");
            base64::write(into, bytes);
            into.push(b'"');
        }
    }
}

// ---- reading -----------------------------------------------------------------------------

/// Reads a line that [`Entry::to_json`] wrote: the number of the event, and the event with its source.
///
/// Fields that are not known are passed over; of fields of the same name the last counts. Where the event
/// was in its stream is not said again, for a store that takes it counts itself. Its
/// [`monotonic`](Event::monotonic) time is 0.
///
/// # Errors
///
/// When it is no such line, or something about the event is not allowed.
///
/// # Example
///
/// ```
/// use underpin::events::parse_line;
///
/// let line = r#"{"id":7,"time":"2026-01-31T09:05:00Z","kind":"order.placed","correlation":"order 17",
///     "thread":"main","node":"a","text":"3 pears"}"#;
/// let (id, event) = parse_line(line)?;
/// assert_eq!((id.get(), event.kind(), event.data().as_text()), (7, "order.placed", Some("3 pears")));
/// # Ok::<(), underpin::events::JsonLineError>(())
/// ```
pub fn parse_line(line: &str) -> Result<(EventId, Event), JsonLineError> {
    let fields = Fields(from_str(line).map_err(not_json)?);
    let id = fields.id("id")?.ok_or(JsonLineError::Missing { field: "id" })?;
    let moment = Moment { wall: fields.time("time")?, monotonic: 0 };
    let correlation = Correlation::from(fields.text("correlation")?);
    let event = Event::at(Kind::Shared(fields.text("kind")?.into()), correlation, moment);
    let event = event.with_source(fields.source()?).with_data(fields.data()?);
    let event = fields.id("parent")?.into_iter().fold(event, Event::with_parent);
    let event = fields.find_text("stream")?.into_iter().fold(event, Event::with_stream);
    fields.number("version")?;
    event.check()?;
    Ok((id, event))
}

fn not_json(error: serde_json::Error) -> JsonLineError {
    JsonLineError::NotJson { reason: error.to_string() }
}

/// The fields of a line. Each is read by itself, so that data may nest as deep in a line as elsewhere.
struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl Fields<'_> {
    fn raw(&self, field: &'static str) -> Option<&str> {
        self.0.get(field).map(|raw| raw.get())
    }

    fn find_text(&self, field: &'static str) -> Result<Option<String>, JsonLineError> {
        self.raw(field).map(|raw| from_str(raw).map_err(|_| unexpected(field, "a text", raw))).transpose()
    }

    fn text(&self, field: &'static str) -> Result<String, JsonLineError> {
        self.find_text(field)?.ok_or(JsonLineError::Missing { field })
    }

    fn number(&self, field: &'static str) -> Result<Option<u64>, JsonLineError> {
        let wrong = |raw| unexpected(field, "a number of at most 64 bits", raw);
        self.raw(field).map(|raw| from_str(raw).map_err(|_| wrong(raw))).transpose()
    }

    fn id(&self, field: &'static str) -> Result<Option<EventId>, JsonLineError> {
        let id = |number| EventId::new(number).ok_or_else(|| unexpected(field, "a number from 1 on", "0"));
        self.number(field)?.map(id).transpose()
    }

    fn time(&self, field: &'static str) -> Result<u64, JsonLineError> {
        let text = self.text(field)?;
        let expected = "a time as 2026-01-31T09:05:00.000000001Z, from 1970 to 2554";
        let time = rfc3339::parsed(&text).and_then(countable);
        time.ok_or_else(|| unexpected(field, expected, &text))
    }

    fn source(&self) -> Result<Source, JsonLineError> {
        let service = self.find_text("service")?.map(Arc::from);
        Ok(Source { service, thread: self.text("thread")?.into(), node: self.text("node")?.into() })
    }

    fn data(&self) -> Result<Data, JsonLineError> {
        let sorts: Vec<_> =
            ["text", "json", "base64"].into_iter().filter(|sort| self.raw(sort).is_some()).collect();
        match sorts[..] {
            [] => Ok(Data::None),
            ["text"] => self.text("text").map(Data::from),
            ["json"] => self.json("json").map(Data::from),
            ["base64"] => self.bytes("base64").map(Data::from),
            [first, ..] => Err(unexpected(first, "one of text, json and base64", &sorts.join(" and "))),
        }
    }

    fn json(&self, field: &'static str) -> Result<Value, JsonLineError> {
        let raw = self.raw(field).ok_or(JsonLineError::Missing { field })?;
        from_str(raw).map_err(|error| JsonLineError::NotJson { reason: format!("{field}: {error}") })
    }

    fn bytes(&self, field: &'static str) -> Result<Vec<u8>, JsonLineError> {
        let text = self.text(field)?;
        base64::parse(&text).ok_or_else(|| unexpected(field, "base64", &text))
    }
}

/// How many letters of what was found are told.
const TOLD: usize = 60;

fn unexpected(field: &'static str, expected: &'static str, found: &str) -> JsonLineError {
    JsonLineError::Unexpected { field, expected, found: found.chars().take(TOLD).collect() }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use crate::events::batch::Stub;
    use crate::events::entry::Chunk;
    use crate::events::event::tests::{events, sources};
    use crate::events::{MAX_DATA_BYTES, MAX_JSON_DEPTH};
    use proptest::prelude::*;
    use serde_json::json;

    fn line(id: u64, version: u64, event: &Event, source: &Source) -> String {
        let mut line = Vec::new();
        write(&mut line, &Written { id, version, event, source });
        String::from_utf8(line).expect("it is text")
    }

    fn sample() -> Event {
        let moment = Moment { wall: 1_769_850_300_000_000_001, monotonic: 5 };
        Event::at("order.placed".into(), "order \"17\"".into(), moment)
    }

    fn whole() -> (Event, Source) {
        let event = sample().with_parent(EventId::new(3).expect("not 0")).with_stream("orders");
        (event.with_data("3\npears"), Source::new(Some("shop"), "shop", "a"))
    }

    fn with_data(data: impl Into<Data>) -> String {
        line(7, 0, &sample().with_data(data), &Source::new(None, "t", "n"))
    }

    fn wrong(line: &str) -> String {
        parse_line(line).expect_err("it is refused").to_string()
    }

    /// A line with one field changed or, if there is no value for it, left out.
    fn changed(field: &str, value: Option<Value>) -> String {
        let (event, source) = whole();
        let mut fields: serde_json::Map<_, _> = from_str(&line(7, 2, &event, &source)).expect("JSON");
        match value {
            Some(value) => fields.insert(field.to_owned(), value),
            None => fields.remove(field),
        };
        Value::Object(fields).to_string()
    }

    #[test]
    fn an_event_with_everything_is_this_line() {
        let (event, source) = whole();
        let expected = concat!(
            r#"{"id":7,"time":"2026-01-31T09:05:00.000000001Z","kind":"order.placed","#,
            r#""correlation":"order \"17\"","parent":3,"stream":"orders","version":2,"service":"shop","#,
            r#""thread":"shop","node":"a","text":"3\npears"}"#,
        );
        assert_eq!(line(7, 2, &event, &source), expected);
    }

    #[test]
    fn an_event_with_little_is_this_line() {
        let event = Event::at("k".into(), Correlation::from_u128(1), Moment { wall: 0, monotonic: 0 });
        let expected = concat!(
            r#"{"id":1,"time":"1970-01-01T00:00:00.000000000Z","kind":"k","#,
            r#""correlation":"00000000-0000-0000-0000-000000000001","thread":"t","node":"n"}"#,
        );
        assert_eq!(line(1, 0, &event, &Source::new(None, "t", "n")), expected);
    }

    #[test]
    fn an_entry_is_written_with_its_number_its_version_and_its_source() {
        let ((event, source), earlier) = (whole(), sample());
        let stub = |version| Stub { version, ..Stub::of(&event).expect("it is right") };
        let expected = line(8, 2, &event, &source);
        let chunk = Chunk {
            first_id: 7,
            first: 100,
            stored: 0,
            is_recovered: false,
            bytes: 0,
            stubs: vec![stub(0), stub(2)],
            events: vec![earlier, event],
            source: source.into(),
        };
        let entry = Arc::new(chunk).entry_at(101);
        let mut into = b"before".to_vec();
        entry.write_json(&mut into);
        assert_eq!((entry.to_json(), into), (expected.clone(), format!("before{expected}").into_bytes()));
    }

    #[test]
    fn each_sort_of_data_has_a_field_of_its_own() {
        let sorts: [(Data, &str); 5] = [
            ("1".into(), r#","text":"1"}"#),
            (json!("1").into(), r#","json":"1"}"#),
            (Value::Null.into(), r#","json":null}"#),
            (b"1".to_vec().into(), r#","base64":"MQ=="}"#),
            (Data::None, r#","node":"n"}"#),
        ];
        for (data, end) in sorts {
            let line = with_data(data.clone());
            assert!(line.ends_with(end), "{line}");
            assert_eq!(parse_line(&line).expect("it is right").1.data(), &data);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for field in ["id", "time", "kind", "correlation", "thread", "node"] {
            assert_eq!(wrong(&changed(field, None)), format!("expected a field `{field}`"));
        }
        for field in ["parent", "stream", "version", "service", "text"] {
            assert!(parse_line(&changed(field, None)).is_ok(), "{field}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_was_expected() {
        let wrong = |field, value| wrong(&changed(field, Some(value)));
        assert_eq!(wrong("id", json!(0)), "id: expected a number from 1 on, found 0");
        assert_eq!(wrong("parent", json!(-1)), "parent: expected a number of at most 64 bits, found -1");
        assert_eq!(
            wrong("version", json!(null)),
            "version: expected a number of at most 64 bits, found null"
        );
        assert_eq!(wrong("kind", json!([1])), "kind: expected a text, found [1]");
        assert_eq!(wrong("kind", json!("")), "kind is empty");
        assert_eq!(
            wrong("node", json!("n".repeat(256))),
            "source.node has 256 bytes, at most 255 are allowed"
        );
        assert!(wrong("time", json!("1969-12-31T23:59:59Z")).starts_with("time: expected a time as 2026-"));
        assert_eq!(
            wrong("json", json!(1)),
            "text: expected one of text, json and base64, found text and json"
        );
        assert_eq!(
            wrong("thread", json!(vec![7; 500])).len(),
            "thread: expected a text, found ".len() + TOLD
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for line in ["", "7", "[]", "{", "{\"id\":7", "{}x", "null", "{\"id\":\u{1}}"] {
            assert!(wrong(line).starts_with("expected a JSON object: "), "{line}");
        }
        let bytes = with_data(vec![0_u8]).replace("AA==", "AA=");
        assert_eq!(wrong(&bytes), "base64: expected base64, found AA=");
    }

    #[test]
    fn fields_that_are_not_known_are_passed_over() {
        let (event, source) = whole();
        let read = parse_line(&changed("colour", Some(json!({"red": [1, 2]})))).expect("it is right");
        assert_eq!(read, parse_line(&line(7, 2, &event, &source)).expect("it is right"));
    }

    #[test]
    fn data_may_be_as_large_and_as_deep_as_allowed() {
        let nested = |lists: usize| format!("{}{}", "[".repeat(lists), "]".repeat(lists));
        let deep =
            |lists| with_data(json!("x")).replace(r#""json":"x""#, &format!("\"json\":{}", nested(lists)));
        assert!(parse_line(&deep(MAX_JSON_DEPTH)).is_ok());
        assert!(wrong(&deep(MAX_JSON_DEPTH + 1)).contains("json: recursion limit exceeded"));
        assert!(wrong(&deep(100_000)).contains("json: recursion limit exceeded"));
        let read = |data: Data| parse_line(&with_data(data)).is_ok();
        assert!(read("\0".repeat(MAX_DATA_BYTES).into()) && read(vec![0; MAX_DATA_BYTES].into()));
        assert!(!read("x".repeat(MAX_DATA_BYTES + 1).into()) && !read(vec![0; MAX_DATA_BYTES + 1].into()));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(event in events(), source in sources(), id in 1_u64.., version: u64) {
            let line = line(id, version, &event, &source);
            prop_assert!(!line.contains(['\n', '\r']));
            let (read, mut found) = parse_line(&line).expect("it is right");
            prop_assert_eq!((found.moment().monotonic, read.get()), (0, id));
            found.set_moment(event.moment());
            prop_assert_eq!(found, event.with_source(source));
        }

        #[test]
        fn a_line_that_is_cut_is_refused(event in events(), source in sources(), cut: prop::sample::Index) {
            let line = line(1, 1, &event, &source);
            let end = line.floor_char_boundary(cut.index(line.len()));
            prop_assert!(parse_line(&line[..end]).is_err());
        }

        #[test]
        fn garbage_is_refused_or_an_event_that_is_allowed(
            event in events(), source in sources(), at: prop::sample::Index, put in "[\"{}:,0-9a-z\\\\\\PC]{0,3}",
        ) {
            let mut line = line(1, 1, &event, &source);
            let at = line.floor_char_boundary(at.index(line.len()));
            let end = line.ceil_char_boundary((at + put.len()).min(line.len()));
            line.replace_range(at..end, &put);
            prop_assert!(parse_line(&line).is_ok_and(|(_, event)| event.check().is_ok()) || parse_line(&line).is_err());
        }

        #[test]
        fn any_text_is_safe_to_read(text in "\\PC{0,200}") {
            prop_assert!(parse_line(&text).is_err());
        }
    }
}
