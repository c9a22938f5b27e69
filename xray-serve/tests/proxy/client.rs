//! A client with connections that stay open, and the links of a page as a browser reads them.

use socket2::{Domain, Socket, Type};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) text: String,
}

/// Connections stay open, as a browser's do.
pub(crate) struct Client {
    /// The address that it asks from, if not the usual one.
    from: Option<Ipv4Addr>,
    to: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(crate) fn new(to: SocketAddr) -> Self {
        Client { from: None, to, stream: None }
    }

    /// Another machine, as far as a proxy on this one sees.
    pub(crate) fn from(from: Ipv4Addr, to: SocketAddr) -> Self {
        Client { from: Some(from), to, stream: None }
    }

    fn connect(&self) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        if let Some(from) = self.from {
            socket.bind(&SocketAddr::from((from, 0)).into()).expect("an address of this machine");
        }
        socket.connect(&self.to.into()).expect("it listens");
        socket.set_read_timeout(Some(Duration::from_secs(120))).expect("a socket");
        socket.into()
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let mut stream = self.stream.take().unwrap_or_else(|| BufReader::new(self.connect()));
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        // A body that is too large may be refused before all is sent.
        let _ = stream.get_mut().write_all(&[head.as_bytes(), body].concat());
        let mut line = String::new();
        stream.read_line(&mut line).expect("an answer");
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let mut fields = HashMap::new();
        loop {
            let mut field = String::new();
            stream.read_line(&mut field).expect("a head");
            let Some((name, value)) = field.trim().split_once(':') else { break };
            fields.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = fields.get("content-length").expect("a length").parse().expect("a number");
        let mut text = vec![0; length];
        stream.read_exact(&mut text).expect("a body");
        if fields.get("connection").is_none_or(|value| value != "close") {
            self.stream = Some(stream);
        }
        Answer { status, headers: fields, text: String::from_utf8_lossy(&text).into_owned() }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, "", b"")
    }
}

pub(crate) fn links(page: &str) -> Vec<String> {
    let parts = ["href=\"", "src=\"", "action=\""].map(|begin| page.split(begin).skip(1));
    let value = |rest: &str| rest.split('"').next().unwrap_or_default().to_owned();
    parts.into_iter().flatten().map(value).filter(|link| !link.starts_with("data:")).collect()
}

/// As a browser makes a link's address.
pub(crate) fn resolved(page: &str, link: &str) -> String {
    if link.starts_with('/') {
        return link.to_owned();
    }
    let mut folders: Vec<&str> = page.split('/').collect();
    folders.pop();
    for part in link.split('/') {
        match part {
            "." => {}
            ".." => drop(folders.pop()),
            part => folders.push(part),
        }
    }
    folders.join("/")
}
