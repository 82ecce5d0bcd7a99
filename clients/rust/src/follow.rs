//! Following a session: one unbroken run of events, over as many streams as it takes.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::stream::{BoxStream, Stream, StreamExt};
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;

use crate::backoff::Backoff;
use crate::calls::Calls;
use crate::deltas::{FollowDeltas, FollowItem};
use crate::error::{Error, ErrorKind};
use crate::v1::stream_events_response::Message;
use crate::v1::{
    SessionEvent, StreamDeltaDiscarded, StreamEndReason, StreamEnded, StreamEventsRequest, StreamEventsResponse,
};

/// A stream of a session's events: none twice, none left out, until the session is over.
///
/// A stream that is cut is opened again after the last event; a server that is away is waited for as long as the client
/// has patience. Events of a kind that this version of the client does not know are left out. To stop before the end,
/// drop it: the call is cancelled at once. After an error nothing more comes.
#[must_use = "a stream does nothing unless it is read"]
pub struct Follow {
    calls: Arc<Calls>,
    /// Of the next stream: what was learned so far is in it.
    request: StreamEventsRequest,
    heartbeat_timeout: Duration,
    state: State,
    /// Runs while a message is waited for: the time that the caller takes does not count.
    silence: Option<Pin<Box<Sleep>>>,
    batch: std::vec::IntoIter<SessionEvent>,
    through_batch: u64,
    half_told: Option<StreamDeltaDiscarded>,
    backoff: Backoff,
    lost_at: Option<Instant>,
    caught_up: bool,
    ended: Option<StreamEnded>,
}

enum State {
    New,
    Waiting(Pin<Box<Sleep>>),
    Open(BoxStream<'static, Result<StreamEventsResponse, Status>>),
    Over,
}

impl Follow {
    pub(crate) fn new(calls: Arc<Calls>, request: StreamEventsRequest, heartbeat_timeout: Duration) -> Self {
        Self {
            calls,
            request,
            heartbeat_timeout,
            state: State::New,
            silence: None,
            batch: Vec::new().into_iter(),
            through_batch: 0,
            half_told: None,
            backoff: Backoff::new(),
            lost_at: None,
            caught_up: false,
            ended: None,
        }
    }

    /// Only these kinds, say `agent.message`.
    pub fn kinds<S: Into<String>>(mut self, kinds: impl IntoIterator<Item = S>) -> Self {
        self.request.kinds = kinds.into_iter().map(Into::into).collect();
        self
    }

    /// Insists on the history that `from_seq` belongs to, from an earlier follow.
    pub fn of_log(mut self, log_id: impl Into<String>) -> Self {
        self.request.log_id = Some(log_id.into());
        self
    }

    /// Gives also what a model is in the middle of saying.
    pub fn deltas(mut self) -> FollowDeltas {
        self.request.include_deltas = true;
        FollowDeltas(self)
    }

    /// Everything up to this seq was given or filtered: where to go on. None: live only, and not connected yet.
    pub fn through_seq(&self) -> Option<u64> {
        self.request.from_seq
    }

    /// The history that the seqs belong to. None: not known yet.
    pub fn log_id(&self) -> Option<&str> {
        self.request.log_id.as_deref()
    }

    /// The head of the log was reached once.
    pub fn caught_up(&self) -> bool {
        self.caught_up
    }

    /// How the session's events ended for good. None: they did not, as far as is known.
    pub fn ended(&self) -> Option<&StreamEnded> {
        self.ended.as_ref()
    }

