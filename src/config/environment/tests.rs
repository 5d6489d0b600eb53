use super::*;
use crate::config::merge::overlay;
use crate::config::path::MAX_DEPTH;
use proptest::prelude::*;
use serde_json::{Value, json};

fn layer_over(known: &Value, vars: &[(&str, &str)]) -> (Tree, Vec<String>) {
    let vars = vars.iter().map(|(name, value)| (name.into(), value.into()));
    let (layer, faults) = variables("APP", vars, &Tree::of(known, &Origin::Default));
    (layer, faults.iter().map(ToString::to_string).collect())
}

fn faults(known: Value, vars: &[(&str, &str)]) -> Vec<String> {
    layer_over(&known, vars).1
}

/// The texts of a layer, each as a string.
fn plain(tree: &Tree) -> Value {
    match &tree.node {
        Node::Loose { text, .. } | Node::Text(text) => json!(text),
        Node::Number(number) => json!(number),
        Node::List(list) => list.iter().map(plain).collect(),
        Node::Table(table) => table.iter().map(|(key, tree)| (key.clone(), plain(tree))).collect(),
        Node::Null | Node::Bool(_) => Value::Null,
    }
}

/// The layer of variables of which nothing is wrong.
fn layer(known: Value, vars: &[(&str, &str)]) -> Value {
    let (layer, faults) = layer_over(&known, vars);
    assert_eq!(faults, [""; 0]);
    plain(&layer)
}

/// What they make of the layers below.
fn merged(known: Value, vars: &[(&str, &str)]) -> Value {
    let (layer, faults) = layer_over(&known, vars);
    assert_eq!(faults, [""; 0]);
    plain(&overlay(Tree::of(&known, &Origin::Default), layer))
}

// ---- what users of other crates complain about -------------------------------------------

#[test]
fn nested_keys_are_separated_by_two_underscores() {
    let vars = [("APP__WORKERS", "4"), ("APP__LIMITS__CONNECTIONS", "64"), ("APP__A__B__C__D", "x")];
    let expected = json!({"workers": "4", "limits": {"connections": "64"}, "a": {"b": {"c": {"d": "x"}}}});
    assert_eq!(layer(json!({}), &vars), expected);
}

#[test]
fn names_with_underscores_stay_whole() {
    let known = json!({"max_line": {"byte_limit_": 1, "_x": 1}});
    let vars = [("APP__MAX_LINE__BYTE_LIMIT_", "1"), ("APP__NEW_KEY__IN_NEW_TABLE", "2")];
    let expected = json!({"max_line": {"byte_limit_": "1"}, "new_key": {"in_new_table": "2"}});
    assert_eq!(layer(known.clone(), &vars), expected);
    assert_eq!(layer(known, &[("APP__MAX_LINE___X", "1")]), json!({"max_line": {"_x": "1"}}));
}

#[test]
fn names_of_mixed_case_mean_the_keys_that_are_known() {
    let known = json!({"maxLine": 1, "DB": {"userName": ""}});
    let vars = [("APP__MAXLINE", "1"), ("APP__DB__USERNAME", "u"), ("app__NEW", "n")];
    assert_eq!(layer(known.clone(), &vars), json!({"maxLine": "1", "DB": {"userName": "u"}, "new": "n"}));
    assert_eq!(
        layer(known, &[("APP__maxline", "1"), ("App__dB__X", "2")]),
        json!({"maxLine": "1", "DB": {"x": "2"}})
    );
}

#[test]
fn names_with_dashes_are_written_with_underscores() {
    let known = json!({"max-line": 1, "a-b_c": {"D-e": 1}});
    let vars = [("APP__MAX_LINE", "1"), ("APP__A_B_C__D_E", "2")];
    assert_eq!(layer(known.clone(), &vars), json!({"max-line": "1", "a-b_c": {"D-e": "2"}}));
    assert_eq!(layer(known, &[("APP__max-line", "1")]), json!({"max-line": "1"}));
}

#[test]
fn elements_of_lists_are_written_by_their_index() {
    let known = json!({"servers": [{"port": 1, "HostName": "a"}, {"port": 2}]});
    let vars =
        [("APP__SERVERS__0__HOSTNAME", "z"), ("APP__SERVERS__1__PORT", "9"), ("APP__SERVERS__2__PORT", "7")];
    let expected = json!({"servers": [{"port": 1, "HostName": "z"}, {"port": "9"}, {"port": "7"}]});
    assert_eq!(merged(known, &vars), expected);
    assert_eq!(merged(json!({"l": []}), &[("APP__L__0", "a"), ("APP__L__1", "b")]), json!({"l": ["a", "b"]}));
}

