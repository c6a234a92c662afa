//! Splits columns of the command line: `EXPR=Name`.

use super::lexer::{Lexer, Token};

/// Splits `EXPR=Name` at the last `=` token outside strings, regular expressions, templates and brackets.
///
/// `==`, `=>`, `>=` and the like are other tokens. Returns both parts trimmed. Without a `=` token the whole text is
/// the expression, and there is no name. The name is free text and need not consist of tokens: `x=Owner's name`.
pub fn split_column(text: &str) -> (&str, Option<&str>) {
    let mut lexer = Lexer::new(text);
    let mut depth = 0_u32;
    let mut split = None;
    // An error ends the search: the invalid token is part of a name, or of an expression that the parser rejects.
    while let Ok(lexeme) = lexer.next() {
        match lexeme.token {
            Token::End => break,
            Token::Punctuator("(" | "[" | "{") => depth += 1,
            Token::Punctuator(")" | "]" | "}") => match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => break,
            },
            Token::Punctuator("=") if depth == 0 => split = Some(lexeme.start),
            _ => {}
        }
    }
    match split.and_then(|at| text.split_at_checked(at)) {
        Some((expression, name)) => (expression.trim(), Some(name.strip_prefix('=').unwrap_or(name).trim())),
        None => (text.trim(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_equals_sign_at_the_top_separates_the_name() {
        for (text, expression, name) in [
            ("user.app_metadata.name || user.name=Display", "user.app_metadata.name || user.name", Some("Display")),
            ("user.email=E-mail", "user.email", Some("E-mail")),
            ("user.name=First/Last", "user.name", Some("First/Last")),
            ("user.email", "user.email", None),
            ("user.a === user.b", "user.a === user.b", None),
            ("user.a == 'x'=Same", "user.a == 'x'", Some("Same")),
            ("user.n >= 5 ? 'a=b' : \"c=d\"=Size", "user.n >= 5 ? 'a=b' : \"c=d\"", Some("Size")),
            ("users.map(x => x.id)", "users.map(x => x.id)", None),
            ("(x => x.id)(user)=Id", "(x => x.id)(user)", Some("Id")),
            ("/a=b/.test(user.name)=Match", "/a=b/.test(user.name)", Some("Match")),
            ("user.a / 2 / 3=Part", "user.a / 2 / 3", Some("Part")),
            ("`a=${user.b['=']}`=T", "`a=${user.b['=']}`", Some("T")),
            ("f({a: 1, b: x = 2})=Call", "f({a: 1, b: x = 2})", Some("Call")),
            ("user.name=Owner's name", "user.name", Some("Owner's name")),
            ("user.name=Name (a=b)", "user.name", Some("Name (a=b)")),
            ("a=b=c", "a=b", Some("c")),
            ("user['=']=Equals", "user['=']", Some("Equals")),
            ("user.name = Full Name ", "user.name", Some("Full Name")),
            ("user.name=", "user.name", Some("")),
            ("=Name", "", Some("Name")),
            ("user.a !== 1", "user.a !== 1", None),
            ("user.a <= 1", "user.a <= 1", None),
            ("user.a /* = */ || user.b=N", "user.a /* = */ || user.b", Some("N")),
            ("lookup(user.p, {\"a=b\": \"c=d\"})=Plan", "lookup(user.p, {\"a=b\": \"c=d\"})", Some("Plan")),
            ("join([\"a=\", user.b], \"=\")=Both = two", "join([\"a=\", user.b], \"=\")=Both", Some("two")),
            ("lookup(p, {a: [{b: \"}=\"}]})", "lookup(p, {a: [{b: \"}=\"}]})", None),
        ] {
            assert_eq!(split_column(text), (expression, name), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_split(text in "\\PC*") {
            let (expression, name) = split_column(&text);
            prop_assert!(text.contains(expression));
            prop_assert!(name.is_none_or(|name| text.ends_with(name) || text.trim_end().ends_with(name)));
        }

        #[test]
        fn a_plain_name_comes_back(
            expression in prop::sample::select(vec![
                "user.email", "user['a=b']", "a || \"=\"", "a ?? b", "a === b", "f(x = 1)", "/=/.test(a)", "`=`", "a >= b",
                "lookup(a, {\"=\": \"=}\"})", "join([\"=]\", a], '=')",
            ]),
            name in "[\\p{L}0-9 ./()'-]{0,20}",
        ) {
            let text = format!("{expression}={name}");
            prop_assert_eq!(split_column(&text), (expression, Some(name.trim())));
        }
    }
}
