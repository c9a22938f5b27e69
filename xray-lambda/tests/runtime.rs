//! The program as Lambda runs it: events come from Lambda's runtime API (AWS, "Using the Lambda runtime API"), answers go
//! back there.

#[path = "../../xray-serve/tests/bundle/mod.rs"]
mod bundle;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bundle::{bundle, jpeg};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// The function, and the runtime API that it asks for events.
struct Function {
    child: Child,
    events: Sender<Value>,
    answers: Receiver<Value>,
    _model: TempDir,
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Function {
    fn start(variables: &[(&str, &str)]) -> Function {
        let model = bundle();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let ((events, coming), (answered, answers)) = (channel(), channel());
        let coming = Arc::new(Mutex::new(coming));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (coming, answered) = (Arc::clone(&coming), answered.clone());
                thread::spawn(move || runtime(stream.expect("a connection"), &coming, &answered));
            }
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_xray-lambda"));
        command.env("XRAY_MODEL", model.path()).envs(variables.iter().copied());
        command.envs([
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "screening"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/screening"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "1"),
        ]);
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        Function { child, events, answers, _model: model }
    }

    fn ask(&self, event: Value) -> Value {
        self.events.send(event).expect("the runtime listens");
        self.answers.recv_timeout(Duration::from_secs(60)).expect("an answer")
    }
}

/// One connection of the runtime API: events to whoever asks for the next, and answers from there.
fn runtime(stream: TcpStream, events: &Mutex<Receiver<Value>>, answers: &Sender<Value>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        if stream.read_line(&mut line).is_err() || line.is_empty() {
            return;
        }
        loop {
            let mut field = String::new();
            stream.read_line(&mut field).expect("a head");
            let Some((name, value)) = field.trim().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().expect("a number");
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).expect("a body");
        let said = if line.starts_with("GET /2018-06-01/runtime/invocation/next ") {
            let Ok(event) = events.lock().expect("no panic").recv() else { return };
            let event = event.to_string();
            format!(
                "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 7\r\nLambda-Runtime-Deadline-Ms: 4102444800000\r\n\
                 Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-central-1:1:function:screening\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{event}",
                event.len()
            )
        } else {
            assert!(line.starts_with("POST /2018-06-01/runtime/invocation/7/response "), "{line}");
            answers.send(serde_json::from_slice(&body).expect("JSON")).expect("the test waits");
            "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_owned()
        };
        stream.get_mut().write_all(said.as_bytes()).expect("writable");
    }
}

const HOST: &str = "a1.execute-api.eu-central-1.amazonaws.com";

/// Payload 2.0, with the stage in the path.
fn http(method: &str, path: &str, body: &[u8]) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": { "host": HOST, "content-type": "image/jpeg", "x-request-id": "abc-1" },
        "body": STANDARD.encode(body), "isBase64Encoded": true,
        "requestContext": {
            "accountId": "1", "apiId": "a1", "domainName": HOST, "domainPrefix": "a1",
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7", "userAgent": "curl" },
            "requestId": "r", "routeKey": "$default", "stage": "prod",
            "time": "01/Dec/2026:02:08:11 +0000", "timeEpoch": 1796090891000_i64
        }
    })
}

/// Payload 1.0, with the stage beside the path.
fn rest(method: &str, path: &str, body: &[u8]) -> Value {
    json!({
        "resource": "/{proxy+}", "path": path, "httpMethod": method,
        "headers": { "Host": HOST, "Content-Type": "image/jpeg" },
        "multiValueHeaders": { "Host": [HOST], "Content-Type": ["image/jpeg"] },
        "queryStringParameters": null, "multiValueQueryStringParameters": null,
        "pathParameters": null, "stageVariables": null,
        "body": STANDARD.encode(body), "isBase64Encoded": true,
        "requestContext": {
            "accountId": "1", "resourceId": "abc", "apiId": "a1", "stage": "prod", "domainName": HOST,
            "domainPrefix": "a1", "requestId": "r", "extendedRequestId": "e",
            "requestTime": "01/Dec/2026:02:08:11 +0000", "requestTimeEpoch": 1796090891000_i64,
            "path": format!("/prod{path}"), "protocol": "HTTP/1.1", "httpMethod": method,
            "resourcePath": "/{proxy+}", "identity": { "sourceIp": "192.0.2.7", "userAgent": "curl" }
        }
    })
}

fn text(answer: &Value) -> String {
    answer["body"].as_str().expect("text").to_owned()
}

#[test]
fn images_in_events_get_findings_and_pages_name_the_stage() {
    let function = Function::start(&[("XRAY_RATE", "100")]);
    let mut found = Vec::new();
    for event in [http("POST", "/prod/v1/predict", &jpeg(1)), rest("POST", "/v1/predict", &jpeg(1))] {
        let answer = function.ask(event);
        assert_eq!(answer["statusCode"], 200, "{answer}");
        let said: Value = serde_json::from_str(&text(&answer)).expect("JSON");
        assert_eq!(said["images"][0]["size"], json!([96, 96]), "{said}");
        found.push(said["images"][0]["findings"].clone());
    }
    assert_eq!(found[0], found[1]);

    for event in [http("GET", "/prod/", b""), rest("GET", "/", b"")] {
        let page = text(&function.ask(event));
        for link in ["href=\"/prod/style.css\"", "action=\"/prod/\"", "src=\"/prod/samples/1.jpg\""] {
            assert!(page.contains(link), "no {link} in {page}");
        }
    }
    // Bytes come back as they are.
    for event in [http("GET", "/prod/samples/1.jpg", b""), rest("GET", "/samples/1.jpg", b"")] {
        let answer = function.ask(event);
        assert_eq!(answer["isBase64Encoded"], true, "{answer}");
        assert!(STANDARD.decode(text(&answer)).expect("base64").starts_with(b"\xff\xd8\xff"));
    }
    let refused = function.ask(http("POST", "/prod/v1/predict", b"GIF89a"));
    assert_eq!((&refused["statusCode"], &refused["headers"]["x-request-id"]), (&415.into(), &"abc-1".into()));
    assert!(text(&refused).contains("\"request_id\":\"abc-1\""), "{refused}");
}

#[test]
fn a_function_with_a_key_asks_for_it() {
    let function = Function::start(&[("XRAY_API_KEY", "se:cret")]);
    let mut event = http("POST", "/prod/v1/predict", &jpeg(1));
    assert_eq!(function.ask(event.clone())["statusCode"], 401);
    event["headers"]["authorization"] = "Bearer se:cret".into();
    assert_eq!(function.ask(event)["statusCode"], 200);
}
