//! `/composite`, `/composite/batch`, `/composite/graph` and `/composite/tree`: several requests in one.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::error::SfError;
use super::http::{Call, Reply};
use super::rest::{body_json, known_version, not_allowed};
use super::value::push_string;
use super::world::{Outcome, World};
use super::write::Author;

const PARTS_MAX: usize = 25;
/// Of those, how many may be queries or collections.
const HEAVY_PARTS_MAX: usize = 5;
const GRAPHS_MAX: usize = 75;
const NODES_MAX: usize = 500;
const TREE_MAX: usize = 200;
const TREE_DEPTH_MAX: u32 = 5;

/// One request of a composite.
#[derive(Clone, Debug)]
struct Part {
    reference: String,
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Value,
}

impl World {
    pub(super) fn composite_family(&mut self, call: &Call, second: &str, path: &[&str]) -> Outcome<Reply> {
        match (second, path.len()) {
            ("", _) => match call.method.as_str() {
                "POST" => self.composite(call),
                "GET" => {
                    let base = format!("/services/data/{}/composite", call.version);
                    let names = ["tree", "batch", "sobjects", "graph"];
                    let map: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!(format!("{base}/{name}")))).collect();
                    Ok(Reply::json(200, Value::Object(map).to_string()))
                }
                other => Err(not_allowed(other)),
            },
            ("sobjects", _) => self.collections(call, &path[2..]),
            ("batch", 2) if call.method == "POST" => self.batch(call),
            ("graph", 2) if call.method == "POST" => self.graphs(call),
            ("tree", 3) if call.method == "POST" => self.tree(call, path[2]),
            ("batch" | "graph" | "tree", _) => Err(not_allowed(&call.method)),
            _ => Err(SfError::not_found()),
        }
    }

    fn composite(&mut self, call: &Call) -> Outcome<Reply> {
        let body = body_json(call)?;
        let parts = parts(&body["compositeRequest"], PARTS_MAX)?;
        let heavy = parts.iter().filter(|part| is_heavy(&part.url)).count();
        if heavy > HEAVY_PARTS_MAX {
            let text =
                format!("The request contains {heavy} query or collections subrequests. No more than {HEAVY_PARTS_MAX} are allowed.");
            return Err(SfError::bad("INVALID_INPUT", text));
        }
        let together = body["allOrNone"].as_bool().unwrap_or(false);
        let (response, _) = self.parts(&parts, call, together);
        Ok(Reply::json(200, format!("{{\"compositeResponse\":{response}}}")))
    }

    /// Runs the parts in order; the printed responses, and whether all of them went well.
    fn parts(&mut self, parts: &[Part], call: &Call, together: bool) -> (String, bool) {
        let mut replies: Vec<Reply> = Vec::with_capacity(parts.len());
        let mut known: BTreeMap<&str, String> = BTreeMap::new();
        let outcome = self.atomically(|world| {
            for part in parts {
                let reply = match resolved(part, &known) {
                    Ok(part) => world.part(&part, call),
                    Err(error) => error.into(),
                };
                let failed = reply.status >= 400;
                if !failed {
                    known.insert(part.reference.as_str(), reply.body.clone());
                }
                replies.push(reply);
                if failed && together {
                    return Err(halted("The transaction was rolled back since another operation in the same transaction failed."));
                }
            }
            Ok(())
        });
        let well = replies.iter().all(|reply| reply.status < 400);
        if let Err(error) = &outcome {
            for reply in replies.iter_mut().filter(|reply| reply.status < 400) {
                *reply = Reply::from(error.clone());
            }
            replies.resize(parts.len(), Reply::from(error.clone()));
        }
        let mut out = String::from("[");
        for (at, (part, reply)) in parts.iter().zip(&replies).enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str("{\"body\":");
            out.push_str(if reply.body.is_empty() { "null" } else { &reply.body });
            out.push_str(",\"httpHeaders\":{");
            let shown = reply.headers.iter().filter(|(name, _)| matches!(*name, "Location" | "ETag" | "Last-Modified"));
            for (at, (name, value)) in shown.enumerate() {
                if at > 0 {
                    out.push(',');
                }
                push_string(&mut out, name);
                out.push(':');
                push_string(&mut out, value);
            }
            out.push_str(&format!("}},\"httpStatusCode\":{},\"referenceId\":", reply.status));
            push_string(&mut out, &part.reference);
            out.push('}');
        }
        out.push(']');
        (out, well)
    }

    fn part(&mut self, part: &Part, outer: &Call) -> Reply {
        let forbidden = part.headers.iter().find(|(name, _)| matches!(name.as_str(), "accept" | "authorization" | "content-type"));
        if let Some((name, _)) = forbidden {
            return SfError::bad("INVALID_INPUT", format!("the header {name} is not allowed in a subrequest")).into();
        }
        let body = if part.body.is_null() { String::new() } else { part.body.to_string() };
        let mut call = Call::new(&part.method, &part.url, part.headers.clone(), body.into());
        let ours = call.path.len() >= 3 && call.path[0] == "services" && call.path[1] == "data" && known_version(&call.path[2]);
        if !ours {
            return SfError::not_found().into();
        }
        call.version.clone_from(&call.path[2]);
        call.path.drain(..3);
        call.user = outer.user;
        if call.path.first().is_some_and(|first| first == "composite")
            && call.path.get(1).is_none_or(|second| second != "sobjects" && second != "tree")
        {
            return SfError::bad("INVALID_INPUT", "a composite request cannot contain another").into();
        }
        self.resource(&call)
    }

    fn batch(&mut self, call: &Call) -> Outcome<Reply> {
        let body = body_json(call)?;
        let requests = body["batchRequests"].as_array().ok_or_else(|| SfError::bad("INVALID_INPUT", "batchRequests is missing"))?;
        if requests.is_empty() || requests.len() > PARTS_MAX {
            return Err(SfError::bad("INVALID_INPUT", format!("a batch has 1 to {PARTS_MAX} subrequests")));
        }
        let halt = body["haltOnError"].as_bool().unwrap_or(false);
        let mut failed = false;
        let mut results = Vec::with_capacity(requests.len());
        for request in requests {
            let url = request["url"].as_str().unwrap_or_default().trim_start_matches('/');
            let url = format!("/services/data/{}", url.trim_start_matches("services/data/"));
            let method = request["method"].as_str().unwrap_or_default().to_ascii_uppercase();
            let part = Part { reference: String::new(), method, url, headers: Vec::new(), body: request["richInput"].clone() };
            let reply = if failed && halt {
                SfError::new(412, "BATCH_PROCESSING_HALTED", "Batch processing halted per request").into()
            } else {
                self.part(&part, call)
            };
            failed |= reply.status >= 400;
            let result = if reply.body.is_empty() { "null" } else { &reply.body };
            results.push(format!("{{\"statusCode\":{},\"result\":{result}}}", reply.status));
        }
        Ok(Reply::json(200, format!("{{\"hasErrors\":{failed},\"results\":[{}]}}", results.join(","))))
    }

    fn graphs(&mut self, call: &Call) -> Outcome<Reply> {
        let body = body_json(call)?;
        let graphs = body["graphs"].as_array().ok_or_else(|| SfError::bad("INVALID_INPUT", "graphs is missing"))?;
        if graphs.is_empty() || graphs.len() > GRAPHS_MAX {
            return Err(SfError::bad("INVALID_INPUT", format!("a request has 1 to {GRAPHS_MAX} graphs")));
        }
        let mut read = Vec::new();
        for graph in graphs {
            read.push((graph["graphId"].as_str().unwrap_or_default(), parts(&graph["compositeRequest"], NODES_MAX)?));
        }
        if read.iter().map(|(_, parts)| parts.len()).sum::<usize>() > NODES_MAX {
            return Err(SfError::bad("INVALID_INPUT", format!("a request has at most {NODES_MAX} nodes")));
        }
        let mut printed = Vec::new();
        for (id, parts) in read {
            let (response, well) = self.parts(&parts, call, true);
            printed.push(format!(
                "{{\"graphId\":{},\"graphResponse\":{{\"compositeResponse\":{response}}},\"isSuccessful\":{well}}}",
                json!(id)
            ));
        }
        Ok(Reply::json(200, format!("{{\"graphs\":[{}]}}", printed.join(","))))
    }

    fn tree(&mut self, call: &Call, object: &str) -> Outcome<Reply> {
        let object = self.object(object)?;
        let body = body_json(call)?;
        let author = Author::api(call.user.unwrap_or(self.integration), self.now());
        let mut made: Vec<(String, String)> = Vec::new();
        let mut guilty = String::new();
        let outcome = self.atomically(|world| world.grow(object, &body["records"], None, 1, &author, &mut made, &mut guilty));
        if let Err(error) = outcome {
            let mut row = String::new();
            error.push_row(&mut row);
            return Ok(Reply::json(
                400,
                format!("{{\"hasErrors\":true,\"results\":[{{\"referenceId\":{},\"errors\":[{row}]}}]}}", json!(guilty)),
            ));
        }
        let results: Vec<Value> = made.iter().map(|(reference, id)| json!({"referenceId": reference, "id": id})).collect();
        Ok(Reply::json(201, json!({"hasErrors": false, "results": results}).to_string()))
    }

    #[allow(clippy::too_many_arguments, reason = "one recursive walk")]
    fn grow(
        &mut self,
        object: usize,
        records: &Value,
        parent: Option<(&str, &str)>,
        depth: u32,
        author: &Author,
        made: &mut Vec<(String, String)>,
        guilty: &mut String,
    ) -> Outcome<()> {
        let records = records.as_array().ok_or_else(|| SfError::bad("INVALID_INPUT", "the records are missing"))?;
        if depth > TREE_DEPTH_MAX {
            return Err(SfError::bad("INVALID_INPUT", format!("a tree has at most {TREE_DEPTH_MAX} levels")));
        }
        for record in records {
            let record = record.as_object().ok_or_else(|| SfError::bad("INVALID_INPUT", "a record is an object"))?;
            let reference = record.get("attributes").and_then(|attributes| attributes["referenceId"].as_str()).unwrap_or_default();
            reference.clone_into(guilty);
            if made.len() >= TREE_MAX {
                return Err(SfError::bad("INVALID_INPUT", format!("a tree has at most {TREE_MAX} records")));
            }
            let mut fields = record.clone();
            let mut branches = Vec::new();
            fields.retain(|name, value| {
                let branch = value.get("records").is_some();
                if branch {
                    branches.push((name.clone(), value["records"].clone()));
                }
                !branch
            });
            if let Some((lookup, id)) = parent {
                fields.insert(lookup.to_owned(), json!(id));
            }
            let id = self.create(object, &fields, author)?.to_string();
            made.push((reference.to_owned(), id.clone()));
            for (name, records) in branches {
                let children = &self.schema.objects[object].children;
                let found = children.iter().find(|child| child.relationship.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(&name)));
                let child = found.ok_or_else(|| SfError::bad("INVALID_FIELD", format!("No such relation '{name}'")))?.clone();
                let lookup = self.schema.objects[child.object].field(child.field).name.clone();
                self.grow(child.object, &records, Some((&lookup, &id)), depth + 1, author, made, guilty)?;
            }
        }
        Ok(())
    }
}

