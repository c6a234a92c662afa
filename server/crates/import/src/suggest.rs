//! Suggests attributes for column names of other systems.

use uie_core::user;

/// Common names of other systems, as lower-case words, and the attribute that each means.
const SYNONYMS: &[(&str, &str)] = &[
    ("mail", "email"),
    ("e mail", "email"),
    ("e mail address", "email"),
    ("email address", "email"),
    ("mail address", "email"),
    ("primary email", "email"),
    ("work email", "email"),
    ("user email", "email"),
    ("verified", "email_verified"),
    ("email confirmed", "email_verified"),
    ("is email verified", "email_verified"),
    ("first name", "given_name"),
    ("firstname", "given_name"),
    ("forename", "given_name"),
    ("givenname", "given_name"),
    ("vorname", "given_name"),
    ("last name", "family_name"),
    ("lastname", "family_name"),
    ("surname", "family_name"),
    ("sn", "family_name"),
    ("familyname", "family_name"),
    ("nachname", "family_name"),
    ("full name", "name"),
    ("fullname", "name"),
    ("display name", "name"),
    ("displayname", "name"),
    ("common name", "name"),
    ("cn", "name"),
    ("nick", "nickname"),
    ("alias", "nickname"),
    ("user name", "username"),
    ("login", "username"),
    ("login name", "username"),
    ("samaccountname", "username"),
    ("uid", "user_id"),
    ("userid", "user_id"),
    ("id", "user_id"),
    ("user uuid", "user_id"),
    ("uuid", "user_id"),
    ("phone", "phone_number"),
    ("telephone", "phone_number"),
    ("telephone number", "phone_number"),
    ("phonenumber", "phone_number"),
    ("mobile", "phone_number"),
    ("mobile number", "phone_number"),
    ("mobile phone", "phone_number"),
    ("cell phone", "phone_number"),
    ("phone verified", "phone_verified"),
    ("avatar", "picture"),
    ("avatar url", "picture"),
    ("photo", "picture"),
    ("photo url", "picture"),
    ("image", "picture"),
    ("picture url", "picture"),
    ("disabled", "blocked"),
    ("suspended", "blocked"),
    ("locked", "blocked"),
    ("is blocked", "blocked"),
    ("passwordhash", "password_hash"),
    ("encrypted password", "password_hash"),
    ("bcrypt", "password_hash"),
];

/// Returns the name as lower-case words: `firstName`, `first-name` and `First_Name` all become `first name`.
fn to_words(name: &str) -> String {
    let mut words = String::with_capacity(name.len());
    let mut lower = false;
    for letter in name.trim().chars() {
        if !letter.is_alphanumeric() {
            if !words.is_empty() && !words.ends_with(' ') {
                words.push(' ');
            }
            lower = false;
            continue;
        }
        if letter.is_uppercase() && lower {
            words.push(' ');
        }
        lower = letter.is_lowercase() || letter.is_numeric();
        words.extend(letter.to_lowercase());
    }
    words.truncate(words.trim_end().len());
    words
}

/// Returns the importable attribute that a name most probably means; `None` if no attribute is similar.
pub(super) fn nearest_attribute(name: &str) -> Option<&'static str> {
    let words = to_words(name);
    let synonym = SYNONYMS.iter().find(|(known, _)| *known == words).map(|(_, attribute)| *attribute);
    synonym.or_else(|| user::nearest_importable(&words)).or_else(|| user::nearest_importable(name))
}

/// Returns the path that a column of this name may be mapped to: the most similar attribute, or else a key in
/// `user_metadata`.
pub(super) fn suggest_attribute(name: &str) -> String {
    if let Some(attribute) = nearest_attribute(name) {
        return attribute.to_owned();
    }
    let key: String = to_words(name).chars().map(|c| if c == ' ' { '_' } else { c }).take(40).collect();
    if key.is_empty() { "user_metadata.column".to_owned() } else { uie_records::member("user_metadata", &key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_suggest_the_attribute_they_mean() {
        for (name, attribute) in [
            ("E-Mail", "email"),
            ("Emial", "email"),
            ("e-mail address", "email"),
            ("firstName", "given_name"),
            ("First_Name", "given_name"),
            ("Last name", "family_name"),
            ("displayName", "name"),
            ("Given Name", "given_name"),
            ("UserName", "username"),
            ("emailVerified", "email_verified"),
            ("Mobile", "phone_number"),
            ("avatar_url", "picture"),
            ("passwordHash", "password_hash"),
        ] {
            assert_eq!(nearest_attribute(name), Some(attribute), "{name}");
        }
    }

    #[test]
    fn unknown_names_suggest_a_key_in_user_metadata() {
        assert_eq!(nearest_attribute("Shoe size"), None);
        assert_eq!(suggest_attribute("Shoe size"), "user_metadata.shoe_size");
        assert_eq!(suggest_attribute("Straße"), "user_metadata[\"straße\"]");
        assert_eq!(suggest_attribute("$"), "user_metadata.column");
    }
}
