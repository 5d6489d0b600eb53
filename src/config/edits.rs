//! What was changed at run time, over the layers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fault::Fault;
use super::path::Path;
use super::tree::{Node, Origin, Tree, index};

/// The updates that are in force: for each place at most one, in the order of the paths, so that
/// one of a table comes before those of what is in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Edits(BTreeMap<Path, Edit>);

/// What an update has put somewhere.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Edit {
    /// `None`: what stood there was removed.
    pub(crate) value: Option<Value>,
    /// The update itself, or the file that it was kept in.
    pub(crate) origin: Origin,
}

impl Edits {
    /// An update of `path`. Earlier ones of the same place, or below it, are void.
    pub(crate) fn put(&mut self, path: Path, edit: Edit) {
        self.0.retain(|other, _| !path.contains(other));
        self.0.insert(path, edit);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Path, &Edit)> {
        self.0.iter()
    }

    /// Makes them all.
    ///
    /// # Errors
    ///
    /// The first that has no place: above it is a value, or an element that is not there.
    pub(crate) fn apply(&self, mut tree: Tree) -> Result<Tree, Fault> {
        for (path, edit) in &self.0 {
            edit.apply(path, &mut tree).map_err(|fault| edit.blame(fault))?;
        }
        Ok(tree)
    }
}

impl Edit {
    /// A kept update that has no place any more is at fault itself, not what stands there now.
    fn blame(&self, fault: Fault) -> Fault {
        match self.origin {
            Origin::Kept { .. } => fault.from(self.origin.clone()),
            _ => fault,
        }
    }

    fn apply(&self, path: &Path, tree: &mut Tree) -> Result<(), Fault> {
        match &self.value {
            Some(value) => put(tree, path, Tree::of(value, &self.origin)),
            None => remove(tree, path),
        }
    }
}

/// Puts a value at its place; the tables above it are made where they are missing.
pub(crate) fn put(tree: &mut Tree, path: &Path, value: Tree) -> Result<(), Fault> {
    let mut place = tree;
    let mut above = Path::TOP;
    for segment in path.segments() {
        if matches!(place.node, Node::Null) {
            place.node = Node::Table(BTreeMap::new()); // an absent table, as of a `None`
        }
        place = step(place, segment, &value.origin, &above)?;
        above.push(segment);
    }
    *place = value;
    Ok(())
}

/// One step down, to what is there or can be.
fn step<'a>(tree: &'a mut Tree, segment: &str, origin: &Origin, above: &Path) -> Result<&'a mut Tree, Fault> {
    let fault = |message| Err(Fault::new(above.clone(), message).from(tree.origin.clone()));
    match &mut tree.node {
        Node::Table(table) => {
            Ok(table.entry(segment.to_owned()).or_insert_with(|| Tree::empty_table(origin.clone())))
        }
        Node::List(list) => {
            let length = list.len();
            match index(segment).and_then(|index| list.get_mut(index)) {
                Some(element) => Ok(element),
                None => fault(format!("expected an index below {length}, found {segment:?}")),
            }
        }
        _ => fault(format!("expected a table to hold {segment:?}, found a value")),
    }
}

