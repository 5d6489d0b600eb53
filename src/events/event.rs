//! Something that happened.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::correlation::Correlation;
use super::data::Data;
use super::errors::Invalid;
use super::id::EventId;
use super::kind::Kind;
use super::limits;
use super::moment::{Moment, since_1970, to_system_time};
use super::source::Source;

/// Something that happened, as it is before a store has it: what kind of thing, when, and what belongs
/// to it. Stored, it is an [`Entry`](super::Entry), with a number and a source.
///
/// Nothing is checked before it is stored; what is wrong with it is told then, and it is handed back.
///
/// # Example
///
/// ```
/// use underpin::events::Event;
///
/// let event = Event::new("order.placed").with_correlation("order 17").with_data("3 pears");
/// assert_eq!(event.kind(), "order.placed");
/// assert_eq!(event.data().as_text(), Some("3 pears"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    kind: Kind,
    correlation: Correlation,
    moment: Moment,
    parent: Option<EventId>,
    stream: Option<Arc<str>>,
    source: Option<Arc<Source>>,
    id: Option<EventId>,
    data: Data,
}

/// The kind of what [`Event::state_change`] makes.
pub const STATE_CHANGE: &str = "state.change";
/// The kind of what [`Event::span_start`] makes.
pub const SPAN_START: &str = "span.start";
/// The kind of what [`Event::snapshot`] makes.
pub const SNAPSHOT: &str = "snapshot";
/// The kind of what [`Event::span_end`] makes.
pub const SPAN_END: &str = "span.end";

impl Event {
    /// Something of a kind that happens now. Unless it is told otherwise, it belongs to nothing: its
    /// [`Correlation`] is a random one.
    #[inline]
    pub fn new(kind: impl Into<Cow<'static, str>>) -> Self {
        Self::at(kind.into().into(), Correlation::random(), Moment::now())
    }

    /// As [`new`](Self::new), with a correlation: a random one is not drawn then.
    #[inline]
    pub fn of(kind: impl Into<Cow<'static, str>>, correlation: impl Into<Correlation>) -> Self {
        Self::at(kind.into().into(), correlation.into(), Moment::now())
    }

    #[inline]
    pub(crate) fn at(kind: Kind, correlation: Correlation, moment: Moment) -> Self {
        Self {
            kind,
            correlation,
            moment,
            parent: None,
            stream: None,
            source: None,
            id: None,
            data: Data::None,
        }
    }

    /// Something went from one state into another: of kind [`STATE_CHANGE`], its data
    /// `{"subject": .., "from": .., "to": ..}`.
    ///
    /// ```
    /// # use underpin::events::{Event, STATE_CHANGE};
    /// let event = Event::state_change("door", "open", "shut");
    /// assert_eq!(event.kind(), STATE_CHANGE);
    /// assert_eq!(event.data().as_json().expect("JSON")["to"], "shut");
    /// ```
    pub fn state_change(subject: &str, from: &str, to: &str) -> Self {
        Self::new(STATE_CHANGE).with_data(serde_json::json!({"subject": subject, "from": from, "to": to}))
    }

    /// Something begins that takes a while: of kind [`SPAN_START`], its data the name. Store it with
    /// [`store_sync`](super::EventStore::store_sync) to learn the number that its end names.
    pub fn span_start(name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(SPAN_START).with_data(name.into())
    }

    /// What began as `start` is over: of kind [`SPAN_END`], with the correlation of its start, which is
    /// its parent, and data `{"name": .., "nanoseconds": ..}`. The time between is that of the clock that only
    /// goes forward; a start from an earlier process counts by the wall's.
    ///
    /// ```
    /// # use underpin::Supervisor;
    /// use underpin::events::{Event, EventStore};
    ///
    /// let store = EventStore::in_memory();
    /// let app = Supervisor::new("app").supervisor(store.supervisor()).start()?;
    /// let id = store.store_sync(Event::span_start("load"))?;
    /// let start = store.get(id)?.expect("it was stored");
    /// let end = store.store_sync(Event::span_end(&start))?;
    /// assert_eq!(store.get(end)?.expect("it was stored").parent(), Some(id));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn span_end(start: &super::Entry) -> Self {
        let now = Moment::now();
        let name = start.data().as_text().unwrap_or_default();
        let taken = start.moment().passed_until(now, start.is_recovered());
        Self::at(SPAN_END.into(), start.correlation().clone(), now)
            .with_parent(start.id())
            .with_data(serde_json::json!({"name": name, "nanoseconds": taken}))
    }

    /// What a stream has come to, of kind [`SNAPSHOT`]: appended to it, it stands for all of its events
    /// before, when it is [rebuilt](super::EventStore::rebuild).
    ///
    /// ```
    /// # use underpin::events::{Event, SNAPSHOT};
    /// assert_eq!(Event::snapshot("balance 12").kind(), SNAPSHOT);
    /// ```
    pub fn snapshot(state: impl Into<Data>) -> Self {
        Self::new(SNAPSHOT).with_data(state)
    }

    // ---- what is said about it -----------------------------------------------------------

    /// With what it belongs.
    #[inline]
    pub fn with_correlation(mut self, correlation: impl Into<Correlation>) -> Self {
        self.correlation = correlation.into();
        self
    }

    /// Which event caused it.
    #[inline]
    pub fn with_parent(mut self, parent: EventId) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Of which stream it is. A stream counts its events: see
    /// [`append`](super::EventStore::append).
    #[inline]
    pub fn with_stream(mut self, stream: impl Into<Arc<str>>) -> Self {
        self.stream = Some(stream.into());
        self
    }

    /// What it says.
    #[inline]
    pub fn with_data(mut self, data: impl Into<Data>) -> Self {
        self.data = data.into();
        self
    }

    /// Where it comes from, if not from where it is stored.
    pub fn with_source(mut self, source: impl Into<Arc<Source>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// When it happened by the wall's clock, if not when it was made. Before 1970 counts as 1970.
    pub fn happened_at(mut self, time: SystemTime) -> Self {
        self.moment.wall = since_1970(time);
        self
    }

    /// Which number it must get, as when it is taken over from another store. One that was given before, to
    /// whichever event, is refused.
    pub fn with_id(mut self, id: EventId) -> Self {
        self.id = Some(id);
        self
    }
}

