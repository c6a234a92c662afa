//! Generated exports of every source, beside the users that they mean: both are written from the same account, and the
//! conversion has to lead from one to the other.

use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uie_sources::{Layout, Sample};

/// An account in any system.
#[derive(Clone, Debug)]
struct Account {
    id: String,
    email: String,
    verified: bool,
    first: Option<String>,
    last: Option<String>,
    phone: Option<String>,
    disabled: bool,
    custom: Option<String>,
}

fn account() -> impl Strategy<Value = Account> {
    let word = "[A-Za-zäöü漢' -]{0,8}[a-zé漢]";
    (
        "[a-z0-9]{4,12}",
        "[a-z0-9.]{1,10}x@example\\.com",
        any::<bool>(),
        option::of(word),
        option::of(word),
        option::of("\\+[1-9][0-9]{7,12}"),
        any::<bool>(),
        option::of("[ -~]{0,10}[a-z]"),
    )
        .prop_map(|(id, email, verified, first, last, phone, disabled, custom)| Account {
            id,
            email,
            verified,
            first: first.map(|text| text.trim().to_owned()),
            last: last.map(|text| text.trim().to_owned()),
            phone,
            disabled,
            custom: custom.map(|text| text.trim().to_owned()),
        })
}

/// Removes members without a value.
fn without_null(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else { panic!("{value} is no object") };
    members.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

/// Returns an object with this member, or null without a value.
fn under(name: &str, value: Option<&String>) -> Value {
    value.map_or(Value::Null, |value| json!({ name: value }))
}

/// The row of a source for an account, and the user that it means.
fn forms(account: &Account) -> Vec<(&'static str, Value, Value)> {
    let Account { id, email, verified, first, last, phone, disabled, custom } = account;
    let text = |value: bool| if value { "TRUE" } else { "FALSE" };
    let user =
        json!({ "user_id": id, "email": email, "given_name": first, "family_name": last, "phone_number": phone });
    let user = |more: Value| {
        let mut user = without_null(user.clone());
        user.extend(without_null(more));
        Value::Object(user)
    };
    let attributes: Vec<Value> = [
        ("sub", Some(id)),
        ("email", Some(email)),
        ("given_name", first.as_ref()),
        ("family_name", last.as_ref()),
        ("phone_number", phone.as_ref()),
        ("custom:plan", custom.as_ref()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(json!({ "Name": name, "Value": value? })))
    .chain([json!({ "Name": "email_verified", "Value": verified.to_string() })])
    .collect();
    let name = first.clone().or_else(|| last.clone());
    vec![
        (
            "cognito",
            json!({ "Username": id, "Attributes": attributes, "Enabled": !disabled, "UserStatus": "CONFIRMED",
                "UserCreateDate": 1, "UserLastModifiedDate": 2 }),
            user(
                json!({ "email_verified": verified, "blocked": disabled, "app_metadata": under("plan", custom.as_ref()) }),
            ),
        ),
        (
            "cognito",
            json!({ "cognito:username": id, "email": email, "email_verified": text(*verified), "given_name": first,
                "family_name": last, "phone_number": phone, "phone_number_verified": text(false),
                "cognito:mfa_enabled": text(false), "custom:plan": custom }),
            user(
                json!({ "email_verified": verified, "phone_verified": false, "app_metadata": under("plan", custom.as_ref()) }),
            ),
        ),
        (
            "firebase",
            json!({ "localId": id, "email": email, "emailVerified": verified, "displayName": name, "phoneNumber": phone,
                "disabled": disabled, "createdAt": "1508255889000", "lastSignedInAt": "1508255889000",
                "customAttributes": custom.as_ref().map(|custom| json!({ "plan": custom }).to_string()) }),
            Value::Object(without_null(
                json!({ "user_id": id, "email": email, "email_verified": verified, "name": name,
                "phone_number": phone, "blocked": disabled, "app_metadata": under("plan", custom.as_ref()) }),
            )),
        ),
        (
            "keycloak",
            json!({ "id": id, "username": email, "email": email, "emailVerified": verified, "firstName": first,
                "lastName": last, "enabled": !disabled, "totp": false, "createdTimestamp": 1_700_000_000_000_u64,
                "requiredActions": [], "groups": [],
                "attributes": { "phoneNumber": phone.iter().collect::<Vec<_>>(), "plan": custom.iter().collect::<Vec<_>>() } }),
            user(
                json!({ "email_verified": verified, "blocked": disabled, "user_metadata": under("plan", custom.as_ref()) }),
            ),
        ),
        (
            "okta",
            json!({ "id": id, "status": if *disabled { "SUSPENDED" } else { "ACTIVE" }, "created": "2024-01-01T00:00:00Z",
                "profile": { "login": email, "email": email, "firstName": first, "lastName": last, "mobilePhone": phone,
                    "department": custom },
                "credentials": { "emails": [{ "value": email, "type": "PRIMARY",
                    "status": if *verified { "VERIFIED" } else { "UNVERIFIED" } }] } }),
            user(
                json!({ "email_verified": verified, "blocked": disabled, "app_metadata": under("department", custom.as_ref()) }),
            ),
        ),
        (
            "supabase",
            json!({ "id": id, "aud": "authenticated", "email": email, "encrypted_password": "",
                "email_confirmed_at": verified.then_some("2024-01-01 10:00:00+00"),
                "phone": phone.as_ref().map(|phone| phone[1..].to_owned()),
                "banned_until": disabled.then_some("2999-01-01 10:00:00+00"), "instance_id": "0",
                "raw_app_meta_data": json!({ "plan": custom }).to_string(), "raw_user_meta_data": "{}" }),
            Value::Object(without_null(json!({ "user_id": id, "email": email, "phone_number": phone,
                "email_verified": verified.then_some(true), "blocked": disabled.then_some(true),
                "app_metadata": under("plan", custom.as_ref()) }))),
        ),
        (
            "clerk",
            json!({ "id": id, "first_name": first, "last_name": last, "primary_email_address": email,
                "verified_email_addresses": verified.then_some(email), "unverified_email_addresses": (!verified).then_some(email),
                "primary_phone_number": phone, "verified_phone_numbers": phone, "totp_secret": "", "password_digest": "",
                "password_hasher": "", "username": custom }),
            user(json!({ "email_verified": verified, "phone_verified": phone.as_ref().map(|_| true),
                "user_metadata": under("username", custom.as_ref()) })),
        ),
        (
            "auth0-hashes",
            json!({ "_id": { "$oid": "5dea9f9c82dd7c0e76e4ec93" }, "alt_id": id, "email_verified": verified, "tenant": "t",
                "connection": "c", "identifiers": [{ "type": "email", "value": email, "verified": verified }] }),
            json!({ "user_id": id, "email": email, "email_verified": verified }),
        ),
    ]
}

proptest! {
    #[test]
    fn a_row_becomes_the_user_that_it_means(account in account()) {
        for (source, row, expected) in forms(&account) {
            let Value::Object(row) = row else { unreachable!() };
            let converted = uie_sources::find(source).expect("a source").convert(row.clone());
            let lost: Vec<_> = converted.losses.iter().map(|loss| loss.kind.code).collect();
            prop_assert_eq!(&converted.user, expected.as_object().expect("an object"), "{}: {:?}", source, row);
            prop_assert!(lost.is_empty() || lost == ["BANNED_FOR_A_TIME"], "{}: {:?}", source, lost);
            prop_assert_eq!(&converted.unknown, &Vec::<String>::new(), "{}", source);
        }
    }

    #[test]
    fn a_file_is_recognized_as_its_own_source_only(accounts in prop::collection::vec(account(), 1..4)) {
        let kinds = forms(&accounts[0]).len();
        for kind in 0..kinds {
            let rows: Vec<_> = accounts.iter().map(|account| forms(account).swap_remove(kind)).collect();
            let source = rows[0].0;
            let rows: Vec<Map<String, Value>> =
                rows.into_iter().map(|(_, row, _)| row.as_object().cloned().expect("an object")).collect();
            let mut names: Vec<String> = rows.iter().flat_map(|row| row.keys().cloned()).collect();
            names.dedup();
            let found = uie_sources::detect(&Sample { layout: Layout::Rows, names, rows });
            // The import recognizes this one.
            let expected = if source == "auth0-hashes" { None } else { Some(source) };
            prop_assert_eq!(found.map(|source| source.name), expected);
        }
    }

    #[test]
    fn no_row_makes_a_conversion_fail(
        names in prop::collection::vec(0_usize..400, 0..12), values in prop::collection::vec(0_usize..12, 12),
    ) {
        let all: Vec<String> = uie_sources::ALL
            .iter()
            .flat_map(|source| source.fields.iter().map(|field| field.from.replace('*', "x")))
            .collect();
        let candidates = [
            json!(null), json!(""), json!("x"), json!("true"), json!(0), json!(-1.5), json!(1_508_255_889_000_u64),
            json!([{ "Name": 1 }, null, { "type": "password", "secretData": "{\"value\":1}", "credentialData": "[" }]),
            json!({ "a": [1] }), json!("{\"a\":1}"), json!("$2a$10$x"), json!("\\N"),
        ];
        let row: Map<String, Value> = names
            .iter()
            .zip(values)
            .map(|(name, value)| (all[name % all.len()].clone(), candidates[value % candidates.len()].clone()))
            .collect();
        for source in uie_sources::ALL.iter().filter(|source| !source.is_auth0) {
            let converted = source.convert(row.clone());
            prop_assert!(converted.user.values().all(|value| !value.is_null()), "{}: {:?}", source.name, converted.user);
        }
    }
}

#[test]
fn files_with_attributes_of_auth0_are_of_no_source() {
    for names in [
        vec!["email", "name", "user_id"],
        vec!["user_id", "email", "identities", "created_at", "app_metadata", "user_metadata"],
        vec!["Id", "Given Name", "Email", "Email Verified", "Connection", "Created At"],
        vec!["_id", "email", "passwordHash", "name", "roles"],
        vec!["id", "username", "email", "firstName", "lastName", "enabled"],
        vec!["id", "name", "email", "password", "salt"],
    ] {
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        for layout in [Layout::Rows, Layout::Csv] {
            let sample = Sample { layout, names: names.clone(), rows: Vec::new() };
            assert_eq!(uie_sources::detect(&sample).map(|source| source.name), None, "{names:?}");
        }
    }
}

#[test]
fn rows_without_a_header_are_recognized_with_the_columns_of_any_version() {
    let row = |before: usize, after: &str| {
        let row = format!(
            "L1,ada@example.com,true,aGFzaA==,c2FsdA==,Ada,{}1508255889000,1525515073000{after}",
            ",".repeat(before)
        );
        row.split(',').map(str::to_owned).collect::<Vec<_>>()
    };
    for (names, created) in [(row(16, ",,"), 22), (row(17, ",+12125550001,,,"), 23), (row(17, ""), 23)] {
        let sample = Sample { layout: Layout::Csv, names: names.clone(), rows: Vec::new() };
        let firebase = uie_sources::detect(&sample).expect("Firebase");
        let columns = firebase.column_names(&sample).expect("names");
        assert_eq!((columns.len(), columns[created].as_str()), (names.len(), "createdAt"));
    }
    for names in [row(2, ""), vec!["localId".to_owned(), "email".to_owned()], Vec::new()] {
        let sample = Sample { layout: Layout::Csv, names, rows: Vec::new() };
        assert!(uie_sources::detect(&sample).is_none());
    }
}
