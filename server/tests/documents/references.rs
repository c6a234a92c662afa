//! No text refers to a document outside the repository by a section number.

use super::files::text_files;

#[test]
fn no_reference_leads_out_of_the_repository() {
    let found: Vec<String> = text_files()
        .iter()
        .flat_map(|file| references(&file.text).into_iter().map(|(line, text)| format!("{}:{line}: {text}", file.path)))
        .collect();
    assert!(
        found.is_empty(),
        "{} references. Link to a page below docs/, such as docs/auth0/jobs.md#exports:\n{}",
        found.len(),
        found.join("\n")
    );
}

/// Returns references by section to "the design" or "the contract", with their lines. A version of the WIT package
/// (`contract 1.0.0`) is not a reference.
fn references(text: &str) -> Vec<(usize, String)> {
    // Comments wrap anywhere: a reference may continue behind the comment mark of the next line.
    let mut words: Vec<(usize, &str)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start().trim_start_matches(['/', '!', '#', '*', '-']);
        words.extend(line.split_whitespace().map(|word| (number + 1, word)));
    }
    words
        .windows(3)
        .filter(|window| is_reference(window[0].1, window[1].1, window[2].1))
        .map(|window| (window[0].0, format!("{} {} {}", window[0].1, window[1].1, window[2].1)))
        .collect()
}

fn is_reference(first: &str, second: &str, third: &str) -> bool {
    let name = first.trim_start_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let comma = name.ends_with(',');
    let name = name.trim_end_matches(',').trim_end_matches("'s");
    if name != "design" && name != "contract" {
        return false;
    }
    let next = second.trim_start_matches('(');
    if next.starts_with("section") || (next == "table" && third == "of") {
        return true;
    }
    let number = next.trim_end_matches(|c: char| !c.is_ascii_digit());
    let is_number =
        number.starts_with(|c: char| c.is_ascii_digit()) && number.chars().all(|c| c.is_ascii_digit() || c == '.');
    // Without a comma or a parenthesis, three numbers are a version and two are a section.
    is_number && (comma || second.starts_with('(') || number.matches('.').count() == 1)
}

#[test]
fn references_by_section_are_found() {
    for name in ["contract", "design"] {
        for text in [
            format!("/// What it says ({name}, 4.8)."),
            format!("//! A (RFC 1; {name},\n//! section 5)"),
            format!("-- ({name}, sections 4 and 5)"),
            format!("// {name}, table of section 6"),
            format!("the {name}'s section 12"),
            format!("(recorded, {name} 4.3)"),
            format!("the {name} (2.2)"),
        ] {
            assert_eq!(references(&format!("{text} x y")).len(), 1, "{text}");
        }
        for text in [format!("the {name} 1.0.0 is"), format!("by {name}, nothing happens"), format!("the {name} says")]
        {
            assert!(references(&text).is_empty(), "{text}");
        }
    }
}
