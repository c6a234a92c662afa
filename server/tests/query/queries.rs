//! Generates queries from the values of users, so that many of them match.

use std::fmt::Write as _;

use serde_json::Value;

const DATES: &[&str] = &["created_at", "updated_at", "last_login"];

/// `SplitMix64`: the same queries in every run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end.max(1) as u64).unwrap_or(0)
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// The syntax tree of a generated query, which can be written for different parsers.
pub enum Tree {
    Term(String),
    And(Vec<Tree>),
    Or(Vec<Tree>),
    /// Terms side by side: required (`+`), optional (no prefix), prohibited (NOT or `-`).
    Side(Vec<Tree>, Vec<Tree>, Vec<Tree>),
    Not(Box<Tree>),
}

impl Tree {
    /// Returns the query as text.
    ///
    /// `all` is for parsers in which NOT is not a term of its own: a negated term next to OR is written after this
    /// query, which matches all users.
    pub fn text(&self, all: Option<&str>) -> String {
        let list = |trees: &[Self], operator: &str| {
            trees
                .iter()
                .map(|tree| match (tree, all) {
                    (Self::Not(inner), Some(all)) if operator == " OR " => {
                        format!("({all} -{})", inner.nested_text(Some(all)))
                    }
                    _ => tree.nested_text(all),
                })
                .collect::<Vec<_>>()
                .join(operator)
        };
        match self {
            Self::Term(text) => text.clone(),
            Self::And(trees) => list(trees, " AND "),
            Self::Or(trees) => list(trees, " OR "),
            Self::Not(tree) => format!("NOT {}", tree.nested_text(all)),
            Self::Side(must, should, not) => {
                let mut parts: Vec<String> = must.iter().map(|tree| format!("+{}", tree.nested_text(all))).collect();
                parts.extend(should.iter().map(|tree| tree.nested_text(all)));
                for (at, tree) in not.iter().enumerate() {
                    parts.push(format!("{}{}", if at % 2 == 0 { "-" } else { "NOT " }, tree.nested_text(all)));
                }
                parts.join(" ")
            }
        }
    }

    fn nested_text(&self, all: Option<&str>) -> String {
        match self {
            Self::Term(text) => text.clone(),
            Self::Not(_) => self.text(all),
            _ => format!("({})", self.text(all)),
        }
    }
}

/// The values of users, each with its path.
pub struct Pool {
    values: Vec<(Vec<String>, Value)>,
}

impl Pool {
    pub fn new(users: &[Value]) -> Self {
        let mut values = Vec::new();
        for user in users {
            leaves(user, &mut Vec::new(), &mut values);
        }
        values.retain(|(path, value)| {
            // Omits attributes that Auth0 does not index or that are not part of an export.
            let root = path[0].as_str();
            !matches!(root, "picture" | "last_password_reset" | "multifactor" | "multifactor_last_modified")
                && !path.iter().any(|name| matches!(name.as_str(), "access_token" | "expires_in"))
                && value.as_str().is_none_or(|text| text.len() < 60)
        });
        Self { values }
    }

    pub fn tree(&self, random: &mut Random, depth: usize) -> Tree {
        let some = |random: &mut Random, least: usize| -> Vec<Tree> {
            let count = least + random.below(3);
            (0..count).map(|_| self.tree(random, depth.saturating_sub(1))).collect()
        };
        match random.below(if depth == 0 { 1 } else { 6 }) {
            0 => Tree::Term(self.term(random)),
            1 => Tree::And(some(random, 2)),
            2 | 3 => Tree::Or(some(random, 2)),
            4 => {
                let must = if random.below(3) == 0 { some(random, 1) } else { Vec::new() };
                let plain = |random: &mut Random, least| {
                    let mut trees = some(random, least);
                    // Negated terms are generated separately below.
                    for tree in &mut trees {
                        if matches!(tree, Tree::Not(_)) {
                            *tree = Tree::Term(self.term(random));
                        }
                    }
                    trees
                };
                let must: Vec<Tree> = must.into_iter().filter(|tree| !matches!(tree, Tree::Not(_))).collect();
                let should = plain(random, 1);
                let not = plain(random, 0);
                Tree::Side(must, should, not)
            }
            _ => match self.tree(random, depth - 1) {
                Tree::Not(tree) => *tree,
                tree => Tree::Not(Box::new(tree)),
            },
        }
    }

