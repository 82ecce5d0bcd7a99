//! How a client is set up, and its one connection.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use tonic::transport::{ClientTlsConfig, Endpoint};

use crate::calls::{Calls, Stub};
use crate::client::Client;
use crate::error::{Error, ErrorKind};

// A batch of a stream is 3 MiB and more; tonic's own bound of 4 MiB leaves little above that.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

// A machine that vanished closes no connection. A follower hears from its server every 10 s, so that a ping goes out
// only when that is overdue.
const PING_AFTER: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How a [`Client`] is to be; made by [`Client::builder`].
// It holds the token, and is not to be printed.
#[must_use]
pub struct ClientBuilder {
    pub(crate) address: String,
    pub(crate) token: Option<String>,
    pub(crate) tls: Option<ClientTlsConfig>,
    pub(crate) connect_timeout: Duration,
    pub(crate) patience: Duration,
    pub(crate) heartbeat_timeout: Duration,
}

impl ClientBuilder {
    /// Sends this as a bearer token with each call.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Encrypts the connection; without this it is plain text. `ClientTlsConfig::new().with_enabled_roots()` trusts
    /// whom the system trusts.
    pub fn tls(mut self, tls: ClientTlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How long to try a server that has never answered: 5 s unless set.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long to go on with a server that has answered once, and how long one call may take: 60 s unless set. Zero:
    /// nothing is asked twice, and a call takes as long as it takes.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How long a followed session may be silent before its stream counts as cut: 30 s unless set. The server gives a
    /// sign of life every 10 s.
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = timeout;
        self
    }

    /// The client. Its connection is made by the first call.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn connect(self) -> Result<Client, Error> {
        if self.address.contains('/') {
            return Err(unusable(&self.address, "it is to be HOST:PORT; TLS is asked for by `tls`"));
        }
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{}", self.address))
            .map_err(|error| unusable(&self.address, error))?
            .http2_keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(PING_TIMEOUT);
        if !self.connect_timeout.is_zero() {
            endpoint = endpoint.connect_timeout(self.connect_timeout);
        }
        if let Some(tls) = &self.tls {
            endpoint = endpoint.tls_config(tls.clone()).map_err(|error| unusable("the TLS options", error))?;
        }
        let token = self.token.as_ref().map(|token| format!("Bearer {token}").parse()).transpose();
        let calls = Calls {
            stub: Stub::new(endpoint.connect_lazy()).max_decoding_message_size(MAX_MESSAGE_BYTES),
            token: token.map_err(|error| unusable("the token", error))?,
            answered: false.into(),
            how: self,
        };
        Ok(Client { calls: Arc::new(calls), answers: Arc::default() })
    }
}

fn unusable(what: &str, why: impl Display) -> Error {
    Error::new(ErrorKind::Unusable, format!("{what} cannot be used: {why}"))
}
