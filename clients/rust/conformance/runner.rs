//! Takes the steps of a scenario through the client, and gives its lines: tests/conformance/README.md says what they mean.

use std::time::Duration;

use managedagents::{Client, from_json, to_json, v1};
use serde_json::{Value, json};

use crate::keeping::Keeping;
use crate::lines::Told;
use crate::requests::{spelt_out, with};
use crate::running::run as run_turn;
use crate::servers::OwnServer;
use crate::streams::{Streams, replay, tell_log};

const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(scenario: &Value, server: &mut OwnServer) -> Vec<String> {
    let mut runner = Runner {
        told: Told::default(),
        agent: scenario["agent"].clone(),
        client: connected(server, &json!({})),
        server,
        agent_id: String::new(),
        session_id: String::new(),
        sessions: Vec::new(),
        streams: Streams::default(),
        keeping: Keeping::default(),
    };
    let steps = async {
        for step in scenario["steps"].as_array().expect("a list of steps") {
            for (verb, given) in step.as_object().expect("an object of one verb") {
                let given = runner.told.names.ids(given);
                runner.step(verb, given).await;
            }
        }
        for session_id in &runner.sessions {
            tell_log(&runner.client, session_id, &mut runner.told).await;
        }
    };
    if tokio::time::timeout(PATIENCE, steps).await.is_err() {
        runner.told.say("timeout".into());
    }
    runner.told.lines
}

/// Unless patience is given, refusals are to be seen, also those that the client would ask again after.
fn connected(server: &OwnServer, given: &Value) -> Client {
    let patience = Duration::from_secs_f64(given["patience"].as_f64().unwrap_or_default());
    let builder = Client::builder(server.process.address.clone()).connect_timeout(patience).patience(patience);
    let builder = match given["token"].as_str() {
        Some(token) => builder.token(token),
        None => builder,
    };
    builder.connect().expect("an address")
}

struct Runner<'a> {
    told: Told,
    agent: Value,
    client: Client,
    server: &'a mut OwnServer,
    /// The last agent and the last session: what a step leaves out.
    agent_id: String,
    session_id: String,
    sessions: Vec<String>,
    streams: Streams,
    keeping: Keeping,
}

/// One call: its request from JSON, its line from the answer; the value is the response, where there is one.
macro_rules! call {
    ($runner:ident, $verb:expr, $given:expr, $method:ident($request:ident)) => {{
        let request: v1::$request = from_json($given).unwrap_or_else(|error| panic!("{}: {error}", $verb));
        let answer = $runner.client.$method(request).await;
        match &answer {
            Ok(response) => {
                let said = $runner.told.names.stable(to_json(response), "");
                $runner.told.say(format!("{} {said}", $verb));
            }
            Err(error) => $runner.told.failure($verb, error),
        }
        answer.ok()
    }};
}

impl Runner<'_> {
    async fn step(&mut self, verb: &str, given: Value) {
        match verb {
            "connect" => self.connect(&given),
            "follow" => self.follow(with(given, "from_seq", json!(0))).await,
            "reconnect" => self.follow(with(given, "from_seq", json!(self.streams.last_seq))).await,
            "wait_for" => {
                if !self.streams.is_open() {
                    self.follow(json!({"from_seq": 0})).await;
                }
                self.streams.wait_for(&mut self.told, &given).await;
            }
            "replay" => replay(&self.client, &self.session_id, &mut self.told).await,
            "keep_following" => {
                self.keeping.go_on(&self.client, &self.session_id, &mut self.told, &given).await;
            }
            "kill" | "terminate" | "stop" | "start_again" | "by_hand" => self.on_the_server(verb, &given).await,
            _ => self.call(verb, given).await,
        }
    }

    async fn follow(&mut self, given: Value) {
        let request = with(given, "session_id", self.session_id.clone().into());
        self.streams.follow(&self.client, &mut self.told, request).await;
    }

    fn connect(&mut self, given: &Value) {
        self.streams.hang_up();
        self.keeping.leave();
        self.client = connected(self.server, given);
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
                    self.keeping.leave();
                    self.streams = Streams::default();
                }
            }
            "send" | "answer" | "confirm" | "result" => {
                let given = of_session(spelt_out(verb, given));
                call!(self, verb, given, send_event(SendEventRequest));
            }
            "run" => run_turn(&self.client, &mut self.told, &of_session(given)).await,
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
        match self.client.list_events(request).await {
            Ok(mut page) => {
                for event in std::mem::take(&mut page.events) {
                    self.told.event(&event);
                }
                let said = self.told.names.stable(to_json(&page), "");
                self.told.say(format!("list_events {said}"));
            }
            Err(error) => self.told.failure("list_events", &error),
        }
    }

    async fn on_the_server(&mut self, verb: &str, given: &Value) {
        match verb {
            "by_hand" => {
                self.server.by_hand(given).await;
                let does = given["does"].as_str().expect("what it does");
                return self.told.say(format!("by_hand {does}"));
            }
            "start_again" => {
                self.server.process.start().await;
                return self.told.say(verb.into());
            }
            "terminate" => {
                self.server.process.ask_to_end().await;
                if self.streams.is_open() {
                    self.streams.wait_for(&mut self.told, &json!({"message": "ended"})).await;
                }
                let status = self.server.process.ended().await;
                self.told.say(format!("terminate {}", status.code().unwrap_or(-1)));
            }
            _ => {
                self.streams.hang_up();
                self.server.process.kill().await;
                self.told.say(verb.into());
                if verb == "stop" {
                    return;
                }
            }
        }
        self.server.process.start().await;
        self.connect(&json!({}));
    }
}
