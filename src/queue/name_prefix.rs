//! What the names begin with that the broker makes up.

use lepus_protocol::FieldValue;

use super::arguments::unacceptable_type;

/// The argument (RabbitMQ).
pub const NAME_PREFIX: &str = "x-name-prefix";

/// It may have as many octets (RabbitMQ).
pub const NAME_PREFIX_MAX: usize = 64;

/// Why a value cannot be a prefix.
pub(super) fn check(value: &FieldValue) -> Result<(), String> {
    match value.as_str() {
        None => Err(unacceptable_type(value)),
        Some(prefix) if prefix.len() > NAME_PREFIX_MAX => {
            Err(format!("{{max_value_exceeded,{} octets}}", prefix.len()))
        }
        Some(_) => Ok(()),
    }
}
