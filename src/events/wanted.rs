//! Which events somebody wants.

use std::fmt;
use std::ops::{Bound, RangeBounds, RangeInclusive};
use std::time::SystemTime;

use super::batch::{Stub, correlation_key, kind_key, parent_key, stream_key};
use super::correlation::Correlation;
use super::event::Event;
use super::id::EventId;
use super::index::Field;
use super::limits;
use super::query::QueryError;
use super::source::Source;

/// Which events somebody wants: those of which all holds that is said here, and that is every one, if nothing
/// is.
#[derive(Clone, Default)]
pub(crate) struct Wanted {
    names: [Option<Box<str>>; 6],
    correlation: Option<Correlation>,
    parent: Option<EventId>,
    /// Nanoseconds since 1970, those before it negative.
    pub(crate) times: Option<RangeInclusive<i128>>,
    pub(crate) ids: Option<RangeInclusive<i128>>,
    /// 0 for those fields of which nothing is said.
    keys: [u64; 4],
    /// What was said a second time.
    twice: Option<&'static str>,
}

/// What has a name that is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Kind,
    KindPrefix,
    Stream,
    Service,
    Thread,
    Node,
}

impl Name {
    const ALL: [Self; 6] =
        [Self::Kind, Self::KindPrefix, Self::Stream, Self::Service, Self::Thread, Self::Node];

    fn field(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::KindPrefix => "kind prefix",
            Self::Stream => "stream",
            Self::Service => "service",
            Self::Thread => "thread",
            Self::Node => "node",
        }
    }

    fn is(self, wanted: &str, event: &Event, source: &Source) -> bool {
        match self {
            Self::Kind => event.kind() == wanted,
            Self::KindPrefix => event.kind().starts_with(wanted),
            Self::Stream => event.stream() == Some(wanted),
            Self::Service => source.service.as_deref() == Some(wanted),
            Self::Thread => &*source.thread == wanted,
            Self::Node => &*source.node == wanted,
        }
    }
}

impl Wanted {
    /// The correlation, if one is wanted: its events are all in one shard.
    pub(crate) fn the_correlation(&self) -> Option<&Correlation> {
        self.correlation.as_ref()
    }
}

// ---- saying it ---------------------------------------------------------------------------

impl Wanted {
    pub(crate) fn name(&mut self, name: Name, wanted: &str) {
        match name {
            Name::Kind => self.keys[Field::Kind as usize] = kind_key(wanted),
            Name::Stream => self.keys[Field::Stream as usize] = stream_key(wanted),
            _ => {}
        }
        let before = self.names[name as usize].replace(wanted.into());
        self.note(before.is_some(), name.field());
    }

    pub(crate) fn correlation(&mut self, correlation: Correlation) {
        self.keys[Field::Correlation as usize] = correlation_key(&correlation);
        let before = self.correlation.replace(correlation);
        self.note(before.is_some(), "correlation");
    }

    pub(crate) fn parent(&mut self, parent: EventId) {
        self.keys[Field::Parent as usize] = parent_key(parent.get());
        let before = self.parent.replace(parent);
        self.note(before.is_some(), "parent");
    }

    pub(crate) fn times(&mut self, times: impl RangeBounds<SystemTime>) {
        self.note(self.times.is_some(), "time range");
        self.narrow_times(times);
    }

    pub(crate) fn ids(&mut self, ids: impl RangeBounds<EventId>) {
        self.note(self.ids.is_some(), "range of numbers");
        self.narrow_ids(ids);
    }

    /// Those that are in this range, too.
    pub(crate) fn narrow_times(&mut self, times: impl RangeBounds<SystemTime>) {
        self.times = Some(both(self.times.take(), closed(times, |time| nanoseconds(*time))));
    }

    /// Those that are in this range, too.
    pub(crate) fn narrow_ids(&mut self, ids: impl RangeBounds<EventId>) {
        self.ids = Some(both(self.ids.take(), closed(ids, |id| i128::from(id.get()))));
    }

    fn note(&mut self, is_twice: bool, field: &'static str) {
        if is_twice {
            self.twice.get_or_insert(field);
        }
    }

