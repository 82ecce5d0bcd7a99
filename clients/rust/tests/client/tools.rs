//! From a handler to what the model is told.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use managedagents::v1::user_event::Event;
use managedagents::{Answer, IntoAnswer, Json, Tools, current_tool_use_id, text, text_of};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::sessions::{connected, custom, session};
use crate::support::soon;

fn told(words: &str) -> Answer {
    Answer { content: vec![text(words)], is_error: false }
}

fn failed(words: &str) -> Answer {
    Answer { content: vec![text(words)], is_error: true }
}

#[test]
fn a_result_becomes_content() {
    assert_eq!("19".into_answer(), told("19"));
    assert_eq!(json!("19").into_answer(), told("19"));
    assert_eq!(json!({"t": 19, "å": [1]}).into_answer(), told(r#"{"t":19,"å":[1]}"#));
    assert_eq!(Json(false).into_answer(), told("false"));
    assert_eq!(text("block").into_answer(), told("block"));
    assert_eq!(vec![text("a")].into_answer(), told("a"));
    assert_eq!(Ok::<_, fmt::Error>("fine").into_answer(), told("fine"));
}

#[test]
fn a_struct_keeps_the_order_of_its_fields_and_a_text_stays_a_text() {
    #[derive(Serialize)]
    struct Weather {
        city: String,
        at: u8,
    }
    assert_eq!(Json(Weather { city: "Oslo".into(), at: 7 }).into_answer(), told(r#"{"city":"Oslo","at":7}"#));
    assert_eq!(Json("two \"words\"").into_answer(), told("two \"words\""));
}

#[test]
fn nothing_is_told_as_no_content() {
    let nothing = Answer { content: vec![], is_error: false };
    for answer in [().into_answer(), "".into_answer(), Value::Null.into_answer(), Json(None::<u8>).into_answer()] {
        assert_eq!(answer, nothing);
    }
}

#[test]
fn an_error_is_told_by_its_message() {
    let io = std::io::Error::other("no disk");
    assert_eq!(Err::<(), _>(io).into_answer(), failed("The tool failed: no disk"));
    let parsed: Result<(), _> = Err("x".parse::<u8>().unwrap_err());
    assert_eq!(parsed.into_answer(), failed("The tool failed: invalid digit found in string"));
    let boxed: Box<dyn std::error::Error + Send + Sync> = "no such city".into();
    assert_eq!(Err::<(), _>(boxed).into_answer(), failed("The tool failed: no such city"));
}

#[test]
fn a_result_that_json_cannot_hold_is_told_as_an_error() {
    let keyed_by_lists = HashMap::from([(vec![1], 2)]);
    assert_eq!(Json(keyed_by_lists).into_answer(), failed("The tool's answer is no JSON."));
}

#[derive(Deserialize)]
struct Place {
    city: String,
}

/// What the model is told of one call with this input, by a real session.
async fn asked(input_json: &str, tools: Tools) -> (String, bool) {
    let (_folder, _server, client) = connected().await;
    let call = json!({"tool_calls": [{"name": "tool", "input_json": input_json}]});
    let session = session(&client, json!([call, {"text": "done"}]), custom(&["tool"])).await;
    let result = soon(client.run(session, "go").tools(tools).into_future()).await.unwrap();
    assert_eq!(result.text, "done");
    let results: Vec<_> = result.events.iter().filter_map(|event| event.payload.as_ref()).collect();
    let result = results.iter().find_map(|payload| match payload {
        managedagents::v1::session_event::Payload::UserCustomToolResult(result) => Some(result),
        _ => None,
    });
    let result = result.expect("an answer");
    (text_of(&result.content), result.is_error)
}

#[tokio::test]
async fn the_input_arrives_in_the_handlers_own_type() {
    let tools = Tools::new().on("tool", |place: Place| async move { format!("sunny in {}", place.city) });
    assert_eq!(asked(r#"{"city": "Oslo"}"#, tools).await, ("sunny in Oslo".into(), false));
}

#[tokio::test]
async fn an_input_that_does_not_fit_is_told_and_the_handler_not_called() {
    let tools = Tools::new().on("tool", |_: Place| async { unreachable!("it has no city") as String });
    let (told, is_error) = asked(r#"{"town": "Oslo"}"#, tools).await;
    assert!(told.starts_with("The tool failed: missing field `city`"), "{told}");
    assert!(is_error);
}

#[tokio::test]
async fn a_handler_that_panics_is_told_as_an_error() {
    async fn fall(_: Value) -> String {
        panic!("no such city")
    }
    assert_eq!(asked("{}", Tools::new().on("tool", fall)).await, ("The tool failed: no such city".into(), true));
}

#[tokio::test]
async fn a_handler_knows_the_id_of_its_use_and_is_called_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let tools = Tools::new().on("tool", move |_: Value| {
        counted.fetch_add(1, Ordering::SeqCst);
        async {
            tokio::task::yield_now().await;
            current_tool_use_id()
        }
    });
    let (told, _) = asked("{}", tools).await;
    assert!(told.starts_with("use_"), "{told}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_answer_that_the_server_refuses_is_told_to_the_model() {
    // Above the server's bound, and above the client's own.
    for size in [3 << 20, 17 << 20] {
        let tools = Tools::new().on("tool", move |_: Value| async move { "x".repeat(size) });
        let (told, is_error) = asked("{}", tools).await;
        assert!(told.starts_with("The tool ran, but its result was refused: "), "{told}");
        assert!(is_error);
    }
}

#[test]
fn a_text_is_a_message() {
    let event = managedagents::v1::UserEvent::from("hello").event;
    let Some(Event::UserMessage(message)) = event else { panic!("no message") };
    assert_eq!(text_of(&message.content), "hello");
}
