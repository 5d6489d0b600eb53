//! Which events somebody wants, as a text.

use std::sync::Arc;
use std::time::SystemTime;

use super::correlation::Correlation;
use super::data::Data;
use super::event::Event;
use super::id::EventId;
use super::limits;
use super::query::Query;
use super::rfc3339;
use super::source::Source;
use super::wanted::{Name, Wanted};

/// How many bytes a filter has at most.
pub const MAX_FILTER_BYTES: usize = 8_192;

/// Which events somebody wants, as a text, for tools: conditions with commas between them, all of which
/// have to be met.
///
/// | condition | is met by events |
/// |---|---|
/// | `kind=login` | of this kind |
/// | `kind^=log` | of a kind that begins like this |
/// | `stream=..`, `correlation=..` | of this stream, with this correlation |
/// | `service=..`, `thread=..`, `node=..` | that come from there |
/// | `parent=7` | caused directly by that event |
/// | `id=5`, `id>=5`, `id>5`, `id<=9`, `id<9` | with these numbers |
/// | `since=2026-01-01T00:00:00Z` | that happened then or later: a time of RFC 3339 |
/// | `until=2026-01-01T02:00:00.5+02:00` | that happened before |
/// | `text~pear` | in whose data this occurs; JSON counts as its shortest text, bytes as UTF-8 |
///
/// A value with commas, quotation marks or outer blanks is put between `"`; there `\"` stands for `"` and
/// `\\` for `\`. No condition at all is met by all events. `id`, `since`, `until` and `text` may be there many
/// times, the others once.
///
/// # Example
///
/// ```
/// use underpin::events::Filter;
///
/// let filter = Filter::parse(r#"kind=login, service=web, since=2026-01-01T00:00:00Z, text~"a, b""#)?;
/// let query = filter.query().limit(10);
/// # let _ = query;
/// let error = Filter::parse("kind=login,colour=red").unwrap_err();
/// assert!(error.to_string().starts_with("the filter has `colour` at byte 11, expected kind"));
/// # Ok::<(), underpin::events::FilterError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Filter {
    wanted: Wanted,
    texts: Vec<Arc<str>>,
}

/// What is wrong with a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the filter has `{found}` at byte {at}, expected {expected}")]
#[non_exhaustive]
pub struct FilterError {
    /// How many bytes are before it.
    pub at: usize,
    /// What is there: its beginning.
    pub found: String,
    /// What may be there.
    pub expected: String,
}

impl Filter {
    /// The filter that a text stands for.
    ///
    /// # Errors
    ///
    /// When it does not stand for one: says where it goes wrong, and what was expected there.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut reader = Reader { text, at: 0 };
        if text.len() > MAX_FILTER_BYTES {
            return Err(reader.wrong(format!("{MAX_FILTER_BYTES} bytes at most, not {}", text.len())));
        }
        let mut filter = Self::default();
        reader.skip_blanks();
        while !reader.rest().is_empty() {
            let at = reader.at;
            let condition = reader.condition()?;
            filter.add(&condition)?;
            filter.wanted.check().map_err(|error| Reader { text, at }.wrong(format!("sense: {error}")))?;
            reader.comma()?;
        }
        Ok(filter)
    }

    /// A query for these events.
    pub fn query(&self) -> Query {
        let query = Query::of(self.wanted.clone());
        if self.texts.is_empty() {
            return query;
        }
        let texts = self.texts.clone();
        query.matching(move |entry| has_all(entry.data(), &texts))
    }

    /// Whether an event with this number is one of them. `source` is where it was stored; what the event says
    /// itself counts more.
    pub fn matches(&self, event: &Event, id: EventId, source: &Source) -> bool {
        let source = event.own_source().map_or(source, |own| own);
        self.wanted.is(id.get(), event, source) && has_all(event.data(), &self.texts)
    }

    fn add(&mut self, condition: &Condition<'_>) -> Result<(), FilterError> {
        let wanted = &mut self.wanted;
        let value = &*condition.value;
        match (condition.field, condition.operator) {
            ("kind", "=") => wanted.name(Name::Kind, value),
            ("kind", "^=") => wanted.name(Name::KindPrefix, value),
            ("stream", "=") => wanted.name(Name::Stream, value),
            ("service", "=") => wanted.name(Name::Service, value),
            ("thread", "=") => wanted.name(Name::Thread, value),
            ("node", "=") => wanted.name(Name::Node, value),
            ("correlation", "=") => wanted.correlation(Correlation::from(value)),
            ("parent", "=") => wanted.parent(condition.id()?),
            ("id", "=") => wanted.narrow_ids(condition.id()?..=condition.id()?),
            ("id", ">=") => wanted.narrow_ids(condition.id()?..),
            ("id", ">") => wanted.narrow_ids((std::ops::Bound::Excluded(condition.id()?), NO_END)),
            ("id", "<=") => wanted.narrow_ids(..=condition.id()?),
            ("id", "<") => wanted.narrow_ids(..condition.id()?),
            ("since", "=") => wanted.narrow_times(condition.time()?..),
            ("until", "=") => wanted.narrow_times(..condition.time()?),
            ("text", "~") => self.texts.push(value.into()),
            _ => return Err(condition.unknown()),
        }
        Ok(())
    }
}

