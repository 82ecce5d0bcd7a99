//! How long to wait before asking again.

use std::time::Duration;

/// At most, before the second attempt.
const FIRST: Duration = Duration::from_millis(100);
/// At most, between any two attempts: a server that is back is found within this.
const LONGEST: Duration = Duration::from_secs(3);
const GROWTH: f64 = 1.7;

/// Delays that grow, with jitter, so that clients that lost one server do not all come back at once.
pub(crate) struct Backoff {
    ceiling: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { ceiling: FIRST }
    }
}

impl Backoff {
    /// Between half the present ceiling and all of it, and never less than the server asked for.
    pub(crate) fn next(&mut self, at_least: Option<Duration>) -> Duration {
        let delay = self.ceiling.mul_f64(rand::random_range(0.5..=1.0));
        self.ceiling = self.ceiling.mul_f64(GROWTH).min(LONGEST);
        delay.max(at_least.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_up_to_the_longest_and_never_fall_below_half_of_it() {
        let mut backoff = Backoff::default();
        let first = backoff.next(None);
        assert!(first >= FIRST / 2 && first <= FIRST);
        let last = (0..20).map(|_| backoff.next(None)).last().unwrap();
        assert!(last >= LONGEST / 2 && last <= LONGEST);
    }
}
