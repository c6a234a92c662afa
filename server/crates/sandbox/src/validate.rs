//! Validates WASM files and manifests before they are accepted as transforms.

use std::borrow::Cow;
use std::collections::BTreeSet;

use transforms_sdk::manifest::{CONTRACT, Manifest, SECTION, Type, is_reserved};
use transforms_sdk::packed;
use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload};

use super::fault::shown;
use uie_core::diagnostic::Diagnostic;
use uie_core::error::{Code, Error};
use uie_core::message::{Message, message};
use uie_core::printable;

/// The world a transform is built for.
const WORLD: &str = "user-import-export:transform";

/// The target every transform is built for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// The memory that a core module exports.
pub(super) const MEMORY: &str = "memory";

/// Maximum size of a manifest as JSON, in bytes. A larger one is not read.
const MAX_MANIFEST_BYTES: usize = 512 << 10;

/// Maximum length of a summary, in characters.
const MAX_SUMMARY_CHARS: usize = 200;

/// Maximum size of the documentation, in bytes.
const MAX_DOCUMENTATION_BYTES: usize = 64 << 10;

/// Maximum length of a version, in characters.
const MAX_VERSION_CHARS: usize = 32;

/// Maximum number of parameters of a transform.
const MAX_PARAMETERS: usize = 32;

/// Maximum length of the description of a parameter, in characters.
const MAX_DESCRIPTION_CHARS: usize = 1000;

/// Maximum number of examples of a transform.
const MAX_EXAMPLES: usize = 50;

/// Maximum size of an example, call and result together, in bytes.
const MAX_EXAMPLE_BYTES: usize = 4 << 10;

/// Fails with why a file is not a valid transform, a sentence about "it", and a hint what to do. A WASM file is not a
/// text that a user wrote, so there is no span.
fn refuse<T>(message: Message, hint: Message) -> Result<T, Diagnostic> {
    Err(Diagnostic::new(message).with_hint(hint))
}

/// Returns the error of a transform that does not implement the contract.
pub(super) fn contract_violation(label: &str, what: &Message) -> Error {
    Error::new(Code::InvalidTransform, message!("{label} does not implement the contract: {what}.")).with_hint(
        message!("Build it against the WIT package user-import-export:transform@1.0.0, which `transform new` sets up."),
    )
}

/// Returns the hint to build a transform again.
pub(super) fn build_again() -> Message {
    message!("Build it again with the transforms-sdk that this server's `transform new` sets up.")
}

/// A file that has the header and the manifest of a transform. Its code has not been compiled or run.
#[derive(Clone, Debug)]
pub(super) struct ValidatedModule {
    pub(super) manifest: Manifest,
}

/// Whether the file is a component, or a core module, which [`to_component`] must wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ModuleKind {
    Core,
    Component,
}

/// The parts of a WASM file that are read without compiling it: kind, imports and custom sections.
#[derive(Debug, Default)]
struct ModuleHeader {
    kind: Option<ModuleKind>,
    /// Module and name of each import.
    imports: Vec<(String, String)>,
    /// Start and end of each manifest in the file.
    manifests: BTreeSet<(usize, usize)>,
    has_component_type: bool,
}

/// Reads the header and the manifest of a file, without compiling or running its code.
///
/// Fails if the file is not a WASM file, imports anything, or has no valid manifest.
pub(super) fn inspect(bytes: &[u8]) -> Result<ValidatedModule, Diagnostic> {
    let header = read_header(bytes)?;
    check_imports(&header)?;
    if header.kind == Some(ModuleKind::Core) && !header.has_component_type {
        return refuse(
            message!("It is a WASM module, but not a transform: it does not say which interface it implements"),
            message!(
                "Build it with transforms-sdk and its #[transform] attribute; `transform new` starts such a crate."
            ),
        );
    }
    Ok(ValidatedModule { manifest: read_manifest(bytes, &header)? })
}