const NO_END: std::ops::Bound<EventId> = std::ops::Bound::Unbounded;

fn has_all(data: &Data, texts: &[Arc<str>]) -> bool {
    let all_in = |text: &str| texts.iter().all(|wanted| text.contains(&**wanted));
    match data {
        Data::None => texts.is_empty(),
        Data::Text(text) => all_in(text),
        Data::Bytes(bytes) => all_in(&String::from_utf8_lossy(bytes)),
        // What nests deeper than is stored is not written out: that might take all of the stack.
        Data::Json(value) => texts.is_empty() || limits::json(value).is_ok() && all_in(&value.to_string()),
    }
}

// ---- reading -----------------------------------------------------------------------------

/// The fields, with their operators, the longer ones first.
const FIELDS: [(&str, &[&str]); 11] = [
    ("kind", &["^=", "="]),
    ("stream", &["="]),
    ("correlation", &["="]),
    ("parent", &["="]),
    ("service", &["="]),
    ("thread", &["="]),
    ("node", &["="]),
    ("id", &[">=", "<=", "=", ">", "<"]),
    ("since", &["="]),
    ("until", &["="]),
    ("text", &["~"]),
];

/// `field operator value`.
struct Condition<'a> {
    field: &'static str,
    operator: &'static str,
    value: String,
    /// Where the value is.
    there: Reader<'a>,
}

