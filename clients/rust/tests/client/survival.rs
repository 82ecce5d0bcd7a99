//! Calls, follows and runs over answers that are lost and servers that are killed.

use std::sync::{Arc, Mutex};

use futures_util::{StreamExt, TryStreamExt};
use managedagents::v1::session_event::Payload;
use managedagents::v1::{InterruptRequest, SessionEvent};
use managedagents::{Client, Tools, current_tool_use_id};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::relay::Relay;
use crate::support::sessions::{calls, connected, custom, session};
use crate::support::soon;

#[tokio::test]
async fn a_call_whose_answer_was_lost_happens_once() {
    let (_folder, server, client) = connected().await;
    let session = session(&client, json!([{"text": "ok"}]), json!({})).await;
    let relay = Relay::to(&server.address).await;
    let far = Client::connect(&*relay.address).unwrap();
    far.status(&session).await.unwrap();
    relay.swallow();
    let id = session.clone();
    let sending = tokio::spawn(async move { far.send(id, "hello").await });
    let mut messages = client.follow(&session, 0).kinds(["user.message"]);
    let logged = soon(messages.next()).await.unwrap().unwrap();
    relay.cut();
    assert_eq!(soon(sending).await.unwrap().unwrap(), logged.seq);
    let log: Vec<SessionEvent> = client.events(&session).try_collect().await.unwrap();
    assert_eq!(log.iter().filter(|event| event.kind() == "user.message").count(), 1);
}

#[tokio::test]
async fn a_run_and_a_follow_go_on_over_a_killed_server() {
    let (_folder, mut server, client) = connected().await;
    let session = session(&client, json!([calls(&["slow"]), {"text": "done", "delay": "1s"}]), custom(&["slow"])).await;
    let follow = client.follow(&session, 0);
    let following = tokio::spawn(follow.map_ok(|event| event.seq).try_collect::<Vec<_>>());

    let (at_work, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let uses = Arc::new(Mutex::new(Vec::new()));
    let (works, goes_on, used) = (at_work.clone(), go_on.clone(), uses.clone());
    let tools = Tools::new().on("slow", move |_: Value| {
        let goes_on = goes_on.clone();
        used.lock().unwrap().push(current_tool_use_id());
        works.notify_one();
        async move {
            goes_on.notified().await;
            "ok"
        }
    });
    let run = tokio::spawn(client.run(&session, "go").tools(tools).into_future());
    soon(at_work.notified()).await;
    server.kill().await;
    go_on.notify_one();
    server.start().await;
    let mut results = client.follow(&session, 0).kinds(["user.custom_tool_result"]);
    soon(results.next()).await.unwrap().unwrap();
    server.kill().await;
    server.start().await;
    let result = soon(run).await.unwrap().unwrap();
    assert_eq!((result.stop_reason.as_str(), result.text.as_str()), ("end_turn", "done"));
    assert_eq!(uses.lock().unwrap().len(), 1);
    let last = client.archive(&session).await.unwrap().seq;
    assert_eq!(soon(following).await.unwrap().unwrap(), (1..=last).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_follow_and_a_call_go_on_over_a_server_that_stops_and_starts() {
    let (_folder, mut server, client) = connected().await;
    let session = session(&client, json!([{"text": "ok"}]), json!({})).await;
    let mut follow = client.follow(&session, 0);
    client.send(&session, "one").await.unwrap();
    soon(follow.next()).await.unwrap().unwrap();
    server.ask_to_end().await;
    assert!(server.ended().await.success());
    let (id, far) = (session.clone(), client.clone());
    let interrupting = tokio::spawn(async move { far.interrupt(InterruptRequest::from(id)).await });
    server.start().await;
    let interrupt = soon(interrupting).await.unwrap().unwrap().seq;
    let mut seqs = vec![1];
    while seqs.last() != Some(&interrupt) {
        seqs.push(soon(follow.next()).await.unwrap().unwrap().seq);
    }
    assert_eq!(seqs, (1..=interrupt).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_use_that_an_earlier_process_left_open_is_answered_first() {
    let (_folder, mut server, client) = connected().await;
    let responses = json!([calls(&["a"]), {"text": "first"}, {"text": "second"}]);
    let session = session(&client, responses, custom(&["a"])).await;
    client.send(&session, "one").await.unwrap();
    soon(client.follow(&session, 0).kinds(["agent.custom_tool_use"]).next()).await.unwrap().unwrap();
    server.kill().await;
    server.start().await;
    let another = Client::connect(&*server.address).unwrap();
    let tools = Tools::new().on("a", |_: Value| async { "ok" });
    let result = soon(another.run(&session, "two").tools(tools).into_future()).await.unwrap();
    assert_eq!(result.text, "second");
    assert!(result.events.iter().all(|event| !matches!(event.payload, Some(Payload::AgentCustomToolUse(_)))));
}

#[tokio::test]
async fn a_run_that_was_dropped_stops_its_handlers_and_leaves_the_use_to_the_next() {
    let (_folder, _server, client) = connected().await;
    let session = session(&client, json!([calls(&["a"]), {"text": "done"}, {"text": "next"}]), custom(&["a"])).await;
    struct Stopped(Arc<Notify>);
    impl Drop for Stopped {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let (begun, stopped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, stops) = (begun.clone(), stopped.clone());
    let tools = Tools::new().on("a", move |_: Value| {
        let stopped = Stopped(stops.clone());
        begins.notify_one();
        async move {
            let _stopped = stopped;
            std::future::pending::<String>().await
        }
    });
    let run = tokio::spawn(client.run(&session, "go").tools(tools.clone()).into_future());
    soon(begun.notified()).await;
    run.abort();
    soon(stopped.notified()).await;
    // The handler is not called again: the model is told that it was stopped.
    let result = soon(client.run(&session, "again").tools(tools).into_future()).await.unwrap();
    assert_eq!(result.text, "next");
}
