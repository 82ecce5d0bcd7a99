//! Plays conformance scenarios through the client and prints their lines: `conformance SCENARIO_FILE...`. Or does one of
//! the acts of tests/conformance/README.md: `conformance ACT ADDRESS SESSION ...`.
//!
//! Scenarios with the same limits share a server, unless they stop it.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;

use serde_json::Value;

mod acts;
mod lines;
mod requests;
mod runner;
mod running;
#[path = "../tests/client/support/server.rs"]
mod server;

use server::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<_> = std::env::args().skip(1).collect();
    if let Some(done) = acts::act(&given).await {
        return done;
    }
    let folder = tempfile::tempdir()?;
    let mut shared = HashMap::new();
    for (number, file) in given.into_iter().enumerate() {
        let scenario: Value =
            serde_json::from_str(&std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?)?;
        let (db, flags) = (folder.path().join(format!("{number}.db")), flags(&scenario));
        let lines = if stops_its_server(&scenario) {
            runner::run(&scenario, &mut Server::started(&db, &flags).await).await
        } else {
            if !shared.contains_key(&flags) {
                shared.insert(flags.clone(), Server::started(&db, &flags).await);
            }
            runner::run(&scenario, shared.get_mut(&flags).expect("it was started")).await
        };
        let name = Path::new(&file).file_stem().unwrap_or_default().to_string_lossy();
        println!("scenario {name}");
        for line in lines {
            println!("{line}");
        }
    }
    Ok(())
}

/// How its server is started.
fn flags(scenario: &Value) -> Vec<String> {
    let limits = scenario["server"]["limits"].as_object();
    limits.into_iter().flatten().map(|(name, value)| format!("--limit={name}={value}")).collect()
}

fn stops_its_server(scenario: &Value) -> bool {
    let steps = scenario["steps"].as_array();
    steps.into_iter().flatten().any(|step| step.get("kill").or(step.get("terminate")).is_some())
}
