//! What administrators and integration systems do: the operations of Compass's own test suites.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use compass_harness::compass::DEFAULT_TENANT;
use compass_harness::journal::Identity;
use serde_json::{Value, json};

use crate::compass_world::*;

/// What the suites select of every kind of object, word for word but for the line ends.
const AUTH: &str = "credential{ ...on BasicCredentialData{username password} ...on CertificateOAuthCredentialData{clientId certificate url} ...on OAuthCredentialData{clientId clientSecret url} } oneTimeToken{ __typename token used expiresAt } certCommonName accessStrategy additionalHeaders additionalQueryParams requestAuth{ csrf{ tokenEndpointURL credential{ ...on BasicCredentialData{username password} ...on CertificateOAuthCredentialData{clientId certificate url} ...on OAuthCredentialData{clientId clientSecret url} } additionalHeaders additionalQueryParams } }";
const PAGE: &str = "pageInfo{startCursor endCursor hasNextPage} totalCount";
const FORMATION: &str =
    "id name formationTemplateId state status{ condition errors{assignmentID message errorCode} }";

fn system_auth() -> String {
    format!("id auth{{{AUTH}}}")
}

fn webhooks() -> String {
    format!(
        "id applicationID applicationTemplateID runtimeID formationTemplateID type mode correlationIdKey retryInterval timeout url urlTemplate inputTemplate headerTemplate outputTemplate statusTemplate auth{{{AUTH}}} createdAt"
    )
}

fn bundle() -> String {
    let fetch = format!(
        "fetchRequest{{ url auth{{{AUTH}}} mode filter status{{condition message timestamp}} }}"
    );
    let version = "version{value deprecated deprecatedSince forRemoval}";
    format!(
        "id name description instanceAuthRequestInputSchema instanceAuths{{ id context inputParams auth{{{AUTH}}} status{{condition timestamp message reason}} runtimeID runtimeContextID }} defaultInstanceAuth{{{AUTH}}} apiDefinitions{{ data{{ id name description spec{{ id data format type {fetch} }} targetURL group {version} }} {PAGE} }} eventDefinitions{{ data{{ id name description group spec{{ id data type format {fetch} }} {version} }} {PAGE} }} documents{{ data{{ id title displayName description format kind data {fetch} }} {PAGE} }}"
    )
}

fn application() -> String {
    let (webhooks, bundle, auth) = (webhooks(), bundle(), system_auth());
    format!(
        "id name providerName description baseUrl systemNumber systemStatus integrationSystemID applicationTemplateID labels deletedAt updatedAt error status{{condition timestamp}} webhooks{{{webhooks}}} integrationDependencies{{ data{{ id name description ordID partOfPackage visibility releaseStatus mandatory version{{value}} labels aspects{{ id name description mandatory apiResources{{ordID}} eventResources{{ordID subset{{eventType}}}} }} }} {PAGE} }} healthCheckURL bundles{{ data{{{bundle}}} {PAGE} }} auths{{{auth}}} operations{{ id operationType status error errorSeverity createdAt updatedAt }} eventingConfiguration{{defaultURL}}"
    )
}

fn runtime() -> String {
    let (webhooks, auth) = (webhooks(), system_auth());
    format!(
        "id name description applicationNamespace labels status{{condition timestamp}} metadata{{creationTimestamp}} auths{{{auth}}} runtimeContexts{{ data{{id key value labels}} {PAGE} }} webhooks{{{webhooks}}} eventingConfiguration{{defaultURL}}"
    )
}

impl World {
    /// An operation of the administrator, in the default tenant; `result` of its answer.
    async fn admin(&self, operation: &str) -> Value {
        self.admin_seen(operation).await.data()["result"].clone()
    }

    async fn admin_seen(&self, operation: &str) -> Seen {
        self.admin_in(DEFAULT_TENANT, operation).await
    }

    async fn admin_in(&self, tenant: &str, operation: &str) -> Seen {
        self.ask(operation, tenant, Proof::External(&administrator())).await
    }

