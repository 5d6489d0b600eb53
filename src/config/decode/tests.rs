//! Every kind of type, from plain values and from loose text.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::*;
use crate::config::tree::{Below, Node};

fn variable() -> Origin {
    Origin::Variable { name: "APP__A".into() }
}

fn plain(value: Value) -> Tree {
    Tree::of(&value, &Origin::Default)
}

fn loose_over(text: &str, below: Below) -> Tree {
    Tree { node: Node::Loose { text: text.into(), below }, origin: variable() }
}

fn loose(text: &str) -> Tree {
    loose_over(text, Below::Unknown)
}

fn table(entries: Vec<(&str, Tree)>) -> Tree {
    let entries = entries.into_iter().map(|(key, tree)| (key.to_owned(), tree)).collect();
    Tree { node: Node::Table(entries), origin: Origin::Default }
}

fn read<T: DeserializeOwned>(tree: &Tree) -> Result<T, String> {
    decode(tree).map(|decoded| decoded.value).map_err(|fault| fault.message)
}

fn of<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    read(&plain(value))
}

fn text<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    read(&loose(text))
}

fn wrong<T>(message: &str) -> Result<T, String> {
    Err(message.into())
}

/// The fault's path and message.
fn fault<T: DeserializeOwned>(tree: &Tree) -> (String, String) {
    match decode::<T>(tree) {
        Ok(_) => panic!("it decodes"),
        Err(fault) => (fault.path.to_string(), fault.message),
    }
}

// ---- single values -----------------------------------------------------------------------

#[test]
fn a_bool_is_true_or_false_and_nothing_else() {
    assert_eq!((text("true"), text("false"), of(json!(true))), (Ok(true), Ok(false), Ok(true)));
    for no in ["1", "0", "on", "yes", "True", " true", ""] {
        assert_eq!(text::<bool>(no), Err(format!("expected true or false, found {no:?}")));
    }
    assert_eq!(of::<bool>(json!("true")), wrong("expected true or false, found \"true\""));
    assert_eq!(of::<bool>(json!(1)), wrong("expected true or false, found 1"));
}

#[test]
fn integers_have_their_range() {
    assert_eq!((text("255"), text("-128"), text("0")), (Ok(255_u8), Ok(-128_i8), Ok(0_u8)));
    assert_eq!(text::<u8>("007"), wrong("expected an integer from 0 to 255, found \"007\""));
    assert_eq!(text::<u8>("256"), wrong("expected an integer from 0 to 255, found \"256\""));
    assert_eq!(text::<i8>("-129"), wrong("expected an integer from -128 to 127, found \"-129\""));
    assert_eq!(of::<u16>(json!(70_000)), wrong("expected an integer from 0 to 65535, found 70000"));
    assert_eq!(of::<u32>(json!(-1)), wrong("expected an integer from 0 to 4294967295, found -1"));
    assert_eq!(
        of::<i32>(json!("1")),
        wrong("expected an integer from -2147483648 to 2147483647, found \"1\"")
    );
    assert!(text::<u8>("3.0").is_err() && of::<u8>(json!(3.0)).is_err() && text::<u8>("").is_err());
    assert!(text::<u8>(" 3").is_err() && text::<u8>("0x3").is_err() && text::<u8>("1_0").is_err());
    assert_eq!((of(json!(3)), of(json!(3))), (Ok(3_i16), Ok(3_usize)));
}

#[test]
fn the_greatest_and_least_integers_are_read() {
    assert_eq!((of(json!(u64::MAX)), text(&u64::MAX.to_string())), (Ok(u64::MAX), Ok(u64::MAX)));
    assert_eq!((of(json!(i64::MIN)), text(&i64::MIN.to_string())), (Ok(i64::MIN), Ok(i64::MIN)));
    assert_eq!(
        (of(json!(i64::MIN)), text(&i128::MIN.to_string())),
        (Ok(i128::from(i64::MIN)), Ok(i128::MIN))
    );
    assert_eq!(
        (of(json!(u64::MAX)), text(&u128::MAX.to_string())),
        (Ok(u128::from(u64::MAX)), Ok(u128::MAX))
    );
    assert_eq!(of::<u128>(json!(5)), Ok(5));
    assert!(of::<i64>(json!(u64::MAX)).is_err() && of::<u128>(json!(-1)).is_err());
}

