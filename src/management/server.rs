//! The thread that answers HTTP: sockets, limits on slow or strange clients, an orderly end.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, Uri};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::api::Api;
use super::caller::Peer;
use super::routes;
use crate::broker::Broker;
use crate::tls::Tls;

/// Connections at a time. Browsers and scrapers keep a few each; more of them wait in the listener's queue.
const CONNECTIONS_MAX: usize = 256;

/// Time for the head of a request, and for a connection to stay without one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Time for a whole exchange: a client that sends or reads slower than that does not get its answer.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(300);

/// Octets of a request's head: the longest path has six names of 255 octets, each octet written as three.
const HEAD_OCTETS_MAX: usize = 64 * 1024;

/// Pause after a failed accept, such as for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long answers that are under way may take when the broker stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// What a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The management API.
    Api,
    /// What Prometheus reads.
    Metrics,
}

/// A bound socket, and what is served there.
#[derive(Debug)]
pub struct Door {
    /// The socket.
    pub listener: StdListener,
    /// What is served.
    pub service: Service,
    /// The certificates that clients are shown; `None`: HTTP without TLS.
    pub tls: Option<Arc<Tls>>,
}

/// The running management API.
#[derive(Debug)]
pub struct Management {
    /// Ends the thread, also when nobody waits for it.
    stopping: DropGuard,
    thread: JoinHandle<()>,
}

impl Management {
    /// Starts to serve on a thread of its own. The listeners are bound already.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(doors: Vec<Door>, broker: Arc<Broker>, node: super::NodeFacts) -> io::Result<Self> {
        let stopping = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let api = Api::new(broker, node);
        let thread = std::thread::Builder::new().name("management".to_owned()).spawn({
            let stopping = stopping.clone();
            move || runtime.block_on(serve(doors, api, stopping))
        })?;
        Ok(Self { stopping: stopping.drop_guard(), thread })
    }

    /// Lets answers that are under way go out, and ends.
    pub async fn stop(self) {
        drop(self.stopping);
        let ended = tokio::task::spawn_blocking(move || self.thread.join()).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the management thread ended badly");
        }
    }
}

async fn serve(doors: Vec<Door>, api: Arc<Api>, stopping: CancellationToken) {
    let tasks = TaskTracker::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    for Door { listener, service, tls } in doors {
        let router = match service {
            Service::Api => routes::api(Arc::clone(&api)),
            Service::Metrics => routes::metrics(Arc::clone(&api)),
        };
        match adopt(listener) {
            Ok(listener) => {
                let serving = Serving { router, tls, stopping: stopping.clone() };
                tasks.spawn(accept(listener, serving, Arc::clone(&room), tasks.clone()));
            }
            Err(error) => tracing::error!(%error, "management listener lost"),
        }
    }
    let sampling = api.sample_for_ever();
    tokio::select! {
        () = sampling => {}
        () = stopping.cancelled() => {}
    }
    tasks.close();
    if timeout(DRAIN_TIMEOUT, tasks.wait()).await.is_err() {
        tracing::debug!("clients of the management API did not read their answers in time");
    }
}

fn adopt(listener: StdListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// What each connection of a listener gets.
#[derive(Clone)]
struct Serving {
    router: Router,
    tls: Option<Arc<Tls>>,
    stopping: CancellationToken,
}

async fn accept(listener: TcpListener, serving: Serving, room: Arc<Semaphore>, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            accepted = async {
                let permit = Arc::clone(&room).acquire_owned().await;
                (listener.accept().await, permit)
            } => accepted,
            () = serving.stopping.cancelled() => return,
        };
        match accepted {
            (Ok((socket, peer)), permit) => {
                let arrival = arrive(socket, peer, serving.clone());
                tasks.spawn(async move {
                    arrival.await;
                    drop(permit);
                });
            }
            (Err(error), _) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Shakes hands first where there is TLS.
async fn arrive(socket: TcpStream, peer: SocketAddr, serving: Serving) {
    let Some(tls) = &serving.tls else { return exchange(socket, peer, serving).await };
    let accepted = tokio::select! {
        accepted = tls.accept_anyone(socket) => accepted,
        () = serving.stopping.cancelled() => return,
    };
    match accepted {
        Ok(stream) => Box::pin(exchange(stream, peer, serving)).await,
        Err(error) => tracing::info!(%peer, %error, "TLS handshake of a management connection failed"),
    }
}

/// Serves one connection. What is not HTTP, such as AMQP's protocol header, is answered with 400 and the end.
async fn exchange<S>(socket: S, peer: SocketAddr, serving: Serving)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Serving { router, stopping, .. } = serving;
    let service = service_fn(move |request| answer(router.clone(), request, peer));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_OCTETS_MAX)
        .serve_connection(TokioIo::new(socket), service);
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = timeout(CONNECTION_MAX, connection.as_mut()) => served,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            timeout(DRAIN_TIMEOUT, connection).await
        }
    };
    if let Ok(Err(error)) = served {
        tracing::debug!(%peer, %error, "management connection ended");
    }
}

/// Time for a connection in all: one that is kept for longer is opened again.
const CONNECTION_MAX: Duration = Duration::from_secs(3600);

async fn answer<B>(
    router: Router,
    request: Request<B>,
    peer: SocketAddr,
) -> Result<Response<Body>, std::convert::Infallible>
where
    B: hyper::body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(Peer(peer));
    if let Some(uri) = without_last_slash(request.uri()) {
        *request.uri_mut() = uri;
    }
    match timeout(EXCHANGE_TIMEOUT, router.oneshot(request)).await {
        Ok(answered) => answered,
        Err(_) => Ok(super::refusal::Refusal::too_slow().into_answer()),
    }
}

/// `/api/queues/` is `/api/queues`.
fn without_last_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/').filter(|path| !path.is_empty())?;
    let query = uri.query().map_or(String::new(), |query| format!("?{query}"));
    format!("{path}{query}").parse().ok()
}
