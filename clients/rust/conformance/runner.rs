//! Takes the steps of a scenario through the client, and gives its lines: tests/conformance/README.md says what they mean.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use managedagents::v1::stream_events_response::Message;
use managedagents::v1::{self, SessionEvent, StreamEventsRequest, StreamEventsResponse};
use managedagents::{Client, Error, from_json, to_json};
use serde_json::{Value, json};

use crate::lines::{Names, has};
use crate::requests::{spelt_out, with};
use crate::running::run as run_turn;
use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(20);

pub async fn run(scenario: &Value, server: &mut Server) -> Vec<String> {
    let mut runner = Runner {
        lines: Vec::new(),
        agent: scenario["agent"].clone(),
        client: connected(server),
        server,
        names: Names::default(),
        agent_id: String::new(),
        session_id: String::new(),
        sessions: Vec::new(),
        stream: None,
        last_seq: 0,
        unread: VecDeque::new(),
    };
    let steps = async {
        for step in scenario["steps"].as_array().expect("a list of steps") {
            for (verb, given) in step.as_object().expect("an object of one verb") {
                let given = runner.names.ids(given);
                runner.step(verb, given).await;
            }
        }
        runner.tell_logs().await;
    };
    if tokio::time::timeout(PATIENCE, steps).await.is_err() {
        runner.lines.push("timeout".into());
    }
    runner.lines
}

/// Refusals are to be seen, also those that the client would ask again after.
fn connected(server: &Server) -> Client {
    let builder = Client::builder(server.address.clone());
    builder.connect_timeout(Duration::ZERO).patience(Duration::ZERO).connect().expect("an address")
}

struct Runner<'a> {
    lines: Vec<String>,
    agent: Value,
    client: Client,
    server: &'a mut Server,
    names: Names,
    /// The last agent and the last session: what a step leaves out.
    agent_id: String,
    session_id: String,
    sessions: Vec<String>,
    stream: Option<BoxStream<'static, Result<StreamEventsResponse, Error>>>,
    last_seq: u64,
    unread: VecDeque<SessionEvent>,
}

/// One call: its request from JSON, its line from the answer; the value is the response, where there is one.
macro_rules! call {
    ($runner:ident, $verb:expr, $given:expr, $method:ident($request:ident)) => {{
        let request: v1::$request = from_json($given).unwrap_or_else(|error| panic!("{}: {error}", $verb));
        let answer = $runner.client.$method(request).await;
        let said = match &answer {
            Ok(response) => $runner.names.stable(to_json(response), "").to_string(),
            Err(error) => $runner.names.refusal(error),
        };
        $runner.lines.push(format!("{} {said}", $verb));
        answer.ok()
    }};
}

