//! The client against a real server process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::{StreamExt, TryStreamExt};
use managedagents::v1::session_event::Payload;
use managedagents::v1::{
    Agent, GetAgentRequest, InterruptRequest, ListAgentsRequest, ListEventsRequest, ListSessionsRequest, Session,
    SessionEvent, StartSessionRequest, StreamEndReason, UpdateAgentRequest,
};
use managedagents::{ErrorKind, FollowItem, Tools, text};
use serde_json::{Value, json};
use tokio::sync::{Barrier, Notify};

use crate::support::sessions::{Stops, calls, connected, connected_with, custom, definition, session, told};
use crate::support::soon;

#[tokio::test]
async fn a_run_answers_tools_at_once_and_gives_the_last_words() {
    let (_folder, _server, client) = connected().await;
    let responses = json!([calls(&["a", "b", "broken"]), {"text": "done"}]);
    let session = session(&client, responses, custom(&["a", "b", "broken"])).await;
    let both = Arc::new(Barrier::new(2));
    let meet = move |given: Value| {
        let both = both.clone();
        async move {
            both.wait().await;
            given
        }
    };
    let broken = |_: Value| async { Err::<(), _>(std::io::Error::other("broken")) };
    let tools = Tools::new().on("a", meet.clone()).on("b", meet).on("broken", broken);
    let mut seen = Vec::new();
    let run = client.run(session, "go").tools(tools).on_event(|event| seen.push(event.seq));
    let result = soon(run.into_future()).await.unwrap();
    assert_eq!((result.stop_reason.as_str(), result.text.as_str()), ("end_turn", "done"));
    assert_eq!(seen, (1..=seen.len() as u64).collect::<Vec<_>>());
    assert_eq!(seen, result.events.iter().map(|event| event.seq).collect::<Vec<_>>());
    assert_eq!(told(&result), ["The tool failed: broken", r#"{"of":"a"}"#, r#"{"of":"b"}"#]);
    assert_eq!(result.usage.requests, 2);
}

#[tokio::test]
async fn two_runs_of_one_client_call_the_handler_of_a_use_once() {
    let (_folder, _server, client) = connected().await;
    let responses = json!([calls(&["a"]), {"text": "first"}, {"text": "second"}]);
    let session = session(&client, responses, custom(&["a"])).await;
    let (begun, go_on, called) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (begins, goes_on, calls) = (begun.clone(), go_on.clone(), called.clone());
    let tools = Tools::new().on("a", move |_: Value| {
        calls.fetch_add(1, Ordering::SeqCst);
        begins.notify_one();
        let goes_on = goes_on.clone();
        async move {
            goes_on.notified().await;
            "ok"
        }
    });
    let first = tokio::spawn(client.run(&session, "one").tools(tools.clone()).into_future());
    soon(begun.notified()).await;
    let second = tokio::spawn(client.clone().run(&session, "two").tools(tools).into_future());
    soon(client.follow(&session, 0).kinds(["user.message"]).skip(1).next()).await.unwrap().unwrap();
    go_on.notify_one();
    assert_eq!(soon(first).await.unwrap().unwrap().text, "first");
    assert_eq!(soon(second).await.unwrap().unwrap().text, "second");
    assert_eq!(called.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_use_is_answered_after_its_deadline() {
    let (_folder, _server, client) = connected_with(&["--limit", "deadline_grace=0"]).await;
    let mut more = custom(&["late"]);
    more["custom_tool_timeout"] = "0.2s".into();
    let session = session(&client, json!([calls(&["late"]), {"text": "done"}]), more).await;
    let waited = Arc::new(Notify::new());
    let waiting = waited.clone();
    let tools = Tools::new().on("late", move |_: Value| {
        let waiting = waiting.clone();
        async move {
            waiting.notified().await;
            "ok"
        }
    });
    let run = client.run(session, "go").tools(tools).on_event(|event| {
        if matches!(&event.payload, Some(Payload::StatusIdle(idle)) if idle.reason() == "requires_action") {
            waited.notify_one();
        }
    });
    let result = soon(run.into_future()).await.unwrap();
    assert_eq!((result.stop_reason.as_str(), result.text.as_str()), ("end_turn", "done"));
}

#[tokio::test]
async fn what_has_no_handler_stays_open_and_the_turn_is_given_back() {
    let (_folder, _server, client) = connected_with(&["--limit", "deadline_grace=0"]).await;
    let mut more = custom(&["ours", "theirs"]);
    more["custom_tool_timeout"] = "0.05s".into();
    let session = session(&client, json!([calls(&["ours", "theirs"]), {"text": "done"}]), more).await;
    let tools = Tools::new().on("ours", |_: Value| async { "ok" });
    let result = soon(client.run(&session, "go").tools(tools).into_future()).await.unwrap();
    assert_eq!(result.stop_reason, "requires_action");
    let waits: Vec<_> = client.status(&session).await.unwrap().pending_actions;
    assert_eq!(waits.iter().map(|action| action.name.as_str()).collect::<Vec<_>>(), ["theirs"]);
    assert_eq!(result.waits_for, [waits[0].tool_use_id.clone()]);
    let answer = waits[0].result(vec![text("theirs")], false);
    client.send(&session, answer).await.unwrap();
    soon(client.follow(&session, 0).kinds(["agent.message"]).skip(1).next()).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_interrupt_stops_the_handler_and_ends_the_run() {
    let (_folder, _server, client) = connected().await;
    let session = session(&client, json!([calls(&["a"]), {"text": "done"}]), custom(&["a"])).await;
    let stopped = Arc::new(AtomicBool::new(false));
    let (other, id, stops) = (client.clone(), session.clone(), stopped.clone());
    let tools = Tools::new().on("a", move |_: Value| {
        let (other, id, stops) = (other.clone(), id.clone(), Stops(stops.clone()));
        async move {
            let _stops = stops;
            other.interrupt(id).await.unwrap();
            std::future::pending::<String>().await
        }
    });
    let result = soon(client.run(session, "go").tools(tools).into_future()).await.unwrap();
    assert_eq!(result.stop_reason, "interrupted");
    assert!(stopped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_dropped_message_ends_its_run() {
    let (_folder, _server, client) = connected().await;
    let session = session(&client, json!([{"text": "slow", "delay": "60s"}]), json!({})).await;
    client.send(&session, "one").await.unwrap();
    let run = tokio::spawn(client.run(&session, "two").into_future());
    soon(client.follow(&session, 0).kinds(["user.message"]).skip(1).next()).await.unwrap().unwrap();
    let drops = InterruptRequest { drop_queued: true, ..(&session).into() };
    client.interrupt(drops).await.unwrap();
    assert_eq!(soon(run).await.unwrap().unwrap().stop_reason, "dropped");
}

#[tokio::test]
async fn a_session_that_ends_ends_its_runs_and_follows() {
    let (_folder, _server, client) = connected().await;
    let session = session(&client, json!([{"text": "slow", "delay": "60s"}]), json!({})).await;
    let mut follow = client.follow(&session, 0);
    let run = tokio::spawn(client.run(&session, "one").into_future());
    soon(follow.next()).await.unwrap().unwrap();
    client.delete_session(&session).await.unwrap();
    assert_eq!(soon(run).await.unwrap().unwrap().stop_reason, "deleted");
    while let Some(event) = soon(follow.next()).await {
        event.unwrap();
    }
    assert_eq!(follow.ended().unwrap().reason(), StreamEndReason::Deleted);
    assert_eq!(client.status(&session).await.unwrap_err().reason(), Some("SESSION_NOT_FOUND"));
}

#[tokio::test]
async fn every_call_of_the_client_works() {
    let (_folder, _server, client) = connected().await;
    let hi = definition(json!([{"text": "hi"}]), json!({"metadata": {"k": "v"}}));
    let agent_id = client.create(hi.clone()).await.unwrap().agent_id;
    let first = GetAgentRequest { version: Some(1), ..(&agent_id).into() };
    assert_eq!(client.get_agent(first).await.unwrap().agent.unwrap().definition.unwrap().name, "test");
    let with = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let agents = ListAgentsRequest { metadata: with("k", "v"), ..Default::default() };
    let agents: Vec<Agent> = client.agents(agents).try_collect().await.unwrap();
    assert_eq!(agents.iter().map(|agent| agent.version).collect::<Vec<_>>(), [1]);
    let update =
        UpdateAgentRequest { agent_id: agent_id.clone(), version: 1, definition: Some(hi), ..Default::default() };
    assert_eq!(client.update_agent(update).await.unwrap().version, 2);

    let metadata = with("s", "1");
    let start = StartSessionRequest { metadata, initial_events: vec!["hello".into()], ..(&agent_id).into() };
    let started = client.start_session(start).await.unwrap();
    assert!(started.head_seq >= 1);
    let id = started.session_id;
    assert!(client.pause(&id).await.unwrap().seq > 0);
    assert!(client.status(&id).await.unwrap().paused);
    assert!(client.resume(&id).await.unwrap().seq > 0);
    assert_eq!(soon(client.run(&id, "again").into_future()).await.unwrap().text, "hi");
    assert_eq!(client.get_session(&id).await.unwrap().session.unwrap().metadata, with("s", "1"));
    let sessions = ListSessionsRequest { metadata: with("s", "1"), ..Default::default() };
    let sessions: Vec<Session> = client.sessions(sessions).try_collect().await.unwrap();
    assert_eq!(sessions.iter().map(|session| &session.session_id).collect::<Vec<_>>(), [&id]);
    let head = client.status(&id).await.unwrap().head_seq;
    let events = ListEventsRequest { from_seq: 1, page_size: 2, ..(&id).into() };
    let events: Vec<SessionEvent> = client.events(events).try_collect().await.unwrap();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), (2..=head).collect::<Vec<_>>());
    assert_eq!(client.archive(&id).await.unwrap().seq, head + 1);
    let late = client.send(&id, "too late").await.unwrap_err();
    assert_eq!((late.kind(), late.metadata()["status"].as_str()), (ErrorKind::SessionTerminal, "ARCHIVED"));
    client.archive_agent(&agent_id).await.unwrap();
    let agents: Vec<Agent> = client.agents(ListAgentsRequest::default()).try_collect().await.unwrap();
    assert!(agents.is_empty());
    let error = client.create(managedagents::v1::AgentDefinition::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.violations().iter().any(|violation| violation.field == "definition.name"));
}

#[tokio::test]
async fn a_turn_that_is_followed_says_what_it_waits_for_and_ends_the_follow() {
    let (_folder, _server, client) = connected().await;
    let session = session(&client, json!([calls(&["a"]), {"text": "done"}]), custom(&["a"])).await;
    let seq = client.send(&session, "go").await.unwrap();
    client.send(&session, "another").await.unwrap();
    let mut items = client.follow(&session, 0).turn(seq);
    let mut result = None;
    while let Some(item) = soon(items.next()).await {
        match item.unwrap() {
            FollowItem::Event(event) => assert_eq!(event.turn, seq),
            FollowItem::Turn(turn) => {
                for action in &turn.pending_actions {
                    client.send(&session, action.result(vec![text("ok")], false)).await.unwrap();
                }
                result = turn.result;
            }
            other => panic!("{other:?}"),
        }
    }
    let result = result.unwrap();
    assert_eq!((result.reason().as_str(), result.text.as_str()), ("end_turn", "done"));
    assert_eq!(items.ended().unwrap().reason(), StreamEndReason::TurnOver);
}

#[tokio::test]
async fn deltas_join_to_the_text_that_follows() {
    let (_folder, _server, client) = connected().await;
    let words = "one two three four five six seven";
    let session = session(&client, json!([{"text": words, "delay": "0.5s"}]), json!({})).await;
    let mut items = client.follow(&session, 0).deltas();
    client.send(&session, "go").await.unwrap();
    let mut told = String::new();
    loop {
        match soon(items.next()).await.unwrap().unwrap() {
            FollowItem::Delta(delta) => {
                if let Some(managedagents::v1::stream_delta::Piece::Text(text)) = delta.piece {
                    told += &text;
                }
            }
            FollowItem::Event(event) if event.kind() == "agent.message" => break,
            _ => {}
        }
    }
    assert!(!told.is_empty() && words.starts_with(&told), "{told}");
}
