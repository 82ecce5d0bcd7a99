//! Tools at the client, and what is confirmed first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use managedagents::v1::{PendingAction, SessionEvent};
use managedagents::{Decision, RunResult, Tools};
use serde_json::{Value, json};

use crate::support::sessions::{Stops, connected, connected_with, session, told};
use crate::support::soon;

fn kinds(result: &RunResult) -> Vec<&str> {
    result.events.iter().map(SessionEvent::kind).collect()
}

/// An agent with `bash`, whose model runs these commands at once.
fn shell(commands: &[&str]) -> Value {
    let calls: Value = commands.iter().map(|line| json!({"name": "bash", "input": {"command": line}})).collect();
    json!([{"tool_calls": calls}, {"text": "done"}])
}

fn at_client(asks: bool) -> Value {
    let mut more = json!({"tools": [{"bash": {}}], "tool_host": "TOOL_HOST_CLIENT"});
    if asks {
        more["permission_policy"] = json!({"default": "PERMISSION_MODE_PROMPT"});
    }
    more
}

fn allow(_: PendingAction) -> std::future::Ready<Decision> {
    std::future::ready(Decision::Allow)
}

#[tokio::test]
async fn a_built_in_tool_at_the_client_is_answered_by_its_handler() {
    let (_folder, _server, client) = connected().await;
    let session = session(&client, shell(&["pwd"]), at_client(false)).await;
    let bash = |given: Value| async move { format!("ran {} here", given["command"].as_str().unwrap_or_default()) };
    let result = soon(client.run(session, "go").tools(Tools::new().on("bash", bash)).into_future()).await.unwrap();
    assert_eq!((result.text.as_str(), told(&result)), ("done", vec!["ran pwd here".to_owned()]));
}

#[tokio::test]
async fn what_asks_at_the_client_is_confirmed_and_then_answered() {
    let (_folder, _server, client) = connected().await;
    let session = session(&client, shell(&["pwd"]), at_client(true)).await;
    let tools = Tools::new().on("bash", |_: Value| async { "ok" });
    let result = soon(client.run(session, "go").tools(tools).confirm(allow).into_future()).await.unwrap();
    let of_users: Vec<_> = kinds(&result).into_iter().filter(|kind| kind.starts_with("user.")).collect();
    assert_eq!(of_users, ["user.message", "user.tool_confirmation", "user.tool_result"]);
}

#[tokio::test]
async fn what_confirm_denies_is_told_to_the_model() {
    let (_folder, _server, client) = connected().await;
    let session = session(&client, shell(&["yes", "no"]), at_client(true)).await;
    let confirm = |used: PendingAction| async move {
        if used.input_json.contains("yes") { Decision::Allow } else { Decision::Deny("Not this one.".into()) }
    };
    let tools = Tools::new().on("bash", |_: Value| async { "ran" });
    let result = soon(client.run(session, "go").tools(tools).confirm(confirm).into_future()).await.unwrap();
    assert_eq!((result.text.as_str(), told(&result)), ("done", vec!["Not this one.".to_owned(), "ran".to_owned()]));
}

#[tokio::test]
async fn without_confirm_the_use_is_given_back_and_a_later_run_confirms_it_first() {
    let (_folder, _server, client) = connected_with(&["--limit", "deadline_grace=0"]).await;
    let mut more = at_client(true);
    more["custom_tool_timeout"] = "0.05s".into();
    let mut responses = shell(&["pwd"]);
    responses.as_array_mut().unwrap().push(json!({"text": "second"}));
    let session = session(&client, responses, more).await;
    let result = soon(client.run(&session, "go").into_future()).await.unwrap();
    assert_eq!((result.stop_reason.as_str(), result.waits_for.len()), ("requires_action", 1));
    let tools = Tools::new().on("bash", |_: Value| async { "ok" });
    let result = soon(client.run(&session, "two").tools(tools).confirm(allow).into_future()).await.unwrap();
    assert_eq!(result.text, "second");
}

#[tokio::test]
async fn a_confirm_that_somebody_else_was_faster_than_holds_nothing_up() {
    let (_folder, _server, client) = connected().await;
    let session = session(&client, shell(&["pwd"]), at_client(true)).await;
    let stopped = Arc::new(AtomicBool::new(false));
    let (other, id, stops) = (client.clone(), session.clone(), stopped.clone());
    let confirm = move |used: PendingAction| {
        let (other, id, stops) = (other.clone(), id.clone(), Stops(stops.clone()));
        async move {
            let _stops = stops;
            other.send(id, used.confirmation(Decision::Allow)).await.unwrap();
            std::future::pending().await
        }
    };
    let tools = Tools::new().on("bash", |_: Value| async { "ok" });
    let result = soon(client.run(session, "go").tools(tools).confirm(confirm).into_future()).await.unwrap();
    assert_eq!(result.text, "done");
    assert!(stopped.load(Ordering::SeqCst));
}
