//! `transform new`: creates the crate of a transform.

use std::path::Path;

use rust_embed::{Embed, EmbeddedFile};
use transforms_sdk::manifest::is_reserved;

use uie_core::error::{Code, Error, Result};
use uie_core::message::message;
use uie_sandbox::is_name;

#[derive(Embed)]
#[folder = "../transforms-sdk/template"]
#[allow_missing = true]
struct Template;

#[derive(Embed)]
#[folder = "../transforms-sdk/src"]
struct SdkSource;

#[derive(Embed)]
#[folder = "../transforms-sdk/macros"]
struct SdkMacros;

#[derive(Embed)]
#[folder = "../transforms-sdk/wit"]
struct SdkWit;

/// The SDK's Cargo.toml, which does not depend on a workspace.
const SDK_CARGO: &str = include_str!("../../../../transforms-sdk/Cargo.toml");

/// Directory of the SDK's sources in a new crate, so that it builds in any place.
const SDK_DIR: &str = "transforms-sdk";

/// Placeholder in the template for the transform's name.
const NAME_PLACEHOLDER: &str = "{{name}}";

/// Creates a crate in `path`, which must not exist or be an empty directory. Returns a text with the next steps.
pub(super) fn create(name: &str, path: &Path) -> Result<String> {
    validate_name(name)?;
    let is_in_use = path.exists() && std::fs::read_dir(path).map_or(true, |mut files| files.next().is_some());
    if is_in_use {
        return Err(Error::new(Code::InvalidArgument, message!("{} already exists.", path.display()))
            .with_hint(message!("Choose another name, or another directory with --path.")));
    }
    let write = |file: &str, content: &[u8]| {
        let target = path.join(file);
        target.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(&target, content).map_err(Error::from)
    };
    for file in Template::iter() {
        if let Some(template) = Template::get(&file) {
            let content = String::from_utf8_lossy(&template.data).replace(NAME_PLACEHOLDER, name);
            write(&file.replace(NAME_PLACEHOLDER, name), content.as_bytes())?;
        }
    }
    write(&format!("{SDK_DIR}/Cargo.toml"), SDK_CARGO.as_bytes())?;
    copy("src", SdkSource::iter(), SdkSource::get, &write)?;
    copy("macros", SdkMacros::iter(), SdkMacros::get, &write)?;
    copy("wit", SdkWit::iter(), SdkWit::get, &write)?;
    let path = path.display();
    Ok(format!(
        "Created {path}: the transform {name}, which builds and passes its tests.\n\n  \
         {path}/src/lib.rs   its code\n  \
         {path}/cases/       test cases: arguments and results\n\n\
         Next: user-import-export transform test {path}\n      \
         user-import-export transform build {path}\n"
    ))
}

fn copy(
    to: &str,
    files: impl Iterator<Item = std::borrow::Cow<'static, str>>,
    get: impl Fn(&str) -> Option<EmbeddedFile>,
    write: &impl Fn(&str, &[u8]) -> Result<()>,
) -> Result<()> {
    for file in files {
        if let Some(content) = get(&file) {
            write(&format!("{SDK_DIR}/{to}/{file}"), &content.data)?;
        }
    }
    Ok(())
}

fn validate_name(name: &str) -> Result<()> {
    if is_name(name) && !is_reserved(name) {
        return Ok(());
    }
    let why = if is_reserved(name) {
        "which means something else in expressions already".to_owned()
    } else {
        "expected a letter, then letters, digits and `_`, 64 characters at most".to_owned()
    };
    let error = Error::new(Code::InvalidArgument, message!("The name is {name:?}: {why}."));
    let suggestion = name.replace(['-', ' ', '.'], "_");
    Err(if suggestion != name && is_name(&suggestion) && !is_reserved(&suggestion) {
        error.with_hint(message!("Call it {suggestion}."))
    } else {
        error.with_hint(message!("A name says what the transform does, such as mask_email."))
    })
}
