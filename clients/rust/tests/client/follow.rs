//! Following over streams that are cut wherever a stream can be cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt, TryStreamExt};
use managedagents::v1::stream_events_response::Message;
use managedagents::v1::{EventBatch, StreamEndReason, StreamEventsRequest, StreamEventsResponse};
use managedagents::{Client, Code, ErrorKind, Follow};
use prost::Message as _;
use tonic::Status;

use crate::support::fake::{Fake, refused};
use crate::support::messages::*;
use crate::support::soon;

async fn seqs(follow: &mut Follow) -> Vec<u64> {
    soon(follow.map_ok(|event| event.seq).try_collect()).await.unwrap()
}

fn script() -> Vec<StreamEventsResponse> {
    vec![opened(), batch(1, 1), batch(2, 4), caught_up(), batch(5, 5), progress(5), batch(6, 9), ended(9)]
}

/// A server with nine events that tells the script from where the client is; its first stream is cut.
fn honest(cut_after: usize, cut: Result<(), Status>) -> Fake {
    let streams = Arc::new(AtomicUsize::new(0));
    Fake::new().following(move |request: StreamEventsRequest, told| {
        let (is_first, cut) = (streams.fetch_add(1, Ordering::SeqCst) == 0, cut.clone());
        async move {
            for (index, mut response) in script().into_iter().enumerate() {
                if is_first && index == cut_after {
                    return cut;
                }
                if let Some(Message::Batch(batch)) = &mut response.message {
                    batch.events.retain(|event| event.seq > request.from_seq());
                    if batch.through_seq <= request.from_seq() {
                        continue;
                    }
                }
                told.say(response).await;
            }
            Ok(())
        }
    })
}

#[tokio::test]
async fn a_cut_at_any_position_repeats_nothing_and_skips_nothing() {
    let statuses = [Code::Unavailable, Code::Cancelled, Code::Internal, Code::DeadlineExceeded];
    let cuts = statuses.map(|code| Err(Status::new(code, "")));
    for cut in cuts.into_iter().chain([Ok(())]) {
        for cut_after in 0..script().len() {
            let serving = honest(cut_after, cut.clone()).serve();
            let client = serving.client();
            let mut follow = client.follow("ses_1", 0);
            assert_eq!(seqs(&mut follow).await, (1..=9).collect::<Vec<_>>(), "cut after {cut_after}");
            assert_eq!(follow.ended().unwrap().reason(), StreamEndReason::Archived);
            assert_eq!((follow.through_seq(), follow.caught_up()), (Some(9), true));
            let asked = serving.streams();
            assert_eq!(asked.len(), 2);
            assert_eq!((asked[0].from_seq, &asked[0].log_id), (Some(0), &None));
            assert_eq!(asked[1].log_id.as_deref(), (cut_after > 0).then_some("log_1"));
        }
    }
}

