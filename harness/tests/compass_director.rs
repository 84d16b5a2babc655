//! What the Director answers.

use compass_harness::compass::{Application, Applications, DEFAULT_TENANT};
use compass_harness::journal::{Event, LandscapeEvent};
use serde_json::{Value, json};

use crate::compass_world::*;

/// What agents send, word for word but for the ids.
const AGENTS_QUERY: &str = include_str!("../../fixtures/compass/agents-query.graphql");

const SHOP: &str = r#"
runtimes: [{ name: first, description: mine, labels: { region: eu } }, { name: second, tenant: other }, { name: lonely, formations: [] }, { name: third, formations: [test] }]
applications:
  - name: orders
    description: All orders
    providerName: ACME
    labels: { team: [a, b] }
    auths: [aaaaaaaa-0000-4000-8000-000000000001]
    apis:
      - { name: orders-v1, url: "https://orders.example/v1", description: first, group: main, version: { value: 1.0.0, deprecated: true, deprecatedSince: v5, forRemoval: false } }
      - { name: orders-v2, url: "https://orders.example/v2" }
    events: [{ name: order-created, version: { value: 2.0.0 } }]
    credentials: { basic: { username: shop, password: wonderland }, csrf: { tokenEndpointUrl: "https://orders.example/token" } }
    headers: { X-Shop: [a, b] }
    queryParameters: { page: ["1"] }
    bundles:
      - { name: oauth, instanceAuthRequestInputSchema: "{}", credentials: { oauth: { clientId: id, clientSecret: sesame-open, url: "https://oauth.example" } } }
      - { name: certificate, credentials: { certificateOauth: { clientId: id, certificate: PEM, url: "https://oauth.example" } } }
  - { name: elsewhere, formations: [test] }
"#;

fn for_runtime(id: impl std::fmt::Display, arguments: &str, selection: &str) -> String {
    format!("{{ applicationsForRuntime(runtimeID: \"{id}\"{arguments}) {{ {selection} }} }}")
}

#[tokio::test]
async fn the_query_of_agents_is_answered_whole() {
    let world = world(SHOP).await;
    let certificate = world.paired().await;
    let runtime = world.compass.landscape().runtime_id().to_string();
    let query = AGENTS_QUERY.replace("RUNTIME_ID", &runtime);
    let seen = world.director_as(DEFAULT_TENANT, &query, &certificate).await;
    assert_eq!(seen.subject.operations, ["runtime", "applicationsForRuntime"]);
    let data = seen.data();
    assert_eq!(
        data["runtime"],
        json!({"labels": {"isNormalized": "true", "region": "eu", "scenarios": ["default"]}})
    );
    let mut page = data["applicationsForRuntime"].clone();
    let only_page = json!({"startCursor": "", "endCursor": "", "hasNextPage": false});
    assert_eq!(page["pageInfo"], only_page);
    assert_eq!(page["totalCount"], 1);
    let mut application = page["data"][0].take();
    let mut bundles = application["bundles"].take();
    uuid::Uuid::parse_str(application["id"].as_str().expect("an id")).expect("a UUID");
    application["id"] = Value::Null;
    assert_eq!(
        application,
        json!({
            "id": null, "name": "mp-orders", "providerName": "ACME", "description": "All orders",
            "labels": {"managed": "false", "name": "mp-orders", "scenarios": ["default"], "team": ["a", "b"]},
            "auths": [{"id": "aaaaaaaa-0000-4000-8000-000000000001"}], "bundles": null,
        })
    );
    assert_eq!((&bundles["pageInfo"], &bundles["totalCount"]), (&only_page, &json!(3)));
    let bundles = bundles["data"].as_array_mut().expect("a list");
    let ids = |list: &mut Value| {
        for one in list["data"].as_array_mut().expect("a list") {
            uuid::Uuid::parse_str(one["id"].take().as_str().expect("an id")).expect("a UUID");
        }
    };
    for bundle in &mut *bundles {
        uuid::Uuid::parse_str(bundle["id"].take().as_str().expect("an id")).expect("a UUID");
        ids(&mut bundle["apiDefinitions"]);
        ids(&mut bundle["eventDefinitions"]);
    }
    assert_eq!(
        bundles[0],
        json!({
            "id": null, "name": "orders", "description": null, "instanceAuthRequestInputSchema": null,
            "apiDefinitions": {
                "data": [
                    {"id": null, "name": "orders-v1", "description": "first", "targetURL": "https://orders.example/v1", "group": "main",
                     "version": {"value": "1.0.0", "deprecated": true, "deprecatedSince": "v5", "forRemoval": false}},
                    {"id": null, "name": "orders-v2", "description": null, "targetURL": "https://orders.example/v2", "group": null, "version": null},
                ],
                "pageInfo": only_page, "totalCount": 2,
            },
            "eventDefinitions": {
                "data": [{"id": null, "name": "order-created", "description": null, "group": null,
                    "version": {"value": "2.0.0", "deprecated": null, "deprecatedSince": null, "forRemoval": null}}],
                "pageInfo": only_page, "totalCount": 1,
            },
            "defaultInstanceAuth": {
                "credential": {"username": "shop", "password": "wonderland"},
                "additionalHeaders": {"X-Shop": ["a", "b"]},
                "additionalQueryParams": {"page": ["1"]},
                "requestAuth": {"csrf": {"tokenEndpointURL": "https://orders.example/token"}},
            },
        })
    );
    let auth = |credential: Value| json!({"credential": credential, "additionalHeaders": null, "additionalQueryParams": null, "requestAuth": null});
    assert_eq!(
        bundles[1]["defaultInstanceAuth"],
        auth(
            json!({"clientId": "id", "clientSecret": "sesame-open", "url": "https://oauth.example"})
        )
    );
    assert_eq!(bundles[1]["instanceAuthRequestInputSchema"], "{}");
    // Agents do not select what such a credential has, so an empty object is left.
    assert_eq!(bundles[2]["defaultInstanceAuth"], auth(json!({})));
}

