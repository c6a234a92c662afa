//! `transform inspect` and `transform list`: show transforms.

use std::fmt::Write;

use bytesize::ByteSize;
use transforms_sdk::manifest::Parameter;

use uie_core::printable;
use uie_sandbox::{Catalog, LARGEST_FILE, Origin, Sandbox, Transform};

/// Describes a transform: its manifest, and whether it starts in the sandbox.
pub(super) fn inspect(transform: &Transform, sandbox: &Sandbox) -> String {
    let manifest = transform.shown_manifest();
    let limits = sandbox.limits();
    let mut text = format!("{} {}\n", manifest.name, manifest.version);
    if !manifest.summary.is_empty() {
        line(&mut text, "", &manifest.summary);
    }
    line(&mut text, "Call", &signature(transform));
    for parameter in &manifest.parameters {
        line(&mut text, "Parameter", &describe(parameter));
    }
    line(&mut text, "Gives", manifest.output.as_str());
    for example in &manifest.examples {
        line(&mut text, "Example", &format!("{} gives {}", example.call, example.gives));
    }
    line(&mut text, "Contract", &manifest.contract);
    line(&mut text, "Imports", "none");
    line(&mut text, "Size", &format!("{}, of {} allowed", ByteSize(transform.size()), ByteSize(LARGEST_FILE)));
    line(&mut text, "SHA-256", transform.sha256());
    if manifest.parameters.iter().any(|parameter| parameter.secret) {
        let user = match transform.origin() {
            Origin::Shipped => manifest.name.clone(),
            Origin::File | Origin::Upload => format!("sha256:{}", transform.sha256()),
        };
        line(&mut text, "Secrets", &format!("TRANSFORM_SECRETS=NAME={user} gives it the setting SECRET_NAME"));
    }
    line(&mut text, "Origin", &transform.origin().to_string());
    let time = humantime::format_duration(limits.time);
    line(
        &mut text,
        "Limits",
        &format!(
            "{} of memory, {time} of computing a row, {} a result, {} of stack",
            ByteSize(limits.memory),
            ByteSize(limits.result),
            ByteSize(limits.stack)
        ),
    );
    // Last, so that the rest is shown for a file that does not start, too.
    let started = sandbox.start(transform, &vec![None; manifest.parameters.len()]);
    match started {
        Ok(runner) => {
            let memory = ByteSize(runner.usage().memory);
            line(&mut text, "Starts", &format!("yes, with {memory} of memory"));
        }
        Err(error) => line(&mut text, "Starts", &format!("no: {}", printable::lines(&error.message.to_string()))),
    }
    text
}

fn line(text: &mut String, label: &str, value: &str) {
    // Writing to a string does not fail.
    let _ = if label.is_empty() { writeln!(text, "  {value}") } else { writeln!(text, "  {label:<10} {value}") };
}

/// Returns the signature of a transform: `join(parts, separator?)`.
fn signature(transform: &Transform) -> String {
    let manifest = transform.manifest();
    let parameters: Vec<_> = manifest
        .parameters
        .iter()
        .map(|parameter| format!("{}{}", parameter.name, if parameter.optional { "?" } else { "" }))
        .collect();
    format!("{}({})", manifest.name, parameters.join(", "))
}

fn describe(parameter: &Parameter) -> String {
    let mut text = format!("{}: {}", parameter.name, parameter.kind.as_str());
    if parameter.optional {
        text.push_str(", or nothing");
    }
    if parameter.secret {
        text.push_str(", secret");
    }
    if !parameter.description.is_empty() {
        text.push_str(". ");
        text.push_str(&parameter.description);
    }
    text
}

/// Returns a table of the available transforms, and for standard error the ignored files.
pub(super) fn list(catalog: &Catalog) -> (String, String) {
    let rows: Vec<[String; 4]> = catalog
        .transforms()
        .map(|transform| {
            let manifest = transform.shown_manifest();
            [
                signature(transform),
                manifest.version.clone(),
                transform.origin().to_string(),
                manifest.summary.lines().next().unwrap_or_default().to_owned(),
            ]
        })
        .collect();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let (call, version, origin) = (width(0), width(1), width(2));
    let mut list = String::new();
    for [a, b, c, d] in &rows {
        let _ = writeln!(list, "{}", format!("{a:<call$}  {b:<version$}  {c:<origin$}  {d}").trim_end());
    }
    if rows.is_empty() {
        list.push_str("There are no transforms.\n");
    }
    let mut left_out = String::new();
    for problem in catalog.problems() {
        let _ = writeln!(left_out, "warning: {}: {}. {}", problem.file, problem.message, problem.hint);
    }
    (list, left_out)
}
