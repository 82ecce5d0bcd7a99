//! Messages of a stream, as a service sends them.

use managedagents::v1::session_event::Payload;
use managedagents::v1::stream_events_response::Message;
use managedagents::v1::{
    AgentMessage, EventBatch, SessionEvent, StreamDelta, StreamEndReason, StreamEnded, StreamEventsResponse,
    StreamOpened, StreamProgress, stream_delta,
};

pub fn response(message: Message) -> StreamEventsResponse {
    StreamEventsResponse { message: Some(message) }
}

pub fn opened() -> StreamEventsResponse {
    opened_at(9)
}

pub fn opened_at(head_seq: u64) -> StreamEventsResponse {
    response(Message::Opened(StreamOpened { head_seq, log_id: "log_1".into(), ..Default::default() }))
}

pub fn event(seq: u64, response_id: &str) -> SessionEvent {
    let payload = Some(Payload::AgentMessage(AgentMessage::default()));
    SessionEvent { seq, payload, response_id: response_id.into(), ..Default::default() }
}

pub fn batch(first: u64, last: u64) -> StreamEventsResponse {
    batch_of((first..=last).map(|seq| event(seq, "")).collect())
}

pub fn batch_of(events: Vec<SessionEvent>) -> StreamEventsResponse {
    let through_seq = events.last().map_or(0, |event| event.seq);
    response(Message::Batch(EventBatch { events, through_seq }))
}

pub fn caught_up() -> StreamEventsResponse {
    response(Message::CaughtUp(Default::default()))
}

pub fn progress(through_seq: u64) -> StreamEventsResponse {
    response(Message::Progress(StreamProgress { through_seq }))
}

pub fn delta(text: &str) -> StreamEventsResponse {
    response(Message::Delta(StreamDelta {
        response_id: "rsp_1".into(),
        attempt: 1,
        piece: Some(stream_delta::Piece::Text(text.into())),
        ..Default::default()
    }))
}

pub fn ended(last_seq: u64) -> StreamEventsResponse {
    ended_for(StreamEndReason::Archived, last_seq)
}

pub fn ended_for(reason: StreamEndReason, last_seq: u64) -> StreamEventsResponse {
    response(Message::Ended(StreamEnded { reason: reason.into(), last_seq, r#final: true }))
}

pub fn draining(last_seq: u64) -> StreamEventsResponse {
    response(Message::Ended(StreamEnded { reason: StreamEndReason::Draining.into(), last_seq, r#final: false }))
}
