//! What differs between two configurations.

use serde_json::{Map, Value};

use super::path::Path;
use super::tree::index;

/// One value that changed. Lists change as a whole, tables key by key.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// The place.
    pub path: Path,
    /// What stood there; `None` if nothing did.
    pub old: Option<Value>,
    /// What stands there now; `None` if nothing does.
    pub new: Option<Value>,
}

/// What has to change for `from` to become `to`, in the order of the paths.
pub(crate) fn diff(from: &Value, to: &Value) -> Vec<Change> {
    diff_at(&Path::TOP, from, to)
}

/// As [`diff`], of what stands at `place` in the two.
pub(crate) fn diff_at(place: &Path, from: &Value, to: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(&mut place.clone(), at(from, place), at(to, place), &mut changes);
    changes
}

/// What stands at `path`.
pub(crate) fn at<'a>(document: &'a Value, path: &Path) -> Option<&'a Value> {
    path.segments().try_fold(document, |value, segment| match value {
        Value::Object(table) => table.get(segment),
        Value::Array(list) => list.get(index(segment)?),
        _ => None,
    })
}

fn compare(place: &mut Path, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => compare_tables(place, old, new, changes),
        (old, new) => {
            changes.push(Change { path: place.clone(), old: old.cloned(), new: new.cloned() });
        }
    }
}

fn compare_tables(
    place: &mut Path,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    changes: &mut Vec<Change>,
) {
    let added = new.keys().filter(|key| !old.contains_key(*key));
    let mut keys: Vec<_> = old.keys().chain(added).collect();
    keys.sort_unstable();
    for key in keys {
        place.push(key);
        compare(place, old.get(key), new.get(key), changes);
        place.pop();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// The naive other half: makes each change.
    pub(crate) fn apply(mut value: Value, changes: &[Change]) -> Value {
        for change in changes {
            let Some(last) = change.path.segments().next_back() else {
                value = change.new.clone().expect("the whole is there");
                continue;
            };
            let parents = change.path.segments().take(change.path.depth() - 1);
            let table = parents.fold(&mut value, |value, key| &mut value[key]);
            let table = table.as_object_mut().expect("tables change key by key");
            match &change.new {
                Some(new) => drop(table.insert(last.to_owned(), new.clone())),
                None => drop(table.remove(last)),
            }
        }
        value
    }

    /// Any small configuration.
    pub(crate) fn tables() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..4_u8).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from),
            prop::collection::vec(0..3_u8, 0..3).prop_map(Value::from),
        ];
        let table = leaf.prop_recursive(3, 16, 4, |inner| {
            prop::collection::btree_map("[a-d.]", inner, 0..4)
                .prop_map(|table| Value::Object(table.into_iter().collect()))
        });
        prop::collection::btree_map("[a-d.]", table, 0..4)
            .prop_map(|table| Value::Object(table.into_iter().collect()))
    }

    #[test]
    fn tables_differ_key_by_key_and_lists_as_a_whole() {
        let from = json!({"a": 1, "l": [1, 2], "t": {"x": 1, "y": 2}});
        let to = json!({"a": 1, "l": [1, 3], "t": {"y": 3, "z": {"n": 1}}});
        let changes = diff(&from, &to);
        let paths: Vec<_> = changes.iter().map(|change| change.path.to_string()).collect();
        assert_eq!(paths, ["l", "t.x", "t.y", "t.z"]);
        assert_eq!((&changes[0].old, &changes[0].new), (&Some(json!([1, 2])), &Some(json!([1, 3]))));
        assert_eq!((&changes[1].old, &changes[1].new), (&Some(json!(1)), &None));
        assert_eq!((&changes[3].old, &changes[3].new), (&None, &Some(json!({"n": 1}))));
    }

    proptest! {
        #[test]
        fn what_is_equal_does_not_differ(value in tables()) {
            prop_assert!(diff(&value, &value).is_empty());
        }

        #[test]
        fn the_changes_made_give_the_target(from in tables(), to in tables()) {
            let changes = diff(&from, &to);
            prop_assert!(changes.iter().all(|change| change.old != change.new));
            prop_assert_eq!(apply(from, &changes), to);
        }
    }
}
