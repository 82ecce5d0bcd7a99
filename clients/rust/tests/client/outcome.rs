//! Runs of an outcome.

use managedagents::v1;
use managedagents::v1::session_event::Payload;
use managedagents::{Tools, from_json, outcome_event};
use serde_json::{Value, json};

use crate::support::sessions::{calls, connected, told};
use crate::support::soon;

/// A session of an agent with a tool `a` that its model calls before it says `one`, then before `two`.
async fn graded(client: &managedagents::Client, grader: Value) -> String {
    let responses = json!([calls(&["a"]), {"text": "one"}, calls(&["a"]), {"text": "two"}]);
    let model = json!({"scripted": {"responses": responses, "grader": grader}});
    let agent = json!({"name": "test", "model": model, "tools": [{"custom": {"name": "a"}}]});
    let agent = client.create(from_json::<v1::AgentDefinition>(agent).unwrap()).await.unwrap();
    client.start_session(agent.agent_id).await.unwrap().session_id
}

#[tokio::test]
async fn a_session_works_until_its_outcome_is_met() {
    let (_folder, _server, client) = connected().await;
    let session = graded(&client, json!([{"reason": "no"}, {"met": true, "reason": "yes"}])).await;
    let tools = Tools::new().on("a", |_: Value| async { "ok" });
    let result = soon(client.run(session, outcome_event("two", 5)).tools(tools).into_future()).await.unwrap();
    assert_eq!((result.stop_reason.as_str(), result.text.as_str()), ("completed", "two"));
    assert_eq!((told(&result), result.usage.requests), (vec!["ok".to_owned(); 2], 6));
    let Some(Payload::UserDefineOutcome(outcome)) = &result.events[0].payload else { panic!("no outcome") };
    assert_eq!(outcome.max_iterations, Some(5));
}

#[tokio::test]
async fn an_outcome_that_is_not_met_says_so_and_a_second_one_is_refused_meanwhile() {
    let (_folder, _server, client) = connected().await;
    let session = graded(&client, json!([{"reason": "no"}])).await;
    let (other, id) = (client.clone(), session.clone());
    let tools =
        Tools::new().on("a", move |_: Value| {
            let (other, id) = (other.clone(), id.clone());
            async move {
                format!("{:?}", other.send(id, outcome_event("another", None)).await.map_err(|error| error.kind()))
            }
        });
    let result = soon(client.run(session, outcome_event("three", 2)).tools(tools).into_future()).await.unwrap();
    assert_eq!((result.stop_reason.as_str(), result.text.as_str()), ("max_outcome_iterations", "two"));
    assert_eq!(told(&result), ["Err(OutcomeActive)"; 2]);
}
