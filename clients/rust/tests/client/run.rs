//! What ends a run, and what it answers, against a service that says what a session would say.

use std::collections::HashMap;

use managedagents::v1::session_event::Payload;
use managedagents::v1::stop_reason::Reason;
use managedagents::v1::{
    self, ErrorEvent, ErrorNext, PendingAction, PendingActionKind, PermissionDecision, SendEventRequest, SessionEvent,
    ToolConfirmation, user_event,
};
use managedagents::{Decision, Tools, text_of};
use serde_json::Value;

use crate::support::fake::Serving;
use crate::support::soon;
use crate::support::turns::{end_turn, idle, judged, message, of, session};

fn asks(id: &str) -> SessionEvent {
    let used = v1::AgentToolUse {
        tool_use_id: id.into(),
        name: "bash".into(),
        permission: PermissionDecision::Ask.into(),
        ..Default::default()
    };
    of(1, Payload::AgentToolUse(used))
}

fn waits_for(ids: &[&str]) -> SessionEvent {
    idle(1, Reason::RequiresAction(v1::RequiresAction { ids: ids.iter().map(ToString::to_string).collect() }))
}

/// What was sent after the message.
fn sent(serving: &Serving) -> Vec<user_event::Event> {
    let requests: Vec<SendEventRequest> = serving.asked("SendEvent");
    requests.into_iter().skip(1).map(|request| request.event.unwrap().event.unwrap()).collect()
}

#[tokio::test]
async fn a_run_ends_with_its_turn() {
    let refusal = idle(1, Reason::Refusal(Default::default()));
    let dropped = idle(9, Reason::Interrupted(v1::Interrupted { dropped_seqs: vec![1] }));
    let cases = [
        (vec![message(), end_turn()], "end_turn"),
        (vec![message(), idle(9, Reason::EndTurn(Default::default())), refusal], "refusal"),
        (vec![message(), dropped], "dropped"),
        (vec![message(), judged(1, false)], "outcome_evaluated"),
        (vec![message(), of(0, Payload::StatusFailed(Default::default()))], "failed"),
        (vec![message(), of(0, Payload::StatusArchived(Default::default()))], "archived"),
    ];
    for (log, stop_reason) in cases {
        let serving = session(log, vec![], None);
        assert_eq!(soon(serving.client().run("ses_1", "go").into_future()).await.unwrap().stop_reason, stop_reason);
    }
}

