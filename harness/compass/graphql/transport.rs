//! GraphQL over HTTP with gqlgen's status codes and bodies.

use apollo_compiler::ast::OperationType;
use http::Method;
use serde_json::{Map, Value};

use super::document::{Documents, RequestError};
use super::execute::{Response, SentError};
use super::lenient::without_empty_arguments;
use super::plan::Plan;

/// The parts of a request that matter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HttpRequest<'a> {
    pub(crate) method: &'a Method,
    /// The query of the URL.
    pub(crate) query: Option<&'a str>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

/// An answer with a JSON body, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// What is particular to one server.
pub(crate) trait Server {
    /// The documents of its schema.
    fn documents(&self) -> &Documents;

    /// How it words an error that is not a resolver's; a code is there for mistakes in documents.
    fn present(&self, error: &RequestError) -> SentError;

    /// Runs an operation.
    fn run(&self, plan: &Plan, text: &str) -> Response;
}

/// Answers a request to `/graphql`.
pub(crate) fn answer(server: &dyn Server, request: HttpRequest<'_>) -> HttpAnswer {
    match *request.method {
        Method::OPTIONS => return HttpAnswer { status: 200, body: Vec::new() },
        Method::HEAD => return HttpAnswer { status: 405, body: Vec::new() },
        Method::GET => {}
        Method::POST if is_json(request.content_type) => {}
        _ => return raw_error(400, "transport not supported"),
    }
    let operation = match OperationRequest::read(request) {
        Ok(operation) => operation,
        Err(NotRead::Body(message)) => {
            let error = RequestError::transport(message);
            return errors(400, &[server.present(&error)]);
        }
        Err(NotRead::Query(message)) => return raw_error(400, message),
    };
    match run(server, request.method, &operation) {
        Ok(response) => assembled(200, &response.errors, &response.data),
        Err(Refused::Method) => raw_error(406, "GET requests only allow query operations"),
        Err(Refused::Document(mistakes)) => {
            errors(422, &Vec::from_iter(mistakes.iter().map(|mistake| server.present(mistake))))
        }
    }
}

/// The root fields that a request asks for, as far as they can be seen.
pub(crate) fn root_fields(documents: &Documents, request: HttpRequest<'_>) -> Vec<String> {
    let Ok(operation) = OperationRequest::read(request) else { return Vec::new() };
    match documents.document(&operation.query) {
        Ok(document) => document.root_fields(operation.name.as_deref()),
        Err(_) => Vec::new(),
    }
}

/// The document of a request, with the grammar's strictness on empty arguments taken care of.
pub(crate) fn query_text(method: &Method, query: Option<&str>, body: &[u8]) -> Option<String> {
    let request = HttpRequest { method, query, content_type: None, body };
    let operation = OperationRequest::read(request).ok()?;
    Some(without_empty_arguments(&operation.query).into_owned())
}

/// What a request asks to be run.
#[derive(Debug, Default)]
struct OperationRequest {
    query: String,
    name: Option<String>,
    variables: Map<String, Value>,
}

enum NotRead {
    Body(String),
    Query(&'static str),
}

enum Refused {
    Method,
    Document(Vec<RequestError>),
}

impl OperationRequest {
    fn read(request: HttpRequest<'_>) -> Result<Self, NotRead> {
        if request.method == Method::GET {
            return Self::from_query(request.query.unwrap_or_default());
        }
        // Go's decoder reads the first value and leaves the rest alone.
        let mut values = serde_json::Deserializer::from_slice(request.body).into_iter::<Value>();
        let broken = |reason: &str| {
            let body = String::from_utf8_lossy(request.body);
            NotRead::Body(format!("json request body could not be decoded: {reason} body:{body}"))
        };
        let mut fields = match values.next() {
            Some(Ok(Value::Object(fields))) => fields,
            Some(Ok(Value::Null)) => Map::new(),
            Some(Ok(_)) => {
                return Err(broken(
                    "json: cannot unmarshal value into Go value of type graphql.RawParams",
                ));
            }
            Some(Err(error)) => return Err(broken(&error.to_string())),
            None => return Err(broken("EOF")),
        };
        let mut text = |key: &str| match fields.remove(key) {
            Some(Value::String(text)) => Ok(Some(text)),
            None | Some(Value::Null) => Ok(None),
            Some(_) => Err(broken(&format!(
                "json: cannot unmarshal value into Go struct field RawParams.{key} of type string"
            ))),
        };
        let query = text("query")?.unwrap_or_default();
        let name = text("operationName")?;
        let variables = match fields.remove("variables") {
            Some(Value::Object(variables)) => variables,
            None | Some(Value::Null) => Map::new(),
            Some(_) => {
                return Err(broken(
                    "json: cannot unmarshal value into Go struct field RawParams.variables of type map[string]interface {}",
                ));
            }
        };
        Ok(Self { query, name, variables })
    }

