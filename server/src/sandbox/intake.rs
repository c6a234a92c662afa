//! What is taken in as a transform, and why something is not.

use std::borrow::Cow;
use std::collections::BTreeSet;

use transforms_sdk::manifest::{CONTRACT, Manifest, SECTION, Type, is_reserved};
use transforms_sdk::packed;
use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload};

use super::run::MEMORY;
use crate::printable;

/// The world a transform is built for.
const WORLD: &str = "user-import-export:transform";

/// The target every transform is built for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Size of a manifest as JSON, bytes; it is not read when it is larger.
const LARGEST_MANIFEST: usize = 512 << 10;

/// Characters of a summary.
const LONGEST_SUMMARY: usize = 200;

/// Size of the documentation, bytes.
const LARGEST_DOCUMENTATION: usize = 64 << 10;

/// Characters of a version.
const LONGEST_VERSION: usize = 32;

/// Parameters of a transform.
const MOST_PARAMETERS: usize = 32;

/// Characters of the description of a parameter.
const LONGEST_DESCRIPTION: usize = 1000;

/// Examples of a transform.
const MOST_EXAMPLES: usize = 50;

/// Size of an example, its call and its result together, bytes.
const LARGEST_EXAMPLE: usize = 4 << 10;

/// Why bytes are no transform: a sentence about "it", and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) hint: String,
}

fn refuse<T>(message: impl Into<String>, hint: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { message: message.into(), hint: hint.into() })
}

/// Bytes that look like a transform; nothing of it has been compiled or run.
#[derive(Clone, Debug)]
pub(super) struct Intake {
    pub(super) manifest: Manifest,
}

/// Whether the file is a core module, which [`component`] must wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Core,
    Component,
}

/// What the outside of a WASM file says.
#[derive(Debug, Default)]
struct Outside {
    form: Option<Form>,
    /// Module and name of each import.
    imports: Vec<(String, String)>,
    /// Where manifests start and end.
    manifests: BTreeSet<(usize, usize)>,
    has_component_type: bool,
}

/// Reads the outside of a file and its manifest, without compiling or running any of it.
pub(super) fn look(bytes: &[u8]) -> Result<Intake, Refusal> {
    let outside = outside(bytes)?;
    check_imports(&outside)?;
    if outside.form == Some(Form::Core) && !outside.has_component_type {
        return refuse(
            "It is a WASM module, but not a transform: it does not say which interface it implements",
            "Build it with transforms-sdk and its #[transform] attribute; `transform new` starts such a crate.",
        );
    }
    Ok(Intake { manifest: manifest(bytes, &outside)? })
}

/// What is compiled of a file that was looked at: its component, or, where the core module has the second door
/// ([`packed`]), the module itself. That of a module which is no transform is refused all the same.
pub(super) fn runnable(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    let component = component(bytes)?;
    let packed = matches!(component, Cow::Owned(_)) && has_exports(bytes, &[packed::ROOM, packed::APPLY, MEMORY])?;
    Ok(if packed { bytes.into() } else { component })
}

/// Whether a core module exports all of these names.
fn has_exports(module: &[u8], names: &[&str]) -> Result<bool, Refusal> {
    let mut found = 0;
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(exports) = payload.map_err(damaged)? {
            for export in exports {
                found += usize::from(names.contains(&export.map_err(damaged)?.name));
            }
        }
    }
    // No name is exported twice.
    Ok(found == names.len())
}

/// The component of a file that was looked at: itself, or the core module wrapped.
pub(super) fn component(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    if outside(bytes)?.form == Some(Form::Component) {
        return Ok(bytes.into());
    }
    let encoded = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(bytes)
        .and_then(|mut encoder| encoder.encode());
    match encoded {
        Ok(component) => Ok(component.into()),
        Err(error) => refuse(
            format!("Its interface is broken: {}", one_line(&format!("{error:#}"))),
            "Build it again with the transforms-sdk that this server's `transform new` sets up.",
        ),
    }
}

/// The bytes with a manifest added at their end, for components that other languages' tools made.
pub fn with_manifest(bytes: &[u8], manifest: &Manifest) -> Vec<u8> {
    fn length(mut number: usize, to: &mut Vec<u8>) {
        loop {
            let low = (number & 0x7f) as u8;
            number >>= 7;
            if number == 0 {
                return to.push(low);
            }
            to.push(low | 0x80);
        }
    }
    let mut content = Vec::new();
    length(SECTION.len(), &mut content);
    content.extend_from_slice(SECTION.as_bytes());
    // Writing into memory cannot fail: the manifest has no maps.
    let _ = serde_json::to_writer(&mut content, manifest);
    let mut all = bytes.to_vec();
    all.push(0);
    length(content.len(), &mut all);
    all.extend_from_slice(&content);
    all
}

