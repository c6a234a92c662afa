//! Renders guides of `docs/` to HTML, so that the server's pages can link to them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::LazyLock;

use pulldown_cmark::{CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, html};

/// A guide.
pub(super) struct Guide {
    /// Its path below `guide/`, and the name of its file in `docs/` without `.md`.
    pub(super) name: &'static str,
    /// Its heading.
    pub(super) title: String,
    /// The text after the heading as HTML.
    pub(super) html: String,
}

/// The names and Markdown texts of the guides, in the order of their list.
const SOURCES: [(&str, &str); 5] = [
    ("import", include_str!("../../../docs/import.md")),
    ("query", include_str!("../../../docs/query.md")),
    ("expressions", include_str!("../../../docs/expressions.md")),
    ("transforms", include_str!("../../../docs/transforms.md")),
    ("errors", include_str!("../../../docs/errors.md")),
];

/// All guides, rendered once.
static GUIDES: LazyLock<Vec<Guide>> =
    LazyLock::new(|| SOURCES.iter().map(|(name, markdown)| render(name, markdown)).collect());

/// Returns all guides.
pub(super) fn all() -> &'static [Guide] {
    &GUIDES
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

/// Returns the target of a link on a page of the server; `None` for files that are only in the repository.
fn link_target(link: &str) -> Option<Cow<'_, str>> {
    if link.starts_with('#') || link.starts_with("https://") {
        return Some(link.into());
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let name = file.strip_suffix(".md").filter(|name| SOURCES.iter().any(|(known, _)| known == name))?;
    Some(anchor.map_or_else(|| name.into(), |anchor| format!("{name}#{anchor}").into()))
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
            Event::Start(Tag::Link { dest_url, .. }) => match link_target(dest_url) {
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
                let target = if name.is_empty() { Some(guide) } else { find(name) };
                let target = target.unwrap_or_else(|| panic!("{} links to {link}", guide.name));
                assert!(anchor.is_empty() || target.html.contains(&format!("id=\"{anchor}\"")), "{link}");
            }
        }
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