    async fn refused(&self, operation: &str) -> (i64, String) {
        let error = self.admin_seen(operation).await.first_error();
        let code = error["extensions"]["error_code"].as_i64().expect("a code");
        (code, error["message"].as_str().expect("a message").into())
    }

    async fn register(&self, kind: &str, input: &str) -> String {
        let made =
            self.admin(&format!("mutation {{ result: {kind}(in: {input}) {{ id }} }}")).await;
        made["id"].as_str().expect("an id").into()
    }

    async fn bearer(&self, client: &str, secret: &str, scope: &str) -> (u16, Value) {
        let form = format!("grant_type=client_credentials&scope={}", scope.replace(' ', "+"));
        self.token_request(&format!("{client}:{secret}"), &form).await
    }

    async fn token_request(&self, basic: &str, form: &str) -> (u16, Value) {
        let request = http::Request::post("/oauth2/token")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Authorization", format!("Basic {}", STANDARD.encode(basic)))
            .body(Bytes::from(form.to_owned()))
            .expect("a request");
        let answer = reqwest::Client::new()
            .post(format!("{}/oauth2/token", self.compass.url()))
            .headers(request.headers().clone())
            .body(request.into_body())
            .send()
            .await
            .expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }
}

fn assign(kind: &str, id: &str, formation: &str, verb: &str) -> String {
    format!(
        "mutation {{ result: {verb}Formation(objectID: \"{id}\" objectType: {kind} formation: {{ name: \"{formation}\", }}) {{ {FORMATION} }} }}"
    )
}

#[tokio::test]
async fn runtimes_are_registered_read_and_unregistered() {
    let world = world("{}").await;
    let all = runtime();
    let made = world
        .admin(&format!(
            "mutation {{ result: registerRuntime(in: {{ name: \"test-tokens-runtime\",\n description: \"d\",\n labels: {{ placeholder: [\"placeholder\"], runtimeType: \"x\" }}, }}) {{ {all} }} }}"
        ))
        .await;
    // What the caller may not set is dropped without a word, and the Director adds its own.
    assert_eq!(made["labels"], json!({"placeholder": ["placeholder"], "isNormalized": "true"}));
    assert_eq!(made["status"]["condition"], "INITIAL");
    assert_eq!((&made["auths"], &made["webhooks"]), (&json!([]), &json!([])));
    let id = made["id"].as_str().expect("an id");
    let read = world.admin(&format!("{{ result: runtime(id: \"{id}\") {{ {all} }} }}")).await;
    assert_eq!(read, made);
    let gone = world
        .admin_seen(&format!("mutation {{ unregisterRuntime(id: \"{id}\") {{ {all} }} }}"))
        .await
        .data()["unregisterRuntime"]
        .clone();
    assert_eq!(gone["name"], "test-tokens-runtime");
    assert_eq!((&gone["labels"], &gone["auths"]), (&Value::Null, &json!([])));
    let read = world.admin(&format!("{{ result: runtime(id: \"{id}\") {{ id }} }}")).await;
    assert_eq!(read, Value::Null);
    let again = format!("mutation {{ unregisterRuntime(id: \"{id}\") {{ id }} }}");
    assert_eq!(world.refused(&again).await, (20, "Object not found [object=runtime]".into()));
    for (input, expected) in [
        (
            "{ name: \"a b\" }",
            (22, "Invalid data RuntimeRegisterInput [name=must be in a valid format]"),
        ),
        ("{ name: \"\" }", (22, "Invalid data RuntimeRegisterInput [name=cannot be blank]")),
    ] {
        let (code, message) = world
            .refused(&format!("mutation {{ result: registerRuntime(in: {input}) {{ id }} }}"))
            .await;
        assert_eq!((code, &*message), expected);
    }
}

