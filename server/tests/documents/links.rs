//! Every relative link and every anchor resolves, in Markdown and where code refers to a document.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use super::files::{TextFile, root, text_files};

#[test]
fn links_of_markdown_files_resolve() {
    let mut targets = Targets::default();
    let mut broken = Vec::new();
    let mut count = 0;
    for file in text_files().iter().filter(|file| file.is_markdown()) {
        let directory = Path::new(&file.path).parent().expect("a file has a directory").to_owned();
        for (line, target) in markdown_links(&file.text) {
            if is_external(&target) {
                continue;
            }
            count += 1;
            let (path, anchor) = target.split_once('#').map_or((target.as_str(), None), |(p, a)| (p, Some(a)));
            let path = if path.is_empty() { PathBuf::from(&file.path) } else { normalize(&directory.join(path)) };
            if let Err(reason) = targets.check(&path, anchor) {
                broken.push(format!("{}:{line}: {target}: {reason}", file.path));
            }
        }
    }
    assert!(count > 100, "only {count} links found");
    assert!(broken.is_empty(), "{} broken links:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn documents_that_code_refers_to_exist() {
    let mut targets = Targets::default();
    let mut broken = Vec::new();
    for file in text_files() {
        for (line, target) in document_references(&file) {
            let (path, anchor) = target.split_once('#').map_or((target, None), |(p, a)| (p, Some(a)));
            if let Err(reason) = targets.check(Path::new(path), anchor) {
                broken.push(format!("{}:{line}: {target}: {reason}", file.path));
            }
        }
    }
    assert!(broken.is_empty(), "{} broken references:\n{}", broken.len(), broken.join("\n"));
}

/// The anchors of documents, read once.
#[derive(Default)]
struct Targets {
    anchors: HashMap<PathBuf, HashSet<String>>,
}

impl Targets {
    fn check(&mut self, path: &Path, anchor: Option<&str>) -> Result<(), &'static str> {
        let full = root().join(path);
        if !full.exists() {
            return Err("no such file");
        }
        let Some(anchor) = anchor else { return Ok(()) };
        if path.extension().is_none_or(|extension| extension != "md") {
            return Err("only Markdown files have anchors");
        }
        let anchors = self.anchors.entry(path.to_owned()).or_insert_with(|| {
            anchors(&std::fs::read_to_string(&full).expect("a Markdown file")).into_iter().collect()
        });
        if anchors.contains(anchor) { Ok(()) } else { Err("no such heading") }
    }
}

fn is_external(target: &str) -> bool {
    ["https://", "http://", "mailto:", "data:"].iter().any(|scheme| target.starts_with(scheme))
}

/// Resolves `.` and `..` without touching the disk.
fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

/// Returns the lines of a Markdown text outside of code blocks, with their numbers.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => lines.push((number + 1, line)),
            _ => {}
        }
    }
    lines
}

/// Replaces code spans by spaces of the same length.
fn without_code_spans(line: &str) -> String {
    let mut rest = line;
    let mut clean = String::new();
    while let Some(start) = rest.find('`') {
        let ticks = rest[start..].len() - rest[start..].trim_start_matches('`').len();
        let body = &rest[start + ticks..];
        clean.push_str(&rest[..start]);
        let Some(end) = body.find(&"`".repeat(ticks)) else {
            clean.push_str(&rest[start..start + ticks]);
            rest = body;
            continue;
        };
        clean.push_str(&" ".repeat(ticks * 2 + end));
        rest = &body[end + ticks..];
    }
    clean + rest
}

/// Returns the targets of the links of a Markdown text, with their lines: `[text](target)`, `[name]: target`, and
/// the attributes `href`, `src` and `srcset` of HTML.
fn markdown_links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        let line = without_code_spans(line);
        for (at, open) in line.match_indices("](") {
            let rest = &line[at + open.len()..];
            let target = rest.split(')').next().unwrap_or_default();
            links.push((number, target.split_whitespace().next().unwrap_or_default().to_owned()));
        }
        if let Some((name, target)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "))
            && !name.contains(']')
        {
            links.push((number, target.trim().to_owned()));
        }
        for attribute in ["href=\"", "src=\"", "srcset=\""] {
            for (at, _) in line.match_indices(attribute) {
                let target = line[at + attribute.len()..].split('"').next().unwrap_or_default();
                links.push((number, target.to_owned()));
            }
        }
    }
    links
}

