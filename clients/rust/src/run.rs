//! Running one message: answer what its turn asks for, and give the result when the turn is over.

use std::collections::{HashMap, HashSet};
use std::panic::resume_unwind;
use std::sync::Arc;

use futures_util::future::{AbortHandle, AbortRegistration, Abortable, BoxFuture};
use futures_util::{FutureExt, StreamExt};
use tokio::task::JoinSet;
use tonic::Code;

use crate::answers::Taken;
use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::events::{Decision, text};
use crate::follow::FollowItem;
use crate::tools::Tools;
use crate::v1::{
    ErrorEvent, PendingAction, PendingActionKind, SendEventRequest, SessionEvent, TurnResult, TurnStopReason, Usage,
    UserEvent,
};

type Confirm = Box<dyn Fn(PendingAction) -> BoxFuture<'static, Decision> + Send + Sync>;
type OnEvent<'a> = Box<dyn FnMut(&SessionEvent) + Send + 'a>;

/// How the turn of a message ended, or an outcome.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunResult {
    /// The seq of the message, which numbers its turn; or of the outcome.
    pub seq: u64,
    /// As in `status.idle`: `end_turn`, `max_tokens`, `interrupted`, `refusal`, `max_tool_rounds`, `retries_exhausted`,
    /// `error`, …; `requires_action` where nothing here can answer what the turn waits for; `dropped` where the message
    /// was dropped from the queue; `outcome_evaluated` where the turn of a message was judged; `completed`, `failed`,
    /// `archived` or `deleted` where the session ended. An outcome that is met ends in `completed`, one that is not in
    /// `max_outcome_iterations`. Empty: a reason that this version of the client does not know.
    pub stop_reason: String,
    /// What the agent said last in the turn, or for the outcome. Empty: nothing.
    pub text: String,
    /// The events of the turn, or of the outcome's turns, in order of seq.
    pub events: Vec<SessionEvent>,
    /// What the turn cost, or the outcome's turns.
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
    request: SendEventRequest,
    hands: Hands,
    on_event: Option<OnEvent<'a>>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(client: Client, session_id: String, message: UserEvent) -> Self {
        let request = SendEventRequest { session_id: session_id.clone(), event: Some(message), ..Default::default() };
        Self { request, hands: Hands { client, session_id, tools: Tools::new(), confirm: None }, on_event: None }
    }

    /// Who answers custom tool uses, and those of built-in tools that run at the client. A use without a handler is left
    /// open.
    pub fn tools(mut self, tools: Tools) -> Self {
        self.hands.tools = tools;
        self
    }

    /// Who decides on uses that wait for permission. Without this they are left open.
    pub fn confirm<F, Fut>(mut self, confirm: F) -> Self
    where
        F: Fn(PendingAction) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Decision> + Send + 'static,
    {
        self.hands.confirm = Some(Box::new(move |action| confirm(action).boxed()));
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

    /// Follows the turn to its end.
    async fn result(mut self) -> Result<RunResult, Error> {
        let seq = self.hands.client.send_event(self.request).await?.seq;
        let mut items = self.hands.client.follow(&*self.hands.session_id, seq - 1).turn(seq);
        let mut work = Work { hands: Arc::new(self.hands), tasks: JoinSet::new(), stops: HashMap::new() };
        let (mut events, mut result) = (Vec::new(), None);
        loop {
            let item = tokio::select! {
                Some(done) = work.tasks.join_next() => {
                    done.unwrap_or_else(|panicked| resume_unwind(panicked.into_panic()))?;
                    continue;
                }
                item = items.next() => item,
            };
            match item {
                Some(Ok(FollowItem::Event(event))) => {
                    if let Some(on_event) = &mut self.on_event {
                        on_event(&event);
                    }
                    events.push(*event);
                }
                Some(Ok(FollowItem::Turn(turn))) => {
                    let pending: HashSet<_> =
                        turn.pending_actions.iter().map(|use_| use_.tool_use_id.clone()).collect();
                    work.answer(turn.pending_actions);
                    result = turn.result;
                    if result.as_ref().is_some_and(|result| work.is_for_others(&result.waits_for, &pending)) {
                        break;
                    }
                }
                Some(Ok(_)) => {}
                // It took our message, so that one that is not there was deleted.
                Some(Err(error)) if error.kind() == ErrorKind::NotFound => {
                    result = None;
                    break;
                }
                Some(Err(error)) => return Err(error),
                None => break,
            }
        }
        // What is still at work answers a use that the end of the turn has closed.
        work.tasks.shutdown().await;
        // The end of a turn is told before its stream ends: a stream that ends without it ended with the session's
        // deletion.
        result.take_if(|result| result.stop_reason() == TurnStopReason::RequiresAction && items.ended().is_some());
        let stop_reason = result.as_ref().map_or("deleted".to_owned(), TurnResult::reason);
        let TurnResult { text, usage, error, waits_for, .. } = result.unwrap_or_default();
        Ok(RunResult { seq, stop_reason, text, events, usage: usage.unwrap_or_default(), error, waits_for })
    }
}

