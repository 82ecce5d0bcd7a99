//! The verb `keep_following`: the client's own follow, which goes on over as many streams as it takes.

use futures_util::StreamExt;
use managedagents::{Client, Follow, to_json};
use serde_json::{Value, json};

use crate::lines::{Told, has};

/// One follow at a time, or none.
#[derive(Default)]
pub struct Keeping(Option<Follow>);

impl Keeping {
    pub fn leave(&mut self) {
        self.0 = None;
    }

    /// Up to an event of the kind, or to the end.
    pub async fn go_on(&mut self, client: &Client, session_id: &str, told: &mut Told, given: &Value) {
        let nothing = json!({});
        let wanted = given.get("has").unwrap_or(&nothing);
        let follow = self.0.get_or_insert_with(|| client.follow(session_id, 0));
        while let Some(event) = follow.next().await {
            match event {
                Ok(event) => {
                    told.event(&event);
                    if given["kind"] == event.kind() && has(&told.names.payload(&event), wanted) {
                        return;
                    }
                }
                Err(error) => {
                    told.failure("keep_following", &error);
                    return self.leave();
                }
            }
        }
        let ended = to_json(follow.ended().expect("a follow is over when the session is"));
        let said = told.names.stable(ended, "");
        told.say(format!("keep_following ended {said}"));
        self.leave();
    }
}
