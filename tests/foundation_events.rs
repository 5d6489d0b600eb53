//! A foundation with a store of events: what becomes of a configuration is told there, and nobody waits
//! for it.
#![cfg(all(feature = "foundation", feature = "config", feature = "journal"))]

mod common;
mod events_common;

use std::time::{Duration, Instant};

use events_common::{Dir, hang};
use serde_json::{Value, json};
use underpin::config::{Changes, Config, Layers};
use underpin::events::{EventStore, Journal, Query, ReplayError, StartFrom};
use underpin::{CONFIG_RESET, CONFIG_UPDATED, Foundation, Overflow, RebuildError};

fn config() -> Config<Value> {
    let defaults = json!({"workers": 2, "limits": {"soft": 1, "hard": 2}});
    Layers::new().defaults(defaults).load().expect("it is valid")
}

fn started(config: &Config<Value>, store: &EventStore) -> Foundation {
    Foundation::builder("app").config(config).events(store).start().expect("it starts")
}

fn journaled(dir: &Dir) -> EventStore {
    EventStore::builder().journal(Journal::at(&dir.0)).open().expect("it opens")
}

#[test]
fn an_update_a_reset_and_a_rollback_are_events_in_their_order() {
    let (config, store) = (config(), EventStore::in_memory());
    let _app = started(&config, &store);
    config.update("workers", 4).expect("it is valid");
    config.rollback(1).expect("it is kept");
    config.update_many(Changes::new().set("limits.soft", 5).set("limits.hard", 6)).expect("it is valid");
    config.reset().expect("it is valid");
    let told = store.query(&Query::new().kind_prefix("config.")).expect("it keeps up").entries;
    let data: Vec<_> = told.iter().map(|entry| entry.data().as_json().expect("JSON").clone()).collect();
    let kinds: Vec<_> = told.iter().map(|entry| entry.kind()).collect();
    assert_eq!(kinds, [CONFIG_UPDATED, CONFIG_UPDATED, CONFIG_UPDATED, CONFIG_RESET]);
    let causes: Vec<_> = data.iter().map(|data| json!([data["version"], data["cause"]])).collect();
    let expected = [json!([2, "update"]), json!([3, "rollback"]), json!([4, "update"]), json!([5, "reset"])];
    assert_eq!(causes, expected);
    assert_eq!(data[0]["changes"], json!([{"path": "workers", "old": 2, "new": 4}]));
    assert_eq!(told[3].version(), 4);
}

#[test]
fn a_configuration_is_rebuilt_from_the_events_of_earlier_runs() {
    let dir = Dir::new("rebuilt");
    {
        let (config, store) = (config(), journaled(&dir));
        let app = started(&config, &store);
        assert_eq!(app.rebuild_config(&config).expect("nothing was updated"), None);
        config.update("workers", 3).expect("it is valid");
        config.reset().expect("it is valid");
        config.update("workers", 4).expect("it is valid");
        config.update("limits.soft", 7).expect("it is valid");
        config.update("workers", 5).expect("it is valid");
    }
    let (config, store) = (config(), journaled(&dir));
    let app = started(&config, &store);
    assert_eq!(app.rebuild_config(&config).expect("it is valid"), Some(2));
    assert_eq!(*config.load(), json!({"workers": 5, "limits": {"soft": 7, "hard": 2}}));
}

#[test]
fn a_value_that_is_null_and_one_that_is_removed_are_told_apart() {
    let dir = Dir::new("null");
    {
        let (config, store) = (config(), journaled(&dir));
        let _app = started(&config, &store);
        config.update("workers", Value::Null).expect("it is valid");
        config.update_many(Changes::new().remove("limits.soft")).expect("it is valid");
    }
    let (config, store) = (config(), journaled(&dir));
    let app = started(&config, &store);
    app.rebuild_config(&config).expect("it is valid");
    assert_eq!(*config.load(), json!({"workers": null, "limits": {"hard": 2}}));
}

#[test]
fn a_configuration_is_not_rebuilt_where_an_update_was_not_stored() {
    let (config, store) = (config(), EventStore::builder().capacity(1).in_memory());
    let app = started(&config, &store);
    config.update("workers", 3).expect("it is valid");
    store.sync().expect("it is stored");
    let mut following = store.subscribe(StartFrom::Now);
    let hung = hang(&store, "x");
    for n in 4..8 {
        config.update("workers", n).expect("it is valid");
    }
    drop(hung);
    // The last of them is stored. Not by a question: with room for one it would have that given up.
    let mut next = || following.recv_timeout(Duration::from_secs(10)).expect("it is stored");
    while next().kind() != CONFIG_UPDATED {}
    let error = app.rebuild_config(&config).expect_err("some were shed");
    assert!(matches!(error, RebuildError::Events(ReplayError::Incomplete { .. })), "{error}");
}

#[test]
fn a_configuration_is_not_rebuilt_from_a_part_of_its_events() {
    let (config, store) = (config(), EventStore::in_memory());
    let app = started(&config, &store);
    config.update("workers", 3).expect("it is valid");
    config.update("limits.soft", 4).expect("it is valid");
    store.prune_before_id(underpin::events::EventId::new(2).expect("a number")).expect("it answers");
    let error = app.rebuild_config(&config).expect_err("the first is gone");
    assert!(matches!(error, RebuildError::Events(ReplayError::Incomplete { .. })), "{error}");
    assert_eq!(config.version(), 3);
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Updates under a store that hangs: each is made at once, and can be read.
fn update_quickly(config: &Config<Value>) -> Duration {
    let update = |n: u32| {
        let began = Instant::now();
        config.update("workers", n).expect("it is valid");
        assert_eq!(config.get("workers").expect("it is there"), json!(n));
        began.elapsed()
    };
    median((100..1_600).map(update).collect())
}

#[test]
fn a_hung_store_delays_no_update_and_no_read() {
    // Under each rule of a full mailbox, and with so many updates that it becomes full.
    for overflow in [Overflow::DropOldest, Overflow::Reject, Overflow::Block(Duration::from_secs(5))] {
        let store = EventStore::builder().overflow(overflow).capacity(64).in_memory();
        let config = config();
        let app = started(&config, &store);
        let hung = hang(&store, "x");
        let median = update_quickly(&config);
        assert!(median < Duration::from_millis(1), "{overflow:?}: {median:?}");
        drop(hung);
        drop(app);
    }
}

#[test]
fn a_sink_of_the_programs_own_stays() {
    struct Deaf;
    impl underpin::config::Sink for Deaf {
        fn event(&self, _: &underpin::config::ConfigEvent) {}
    }
    let (config, store) = (config(), EventStore::in_memory());
    config.set_sink(std::sync::Arc::new(Deaf));
    let _app = started(&config, &store);
    config.update("workers", 3).expect("it is valid");
    assert!(store.fresh().expect("it keeps up").is_empty());
}

#[test]
fn a_store_that_has_given_up_delays_no_update() {
    let (config, store) = (config(), EventStore::in_memory());
    let app = started(&config, &store);
    app.root().terminate_child("events").expect("it stops");
    let median = update_quickly(&config);
    assert!(median < Duration::from_millis(1), "{median:?}");
}
