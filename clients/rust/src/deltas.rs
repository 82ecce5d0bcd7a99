//! Following a session together with what its models are in the middle of saying.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::Stream;

use crate::error::Error;
use crate::follow::Follow;
use crate::v1::{SessionEvent, StreamDelta, StreamDeltaDiscarded};

/// What a follow with deltas gives.
#[derive(Clone, Debug, PartialEq)]
pub enum FollowItem {
    /// An event of the log.
    Event(Box<SessionEvent>),
    /// A piece of what the model is saying.
    Delta(StreamDelta),
    /// Throw the pieces of this response away: the answer starts over.
    Discarded(StreamDeltaDiscarded),
}

/// A [`Follow`] that gives deltas, too. Where a stream is cut in the middle of a response, a discard of it comes out:
/// what the next stream tells of it starts over.
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is read"]
pub struct FollowDeltas(pub(crate) Follow);

impl Stream for FollowDeltas {
    type Item = Result<FollowItem, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_item(cx)
    }
}

impl std::ops::Deref for FollowDeltas {
    type Target = Follow;

    /// How far it is, and how it ended.
    fn deref(&self) -> &Follow {
        &self.0
    }
}
