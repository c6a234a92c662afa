//! Proposes a rule of the mapping for each column that is not an attribute, ready to be pasted into a command.

use super::bcrypt::is_import_bcrypt;
use super::redact;
use super::shell::quoted;
use super::suggest;
use uie_core::message::{Message, message};
use uie_records::member;

/// Maximum number of rules that a hint shows.
const SHOWN: usize = 500;

/// A column whose name is not an attribute.
pub(super) struct UnknownColumn<'a> {
    pub(super) name: &'a str,
    /// Values of the first rows that are not empty.
    pub(super) samples: Vec<&'a str>,
}

/// What is proposed for a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    /// An expression, or `null` to leave the column out.
    pub(super) expression: String,
    /// The attribute; `None` if the column is left out.
    pub(super) attribute: Option<String>,
    /// The name of the column.
    name: String,
}

impl Proposal {
    /// Returns the rule as it is written after `--map`.
    fn rule(&self) -> String {
        format!("{}={}", self.expression, self.attribute.as_deref().unwrap_or(&self.name))
    }
}

/// Proposes a rule for each column, in the same order. `taken` are the attributes that the file has already. No two
/// proposals have the same attribute. A column that holds secrets is never proposed for metadata.
pub(super) fn propose(columns: &[UnknownColumn<'_>], mut taken: Vec<String>) -> Vec<Proposal> {
    let is_free = |attribute: &str, taken: &mut Vec<String>| {
        let is_free = !taken.iter().any(|other| {
            let (short, long) =
                if other.len() < attribute.len() { (other.as_str(), attribute) } else { (attribute, other.as_str()) };
            long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        });
        if is_free {
            taken.push(attribute.to_owned());
        }
        is_free
    };
    let mut proposals: Vec<Option<Proposal>> = Vec::with_capacity(columns.len());
    // Attributes first, so that no key of metadata is in their way.
    for UnknownColumn { name, samples } in columns {
        let path = member("user", name);
        let proposal = |expression: String, attribute: &str| Proposal {
            expression,
            attribute: Some(attribute.to_owned()),
            name: (*name).to_owned(),
        };
        let left_out = || Proposal { expression: "null".to_owned(), attribute: None, name: (*name).to_owned() };
        proposals.push(if redact::is_secret(name) {
            let name = name.to_lowercase();
            let holds_hashes = !["token", "secret", "salt", "key"].iter().any(|word| name.contains(word));
            let hash = hash_rule(&path, samples).filter(|_| {
                // A user has one hash.
                holds_hashes && is_free("password_hash", &mut taken) && is_free("custom_password_hash", &mut taken)
            });
            Some(hash.map_or_else(left_out, |(expression, attribute)| proposal(expression, attribute)))
        } else {
            suggest::meaning(name)
                .filter(|(attribute, _)| *attribute != "password_hash" && is_free(attribute, &mut taken))
                .map(|(attribute, form)| proposal(form.expression(&path), attribute))
        });
    }
    let metadata = columns.iter().zip(proposals).map(|(UnknownColumn { name, .. }, proposal)| {
        proposal.unwrap_or_else(|| {
            let key = suggest::metadata_key(name);
            // At most one key for each other attribute is taken.
            let attribute = (1..=taken.len() + 1)
                .map(|number| if number == 1 { key.clone() } else { format!("{key}_{number}") })
                .map(|key| member(suggest::metadata_root(name), &key))
                .find(|attribute| is_free(attribute, &mut taken));
            Proposal { expression: member("user", name), attribute, name: (*name).to_owned() }
        })
    });
    metadata.collect()
}

/// Returns the expression and the attribute for a column of password hashes; `None` if its values are not hashes that
/// can be imported.
fn hash_rule(path: &str, samples: &[&str]) -> Option<(String, &'static str)> {
    let all = |accept: &dyn Fn(&str) -> bool| !samples.is_empty() && samples.iter().all(|value| accept(value));
    let custom = |algorithm: &str| {
        let object = format!("{{algorithm: \"{algorithm}\", hash: {{value: hash}}}}");
        Some((format!("(hash => hash && ({object}))({path})"), "custom_password_hash"))
    };
    let call = |transform: &str| Some((format!("{transform}({path})"), "custom_password_hash"));
    if all(&is_import_bcrypt) {
        return Some((path.to_owned(), "password_hash"));
    }
    if all(&is_bcrypt) {
        return custom("bcrypt");
    }
    if all(&|value| value.starts_with("$argon2")) {
        return custom("argon2");
    }
    if all(&|value| value.starts_with("$pbkdf2-")) {
        return custom("pbkdf2");
    }
    if all(&|value| {
        ["pbkdf2_", "bcrypt$", "bcrypt_sha256$", "argon2$argon2", "scrypt$", "!"]
            .iter()
            .any(|start| value.starts_with(start))
    }) {
        return call("django_hash");
    }
    if all(&|value| value.starts_with('{') && value.split_once('}').is_some_and(|(scheme, _)| scheme.len() < 20)) {
        return call("ldap_hash");
    }
    // ASP.NET Core Identity: Base64 of the version, 0 or 1, and more than 40 bytes.
    if all(&|value| {
        value.len() > 60
            && value.starts_with('A')
            && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
    }) {
        return call("aspnet_hash");
    }
    None
}

/// Returns whether a text is a bcrypt hash with any number of rounds.
fn is_bcrypt(text: &str) -> bool {
    let Some(rest) = ["$2a$", "$2b$", "$2x$", "$2y$"].iter().find_map(|start| text.strip_prefix(start)) else {
        return false;
    };
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    rest.split_once('$').is_some_and(|(rounds, hash)| {
        rounds.len() == 2
            && rounds.bytes().all(|byte| byte.is_ascii_digit())
            && hash.len() == 53
            && hash.bytes().all(is_letter)
    })
}

/// Returns the rules as lines of a command.
pub(super) fn lines(proposals: &[Proposal]) -> String {
    let shown = proposals.iter().take(SHOWN);
    let lines: Vec<String> = shown.map(|proposal| format!("  --map {}", quoted(&proposal.rule()))).collect();
    lines.join(" \\\n")
}

/// Returns the hint with all proposals.
pub(super) fn hint(proposals: &[Proposal]) -> Message {
    let lines = lines(proposals);
    if let Some(more @ 1..) = proposals.len().checked_sub(SHOWN) {
        return message!(
            "Rename a column to the attribute it holds, or map the columns (null leaves one out; {more} more are not \
             shown):\n{lines}\nTo leave all of them out, use --drop-unknown instead."
        );
    }
    message!(
        "Rename a column to the attribute it holds, or map the columns (null leaves one out):\n{lines}\n\
         To leave all of them out, use --drop-unknown instead."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(columns: &[(&str, &[&str])], taken: &[&str]) -> Vec<String> {
        let columns: Vec<UnknownColumn<'_>> =
            columns.iter().map(|(name, samples)| UnknownColumn { name, samples: samples.to_vec() }).collect();
        let taken = taken.iter().map(|&name| name.to_owned()).collect();
        propose(&columns, taken).iter().map(Proposal::rule).collect()
    }

    #[test]
    fn every_column_has_a_proposal_and_no_attribute_has_two() {
        let found = rules(
            &[
                ("cognito:username", &[]),
                ("Mail", &[]),
                ("E-Mail", &[]),
                ("Shoe size", &[]),
                ("shoe_size", &[]),
                ("Anna's", &[]),
            ],
            &["name"],
        );
        assert_eq!(
            found,
            [
                "user[\"cognito:username\"]=username",
                "user.Mail=email",
                "user[\"E-Mail\"]=user_metadata.e_mail",
                "user[\"Shoe size\"]=user_metadata.shoe_size",
                "user.shoe_size=user_metadata.shoe_size_2",
                "user[\"Anna's\"]=user_metadata.anna_s",
            ]
        );
    }

    #[test]
    fn secrets_are_proposed_for_attributes_of_hashes_that_take_their_values_or_left_out() {
        let bcrypt = "$2a$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K";
        let other_rounds = bcrypt.replace("$10$", "$12$");
        let aspnet = format!("AQAAAAEAACcQAAAAE{}==", "B".repeat(63));
        for (name, value, rule) in [
            ("encrypted_password", bcrypt, "user.encrypted_password=password_hash"),
            (
                "encrypted_password",
                &other_rounds,
                "(hash => hash && ({algorithm: \"bcrypt\", hash: {value: hash}}))(user.encrypted_password)=custom_password_hash",
            ),
            ("PasswordHash", &aspnet, "aspnet_hash(user.PasswordHash)=custom_password_hash"),
            ("password", "pbkdf2_sha256$36000$salt$aGFzaA==", "django_hash(user.password)=custom_password_hash"),
            ("userPassword", "{SSHA}aGFzaGhhc2hzYWx0", "ldap_hash(user.userPassword)=custom_password_hash"),
            ("password", "correct horse", "null=password"),
            ("PasswordHash", "5f4dcc3b5aa765d61d8327deb882cf99", "null=PasswordHash"),
            ("reset_token", bcrypt, "null=reset_token"),
            ("api_secret", "x", "null=api_secret"),
        ] {
            assert_eq!(rules(&[(name, &[value])], &[]), [rule]);
        }
        assert_eq!(rules(&[("password", &[])], &[]), ["null=password"], "without values nothing is known");
        assert_eq!(rules(&[("password", &[bcrypt])], &["password_hash"]), ["null=password"]);
    }

    #[test]
    fn the_hint_has_all_rules_as_arguments_of_a_command() {
        let columns: Vec<UnknownColumn<'_>> = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "Anna's"]
            .into_iter()
            .map(|name| UnknownColumn { name, samples: Vec::new() })
            .collect();
        let text = hint(&propose(&columns, Vec::new())).to_string();
        assert_eq!(text.matches("  --map '").count(), 12);
        assert!(text.contains("  --map 'user.k=user_metadata.k' \\\n"), "{text}");
        assert!(text.contains("'user[\"Anna'\\''s\"]=user_metadata.anna_s'\n"), "{text}");
        assert!(text.contains("--drop-unknown"));
    }
}
