//! What can be said of a JavaScript expression without running it: whether it is one, which names it
//! uses, and which attributes of `user` it reads.

use oxc_allocator::Allocator;
use oxc_ast::AstKind;
use oxc_ast::ast::{Expression as Node, Statement};
use oxc_parser::Parser;
use oxc_semantic::{AstNodes, NodeId, SemanticBuilder};
use oxc_span::{GetSpan, SourceType, Span};

use super::Stop;
use super::parser::GLOBALS;
use super::path::Key;
use super::read::DEEPEST;

/// The parser recurses; this is enough for the longest expression, nested as deeply as its length allows.
/// Only what is touched of it is ever taken.
const STACK: usize = 512 << 20;

/// Up to so many bytes the stack every thread has is enough.
const SHORT: usize = 1024;

/// What an expression uses.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Script {
    /// Where it stops being a path, in bytes.
    pub beyond: usize,
    /// The attributes of `user` it reads, as steps from the user; no steps mean the whole user.
    pub needs: Vec<Vec<Key>>,
    /// The first name that is neither `user` nor ECMAScript's nor the expression's own.
    pub unknown: Option<Unknown>,
}

/// A name nobody has defined.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unknown {
    pub at: usize,
    pub name: String,
    /// Whether it is called.
    pub called: bool,
}

/// Reads an expression as JavaScript.
pub(super) fn analyse(source: &str) -> Result<Script, Stop> {
    if source.len() <= SHORT {
        return analyse_here(source);
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || analyse_here(source));
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(script)) => script,
            Ok(Err(_)) | Err(_) => Err(Stop::invalid(0, "it is too large to be read", "make it shorter")),
        }
    })
}

fn analyse_here(source: &str) -> Result<Script, Stop> {
    let allocator = Allocator::default();
    // As it stands, so that errors mean what was written.
    if let Err(errors) = Parser::new(&allocator, source, SourceType::script()).parse_expression() {
        return Err(errors.iter().next().map_or_else(|| unreadable(source, 0), |error| stop(error, source, 0)));
    }
    // In parentheses it is a program, which names can be resolved in. The line end is for a comment at its end.
    let wrapped = format!("({source}\n)");
    let read = Parser::new(&allocator, &wrapped, SourceType::script()).parse();
    if let Some(error) = read.diagnostics.iter().next() {
        return Err(stop(error, source, 1));
    }
    let one = match read.program.body.as_slice() {
        [Statement::ExpressionStatement(statement)] if read.program.directives.is_empty() => {
            matches!(&statement.expression, Node::ParenthesizedExpression(_))
        }
        _ => false,
    };
    if !one {
        return Err(unreadable(source, 0));
    }
    let built = SemanticBuilder::new().with_check_syntax_error(true).with_build_nodes(true).build(&read.program);
    if let Some(error) = built.diagnostics.iter().next() {
        return Err(stop(error, source, 1));
    }
    let semantic = built.semantic;
    let nodes = semantic.nodes();
    for node in nodes.iter() {
        forbidden(node.kind(), node.id(), nodes)?;
    }
    let scoping = semantic.scoping();
    let mut needs = Vec::new();
    let mut unknown: Option<Unknown> = None;
    for (name, references) in scoping.root_unresolved_references() {
        let name = name.as_str();
        for reference in references {
            let id = scoping.get_reference(*reference).node_id();
            let known = match name {
                "user" => {
                    let need = steps(id, nodes);
                    if !needs.contains(&need) {
                        needs.push(need);
                    }
                    true
                }
                "undefined" => true,
                "arguments" => nodes.ancestor_kinds(id).any(|kind| matches!(kind, AstKind::Function(_))),
                name => GLOBALS.contains(&name),
            };
            let at = place(nodes.kind(id).span(), source, 1);
            if !known && unknown.as_ref().is_none_or(|earlier| at < earlier.at) {
                let called = matches!(nodes.parent_kind(id), AstKind::CallExpression(call) if call.callee.span() == nodes.kind(id).span());
                unknown = Some(Unknown { at, name: name.to_owned(), called });
            }
        }
    }
    if needs.iter().any(Vec::is_empty) {
        needs = vec![Vec::new()];
    } else if !needs.is_empty() && source.contains("random") {
        // Random numbers start from what a row holds; so every user has others.
        needs.push(vec![Key::new("user_id")]);
    }
    Ok(Script { beyond: 0, needs, unknown })
}

