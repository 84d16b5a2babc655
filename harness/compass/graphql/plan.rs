//! A document turned into what has to be done: per concrete type, the fields in their order.

use apollo_compiler::ast::{OperationType, Type, Value as Literal};
use apollo_compiler::collections::{HashSet, IndexMap};
use apollo_compiler::executable::{Field as Selected, Selection, SelectionSet};
use apollo_compiler::introspection;
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::serde_json_bytes;
use apollo_compiler::response::{JsonMap, JsonValue};
use apollo_compiler::schema::{ExtendedType, FieldDefinition};
use apollo_compiler::validation::Valid;
use apollo_compiler::{Name, Schema};
use serde_json::{Map, Value};

use super::document::{Document, RequestError};

/// A document may spread its fragments so that it grows without end; this is where that ends.
const MOST_FIELDS: usize = 100_000;

/// What an operation asks for, with every argument settled.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) kind: OperationType,
    pub(super) root: Fields,
}

/// The fields that are asked of one concrete type.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(pub(super) Vec<Field>);

/// One field of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// Its name in the schema.
    pub(crate) name: Name,
    /// Its name in the answer.
    pub(super) key: Name,
    /// Its arguments with the defaults of the schema.
    pub(crate) arguments: Map<String, Value>,
    pub(super) kind: Type,
    /// What is asked of it, by the concrete type that it may have.
    pub(super) below: Vec<(Name, Fields)>,
    /// The answer of introspection, which is always the same.
    pub(super) introspected: Option<String>,
}

impl Field {
    /// A text argument; empty when it is absent, null or no text.
    pub(crate) fn text(&self, argument: &str) -> &str {
        self.arguments.get(argument).and_then(Value::as_str).unwrap_or_default()
    }
}

impl Plan {
    /// The plan of an operation with these variables.
    pub(super) fn new(
        schema: &'static Valid<Schema>,
        document: &Document,
        name: Option<&str>,
        variables: &Map<String, Value>,
    ) -> Result<Self, RequestError> {
        let operation = document.operation(name)?;
        let given: JsonMap = variables
            .iter()
            .map(|(key, value)| (key.as_str().into(), JsonValue::from(value.clone())))
            .collect();
        let refused = |error: &apollo_compiler::request::RequestError| {
            RequestError::validation(error.message().to_string())
        };
        let variables =
            coerce_variable_values(schema, operation, &given).map_err(|error| refused(&error))?;
        let introspected = if operation
            .root_fields(&document.valid)
            .any(|field| matches!(field.name.as_str(), "__schema" | "__type"))
        {
            introspection::check_max_depth(&document.valid, operation)
                .map_err(|error| refused(&error))?;
            let implementers = schema.implementers_map();
            let answer = introspection::partial_execute(
                schema,
                &implementers,
                &document.valid,
                operation,
                &variables,
            );
            answer.map_err(|error| refused(&error))?.data.unwrap_or_default()
        } else {
            JsonMap::default()
        };
        let mut planner = Planner { schema, document, variables: &variables, fields: 0 };
        let selections = [&operation.selection_set];
        let mut root = planner.fields_of(&operation.selection_set.ty, &selections)?;
        for field in &mut root.0 {
            if let Some(answer) = introspected.get(field.key.as_str()) {
                field.introspected = serde_json::to_string(answer).ok();
            }
        }
        Ok(Self { kind: operation.operation_type, root })
    }

    /// Whether the plan is the same for every request with this document.
    pub(super) fn is_constant(document: &Document) -> bool {
        let operations = &document.valid.operations;
        operations.len() == 1 && operations.iter().all(|one| one.variables.is_empty())
    }
}

struct Planner<'a> {
    schema: &'static Valid<Schema>,
    document: &'a Document,
    variables: &'a Valid<JsonMap>,
    fields: usize,
}

/// The selections that share a name in the answer.
type Grouped<'a> = IndexMap<Name, Vec<&'a Selected>>;