impl Condition<'_> {
    fn id(&self) -> Result<EventId, FilterError> {
        let number = self.value.parse().ok().filter(|number: &u64| number.to_string() == self.value);
        let wrong = || self.there.wrong("the number of an event, from 1 on".into());
        number.and_then(EventId::new).ok_or_else(wrong)
    }

    fn time(&self) -> Result<SystemTime, FilterError> {
        rfc3339::parsed(&self.value).ok_or_else(|| self.there.wrong(rfc3339::EXPECTED.into()))
    }

    /// What the table has and `add` does not know.
    fn unknown(&self) -> FilterError {
        self.there.wrong(format!("another condition than {}{}", self.field, self.operator))
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn wrong(&self, expected: String) -> FilterError {
        let rest = self.rest();
        let word = rest.split([',', '=', '~', '<', '>', '^']).next().filter(|word| !word.is_empty());
        let found = word.unwrap_or(rest).chars().take(40).collect::<String>();
        FilterError { at: self.at, found: found.trim_end().to_owned(), expected }
    }

    fn skip_blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn condition(&mut self) -> Result<Condition<'a>, FilterError> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let known = FIELDS.into_iter().find(|(field, _)| *field == &rest[..end]);
        let names = || FIELDS.map(|(field, _)| field).join(", ");
        let (field, operators) = known.ok_or_else(|| self.wrong(names()))?;
        self.at += end;
        self.skip_blanks();
        let operator = operators.iter().find(|operator| self.rest().starts_with(**operator));
        let wrong = || self.wrong(format!("{} after {field}", operators.join(" or ")));
        let operator = *operator.ok_or_else(wrong)?;
        self.at += operator.len();
        self.skip_blanks();
        let there = *self;
        Ok(Condition { field, operator, value: self.value()?, there })
    }

    fn value(&mut self) -> Result<String, FilterError> {
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        let value = self.rest().split(',').next().unwrap_or_default().trim_end();
        if value.is_empty() || value.contains('"') {
            return Err(self.wrong("a value, between \"\" if it has commas or \" in it".into()));
        }
        self.at += value.len();
        Ok(value.to_owned())
    }

    fn quoted(&mut self) -> Result<String, FilterError> {
        let mut value = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(value);
                }
                '\\' => match chars.next() {
                    Some((_, c @ ('"' | '\\'))) => value.push(c),
                    _ => {
                        self.at += at;
                        return Err(self.wrong("\\\" or \\\\ between quotation marks".into()));
                    }
                },
                c => value.push(c),
            }
        }
        Err(self.wrong("a closing quotation mark".into()))
    }

    /// To the next condition, or to the end.
    fn comma(&mut self) -> Result<(), FilterError> {
        self.skip_blanks();
        if self.rest().is_empty() {
            return Ok(());
        }
        if !self.rest().starts_with(',') {
            return Err(self.wrong("a comma or the end".into()));
        }
        self.at += 1;
        self.skip_blanks();
        match self.rest() {
            "" => Err(self.wrong("another condition after the comma".into())),
            _ => Ok(()),
        }
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::super::sample::{id, source};
    use super::*;

    fn wrong(text: &str) -> String {
        Filter::parse(text).expect_err("it makes no sense").to_string()
    }

    fn matches(filter: &str, event: &Event) -> bool {
        let filter = Filter::parse(filter).expect("it makes sense");
        filter.matches(event, id(7), &source(Some("web")))
    }

    #[test]
    fn what_is_wrong_is_told_with_what_was_expected() {
        let fields = "kind, stream, correlation, parent, service, thread, node, id, since, until, text";
        let cases = [
            ("colour=red", format!("the filter has `colour` at byte 0, expected {fields}")),
            ("kind=a, =b", format!("the filter has `=b` at byte 8, expected {fields}")),
            ("kind", "the filter has `` at byte 4, expected ^= or = after kind".into()),
            ("kind>=a", "the filter has `>=a` at byte 4, expected ^= or = after kind".into()),
            ("text=a", "the filter has `=a` at byte 4, expected ~ after text".into()),
            ("id=0", "the filter has `0` at byte 3, expected the number of an event, from 1 on".into()),
            ("id>= +5", "the filter has `+5` at byte 5, expected the number of an event, from 1 on".into()),
            ("parent=x", "the filter has `x` at byte 7, expected the number of an event, from 1 on".into()),
            ("since=now", format!("the filter has `now` at byte 6, expected {}", rfc3339::EXPECTED)),
            ("kind=", "the filter has `` at byte 5, expected a value, between \"\" if it has commas or \" in it".into()),
            ("kind=a\"b", "the filter has `a\"b` at byte 5, expected a value, between \"\" if it has commas or \" in it".into()),
            ("kind=\"a", "the filter has `\"a` at byte 5, expected a closing quotation mark".into()),
            ("kind=\"a\\n\"", "the filter has `\\n\"` at byte 7, expected \\\" or \\\\ between quotation marks".into()),
            ("kind=\"a\"b", "the filter has `b` at byte 8, expected a comma or the end".into()),
            ("kind=a,", "the filter has `` at byte 7, expected another condition after the comma".into()),
            ("node=a,kind=a,kind=b", "the filter has `kind` at byte 14, expected sense: the kind was given twice, once is allowed".into()),
            ("id>5,id<6", "the filter has `id` at byte 5, expected sense: the range of numbers is empty: its end is not after its start".into()),
            ("kind=\"\"", "the filter has `kind` at byte 0, expected sense: no event has such a name: kind is empty".into()),
        ];
        for (text, expected) in cases {
            assert_eq!(wrong(text), expected, "{text}");
        }
        assert!(wrong(&"x".repeat(9_000)).ends_with("expected 8192 bytes at most, not 9000"));
        assert!(wrong(&"é".repeat(4_000)).len() < 300);
    }

    #[test]
    fn every_field_of_the_table_is_known() {
        for (field, operators) in FIELDS {
            for operator in operators {
                let values = ["5", "1970-01-01T00:00:00Z"];
                let is_known = |value: &&str| Filter::parse(&format!("{field}{operator}{value}")).is_ok();
                assert!(values.iter().any(is_known), "{field}{operator}");
            }
        }
    }

    #[test]
    fn values_may_have_anything_between_quotation_marks() {
        let event = Event::of(" a,\"b\\é", "x");
        assert!(matches(r#"kind=" a,\"b\\é""#, &event) && !matches(r#"kind="a,\"b\\é""#, &event));
        assert!(matches(r#" kind = " a,\"b\\é" , id=7 "#, &event));
        assert!(matches("kind=a=b~c", &Event::of("a=b~c", "x")));
        assert!(matches("", &event) && matches("  ", &event));
    }

    #[test]
    fn numbers_are_bounded_as_written() {
        let event = Event::of("a", "x");
        let met = ["id=7", "id>=7", "id<=7", "id>6", "id<8", "id>1,id>5,id<9"];
        let unmet = ["id=6", "id>=8", "id<=6", "id>7", "id<7", "id>18446744073709551614"];
        met.into_iter().for_each(|text| assert!(matches(text, &event), "{text}"));
        unmet.into_iter().for_each(|text| assert!(!matches(text, &event), "{text}"));
    }

    #[test]
    fn texts_are_looked_for_in_data_of_every_sort() {
        let of = |data: Data| Event::of("a", "x").with_data(data);
        let json = serde_json::json!({"fruit": ["pear", 3]});
        assert!(matches("text~pear,text~3", &of("3 pears".into())));
        assert!(matches("text~pear,text~3", &of(Data::Bytes(b"\xFFpear3"[..].into()))));
        assert!(matches(r#"text~"\"fruit\":[\"pear\",3]""#, &of(Data::Json(json))));
        assert!(!matches("text~pear,text~4", &of("3 pears".into())) && !matches("text~a", &of(Data::None)));
        let deep = (0..5_000).fold(serde_json::Value::Null, |value, _| serde_json::Value::Array(vec![value]));
        assert!(!matches("text~null", &of(Data::Json(deep))), "deeper than any that is stored");
    }

    #[test]
    fn what_an_event_says_of_its_source_counts_more() {
        let own = Event::of("a", "x").with_source(source(Some("mail")));
        assert!(matches("service=mail", &own) && !matches("service=web", &own));
        assert!(matches("service=web", &Event::of("a", "x")));
    }

    proptest! {
        #[test]
        fn garbage_is_refused_and_says_where(
            text in r#".*|((kind|id|text|since|x)[=~<>^]{0,3}[a-z0-9"\\, é]{0,6},?){0,4}"#,
        ) {
            if let Err(error) = Filter::parse(&text) {
                prop_assert!(text.is_char_boundary(error.at) && error.to_string().len() < 500);
                prop_assert!(text[error.at..].starts_with(&error.found));
            }
        }
    }
}
