//! Plays the exchanges of one file in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::bind::Binder;
use crate::compare::Comparison;
use crate::wire::{Answer, Wire};

/// What came out of a file.
pub(crate) struct Report {
    pub(crate) played: usize,
    pub(crate) failures: Vec<String>,
}

/// Differences shown of one exchange.
const MOST_SHOWN: usize = 12;

/// Plays a file.
pub(crate) async fn file(wire: &Wire, path: &Path) -> Result<Report, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(path)?;
    let mut report = Report { played: 0, failures: Vec::new() };
    let mut player = Player { wire, binder: Binder::new(), streams: BTreeMap::new() };
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let exchange: Value = serde_json::from_str(line)?;
        if exchange["header"] == true {
            continue;
        }
        report.played += 1;
        let differences = player.play(&exchange).await.unwrap_or_else(|error| vec![error]);
        if !differences.is_empty() {
            let (id, request) = (&exchange["id"], &exchange["request"]);
            let mut text =
                format!("{id} {} {} ({})", request["method"], request["path"], exchange["notes"]);
            for difference in differences.iter().take(MOST_SHOWN) {
                text.push_str("\n    ");
                text.push_str(difference);
            }
            report.failures.push(text);
        }
    }
    Ok(report)
}

struct Player<'a> {
    wire: &'a Wire,
    binder: Binder,
    streams: BTreeMap<String, Answer>,
}

impl Player<'_> {
    async fn play(&mut self, exchange: &Value) -> Result<Vec<String>, String> {
        if let Some(delay) = exchange["delayMs"].as_u64() {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        match exchange["kind"].as_str() {
            None => self.plain(exchange).await,
            Some("watch") => self.watch(exchange).await,
            Some("watch-open") => {
                let answer = self.wire.send(&exchange["request"], &self.binder).await?;
                let mut comparison = Comparison::new(&mut self.binder, &exchange["compare"]);
                if exchange["response"]["status"] != answer.status {
                    comparison.differ(
                        "status",
                        &exchange["response"]["status"],
                        Some(&json!(answer.status)),
                        "",
                    );
                }
                headers(&mut comparison, &exchange["response"], &answer);
                let differences = comparison.differences;
                self.streams.insert(exchange["watch"]["stream"].to_string(), answer);
                Ok(differences)
            }
            Some("watch-read") => {
                let name = exchange["watch"]["stream"].to_string();
                let mut answer = self
                    .streams
                    .remove(&name)
                    .ok_or_else(|| format!("stream {name} is not open"))?;
                let (frames, closed) = frames(&mut answer, &exchange["watch"]).await?;
                if exchange["watch"]["close"] != true {
                    self.streams.insert(name, answer);
                }
                Ok(self.check_frames(exchange, &frames, closed))
            }
            Some(other) => Err(format!("unknown kind {other}")),
        }
    }

    async fn plain(&mut self, exchange: &Value) -> Result<Vec<String>, String> {
        let poll = &exchange["poll"];
        let deadline =
            Instant::now() + Duration::from_secs(poll["timeoutSeconds"].as_u64().unwrap_or(0));
        loop {
            let mut answer = self.wire.send(&exchange["request"], &self.binder).await?;
            let body = answer.read().await?;
            let reached = poll.is_null() || holds(&poll["until"], answer.status, &body);
            if reached || Instant::now() > deadline {
                return Ok(self.check(exchange, &answer, &body));
            }
            tokio::time::sleep(Duration::from_millis(poll["intervalMs"].as_u64().unwrap_or(100)))
                .await;
        }
    }

    async fn watch(&mut self, exchange: &Value) -> Result<Vec<String>, String> {
        let mut answer = self.wire.send(&exchange["request"], &self.binder).await?;
        if exchange["response"]["status"] != 200 || answer.status != 200 {
            let body = answer.read().await?;
            return Ok(self.check(exchange, &answer, &body));
        }
        let mut comparison = Comparison::new(&mut self.binder, &exchange["compare"]);
        headers(&mut comparison, &exchange["response"], &answer);
        let mut differences = comparison.differences;
        let (frames, closed) = frames(&mut answer, &exchange["watch"]).await?;
        differences.extend(self.check_frames(exchange, &frames, closed));
        Ok(differences)
    }

    fn check_frames(&mut self, exchange: &Value, got: &[Value], closed: bool) -> Vec<String> {
        let mut comparison = Comparison::new(&mut self.binder, &exchange["compare"]);
        if exchange["compare"]["frames"] != "none" {
            let expected = exchange["response"]["frames"].as_array().cloned().unwrap_or_default();
            for (at, frame) in expected.iter().enumerate() {
                match got.get(at) {
                    Some(found) => comparison.walk(frame, found, &format!("/frames/{at}")),
                    None => comparison.differ(&format!("/frames/{at}"), frame, None, ""),
                }
            }
            for frame in got.iter().skip(expected.len()) {
                comparison.differ("/frames", &json!("(absent)"), Some(frame), "");
            }
        }
        if exchange["watch"]["until"] == "close" && !closed {
            comparison.differ("closed", &json!(true), Some(&json!(false)), "");
        }
        comparison.differences
    }

    fn check(&mut self, exchange: &Value, answer: &Answer, body: &[u8]) -> Vec<String> {
        let (expected, rules) = (&exchange["response"], &exchange["compare"]);
        let mut comparison = Comparison::new(&mut self.binder, rules);
        let allowed =
            rules["status"].as_array().cloned().unwrap_or_else(|| vec![expected["status"].clone()]);
        let text = std::str::from_utf8(body).ok();
        if !allowed.iter().any(|one| *one == answer.status) {
            let start: String = text.unwrap_or_default().chars().take(400).collect();
            comparison.differ("status", &json!(allowed), Some(&json!(answer.status)), &start);
            return comparison.differences;
        }
        headers(&mut comparison, expected, answer);
        let parsed = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
        match (rules["body"].as_str(), expected.get("body"), expected.get("bodyText")) {
            (Some("none"), ..) => {}
            (Some("protobuf"), ..) if body.starts_with(b"k8s\0") => {}
            (Some("protobuf"), ..) => {
                comparison.differ("body", &json!("a protobuf envelope"), None, "");
            }
            (Some("contains"), ..) => {
                for part in
                    rules["contains"].as_array().into_iter().flatten().filter_map(Value::as_str)
                {
                    if !text.is_some_and(|text| text.contains(part)) {
                        comparison.differ(
                            "body",
                            &json!(part),
                            text.map(|text| json!(text)).as_ref(),
                            "not contained",
                        );
                    }
                }
            }
            (_, Some(wanted), _) => match &parsed {
                Some(found) => comparison.walk(wanted, found, ""),
                None => comparison.differ(
                    "body",
                    wanted,
                    text.map(|text| json!(text)).as_ref(),
                    "no JSON",
                ),
            },
            (_, _, Some(wanted)) => {
                let matched = text.ok_or_else(|| "no text".to_owned()).and_then(|text| {
                    comparison.binder.match_text(wanted.as_str().unwrap_or_default(), text)
                });
                if let Err(why) = matched {
                    comparison.differ("body", wanted, text.map(|text| json!(text)).as_ref(), &why);
                }
            }
            _ if !body.is_empty() => {
                comparison.differ("body", &json!(""), text.map(|text| json!(text)).as_ref(), "")
            }
            _ => {}
        }
        comparison.differences
    }
}

