//! Static analysis of JavaScript expressions: whether the syntax is valid, which names are undefined, and which
//! attributes of `user` are read.

use oxc_allocator::Allocator;
use oxc_ast::AstKind;
use oxc_ast::ast::{Argument, CallExpression, Expression as Node, ObjectPropertyKind, Statement};
use oxc_parser::Parser;
use oxc_semantic::{AstNodes, NodeId, SemanticBuilder};
use oxc_span::{GetSpan, SourceType, Span};

use super::parse_error::ParseError;
use uie_core::diagnostic::Diagnostic;
use uie_core::message::{Message, message};
use uie_json::Key;
use uie_json::MAX_DEPTH;

/// The stack size for parsing, in bytes. The parser recurses; this suffices for an expression of maximum length and
/// nesting. The system only allocates the pages that are used.
const STACK_SIZE: usize = 512 << 20;

/// The longest expression that is parsed on the stack of the caller, in bytes.
const MAX_LEN_ON_THIS_STACK: usize = 1024;

/// The properties of the global object (ECMA-262, section 19 and annex B.2.1).
pub(super) const GLOBALS: &[&str] = &[
    "AggregateError",
    "Array",
    "ArrayBuffer",
    "Atomics",
    "BigInt",
    "BigInt64Array",
    "BigUint64Array",
    "Boolean",
    "DataView",
    "Date",
    "Error",
    "EvalError",
    "FinalizationRegistry",
    "Float16Array",
    "Float32Array",
    "Float64Array",
    "Function",
    "Infinity",
    "Int16Array",
    "Int32Array",
    "Int8Array",
    "Iterator",
    "JSON",
    "Map",
    "Math",
    "NaN",
    "Number",
    "Object",
    "Promise",
    "Proxy",
    "RangeError",
    "ReferenceError",
    "Reflect",
    "RegExp",
    "Set",
    "SharedArrayBuffer",
    "String",
    "Symbol",
    "SyntaxError",
    "TypeError",
    "URIError",
    "Uint16Array",
    "Uint32Array",
    "Uint8Array",
    "Uint8ClampedArray",
    "WeakMap",
    "WeakRef",
    "WeakSet",
    "decodeURI",
    "decodeURIComponent",
    "encodeURI",
    "encodeURIComponent",
    "escape",
    "eval",
    "globalThis",
    "isFinite",
    "isNaN",
    "parseFloat",
    "parseInt",
    "unescape",
];

/// What a JavaScript expression uses.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Script {
    /// The offset where it stops being a path, in bytes.
    pub path_end: usize,
    /// The attributes of `user` that it reads, as steps from the user; an empty list of steps is the whole user.
    pub needs: Vec<Vec<Key>>,
    /// The first name that is not `user`, not a global of ECMAScript and not defined in the expression.
    pub unknown: Option<UnknownName>,
    /// Calls that ask for a locale or a time zone.
    pub locale_calls: Vec<LocaleCall>,
}

/// A call that asks for a locale or a time zone, which the engine ignores.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LocaleCall {
    pub method: &'static str,
    /// The time zone that it asks for, if it is written as a text.
    pub time_zone: Option<String>,
}

/// Methods that take a locale, and the position of that argument.
const LOCALE_METHODS: &[(&str, usize)] = &[
    ("localeCompare", 1),
    ("toLocaleDateString", 0),
    ("toLocaleLowerCase", 0),
    ("toLocaleString", 0),
    ("toLocaleTimeString", 0),
    ("toLocaleUpperCase", 0),
];

/// An undefined name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct UnknownName {
    pub at: usize,
    pub name: String,
    /// Whether it is called as a function.
    pub called: bool,
}

/// Analyzes `source` as a JavaScript expression. Fails if the syntax is invalid or not allowed in a column.
pub(super) fn analyze(source: &str) -> Result<Script, ParseError> {
    if source.len() <= MAX_LEN_ON_THIS_STACK {
        return analyze_on_this_stack(source);
    }
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().stack_size(STACK_SIZE).spawn_scoped(scope, || analyze_on_this_stack(source));
        match thread.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(script)) => script,
            Ok(Err(_)) | Err(_) => Err(Diagnostic::at(0, message!("it is too large to be read"))
                .with_hint(message!("make it shorter"))
                .into()),
        }
    })
}

