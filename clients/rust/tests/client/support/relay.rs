//! A relay between a client and its server, that can lose answers.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Stops when it is dropped.
pub struct Relay {
    pub address: String,
    swallows: Arc<watch::Sender<bool>>,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let swallows = Arc::new(watch::Sender::new(false));
        let (swallowing, server) = (swallows.clone(), server.to_owned());
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(relay(client, server.clone(), swallowing.subscribe()));
            }
        });
        Self { address, swallows, task }
    }

    /// From now on the server's answers go nowhere.
    pub fn swallow(&self) {
        self.swallows.send_replace(true);
    }

    /// Cuts the connections whose answers were swallowed; new ones work.
    pub fn cut(&self) {
        self.swallows.send_replace(false);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(client: TcpStream, server: String, mut swallows: watch::Receiver<bool>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let seen = swallows.clone();
    let up = tokio::io::copy(&mut from_client, &mut to_server);
    let down = async {
        let mut bytes = [0; 16 * 1024];
        while let Ok(length) = from_server.read(&mut bytes).await {
            let is_heard = !*seen.borrow();
            if length == 0 || (is_heard && to_client.write_all(&bytes[..length]).await.is_err()) {
                return;
            }
        }
    };
    let cut = async {
        let _ = swallows.wait_for(|swallows| *swallows).await;
        let _ = swallows.wait_for(|swallows| !*swallows).await;
    };
    tokio::select! { _ = up => {}, () = down => {}, () = cut => {} }
}