#[tokio::test]
async fn applications_are_registered_changed_and_unregistered() {
    let world = world("{}").await;
    let all = application();
    let made = world
        .admin(&format!(
            "mutation {{ result: registerApplication(in: {{ name: \"Test.App\", labels: {{ legacy: true, }}, }}) {{ {all} }} }}"
        ))
        .await;
    assert_eq!(made["name"], "Test.App");
    assert_eq!(made["labels"], json!({"legacy": true, "managed": "false", "name": "mp-test-app"}));
    assert_eq!(made["bundles"]["totalCount"], 0);
    let id = made["id"].as_str().expect("an id").to_owned();
    let bundle_made = world
        .admin(&format!(
            "mutation {{ result: addBundle(applicationID: \"{id}\" in: {{ name: \"bndl-app-1\", description: \"Foo bar\", apiDefinitions: [ {{ name: \"comments-v1\", description: \"c\", targetURL: \"http://mywordpress.com/comments\", group: \"comments\", spec: {{ data: \"{{\\\"openapi\\\":\\\"3.0.2\\\"}}\", type: OPEN_API, format: YAML, }}, version: {{ value: \"1.0.0\", deprecated: true, deprecatedSince: \"v5\", forRemoval: false, }}, }} ], documents: [{{ title: \"t\", displayName: \"d\", description: \"x\", format: MARKDOWN }}] }}) {{ {} }} }}",
            bundle()
        ))
        .await;
    let api = &bundle_made["apiDefinitions"]["data"][0];
    assert_eq!(api["spec"]["data"], "{\"openapi\":\"3.0.2\"}");
    assert_eq!(api["version"]["deprecatedSince"], "v5");
    assert_eq!(bundle_made["documents"]["data"][0]["title"], "t");
    let update = format!(
        "mutation {{ result: updateApplication(id: \"{id}\" in: {{ description: \"The app was updated\" }}) {{ id name description baseUrl status {{ condition }} }} }}"
    );
    // The base URL comes from the first API.
    assert_eq!(
        world.admin(&update).await,
        json!({"id": id, "name": "Test.App", "description": "The app was updated", "baseUrl": "http://mywordpress.com", "status": {"condition": "INITIAL"}})
    );
    let read = world.admin(&format!("{{ result: application(id: \"{id}\") {{ {all} }} }}")).await;
    assert_eq!(read["bundles"]["data"][0], bundle_made);
    for (input, code, message) in [
        ("{ name: \"test-app\" }", 31, "Object name is not unique [object=application]"),
        (
            "{ name: \"b\", integrationSystemID: \"aaaaaaaa-0000-4000-8000-000000000001\" }",
            20,
            "Object not found [ID=aaaaaaaa-0000-4000-8000-000000000001; object=integrationSystem]",
        ),
        ("{ name: \"\" }", 22, "Invalid data ApplicationRegisterInput [name=cannot be blank]"),
    ] {
        let operation = format!("mutation {{ result: registerApplication(in: {input}) {{ id }} }}");
        assert_eq!(world.refused(&operation).await, (code, message.into()));
    }
    let (code, message) = world
        .refused("mutation { result: registerApplication(in: { name: \"c\", labels: { scenarios: [\"a\"] } }) { id } }")
        .await;
    assert_eq!(code, 10);
    assert!(message.contains("cannot be set explicitly"), "{message}");
    let gone = world
        .admin(&format!("mutation {{ result: unregisterApplication(id: \"{id}\") {{ {all} }} }}"))
        .await;
    assert_eq!((&gone["id"], &gone["labels"]), (&json!(id), &Value::Null));
    assert_eq!(gone["bundles"]["data"], json!([]));
    // The name is free again.
    world.register("registerApplication", "{ name: \"test-app\" }").await;
    let again = format!("mutation {{ unregisterApplication(id: \"{id}\") {{ id }} }}");
    assert_eq!(world.refused(&again).await, (20, "Object not found [object=application]".into()));
}

#[tokio::test]
async fn applications_come_from_templates() {
    let world = world("applicationTemplates: [{ name: Mine, applicationType: own }]").await;
    let from = |template: &str, placeholder: &str| {
        format!(
            "mutation {{ result: registerApplicationFromTemplate(in: {{ templateName: \"{template}\" values: [ {{ placeholder: \"{placeholder}\" value: \"app1\" }} {{ placeholder: \"display-name\" value: \"App\" }} ] }}) {{ name labels(key: \"applicationType\") }} }}"
        )
    };
    assert_eq!(
        world.admin(&from("SAP Commerce Cloud", "name")).await,
        json!({"name": "app1", "labels": {"applicationType": "SAP Commerce Cloud"}})
    );
    let (code, message) = world.refused(&from("Mine", "x")).await;
    assert_eq!(code, 10);
    assert!(message.contains("required placeholder not provided"), "{message}");
    let expected = (20, "Object not found [object=applicationTemplate]".into());
    assert_eq!(world.refused(&from("None", "name")).await, expected);
}

