//! A service that does what a test says, behind a real gRPC server: a fake at the network's edge.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use managedagents::Code;
use managedagents::v1::{StreamEventsRequest, StreamEventsResponse};
use prost::Message;
use prost::bytes::{Buf, BufMut};
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::metadata::MetadataMap;
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

type Bytes = Vec<u8>;
type Unary = Box<dyn Fn(Bytes, MetadataMap) -> BoxFuture<Bytes, Status> + Send + Sync>;
type Follower = Box<dyn Fn(StreamEventsRequest, Told) -> BoxFuture<(), Status> + Send + Sync>;

/// Where a follower's messages go. `closed()` is over when the client has cancelled.
pub struct Told(mpsc::Sender<Result<Bytes, Status>>);

impl Told {
    pub async fn say(&self, message: StreamEventsResponse) {
        self.raw(message.encode_to_vec()).await;
    }

    /// The bytes of a message, say of one that this version does not know.
    pub async fn raw(&self, message: Bytes) {
        // A client that has gone hears nothing any more.
        let _ = self.0.send(Ok(message)).await;
    }

    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

/// Answers by method name; what was asked is kept.
#[derive(Default)]
pub struct Fake {
    calls: HashMap<&'static str, Unary>,
    follower: Option<Follower>,
    asked: Mutex<Vec<(String, Bytes)>>,
}

impl Fake {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn on<M, R, F>(self, method: &'static str, answer: impl Fn(M) -> F + Send + Sync + 'static) -> Self
    where
        M: Message + Default,
        R: Message,
        F: Future<Output = Result<R, Status>> + Send + 'static,
    {
        self.on_with_metadata(method, move |message, _| answer(message))
    }

    pub fn on_with_metadata<M, R, F>(
        mut self,
        method: &'static str,
        answer: impl Fn(M, MetadataMap) -> F + Send + Sync + 'static,
    ) -> Self
    where
        M: Message + Default,
        R: Message,
        F: Future<Output = Result<R, Status>> + Send + 'static,
    {
        let call = move |bytes: Bytes, metadata| -> BoxFuture<Bytes, Status> {
            let answered = answer(M::decode(bytes.as_slice()).expect("a request"), metadata);
            Box::pin(async move { Ok(answered.await?.encode_to_vec()) })
        };
        self.calls.insert(method, Box::new(call));
        self
    }

    /// What a stream says; it ends with the future, with OK or with the status.
    pub fn following<F>(mut self, follower: impl Fn(StreamEventsRequest, Told) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        self.follower = Some(Box::new(move |request, told| Box::pin(follower(request, told))));
        self
    }

    pub fn serve(self) -> Serving {
        self.serve_at("127.0.0.1:0".parse().expect("an address"))
    }

    pub fn serve_at(self, address: SocketAddr) -> Serving {
        // A runtime of its own: when it is shut down, all connections are gone, too.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let fake = Arc::new(self);
        let incoming = {
            let _inside = runtime.enter();
            TcpIncoming::bind(address).expect("a free address")
        };
        let address = incoming.local_addr().expect("an address");
        let serving = tonic::transport::Server::builder().add_service(Served(fake.clone()));
        runtime.spawn(serving.serve_with_incoming(incoming));
        Serving { fake, address: address.to_string(), runtime: Some(runtime) }
    }
}

/// A fake that listens. Dropped, it is gone with all its connections, as a server that was killed.
pub struct Serving {
    fake: Arc<Fake>,
    pub address: String,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Serving {
    pub fn client(&self) -> managedagents::Client {
        managedagents::Client::connect(&*self.address).expect("an address")
    }

    /// The requests of one method, in order.
    pub fn asked<M: Message + Default>(&self, method: &str) -> Vec<M> {
        let asked = self.fake.asked.lock().expect("no test panicked in it");
        let of_method = asked.iter().filter(|(name, _)| name == method);
        of_method.map(|(_, bytes)| M::decode(bytes.as_slice()).expect("a request")).collect()
    }

    pub fn streams(&self) -> Vec<StreamEventsRequest> {
        self.asked("StreamEvents")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not here: a test's own runtime does not let its thread wait. Then the address is free again.
            let gone = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(10))).join();
            gone.expect("it is shut down");
        }
    }
}

/// A refusal as the service gives it.
pub fn refused(code: Code, reason: &str) -> Status {
    Status::with_error_details(code, "refused", ErrorDetails::with_error_info(reason, "managedagents", HashMap::new()))
}

#[derive(Clone)]
struct Served(Arc<Fake>);

impl NamedService for Served {
    const NAME: &'static str = "managedagents.v1.ManagedAgentRuntime";
}

impl Service<http::Request<Body>> for Served {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let call = Call(self.0.clone(), name);
        Box::pin(async move {
            let mut grpc = Grpc::new(Raw);
            Ok(match call.1.as_str() {
                "StreamEvents" => grpc.server_streaming(call, request).await,
                _ => grpc.unary(call, request).await,
            })
        })
    }
}

struct Call(Arc<Fake>, String);

impl Call {
    fn asked(&self, message: &Bytes) {
        self.0.asked.lock().expect("no test panicked in it").push((self.1.clone(), message.clone()));
    }
}

impl UnaryService<Bytes> for Call {
    type Response = Bytes;
    type Future = BoxFuture<Response<Bytes>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (metadata, _, message) = request.into_parts();
        self.asked(&message);
        let (fake, name) = (self.0.clone(), self.1.clone());
        Box::pin(async move {
            let Some(call) = fake.calls.get(name.as_str()) else { return Err(Status::unimplemented("no such method")) };
            Ok(Response::new(call(message, metadata).await?))
        })
    }
}

impl ServerStreamingService<Bytes> for Call {
    type Response = Bytes;
    type ResponseStream = futures_util::stream::BoxStream<'static, Result<Bytes, Status>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let message = request.into_inner();
        self.asked(&message);
        let request = StreamEventsRequest::decode(message.as_slice()).expect("a request");
        let fake = self.0.clone();
        Box::pin(async move {
            let (sender, mut receiver) = mpsc::channel(1);
            let end = sender.clone();
            tokio::spawn(async move {
                let follower = fake.follower.as_ref().expect("a follower");
                if let Err(status) = follower(request, Told(sender)).await {
                    let _ = end.send(Err(status)).await;
                }
            });
            let messages = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
            Ok(Response::new(Box::pin(messages) as Self::ResponseStream))
        })
    }
}

/// Bytes as they are.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let mut item = vec![0; from.remaining()];
        from.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}
