//! Flash sale: can a queue absorb a burst of orders, sell exactly the stock, and spare a slow database?
//!
//! Five shops send 500 orders at once for 120 items. The queue takes as many orders as there are items
//! (`x-max-length`) and refuses the rest (`x-overflow: reject-publish`): the shop gets `basic.ack` for "yours" and
//! `basic.nack` for "sold out". Behind the queue a slow database books the orders; prefetch keeps it from ever seeing
//! more than a few at a time.
//!
//! `x-max-length` counts waiting messages only, not those a consumer has in hand. So the queue can stand for the stock
//! only while nobody consumes: booking starts when the sale is over.
//!
//! ```text
//! cargo run --release -- server        # in one terminal
//! cargo run --example flash_sale       # in another
//! ```
//!
//! `LEPUS_URI` names another broker; without it, `amqp://guest:guest@127.0.0.1:5672`.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use futures_lite::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    message::Delivery,
    options::*,
    types::{AMQPValue, FieldTable, LongString},
};
use std::{
    collections::BTreeSet,
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;
type Orders = BTreeSet<String>;

const QUEUE: &str = "example.flash_sale";
const STOCK: u16 = 120;
const SHOPS: usize = 5;
const ORDERS_PER_SHOP: usize = 100;
const DATABASE_CONNECTIONS: u16 = 8;
const BOOKING: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Outcome {
    let uri = std::env::var("LEPUS_URI").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".into());
    run(&uri).await
}

async fn run(uri: &str) -> Outcome {
    let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    // What an interrupted run may have left; deleting a queue that is not there is no error.
    channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), stock_limit()).await?;

    let outcome = timeout(PATIENCE, hold_sale(uri, &channel)).await;

    let left_over = channel.queue_delete(QUEUE.into(), QueueDeleteOptions::default()).await?;
    outcome.map_err(|_| "promise broken: it did not end in time")??;
    promise(left_over == 0, "no order is left behind")?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

fn stock_limit() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(STOCK.into()));
    arguments.insert("x-overflow".into(), AMQPValue::LongString(LongString::from("reject-publish")));
    arguments
}

async fn hold_sale(uri: &str, channel: &Channel) -> Outcome {
    let sale = sell(uri).await?;
    println!("{} orders: {} sold, {} told \"sold out\"", sale.orders(), sale.sold.len(), sale.refused.len());
    promise(sale.orders() == SHOPS * ORDERS_PER_SHOP, "every order was answered")?;
    promise(sale.sold.len() == usize::from(STOCK), "exactly the stock was sold")?;

    let database = Database::default();
    let booked = book(channel, &database).await?;
    let peak = database.peak.load(Ordering::Relaxed);
    println!("{} orders booked, at most {peak} at a time", booked.len());
    promise(booked == sale.sold, "every confirmed order was booked, and no refused one")?;
    promise(peak <= usize::from(DATABASE_CONNECTIONS), "the database was never overrun")
}

#[derive(Default)]
struct Sale {
    sold: Orders,
    refused: Orders,
}

impl Sale {
    fn orders(&self) -> usize {
        self.sold.len() + self.refused.len()
    }
}

/// All shops at once.
async fn sell(uri: &str) -> Outcome<Sale> {
    let mut shops = JoinSet::new();
    for shop in 1..=SHOPS {
        let connection = Connection::connect(uri, ConnectionProperties::default()).await?;
        shops.spawn(send_orders(connection, shop));
    }
    let mut total = Sale::default();
    while let Some(sale) = shops.join_next().await {
        let mut sale = sale??;
        total.sold.append(&mut sale.sold);
        total.refused.append(&mut sale.refused);
    }
    Ok(total)
}

/// Sends a burst of orders, and only then waits for the answers.
async fn send_orders(connection: Connection, shop: usize) -> Outcome<Sale> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut answers = Vec::new();
    for number in 1..=ORDERS_PER_SHOP {
        let order = format!("shop {shop} order {number}");
        let properties = BasicProperties::default().with_delivery_mode(2); // persistent
        let options = BasicPublishOptions::default();
        let answer =
            channel.basic_publish("".into(), QUEUE.into(), options, order.as_bytes(), properties).await?;
        answers.push((order, answer));
    }

    let mut sale = Sale::default();
    for (order, answer) in answers {
        let side = if answer.await?.is_ack() { &mut sale.sold } else { &mut sale.refused };
        side.insert(order);
    }
    println!("shop {shop}: {} sold, {} sold out", sale.sold.len(), sale.refused.len());
    connection.close(200, "done".into()).await?;
    Ok(sale)
}

/// Books the orders in the queue, as many at a time as the prefetch hands out.
async fn book(channel: &Channel, database: &Database) -> Outcome<Orders> {
    channel.basic_qos(DATABASE_CONNECTIONS, BasicQosOptions::default()).await?;
    let mut orders = channel
        .basic_consume(QUEUE.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await?;
    let mut bookings = JoinSet::new();
    for _ in 0..STOCK {
        let order = orders.try_next().await?.ok_or("the consumer was cancelled")?;
        bookings.spawn(database.clone().book(order));
    }
    let mut booked = Orders::new();
    while let Some(order) = bookings.join_next().await {
        booked.insert(order??);
    }
    Ok(booked)
}

/// A slow database that remembers how many bookings it had to do at once.
#[derive(Clone, Default)]
struct Database {
    busy: Arc<AtomicUsize>,
    peak: Arc<AtomicUsize>,
}

impl Database {
    async fn book(self, order: Delivery) -> Outcome<String> {
        let busy = self.busy.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(busy, Ordering::Relaxed);
        sleep(BOOKING).await;
        self.busy.fetch_sub(1, Ordering::Relaxed);
        // The ack lets the broker hand out the next order.
        order.ack(BasicAckOptions::default()).await?;
        Ok(String::from_utf8(order.data)?)
    }
}

fn promise(kept: bool, what: &str) -> Outcome {
    if !kept {
        return Err(format!("promise broken: {what}").into());
    }
    println!("promise kept: {what}");
    Ok(())
}
