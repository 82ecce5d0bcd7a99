//! What a call fails with, by what the server says.

use std::collections::HashMap;
use std::time::Duration;

use managedagents::v1::{ErrorReason, StatusRequest, StatusResponse};
use managedagents::{Client, Code, Error, ErrorKind};
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use crate::support::fake::Fake;
use crate::support::soon;

/// Of a call that fails with this, asked once.
async fn error(status: Status) -> Error {
    let answer = move |_: StatusRequest| std::future::ready(Err::<StatusResponse, _>(status.clone()));
    let serving = Fake::new().on("Status", answer).serve();
    let client = Client::builder(&*serving.address).patience(Duration::ZERO).connect().unwrap();
    soon(client.status("ses_1")).await.unwrap_err()
}

fn status(code: Code, details: ErrorDetails) -> Status {
    Status::with_error_details(code, "words", details)
}

fn reason(reason: &str, domain: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, domain, HashMap::from([("limit".into(), "streams".into())]))
}

#[tokio::test]
async fn every_reason_of_the_proto_has_a_kind_that_follows_from_it_alone() {
    for number in 1.. {
        let Ok(known) = ErrorReason::try_from(number) else { break };
        let name = known.as_str_name().trim_start_matches("ERROR_REASON_");
        let found = error(status(Code::FailedPrecondition, reason(name, "managedagents"))).await;
        assert_ne!(found.kind(), ErrorKind::Other, "{name}");
        assert_eq!((found.reason(), found.message()), (Some(name), "words"));
    }
}

#[tokio::test]
async fn an_unknown_reason_keeps_its_name() {
    let found = error(status(Code::FailedPrecondition, reason("NEW_ONE", "managedagents"))).await;
    assert_eq!((found.kind(), found.reason()), (ErrorKind::Other, Some("NEW_ONE")));
}

#[tokio::test]
async fn a_reason_of_another_domain_is_not_ours() {
    let found = error(status(Code::NotFound, reason("SESSION_NOT_FOUND", "elsewhere"))).await;
    assert_eq!((found.kind(), found.reason(), found.metadata().len()), (ErrorKind::Other, None, 0));
}

#[tokio::test]
async fn violations_metadata_and_delay_are_carried() {
    let mut details = reason("INVALID_REQUEST", "managedagents");
    details.add_bad_request_violation("definition.name", "is required");
    let bad = error(status(Code::InvalidArgument, details)).await;
    let violation = &bad.violations()[0];
    assert_eq!((violation.field.as_str(), violation.description.as_str()), ("definition.name", "is required"));

    let mut details = reason("LIMIT_EXCEEDED", "managedagents");
    details.set_retry_info(Some(Duration::from_millis(1500)));
    let full = error(status(Code::ResourceExhausted, details)).await;
    assert_eq!((full.kind(), full.metadata()["limit"].as_str()), (ErrorKind::LimitExceeded, "streams"));
    assert_eq!(full.retry_after(), Some(Duration::from_millis(1500)));
}

#[tokio::test]
async fn details_that_cannot_be_read_leave_the_code() {
    let found = error(Status::with_details(Code::DataLoss, "words", vec![0xff, 0xff].into())).await;
    assert_eq!((found.kind(), found.code()), (ErrorKind::Other, Some(Code::DataLoss)));
    assert!(found.message().contains("words"));
}
