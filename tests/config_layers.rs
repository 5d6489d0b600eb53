//! What a configuration is made from, and all that may be wrong with it.
#![cfg(feature = "config")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // tests stand outside of the door

mod common;
#[path = "common/settings.rs"]
mod settings;

use log::Level;
use proptest::prelude::*;
use serde_json::{Value, json};
use settings::*;
use underpin::config::{BadStart, Config, Layers, Origin, Unknown};

fn origin(config: &Config<App>, path: &str) -> String {
    named(&config.origin(path).expect(path).to_string())
}

#[test]
fn the_later_layer_goes_before_the_earlier_and_each_value_knows_its_own() {
    let dir = Dir::new();
    let toml = dir.write("app.toml", "workers = 2\n\n[limits]\nsoft = 3\nhard = 4\n");
    let json = dir.write("app.json", "{\"limits\":\n{\"hard\":\n5}, \"hosts\": [\"b\"]}");
    let config: Config<App> = layers()
        .file(toml)
        .file(json)
        .environment_of("APP", variables(&[("APP__WORKERS", "6"), ("APP__NAME", "n")]))
        .override_text("--name", "name", "o")
        .load()
        .expect("it loads");
    let running = common::patient("layers").child(config.child()).start().expect("it starts");
    let now = App::clone(&config.load());
    assert_eq!((now.workers, now.limits.soft, now.limits.hard), (6, 3, 5));
    assert_eq!((now.hosts, now.name.as_deref()), (vec!["b".to_owned()], Some("o")));
    let expected = [
        ("listen", "the defaults"),
        ("limits.soft", "app.toml:4"),
        ("limits.hard", "app.json:3"),
        ("hosts", "app.json:3"),
        ("hosts.0", "app.json:3"),
        ("workers", "the variable APP__WORKERS"),
        ("name", "--name"),
    ];
    for (path, expected) in expected {
        assert_eq!(origin(&config, path), expected, "{path}");
    }
    config.update("workers", 9).expect("made");
    assert_eq!(config.origin("workers").expect("there"), Origin::Update { version: 2 });
    drop(running);
}

#[test]
fn a_list_is_replaced_and_a_table_is_filled() {
    let dir = Dir::new();
    let file = dir.write("app.toml", "hosts = []\n[limits]\nhard = 11");
    let config: Config<App> = layers().file(file).load().expect("it loads");
    let now = config.load();
    assert_eq!((now.hosts.len(), now.limits.soft, now.limits.hard), (0, 10, 11));
}

#[test]
fn without_defaults_each_value_has_to_be_said() {
    let missing = |name: &str| format!("{name}: expected a value, found none (the defaults)");
    let expected = ["workers", "listen", "limits", "hosts"].map(missing);
    assert_eq!(refused::<App>(Layers::new()), expected);
}

#[test]
fn a_required_file_must_be_there_and_an_optional_one_may_be() {
    let dir = Dir::new();
    let none = dir.at("none.toml");
    assert_eq!(refused::<App>(layers().file(&none)), ["none.toml: there is no such file"]);
    let config: Config<App> = layers().optional_file(&none).load().expect("it loads");
    assert_eq!(*config.load(), App::default());
    // One that is there has to be right.
    let bad = dir.write("bad.toml", "workers 1");
    assert_eq!(refused::<App>(layers().optional_file(bad)).len(), 1);
    let line = "expected a file that ends in .toml or .json, found app.yaml";
    assert_eq!(refused::<App>(layers().file(dir.write("app.yaml", ""))), [line]);
}

#[test]
fn all_faults_of_all_layers_are_told_at_once_with_path_and_origin() {
    let dir = Dir::new();
    let toml = dir.write("app.toml", "workers = 'two'\n[limits]\nsoft = -1");
    let json = dir.write("app.json", "{\n\n\"hosts\": [\"a\", 7]}");
    let all = layers()
        .file(toml)
        .file(json)
        .environment_of("APP", variables(&[("APP__LISTEN", "here")]))
        .override_value("--name", "name", json!({"x": 1}));
    let expected = [
        "workers: expected an integer from 0 to 65535, found \"two\" (app.toml:1)",
        "listen: invalid socket address syntax, found \"here\" (the variable APP__LISTEN)",
        "limits.soft: expected an integer from 0 to 18446744073709551615, found -1 (app.toml:3)",
        "hosts.1: expected text, found 7 (app.json:3)",
        "name: expected text, found a table (--name)",
    ];
    assert_eq!(refused::<App>(all), expected);
}

