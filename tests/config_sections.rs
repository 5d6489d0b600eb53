//! Sections: parts of a configuration with types of their own.
#![cfg(feature = "config")]

mod common;
mod config_common;

use common::{SECOND, aside, patient};
use config_common::{App, Limits, crash, layers, load, running, start};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use underpin::config::{Checks, Config, Layers, Origin, Unknown, UpdateError, Validate};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Cache {
    size: u64,
    ways: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self { size: 64, ways: 4 }
    }
}

impl Validate for Cache {
    fn validate(&self, checks: &mut Checks) {
        checks.within("ways", self.ways, 1..=16);
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Other {
    x: u64,
}

impl Validate for Other {}

/// What the file of a program says, with a section of a library in it.
fn with_cache(text: &str, name: &str) -> (Layers, std::path::PathBuf) {
    let file = std::env::temp_dir().join(format!("underpin-section-{}-{name}.toml", std::process::id()));
    std::fs::write(&file, text).expect("it can be written");
    (layers().file(&file).reserved("cache"), file)
}

#[test]
fn a_section_is_what_the_layers_say_over_its_own_defaults() {
    let (layers, file) = with_cache("[cache]\nsize = 128\n", "layers");
    let (config, _tree) = running(layers);
    let cache = config.section::<Cache>("cache").expect("a section");
    assert_eq!(*cache.load(), Cache { size: 128, ways: 4 });
    assert_eq!((cache.path().to_string(), config.version()), ("cache".into(), 2));
    assert_eq!(config.get("cache"), Ok(json!({"size": 128, "ways": 4})));
    assert_eq!(
        config.origin("cache.size").expect("it is there").to_string(),
        format!("{}:2", file.display())
    );
    assert_eq!(config.origin("cache.ways"), Ok(Origin::Default));
    drop(std::fs::remove_file(file));
}

#[test]
fn a_section_and_the_whole_are_one_version() {
    let (config, _tree) = running(layers());
    let cache = config.section::<Cache>("cache").expect("a section");
    let mut told = config.subscribe("cache").expect("a path");
    let before = cache.load();
    let changes = underpin::config::Changes::new().set("workers", 3).set("cache.ways", 8);
    assert_eq!(config.update_many(changes).expect("a version"), 3);
    assert_eq!((config.load().workers, cache.load().ways, before.ways), (3, 8, 4));
    assert_eq!(told.try_recv().expect("a notice").changes.len(), 1);
    assert_eq!(config.key::<u64>("cache.ways").expect("it is there").get(), Ok(&8));
    config.rollback(2).expect("a version");
    assert_eq!((config.load().workers, cache.load().ways), (2, 4));
    config.update("cache", json!({"size": 1})).expect("a version");
    assert_eq!(*cache.load(), Cache { size: 1, ways: 4 });
    config.reset().expect("a version");
    assert_eq!(*cache.clone().load(), Cache::default());
}

#[test]
fn a_section_has_a_validation_of_its_own() {
    let (config, _tree) = running(layers());
    let cache = config.section::<Cache>("cache").expect("a section");
    let refused = config.update("cache.ways", 17).expect_err("too many").to_string();
    assert!(refused.contains("cache.ways: expected 1"), "{refused}");
    assert!(config.update("cache.size", "big").is_err());
    assert!(matches!(config.update("cache.sise", 1), Err(UpdateError::Unknown { .. })));
    assert_eq!((config.version(), cache.load().ways), (2, 4));
}

#[test]
fn a_section_that_the_layers_have_wrong_is_not_registered() {
    let (layers, file) = with_cache("\n[cache]\nways = 0\n", "wrong");
    let (config, _tree) = running(layers);
    let refused = config.section::<Cache>("cache").expect_err("it is wrong").to_string();
    assert!(refused.contains("cache.ways: expected 1"), "{refused}");
    assert!(refused.contains(&format!("{}:3", file.display())), "{refused}");
    assert_eq!(config.version(), 1);
    assert!(config.section::<Other>("other").is_ok(), "others are");
    drop(std::fs::remove_file(file));
}

#[test]
fn what_is_wrong_with_the_whole_hides_nothing_that_is_with_a_section() {
    let (_, file) = with_cache("", "both");
    let (config, _tree) = running(layers().file(&file).unknown(Unknown::Refuse));
    config.section::<Cache>("cache").expect("a section");
    std::fs::write(&file, "workers = 0\nwrkers = 1\n[cache]\nsize = 1\nways = 17\n")
        .expect("it can be written");
    let Err(UpdateError::Invalid(faults)) = config.reload() else { panic!("it is wrong") };
    let paths: Vec<_> = faults.iter().map(|fault| fault.path.to_string()).collect();
    assert_eq!(paths, ["workers", "cache.ways", "wrkers"]);
    drop(std::fs::remove_file(file));
}

#[test]
fn a_place_has_one_type_and_the_same_section_may_be_registered_again() {
    let (config, _tree) = running(layers());
    let first = config.section::<Cache>("cache").expect("a section");
    let again = config.section::<Cache>("cache").expect("the same");
    assert_eq!((first.load(), config.version()), (again.load(), 2));
    for place in ["cache", "cache.size", "cache.x.y"] {
        let refused = config.section::<Other>(place).expect_err("it is taken");
        assert_eq!(refused.to_string(), format!("{place}: overlaps a section of another type"));
    }
    assert!(config.section::<Cache>("a..b").is_err());
}

#[test]
fn many_threads_may_register_the_same_section() {
    let (config, _tree) = running(layers());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                assert_eq!(*config.section::<Cache>("cache").expect("a section").load(), Cache::default())
            });
        }
    });
    assert_eq!(config.version(), 2);
}

