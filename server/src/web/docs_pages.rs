//! Renders guides of `docs/` to HTML, so that the server's pages can link to them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::LazyLock;

use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, html};

/// A guide.
pub(super) struct Guide {
    /// Its path below `guide/`: that of its file in `docs/` without `.md`, or without `/README.md`.
    pub(super) name: &'static str,
    /// Its heading.
    pub(super) title: String,
    /// The text after the heading as HTML.
    pub(super) html: String,
}

/// The names and Markdown texts of the guides, in the order of their list. Those with a `/` are not in it; the guide of
/// that directory links to them.
const SOURCES: &[(&str, &str)] = &[
    ("import", include_str!("../../../docs/import.md")),
    ("sources", include_str!("../../../docs/sources/README.md")),
    ("query", include_str!("../../../docs/query.md")),
    ("expressions", include_str!("../../../docs/expressions.md")),
    ("transforms", include_str!("../../../docs/transforms.md")),
    ("errors", include_str!("../../../docs/errors.md")),
    ("sources/auth0", include_str!("../../../docs/sources/auth0.md")),
    ("sources/cognito", include_str!("../../../docs/sources/cognito.md")),
    ("sources/firebase", include_str!("../../../docs/sources/firebase.md")),
    ("sources/keycloak", include_str!("../../../docs/sources/keycloak.md")),
    ("sources/okta", include_str!("../../../docs/sources/okta.md")),
    ("sources/entra", include_str!("../../../docs/sources/entra.md")),
    ("sources/supabase", include_str!("../../../docs/sources/supabase.md")),
    ("sources/clerk", include_str!("../../../docs/sources/clerk.md")),
    ("sources/wordpress", include_str!("../../../docs/sources/wordpress.md")),
    ("sources/drupal", include_str!("../../../docs/sources/drupal.md")),
    ("sources/aspnet", include_str!("../../../docs/sources/aspnet.md")),
    ("sources/django", include_str!("../../../docs/sources/django.md")),
    ("sources/devise", include_str!("../../../docs/sources/devise.md")),
    ("sources/laravel", include_str!("../../../docs/sources/laravel.md")),
    ("sources/ldap", include_str!("../../../docs/sources/ldap.md")),
];

/// All guides, rendered once.
static GUIDES: LazyLock<Vec<Guide>> =
    LazyLock::new(|| SOURCES.iter().map(|(name, markdown)| render(name, markdown)).collect());

/// Returns all guides.
pub(super) fn all() -> &'static [Guide] {
    &GUIDES
}

/// Returns the guides of the list: those of directories only once.
pub(super) fn listed() -> impl Iterator<Item = &'static Guide> {
    all().iter().filter(|guide| !guide.name.contains('/'))
}

/// Returns the guide with this name.
pub(super) fn find(name: &str) -> Option<&'static Guide> {
    GUIDES.iter().find(|guide| guide.name == name)
}

/// Returns the anchor of a heading as GitHub generates it, so that links inside a document work in both places.
fn slug(heading: &str) -> String {
    let allowed = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    allowed.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Returns the target of a link in the file of a guide, on the page of that guide; `None` for files that are only in
/// the repository.
fn link_target<'l>(guide: &str, link: &'l str) -> Option<Cow<'l, str>> {
    if link.starts_with('#') || link.starts_with("https://") {
        return Some(link.into());
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    // Of a directory, the guide has the name, and its file is inside.
    let is_directory =
        SOURCES.iter().any(|(name, _)| name.strip_prefix(guide).is_some_and(|rest| rest.starts_with('/')));
    let directory = if is_directory { guide } else { guide.rsplit_once('/').map_or("", |(directory, _)| directory) };
    let mut steps: Vec<&str> = directory.split('/').filter(|step| !step.is_empty()).collect();
    for step in file.strip_suffix(".md")?.split('/') {
        match step {
            ".." => steps.pop().map(drop)?,
            step => steps.push(step),
        }
    }
    if steps.last() == Some(&"README") {
        steps.pop();
    }
    let path = steps.join("/");
    let (name, _) = SOURCES.iter().find(|(known, _)| *known == path)?;
    let up = "../".repeat(guide.matches('/').count());
    let anchor = anchor.map(|anchor| format!("#{anchor}")).unwrap_or_default();
    Some(format!("{up}{name}{anchor}").into())
}

