//! The streams of a scenario, one at a time: each as it is, without a follow that hides where one ends.

use std::collections::{HashSet, VecDeque};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use managedagents::v1::stream_events_response::Message;
use managedagents::v1::{self, SessionEvent, StreamEventsRequest, StreamEventsResponse};
use managedagents::{Client, Error, from_json, to_json};
use serde_json::{Value, json};

use crate::lines::{Told, has};

#[derive(Default)]
pub struct Streams {
    /// Of the event that was read last; 0: none was.
    pub last_seq: u64,
    stream: Option<BoxStream<'static, Result<StreamEventsResponse, Error>>>,
    unread: VecDeque<SessionEvent>,
}

impl Streams {
    pub fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    pub fn hang_up(&mut self) {
        self.stream = None;
        self.unread.clear();
    }

    pub async fn follow(&mut self, client: &Client, told: &mut Told, request: Value) {
        self.hang_up();
        let mut stream = client.stream_events(from_json(request).expect("a request"));
        match stream.next().await {
            Some(Ok(StreamEventsResponse { message: Some(Message::Opened(opened)) })) => {
                let log = told.names.name(opened.log_id, "logId");
                told.say(format!("follow {log}"));
            }
            Some(Err(error)) => told.failure("follow", &error),
            other => panic!("the stream did not open: {other:?}"),
        }
        self.stream = Some(stream);
    }

    /// Reads up to what is waited for, or to the end.
    pub async fn wait_for(&mut self, told: &mut Told, given: &Value) {
        let nothing = json!({});
        let wanted = given.get("has").unwrap_or(&nothing);
        loop {
            while let Some(event) = self.unread.pop_front() {
                self.last_seq = event.seq;
                told.event(&event);
                if given["kind"] == event.kind() && has(&told.names.payload(&event), wanted) {
                    return;
                }
            }
            let stream = self.stream.as_mut().expect("it was opened");
            let Some(Ok(StreamEventsResponse { message: Some(message) })) = stream.next().await else {
                told.say("cut".into());
                return;
            };
            let (name, said) = match message {
                Message::Batch(batch) => {
                    self.unread.extend(batch.events);
                    continue;
                }
                Message::CaughtUp(caught_up) => ("caught_up", to_json(&caught_up)),
                Message::Delta(delta) => ("delta", to_json(&delta)),
                Message::Progress(progress) => ("progress", to_json(&progress)),
                Message::Ended(ended) => ("ended", to_json(&ended)),
                Message::Turn(turn) => ("turn", to_json(&turn)),
                Message::Opened(_) | Message::DeltaDiscarded(_) => continue,
            };
            if name != "ended" && given["message"] != name {
                // Nothing of it is named: whether it came is a matter of chance.
                continue;
            }
            let mut said = told.names.stable(said, "");
            if name == "ended" || has(&said, wanted) {
                if name == "delta" {
                    // How much of the answer is in it is a matter of chance.
                    said = json!({"attempt": said["attempt"], "responseId": said["responseId"]});
                }
                told.say(format!("{name} {said}"));
                return;
            }
        }
    }
}

/// From every position what comes is the rest of the log.
pub async fn replay(client: &Client, session_id: &str, told: &mut Told) {
    let log = log(client, session_id, told).await.expect("a log");
    for start in 0..=log.len() {
        let request = StreamEventsRequest {
            session_id: session_id.to_owned(),
            from_seq: Some(start as u64),
            ..Default::default()
        };
        let mut stream = client.stream_events(request);
        let mut lines = Vec::new();
        while let Some(Ok(StreamEventsResponse { message })) = stream.next().await {
            match message {
                Some(Message::Batch(batch)) => {
                    lines.extend(batch.events.iter().map(|event| told.names.event(event)));
                }
                Some(Message::CaughtUp(_)) => break,
                _ => {}
            }
        }
        if lines != log[start..] {
            told.say(format!("replay differs from {start}"));
        }
    }
    told.say(format!("replay {} events", log.len()));
}

/// How many events the session's log has, and those that were not told before.
pub async fn tell_log(client: &Client, session_id: &str, told: &mut Told) {
    let name = told.names.name(session_id.to_owned(), "");
    match log(client, session_id, told).await {
        Ok(log) => {
            let before: HashSet<_> = told.lines.iter().cloned().collect();
            told.say(format!("log {name} {} events", log.len()));
            told.lines.extend(log.into_iter().filter(|line| !before.contains(line)));
        }
        Err(error) => told.failure(&format!("log {name}"), &error),
    }
}

async fn log(client: &Client, session_id: &str, told: &mut Told) -> Result<Vec<String>, Error> {
    let request = v1::ListEventsRequest { page_size: 1000, ..session_id.into() };
    let mut events = client.events(request);
    let mut lines = Vec::new();
    while let Some(event) = events.next().await {
        lines.push(told.names.event(&event?));
    }
    Ok(lines)
}
