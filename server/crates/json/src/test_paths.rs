//! Paths of tests, parsed without the grammar of expressions, which is in a crate above this one.

use crate::path::{Key, Literal, Node, Path};

/// Returns the path of a text such as `a.b[0] || user["c"] || 'none'`. Panics if the text is no such path.
pub(crate) fn path(source: &str) -> Path {
    Path(alternatives(source, " || ", Node::Or, |part| alternatives(part, " ?? ", Node::Nullish, node)))
}

/// Returns the paths of texts.
pub(crate) fn paths(sources: &[&str]) -> Vec<Path> {
    sources.iter().map(|source| path(source)).collect()
}

fn alternatives(source: &str, operator: &str, join: fn(Vec<Node>) -> Node, read: impl Fn(&str) -> Node) -> Node {
    let mut nodes: Vec<Node> = source.split(operator).map(read).collect();
    if nodes.len() == 1 { nodes.remove(0) } else { join(nodes) }
}

fn node(source: &str) -> Node {
    if let Some(text) = source.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return Node::Literal(Literal::Text(text.to_owned()));
    }
    if let Ok(number) = source.parse() {
        return Node::Literal(Literal::Number(number));
    }
    let mut keys: Vec<Key> =
        source.split(['.', '[']).map(|step| Key::new(step.trim_end_matches(']').trim_matches('"'))).collect();
    if keys[0].name == "user" {
        keys.remove(0);
    }
    Node::Access(keys)
}