#[tokio::test]
async fn a_second_query_sees_that_bundles_are_used() {
    let world = world("{}").await;
    let certificate = world.paired().await;
    let runtime = world.compass.landscape().runtime_id();
    let query = format!("{{ runtime(id: \"{runtime}\") {{ labels(key: \"useBundles\") }} }}");
    let labels =
        async || world.director(&query, &certificate).await.data()["runtime"]["labels"].clone();
    // The key in this query is no mention of bundles in the Director's sense, but contains the word.
    assert_eq!(labels().await, json!({}));
    assert_eq!(labels().await, json!({"useBundles": "true"}));
}

#[tokio::test]
async fn pages_follow_the_real_cursor() {
    let world = world("applications: { generate: 450, name: \"shop-{n}\" }").await;
    let certificate = world.paired().await;
    let runtime = world.compass.landscape().runtime_id();
    let selection = "data { id } pageInfo { startCursor endCursor hasNextPage } totalCount";
    let page = async |arguments: &str| {
        let query = for_runtime(runtime, arguments, selection);
        world.director(&query, &certificate).await.data()["applicationsForRuntime"].clone()
    };
    let mut ids = Vec::new();
    let mut after = String::new();
    for (expected, more) in [(200, true), (200, true), (50, false)] {
        let page = page(&format!(", after: \"{after}\"")).await;
        let data = page["data"].as_array().expect("a list");
        assert_eq!((data.len(), &page["totalCount"]), (expected, &json!(450)));
        assert_eq!(page["pageInfo"]["startCursor"], json!(after));
        assert_eq!(page["pageInfo"]["hasNextPage"], json!(more));
        ids.extend(data.iter().map(|one| one["id"].as_str().expect("an id").to_owned()));
        after = page["pageInfo"]["endCursor"].as_str().expect("a cursor").into();
    }
    assert_eq!(after, "");
    assert!(ids.is_sorted() && ids.len() == 450);
    ids.dedup();
    assert_eq!(ids.len(), 450);
    // `RHBLdEo0ajlqRHEyMDA=` is `DpKtJ4j9jDq200`.
    assert_eq!(page("").await["pageInfo"]["endCursor"], "RHBLdEo0ajlqRHEyMDA=");
    assert_eq!(page(", first: 100000").await["data"].as_array().map(Vec::len), Some(450));
    for (arguments, message) in [
        (", first: null", "Invalid data [reason=missing required parameter 'first']"),
        (", first: 0", "Invalid data [reason=page size cannot be smaller than 1]"),
        (", first: -1", "Invalid data [reason=page size cannot be smaller than 1]"),
    ] {
        let query = for_runtime(runtime, arguments, "totalCount");
        assert_eq!(world.director(&query, &certificate).await.message(), message);
    }
    let query = for_runtime(runtime, ", after: \"%\"", "totalCount");
    assert!(world.director(&query, &certificate).await.message().contains("cursor is not correct"));
    let query = for_runtime(runtime, ", first: 1", "data { bundles(first: 201) { totalCount } }");
    let seen = world.director(&query, &certificate).await;
    assert_eq!(seen.message(), "Invalid data [reason=page size must be between 1 and 200]");
    assert_eq!(seen.first_error()["path"], json!(["applicationsForRuntime", "data", 0, "bundles"]));
    assert_eq!(seen.json()["data"]["applicationsForRuntime"]["data"], json!([{"bundles": null}]));
}

