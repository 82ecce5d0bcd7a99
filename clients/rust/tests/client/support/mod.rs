//! What many tests need.

pub mod fake;
pub mod messages;
pub mod relay;
pub mod server;
pub mod sessions;
pub mod turns;

use std::time::Duration;

/// What must happen, soon or the test has failed.
pub async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it happens soon")
}
