//! The servers of scenarios: how each is started, and what is done to it by hand.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::runner;
use crate::server::Server;

const TO_ITS_SERVER: [&str; 5] = ["kill", "terminate", "stop", "start_again", "by_hand"];

/// A server with its log where the hands find it.
pub struct OwnServer {
    pub process: Server,
    log: PathBuf,
}

impl OwnServer {
    /// In a folder of its own: what stands in a server's place may want one for itself.
    async fn started(folder: &Path, flags: &[String]) -> Self {
        std::fs::create_dir(folder).expect("a folder for the log");
        let log = folder.join("log.db");
        Self { process: Server::started(&log, flags).await, log }
    }

    /// Has something done to it from outside.
    pub async fn by_hand(&self, given: &Value) {
        let command = std::env::var("MANAGEDAGENTS_SERVER_COMMAND")
            .expect("MANAGEDAGENTS_SERVER_COMMAND says whom to ask: `make conformance` sets it");
        let mut words = command.split_whitespace();
        let done = Command::new(words.next().expect("a command"))
            .args(words)
            .args(["--by-hand", &given.to_string(), "--address", &self.process.address, "--db"])
            .arg(&self.log)
            .output()
            .await
            .expect("the hands start");
        assert!(done.status.success(), "{given}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

/// Scenarios that start their server in the same way share it, but those that do something to it.
pub struct Servers {
    folder: PathBuf,
    shared: HashMap<Vec<String>, OwnServer>,
    count: usize,
}

impl Servers {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), shared: HashMap::new(), count: 0 }
    }

    /// The lines of a scenario.
    pub async fn play(&mut self, scenario: &Value) -> Vec<String> {
        self.count += 1;
        let (folder, flags) = (self.folder.join(self.count.to_string()), flags(scenario));
        if has_its_own(scenario) {
            return runner::run(scenario, &mut OwnServer::started(&folder, &flags).await).await;
        }
        if !self.shared.contains_key(&flags) {
            self.shared.insert(flags.clone(), OwnServer::started(&folder, &flags).await);
        }
        runner::run(scenario, self.shared.get_mut(&flags).expect("it was started")).await
    }
}

fn flags(scenario: &Value) -> Vec<String> {
    let server = &scenario["server"];
    let given = server["flags"].as_array().into_iter().flatten();
    let limits = server["limits"].as_object().into_iter().flatten();
    given
        .map(|flag| flag.as_str().expect("a text").to_owned())
        .chain(limits.map(|(name, value)| format!("--limit={name}={value}")))
        .collect()
}

/// Whether it does to its server what others should not feel.
fn has_its_own(scenario: &Value) -> bool {
    let steps = scenario["steps"].as_array();
    steps.into_iter().flatten().any(|step| TO_ITS_SERVER.iter().any(|verb| step.get(verb).is_some()))
}
