//! Values from the command line: `key=value`, JSON, files.

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use super::failure::Failure;

/// Stands for standard input or output in place of a file.
pub(super) const STDIO: &str = "-";

/// `x-max-length=10`: the value is JSON if it can be read as such, else text.
pub(super) fn pair(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("'{text}' is not NAME=VALUE"))?;
    Ok((key.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))))
}

/// Pairs as an object.
pub(super) fn object(pairs: Vec<(String, Value)>) -> Value {
    Value::Object(pairs.into_iter().collect::<Map<_, _>>())
}

/// JSON as it is given to an option.
pub(super) fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

/// What a file holds; `-` is standard input.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut octets = Vec::new();
    let read = if file.as_os_str() == STDIO {
        std::io::stdin().lock().read_to_end(&mut octets).map(|_| octets)
    } else {
        std::fs::read(file)
    };
    read.map_err(|error| Failure::Broken(format!("cannot read {}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_json_if_it_can_be_and_text_if_not() {
        assert_eq!(pair("a=1").unwrap(), ("a".to_owned(), json!(1)));
        assert_eq!(pair("a=true").unwrap().1, json!(true));
        assert_eq!(pair("a=dead.letters").unwrap().1, json!("dead.letters"));
        assert_eq!(pair("a=\"1\"").unwrap().1, json!("1"));
        assert_eq!(pair("a=b=c").unwrap().1, json!("b=c"));
        assert!(pair("a").is_err());
    }
}
