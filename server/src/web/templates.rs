//! The HTML templates, embedded in the binary.

use std::sync::LazyLock;

use rust_embed::Embed;
use tera::{Context, Tera};

use crate::error::{Code, Error, Result};

#[derive(Embed)]
#[folder = "templates/"]
struct Templates;

static TERA: LazyLock<tera::TeraResult<Tera>> = LazyLock::new(|| {
    let mut tera = Tera::new();
    let templates = Templates::iter().filter_map(|name| {
        let file = Templates::get(&name)?;
        Some((name.into_owned(), String::from_utf8_lossy(&file.data).into_owned()))
    });
    tera.add_raw_templates(templates.collect::<Vec<_>>())?;
    Ok(tera)
});

/// Renders the template of this name; values are escaped for HTML.
pub fn render(name: &str, context: &Context) -> Result<String> {
    TERA.as_ref()
        .map_err(ToString::to_string)
        .and_then(|tera| tera.render(name, context).map_err(|error| error.to_string()))
        .map_err(|error| Error::new(Code::Internal, format!("The page {name} cannot be rendered: {error}")))
}
