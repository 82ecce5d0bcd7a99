//! The client: one method for each call, with a request id of its own for each that changes something.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, iter, try_unfold};
use futures_util::{StreamExt, TryStreamExt};

use crate::answers::Answers;
use crate::calls::{Calls, Stub};
use crate::channel::ClientBuilder;
use crate::error::Error;
use crate::follow::Follow;
use crate::run::Run;
use crate::v1::{self, UserEvent};

/// A client of one managed agents server. Clones share its connection.
///
/// Every call that changes something has a `request_id` in its request; where that is empty the client makes one. It is
/// kept over the retries of the call, so that it happens once however often the connection breaks. Give one of your own
/// (up to 128 bytes) where the same call may be made again by another process.
///
/// A call that may pass is asked again by itself. To give up a call, drop its future: it is cancelled at once.
#[derive(Clone)]
pub struct Client {
    pub(crate) calls: Arc<Calls>,
    pub(crate) answers: Arc<Answers>,
}

impl Client {
    /// A client of the server at `address` (host and port), in plain text. The connection is made by the first call.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn connect(address: impl Into<String>) -> Result<Self, Error> {
        Self::builder(address).connect()
    }

    /// A client with a token, TLS, or other times.
    pub fn builder(address: impl Into<String>) -> ClientBuilder {
        ClientBuilder {
            address: address.into(),
            token: None,
            tls: None,
            connect_timeout: Duration::from_secs(5),
            patience: Duration::from_secs(60),
            heartbeat_timeout: Duration::from_secs(30),
        }
    }

    /// Sends an event, or a text as a `user.message`. Gives its seq: it is in the log.
    pub async fn send(&self, session_id: impl Into<String>, event: impl Into<UserEvent>) -> Result<u64, Error> {
        let request =
            v1::SendEventRequest { session_id: session_id.into(), event: Some(event.into()), ..Default::default() };
        Ok(self.send_event(request).await?.seq)
    }

    /// Sends a message, answers what its turn asks for, and gives the result when the turn is over:
    /// `client.run(session, "Hello").tools(tools).await`.
    pub fn run(&self, session_id: impl Into<String>, message: impl Into<UserEvent>) -> Run<'static> {
        Run::new(self.clone(), session_id.into(), message.into())
    }

    /// Follows a session: all events after `from_seq`, then what comes, across cuts and restarts of the server.
    ///
    /// `from_seq`: 0 is the whole log; None is only what comes from now on.
    pub fn follow(&self, session_id: impl Into<String>, from_seq: impl Into<Option<u64>>) -> Follow {
        let request =
            v1::StreamEventsRequest { session_id: session_id.into(), from_seq: from_seq.into(), ..Default::default() };
        Follow::new(self.calls.clone(), request)
    }

    /// One stream of a session, message by message, as it is: it ends where it is cut. [`follow`](Self::follow) is made
    /// of these.
    pub fn stream_events(
        &self,
        request: v1::StreamEventsRequest,
    ) -> BoxStream<'static, Result<v1::StreamEventsResponse, Error>> {
        self.calls.stream(request)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("address", &self.calls.how.address).finish_non_exhaustive()
    }
}

/// A call that changes something is given a request id where it has none. A request that needs no more than an id may be
/// given as the id, where `by` names its field.
macro_rules! calls {
    ($($(#[$doc:meta])* $kind:ident $name:ident($request:ident $(by $id:ident)?) -> $response:ident;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                #[allow(unused_mut)]
                pub async fn $name(&self, request: impl Into<v1::$request>) -> Result<v1::$response, Error> {
                    let mut request = request.into();
                    calls!(@$kind request);
                    let ask = |mut stub: Stub, request| async move { stub.$name(request).await };
                    self.calls.unary(request, ask).await
                }
            )*
        }

        $($(
            impl<S: AsRef<str>> From<S> for v1::$request {
                // Some have no other field.
                #[allow(clippy::needless_update)]
                fn from(id: S) -> Self {
                    Self { $id: id.as_ref().to_owned(), ..Default::default() }
                }
            }
        )?)*
    };
    (@changes $request:ident) => {
        if $request.request_id.is_empty() {
            $request.request_id = format!("{:032x}", rand::random::<u128>());
        }
    };
    (@reads $request:ident) => {};
}