#[test]
fn what_validation_says_has_the_origin_of_its_value() {
    let dir = Dir::new();
    let toml = dir.write("app.toml", "[limits]\nhard = 9");
    let all = layers().file(toml).environment_of("APP", variables(&[("APP__WORKERS", "65")]));
    let expected = [
        "workers: expected 1 to 64, found 65 (the variable APP__WORKERS)",
        "limits.soft: expected at most `hard` (the defaults)",
    ];
    assert_eq!(refused::<App>(all), expected);
}

#[test]
fn files_that_cannot_be_read_do_not_hide_one_another() {
    let dir = Dir::new();
    let (toml, json) = (dir.write("app.toml", "\nworkers = = 1"), dir.write("app.json", "{\"a\" 1}"));
    let all = layers()
        .file(dir.at("none.toml"))
        .file(toml)
        .file(json)
        .environment_of("APP", variables(&[("APP__A__", "1")]));
    let lines = refused::<App>(all);
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(lines[0], "none.toml: there is no such file");
    assert!(lines[1].ends_with("(app.toml:2)"), "{lines:?}");
    assert!(lines[2].ends_with("(app.json:1)"), "{lines:?}");
    assert!(lines[3].ends_with("(the variable APP__A__)"), "{lines:?}");
}

#[test]
fn a_variable_that_names_nothing_does_not_hide_what_is_wrong_in_a_file() {
    let dir = Dir::new();
    let toml = dir.write("app.toml", "workers = 0");
    let all = layers().file(toml).environment_of("APP", variables(&[("APP__A__", "1")]));
    let lines = refused::<App>(all);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[1], "workers: expected 1 to 64, found 0 (app.toml:1)");
}

#[test]
fn what_is_wrong_with_the_description_is_told_before_anything_is_read() {
    let lines =
        refused::<App>(layers().frozen("a..b").reserved("").override_value("-x", ".", 1).environment(""));
    assert_eq!(lines.len(), 4, "{lines:?}");
}

#[test]
fn a_bad_start_on_the_defaults_is_by_choice_and_only_if_they_hold() {
    let dir = Dir::new();
    let bad = || layers().file(dir.write("app.toml", "workers = 0"));
    assert_eq!(refused::<App>(bad()).len(), 1);
    let config: Config<App> = bad().on_bad_start(BadStart::Defaults).load().expect("it loads");
    assert_eq!((config.load().workers, config.snapshot().is_degraded()), (1, true));
    let wrong = App { workers: 99, ..App::default() };
    let lines = refused::<App>(bad().defaults(wrong).on_bad_start(BadStart::Defaults));
    assert_eq!(lines, ["workers: expected 1 to 64, found 99 (the defaults)"]);
}

#[test]
fn all_that_is_wrong_with_overrides_is_told_at_once() {
    let long = "s".repeat((1 << 20) + 1);
    let all = layers().override_text("--name", "name", &long).override_text("--host", "hosts", &long);
    let line = |name: &str, option: &str| {
        format!("{name}: is too long: a value has at most 1048576 bytes, not 1048577 ({option})")
    };
    assert_eq!(refused::<App>(all), [line("name", "--name"), line("hosts", "--host")]);
}

// ---- unknown keys ------------------------------------------------------------------------

fn with_unknown(dir: &Dir, name: &str) -> Layers {
    records();
    let file = dir.write(name, "[limits]\nsoft = 1\nsofd = 2\n[plugin]\nx.y = 1");
    layers().file(file).environment_of("APP", variables(&[("APP__WRKERS", "3")]))
}