/// Returns the references to documents in the form `docs/auth0/jobs.md#exports`, with their lines.
fn document_references(file: &TextFile) -> Vec<(usize, &str)> {
    let mut references = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        for (at, _) in line.match_indices("docs/") {
            let before = line[..at].chars().next_back();
            let inside = before.is_some_and(|character| character.is_alphanumeric() || "-_./".contains(character));
            let length = line[at..]
                .find(|c: char| !(c.is_ascii_alphanumeric() || "-_./#".contains(c)))
                .unwrap_or(line.len() - at);
            let target = line[at..at + length].trim_end_matches(['.', '#']);
            let path = target.split('#').next().unwrap_or_default();
            if !inside && Path::new(path).extension().is_some_and(|extension| extension == "md") {
                references.push((number + 1, target));
            }
        }
    }
    references
}

/// Returns the anchors of a Markdown text by GitHub's rule: the heading in lower case without punctuation, spaces as
/// dashes, `-1`, `-2` … after repeated ones; and the ids of HTML elements.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut anchors = Vec::new();
    for (_, line) in prose(text) {
        for attribute in ["id=\"", "name=\""] {
            if let Some(at) = line.find(attribute).filter(|_| line.contains('<')) {
                anchors.push(line[at + attribute.len()..].split('"').next().unwrap_or_default().to_owned());
            }
        }
        let level = line.len() - line.trim_start_matches('#').len();
        let Some(heading) = line.get(level..).and_then(|rest| rest.strip_prefix(' ')) else { continue };
        if !(1..=6).contains(&level) {
            continue;
        }
        let anchor: String = link_text(heading.trim().trim_end_matches('#').trim_end())
            .to_lowercase()
            .chars()
            .filter_map(|character| match character {
                ' ' => Some('-'),
                '-' | '_' => Some(character),
                _ => character.is_alphanumeric().then_some(character),
            })
            .collect();
        let repeated = seen.entry(anchor.clone()).or_default();
        anchors.push(if *repeated == 0 { anchor } else { format!("{anchor}-{repeated}") });
        *repeated += 1;
    }
    anchors
}

/// Replaces `[text](target)` by `text`.
fn link_text(heading: &str) -> String {
    let mut text = String::new();
    let mut rest = heading;
    while let Some(at) = rest.find("](") {
        text.push_str(&rest[..at].replacen('[', "", 1));
        rest = rest[at..].split_once(')').map_or("", |(_, rest)| rest);
    }
    text + rest
}

#[test]
fn anchors_follow_githubs_rule() {
    let text = "# A new `KEY`: what & how?\n## Same\n## Same\n```\n# code\n```\n### [Link](x.md) here\n#no heading\n";
    assert_eq!(anchors(text), ["a-new-key-what--how", "same", "same-1", "link-here"]);
}

#[test]
fn links_are_found_outside_of_code() {
    let text =
        "[a](b.md#c) `[x](y.md)` ![p](q.png \"title\")\n```\n[no](no.md)\n```\n[ref]: d.md\n<img src=\"e.png\">\n";
    let targets: Vec<_> = markdown_links(text).into_iter().map(|(line, target)| format!("{line} {target}")).collect();
    assert_eq!(targets, ["1 b.md#c", "1 q.png", "5 d.md", "6 e.png"]);
}

#[test]
fn references_to_documents_are_found_in_comments() {
    let text =
        "// See docs/auth0/jobs.md#exports.\n// main/docs/x.md and https://e.org/docs/y.md\n// docs/z.mdx".into();
    let file = TextFile { path: "a.rs".into(), text };
    assert_eq!(document_references(&file), [(1, "docs/auth0/jobs.md#exports")]);
}
