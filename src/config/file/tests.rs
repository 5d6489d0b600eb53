use super::*;
use crate::config::tree::Node;
use proptest::prelude::*;
use serde_json::{Number, Value, json};

fn parsed(format: Format, bytes: &[u8]) -> Result<Tree, String> {
    let name = if format == Format::Toml { "app.toml" } else { "app.json" };
    parse(&Arc::from(FilePath::new(name)), format, bytes).map_err(|fault| fault.to_string())
}

fn toml(text: &str) -> Result<Tree, String> {
    parsed(Format::Toml, text.as_bytes())
}

fn json(text: &str) -> Result<Tree, String> {
    parsed(Format::Json, text.as_bytes())
}

fn plain(tree: &Tree) -> Value {
    match &tree.node {
        Node::Null => Value::Null,
        Node::Bool(bool) => json!(bool),
        Node::Number(number) => Value::Number(number.clone()),
        Node::Text(text) => json!(text),
        Node::Loose { .. } => panic!("a file has types"),
        Node::List(list) => list.iter().map(plain).collect(),
        Node::Table(table) => table.iter().map(|(key, tree)| (key.clone(), plain(tree))).collect(),
    }
}

/// Each place but the top with its line.
fn lines(tree: &Tree) -> Vec<String> {
    fn add(tree: &Tree, at: &Path, into: &mut Vec<String>) {
        let Origin::File { line, .. } = tree.origin else { panic!("{:?}", tree.origin) };
        into.push(format!("{at}: {line}"));
        match &tree.node {
            Node::Table(table) => table.iter().for_each(|(key, tree)| add(tree, &at.child(key), into)),
            Node::List(list) => {
                let inner = list.iter().enumerate();
                inner.for_each(|(index, tree)| add(tree, &at.child(&index.to_string()), into));
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    add(tree, &Path::TOP, &mut all);
    all.split_off(1)
}

// ---- TOML --------------------------------------------------------------------------------

const TOML: &str = r#"# An example.
workers = 4
name = """
two
lines"""
list = [
    1,
    { a = "x",
      b = true }, # a comment
]
dotted.key.path = 0x1F

[limits.inner]
soft = -1.5
when = 1979-05-27T07:32:00Z

[[servers]]
port = 18446744073709551615

[[servers]]
"quoted.key" = 1_000
"#;

#[test]
fn toml_gives_typed_values() {
    let expected = json!({
        "workers": 4, "name": "two\nlines", "list": [1, {"a": "x", "b": true}],
        "dotted": {"key": {"path": 31}},
        "limits": {"inner": {"soft": -1.5, "when": "1979-05-27T07:32:00Z"}},
        "servers": [{"port": 18446744073709551615_u64}, {"quoted.key": 1000}],
    });
    assert_eq!(toml(TOML).map(|tree| plain(&tree)), Ok(expected));
}

#[test]
fn toml_values_know_their_lines() {
    let expected = [
        "dotted: 11",
        "dotted.key: 11",
        "dotted.key.path: 11",
        "limits: 13",
        "limits.inner: 13",
        "limits.inner.soft: 14",
        "limits.inner.when: 15",
        "list: 6",
        "list.0: 7",
        "list.1: 8",
        "list.1.a: 8",
        "list.1.b: 9",
        "name: 3",
        "servers: 17",
        "servers.0: 17",
        "servers.0.port: 18",
        "servers.1: 20",
        "servers.1.\"quoted.key\": 21",
        "workers: 2",
    ];
    assert_eq!(lines(&toml(TOML).expect("fine")), expected);
    // Also where lines end as on Windows.
    assert_eq!(lines(&toml(&TOML.replace('\n', "\r\n")).expect("fine")), expected);
}

#[test]
fn toml_that_is_wrong_is_refused_with_its_line_in_one_line() {
    for (text, expected) in [
        ("a = 1\nb = \n", "not valid TOML at column 5: "),
        ("a = 1\n= 2\n", "not valid TOML at column 1: "),
        ("\na = [1,\n\n", "not valid TOML at column 8: unclosed array"),
        ("a = 1\na = 2\n", "not valid TOML at column 1: duplicate key"),
        ("[a]\n[a]\n", "not valid TOML at column 2: duplicate key"),
        ("a.b = 1\na.b = 2\n", "not valid TOML at column 3: duplicate key"),
        ("ä = 1\n\"ä\" = 'ö' 1", "not valid TOML at column 11: "),
    ] {
        let fault = toml(text).expect_err(text);
        assert!(fault.starts_with(expected) && !fault.contains('\n'), "{text}: {fault}");
        assert!(fault.ends_with("(app.toml:2)"), "{text}: {fault}");
    }
}

#[test]
fn toml_numbers_that_are_none_or_too_large_are_refused() {
    for (text, expected) in [
        ("\na.b = nan", "a.b: expected a finite number (app.toml:2)"),
        ("a = [1.0,\n -inf]", "a.1: expected a finite number (app.toml:2)"),
        ("a = 1e999", "a: expected a finite number (app.toml:1)"),
        ("a = 18446744073709551616", "a: expected an integer of 64 bits (app.toml:1)"),
        ("a = -9223372036854775809", "a: expected an integer of 64 bits (app.toml:1)"),
        ("a = 0x1_0000_0000_0000_0000", "a: expected an integer of 64 bits (app.toml:1)"),
    ] {
        assert_eq!(toml(text), Err(expected.into()));
    }
    let edges = "a = -9223372036854775808\nb = 0xFFFF_FFFF_FFFF_FFFF\nc = +1\nd = 0o17\ne = 0b11";
    let expected = json!({"a": i64::MIN, "b": u64::MAX, "c": 1, "d": 15, "e": 3});
    assert_eq!(toml(edges).map(|tree| plain(&tree)), Ok(expected));
}

// ---- JSON --------------------------------------------------------------------------------

const JSON: &str = r#"
{ "workers": 4, "null": null,
  "text":
    "a\nb",
  "list": [ 1,
    { "a":
        true }, []
  ], "esc\u0061ped": -1.5e3,
  "ä": {
    "b": 18446744073709551615 } }
"#;

#[test]
fn json_gives_typed_values() {
    let expected = json!({
        "workers": 4, "null": null, "text": "a\nb", "list": [1, {"a": true}, []], "escaped": -1500.0,
        "ä": {"b": 18446744073709551615_u64},
    });
    assert_eq!(json(JSON).map(|tree| plain(&tree)), Ok(expected));
}

#[test]
fn json_values_know_their_lines() {
    let expected = [
        "escaped: 8",
        "list: 5",
        "list.0: 5",
        "list.1: 6",
        "list.1.a: 7",
        "list.2: 7",
        "null: 2",
        "text: 4",
        "workers: 2",
        "ä: 9",
        "ä.b: 10",
    ];
    assert_eq!(lines(&json(JSON).expect("fine")), expected);
    assert_eq!(json(JSON).expect("fine").origin.to_string(), "app.json:2");
    assert_eq!(lines(&json(&JSON.replace('\n', "\r\n")).expect("fine")), expected);
}

#[test]
fn json_that_is_wrong_is_refused_with_its_line_in_one_line() {
    for (text, expected) in [
        ("{\"a\": 1\n \"b\": 2}", "not valid JSON at column 2: expected `,` or `}` (app.json:2)"),
        ("", "not valid JSON at column 1: EOF while parsing a value (app.json:1)"),
        ("{\n\"a\": [\n", "not valid JSON at column 1: EOF while parsing a list (app.json:3)"),
        ("{}\n\n x", "not valid JSON at column 2: trailing characters (app.json:3)"),
        ("{\"ä\":\n\"ö\", x}", "not valid JSON at column 6: key must be a string (app.json:2)"),
        (
            "{\"a\": [\n\"\\ud800\"]}",
            "a.0: not valid JSON at column 8: unexpected end of hex escape (app.json:2)",
        ),
    ] {
        assert_eq!(json(text), Err(expected.into()));
    }
}

#[test]
fn json_has_a_table_at_its_top() {
    for text in ["\n[]", "\n 1", "\nnull", "\n\"{}\"", "\ntrue"] {
        assert_eq!(json(text), Err("expected a table at the top of the file (app.json:2)".into()));
    }
    assert_eq!(json(" {} ").map(|tree| plain(&tree)), Ok(json!({})));
}

#[test]
fn a_key_of_json_that_is_there_twice_is_refused() {
    assert_eq!(json("{\"a\": 1,\n\"a\": 2}"), Err("a: is there twice (app.json:2)".into()));
    let fault = json("{\"a\": [{\"b\": 1,\n \"c\": 1,\n \"\\u0062\": 2}]}");
    assert_eq!(fault, Err("a.0.b: is there twice (app.json:3)".into()));
    assert!(json("{\"a\": {\"a\": 1}, \"A\": 1}").is_ok());
}

#[test]
fn json_numbers_are_exact_or_floats_or_refused() {
    let tree =
        json("{\"a\": 18446744073709551616, \"b\": -9223372036854775808, \"c\": -0, \"d\": 0, \"e\": 1E2}");
    let expected = json!({"a": 18446744073709551616.0, "b": i64::MIN, "c": -0.0, "d": 0, "e": 100.0});
    assert_eq!(tree.map(|tree| plain(&tree)), Ok(expected));
    assert_eq!(json("{\"a\":\n1e999}"), Err("a: expected a finite number (app.json:2)".into()));
}

// ---- both --------------------------------------------------------------------------------

#[test]
fn a_byte_order_mark_is_passed_over() {
    assert_eq!(toml("\u{feff}a = 1"), toml("a = 1"));
    assert_eq!(json("\u{feff}{\"a\": 1}"), json("{\"a\": 1}"));
}

#[test]
fn what_is_not_utf8_is_refused_with_its_line() {
    for format in [Format::Toml, Format::Json] {
        let fault = parsed(format, b"\n\na = \"\xff\"\n").expect_err("not UTF-8");
        assert!(fault.starts_with("not UTF-8 (app.") && fault.ends_with(":3)"), "{fault}");
    }
}

#[test]
fn fifty_segments_may_nest_and_no_more() {
    let of = |depth: usize| {
        let lists = format!("{}{}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        let tables = format!("{}{}", "{\"k\":".repeat(depth - 1) + "1", "}".repeat(depth - 1));
        let toml_tables = tables.replace(':', "=");
        let header = format!("[{}]\nk = 1", vec!["k"; depth - 1].join("."));
        let dotted = format!("{} = 1", vec!["k"; depth].join("."));
        let lists_json = json(&format!("{{\"k\":{lists}}}"));
        let tomls =
            [format!("k = {lists}"), format!("k = {toml_tables}"), header, dotted].map(|text| toml(&text));
        [tomls.as_slice(), &[lists_json, json(&format!("{{\"k\":{tables}}}"))]].concat()
    };
    // The innermost list is empty: it is a value itself.
    assert!(of(50).iter().all(Result::is_ok), "{:?}", of(50));
    for fault in of(52) {
        let fault = fault.expect_err("too deep");
        assert!(fault.contains("nests too deep: a path has at most 50 segments, not 51 (app."), "{fault}");
    }
}

#[test]
fn what_nests_ten_thousand_deep_is_refused_without_a_stack_of_that_depth() {
    let n = 10_000;
    let keys = vec!["k"; n].join(".");
    for text in [
        format!("k = {}", "[".repeat(n)),
        format!("k = {}{}", "[".repeat(n), "]".repeat(n)),
        format!("k = {}1{}", "{k = ".repeat(n), "}".repeat(n)),
        format!("k = {}1{}", "[{k = ".repeat(n), "}]".repeat(n)),
        format!("k = {}", "{k = [".repeat(n)),
        format!("{keys} = 1"),
        format!("[{keys}]\na = 1"),
        format!("[[{keys}]]\na = 1"),
        (1..75).map(|depth| format!("[[{}]]\n", vec!["k"; depth].join("."))).collect(),
    ] {
        assert!(toml(&text).is_err(), "{}", &text[..20]);
    }
    for text in [
        "[".repeat(n),
        format!("{{\"k\": {}{}}}", "[".repeat(n), "]".repeat(n)),
        format!("{{\"k\": {}1{}}}", "{\"k\":".repeat(n), "}".repeat(n)),
        "{\"k\":[".repeat(n),
    ] {
        assert!(json(&text).is_err(), "{}", &text[..20]);
    }
}

#[test]
fn a_text_that_is_too_long_is_refused_with_its_line() {
    let text = "s".repeat(super::super::limits::MAX_VALUE_BYTES + 1);
    let rest = "a: is too long: a value has at most 1048576 bytes, not 1048577";
    assert_eq!(toml(&format!("\na = '{text}'")), Err(format!("{rest} (app.toml:2)")));
    assert_eq!(json(&format!("{{\n\"a\": \"{text}\"}}")), Err(format!("{rest} (app.json:2)")));
    assert!(toml(&format!("a = '{}'", &text[1..])).is_ok());
}

#[test]
fn a_file_that_is_too_large_is_refused() {
    let large = vec![b'\n'; MAX_FILE_BYTES + 1];
    let fault = parsed(Format::Toml, &large).expect_err("too large");
    assert_eq!(fault, "too large, a file has at most 4194304 bytes (app.toml:1)");
}

#[test]
fn the_extension_tells_the_format() {
    let of = |name: &str| Format::of(FilePath::new(name)).map_err(|fault| fault.to_string());
    assert_eq!(
        [of("a/b.toml"), of("B.TOML"), of("c.d.json")],
        [Ok(Format::Toml), Ok(Format::Toml), Ok(Format::Json)]
    );
    for name in ["app.yaml", "app", "toml", ".toml", "app.toml.bak", ""] {
        assert_eq!(of(name), Err(format!("expected a file that ends in .toml or .json, found {name}")));
    }
}

/// A table without what the formats write differently.
fn settings() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |float| Number::from_f64(float).map(Value::Number)),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    let inner = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,4}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    });
    prop::collection::btree_map("\\PC{0,4}", inner, 0..5).prop_map(|map| map.into_iter().collect())
}