#[tokio::test]
async fn a_use_that_waits_for_permission_is_decided_by_confirm() {
    let cases = [
        (Decision::Allow, ToolConfirmation::Allow, ""),
        (Decision::Deny(String::new()), ToolConfirmation::Deny, ""),
        (Decision::Deny("not today".into()), ToolConfirmation::Deny, "not today"),
    ];
    for (decision, told, why) in cases {
        let serving = session(vec![message(), asks("use_2")], vec![], Some(end_turn()));
        let confirm = move |used: managedagents::ToolUse| {
            assert_eq!((used.name.as_str(), used.needs_confirmation), ("bash", true));
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
async fn a_turn_that_waits_for_what_nobody_here_can_answer_is_given_back() {
    let custom = |id: &str| {
        let id = id.to_owned();
        of(1, Payload::AgentCustomToolUse(v1::AgentCustomToolUse { custom_tool_use_id: id, ..Default::default() }))
    };
    for used in [asks("use_2"), custom("use_2")] {
        let serving = session(vec![message(), used, waits_for(&["use_2"])], vec![], None);
        let result = soon(serving.client().run("ses_1", "go").into_future()).await.unwrap();
        assert_eq!(
            (result.stop_reason.as_str(), &result.waits_for[..]),
            ("requires_action", &["use_2".to_owned()][..])
        );
        assert!(sent(&serving).is_empty());
    }
}

fn pending(id: &str, name: &str) -> PendingAction {
    let kind = PendingActionKind::CustomToolResult.into();
    PendingAction { tool_use_id: id.into(), name: name.into(), kind, ..Default::default() }
}

#[tokio::test]
async fn an_earlier_turns_use_is_answered_where_there_is_a_handler_and_left_to_others_where_not() {
    let actions = vec![pending("use_0", "theirs"), pending("use_00", "ours")];
    let serving = session(vec![message()], actions, Some(end_turn()));
    let tools = Tools::new().on("ours", |_: Value| async { "ok" });
    soon(serving.client().run("ses_1", "go").tools(tools).into_future()).await.unwrap();
    let [user_event::Event::UserCustomToolResult(result)] = &sent(&serving)[..] else { panic!("no result") };
    assert_eq!(result.custom_tool_use_id, "use_00");
}

#[tokio::test]
async fn an_input_that_is_no_json_is_told_and_the_handler_not_called() {
    for input_json in [r#"{"city": "Os"#, r#"{"city": 1, "#] {
        let action = PendingAction { input_json: input_json.into(), ..pending("use_0", "ours") };
        let serving = session(vec![message()], vec![action], Some(end_turn()));
        let tools =
            Tools::new().on("ours", |_: HashMap<String, String>| async { unreachable!("it is no JSON") as String });
        soon(serving.client().run("ses_1", "go").tools(tools).into_future()).await.unwrap();
        let [user_event::Event::UserCustomToolResult(result)] = &sent(&serving)[..] else { panic!("no result") };
        assert_eq!((text_of(&result.content).as_str(), result.is_error), ("The input is no JSON.", true));
    }
}

#[tokio::test]
async fn what_was_confirmed_is_answered_where_it_runs_at_the_client() {
    for at_client in [true, false] {
        let kind = PendingActionKind::ToolConfirmation.into();
        let action = PendingAction { kind, runs_at_client: at_client, ..pending("use_0", "bash") };
        let confirmation = v1::UserToolConfirmation {
            tool_use_id: "use_0".into(),
            decision: ToolConfirmation::Allow.into(),
            ..Default::default()
        };
        let confirmed = of(0, Payload::UserToolConfirmation(confirmation));
        // Where it does not nobody answers, and the turn ends by itself.
        let (mut log, mut answered) = (vec![message(), confirmed], Some(end_turn()));
        if !at_client {
            log.extend(answered.take());
        }
        let serving = session(log, vec![action], answered);
        let tools = Tools::new().on("bash", |_: Value| async { "ok" });
        soon(serving.client().run("ses_1", "go").tools(tools).into_future()).await.unwrap();
        let is_result = |event: &user_event::Event| matches!(event, user_event::Event::UserToolResult(_));
        assert_eq!(sent(&serving).iter().map(is_result).collect::<Vec<_>>(), vec![true; at_client.into()]);
    }
}

#[tokio::test]
#[should_panic(expected = "mine")]
async fn a_panic_of_on_event_reaches_the_caller() {
    let serving = session(vec![message()], vec![], None);
    let _ = soon(serving.client().run("ses_1", "go").on_event(|_| panic!("mine")).into_future()).await;
}

#[tokio::test]
#[should_panic(expected = "mine")]
async fn a_panic_of_confirm_reaches_the_caller() {
    let serving = session(vec![message(), asks("use_2")], vec![], None);
    let confirm = |_| async { panic!("mine") };
    let _ = soon(serving.client().run("ses_1", "go").confirm(confirm).into_future()).await;
}

#[tokio::test]
async fn an_error_that_the_turn_goes_on_from_is_not_the_runs() {
    for (next, is_told) in [(ErrorNext::TurnEnds, true), (ErrorNext::TurnGoesOn, false)] {
        let error = of(1, Payload::Error(ErrorEvent { next: next.into(), ..Default::default() }));
        let serving = session(vec![message(), error, end_turn()], vec![], None);
        let result = soon(serving.client().run("ses_1", "go").into_future()).await.unwrap();
        assert_eq!(result.error.is_some(), is_told);
        assert!(result.events.iter().any(|event| event.kind() == "error"));
    }
}

#[tokio::test]
async fn the_text_of_one_response_is_joined_and_the_last_response_counts() {
    let says = |response_id: &str, words: &str| {
        let payload = Payload::AgentMessage(v1::AgentMessage { content: vec![managedagents::text(words)] });
        SessionEvent { response_id: response_id.into(), ..of(1, payload) }
    };
    let log = vec![message(), says("rsp_1", "first"), says("rsp_2", "la"), says("rsp_2", "st"), end_turn()];
    let serving = session(log, vec![], None);
    assert_eq!(soon(serving.client().run("ses_1", "go").into_future()).await.unwrap().text, "last");
}
