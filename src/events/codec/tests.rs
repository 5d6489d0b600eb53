use super::*;
use crate::events::event::tests::{events, sources};
use crate::events::{MAX_DATA_BYTES, MAX_JSON_DEPTH, MAX_NAME_BYTES};
use proptest::prelude::*;
use serde_json::json;

fn encoded(id: u64, version: u64, event: &Event, source: &Source) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes, &Written { id, version, event, source });
    bytes
}

fn source() -> Source {
    Source::new(Some("shop"), "shop 1", "a")
}

fn sample() -> Event {
    let moment = Moment { wall: 0x0102_0304_0506_0708, monotonic: 0x1112_1314_1516_1718 };
    let event = Event::at("order.placed".into(), "order 17".into(), moment).with_stream("orders");
    event.with_parent(EventId::new(0x2122).expect("not 0")).with_data(json!({"pears": 3}))
}

fn sample_bytes() -> Vec<u8> {
    encoded(0x3132_3334, 0x4142, &sample(), &source())
}

fn bare() -> Event {
    Event::at("k".into(), Correlation::from_u128(0xA0A1), Moment { wall: 0, monotonic: 0 })
}

fn bare_bytes(data: impl Into<Data>) -> Vec<u8> {
    encoded(1, 0, &bare().with_data(data), &Source::new(None, "t", "n"))
}

/// Where the data of [`bare_bytes`] begin.
const BARE: usize = HEADER + 1 + UUID + 2;

fn changed(mut bytes: Vec<u8>, at: usize, to: u8) -> Vec<u8> {
    bytes[at] = to;
    bytes
}

fn wrong(bytes: &[u8]) -> String {
    decode(bytes).expect_err("it is refused").to_string()
}

/// With data of which the header says how long they are.
fn with_data(tag: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = changed(bare_bytes(Data::None), 1, tag);
    bytes[48..52].copy_from_slice(&(data.len() as u32).to_le_bytes());
    bytes.extend_from_slice(data);
    bytes
}

#[test]
fn an_event_of_version_1_has_these_bytes_for_ever() {
    let golden: &[&[u8]] = &[
        &[1, 3, 12, 8, 6, 4, 6, 1],
        &[0x34, 0x33, 0x32, 0x31, 0, 0, 0, 0],
        &[0x42, 0x41, 0, 0, 0, 0, 0, 0],
        &[8, 7, 6, 5, 4, 3, 2, 1],
        &[0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11],
        &[0x22, 0x21, 0, 0, 0, 0, 0, 0],
        &[11, 0, 0, 0],
        b"order.placedorder 17ordersshopshop 1a",
        br#"{"pears":3}"#,
    ];
    assert_eq!(sample_bytes(), golden.concat());
}

#[test]
fn a_bare_event_of_version_1_has_these_bytes_for_ever() {
    let mut golden = vec![1, 2, 1, 0, 0, 0, 1, 1, 1];
    golden.resize(48, 0);
    golden.extend([3, 0, 0, 0, b'k']);
    golden.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xA0, 0xA1]);
    golden.extend(b"tn\x00\xFE\xFF");
    assert_eq!(bare_bytes(vec![0, 0xFE, 0xFF]), golden);
}

#[test]
fn what_is_there_already_stays() {
    let mut bytes = b"before".to_vec();
    encode(&mut bytes, &Written { id: 0x3132_3334, version: 0x4142, event: &sample(), source: &source() });
    assert_eq!(bytes, [b"before".to_vec(), sample_bytes()].concat());
}

#[test]
fn a_source_that_nobody_checked_is_cut_to_what_is_allowed() {
    let long = "é".repeat(MAX_NAME_BYTES);
    let bytes = encoded(1, 0, &bare(), &Source::new(None, long.as_str(), "n"));
    let event = decode(&bytes).expect("it is right").event;
    assert_eq!(event.own_source().map(|source| &*source.thread), Some(&long[..MAX_NAME_BYTES - 1]));
}

// ---- what is refused ---------------------------------------------------------------------

#[test]
fn other_versions_and_tags_are_refused() {
    for version in [0, 2, 255] {
        let bytes = changed(sample_bytes(), 0, version);
        assert_eq!(wrong(&bytes), format!("byte 0: expected version 1, found {version}"));
    }
    let bytes = changed(sample_bytes(), 1, 4);
    assert_eq!(wrong(&bytes), "byte 1: expected a tag of data from 0 to 3, found 4");
}

