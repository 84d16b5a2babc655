//! `metadata.managedFields`: its entries, and what writes other than apply do to them.

use serde_json::{Value, json};

use super::super::typed::Node;
use super::{Set, changes, strip};

/// Update entries beyond these are folded into one.
const MOST_UPDATES: usize = 10;

/// Who writes, through which door and when.
#[derive(Debug, Clone)]
pub(in super::super) struct Author {
    pub(in super::super) manager: String,
    pub(in super::super) api_version: String,
    pub(in super::super) subresource: String,
    pub(in super::super) now: String,
    /// Top-level fields that this door does not write; `Err` names the only one that it writes.
    pub(in super::super) ignored: Result<Vec<&'static str>, &'static str>,
}

impl Author {
    fn filter(&self, set: &mut Set) {
        strip(set);
        match &self.ignored {
            Ok(excluded) => set.exclude(excluded),
            Err(only) => set.keep_only(only),
        }
    }
    pub(super) fn tracked(&self, mut set: Set) -> Set {
        self.filter(&mut set);
        set
    }
}

/// One entry.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) manager: String,
    pub(super) apply: bool,
    pub(super) api_version: String,
    pub(super) subresource: String,
    pub(super) time: Option<String>,
    pub(super) set: Set,
}

impl Entry {
    pub(super) fn is(&self, author: &Author, apply: bool) -> bool {
        self.manager == author.manager
            && self.apply == apply
            && self.api_version == author.api_version
            && self.subresource == author.subresource
    }
}

/// The entries of an object.
pub(super) fn read(object: &Value) -> Vec<Entry> {
    let list = object["metadata"]["managedFields"].as_array();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = list.into_iter().flatten().filter(|entry| entry["fieldsType"] == "FieldsV1");
    entries
        .map(|entry| Entry {
            manager: text(&entry["manager"]),
            apply: entry["operation"] == "Apply",
            api_version: text(&entry["apiVersion"]),
            subresource: text(&entry["subresource"]),
            time: entry["time"].as_str().map(str::to_owned),
            set: Set::read(&entry["fieldsV1"]),
        })
        .collect()
}

/// Puts entries into an object: applied ones first, then by time and name.
pub(super) fn write(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.set.is_empty());
    fold(&mut entries);
    entries.sort_by(|a, b| {
        let key = |entry: &Entry| {
            (!entry.apply, entry.time.clone(), entry.manager.clone(), entry.subresource.clone())
        };
        key(a).cmp(&key(b))
    });
    let list: Vec<Value> = entries
        .into_iter()
        .map(|entry| {
            let mut value = json!({
                "manager": entry.manager, "operation": if entry.apply { "Apply" } else { "Update" },
                "apiVersion": entry.api_version, "fieldsType": "FieldsV1", "fieldsV1": entry.set.write(),
            });
            if let Some(time) = entry.time {
                value["time"] = json!(time);
            }
            if !entry.subresource.is_empty() {
                value["subresource"] = json!(entry.subresource);
            }
            value
        })
        .collect();
    if let Some(meta) = object["metadata"].as_object_mut() {
        if list.is_empty() {
            meta.remove("managedFields");
        } else {
            meta.insert("managedFields".into(), Value::Array(list));
        }
    }
}

/// Folds the oldest Update entries of one version into `ancient-changes`.
fn fold(entries: &mut Vec<Entry>) {
    let updates = |entries: &[Entry]| {
        entries.iter().filter(|entry| !entry.apply && entry.subresource.is_empty()).count()
    };
    while updates(entries) > MOST_UPDATES {
        let mut oldest: Vec<usize> = (0..entries.len())
            .filter(|at| !entries[*at].apply && entries[*at].subresource.is_empty())
            .collect();
        oldest.sort_by_key(|at| {
            (entries[*at].manager != "ancient-changes", entries[*at].time.clone())
        });
        let (into, from) = (oldest[0], oldest[1]);
        let taken = entries[from].clone();
        let target = &mut entries[into];
        target.manager = "ancient-changes".into();
        target.time = taken.time.clone().max(target.time.take());
        target.set.union(&taken.set);
        entries.remove(from);
    }
}

/// Gives the author of a write that is no apply what it changed, and takes it from the others.
///
/// `old` is the stored object, or the empty one of the kind when `new` is being created.
pub(in super::super) fn update(
    node: &Node,
    old: &Value,
    new: &mut Value,
    author: &Author,
    creating: bool,
) {
    let given = &new["metadata"]["managedFields"];
    let reset = given
        .as_array()
        .is_some_and(|list| list.len() == 1 && list[0].as_object().is_some_and(|e| e.is_empty()));
    let mut entries = match () {
        () if reset => Vec::new(),
        () if !author.subresource.is_empty() => read(old),
        () => read(new),
    };
    if entries.is_empty() && !reset {
        entries = read(old);
    }
    if let Some(meta) = new["metadata"].as_object_mut() {
        meta.remove("managedFields");
    }
    // Objects that nobody tracks stay so.
    if entries.is_empty() && !creating {
        return;
    }
    // The managed fields of the old object differ too, but they are never tracked.
    let changes = changes(node, old, new);
    let mut mine = changes.added;
    mine.union(&changes.modified);
    let mut gone = changes.removed;
    // What this door does not write, it does not take from anybody.
    author.filter(&mut mine);
    author.filter(&mut gone);
    for entry in &mut entries {
        entry.set.subtract(&mine);
        entry.set.subtract(&gone);
    }
    if !mine.is_empty() {
        match entries.iter_mut().find(|entry| entry.is(author, false)) {
            Some(entry) => {
                entry.set.union(&mine);
                entry.time = Some(author.now.clone());
            }
            None => entries.push(Entry {
                manager: author.manager.clone(),
                apply: false,
                api_version: author.api_version.clone(),
                subresource: author.subresource.clone(),
                time: Some(author.now.clone()),
                set: mine,
            }),
        }
    }
    write(new, entries);
}

/// The object as comparisons see it.
pub(super) fn without_managers(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("managedFields");
    }
    object
}