fn outside(bytes: &[u8]) -> Result<Outside, Refusal> {
    if !bytes.starts_with(b"\0asm") {
        let found = match bytes {
            [] => "it is empty",
            [0x1f, 0x8b, ..] => "it is a gzip file",
            [b'P', b'K', ..] => "it is a zip file",
            [0x7f, b'E', b'L', b'F', ..] => "it is a program for this machine",
            _ if bytes.trim_ascii_start().starts_with(b"(") => "it is WebAssembly text",
            _ => "it does not start like one",
        };
        return refuse(
            format!("It is not a WASM file: {found}"),
            format!("Give the .wasm file that a build for {TARGET} leaves; `transform build` makes one."),
        );
    }
    let mut outside = Outside::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| Refusal {
            message: format!("It is a damaged WASM file: {}", one_line(error.message())),
            hint: "Copy or build the file again.".into(),
        })?;
        match payload {
            Payload::Version { encoding, .. } if outside.form.is_none() => {
                outside.form = Some(if encoding == Encoding::Module { Form::Core } else { Form::Component });
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            // Modules inside a component import from one another: only the outermost imports count.
            Payload::ImportSection(imports) if depth == 0 => {
                for import in imports.into_imports() {
                    let import = import.map_err(damaged)?;
                    outside.imports.push((import.module.to_owned(), import.name.to_owned()));
                }
            }
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    let import = import.map_err(damaged)?;
                    // Types are named by imports too; they need nothing from outside.
                    if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                        outside.imports.push((import.name.name.to_owned(), String::new()));
                    }
                }
            }
            Payload::CustomSection(section) if section.name() == SECTION => {
                let start = section.data_offset();
                outside.manifests.insert((start, start + section.data().len()));
            }
            Payload::CustomSection(section) if section.name().starts_with("component-type") => {
                outside.has_component_type = true;
            }
            _ => {}
        }
    }
    Ok(outside)
}

// Called as a function by `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn damaged(error: wasmparser::BinaryReaderError) -> Refusal {
    Refusal {
        message: format!("It is a damaged WASM file: {}", one_line(error.message())),
        hint: "Copy or build the file again.".into(),
    }
}

/// Transforms reach nothing outside themselves, so they import nothing. What they import tells for which
/// target they were built.
fn check_imports(outside: &Outside) -> Result<(), Refusal> {
    // A component of a world whose interfaces define only types names them as imports that hold nothing.
    let imports: Vec<_> = outside.imports.iter().filter(|(module, _)| !module.starts_with(WORLD)).collect();
    let Some((module, name)) = imports.first() else { return Ok(()) };
    let built = if module.starts_with("wasi_snapshot_preview1") || module.starts_with("wasi_unstable") {
        Some("wasm32-wasip1")
    } else if module.starts_with("wasi:") {
        Some("wasm32-wasip2")
    } else if module.starts_with("__wbindgen") || module == "wbg" || module.contains("wasm-bindgen") {
        Some("a browser, with wasm-bindgen")
    } else if module == "env" && name.starts_with("emscripten") {
        Some("Emscripten")
    } else {
        None
    };
    let import = one_line(&if name.is_empty() { module.clone() } else { format!("{module} {name}") });
    let others = match imports.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    match built {
        Some(built) => refuse(
            format!("It was built for {built}: it imports {import}{others}, and transforms import nothing"),
            format!(
                "Build it for {TARGET}: `transform build` does, and so does `cargo build --release --target {TARGET}`."
            ),
        ),
        None => refuse(
            format!("It imports {import}{others}, and transforms import nothing"),
            "Remove the dependency that needs the outside: a transform has no clock, no network, no files and no randomness.",
        ),
    }
}

