//! A stored event as bytes, for the journal.
//!
//! Version 1, all numbers little endian:
//!
//! | from byte | bytes | |
//! |---|---|---|
//! | 0 | 1 | the version, 1 |
//! | 1 | 1 | what the data are: 0 nothing, 1 text, 2 bytes, 3 JSON |
//! | 2 | 6 | how many bytes these have: kind, correlation, stream, service, thread, node |
//! | 8 | 8 | number |
//! | 16 | 8 | version in its stream |
//! | 24 | 8 | when it happened: nanoseconds since 1970 |
//! | 32 | 8 | when it happened, by the clock of its process that only goes forward |
//! | 40 | 8 | number of its parent, or 0 |
//! | 48 | 4 | how many bytes the data have |
//! | 52 | | kind, correlation, stream, service, thread, node, data |
//!
//! A correlation of 0 bytes is a UUID, and has 16; a stream or a service of 0 bytes is none. JSON is its
//! text. There is nothing after the data.
//!
//! Bytes of another version are refused, so what is different gets another version, and old ones are read
//! for as long as there are journals of them.

use std::sync::Arc;

use serde_json::Value;

use super::batch::kind_key;
use super::correlation::Correlation;
use super::data::Data;
use super::errors::{CodecError, Invalid};
use super::event::Event;
use super::id::EventId;
use super::intern::Interner;
use super::limits;
use super::moment::Moment;
use super::source::Source;
use super::written::Written;

const VERSION: u8 = 1;
const HEADER: usize = 52;
const UUID: usize = 16;

const NONE: u8 = 0;
const TEXT: u8 = 1;
const BYTES: u8 = 2;
const JSON: u8 = 3;

// ---- writing -----------------------------------------------------------------------------

/// Appends a stored event. It has a number, and its event and its source were checked: what is not allowed
/// would not be read again. Of a name that is too long the beginning is written.
pub(crate) fn encode(into: &mut Vec<u8>, stored: &Written<'_>) {
    let Written { event, source, .. } = stored;
    let correlation = event.correlation().as_text().map_or("", |text| text);
    let (stream, service) =
        (event.stream().unwrap_or_default(), source.service.as_deref().unwrap_or_default());
    let names = [event.kind(), correlation, stream, service, &source.thread, &source.node].map(allowed);
    let begin = into.len();
    let bytes = names.iter().map(|name| name.len()).sum::<usize>() + known_bytes(event.data());
    into.reserve(HEADER + UUID + bytes);
    into.extend_from_slice(&header(stored, names));
    into.extend_from_slice(names[0].as_bytes());
    match event.correlation().as_u128() {
        Some(bits) => into.extend_from_slice(&bits.to_be_bytes()),
        None => into.extend_from_slice(names[1].as_bytes()),
    }
    names[2..].iter().for_each(|name| into.extend_from_slice(name.as_bytes()));
    put_data(into, begin, event.data());
}

fn allowed(name: &str) -> &str {
    if name.len() <= limits::MAX_NAME_BYTES {
        name
    } else {
        &name[..name.floor_char_boundary(limits::MAX_NAME_BYTES)]
    }
}

/// Without writing it one does not know how long JSON is.
fn known_bytes(data: &Data) -> usize {
    match data {
        Data::None | Data::Json(_) => 0,
        Data::Text(text) => text.len(),
        Data::Bytes(bytes) => bytes.len(),
    }
}

fn header(stored: &Written<'_>, names: [&str; 6]) -> [u8; HEADER] {
    let Moment { wall, monotonic } = stored.event.moment();
    let parent = stored.event.parent().map_or(0, EventId::get);
    let mut header = [0; HEADER];
    (header[0], header[1]) = (VERSION, tag(stored.event.data()));
    header[2..8].copy_from_slice(&names.map(|name| name.len() as u8));
    let (numbers, _) = header[8..48].as_chunks_mut::<8>();
    for (into, number) in numbers.iter_mut().zip([stored.id, stored.version, wall, monotonic, parent]) {
        *into = number.to_le_bytes();
    }
    header
}

