//! What a writer is told about typical mistakes, and what a reader gets from a good file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Sample {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Metadata {
    name: Spanned<String>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    resync_every: Option<Period>,
    threshold: Option<Share>,
    labels: BTreeMap<String, String>,
    kinds: Vec<Shape>,
    count: Option<u8>,
    dry: Option<bool>,
    rest: Option<Node>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum Shape {
    Round,
    Square { side: u32 },
    Named(String),
}

impl Kind for Sample {
    const KIND: &'static str = "Sample";
}

fn file(spec: &str) -> String {
    let mut text = String::from(
        "apiVersion: compass.test/v1alpha1\nkind: Sample\nmetadata:\n  name: one\nspec:\n",
    );
    for line in spec.lines() {
        let _ = writeln!(text, "  {line}");
    }
    text
}

fn complaint(text: &str) -> String {
    match parse::<Sample>("sample.yaml", text) {
        Ok(document) => panic!("accepted: {:?}", document.content),
        Err(error) => error.render(false),
    }
}

#[test]
fn a_good_file_is_read_with_its_places() {
    let text = file(
        "resyncEvery: 2s\nthreshold: 30%\nlabels: { isNormalized: \"true\" }\nkinds:\n  - round\n  - square: { side: 3 }\n  - named: no\nrest:\n  - deep: 1.5\n    empty:\n",
    );
    let document = parse::<Sample>("sample.yaml", text).expect("a good file");
    let Sample { metadata, spec } = &document.content;
    assert_eq!((metadata.name.span.line, metadata.name.span.column), (4, 9));
    assert_eq!(spec.resync_every.map(Period::duration), Some(std::time::Duration::from_secs(2)));
    // YAML 1.2: `no` is a word like any other.
    assert_eq!(spec.kinds[1..], [Shape::Square { side: 3 }, Shape::Named("no".into())]);
    let rest = spec.rest.as_ref().expect("a rest");
    let Value::List(items) = &rest.value else { panic!("{rest:?}") };
    let empty = items[0].get("empty").expect("the key");
    assert_eq!((empty.at.line, empty.at.column), (15, 7));
    assert_eq!((rest.at.line, rest.at.column), (13, 3));
    assert_eq!(items[0].get("deep").expect("the key").read::<f64>(), Ok(1.5));
}

#[test]
fn typical_mistakes_are_told_with_place_and_remedy() {
    let long = format!("metadata: {{ name: {} }}", "x".repeat(200));
    let mistakes = [
        ("an unknown key", file("resyncEvry: 2s")),
        ("an unknown key far from all", file("zzz: 2s")),
        ("a number without a unit", file("resyncEvery: 2")),
        ("a unit that does not exist", file("resyncEvery: 2sec")),
        ("a share without its sign", file("threshold: 0.3")),
        ("a share above the whole", file("threshold: 130%")),
        ("an empty value", file("resyncEvery:\nthreshold: 30%")),
        ("an unquoted truth value", file("labels: { isNormalized: true }")),
        ("an unquoted number", file("labels: { version: 1.10 }")),
        ("a truth value of YAML 1.1", file("dry: yes")),
        ("a text for a list", file("kinds: round")),
        ("a mapping for a list", file("kinds:\n  round: 1")),
        ("a list for a mapping", file("labels: [a, b]")),
        ("an unknown word", file("kinds: [rond]")),
        ("a word that needs a value", file("kinds: [square]")),
        ("a word that takes no value", file("kinds: [{ round: 3 }]")),
        ("two words for one", file("kinds:\n  - named: a\n    square: { side: 3 }")),
        ("a key missing inside", file("kinds:\n  - square: {}")),
        ("a number out of range", file("count: 300")),
        ("a negative number", file("count: -1")),
        ("a key that stands twice", file("count: 1\ncount: 2")),
        ("a part missing", "apiVersion: compass.test/v1alpha1\nkind: Sample\nspec: {}\n".into()),
        ("another kind", file("count: 1").replace("Sample", "Agent")),
        ("another version", file("count: 1").replace("v1alpha1", "v1")),
        ("no kind", "metadata: { name: one }\n".into()),
        ("an empty file", "# nothing but a remark\n".into()),
        ("two documents", format!("{}---\n{}", file("count: 1"), file("count: 1"))),
        ("a list on top", "- a\n- b\n".into()),
        ("a text on top", "hello\n".into()),
        ("broken indentation", file("labels:\n    a: b\n  c: d")),
        ("an open bracket", file("kinds: [round")),
        ("a tab", file("labels:\n\ta: b")),
        ("a tag", file("count: !secret 3")),
        ("an alias to nowhere", file("count: *nowhere")),
        ("a very long value", file(&format!("{long}\nkinds: {}", "y".repeat(300)))),
        ("umlauts before the mistake", file("labels: { größe: \"ä\", länge: 3 }")),
    ];
    let mut told = String::new();
    for (mistake, text) in mistakes {
        let _ = writeln!(told, "== {mistake}\n{}", complaint(&text));
    }
    insta::assert_snapshot!("mistakes", told);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let missing = load::<Sample>(&directory.path().join("no.yaml")).expect_err("missing");
    assert!(missing.message().starts_with("there is no file"), "{missing}");
    assert!(missing.file().ends_with("no.yaml"));

    let path = directory.path().join("latin.yaml");
    std::fs::write(&path, b"kind: Sample\nname: gr\xf6\xdfe\n").expect("written");
    let latin = load::<Sample>(&path).expect_err("not UTF-8");
    assert!(latin.message().contains("line 2"), "{latin}");

    std::fs::write(&path, vec![b' '; 2 * 1024 * 1024]).expect("written");
    let large = load::<Sample>(&path).expect_err("too large");
    assert!(large.message().contains("larger than 1024 KiB"), "{large}");
    assert!(load::<Sample>(directory.path()).is_err(), "a directory is not a file");
}

#[test]
fn bombs_end_early() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let previous = format!("*a{}, ", n - 1).repeat(10);
        let _ = writeln!(laughs, "a{n}: &a{n} [{previous}]");
    }
    let bombs = [
        laughs,
        "[".repeat(100_000),
        "{a: ".repeat(50_000),
        "- ".repeat(50_000),
        format!("a: [{}]", "x, ".repeat(200_000)),
        format!("{}: x", "? ".repeat(10_000)),
        "a: &a [*a]".into(),
    ];
    for bomb in bombs {
        let begun = std::time::Instant::now();
        let error = parse::<Sample>("bomb.yaml", bomb.clone()).expect_err("refused");
        let _ = error.render(true);
        // A hundredth of this is usual; the margin is for a loaded machine in a debug build.
        assert!(begun.elapsed().as_secs() < 3, "{:?} for {:.40}", begun.elapsed(), bomb);
    }
}

#[test]
fn an_error_of_a_later_check_points_into_the_file() {
    let document = parse::<Sample>("sample.yaml", file("count: 1")).expect("a good file");
    let name = &document.content.metadata.name;
    let error =
        document.error(Problem::new("the name is taken").at(name.span).help("take another"));
    assert_eq!(error.span().map(|span| span.to_string()).as_deref(), Some("4:9"));
    assert!(error.render(false).contains("take another"));
}
