//! Generates reproducible users from a seed, similar to those of a real tenant: names in many scripts, missing and null
//! attributes, nested metadata, numbers such as `698e-3`, and spreadsheet formulas. The first N users do not depend on
//! the total.

mod random;
mod words;

use std::fmt::Write;

use random::Random;
use words::{ASCII, BIO, CITY, COUNTRY, DOM, EVIL, FAMILY, GIVEN, LANG, PLAN, ROLE, STREET, THEME, TZ};

use crate::clock::iso;

/// Appends formatted text.
macro_rules! push {
    ($text:ident, $($arguments:tt)*) => {{
        // Writing to a string cannot fail.
        let _ = write!($text, $($arguments)*);
    }};
}

/// The identifiers of a generated user. They are drawn first, so that they can be computed without the rest.
pub(crate) struct Identifiers {
    /// `provider|id`.
    pub user_id: String,
    /// E-mail address, if any. Its only digits are the user's index.
    pub email: Option<String>,
    /// Connection of the first identity.
    pub connection: &'static str,
}

/// The attributes of a user that later ones depend on.
struct Head {
    index: u64,
    provider: &'static str,
    connection: &'static str,
    social: bool,
    id: String,
    given: &'static str,
    family: &'static str,
    evil: bool,
    /// Full name as a JSON string without quotes.
    full: String,
    local: String,
    email: String,
    email_is_null: bool,
    created: String,
    updated: String,
    last_login: String,
}

impl Head {
    fn draw(index: u64, random: &mut Random) -> Head {
        let kind = random.below(100);
        let (provider, connection, social, id) = match kind {
            0..55 => ("auth0", "Username-Password-Authentication", false, random.hex(24)),
            55..75 => ("google-oauth2", "google-oauth2", true, random.digits(21)),
            75..82 => ("facebook", "facebook", true, random.digits(17)),
            82..87 => {
                // Eight random digits would repeat within a million users, but ids are unique.
                random.digits(8);
                ("github", "github", true, (10_000_000 + index.wrapping_mul(48_271) % 89_999_999).to_string())
            }
            87..91 => ("windowslive", "windowslive", true, random.hex(16)),
            91..95 => {
                random.hex(8);
                let unique = (index as u32).wrapping_mul(0x9E37_79B1);
                ("samlp", "acme-saml", false, format!("acme-saml|{unique:08x}@acme-corp.com"))
            }
            95..98 => ("email", "email", false, random.hex(24)),
            _ => ("sms", "sms", false, random.hex(24)),
        };
        let given = random.pick(GIVEN);
        let family = random.pick(FAMILY);
        let evil = random.per_mille(20);
        let full = if evil { random.pick(EVIL).to_owned() } else { format!("{given} {family}") };
        let local = match random.below(4) {
            0 => format!("{}.{}{index}", random.pick(ASCII), random.pick(ASCII)),
            1 => format!("{}{index}", random.pick(ASCII)),
            2 => format!("{}_{index}+{}", random.pick(ASCII), random.pick(ASCII)),
            _ => format!("{index}{}", random.pick(ASCII)),
        };
        let email = format!("{local}@{}", random.pick(DOM));
        let (created_seconds, created) = time(random, 1_388_534_400, 1_735_689_600);
        let (updated_seconds, updated) = time(random, created_seconds, 1_740_000_000);
        let (_, last_login) = time(random, created_seconds, updated_seconds + 1);
        let email_is_null = provider != "sms" && random.per_mille(5);
        Head {
            index,
            provider,
            connection,
            social,
            id,
            given,
            family,
            evil,
            full,
            local,
            email,
            email_is_null,
            created,
            updated,
            last_login,
        }
    }
}

/// Returns the identifiers of user number `index`.
pub(crate) fn identifiers(index: u64, seed: u64) -> Identifiers {
    let head = Head::draw(index, &mut Random::new(seed, index));
    Identifiers {
        user_id: format!("{}|{}", head.provider, head.id),
        email: (head.provider != "sms" && !head.email_is_null).then_some(head.email),
        connection: head.connection,
    }
}

/// Returns the `user_id` of user number `index`.
pub fn user_id(index: u64, seed: u64) -> String {
    identifiers(index, seed).user_id
}