fn tag(data: &Data) -> u8 {
    match data {
        Data::None => NONE,
        Data::Text(_) => TEXT,
        Data::Bytes(_) => BYTES,
        Data::Json(_) => JSON,
    }
}

/// At the end, and its length into the header, which was begun at `begin`.
fn put_data(into: &mut Vec<u8>, begin: usize, data: &Data) {
    let from = into.len();
    match data {
        Data::None => {}
        Data::Text(text) => into.extend_from_slice(text.as_bytes()),
        Data::Bytes(bytes) => into.extend_from_slice(bytes),
        // Writing into memory does not fail.
        Data::Json(value) => drop(serde_json::to_writer(&mut *into, value)),
    }
    let length = (into.len() - from) as u32; // it was checked
    into[begin + HEADER - 4..begin + HEADER].copy_from_slice(&length.to_le_bytes());
}

// ---- reading -----------------------------------------------------------------------------

/// A stored event that was read.
#[derive(Debug, PartialEq)]
pub(crate) struct Decoded {
    pub(crate) id: EventId,
    /// How many events its stream had with it.
    pub(crate) version: u64,
    /// With its source. Everything about it is allowed.
    pub(crate) event: Event,
}

/// Reads stored events. Of names and sources that come up again there is one copy: it remembers some
/// thousand.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    kinds: Interner<str>,
    correlations: Interner<str>,
    streams: Interner<str>,
    origins: Interner<str>,
    sources: Interner<Source>,
}

/// Reads one stored event.
#[cfg(all(test, not(underpin_loom)))]
fn decode(bytes: &[u8]) -> Result<Decoded, CodecError> {
    Decoder::default().decode(bytes)
}

impl Decoder {
    /// Reads one stored event.
    ///
    /// # Errors
    ///
    /// When the bytes are not exactly one that is allowed.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Result<Decoded, CodecError> {
        let mut reader = Reader { bytes, at: 0 };
        let header = Header::read(&mut reader)?;
        let [kind, correlation, stream, service, thread, node] = header.lengths.map(usize::from);
        let kind = self.kinds.text(reader.name("kind", kind)?);
        let correlation = self.correlation(&mut reader, correlation)?;
        let stream = reader.optional("stream", stream)?.map(|stream| self.streams.text(stream));
        let service = reader.optional("source.service", service)?;
        let names = (service, reader.name("source.thread", thread)?, reader.name("source.node", node)?);
        let data = reader.data(header.tag, header.data)?;
        reader.end()?;
        let event = Event::at(kind.into(), correlation, header.moment).with_data(data);
        let event = header.parent.into_iter().fold(event, Event::with_parent);
        let event = stream.into_iter().fold(event, Event::with_stream).with_source(self.source(names));
        Ok(Decoded { id: header.id, version: header.version, event })
    }

    fn correlation(&mut self, reader: &mut Reader<'_>, length: usize) -> Result<Correlation, CodecError> {
        Ok(match length {
            0 => Correlation::from_u128(u128::from_be_bytes(reader.fixed::<UUID>("correlation")?)),
            _ => self.correlations.text(reader.name("correlation", length)?).into(),
        })
    }

    fn source(&mut self, (service, thread, node): (Option<&str>, &str, &str)) -> Arc<Source> {
        let hash =
            service.map_or(0, kind_key) ^ kind_key(thread).rotate_left(21) ^ kind_key(node).rotate_left(42);
        let is_it = |known: &Source| {
            (known.service.as_deref(), &*known.thread, &*known.node) == (service, thread, node)
        };
        let origins = &mut self.origins;
        self.sources.find_or_make(hash, is_it, || {
            let service = service.map(|service| origins.text(service));
            Arc::new(Source { service, thread: origins.text(thread), node: origins.text(node) })
        })
    }
}

