//! Runs a plan against objects and writes the answer as it goes.

use std::borrow::Cow;

use apollo_compiler::ast::Type;
use serde::Serialize;
use serde_json::{Map, Value};

use super::plan::{Field, Fields, Plan};

/// An object whose fields can be asked for.
pub(crate) trait Object {
    /// The name of its type in the schema.
    fn type_name(&self) -> &'static str;

    /// The value of one of its fields.
    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure>;
}

impl<O: Object + ?Sized> Object for &O {
    fn type_name(&self) -> &'static str {
        (**self).type_name()
    }

    fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
        (**self).resolve(field)
    }
}

/// The value of a field.
pub(crate) enum Resolved<'a> {
    /// Nothing.
    Null,
    /// `Boolean`.
    Bool(bool),
    /// `Int`.
    Int(usize),
    /// Any scalar that is written as a text, and enums.
    Text(Cow<'a, str>),
    /// A custom scalar.
    Json(Cow<'a, Value>),
    /// A custom scalar that is JSON already.
    Written(Vec<u8>),
    /// An object, interface or union.
    Object(Box<dyn Object + 'a>),
    /// A list.
    List(Vec<Self>),
}

impl<'a> Resolved<'a> {
    /// A text that need not be copied.
    pub(crate) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// A text that was made for the answer.
    pub(crate) fn owned(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }

    /// A text, or null.
    pub(crate) fn optional(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::text)
    }

    /// An object.
    pub(crate) fn object(object: impl Object + 'a) -> Self {
        Self::Object(Box::new(object))
    }

    /// An object, or null.
    pub(crate) fn optional_object(object: Option<impl Object + 'a>) -> Self {
        object.map_or(Self::Null, Self::object)
    }

    /// A list of objects.
    pub(crate) fn objects<O: Object + 'a>(objects: impl Iterator<Item = O>) -> Self {
        Self::List(objects.map(Self::object).collect())
    }
}

/// Why a field has no value, with what the server says beside the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) extensions: Map<String, Value>,
}

impl Failure {
    /// A message and nothing else.
    pub(crate) fn plain(message: impl Into<String>) -> Self {
        Self { message: message.into(), extensions: Map::new() }
    }
}

/// An error as it is sent, with its keys in gqlgen's order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct SentError {
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) path: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) locations: Vec<Location>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) extensions: Map<String, Value>,
}

/// A place in a document, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Location {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// What came of an operation.
#[derive(Debug, Default)]
pub(crate) struct Response {
    /// The value of `data` in JSON.
    pub(super) data: Vec<u8>,
    pub(super) errors: Vec<SentError>,
}

/// Runs a plan against the root object.
pub(crate) fn execute(plan: &Plan, root: &dyn Object) -> Response {
    let mut run = Run { out: Vec::with_capacity(1024), errors: Vec::new() };
    if run.object(&plan.root, root, None).is_err() {
        run.out.clear();
        run.out.extend_from_slice(b"null");
    }
    Response { data: run.out, errors: run.errors }
}

/// The place of a value, as a list on the call stack.
type Path<'a> = Option<&'a Step<'a>>;

struct Step<'a> {
    here: Segment<'a>,
    above: Path<'a>,
}

enum Segment<'a> {
    Key(&'a str),
    Index(usize),
}

/// Something that may not be null is, so that what holds it becomes null in its place.
struct Missing;

struct Run {
    out: Vec<u8>,
    errors: Vec<SentError>,
}