    /// # Errors
    ///
    /// When something was said that nothing can be, or something twice.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if let Some(field) = self.twice {
            return Err(QueryError::Twice { field });
        }
        for name in Name::ALL {
            self.wanted(name).map_or(Ok(()), |wanted| limits::name(name.field(), wanted))?;
        }
        let text = self.correlation.as_ref().and_then(Correlation::as_text);
        text.map_or(Ok(()), |text| limits::name("correlation", text))?;
        let ranges = [("time range", &self.times), ("range of numbers", &self.ids)];
        let is_empty = |range: &Option<RangeInclusive<i128>>| range.as_ref().is_some_and(|r| r.is_empty());
        match ranges.into_iter().find(|(_, range)| is_empty(range)) {
            Some((field, _)) => Err(QueryError::EmptyRange { field }),
            None => Ok(()),
        }
    }
}

/// Nanoseconds since 1970, those before it negative.
fn nanoseconds(time: SystemTime) -> i128 {
    let nanos = |duration: std::time::Duration| duration.as_nanos() as i128; // below 2^94
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => nanos(since),
        Err(before) => -nanos(before.duration()),
    }
}

/// A range with both its ends; numbers stay far from those that stand for no end.
fn closed<T>(range: impl RangeBounds<T>, number: impl Fn(&T) -> i128) -> RangeInclusive<i128> {
    let start = match range.start_bound() {
        Bound::Included(start) => number(start),
        Bound::Excluded(start) => number(start) + 1,
        Bound::Unbounded => i128::MIN,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => number(end),
        Bound::Excluded(end) => number(end) - 1,
        Bound::Unbounded => i128::MAX,
    };
    start..=end
}

fn both(one: Option<RangeInclusive<i128>>, other: RangeInclusive<i128>) -> RangeInclusive<i128> {
    match one {
        Some(one) => *one.start().max(other.start())..=*one.end().min(other.end()),
        None => other,
    }
}

// ---- asking for it -----------------------------------------------------------------------

impl Wanted {
    /// The fields by which the index finds what is wanted, with their keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (Field, u64)> + '_ {
        Field::ALL.into_iter().zip(self.keys).filter(|(_, key)| *key != 0)
    }

    /// Whether an event may be wanted: what is in the stub is right.
    pub(crate) fn may_be(&self, id: u64, stub: &Stub) -> bool {
        self.keys().all(|(field, key)| field.key(stub) == key) && self.is_in_ranges(id, stub.wall)
    }

    /// Whether an event is wanted.
    pub(crate) fn is(&self, id: u64, event: &Event, source: &Source) -> bool {
        let is_named = |name: Name| self.wanted(name).is_none_or(|wanted| name.is(wanted, event, source));
        self.is_in_ranges(id, event.moment().wall)
            && self.correlation.as_ref().is_none_or(|correlation| correlation == event.correlation())
            && self.parent.is_none_or(|parent| event.parent() == Some(parent))
            && Name::ALL.into_iter().all(is_named)
    }

    fn is_in_ranges(&self, id: u64, wall: u64) -> bool {
        let is_in = |range: &Option<RangeInclusive<i128>>, number: u64| {
            range.as_ref().is_none_or(|range| range.contains(&i128::from(number)))
        };
        is_in(&self.ids, id) && is_in(&self.times, wall)
    }

    fn wanted(&self, name: Name) -> Option<&str> {
        self.names[name as usize].as_deref()
    }
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut wanted = f.debug_struct("Wanted");
        for (name, text) in Name::ALL.into_iter().filter_map(|name| Some((name, self.wanted(name)?))) {
            wanted.field(name.field(), &text);
        }
        let others: [(&str, Option<&dyn fmt::Debug>); 5] = [
            ("correlation", self.correlation.as_ref().map(|it| it as _)),
            ("parent", self.parent.as_ref().map(|it| it as _)),
            ("nanoseconds since 1970", self.times.as_ref().map(|it| it as _)),
            ("ids", self.ids.as_ref().map(|it| it as _)),
            ("twice", self.twice.as_ref().map(|it| it as _)),
        ];
        for (field, said) in others.into_iter().filter_map(|(field, said)| Some((field, said?))) {
            wanted.field(field, said);
        }
        wanted.finish()
    }
}
