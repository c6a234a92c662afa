//! Warnings about what an import as a whole does.

use super::*;

fn warnings(request: &ImportRequest, content: &str) -> Vec<(String, String, u64, String)> {
    let (_, faults) = checked(request, content, None);
    faults
        .into_iter()
        .filter(RowFault::is_consequence)
        .map(|fault| (fault.code, fault.attribute.unwrap_or_default(), fault.line, fault.message.to_string()))
        .collect()
}

const USERS: &str = "{\"email\":\"a@b.c\",\"name\":\"A\"}\n\
    {\"email\":\"b@b.c\",\"blocked\":true,\"username\":\"b\",\"user_metadata\":{\"a\":1}}\n\
    {\"email\":\"c@b.c\",\"blocked\":false,\"password_hash\":\"$2b$10$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K\"}\n\
    {\"email\":\"invalid\",\"blocked\":true}\n\
    {\"email\":\"d@b.c\",\"picture\":\"none\",\"user_id\":\"4\",\"mfa_factors\":[{\"phone\":{\"value\":\"+1\"}}],\"phone_number\":\"+1\"}\n";

#[test]
fn an_upsert_says_once_per_attribute_what_it_does_not_change_and_what_it_replaces() {
    let upsert = ImportRequest { upsert: true, ..ImportRequest::default() };
    let found = warnings(&upsert, USERS);
    let summary: Vec<(&str, &str, u64)> =
        found.iter().map(|(code, attribute, line, _)| (code.as_str(), attribute.as_str(), *line)).collect();
    assert_eq!(
        summary,
        [
            ("UPSERT_UNCHANGED", "blocked", 2),
            ("UPSERT_UNCHANGED", "username", 2),
            ("UPSERT_UNCHANGED", "phone_number", 5),
            ("UPSERT_UNCHANGED", "user_id", 5),
            ("UPSERT_UNCHANGED", "password_hash", 3),
            ("UPSERT_UNCHANGED", "mfa_factors", 5),
            ("UPSERT_REPLACES", "user_metadata", 2),
        ]
    );
    assert_eq!(found[0].3, "An upsert never changes blocked of users who exist; 2 rows have it.");
    assert_eq!(found[1].3, "An upsert never changes username of users who exist; 1 row has it.");
    assert_eq!(warnings(&ImportRequest::default(), USERS), []);
}

#[test]
fn consequences_are_the_same_for_every_format_and_with_a_mapping() {
    let rows = [
        json!({ "email": "a@b.c", "user_id": "google-oauth2|1", "blocked": true }),
        json!({ "email": "b@b.c", "user_id": "auth0|2" }),
        json!({ "email": "c@b.c", "user_id": "samlp|acme|3" }),
        json!({ "email": "d@b.c", "user_id": "google-oauth2|4" }),
    ];
    let lines = rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let array = json!(rows).to_string();
    let csv = "email,user_id,blocked\na@b.c,google-oauth2|1,true\nb@b.c,auth0|2,\nc@b.c,samlp|acme|3,\nd@b.c,google-oauth2|4,\n";
    let upsert = |map: &[&str]| ImportRequest { upsert: true, ..mapped(map) };
    for content in [lines.as_str(), &array, csv] {
        for request in [upsert(&[]), upsert(&["email=name"])] {
            let found = warnings(&request, content);
            let messages: Vec<&str> = found.iter().map(|(_, _, _, message)| message.as_str()).collect();
            assert_eq!(
                messages,
                [
                    "An upsert never changes blocked of users who exist; 1 row has it.",
                    "An upsert never changes user_id of users who exist; 4 rows have it.",
                    "3 users are of other providers (google-oauth2, samlp) and would become database users, who cannot \
                     sign in with these providers.",
                ],
                "{content}"
            );
        }
    }
    let (_, faults) = checked(&ImportRequest::default(), &lines, None);
    let other = faults.iter().find(|fault| fault.code == "OTHER_PROVIDER").unwrap();
    assert_eq!((other.line, other.row, other.attribute.as_deref()), (1, 0, Some("user_id")));
    assert_eq!(
        other.hint.as_ref().unwrap().to_string(),
        "Leave them out with --query 'NOT user_id:google-oauth2|* AND NOT user_id:samlp|*'."
    );
}

#[test]
fn providers_are_found_in_identities_that_are_not_imported() {
    let rows = "{\"email\":\"a@b.c\",\"identities\":[{\"provider\":\"google-oauth2\",\"user_id\":\"1\"}]}\n\
        {\"email\":\"b@b.c\",\"identities\":[{\"provider\":\"auth0\",\"user_id\":\"2\"}]}\n\
        {\"email\":\"c@b.c\",\"name\":\"\\u0043\",\"identities\":[{\"provider\":\"google-oauth2\",\"user_id\":\"3\"}],\"phone_number\":\"+1\"}\n";
    let dropped = ImportRequest { drop_read_only: true, ..ImportRequest::default() };
    let mapped = ImportRequest { drop_read_only: true, ..mapped(&["email=name"]) };
    for request in [dropped, mapped] {
        let (_, faults) = checked(&request, rows, None);
        let other = faults.iter().find(|fault| fault.code == "OTHER_PROVIDER").unwrap();
        assert!(other.message.contains("2 users are of other providers (google-oauth2)"), "{}", other.message);
        assert_eq!(other.attribute.as_deref(), Some("identities"));
        assert!(other.hint.as_ref().unwrap().contains("NOT identities.provider:google-oauth2'"), "{other:?}");
    }
}