#[test]
fn unknown_keys_are_warned_of_unless_something_else_is_said() {
    let dir = Dir::new();
    let config: Config<App> = with_unknown(&dir, "warned.toml").load().expect("it loads");
    assert_eq!(config.load().limits.soft, 1);
    let warned = records().all();
    let warned: Vec<_> = warned.iter().filter(|(_, said)| said.contains("warned.toml")).collect();
    let lines: Vec<_> = warned.iter().map(|(level, said)| (*level, named(said))).collect();
    let line = |text: &str| (Level::Warn, text.to_owned());
    let expected = [
        line("config: limits.sofd: there is no such setting (warned.toml:3)"),
        line("config: plugin: there is no such setting (warned.toml:4)"),
    ];
    assert_eq!(lines, expected);
    assert!(logged(Level::Warn, "config: wrkers: there is no such setting (the variable APP__WRKERS)") >= 1);
}

#[test]
fn unknown_keys_are_refused_or_passed_over_if_that_is_said() {
    let dir = Dir::new();
    let mut lines = refused::<App>(with_unknown(&dir, "refused.toml").unknown(Unknown::Refuse));
    lines.sort();
    let expected = [
        "limits.sofd: there is no such setting (refused.toml:3)",
        "plugin: there is no such setting (refused.toml:4)",
        "wrkers: there is no such setting (the variable APP__WRKERS)",
    ];
    assert_eq!(lines, expected);
    let _: Config<App> =
        with_unknown(&dir, "ignored.toml").unknown(Unknown::Ignore).load().expect("it loads");
    assert_eq!(records().count(|(_, said)| said.contains("ignored.toml")), 0);
}

#[test]
fn unknown_keys_and_faults_of_type_are_told_at_once() {
    let dir = Dir::new();
    let file = dir.write("app.toml", "wrkers = 1\nworkers = 0\nname = 1");
    let lines = refused::<App>(layers().file(file).unknown(Unknown::Refuse));
    assert_eq!(lines.len(), 3, "{lines:?}");
}

/// Something has to stand in for a wrong value that has no default in its type.
#[test]
fn unknown_keys_are_told_beside_a_value_that_has_no_default() {
    let dir = Dir::new();
    let file = dir.write("app.toml", "wrkers = 1\nworkers = 'two'");
    let lines = refused::<App>(layers().file(file).unknown(Unknown::Refuse));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[1], "wrkers: there is no such setting (app.toml:1)");
}

#[test]
fn keys_in_a_reserved_place_are_somebody_elses() {
    let dir = Dir::new();
    let all = with_unknown(&dir, "reserved.toml").unknown(Unknown::Refuse).reserved("plugin");
    let lines = refused::<App>(all);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("plugin")), "{lines:?}");
}

// ---- limits ------------------------------------------------------------------------------

#[test]
fn a_file_has_its_limits_and_says_which() {
    let dir = Dir::new();
    let deep = dir.write("deep.toml", format!("{} = 1", vec!["k"; 51].join(".")));
    let long = dir.write("long.toml", format!("\nname = '{}'", "s".repeat((1 << 20) + 1)));
    let large = dir.write("large.toml", "#".repeat((4 << 20) + 1));
    let lines = refused::<App>(layers().file(deep).file(long).file(large));
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines.iter().any(|line| line.ends_with("a path has at most 50 segments, not 51 (deep.toml:1)")));
    let long = "name: is too long: a value has at most 1048576 bytes, not 1048577 (long.toml:2)";
    assert!(lines.iter().any(|line| line == long), "{lines:?}");
    assert!(lines.iter().any(|line| line == "large.toml: too large, a file has at most 4194304 bytes"));
}

