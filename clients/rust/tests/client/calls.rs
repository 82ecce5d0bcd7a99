//! Calls over a real channel to a service that fails first.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use managedagents::v1::{
    GetAgentResponse, ListSessionsRequest, ListSessionsResponse, SendEventRequest, SendEventResponse, Session,
    StatusRequest, StatusResponse, UpdateAgentRequest, UpdateAgentResponse,
};
use managedagents::{Client, Code, ErrorKind};
use prost::Message;
use tokio::sync::Notify;
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use crate::support::fake::{Fake, refused};
use crate::support::soon;

/// Fails so many times, and then answers.
fn failing_first<M, R>(fake: Fake, method: &'static str, times: i32, status: Status, answer: R) -> Fake
where
    M: Message + Default + 'static,
    R: Message + Clone + 'static,
{
    let left = AtomicI32::new(times);
    fake.on(method, move |_: M| {
        let fails = left.fetch_sub(1, Ordering::SeqCst) > 0;
        std::future::ready(if fails { Err(status.clone()) } else { Ok(answer.clone()) })
    })
}

fn sending(times: i32, status: Status) -> Fake {
    failing_first::<SendEventRequest, _>(Fake::new(), "SendEvent", times, status, SendEventResponse { seq: 7 })
}

fn telling(times: i32, status: Status) -> Fake {
    let answer = StatusResponse { head_seq: 3, ..Default::default() };
    failing_first::<StatusRequest, _>(Fake::new(), "Status", times, status, answer)
}

#[tokio::test]
async fn a_call_is_asked_again_with_the_same_request_id() {
    for status in [Status::unavailable("away"), Status::cancelled("away"), refused(Code::Unavailable, "DRAINING")] {
        let serving = sending(3, status).serve();
        assert_eq!(soon(serving.client().send("ses_1", "hello")).await.unwrap(), 7);
        let asked: Vec<SendEventRequest> = serving.asked("SendEvent");
        assert_eq!(asked.len(), 4);
        assert!(asked.iter().all(|request| *request == asked[0]));
        assert_eq!(asked[0].request_id.len(), 32);
        assert!(asked[0].request_id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}

#[tokio::test]
async fn each_call_has_a_request_id_of_its_own_unless_it_is_given_one() {
    let serving = sending(0, Status::unavailable("away")).serve();
    let client = serving.client();
    client.send("ses_1", "a").await.unwrap();
    client.send("ses_1", "a").await.unwrap();
    let request_id = "mine".to_owned();
    client.send_event(SendEventRequest { request_id, ..Default::default() }).await.unwrap();
    let ids: Vec<_> = serving.asked::<SendEventRequest>("SendEvent").into_iter().map(|r| r.request_id).collect();
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[2], "mine");
}

#[tokio::test]
async fn an_update_that_lost_a_race_is_told_and_not_asked_again() {
    let lost = refused(Code::Aborted, "VERSION_CONFLICT");
    let answer = UpdateAgentResponse::default();
    let serving = failing_first::<UpdateAgentRequest, _>(Fake::new(), "UpdateAgent", 1, lost, answer).serve();
    let error = serving.client().update_agent(UpdateAgentRequest::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::VersionConflict, Some(Code::Aborted)));
    assert_eq!(serving.asked::<UpdateAgentRequest>("UpdateAgent").len(), 1);
}

#[tokio::test]
async fn what_asking_again_does_not_mend_is_asked_once() {
    let refusals = [
        (Code::NotFound, "SESSION_NOT_FOUND"),
        (Code::ResourceExhausted, "LIMIT_EXCEEDED"),
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        (Code::Internal, "INTERNAL"),
    ];
    for (code, reason) in refusals {
        let serving = telling(1, refused(code, reason)).serve();
        let error = soon(serving.client().status("ses_1")).await.unwrap_err();
        assert_eq!((error.code(), error.reason()), (Some(code), Some(reason)));
        assert_eq!(serving.asked::<StatusRequest>("Status").len(), 1);
    }
}

#[tokio::test]
async fn the_delay_that_the_server_asks_for_is_kept() {
    let mut details = ErrorDetails::with_retry_info(Some(Duration::from_millis(400)));
    details.set_error_info("LIMIT_EXCEEDED", "managedagents", [("limit".to_owned(), "streams".to_owned())]);
    let busy = Status::with_error_details(Code::ResourceExhausted, "busy", details);
    let serving = telling(1, busy).serve();
    let began = Instant::now();
    assert_eq!(soon(serving.client().status("ses_1")).await.unwrap().head_seq, 3);
    assert!(began.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn patience_ends_with_the_servers_own_reason() {
    let serving = telling(1000, refused(Code::Unavailable, "LOG_UNAVAILABLE")).serve();
    let client = Client::builder(&*serving.address).patience(Duration::from_millis(500)).connect().unwrap();
    let error = soon(client.status("ses_1")).await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (ErrorKind::Unavailable, Some("LOG_UNAVAILABLE")));
    assert!(serving.asked::<StatusRequest>("Status").len() > 1);
}

#[tokio::test]
async fn without_patience_nothing_is_asked_twice() {
    let serving = telling(1, refused(Code::Unavailable, "DRAINING")).serve();
    let client = Client::builder(&*serving.address).patience(Duration::ZERO).connect().unwrap();
    assert_eq!(client.status("ses_1").await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(client.status("ses_1").await.unwrap().head_seq, 3);
}

#[tokio::test]
async fn without_patience_a_server_that_is_not_there_is_told_at_once() {
    let builder = Client::builder("127.0.0.1:1").patience(Duration::ZERO);
    let client = builder.connect_timeout(Duration::from_secs(60)).connect().unwrap();
    assert_eq!(soon(client.status("ses_1")).await.unwrap_err().kind(), ErrorKind::NoAnswer);
}

#[tokio::test]
async fn a_server_that_was_never_there_is_told_soon() {
    let client = Client::builder("127.0.0.1:1").connect_timeout(Duration::from_millis(300)).connect().unwrap();
    let error = soon(client.status("ses_1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoAnswer);
    assert!(error.message().starts_with("no server at 127.0.0.1:1 ("), "{error}");
    assert!(error.message().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_call_outlasts_a_restart_of_the_server() {
    let serving = telling(0, Status::unavailable("")).serve();
    let address = serving.address.clone();
    let client = Client::builder(&*address).connect_timeout(Duration::from_millis(100)).connect().unwrap();
    client.status("ses_1").await.unwrap();
    drop(serving);
    let mut waiting = tokio::spawn(async move { client.status("ses_1").await });
    // Longer than the time for a server that never answered: that it is not given up is what is tested.
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut waiting).await.is_err());
    let _again = telling(0, Status::unavailable("")).serve_at(address.parse().unwrap());
    assert_eq!(soon(waiting).await.unwrap().unwrap().head_seq, 3);
}

#[tokio::test]
async fn a_call_whose_connection_breaks_under_it_is_asked_again() {
    let asked = Arc::new(Notify::new());
    let seen = asked.clone();
    let serving = Fake::new()
        .on("SendEvent", move |_: SendEventRequest| {
            seen.notify_one();
            std::future::pending::<Result<SendEventResponse, Status>>()
        })
        .serve();
    let (client, address) = (serving.client(), serving.address.parse().unwrap());
    let waiting = tokio::spawn(async move { client.send("ses_1", "hello").await });
    soon(asked.notified()).await;
    let first: Vec<SendEventRequest> = serving.asked("SendEvent");
    drop(serving);
    let again = sending(0, Status::unavailable("")).serve_at(address);
    assert_eq!(soon(waiting).await.unwrap().unwrap(), 7);
    assert_eq!(again.asked::<SendEventRequest>("SendEvent"), first);
}

/// A server that takes a call and never answers; the first is told when it came, the second when it was cancelled.
fn silent() -> (Fake, Arc<Notify>, Arc<Notify>) {
    struct Tell(Arc<Notify>);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let (asked, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (came, went) = (asked.clone(), gone.clone());
    let fake = Fake::new().on("Status", move |_: StatusRequest| {
        let tell = Tell(went.clone());
        came.notify_one();
        async move {
            let _tell = tell;
            std::future::pending::<Result<StatusResponse, Status>>().await
        }
    });
    (fake, asked, gone)
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled_at_the_server_at_once() {
    let (fake, asked, gone) = silent();
    let serving = fake.serve();
    let client = serving.client();
    let call = tokio::spawn(async move { client.status("ses_1").await });
    soon(asked.notified()).await;
    call.abort();
    soon(gone.notified()).await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_told_as_such() {
    let (fake, _, gone) = silent();
    let serving = fake.serve();
    let client = Client::builder(&*serving.address).patience(Duration::from_millis(300)).connect().unwrap();
    assert_eq!(soon(client.status("ses_1")).await.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    soon(gone.notified()).await;
}

#[tokio::test]
async fn another_service_at_the_address_is_told_as_such() {
    let serving = Fake::new().serve();
    let error = soon(serving.client().status("ses_1")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::NotThisService, Some(Code::Unimplemented)));
}

#[tokio::test]
async fn an_answer_above_four_mebibytes_is_received() {
    let mut answer = GetAgentResponse::default();
    answer.agent.get_or_insert_default().definition.get_or_insert_default().system = "x".repeat(5 << 20);
    let serving = failing_first::<StatusRequest, _>(Fake::new(), "GetAgent", 0, Status::ok(""), answer).serve();
    let agent = soon(serving.client().get_agent("agt_1")).await.unwrap().agent.unwrap();
    assert_eq!(agent.definition.unwrap().system.len(), 5 << 20);
}

#[tokio::test]
async fn a_token_is_sent_as_a_bearer_token() {
    let serving = Fake::new()
        .on_with_metadata("Status", |_: StatusRequest, metadata| async move {
            let token = metadata.get("authorization").cloned();
            if token.is_some_and(|token| token == "Bearer t0k") {
                return Ok(StatusResponse::default());
            }
            Err(refused(Code::Unauthenticated, "UNAUTHENTICATED"))
        })
        .serve();
    let client = Client::builder(&*serving.address).token("t0k").connect().unwrap();
    soon(client.status("ses_1")).await.unwrap();
    let error = soon(serving.client().status("ses_1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn what_cannot_be_used_is_told_before_anything_is_sent() {
    let addresses = ["no address", "http://127.0.0.1:1"].map(Client::builder);
    for builder in addresses.into_iter().chain([Client::builder("127.0.0.1:1").token("two\nlines")]) {
        assert_eq!(builder.connect().err().unwrap().kind(), ErrorKind::Unusable);
    }
}

#[tokio::test]
async fn lists_go_on_over_the_pages() {
    let serving = Fake::new()
        .on("ListSessions", |request: ListSessionsRequest| async move {
            let page: u32 = request.page_token.parse().unwrap_or_default();
            // A page may be empty and not the last.
            let named = |id| Session { session_id: format!("ses_{id}"), ..Default::default() };
            let sessions = if page == 1 { vec![] } else { vec![named(page), named(page + 10)] };
            let next_page_token = if page < 2 { (page + 1).to_string() } else { String::new() };
            Ok(ListSessionsResponse { sessions, next_page_token })
        })
        .serve();
    let request = ListSessionsRequest { agent_id: "agt_1".into(), ..Default::default() };
    let sessions: Vec<Session> = serving.client().sessions(request).try_collect().await.unwrap();
    let ids: Vec<_> = sessions.iter().map(|session| session.session_id.as_str()).collect();
    assert_eq!(ids, ["ses_0", "ses_10", "ses_2", "ses_12"]);
    let asked: Vec<ListSessionsRequest> = serving.asked("ListSessions");
    assert!(asked.iter().all(|request| request.agent_id == "agt_1"));
}
