//! Finds the name that the user probably meant.

/// Returns the candidate that is most similar to a name, in any case; `None` if none is similar enough to be a typo.
pub fn nearest_name<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let wanted = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase()), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().div_ceil(4))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_have_a_nearest_name_and_other_words_none() {
        let names = ["connection", "provider", "sha256"];
        assert_eq!(nearest_name("conection", names), Some("connection"));
        assert_eq!(nearest_name("SHA257", names), Some("sha256"));
        assert_eq!(nearest_name("plan", names), None);
    }
}