#[test]
fn no_fault_shows_a_value_at_length() {
    let (dir, secret) = (Dir::new(), "s3cret".repeat(20));
    let texts = [
        format!("workers = '{secret}'"),
        format!("listen = '{secret}'"),
        format!("limits = '{secret}'"),
        format!("name = ['{secret}']"),
        format!("workers = '{secret}"),
        format!("workers = {secret}"),
    ];
    for text in texts {
        let file = dir.write("app.toml", &text);
        let faults = layers().file(file).load::<App>().expect_err("it is refused").to_string();
        assert!(!faults.contains(&secret[..60]), "{faults}");
    }
    for name in ["APP__WORKERS", "APP__LISTEN", "APP__LIMITS", "APP__HOSTS__X", "APP__LIMITS__SOFT"] {
        let vars = variables(&[(name, &secret)]);
        let faults = layers().environment_of("APP", vars).load::<App>().expect_err(name).to_string();
        assert!(!faults.contains(&secret[..60]), "{faults}");
    }
}

// ---- any layers --------------------------------------------------------------------------

fn table() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z ]{0,4}".prop_map(Value::from),
        prop::collection::vec(0..9, 0..3).prop_map(Value::from),
    ];
    let inner = leaf.prop_recursive(3, 16, 4, |inner| {
        prop::collection::btree_map("[a-c]", inner, 0..4).prop_map(|table| table.into_iter().collect())
    });
    prop::collection::btree_map("[a-c]", inner, 0..4).prop_map(|table| table.into_iter().collect())
}

/// One value over another, as anybody would write it.
fn naive(below: &mut Value, above: &Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, above) in above {
                match below.get_mut(key) {
                    Some(below) => naive(below, above),
                    None => drop(below.insert(key.clone(), above.clone())),
                }
            }
        }
        (below, above) => *below = above.clone(),
    }
}

/// As TOML, all in inline tables but for the top.
fn as_toml(value: &Value) -> String {
    match value {
        Value::Object(table) => {
            let pairs: Vec<_> =
                table.iter().map(|(key, value)| format!("{key} = {}", as_toml(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        value => value.to_string(),
    }
}

fn toml_file(value: &Value) -> String {
    let table = value.as_object().expect("a table");
    table.iter().map(|(key, value)| format!("{key} = {}\n", as_toml(value))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn layers_merge_like_a_naive_reference(
        layers in prop::collection::vec(table(), 4), path in "[a-c](\\.[a-c]){0,1}", last in any::<u8>(),
    ) {
        let dir = Dir::new();
        let made = Layers::new()
            .defaults(&layers[0])
            .file(dir.write("1.toml", toml_file(&layers[1])))
            .optional_file(dir.at("missing.toml"))
            .file(dir.write("2.json", layers[2].to_string()))
            .optional_file(dir.write("3.toml", toml_file(&layers[3])))
            .override_value("-o", &path, last)
            .load::<Value>()
            .expect("tables over tables");
        let mut expected = json!({});
        layers.iter().for_each(|layer| naive(&mut expected, layer));
        let over = path.rsplit('.').fold(json!(last), |inner, key| json!({ key: inner }));
        naive(&mut expected, &over);
        prop_assert_eq!(&*made.load(), &expected);
    }

    #[test]
    fn garbage_in_a_file_is_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let dir = Dir::new();
        for name in ["app.toml", "app.json"] {
            drop(layers().file(dir.write(name, &bytes)).load::<App>());
        }
    }

    #[test]
    fn almost_a_file_is_an_error_in_plain_words_and_no_panic(
        text in "(workers|limits|soft|hosts|name|=|\\.|\\[|\\]|\\{|\\}|:|\"|'|,|\n|[0-9]|true|nan| ){0,16}",
    ) {
        let dir = Dir::new();
        for name in ["app.toml", "app.json"] {
            if let Err(error) = layers().file(dir.write(name, &text)).load::<App>() {
                let text = error.to_string();
                let lines: Vec<_> = text.lines().skip(1).collect();
                prop_assert!(!lines.is_empty() && lines.iter().all(|line| line.contains("app.")), "{}", text);
            }
        }
    }

    #[test]
    fn garbage_paths_and_texts_of_overrides_are_errors_and_no_panics(path in "\\PC{0,12}", text in "\\PC{0,12}") {
        drop(layers().override_text("-o", &path, &text).load::<App>());
        drop(layers().override_value("-o", &path, &text).frozen(&path).reserved(&path).load::<Value>());
    }
}