#[test]
fn a_whole_list_or_table_is_one_text() {
    let vars = [("APP__LIST", "a,b"), ("APP__TABLE", "{\"x\": 1}")];
    assert_eq!(
        layer(json!({"list": [1], "table": {}}), &vars),
        json!({"list": "a,b", "table": "{\"x\": 1}"})
    );
}

#[test]
fn values_stay_text_as_they_are() {
    for text in ["", " 1 ", "007", "true", "1e3", "a=b", "\"q\"", "ä\n", "__"] {
        assert_eq!(layer(json!({"a": 1}), &[("APP__A", text)]), json!({ "a": text }));
    }
}

#[test]
fn variables_without_the_prefix_are_ignored() {
    let vars = ["APPX__A", "APP_A", "APP", "A", "", "XAPP__A", "APP_", "APP_A__B", "PATH", "__A"];
    assert_eq!(layer(json!({}), &vars.map(|name| (name, "1"))), json!({}));
    let (other, _) = variables(
        "MY__APP",
        [("MY__APP__A".into(), "1".into())].into_iter(),
        &Tree::of(&json!({}), &Origin::Default),
    );
    assert_eq!(plain(&other), json!({"a": "1"}));
}

// ---- names -------------------------------------------------------------------------------

#[test]
fn of_keys_that_differ_in_case_the_exact_one_is_meant_or_none() {
    let known = json!({"ab": 1, "AB": 2});
    assert_eq!(layer(known.clone(), &[("APP__AB", "1")]), json!({"AB": "1"}));
    assert_eq!(layer(known.clone(), &[("APP__ab", "1")]), json!({"ab": "1"}));
    assert_eq!(layer(known, &[("APP__Ab", "1")]), json!({"ab": "1"}), "lower case is the usual");
    let fault = "`A_B` in the name of the variable may mean `A-B` or `a-b` (the variable APP__A_B)";
    assert_eq!(faults(json!({"a-b": 1, "A-B": 2}), &[("APP__A_B", "1")]), [fault]);
}

#[test]
fn values_are_loose_and_name_their_variable() {
    let (layer, _) = layer_over(&json!({"t": {"x": 1}}), &[("APP__T__X", "1"), ("APP__N__X", "2")]);
    let child = |key: &str| layer.child(key).expect(key);
    let x = child("t").child("x").expect("x");
    assert_eq!(x.node, Node::Loose { text: "1".into(), below: Below::Unknown });
    assert_eq!(x.origin.to_string(), "the variable APP__T__X");
    // A known table is not of the variable, a new one is.
    assert_eq!([&layer.origin, &child("t").origin], [&Origin::Default, &Origin::Default]);
    assert_eq!(child("n").origin.to_string(), "the variable APP__N__X");
}

// ---- what is refused ---------------------------------------------------------------------

#[test]
fn empty_segments_are_refused() {
    for name in ["APP__", "APP____A", "APP__A__", "APP__A____B", "APP____", "APP__A_____B"] {
        let found = faults(json!({}), &[(name, "1")]);
        assert_eq!(found.len(), 1, "{name}");
        assert!(
            found[0].starts_with("an empty segment") && found[0].ends_with(&format!("(the variable {name})"))
        );
    }
    assert_eq!(faults(json!({}), &[("APP__A_", "1"), ("APP___A", "1")]), [""; 0]);
}

#[test]
fn two_variables_for_one_place_are_refused() {
    let (layer, faults) =
        layer_over(&json!({}), &[("APP__a", "1"), ("APP__A", "2"), ("APP__B", "3"), ("APP__b", "4")]);
    let expected = [
        "a: is set by the variable APP__A as well, expected one of them (the variable APP__a)",
        "b: is set by the variable APP__B as well, expected one of them (the variable APP__b)",
    ];
    assert_eq!(faults, expected);
    assert_eq!(plain(&layer), json!({"a": "2", "b": "3"}));
    let dashes = self::faults(json!({"a-b": 1}), &[("APP__A_B", "1"), ("APP__A-B", "1")]);
    assert_eq!(dashes.len(), 1, "{dashes:?}");
}

