use super::*;
use axum::body::to_bytes;
use serde_json::json;

async fn list(query: &[(&str, &str)]) -> Value {
    let query = query.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let items = vec![("b", 3), ("a", 10), ("c", 3), ("Ab", 1)];
    let query = match ListQuery::parse(&query) {
        Ok(query) => query,
        Err(refusal) => return body(refusal.into_answer()).await,
    };
    let key = |item: &(&str, i64)| Key::new("/", item.0);
    let view = |item: &(&str, i64), sink: Sink<'_>| {
        sink.put(&json!({"name": item.0, "depth": {"ready": item.1, "unacked": 0}}))
    };
    match query.answer(items, key, view).await {
        Ok(response) => body(response).await,
        Err(refusal) => body(refusal.into_answer()).await,
    }
}

async fn body(response: axum::http::Response<axum::body::Body>) -> Value {
    serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    let items = list.get("items").unwrap_or(list);
    items.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_list_is_in_order_of_names() {
    assert_eq!(names(&list(&[]).await), ["Ab", "a", "b", "c"]);
}

#[tokio::test]
async fn a_list_is_sorted_by_any_field_and_then_by_name() {
    assert_eq!(names(&list(&[("sort", "depth.ready")]).await), ["Ab", "b", "c", "a"]);
    let reversed = list(&[("sort", "depth.ready"), ("sort_reverse", "true")]).await;
    assert_eq!(names(&reversed), ["a", "c", "b", "Ab"]);
}

#[tokio::test]
async fn a_page_says_where_it_stands() {
    let page = list(&[("page", "2"), ("page_size", "3")]).await;
    assert_eq!(names(&page), ["c"]);
    assert_eq!(
        (&page["total_count"], &page["item_count"], &page["page_count"]),
        (&json!(4), &json!(1), &json!(2))
    );
}

#[tokio::test]
async fn a_page_is_filtered_by_a_part_of_the_name_or_a_pattern() {
    let page = list(&[("page", "1"), ("name", "A")]).await;
    assert_eq!((names(&page), &page["filtered_count"]), (vec!["Ab", "a"], &json!(2)));
    let page =
        list(&[("page", "1"), ("name", "^[bc]$"), ("use_regex", "true"), ("pagination", "false")]).await;
    assert_eq!(names(&page), ["b", "c"]);
}

#[tokio::test]
async fn only_the_columns_asked_for_are_there() {
    let picked = list(&[("columns", "name,depth.ready")]).await;
    assert_eq!(picked[0], json!({"name": "Ab", "depth": {"ready": 1}}));
}

#[tokio::test]
async fn pages_that_cannot_be_are_refused() {
    let size = list(&[("page", "1"), ("page_size", "501")]).await;
    assert_eq!(size["error"], "invalid_pagination_parameters");
    assert_eq!(list(&[("page", "0")]).await["error"], "invalid_pagination_parameters");
    assert_eq!(list(&[("page", "9")]).await["error"], "page_out_of_range");
    let pattern = list(&[("page", "1"), ("name", "("), ("use_regex", "true")]).await;
    assert_eq!(pattern["error"], "bad_request");
}