    /// A term of one field.
    pub fn term(&self, random: &mut Random) -> String {
        let (path, value) = &self.values[random.below(self.values.len())];
        let name = field(path);
        if random.below(8) == 0 {
            return format!("_exists_:{}", field(&path[..=random.below(path.len())]));
        }
        match value {
            Value::String(text) if path.len() == 1 && DATES.contains(&path[0].as_str()) => {
                self.date(random, &name, text)
            }
            Value::String(text) if path[0] == "email" && random.below(4) == 0 => {
                format!("email.domain:\"{}\"", text.rsplit('@').next().unwrap_or_default())
            }
            Value::String(text) => self.text(random, &name, path, text),
            Value::Bool(value) => format!("{name}:{}", if random.below(4) == 0 { !value } else { *value }),
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                match random.below(3) {
                    0 if number >= 0.0 => format!("{name}:{number}"),
                    0 | 1 => format!("{name}:\"{number}\""),
                    _ => {
                        let low = if random.below(4) == 0 { "*".to_owned() } else { (number - 20.0).to_string() };
                        let high =
                            if random.below(4) == 0 { "*".to_owned() } else { (number + 0.5).floor().to_string() };
                        range(random, &name, &low, &high)
                    }
                }
            }
            _ => format!("_exists_:{name}"),
        }
    }

    fn date(&self, random: &mut Random, name: &str, text: &str) -> String {
        let cut = |random: &mut Random, text: &str| {
            let end = [4, 7, 10, 13, 16, 19, 23, 24][random.below(8)].min(text.len());
            text[..end].to_owned()
        };
        let low = cut(random, text);
        match random.below(4) {
            0 => format!("{name}:\"{low}\""),
            1 => range(random, name, "*", &low),
            2 => range(random, name, &low, "*"),
            _ => {
                let other = self.values.iter().rev().find_map(|(path, value)| {
                    (path.len() == 1 && DATES.contains(&path[0].as_str())).then(|| value.as_str()).flatten()
                });
                let high = cut(random, other.unwrap_or(text));
                range(random, name, &low, &high)
            }
        }
    }

    fn text(&self, random: &mut Random, name: &str, path: &[String], text: &str) -> String {
        let chars: Vec<char> = text.chars().collect();
        let part = |from: usize, to: usize| escape(&chars[from..to].iter().collect::<String>());
        let at = random.below(chars.len());
        match random.below(10) {
            0 | 1 => format!("{name}:{}", quote(text)),
            2 if !text.is_empty() => format!("{name}:{}", escape(text)),
            3 => format!("{name}:{}", quote(&swap_case(text))),
            4 if !text.is_empty() => format!("{name}:{}*", part(0, at + 1)),
            5 if !text.is_empty() => format!("{name}:*{}", part(at, chars.len())),
            6 if !text.is_empty() => {
                let end = (at + 3).min(chars.len());
                format!("{name}:*{}*", swap_case(&part(at, end)))
            }
            7 if chars.len() > 1 => format!("{name}:{}?{}", part(0, at), part(at + 1, chars.len())),
            8 if path[0] != "last_ip" && !is_date_like(text) => {
                let low = if random.below(4) == 0 {
                    "*".to_owned()
                } else {
                    quote(&text[..chars[0..at].iter().map(|c| c.len_utf8()).sum()])
                };
                let high = if random.below(3) == 0 { "*".to_owned() } else { quote(&format!("{text}a")) };
                range(random, name, &low, &high)
            }
            _ => {
                let others: Vec<&str> = self
                    .values
                    .iter()
                    .filter(|(other, _)| other == path)
                    .filter_map(|(_, value)| value.as_str())
                    .collect();
                let mut group = quote(text);
                for _ in 0..=random.below(2) {
                    let operator = random.pick(&[" OR ", " ", " AND NOT ", " -"]);
                    let other = others[random.below(others.len())];
                    // Does not mix operators within a group.
                    if group.contains(" AND ")
                        || group.contains(" OR ")
                        || group.contains("\" -")
                        || group.contains("\" \"")
                    {
                        break;
                    }
                    write!(group, "{operator}{}", quote(other)).expect("text can be written");
                }
                format!("{name}:({group})")
            }
        }
    }
}

fn leaves(value: &Value, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, Value)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| leaves(item, path, found)),
        Value::Object(members) => {
            for (name, value) in members {
                path.push(name.clone());
                leaves(value, path, found);
                path.pop();
            }
        }
        leaf if !path.is_empty() => found.push((path.clone(), leaf.clone())),
        _ => {}
    }
}

/// Returns whether a text looks like a date, which we compare as a date and others as text.
fn is_date_like(text: &str) -> bool {
    text.len() >= 4 && text.bytes().take(4).all(|byte| byte.is_ascii_digit())
}

fn field(path: &[String]) -> String {
    path.iter().map(|name| escape(name)).collect::<Vec<_>>().join(".")
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if !c.is_alphanumeric() && c != '_' {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    // A word that would be an operator.
    if matches!(text, "AND" | "OR" | "NOT") { format!("\\{text}") } else { escaped }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Swaps upper and lower case.
fn swap_case(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect()
}

fn range(random: &mut Random, name: &str, low: &str, high: &str) -> String {
    let (open, close) = (random.pick(&["[", "{"]), random.pick(&["]", "}"]));
    format!("{name}:{open}{low} TO {high}{close}")
}
