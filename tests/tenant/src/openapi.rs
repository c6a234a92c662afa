//! The OpenAPI description of the Management API. The tenant checks requests against it; with the feature `validate`,
//! tests check responses and bodies too.

use std::sync::OnceLock;

use serde_json::Value;

fn description() -> &'static Value {
    static DESCRIPTION: OnceLock<Value> = OnceLock::new();
    DESCRIPTION
        .get_or_init(|| serde_json::from_str(include_str!("../management-api-excerpt.json")).unwrap_or(Value::Null))
}

/// Returns the operation of a request, by method and path below `/api/v2`.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let path = path.strip_prefix("/api/v2").unwrap_or(path).trim_end_matches('/');
    let paths = description()["paths"].as_object()?;
    let matching = |template: &str| {
        let (mut parts, mut template) = (path.split('/'), template.split('/'));
        loop {
            match (parts.next(), template.next()) {
                (None, None) => return true,
                (Some(part), Some(name)) if name == part || (name.starts_with('{') && !part.is_empty()) => {}
                _ => return false,
            }
        }
    };
    // A literal path has precedence over one with a parameter.
    let template = paths.get_key_value(path).or_else(|| paths.iter().find(|(template, _)| matching(template)))?;
    template.1.get(method.to_ascii_lowercase())
}

/// Resolves the reference of a schema.
fn resolved(schema: &'static Value) -> &'static Value {
    match schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => description().pointer(pointer).unwrap_or(schema),
        None => schema,
    }
}

/// Returns the violations of the description by method, path and query of a request: unknown operation, unknown
/// parameter, wrong type, out of bounds.
pub(crate) fn violations(method: &str, path: &str, query: &str) -> Vec<String> {
    if !path.starts_with("/api/v2/") {
        return Vec::new();
    }
    let Some(operation) = operation(method, path) else {
        return vec![format!("{method} {path} is not described")];
    };
    let parameters: Vec<&'static Value> = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|parameter| parameter["in"] == "query")
        .collect();
    let mut violations = Vec::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match parameters.iter().find(|parameter| parameter["name"] == *name) {
            None => violations.push(format!("query parameter {name} is not described")),
            Some(parameter) => {
                let schema = resolved(&parameter["schema"]);
                let schema = if schema["type"] == "array" { resolved(&schema["items"]) } else { schema };
                violations.extend(violation(&value, schema).map(|why| format!("query parameter {name}: {why}")));
            }
        }
    }
    for parameter in parameters.iter().filter(|parameter| parameter["required"] == true) {
        let name = parameter["name"].as_str().unwrap_or_default();
        if !url::form_urlencoded::parse(query.as_bytes()).any(|(found, _)| found == name) {
            violations.push(format!("query parameter {name} is missing"));
        }
    }
    violations
}

fn violation(value: &str, schema: &Value) -> Option<String> {
    match schema["type"].as_str() {
        Some("integer") => {
            let Ok(number) = value.parse::<i64>() else { return Some(format!("{value} is not an integer")) };
            let below = schema["minimum"].as_i64().is_some_and(|least| number < least);
            let above = schema["maximum"].as_i64().is_some_and(|most| number > most);
            (below || above).then(|| format!("{number} is out of bounds"))
        }
        Some("boolean") => (!matches!(value, "true" | "false")).then(|| format!("{value} is not a boolean")),
        _ => {
            let allowed = schema["enum"].as_array()?;
            (!allowed.iter().any(|one| one == value)).then(|| format!("{value} is not one of the described values"))
        }
    }
}

#[cfg(feature = "validate")]
mod validate {
    use super::{Value, description, operation, resolved, violations};

    /// Checks a request: method, path, query, and the body of one that has a JSON body. For a multipart
    /// request, pass its parts as an object.
    pub fn validate_request(method: &str, path: &str, query: &str, body: Option<&Value>) -> Result<(), Vec<String>> {
        let mut problems = violations(method, path, query);
        if let Some(body) = body {
            let content = operation(method, path).map(|operation| &operation["requestBody"]["content"]);
            let media = content
                .and_then(|content| content.get("application/json").or_else(|| content.get("multipart/form-data")));
            match media {
                Some(media) => problems.extend(check(&media["schema"], body)),
                None => problems.push(format!("{method} {path} has no body")),
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Checks a response: its status and, if described, its body.
    pub fn validate_response(method: &str, path: &str, status: u16, body: Option<&Value>) -> Result<(), Vec<String>> {
        let Some(operation) = operation(method, path) else {
            return Err(vec![format!("{method} {path} is not described")]);
        };
        let Some(response) = operation["responses"].get(status.to_string()) else {
            return Err(vec![format!("{method} {path} does not answer {status}")]);
        };
        let schema = response.pointer("/content/application~1json/schema");
        let problems = match (schema, body) {
            (Some(schema), Some(body)) => check(schema, body),
            (Some(_), None) if status != 204 => vec![format!("{method} {path} answers {status} without a body")],
            _ => Vec::new(),
        };
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn check(schema: &'static Value, body: &Value) -> Vec<String> {
        // The schemas refer to each other as members of one document.
        let mut root = resolved(schema).clone();
        if let Some(root) = root.as_object_mut() {
            // The last checkpoint page is also a valid offset page without totals, so such responses match more than
            // one alternative, which the description intends to allow.
            if let Some(alternatives) = root.remove("oneOf") {
                root.insert("anyOf".to_owned(), alternatives);
            }
            root.insert("components".to_owned(), description()["components"].clone());
        }
        match jsonschema::draft202012::new(&root) {
            Ok(validator) => {
                validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect()
            }
            Err(error) => vec![format!("the schema cannot be read: {error}")],
        }
    }
}

#[cfg(feature = "validate")]
pub use validate::{validate_request, validate_response};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn described_requests_have_no_violations_and_others_have_reasons() {
        let path = "/api/v2/connections";
        assert!(violations("GET", path, "per_page=100&page=0&strategy=auth0&strategy=waad").is_empty());
        assert!(violations("GET", "/api/v2/jobs/job_0000000000000001/errors", "").is_empty());
        assert_eq!(violations("GET", path, "per_page=101").len(), 1);
        assert_eq!(violations("GET", path, "strategy=database&page=x&colour=red").len(), 3);
        assert_eq!(violations("GET", "/api/v2/users-by-email", "").len(), 1);
        assert_eq!(violations("DELETE", "/api/v2/users", "").len(), 1);
    }
}