/// Takes a value away. Nothing happens where it is missing.
pub(crate) fn remove(tree: &mut Tree, path: &Path) -> Result<(), Fault> {
    let mut segments = path.segments();
    let Some(last) = segments.next_back() else {
        return Err(Fault::new(Path::TOP, "the whole cannot be removed"));
    };
    let Some(parent) = segments.try_fold(tree, |tree, segment| tree.child_mut(segment)) else {
        return Ok(());
    };
    match &mut parent.node {
        Node::Table(table) => drop(table.remove(last)),
        Node::List(_) => {
            let message = "an element cannot be removed from a list: update the list";
            return Err(Fault::new(path.clone(), message));
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::diff::tests::tables;
    use crate::config::diff::{Change, diff};
    use proptest::prelude::*;
    use serde_json::json;

    fn path(text: &str) -> Path {
        Path::parse(text).expect("a path")
    }

    fn edit(value: Option<Value>, version: u64) -> Edit {
        Edit { value, origin: Origin::Update { version } }
    }

    fn edits(updates: &[(&str, Option<Value>)]) -> Edits {
        let mut edits = Edits::default();
        for ((place, value), version) in updates.iter().zip(0..) {
            edits.put(path(place), edit(value.clone(), version));
        }
        edits
    }

    fn applied(base: Value, updates: &[(&str, Option<Value>)]) -> Result<Value, String> {
        let base = Tree::of(&base, &Origin::Default);
        edits(updates).apply(base).map(|tree| tree.plain()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_later_update_of_a_table_voids_those_of_what_was_in_it() {
        let updates = [("t.x", Some(json!(1))), ("t", Some(json!({"y": 2}))), ("t.z", Some(json!(3)))];
        assert_eq!(applied(json!({}), &updates), Ok(json!({"t": {"y": 2, "z": 3}})));
        let updates = [("t.z", Some(json!(3))), ("t", Some(json!({"y": 2})))];
        assert_eq!(applied(json!({"t": {"z": 1}}), &updates), Ok(json!({"t": {"y": 2}})));
    }

    #[test]
    fn elements_of_a_list_are_replaced_not_added_or_removed() {
        let base = json!({"l": [{"p": 1}, {"p": 2}]});
        let updated = applied(base.clone(), &[("l.1.p", Some(json!(3)))]);
        assert_eq!(updated, Ok(json!({"l": [{"p": 1}, {"p": 3}]})));
        let refused = applied(base.clone(), &[("l.2", Some(json!(3)))]);
        assert_eq!(refused, Err("l: expected an index below 2, found \"2\" (the defaults)".into()));
        assert!(applied(base, &[("l.1", None)]).is_err());
    }

    #[test]
    fn a_value_holds_nothing_and_an_absent_table_is_made() {
        let refused = applied(json!({"a": 1}), &[("a.b", Some(json!(1)))]);
        assert_eq!(refused, Err("a: expected a table to hold \"b\", found a value (the defaults)".into()));
        assert_eq!(
            applied(json!({"a": null}), &[("a.b.c", Some(json!(1)))]),
            Ok(json!({"a": {"b": {"c": 1}}}))
        );
    }

    #[test]
    fn a_removal_takes_a_key_away_and_nothing_where_there_is_none() {
        let base = json!({"t": {"x": 1, "y": 2}});
        assert_eq!(applied(base.clone(), &[("t.x", None)]), Ok(json!({"t": {"y": 2}})));
        assert_eq!(applied(base.clone(), &[("t.q.r", None)]), Ok(base));
    }

    #[test]
    fn what_was_updated_says_by_which_version() {
        let tree = edits(&[("a.b", Some(json!({"c": 1})))]);
        let tree = tree.apply(Tree::of(&json!({"a": {"x": 1}}), &Origin::Default)).expect("it fits");
        assert_eq!(tree.origin_of(&path("a.b.c")), &Origin::Update { version: 0 });
        assert_eq!(tree.origin_of(&path("a.x")), &Origin::Default);
    }

    proptest! {
        #[test]
        fn the_changes_between_two_made_as_updates_give_the_second(from in tables(), to in tables()) {
            let mut edits = Edits::default();
            for Change { path, new, .. } in diff(&from, &to) {
                edits.put(path, edit(new, 2));
            }
            let tree = edits.apply(Tree::of(&from, &Origin::Default)).expect("they fit");
            prop_assert_eq!(tree.plain(), to);
        }

        #[test]
        fn many_updates_are_as_good_as_one_after_the_other(
            base in tables(),
            updates in prop::collection::vec(("[a-d](\\.[a-d]){0,2}", tables()), 0..6),
        ) {
            let mut together = Edits::default();
            let mut tree = Tree::of(&base, &Origin::Default);
            let mut all_fit = true;
            for (place, value) in updates {
                let edit = edit(Some(value), 1);
                all_fit &= edit.apply(&path(&place), &mut tree).is_ok();
                together.put(path(&place), edit);
            }
            if all_fit {
                let result = together.apply(Tree::of(&base, &Origin::Default)).expect("each fitted");
                prop_assert_eq!(result.plain(), tree.plain());
            }
        }
    }
}