#[tokio::test]
async fn one_time_tokens_have_every_form_and_suggestions_are_for_applications() {
    let world = world("{}").await;
    let system = world.register("registerIntegrationSystem", "{ name: \"suggestions\" }").await;
    let plain = world.register("registerApplication", "{ name: \"plain\" }").await;
    let legacy = world
        .register("registerApplication", "{ name: \"legacy\", labels: { legacy: true } }")
        .await;
    let managed = format!("{{ name: \"managed\", integrationSystemID: \"{system}\" }}");
    let managed = world.register("registerApplication", &managed).await;
    let request = |id: &str| {
        format!(
            "mutation {{ result: requestOneTimeTokenForApplication(id: \"{id}\") {{ token connectorURL raw rawEncoded legacyConnectorURL used usedAt type __typename }} }}"
        )
    };
    let real = |token: &Value| -> String {
        let raw: Value = serde_json::from_str(token["raw"].as_str().expect("text")).expect("JSON");
        let real = raw["token"].as_str().expect("a token").to_owned();
        let legacy_url = token["legacyConnectorURL"].as_str().expect("a URL");
        assert!(legacy_url.ends_with(&format!("/signingRequests/info?token={real}")));
        assert!(legacy_url.starts_with("https://adapter-gateway.example/"), "{legacy_url}");
        assert_eq!(token["rawEncoded"], STANDARD.encode(token["raw"].as_str().expect("text")));
        assert_eq!(
            (real.len(), &raw["type"], &raw["used"]),
            (88, &json!("Application"), &json!(false))
        );
        real
    };
    for (id, form) in [(&plain, "rawEncoded"), (&legacy, "legacyConnectorURL"), (&managed, "")] {
        let token = world.admin(&request(id)).await;
        assert_eq!(token["token"], real(&token));
        let mut asking = post("/director/graphql", &request(id));
        asking.headers_mut().insert("suggest_token", "true".parse().expect("a value"));
        asking.headers_mut().insert("Tenant", DEFAULT_TENANT.parse().expect("a value"));
        let proof = administrator();
        let token = world.send(asking, Proof::External(&proof)).await.data()["result"].clone();
        let expected = if form.is_empty() { json!(real(&token)) } else { token[form].clone() };
        assert_eq!(token["token"], expected);
        // A token of an application is good, and is shown by its system auth.
        world.configuration(Proof::Token(&real(&token))).await;
        let auths =
            format!("{{ result: application(id: \"{id}\") {{ auths {{ {} }} }} }}", system_auth());
        let auths = world.admin(&auths).await["auths"].clone();
        assert_eq!(auths.as_array().map(Vec::len), Some(2));
        assert_eq!(auths[1]["auth"]["oneTimeToken"]["__typename"], "OneTimeTokenForApplication");
    }
    let runtime = world.register("registerRuntime", "{ name: \"r\" }").await;
    let request = |arguments: &str| {
        format!(
            "mutation {{ result: requestOneTimeTokenForRuntime({arguments}) {{ token connectorURL raw rawEncoded type __typename }} }}"
        )
    };
    let token = world.admin(&request(&format!("id: \"{runtime}\""))).await;
    assert_eq!(token["__typename"], "OneTimeTokenForRuntime");
    let auths =
        format!("{{ result: runtime(id: \"{runtime}\") {{ auths {{ {} }} }} }}", system_auth());
    let auths = world.admin(&auths).await["auths"].clone();
    assert_eq!(auths[0]["auth"]["oneTimeToken"], Value::Null);
    // With a system auth, the token of that one is made anew.
    let auth = auths[0]["id"].as_str().expect("an id");
    let again = world.admin(&request(&format!("id: \"{runtime}\" systemAuthID: \"{auth}\""))).await;
    let old =
        world.connector(CONFIGURATION, Proof::Token(token["token"].as_str().expect("text"))).await;
    assert_eq!(old.status, 400);
    world.configuration(Proof::Token(again["token"].as_str().expect("text"))).await;
    let nobody = "aaaaaaaa-0000-4000-8000-00000000000f";
    assert_eq!(
        world.refused(&request(&format!("id: \"{nobody}\""))).await,
        (27, "The operation is not allowed [object=systemAuth; reason=The referenced entity does not exist]".into())
    );
    let unknown =
        format!("mutation {{ requestOneTimeTokenForApplication(id: \"{nobody}\") {{ token }} }}");
    assert_eq!(world.refused(&unknown).await, (20, "Object not found [object=application]".into()));
}

