//! Server-side apply: merges a configuration, finds conflicts, moves ownership.

use serde_json::{Value, json};

use super::super::typed::Node;
use super::managers::{Author, Entry, read, update, without_managers, write};
use super::merge::{merge, prune};
use super::set::shown;
use super::{Set, changes, element, element_key, members};

/// Why an apply is refused.
#[derive(Debug)]
pub(in super::super) enum Refusal {
    /// Fields that others own with other values.
    Conflicts { message: String, causes: Vec<Value> },
    /// The configuration does not fit the type; the text of the typed parser.
    Untyped(String),
}

/// Checks that a configuration has nothing but declared fields, and no list element twice.
fn check(node: &Node, value: &Value, path: &str) -> Result<(), String> {
    match (node, value) {
        (Node::Struct { fields, rest }, Value::Object(map)) => {
            for (key, value) in map {
                let at = format!("{path}.{key}");
                match (fields.get(key), rest) {
                    (Some(field), _) => check(field.resolve(), value, &at)?,
                    (None, Some(rest)) => check(rest.resolve(), value, &at)?,
                    (None, None) => return Err(format!("{at}: field not declared in schema")),
                }
            }
            Ok(())
        }
        (Node::Map(inner), Value::Object(map)) => map
            .iter()
            .try_for_each(|(key, value)| check(inner.resolve(), value, &format!("{path}.{key}"))),
        (Node::Set | Node::Keyed { .. }, Value::Array(list)) => {
            let mut seen = std::collections::BTreeSet::new();
            for (index, value) in list.iter().enumerate() {
                let Some(key) = element_key(node, value) else {
                    let keys =
                        if let Node::Keyed { keys, .. } = node { keys.as_slice() } else { &[] };
                    let names: Vec<String> =
                        keys.iter().map(|(key, _)| format!("{key:?}")).collect();
                    return Err(format!(
                        "{path}: element {index}: associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                        names.join(" ")
                    ));
                };
                let shown = shown(&key);
                if seen.contains(&key) {
                    return Err(format!("{path}: duplicate entries for key {shown}"));
                }
                let text = format!("{path}{shown}");
                check(element(node), value, &text)?;
                seen.insert(key);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Applies a configuration. `live` is the stored object, or nothing when it is being created.
pub(in super::super) fn apply(
    node: &Node,
    live: Option<&Value>,
    empty: &Value,
    configuration: &Value,
    author: &Author,
    force: bool,
) -> Result<Value, Refusal> {
    let node = node.resolve();
    check(node, configuration, "").map_err(Refusal::Untyped)?;
    let mut base = live.cloned().unwrap_or_else(|| empty.clone());
    if live.is_some() && read(&base).is_empty() {
        // What is there and belongs to nobody belongs to the time before.
        let before = Author { manager: "before-first-apply".into(), ..author.clone() };
        let mut owned = base.clone();
        update(node, empty, &mut owned, &before, true);
        base = owned;
    }
    let mut entries = read(&base);
    let base = without_managers(&base);
    let applied = author.tracked(members(node, configuration));
    let last = entries.iter().find(|entry| entry.is(author, true)).map(|entry| entry.set.clone());
    entries.retain(|entry| !entry.is(author, true));

    let mut object = if live.is_some() {
        merge(node, Some(&base), configuration)
    } else {
        configuration.clone()
    };
    if let Some(last) = &last {
        let mut kept = named_fields(&applied);
        for entry in &entries {
            kept.union(&named_fields(&entry.set));
        }
        prune(node, &mut object, last, &kept);
    }
    let changes = changes(node, &base, &object);
    let mut touched = changes.added;
    touched.union(&changes.modified);
    let conflicts: Vec<(usize, Set)> = entries
        .iter()
        .enumerate()
        .map(|(at, entry)| (at, entry.set.intersection(&touched)))
        .filter(|(_, set)| !set.is_empty())
        .collect();
    if !force && !conflicts.is_empty() {
        return Err(refuse(&entries, &conflicts));
    }
    for (at, set) in &conflicts {
        entries[*at].set.subtract(set);
    }
    for entry in &mut entries {
        entry.set.subtract(&changes.removed);
    }
    let unchanged = base == object;
    let old_time = live
        .and_then(|live| read(live).into_iter().find(|e| e.is(author, true)).and_then(|e| e.time));
    // An apply that changes nothing but who owns what does not move the time.
    let time = if unchanged { old_time } else { Some(author.now.clone()) };
    entries.push(Entry {
        manager: author.manager.clone(),
        apply: true,
        api_version: author.api_version.clone(),
        subresource: author.subresource.clone(),
        time,
        set: applied,
    });
    write(&mut object, entries);
    Ok(object)
}

/// A set whose structs count as members, so that they stay while one of their fields does.
fn named_fields(set: &Set) -> Set {
    let mut out = set.clone();
    mark(&mut out);
    out
}

fn mark(set: &mut Set) {
    for (key, child) in &mut set.children {
        mark(child);
        if key.starts_with("f:") && !child.children.is_empty() {
            child.member = true;
        }
    }
}

fn refuse(entries: &[Entry], conflicts: &[(usize, Set)]) -> Refusal {
    let mut causes = Vec::new();
    let mut grouped: Vec<(String, Vec<String>)> = Vec::new();
    for (at, set) in conflicts {
        let entry = &entries[*at];
        let mut who = format!("{:?}", entry.manager);
        if !entry.subresource.is_empty() {
            who = format!("{who} with subresource {:?}", entry.subresource);
        }
        if !entry.apply {
            who = format!("{who} using {}", entry.api_version);
        }
        let paths = set.paths();
        for path in &paths {
            causes.push(json!({
                "reason": "FieldManagerConflict", "message": format!("conflict with {who}"), "field": path,
            }));
        }
        grouped.push((who, paths));
    }
    let total = causes.len();
    let lines: Vec<String> = grouped
        .into_iter()
        .map(|(who, paths)| match paths.as_slice() {
            [one] => format!("conflict with {who}: {one}"),
            many => {
                let list: Vec<String> = many.iter().map(|path| format!("- {path}")).collect();
                format!("conflicts with {who}:\n{}", list.join("\n"))
            }
        })
        .collect();
    let noun = if total == 1 { "conflict" } else { "conflicts" };
    Refusal::Conflicts {
        message: format!("Apply failed with {total} {noun}: {}", lines.join("\n")),
        causes,
    }
}