#[test]
fn a_variable_for_a_place_and_one_for_a_place_below_it_are_refused() {
    let found =
        faults(json!({}), &[("APP__A__B", "2"), ("APP__A", "1"), ("APP__A__C__D", "3"), ("APP__AB", "4")]);
    let through = "cannot be set below a, which the variable APP__A sets as a whole";
    let expected = [
        format!("a.b: {through} (the variable APP__A__B)"),
        format!("a.c.d: {through} (the variable APP__A__C__D)"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_too_deep_or_too_long_is_refused() {
    let name = |depth| format!("APP__{}", vec!["A"; depth].join("__"));
    assert_eq!(faults(json!({}), &[(&name(MAX_DEPTH), "1")]), [""; 0]);
    for depth in [MAX_DEPTH + 1, 10_000] {
        let found = faults(json!({}), &[(&name(depth), "1")]);
        assert!(
            found[0].contains(&format!("at most 50 segments, not {depth} (the variable")),
            "{}",
            found[0]
        );
    }
    let text = "s".repeat(limits::MAX_VALUE_BYTES + 1);
    assert_eq!(faults(json!({}), &[("APP__A", &text[1..])]), [""; 0]);
    let found = faults(json!({}), &[("APP__A", &text)]);
    assert_eq!(
        found,
        ["a: is too long: a value has at most 1048576 bytes, not 1048577 (the variable APP__A)"]
    );
}

#[cfg(unix)]
#[test]
fn what_is_not_utf8_is_refused_only_with_the_prefix() {
    use std::os::unix::ffi::OsStringExt;
    let os = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let vars = [
        (os(b"OTHER\xff"), os(b"1")),
        (os(b"OTHER"), os(b"\xff")),
        (os(b"APP_\xff"), os(b"1")),
        (os(b"APP__X\xff"), os(b"1")),
        (os(b"APP__Y"), os(b"secret\xff")),
    ];
    let (layer, faults) = variables("APP", vars.into_iter(), &Tree::of(&json!({}), &Origin::Default));
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    let name = "the name of the variable is not UTF-8 (the variable APP__X\u{fffd})";
    assert_eq!(lines, [name, "y: the value is not UTF-8 (the variable APP__Y)"]);
    assert_eq!(plain(&layer), json!({}));
}

#[test]
fn all_that_is_wrong_is_reported_and_the_rest_is_there() {
    let (layer, faults) = layer_over(&json!({}), &[("APP__A", "1"), ("APP__", "2"), ("APP__B____C", "3")]);
    assert_eq!((faults.len(), plain(&layer)), (2, json!({"a": "1"})));
}

/// Names near what is right, and garbage.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "APP__[aAbB01]{1,2}((__|_)[aAbB01_-]{1,2}){0,3}", 1 => ".*", 1 => "APP__.*"]
}

/// A value with the path at which it stands.
fn texts(tree: &Tree, at: &Path, into: &mut Vec<(Path, String, String)>) {
    match &tree.node {
        Node::Table(table) => table.iter().for_each(|(key, tree)| texts(tree, &at.child(key), into)),
        Node::Loose { text, .. } => into.push((at.clone(), text.clone(), tree.origin.to_string())),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn each_variable_with_the_prefix_is_a_value_or_a_fault(names in prop::collection::btree_set(name(), 0..12)) {
        let vars: Vec<_> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
        let (layer, faults) = layer_over(&json!({"a": {"b-b": 1}, "b": [{"a": 1}]}), &vars);
        let mut set = Vec::new();
        texts(&layer, &Path::TOP, &mut set);
        let ours = names.iter().filter(|name| name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("APP__")));
        prop_assert_eq!(set.len() + faults.len(), ours.count());
        for (path, name, origin) in set {
            // With nothing but case and dashes lost, a name is its path.
            let naive = path.segments().collect::<Vec<_>>().join("__").replace('-', "_").to_ascii_lowercase();
            prop_assert_eq!(name[5..].replace('-', "_").to_ascii_lowercase(), naive);
            prop_assert_eq!(origin, format!("the variable {name}"));
        }
    }

    #[test]
    fn the_order_of_the_variables_does_not_matter(names in prop::collection::vec(name(), 0..12)) {
        let names: std::collections::BTreeSet<_> = names.into_iter().collect();
        let forward: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
        let backward: Vec<_> = forward.iter().rev().copied().collect();
        prop_assert_eq!(layer_over(&json!({"a": {}}), &forward), layer_over(&json!({"a": {}}), &backward));
    }
}