fn analyze_on_this_stack(source: &str) -> Result<Script, ParseError> {
    let allocator = Allocator::default();
    // First without parentheses around it, so that errors refer to the text as it was written.
    if let Err(errors) = Parser::new(&allocator, source, SourceType::script()).parse_expression() {
        return Err(errors
            .iter()
            .next()
            .map_or_else(|| not_one_expression(source, 0), |error| to_parse_error(error, source, 0)));
    }
    // Names can only be resolved in a program: the expression in parentheses. The line feed ends a trailing comment.
    let wrapped = format!("({source}\n)");
    let parsed = Parser::new(&allocator, &wrapped, SourceType::script()).parse();
    if let Some(error) = parsed.diagnostics.iter().next() {
        return Err(to_parse_error(error, source, 1));
    }
    let is_one_expression = match parsed.program.body.as_slice() {
        [Statement::ExpressionStatement(statement)] if parsed.program.directives.is_empty() => {
            matches!(&statement.expression, Node::ParenthesizedExpression(_))
        }
        _ => false,
    };
    if !is_one_expression {
        return Err(not_one_expression(source, 0));
    }
    let built = SemanticBuilder::new().with_check_syntax_error(true).with_build_nodes(true).build(&parsed.program);
    if let Some(error) = built.diagnostics.iter().next() {
        return Err(to_parse_error(error, source, 1));
    }
    let semantic = built.semantic;
    let nodes = semantic.nodes();
    let mut locale_calls: Vec<LocaleCall> = Vec::new();
    for node in nodes.iter() {
        check_allowed(node.kind(), node.id(), nodes)?;
        if let AstKind::CallExpression(call) = node.kind()
            && let Some(call) = locale_call(call)
            && !locale_calls.contains(&call)
        {
            locale_calls.push(call);
        }
    }
    let scoping = semantic.scoping();
    let mut needs = Vec::new();
    let mut unknown: Option<UnknownName> = None;
    for (name, references) in scoping.root_unresolved_references() {
        let name = name.as_str();
        for reference in references {
            let id = scoping.get_reference(*reference).node_id();
            let known = match name {
                "user" => {
                    let need = accessed_keys(id, nodes);
                    if !needs.contains(&need) {
                        needs.push(need);
                    }
                    true
                }
                "undefined" => true,
                "arguments" => nodes.ancestor_kinds(id).any(|kind| matches!(kind, AstKind::Function(_))),
                name => GLOBALS.contains(&name),
            };
            let at = offset_in_source(nodes.kind(id).span(), source, 1);
            if !known && unknown.as_ref().is_none_or(|earlier| at < earlier.at) {
                let called = matches!(nodes.parent_kind(id), AstKind::CallExpression(call) if call.callee.span() == nodes.kind(id).span());
                unknown = Some(UnknownName { at, name: name.to_owned(), called });
            }
        }
    }
    if needs.iter().any(Vec::is_empty) {
        needs = vec![Vec::new()];
    } else if !needs.is_empty() && source.contains("random") {
        // Random numbers are seeded with the row's values; `user_id` makes them differ between users.
        needs.push(vec![Key::new("user_id")]);
    }
    Ok(Script { path_end: 0, needs, unknown, locale_calls })
}

/// Refuses valid JavaScript that is not allowed in a column: imports, and assignments outside functions.
fn check_allowed(kind: AstKind<'_>, id: NodeId, nodes: &AstNodes<'_>) -> Result<(), ParseError> {
    // The parsed text has a parenthesis in front of the source.
    let span = || {
        let Span { start, end, .. } = kind.span();
        (start as usize).saturating_sub(1)..(end as usize).saturating_sub(1)
    };
    match kind {
        AstKind::ImportExpression(_) | AstKind::ImportMeta(_) => {
            Err(Diagnostic::in_span(span(), message!("nothing can be imported here"))
                .with_hint(message!("an expression has `user` and the language itself"))
                .into())
        }
        AstKind::AssignmentExpression(_) | AstKind::UpdateExpression(_) => {
            let inside = nodes.ancestor_kinds(id).any(|kind| {
                matches!(kind, AstKind::Function(_) | AstKind::ArrowFunctionExpression(_) | AstKind::Class(_))
            });
            if inside {
                return Ok(());
            }
            Err(Diagnostic::in_span(span(), message!("an expression may not assign"))
                .with_hint(message!("compare with `===`; a column's name follows the last `=`"))
                .into())
        }
        _ => Ok(()),
    }
}

/// Returns the call of a method with a locale; `None` for other calls, and for calls without that argument.
fn locale_call(call: &CallExpression<'_>) -> Option<LocaleCall> {
    let name = call.callee.without_parentheses().as_member_expression()?.static_property_name()?;
    let (method, position) = LOCALE_METHODS.iter().find(|(method, _)| *method == name)?;
    call.arguments.get(*position)?;
    let options = call.arguments.iter().filter_map(|argument| match argument {
        Argument::ObjectExpression(options) => Some(&options.properties),
        _ => None,
    });
    let time_zone = options.flatten().find_map(|property| match property {
        ObjectPropertyKind::ObjectProperty(property) if property.key.static_name().as_deref() == Some("timeZone") => {
            match &property.value {
                Node::StringLiteral(text) => Some(text.value.to_string()),
                _ => None,
            }
        }
        _ => None,
    });
    Some(LocaleCall { method, time_zone })
}

/// Returns the steps that are read from a reference to `user`.
fn accessed_keys(reference: NodeId, nodes: &AstNodes<'_>) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut id = reference;
    // Deeper values are passed whole: masks are traversed by recursion.
    while keys.len() < MAX_DEPTH {
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
            // A method reads the object it is called on, and an assignment changes the object.
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

/// Returns the offset of a span in `source`; the parsed text had `before` extra bytes in front.
fn offset_in_source(span: Span, source: &str, before: usize) -> usize {
    let at = (span.start as usize).saturating_sub(before).min(source.len());
    (0..=at).rev().find(|at| source.is_char_boundary(*at)).unwrap_or(0)
}

/// Converts an error of the parser; its texts are English.
fn to_parse_error(error: &oxc_diagnostics::OxcDiagnostic, source: &str, before: usize) -> ParseError {
    let at = error.labels.iter().next().map_or(0, oxc_span::LabeledSpan::offset);
    let at = offset_in_source(Span::new(at, at), source, before);
    let mut message = error.message.trim_end_matches('.').to_owned();
    // The message continues a sentence.
    if let Some(first) = message.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    let help = error.help.as_deref().map(|help| help.trim().trim_end_matches('.').to_owned());
    let diagnostic = Diagnostic::at(at, Message::verbatim(message));
    ParseError::Invalid(match help {
        Some(help) => diagnostic.with_hint(Message::verbatim(help)),
        None => diagnostic.with_expected(message!("expected one JavaScript expression over `user`")),
    })
}

fn not_one_expression(source: &str, at: usize) -> ParseError {
    Diagnostic::at(at.min(source.len()), message!("this is not one expression"))
        .with_expected(message!("expected one JavaScript expression over `user`"))
        .into()
}