fn manifest(bytes: &[u8], outside: &Outside) -> Result<Manifest, Refusal> {
    let sections: Vec<&[u8]> = outside.manifests.iter().filter_map(|(start, end)| bytes.get(*start..*end)).collect();
    let section: &[u8] = match sections.as_slice() {
        [] => {
            return refuse(
                format!("It has no manifest: the custom section {SECTION} is missing"),
                "Build it with transforms-sdk, which writes the manifest; `transform build --manifest` adds one to a component made by other tools.",
            );
        }
        [section] if section.len() > LARGEST_MANIFEST => {
            return refuse(
                format!(
                    "Its manifest has {}; {} are allowed",
                    bytesize::ByteSize(section.len() as u64),
                    bytesize::ByteSize(LARGEST_MANIFEST as u64)
                ),
                "Shorten its documentation and its examples.",
            );
        }
        [section] => section,
        _ => return refuse("It has more than one manifest", "Give each transform a crate of its own."),
    };
    let hint = "Build it again with the transforms-sdk that this server's `transform new` sets up.";
    let manifest: Manifest = match serde_json::from_slice(section) {
        Ok(manifest) => manifest,
        Err(error) => {
            // A manifest of another contract may have another shape; say that rather than where it differs.
            if let Some(version) = contract_of(section).filter(|version| version != CONTRACT) {
                return refuse(contract_message(&version), contract_hint());
            }
            return refuse(format!("Its manifest is not what it should be: {}", one_line(&error.to_string())), hint);
        }
    };
    check_manifest(&manifest)?;
    Ok(manifest)
}

fn contract_of(section: &[u8]) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(section).ok()?;
    json.get("contract")?.as_str().map(str::to_owned)
}

fn contract_message(version: &str) -> String {
    format!("It was built against version {} of the contract; this server knows version {CONTRACT}", one_line(version))
}

fn contract_hint() -> String {
    format!("Build it with a transforms-sdk that speaks contract {CONTRACT}, or use the server it was built for.")
}

/// The rules of a manifest, for those read from files and those written by hand.
pub(super) fn check_manifest(manifest: &Manifest) -> Result<(), Refusal> {
    if manifest.contract != CONTRACT {
        return refuse(contract_message(&manifest.contract), contract_hint());
    }
    let name = one_line(&manifest.name);
    if !is_name(&manifest.name) {
        return refuse(
            format!("Its name is {name:?}: expected a letter, then letters, digits and `_`, 64 characters at most"),
            "Rename its function.",
        );
    }
    if is_reserved(&manifest.name) {
        return refuse(
            format!("Its name is {name}, which means something else in expressions already"),
            "Rename its function.",
        );
    }
    if !is_version(&manifest.version) {
        return refuse(
            format!(
                "Its version is {:?}: expected numbers and dots such as 1.0.0, {LONGEST_VERSION} characters at most",
                one_line(&manifest.version)
            ),
            "Set `version` in its Cargo.toml.",
        );
    }
    check_sizes(manifest)?;
    let mut names = BTreeSet::new();
    for parameter in &manifest.parameters {
        let shown = one_line(&parameter.name);
        if !is_name(&parameter.name) {
            return refuse(
                format!("A parameter of {name} is called {shown:?}: expected a letter, then letters, digits and `_`"),
                "Rename the parameter.",
            );
        }
        if !names.insert(parameter.name.as_str()) {
            return refuse(format!("Two parameters of {name} are called {shown}"), "Rename one of them.");
        }
    }
    for (number, example) in (1..).zip(&manifest.examples) {
        if !is_of_type(&example.gives, manifest.output) {
            return refuse(
                format!(
                    "Its example {number} gives {}, but its output is declared as {}",
                    one_line(&example.gives.to_string()),
                    manifest.output.as_str()
                ),
                "Correct the example or the declared output.",
            );
        }
    }
    Ok(())
}

/// How much a manifest may say.
fn check_sizes(manifest: &Manifest) -> Result<(), Refusal> {
    let too_long = |what: &str, count: usize, unit: &str, most: usize| {
        refuse(format!("Its {what} has {count} {unit}; {most} are allowed"), format!("Shorten its {what}."))
    };
    let characters = manifest.summary.chars().count();
    if characters > LONGEST_SUMMARY {
        return too_long("summary", characters, "characters", LONGEST_SUMMARY);
    }
    if manifest.documentation.len() > LARGEST_DOCUMENTATION {
        return too_long("documentation", manifest.documentation.len(), "bytes", LARGEST_DOCUMENTATION);
    }
    if manifest.parameters.len() > MOST_PARAMETERS {
        return refuse(
            format!("It has {} parameters; {MOST_PARAMETERS} are allowed", manifest.parameters.len()),
            "Take an object instead of single values.",
        );
    }
    for parameter in &manifest.parameters {
        let characters = parameter.description.chars().count();
        if characters > LONGEST_DESCRIPTION {
            return refuse(
                format!(
                    "The description of the parameter {} has {characters} characters; {LONGEST_DESCRIPTION} are allowed",
                    one_line(&parameter.name)
                ),
                "Shorten it; longer texts belong in the documentation.",
            );
        }
    }
    if manifest.examples.len() > MOST_EXAMPLES {
        return refuse(
            format!("It has {} examples; {MOST_EXAMPLES} are allowed", manifest.examples.len()),
            "Move some of them to the files of cases, which `transform test` runs.",
        );
    }
    for (number, example) in (1..).zip(&manifest.examples) {
        let size = example.call.len() + example.gives.to_string().len();
        if size > LARGEST_EXAMPLE {
            return refuse(
                format!("Its example {number} has {size} bytes; {LARGEST_EXAMPLE} are allowed"),
                "Move it to a file of cases, which `transform test` runs.",
            );
        }
    }
    Ok(())
}

