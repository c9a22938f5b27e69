//! Headless Chromium over its debugging pipe: JSON messages that end with a zero byte (Chrome DevTools Protocol).

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use xray_workspace::steps::succeeds;

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const PATIENCE: Duration = Duration::from_secs(60);

/// How a page is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Light,
    Dark,
    Print,
}

impl Media {
    pub(super) fn name(self) -> &'static str {
        match self {
            Media::Light => "light",
            Media::Dark => "dark",
            Media::Print => "print",
        }
    }
}

/// A running browser with one page.
pub(super) struct Browser {
    child: Child,
    stdin: ChildStdin,
    /// What it says; a thread reads it, so that a browser that hangs is noticed.
    messages: Receiver<Vec<u8>>,
    session: Option<String>,
    next: u64,
    /// Addresses that the page asked for since it was opened.
    requests: Vec<String>,
    loaded: bool,
    with_scripts: bool,
}

/// The browser's name, if there is one.
pub(crate) fn installed() -> Option<&'static str> {
    NAMES.into_iter().find(|name| succeeds(Command::new(name).arg("--version")))
}

impl Browser {
    /// With or without scripts in pages; what this program evaluates runs anyway.
    pub(super) fn start(with_scripts: bool) -> Result<Browser> {
        let name = installed().context("no Chromium here (apt-get install chromium)")?;
        // The pipe is files 3 and 4; a shell lays our pipes there. As root it runs without its sandbox only; it reads
        // nothing but the one file.
        let script = format!(
            "exec {name} --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars \
             --no-first-run --disable-extensions --disable-background-networking --user-data-dir=\"$PROFILE\" \
             --remote-debugging-pipe 3<&0 4>&1 </dev/null >/dev/null 2>&1"
        );
        let profile = std::env::temp_dir().join(format!("xtask-page-{}", std::process::id()));
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .env("PROFILE", &profile)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start sh")?;
        let stdin = child.stdin.take().expect("it was asked for");
        let messages = messages(child.stdout.take().expect("it was asked for"));
        let mut browser = Browser {
            child,
            stdin,
            messages,
            session: None,
            next: 0,
            requests: Vec::new(),
            loaded: false,
            with_scripts,
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }))?;
        let attached = browser
            .call("Target.attachToTarget", &json!({ "targetId": target["targetId"], "flatten": true }))?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Network.enable", "Runtime.enable"] {
            browser.call(domain, &json!({}))?;
        }
        Ok(browser)
    }

    /// Shows a page; returns all addresses that it asked for.
    pub(super) fn open(&mut self, url: &str, width: u32, media: Media) -> Result<Vec<String>> {
        let metrics = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &metrics)?;
        let scheme = if media == Media::Dark { "dark" } else { "light" };
        let kind = if media == Media::Print { "print" } else { "screen" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", &json!({ "media": kind, "features": features }))?;
        self.call("Emulation.setScriptExecutionDisabled", &json!({ "value": !self.with_scripts }))?;
        (self.loaded, self.requests) = (false, Vec::new());
        let went = self.call("Page.navigate", &json!({ "url": url }))?;
        if let Some(error) = went["errorText"].as_str() {
            bail!("{url}: {error}");
        }
        self.wait_until_loaded(url)
    }

    /// Chooses a file in the page's form and sends it as a person would; returns all addresses that were asked for.
    pub(super) fn send(&mut self, file: &Path) -> Result<Vec<String>> {
        let document = self.call("DOM.getDocument", &json!({}))?["root"]["nodeId"].take();
        let mut find = |selector: &str| -> Result<Value> {
            let found =
                self.call("DOM.querySelector", &json!({ "nodeId": document, "selector": selector }))?;
            if found["nodeId"] == 0 {
                bail!("the page has no {selector}")
            } else {
                Ok(found["nodeId"].clone())
            }
        };
        let (input, button) = (find("input[type=file]")?, find("button[type=submit]")?);
        let files = json!([file.display().to_string()]);
        self.call("DOM.setFileInputFiles", &json!({ "nodeId": input, "files": files }))?;
        self.call("DOM.focus", &json!({ "nodeId": button }))?;
        (self.loaded, self.requests) = (false, Vec::new());
        for kind in ["keyDown", "keyUp"] {
            let key = json!({ "type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r" });
            self.call("Input.dispatchKeyEvent", &key)?;
        }
        self.wait_until_loaded("what the form asks for")
    }

    fn wait_until_loaded(&mut self, what: &str) -> Result<Vec<String>> {
        let start = Instant::now();
        while !self.loaded {
            if start.elapsed() > PATIENCE {
                bail!("{what} does not load");
            }
            self.receive()?;
        }
        Ok(std::mem::take(&mut self.requests))
    }

    /// The value of an expression in the page.
    pub(super) fn evaluate(&mut self, expression: &str) -> Result<Value> {
        if !self.with_scripts {
            // The page's own have had their chance when it was loaded.
            self.call("Emulation.setScriptExecutionDisabled", &json!({ "value": false }))?;
        }
        let arguments = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut found = self.call("Runtime.evaluate", &arguments)?;
        if let Some(exception) = found.get("exceptionDetails") {
            bail!("the audit failed: {exception}");
        }
        Ok(found["result"]["value"].take())
    }

    /// The whole page as PNG.
    pub(super) fn screenshot(&mut self) -> Result<Vec<u8>> {
        let picture =
            self.call("Page.captureScreenshot", &json!({ "format": "png", "captureBeyondViewport": true }))?;
        STANDARD.decode(picture["data"].as_str().unwrap_or_default()).context("the picture is not base64")
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Result<Value> {
        self.next += 1;
        let id = self.next;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.stdin.write_all(&bytes).and_then(|()| self.stdin.flush()).context("the browser is gone")?;
        loop {
            let mut answer = self.receive()?;
            if answer["id"] == id {
                if let Some(error) = answer.get("error") {
                    bail!("{method}: {error}");
                }
                return Ok(answer["result"].take());
            }
        }
    }

    /// The next message; events are noted.
    fn receive(&mut self) -> Result<Value> {
        let bytes = self.messages.recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => anyhow!("the browser said nothing for {} s", PATIENCE.as_secs()),
            RecvTimeoutError::Disconnected => anyhow!("the browser ended"),
        })?;
        let message: Value = serde_json::from_slice(&bytes).context("the browser does not speak JSON")?;
        match message["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                self.requests.extend(message["params"]["request"]["url"].as_str().map(str::to_owned));
            }
            Some("Page.loadEventFired") => self.loaded = true,
            _ => {}
        }
        Ok(message)
    }
}

/// Each message, until the browser ends or nobody listens.
fn messages(stdout: ChildStdout) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let whole = BufReader::new(stdout).split(0).map_while(Result::ok);
        for message in whole {
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ =
            std::fs::remove_dir_all(std::env::temp_dir().join(format!("xtask-page-{}", std::process::id())));
    }
}