#[tokio::test]
async fn a_runtime_sees_what_shares_a_formation_with_it_in_its_tenant() {
    let world = world(SHOP).await;
    let certificate = world.paired().await;
    let ids = world.compass.landscape().runtime_ids();
    let mut seen = Vec::new();
    for id in ids {
        let query = for_runtime(id, "", "data { name } totalCount pageInfo { hasNextPage }");
        let answer = world.director(&query, &certificate).await.json();
        seen.push(answer["data"]["applicationsForRuntime"]["data"].to_string());
    }
    seen.sort();
    // Another tenant's runtime does not exist, and data is null then.
    assert_eq!(seen, ["[]", "[{\"name\":\"mp-elsewhere\"}]", "[{\"name\":\"mp-orders\"}]", "null"]);
}

#[tokio::test]
async fn one_application_can_be_read_with_its_own_name() {
    let world = world(SHOP).await;
    let certificate = world.paired().await;
    let landscape = world.compass.landscape();
    let list = for_runtime(landscape.runtime_id(), "", "data { id }");
    let id = world.director(&list, &certificate).await.data()["applicationsForRuntime"]["data"][0]
        ["id"]
        .clone();
    landscape
        .set_runtime_label(
            landscape.runtime_id(),
            "runtime_eventServiceUrl",
            json!("https://gateway.kyma.local/x"),
        )
        .expect("set");
    let query = format!(
        "{{ application(id: {id}) {{ name baseUrl status {{ condition }} eventingConfiguration {{ defaultURL }} webhooks {{ id }} auths {{ id auth {{ certCommonName }} }} labels(key: \"team\") deletedAt operations {{ id }} }} }}"
    );
    assert_eq!(
        world.director(&query, &certificate).await.data()["application"],
        json!({
            "name": "orders", "baseUrl": "https://orders.example", "status": {"condition": "INITIAL"},
            "eventingConfiguration": {"defaultURL": "https://gateway.kyma.local/mp-orders/v1/events"},
            "webhooks": null, "auths": [{"id": "aaaaaaaa-0000-4000-8000-000000000001", "auth": null}],
            "labels": {"team": ["a", "b"]}, "deletedAt": null, "operations": [],
        })
    );
    let elsewhere = uuid::Uuid::new_v5(&uuid::Uuid::nil(), b"nothing");
    let query = format!("{{ application(id: \"{elsewhere}\") {{ name }} }}");
    assert_eq!(world.director(&query, &certificate).await.data(), json!({"application": null}));
}