/// Refuses a manifest with hidden characters, which would make a person read something else than it says.
pub(super) fn check_characters(manifest: &Manifest) -> Result<(), Refusal> {
    let mut texts: Vec<(String, Option<char>)> = vec![
        ("summary".into(), printable::first_hidden(&manifest.summary)),
        ("documentation".into(), printable::first_hidden_in_lines(&manifest.documentation)),
    ];
    for parameter in &manifest.parameters {
        let field = format!("description of the parameter {}", parameter.name);
        texts.push((field, printable::first_hidden_in_lines(&parameter.description)));
    }
    for (number, example) in (1..).zip(&manifest.examples) {
        texts.push((format!("example {number}"), printable::first_hidden(&example.call)));
        let mut hidden = None;
        walk_texts(&mut example.gives.clone(), &mut |text| {
            hidden = hidden.or(printable::first_hidden_in_lines(text));
        });
        texts.push((format!("result of example {number}"), hidden));
    }
    match texts.into_iter().find_map(|(field, hidden)| Some((field, hidden?))) {
        None => Ok(()),
        Some((field, hidden)) => refuse(
            format!("Its {field} contains the character U+{:04X}, which is not shown as it is", u32::from(hidden)),
            "Remove control, bidirectional and invisible characters from the manifest.",
        ),
    }
}

/// The manifest with hidden characters escaped, for terminals and pages.
pub(super) fn shown_manifest(manifest: &Manifest) -> Manifest {
    let mut shown = manifest.clone();
    shown.summary = printable::line(&shown.summary).into_owned();
    shown.documentation = printable::lines(&shown.documentation).into_owned();
    for parameter in &mut shown.parameters {
        parameter.description = printable::line(&parameter.description).into_owned();
    }
    for example in &mut shown.examples {
        example.call = printable::line(&example.call).into_owned();
        walk_texts(&mut example.gives, &mut |text| *text = printable::lines(text).into_owned());
    }
    shown
}

/// Calls `each` with every text in JSON, the names of members included.
fn walk_texts(json: &mut serde_json::Value, each: &mut impl FnMut(&mut String)) {
    use serde_json::Value;
    match json {
        Value::String(text) => each(text),
        Value::Array(items) => items.iter_mut().for_each(|item| walk_texts(item, each)),
        Value::Object(members) => {
            let all = std::mem::take(members);
            members.extend(all.into_iter().map(|(mut name, mut value)| {
                each(&mut name);
                walk_texts(&mut value, each);
                (name, value)
            }));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a cell is of the type; nothing is of every type.
fn is_of_type(cell: &serde_json::Value, kind: Type) -> bool {
    use serde_json::Value;
    match cell {
        Value::Null => true,
        Value::Bool(_) => matches!(kind, Type::Boolean | Type::Any),
        Value::Number(_) => matches!(kind, Type::Number | Type::Any),
        Value::String(_) => matches!(kind, Type::Text | Type::Any),
        Value::Array(_) => matches!(kind, Type::Json | Type::Any),
        Value::Object(_) => matches!(kind, Type::Json | Type::User | Type::Any),
    }
}

/// Numbers and dots, and what a version of Cargo may have behind them: `1.0.0`, `2.1.0-beta.1`.
fn is_version(text: &str) -> bool {
    let (numbers, more) = text.find(['-', '+']).map_or((text, ""), |at| text.split_at(at));
    text.len() <= LONGEST_VERSION
        && numbers.split('.').all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        && more.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.'))
}

/// A letter, then letters, digits and `_`, all of ASCII.
pub fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// Text from a file as it may be shown: one line, not endless.
pub(super) fn one_line(text: &str) -> String {
    super::fault::shown(text).chars().take(300).collect()
}