#[test]
fn a_part_of_the_whole_can_be_a_section_too() {
    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Hard {
        hard: u64,
    }
    impl Validate for Hard {}
    let (config, _tree) = running(layers());
    let limits = config.section::<Hard>("limits").expect("a section");
    assert_eq!(limits.load().hard, 20);
    config.update("limits.hard", 30).expect("a version");
    assert_eq!((config.load().limits.clone(), limits.load().hard), (Limits { soft: 10, hard: 30 }, 30));
    assert_eq!(config.get("limits"), Ok(json!({"soft": 10, "hard": 30})), "the whole's part is still there");
}

#[test]
fn a_section_is_not_registered_below_a_value() {
    let (config, _tree) = running(layers());
    for place in ["workers.pool", "tags.cache"] {
        assert!(config.section::<Cache>(place).is_err(), "{place}");
    }
    assert_eq!((config.get("workers"), config.get("tags")), (Ok(json!(2)), Ok(json!([]))));
    assert_eq!(config.version(), 1);
}

#[test]
fn a_frozen_path_in_a_section_is_frozen_from_its_registration_on() {
    let (layers, file) = with_cache("[cache]\nsize = 128\n", "frozen");
    let (config, _tree) = running(layers.frozen("cache.size").frozen("cache.ways"));
    let cache = config.section::<Cache>("cache").expect("a section");
    assert_eq!(*cache.load(), Cache { size: 128, ways: 4 });
    for path in ["cache.size", "cache.ways"] {
        assert!(matches!(config.update(path, 1), Err(UpdateError::Frozen { .. })), "{path}");
    }
    std::fs::write(&file, "workers = 3\n[cache]\nsize = 1\nways = 2\n").expect("it can be written");
    config.reload().expect("it is valid, and heard but for what is frozen");
    assert_eq!((config.load().workers, cache.load().size, cache.load().ways), (3, 128, 4));
    drop(std::fs::remove_file(file));
}

#[test]
fn sections_outlive_a_crash_and_are_read_without_the_service() {
    let (config, tree) = running(layers());
    let cache = config.section::<Cache>("cache").expect("a section");
    crash(&config);
    config.update("cache.ways", 8).expect("a version");
    assert_eq!(cache.load().ways, 8);
    assert!(tree.shutdown(5 * SECOND).is_clean());
    assert_eq!(cache.load().ways, 8);
    assert!(matches!(config.section::<Other>("other"), Err(UpdateError::Stopped)));
    assert!(config.section::<Cache>("cache").is_ok(), "nobody has to be asked");
}

#[test]
fn a_section_is_registered_while_the_whole_is_plain_data() {
    let config: Config<Value> = Layers::new().defaults(json!({"cache": {"ways": 2}})).load().expect("valid");
    let other = config.clone();
    let early = aside(move || other.section::<Cache>("cache").expect("once the service runs"));
    let _tree = start(patient("tree"), &config);
    let cache = early.done();
    assert_eq!(*cache.load(), Cache { size: 64, ways: 2 });
    config.update("cache.ways", 3).expect("a version");
    assert_eq!((config.load()["cache"]["ways"].clone(), cache.load().ways), (json!(3), 3));
    let apps: Config<App> = load(layers());
    assert_eq!(apps.version(), 1);
}