#[tokio::test]
async fn using_the_director_connects_a_runtime() {
    let world = world("{}").await;
    let certificate = world.paired().await;
    let runtime = world.compass.landscape().runtime_id();
    let query = format!(
        "{{ runtime(id: \"{runtime}\") {{ name description status {{ condition timestamp }} metadata {{ creationTimestamp }} eventingConfiguration {{ defaultURL }} webhooks {{ id }} runtimeContexts {{ totalCount }} }} }}"
    );
    let data = world.director(&query, &certificate).await.data();
    let runtime = &data["runtime"];
    assert_eq!(runtime["status"]["condition"], "CONNECTED");
    let since = runtime["status"]["timestamp"].as_str().expect("a time");
    assert!(since.ends_with('Z') && since.len() == 20, "{since}");
    assert_eq!(runtime["eventingConfiguration"], json!({"defaultURL": ""}));
    assert_eq!(
        (&runtime["webhooks"], &runtime["runtimeContexts"]),
        (&json!([]), &json!({"totalCount": 0}))
    );
    assert_eq!((&runtime["name"], &runtime["description"]), (&json!("runtime"), &Value::Null));
}

#[tokio::test]
async fn labels_are_set_returned_and_journaled() {
    let world = world("{}").await;
    let certificate = world.paired().await;
    let runtime = world.compass.landscape().runtime_id();
    let set = format!(
        "mutation {{ setRuntimeLabel(runtimeID: \"{runtime}\", key: \"runtime_consoleUrl\", value: \"https://console\") {{ key value }} }}"
    );
    let label = json!({"key": "runtime_consoleUrl", "value": "https://console"});
    assert_eq!(world.director(&set, &certificate).await.data(), json!({"setRuntimeLabel": label}));
    let journal = world.journal.snapshot();
    assert!(journal.iter().any(|entry| matches!(&entry.event, Event::Landscape(LandscapeEvent::RuntimeLabel { key, value }) if key == "runtime_consoleUrl" && value == "https://console")));
    let delete = format!(
        "mutation {{ deleteRuntimeLabel(runtimeID: \"{runtime}\", key: \"runtime_consoleUrl\") {{ key value }} }}"
    );
    assert_eq!(
        world.director(&delete, &certificate).await.data(),
        json!({"deleteRuntimeLabel": label})
    );
    let seen = world.director(&delete, &certificate).await;
    assert_eq!(seen.message(), "Object not found [object=runtimeLabel]");
    assert_eq!(seen.json()["data"], Value::Null);
    let object = format!(
        "mutation {{ setRuntimeLabel(runtimeID: \"{runtime}\", key: \"any\", value: {{ a: [1, true, null] }}) {{ value }} }}"
    );
    assert_eq!(
        world.director(&object, &certificate).await.data()["setRuntimeLabel"]["value"],
        json!({"a": [1, true, null]})
    );
}

#[tokio::test]
async fn each_wrong_label_has_its_refusal() {
    let world = world("{}").await;
    let certificate = world.paired().await;
    let runtime = world.compass.landscape().runtime_id().to_string();
    let unknown = "11111111-1111-4111-8111-111111111111";
    let long = "k".repeat(257);
    for (runtime, key, value, code, message) in [
        (&*runtime, "a-b", "\"x\"", 22, "Invalid data LabelInput [key=must be in a valid format]"),
        (
            &*runtime,
            "",
            "\"\"",
            22,
            "Invalid data LabelInput [key=cannot be blank; value=cannot be blank]",
        ),
        (
            &*runtime,
            &*long,
            "\"x\"",
            22,
            "Invalid data LabelInput [key=the length must be no more than 256]",
        ),
        (&*runtime, "a", "\"\"", 22, "Invalid data LabelInput [value=cannot be blank]"),
        (
            &*runtime,
            "x_defaultEventing",
            "\"x\"",
            22,
            "Invalid data [reason=could not set unmodifiable label with key x_defaultEventing]",
        ),
        (
            &*runtime,
            "runtimeType",
            "\"x\"",
            22,
            "Invalid data [reason=could not set unmodifiable label with key runtimeType]",
        ),
        (
            &*runtime,
            "scenarios",
            "[\"x\"]",
            10,
            "label with key scenarios cannot be set explicitly",
        ),
        (
            unknown,
            "a",
            "\"x\"",
            10,
            "reason: Runtime with ID 11111111-1111-4111-8111-111111111111 doesn't exist",
        ),
    ] {
        let query = format!(
            "mutation {{ setRuntimeLabel(runtimeID: \"{runtime}\", key: \"{key}\", value: {value}) {{ key }} }}"
        );
        let seen = world.director(&query, &certificate).await;
        assert!(
            seen.message().contains(message),
            "expected {message}, observed {}",
            seen.message()
        );
        assert_eq!(seen.first_error()["extensions"]["error_code"], code);
    }
}

