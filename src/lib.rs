//! Lepus, a message broker.