/// Returns the WASM to compile for a file that [`inspect`] accepted: the core module itself if it exports the packed
/// ABI ([`packed`]), otherwise its component.
///
/// Fails if the interface of the core module is not a transform's, whichever ABI it exports.
pub(super) fn to_compilable(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Diagnostic> {
    let component = to_component(bytes)?;
    let packed = matches!(component, Cow::Owned(_)) && has_exports(bytes, &[packed::ROOM, packed::APPLY, MEMORY])?;
    Ok(if packed { bytes.into() } else { component })
}

/// Whether a core module exports all of these names.
fn has_exports(module: &[u8], names: &[&str]) -> Result<bool, Diagnostic> {
    let mut found = 0;
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(exports) = payload.map_err(damaged)? {
            for export in exports {
                found += usize::from(names.contains(&export.map_err(damaged)?.name));
            }
        }
    }
    // Export names are unique.
    Ok(found == names.len())
}

/// Returns the component of a file that [`inspect`] accepted: the file itself, or the wrapped core module.
pub(super) fn to_component(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Diagnostic> {
    if read_header(bytes)?.kind == Some(ModuleKind::Component) {
        return Ok(bytes.into());
    }
    let encoded = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(bytes)
        .and_then(|mut encoder| encoder.encode());
    match encoded {
        Ok(component) => Ok(component.into()),
        Err(error) => {
            let reason = one_line(&format!("{error:#}"));
            refuse(message!("Its interface is broken: {reason}"), build_again())
        }
    }
}

/// Appends a manifest to a component, for components made by the tools of other languages.
pub fn with_manifest(bytes: &[u8], manifest: &Manifest) -> Vec<u8> {
    /// Writes a LEB128 number.
    fn write_length(mut number: usize, to: &mut Vec<u8>) {
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
    write_length(SECTION.len(), &mut content);
    content.extend_from_slice(SECTION.as_bytes());
    // Writing into memory cannot fail: the manifest has no maps.
    let _ = serde_json::to_writer(&mut content, manifest);
    let mut all = bytes.to_vec();
    all.push(0);
    write_length(content.len(), &mut all);
    all.extend_from_slice(&content);
    all
}

/// Reads the header of a WASM file. Fails if it is not a WASM file or is damaged.
fn read_header(bytes: &[u8]) -> Result<ModuleHeader, Diagnostic> {
    if !bytes.starts_with(b"\0asm") {
        let message = match bytes {
            [] => message!("It is not a WASM file: it is empty"),
            [0x1f, 0x8b, ..] => message!("It is not a WASM file: it is a gzip file"),
            [b'P', b'K', ..] => message!("It is not a WASM file: it is a zip file"),
            [0x7f, b'E', b'L', b'F', ..] => message!("It is not a WASM file: it is a program for this machine"),
            _ if bytes.trim_ascii_start().starts_with(b"(") => {
                message!("It is not a WASM file: it is WebAssembly text")
            }
            _ => message!("It is not a WASM file: it does not start like one"),
        };
        let hint = message!(
            "Give the .wasm file that a build for {target} leaves; `transform build` makes one.",
            target = TARGET
        );
        return refuse(message, hint);
    }
    let mut header = ModuleHeader::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(damaged)?;
        match payload {
            Payload::Version { encoding, .. } if header.kind.is_none() => {
                header.kind = Some(if encoding == Encoding::Module { ModuleKind::Core } else { ModuleKind::Component });
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            // Modules inside a component import from each other: only the outermost imports count.
            Payload::ImportSection(imports) if depth == 0 => {
                for import in imports.into_imports() {
                    let import = import.map_err(damaged)?;
                    header.imports.push((import.module.to_owned(), import.name.to_owned()));
                }
            }
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    let import = import.map_err(damaged)?;
                    // Imports of types only name a type; they do not need anything from the host.
                    if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                        header.imports.push((import.name.name.to_owned(), String::new()));
                    }
                }
            }
            Payload::CustomSection(section) if section.name() == SECTION => {
                let start = section.data_offset();
                header.manifests.insert((start, start + section.data().len()));
            }
            Payload::CustomSection(section) if section.name().starts_with("component-type") => {
                header.has_component_type = true;
            }
            _ => {}
        }
    }
    Ok(header)
}