/// The index of the generated user who may have this e-mail address: the digits of its local part.
pub(crate) fn index_in_email(email: &str) -> Option<u64> {
    let (local, _) = email.rsplit_once('@')?;
    let digits = local.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

/// The phone number of user number `index`. No generated metadata has a member of this name, so the
/// text is searched instead of parsed.
pub(crate) fn phone_number(index: u64, seed: u64) -> Option<String> {
    let user = export_user(index, seed);
    let (_, rest) = user.split_once(r#""phone_number":""#)?;
    rest.split_once('"').map(|(number, _)| number.to_owned())
}

/// Returns user number `index` as a line of a bulk export: one JSON object, without the line end.
pub fn export_user(index: u64, seed: u64) -> String {
    user(index, seed, false)
}

/// Returns user number `index` as an entry of an import file, without a line end. About 6.5 % are invalid on purpose:
/// no e-mail, nulls, an unknown key, an invalid password hash.
pub fn import_user(index: u64, seed: u64) -> String {
    user(index, seed, true)
}

fn time(random: &mut Random, from: i64, to: i64) -> (i64, String) {
    let seconds = from + random.below((to - from).max(1).cast_unsigned()).cast_signed();
    (seconds, iso(seconds * 1000 + random.below(1000).cast_signed()))
}

/// Quotes text that is already escaped for JSON.
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn user(index: u64, seed: u64, import: bool) -> String {
    let mut random = Random::new(seed, index);
    let head = Head::draw(index, &mut random);
    let r = &mut random;
    let mut fields: Vec<(&str, String)> = Vec::with_capacity(24);
    fields.push(("user_id", quoted(&format!("{}|{}", head.provider, head.id))));
    profile(&head, r, &mut fields);
    fields.push(("identities", identities(&head, r)));
    if !r.per_mille(40) {
        fields.push(("app_metadata", app_metadata(&head, r)));
    } else if r.per_mille(300) {
        fields.push(("app_metadata", "{}".to_owned()));
    }
    if !r.per_mille(80) {
        fields.push(("user_metadata", user_metadata(&head, r)));
    } else if r.per_mille(100) {
        fields.push(("user_metadata", "null".to_owned()));
    }
    if head.provider == "sms" || r.per_mille(150) {
        fields.push(("phone_number", format!("\"+{}\"", r.digits(11))));
        if head.provider == "sms" {
            fields.push(("phone_verified", "true".to_owned()));
        }
    }
    if r.per_mille(20) {
        fields.push(("blocked", "true".to_owned()));
    }
    if r.per_mille(100) {
        fields.push(("multifactor", "[\"guardian\"]".to_owned()));
        fields.push(("last_password_reset", quoted(&head.updated)));
    }
    if r.per_mille(300) {
        fields.push(("locale", quoted(r.pick(LANG))));
    }
    if import {
        as_import(&head, r, &mut fields);
    }
    // Three key orders that occur in practice.
    match r.below(3) {
        0 => {}
        1 => fields.sort_by(|a, b| a.0.cmp(b.0)),
        _ => {
            let by = r.below(fields.len() as u64) as usize;
            fields.rotate_left(by);
        }
    }
    let members: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn profile(head: &Head, r: &mut Random, fields: &mut Vec<(&str, String)>) {
    let null = || "null".to_owned();
    if head.provider != "sms" {
        fields.push(("email", if head.email_is_null { null() } else { quoted(&head.email) }));
        fields.push(("email_verified", r.per_mille(700).to_string()));
    }
    if !r.per_mille(30) {
        let name = if r.per_mille(10) {
            null()
        } else if head.provider == "auth0" && r.per_mille(600) && !head.evil {
            quoted(&head.email)
        } else {
            quoted(&head.full)
        };
        fields.push(("name", name));
    }
    if head.social || r.per_mille(500) {
        let given = if r.per_mille(15) {
            null()
        } else if head.evil && r.per_mille(300) {
            quoted(r.pick(EVIL))
        } else {
            quoted(head.given)
        };
        fields.push(("given_name", given));
        fields.push(("family_name", if r.per_mille(15) { null() } else { quoted(head.family) }));
    }
    fields.push(("nickname", if r.per_mille(10) { quoted("") } else { quoted(&head.local) }));
    let picture = match head.provider {
        "google-oauth2" => format!("https://lh3.googleusercontent.com/a/{}=s96-c", r.base64(46)),
        "facebook" => format!(
            "https://platform-lookaside.fbsbx.com/platform/profilepic/?asid={}&height=50&width=50&ext=17{}&hash={}",
            head.id,
            r.digits(8),
            r.base64(43)
        ),
        "github" => format!("https://avatars.githubusercontent.com/u/{}?v=4", head.id),
        _ => format!(
            "https://s.gravatar.com/avatar/{}?s=480&r=pg&d=https%3A%2F%2Fcdn.auth0.com%2Favatars%2F{}.png",
            r.hex(32),
            head.local.get(..2).unwrap_or(&head.local)
        ),
    };
    if !r.per_mille(20) {
        fields.push(("picture", quoted(&picture)));
    }
    fields.push(("created_at", quoted(&head.created)));
    fields.push(("updated_at", quoted(&head.updated)));
    if !r.per_mille(100) {
        fields.push(("last_login", quoted(&head.last_login)));
        let ip = if r.per_mille(150) {
            format!("2001:db8:{:x}:{:x}::{:x}", r.below(65_536), r.below(65_536), r.below(65_536))
        } else {
            format!("{}.{}.{}.{}", 1 + r.below(223), r.below(256), r.below(256), r.below(256))
        };
        fields.push(("last_ip", quoted(&ip)));
        fields.push(("logins_count", (1 + r.below(1 + (head.index % 900))).to_string()));
    }
}

fn identities(head: &Head, r: &mut Random) -> String {
    let mut text = format!(
        r#"[{{"connection":"{}","provider":"{}","user_id":"{}","isSocial":{}"#,
        head.connection, head.provider, head.id, head.social
    );
    if head.social && r.per_mille(300) {
        push!(text, r#","access_token":"ya29.{}","expires_in":3599"#, r.base64(120));
    }
    text.push('}');
    if r.per_mille(80) {
        let id = r.digits(21);
        let (email, given, family) = (&head.email, head.given, head.family);
        push!(
            text,
            concat!(
                r#",{{"profileData":{{"email":"{}","email_verified":true,"name":"{} {}","given_name":"{}","#,
                r#""family_name":"{}","picture":"https://lh3.googleusercontent.com/a/{}=s96-c","locale":"{}"}},"#,
                r#""provider":"google-oauth2","user_id":"{}","connection":"google-oauth2","isSocial":true}}"#
            ),
            email,
            given,
            family,
            given,
            family,
            r.base64(46),
            r.pick(LANG),
            id
        );
    }
    text.push(']');
    text
}

fn app_metadata(head: &Head, r: &mut Random) -> String {
    let count = r.below(4);
    let roles: Vec<String> = (0..count).map(|_| quoted(r.pick(ROLE))).collect();
    let mut text = format!(r#"{{"plan":"{}","roles":[{}]"#, r.pick(PLAN), roles.join(","));
    if r.per_mille(250) {
        let name = match r.below(20) {
            0 => "null".to_owned(),
            1 => quoted(""),
            2 => quoted(r.pick(EVIL)),
            _ => quoted(&head.full),
        };
        push!(text, r#","name":{name}"#);
    }
    push!(
        text,
        concat!(
            r#","tenant":{{"id":"t_{}","region":"{}","limits":{{"seats":{},"storage_gb":{}.5,"#,
            r#""features":["sso","audit","mfa"]}}}}"#
        ),
        r.hex(12),
        r.pick(COUNTRY),
        1 + r.below(500),
        r.below(1000)
    );
    if r.per_mille(300) {
        push!(
            text,
            concat!(
                r#","stripe_customer_id":"cus_{}","subscription":{{"status":"active","period_end":{},"trial":null,"#,
                r#""items":[{{"sku":"seat","qty":{}}},{{"sku":"addon,{}","qty":1}}]}}"#
            ),
            r.base64(14),
            1_700_000_000 + r.below(90_000_000),
            r.below(50),
            r.pick(THEME)
        );
    }
    if r.per_mille(200) {
        push!(
            text,
            concat!(
                r#","signup":{{"ip":"{}.{}.{}.{}","utm":{{"source":"newsletter","campaign":"spring, {}"}},"#,
                r#""score":{}e-3}}"#
            ),
            r.below(256),
            r.below(256),
            r.below(256),
            r.below(256),
            2014 + r.below(11),
            r.below(1000)
        );
    }
    text.push('}');
    text
}

fn user_metadata(head: &Head, r: &mut Random) -> String {
    let mut text = format!(r#"{{"lang":"{}","theme":"{}","timezone":"{}""#, r.pick(LANG), r.pick(THEME), r.pick(TZ));
    if r.per_mille(600) {
        push!(
            text,
            concat!(
                r#","address":{{"street":"{} {}","city":"{}","zip":"{}","country":"{}","#,
                r#""geo":{{"lat":{}.{},"lng":-{}.{}}}}}"#
            ),
            1 + r.below(900),
            r.pick(STREET),
            r.pick(CITY),
            r.digits(5),
            r.pick(COUNTRY),
            r.below(90),
            r.digits(6),
            r.below(180),
            r.digits(6)
        );
    }
    if r.per_mille(500) {
        push!(text, r#","bio":"{}""#, r.pick(BIO));
    }
    if r.per_mille(400) {
        push!(text, r#","notifications":{{"email":{},"sms":false,"push":true,"digest":"weekly"}}"#, r.per_mille(500));
    }
    if r.per_mille(300) {
        push!(
            text,
            concat!(
                r#","devices":[{{"id":"{}","os":"iOS 17.{}","last_seen":"{}"}},"#,
                r#"{{"id":"{}","os":"Windows 11","last_seen":null}}]"#
            ),
            r.hex(32),
            r.below(6),
            head.updated,
            r.hex(32)
        );
    }
    push!(
        text,
        r#","marketing_opt_in":{},"company":"{} {}, Inc."}}"#,
        r.per_mille(400),
        head.family,
        r.pick(&["Labs", "Holdings", "& Sons", "GmbH", r#"\"Best\""#])
    );
    text
}

/// Keeps the attributes that an import file may have, and makes some users invalid: about 2 % have no e-mail,
/// 3 % have a null, 0.2 % an unknown key, 0.1 % an invalid hash.
fn as_import(head: &Head, r: &mut Random, fields: &mut Vec<(&str, String)>) {
    const IMPORTABLE: &[&str] = &[
        "email",
        "email_verified",
        "given_name",
        "family_name",
        "name",
        "nickname",
        "picture",
        "app_metadata",
        "user_metadata",
        "blocked",
        "phone_number",
    ];
    fields.retain(|(name, _)| IMPORTABLE.contains(name));
    fields.push(("user_id", quoted(&head.id)));
    if head.provider == "auth0" {
        let length = if r.per_mille(2) { 40 } else { 53 };
        let hash = r.base64(length).replace('-', ".").replace('_', "/");
        fields.push(("password_hash", format!("\"$2b$10${hash}\"")));
    }
    if r.per_mille(2) {
        fields.push(("unknown_key", "1".to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_user_is_valid_json_with_the_computed_identifiers() {
        for index in 0..3000 {
            let user: Value = serde_json::from_str(&export_user(index, 42)).unwrap();
            let known = identifiers(index, 42);
            assert_eq!(user["user_id"], known.user_id.as_str());
            assert_eq!(user.get("email").and_then(Value::as_str), known.email.as_deref());
            assert_eq!(user["identities"][0]["connection"], known.connection);
            if let Some(email) = known.email {
                assert_eq!(index_in_email(&email), Some(index));
                assert_eq!(email, email.to_lowercase());
            }
            serde_json::from_str::<Value>(&import_user(index, 42)).unwrap();
        }
    }

    #[test]
    fn identifiers_never_repeat() {
        let mut seen = HashSet::new();
        for index in 0..100_000 {
            let known = identifiers(index, 7);
            assert!(seen.insert(known.user_id));
            assert!(known.email.is_none_or(|email| seen.insert(email)));
        }
    }

    #[test]
    fn about_one_import_user_in_fifteen_is_invalid() {
        let bad = (0..10_000)
            .map(|index| serde_json::from_str::<Value>(&import_user(index, 42)).unwrap())
            .filter(|user| {
                let Some(object) = user.as_object() else { return true };
                user.get("email").is_none_or(Value::is_null)
                    || object.values().any(Value::is_null)
                    || object.contains_key("unknown_key")
                    || user["password_hash"].as_str().is_some_and(|hash| hash.len() != 60)
            })
            .count();
        assert!((400..900).contains(&bad), "{bad}");
    }
}
