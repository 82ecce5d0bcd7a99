//! What ends a run, against a service that says where a turn stands.

use managedagents::v1::{
    ErrorEvent, SendEventRequest, SendEventResponse, StreamEndReason, StreamEventsRequest, TurnResult, TurnStopReason,
    Usage,
};
use managedagents::{Code, Tools};
use serde_json::Value;
use tonic::Status;

use crate::support::fake::{Fake, Told, refused};
use crate::support::messages::{ended_for, opened};
use crate::support::soon;
use crate::support::turns::*;

async fn taken(_: SendEventRequest) -> Result<SendEventResponse, Status> {
    Ok(SendEventResponse { seq: 1 })
}

#[tokio::test]
async fn a_run_ends_with_its_turn() {
    let cases = [
        (TurnStopReason::EndTurn, "end_turn"),
        (TurnStopReason::Dropped, "dropped"),
        (TurnStopReason::OutcomeEvaluated, "outcome_evaluated"),
        (TurnStopReason::Completed, "completed"),
        (TurnStopReason::Archived, "archived"),
    ];
    for (reason, stop_reason) in cases {
        let error = Some(ErrorEvent { message: "too bad".into(), ..Default::default() });
        let usage = Some(Usage { requests: 2, ..Default::default() });
        let (text, error, reason) = ("so".to_owned(), error, reason.into());
        let result = TurnResult { stop_reason: reason, text, usage, error: error.clone(), ..Default::default() };
        let serving = session([message(1), message(3)].into_iter().chain(over(result)));
        let result = runs(&serving, Tools::new()).await;
        assert_eq!((result.seq, result.stop_reason.as_str(), result.text.as_str()), (1, stop_reason, "so"));
        assert_eq!((result.usage.requests, result.error), (2, error));
        assert_eq!(result.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 3]);
    }
}

#[tokio::test]
async fn a_stop_reason_that_this_version_does_not_know_is_empty() {
    let serving = session(over(TurnResult { stop_reason: 999, text: "so".into(), ..Default::default() }));
    let result = runs(&serving, Tools::new()).await;
    assert_eq!((result.stop_reason.as_str(), result.text.as_str()), ("", "so"));
}

#[tokio::test]
async fn a_run_ends_with_the_deletion_of_its_session() {
    let deleted = Step::Says(ended_for(StreamEndReason::Deleted, 9));
    let serving = session([message(1), waits([]), deleted.clone()]);
    assert_eq!(runs(&serving, Tools::new()).await.stop_reason, "deleted");
    // Also while a handler is late.
    let serving = session([waits([action("deploy", "use_2")]), waits_beyond(action("deploy", "use_2")), deleted]);
    let tools = Tools::new().on("deploy", |_: Value| std::future::pending::<()>());
    let result = runs(&serving, tools).await;
    assert_eq!((result.stop_reason.as_str(), result.waits_for.len()), ("deleted", 0));
}

#[tokio::test]
async fn a_session_that_was_deleted_before_its_turn_was_followed_ends_the_run() {
    let gone = Fake::new()
        .on("SendEvent", taken)
        .following(|_, _| async { Err(refused(Code::NotFound, "SESSION_NOT_FOUND")) });
    assert_eq!(runs(&gone.serve(), Tools::new()).await.stop_reason, "deleted");
}

#[tokio::test]
async fn a_run_goes_on_where_its_stream_was_cut() {
    let follower = |request: StreamEventsRequest, told: Told| async move {
        told.say(opened()).await;
        let steps = if request.from_seq() == 0 { vec![message(1), message(3)] } else { end_turn().to_vec() };
        for step in steps {
            let Step::Says(message) = step else { unreachable!() };
            told.say(message).await;
        }
        Ok(())
    };
    let serving = Fake::new().on("SendEvent", taken).following(follower).serve();
    let result = runs(&serving, Tools::new()).await;
    assert_eq!((result.stop_reason.as_str(), result.events.len()), ("end_turn", 2));
    let asked: Vec<_> = serving.streams().iter().map(|request| (request.turn, request.from_seq())).collect();
    assert_eq!(asked, [(1, 0), (1, 3)]);
}

#[tokio::test]
#[should_panic(expected = "mine")]
async fn a_panic_of_on_event_reaches_the_caller() {
    let serving = session([message(1)]);
    let _ = soon(serving.client().run("ses_1", "go").on_event(|_| panic!("mine")).into_future()).await;
}

#[tokio::test]
#[should_panic(expected = "mine")]
async fn a_panic_of_confirm_reaches_the_caller() {
    let serving = session([message(1), waits([action("asks", "use_2")])]);
    let confirm = |_| async { panic!("mine") };
    let _ = soon(serving.client().run("ses_1", "go").confirm(confirm).into_future()).await;
}