// Called as a function by `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn damaged(error: wasmparser::BinaryReaderError) -> Diagnostic {
    let reason = one_line(error.message());
    Diagnostic::new(message!("It is a damaged WASM file: {reason}"))
        .with_hint(message!("Copy or build the file again."))
}

/// Refuses files with imports: transforms have no access to the host. The names of the imports show for which target
/// the file was built, which the message says.
fn check_imports(header: &ModuleHeader) -> Result<(), Diagnostic> {
    // Interfaces of the world that define only types are listed as imports without functions.
    let imports: Vec<_> = header.imports.iter().filter(|(module, _)| !module.starts_with(WORLD)).collect();
    let Some((module, name)) = imports.first() else { return Ok(()) };
    let built = if module.starts_with("wasi_snapshot_preview1") || module.starts_with("wasi_unstable") {
        Some(Message::verbatim("wasm32-wasip1"))
    } else if module.starts_with("wasi:") {
        Some(Message::verbatim("wasm32-wasip2"))
    } else if module.starts_with("__wbindgen") || module == "wbg" || module.contains("wasm-bindgen") {
        Some(message!("a browser, with wasm-bindgen"))
    } else if module == "env" && name.starts_with("emscripten") {
        Some(Message::verbatim("Emscripten"))
    } else {
        None
    };
    let import = one_line(&if name.is_empty() { module.clone() } else { format!("{module} {name}") });
    let imported = match imports.len() {
        1 => Message::verbatim(import),
        count => message!("{import} and {more} more", more = count - 1),
    };
    match built {
        Some(built) => refuse(
            message!("It was built for {built}: it imports {imported}, and transforms import nothing"),
            message!(
                "Build it for {target}: `transform build` does, and so does `cargo build --release --target {target}`.",
                target = TARGET
            ),
        ),
        None => refuse(
            message!("It imports {imported}, and transforms import nothing"),
            message!(
                "Remove the dependency that needs the host: a transform has no clock, no network, no files and no \
                 randomness."
            ),
        ),
    }
}

/// Reads and checks the manifest of a file.
fn read_manifest(bytes: &[u8], header: &ModuleHeader) -> Result<Manifest, Diagnostic> {
    let sections: Vec<&[u8]> = header.manifests.iter().filter_map(|(start, end)| bytes.get(*start..*end)).collect();
    let section: &[u8] = match sections.as_slice() {
        [] => {
            return refuse(
                message!("It has no manifest: the custom section {section} is missing", section = SECTION),
                message!(
                    "Build it with transforms-sdk, which writes the manifest; `transform build --manifest` adds one to \
                     a component made by other tools."
                ),
            );
        }
        [section] if section.len() > MAX_MANIFEST_BYTES => {
            return refuse(
                message!(
                    "Its manifest has {size}; {limit} are allowed",
                    size = bytesize::ByteSize(section.len() as u64),
                    limit = bytesize::ByteSize(MAX_MANIFEST_BYTES as u64)
                ),
                message!("Shorten its documentation and its examples."),
            );
        }
        [section] => section,
        _ => {
            return refuse(
                message!("It has more than one manifest"),
                message!("Give each transform a crate of its own."),
            );
        }
    };
    let manifest: Manifest = match serde_json::from_slice(section) {
        Ok(manifest) => manifest,
        Err(error) => {
            // A manifest of another contract version may have another shape: report the version, not the difference.
            if let Some(version) = contract_of(section).filter(|version| version != CONTRACT) {
                return refuse(contract_message(&version), contract_hint());
            }
            let reason = one_line(&error.to_string());
            return refuse(message!("Its manifest is invalid: {reason}"), build_again());
        }
    };
    check_manifest(&manifest)?;
    Ok(manifest)
}

fn contract_of(section: &[u8]) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(section).ok()?;
    json.get("contract")?.as_str().map(str::to_owned)
}

fn contract_message(version: &str) -> Message {
    message!(
        "It was built against version {version} of the contract; this server knows version {known}",
        version = one_line(version),
        known = CONTRACT
    )
}