/// What is JavaScript, but has no place in a column.
fn forbidden(kind: AstKind<'_>, id: NodeId, nodes: &AstNodes<'_>) -> Result<(), Stop> {
    let at = || (kind.span().start as usize).saturating_sub(1);
    match kind {
        AstKind::ImportExpression(_) | AstKind::ImportMeta(_) => {
            Err(Stop::invalid(at(), "nothing can be imported here", "an expression has `user` and the language itself"))
        }
        AstKind::AssignmentExpression(_) | AstKind::UpdateExpression(_) => {
            let inside = nodes.ancestor_kinds(id).any(|kind| {
                matches!(kind, AstKind::Function(_) | AstKind::ArrowFunctionExpression(_) | AstKind::Class(_))
            });
            if inside {
                return Ok(());
            }
            Err(Stop::invalid(
                at(),
                "an expression may not assign",
                "compare with `===`; a column's name follows the last `=`",
            ))
        }
        _ => Ok(()),
    }
}

/// The steps that are read from a reference to `user` on.
fn steps(reference: NodeId, nodes: &AstNodes<'_>) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut id = reference;
    // What lies deeper is handed over whole; trees of wanted paths are walked by recursion.
    while keys.len() < DEEPEST {
        let span = nodes.kind(id).span();
        let parent = nodes.parent_id(id);
        match nodes.kind(parent) {
            AstKind::ChainExpression(_) | AstKind::ParenthesizedExpression(_) => {}
            AstKind::StaticMemberExpression(member) if member.object.span() == span => {
                keys.push(Key::new(member.property.name.as_str()));
            }
            AstKind::ComputedMemberExpression(member) if member.object.span() == span => match &member.expression {
                Node::StringLiteral(text) if !text.lone_surrogates => keys.push(Key::new(text.value.as_str())),
                Node::NumericLiteral(number) => keys.push(Key::new(ryu_js::Buffer::new().format(number.value))),
                _ => return keys,
            },
            // A method gets the object it is called on, and an assignment changes it.
            AstKind::CallExpression(call) if call.callee.span() == span => {
                keys.pop();
                return keys;
            }
            AstKind::NewExpression(new) if new.callee.span() == span => {
                keys.pop();
                return keys;
            }
            AstKind::TaggedTemplateExpression(template) if template.tag.span() == span => {
                keys.pop();
                return keys;
            }
            AstKind::AssignmentExpression(_)
            | AstKind::UpdateExpression(_)
            | AstKind::UnaryExpression(_)
            | AstKind::ArrayAssignmentTarget(_)
            | AstKind::ObjectAssignmentTarget(_)
            | AstKind::AssignmentTargetRest(_)
            | AstKind::AssignmentTargetWithDefault(_)
            | AstKind::AssignmentTargetPropertyIdentifier(_)
            | AstKind::AssignmentTargetPropertyProperty(_)
            | AstKind::ForInStatement(_)
            | AstKind::ForOfStatement(_)
                if !matches!(nodes.kind(parent), AstKind::UnaryExpression(unary) if !unary.operator.is_delete()) =>
            {
                keys.pop();
                return keys;
            }
            _ => return keys,
        }
        id = parent;
    }
    keys
}

/// The place of a span in what was written; `before` bytes stand before it.
fn place(span: Span, source: &str, before: usize) -> usize {
    let at = (span.start as usize).saturating_sub(before).min(source.len());
    (0..=at).rev().find(|at| source.is_char_boundary(*at)).unwrap_or(0)
}

fn stop(error: &oxc_diagnostics::OxcDiagnostic, source: &str, before: usize) -> Stop {
    let at = error.labels.iter().next().map_or(0, oxc_span::LabeledSpan::offset);
    let at = place(Span::new(at, at), source, before);
    let mut message = error.message.trim_end_matches('.').to_owned();
    // In a sentence that has begun.
    if let Some(first) = message.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    let help = error.help.as_deref().map(|help| help.trim().trim_end_matches('.').to_owned());
    Stop::invalid(at, message, help.unwrap_or_else(|| "expected one JavaScript expression over `user`".to_owned()))
}

fn unreadable(source: &str, at: usize) -> Stop {
    Stop::invalid(at.min(source.len()), "this is not one expression", "expected one JavaScript expression over `user`")
}