#[test]
fn the_number_is_not_0() {
    assert_eq!(wrong(&changed(bare_bytes(Data::None), 8, 0)), "byte 8: expected a number from 1 on, found 0");
}

#[test]
fn what_is_cut_anywhere_is_refused_by_field_and_byte() {
    let bytes = sample_bytes();
    (0..bytes.len()).for_each(|end| assert!(wrong(&bytes[..end]).starts_with("byte "), "{end}"));
    assert_eq!(wrong(&[]), "byte 0: expected 1 bytes of the version, found 0");
    assert_eq!(wrong(&bytes[..20]), "byte 16: expected 8 bytes of the version in the stream, found 4");
    assert_eq!(wrong(&bytes[..60]), "byte 52: expected 12 bytes of kind, found 8");
    assert_eq!(wrong(&bytes[..bytes.len() - 1]), "byte 89: expected 11 bytes of data, found 10");
}

#[test]
fn what_comes_after_the_end_is_refused() {
    let bytes = [sample_bytes(), vec![0]].concat();
    assert_eq!(wrong(&bytes), "byte 100: expected the end, found 1 more bytes");
    assert_eq!(wrong(&with_data(NONE, b"x")), "byte 48: expected no data, found 1");
    let said = changed(bare_bytes(Data::None), 48, 1);
    assert_eq!(wrong(&said), "byte 48: expected no data, found 1");
}

#[test]
fn names_that_must_be_there_are_refused_when_they_are_empty() {
    for (at, field) in [(2, "kind"), (6, "source.thread"), (7, "source.node")] {
        let error = wrong(&changed(sample_bytes(), at, 0));
        assert!(error.ends_with(&format!("{field} is empty")), "{error}");
    }
}

#[test]
fn text_that_is_none_is_refused_where_it_is_wrong() {
    let bytes = sample_bytes();
    let names = [(52, "kind"), (64, "correlation"), (72, "stream"), (78, "source.service")];
    let names = names.into_iter().chain([(82, "source.thread"), (88, "source.node"), (89, "data")]);
    for (at, field) in names {
        let error = wrong(&changed(bytes.clone(), at, 0xFF));
        assert_eq!(error, format!("byte {at}: expected UTF-8 in {field}"));
    }
    assert_eq!(wrong(&with_data(TEXT, b"ab\xFF")), format!("byte {}: expected UTF-8 in data", BARE + 2));
}

#[test]
fn json_that_is_none_or_too_deep_is_refused() {
    let nested = |lists: usize| ["[".repeat(lists), "]".repeat(lists)].concat().into_bytes();
    assert!(decode(&with_data(JSON, &nested(MAX_JSON_DEPTH))).is_ok());
    let error = wrong(&with_data(JSON, &nested(MAX_JSON_DEPTH + 1)));
    assert!(error.starts_with(&format!("byte {BARE}: expected JSON: recursion limit exceeded")), "{error}");
    assert!(wrong(&with_data(JSON, &nested(100_000))).contains("recursion limit"));
    assert!(wrong(&with_data(JSON, b"")).contains("expected JSON: EOF"));
    assert!(wrong(&with_data(JSON, b"1 2")).contains("expected JSON: trailing characters"));
}

#[test]
fn data_may_be_as_long_as_allowed_and_no_longer() {
    let too_long = format!("byte {BARE}: data has 1048577 bytes, at most 1048576 are allowed");
    for tag in [TEXT, BYTES] {
        assert!(decode(&with_data(tag, &vec![b'x'; MAX_DATA_BYTES])).is_ok());
        assert_eq!(wrong(&with_data(tag, &vec![b'x'; MAX_DATA_BYTES + 1])), too_long);
    }
    let text = |bytes| json!("x".repeat(bytes - 2)).to_string().into_bytes();
    assert!(decode(&with_data(JSON, &text(MAX_DATA_BYTES))).is_ok());
    assert_eq!(wrong(&with_data(JSON, &text(MAX_DATA_BYTES + 1))), too_long);
    // A length that was never there asks for no memory.
    let mut claim = changed(bare_bytes(Data::None), 1, BYTES);
    claim[48..52].fill(0xFF);
    assert!(wrong(&claim).contains("data has 4294967295 bytes"));
}

