//! GET `/api/openapi.json`: what the API can be asked, for programs that make clients of it. It is made from the table
//! that the router is made from.

use serde_json::{Map, Value, json};

use super::answer::{Answer, json as answer};
use super::caller::Caller;
use super::routes::{self, Operation, Route};
use super::schemas;

/// GET `/api/openapi.json`.
pub(super) async fn document(_caller: Caller) -> Answer {
    answer(&whole())
}

fn whole() -> Value {
    let path = |route: &Route| (route.path.to_owned(), operations(route));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "The management API of Lepus",
            "description": "RabbitMQ's paths, JSON and status codes. Names in a path are percent-encoded: the virtual \
                            host / is %2F.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0" },
        },
        "servers": [{ "url": "/api" }],
        "security": [{ "basic": [] }, { "token": [] }],
        "paths": routes::all().map(path).collect::<Map<_, _>>(),
        "components": {
            "securitySchemes": {
                "basic": { "type": "http", "scheme": "basic" },
                "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            },
            "schemas": schemas::all(),
            "responses": { "Refused": {
                "description": "Nothing has changed; the reason says why",
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Refusal" } } },
            } },
        },
    })
}

fn operations(route: &Route) -> Value {
    let mut item: Map<String, Value> = route
        .operations
        .iter()
        .map(|operation| (operation.method.to_owned(), view(route, operation)))
        .collect();
    let named: Vec<Value> = variables(route.path).map(in_path).collect();
    if !named.is_empty() {
        item.insert("parameters".to_owned(), named.into());
    }
    Value::Object(item)
}

/// The names between braces.
fn variables(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

fn in_path(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
}

fn view(route: &Route, operation: &Operation) -> Value {
    let group = route.path.split('/').nth(1).unwrap_or_default();
    let mut view = json!({
        "operationId": id(route.path, operation.method),
        "summary": operation.summary,
        "tags": [group],
        "responses": responses(route.path, operation),
    });
    let Some(fields) = view.as_object_mut() else { return view };
    if operation.is_list {
        fields.insert("parameters".to_owned(), list_parameters());
    }
    if matches!(operation.method, "put" | "post") {
        let content = json!({ "application/json": { "schema": { "type": "object" } } });
        fields.insert("requestBody".to_owned(), json!({ "content": content }));
    }
    view
}

/// `get_queues_vhost_queue`.
fn id(path: &str, method: &str) -> String {
    let words = path.split(['/', '{', '}', '-', '.', '_']).filter(|word| !word.is_empty());
    [method].into_iter().chain(words).collect::<Vec<_>>().join("_")
}

fn responses(path: &str, operation: &Operation) -> Value {
    let with = |description: &str, schema: Value| {
        let content = json!({ "application/json": { "schema": schema } });
        json!({ "description": description, "content": content })
    };
    let mut responses = Map::new();
    match operation.method {
        "get" if operation.is_list => {
            let any = || json!({ "type": ["array", "object"], "items": { "type": "object" } });
            let list = schemas::answer(path, true).unwrap_or_else(any);
            responses.insert("200".to_owned(), with("The list, or a page of it", list));
        }
        "get" => {
            responses.insert(
                "200".to_owned(),
                with("The document", schemas::answer(path, false).unwrap_or_else(|| json!({}))),
            );
        }
        "post" => {
            responses.insert("2XX".to_owned(), json!({ "description": "Done" }));
        }
        "put" => {
            responses.insert("201".to_owned(), json!({ "description": "It is new" }));
            responses.insert("204".to_owned(), json!({ "description": "It was there" }));
        }
        _ => {
            responses.insert("204".to_owned(), json!({ "description": "Done" }));
        }
    }
    responses.insert("default".to_owned(), json!({ "$ref": "#/components/responses/Refused" }));
    Value::Object(responses)
}

fn list_parameters() -> Value {
    let parameters = [
        ("page", "integer", "Which page, from 1; without it, everything"),
        ("page_size", "integer", "Items of a page, 500 at most"),
        ("name", "string", "Only what has this in its name"),
        ("use_regex", "boolean", "The name is a regular expression"),
        ("sort", "string", "By this field, such as message_stats.publish_details.rate"),
        ("sort_reverse", "boolean", "The other way round"),
        ("columns", "string", "Only these fields, with commas between them"),
    ];
    let view = |(name, kind, description): (&str, &str, &str)| {
        let schema = json!({ "type": kind });
        json!({ "name": name, "in": "query", "description": description, "schema": schema })
    };
    parameters.into_iter().map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_in_the_document_with_what_varies_in_it() {
        let document = whole();
        let mut count = 0;
        for route in routes::all() {
            let item = &document["paths"][route.path];
            for operation in route.operations {
                assert_eq!(item[operation.method]["summary"], operation.summary, "{}", route.path);
                count += 1;
            }
            let named: Vec<&str> = item["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            assert_eq!(named, variables(route.path).collect::<Vec<_>>(), "{}", route.path);
        }
        assert!(count > 100, "{count}");
    }

    #[test]
    fn no_two_operations_have_the_same_id() {
        let mut seen = BTreeSet::new();
        for route in routes::all() {
            for operation in route.operations {
                assert!(seen.insert(id(route.path, operation.method)), "{}", route.path);
            }
        }
    }
}