/// Checks the recorded headers, and that there are no other warnings than the recorded ones.
fn headers(comparison: &mut Comparison<'_>, expected: &Value, answer: &Answer) {
    let Some(wanted) = expected["headers"].as_object() else { return };
    for (name, value) in wanted.iter().filter(|(name, _)| *name != "Warning") {
        let found = answer.headers.get(name.as_str()).and_then(|value| value.to_str().ok());
        match found {
            None => comparison.differ(&format!("header {name}"), value, None, ""),
            Some(_) if value == "{{any}}" => {}
            Some(found) => {
                if let Err(why) =
                    comparison.binder.match_text(value.as_str().unwrap_or_default(), found)
                {
                    comparison.differ(&format!("header {name}"), value, Some(&json!(found)), &why);
                }
            }
        }
    }
    let mut warnings: Vec<String> = answer
        .headers
        .get_all("warning")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .map(str::to_owned)
        .collect();
    let list = wanted.get("Warning").and_then(Value::as_array).into_iter().flatten();
    let mut recorded: Vec<String> = list.filter_map(Value::as_str).map(str::to_owned).collect();
    warnings.sort();
    recorded.sort();
    if warnings != recorded {
        comparison.differ("header Warning", &json!(recorded), Some(&json!(warnings)), "");
    }
}

/// Whether the condition of a poll holds.
fn holds(condition: &Value, status: u16, body: &[u8]) -> bool {
    if condition.get("status").is_some_and(|wanted| *wanted != status) {
        return false;
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let pointers = condition["pointers"].as_object();
    pointers
        .into_iter()
        .flatten()
        .all(|(pointer, wanted)| body.pointer(pointer).unwrap_or(&Value::Null) == wanted)
}

/// Reads as many frames as the exchange has, or until the stream ends.
async fn frames(answer: &mut Answer, spec: &Value) -> Result<(Vec<Value>, bool), String> {
    let patience = Duration::from_secs(spec["timeoutSeconds"].as_u64().unwrap_or(20) + 5);
    let count = usize::try_from(spec["count"].as_u64().unwrap_or(0)).unwrap_or(0);
    let mut out = Vec::new();
    let read = async {
        while spec["until"] == "close" || out.len() < count {
            let Some(line) = answer.line().await? else { return Ok(true) };
            let frame: Value = serde_json::from_slice(&line).map_err(|error| error.to_string())?;
            let end = frame["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"]
                .is_string()
                || frame.to_string().contains("k8s.io/initial-events-end");
            if frame["type"] == "BOOKMARK" && spec["bookmarks"] != "compare" && !end {
                continue;
            }
            out.push(frame);
        }
        Ok::<bool, String>(false)
    };
    let closed = tokio::time::timeout(patience, read)
        .await
        .map_err(|_| "timed out waiting for frames".to_owned())??;
    Ok((out, closed))
}
