//! Compares our filters with Lucene: `tests/lucene/Search.java` indexes the same users and answers the same queries.
//! `tests/lucene/README.md` lists the accepted differences and their reasons.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::queries::{Pool, Random};
use crate::{Rows, filter, users};

const CASE_INSENSITIVE: [&str; 6] = ["email", "name", "given_name", "family_name", "nickname", "email.domain"];
const DATES: [&str; 3] = ["created_at", "updated_at", "last_login"];

/// Returns the class path of Lucene's libraries.
///
/// `None`, with a message, if they or Java are missing; panics instead if `LUCENE=required`.
fn class_path() -> Option<String> {
    let directory = PathBuf::from("/usr/share/java");
    let jar = |name: &str| {
        let mut found: Vec<PathBuf> = std::fs::read_dir(&directory)
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "jar"))
            .filter(|path| {
                let version = path.file_name().and_then(|file| file.to_str()?.strip_prefix(name));
                version.is_some_and(|version| version.starts_with("-8."))
            })
            .collect();
        found.sort();
        found.pop()
    };
    let java = Command::new("java").arg("-version").stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    let jars: Option<Vec<PathBuf>> = ["lucene-core", "lucene-queryparser", "lucene-queries", "lucene-analyzers-common"]
        .into_iter()
        .map(jar)
        .collect();
    if let (true, Some(jars)) = (java, jars) {
        return Some(jars.iter().map(|jar| jar.display().to_string()).collect::<Vec<_>>().join(":"));
    }
    let required = std::env::var("LUCENE").is_ok_and(|value| value == "required");
    assert!(!required, "LUCENE=required, but java (11 or later) or Lucene's libraries are not installed");
    // Written directly to standard error: the test runner hides the output of passing tests.
    let message = "\n*** SKIPPED: the comparison with Lucene needs Java and Lucene 8 (Debian: apt install default-jdk-headless liblucene8-java).\n";
    let _ = std::io::stderr().write_all(message.as_bytes());
    None
}

/// Writes the values of a user as index fields, one per line.
fn write_fields(value: &Value, path: &str, input: &mut String, exists: &mut BTreeSet<String>) {
    let mut line = |kind: &str, text: &str| {
        writeln!(input, "{kind}\t{}\t{}", STANDARD.encode(path), STANDARD.encode(text)).expect("text can be written");
    };
    match value {
        Value::Null => return,
        Value::Bool(value) => line("boolean", &value.to_string()),
        Value::Number(number) => line("number", &number.as_f64().expect("a number").to_string()),
        Value::String(text) => {
            line("text", text);
            if DATES.contains(&path) {
                let at: jiff::Timestamp = text.parse().expect("a date");
                line("time", &at.as_millisecond().to_string());
            }
            if let ("email", Some((_, domain))) = (path, text.rsplit_once('@')) {
                write_fields(&Value::from(domain), "email.domain", input, exists);
            }
        }
        Value::Array(items) => {
            for item in items {
                write_fields(item, path, input, exists);
            }
            return;
        }
        Value::Object(members) => {
            for (name, value) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                write_fields(value, &path, input, exists);
            }
            return;
        }
    }
    for (end, _) in path.match_indices('.') {
        exists.insert(path[..end].to_owned());
    }
    exists.insert(path.to_owned());
}