/// What it is.
impl Event {
    /// Of which kind.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// With what it belongs.
    pub fn correlation(&self) -> &Correlation {
        &self.correlation
    }

    /// Which event caused it.
    pub fn parent(&self) -> Option<EventId> {
        self.parent
    }

    /// Of which stream it is.
    pub fn stream(&self) -> Option<&str> {
        self.stream.as_deref()
    }

    /// What it says.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// When it happened, by the wall's clock.
    pub fn time(&self) -> SystemTime {
        to_system_time(self.moment.wall)
    }

    /// The same for people, in UTC: `2026-01-31T09:05:00.000000001Z`.
    pub fn time_text(&self) -> String {
        let mut text = Vec::with_capacity(30);
        super::civil::write_time(&mut text, self.moment.wall);
        String::from_utf8(text).expect("digits are text")
    }

    /// When it happened by the clock that only goes forward: since its process looked at the time first.
    /// Says something only beside another event of the same process.
    pub fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.moment.monotonic)
    }

    pub(crate) fn moment(&self) -> Moment {
        self.moment
    }

    #[cfg(all(test, not(underpin_loom)))]
    pub(crate) fn set_moment(&mut self, moment: Moment) {
        self.moment = moment;
    }

    /// The source that it was given.
    pub(crate) fn own_source(&self) -> Option<&Arc<Source>> {
        self.source.as_ref()
    }

    /// The number that it was given.
    pub(crate) fn own_id(&self) -> Option<EventId> {
        self.id
    }

    pub(crate) fn shared_stream(&self) -> Option<&Arc<str>> {
        self.stream.as_ref()
    }

    /// Puts it into a stream, whatever it says of one itself.
    pub(crate) fn put_into_stream(&mut self, stream: &Arc<str>) {
        self.stream = Some(Arc::clone(stream));
    }

    /// How many bytes it takes in memory.
    ///
    /// # Errors
    ///
    /// When something about it is not allowed.
    pub(crate) fn check(&self) -> Result<u32, Invalid> {
        limits::name("kind", &self.kind)?;
        self.stream.iter().try_for_each(|stream| limits::name("stream", stream))?;
        self.source.iter().try_for_each(|source| source.check())?;
        let text = self.correlation.as_text();
        text.map_or(Ok(()), |text| limits::name("correlation", text))?;
        let names = self.kind.owned_bytes() + text.map_or(0, |text| text.len());
        self.data.size()?; // as a text, which is what is limited
        Ok((size_of::<Self>() + names + self.data.memory()) as u32) // below 100 MiB
    }
}

