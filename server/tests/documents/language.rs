//! No file uses a banned word (tests/language/README.md).

use std::collections::BTreeMap;
use std::fmt::Write;

use super::files::{TextFile, root, text_files};

const BANNED: &str = "tests/language/banned.txt";
const ALLOWED: &str = "tests/language/allowed.txt";

/// The style guide has to name the words it bans.
const EXEMPT: &[&str] = &["docs/STYLE.md"];

/// Files of these types hold data or prose in other languages.
const SKIPPED_EXTENSIONS: &[&str] = &["json", "yml"];

/// A word or a phrase, in lower case, and why it is banned.
struct Banned {
    words: Vec<String>,
    reason: String,
}

impl Banned {
    fn phrase(&self) -> String {
        self.words.join(" ")
    }
}

/// Occurrences of a phrase by (file, phrase): line numbers.
type Occurrences = BTreeMap<(String, String), Vec<usize>>;

/// Number of allowed occurrences by (file, phrase).
type Allowed = BTreeMap<(String, String), usize>;

#[test]
fn no_file_uses_more_banned_words_than_before() {
    let banned = parse_banned(&read(BANNED));
    let found = occurrences(&text_files(), &banned);
    let mut allowed = parse_allowed(&read(ALLOWED));
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        allowed = lowered(&allowed, &found);
        std::fs::write(root().join(ALLOWED), format_allowed(&allowed)).expect("the list can be written");
    }
    let problems = problems(&found, &allowed, &banned);
    assert!(problems.is_empty(), "{}\n\nSee tests/language/README.md.", problems.join("\n"));
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn parse_banned(text: &str) -> Vec<Banned> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (phrase, reason) = line.split_once(" | ").unwrap_or_else(|| panic!("{BANNED}: no reason: {line}"));
            Banned { words: words(phrase).map(|word| word.to_lowercase()).collect(), reason: reason.to_owned() }
        })
        .collect()
}

fn parse_allowed(text: &str) -> Allowed {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let mut fields = line.split('\t');
            let (Some(count), Some(phrase), Some(path), None) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                panic!("{ALLOWED}: not count, word, file: {line}");
            };
            let count = count.parse().ok().filter(|count| *count > 0);
            let count = count.unwrap_or_else(|| panic!("{ALLOWED}: no count: {line}"));
            ((path.to_owned(), phrase.to_owned()), count)
        })
        .collect()
}

fn format_allowed(allowed: &Allowed) -> String {
    let mut text = String::from("# count, word, file. Counts only go down: tests/language/README.md\n");
    for ((path, phrase), count) in allowed {
        writeln!(text, "{count}\t{phrase}\t{path}").expect("writing to a string");
    }
    text
}

/// Splits a line at everything that is not part of a word. A name of code, such as `is_none`, is one word, and so is
/// the value `None` in backticks.
fn words(line: &str) -> impl Iterator<Item = String> {
    let line = line.replace("`None`", "`Option_None`");
    let words = line.split(|character: char| !(character.is_alphanumeric() || "'_".contains(character)));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Counts how often a line has the words of `entry` beside each other. A single word also counts within a name of code.
fn count(line: &[String], entry: &Banned) -> usize {
    match entry.words.as_slice() {
        [word] => line.iter().flat_map(|name| name.split('_')).filter(|part| part == word).count(),
        words => line.windows(words.len()).filter(|window| *window == words).count(),
    }
}

fn occurrences(files: &[TextFile], banned: &[Banned]) -> Occurrences {
    let mut found = Occurrences::new();
    for file in files {
        if EXEMPT.contains(&file.path.as_str()) || SKIPPED_EXTENSIONS.contains(&file.extension()) {
            continue;
        }
        for (number, line) in file.text.lines().enumerate() {
            let line: Vec<String> = words(line).map(|word| word.to_lowercase()).collect();
            for entry in banned {
                let count = count(&line, entry);
                if count > 0 {
                    let lines = found.entry((file.path.clone(), entry.phrase())).or_default();
                    lines.extend(std::iter::repeat_n(number + 1, count));
                }
            }
        }
    }
    found
}

/// Returns the allowed occurrences, each count at most what was found; entries without occurrences are removed.
fn lowered(allowed: &Allowed, found: &Occurrences) -> Allowed {
    allowed.iter().filter_map(|(key, count)| Some((key.clone(), (*count).min(found.get(key)?.len())))).collect()
}

/// Describes every occurrence in a file that has more than allowed, and every count that is too high.
fn problems(found: &Occurrences, allowed: &Allowed, banned: &[Banned]) -> Vec<String> {
    let mut problems = Vec::new();
    for ((path, phrase), lines) in found {
        let limit = allowed.get(&(path.clone(), phrase.clone())).copied().unwrap_or_default();
        if lines.len() > limit {
            let reason = banned.iter().find(|entry| entry.phrase() == *phrase).map_or("", |entry| &entry.reason);
            problems
                .extend(lines.iter().map(|line| format!("{path}:{line}: \"{phrase}\": {reason} ({limit} allowed)")));
        }
    }
    for ((path, phrase), count) in allowed {
        let now = found.get(&(path.clone(), phrase.clone())).map_or(0, Vec::len);
        if now < *count {
            problems.push(format!(
                "{ALLOWED}: \"{phrase}\" occurs {now} times in {path}, not {count}. Run with UPDATE_DOCUMENTS=1"
            ));
        }
    }
    problems
}

fn sample(text: &str) -> (Occurrences, Vec<Banned>) {
    let banned = parse_banned("# comment\ngate | metaphor\nwas odd | unclear\n");
    let file = TextFile { path: "a.rs".into(), text: text.into() };
    (occurrences(&[file], &banned), banned)
}

fn allow(count: usize) -> Allowed {
    parse_allowed(&format!("{count}\tgate\ta.rs\n"))
}

#[test]
fn banned_words_are_whole_words_in_any_case() {
    let (found, banned) = sample("Gate gateway\nlet a_gate = x.was_odd(); // That was  ODD.\n");
    let problems = problems(&found, &Allowed::new(), &banned);
    assert_eq!(
        problems,
        [
            "a.rs:1: \"gate\": metaphor (0 allowed)",
            "a.rs:2: \"gate\": metaphor (0 allowed)",
            "a.rs:2: \"was odd\": unclear (0 allowed)"
        ]
    );
}

#[test]
fn a_count_must_match_and_is_only_lowered() {
    let (found, banned) = sample("gate\n");
    assert!(problems(&found, &allow(1), &banned).is_empty());
    assert_eq!(problems(&found, &allow(2), &banned).len(), 1);
    assert_eq!(lowered(&allow(2), &found), allow(1));
    assert!(lowered(&Allowed::new(), &found).is_empty());
    let (clean, _) = sample("entry\n");
    assert_eq!(problems(&clean, &allow(1), &banned).len(), 1);
    assert!(lowered(&allow(1), &clean).is_empty());
}
