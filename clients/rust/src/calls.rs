//! One call, asked again until it is answered or the patience is over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use tokio::time::{Instant, sleep, timeout};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind};
use crate::v1::managed_agent_runtime_client::ManagedAgentRuntimeClient;
use crate::v1::{StreamEventsRequest, StreamEventsResponse};

pub(crate) type Stub = ManagedAgentRuntimeClient<Channel>;

/// Asks the server, and knows how long to go on asking one that does not answer.
pub(crate) struct Calls {
    pub(crate) stub: Stub,
    pub(crate) address: String,
    pub(crate) token: Option<MetadataValue<Ascii>>,
    pub(crate) connect_timeout: Duration,
    pub(crate) patience: Duration,
    pub(crate) answered: AtomicBool,
}

impl Calls {
    /// How long a server may be away: short until it has answered once, so that a wrong address is told soon.
    pub(crate) fn patience(&self) -> Duration {
        if self.answered() { self.patience } else { self.connect_timeout }
    }

    fn answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// The server answered.
    pub(crate) fn heard(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    /// The error that a failed call gives.
    pub(crate) fn error(&self, status: &Status) -> Error {
        let error = Error::of_status(status, &self.address, self.answered());
        if !matches!(error.kind(), ErrorKind::NoAnswer | ErrorKind::DeadlineExceeded) {
            self.heard();
        }
        error
    }

    fn request<M>(&self, message: M) -> tonic::Request<M> {
        let mut request = tonic::Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }

    /// Asks, and asks again with the very same message (and so the same request id) while that may help.
    pub(crate) async fn unary<M, R, F>(
        &self,
        message: M,
        method: impl Fn(Stub, tonic::Request<M>) -> F,
    ) -> Result<R, Error>
    where
        M: Clone,
        F: Future<Output = Result<Response<R>, Status>>,
    {
        let (began, mut backoff) = (Instant::now(), Backoff::new());
        loop {
            let asked = method(self.stub.clone(), self.request(message.clone()));
            let error = match self.in_time(asked).await {
                Some(Ok(response)) => {
                    self.heard();
                    return Ok(response.into_inner());
                }
                Some(Err(status)) => self.error(&status),
                None => Error::late(&self.address),
            };
            let delay = backoff.next(error.retry_after());
            if !error.is_passing() || began.elapsed() + delay > self.patience() {
                return Err(error);
            }
            tracing::info!(%error, ?delay, "asking again");
            sleep(delay).await;
        }
    }

    /// None: no answer within the patience with one call. Without any patience the caller alone decides when to leave.
    async fn in_time<F: Future>(&self, asked: F) -> Option<F::Output> {
        if self.patience.is_zero() {
            return Some(asked.await);
        }
        timeout(self.patience, asked).await.ok()
    }

    /// One stream, as it is, to be read at once. Dropping it cancels the call.
    pub(crate) fn stream(
        &self,
        request: StreamEventsRequest,
    ) -> BoxStream<'static, Result<StreamEventsResponse, Status>> {
        let (mut stub, request) = (self.stub.clone(), self.request(request));
        async move { stub.stream_events(request).await.map(Response::into_inner) }.into_stream().try_flatten().boxed()
    }
}