/// Returns Lucene's matches for each of the queries, given as parser name and query.
fn search_with_lucene(
    class_path: &str,
    users: &[Value],
    queries: &[(&str, String)],
) -> Vec<Result<Vec<usize>, String>> {
    let mut input = String::new();
    for field in CASE_INSENSITIVE {
        writeln!(input, "caseless\t{}", STANDARD.encode(field)).expect("text can be written");
    }
    for field in DATES {
        writeln!(input, "date\t{}", STANDARD.encode(field)).expect("text can be written");
    }
    for user in users {
        let mut exists = BTreeSet::new();
        input.push_str("user\n");
        write_fields(user, "", &mut input, &mut exists);
        for field in exists {
            writeln!(input, "exists\t{}", STANDARD.encode(field)).expect("text can be written");
        }
    }
    for (parser, query) in queries {
        writeln!(input, "{parser}\t{}", STANDARD.encode(query)).expect("text can be written");
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lucene/Search.java");
    let mut java = Command::new("java")
        .args(["-Xshare:auto", "-cp", class_path])
        .arg(source)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("java starts");
    let mut stdin = java.stdin.take().expect("its input");
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = java.wait_with_output().expect("java ends");
    writer.join().expect("the writer ends").expect("java reads all");
    assert!(output.status.success(), "java failed");
    let answers: Vec<_> = String::from_utf8(output.stdout)
        .expect("UTF-8")
        .lines()
        .map(|line| match line.strip_prefix("error ") {
            Some(message) => Err(message.to_owned()),
            None => Ok(line.split_whitespace().map(|number| number.parse().expect("a number")).collect()),
        })
        .collect();
    assert_eq!(answers.len(), queries.len());
    answers
}

#[test]
fn lucene_matches_the_same_users() {
    let Some(class_path) = class_path() else { return };
    let users = users(100);
    let rows = Rows::new(&users);
    let whole = rows.whole();
    let pool = Pool::new(&users);
    let mut random = Random(3);
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for _ in 0..1500 {
        let depth = random.below(4);
        let tree = pool.tree(&mut random, depth);
        ours.push(tree.text(None));
        theirs.push(("classic", tree.text(Some("*:*"))));
    }
    for _ in 0..300 {
        let text = mixed_query(&pool, &mut random);
        ours.push(text.clone());
        theirs.push(("precedence", text));
    }
    let answers = search_with_lucene(&class_path, &users, &theirs);
    let mut with_matches = 0;
    for ((text, answer), (parser, sent)) in ours.iter().zip(&answers).zip(&theirs) {
        let expected = answer.as_ref().unwrap_or_else(|error| panic!("{parser}: {sent}\n{error}"));
        let filter = filter(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        assert_eq!(&rows.matching(&filter, &whole), expected, "{text}\nsent to {parser} as {sent}");
        with_matches += usize::from(!expected.is_empty());
    }
    assert!(with_matches > ours.len() / 3, "only {with_matches} queries matched a user");
}

/// Generates a query that mixes AND and OR without parentheses, and NOT after AND.
fn mixed_query(pool: &Pool, random: &mut Random) -> String {
    let mut text = text_term(pool, random);
    for _ in 0..=random.below(4) {
        text.push_str([" AND ", " OR ", " AND NOT "][random.below(3)]);
        text.push_str(&text_term(pool, random));
    }
    text
}

/// Generates a term of text without wildcards: the precedence parser does not support numbers and dates.
fn text_term(pool: &Pool, random: &mut Random) -> String {
    loop {
        let term = pool.term(random);
        if term.starts_with("_exists_") {
            return term;
        }
        let Some((name, value)) = term.split_once(":\"") else { continue };
        let typed = DATES.contains(&name.replace('\\', "").as_str())
            || value.strip_suffix('"').is_some_and(|value| value.parse::<f64>().is_ok());
        if !typed && value.ends_with('"') {
            return term;
        }
    }
}

/// Checks the list in `tests/lucene/README.md`: what both refuse, both accept, and only Lucene accepts.
#[test]
fn the_list_of_differences_is_complete() {
    let Some(class_path) = class_path() else { return };
    let accepted_by_lucene_only = [
        "name:ada~",
        "name:ada^2",
        "name:/ada/",
        "ada",
        "name:a NOT name:b OR name:c",
        "created_at:2017*",
        "name.raw:x",
        "name:a !name:b AND name:c",
    ];
    let refused_by_both = [
        "",
        "name:",
        "(name:a",
        "name:a)",
        "name:a AND",
        "OR name:a",
        "name:a OR OR name:b",
        "NOT NOT name:a",
        "name:\"a",
        "name:a\\",
        "name:\\u00g0",
        "name:a:b",
        "logins_count:-5",
        "name:wow!",
        "name:[a TO b",
        "name:[a b]",
        "name:()",
        "a:1||b:2",
    ];
    let accepted_by_both = [
        "name : a",
        "name: a",
        "-name:a",
        "!name:a",
        "name:a - name:b",
        "name:a|b",
        "name:a&b",
        "name:a-b",
        "name:a+b",
        "name:AND-b",
        "name:ANDROID",
        "name:TO",
        "name:=a",
        "name:a,b",
        "name:@a",
        "name:\\\u{e9}",
        "name:a\u{3000}name:b",
        "(name:a)AND(name:b)",
        "name:\"a\"AND name:b",
        "name:(a)name:b",
        "name:\\u0041",
    ];
    let users = users(5);
    let queries = |texts: &[&'static str]| texts.iter().map(|text| ("classic", (*text).to_owned())).collect::<Vec<_>>();
    let lucene = |texts: &[&'static str]| search_with_lucene(&class_path, &users, &queries(texts));
    for (text, answer) in refused_by_both.iter().zip(lucene(&refused_by_both)) {
        assert!(filter(text).is_err(), "{text} was accepted here");
        assert!(answer.is_err(), "{text} was accepted by Lucene");
    }
    for (text, answer) in accepted_by_both.iter().zip(lucene(&accepted_by_both)) {
        filter(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        answer.unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    for (text, answer) in accepted_by_lucene_only.iter().zip(lucene(&accepted_by_lucene_only)) {
        assert!(filter(text).is_err(), "{text} was accepted here");
        answer.unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}
