//! A service that says what a session would say, and the events of its turns.

use std::sync::Arc;

use managedagents::v1::session_event::Payload;
use managedagents::v1::stop_reason::Reason;
use managedagents::v1::{
    self, PendingAction, SendEventRequest, SendEventResponse, SessionEvent, StatusIdle, StatusRequest, StatusResponse,
    StopReason,
};
use tokio::sync::Semaphore;

use super::fake::{Fake, Serving};
use super::messages::{batch_of, opened};

pub fn of(turn: u64, payload: Payload) -> SessionEvent {
    SessionEvent { turn, payload: Some(payload), ..Default::default() }
}

pub fn message() -> SessionEvent {
    of(1, Payload::UserMessage(Default::default()))
}

pub fn idle(turn: u64, reason: Reason) -> SessionEvent {
    let stop_reason = Some(StopReason { reason: Some(reason) });
    of(turn, Payload::StatusIdle(StatusIdle { stop_reason, usage: None }))
}

pub fn end_turn() -> SessionEvent {
    idle(1, Reason::EndTurn(Default::default()))
}

pub fn judged(turn: u64, met: bool) -> SessionEvent {
    of(turn, Payload::OutcomeEvaluated(v1::OutcomeEvaluated { met, ..Default::default() }))
}

/// A session whose log is these events; the first is what is sent. `answered` follows when more is sent.
pub fn session(log: Vec<SessionEvent>, pending: Vec<PendingAction>, answered: Option<SessionEvent>) -> Serving {
    let sends = Arc::new(Semaphore::new(0));
    let sent = sends.clone();
    Fake::new()
        .on("SendEvent", move |_: SendEventRequest| {
            sent.add_permits(1);
            std::future::ready(Ok(SendEventResponse { seq: 1 }))
        })
        .on("Status", move |_: StatusRequest| {
            std::future::ready(Ok(StatusResponse { pending_actions: pending.clone(), ..Default::default() }))
        })
        .following(move |_, told| {
            let (log, answered, sends) = (log.clone(), answered.clone(), sends.clone());
            async move {
                told.say(opened()).await;
                let known = log.len();
                for (index, mut event) in log.into_iter().chain(answered).enumerate() {
                    if index == known {
                        sends.acquire_many(2).await.expect("it stays open").forget();
                    }
                    event.seq = index as u64 + 1;
                    told.say(batch_of(vec![event])).await;
                }
                told.closed().await;
                Ok(())
            }
        })
        .serve()
}
