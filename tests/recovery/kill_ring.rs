//! Tokens that go from one queue to the other and back, each step a transaction that takes it here and puts it there:
//! however often the broker is killed, each is there once.

use lapin::options::*;
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel};

const RING: [&str; 2] = ["ring-a", "ring-b"];
const TOKENS: u64 = 20;

fn persistent() -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2)
}

/// Declares both queues; the first time the tokens are put into one.
pub(crate) async fn prepare(channel: &Channel, is_first: bool) {
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    for queue in RING {
        channel.queue_declare(queue.into(), durable, FieldTable::default()).await.unwrap();
    }
    if !is_first {
        return;
    }
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    for token in 0..TOKENS {
        let (options, body) = (BasicPublishOptions::default(), token.to_be_bytes());
        let sent =
            channel.basic_publish("".into(), RING[0].into(), options, &body, persistent()).await.unwrap();
        assert!(sent.await.unwrap().is_ack());
    }
}

/// Moves tokens until the broker is gone.
pub(crate) async fn turn(channel: Channel) {
    if channel.tx_select().await.is_err() {
        return;
    }
    let (mut from, mut to) = (RING[0], RING[1]);
    loop {
        match step(&channel, from, to).await {
            Ok(true) => {}
            Ok(false) => (from, to) = (to, from),
            Err(_) => return,
        }
    }
}

/// Moves one token; `false`: there is none.
async fn step(channel: &Channel, from: &str, to: &str) -> lapin::Result<bool> {
    let got = channel.basic_get(from.into(), BasicGetOptions { no_ack: false }).await?;
    let Some(got) = got else { return Ok(false) };
    let options = BasicPublishOptions::default();
    channel.basic_publish("".into(), to.into(), options, &got.data, persistent()).await?;
    got.ack(BasicAckOptions::default()).await?;
    channel.tx_commit().await?;
    Ok(true)
}

/// After the last start: every token is there, once.
pub(crate) async fn check(channel: &Channel) {
    let mut tokens = Vec::new();
    for queue in RING {
        while let Some(got) = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await.unwrap()
        {
            tokens.push(u64::from_be_bytes(got.data.as_slice().try_into().unwrap()));
        }
    }
    tokens.sort_unstable();
    assert_eq!(tokens, (0..TOKENS).collect::<Vec<_>>(), "tokens of the ring");
}
