//! How long a follow waits, how it stops, and what becomes of half an answer.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use managedagents::v1::StreamEventsRequest;
use managedagents::{Client, ErrorKind, FollowItem};
use tokio::sync::Notify;
use tonic::Status;

use crate::support::fake::Fake;
use crate::support::messages::*;
use crate::support::soon;

#[tokio::test]
async fn a_silent_stream_is_given_up_for_a_new_one() {
    let serving = Fake::new()
        .following(|request: StreamEventsRequest, told| async move {
            told.say(opened()).await;
            if request.log_id.is_none() {
                told.say(batch(1, 2)).await;
                std::future::pending::<()>().await;
            }
            told.say(batch(3, 3)).await;
            told.say(ended(3)).await;
            Ok(())
        })
        .serve();
    let client = Client::builder(&*serving.address).heartbeat_timeout(Duration::from_millis(300)).connect().unwrap();
    let events: Vec<_> = soon(client.follow("ses_1", 0).try_collect()).await.unwrap();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(serving.streams()[1].from_seq, Some(2));
}

async fn told(fake: Fake) -> Vec<FollowItem> {
    let serving = fake.serve();
    soon(serving.client().follow("ses_1", 0).deltas().try_collect()).await.unwrap()
}

fn names(items: &[FollowItem]) -> Vec<&str> {
    let name = |item: &FollowItem| match item {
        FollowItem::Event(_) => "event",
        FollowItem::Delta(_) => "delta",
        FollowItem::Discarded(_) => "discarded",
        FollowItem::Turn(_) => "turn",
    };
    items.iter().map(name).collect()
}

#[tokio::test]
async fn half_an_answer_is_discarded_when_its_stream_is_cut() {
    let fake = Fake::new().following(|request: StreamEventsRequest, told| async move {
        told.say(opened()).await;
        if request.log_id.is_none() {
            told.say(batch(1, 1)).await;
            told.say(delta("Hel")).await;
            return Err(Status::unavailable(""));
        }
        told.say(delta("Hello")).await;
        told.say(batch_of(vec![event(2, "rsp_1")])).await;
        told.say(ended(2)).await;
        Ok(())
    });
    let items = told(fake).await;
    assert_eq!(names(&items), ["event", "delta", "discarded", "delta", "event"]);
    let FollowItem::Discarded(discarded) = &items[2] else { unreachable!() };
    assert_eq!((discarded.response_id.as_str(), discarded.attempt), ("rsp_1", 1));
}

#[tokio::test]
async fn a_told_answer_is_not_discarded_when_its_stream_is_cut() {
    let fake = Fake::new().following(|request: StreamEventsRequest, told| async move {
        told.say(opened()).await;
        if request.log_id.is_none() {
            told.say(delta("Hello")).await;
            told.say(batch_of(vec![event(1, "rsp_1")])).await;
            return Err(Status::unavailable(""));
        }
        told.say(ended(1)).await;
        Ok(())
    });
    assert_eq!(names(&told(fake).await), ["delta", "event"]);
}

/// Tells one event and then nothing; `gone` is told when the client has cancelled.
fn cancelled(gone: &Arc<Notify>) -> Fake {
    let gone = gone.clone();
    Fake::new().following(move |_, told| {
        let gone = gone.clone();
        async move {
            told.say(opened()).await;
            told.say(batch(1, 1)).await;
            told.closed().await;
            gone.notify_one();
            Ok(())
        }
    })
}

#[tokio::test]
async fn dropping_a_follow_cancels_the_call_at_once() {
    let gone = Arc::new(Notify::new());
    let serving = cancelled(&gone).serve();
    let mut follow = serving.client().follow("ses_1", 0);
    assert_eq!(soon(follow.next()).await.unwrap().unwrap().seq, 1);
    drop(follow);
    soon(gone.notified()).await;
}

#[tokio::test]
async fn aborting_the_reader_cancels_the_call() {
    let (gone, read) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let serving = cancelled(&gone).serve();
    let (client, reads) = (serving.client(), read.clone());
    let reader = tokio::spawn(async move {
        let mut follow = client.follow("ses_1", 0);
        while follow.next().await.is_some() {
            reads.notify_one();
        }
    });
    soon(read.notified()).await;
    reader.abort();
    soon(gone.notified()).await;
}

#[tokio::test]
async fn patience_with_a_server_that_is_gone_ends() {
    let serving = cancelled(&Arc::new(Notify::new())).serve();
    let client = Client::builder(&*serving.address).patience(Duration::from_millis(500)).connect().unwrap();
    let mut follow = client.follow("ses_1", 0);
    assert_eq!(soon(follow.next()).await.unwrap().unwrap().seq, 1);
    drop(serving);
    assert_eq!(soon(follow.next()).await.unwrap().unwrap_err().kind(), ErrorKind::NoAnswer);
    assert!(soon(follow.next()).await.is_none());
}

#[tokio::test]
async fn a_reader_that_took_its_time_has_the_whole_patience_left() {
    let proceed = Arc::new(Notify::new());
    let go = proceed.clone();
    let serving = Fake::new()
        .following(move |request: StreamEventsRequest, told| {
            let go = go.clone();
            async move {
                told.say(opened()).await;
                if request.from_seq() == 0 {
                    told.say(batch(1, 1)).await;
                    go.notified().await;
                    return Err(Status::unavailable(""));
                }
                told.say(batch(2, 2)).await;
                told.say(ended(2)).await;
                Ok(())
            }
        })
        .serve();
    let client = Client::builder(&*serving.address)
        .patience(Duration::from_millis(400))
        .heartbeat_timeout(Duration::from_millis(400))
        .connect()
        .unwrap();
    let mut follow = client.follow("ses_1", 0);
    assert_eq!(soon(follow.next()).await.unwrap().unwrap().seq, 1);
    // Longer than the patience: that it passes is what is tested.
    tokio::time::sleep(Duration::from_millis(600)).await;
    proceed.notify_one();
    assert_eq!(soon(follow.next()).await.unwrap().unwrap().seq, 2);
    assert_eq!(serving.streams().len(), 2);
}