fn parts(requests: &Value, max: usize) -> Outcome<Vec<Part>> {
    let requests = requests.as_array().ok_or_else(|| SfError::bad("INVALID_INPUT", "compositeRequest is missing"))?;
    if requests.is_empty() || requests.len() > max {
        return Err(SfError::bad("INVALID_INPUT", format!("a composite request has 1 to {max} subrequests")));
    }
    let mut parts: Vec<Part> = Vec::with_capacity(requests.len());
    for request in requests {
        let text = |key: &str| {
            request[key].as_str().map(str::to_owned).ok_or_else(|| SfError::bad("INVALID_INPUT", format!("a subrequest has no {key}")))
        };
        let reference = text("referenceId")?;
        let plain = reference.starts_with(|ch: char| ch.is_ascii_alphanumeric())
            && reference.chars().all(|ch| ch.is_ascii_alphanumeric() || ch == '_');
        if !plain {
            return Err(SfError::bad("INVALID_INPUT", format!("the referenceId {reference} is not letters, digits and underscores")));
        }
        if parts.iter().any(|part| part.reference == reference) {
            return Err(SfError::bad("INVALID_INPUT", format!("duplicate referenceId {reference}")));
        }
        let headers = request["httpHeaders"].as_object().into_iter().flatten();
        let headers = headers.filter_map(|(name, value)| Some((name.to_ascii_lowercase(), value.as_str()?.to_owned()))).collect();
        parts.push(Part {
            reference,
            method: text("method")?.to_ascii_uppercase(),
            url: text("url")?,
            headers,
            body: request["body"].clone(),
        });
    }
    Ok(parts)
}