impl<'a> IntoFuture for Run<'a> {
    type Output = Result<RunResult, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.result().boxed()
    }
}

/// What a run is at work on. Dropping it stops all.
struct Work {
    hands: Arc<Hands>,
    tasks: JoinSet<Result<(), Error>>,
    /// By the id of the use, and what it waits for.
    stops: HashMap<(String, i32), AbortHandle>,
}

impl Work {
    /// Works on what is waited for, and on nothing else. What nobody here can answer is left to others.
    fn answer(&mut self, pending: Vec<PendingAction>) {
        let key = |action: &PendingAction| (action.tool_use_id.clone(), action.kind);
        let wanted: HashSet<_> = pending.iter().map(key).collect();
        // Decided, answered or closed, be it by us.
        self.stops.extract_if(|key, _| !wanted.contains(key)).for_each(|(_, stop)| stop.abort());
        for action in pending {
            let (key, hands) = (key(&action), self.hands.clone());
            if self.stops.contains_key(&key) {
                continue;
            }
            let (stop, stopped) = AbortHandle::new_pair();
            match (action.kind(), &self.hands.confirm) {
                (PendingActionKind::ToolConfirmation, Some(confirm)) => {
                    let asked = Abortable::new(confirm(action.clone()), stopped);
                    self.tasks.spawn(async move {
                        let Ok(decision) = asked.await else { return Ok(()) };
                        hands.send(action.confirmation(decision)).await
                    });
                }
                (PendingActionKind::CustomToolResult | PendingActionKind::ToolResult, _) => {
                    let Some(taken) = hands.take(&action) else { continue };
                    self.tasks.spawn(hands.call(action, taken, stopped));
                }
                _ => continue,
            }
            self.stops.insert(key, stop);
        }
    }

    /// Whether a use is waited for that nobody answered since, and none of them is in hand here.
    fn is_for_others(&self, waits_for: &[String], pending: &HashSet<String>) -> bool {
        let Hands { client, session_id, .. } = &*self.hands;
        let is_here = |use_id: &String| {
            let deciding = (use_id.clone(), PendingActionKind::ToolConfirmation.into());
            self.stops.contains_key(&deciding) || client.answers.in_hand(session_id, use_id)
        };
        waits_for.iter().any(|use_id| pending.contains(use_id)) && !waits_for.iter().any(is_here)
    }
}

/// Who answers for a session. `stopped` stops the asking; what was answered is sent in any case.
struct Hands {
    client: Client,
    session_id: String,
    tools: Tools,
    confirm: Option<Confirm>,
}

impl Hands {
    fn take(&self, action: &PendingAction) -> Option<Taken> {
        let is_ours = self.tools.0.contains_key(&action.name);
        is_ours.then(|| self.client.answers.take(&self.session_id, &action.tool_use_id))?
    }

    async fn call(
        self: Arc<Self>,
        action: PendingAction,
        mut taken: Taken,
        stopped: AbortRegistration,
    ) -> Result<(), Error> {
        let asked = Abortable::new(taken.answer(self.tools.ask(&action)), stopped).await;
        let Ok(answer) = asked else { return Ok(()) };
        match self.send(action.result(answer.content, answer.is_error)).await {
            // The handler's result is too large, say. The model is told, rather than left waiting.
            Err(error) if matches!(error.code(), Some(Code::InvalidArgument | Code::ResourceExhausted)) => {
                let told = text(format!("The tool ran, but its result was refused: {}", error.message()));
                self.send(action.result(vec![told], true)).await?;
            }
            sent => sent?,
        }
        taken.sent();
        Ok(())
    }

    /// That nobody waits for an answer any more is no failure: the stream says how the turn goes on, or that it is over.
    async fn send(&self, event: UserEvent) -> Result<(), Error> {
        match self.client.send(&*self.session_id, event).await {
            Err(error)
                if matches!(error.reason(), Some("TOOL_USE_CLOSED" | "SESSION_TERMINAL" | "SESSION_NOT_FOUND")) =>
            {
                tracing::info!(%error, "nobody waits for this answer any more");
                Ok(())
            }
            sent => sent.map(drop),
        }
    }
}
