//! Variables of the environment, by the names of what people complain about.
#![cfg(feature = "config")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // tests stand outside of the door

mod common;
#[path = "common/settings.rs"]
mod settings;

use std::collections::BTreeMap;
use std::ffi::OsString;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use settings::{App, named, variables};
use underpin::config::{Config, Layers, Unknown, Validate};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Settings {
    max_line_length: usize,
    #[serde(rename = "log-level")]
    log_level: Level,
    #[serde(rename = "apiKey")]
    api_key: String,
    ratio: f64,
    verbose: bool,
    retries: Option<u8>,
    hosts: Vec<String>,
    ports: Vec<u16>,
    pair: (u8, String),
    database: Database,
    servers: Vec<Server>,
    labels: BTreeMap<String, String>,
    mode: Mode,
    any: Value,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Database {
    user_name: String,
    pool: Pool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Pool {
    max_size: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Server {
    host: String,
    port: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Level {
    #[default]
    Info,
    VeryLoud,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Off,
    Every {
        seconds: u32,
    },
}

impl Validate for Settings {}

fn load(pairs: &[(&str, &str)]) -> Result<Settings, String> {
    let defaults = Settings { servers: vec![Server::default()], ..Settings::default() };
    let layers = Layers::new().defaults(defaults).environment_of("APP", variables(pairs));
    let config = layers.unknown(Unknown::Refuse).load::<Settings>();
    config.map(|config| Settings::clone(&config.load())).map_err(|error| named(&error.to_string()))
}

#[track_caller]
fn fine(pairs: &[(&str, &str)]) -> Settings {
    load(pairs).unwrap_or_else(|error| panic!("{error}"))
}

/// What is wrong with one variable.
#[track_caller]
fn wrong(name: &str, value: &str) -> String {
    let text = load(&[(name, value)]).expect_err(name);
    let rest = text.strip_prefix("the configuration is not valid:\n").expect("it begins so");
    rest.strip_suffix(&format!(" (the variable {name})")).unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn nested_keys() {
    let settings = fine(&[("APP__DATABASE__POOL__MAX_SIZE", "7"), ("APP__DATABASE__USER_NAME", "u")]);
    assert_eq!((settings.database.pool.max_size, settings.database.user_name.as_str()), (7, "u"));
}

#[test]
fn names_with_underscores() {
    assert_eq!(fine(&[("APP__MAX_LINE_LENGTH", "80")]).max_line_length, 80);
    assert_eq!(wrong("APP__MAX__LINE_LENGTH", "80"), "max: there is no such setting");
}

#[test]
fn mixed_case() {
    assert_eq!(fine(&[("APP__APIKEY", "k")]).api_key, "k");
    assert_eq!(fine(&[("app__apiKey", "k")]).api_key, "k");
    assert_eq!(fine(&[("App__Database__User_Name", "u")]).database.user_name, "u");
}

#[test]
fn kebab_case() {
    assert_eq!(fine(&[("APP__LOG_LEVEL", "very-loud")]).log_level, Level::VeryLoud);
    let line = "log-level: expected one of `info`, `very-loud`, found \"loud\"";
    assert_eq!(wrong("APP__LOG_LEVEL", "loud"), line);
}

#[test]
fn keys_that_no_layer_has_and_the_type_has_by_default() {
    let vars = [("APP__LOG_LEVEL", "very-loud"), ("APP__APIKEY", "k"), ("APP__HOSTS__0", "h")];
    let loaded = Layers::new().environment_of("APP", variables(&vars)).unknown(Unknown::Refuse).load();
    let config: Config<Settings> = loaded.unwrap_or_else(|error| panic!("{error}"));
    let now = config.load();
    assert_eq!((&now.log_level, now.api_key.as_str(), now.hosts[0].as_str()), (&Level::VeryLoud, "k", "h"));
    assert_eq!(config.origin("log-level").expect("there").to_string(), "the variable APP__LOG_LEVEL");
}

#[test]
fn keys_that_nothing_is_known_of_are_taken_in_lower_case_and_with_underscores() {
    let vars = variables(&[("APP__NEW_KEY__Sub_Key", "x")]);
    let config: Config<Value> = Layers::new().environment_of("APP", vars).load().expect("it loads");
    assert_eq!(config.get("new_key.sub_key").expect("there"), "x");
}

#[test]
fn lists() {
    for (text, expected) in [
        ("a,b", vec!["a", "b"]),
        ("a, b", vec!["a", "b"]),
        ("a", vec!["a"]),
        ("", vec![]),
        (r#"["a,b"]"#, vec!["a,b"]),
    ] {
        assert_eq!(fine(&[("APP__HOSTS", text)]).hosts, expected, "{text}");
    }
    assert_eq!(fine(&[("APP__PORTS", "80,443")]).ports, [80, 443]);
    assert_eq!(fine(&[("APP__PORTS", "[80, 443]")]).ports, [80, 443]);
    assert_eq!(fine(&[("APP__PAIR", "1,x")]).pair, (1, "x".into()));
    assert_eq!(wrong("APP__PORTS", "80,x"), "ports.1: expected an integer from 0 to 65535, found \"x\"");
}

#[test]
fn elements_of_lists() {
    assert_eq!(fine(&[("APP__HOSTS__1", "b"), ("APP__HOSTS__0", "a")]).hosts, ["a", "b"]);
    let servers = fine(&[("APP__SERVERS__0__PORT", "1"), ("APP__SERVERS__1__HOST", "h")]).servers;
    assert_eq!(servers, [Server { port: 1, ..Server::default() }, Server { host: "h".into(), port: 0 }]);
    let many: Vec<_> = (0..12).map(|n| (format!("APP__PORTS__{n}"), n.to_string())).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(fine(&many).ports, (0..12).collect::<Vec<u16>>());
    load(&[("APP__HOSTS__2", "c")]).expect_err("two are missing before it");
}

#[test]
fn maps_and_tables() {
    assert_eq!(fine(&[("APP__LABELS__ZONE", "z")]).labels["zone"], "z");
    assert_eq!(fine(&[("APP__LABELS", r#"{"Zone": "z"}"#)]).labels["Zone"], "z");
    assert_eq!(fine(&[("APP__MODE__EVERY__SECONDS", "5")]).mode, Mode::Every { seconds: 5 });
    assert_eq!(fine(&[("APP__MODE", r#"{"every": {"seconds": 5}}"#)]).mode, Mode::Every { seconds: 5 });
    assert_eq!(fine(&[("APP__MODE", "off")]).mode, Mode::Off);
}

#[test]
fn typed_values_by_what_the_setting_is() {
    let settings = fine(&[("APP__RATIO", "0.5"), ("APP__VERBOSE", "true"), ("APP__RETRIES", "3")]);
    assert_eq!((settings.ratio, settings.verbose, settings.retries), (0.5, true, Some(3)));
    assert_eq!(fine(&[("APP__RETRIES", "")]).retries, None);
    assert_eq!(fine(&[("APP__APIKEY", "007")]).api_key, "007", "a text stays one, whatever it looks like");
    assert_eq!(fine(&[("APP__APIKEY", "true")]).api_key, "true");
    assert_eq!(fine(&[("APP__APIKEY", "a,b")]).api_key, "a,b");
    assert_eq!(fine(&[("APP__APIKEY", "")]).api_key, "");
    assert_eq!(fine(&[("APP__ANY", "x")]).any, Value::from("x"));
    assert_eq!(wrong("APP__VERBOSE", "yes"), "verbose: expected true or false, found \"yes\"");
    assert_eq!(wrong("APP__RETRIES", "256"), "retries: expected an integer from 0 to 255, found \"256\"");
    assert_eq!(wrong("APP__RATIO", "inf"), "ratio: expected a finite number, found \"inf\"");
}

#[test]
fn unknown_names() {
    assert_eq!(wrong("APP__MAXLINE_LENGTH", "80"), "maxline_length: there is no such setting");
    assert_eq!(wrong("APP__DATABASE__POOL__MAX", "80"), "database.pool.max: there is no such setting");
    assert_eq!(fine(&[("APPLE__X", "1"), ("APP_X", "1"), ("XAPP__Y", "1")]), fine(&[]), "not ours");
}

#[test]
fn all_that_is_wrong_is_told_with_the_names_of_the_variables() {
    let pairs = [("APP__RATIO", "x"), ("APP__VERBOSE", "1"), ("APP__DATABASE__POOL__MAX_SIZE", "-1")];
    let text = load(&pairs).expect_err("three faults");
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(pairs.iter().all(|(name, _)| text.contains(&format!("(the variable {name})"))), "{text}");
}

#[test]
fn a_second_environment_is_a_fault() {
    let layers = Layers::new().environment_of("A", variables(&[])).environment_of("B", variables(&[]));
    layers.load::<Settings>().expect_err("the first would be lost");
}

#[test]
fn a_prefix_with_the_underscores_that_follow_it_is_a_fault() {
    let layers = Layers::new().environment_of("APP__", variables(&[("APP__APIKEY", "k")]));
    let text = layers.load::<Settings>().expect_err("no variable would be read").to_string();
    assert!(text.contains("expected `APP`, without the underscores that follow it"), "{text}");
}

#[cfg(unix)]
#[test]
fn bytes_that_are_no_text() {
    use std::os::unix::ffi::OsStringExt;
    let os = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let vars = [(os(b"APP__APIKEY"), os(b"secret\xff")), (os(b"OTHER\xff"), os(b"\xff"))];
    let layers = Layers::new().defaults(Settings::default()).environment_of("APP", vars);
    let text = layers.load::<Settings>().expect_err("no text").to_string();
    let line = "the configuration is not valid:\napiKey: the value is not UTF-8 (the variable APP__APIKEY)";
    assert_eq!(text, line);
}

/// Run by the test below in a process of its own.
#[test]
fn in_another_process() {
    if std::env::var_os("UNDERPIN_TEST__WORKERS").is_some() {
        let config: Config<App> = settings::layers().environment("UNDERPIN_TEST").load().expect("it loads");
        let now = config.load();
        assert_eq!((now.workers, now.limits.hard), (7, 30));
    }
}

#[test]
fn the_environment_of_the_process() {
    let run = |workers: &str| {
        let mut command = std::process::Command::new(std::env::current_exe().expect("it is known"));
        command.args(["--exact", "in_another_process"]);
        command.env("UNDERPIN_TEST__WORKERS", workers).env("underpin_test__limits__HARD", "30");
        command.output().expect("it runs").status.success()
    };
    assert!(run("7"));
    assert!(!run("8"), "it does look at them");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn garbage_is_an_error_and_no_panic(
        pairs in prop::collection::vec(
            ("APP(_{0,3}(SERVERS|DATABASE|POOL|ANY|MODE|HOSTS|[0-3]|[a-z-]|\\PC)){0,4}_{0,3}", "\\PC{0,6}|[\\[\\]{}\",:0-9]{0,8}"),
            0..6,
        ),
    ) {
        let vars = pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        drop(Layers::new().environment_of("APP", vars.clone()).load::<Settings>());
        drop(Layers::new().environment_of("APP", vars).load::<Value>());
    }
}