/// Renders a guide from Markdown.
fn render(name: &'static str, markdown: &'static str) -> Guide {
    let events: Vec<Event<'static>> = Parser::new_ext(markdown, Options::ENABLE_TABLES).collect();
    let mut title = String::new();
    let mut out = Vec::with_capacity(events.len());
    let mut anchors: HashMap<String, usize> = HashMap::new();
    // Whether inside a link without a target, of which only the text is kept. Links are not nested.
    let mut skipping_link = false;
    let mut first_cell = false;
    let mut at = 0;
    while let Some(event) = events.get(at) {
        at += 1;
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                let end = events[at..].iter().position(|event| matches!(event, Event::End(TagEnd::Heading(_))));
                let inner = &events[at..at + end.unwrap_or_default()];
                let text: String = inner
                    .iter()
                    .filter_map(|event| match event {
                        Event::Text(text) | Event::Code(text) => Some(text.as_ref()),
                        _ => None,
                    })
                    .collect();
                if title.is_empty() {
                    title = text;
                    at += inner.len() + 1;
                    continue;
                }
                let anchor = slug(&text);
                let seen = anchors.entry(anchor.clone()).and_modify(|seen| *seen += 1).or_default();
                let anchor = if *seen == 0 { anchor } else { format!("{anchor}-{seen}") };
                out.push(Event::Html(format!("<{level} id=\"{anchor}\">").into()));
            }
            Event::Start(Tag::Link { dest_url, .. }) => match link_target(name, dest_url) {
                Some(target) => out.push(Event::Start(Tag::Link {
                    link_type: LinkType::Inline,
                    dest_url: CowStr::from(target.into_owned()),
                    title: CowStr::Borrowed(""),
                    id: CowStr::Borrowed(""),
                })),
                None => skipping_link = true,
            },
            Event::End(TagEnd::Link) if skipping_link => skipping_link = false,
            // Wide tables and code blocks are scrollable, also with the keyboard.
            Event::Start(Tag::Table(_)) => {
                out.push(Event::Html(
                    "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Table\">".into(),
                ));
                out.push(event.clone());
            }
            Event::End(TagEnd::Table) => {
                out.push(event.clone());
                out.push(Event::Html("</div>".into()));
            }
            Event::Start(Tag::CodeBlock(_)) => {
                out.push(Event::Html("<pre class=\"sample\" tabindex=\"0\"><code>".into()));
            }
            Event::End(TagEnd::CodeBlock) => out.push(Event::Html("</code></pre>".into())),
            Event::Start(Tag::TableRow) => {
                first_cell = true;
                out.push(event.clone());
            }
            Event::End(TagEnd::TableCell) => {
                first_cell = false;
                out.push(event.clone());
            }
            // Error codes are link targets.
            Event::Code(code) if first_cell && name == "errors" => {
                let mut html = String::new();
                let _ = write!(html, "<code id=\"{code}\">{code}</code>");
                out.push(Event::Html(html.into()));
            }
            // The guides contain no HTML. If they did, it would be shown as text.
            Event::Html(text) | Event::InlineHtml(text) => out.push(Event::Text(text.clone())),
            other => out.push(other.clone()),
        }
    }
    let mut text = String::new();
    html::push_html(&mut text, out.into_iter());
    // Remove empty table headers, and make empty header cells normal cells.
    let html = text.replace("<thead><tr><th></th><th></th></tr></thead>", "").replace("<th></th>", "<td></td>");
    let html = html.replace("<th>", "<th scope=\"col\">");
    Guide { name, title, html: html.replace("<table>", "<table class=\"table\">") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guide_has_a_title_and_valid_links() {
        for guide in all() {
            assert!(!guide.title.is_empty() && !guide.html.contains("<h1"), "{}", guide.name);
            for link in guide.html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                let (name, anchor) = link.split_once('#').unwrap_or((link, ""));
                if link.starts_with("https://") {
                    continue;
                }
                let target = if name.is_empty() { Some(guide) } else { find(name.trim_start_matches("../")) };
                let target = target.unwrap_or_else(|| panic!("{} links to {link}", guide.name));
                assert!(anchor.is_empty() || target.html.contains(&format!("id=\"{anchor}\"")), "{link}");
            }
        }
    }

    #[test]
    fn guides_of_a_directory_link_to_each_other_and_to_others() {
        for (guide, link, target) in [
            ("import", "sources/README.md", "sources"),
            ("import", "sources/django.md#import", "sources/django#import"),
            ("sources", "django.md", "sources/django"),
            ("sources", "../import.md#checks", "import#checks"),
            ("sources/django", "README.md", "../sources"),
            ("sources/django", "ldap.md", "../sources/ldap"),
            ("sources/django", "../import.md", "../import"),
            ("sources/django", "#import", "#import"),
        ] {
            assert_eq!(link_target(guide, link).as_deref(), Some(target), "{guide}: {link}");
        }
        for (guide, link) in [("import", "../README.md"), ("import", "ARCHITECTURE.md"), ("sources", "../../x.md")] {
            assert_eq!(link_target(guide, link), None, "{guide}: {link}");
        }
        assert_eq!(listed().filter(|guide| guide.name.starts_with("sources")).count(), 1);
    }

    #[test]
    fn every_error_code_has_an_anchor() {
        let errors = find("errors").unwrap();
        assert!(errors.html.contains("<code id=\"invalid_token\">invalid_token</code>"));
    }

    #[test]
    fn links_to_repository_files_become_text() {
        let guide = render("query", "# T\n\nSee [the file](../x.rs), [errors](errors.md#a) and `<b>`, <b>.");
        assert_eq!(
            guide.html,
            "<p>See the file, <a href=\"errors#a\">errors</a> and <code>&lt;b&gt;</code>, &lt;b&gt;.</p>\n"
        );
    }
}