impl Runner<'_> {
    async fn step(&mut self, verb: &str, given: Value) {
        match verb {
            "follow" => self.follow(with(given, "from_seq", json!(0))).await,
            "reconnect" => self.follow(with(given, "from_seq", json!(self.last_seq))).await,
            "wait_for" => self.wait_for(&given).await,
            "replay" => self.replay().await,
            "kill" => {
                self.hang_up();
                self.server.kill().await;
                self.lines.push("kill".into());
                self.start_again().await;
            }
            "terminate" => self.terminate().await,
            _ => self.call(verb, given).await,
        }
    }

    async fn call(&mut self, verb: &str, given: Value) {
        let of_agent = |given| with(given, "agent_id", self.agent_id.clone().into());
        let of_session = |given| with(given, "session_id", self.session_id.clone().into());
        match verb {
            "create" => {
                let given = with(given, "definition", self.agent.clone());
                if let Some(created) = call!(self, verb, given, create(CreateRequest)) {
                    self.agent_id = created.agent_id;
                }
            }
            "start" => {
                let given = of_agent(spelt_out(verb, given));
                if let Some(started) = call!(self, verb, given, start_session(StartSessionRequest))
                    && !self.sessions.contains(&started.session_id)
                {
                    self.sessions.push(started.session_id.clone());
                    self.session_id = started.session_id;
                    self.hang_up();
                    self.last_seq = 0;
                }
            }
            "send" | "answer" | "confirm" | "result" => {
                let given = of_session(spelt_out(verb, given));
                call!(self, verb, given, send_event(SendEventRequest));
            }
            "run" => self.lines.extend(run_turn(&self.client, &mut self.names, &of_session(given)).await),
            "interrupt" => drop(call!(self, verb, of_session(given), interrupt(InterruptRequest))),
            "pause" => drop(call!(self, verb, of_session(given), pause(PauseRequest))),
            "resume" => drop(call!(self, verb, of_session(given), resume(ResumeRequest))),
            "status" => drop(call!(self, verb, of_session(given), status(StatusRequest))),
            "archive" => drop(call!(self, verb, of_session(given), archive(ArchiveRequest))),
            "delete" => drop(call!(self, verb, of_session(given), delete_session(DeleteSessionRequest))),
            "get_agent" => drop(call!(self, verb, of_agent(given), get_agent(GetAgentRequest))),
            "list_agents" => drop(call!(self, verb, given, list_agents(ListAgentsRequest))),
            "update_agent" => drop(call!(self, verb, of_agent(given), update_agent(UpdateAgentRequest))),
            "archive_agent" => drop(call!(self, verb, of_agent(given), archive_agent(ArchiveAgentRequest))),
            "get_session" => drop(call!(self, verb, of_session(given), get_session(GetSessionRequest))),
            "list_sessions" => drop(call!(self, verb, of_agent(given), list_sessions(ListSessionsRequest))),
            "list_events" => self.list_events(of_session(given)).await,
            _ => panic!("a verb that this runner does not know: {verb}"),
        }
    }

    async fn list_events(&mut self, given: Value) {
        let request: v1::ListEventsRequest = from_json(given).expect("a request");
        let line = match self.client.list_events(request).await {
            Ok(mut page) => {
                for event in std::mem::take(&mut page.events) {
                    self.lines.push(self.names.event(&event));
                }
                self.names.stable(to_json(&page), "").to_string()
            }
            Err(error) => self.names.refusal(&error),
        };
        self.lines.push(format!("list_events {line}"));
    }

    // Following.

    async fn follow(&mut self, given: Value) {
        self.hang_up();
        let given = with(given, "session_id", self.session_id.clone().into());
        let mut stream = self.client.stream_events(from_json(given).expect("a request"));
        let line = match stream.next().await {
            Some(Ok(StreamEventsResponse { message: Some(Message::Opened(opened)) })) => {
                self.names.name(opened.log_id, "logId")
            }
            Some(Err(error)) => self.names.refusal(&error),
            other => format!("did not open: {other:?}"),
        };
        self.lines.push(format!("follow {line}"));
        self.stream = Some(stream);
    }

    fn hang_up(&mut self) {
        self.stream = None;
        self.unread.clear();
    }

    async fn wait_for(&mut self, given: &Value) {
        if self.stream.is_none() {
            self.follow(json!({"from_seq": 0})).await;
        }
        let nothing = json!({});
        let wanted = given.get("has").unwrap_or(&nothing);
        loop {
            while let Some(event) = self.unread.pop_front() {
                self.last_seq = event.seq;
                self.lines.push(self.names.event(&event));
                if given["kind"] == event.kind() && has(&self.names.payload(&event), wanted) {
                    return;
                }
            }
            let stream = self.stream.as_mut().expect("it was opened");
            let Some(Ok(StreamEventsResponse { message: Some(message) })) = stream.next().await else {
                self.lines.push("cut".into());
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
                Message::Opened(_) | Message::DeltaDiscarded(_) | Message::Turn(_) => continue,
            };
            if name != "ended" && given["message"] != name {
                // Nothing of it is named: whether it came is a matter of chance.
                continue;
            }
            let mut said = self.names.stable(said, "");
            if name == "ended" || has(&said, wanted) {
                if name == "delta" {
                    // How much of the answer is in it is a matter of chance.
                    said = json!({"attempt": said["attempt"], "responseId": said["responseId"]});
                }
                self.lines.push(format!("{name} {said}"));
                return;
            }
        }
    }

    /// From every position what comes is the rest of the log.
    async fn replay(&mut self) {
        let log = self.log(&self.session_id.clone()).await.expect("a log");
        for start in 0..=log.len() {
            let request = StreamEventsRequest {
                session_id: self.session_id.clone(),
                from_seq: Some(start as u64),
                ..Default::default()
            };
            let mut stream = self.client.stream_events(request);
            let mut lines = Vec::new();
            while let Some(Ok(StreamEventsResponse { message })) = stream.next().await {
                match message {
                    Some(Message::Batch(batch)) => {
                        lines.extend(batch.events.iter().map(|event| self.names.event(event)));
                    }
                    Some(Message::CaughtUp(_)) => break,
                    _ => {}
                }
            }
            if lines != log[start..] {
                self.lines.push(format!("replay differs from {start}"));
            }
        }
        self.lines.push(format!("replay {} events", log.len()));
    }

    async fn log(&mut self, session_id: &str) -> Result<Vec<String>, Error> {
        let request = v1::ListEventsRequest { page_size: 1000, ..session_id.into() };
        let mut events = self.client.events(request);
        let mut lines = Vec::new();
        while let Some(event) = events.next().await {
            lines.push(self.names.event(&event?));
        }
        Ok(lines)
    }

    /// How many events each session's log has in the end, and those that were not told before.
    async fn tell_logs(&mut self) {
        for session_id in self.sessions.clone() {
            let name = self.names.name(session_id.clone(), "");
            match self.log(&session_id).await {
                Ok(log) => {
                    let told: HashSet<_> = self.lines.iter().cloned().collect();
                    self.lines.push(format!("log {name} {} events", log.len()));
                    self.lines.extend(log.into_iter().filter(|line| !told.contains(line)));
                }
                Err(error) => {
                    let said = self.names.refusal(&error);
                    self.lines.push(format!("log {name} {said}"));
                }
            }
        }
    }

    // The server.

    async fn terminate(&mut self) {
        self.server.ask_to_end().await;
        if self.stream.is_some() {
            self.wait_for(&json!({"message": "ended"})).await;
        }
        let status = self.server.ended().await;
        self.lines.push(format!("terminate {}", status.code().unwrap_or(-1)));
        self.hang_up();
        self.start_again().await;
    }

    async fn start_again(&mut self) {
        self.server.start().await;
        self.client = connected(self.server);
    }
}