#[test]
fn json_whose_text_grows_too_long_when_it_is_read_is_refused() {
    // Each is written as 1000000000000000.0.
    let numbers = format!("[{}1e15]", "1e15,".repeat(MAX_DATA_BYTES / 5 - 2));
    assert!(numbers.len() <= MAX_DATA_BYTES);
    assert!(wrong(&with_data(JSON, numbers.as_bytes())).contains("data has "));
}

#[test]
fn each_bit_of_a_sample_makes_it_another_event_or_none() {
    for bytes in [sample_bytes(), bare_bytes("text"), bare_bytes(vec![7_u8; 9])] {
        let whole = decode(&bytes).expect("it is right");
        for bit in 0..bytes.len() * 8 {
            let flipped = changed(bytes.clone(), bit / 8, bytes[bit / 8] ^ 1 << (bit % 8));
            let other = decode(&flipped).ok();
            assert!(other.iter().all(|other| *other != whole && other.event.check().is_ok()), "bit {bit}");
        }
    }
}

// ---- what repeats ------------------------------------------------------------------------

#[test]
fn names_that_come_again_are_the_same_copy() {
    let (mut decoder, bytes) = (Decoder::default(), sample_bytes());
    let [first, second] = [(); 2].map(|()| decoder.decode(&bytes).expect("it is right").event);
    let is_same = |part: fn(&Event) -> *const u8| part(&first) == part(&second);
    assert!(is_same(|event| event.kind().as_ptr()));
    assert!(is_same(|event| event.stream().expect("it has one").as_ptr()));
    assert!(is_same(|event| event.correlation().as_text().expect("it is one").as_ptr()));
    assert!(is_same(|event| Arc::as_ptr(event.own_source().expect("it has one")).cast()));
    let other = encoded(1, 0, &bare(), &Source::new(None, "shop 1", "a"));
    let other = decoder.decode(&other).expect("it is right").event;
    let thread = |event: &Event| event.own_source().map(|source| source.thread.as_ptr());
    assert_eq!(thread(&other), thread(&first));
}

#[test]
fn sources_that_differ_in_one_name_are_not_taken_for_each_other() {
    let mut decoder = Decoder::default();
    // So many that some must share a place.
    let numbers = (0..1100).map(|number| number.to_string());
    let sources = numbers.flat_map(|name| {
        let with = |service, thread, node| Source::new(Some(service), thread, node);
        let (a, b) = ("a", "b");
        [
            with(name.as_str(), a, b),
            with(a, name.as_str(), b),
            with(a, b, name.as_str()),
            Source::new(None, name, b),
        ]
    });
    for source in sources {
        let decoded = decoder.decode(&encoded(1, 0, &bare(), &source)).expect("it is right");
        assert_eq!(decoded.event.own_source().map(|source| &**source), Some(&source));
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        all in prop::collection::vec((events(), sources(), 1_u64.., any::<u64>()), 1..8),
    ) {
        let mut decoder = Decoder::default();
        for (event, source, id, version) in all {
            let bytes = encoded(id, version, &event, &source);
            let decoded = decoder.decode(&bytes);
            prop_assert_eq!(&decoded, &decode(&bytes));
            let id = EventId::new(id).expect("not 0");
            prop_assert_eq!(decoded, Ok(Decoded { id, version, event: event.with_source(source) }));
        }
    }

    #[test]
    fn what_is_cut_is_refused(event in events(), source in sources(), cut: prop::sample::Index) {
        let bytes = encoded(1, 1, &event, &source);
        prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn garbage_is_refused_or_an_event_that_is_allowed(
        event in events(), source in sources(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encoded(1, 1, &event, &source);
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        if let Ok(decoded) = decode(&bytes) {
            prop_assert!(decoded.event.check().is_ok());
        }
    }

    #[test]
    fn any_bytes_are_safe_to_read(mut bytes in prop::collection::vec(any::<u8>(), 0..300), lengths in prop::option::of(0_u8..8)) {
        drop(decode(&bytes));
        // With a header that is right at its beginning it comes further.
        if let (Some(length), 52..) = (lengths, bytes.len()) {
            bytes[..8].copy_from_slice(&[1, length % 4, length, length, length, length, length, length]);
            bytes[49..52].fill(0);
            drop(decode(&bytes));
        }
    }
}
