//! What a run answers, against a service that says what it waits for.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use managedagents::v1::{PendingAction, ToolConfirmation, user_event};
use managedagents::{Decision, Tools, text_of};
use serde_json::Value;
use tokio::sync::Notify;

use crate::support::fake::Serving;
use crate::support::sessions::Stops;
use crate::support::soon;
use crate::support::turns::*;

/// Answers a custom use.
fn counting(name: &str) -> (Tools, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let tools = Tools::new().on(name, move |_: Value| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { "ok" }
    });
    (tools, calls)
}

/// Of the custom uses that were answered, sorted.
fn ids(serving: &Serving) -> Vec<String> {
    let id = |event| match event {
        user_event::Event::UserCustomToolResult(result) => result.custom_tool_use_id,
        other => panic!("no result: {other:?}"),
    };
    let mut ids: Vec<_> = sent(serving).into_iter().map(id).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn a_use_that_waits_for_permission_is_decided_by_confirm() {
    let cases = [
        (Decision::Allow, ToolConfirmation::Allow, ""),
        (Decision::Deny(String::new()), ToolConfirmation::Deny, ""),
        (Decision::Deny("not today".into()), ToolConfirmation::Deny, "not today"),
    ];
    for (decision, told, why) in cases {
        let steps = [message(1), waits([action("asks", "use_2")]), Step::Sent(2)];
        let serving = session(steps.into_iter().chain(end_turn()));
        let confirm = move |action: PendingAction| {
            assert_eq!(action.name, "bash");
            std::future::ready(decision.clone())
        };
        let result = soon(serving.client().run("ses_1", "go").confirm(confirm).into_future()).await.unwrap();
        assert_eq!(result.stop_reason, "end_turn");
        let [user_event::Event::UserToolConfirmation(confirmation)] = &sent(&serving)[..] else {
            panic!("no decision")
        };
        assert_eq!(confirmation.tool_use_id, "use_2");
        assert_eq!((confirmation.decision(), confirmation.deny_message.as_str()), (told, why));
    }
}

#[tokio::test]
async fn a_use_that_was_confirmed_is_then_answered() {
    let steps = [waits([action("asks", "use_2")]), Step::Sent(2), waits([action("bash", "use_2")]), Step::Sent(3)];
    let serving = session(steps.into_iter().chain(end_turn()));
    let tools = Tools::new().on("bash", |_: Value| async { "made" });
    let confirm = |_| std::future::ready(Decision::Allow);
    soon(serving.client().run("ses_1", "go").tools(tools).confirm(confirm).into_future()).await.unwrap();
    let sent = sent(&serving);
    let [user_event::Event::UserToolConfirmation(_), user_event::Event::UserToolResult(result)] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!((result.tool_use_id.as_str(), text_of(&result.content).as_str()), ("use_2", "made"));
}

#[tokio::test]
async fn a_turn_that_waits_for_what_nobody_here_can_answer_is_given_back() {
    for (name, tool) in [("asks", "bash"), ("deploy", "other")] {
        let serving = session([message(1), waits_beyond(action(name, "use_2"))]);
        let result = runs(&serving, counting(tool).0).await;
        assert_eq!((result.stop_reason.as_str(), result.waits_for), ("requires_action", vec!["use_2".to_owned()]));
        assert!(sent(&serving).is_empty());
    }
}

#[tokio::test]
async fn a_turn_is_not_given_back_for_a_use_that_others_answered_since() {
    let steps = [message(1), waits_no_more("use_2")];
    let serving = session(steps.into_iter().chain(end_turn()));
    assert_eq!(runs(&serving, Tools::new()).await.stop_reason, "end_turn");
}

#[tokio::test]
async fn a_turn_that_waits_for_a_handler_here_is_not_given_back() {
    let waited = Arc::new(Notify::new());
    let waiting = waited.clone();
    let tools = Tools::new().on("deploy", move |_: Value| {
        let waiting = waiting.clone();
        async move {
            waiting.notified().await;
            "late"
        }
    });
    let beyond = [waits([action("deploy", "use_2")]), waits_beyond(action("deploy", "use_2")), message(3)];
    let serving = session(beyond.into_iter().chain([Step::Sent(2)]).chain(end_turn()));
    let client = serving.client();
    let run = client.run("ses_1", "go").tools(tools).on_event(|_| waited.notify_one());
    assert_eq!(soon(run.into_future()).await.unwrap().stop_reason, "end_turn");
    assert_eq!(ids(&serving), ["use_2"]);
}

#[tokio::test]
async fn a_use_that_is_told_of_again_is_answered_once() {
    let again = waits([action("deploy", "use_2"), action("deploy", "use_3")]);
    let steps = [waits([action("deploy", "use_2")]), again, Step::Sent(3)];
    let serving = session(steps.into_iter().chain(end_turn()));
    let (tools, calls) = counting("deploy");
    runs(&serving, tools).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    assert_eq!(ids(&serving), ["use_2", "use_3"]);
}

#[tokio::test]
async fn two_runs_that_meet_the_same_use_at_once_call_its_handler_once() {
    let steps = [waits([action("deploy", "use_0")]), Step::Sent(3)];
    let serving = session(steps.into_iter().chain(end_turn()));
    let ((tools, calls), client) = (counting("deploy"), serving.client());
    let [one, two] = [(); 2].map(|()| client.run("ses_1", "go").tools(tools.clone()).into_future());
    let (one, two) = soon(futures_util::future::join(one, two)).await;
    assert_eq!((one.unwrap().stop_reason.as_str(), two.unwrap().stop_reason.as_str()), ("end_turn", "end_turn"));
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_use_without_a_handler_and_one_of_an_unknown_kind_are_left_to_others() {
    let strange = PendingAction { kind: 999, ..action("ours", "use_9") };
    let serving = session([waits([action("deploy", "use_0"), strange]), waits([])].into_iter().chain(end_turn()));
    runs(&serving, counting("ours").0).await;
    assert!(sent(&serving).is_empty());
}

#[tokio::test]
async fn an_input_that_is_no_json_is_told_and_the_handler_not_called() {
    for input_json in [r#"{"city": "Os"#, r#"{"city": 1, "#] {
        let action = PendingAction { input_json: input_json.into(), ..action("ours", "use_0") };
        let serving = session([waits([action]), Step::Sent(2)].into_iter().chain(end_turn()));
        let tools =
            Tools::new().on("ours", |_: HashMap<String, String>| async { unreachable!("it is no JSON") as String });
        runs(&serving, tools).await;
        let [user_event::Event::UserCustomToolResult(result)] = &sent(&serving)[..] else { panic!("no result") };
        assert_eq!((text_of(&result.content).as_str(), result.is_error), ("The input is no JSON.", true));
    }
}

#[tokio::test]
async fn a_handler_is_stopped_when_nobody_waits_for_it_any_more() {
    let begun = Arc::new(Notify::new());
    let stopped = Arc::new(AtomicBool::new(false));
    for after in [vec![waits([])], vec![]] {
        let (begins, stops) = (begun.clone(), stopped.clone());
        let tools = Tools::new().on("deploy", move |_: Value| {
            let (begins, stops) = (begins.clone(), Stops(stops.clone()));
            async move {
                let _stops = stops;
                begins.notify_one();
                std::future::pending::<()>().await;
            }
        });
        // The second use is answered when the first one's handler has begun.
        let (begins, first) = (begun.clone(), action("deploy", "use_0"));
        let tools = tools.on("begun", move |_: Value| {
            let begins = begins.clone();
            async move { begins.notified().await }
        });
        let steps = [waits([first, action("begun", "use_1")]), Step::Sent(2)];
        let serving = session(steps.into_iter().chain(after).chain(end_turn()));
        runs(&serving, tools).await;
        assert!(stopped.swap(false, Ordering::SeqCst));
    }
}

#[tokio::test]
async fn a_handler_that_was_stopped_with_its_run_is_not_called_again_and_the_model_is_told() {
    let serving = session([waits([action("deploy", "use_0")]), Step::Sent(3)].into_iter().chain(end_turn()));
    let (begun, calls) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (begins, counted) = (begun.clone(), calls.clone());
    let tools = Tools::new().on("deploy", move |_: Value| {
        counted.fetch_add(1, Ordering::SeqCst);
        begins.notify_one();
        std::future::pending::<()>()
    });
    let client = serving.client();
    tokio::select! {
        _ = client.run("ses_1", "go").tools(tools.clone()).into_future() => unreachable!("it waits"),
        () = soon(begun.notified()) => {}
    }
    soon(client.run("ses_1", "again").tools(tools).into_future()).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let sent = sent(&serving);
    let Some(user_event::Event::UserCustomToolResult(result)) = sent.last() else { panic!("no result") };
    let told = "The tool was stopped before it was done; what it did is not known.";
    assert_eq!((text_of(&result.content).as_str(), result.is_error), (told, true));
}