impl<'a> Planner<'a> {
    fn fields_of(
        &mut self,
        on: &Name,
        selections: &[&'a SelectionSet],
    ) -> Result<Fields, RequestError> {
        let mut grouped = Grouped::default();
        let mut seen = HashSet::default();
        for set in selections {
            self.collect(on, set, &mut seen, &mut grouped);
        }
        let mut fields = Fields(Vec::with_capacity(grouped.len()));
        for (key, same) in grouped {
            self.fields += 1;
            if self.fields > MOST_FIELDS {
                return Err(RequestError::validation("the operation asks for too many fields"));
            }
            // Grouping puts a selection before its list is there to be seen.
            let Some(first) = same.first() else { continue };
            let Ok(definition) = self.schema.type_field(on, &first.name) else { continue };
            let below = Vec::from_iter(same.iter().map(|field| &field.selection_set));
            fields.0.push(Field {
                name: first.name.clone(),
                key,
                arguments: self.arguments(definition, first),
                kind: definition.ty.clone(),
                below: self.below(definition.ty.inner_named_type(), &below)?,
                introspected: None,
            });
        }
        Ok(fields)
    }

    fn below(
        &mut self,
        named: &Name,
        selections: &[&'a SelectionSet],
    ) -> Result<Vec<(Name, Fields)>, RequestError> {
        // Introspection has its own answer.
        if named.starts_with("__") {
            return Ok(Vec::new());
        }
        let schema = self.schema;
        let concrete: Vec<Name> = match schema.types.get(named) {
            Some(ExtendedType::Object(_)) => vec![named.clone()],
            Some(ExtendedType::Union(union)) => {
                union.members.iter().map(|member| member.name.clone()).collect()
            }
            Some(ExtendedType::Interface(_)) => schema
                .types
                .values()
                .filter_map(|one| one.as_object())
                .filter(|object| object.implements_interfaces.contains(named))
                .map(|object| object.name.clone())
                .collect(),
            _ => Vec::new(),
        };
        let mut below = Vec::with_capacity(concrete.len());
        for name in concrete {
            let fields = self.fields_of(&name, selections)?;
            below.push((name, fields));
        }
        Ok(below)
    }

    fn collect(
        &self,
        on: &Name,
        set: &'a SelectionSet,
        seen: &mut HashSet<Name>,
        grouped: &mut Grouped<'a>,
    ) {
        for selection in &set.selections {
            if !self.is_wanted(selection) {
                continue;
            }
            match selection {
                Selection::Field(field) => {
                    grouped.entry(field.response_key().clone()).or_default().push(field);
                }
                Selection::InlineFragment(inline) => {
                    if inline.type_condition.as_ref().is_none_or(|on_type| self.is_a(on, on_type)) {
                        self.collect(on, &inline.selection_set, seen, grouped);
                    }
                }
                Selection::FragmentSpread(spread) => {
                    if !seen.insert(spread.fragment_name.clone()) {
                        continue;
                    }
                    let fragment = self.document.valid.fragments.get(&spread.fragment_name);
                    if let Some(fragment) =
                        fragment.filter(|one| self.is_a(on, one.type_condition()))
                    {
                        self.collect(on, &fragment.selection_set, seen, grouped);
                    }
                }
            }
        }
    }

    fn is_a(&self, object: &Name, condition: &Name) -> bool {
        match self.schema.types.get(condition) {
            Some(ExtendedType::Object(_)) => object == condition,
            Some(ExtendedType::Interface(_)) => self
                .schema
                .get_object(object)
                .is_some_and(|object| object.implements_interfaces.contains(condition)),
            Some(ExtendedType::Union(union)) => union.members.contains(object),
            _ => false,
        }
    }

    /// `@skip` and `@include`.
    fn is_wanted(&self, selection: &Selection) -> bool {
        let condition = |directive: &str| {
            let directive = selection.directives().get(directive)?;
            match &**directive.specified_argument_by_name("if")? {
                Literal::Boolean(value) => Some(*value),
                Literal::Variable(name) => self.variables.get(name.as_str())?.as_bool(),
                _ => None,
            }
        };
        !condition("skip").unwrap_or(false) && condition("include").unwrap_or(true)
    }

    fn arguments(&self, definition: &FieldDefinition, field: &Selected) -> Map<String, Value> {
        let mut arguments = Map::new();
        for argument in &definition.arguments {
            let given = field.arguments.iter().find(|given| given.name == argument.name);
            let given = given.and_then(|given| self.value(&argument.ty, &given.value));
            let value =
                given.or_else(|| self.value(&argument.ty, argument.default_value.as_ref()?));
            if let Some(value) = value {
                arguments.insert(argument.name.to_string(), value);
            }
        }
        arguments
    }

    /// The value of a literal that validation has let through; none for an absent variable.
    fn value(&self, kind: &Type, literal: &Literal) -> Option<Value> {
        if let Literal::Variable(name) = literal {
            return self.variables.get(name.as_str()).map(plain);
        }
        if literal.is_null() {
            return Some(Value::Null);
        }
        if let Type::List(item) | Type::NonNullList(item) = kind {
            // A single value is as good as a list with it.
            let items = literal.as_list();
            let Some(items) = items else {
                return Some(Vec::from_iter(self.value(item, literal)).into());
            };
            return Some(items.iter().filter_map(|one| self.value(item, one)).collect());
        }
        let input = self.schema.get_input_object(kind.inner_named_type());
        let Some((input, given)) = input.zip(literal.as_object()) else {
            return Some(self.free_value(literal));
        };
        let mut object = Map::new();
        for (name, definition) in &input.fields {
            let given = given.iter().find(|(key, _)| key == name);
            let value = given.and_then(|(_, literal)| self.value(&definition.ty, literal));
            let value =
                value.or_else(|| self.value(&definition.ty, definition.default_value.as_ref()?));
            if let Some(value) = value {
                object.insert(name.to_string(), value);
            }
        }
        Some(object.into())
    }

    /// The value of a literal for a scalar; custom scalars take lists and objects too.
    fn free_value(&self, literal: &Literal) -> Value {
        match literal {
            Literal::Null => Value::Null,
            Literal::Variable(name) => self.variables.get(name.as_str()).map_or(Value::Null, plain),
            Literal::Enum(name) => name.as_str().into(),
            Literal::String(text) => text.as_str().into(),
            Literal::Boolean(value) => (*value).into(),
            Literal::Int(number) => number.as_str().parse().map_or(Value::Null, Value::Number),
            Literal::Float(number) => number.as_str().parse().map_or(Value::Null, Value::Number),
            Literal::List(items) => items.iter().map(|item| self.free_value(item)).collect(),
            Literal::Object(fields) => fields
                .iter()
                .map(|(key, value)| (key.to_string(), self.free_value(value)))
                .collect::<Map<_, _>>()
                .into(),
        }
    }
}

fn plain(value: &JsonValue) -> Value {
    serde_json_bytes::from_value(value.clone()).unwrap_or(Value::Null)
}