#[tokio::test]
async fn an_integration_system_registers_a_runtime_that_can_join_formations() {
    let world = world("{}").await;
    world.compass.landscape().set_token_endpoint("https://oauth2.example/oauth2/token");
    let system = world
        .register("registerIntegrationSystem", "{ name: \"runtime-integration-system\" }")
        .await;
    let credentials = world
        .admin(&format!(
            "mutation {{ result: requestClientCredentialsForIntegrationSystem(id: \"{system}\") {{ {} }} }}",
            system_auth()
        ))
        .await;
    let credential = &credentials["auth"]["credential"];
    assert_eq!(credential["clientId"], credentials["id"]);
    assert_eq!(credential["url"], "https://oauth2.example/oauth2/token");
    let client = credential["clientId"].as_str().expect("an id");
    let secret = credential["clientSecret"].as_str().expect("a secret");
    let (status, token) = world.bearer(client, secret, "runtime:write formation:write").await;
    assert_eq!(
        (status, &token["token_type"], &token["expires_in"]),
        (200, &json!("bearer"), &json!(3599))
    );
    let bearer = token["access_token"].as_str().expect("a token").to_owned();
    let register = format!(
        "mutation {{ result: registerRuntime(in: {{ name: \"test-runtime\" }}) {{ {} }} }}",
        runtime()
    );
    let seen = world.ask(&register, DEFAULT_TENANT, Proof::Bearer(&bearer)).await;
    assert_eq!(seen.subject.identity, Identity::Bearer { client_id: Some(client.into()) });
    let made = seen.data()["result"].clone();
    assert_eq!(
        made["labels"],
        json!({"isNormalized": "true", "region": "", "runtimeType": "kyma"})
    );
    // Webhooks need a scope that was not asked for, and are hidden without an error.
    assert_eq!(
        (&made["applicationNamespace"], &made["webhooks"]),
        (&json!("sap.kyma"), &Value::Null)
    );
    let runtime = made["id"].as_str().expect("an id").to_owned();
    let read = format!("{{ runtime(id: \"{runtime}\") {{ id }} }}");
    let seen = world.ask(&read, DEFAULT_TENANT, Proof::Bearer(&bearer)).await;
    assert_eq!(
        seen.message(),
        "insufficient scopes provided [actual=runtime:write;formation:write; required=runtime:read]"
    );
    // The system and its credentials go; the runtime stays.
    let delete = format!(
        "mutation {{ result: deleteSystemAuthForIntegrationSystem(authID: \"{client}\") {{ {} }} }}",
        system_auth()
    );
    assert_eq!(world.admin_in("", &delete).await.data()["result"]["id"], client);
    let seen = world.ask(&read, DEFAULT_TENANT, Proof::Bearer(&bearer)).await;
    assert_eq!((seen.status, seen.json()["error"]["code"].clone()), (401, json!(401)));
    let unregister =
        format!("mutation {{ result: unregisterIntegrationSystem(id: \"{system}\") {{ id }} }}");
    assert_eq!(world.admin_in("", &unregister).await.data()["result"]["id"], system);
    let (code, message) = world.refused(&unregister).await;
    assert_eq!(
        (code, message),
        (20, format!("Object not found [ID={system}; object=integrationSystem]"))
    );

    world.admin(&format!("mutation {{ result: createFormation(formation: {{ name: \"test-scenario\" }}) {{ {FORMATION} }} }}")).await;
    let input = "{ name: \"App.One\", labels: { applicationType: \"SAP Cloud for Customer\" } }";
    let application = world.register("registerApplication", input).await;
    world.admin(&assign("APPLICATION", &application, "test-scenario", "assign")).await;
    world.admin(&assign("RUNTIME", &runtime, "test-scenario", "assign")).await;
    let token = world
        .admin(&format!(
            "mutation {{ result: requestOneTimeTokenForRuntime(id: \"{runtime}\") {{ token }} }}"
        ))
        .await;
    let certificate = world.paired_with(token["token"].as_str().expect("a token")).await;
    let query = format!(
        "{{ result: applicationsForRuntime(runtimeID: \"{runtime}\", first: 4, after: \"\") {{ data {{ {} }} {PAGE} }} }}",
        self::application()
    );
    let listed = world.director_as(DEFAULT_TENANT, &query, &certificate).await.data();
    assert_eq!(listed["result"]["totalCount"], 1);
    assert_eq!(listed["result"]["data"][0]["name"], "mp-app-one");
    assert_eq!(listed["result"]["data"][0]["labels"]["scenarios"], json!(["test-scenario"]));
}

