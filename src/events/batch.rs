//! Events on their way into a store, and what the store has to know of them.

use std::sync::Arc;

use super::correlation::Correlation;
use super::errors::{Invalid, Refusal};
use super::event::Event;
use super::id::EventId;
use super::receipt::Receipt;
use super::source::Source;

/// What a shard has to know of an event, worked out on the thread that stores it, while the event is at
/// hand: the shard's thread need not look at the event itself.
///
/// Keys are hashes: equal names have equal keys, others hardly ever. 0 stands for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stub {
    pub(crate) correlation: u64,
    pub(crate) kind: u64,
    pub(crate) stream: u64,
    /// The number of the parent.
    pub(crate) parent: u64,
    /// When it happened: nanoseconds since 1970.
    pub(crate) wall: u64,
    /// Its place in the order of its shard: `wall`, but never less than that of the one before it. Said by
    /// the shard.
    pub(crate) order: u64,
    /// How many events its stream has with it. Said by the shard; 0 without a stream.
    pub(crate) version: u64,
    /// How much memory it takes.
    pub(crate) bytes: u32,
}

impl Stub {
    /// Of nothing.
    pub(crate) const NONE: Self =
        Self { correlation: 0, kind: 0, stream: 0, parent: 0, wall: 0, order: 0, version: 0, bytes: 0 };

    /// # Errors
    ///
    /// When something about the event is not allowed.
    pub(crate) fn of(event: &Event) -> Result<Self, Invalid> {
        let bytes = event.check()?;
        Ok(Self {
            correlation: correlation_key(event.correlation()),
            kind: key(KIND, event.kind()),
            stream: event.stream().map_or(0, stream_key),
            parent: event.parent().map_or(0, EventId::get),
            wall: event.moment().wall,
            order: 0,
            version: 0,
            bytes,
        })
    }
}

const CORRELATION: u64 = 1;
const KIND: u64 = 2;
const STREAM: u64 = 3;

pub(crate) fn kind_key(kind: &str) -> u64 {
    key(KIND, kind)
}

pub(crate) fn stream_key(stream: &str) -> u64 {
    key(STREAM, stream)
}

pub(crate) fn correlation_key(correlation: &Correlation) -> u64 {
    match (correlation.as_u128(), correlation.as_text()) {
        // Its bits are random already; the fixed ones are spread out.
        (Some(bits), _) => mixed((bits as u64) ^ ((bits >> 64) as u64).rotate_left(32)).max(1),
        (None, text) => key(CORRELATION, text.map_or("", |text| text)),
    }
}

/// Of whom an event is a child.
pub(crate) fn parent_key(parent: u64) -> u64 {
    mixed(parent.wrapping_add(0x5851_F42D_4C95_7F2D)).max(1)
}

/// The same in every process, as the order of shards and journals is.
fn key(field: u64, name: &str) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325 ^ field.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let (words, rest) = name.as_bytes().as_chunks::<8>();
    for word in words {
        hash = mixed(hash ^ u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mixed(hash ^ u64::from_le_bytes(last) ^ ((name.len() as u64) << 56)).max(1)
}

/// Spreads every bit over all: the finaliser of MurmurHash3.
const fn mixed(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    bits ^ bits >> 33
}

/// Events that go into a shard together, in their order, from one thread.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) events: Vec<Event>,
    pub(crate) stubs: Vec<Stub>,
    pub(crate) source: Arc<Source>,
    /// Who hears of the event at a place, in their order.
    pub(crate) receipts: Vec<(u32, Receipt)>,
    /// The number of the first, if it brings one.
    pub(crate) first_id: Option<EventId>,
    /// How much memory they take.
    pub(crate) bytes: u64,
}

impl Batch {
    pub(crate) fn with_capacity(capacity: usize, source: Arc<Source>) -> Self {
        Self::of((Vec::with_capacity(capacity), Vec::with_capacity(capacity)), source)
    }

    /// An empty one.
    pub(crate) fn of((events, stubs): (Vec<Event>, Vec<Stub>), source: Arc<Source>) -> Self {
        Self { events, stubs, source, receipts: Vec::new(), first_id: None, bytes: 0 }
    }

