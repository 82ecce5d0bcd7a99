//! What became of each tool use that a run of this client has met.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;

use crate::tools::Answer;

/// At least so many uses, and at most twice as many.
const REMEMBERED: usize = 50_000;
const STOPPED: &str = "The tool was stopped before it was done; what it did is not known.";

/// The session's id and the use's.
type Key = (String, String);

/// Sees to it that a handler is called at most once for a use, however many runs of this client meet it.
///
/// None: the use is in hand, or its answer was sent. Else an answer that could not be sent.
#[derive(Default)]
pub(crate) struct Answers(Mutex<IndexMap<Key, Option<Answer>>>);

impl Answers {
    fn known(&self) -> MutexGuard<'_, IndexMap<Key, Option<Answer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The use, to be answered by the caller alone. None: it is in hand already, or was answered.
    pub(crate) fn take(self: &Arc<Self>, session_id: &str, use_id: &str) -> Option<Taken> {
        let (key, mut known) = ((session_id.to_owned(), use_id.to_owned()), self.known());
        let kept = match known.insert(key.clone(), None) {
            Some(None) => return None,
            kept => kept.flatten(),
        };
        if known.len() > 2 * REMEMBERED {
            // The oldest.
            known.drain(..REMEMBERED);
        }
        Some(Taken { answers: self.clone(), key, kept, is_sent: false })
    }

    /// A handler is at work on the use, or its answer was sent.
    pub(crate) fn in_hand(&self, session_id: &str, use_id: &str) -> bool {
        self.known().get(&(session_id.to_owned(), use_id.to_owned())) == Some(&None)
    }
}

/// A use in hand. Dropped before its answer was sent, it can be taken again, with what its handler said.
pub(crate) struct Taken {
    answers: Arc<Answers>,
    key: Key,
    kept: Option<Answer>,
    is_sent: bool,
}

impl Taken {
    /// The answer: from an earlier time, or from the handler, which is asked now.
    pub(crate) async fn answer(&mut self, handler: impl Future<Output = Answer>) -> Answer {
        if let Some(answer) = &self.kept {
            return answer.clone();
        }
        self.kept = Some(Answer::failed(STOPPED));
        self.kept.insert(handler.await).clone()
    }

    /// The answer is in the log, or the use is closed: it need not be kept.
    pub(crate) fn sent(mut self) {
        self.is_sent = true;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut known = self.answers.known();
        match self.kept.take() {
            _ if self.is_sent => {}
            // Its handler was never asked.
            None => drop(known.shift_remove(&self.key)),
            kept => drop(known.insert(self.key.clone(), kept)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_whose_handler_was_never_asked_may_be_answered_later() {
        let answers = Arc::new(Answers::default());
        drop(answers.take("ses_1", "use_1"));
        assert!(!answers.in_hand("ses_1", "use_1"));
        assert!(answers.take("ses_1", "use_1").is_some_and(|taken| taken.kept.is_none()));
    }
}