#[tokio::test]
async fn formations_take_and_let_go_whom_they_may() {
    let world = world("{}").await;
    let create = "mutation { result: createFormation(formation: { name: \"f\" }) { id name state status { condition errors { message } } } }";
    let made = world.admin(create).await;
    assert_eq!((&made["name"], &made["state"]), (&json!("f"), &json!("READY")));
    assert_eq!(made["status"], json!({"condition": "READY", "errors": null}));
    let formation = made["id"].as_str().expect("an id");
    assert_eq!(
        world.refused(create).await,
        (21, "Object is not unique [object=formations]".into())
    );
    let runtime = world.register("registerRuntime", "{ name: \"r\" }").await;
    let bare = world.register("registerApplication", "{ name: \"bare\" }").await;
    let odd = "{ name: \"odd\", labels: { applicationType: \"x\" } }";
    let odd = world.register("registerApplication", odd).await;
    let good = "{ name: \"good\", labels: { applicationType: \"SAP Commerce Cloud\" } }";
    let good = world.register("registerApplication", good).await;
    for (kind, id, name, code, message) in [
        ("RUNTIME", &runtime, "f", 20, "Object not found [object=runtimeLabel]"),
        ("APPLICATION", &bare, "f", 20, "Object not found [object=applicationLabel]"),
        ("APPLICATION", &good, "g", 20, "Object not found [object=formations]"),
        ("APPLICATION", &runtime, "f", 20, "Object not found [object=application]"),
        (
            "APPLICATION",
            &odd,
            "f",
            27,
            "The operation is not allowed [reason=unsupported applicationType \"x\" for formation template \"Side-by-Side Extensibility with Kyma\"]",
        ),
    ] {
        assert_eq!(world.refused(&assign(kind, id, name, "assign")).await, (code, message.into()));
    }
    for _ in 0..2 {
        world.admin(&assign("APPLICATION", &good, "f", "assign")).await;
    }
    let delete = "mutation { result: deleteFormation(formation: { name: \"f\" }) { name } }";
    let (code, message) = world.refused(delete).await;
    assert_eq!(code, 10);
    let reason =
        format!("cannot delete formation with ID \"{formation}\", because it is not empty");
    assert!(message.contains(&reason), "{message}");
    let unregister = format!("mutation {{ unregisterApplication(id: \"{good}\") {{ id }} }}");
    assert_eq!(
        world.refused(&unregister).await,
        (27, "The operation is not allowed [reason=System good is part of the following formations : f]".into())
    );
    for _ in 0..2 {
        world.admin(&assign("APPLICATION", &good, "f", "unassign")).await;
    }
    let labels =
        world.admin(&format!("{{ result: application(id: \"{good}\") {{ labels }} }}")).await;
    assert_eq!(labels["labels"].get("scenarios"), None);
    world.admin(delete).await;
    assert_eq!(world.refused(delete).await.0, 20);
}

