//! Matchers and responses for one's own mocks on Connector and Director.
//!
//! ```no_run
//! # use compass_harness::compass::{Compass, matchers};
//! # use wiremock::Mock;
//! # async fn example(compass: &Compass) {
//! Mock::given(matchers::operation("configuration"))
//!     .respond_with(matchers::graphql_error("the database is asleep"))
//!     .up_to_n_times(1)
//!     .mount(compass.connector())
//!     .await;
//! # }
//! ```

use apollo_compiler::ast::{Definition, Document, Selection};
use serde_json::{Value, json};
use wiremock::{Match, Request, ResponseTemplate};

use super::caller::Caller;
use super::graphql::query_text;
use crate::journal::Identity;

/// Matches requests that ask for this root field.
#[must_use]
pub fn operation(name: impl Into<String>) -> impl Match {
    OperationMatcher(name.into())
}

/// Matches requests of this identity, as the edge found it out.
#[must_use]
pub fn identity(identity: Identity) -> impl Match {
    IdentityMatcher(identity)
}

/// Matches requests that came with a good client certificate, whichever.
#[must_use]
pub fn any_certificate() -> impl Match {
    |request: &Request| {
        let caller = Caller::read(&request.headers);
        caller.is_some_and(|caller| matches!(caller.identity, Identity::Certificate { .. }))
    }
}

/// An answer with status 200 whose only content is an error.
#[must_use]
pub fn graphql_error(message: impl Into<String>) -> ResponseTemplate {
    graphql_errors([message])
}

/// An answer with status 200 that has these errors and no data.
#[must_use]
pub fn graphql_errors(messages: impl IntoIterator<Item = impl Into<String>>) -> ResponseTemplate {
    let errors: Vec<Value> =
        messages.into_iter().map(|message| json!({"message": message.into()})).collect();
    ResponseTemplate::new(200).set_body_json(json!({"errors": errors, "data": null}))
}

/// An answer with status 200 that has this data.
#[must_use]
pub fn graphql_data(data: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({ "data": data }))
}

struct OperationMatcher(String);

impl Match for OperationMatcher {
    fn matches(&self, request: &Request) -> bool {
        let Some(text) = query_text(&request.method, request.url.query(), &request.body) else {
            return false;
        };
        // Whether the document is valid is not the matcher's business.
        let document = Document::parse(text, "input").unwrap_or_else(|broken| broken.partial);
        document.definitions.iter().any(|definition| match definition {
            Definition::OperationDefinition(operation) => {
                operation.selection_set.iter().any(|selection| match selection {
                    Selection::Field(field) => field.name == *self.0,
                    Selection::FragmentSpread(_) | Selection::InlineFragment(_) => false,
                })
            }
            _ => false,
        })
    }
}

struct IdentityMatcher(Identity);

impl Match for IdentityMatcher {
    fn matches(&self, request: &Request) -> bool {
        Caller::read(&request.headers).is_some_and(|caller| caller.identity == self.0)
    }
}
