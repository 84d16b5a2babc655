//! Holds the table "Who may know whom" of ARCHITECTURE.md against the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

type Table = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_part_knows_another_than_the_table_says() {
    let (allowed, parts) = (table(), parts());
    let mut wrong = Vec::new();
    for (part, known) in known_by_code(&parts) {
        let allowed = allowed.get(&part).unwrap_or_else(|| panic!("`{part}` is not in the table"));
        for (other, place) in known {
            if other != part && !allowed.contains(&other) {
                wrong.push(format!("{place}: `{part}` knows `{other}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_part_is_in_the_table_and_nothing_else() {
    let table: BTreeSet<_> = table().into_keys().collect();
    assert_eq!(table, parts());
}

/// The table of the document; `cli` and `engine` are the top and may know everything below them.
fn table() -> Table {
    let text = fs::read_to_string(Path::new(ROOT).join("ARCHITECTURE.md")).expect("it is there");
    let rows = text.lines().skip_while(|line| !line.starts_with("| part |")).skip(2);
    let mut table = Table::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let mut cells = row.trim_matches('|').split('|');
        let (names, knows) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        let knows = match knows.trim() {
            "the rest" => parts(),
            "all of these but `report`" => {
                &parts() - &BTreeSet::from(["report".into(), "cli".into()])
            }
            knows => words(knows),
        };
        for name in words(names) {
            table.insert(name, knows.clone());
        }
    }
    table
}

/// The names in backticks that are parts.
fn words(cell: &str) -> BTreeSet<String> {
    let parts = parts();
    cell.split('`').filter(|word| parts.contains(*word)).map(str::to_owned).collect()
}

/// The folders below `harness/` that are modules.
fn parts() -> BTreeSet<String> {
    let folders = fs::read_dir(Path::new(ROOT).join("harness")).expect("it is there");
    folders
        .filter_map(|entry| entry.ok()?.path().join("mod.rs").parent().map(Path::to_owned))
        .filter(|path| path.join("mod.rs").exists())
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect()
}

/// What each part names by `crate::…`, with a place for each; tests inside a part count too.
fn known_by_code(parts: &BTreeSet<String>) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut known = BTreeMap::new();
    for part in parts {
        let others: &mut BTreeMap<String, String> = known.entry(part.clone()).or_default();
        for file in sources(&Path::new(ROOT).join("harness").join(part)) {
            let text = fs::read_to_string(&file).expect("readable");
            for (number, line) in text.lines().enumerate() {
                if line.trim_start().starts_with("//") {
                    continue;
                }
                for rest in line.split("crate::").skip(1) {
                    let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
                    let name = &rest[..end.unwrap_or(rest.len())];
                    if parts.contains(name) {
                        let file = file.strip_prefix(ROOT).unwrap_or(&file);
                        let place = format!("{}:{}", file.display(), number + 1);
                        others.entry(name.to_owned()).or_insert(place);
                    }
                }
            }
        }
    }
    known
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}