#[tokio::test]
async fn a_runtime_that_goes_leaves_its_formation_empty() {
    let system = "integrationSystems: [{ name: e2e, clientId: aaaaaaaa-0000-4000-8000-0000000000aa, clientSecret: sesame }]";
    let world = world(system).await;
    let client = "aaaaaaaa-0000-4000-8000-0000000000aa";
    let scope = "application:read application:write formation:write runtime:read runtime:write";
    let (status, token) = world.bearer(client, "sesame", scope).await;
    assert_eq!((status, &token["scope"]), (200, &json!(scope)));
    let bearer = token["access_token"].as_str().expect("a token").to_owned();
    let send = async |operation: &str| {
        world.ask(operation, DEFAULT_TENANT, Proof::Bearer(&bearer)).await.data()["result"].clone()
    };
    let runtime =
        send("mutation { result: registerRuntime(in: { name: \"cratest\" }) { id } }").await;
    let runtime = runtime["id"].as_str().expect("an id").to_owned();
    send("mutation { result: createFormation(formation: { name: \"cratestabcde\" }) { id } }")
        .await;
    send(&assign("RUNTIME", &runtime, "cratestabcde", "assign")).await;
    send(&format!("mutation {{ result: unregisterRuntime(id: \"{runtime}\") {{ id }} }}")).await;
    send("mutation { result: deleteFormation(formation: { name: \"cratestabcde\" }) { name } }")
        .await;
}

#[tokio::test]
async fn tokens_are_for_clients_with_the_right_secret_and_scopes() {
    let world = world("integrationSystems: [{ name: e2e, clientId: aaaaaaaa-0000-4000-8000-0000000000aa, clientSecret: sesame }]").await;
    let client = "aaaaaaaa-0000-4000-8000-0000000000aa";
    let good = format!("{client}:sesame");
    for (basic, form, status, error) in [
        (&*good, "grant_type=password", 400, "unsupported_grant_type"),
        (&good, "", 400, "invalid_request"),
        (&good, "grant_type=client_credentials&scope=ory_internal", 400, "invalid_scope"),
        ("x:y", "grant_type=client_credentials", 401, "invalid_client"),
        ("nothing", "grant_type=client_credentials", 401, "invalid_client"),
    ] {
        let (seen, body) = world.token_request(basic, form).await;
        assert_eq!((seen, &body["error"]), (status, &json!(error)), "{form}");
    }
    let seen = world.ask("{ __typename }", DEFAULT_TENANT, Proof::Bearer("x")).await;
    assert_eq!((seen.status, seen.subject.identity), (401, Identity::Bearer { client_id: None }));
    assert!(!format!("{:?}", world.compass).contains("sesame"));
}

#[tokio::test]
async fn the_tenant_header_of_an_administrator_selects_the_tenant() {
    let world = world("tenants: [second]").await;
    let register = "mutation { result: registerRuntime(in: { name: \"r\" }) { id } }";
    let made = world.admin_in("second", register).await.data();
    let query = format!("{{ result: runtime(id: {}) {{ id }} }}", made["result"]["id"]);
    assert_eq!(world.admin_in("second", &query).await.data(), made);
    assert_eq!(world.admin(&query).await, Value::Null);
    let seen = world.admin_in("nowhere", &query).await;
    assert_eq!(
        (seen.status, seen.message()),
        (400, "Tenant not found [externalTenant=nowhere]".into())
    );
    let seen = world.admin_in("", &query).await;
    assert_eq!((seen.status, seen.message()), (200, "Tenant is required".into()));
    let seen = world.admin_seen("{ runtimes { totalCount } applications { totalCount } }").await;
    assert_eq!(seen.data()["runtimes"]["totalCount"], 1);
}

