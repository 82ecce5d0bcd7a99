//! Runs of an outcome: first against a service that says what a session would say, then against a real one.

use managedagents::v1::session_event::Payload;
use managedagents::v1::stop_reason::Reason;
use managedagents::v1::{self, ModelResponse, SessionEvent, Usage, user_event};
use managedagents::{RunResult, Tools, from_json, outcome_event, text};
use serde_json::{Value, json};

use crate::support::sessions::{calls, connected, told};
use crate::support::soon;
use crate::support::turns::{self, end_turn, idle, judged, of};

fn defined() -> SessionEvent {
    let Some(user_event::Event::UserDefineOutcome(outcome)) = outcome_event("good", None).event else { unreachable!() };
    of(1, Payload::UserDefineOutcome(outcome))
}

fn running() -> SessionEvent {
    of(1, Payload::StatusRunning(Default::default()))
}

fn completed() -> SessionEvent {
    of(0, Payload::StatusCompleted(Default::default()))
}

fn says(turn: u64, words: &str) -> SessionEvent {
    of(turn, Payload::AgentMessage(v1::AgentMessage { content: vec![text(words)] }))
}

fn interrupted(dropped_seqs: &[u64]) -> SessionEvent {
    idle(9, Reason::Interrupted(v1::Interrupted { dropped_seqs: dropped_seqs.to_vec() }))
}

async fn works(log: Vec<SessionEvent>) -> RunResult {
    let serving = turns::session(log, vec![], None);
    soon(serving.client().run("ses_1", outcome_event("good", None)).into_future()).await.unwrap()
}

#[tokio::test]
async fn a_run_of_an_outcome_ends_where_the_outcome_does() {
    let not_met = || idle(1, Reason::MaxOutcomeIterations(Default::default()));
    let refused = || idle(5, Reason::Refusal(Default::default()));
    let ends = || idle(9, Reason::EndTurn(Default::default()));
    let waits = || idle(9, Reason::RequiresAction(v1::RequiresAction { ids: vec!["use_5".into()] }));
    let archived = || of(0, Payload::StatusArchived(Default::default()));
    let met_at_second = vec![defined(), running(), judged(1, false), says(3, "better"), judged(3, true), completed()];
    // A message is queued behind it: 4 is its turn, and what it led to is judged.
    let with_a_message = vec![defined(), running(), end_turn(), says(4, "to you"), judged(4, false), refused()];
    let cases: [(_, _, &[u64]); 6] = [
        (met_at_second, "completed", &[1, 2, 3, 4, 5]),
        (vec![defined(), running(), judged(1, false), not_met()], "max_outcome_iterations", &[1, 2, 3, 4]),
        (with_a_message, "refusal", &[1, 2, 3, 5, 6]),
        (vec![defined(), running(), judged(1, false), ends(), interrupted(&[])], "interrupted", &[1, 2, 3]),
        (vec![defined(), running(), judged(1, false), waits(), judged(3, true), archived()], "archived", &[1, 2, 3, 5]),
        (vec![defined(), interrupted(&[]), interrupted(&[1])], "dropped", &[1]),
    ];
    for (log, stop_reason, seqs) in cases {
        let result = works(log).await;
        assert_eq!(result.stop_reason, stop_reason);
        assert_eq!(result.events.iter().map(|event| event.seq).collect::<Vec<_>>(), seqs, "{stop_reason}");
    }
}

#[tokio::test]
async fn a_run_of_an_outcome_sums_up_what_its_turns_cost() {
    let cost = |output_tokens, event| {
        let model_time = Some(prost_types::Duration { seconds: 1, nanos: 600_000_000 });
        let usage = Some(Usage { requests: 1, output_tokens, model_time, ..Default::default() });
        SessionEvent { response: Some(ModelResponse { usage, ..Default::default() }), ..event }
    };
    let (ours, theirs) = (cost(5, says(1, "done")), cost(7, says(9, "hello")));
    let result = works(vec![defined(), running(), ours, theirs, cost(0, judged(1, true)), completed()]).await;
    assert_eq!((result.text.as_str(), result.usage.requests, result.usage.output_tokens), ("done", 2, 5));
    assert_eq!(result.usage.model_time, Some(prost_types::Duration { seconds: 3, nanos: 200_000_000 }));
}

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
