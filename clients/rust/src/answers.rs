//! What became of each tool use that a run of this client has met.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::tools::Answer;

const REMEMBERED: usize = 100_000;
const STOPPED: &str = "The tool was stopped before it was done; what it did is not known.";

/// The session's id and the use's.
type Key = (String, String);

/// Sees to it that a handler is called at most once for a use, however many runs of this client meet it.
#[derive(Default)]
pub(crate) struct Answers(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// None: in hand. Else an answer that could not be sent.
    of: HashMap<Key, Option<Answer>>,
    oldest_first: VecDeque<Key>,
}

impl Answers {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The use, to be answered by the caller alone. None: it is in hand already, or was answered.
    pub(crate) fn take(self: &Arc<Self>, session_id: &str, use_id: &str) -> Option<Taken> {
        let key = (session_id.to_owned(), use_id.to_owned());
        let Known { of, oldest_first } = &mut *self.known();
        let kept = match of.insert(key.clone(), None) {
            Some(kept) => Some(kept?),
            None => {
                oldest_first.push_back(key.clone());
                if oldest_first.len() > REMEMBERED {
                    oldest_first.pop_front().map(|oldest| of.remove(&oldest));
                }
                None
            }
        };
        Some(Taken { answers: self.clone(), key, kept, is_sent: false })
    }

    /// A handler is at work on the use, or its answer was sent.
    pub(crate) fn in_hand(&self, session_id: &str, use_id: &str) -> bool {
        self.known().of.get(&(session_id.to_owned(), use_id.to_owned())) == Some(&None)
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
        let Known { of, oldest_first } = &mut *self.answers.known();
        match self.kept.take() {
            _ if self.is_sent => {}
            Some(answer) => drop(of.get_mut(&self.key).map(|kept| *kept = Some(answer))),
            None => {
                // Its handler was never asked.
                of.remove(&self.key);
                oldest_first.retain(|key| *key != self.key);
            }
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
