//! The codec against octets that it had no part in making: worked out by hand from the specification, or recorded
//! from RabbitMQ 3.10.8, pika 1.3 and py-amqp 5 ("recorded" stands at those).

mod frames;
mod headers;
mod methods;
mod tables;
