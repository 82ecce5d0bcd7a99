//! A real server process on a real SQLite file: started, killed and started again on the same file and address.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const STARTS_WITHIN: Duration = Duration::from_secs(30);

pub struct Server {
    db: PathBuf,
    flags: Vec<String>,
    pub address: String,
    process: Option<Child>,
}

impl Server {
    /// Returns when the server listens. It is killed when this is dropped.
    pub async fn started(db: impl AsRef<Path>, flags: &[String]) -> Self {
        let db = db.as_ref().to_owned();
        let mut server = Self { db, flags: flags.to_vec(), address: "127.0.0.1:0".into(), process: None };
        server.start().await;
        server
    }

    pub async fn start(&mut self) {
        let command = std::env::var("MANAGEDAGENTS_SERVER_COMMAND");
        let command = command
            .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../.venv/bin/managedagents-server").into());
        let mut words = command.split_whitespace();
        let stderr = std::fs::File::options().create(true).append(true).open(self.db.with_extension("stderr"));
        let mut process = Command::new(words.next().expect("a command"))
            .args(words)
            .args(["--listen", &self.address, "--db"])
            .arg(&self.db)
            .args(&self.flags)
            .stdout(Stdio::piped())
            .stderr(stderr.expect("a place for what the server logs"))
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{command}: {error}"));
        let stdout = process.stdout.take().expect("it is piped");
        let line = tokio::time::timeout(STARTS_WITHIN, BufReader::new(stdout).lines().next_line()).await;
        let line = line.expect("the server listens in time").expect("a line of text").unwrap_or_default();
        let Some(address) = line.strip_prefix("listening on ") else {
            let said = std::fs::read_to_string(self.db.with_extension("stderr")).unwrap_or_default();
            panic!("the server did not start: {said}");
        };
        self.address = address.to_owned();
        self.process = Some(process);
    }

    pub async fn kill(&mut self) {
        self.running().kill().await.expect("it can be killed");
    }

    /// SIGTERM.
    pub async fn ask_to_end(&mut self) {
        let pid = self.running().id().expect("it runs").to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().await;
        assert!(told.expect("there is a kill").success());
    }

    pub async fn ended(&mut self) -> ExitStatus {
        self.running().wait().await.expect("it ends")
    }

    fn running(&mut self) -> &mut Child {
        self.process.as_mut().expect("it was started")
    }
}
