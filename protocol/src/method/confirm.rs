//! Class `confirm`: RabbitMQ's extension, by which the server acknowledges publishes.

class! {
    /// A method of class `confirm`.
    "confirm" Confirm = CONFIRM;

    /// Number the publishes on this channel from 1, and confirm each.
    10 Select "select" {
        /// No answer is wanted.
        no_wait: bool,
    }

    /// From now on.
    11 SelectOk "select-ok" {}
}