    fn from_query(query: &str) -> Result<Self, NotRead> {
        let mut request = Self::default();
        // The base is never seen: this is the way to the form decoding of a URL library.
        let parsed = reqwest::Url::parse(&format!("http://localhost/?{query}"));
        let Ok(url) = parsed else { return Ok(request) };
        for (key, value) in url.query_pairs() {
            match &*key {
                "query" if request.query.is_empty() => request.query = value.into_owned(),
                "operationName" => request.name = Some(value.into_owned()),
                "variables" if !value.is_empty() => {
                    let variables = serde_json::from_str(&value);
                    request.variables =
                        variables.map_err(|_| NotRead::Query("variables could not be decoded"))?;
                }
                _ => {}
            }
        }
        Ok(request)
    }
}

fn run(
    server: &dyn Server,
    method: &Method,
    request: &OperationRequest,
) -> Result<Response, Refused> {
    let documents = server.documents();
    let one = |error: RequestError| Refused::Document(vec![error]);
    if request.query.trim().is_empty() {
        return Err(one(RequestError::validation("no operation provided")));
    }
    let document =
        documents.document(&request.query).map_err(|errors| Refused::Document(errors.to_vec()))?;
    let name = request.name.as_deref();
    let kind = document.operation(name).map_err(one)?.operation_type;
    if method == Method::GET && kind != OperationType::Query {
        return Err(Refused::Method);
    }
    let plan = || Plan::new(documents.schema(), &document, name, &request.variables);
    if Plan::is_constant(&document) {
        let plan = document.plan.get_or_init(plan).as_ref().map_err(|error| one(error.clone()))?;
        return Ok(server.run(plan, &request.query));
    }
    let plan = plan().map_err(one)?;
    Ok(server.run(&plan, &request.query))
}

fn is_json(content_type: Option<&str>) -> bool {
    let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

/// An error of the transport itself, which no presenter sees.
fn raw_error(status: u16, message: &str) -> HttpAnswer {
    errors(
        status,
        &[SentError {
            message: message.into(),
            path: Vec::new(),
            locations: Vec::new(),
            extensions: Map::new(),
        }],
    )
}

/// One error that is answered before GraphQL is looked at.
pub(crate) fn error_answer(status: u16, error: SentError) -> HttpAnswer {
    errors(status, &[error])
}

fn errors(status: u16, errors: &[SentError]) -> HttpAnswer {
    assembled(status, errors, b"null")
}

/// `errors` first and only when there are some, `data` always.
fn assembled(status: u16, errors: &[SentError], data: &[u8]) -> HttpAnswer {
    let mut body = Vec::with_capacity(data.len() + 16 + errors.len() * 256);
    body.push(b'{');
    if !errors.is_empty() {
        body.extend_from_slice(b"\"errors\":");
        serde_json::to_writer(&mut body, errors).expect("writing to memory does not fail");
        body.push(b',');
    }
    body.extend_from_slice(b"\"data\":");
    body.extend_from_slice(data);
    body.push(b'}');
    HttpAnswer { status, body }
}
