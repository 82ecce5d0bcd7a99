//! A session that says where a turn stands.

use std::sync::Arc;

use managedagents::v1::session_event::Payload;
use managedagents::v1::stream_events_response::Message;
use managedagents::v1::{
    EventBatch, PendingAction, PendingActionKind, SendEventRequest, SendEventResponse, SessionEvent, StreamEndReason,
    StreamEventsRequest, StreamEventsResponse, StreamTurn, TurnResult, TurnStopReason, user_event,
};
use managedagents::{RunResult, Tools};
use tokio::sync::watch;

use super::fake::{Fake, Serving};
use super::messages::{ended_for, opened, response};
use super::soon;

/// Of a session's stream.
#[derive(Clone)]
pub enum Step {
    Says(StreamEventsResponse),
    /// So many events were sent to the session, the message included.
    Sent(usize),
}

pub fn message(seq: u64) -> Step {
    let payload = Some(Payload::UserMessage(Default::default()));
    let events = vec![SessionEvent { seq, turn: 1, payload, ..Default::default() }];
    Step::Says(response(Message::Batch(EventBatch { events, through_seq: seq })))
}

/// What is waited for: `bash` is answered with its result, `asks` is a `bash` that asks for permission, all else is custom.
pub fn action(name: &str, id: &str) -> PendingAction {
    let (name, kind) = match name {
        "bash" => ("bash", PendingActionKind::ToolResult),
        "asks" => ("bash", PendingActionKind::ToolConfirmation),
        custom => (custom, PendingActionKind::CustomToolResult),
    };
    let (tool_use_id, name, input_json) = (id.to_owned(), name.to_owned(), "{}".to_owned());
    PendingAction { tool_use_id, name, kind: kind.into(), input_json, ..Default::default() }
}

/// The turn goes on, and waits for these.
pub fn waits<const N: usize>(pending_actions: [PendingAction; N]) -> Step {
    let pending_actions = pending_actions.to_vec();
    Step::Says(response(Message::Turn(StreamTurn { pending_actions, result: None })))
}

/// It waits for this beyond its deadline.
pub fn waits_beyond(action: PendingAction) -> Step {
    let result = Some(requires_action(&action.tool_use_id));
    Step::Says(response(Message::Turn(StreamTurn { pending_actions: vec![action], result })))
}

/// It did, and somebody answered.
pub fn waits_no_more(use_id: &str) -> Step {
    let result = Some(requires_action(use_id));
    Step::Says(response(Message::Turn(StreamTurn { pending_actions: vec![], result })))
}

fn requires_action(use_id: &str) -> TurnResult {
    let stop_reason = TurnStopReason::RequiresAction.into();
    TurnResult { stop_reason, waits_for: vec![use_id.to_owned()], ..Default::default() }
}

pub fn over(result: TurnResult) -> [Step; 2] {
    let turn = StreamTurn { result: Some(result), ..Default::default() };
    let ended = ended_for(StreamEndReason::TurnOver, 9);
    [response(Message::Turn(turn)), ended].map(Step::Says)
}

pub fn end_turn() -> [Step; 2] {
    over(TurnResult { stop_reason: TurnStopReason::EndTurn.into(), ..Default::default() })
}

/// A session whose stream is these steps.
pub fn session(steps: impl IntoIterator<Item = Step>) -> Serving {
    let steps: Vec<_> = steps.into_iter().collect();
    let sends = Arc::new(watch::Sender::new(0));
    let sent = sends.clone();
    Fake::new()
        .on("SendEvent", move |_: SendEventRequest| {
            sent.send_modify(|sent| *sent += 1);
            std::future::ready(Ok(SendEventResponse { seq: 1 }))
        })
        .following(move |request: StreamEventsRequest, told| {
            assert_eq!((request.turn, request.from_seq), (1, Some(0)));
            let (steps, mut sends) = (steps.clone(), sends.subscribe());
            async move {
                told.say(opened()).await;
                for step in steps {
                    match step {
                        Step::Says(message) => told.say(message).await,
                        Step::Sent(count) => drop(sends.wait_for(|sent| *sent >= count).await.expect("it is served")),
                    }
                }
                told.closed().await;
                Ok(())
            }
        })
        .serve()
}

/// What was sent after the message.
pub fn sent(serving: &Serving) -> Vec<user_event::Event> {
    let requests: Vec<SendEventRequest> = serving.asked("SendEvent");
    requests.into_iter().skip(1).map(|request| request.event.unwrap().event.unwrap()).collect()
}

pub async fn runs(serving: &Serving, tools: Tools) -> RunResult {
    soon(serving.client().run("ses_1", "go").tools(tools).into_future()).await.unwrap()
}