/// What is at the beginning, in fixed places.
struct Header {
    tag: u8,
    lengths: [u8; 6],
    id: EventId,
    version: u64,
    moment: Moment,
    parent: Option<EventId>,
    data: usize,
}

impl Header {
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.byte("the version", |version| version == VERSION, "version 1")?;
        let tag = reader.byte("the tag of the data", |tag| tag <= JSON, "a tag of data from 0 to 3")?;
        let lengths = reader.fixed("the lengths of names")?;
        let id = EventId::new(reader.number("the number")?);
        let id = id.ok_or(CodecError::Unexpected { at: 8, expected: "a number from 1 on", found: 0 })?;
        let version = reader.number("the version in the stream")?;
        let moment =
            Moment { wall: reader.number("the time")?, monotonic: reader.number("the monotonic time")? };
        let parent = EventId::new(reader.number("the parent")?);
        let data = u32::from_le_bytes(reader.fixed("the length of the data")?) as usize;
        Ok(Self { tag, lengths, id, version, moment, parent, data })
    }
}

/// Goes through bytes from the first to the last.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, field: &'static str, expected: usize) -> Result<&'a [u8], CodecError> {
        let rest = &self.bytes[self.at..];
        let cut = CodecError::Cut { at: self.at, field, expected, found: rest.len() };
        let taken = rest.get(..expected).ok_or(cut)?;
        self.at += expected;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], CodecError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(field, N)?);
        Ok(bytes)
    }

    fn byte(
        &mut self,
        field: &'static str,
        is_right: fn(u8) -> bool,
        expected: &'static str,
    ) -> Result<u8, CodecError> {
        let at = self.at;
        let [byte] = self.fixed(field)?;
        is_right(byte).then_some(byte).ok_or(CodecError::Unexpected { at, expected, found: byte.into() })
    }

    fn number(&mut self, field: &'static str) -> Result<u64, CodecError> {
        self.fixed(field).map(u64::from_le_bytes)
    }

    fn text(&mut self, field: &'static str, length: usize) -> Result<&'a str, CodecError> {
        let at = self.at;
        let bytes = self.take(field, length)?;
        str::from_utf8(bytes).map_err(|error| CodecError::NotText { at: at + error.valid_up_to(), field })
    }

    fn name(&mut self, field: &'static str, length: usize) -> Result<&'a str, CodecError> {
        let at = self.at;
        let name = self.text(field, length)?;
        limits::name(field, name).map_err(|invalid| CodecError::Invalid { at, invalid })?;
        Ok(name)
    }

    fn optional(&mut self, field: &'static str, length: usize) -> Result<Option<&'a str>, CodecError> {
        if length == 0 { Ok(None) } else { self.name(field, length).map(Some) }
    }

    fn data(&mut self, tag: u8, length: usize) -> Result<Data, CodecError> {
        let at = self.at;
        let checked =
            |result: Result<usize, Invalid>| result.map_err(|invalid| CodecError::Invalid { at, invalid });
        checked(limits::data(length))?;
        Ok(match tag {
            TEXT => self.text("data", length)?.to_owned().into(),
            BYTES => self.take("data", length)?.to_owned().into(),
            JSON => {
                let value = self.json(length)?;
                checked(limits::json(&value))?; // its text may be longer than the one it was read from
                value.into()
            }
            _ if length == 0 => Data::None,
            _ => {
                return Err(CodecError::Unexpected {
                    at: HEADER - 4,
                    expected: "no data",
                    found: length as u64,
                });
            }
        })
    }

    fn json(&mut self, length: usize) -> Result<Value, CodecError> {
        let at = self.at;
        let wrong = |error: serde_json::Error| CodecError::NotJson { at, reason: error.to_string() };
        serde_json::from_str(self.text("data", length)?).map_err(wrong)
    }

    fn end(&self) -> Result<(), CodecError> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            found => Err(CodecError::Trailing { at: self.at, found }),
        }
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests;
