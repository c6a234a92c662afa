//! The HTML templates, embedded in the binary.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rust_embed::Embed;
use tera::{Context, Tera};

use super::language::translate_template;
use uie_core::error::{Code, Error, Result};
use uie_core::language::Language;
use uie_core::message::message;

#[derive(Embed)]
#[folder = "templates/"]
struct Templates;

static TERA: LazyLock<BTreeMap<Language, tera::TeraResult<Tera>>> =
    LazyLock::new(|| Language::all().iter().map(|language| (*language, load(*language))).collect());

fn load(language: Language) -> tera::TeraResult<Tera> {
    let mut tera = Tera::new();
    let templates = Templates::iter().filter(|name| name.ends_with(".html")).filter_map(|name| {
        let file = Templates::get(&name)?;
        Some((name.into_owned(), translate_template(language, &String::from_utf8_lossy(&file.data))))
    });
    tera.add_raw_templates(templates.collect::<Vec<_>>())?;
    Ok(tera)
}

/// Renders a template in a language. Values are escaped for HTML.
pub(super) fn render_in(language: Language, name: &str, context: &Context) -> Result<String> {
    let page = match TERA.get(&language) {
        Some(Ok(tera)) => tera.render(name, context).map_err(|error| error.to_string()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err(format!("no templates for the language {}", language.tag())),
    };
    page.map_err(|error| Error::new(Code::Internal, message!("The page {name} cannot be rendered: {error}")))
}
