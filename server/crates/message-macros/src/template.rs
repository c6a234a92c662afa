//! Reads string literals and format templates.

/// A part of a template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Text; braces stay doubled.
    Text(String),
    /// A placeholder such as `{name}` or `{count:>3}`. `{}` is named by its position.
    Placeholder { name: String, spec: String },
}

/// Returns the value of a string literal, `"…"` or `r#"…"#`; `None` for other literals.
pub(crate) fn parse_literal(source: &str) -> Option<String> {
    if let Some(raw) = source.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let end = raw.len().checked_sub(hashes + 1)?;
        return raw.get(hashes + 1..end).map(str::to_owned);
    }
    let inner = source.strip_prefix('"')?.strip_suffix('"')?;
    let mut value = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            value.push(c);
            continue;
        }
        match rest.next()? {
            'n' => value.push('\n'),
            't' => value.push('\t'),
            'r' => value.push('\r'),
            '0' => value.push('\0'),
            'u' => {
                let code: String = rest.by_ref().skip(1).take_while(|c| *c != '}').collect();
                value.push(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32)?);
            }
            // A line continuation skips the white space at the start of the next line.
            '\n' => rest = rest.as_str().trim_start().chars(),
            other => value.push(other),
        }
    }
    Some(value)
}

/// Splits a template into its parts. Fails if a brace is not closed.
pub(crate) fn parse_template(text: &str) -> Result<Vec<Part>, String> {
    let (mut parts, mut plain, mut next) = (Vec::new(), String::new(), 0);
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        if from.starts_with("{{") || from.starts_with("}}") {
            plain.push_str(&from[..2]);
            rest = &from[2..];
            continue;
        }
        let (inner, after) = from[1..].split_once('}').ok_or("a brace is not closed")?;
        let (name, spec) = inner.split_once(':').unwrap_or((inner, ""));
        let name = if name.is_empty() {
            next += 1;
            (next - 1).to_string()
        } else {
            name.to_owned()
        };
        parts.push(Part::Text(std::mem::take(&mut plain)));
        parts.push(Part::Placeholder { name, spec: spec.to_owned() });
        rest = after;
    }
    plain.push_str(rest);
    parts.push(Part::Text(plain));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_unescaped() {
        assert_eq!(
            parse_literal(
                r#""a\n\"b\" \u{e4} \
            c""#
            )
            .as_deref(),
            Some("a\n\"b\" ä c")
        );
        assert_eq!(parse_literal(r##"r#"a "b" \n"#"##).as_deref(), Some(r#"a "b" \n"#));
        assert_eq!(parse_literal("12"), None);
    }

    #[test]
    fn placeholders_are_named() {
        let text = |text: &str| Part::Text(text.to_owned());
        let value = |name: &str, spec: &str| Part::Placeholder { name: name.to_owned(), spec: spec.to_owned() };
        let parts = parse_template("{} of {{x}} {name:?}.{}").unwrap();
        let expected =
            [text(""), value("0", ""), text(" of {{x}} "), value("name", "?"), text("."), value("1", ""), text("")];
        assert_eq!(parts, expected);
        assert!(parse_template("{a").is_err());
    }
}