#[tokio::test]
async fn other_external_certificates_are_nobody() {
    let world = world("administrators: [\"C=DE, O=SAP SE, OU=Region, OU=SAP Cloud Platform Clients, OU=mine, CN=x\"]").await;
    let query = "{ runtimes { totalCount } }";
    let mut other = administrator();
    for (subject, admitted) in [
        (
            vec![
                "C=DE",
                "O=SAP SE",
                "OU=SAP Cloud Platform Clients",
                "OU=mine",
                "OU=Region",
                "CN=x",
            ],
            true,
        ),
        (
            vec![
                "C=DE",
                "O=SAP SE",
                "OU=SAP Cloud Platform Clients",
                "OU=yours",
                "OU=Region",
                "CN=x",
            ],
            false,
        ),
        (
            vec!["C=DE", "O=Org", "OU=SAP Cloud Platform Clients", "OU=mine", "OU=Region", "CN=x"],
            false,
        ),
    ] {
        other.subject = subject.into_iter().map(String::from).collect();
        let seen = world.ask(query, DEFAULT_TENANT, Proof::External(&other)).await;
        let error = seen.json()["errors"][0]["extensions"]["error_code"].clone();
        assert_eq!((seen.status, error), (200, if admitted { Value::Null } else { json!(23) }));
    }
}

#[tokio::test]
async fn administrators_and_updates_have_their_effect_on_the_status() {
    let world = world("{}").await;
    let condition = async || {
        let id = world.compass.landscape().runtime_id();
        let query = format!("{{ result: runtime(id: \"{id}\") {{ status {{ condition }} }} }}");
        world.admin(&query).await["status"]["condition"].clone()
    };
    assert_eq!(condition().await, "INITIAL");
    assert_eq!(condition().await, "INITIAL");
    let certificate = world.paired().await;
    assert_eq!(condition().await, "INITIAL");
    world.director("{ __typename }", &certificate).await.data();
    assert_eq!(condition().await, "CONNECTED");
}

#[tokio::test]
async fn hydrators_resolve_tokens_once_and_certificates_by_their_subject() {
    let world = world("{}").await;
    let token = world.token();
    let resolve = async |path: &str, header: (&str, &str), body: &str| {
        let request = reqwest::Client::new()
            .post(format!("{}/hydrators/v1/{path}/resolve", world.compass.url()))
            .header(header.0, header.1)
            .header("X-Authorization", "Bearer x")
            .body(body.to_owned());
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json::<Value>().await.expect("JSON"))
    };
    let empty = "{\"subject\":\"\",\"extra\":null,\"header\":null}";
    let unchanged = json!({"subject": "", "extra": null, "header": null});
    let (_, seen) = resolve("tokens", ("Connector-Token", &token), empty).await;
    let client = seen["header"]["Client-Id-From-Token"][0].as_str().expect("an id").to_owned();
    assert_eq!(
        resolve("tokens", ("Connector-Token", &token), empty).await,
        (200, unchanged.clone())
    );
    assert_eq!(resolve("tokens", ("X", "y"), empty).await, (200, unchanged.clone()));
    let hash = "df6ab69b34100a1808ddc6211010fa289518f14606d0c8eaa03a0f53ecba578a";
    let subject = format!("O=Org,OU=OrgUnit,L=locality,ST=province,C=DE,CN={client}");
    let data = |subject: &str| format!("By=spiffe://x;Hash={hash};Subject=\"{subject}\";URI=");
    let (_, seen) = resolve("certificate/data", ("Certificate-Data", &data(&subject)), empty).await;
    assert_eq!(
        seen,
        json!({"subject": "", "extra": {}, "header": {
            "Client-Id-From-Certificate": [client],
            "Client-Certificate-Hash": [hash],
            "Subject-From-Certificate": [subject],
            "Client-Certificate-Issuer": ["connector"],
        }})
    );
    let other = data("O=Other,OU=OrgUnit,L=locality,ST=province,C=DE,CN=x");
    for header in [("Certificate-Data", &*other), ("Certificate-Data", "Hash=aa"), ("X", "y")] {
        assert_eq!(resolve("certificate/data", header, empty).await, (200, unchanged.clone()));
    }
    let (status, seen) = resolve("tokens", ("X", "y"), "hello").await;
    assert_eq!(status, 400);
    let message = seen["errors"][0]["message"].as_str().expect("a message");
    assert!(
        message.starts_with("failed to decode Authentication Session from body: "),
        "{message}"
    );
}