fn is_heavy(url: &str) -> bool {
    let path = url.split('?').next().unwrap_or_default().to_ascii_lowercase();
    let mut steps = path.split('/').filter(|step| !step.is_empty()).skip(3);
    matches!((steps.next(), steps.next()), (Some("query" | "queryall"), _) | (Some("composite"), Some("sobjects")))
}

fn halted(text: &str) -> SfError {
    SfError::bad("PROCESSING_HALTED", text)
}

/// The part with every `@{…}` replaced by what an earlier part answered.
fn resolved(part: &Part, known: &BTreeMap<&str, String>) -> Outcome<Part> {
    if !part.url.contains("@{") && !part.body.to_string().contains("@{") {
        return Ok(part.clone());
    }
    let mut part = part.clone();
    part.url = fill(&part.url, known)?;
    fill_value(&mut part.body, known)?;
    Ok(part)
}

fn fill_value(value: &mut Value, known: &BTreeMap<&str, String>) -> Outcome<()> {
    match value {
        Value::String(text) if text.contains("@{") => *text = fill(text, known)?,
        Value::Array(all) => {
            for one in all {
                fill_value(one, known)?;
            }
        }
        Value::Object(fields) => {
            for (_, one) in fields.iter_mut() {
                fill_value(one, known)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

fn fill(text: &str, known: &BTreeMap<&str, String>) -> Outcome<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find("@{") {
        out.push_str(&rest[..open]);
        let close = rest[open..].find('}').ok_or_else(|| SfError::bad("INVALID_INPUT", format!("a reference in {text} has no end")))?;
        out.push_str(&referred(&rest[open + 2..open + close], known)?);
        rest = &rest[open + close + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// `ref.field`, `ref.records[0].Id`; names are case sensitive.
fn referred(path: &str, known: &BTreeMap<&str, String>) -> Outcome<String> {
    let missing = || {
        halted(&format!("Invalid reference specified. No value for {path} found in {}", path.split(['.', '[']).next().unwrap_or_default()))
    };
    let end = path.find(['.', '[']).unwrap_or(path.len());
    let body = known.get(&path[..end]).ok_or_else(missing)?;
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let mut value = &body;
    for step in path[end..].split(['.', '[']).filter(|step| !step.is_empty()) {
        value = match step.strip_suffix(']') {
            Some(index) => index.parse::<usize>().ok().and_then(|index| value.get(index)),
            None => value.get(step),
        }
        .ok_or_else(missing)?;
    }
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(missing()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_reach_into_earlier_answers() {
        let known = BTreeMap::from([("a", r#"{"id":"001x","records":[{"Id":"003y"}]}"#.to_owned())]);
        assert_eq!(fill("/sobjects/@{a.id}/x?y=@{a.records[0].Id}", &known).expect("known"), "/sobjects/001x/x?y=003y");
        for wrong in ["@{b.id}", "@{a.ID}", "@{a.records[1].Id}", "@{a.records}"] {
            assert_eq!(fill(wrong, &known).expect_err(wrong).code, "PROCESSING_HALTED");
        }
        assert_eq!(fill("@{a.id", &known).expect_err("open").code, "INVALID_INPUT");
    }

    #[test]
    fn queries_and_collections_weigh_more() {
        assert!(is_heavy("/services/data/v66.0/query/?q=x") && is_heavy("/services/data/v66.0/queryAll?q=x"));
        assert!(is_heavy("/services/data/v66.0/composite/sobjects/Account/Key__c"));
        assert!(!is_heavy("/services/data/v66.0/sobjects/Account") && !is_heavy("/services/data/v66.0/composite/tree/Account"));
    }
}
