//! Following a session: one unbroken run of events, over as many streams as it takes.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::stream::{BoxStream, Stream, StreamExt};
use tokio::time::{Instant, Sleep, sleep};

use crate::backoff::Backoff;
use crate::calls::Calls;
use crate::error::{Error, ErrorKind};
use crate::v1::stream_events_response::Message;
use crate::v1::{
    SessionEvent, StreamDelta, StreamDeltaDiscarded, StreamEndReason, StreamEnded, StreamEventsRequest,
    StreamEventsResponse, StreamTurn,
};

/// What a follow with deltas gives, or one of a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum FollowItem {
    /// An event of the log.
    Event(Box<SessionEvent>),
    /// A piece of what the model is saying.
    Delta(StreamDelta),
    /// Throw the pieces of this response away: the answer starts over.
    Discarded(StreamDeltaDiscarded),
    /// Where the turn stands that is followed.
    Turn(Box<StreamTurn>),
}

/// A stream of a session's events: none twice, none left out, until the session is over.
///
/// A stream that is cut is opened again after the last event; a server that is away is waited for as long as the client
/// has patience. Events of a kind that this version of the client does not know are left out. To stop before the end,
/// drop it: the call is cancelled at once. After an error nothing more comes.
#[must_use = "a stream does nothing unless it is read"]
pub struct Follow<T = SessionEvent> {
    reader: Reader,
    /// What of it is given.
    pick: fn(FollowItem) -> Option<T>,
    has_failed: bool,
}

impl Follow {
    pub(crate) fn new(calls: Arc<Calls>, request: StreamEventsRequest) -> Self {
        let reader = Reader {
            calls,
            request,
            stream: None,
            timer: None,
            batch: Vec::new().into_iter(),
            through_batch: 0,
            half_told: None,
            lost: None,
            caught_up: false,
            ended: None,
        };
        let pick = |item| if let FollowItem::Event(event) = item { Some(*event) } else { None };
        Self { reader, pick, has_failed: false }
    }
}

impl<T> Follow<T> {
    /// Only these kinds, say `agent.message`.
    pub fn kinds<S: Into<String>>(mut self, kinds: impl IntoIterator<Item = S>) -> Self {
        self.reader.request.kinds = kinds.into_iter().map(Into::into).collect();
        self
    }

    /// Insists on the history that `from_seq` belongs to, from an earlier follow.
    pub fn of_log(mut self, log_id: impl Into<String>) -> Self {
        self.reader.request.log_id = Some(log_id.into());
        self
    }

    /// Gives also what a model is in the middle of saying. Where a stream is cut in the middle of a response, a discard
    /// of it comes out: what the next stream tells of it starts over.
    pub fn deltas(mut self) -> Follow<FollowItem> {
        self.reader.request.include_deltas = true;
        Follow { reader: self.reader, pick: Some, has_failed: false }
    }

    /// Follows one turn, that of the message with this seq, or an outcome, and is over with it. Gives its events, and
    /// where it stands.
    pub fn turn(mut self, seq: u64) -> Follow<FollowItem> {
        self.reader.request.turn = seq;
        Follow { reader: self.reader, pick: Some, has_failed: false }
    }

    /// Everything up to this seq was given or filtered: where to go on. None: live only, and not connected yet.
    pub fn through_seq(&self) -> Option<u64> {
        self.reader.request.from_seq
    }

    /// The history that the seqs belong to. None: not known yet.
    pub fn log_id(&self) -> Option<&str> {
        self.reader.request.log_id.as_deref()
    }

    /// The head of the log was reached once.
    pub fn caught_up(&self) -> bool {
        self.reader.caught_up
    }

    /// How the events ended for good. None: they did not, as far as is known.
    pub fn ended(&self) -> Option<&StreamEnded> {
        self.reader.ended.as_ref()
    }
}

impl<T> fmt::Debug for Follow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").field("request", &self.reader.request).finish_non_exhaustive()
    }
}

impl<T> Stream for Follow<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.has_failed {
            // All that it waits for is kept in the reader: each poll may begin it anew.
            let read = ready!(pin!(self.reader.next()).poll(cx));
            self.has_failed = read.is_err();
            match read.map(|item| item.map(self.pick)) {
                // Not of what is given.
                Ok(Some(None)) => {}
                picked => return Poll::Ready(picked.map(Option::flatten).transpose()),
            }
        }
        Poll::Ready(None)
    }
}

