//! Real servers, and sessions of agents that need no model.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use managedagents::v1::session_event::Payload;
use managedagents::v1::{AgentDefinition, StartSessionRequest};
use managedagents::{Client, RunResult, from_json, text_of};
use serde_json::{Value, json};

use super::server::Server;

/// A server on a file of its own, and a client of it. The folder is gone when the first is dropped.
pub async fn connected() -> (tempfile::TempDir, Server, Client) {
    connected_with(&[]).await
}

pub async fn connected_with(flags: &[&str]) -> (tempfile::TempDir, Server, Client) {
    let folder = tempfile::tempdir().expect("a folder");
    let flags: Vec<_> = flags.iter().map(ToString::to_string).collect();
    let server = Server::started(folder.path().join("log.db"), &flags).await;
    let client = Client::connect(&*server.address).expect("an address");
    (folder, server, client)
}

/// An agent whose model answers this; `more` is what else stands in its definition.
pub fn definition(responses: Value, more: Value) -> AgentDefinition {
    let mut definition = json!({"name": "test", "model": {"scripted": {"responses": responses}}});
    definition.as_object_mut().expect("an object").append(&mut more.as_object().expect("an object").clone());
    from_json(definition).expect("a definition")
}

/// A new session of a new agent.
pub async fn session(client: &Client, responses: Value, more: Value) -> String {
    let agent = client.create(definition(responses, more)).await.expect("an agent");
    let request = StartSessionRequest::from(agent.agent_id);
    client.start_session(request).await.expect("a session").session_id
}

/// A response that calls these custom tools at once.
pub fn calls(names: &[&str]) -> Value {
    let calls: Value = names.iter().map(|name| json!({"name": name, "input": {"of": name}})).collect();
    json!({"text": "wait", "tool_calls": calls})
}

/// The custom tools of a definition.
pub fn custom(names: &[&str]) -> Value {
    json!({"tools": names.iter().map(|name| json!({"custom": {"name": name}})).collect::<Value>()})
}

/// The texts that answered tool uses, sorted.
pub fn told(result: &RunResult) -> Vec<String> {
    let texts = result.events.iter().filter_map(|event| match event.payload.as_ref()? {
        Payload::UserCustomToolResult(result) => Some(text_of(&result.content)),
        Payload::UserToolResult(result) => Some(text_of(&result.content)),
        Payload::AgentToolResult(result) => Some(text_of(&result.content)),
        _ => None,
    });
    let mut texts: Vec<_> = texts.collect();
    texts.sort();
    texts
}

/// Says that it was dropped.
pub struct Stops(pub Arc<AtomicBool>);

impl Drop for Stops {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