#[test]
fn floats_are_finite_and_may_be_written_as_integers() {
    assert_eq!((of(json!(3)), of(json!(0.5)), text("0.5"), text("3")), (Ok(3.0), Ok(0.5), Ok(0.5), Ok(3.0)));
    assert_eq!((text("1e3"), of(json!(0.5))), (Ok(1000.0_f32), Ok(0.5_f32)));
    for no in ["inf", "NaN", "", "1,5", "1e999"] {
        assert_eq!(text::<f64>(no), Err(format!("expected a finite number, found {no:?}")));
    }
    assert_eq!(of::<f32>(json!(1e300)), wrong("expected a number that fits 32 bits, found 1e+300"));
    assert_eq!(of::<f64>(json!("1.0")), wrong("expected a finite number, found \"1.0\""));
}

#[test]
fn text_is_as_it_is() {
    assert_eq!((text(" 80 "), of(json!("a"))), (Ok(" 80 ".to_owned()), Ok("a".to_owned())));
    assert_eq!(text(""), Ok(String::new()));
    assert_eq!(text("[1]"), Ok("[1]".to_owned()));
    assert_eq!(of::<String>(json!(5)), wrong("expected text, found 5"));
    assert_eq!(of::<String>(json!(null)), wrong("expected text, found null"));
}

#[test]
fn a_character_is_one() {
    assert_eq!((text("é"), of(json!("x"))), (Ok('é'), Ok('x')));
    assert_eq!(text::<char>("ab"), wrong("expected one character, found \"ab\""));
    assert_eq!(of::<char>(json!(1)), wrong("expected one character, found 1"));
}

#[test]
fn empty_text_is_none_and_unit() {
    assert_eq!((text(""), text("5")), (Ok(None::<u8>), Ok(Some(5_u8))));
    assert_eq!((text(""), text("a")), (Ok(None::<String>), Ok(Some("a".to_owned()))));
    assert_eq!((of(json!(null)), of(json!(""))), (Ok(None::<String>), Ok(Some(String::new()))));
    assert_eq!((text(""), of(json!(null))), (Ok(()), Ok(())));
    assert_eq!(text::<()>("x"), wrong("expected nothing, found \"x\""));
    assert!(text::<Option<u8>>("x").is_err());
}

#[test]
fn addresses_are_read_from_text() {
    assert_eq!(text::<IpAddr>("::1"), Ok(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])));
    assert_eq!(of::<SocketAddr>(json!("127.0.0.1:80")), Ok(SocketAddr::from(([127, 0, 0, 1], 80))));
    assert_eq!(text::<IpAddr>("here"), wrong("invalid IP address syntax, found \"here\""));
    assert_eq!(of::<SocketAddr>(json!(80)), wrong("expected socket address as text, found 80"));
}

#[test]
fn bytes_are_text_or_a_list() {
    #[derive(Debug, PartialEq)]
    struct Bytes(Vec<u8>);
    impl<'de> Deserialize<'de> for Bytes {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Read;
            impl<'de> serde::de::Visitor<'de> for Read {
                type Value = Bytes;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("bytes")
                }
                fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                    Ok(Bytes(bytes.to_vec()))
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Bytes, A::Error> {
                    let mut bytes = Vec::new();
                    while let Some(byte) = list.next_element()? {
                        bytes.push(byte);
                    }
                    Ok(Bytes(bytes))
                }
            }
            deserializer.deserialize_byte_buf(Read)
        }
    }
    assert_eq!((text("a,b"), of(json!("é"))), (Ok(Bytes(b"a,b".to_vec())), Ok(Bytes("é".into()))));
    assert_eq!(of(json!([1, 2])), Ok(Bytes(vec![1, 2])));
}

// ---- lists -------------------------------------------------------------------------------