fn contract_hint() -> Message {
    message!(
        "Build it with a transforms-sdk that implements contract {known}, or use the server it was built for.",
        known = CONTRACT
    )
}

/// Checks a manifest, from a file or written by hand: contract, names, version, sizes, examples.
pub(super) fn check_manifest(manifest: &Manifest) -> Result<(), Diagnostic> {
    if manifest.contract != CONTRACT {
        return refuse(contract_message(&manifest.contract), contract_hint());
    }
    let name = one_line(&manifest.name);
    if !is_name(&manifest.name) {
        return refuse(
            message!("Its name is {name:?}: expected a letter, then letters, digits and `_`, 64 characters at most"),
            message!("Rename its function."),
        );
    }
    if is_reserved(&manifest.name) {
        return refuse(
            message!("Its name is {name}, which means something else in expressions already"),
            message!("Rename its function."),
        );
    }
    if !is_version(&manifest.version) {
        return refuse(
            message!(
                "Its version is {version:?}: expected numbers and dots such as 1.0.0, {limit} characters at most",
                version = one_line(&manifest.version),
                limit = MAX_VERSION_CHARS
            ),
            message!("Set `version` in its Cargo.toml."),
        );
    }
    check_sizes(manifest)?;
    let mut names = BTreeSet::new();
    for parameter in &manifest.parameters {
        let shown = one_line(&parameter.name);
        if !is_name(&parameter.name) {
            return refuse(
                message!("A parameter of {name} is called {shown:?}: expected a letter, then letters, digits and `_`"),
                message!("Rename the parameter."),
            );
        }
        if !names.insert(parameter.name.as_str()) {
            return refuse(message!("Two parameters of {name} are called {shown}"), message!("Rename one of them."));
        }
    }
    for (number, example) in (1..).zip(&manifest.examples) {
        if !is_of_type(&example.gives, manifest.output) {
            return refuse(
                message!(
                    "Its example {number} gives {result}, but its output is declared as {declared}",
                    result = one_line(&example.gives.to_string()),
                    declared = manifest.output.as_str()
                ),
                message!("Correct the example or the declared output."),
            );
        }
    }
    Ok(())
}

/// Checks the sizes of the parts of a manifest.
fn check_sizes(manifest: &Manifest) -> Result<(), Diagnostic> {
    let characters = manifest.summary.chars().count();
    if characters > MAX_SUMMARY_CHARS {
        return refuse(
            message!("Its summary has {characters} characters; {limit} are allowed", limit = MAX_SUMMARY_CHARS),
            message!("Shorten its summary."),
        );
    }
    if manifest.documentation.len() > MAX_DOCUMENTATION_BYTES {
        let (bytes, limit) = (manifest.documentation.len(), MAX_DOCUMENTATION_BYTES);
        return refuse(
            message!("Its documentation has {bytes} bytes; {limit} are allowed"),
            message!("Shorten its documentation."),
        );
    }
    if manifest.parameters.len() > MAX_PARAMETERS {
        let (count, limit) = (manifest.parameters.len(), MAX_PARAMETERS);
        return refuse(
            message!("It has {count} parameters; {limit} are allowed"),
            message!("Take an object instead of single values."),
        );
    }
    for parameter in &manifest.parameters {
        let characters = parameter.description.chars().count();
        if characters > MAX_DESCRIPTION_CHARS {
            return refuse(
                message!(
                    "The description of the parameter {parameter} has {characters} characters; {limit} are allowed",
                    parameter = one_line(&parameter.name),
                    limit = MAX_DESCRIPTION_CHARS
                ),
                message!("Shorten it; longer texts belong in the documentation."),
            );
        }
    }
    if manifest.examples.len() > MAX_EXAMPLES {
        let (count, limit) = (manifest.examples.len(), MAX_EXAMPLES);
        return refuse(
            message!("It has {count} examples; {limit} are allowed"),
            message!("Move some of them to the files of cases, which `transform test` runs."),
        );
    }
    for (number, example) in (1..).zip(&manifest.examples) {
        let size = example.call.len() + example.gives.to_string().len();
        if size > MAX_EXAMPLE_BYTES {
            return refuse(
                message!("Its example {number} has {size} bytes; {limit} are allowed", limit = MAX_EXAMPLE_BYTES),
                message!("Move it to a file of cases, which `transform test` runs."),
            );
        }
    }
    Ok(())
}

