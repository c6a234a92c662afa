//! Whole JSON responses as snapshots, without the values that differ between runs.

use insta::internals::Content;
use serde_json::Value;

/// Members whose values differ between runs. They must be there, and a text or a number.
const VARYING: &[&str] = &[
    "connection_id",
    "created_at",
    "date",
    "expires_at",
    "finished_at",
    "id",
    "last_seen_at",
    "location",
    "replica",
    "seconds",
    "sha256",
    "size",
    "updated_at",
    "uploaded_at",
    "version",
];

/// Asserts that a JSON value is the snapshot of this test. Varying members are shown as their name in brackets.
macro_rules! assert_json {
    ($value:expr) => {{
        let response = $crate::snapshots::without_names(&$value);
        $crate::snapshots::redacted().bind(|| insta::assert_json_snapshot!(response));
    }};
}
pub(crate) use assert_json;

/// Returns the settings of snapshots.
pub(crate) fn redacted() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    for name in VARYING {
        settings.add_dynamic_redaction(&format!(".**.{name}"), move |value, _| match value {
            Content::String(_) | Content::U64(_) | Content::I64(_) => format!("[{name}]").into(),
            other => other,
        });
    }
    settings
}

/// Replaces the port of the tenant and the ids of jobs in all texts.
pub(crate) fn without_names(value: &impl serde::Serialize) -> Value {
    let mut text = serde_json::to_string(value).expect("JSON");
    for (start, end) in [("127.0.0.1:", "[port]"), ("job_", "[id]")] {
        let mut parts = text.split(start);
        let mut replaced = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let rest = part.trim_start_matches(|character: char| character.is_ascii_alphanumeric());
            replaced.extend([start, end, rest]);
        }
        text = replaced;
    }
    serde_json::from_str(&text).expect("JSON")
}

/// Returns status and body of responses, for one snapshot of all of them.
pub(crate) fn status_and_body(replies: &[test_kit::Reply]) -> Vec<Value> {
    replies.iter().map(|reply| serde_json::json!({"status": reply.status, "body": reply.json()})).collect()
}