#[tokio::test]
async fn mistakes_in_a_document_read_as_internal_errors() {
    let world = world("{}").await;
    let certificate = world.paired().await;
    for query in ["{", "{ unknown }"] {
        let seen = world.director(query, &certificate).await;
        assert_eq!(
            (seen.status, &seen.first_error()["extensions"]),
            (422, &json!({"error_code": 10, "error": "InternalError"}))
        );
        assert!(
            seen.message().starts_with("Internal Server Error [errorID="),
            "{}",
            seen.message()
        );
    }
}

#[tokio::test]
async fn changes_of_the_landscape_are_seen_at_once_and_journaled() {
    let world = world("applications: [{ name: orders }, { name: billing }]").await;
    let certificate = world.paired().await;
    let landscape = world.compass.landscape();
    let query = for_runtime(landscape.runtime_id(), "", "data { id name description }");
    let listed = async || {
        let data = world.director(&query, &certificate).await.data();
        let list = data["applicationsForRuntime"]["data"].as_array().expect("a list").clone();
        let mut list = Vec::from_iter(list.into_iter().map(|one| {
            (
                one["name"].as_str().expect("a name").to_owned(),
                one["id"].clone(),
                one["description"].clone(),
            )
        }));
        list.sort_by(|a, b| a.0.cmp(&b.0));
        list
    };
    let before = listed().await;
    landscape.rename_application("orders", "Purchases").expect("renamed");
    let after = listed().await;
    assert_eq!(after[1].0, "mp-purchases");
    assert_eq!(after[1].1, before[1].1, "a renamed application keeps its id");
    let described =
        Application { description: Some("new".into()), ..Application::named("Purchases") };
    landscape.change_application(&described).expect("changed");
    assert_eq!(listed().await[1].2, "new");
    // Two applications with one name are possible, and so is the name of one that was renamed.
    landscape
        .add_applications(&Applications::from(vec![
            Application::named("billing"),
            Application::named("orders"),
        ]))
        .expect("added");
    let names = Vec::from_iter(listed().await.into_iter().map(|one| one.0));
    assert_eq!(names, ["mp-billing", "mp-billing", "mp-orders", "mp-purchases"]);
    landscape.remove_applications(&["orders".into(), "Purchases".into()]).expect("removed");
    assert_eq!(listed().await.len(), 2);
    landscape.remove_applications(&["orders".into()]).expect_err("it is gone");
    let journal = world.journal.snapshot();
    let told = Vec::from_iter(journal.iter().filter_map(|entry| match &entry.event {
        Event::Landscape(LandscapeEvent::Applications { names }) => Some(names.len()),
        _ => None,
    }));
    assert_eq!(told, [2, 2, 4, 2]);
}

#[tokio::test]
async fn ten_thousand_applications_are_one_answer() {
    let world = world(include_str!("../../fixtures/landscapes/ten-thousand.yaml")).await;
    let certificate = world.paired().await;
    let runtime = world.compass.landscape().runtime_id();
    let query =
        for_runtime(runtime, ", first: 10000", "data { id bundles { data { id } } } totalCount");
    let page = world.director(&query, &certificate).await.data()["applicationsForRuntime"].take();
    assert_eq!(page["totalCount"], 10000);
    let ids = page["data"].as_array().expect("a list").iter().map(|one| one["id"].as_str());
    assert!(ids.is_sorted() && page["data"].as_array().map(Vec::len) == Some(10000));
}

#[tokio::test]
async fn the_landscapes_that_come_along_can_be_started() {
    let shop = world(include_str!("../../fixtures/landscapes/shop.yaml")).await;
    let mut names = shop.compass.landscape().listed_names();
    names.sort();
    assert_eq!(names, ["mp-billing", "mp-orders", "mp-stock"]);
}
