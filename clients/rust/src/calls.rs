//! One call, asked again until it is answered or the patience is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryFutureExt};
use tokio::time::{Instant, sleep, timeout};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::backoff::Backoff;
use crate::channel::ClientBuilder;
use crate::error::{Error, ErrorKind};
use crate::v1::managed_agent_runtime_client::ManagedAgentRuntimeClient;
use crate::v1::{StreamEventsRequest, StreamEventsResponse};

pub(crate) type Stub = ManagedAgentRuntimeClient<Channel>;

/// Asks the server, and knows how long to go on asking one that does not answer.
pub(crate) struct Calls {
    pub(crate) stub: Stub,
    pub(crate) token: Option<MetadataValue<Ascii>>,
    pub(crate) how: ClientBuilder,
    /// The server has answered once.
    pub(crate) answered: AtomicBool,
}

impl Calls {
    /// How long a server may be away: short until it has answered once, so that a wrong address is told soon.
    pub(crate) fn patience(&self) -> Duration {
        let is_known = self.answered.load(Ordering::Relaxed) || self.how.patience.is_zero();
        if is_known { self.how.patience } else { self.how.connect_timeout }
    }

    fn heard(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// The error that a failed call gives.
    fn error(&self, status: &Status) -> Error {
        let error = Error::of_status(status, &self.how.address, self.answered.load(Ordering::Relaxed));
        if !matches!(error.kind(), ErrorKind::NoAnswer | ErrorKind::DeadlineExceeded) {
            self.heard();
        }
        error
    }

    /// The error of a stream that is over, and its session is not.
    pub(crate) fn cut(&self, why: &str) -> Error {
        Error::new(ErrorKind::NoAnswer, format!("{}: {why}", self.how.address))
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }

    /// Asks, and asks again with the very same message (and so the same request id) while that may help.
    pub(crate) async fn unary<M, R, F>(&self, message: M, method: impl Fn(Stub, Request<M>) -> F) -> Result<R, Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let (began, mut backoff) = (Instant::now(), Backoff::default());
        // Without any patience the caller alone decides when to leave.
        let longest = if self.how.patience.is_zero() { Duration::MAX } else { self.how.patience };
        loop {
            let asked = timeout(longest, method(self.stub.clone(), self.request(message.clone()))).await;
            let error = match asked.unwrap_or_else(|_| Err(Status::deadline_exceeded(""))) {
                Ok(response) => {
                    self.heard();
                    return Ok(response.into_inner());
                }
                Err(status) => self.error(&status),
            };
            let delay = backoff.next(error.retry_after());
            if !error.is_passing() || began.elapsed() + delay > self.patience() {
                return Err(error);
            }
            tracing::info!(%error, ?delay, "asking again");
            sleep(delay).await;
        }
    }

    /// One stream, as it is, to be read at once. Dropping it cancels the call.
    pub(crate) fn stream(
        self: &Arc<Self>,
        request: StreamEventsRequest,
    ) -> BoxStream<'static, Result<StreamEventsResponse, Error>> {
        let (calls, mut stub, request) = (self.clone(), self.stub.clone(), self.request(request));
        async move { stub.stream_events(request).await.map(Response::into_inner) }
            .try_flatten_stream()
            .map(move |read| read.inspect(|_| calls.heard()).map_err(|status| calls.error(&status)))
            .boxed()
    }
}
