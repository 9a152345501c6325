//! The OpenAPI document and the answers: what one says of the other holds, field by field.

use serde_json::{Value, json};

use crate::http::Broker;
use crate::support::{bind, bind_exchange, consume, declare, publish};

/// A broker with one of everything that is described.
async fn prepared() -> Broker {
    let broker = Broker::start().await;
    for (path, body) in [
        ("/exchanges/%2F/e", r#"{"type":"topic"}"#),
        ("/users/u", r#"{"password_hash":"","tags":""}"#),
        ("/policies/%2F/p", r#"{"pattern":"^q","definition":{"max-length":5}}"#),
        ("/operator-policies/%2F/o", r#"{"pattern":"^q","definition":{"max-length":5}}"#),
        ("/topic-permissions/%2F/guest", r#"{"exchange":"e","write":".*","read":".*"}"#),
        ("/vhost-limits/%2F/max-queues", r#"{"value":100}"#),
        ("/user-limits/guest/max-channels", r#"{"value":100}"#),
    ] {
        assert!(broker.put(path, body).await.status < 300, "{path}");
    }
    broker
}

/// Where a value differs from its schema; only what the document uses is understood.
fn differs(document: &Value, schema: &Value, value: &Value, place: &str) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        return differs(document, schema, value, place);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let faults: Vec<_> = choices.iter().map(|choice| differs(document, choice, value, place)).collect();
        return if faults.contains(&None) { None } else { faults.into_iter().next()? };
    }
    if !of_type(&schema["type"], value) {
        return Some(format!("{place}: {value} is not {}", schema["type"]));
    }
    if let Value::Array(items) = value {
        let of = |(at, item)| differs(document, &schema["items"], item, &format!("{place}[{at}]"));
        return items.iter().enumerate().find_map(of).filter(|_| schema.get("items").is_some());
    }
    let properties = schema["properties"].as_object()?;
    let fields = value.as_object().unwrap();
    let missing = schema["required"]
        .as_array()
        .unwrap()
        .iter()
        .find(|name| !fields.contains_key(name.as_str().unwrap()));
    if let Some(missing) = missing {
        return Some(format!("{place} has no {missing}"));
    }
    fields.iter().find_map(|(name, value)| match properties.get(name) {
        None => Some(format!("{place}.{name} is not described")),
        Some(schema) => differs(document, schema, value, &format!("{place}.{name}")),
    })
}

fn of_type(named: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("the test knows no type {unknown}"),
    };
    match named.as_array() {
        Some(names) => names.iter().any(is),
        None => named.is_null() || is(named),
    }
}

#[tokio::test]
async fn answers_have_the_fields_that_the_document_says_and_no_others() {
    let broker = prepared().await;
    let mut peer = broker.channel().await;
    peer.call(1, declare("q").flag("durable")).await;
    peer.call(1, declare("own").flag("exclusive")).await;
    peer.call(1, bind("q", "e", "k")).await;
    peer.call(1, bind_exchange("e", "amq.topic", "k")).await;
    peer.call(1, consume("q", "c")).await;
    peer.publish(1, publish("", "q", "m")).await;
    peer.expect_delivery(1, "m").await;
    let connection = broker.json("/connections").await[0]["name"].as_str().unwrap().to_owned();
    let connection = connection.replace(' ', "%20").replace('>', "%3E");
    let named = |name: &str| match name {
        "{vhost}" => "%2F".to_owned(),
        "{queue}" => "q".to_owned(),
        "{exchange}" => "e".to_owned(),
        "{user}" => "guest".to_owned(),
        "{node}" => "NODE".to_owned(),
        "{connection}" => connection.clone(),
        "{channel}" => format!("{connection}%20(1)"),
        fixed => fixed.to_owned(),
    };
    let node = broker.json("/nodes").await[0]["name"].as_str().unwrap().to_owned();
    let document = broker.json("/openapi.json").await;
    let (mut seen, mut faults) = (0, Vec::new());
    for (path, item) in document["paths"].as_object().unwrap() {
        let schema = &item["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        let is_described = schema.get("$ref").is_some() || schema.get("oneOf").is_some();
        let asked = path.split('/').map(named).collect::<Vec<_>>().join("/").replace("NODE", &node);
        let asked = match path.as_str() {
            "/policies/{vhost}/{name}" => "/policies/%2F/p".to_owned(),
            "/operator-policies/{vhost}/{name}" => "/operator-policies/%2F/o".to_owned(),
            _ => asked,
        };
        if is_described {
            let answer = broker.json(&asked).await;
            assert_ne!(answer, json!([]), "{path}: nothing to compare");
            faults.extend(differs(&document, schema, &answer, path));
            seen += 1;
        }
    }
    assert_eq!(faults, [""; 0], "answers that differ from what is said of them");
    assert!(seen > 45, "{seen}");
    let schema =
        &document["paths"]["/queues"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    let page = broker.json("/queues?page=1&page_size=1").await;
    assert_eq!(differs(&document, schema, &page["items"], "page"), None);
    let refusal = broker.get("/queues/%2F/none").await.json();
    assert_eq!(
        differs(&document, &json!({"$ref": "#/components/schemas/Refusal"}), &refusal, "refusal"),
        None
    );
}

/// The comparison can fail.
#[test]
fn a_difference_is_seen() {
    let properties = json!({"a": {"type": ["string", "null"]}});
    let document = json!({"x": {"type": "object", "required": ["a"], "properties": properties}});
    let fault = |value: Value| differs(&document, &json!({"$ref": "#/x"}), &value, "v");
    assert_eq!(fault(json!({"a": null})), None);
    assert!(fault(json!({})).unwrap().contains("has no"));
    assert!(fault(json!({"a": 1})).unwrap().contains("is not"));
    assert!(fault(json!({"a": "", "b": 1})).unwrap().contains("not described"));
    let list = json!({"type": "array", "items": {"$ref": "#/x"}});
    assert!(differs(&document, &list, &json!([{"a": ""}, 7]), "v").unwrap().contains("v[1]"));
}
