//! Compares our filters with the search of the simulated tenant: queries that both accept must match the same users.

use crate::queries::{Pool, Random};
use crate::{Rows, filter, users};

const QUERIES: usize = 1000;

#[test]
fn queries_that_both_accept_match_the_same_users() {
    let users = users(100);
    let rows = Rows::new(&users);
    let whole = rows.whole();
    let pool = Pool::new(&users);
    let mut random = Random(1);
    let (mut compared, mut with_matches) = (0, 0);
    for _ in 0..QUERIES {
        let depth = random.below(4);
        let text = pool.tree(&mut random, depth).text(None);
        let ours = filter(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        // Ranges and wildcards on metadata, `?` and short suffixes are only accepted by our filter.
        let Ok(theirs) = simulated_tenant::search::Query::parse(&text) else { continue };
        let expected: Vec<usize> =
            users.iter().enumerate().filter(|(_, user)| theirs.matches(user)).map(|(at, _)| at).collect();
        assert_eq!(rows.matching(&ours, &whole), expected, "{text}");
        compared += 1;
        with_matches += usize::from(!expected.is_empty());
    }
    assert!(compared > QUERIES / 3, "only {compared} queries were accepted by both");
    assert!(with_matches > compared / 3, "only {with_matches} queries matched a user");
}

/// AND and OR mixed without parentheses.
#[test]
fn operators_have_the_same_precedence() {
    let users = users(60);
    let rows = Rows::new(&users);
    let whole = rows.whole();
    let pool = Pool::new(&users);
    let mut random = Random(2);
    let mut compared = 0;
    for _ in 0..600 {
        let count = 2 + random.below(4);
        let mut text = String::new();
        for at in 0..count {
            if at > 0 {
                text.push_str([" AND ", " OR ", " ", " && ", " || "][random.below(5)]);
            }
            // NOT directly after a term is not generated: its meaning can be ambiguous.
            let beside = !text.is_empty()
                && !text.ends_with("AND ")
                && !text.ends_with("OR ")
                && !text.ends_with("& ")
                && !text.ends_with("| ");
            if !beside && random.below(3) == 0 {
                text.push_str(["NOT ", "-", "!"][random.below(3)]);
            }
            text.push_str(&pool.term(&mut random));
        }
        let (Ok(ours), Ok(theirs)) = (filter(&text), simulated_tenant::search::Query::parse(&text)) else { continue };
        let expected: Vec<usize> =
            users.iter().enumerate().filter(|(_, user)| theirs.matches(user)).map(|(at, _)| at).collect();
        assert_eq!(rows.matching(&ours, &whole), expected, "{text}");
        compared += 1;
    }
    assert!(compared > 100, "only {compared} queries were accepted by both");
}
