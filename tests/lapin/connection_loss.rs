//! The network fails without a goodbye.
use crate::{broker::Broker, support::*};
use futures_lite::StreamExt;
use lapin::{Connection, ConnectionProperties, options::*};
use std::net::SocketAddr;
use tokio::{
    io,
    net::{TcpListener, TcpStream},
    sync::broadcast,
};

/// A way to the broker that can be cut: the sockets close, no AMQP is said.
struct Cable {
    address: SocketAddr,
    scissors: broadcast::Sender<()>,
}

impl Cable {
    async fn to(broker: &Broker) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (scissors, _) = broadcast::channel(1);
        tokio::spawn(accept(listener, broker.address(), scissors.clone()));
        Self { address, scissors }
    }

    fn uri(&self) -> String {
        format!("amqp://guest:guest@{}", self.address)
    }

    /// Cuts every connection; new ones can be made.
    fn cut(&self) {
        self.scissors.send(()).unwrap();
    }
}

async fn accept(listener: TcpListener, broker: SocketAddr, scissors: broadcast::Sender<()>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let mut cut = scissors.subscribe();
        tokio::spawn(async move {
            let mut server = TcpStream::connect(broker).await.unwrap();
            tokio::select! {
                _ = cut.recv() => {}
                _ = io::copy_bidirectional(&mut client, &mut server) => {}
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unacked_messages_of_a_lost_connection_go_to_another_consumer_in_order() {
    with_broker(async |broker| {
        let cable = Cable::to(broker).await;
        let (survivor, lost) = (Client::connect(broker).await, Client::connect_to(&cable.uri()).await);
        let queue = shared_queue(&survivor.channel, "rescued").await;
        lost.channel.basic_qos(3, BasicQosOptions::default()).await.unwrap();
        let mut dying = consume(&lost.channel, &queue).await;
        fill(&survivor.channel, &queue, &["acked", "1", "2", "3", "4"]).await;
        ack(&next(&mut dying).await).await;
        next_n(&mut dying, 3).await;
        // Its answer comes when the ack has been handled.
        assert_eq!(ready(&lost.channel, &queue).await, 1);

        let mut consumer = consume(&survivor.channel, &queue).await;
        assert_eq!(body(&next(&mut consumer).await), "4");
        cable.cut();
        let rescued = next_n(&mut consumer, 3).await;
        assert_eq!(bodies(&rescued), ["1", "2", "3"]);
        assert!(rescued.iter().all(|delivery| delivery.redelivered));
        dying.next().await.unwrap().unwrap_err();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmed_messages_outlive_their_publishers_connection() {
    with_broker(async |broker| {
        let cable = Cable::to(broker).await;
        let (survivor, lost) = (Client::connect(broker).await, Client::connect_to(&cable.uri()).await);
        let queue = shared_queue(&survivor.channel, "kept").await;
        fill(&lost.channel, &queue, &["1", "2", "3"]).await;
        cable.cut();
        assert_eq!(drain(&survivor.channel, &queue).await, ["1", "2", "3"]);
        delete(&survivor.channel, &queue).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_automatically_recovering_client_finds_its_consumer_again() {
    with_broker(async |broker| {
        let cable = Cable::to(broker).await;
        let survivor = Client::connect(broker).await;
        let properties = ConnectionProperties::default().enable_auto_recover();
        let connection = Connection::connect(&cable.uri(), properties).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let queue = shared_queue(&survivor.channel, "recovered").await;
        // Keeps the queue while the other consumer is away, without taking anything.
        survivor.channel.basic_qos(1, BasicQosOptions::default()).await.unwrap();
        let mut keeper = consume(&survivor.channel, &queue).await;
        fill(&survivor.channel, &queue, &["blocks the keeper"]).await;
        next(&mut keeper).await;

        let mut consumer = consume(&channel, &queue).await;
        fill(&survivor.channel, &queue, &["before"]).await;
        ack(&next(&mut consumer).await).await;
        assert_eq!(ready(&channel, &queue).await, 0);
        cable.cut();
        fill(&survivor.channel, &queue, &["after"]).await;
        let after = loop {
            // The consumer may tell of the lost connection before it goes on.
            if let Ok(delivery) = consumer.next().await.expect("not cancelled") {
                break delivery;
            }
        };
        assert_eq!(body(&after), "after");
    })
    .await;
}
