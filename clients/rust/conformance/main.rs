//! Plays conformance scenarios through the client and prints their lines: `conformance SCENARIO_FILE...`. Or does one of
//! the acts of tests/conformance/README.md: `conformance ACT ADDRESS SESSION ...`.

use std::error::Error;
use std::path::Path;

mod acts;
mod keeping;
mod lines;
mod requests;
mod runner;
mod running;
#[path = "../tests/client/support/server.rs"]
mod server;
mod servers;
mod streams;

use servers::Servers;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<_> = std::env::args().skip(1).collect();
    if let Some(done) = acts::act(&given).await {
        return done;
    }
    let folder = tempfile::tempdir()?;
    let mut servers = Servers::new(folder.path());
    for file in given {
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
        let lines = servers.play(&serde_json::from_str(&text)?).await;
        let name = Path::new(&file).file_stem().unwrap_or_default().to_string_lossy();
        println!("scenario {name}");
        for line in lines {
            println!("{line}");
        }
    }
    Ok(())
}
