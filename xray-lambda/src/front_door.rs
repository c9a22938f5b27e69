//! What Lambda's front doors say of a request: who asks, and in which folder of its host they see the function.
//!
//! API Gateway puts a stage before every path of its own host, `/prod/v1/predict`. An HTTP API (payload 2.0) passes such
//! a path on as it is, a REST API (payload 1.0) without the stage, and a function URL has none. Hosts of your own name
//! their folders as they like: for these there is `XRAY_BASE_PATH`.

use lambda_http::http::Uri;
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};
use std::net::IpAddr;
use xray_serve::client::Client;
use xray_serve::settings::BasePath;

/// What the host of an API is called that has no other name.
const OWN_HOST: &str = ".execute-api.";

/// The request as the service takes it: its path without a stage, beside that stage, and its client.
pub(crate) fn passed(mut request: Request) -> Request {
    let said = request.request_context_ref().map(Said::of).unwrap_or_default();
    let stage: Option<BasePath> = said.stage.and_then(|stage| format!("/{stage}").parse().ok());
    let raw = request.raw_http_path();
    let raw = if raw.is_empty() { request.uri().path() } else { raw };
    let below = |stage: &BasePath| {
        let path =
            raw.strip_prefix(stage.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        Some(if path.is_empty() { "/" } else { path }.to_owned())
    };
    let inside = stage.as_ref().and_then(below);
    let base = stage.filter(|_| inside.is_some() || said.is_own_host);
    let path = inside.unwrap_or_else(|| raw.to_owned());
    if let Some(uri) = with_path(request.uri(), &path) {
        *request.uri_mut() = uri;
    }
    if let Some(base) = base {
        request.extensions_mut().insert(base);
    }
    request.extensions_mut().insert(said.client);
    request
}

#[derive(Default)]
struct Said {
    client: Client,
    stage: Option<String>,
    is_own_host: bool,
}

impl Said {
    fn of(context: &RequestContext) -> Said {
        let (address, stage, host) = match context {
            RequestContext::ApiGatewayV1(context) => {
                (context.identity.source_ip.as_deref(), &context.stage, &context.domain_name)
            }
            RequestContext::ApiGatewayV2(context) => {
                (context.http.source_ip.as_deref(), &context.stage, &context.domain_name)
            }
            _ => return Said::default(),
        };
        let client = address.and_then(|address| address.parse::<IpAddr>().ok()).map(Client::from);
        Said {
            client: client.unwrap_or_default(),
            stage: stage.clone().filter(|stage| stage != "$default"),
            is_own_host: host.as_deref().is_some_and(|host| host.contains(OWN_HOST)),
        }
    }
}

/// The same address with another path.
fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let asked = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(asked.parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Payload 1.0, as a REST API sends it (AWS, "Set up Lambda proxy integrations in API Gateway").
    fn rest(path: &str, public: &str, host: &str) -> Request {
        let event = json!({
            "resource": "/{proxy+}", "path": path, "httpMethod": "GET",
            "headers": { "Host": host }, "multiValueHeaders": { "Host": [host] },
            "queryStringParameters": { "maps": "true" }, "multiValueQueryStringParameters": { "maps": ["true"] },
            "pathParameters": null, "stageVariables": null, "body": null, "isBase64Encoded": false,
            "requestContext": {
                "accountId": "123456789012", "resourceId": "abc", "apiId": "a1", "stage": "prod",
                "domainName": host, "domainPrefix": "a1", "requestId": "r", "extendedRequestId": "e",
                "requestTime": "01/Dec/2026:02:08:11 +0000", "requestTimeEpoch": 1796090891000_i64,
                "path": public, "protocol": "HTTP/1.1", "httpMethod": "GET", "resourcePath": "/{proxy+}",
                "identity": { "sourceIp": "192.0.2.7", "userAgent": "curl" }
            }
        });
        lambda_http::request::from_str(&event.to_string()).expect("an event")
    }

    /// Payload 2.0, as an HTTP API and a function URL send it (AWS, "Create Lambda proxy integrations for HTTP APIs").
    fn http(path: &str, stage: &str, host: &str) -> Request {
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "maps=true",
            "headers": { "host": host }, "isBase64Encoded": false,
            "requestContext": {
                "accountId": "anonymous", "apiId": "a1", "domainName": host, "domainPrefix": "a1",
                "http": { "method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "2001:db8::7", "userAgent": "curl" },
                "requestId": "r", "routeKey": "$default", "stage": stage,
                "time": "01/Dec/2026:02:08:11 +0000", "timeEpoch": 1796090891000_i64
            }
        });
        lambda_http::request::from_str(&event.to_string()).expect("an event")
    }

    fn check(request: Request, path: &str, base: Option<&str>, client: &str) {
        let passed = passed(request);
        assert_eq!(
            (passed.uri().path(), passed.uri().query()),
            (path, Some("maps=true")),
            "{}",
            passed.uri()
        );
        assert_eq!(passed.extensions().get::<BasePath>().map(BasePath::as_str), base, "{path}");
        let expected = Client::from(client.parse::<IpAddr>().expect("an address"));
        assert_eq!(passed.extensions().get::<Client>(), Some(&expected));
    }

    const OWN: &str = "a1.execute-api.eu-central-1.amazonaws.com";

    #[test]
    fn a_rest_api_has_a_stage_before_the_path_that_it_passes_on() {
        check(rest("/v1/predict", "/prod/v1/predict", OWN), "/v1/predict", Some("/prod"), "192.0.2.7");
        check(rest("/", "/prod/", OWN), "/", Some("/prod"), "192.0.2.7");
        check(rest("/tools/info", "/tools/info", "x.example"), "/tools/info", None, "192.0.2.7");
    }

    #[test]
    fn an_http_api_has_it_in_the_path() {
        check(http("/prod/v1/predict", "prod", OWN), "/v1/predict", Some("/prod"), "2001:db8::7");
        check(http("/prod", "prod", OWN), "/", Some("/prod"), "2001:db8::7");
        check(http("/prod/", "prod", OWN), "/", Some("/prod"), "2001:db8::7");
        check(http("/v1/predict", "$default", OWN), "/v1/predict", None, "2001:db8::7");
        check(http("/production", "prod", "x.example"), "/production", None, "2001:db8::7");
    }

    #[test]
    fn a_function_url_has_none() {
        check(
            http("/samples/1", "$default", "a1.lambda-url.eu-central-1.on.aws"),
            "/samples/1",
            None,
            "2001:db8::7",
        );
    }
}