#[tokio::test]
async fn a_server_that_repeats_events_is_not_believed() {
    let serving = saying(vec![opened(), batch(1, 3), batch(2, 4), ended(4)]).serve();
    assert_eq!(seqs(&mut serving.client().follow("ses_1", 0)).await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_hole_is_an_error_and_the_end() {
    let serving = saying(vec![opened(), batch(1, 3), batch(5, 6)]).serve();
    let mut follow = serving.client().follow("ses_1", 0);
    for seq in 1..=3 {
        assert_eq!(soon(follow.next()).await.unwrap().unwrap().seq, seq);
    }
    assert_eq!(soon(follow.next()).await.unwrap().unwrap_err().kind(), ErrorKind::PromiseBroken);
    assert!(soon(follow.next()).await.is_none());
    assert!(follow.ended().is_none());
}

fn saying(messages: Vec<StreamEventsResponse>) -> Fake {
    Fake::new().following(move |_, told| {
        let messages = messages.clone();
        async move {
            for message in messages {
                told.say(message).await;
            }
            Ok(())
        }
    })
}

#[tokio::test]
async fn what_this_version_does_not_know_is_skipped_and_counted() {
    /// A length-delimited field of this number, which no message here has.
    fn unknown(number: u32, bytes: &[u8]) -> Vec<u8> {
        let mut field = Vec::new();
        prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut field);
        prost::encoding::encode_varint(bytes.len() as u64, &mut field);
        [&field, bytes].concat()
    }
    let serving = Fake::new()
        .following(|_, told| async move {
            told.say(opened()).await;
            told.raw(unknown(99, b"a message of tomorrow")).await;
            let mut strange = event(2, "");
            strange.payload = None;
            let strange = [strange.encode_to_vec(), unknown(999, b"an event of tomorrow")].concat();
            let mut batch = EventBatch { events: vec![event(1, "")], through_seq: 3 }.encode_to_vec();
            batch.extend(unknown(1, &strange));
            batch.extend(unknown(1, &event(3, "").encode_to_vec()));
            told.raw(unknown(2, &batch)).await;
            told.say(ended(3)).await;
            Ok(())
        })
        .serve();
    let client = serving.client();
    let mut follow = client.follow("ses_1", 0);
    assert_eq!(seqs(&mut follow).await, [1, 3]);
    assert_eq!(follow.through_seq(), Some(3));
}

#[tokio::test]
async fn where_kinds_are_filtered_the_place_moves_with_the_server() {
    let serving = Fake::new()
        .following(|request: StreamEventsRequest, told| async move {
            told.say(opened()).await;
            if request.from_seq() == 0 {
                told.say(batch(3, 3)).await;
                told.say(progress(700)).await;
                return Err(Status::unavailable(""));
            }
            told.say(ended(700)).await;
            Ok(())
        })
        .serve();
    let mut follow = serving.client().follow("ses_1", 0).kinds(["agent.message"]);
    assert_eq!(seqs(&mut follow).await, [3]);
    let asked: Vec<_> = serving.streams().into_iter().map(|r| (r.from_seq(), r.kinds)).collect();
    let kinds = vec!["agent.message".to_owned()];
    assert_eq!(asked, [(0, kinds.clone()), (700, kinds)]);
}

#[tokio::test]
async fn a_live_follow_goes_on_from_the_head_that_it_met() {
    let serving = Fake::new()
        .following(|request: StreamEventsRequest, told| async move {
            told.say(opened_at(5)).await;
            if request.from_seq.is_none() {
                return Err(Status::unavailable(""));
            }
            told.say(batch(6, 6)).await;
            told.say(ended(6)).await;
            Ok(())
        })
        .serve();
    assert_eq!(seqs(&mut serving.client().follow("ses_1", None)).await, [6]);
    assert_eq!(serving.streams()[1].from_seq, Some(5));
}

#[tokio::test]
async fn a_server_that_drains_is_left_and_found_again() {
    let serving = Fake::new()
        .following(|request: StreamEventsRequest, told| async move {
            let seq = request.from_seq() + 1;
            told.say(opened()).await;
            told.say(batch(seq, seq)).await;
            told.say(if seq == 3 { ended(seq) } else { draining(seq) }).await;
            Ok(())
        })
        .serve();
    assert_eq!(seqs(&mut serving.client().follow("ses_1", 0)).await, [1, 2, 3]);
}

#[tokio::test]
async fn another_history_is_an_error() {
    let refusals = [
        (Code::FailedPrecondition, "LOG_REPLACED", ErrorKind::LogReplaced),
        (Code::OutOfRange, "FROM_SEQ_BEYOND_HEAD", ErrorKind::FromSeqBeyondHead),
    ];
    for (code, reason, kind) in refusals {
        let serving = Fake::new()
            .following(move |request: StreamEventsRequest, told| async move {
                if request.from_seq() > 0 {
                    return Err(refused(code, reason));
                }
                told.say(opened()).await;
                told.say(batch(1, 2)).await;
                Err(Status::unavailable(""))
            })
            .serve();
        let mut follow = serving.client().follow("ses_1", 0);
        assert_eq!(soon(follow.next()).await.unwrap().unwrap().seq, 1);
        assert_eq!(soon(follow.next()).await.unwrap().unwrap().seq, 2);
        assert_eq!(soon(follow.next()).await.unwrap().unwrap_err().kind(), kind);
        assert_eq!(serving.streams()[1].log_id(), "log_1");
    }
}

#[tokio::test]
async fn a_session_that_was_deleted_while_the_stream_was_cut_has_ended() {
    let serving = Fake::new()
        .following(|request: StreamEventsRequest, told| async move {
            if request.log_id.is_some() {
                return Err(refused(Code::NotFound, "SESSION_NOT_FOUND"));
            }
            told.say(opened()).await;
            told.say(batch(1, 2)).await;
            Err(Status::unavailable(""))
        })
        .serve();
    let mut follow = serving.client().follow("ses_1", 0);
    assert_eq!(seqs(&mut follow).await, [1, 2]);
    let ended = follow.ended().unwrap();
    assert_eq!((ended.reason(), ended.last_seq, ended.r#final), (StreamEndReason::Deleted, 2, true));
}

#[tokio::test]
async fn a_session_that_never_was_is_an_error() {
    let serving = Fake::new().following(|_, _| async { Err(refused(Code::NotFound, "SESSION_NOT_FOUND")) }).serve();
    let client: Client = serving.client();
    let error = soon(client.follow("ses_1", 0).next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
