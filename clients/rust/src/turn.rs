//! One message's turn (or an outcome's turns), from its seq to its end: answer what it asks for, and gather what it says.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tonic::Code;

use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::events::{text, text_of};
use crate::run::{Confirm, OnEvent, RunResult};
use crate::tools::Tools;
use crate::uses::ToolUse;
use crate::v1::session_event::Payload;
use crate::v1::stop_reason::Reason;
use crate::v1::{ErrorNext, SessionEvent, StatusIdle, ToolConfirmation, UserEvent};

pub(crate) struct Turn<'a> {
    client: Client,
    session_id: Arc<str>,
    tools: Arc<Tools>,
    confirm: Option<Confirm>,
    on_event: Option<OnEvent<'a>>,
    result: RunResult,
    turns: HashSet<u64>,
    is_outcome: bool,
    /// The outcome's first turn has begun.
    is_towards: bool,
    said_in: String,
    to_confirm: HashMap<String, ToolUse>,
    at_work: HashMap<String, AbortHandle>,
    tasks: JoinSet<Result<(), Error>>,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(
        client: Client,
        session_id: String,
        seq: u64,
        tools: Tools,
        confirm: Option<Confirm>,
        on_event: Option<OnEvent<'a>>,
    ) -> Self {
        Self {
            client,
            session_id: session_id.into(),
            tools: Arc::new(tools),
            confirm,
            on_event,
            result: RunResult { seq, ..Default::default() },
            turns: HashSet::from([seq]),
            is_outcome: false,
            is_towards: false,
            said_in: String::new(),
            to_confirm: HashMap::new(),
            at_work: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Follows the turn to its end. Dropping this stops the handlers and leaves the session as it is.
    pub(crate) async fn result(mut self) -> Result<RunResult, Error> {
        self.answer_earlier().await?;
        let mut events = self.client.follow(&*self.session_id, self.result.seq - 1);
        loop {
            let event = tokio::select! {
                Some(done) = self.tasks.join_next() => {
                    checked(done)?;
                    continue;
                }
                event = events.next() => event,
            };
            match event {
                Some(Ok(event)) => {
                    if self.is_over_with(event) {
                        break;
                    }
                }
                // It took our message, so it was deleted.
                Some(Err(error)) if error.kind() == ErrorKind::NotFound => {
                    self.result.stop_reason = "deleted".into();
                    break;
                }
                Some(Err(error)) => return Err(error),
                None => {
                    let reason = events.ended().map_or("", |ended| ended.reason().as_str_name());
                    self.result.stop_reason = reason.trim_start_matches("STREAM_END_REASON_").to_lowercase();
                    break;
                }
            }
        }
        // What is still at work answers a use that the end of the turn has closed.
        self.tasks.shutdown().await;
        Ok(self.result)
    }

    /// An earlier turn that waits keeps ours from beginning. Uses of our own are met again in the stream.
    async fn answer_earlier(&mut self) -> Result<(), Error> {
        let status = match self.client.status(&*self.session_id).await {
            // Deleted after it took our message; following it tells the same.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            status => status?,
        };
        for action in &status.pending_actions {
            if action.seq < self.result.seq && !self.to_confirm.contains_key(&action.tool_use_id) {
                self.look(action.into());
            }
        }
        Ok(())
    }

    fn is_over_with(&mut self, event: SessionEvent) -> bool {
        // What a message's turn within the outcome led to is judged for the outcome.
        let judged = self.is_towards && matches!(event.payload, Some(Payload::OutcomeEvaluated(_)));
        let ours = judged || self.turns.contains(&event.turn);
        self.settle(&event);
        if let Some(used) = ToolUse::of(&event) {
            self.look(used);
        }
        if ours {
            self.keep(&event);
        }
        let is_over = self.is_over(&event, ours);
        if ours {
            self.result.events.push(event);
        }
        is_over
    }

    /// Begins to answer a use, if there is who answers it.
    fn look(&mut self, used: ToolUse) {
        if used.needs_confirmation {
            self.to_confirm.insert(used.id.clone(), used.clone());
            if let Some(confirm) = self.confirm.clone() {
                let (client, session_id, id) = (self.client.clone(), self.session_id.clone(), used.id.clone());
                let task = self.tasks.spawn(async move {
                    let decision = confirm(used.clone()).await;
                    send(&client, &session_id, used.confirmation(decision)).await
                });
                self.at_work.insert(id, task);
            }
        } else if used.at_client {
            self.begin(used);
        }
    }

    fn begin(&mut self, used: ToolUse) {
        if !self.tools.has(&used.name) {
            return;
        }
        let Some(mut taken) = self.client.answers.take(&self.session_id, &used.id) else { return };
        let (client, session_id, tools) = (self.client.clone(), self.session_id.clone(), self.tools.clone());
        let id = used.id.clone();
        let task = self.tasks.spawn(async move {
            let answer = taken.answer(tools.ask(&used.name, &used.id, &used.input_json)).await;
            let sent = send(&client, &session_id, used.result(answer.content, answer.is_error)).await;
            match sent {
                // The handler's result is too large, say. The model is told, rather than left waiting.
                Err(error) if matches!(error.code(), Some(Code::InvalidArgument | Code::ResourceExhausted)) => {
                    let told = text(format!("The tool ran, but its result was refused: {}", error.message()));
                    send(&client, &session_id, used.result(vec![told], true)).await?;
                }
                sent => sent?,
            }
            taken.sent();
            Ok(())
        });
        self.at_work.insert(id, task);
    }

    /// A use was confirmed, and its result is wanted now; or it was closed, and its handler works for nothing.
    fn settle(&mut self, event: &SessionEvent) {
        let closed = match &event.payload {
            Some(Payload::UserToolConfirmation(decided)) => {
                // Else it was decided before Status told of it: what is at work is its handler.
                if let Some(used) = self.to_confirm.remove(&decided.tool_use_id) {
                    // Somebody else was faster, and nobody need be asked any more; or it is our own decision that came back.
                    if let Some(asking) = self.at_work.remove(&used.id) {
                        asking.abort();
                    }
                    if used.at_client && decided.decision() == ToolConfirmation::Allow {
                        self.begin(used);
                    }
                }
                return;
            }
            Some(Payload::AgentToolResult(result)) => &result.tool_use_id,
            Some(Payload::AgentMcpToolResult(result)) => &result.tool_use_id,
            _ => return,
        };
        if let Some(task) = self.at_work.get(closed) {
            task.abort();
        }
    }

    fn keep(&mut self, event: &SessionEvent) {
        let cost = event.response.as_ref().and_then(|response| response.usage).filter(|_| self.is_outcome);
        self.result.usage.add(cost.unwrap_or_default());
        match &event.payload {
            Some(Payload::AgentMessage(message)) => {
                let words = text_of(&message.content);
                if !words.is_empty() {
                    if event.response_id.is_empty() || event.response_id != self.said_in {
                        self.result.text.clear();
                    }
                    self.result.text += &words;
                    self.said_in.clone_from(&event.response_id);
                }
            }
            Some(Payload::Error(error)) if error.next() != ErrorNext::TurnGoesOn => {
                self.result.error = Some(error.clone());
            }
            _ => {}
        }
        if let Some(on_event) = &mut self.on_event {
            on_event(event);
        }
    }

    fn is_over(&mut self, event: &SessionEvent, ours: bool) -> bool {
        let reason = match &event.payload {
            Some(Payload::StatusIdle(idle)) => return self.is_over_at(idle, ours),
            Some(Payload::StatusCompleted(_)) => "completed",
            Some(Payload::StatusFailed(_)) => "failed",
            Some(Payload::StatusArchived(_)) => "archived",
            Some(Payload::UserDefineOutcome(_)) if event.seq == self.result.seq => {
                self.is_outcome = true;
                return false;
            }
            Some(Payload::StatusRunning(_)) if ours => {
                self.is_towards = self.is_outcome;
                return false;
            }
            Some(Payload::OutcomeEvaluated(_)) if ours && self.is_outcome => {
                self.turns.insert(event.seq);
                return false;
            }
            Some(Payload::OutcomeEvaluated(_)) if ours => "outcome_evaluated",
            _ => return false,
        };
        self.result.stop_reason = reason.into();
        true
    }

    fn is_over_at(&mut self, idle: &StatusIdle, ours: bool) -> bool {
        let reason = idle.stop_reason.as_ref().and_then(|stop| stop.reason.as_ref());
        if matches!(reason, Some(Reason::Interrupted(stop)) if stop.dropped_seqs.contains(&self.result.seq)) {
            self.result.stop_reason = "dropped".into();
            return true;
        }
        if self.is_towards && matches!(reason, Some(Reason::EndTurn(_))) {
            // A message's turn comes next, and it is judged after that one.
            return false;
        }
        if !ours && (!self.is_towards || matches!(reason, Some(Reason::RequiresAction(_)))) {
            return false;
        }
        let waits_for = match reason {
            Some(Reason::RequiresAction(waits)) => waits.ids.clone(),
            _ => Vec::new(),
        };
        let answered = |id: &String| self.at_work.contains_key(id) || self.client.answers.in_hand(&self.session_id, id);
        if waits_for.iter().any(answered) {
            return false;
        }
        self.result.stop_reason = idle.reason().into();
        self.result.waits_for = waits_for;
        if !self.is_outcome {
            self.result.usage = idle.usage.unwrap_or_default();
        }
        true
    }
}

/// Sends an answer. That nobody waits for it any more is no failure: the stream says how the turn goes on, or that it is
/// over.
async fn send(client: &Client, session_id: &str, event: UserEvent) -> Result<(), Error> {
    match client.send(session_id, event).await {
        Err(error) if matches!(error.reason(), Some("TOOL_USE_CLOSED" | "SESSION_TERMINAL" | "SESSION_NOT_FOUND")) => {
            tracing::info!(%error, "nobody waits for this answer any more");
            Ok(())
        }
        sent => sent.map(drop),
    }
}

/// What a task came to; one that was stopped came to nothing.
fn checked(done: Result<Result<(), Error>, JoinError>) -> Result<(), Error> {
    match done {
        Ok(result) => result,
        Err(stopped) if stopped.is_cancelled() => Ok(()),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