#[test]
fn a_list_in_text_is_split_at_commas_or_json() {
    assert_eq!((text("1, 2,3"), text("[1, 2, 3]")), (Ok(vec![1, 2, 3]), Ok(vec![1, 2, 3])));
    assert_eq!((text(""), text("[]")), (Ok(Vec::<u8>::new()), Ok(Vec::<u8>::new())));
    assert_eq!(text(r#"["a,b"]"#), Ok(vec!["a,b".to_owned()]));
    assert_eq!(text("true,false"), Ok(vec![true, false]));
    assert_eq!(text::<Vec<u8>>("[1"), wrong("expected a list, found \"[1\""));
    assert_eq!(of::<Vec<u8>>(json!("1")), wrong("expected a list, found \"1\""));
    assert_eq!(fault::<Vec<u8>>(&loose("1,x")).0, "1");
}

#[test]
fn a_table_of_indexes_is_a_list_if_it_comes_from_outside() {
    let indexes = |origin| {
        let mut tree = table(
            (0..11)
                .map(|n| ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"][n])
                .map(|key| (key, loose(key)))
                .collect(),
        );
        tree.origin = origin;
        tree
    };
    let numbers: Vec<u8> = (0..11).collect();
    assert_eq!(read(&indexes(variable())), Ok(numbers.clone()));
    assert_eq!(read(&indexes(Origin::Override { name: "--list".into() })), Ok(numbers));
    assert_eq!(read::<Vec<u8>>(&indexes(Origin::Default)), wrong("expected a list, found a table"));
    assert_eq!(read::<BTreeMap<u8, u8>>(&indexes(variable())).map(|map| map.len()), Ok(11));
}

#[test]
fn tuples_and_arrays_have_their_length() {
    assert_eq!((text("1,a"), of(json!([1, "a"]))), (Ok((1_u8, 'a')), Ok((1_u8, 'a'))));
    assert_eq!((text("1,2"), of(json!([1, 2]))), (Ok([1_u8, 2]), Ok([1_u8, 2])));
    assert_eq!(of::<[u8; 2]>(json!([1])), wrong("expected a list of 2, found a list of 1"));
    assert_eq!(text::<(u8, u8)>("1,2,3"), wrong("expected a list of 2, found a list of 3"));
    assert_eq!(of::<(u8, u8)>(json!(1)), wrong("expected a list of 2, found 1"));
}

// ---- structs and maps --------------------------------------------------------------------

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Server {
    host_name: String,
    #[serde(default = "port")]
    port: u16,
    #[serde(alias = "keep")]
    keep_alive: Option<Duration>,
    #[serde(default)]
    inner: Inner,
    #[serde(skip)]
    skipped: u8,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Inner {
    list: Vec<Point>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

fn port() -> u16 {
    80
}

#[test]
fn nested_structs_have_defaults_and_other_names() {
    let server: Server = of(json!({
        "host-name": "h", "keep": {"secs": 1, "nanos": 5}, "inner": {"list": [{"x": 1, "y": -1}]}
    }))
    .expect("a server");
    assert_eq!((server.port, server.skipped), (80, 0));
    assert_eq!(server.keep_alive, Some(Duration::new(1, 5)));
    assert_eq!(server.inner.list, [Point { x: 1, y: -1 }]);
    let tree = table(vec![("host-name", loose("h")), ("inner", loose(r#"{"list": [{"x": 1, "y": 2}]}"#))]);
    assert_eq!(read::<Server>(&tree).map(|server| server.inner.list), Ok(vec![Point { x: 1, y: 2 }]));
}

#[test]
fn a_fault_has_the_path_and_the_origin_of_its_value() {
    let origin = Origin::Update { version: 3 };
    let mut tree =
        plain(json!({"host-name": "h", "inner": {"list": [{"x": 1, "y": 1}, {"x": 1, "y": true}]}}));
    let path = Path::parse("inner.list.1.y").expect("a path");
    let value = path.segments().try_fold(&mut tree, |tree, segment| tree.child_mut(segment));
    value.expect("it is there").origin = origin.clone();
    let fault = decode::<Server>(&tree).expect_err("no number");
    assert_eq!((fault.path, fault.origin), (path, Some(origin)));
    assert_eq!(fault.message, "expected an integer from -2147483648 to 2147483647, found true");
}

#[test]
fn a_missing_field_has_its_path_and_the_origin_of_its_table() {
    let mut tree = plain(json!({"host-name": "h", "inner": {"list": [{"x": 1}]}}));
    let path = Path::parse("inner.list.0").expect("a path");
    let value = path.segments().try_fold(&mut tree, |tree, segment| tree.child_mut(segment));
    value.expect("it is there").origin = variable();
    let fault = decode::<Server>(&tree).expect_err("it is missing");
    assert_eq!(fault.to_string(), "inner.list.0.y: expected a value, found none (the variable APP__A)");
}

#[test]
fn keys_that_the_type_skips_are_unknown_and_only_those() {
    let tree = plain(json!({
        "host-name": "h", "hots": 1, "skipped": 1, "keep": null,
        "inner": {"list": [{"x": 1, "y": 1, "z": [1]}], "more": {"deep": 1}}
    }));
    let decoded = decode::<Server>(&tree).expect("a server");
    let unknown: Vec<_> = decoded.unknown.iter().map(|(path, _)| path.to_string()).collect();
    assert_eq!(unknown, ["inner.list.0.z", "inner.more", "hots", "skipped"]);
    assert!(decoded.unknown.iter().all(|(_, origin)| *origin == Origin::Default));
    #[derive(Debug, Deserialize)]
    struct Free {
        #[serde(rename = "any")]
        _any: serde::de::IgnoredAny,
        #[serde(rename = "map")]
        _map: HashMap<String, serde::de::IgnoredAny>,
    }
    let tree = plain(json!({"any": {"a": 1}, "map": {"b": 1}}));
    assert_eq!(decode::<Free>(&tree).expect("it decodes").unknown, []);
}

#[test]
fn a_key_that_is_denied_or_doubled_is_a_fault_at_that_key() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Strict {
        #[serde(default, alias = "b", rename = "a")]
        _a: u8,
    }
    let (path, message) = fault::<Strict>(&plain(json!({"c": 1})));
    assert_eq!((path.as_str(), message.as_str()), ("c", "expected one of `a`, `b`, found an unknown key"));
    let (path, message) = fault::<Strict>(&plain(json!({"a": 1, "b": 1})));
    assert_eq!((path.as_str(), message.as_str()), ("a", "expected one value, found it under two names"));
}

#[test]
fn maps_have_keys_of_text_and_of_integers() {
    assert_eq!(of(json!({"a": 1})), Ok(HashMap::from([("a".to_owned(), 1)])));
    assert_eq!(of(json!({"10": "a", "9": "b"})), Ok(BTreeMap::from([(9_u8, 'b'), (10, 'a')])));
    assert_eq!(text(r#"{"true": 1}"#), Ok(BTreeMap::from([(true, 1)])));
    assert_eq!(of(json!({"fast": 1})), Ok(HashMap::from([(Mode::Fast, 1)])));
    let (path, message) = fault::<BTreeMap<u8, u8>>(&plain(json!({"1": 1, "x": 1})));
    assert_eq!((path.as_str(), message.as_str()), ("x", "expected an integer from 0 to 255, found \"x\""));
    assert_eq!(text::<BTreeMap<u8, u8>>("x"), wrong("expected a table, found \"x\""));
    assert_eq!(text::<Inner>("{\"list\": "), wrong("expected a table, found \"{\\\"list\\\": \""));
    assert_eq!(of::<Inner>(json!([])), wrong("expected a table, found an empty list"));
}

#[test]
fn a_newtype_is_what_it_holds() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Port(u16);
    #[derive(Debug, PartialEq, Deserialize)]
    struct Pair(u8, u8);
    #[derive(Debug, PartialEq, Deserialize)]
    struct Unit;
    assert_eq!((text("80"), of(json!(80))), (Ok(Port(80)), Ok(Port(80))));
    assert_eq!((text("1,2"), of(json!([1, 2]))), (Ok(Pair(1, 2)), Ok(Pair(1, 2))));
    assert_eq!((text(""), of(json!(null))), (Ok(Unit), Ok(Unit)));
    assert_eq!(text::<std::num::NonZeroU8>("0"), wrong("expected a nonzero u8, found 0"));
}

#[test]
fn a_duration_is_a_table() {
    assert_eq!(of(json!({"secs": 1, "nanos": 2})), Ok(Duration::new(1, 2)));
    assert_eq!(text(r#"{"secs": 1, "nanos": 2}"#), Ok(Duration::new(1, 2)));
    assert_eq!(of::<Duration>(json!({"secs": 1})), wrong("expected a value, found none"));
}

// ---- enums -------------------------------------------------------------------------------

#[derive(Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Fast,
    Slow { by: u8 },
    At(u16),
    Both(u8, u8),
}

#[test]
fn a_variant_is_named_by_text_or_is_the_one_key_of_a_table() {
    assert_eq!((text("fast"), of(json!("fast"))), (Ok(Mode::Fast), Ok(Mode::Fast)));
    assert_eq!(of(json!({"fast": null})), Ok(Mode::Fast));
    assert_eq!(
        (of(json!({"slow": {"by": 1}})), text(r#"{"slow": {"by": 1}}"#)),
        (Ok(Mode::Slow { by: 1 }), Ok(Mode::Slow { by: 1 }))
    );
    assert_eq!((of(json!({"at": 1})), of(json!({"both": [1, 2]}))), (Ok(Mode::At(1)), Ok(Mode::Both(1, 2))));
    assert_eq!(read(&table(vec![("at", loose("7"))])), Ok(Mode::At(7)));
    assert_eq!(text("fast, fast"), Ok(vec![Mode::Fast, Mode::Fast]));
}

#[test]
fn what_is_no_variant_is_told_with_those_there_are() {
    let names = "one of `fast`, `slow`, `at`, `both`";
    assert_eq!(text::<Mode>("Fast"), Err(format!("expected {names}, found \"Fast\"")));
    assert_eq!(of::<Mode>(json!({"x": 1})), Err(format!("expected {names}, found \"x\"")));
    assert_eq!(
        of::<Mode>(json!({})),
        Err(format!("expected {names}, or a table with that one key, found a table"))
    );
    assert_eq!(text::<Mode>("at"), wrong("expected a table with the one key `at`, found the name alone"));
    assert_eq!(fault::<Mode>(&plain(json!({"slow": {"by": "x"}}))).0, "slow.by");
    let decoded = decode::<Mode>(&plain(json!({"slow": {"by": 1, "more": 1}}))).expect("a mode");
    assert_eq!(decoded.unknown[0].0.to_string(), "slow.more");
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "kind")]
enum Internal {
    File { lines: u16, name: String },
    Null,
}

#[test]
fn internally_tagged_enums_are_read_from_plain_and_from_loose_values() {
    let file = || Internal::File { lines: 80, name: "8080".into() };
    assert_eq!(of(json!({"kind": "File", "lines": 80, "name": "8080"})), Ok(file()));
    assert_eq!(of(json!({"kind": "Null"})), Ok(Internal::Null));
    let over = table(vec![
        ("kind", loose("File")),
        ("lines", loose_over("80", Below::Number)),
        ("name", loose_over("8080", Below::Text)),
    ]);
    assert_eq!(read(&over), Ok(file()));
    let unsettled =
        table(vec![("kind", loose("File")), ("lines", loose("80")), ("name", plain(json!("8080")))]);
    assert_eq!(read(&unsettled), Ok(file()));
    let tree = plain(json!({"a": [{"kind": "File", "lines": "x", "name": ""}]}));
    assert_eq!(
        fault::<HashMap<String, Vec<Internal>>>(&tree),
        ("a.0.lines".to_owned(), "expected an integer from 0 to 65535, found \"x\"".to_owned())
    );
    assert_eq!(fault::<Internal>(&plain(json!({"kind": "File", "lines": 1}))).0, "name");
}

#[test]
fn adjacently_tagged_enums_are_read() {
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(tag = "t", content = "c")]
    enum Adjacent {
        A(u16),
        B { b: bool },
        C,
    }
    assert_eq!(of(json!({"t": "A", "c": 1})), Ok(Adjacent::A(1)));
    assert_eq!(of(json!({"t": "B", "c": {"b": true}})), Ok(Adjacent::B { b: true }));
    assert_eq!(of(json!({"t": "C"})), Ok(Adjacent::C));
    let tree = table(vec![("t", loose("A")), ("c", loose("7"))]);
    assert_eq!(read(&tree), Ok(Adjacent::A(7)));
    assert_eq!(fault::<Adjacent>(&plain(json!({"t": "B", "c": {"b": 1}}))).0, "c.b");
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u16),
    Text(String),
    List(Vec<u16>),
    Point(Point),
}

#[test]
fn untagged_enums_are_settled_by_what_stands_below() {
    assert_eq!((of(json!(1)), of(json!("1"))), (Ok(Untagged::Number(1)), Ok(Untagged::Text("1".into()))));
    assert_eq!(of(json!({"x": 1, "y": 2})), Ok(Untagged::Point(Point { x: 1, y: 2 })));
    let over = |text, below| read::<Untagged>(&loose_over(text, below));
    assert_eq!(over("1", Below::Number), Ok(Untagged::Number(1)));
    assert_eq!(over("x", Below::Number), Ok(Untagged::Text("x".into())));
    assert_eq!(over("1", Below::Text), Ok(Untagged::Text("1".into())));
    assert_eq!(over("1", Below::Unknown), Ok(Untagged::Text("1".into())));
    assert_eq!(over("[1,2]", Below::List), Ok(Untagged::List(vec![1, 2])));
    assert_eq!(over("{\"x\":1,\"y\":2}", Below::Table), Ok(Untagged::Point(Point { x: 1, y: 2 })));
    let message = "data did not match any variant of untagged enum Untagged, found true";
    assert_eq!(of::<Untagged>(json!(true)), wrong(message));
}

#[derive(Debug, PartialEq, Deserialize)]
struct Flat {
    id: u8,
    #[serde(flatten)]
    point: Point,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[test]
fn flattened_structs_are_read_and_text_that_nothing_settles_is_guessed_where_it_must() {
    let flat: Flat = of(json!({"id": 1, "x": 2, "y": 3, "more": [1]})).expect("it decodes");
    assert_eq!((flat.id, flat.point, flat.rest["more"].clone()), (1, Point { x: 2, y: 3 }, json!([1])));
    let tree = table(vec![
        ("id", loose("1")),
        ("x", loose_over("2", Below::Number)),
        ("y", plain(json!(3))),
        ("z", loose("4")),
    ]);
    assert_eq!(read::<Flat>(&tree).map(|flat| flat.rest["z"].clone()), Ok(json!("4")));
    let tree = table(vec![("id", loose("1")), ("x", loose("2")), ("y", loose("3"))]);
    assert_eq!(read::<Flat>(&tree).map(|flat| flat.point), Ok(Point { x: 2, y: 3 }));
}

#[test]
fn a_guess_that_does_not_help_changes_no_fault() {
    let tree = table(vec![("id", loose("1")), ("x", loose("2")), ("y", loose("no"))]);
    let integer = "an integer from -2147483648 to 2147483647";
    assert_eq!(fault::<Flat>(&tree), ("y".to_owned(), format!("expected {integer}, found \"no\"")));
    let tree = table(vec![("id", loose("1")), ("x", loose("no")), ("y", loose("no"))]);
    assert_eq!(fault::<Flat>(&tree), ("(the whole)".to_owned(), format!("expected {integer}, found \"no\"")));
    let tree =
        table(vec![("id", loose("1")), ("x", loose_over("-3000000000", Below::Number)), ("y", loose("1"))]);
    assert_eq!(fault::<Flat>(&tree), ("x".to_owned(), format!("expected {integer}, found -3000000000")));
    let map = table(vec![
        ("a", table(vec![("id", loose("1")), ("x", loose("2")), ("y", loose("3"))])),
        ("b", plain(json!(1))),
    ]);
    let (path, message) = fault::<BTreeMap<String, Flat>>(&map);
    assert_eq!((path.as_str(), message.as_str()), ("b", "expected a table, found 1"));
}

#[test]
fn a_value_of_any_type_is_as_it_is() {
    let value = json!({"a": [1, -2, 0.5, null, true, "x", {"b": {}}], "c": u64::MAX});
    assert_eq!(of(value.clone()), Ok(value));
    assert_eq!(text("1"), Ok(json!("1")));
    assert_eq!(read(&loose_over("1.5", Below::Number)), Ok(json!(1.5)));
    assert_eq!(read(&loose_over("true", Below::Bool)), Ok(json!(true)));
    assert_eq!(read(&loose_over("[1]", Below::List)), Ok(json!([1])));
}

// ---- limits and secrets ------------------------------------------------------------------

#[test]
fn no_message_shows_more_than_forty_characters_of_a_value() {
    #[derive(Debug)]
    struct Picky;
    impl<'de> Deserialize<'de> for Picky {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            Err(serde::de::Error::custom(format_args!("{text} is wrong")))
        }
    }
    let long = "s".repeat(41);
    let cut = format!("\"{}\"..", "s".repeat(40));
    assert_eq!(text::<u8>(&long), Err(format!("expected an integer from 0 to 255, found {cut}")));
    assert!(text::<Mode>(&long).expect_err("no mode").ends_with(&cut));
    assert_eq!(text::<Picky>(&long).expect_err("picky"), format!("{}.. is wrong", "s".repeat(40)));
    let tree = plain(json!({"kind": "File", "lines": long, "name": ""}));
    assert_eq!(fault::<Internal>(&tree).1, format!("expected an integer from 0 to 65535, found {cut}"));
    let json = format!("[\"{long}\"]");
    assert!(!text::<Vec<Picky>>(&json).expect_err("picky").contains(&long));
}

#[test]
fn a_tree_that_is_too_deep_is_a_fault() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Deep {
        next: Option<Box<Deep>>,
    }
    let nested = |depth: usize| (1..depth).fold(json!({"next": null}), |inner, _| json!({ "next": inner }));
    assert!(of::<Deep>(nested(MAX_DEPTH)).is_ok());
    assert_eq!(of::<Deep>(nested(MAX_DEPTH + 1)).map(drop), wrong("expected at most 50 levels, found more"));
}

// ---- against serde_json ------------------------------------------------------------------

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-300..300_i64).prop_map(Value::from),
        any::<f32>().prop_map(Value::from),
        "[a-c0-9.:]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        let key = prop_oneof!["[a-c0-9]{1,2}", Just("x".to_owned()), Just("y".to_owned())];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// What `serde_json` reads of a value is read, and nothing else.
fn agrees<T: DeserializeOwned + PartialEq + std::fmt::Debug>(value: &Value) -> Result<(), TestCaseError> {
    let ours = decode::<T>(&plain(value.clone())).map(|decoded| decoded.value).ok();
    prop_assert_eq!(ours, serde_json::from_value::<T>(value.clone()).ok());
    Ok(())
}

proptest! {
    #[test]
    fn plain_values_are_read_as_serde_json_reads_them(value in values()) {
        agrees::<Value>(&value)?;
        agrees::<bool>(&value)?;
        agrees::<u8>(&value)?;
        agrees::<i128>(&value)?;
        agrees::<f64>(&value)?;
        agrees::<char>(&value)?;
        agrees::<Option<String>>(&value)?;
        agrees::<Vec<i64>>(&value)?;
        agrees::<Vec<Value>>(&value)?;
        agrees::<(u8, Value)>(&value)?;
        agrees::<[Value; 2]>(&value)?;
        agrees::<BTreeMap<u8, Value>>(&value)?;
        agrees::<HashMap<String, f64>>(&value)?;
        agrees::<Untagged>(&value)?;
        agrees::<IpAddr>(&value)?;
    }

    #[test]
    fn any_text_for_any_type_is_a_value_or_a_fault(text in r#"([\[\]{}",:0-9a-z .-]|secs|nanos|fast|.)*"#) {
        for below in [Below::Unknown, Below::Bool, Below::Number, Below::Text, Below::List, Below::Table] {
            let tree = loose_over(&text, below);
            let _ = (read::<Server>(&tree), read::<Mode>(&tree), read::<Internal>(&tree));
            let _ = (read::<Untagged>(&tree), read::<Flat>(&tree), read::<Duration>(&tree));
            let _ = (read::<Vec<Option<i8>>>(&tree), read::<BTreeMap<i8, (u8, char)>>(&tree), read::<f32>(&tree));
            prop_assert!(read::<Value>(&tree).is_ok());
            prop_assert_eq!(read::<String>(&tree), Ok(text.clone()));
        }
    }

    #[test]
    fn any_number_written_out_is_read_back(number in any::<i64>(), float in any::<f64>()) {
        prop_assert_eq!(text::<i64>(&number.to_string()), Ok(number));
        prop_assert_eq!(text::<f64>(&float.to_string()).ok(), float.is_finite().then_some(float));
        prop_assert_eq!(text::<u16>(&number.to_string()).ok(), u16::try_from(number).ok());
    }
}