/// As TOML, all in inline tables but for the top.
fn to_toml(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("[{}]", list.iter().map(to_toml).collect::<Vec<_>>().join(", ")),
        Value::Object(table) => {
            let pairs = table.iter().map(|(key, value)| format!("{} = {}", json!(key), to_toml(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::Number(number) if number.is_f64() => format!("{:e}", number.as_f64().expect("a float")),
        other => other.to_string(),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(settings in settings()) {
        let pretty = serde_json::to_string_pretty(&settings).expect("JSON");
        prop_assert_eq!(json(&pretty).map(|tree| plain(&tree)), Ok(settings.clone()));
        let table = settings.as_object().expect("a table");
        let text: String = table.iter().map(|(key, value)| format!("{} = {}\n", json!(key), to_toml(value))).collect();
        prop_assert_eq!(toml(&text).map(|tree| plain(&tree)), Ok(settings));
    }

    #[test]
    fn the_line_of_a_value_is_where_it_is_written(blank in prop::collection::vec(0..4_usize, 1..8)) {
        let (mut toml_text, mut json_text, mut expected, mut line) = (String::new(), "{".to_owned(), Vec::new(), 1);
        for (number, blank) in blank.iter().enumerate() {
            let (gap, comma) = ("\n".repeat(*blank + 1), if number == 0 { "" } else { "," });
            line += blank + 1;
            toml_text += &format!("{gap}k{number} = [1]");
            json_text += &format!("{comma}{gap}\"k{number}\": [1]");
            expected.extend([format!("k{number}: {line}"), format!("k{number}.0: {line}")]);
        }
        prop_assert_eq!(lines(&toml(&toml_text).expect("fine")), expected.clone());
        prop_assert_eq!(lines(&json(&(json_text + "}")).expect("fine")), expected);
    }

    #[test]
    fn garbage_is_an_error_in_one_line_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        for format in [Format::Toml, Format::Json] {
            prop_assert!(!parsed(format, &bytes).is_err_and(|fault| fault.contains('\n')));
        }
    }

    #[test]
    fn nearly_right_is_an_error_in_one_line_with_a_line_that_is_there(
        text in "([a{}\"=:,.\\[\\]\n\r #'01e+\\\\-]|\"\"\"|a = 1\n|\"a\": |\\[a\\]\n|\\\\u00|ä|true|nan){0,24}",
    ) {
        for (format, text) in [(Format::Toml, text.clone()), (Format::Json, text.clone()), (Format::Json, format!("{{{text}}}"))] {
            let Err(fault) = parsed(format, text.as_bytes()) else { continue };
            let line = fault.rsplit_once(':').and_then(|(_, line)| line.trim_end_matches(')').parse::<usize>().ok());
            let last = text.matches('\n').count() + 1;
            prop_assert!(!fault.contains('\n') && line.is_some_and(|line| (1..=last).contains(&line)), "{}", fault);
        }
    }
}

// ---- the disk ----------------------------------------------------------------------------

/// A directory of its own that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("underpin-file-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_file_is_read_whole() {
    let dir = Dir::new("whole");
    let file = dir.0.join("app.toml");
    fs::write(&file, b"a = 1\n\xff").expect("written");
    assert_eq!(read(&file).expect("read"), b"a = 1\n\xff");
    let missing = read(&dir.0.join("none.toml")).expect_err("none");
    assert!(matches!(missing, ReadError::NotFound { .. }));
    assert!(missing.to_string().ends_with("none.toml: there is no such file"), "{missing}");
    let below = read(&file.join("x.toml")).expect_err("a file is no directory");
    assert!(matches!(below, ReadError::NotReadable { .. } | ReadError::NotFound { .. }), "{below}");
}

#[test]
fn a_file_that_is_larger_than_may_be_is_not_read_further() {
    let dir = Dir::new("large");
    let file = dir.0.join("app.toml");
    fs::File::create(&file).and_then(|file| file.set_len(MAX_FILE_BYTES as u64)).expect("a file of zeros");
    assert!(read(&file).is_ok_and(|bytes| bytes.len() == MAX_FILE_BYTES));
    fs::File::create(&file).and_then(|file| file.set_len(MAX_FILE_BYTES as u64 + 1)).expect("one more");
    assert!(matches!(read(&file), Err(ReadError::TooLarge { .. })));
    // Whatever size the system states.
    let endless = bytes(&file, io::repeat(0), 1000);
    assert!(matches!(endless, Err(ReadError::TooLarge { .. })));
    assert!(bytes(&file, io::repeat(0).take(1000), 1000).is_ok_and(|bytes| bytes.len() == 1000));
}

#[test]
fn a_directory_is_not_read() {
    let dir = Dir::new("directory");
    assert!(matches!(read(&dir.0), Err(ReadError::NotRegular { .. })));
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_pipes_and_devices_are_not_opened() {
    let dir = Dir::new("links");
    let [link, pipe, to_pipe, dangling] =
        ["link", "pipe", "to-pipe", "dangling"].map(|name| dir.0.join(name));
    fs::write(dir.0.join("app.toml"), "a = 1").expect("written");
    for (target, link) in [("app.toml", &link), ("pipe", &to_pipe), ("none", &dangling)] {
        std::os::unix::fs::symlink(target, link).expect("a link");
    }
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there");
    assert!(made.success());
    assert_eq!(read(&link).expect("read"), b"a = 1");
    assert!(matches!(read(&dangling), Err(ReadError::NotFound { .. })));
    for special in [&pipe, &to_pipe, &PathBuf::from("/dev/zero")] {
        assert!(matches!(read(special), Err(ReadError::NotRegular { .. })), "{}", special.display());
    }
}