#[cfg(all(test, not(underpin_loom)))]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use crate::events::{MAX_DATA_BYTES, MAX_NAME_BYTES};

    /// Names of every length that is allowed, often the same.
    pub(crate) fn names() -> impl Strategy<Value = String> {
        let long = "[a-zé\"\\\\\u{0}-\u{20}]{1,80}".prop_map(|name| name.repeat(MAX_NAME_BYTES / name.len()));
        prop_oneof!["[ab]", "\\PC{1,40}", long]
    }

    /// JSON values that serialisation might get wrong.
    pub(crate) fn values() -> impl Strategy<Value = Value> {
        let floats = any::<f64>().prop_filter_map("JSON has no others", serde_json::Number::from_f64);
        let texts = prop_oneof!["\\PC{0,20}", "[\u{0}-\u{7f}]{0,20}"];
        let leaves = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            floats.prop_map(Value::from),
            texts.prop_map(Value::from),
        ];
        leaves.prop_recursive(4, 20, 4, |values| {
            let fields = prop::collection::vec(("\\PC{0,4}", values.clone()), 0..4);
            prop_oneof![
                prop::collection::vec(values, 0..4).prop_map(Value::from),
                fields.prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    pub(crate) fn data() -> impl Strategy<Value = Data> {
        prop_oneof![
            Just(Data::None),
            "\\PC{0,40}".prop_map(Data::from),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Data::from),
            values().prop_map(Data::from),
        ]
    }

    pub(crate) fn sources() -> impl Strategy<Value = Source> {
        (prop::option::of(names()), names(), names())
            .prop_map(|(service, thread, node)| Source::new(service.as_deref(), thread, node))
    }

    /// Events with every field there is, save a source and a number.
    pub(crate) fn events() -> impl Strategy<Value = Event> {
        let correlations =
            prop_oneof![any::<u128>().prop_map(Correlation::from_u128), names().prop_map(Correlation::from)];
        let moments = (any::<u64>(), any::<u64>()).prop_map(|(wall, monotonic)| Moment { wall, monotonic });
        let parents = any::<u64>().prop_map(EventId::new);
        let fields = (names(), correlations, moments, parents, prop::option::of(names()), data());
        fields.prop_map(|(kind, correlation, moment, parent, stream, data)| Event {
            parent,
            stream: stream.map(Arc::from),
            ..Event::at(Cow::from(kind).into(), correlation, moment).with_data(data)
        })
    }

    fn event() -> Event {
        Event::of("kind", "correlation")
    }

    fn wrong(event: Event) -> String {
        event.check().expect_err("it is refused").to_string()
    }

    fn long(bytes: usize) -> String {
        "n".repeat(bytes)
    }

    #[test]
    fn each_name_may_be_as_long_as_allowed() {
        let name = || long(MAX_NAME_BYTES);
        let all = Event::of(name(), name()).with_stream(name());
        let all = all.with_source(Source::new(Some(&name()), name(), name()));
        assert!(all.check().is_ok());
    }

    #[test]
    fn each_name_that_is_longer_or_empty_is_refused_by_its_field() {
        let events = |name: &str| {
            let source =
                |service, thread: &str, node: &str| event().with_source(Source::new(service, thread, node));
            [
                ("kind", Event::of(name.to_owned(), "c")),
                ("correlation", event().with_correlation(name)),
                ("stream", event().with_stream(name)),
                ("source.service", source(Some(name), "t", "n")),
                ("source.thread", source(None, name, "n")),
                ("source.node", source(None, "t", name)),
            ]
        };
        for (field, event) in events("") {
            assert_eq!(wrong(event), format!("{field} is empty"));
        }
        for (field, event) in events(&long(MAX_NAME_BYTES + 1)) {
            assert_eq!(wrong(event), format!("{field} has 256 bytes, at most 255 are allowed"));
        }
    }

    #[test]
    fn its_size_counts_what_is_its_own() {
        let size = |event: Event| event.check().expect("it is right") as usize - size_of::<Event>();
        let uuid = Correlation::from_u128(1);
        assert_eq!(size(Event::of("kind", uuid.clone())), 0);
        assert_eq!(size(Event::of("kind".to_owned(), uuid.clone())), 4);
        assert_eq!(size(Event::of("kind", "corr").with_data("text")), 8);
        assert_eq!(size(Event::of("kind", uuid).with_data(vec![0; MAX_DATA_BYTES])), MAX_DATA_BYTES);
    }

    #[test]
    fn data_that_are_too_large_are_refused() {
        let too_large = "data has 1048577 bytes, at most 1048576 are allowed";
        assert_eq!(wrong(event().with_data(long(MAX_DATA_BYTES + 1))), too_large);
        assert_eq!(wrong(event().with_data(vec![0; MAX_DATA_BYTES + 1])), too_large);
        assert_eq!(wrong(event().with_data(json!(long(MAX_DATA_BYTES - 1)))), too_large);
    }

    #[test]
    fn it_says_what_it_was_told() {
        let (parent, time) = (EventId::new(7), SystemTime::UNIX_EPOCH + Duration::from_nanos(5));
        let told = event().with_parent(parent.expect("not 0")).with_stream("s").happened_at(time);
        let told = told.with_id(EventId::new(9).expect("not 0")).with_source(Source::new(None, "t", "n"));
        assert_eq!(
            (told.kind(), told.stream(), told.parent(), told.time()),
            ("kind", Some("s"), parent, time)
        );
        assert_eq!(
            (told.own_id(), told.own_source().map(|source| &*source.node)),
            (EventId::new(9), Some("n"))
        );
        assert_eq!(told.happened_at(SystemTime::UNIX_EPOCH - Duration::from_secs(1)).moment().wall, 0);
    }

    proptest! {
        #[test]
        fn what_the_strategies_make_is_allowed(event in events(), source in sources()) {
            prop_assert!(event.with_source(source).check().is_ok());
        }
    }
}
