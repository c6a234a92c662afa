//! The attributes of the columns of a CSV file that is exported.

use uie_core::user::{self, Kind};
use uie_records::{Step, Target, parse_path};

/// Returns the attribute of each column by its name in the header, and its type; `None` for a column without a name.
///
/// A name is a path, with or without `user.` before it, or the title of a default column. A column with another name
/// becomes a text attribute of that name.
pub(super) fn assign_columns(header: &[String]) -> Vec<Option<(Vec<Step>, Target)>> {
    header.iter().map(|name| assign_column(name)).collect()
}

fn assign_column(name: &str) -> Option<(Vec<Step>, Target)> {
    let name = name.trim();
    let name = name.strip_prefix('\'').unwrap_or(name);
    if name.is_empty() {
        return None;
    }
    let title = user::DEFAULT_COLUMNS.iter().find(|(_, title)| title.eq_ignore_ascii_case(name));
    let titled = title.map_or_else(|| name.to_ascii_lowercase().replace(' ', "_"), |(path, _)| (*path).to_owned());
    let known = [name.strip_prefix("user.").unwrap_or(name), titled.as_str()].into_iter().find_map(known_path);
    Some(known.unwrap_or_else(|| (vec![Step::Member(name.to_owned())], Target::Text)))
}

/// Returns a path of an attribute of users and the type of its values; `None` for other paths.
fn known_path(path: &str) -> Option<(Vec<Step>, Target)> {
    let steps = parse_path(path)?;
    let Some((Step::Member(root), rest)) = steps.split_first() else { return None };
    let kind = user::find(root)?.kind;
    let target = match (kind, rest.first()) {
        // Members of a list of Auth0, such as `identities[0].user_id`, must not become numbers.
        (Kind::Text | Kind::Date, None) | (Kind::Array, Some(Step::Index(_))) => Target::Text,
        (Kind::Boolean, None) => Target::Boolean,
        (Kind::Integer, None) => Target::Integer,
        (Kind::Object | Kind::Array, None) => Target::Json,
        (Kind::Object, Some(Step::Member(_))) => Target::Free,
        _ => return None,
    };
    Some((steps, target))
}

#[cfg(test)]
mod tests {
    use uie_records::format_path;

    use super::*;

    #[test]
    fn columns_become_attributes_by_their_names() {
        for (name, path, target) in [
            ("email", "email", Target::Text),
            ("user.email", "email", Target::Text),
            ("Email Verified", "email_verified", Target::Boolean),
            ("Connection", "identities[0].connection", Target::Text),
            ("logins_count", "logins_count", Target::Integer),
            ("app_metadata.plan", "app_metadata.plan", Target::Free),
            ("app_metadata", "app_metadata", Target::Json),
            ("email.local", "[\"email.local\"]", Target::Text),
            ("Shoe size", "[\"Shoe size\"]", Target::Text),
        ] {
            let (steps, found) = assign_column(name).unwrap();
            assert_eq!((format_path(&steps).as_str(), found), (path, target), "{name}");
        }
        assert_eq!(assign_column(" "), None);
    }
}
