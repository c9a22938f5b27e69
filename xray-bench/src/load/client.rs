//! A client of one connection, which it keeps.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use xray_artifacts::{Exit, Failure};

/// Whom to ask, and what.
#[derive(Clone, Debug)]
pub(super) struct Target {
    host: String,
    path: String,
    body: Bytes,
    authorization: Option<String>,
}

/// Longer than any server of ours lets a client wait.
const PATIENCE: Duration = Duration::from_secs(60);

impl Target {
    pub(super) fn new(url: &str, body: Bytes, key: Option<&str>) -> Result<Self, Failure> {
        let wrong = || {
            Failure::new(Exit::Usage, format!("`{url}` is not an address"))
                .hint("such as http://127.0.0.1:8080/v1/predict")
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let host = uri.host().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong)?;
        let host = format!("{host}:{}", uri.port_u16().unwrap_or(80));
        let path = match uri.path_and_query().map_or("/", |path| path.as_str()) {
            "/" => "/v1/predict".to_owned(),
            path => path.to_owned(),
        };
        Ok(Target { host, path, body, authorization: key.map(|key| format!("Bearer {key}")) })
    }

    /// That somebody listens.
    pub(super) async fn reach(&self) -> Result<(), Failure> {
        let status = Client::default().ask(self).await;
        status.map(|_| ()).ok_or_else(|| {
            Failure::new(Exit::NothingMatches, format!("nobody answers at http://{}{}", self.host, self.path))
                .hint("start the server first: xray-serve --model BUNDLE")
        })
    }

    /// So many connections on which nothing was asked.
    pub(super) async fn connections(&self, count: usize) -> Result<Vec<TcpStream>, Failure> {
        let mut connections = Vec::with_capacity(count);
        for number in 1..=count {
            let connection = TcpStream::connect(&self.host).await.map_err(|error| {
                Failure::new(Exit::NothingMatches, format!("connection {number} of {count} failed: {error}"))
            })?;
            connections.push(connection);
        }
        Ok(connections)
    }

    async fn connect(&self) -> Option<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.host).await.ok()?;
        let _ = stream.set_nodelay(true);
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        sender.ready().await.ok()?;
        Some(sender)
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let request =
            Request::post(&self.path).header("host", &self.host).header("content-type", "image/jpeg");
        let request = match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        };
        request.body(Full::new(self.body.clone())).expect("the address and the key were looked at")
    }
}

/// Connects when it must.
#[derive(Debug, Default)]
pub(super) struct Client(Option<SendRequest<Full<Bytes>>>);

impl Client {
    /// The status of an answer that was read to its end; none if the connection broke.
    pub(super) async fn ask(&mut self, target: &Target) -> Option<u16> {
        let asked = timeout(PATIENCE, self.try_to_ask(target)).await;
        asked.ok().flatten()
    }

    async fn try_to_ask(&mut self, target: &Target) -> Option<u16> {
        let kept = match self.0.take() {
            // The server may have ended it after its last answer.
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let mut sender = match kept {
            Some(sender) => sender,
            None => target.connect().await?,
        };
        let answer = sender.send_request(target.request()).await.ok()?;
        let status = answer.status().as_u16();
        answer.into_body().collect().await.ok()?;
        self.0 = Some(sender);
        Some(status)
    }
}