    pub(crate) fn push(&mut self, event: Event, stub: Stub) {
        self.bytes += u64::from(stub.bytes);
        self.events.push(event);
        self.stubs.push(stub);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether one of them is in a stream.
    pub(crate) fn has_streams(&self) -> bool {
        self.stubs.iter().any(|stub| stub.stream != 0)
    }

    /// Each of them as a batch of its own.
    pub(crate) fn split(self) -> impl Iterator<Item = Self> {
        let Self { events, stubs, source, receipts, first_id, .. } = self;
        let mut receipts = receipts.into_iter().peekable();
        events.into_iter().zip(stubs).enumerate().map(move |(at, (event, stub))| {
            let mut batch = Self::with_capacity(1, Arc::clone(&source));
            batch.first_id = first_id.and_then(|id| EventId::new(id.get() + at as u64));
            let receipt = receipts.next_if(|(of, _)| *of as usize == at);
            batch.receipts.extend(receipt.map(|(_, receipt)| (0, receipt)));
            batch.push(event, stub);
            batch
        })
    }

    /// Tells whoever waits for one of them that it was not taken.
    pub(crate) fn refuse(self, why: &Refusal) -> Vec<Event> {
        self.receipts.into_iter().for_each(|(_, receipt)| receipt.tell(Err(why.clone())));
        self.events
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use std::collections::HashSet;
    use std::sync::mpsc::channel;

    use proptest::prelude::*;

    use super::super::sample::{id, source};
    use super::*;

    proptest! {
        #[test]
        fn split_it_is_what_it_was(
            heard in prop::collection::vec(any::<bool>(), 0..20),
            first_id in prop::option::of(1..9_u64),
        ) {
            let (mut batch, (tell, told)) = (Batch::with_capacity(0, source(None)), channel());
            batch.first_id = first_id.map(id);
            for (at, is_heard) in heard.iter().enumerate() {
                let tell = tell.clone();
                let receipt = is_heard.then(|| Receipt::new(move |_| _ = tell.send(at)));
                batch.receipts.extend(receipt.map(|receipt| (at as u32, receipt)));
                let event = Event::of("a", "x").with_data(at.to_string());
                let stub = Stub::of(&event).expect("it is allowed");
                batch.push(event, stub);
            }
            let bytes = batch.bytes();
            let alone: Vec<_> = batch.split().collect();
            prop_assert_eq!(alone.iter().map(Batch::bytes).sum::<u64>(), bytes);
            prop_assert_eq!(alone.len(), heard.len());
            for (at, batch) in alone.into_iter().enumerate() {
                prop_assert_eq!((batch.len(), batch.first_id), (1, first_id.map(|first| id(first + at as u64))));
                let receipts = batch.receipts.iter().map(|(at, _)| *at).collect::<Vec<_>>();
                prop_assert_eq!(receipts, if heard[at] { vec![0] } else { vec![] });
                let events = batch.refuse(&Refusal::Full);
                prop_assert_eq!(events[0].data().as_text(), Some(&*at.to_string()));
                prop_assert_eq!(told.try_recv().ok(), heard[at].then_some(at));
            }
        }

        #[test]
        fn equal_names_have_equal_keys_and_others_do_not(
            names in prop::collection::hash_set(".{0,20}", 1..60),
        ) {
            let keys = names.iter().flat_map(|name| [kind_key(name), stream_key(name), correlation_key(&name.as_str().into())]);
            let keys: HashSet<_> = keys.collect();
            prop_assert_eq!(keys.len(), 3 * names.len(), "of another field it is another key");
            prop_assert!(!keys.contains(&0), "that stands for nothing");
            prop_assert!(names.iter().all(|name| kind_key(name) == kind_key(&name.clone())));
        }
    }

    #[test]
    fn keys_are_the_same_in_every_process() {
        // Written down once: checkpoints rely on those of correlations.
        let keys = [kind_key("login"), stream_key("login"), correlation_key(&"login".into())];
        assert_eq!(keys, KEYS);
        assert_eq!(correlation_key(&Correlation::from_u128(7)), OF_UUID);
    }

    const KEYS: [u64; 3] = [15_659_665_456_930_815_273, 15_428_935_465_854_778_639, 846_558_372_387_156_796];
    const OF_UUID: u64 = 8_360_697_188_923_789_789;

    #[test]
    fn a_uuid_has_one_key_however_it_is_written() {
        let uuid = Correlation::random();
        assert_eq!(correlation_key(&uuid.to_string().into()), correlation_key(&uuid));
    }

    #[test]
    fn parents_have_keys_of_their_own() {
        let keys: HashSet<_> = (0..10_000).map(parent_key).collect();
        assert_eq!((keys.len(), keys.contains(&0)), (10_000, false));
    }

    #[test]
    fn a_batch_knows_whether_one_of_its_events_is_in_a_stream() {
        let mut batch = Batch::with_capacity(2, source(None));
        assert!(batch.is_empty() && !batch.has_streams());
        for (event, has_streams) in [(Event::new("a"), false), (Event::new("a").with_stream("s"), true)] {
            let stub = Stub::of(&event).expect("it is allowed");
            batch.push(event, stub);
            assert_eq!(batch.has_streams(), has_streams);
        }
    }
}
