//! What became of each tool use that a run of this client has met.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::tools::Answer;

const REMEMBERED: usize = 100_000;
const BROKEN_OFF: &str = "The tool was stopped before it was done; what it did is not known.";

/// The session's id and the use's.
type Key = (String, String);

/// Lets a handler be called at most once for a use, however many runs of this client see it.
#[derive(Default)]
pub(crate) struct Answers(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// None: at work, or sent. Else an answer that could not be sent.
    of: HashMap<Key, Option<Answer>>,
    /// Oldest first.
    keys: VecDeque<Key>,
}

impl Answers {
    /// The use, to be answered by the caller alone. None: it is in hand already.
    pub(crate) fn take(self: &Arc<Self>, session_id: &str, use_id: &str) -> Option<Taken> {
        let key = (session_id.to_owned(), use_id.to_owned());
        let known = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = match known.of.get_mut(&key) {
            Some(kept) => Some(kept.take()?),
            None => {
                known.keys.push_back(key.clone());
                known.of.insert(key.clone(), None);
                if known.keys.len() > REMEMBERED
                    && let Some(oldest) = known.keys.pop_front()
                {
                    known.of.remove(&oldest);
                }
                None
            }
        };
        Some(Taken { answers: self.clone(), key, kept, is_sent: false })
    }

    /// A handler is at work on the use, or its answer was sent.
    pub(crate) fn in_hand(&self, session_id: &str, use_id: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(known.of.get(&(session_id.to_owned(), use_id.to_owned())), Some(None))
    }

    fn put_back(&self, key: &Key, answer: Option<Answer>) {
        let known = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Some(_) => drop(known.of.get_mut(key).map(|kept| *kept = answer)),
            None => {
                known.of.remove(key);
                known.keys.retain(|known| known != key);
            }
        }
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
        self.kept = Some(Answer::failed(BROKEN_OFF));
        self.kept.insert(handler.await).clone()
    }

    /// The answer is in the log, or the use is closed: it need not be kept.
    pub(crate) fn sent(mut self) {
        self.is_sent = true;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.is_sent {
            self.answers.put_back(&self.key, self.kept.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::IntoAnswer;

    #[tokio::test]
    async fn an_answer_that_could_not_be_sent_is_kept_and_the_handler_is_not_called_again() {
        let answers = Arc::new(Answers::default());
        let mut taken = answers.take("ses_1", "use_1").unwrap();
        assert!(answers.take("ses_1", "use_1").is_none());
        assert_eq!(taken.answer(async { "once".into_answer() }).await, "once".into_answer());
        drop(taken);
        assert!(!answers.in_hand("ses_1", "use_1"));
        let mut taken = answers.take("ses_1", "use_1").unwrap();
        let kept = taken.answer(async { unreachable!("called twice") }).await;
        assert_eq!(kept, "once".into_answer());
        taken.sent();
        assert!(answers.in_hand("ses_1", "use_1"));
        assert!(answers.take("ses_1", "use_1").is_none());
    }

    #[tokio::test]
    async fn a_handler_that_was_stopped_is_not_called_again_and_the_model_is_told() {
        let answers = Arc::new(Answers::default());
        let mut taken = answers.take("ses_1", "use_1").unwrap();
        tokio::select! {
            biased;
            _ = taken.answer(std::future::pending()) => unreachable!(),
            () = std::future::ready(()) => {}
        }
        drop(taken);
        let mut taken = answers.take("ses_1", "use_1").unwrap();
        assert_eq!(taken.answer(async { unreachable!("called twice") }).await, Answer::failed(BROKEN_OFF));
    }

    #[test]
    fn a_handler_that_never_began_may_begin_later() {
        let answers = Arc::new(Answers::default());
        drop(answers.take("ses_1", "use_1"));
        assert!(answers.take("ses_1", "use_1").unwrap().kept.is_none());
    }
}