calls! {
    /// Creates an agent.
    changes create(CreateRequest) -> CreateResponse;
    /// Starts a session of an agent. Its log begins with the initial events of the request, in the same write.
    changes start_session(StartSessionRequest by agent_id) -> StartSessionResponse;
    /// Sends an event, with a request id of the caller's; [`send`](Self::send) is shorter.
    changes send_event(SendEventRequest) -> SendEventResponse;
    /// Stops the turn that runs, and may drop the messages that wait. The session lives on.
    changes interrupt(InterruptRequest by session_id) -> InterruptResponse;
    /// Lets nothing new start. Holds until [`resume`](Self::resume), also across a restart of the server.
    changes pause(PauseRequest by session_id) -> PauseResponse;
    /// Ends a pause.
    changes resume(ResumeRequest by session_id) -> ResumeResponse;
    /// Where a session stands, and what it waits for.
    reads status(StatusRequest by session_id) -> StatusResponse;
    /// Ends a session for good; its log stays readable.
    changes archive(ArchiveRequest by session_id) -> ArchiveResponse;
    /// Deletes a session and all its data.
    changes delete_session(DeleteSessionRequest by session_id) -> DeleteSessionResponse;
    /// One agent.
    reads get_agent(GetAgentRequest by agent_id) -> GetAgentResponse;
    /// A page of the agents, newest first; [`agents`](Self::agents) gives all.
    reads list_agents(ListAgentsRequest) -> ListAgentsResponse;
    /// Replaces the newest version of an agent by a new one. Sessions keep the version that they have.
    changes update_agent(UpdateAgentRequest) -> UpdateAgentResponse;
    /// Lets an agent take no new sessions.
    changes archive_agent(ArchiveAgentRequest by agent_id) -> ArchiveAgentResponse;
    /// One session.
    reads get_session(GetSessionRequest by session_id) -> GetSessionResponse;
    /// A page of the sessions, newest first; [`sessions`](Self::sessions) gives all.
    reads list_sessions(ListSessionsRequest) -> ListSessionsResponse;
    /// A page of the events that are in the log now; [`events`](Self::events) gives all.
    reads list_events(ListEventsRequest by session_id) -> ListEventsResponse;
}

impl From<v1::AgentDefinition> for v1::CreateRequest {
    fn from(definition: v1::AgentDefinition) -> Self {
        Self { definition: Some(definition), ..Default::default() }
    }
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident($request:ident) -> $item:ident by $page:ident;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                pub fn $name(&self, request: impl Into<v1::$request>) -> BoxStream<'static, Result<v1::$item, Error>> {
                    let begin = (self.clone(), Some(request.into()));
                    try_unfold(begin, |(client, next): (Self, Option<v1::$request>)| async move {
                        let Some(request) = next else { return Ok(None) };
                        let page = client.$page(request.clone()).await?;
                        let is_last = page.next_page_token.is_empty();
                        let next = v1::$request { page_token: page.next_page_token, ..request };
                        Ok(Some((iter(page.$name).map(Ok), (client, (!is_last).then_some(next)))))
                    })
                    .try_flatten()
                    .boxed()
                }
            )*
        }
    };
}

lists! {
    /// The agents, newest first, over all pages.
    agents(ListAgentsRequest) -> Agent by list_agents;
    /// The sessions, newest first, over all pages.
    sessions(ListSessionsRequest) -> Session by list_sessions;
    /// The events that are in the log now, over all pages.
    events(ListEventsRequest) -> SessionEvent by list_events;
}