/// Refuses a manifest with hidden characters, which could make it display as another text.
pub(super) fn check_characters(manifest: &Manifest) -> Result<(), Diagnostic> {
    match describe_hidden_character(manifest) {
        None => Ok(()),
        Some(message) => {
            refuse(message, message!("Remove control, bidirectional and invisible characters from the manifest."))
        }
    }
}

/// Returns where the first hidden character of a manifest is; `None` if it has none.
fn describe_hidden_character(manifest: &Manifest) -> Option<Message> {
    let code_of = |hidden: Option<char>| hidden.map(u32::from);
    if let Some(code) = code_of(printable::first_hidden(&manifest.summary)) {
        return Some(message!("Its summary contains the character U+{code:04X}, which is not shown as it is"));
    }
    if let Some(code) = code_of(printable::first_hidden_in_lines(&manifest.documentation)) {
        return Some(message!("Its documentation contains the character U+{code:04X}, which is not shown as it is"));
    }
    for parameter in &manifest.parameters {
        if let Some(code) = code_of(printable::first_hidden_in_lines(&parameter.description)) {
            return Some(message!(
                "Its description of the parameter {parameter} contains the character U+{code:04X}, which is not shown \
                 as it is",
                parameter = parameter.name
            ));
        }
    }
    for (number, example) in (1..).zip(&manifest.examples) {
        if let Some(code) = code_of(printable::first_hidden(&example.call)) {
            return Some(message!(
                "Its example {number} contains the character U+{code:04X}, which is not shown as it is"
            ));
        }
        let mut hidden = None;
        visit_strings(&mut example.gives.clone(), &mut |text| {
            hidden = hidden.or(printable::first_hidden_in_lines(text));
        });
        if let Some(code) = code_of(hidden) {
            return Some(message!(
                "Its result of example {number} contains the character U+{code:04X}, which is not shown as it is"
            ));
        }
    }
    None
}

/// Returns the manifest with hidden characters escaped, for terminals and pages.
pub(super) fn shown_manifest(manifest: &Manifest) -> Manifest {
    let mut shown = manifest.clone();
    shown.summary = printable::line(&shown.summary).into_owned();
    shown.documentation = printable::lines(&shown.documentation).into_owned();
    for parameter in &mut shown.parameters {
        parameter.description = printable::line(&parameter.description).into_owned();
    }
    for example in &mut shown.examples {
        example.call = printable::line(&example.call).into_owned();
        visit_strings(&mut example.gives, &mut |text| *text = printable::lines(text).into_owned());
    }
    shown
}

/// Calls `each` with every string in JSON, including the names of members.
fn visit_strings(json: &mut serde_json::Value, each: &mut impl FnMut(&mut String)) {
    use serde_json::Value;
    match json {
        Value::String(text) => each(text),
        Value::Array(items) => items.iter_mut().for_each(|item| visit_strings(item, each)),
        Value::Object(members) => {
            let all = std::mem::take(members);
            members.extend(all.into_iter().map(|(mut name, mut value)| {
                each(&mut name);
                visit_strings(&mut value, each);
                (name, value)
            }));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a cell is of the type. `null` is of every type.
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

/// Whether a text is a version: numbers and dots, then optionally what Cargo allows: `1.0.0`, `2.1.0-beta.1`.
fn is_version(text: &str) -> bool {
    let (numbers, more) = text.find(['-', '+']).map_or((text, ""), |at| text.split_at(at));
    text.len() <= MAX_VERSION_CHARS
        && numbers.split('.').all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        && more.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.'))
}

/// Whether a text is a valid name: an ASCII letter, then ASCII letters, digits and `_`, 64 characters at most.
pub fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// Makes text from a file safe to display: one line, at most 300 characters.
pub(super) fn one_line(text: &str) -> String {
    shown(text).chars().take(300).collect()
}
