//! Running one message: how it is asked for, and what it gives.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::client::Client;
use crate::error::Error;
use crate::tools::Tools;
use crate::turn::Turn;
use crate::uses::{Decision, ToolUse};
use crate::v1::{ErrorEvent, SendEventRequest, SessionEvent, Usage, UserEvent};

pub(crate) type Confirm = Arc<dyn Fn(ToolUse) -> BoxFuture<'static, Decision> + Send + Sync>;
pub(crate) type OnEvent<'a> = Box<dyn FnMut(&SessionEvent) + Send + 'a>;

/// How the turn of a message ended, or an outcome.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunResult {
    /// The seq of the message, which numbers its turn; or of the outcome.
    pub seq: u64,
    /// As in `status.idle`: `end_turn`, `max_tokens`, `interrupted`, `refusal`, `max_tool_rounds`, `retries_exhausted`,
    /// `error`, …; `requires_action` where nothing here can answer what the turn waits for; `dropped` where the message
    /// was dropped from the queue; `outcome_evaluated` where the turn of a message was judged; `completed`, `failed`,
    /// `archived` or `deleted` where the session ended. An outcome that is met ends in `completed`, one that is not in
    /// `max_outcome_iterations`.
    pub stop_reason: String,
    /// What the agent said last in the turn, or for the outcome. Empty: nothing.
    pub text: String,
    /// The events of the turn, or of the outcome's turns, in order of seq.
    pub events: Vec<SessionEvent>,
    /// What the turn cost, zero where it did not end with `status.idle`; of an outcome, what its turns cost.
    pub usage: Usage,
    /// The last error of the turn that it did not go on from. None: there was none.
    pub error: Option<ErrorEvent>,
    /// With `requires_action`, the ids of the tool uses that the turn waits for.
    pub waits_for: Vec<String>,
}

/// A message that is to be run; made by [`Client::run`], and sent when it is awaited.
///
/// To give it up, drop it: the handlers are stopped, and the session is left as it is.
#[must_use = "it is sent when it is awaited"]
pub struct Run<'a> {
    client: Client,
    request: SendEventRequest,
    tools: Tools,
    confirm: Option<Confirm>,
    on_event: Option<OnEvent<'a>>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(client: Client, session_id: String, message: UserEvent) -> Self {
        let request = SendEventRequest { session_id, event: Some(message), request_id: String::new() };
        Self { client, request, tools: Tools::new(), confirm: None, on_event: None }
    }

    /// Who answers custom tool uses, and those of built-in tools that run at the client. A use without a handler is left
    /// open.
    pub fn tools(mut self, tools: Tools) -> Self {
        self.tools = tools;
        self
    }

    /// Who decides on uses that wait for permission. Without this they are left open.
    pub fn confirm<F, Fut>(mut self, confirm: F) -> Self
    where
        F: Fn(ToolUse) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Decision> + Send + 'static,
    {
        self.confirm = Some(Arc::new(move |used| confirm(used).boxed()));
        self
    }

    /// Is given each event of the turn.
    pub fn on_event<'b>(self, on_event: impl FnMut(&SessionEvent) + Send + 'b) -> Run<'b>
    where
        'a: 'b,
    {
        Run { on_event: Some(Box::new(on_event)), ..self }
    }

    /// The request id of the message, where the same message may be sent again by another process.
    pub fn request_id(mut self, request_id: impl Into<String>) -> Self {
        self.request.request_id = request_id.into();
        self
    }
}

impl<'a> IntoFuture for Run<'a> {
    type Output = Result<RunResult, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let session_id = self.request.session_id.clone();
            let seq = self.client.send_event(self.request).await?.seq;
            Turn::new(self.client, session_id, seq, self.tools, self.confirm, self.on_event).result().await
        }
        .boxed()
    }
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("request", &self.request).finish_non_exhaustive()
    }
}
