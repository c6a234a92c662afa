use proptest::prelude::*;
use serde_json::{Value, json};

use super::Query;

fn user() -> Value {
    json!({
        "user_id": "auth0|123",
        "email": "ada@example.com",
        "email_verified": false,
        "name": "John Richard",
        "nickname": "Ada",
        "username": "Ada",
        "logins_count": 10,
        "created_at": "2017-12-31T23:59:59.500Z",
        "last_login": "2018-01-15T12:00:00.000Z",
        "picture": "https://example.com/ada.png",
        "identities": [
            {"connection": "db", "provider": "auth0", "isSocial": false},
            {"connection": "google-oauth2", "provider": "google-oauth2", "isSocial": true, "profileData": {"email": "x@gmail.com"}},
        ],
        "app_metadata": {"plan": "pro", "roles": ["admin", "editor"], "empty": [], "nothing": null, "none": {}, "score": 1.5, "beta": true},
        "user_metadata": {"addresses": [{"city": "Paris"}, {"city": "New York"}]},
    })
}

fn finds(query: &str) -> bool {
    Query::parse(query).unwrap_or_else(|refused| panic!("{query}: {refused}")).matches(&user())
}

#[test]
fn values_are_compared_whole() {
    assert!(finds(r#"name:"john richard""#) && finds(r"name:John\ Richard"));
    assert!(!finds("name:richard") && !finds("user_id:auth0"));
    assert!(finds(r#"user_id:"auth0|123""#) && finds("user_id:auth0*") && finds("name:*richard*"));
}

#[test]
fn case_matters_except_for_five_attributes() {
    assert!(finds("nickname:ADA") && finds("email:ADA@example.com"));
    assert!(!finds("username:ada") && !finds("app_metadata.plan:PRO") && !finds("Nickname:ada"));
}

#[test]
fn array_levels_are_skipped() {
    assert!(finds(r#"user_metadata.addresses.city:"Paris""#) && finds("app_metadata.roles:editor"));
    assert!(finds(r#"identities.connection:"google-oauth2" AND identities.isSocial:true"#));
    assert!(finds(r#"identities.profileData.email:"x@gmail.com""#) && finds(r#"email.domain:"example.com""#));
}

#[test]
fn only_indexed_values_exist() {
    assert!(
        finds("_exists_:app_metadata.plan")
            && finds("_exists_:user_metadata.addresses")
            && finds("_exists_:email_verified")
    );
    for absent in ["app_metadata.empty", "app_metadata.nothing", "app_metadata.none", "blocked", "picture"] {
        assert!(!finds(&format!("_exists_:{absent}")), "{absent}");
    }
}

#[test]
fn numbers_and_booleans_are_compared_by_value() {
    assert!(finds("logins_count:10") && finds("logins_count:10.0") && finds("app_metadata.score:1.5"));
    assert!(finds("email_verified:false") && finds("app_metadata.beta:true") && !finds("email_verified:true"));
}

#[test]
fn ranges_are_inclusive_exclusive_mixed_and_open() {
    assert!(finds("logins_count:[10 TO 20}") && finds("logins_count:[* TO 10]") && finds("logins_count:{9 TO *]"));
    assert!(!finds("logins_count:{10 TO 20]") && !finds("logins_count:[* TO 10}"));
    assert!(finds("name:[john TO jon]") && !finds("name:[k TO *]"));
}

#[test]
fn partial_dates_cover_their_whole_period() {
    assert!(
        finds("created_at:[* TO 2017-12]")
            && finds("created_at:[2017-12-31 TO 2017-12-31]")
            && finds("created_at:[2017 TO 2017]")
    );
    assert!(!finds("created_at:[* TO 2017-12}") && !finds("created_at:{2017-12-31 TO *]"));
    assert!(finds("last_login:{2018-01-14 TO *]") && !finds("last_login:{2018-01-15 TO *]"));
    assert!(finds("last_login:[2018-01-15T12:00 TO 2018-01-15T12:00:00.000Z]") && finds(r#"last_login:"2018-01-15""#));
}

#[test]
fn not_binds_tighter_than_and_which_binds_tighter_than_or() {
    assert!(finds("NOT _exists_:blocked OR logins_count:0"));
    assert!(finds("logins_count:0 AND username:unknown OR nickname:ada"));
    assert!(finds("nickname:ada OR logins_count:0 AND username:unknown"));
    assert!(!finds("(nickname:ada OR logins_count:0) AND username:unknown"));
    assert!(!finds("NOT nickname:ada AND username:Ada"));
}

#[test]
fn terms_side_by_side_are_alternatives_and_prefixes_require_or_prohibit() {
    assert!(finds("username:unknown nickname:ada"));
    assert!(!finds("nickname:ada -email_verified:false") && !finds("nickname:ada NOT email_verified:false"));
    assert!(!finds("+username:unknown nickname:ada") && finds("+nickname:ada username:unknown"));
    assert!(finds("nickname:ada OR NOT email_verified:false"));
    assert!(!finds("-nickname:ada") && finds("-nickname:bob"));
}

#[test]
fn groups_apply_to_their_field() {
    assert!(
        finds(r#"app_metadata.roles:("owner" OR "editor")"#) && !finds("app_metadata.roles:(admin AND NOT editor)")
    );
}

#[test]
fn a_term_without_a_field_never_matches_metadata_of_the_user() {
    assert!(finds("ada@example.com") && !finds("Paris"));
}

#[test]
fn what_auth0_does_not_support_is_refused() {
    for query in [
        "name:?da",
        "name:*sa",
        "name:*",
        "name:ada~",
        "name:ada^2",
        "name.raw:ada",
        "logins_count:>10",
        "logins_count:[1 TO 2",
        "logins_count:[1, 2]",
        "app_metadata.score:[1 TO 2]",
        "user_metadata.addresses.city:Par*",
        "name:\"open",
        "(name:ada",
        "name:ada)",
        "name:",
        "OR name:ada",
        "name:ada OR",
        "name:ada AND",
        "AND",
        "",
        "   ",
        "name:ada\\",
        ":x",
        "_exists_:user_metadata.*",
    ] {
        assert!(Query::parse(query).is_err(), "{query:?} was accepted");
    }
    assert!(Query::parse("name:*usa").is_ok() && Query::parse("email:t*").is_ok());
    assert!(Query::parse(&"(".repeat(100_000)).is_err() && Query::parse(&"-".repeat(100_000)).is_err());
}

proptest! {
    #[test]
    fn the_parser_never_panics(text in r#"[ a-z:()\[\]{}*?~^"\\+\-!&|ORANDTO0-9._é]{0,40}"#) {
        if let Ok(query) = Query::parse(&text) {
            query.matches(&user());
        }
    }

    #[test]
    fn any_value_is_found_when_quoted(value in "\\PC{1,30}") {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        let query = Query::parse(&format!("app_metadata.x:\"{quoted}\"")).unwrap();
        let user = json!({"app_metadata": {"x": value}});
        prop_assert!(query.matches(&user));
    }

    #[test]
    fn any_value_is_found_when_escaped(value in "\\PC{1,30}") {
        let escaped: String = value.chars().flat_map(|c| ['\\', c]).collect();
        let query = Query::parse(&format!("username:{escaped}")).unwrap();
        let user = json!({"username": value});
        prop_assert!(query.matches(&user));
    }
}