impl Run {
    fn object(
        &mut self,
        fields: &Fields,
        object: &dyn Object,
        path: Path<'_>,
    ) -> Result<(), Missing> {
        self.out.push(b'{');
        let mut result = Ok(());
        for (index, field) in fields.0.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            // A name has no character that JSON would escape.
            self.out.push(b'"');
            self.out.extend_from_slice(field.key.as_bytes());
            self.out.extend_from_slice(b"\":");
            let step = Step { here: Segment::Key(&field.key), above: path };
            // gqlgen goes on with the other fields, and so reports all that is wrong.
            if self.field(field, object, Some(&step)).is_err() {
                result = Err(Missing);
            }
        }
        self.out.push(b'}');
        result
    }

    fn field(&mut self, field: &Field, object: &dyn Object, path: Path<'_>) -> Result<(), Missing> {
        if let Some(answer) = &field.introspected {
            self.out.extend_from_slice(answer.as_bytes());
            return Ok(());
        }
        let resolved = if field.name == "__typename" {
            Ok(Resolved::text(object.type_name()))
        } else {
            object.resolve(field)
        };
        let start = self.out.len();
        let result = match resolved {
            Ok(value) => self.complete(&field.kind, value, field, path),
            Err(failure) => {
                self.fail(failure, path);
                Err(Missing)
            }
        };
        self.null_unless(result, &field.kind, start)
    }

    fn complete(
        &mut self,
        kind: &Type,
        value: Resolved<'_>,
        field: &Field,
        path: Path<'_>,
    ) -> Result<(), Missing> {
        match value {
            Resolved::Null if kind.is_non_null() => {
                // gqlgen's words; the landscape has nothing that leads here.
                self.fail(Failure::plain("must not be null"), path);
                return Err(Missing);
            }
            Resolved::Null => self.out.extend_from_slice(b"null"),
            Resolved::Bool(true) => self.out.extend_from_slice(b"true"),
            Resolved::Bool(false) => self.out.extend_from_slice(b"false"),
            Resolved::Int(number) => self.write(&number),
            Resolved::Text(text) => self.write(&text),
            Resolved::Json(value) => self.write(&*value),
            Resolved::Written(json) => self.out.extend_from_slice(&json),
            Resolved::Object(object) => {
                let name = object.type_name();
                let below = field.below.iter().find(|(concrete, _)| concrete == name);
                let fields = below.map(|(_, fields)| fields);
                return self.object(fields.unwrap_or(&Fields(Vec::new())), &*object, path);
            }
            Resolved::List(items) => return self.list(kind, items, field, path),
        }
        Ok(())
    }

    fn list(
        &mut self,
        kind: &Type,
        items: Vec<Resolved<'_>>,
        field: &Field,
        path: Path<'_>,
    ) -> Result<(), Missing> {
        let item_kind = kind.item_type();
        let mut result = Ok(());
        self.out.push(b'[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            let step = Step { here: Segment::Index(index), above: path };
            let start = self.out.len();
            let item = self.complete(item_kind, item, field, Some(&step));
            if self.null_unless(item, item_kind, start).is_err() {
                result = Err(Missing);
            }
        }
        self.out.push(b']');
        result
    }

    /// Puts null in the place of what failed, if null may stand there.
    fn null_unless(
        &mut self,
        result: Result<(), Missing>,
        kind: &Type,
        start: usize,
    ) -> Result<(), Missing> {
        match result {
            Err(Missing) if !kind.is_non_null() => {
                self.out.truncate(start);
                self.out.extend_from_slice(b"null");
                Ok(())
            }
            result => result,
        }
    }

    fn fail(&mut self, failure: Failure, mut path: Path<'_>) {
        let mut segments = Vec::new();
        while let Some(step) = path {
            segments.push(match step.here {
                Segment::Key(key) => Value::from(key),
                Segment::Index(index) => Value::from(index),
            });
            path = step.above;
        }
        segments.reverse();
        self.errors.push(SentError {
            message: failure.message,
            path: segments,
            locations: Vec::new(),
            extensions: failure.extensions,
        });
    }

    fn write(&mut self, value: &impl Serialize) {
        serde_json::to_writer(&mut self.out, value).expect("writing to memory does not fail");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use apollo_compiler::Schema;
    use apollo_compiler::validation::Valid;
    use serde_json::json;

    use super::*;
    use crate::compass::graphql::document::Documents;

    static SCHEMA: LazyLock<Valid<Schema>> = LazyLock::new(|| {
        let sdl = "
            scalar Any
            interface Animal { name: String! }
            type Cat implements Animal { name: String! lives: Int }
            type Dog implements Animal { name: String! friend: Animal }
            union Pet = Cat | Dog
            input Wish { what: String = \"food\", many: Int, list: [Int!] }
            type Query {
              pets: [Pet!]! broken: [Pet] failing: String maybe: Animal
              echo(any: Any, wish: Wish, number: Int = 7): Any
            }";
        Schema::parse_and_validate(sdl, "schema").expect("valid")
    });

    struct Root;
    struct Animal(&'static str, bool);

    impl Object for Root {
        fn type_name(&self) -> &'static str {
            "Query"
        }

        fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
            Ok(match field.name.as_str() {
                "pets" => Resolved::objects([Animal("Cat", true), Animal("Dog", true)].into_iter()),
                "broken" => {
                    Resolved::objects([Animal("Cat", true), Animal("Dog", false)].into_iter())
                }
                "maybe" => Resolved::Null,
                "echo" => Resolved::Json(Cow::Owned(field.arguments.clone().into())),
                _ => return Err(Failure::plain("it failed")),
            })
        }
    }

    impl Object for Animal {
        fn type_name(&self) -> &'static str {
            self.0
        }

        fn resolve<'a>(&'a self, field: &Field) -> Result<Resolved<'a>, Failure> {
            match field.name.as_str() {
                "name" if self.1 => Ok(Resolved::text("x\"y")),
                "lives" => Ok(Resolved::Int(9)),
                "friend" => Ok(Resolved::object(Self("Cat", self.1))),
                _ => Err(Failure::plain("no name")),
            }
        }
    }

    fn run(text: &str, variables: Value) -> (Value, Value) {
        let document = Documents::new(&SCHEMA).document(text).expect("valid");
        let variables = variables.as_object().cloned().unwrap_or_default();
        let plan = Plan::new(&SCHEMA, &document, None, &variables).expect("a plan");
        let response = execute(&plan, &Root);
        (serde_json::from_slice(&response.data).expect("JSON"), json!(response.errors))
    }

    #[test]
    fn concrete_types_decide_what_is_asked() {
        let (data, errors) = run(
            "{ pets { __typename ... on Animal { name } ... on Cat { lives } ...D } }
             fragment D on Dog { friend { name __typename } friend { ... on Cat { lives } } }",
            Value::Null,
        );
        assert_eq!(errors, json!([]));
        assert_eq!(
            data,
            json!({"pets": [
                {"__typename": "Cat", "name": "x\"y", "lives": 9},
                {"__typename": "Dog", "name": "x\"y", "friend": {"name": "x\"y", "__typename": "Cat", "lives": 9}},
            ]})
        );
    }

    #[test]
    fn null_climbs_to_the_next_place_that_takes_it_and_neighbours_go_on() {
        let (data, errors) =
            run("{ a: failing b: broken { ... on Dog { name friend { name } } } }", Value::Null);
        assert_eq!(data, json!({"a": null, "b": [{}, null]}));
        assert_eq!(
            errors,
            json!([
                {"message": "it failed", "path": ["a"]},
                {"message": "no name", "path": ["b", 1, "name"]},
                {"message": "no name", "path": ["b", 1, "friend", "name"]},
            ])
        );
    }

    #[test]
    fn arguments_come_from_literals_variables_and_defaults() {
        let (data, _) = run(
            "query($w: Wish, $n: Int, $absent: Int) {
               a: echo(any: {key: [1, 2.5, A, null, $n]}, wish: $w)
               b: echo(wish: {many: $n, list: 3}, number: $absent)
               c: echo(number: null)
             }",
            json!({"w": {"list": [1]}, "n": 5}),
        );
        assert_eq!(
            data,
            json!({
                "a": {"any": {"key": [1, 2.5, "A", null, 5]}, "wish": {"what": "food", "list": [1]}, "number": 7},
                "b": {"wish": {"what": "food", "many": 5, "list": [3]}, "number": 7},
                "c": {"number": null},
            })
        );
    }

    #[test]
    fn skipped_fields_are_not_there() {
        let text =
            "query($s: Boolean!) { maybe @skip(if: $s) { name } failing @include(if: false) }";
        assert_eq!(run(text, json!({"s": true})).0, json!({}));
        assert_eq!(run(text, json!({"s": false})).0, json!({"maybe": null}));
    }

    #[test]
    fn introspection_answers_beside_ordinary_fields() {
        let (data, _) = run(
            "{ maybe { name } s: __schema { queryType { name } } t: __type(name: \"Cat\") { kind } }",
            Value::Null,
        );
        assert_eq!(
            data,
            json!({"maybe": null, "s": {"queryType": {"name": "Query"}}, "t": {"kind": "OBJECT"}})
        );
    }

    #[test]
    fn a_document_that_multiplies_itself_is_refused() {
        let mut text = String::from("{ pets { ...F0 } }");
        text.extend((0..30).map(|n| {
            let next = n + 1;
            let both = format!("a: friend {{ ...F{next} }} b: friend {{ ...F{next} }}");
            format!("fragment F{n} on Dog {{ {both} }}")
        }));
        text.push_str("fragment F30 on Dog { name }");
        let document = Documents::new(&SCHEMA).document(&text).expect("valid");
        Plan::new(&SCHEMA, &document, None, &Map::new()).expect_err("refused");
    }
}
