//! A value put at its path in a layer that is written path by path.

use super::fault::Fault;
use super::path::Path;
use super::tree::{Node, Origin, Tree, index};

/// Puts `leaf` at `path` in `layer`, in place of what is there. Tables on the way are made.
///
/// A table that is in the layers below already (`known`) gets the origin that it has there, so that what
/// is missing in it is not blamed on the one value that is set in it.
///
/// # Errors
///
/// When the way leads through what this layer set as a whole; then nothing is changed.
pub(super) fn graft(layer: &mut Tree, known: &Tree, path: &Path, leaf: Tree) -> Result<(), Fault> {
    let (mut place, mut known) = (layer, Some(known));
    for (depth, segment) in path.segments().enumerate() {
        known = known.and_then(|known| known.child(segment));
        let whole = place.origin.clone();
        place = step(place, segment, table_origin(known, &leaf.origin))
            .ok_or_else(|| blocked(path, depth, &whole, &leaf.origin))?;
    }
    *place = leaf;
    Ok(())
}

/// Goes to `segment`, where an empty table is made if there is nothing: in a table, or next in a list.
fn step<'a>(place: &'a mut Tree, segment: &str, origin: &Origin) -> Option<&'a mut Tree> {
    let make = || Tree::empty_table(origin.clone());
    match &mut place.node {
        Node::Table(table) => Some(table.entry(segment.to_owned()).or_insert_with(make)),
        Node::List(list) => {
            let index = index(segment)?;
            if index == list.len() {
                list.push(make());
            }
            list.get_mut(index)
        }
        _ => None,
    }
}

/// The origin of a table over what is `known`. Over a list it must be its own: it tells that the table
/// may go into the elements.
fn table_origin<'a>(known: Option<&'a Tree>, own: &'a Origin) -> &'a Origin {
    match known {
        Some(Tree { node: Node::Table(_), origin }) => origin,
        _ => own,
    }
}

/// The fault of a path whose first `depth` segments lead to what is no table.
fn blocked(path: &Path, depth: usize, whole: &Origin, own: &Origin) -> Fault {
    let mut place = Path::TOP;
    path.segments().take(depth).for_each(|segment| place.push(segment));
    let message = format!("cannot be set below {place}, which {whole} sets as a whole");
    Fault::new(path.clone(), message).from(own.clone())
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn own() -> Origin {
        Origin::Override { name: "--new".into() }
    }

    fn path(text: &str) -> Path {
        Path::parse(text).expect("a path")
    }

    /// What becomes of `layer` over a layer below, when 1 is put at a path.
    fn grafted(layer: &Value, at: &str) -> Result<Tree, String> {
        let mut layer = Tree::of(layer, &Origin::Override { name: "--old".into() });
        let known = Tree::of(&json!({"table": {}, "list": [{}], "null": null}), &Origin::Default);
        let before = layer.clone();
        match graft(&mut layer, &known, &path(at), Tree::of(&json!(1), &own())) {
            Ok(()) => Ok(layer),
            Err(fault) => {
                assert_eq!(layer, before, "nothing is changed");
                Err(fault.to_string())
            }
        }
    }

    #[test]
    fn tables_on_the_way_are_made() {
        let layer = grafted(&json!({"a": {"x": 0}}), "a.b.c").expect("room");
        assert_eq!(layer.at(&path("a.b.c")), Some(&Tree::of(&json!(1), &own())));
        assert!(layer.at(&path("a.x")).is_some());
    }

    #[test]
    fn a_list_is_gone_into_and_grows_by_one() {
        let list = json!({"list": [{"x": 0}]});
        for at in ["list.0.x", "list.0", "list.1", "list.1.x"] {
            assert!(grafted(&list, at).is_ok_and(|layer| layer.at(&path(at)).is_some()), "{at}");
        }
        let refused = |at: &str| grafted(&list, at).expect_err(at);
        let rest = "cannot be set below list, which --old sets as a whole (--new)";
        assert_eq!(refused("list.2"), format!("list.2: {rest}"));
        assert_eq!(refused("list.x.y"), format!("list.x.y: {rest}"));
    }

    #[test]
    fn a_way_through_what_is_no_table_is_refused() {
        for whole in [json!(null), json!(1), json!("text"), json!(true)] {
            let fault = grafted(&json!({ "a": { "b": whole } }), "a.b.c.d").expect_err("no table");
            let expected = "a.b.c.d: cannot be set below a.b, which --old sets as a whole (--new)";
            assert_eq!(fault, expected);
        }
    }

    #[test]
    fn a_table_that_is_known_keeps_its_origin() {
        let origin = |at: &str| {
            let layer = grafted(&json!({}), at).expect("room");
            layer.at(&path(at.rsplit_once('.').expect("two segments").0)).expect("a table").origin.clone()
        };
        assert_eq!([origin("table.x"), origin("list.0.x")], [Origin::Default, Origin::Default]);
        assert_eq!([origin("list.0"), origin("null.x"), origin("new.x")], [own(), own(), own()]);
    }
}