    pub(crate) fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<FollowItem, Error>>> {
        let item = ready!(self.poll_step(cx)).transpose();
        if matches!(item, None | Some(Err(_))) {
            self.state = State::Over;
            self.batch = Vec::new().into_iter();
        }
        self.silence = None;
        Poll::Ready(item)
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<FollowItem>, Error>> {
        loop {
            while let Some(event) = self.batch.next() {
                if self.advance(&event)? && event.payload.is_some() {
                    return Poll::Ready(Ok(Some(FollowItem::Event(Box::new(event)))));
                }
            }
            self.move_to(self.through_batch);
            let read = match &mut self.state {
                State::Over => return Poll::Ready(Ok(None)),
                State::New => {
                    self.state = State::Open(self.calls.stream(self.request.clone()));
                    continue;
                }
                State::Waiting(delay) => {
                    ready!(delay.as_mut().poll(cx));
                    self.state = State::New;
                    continue;
                }
                State::Open(stream) => stream.poll_next_unpin(cx),
            };
            let lost = match read {
                Poll::Ready(Some(Ok(StreamEventsResponse { message }))) => {
                    self.silence = None;
                    self.calls.heard();
                    match self.take(message) {
                        Ok(None) => continue,
                        Ok(item) => return Poll::Ready(Ok(item)),
                        Err(lost) => lost,
                    }
                }
                Poll::Ready(Some(Err(status))) => self.calls.error(&status),
                Poll::Ready(None) => self.cut("the stream closed without saying why"),
                Poll::Pending => {
                    let silence = self.silence.get_or_insert_with(|| Box::pin(sleep(self.heartbeat_timeout)));
                    ready!(silence.as_mut().poll(cx));
                    self.cut(&format!("nothing came for {:?}", self.heartbeat_timeout))
                }
            };
            self.wait_after(lost)?;
            if let Some(half) = self.half_told.take() {
                return Poll::Ready(Ok(Some(FollowItem::Discarded(half))));
            }
        }
    }

    fn cut(&self, why: &str) -> Error {
        Error::new(ErrorKind::NoAnswer, format!("{}: {why}", self.calls.address))
    }

    /// Goes on to another stream after a delay, or fails with what another stream would not mend.
    fn wait_after(&mut self, error: Error) -> Result<(), Error> {
        self.silence = None;
        // The call is cancelled here, not when the delay is over.
        self.state = State::Over;
        if error.reason() == Some("SESSION_NOT_FOUND")
            && let (Some(_), Some(last_seq)) = (&self.request.log_id, self.request.from_seq)
        {
            // It was there, and was deleted while no stream was open to say so.
            let reason = StreamEndReason::Deleted.into();
            self.ended = Some(StreamEnded { reason, last_seq, r#final: true });
            return Ok(());
        }
        let lost_for = self.lost_at.get_or_insert_with(Instant::now).elapsed();
        let delay = self.backoff.next(error.retry_after());
        // Nobody gave this call a deadline here: one that passed was a proxy's, and ends a stream like any cut.
        let passing = error.is_passing() || error.kind() == ErrorKind::DeadlineExceeded;
        if !passing || lost_for + delay > self.calls.patience() {
            return Err(error);
        }
        tracing::info!(%error, ?delay, "following again");
        self.state = State::Waiting(Box::pin(sleep(delay)));
        Ok(())
    }

    /// What a message has for the caller, or why its stream is as good as cut. A kind of message that is not known here
    /// has nothing.
    fn take(&mut self, message: Option<Message>) -> Result<Option<FollowItem>, Error> {
        if !matches!(message, Some(Message::Opened(_))) {
            // A stream that only ever opens is no better than none.
            self.backoff = Backoff::new();
            self.lost_at = None;
        }
        match message {
            Some(Message::Opened(opened)) => {
                self.request.log_id = Some(opened.log_id);
                self.request.from_seq.get_or_insert(opened.head_seq);
            }
            Some(Message::Batch(batch)) => {
                self.batch = batch.events.into_iter();
                self.through_batch = batch.through_seq;
            }
            Some(Message::CaughtUp(_)) => self.caught_up = true,
            Some(Message::Delta(delta)) => {
                let (response_id, attempt) = (delta.response_id.clone(), delta.attempt);
                self.half_told = Some(StreamDeltaDiscarded { response_id, attempt });
                return Ok(Some(FollowItem::Delta(delta)));
            }
            Some(Message::DeltaDiscarded(discarded)) => {
                self.half_told = None;
                return Ok(Some(FollowItem::Discarded(discarded)));
            }
            Some(Message::Progress(progress)) => self.move_to(progress.through_seq),
            Some(Message::Ended(ended)) if ended.r#final => {
                self.ended = Some(ended);
                self.state = State::Over;
            }
            Some(Message::Ended(_)) => return Err(self.cut("the server is shutting down")),
            None => {}
        }
        Ok(None)
    }

    fn move_to(&mut self, through_seq: u64) {
        if let Some(seq) = &mut self.request.from_seq {
            *seq = through_seq.max(*seq);
        }
    }

    /// Whether the event is new. The seq moves before the caller gets the event.
    fn advance(&mut self, event: &SessionEvent) -> Result<bool, Error> {
        let after = self.request.from_seq.unwrap_or_default();
        if event.seq <= after {
            return Ok(false);
        }
        if self.request.kinds.is_empty() && event.seq != after + 1 {
            let said = format!("seq {} came after {after} in {}", event.seq, self.request.session_id);
            return Err(Error::new(ErrorKind::PromiseBroken, said));
        }
        if self.half_told.as_ref().is_some_and(|half| half.response_id == event.response_id) {
            self.half_told = None;
        }
        self.request.from_seq = Some(event.seq);
        Ok(true)
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("request", &self.request).field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Stream for Follow {
    type Item = Result<SessionEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(self.poll_item(cx)) {
                Some(Ok(FollowItem::Event(event))) => return Poll::Ready(Some(Ok(*event))),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}