struct Reader {
    calls: Arc<Calls>,
    /// Of the next stream: what was learned so far is in it.
    request: StreamEventsRequest,
    stream: Option<BoxStream<'static, Result<StreamEventsResponse, Error>>>,
    /// How long the stream may still be silent; where there is none, how long to wait before the next one. Runs only while
    /// that is waited for: the time that the caller takes does not count.
    timer: Option<Pin<Box<Sleep>>>,
    batch: std::vec::IntoIter<SessionEvent>,
    through_batch: u64,
    half_told: Option<StreamDeltaDiscarded>,
    /// Since when there is no stream, and how long to wait before the next one.
    lost: Option<(Instant, Backoff)>,
    caught_up: bool,
    ended: Option<StreamEnded>,
}

impl Reader {
    /// Nothing is lost where this is dropped before it is done.
    async fn next(&mut self) -> Result<Option<FollowItem>, Error> {
        while self.ended.is_none() {
            while let Some(event) = self.batch.next() {
                if self.is_news(&event)? {
                    return Ok(Some(FollowItem::Event(Box::new(event))));
                }
            }
            self.move_to(self.through_batch);
            let Some(stream) = &mut self.stream else {
                if let Some(delay) = &mut self.timer {
                    delay.await;
                    self.timer = None;
                }
                self.stream = Some(self.calls.stream(self.request.clone()));
                continue;
            };
            let longest = self.calls.how.heartbeat_timeout;
            let silence = self.timer.get_or_insert_with(|| Box::pin(sleep(longest)));
            let read = tokio::select! {
                biased;
                read = stream.next() => read.unwrap_or_else(|| Err(self.calls.cut("the stream closed without saying why"))),
                () = silence => Err(self.calls.cut(&format!("nothing came for {longest:?}"))),
            };
            self.timer = None;
            match read.and_then(|response| self.take(response.message)) {
                Ok(None) => {}
                Ok(item) => return Ok(item),
                Err(lost) => {
                    self.wait_after(lost)?;
                    if let Some(half) = self.half_told.take() {
                        return Ok(Some(FollowItem::Discarded(half)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Goes on to another stream after a delay, or fails with what another stream would not mend.
    fn wait_after(&mut self, error: Error) -> Result<(), Error> {
        // The call is cancelled here, not when the delay is over.
        self.stream = None;
        if error.reason() == Some("SESSION_NOT_FOUND")
            && let (Some(_), Some(last_seq)) = (&self.request.log_id, self.request.from_seq)
        {
            // It was there, and was deleted while no stream was open to say so.
            self.ended = Some(StreamEnded { reason: StreamEndReason::Deleted.into(), last_seq, r#final: true });
            return Ok(());
        }
        let (since, backoff) = self.lost.get_or_insert_with(|| (Instant::now(), Backoff::default()));
        let delay = backoff.next(error.retry_after());
        // Nobody gave this call a deadline here: one that passed was a proxy's, and ends a stream like any cut.
        let passing = error.is_passing() || error.kind() == ErrorKind::DeadlineExceeded;
        if !passing || since.elapsed() + delay > self.calls.patience() {
            return Err(error);
        }
        tracing::info!(%error, ?delay, "following again");
        self.timer = Some(Box::pin(sleep(delay)));
        Ok(())
    }

    /// What a message has for the caller, or why its stream is as good as cut. A kind of message that is not known here
    /// has nothing.
    fn take(&mut self, message: Option<Message>) -> Result<Option<FollowItem>, Error> {
        if !matches!(message, Some(Message::Opened(_))) {
            // A stream that only ever opens is no better than none.
            self.lost = None;
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
            Some(Message::Turn(turn)) => return Ok(Some(FollowItem::Turn(Box::new(turn)))),
            Some(Message::Ended(ended)) if ended.r#final => {
                self.stream = None;
                self.ended = Some(ended);
            }
            Some(Message::Ended(_)) => return Err(self.calls.cut("the server is shutting down")),
            None => {}
        }
        Ok(None)
    }

    fn move_to(&mut self, through_seq: u64) {
        if let Some(seq) = &mut self.request.from_seq {
            *seq = through_seq.max(*seq);
        }
    }

    /// Whether the event is new, and of a kind that is known here. The seq moves before the caller gets it.
    fn is_news(&mut self, event: &SessionEvent) -> Result<bool, Error> {
        let StreamEventsRequest { from_seq, kinds, turn, session_id, .. } = &mut self.request;
        let after = from_seq.unwrap_or_default();
        if event.seq <= after {
            return Ok(false);
        }
        if kinds.is_empty() && *turn == 0 && event.seq != after + 1 {
            let said = format!("seq {} came after {after} in {session_id}", event.seq);
            return Err(Error::new(ErrorKind::PromiseBroken, said));
        }
        *from_seq = Some(event.seq);
        self.half_told.take_if(|half| half.response_id == event.response_id);
        Ok(event.payload.is_some())
    }
}
