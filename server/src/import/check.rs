//! Checks rows before anything is sent: the import schema, the rules a schema cannot say, and duplicates inside the
//! import (docs/auth0/import-schema.md).

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::chunks::{MAX_ROW_IN_CHUNK, RowIdentity};
use super::glance::{Clean, Doubtful, Glance, glance};
use super::index::DiskIndex;
use super::redact;
use super::schema::{self, Finding, is_bcrypt_body, member};
use super::{RowFault, Severity};
use crate::error::Result;

/// The prefix Auth0 puts before the id of every imported user (docs/auth0/import-schema.md#attributes).
pub(super) const ID_PREFIX: &str = "auth0|";

/// Keys that `app_metadata` must not contain (docs/auth0/import-schema.md#metadata-keys).
pub(super) const FORBIDDEN_APP_METADATA: [&str; 18] = [
    "__tenant",
    "_id",
    "blocked",
    "clientID",
    "created_at",
    "email_verified",
    "email",
    "globalClientID",
    "global_client_id",
    "identities",
    "lastIP",
    "lastLogin",
    "loginsCount",
    "metadata",
    "multifactor_last_modified",
    "multifactor",
    "updated_at",
    "user_id",
];

/// Where a row stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RowPlace {
    pub(super) row: u64,
    pub(super) line: u64,
    /// Name of the file, when the import has several.
    pub(super) file: Option<String>,
}

/// Checks the rows of one import, in order.
#[derive(Debug)]
pub(super) struct Checker {
    keep_id_prefix: bool,
    seen: Identities,
    warned_of_phone: bool,
}

impl Checker {
    /// `scratch` is a directory for what does not fit into memory.
    pub(super) fn new(keep_id_prefix: bool, scratch: &Path) -> Self {
        let seen = Identities { hasher: RandomState::new(), rows: DiskIndex::new(scratch) };
        Self { keep_id_prefix, seen, warned_of_phone: false }
    }

    /// A row that is without errors, as its text alone shows, and perhaps a warning; or that has to be built to
    /// tell. Nothing when it has to be parsed first. The row stands at the beginning of `text`, which is all of
    /// it when it is `whole`.
    pub(super) fn glance<'r>(&mut self, place: &RowPlace, text: &'r [u8], whole: bool) -> Result<Option<Glanced<'r>>> {
        let clean = match glance(text, whole, self.warned_of_phone) {
            None => return Ok(None),
            Some(Glance::Doubtful(row)) => return Ok(Some(Glanced::Doubtful(row))),
            Some(Glance::Clean(clean)) => clean,
        };
        let sent_id = clean.user_id.map(|id| self.sent_id(id));
        let identity = Identity {
            email: Some(&clean.email),
            user_id: sent_id,
            username: clean.username.as_deref(),
            phone_number: clean.phone_number,
        };
        if !self.is_new(place, &identity)? {
            return Ok(Some(Glanced::Doubtful(clean.doubted())));
        }
        let warning = clean.user_id.filter(|id| id.contains('|')).and_then(|id| {
            let mut warnings = Vec::new();
            self.check_id(id, &mut Vec::new(), &mut warnings);
            let row = serde_json::json!({ "user_id": id });
            warnings.pop().map(|finding| Box::new(fault(place, &row, finding, Severity::Warning)))
        });
        Ok(Some(Glanced::Good(Good { clean, sent_id, keep_id_prefix: self.keep_id_prefix, warning })))
    }

    /// Everything that is wrong with a row. `size` is what it takes in a chunk, in bytes.
    pub(super) fn check(&mut self, place: &RowPlace, row: &Value, size: usize) -> Result<Vec<RowFault>> {
        let mut findings = Vec::new();
        schema::validate(row, &mut findings);
        let mut warnings = Vec::new();
        if let Value::Object(members) = row {
            let sound = findings.is_empty();
            self.check_meaning(members, size, &mut findings, &mut warnings);
            if sound && findings.is_empty() {
                self.check_duplicates(place, members, &mut findings)?;
            }
        }
        let errors = findings.into_iter().map(|finding| fault(place, row, finding, Severity::Error));
        Ok(errors.chain(warnings.into_iter().map(|finding| fault(place, row, finding, Severity::Warning))).collect())
    }

    /// The user's id as it is sent: without the prefix, which Auth0 would add a second time.
    pub(super) fn sent_id<'a>(&self, id: &'a str) -> &'a str {
        if self.keep_id_prefix { id } else { id.strip_prefix(ID_PREFIX).unwrap_or(id) }
    }

    /// As after the first phone number.
    #[cfg(test)]
    pub(super) fn phone_is_told(&mut self) {
        self.warned_of_phone = true;
    }

    fn check_meaning(
        &mut self,
        user: &Map<String, Value>,
        size: usize,
        findings: &mut Vec<Finding>,
        warnings: &mut Vec<Finding>,
    ) {
        if size > MAX_ROW_IN_CHUNK {
            findings.push(
                Finding::new(
                    "",
                    "ROW_TOO_LARGE",
                    format!("The user takes {size} bytes; Auth0 accepts at most {MAX_ROW_IN_CHUNK} at a time."),
                )
                .with_hint("Shorten the metadata of this user."),
            );
        }
        if user.contains_key("password_hash") && user.contains_key("custom_password_hash") {
            findings.push(
                Finding::new(
                    "custom_password_hash",
                    "NOT_PASSED",
                    "A user may have password_hash or custom_password_hash, not both.",
                )
                .with_hint("Leave one of the two out."),
            );
        }
        if let Some(Value::Object(hash)) = user.get("custom_password_hash") {
            let before = findings.len();
            check_custom_hash(hash, findings);
            if findings.len() == before {
                check_hash_length(hash, warnings);
            }
        }
        if let Some(Value::Object(metadata)) = user.get("app_metadata") {
            for name in FORBIDDEN_APP_METADATA.iter().filter(|name| metadata.contains_key(**name)) {
                findings.push(
                    Finding::new(
                        &member("app_metadata", name),
                        "NOT_PASSED",
                        format!("app_metadata must not contain {name}."),
                    )
                    .with_hint("Rename the key, or leave it out."),
                );
            }
        }
        for root in ["app_metadata", "user_metadata"] {
            if let Some(metadata) = user.get(root) {
                check_key_names(metadata, root, findings);
            }
        }
        if let Some(Value::Array(factors)) = user.get("mfa_factors") {
            check_factors(factors, findings);
        }
        if let Some(Value::String(id)) = user.get("user_id") {
            self.check_id(id, findings, warnings);
        }
        if let Some(Value::String(name)) = user.get("username") {
            check_username(name, warnings);
        }
        if let Some(Value::String(picture)) = user.get("picture")
            && url::Url::parse(picture).is_err()
        {
            warnings.push(Finding::new("picture", "FORMAT", "picture is not a URL."));
        }
        if user.contains_key("phone_number") && !self.warned_of_phone {
            self.warned_of_phone = true;
            let message = "Auth0's documentation is at odds with itself on whether phone_number can be imported.";
            warnings.push(
                Finding::new("phone_number", "UNCERTAIN", message)
                    .with_hint("Import a few users first and look at them; this is said once per import."),
            );
        }
    }

    fn check_id(&self, id: &str, findings: &mut Vec<Finding>, warnings: &mut Vec<Finding>) {
        let sent = self.sent_id(id);
        if sent.is_empty() && !id.is_empty() {
            findings.push(
                Finding::new("user_id", "MIN_LENGTH", "user_id is nothing but the prefix auth0|.")
                    .with_hint("Leave user_id out: Auth0 then makes one."),
            );
        } else if sent.contains('|') {
            warnings.push(
                Finding::new(
                    "user_id",
                    "ID_PREFIX",
                    "user_id begins with a prefix of its own; the user will be known as auth0| followed by all of it.",
                )
                .with_hint(
                    "Give only the part after the last | if the user's id should not hold the prefix of another \
                     connection.",
                ),
            );
        }
    }

    /// Twice in one import is an error of the second (docs/auth0/jobs.md#what-an-import-changes). Only rows that are
    /// sent count.
    fn check_duplicates(
        &mut self,
        place: &RowPlace,
        user: &Map<String, Value>,
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let text = |name: &str| user.get(name).and_then(Value::as_str);
        // Auth0 stores both in lower case (docs/auth0/import-schema.md#attributes,
        // docs/auth0/user-profile.md#attributes).
        let (email, username) = (text("email").map(str::to_lowercase), text("username").map(str::to_lowercase));
        let identity = Identity {
            email: email.as_deref(),
            user_id: text("user_id").map(|id| self.sent_id(id)),
            username: username.as_deref(),
            phone_number: text("phone_number"),
        };
        if self.is_new(place, &identity)? {
            return Ok(());
        }
        for (kind, name, value) in identity.values() {
            if let Some(first) = self.seen.rows.get(self.seen.key(kind, value))? {
                findings.push(
                    Finding::new(
                        name,
                        "DUPLICATED_USER",
                        format!("A user with this {name} was already provided in row {first}."),
                    )
                    .with_hint("Keep one of the two rows."),
                );
            }
        }
        Ok(())
    }

    /// Whether no row before has any of these, which are then remembered.
    fn is_new(&mut self, place: &RowPlace, identity: &Identity<'_>) -> Result<bool> {
        let mut new = [0; 4];
        let mut count = 0;
        // All hashes first: then the memory is asked for all of them at a time.
        for ((kind, _, value), slot) in identity.values().zip(&mut new) {
            *slot = self.seen.key(kind, value);
            count += 1;
        }
        for key in new.iter().take(count) {
            if self.seen.rows.get(*key)?.is_some() {
                return Ok(false);
            }
        }
        for key in new.iter().take(count) {
            self.seen.rows.insert(*key, place.row)?;
        }
        Ok(true)
    }
}

/// What tells a user apart, as Auth0 compares it.
struct Identity<'a> {
    email: Option<&'a str>,
    user_id: Option<&'a str>,
    username: Option<&'a str>,
    phone_number: Option<&'a str>,
}

impl<'a> Identity<'a> {
    /// A number and a name for the kind of each, and the value.
    fn values(&self) -> impl Iterator<Item = (u8, &'static str, &'a str)> + use<'a> {
        let values = [
            (0, "email", self.email),
            (1, "user_id", self.user_id),
            (2, "username", self.username),
            (3, "phone_number", self.phone_number),
        ];
        values
            .into_iter()
            .filter_map(|(kind, name, value)| Some((kind, name, value.filter(|value| !value.is_empty())?)))
    }
}

/// What was found out about a row without building it.
pub(super) enum Glanced<'a> {
    Good(Good<'a>),
    Doubtful(Doubtful<'a>),
}

/// A row that was found good without building it.
pub(super) struct Good<'a> {
    clean: Clean<'a>,
    sent_id: Option<&'a str>,
    keep_id_prefix: bool,
    pub(super) warning: Option<Box<RowFault>>,
}

impl<'a> Good<'a> {
    /// The row as it stands in the file.
    pub(super) fn text(&self) -> &'a str {
        self.clean.text
    }

    /// Appends the row as it is sent.
    pub(super) fn compact(&self, output: &mut Vec<u8>) {
        self.clean.compact(self.keep_id_prefix, output);
    }

    /// What Auth0's reports may know the row by.
    pub(super) fn identity(&self, place: &RowPlace) -> RowIdentity {
        RowIdentity {
            row: place.row,
            line: place.line,
            file: place.file.clone(),
            email: Some(self.clean.email.clone().into_owned()),
            user_id: self.sent_id.map(str::to_owned),
            username: self.clean.username.as_deref().map(str::to_owned),
            phone_number: self.clean.phone_number.map(str::to_owned),
        }
    }
}

/// Whether `custom_password_hash` or `mfa_factors` by itself has neither errors nor warnings.
pub(super) fn is_sound_member(name: &str, value: &Value) -> bool {
    let (mut findings, mut warnings) = (Vec::new(), Vec::new());
    match value {
        Value::Object(hash) => {
            check_custom_hash(hash, &mut findings);
            check_hash_length(hash, &mut warnings);
        }
        Value::Array(factors) => check_factors(factors, &mut findings),
        _ => {}
    }
    findings.is_empty() && warnings.is_empty() && schema::is_valid_member(name, value)
}

/// The schema allows a factor that holds nothing.
fn check_factors(factors: &[Value], findings: &mut Vec<Finding>) {
    for (index, _) in factors.iter().enumerate().filter(|(_, factor)| *factor == &Value::Object(Map::new())) {
        let path = format!("mfa_factors[{index}]");
        findings.push(
            Finding::new(&path, "NOT_PASSED", format!("{path} holds no factor."))
                .with_hint("Write totp, phone or email into it, or leave it out."),
        );
    }
}

/// What was provided so far, as keyed 64-bit hashes: nobody can make values collide on purpose, and two
/// of ten million different values do with a probability of 3 in a million. What memory and disk they
/// take says [`DiskIndex`].
#[derive(Debug)]
struct Identities {
    hasher: RandomState,
    rows: DiskIndex,
}

impl Identities {
    fn key(&self, kind: u8, value: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(value.as_bytes());
        hasher.write_u8(kind);
        hasher.finish()
    }
}

fn fault(place: &RowPlace, row: &Value, finding: Finding, severity: Severity) -> RowFault {
    let value = finding.path.as_deref().and_then(|path| redact::shown(row, path));
    RowFault {
        line: place.line,
        row: place.row,
        attribute: finding.path,
        code: finding.code.to_owned(),
        message: finding.message,
        hint: finding.hint,
        value,
        severity,
        file: place.file.clone(),
    }
}

/// Key names of metadata, at any depth, must not contain `.` or `$` (docs/auth0/import-schema.md#metadata-keys).
fn check_key_names(value: &Value, path: &str, findings: &mut Vec<Finding>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if name.contains(['.', '$']) {
                    let path = member(path, name);
                    findings.push(
                        Finding::new(&path, "METADATA_KEY", format!("The key of {path} contains . or $."))
                            .with_hint("Rename the key; nested data is written as an object."),
                    );
                }
                if matches!(value, Value::Object(_) | Value::Array(_)) {
                    check_key_names(value, &member(path, name), findings);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if matches!(item, Value::Object(_) | Value::Array(_)) {
                    check_key_names(item, &format!("{path}[{index}]"), findings);
                }
            }
        }
        _ => {}
    }
}

/// Whether Auth0 takes a username in most connections: 1 to 128 characters, and no e-mail address.
pub(super) fn is_plain_username(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@`^$!-#.+'~_".contains(&byte))
        && !(name.contains('@') && schema::is_email(name))
}

/// What a username may hold depends on the connection, so this is only a warning
/// (docs/auth0/user-profile.md#attributes).
fn check_username(name: &str, warnings: &mut Vec<Finding>) {
    if !(1..=128).contains(&name.chars().count()) {
        warnings.push(Finding::new("username", "MAX_LENGTH", "username must have 1 to 128 characters."));
    } else if !is_plain_username(name) {
        warnings.push(
            Finding::new("username", "PATTERN", "username holds characters that Auth0 does not allow.")
                .with_hint("Use letters and digits without accents and @ ` ^ $ ! - # . + ' ~ _; no e-mail address."),
        );
    }
}

/// What each algorithm wants (docs/auth0/import-schema.md#custom-password-hashes). Members of a wrong type are the
/// schema's matter.
struct Algorithm {
    name: &'static str,
    /// Encodings of the hash; the first is taken when there is none and the only one is `utf8`.
    encodings: &'static [&'static str],
    salt: bool,
    /// Whether a hash in `utf8` has the right form, and what that is.
    form: Option<HashForm>,
}

/// A test, and in words what passes it.
type HashForm = (fn(&str) -> bool, &'static str);

const BINARY: &[&str] = &["hex", "base64"];
const TEXT: &[&str] = &["utf8"];

const ALGORITHMS: &[Algorithm] = &[
    Algorithm {
        name: "argon2",
        encodings: TEXT,
        salt: false,
        form: Some((is_argon2, "a PHC string such as $argon2id$v=19$m=65536,t=2,p=1$<salt>$<hash>")),
    },
    Algorithm {
        name: "bcrypt",
        encodings: TEXT,
        salt: true,
        form: Some((is_bcrypt, "a bcrypt hash such as $2b$12$<salt and hash>")),
    },
    Algorithm { name: "hmac", encodings: BINARY, salt: true, form: None },
    Algorithm {
        name: "ldap",
        encodings: TEXT,
        salt: false,
        form: Some((is_ldap, "an RFC 2307 hash such as {SSHA}<Base64>, of scheme md5, smd5, sha* or ssha*")),
    },
    Algorithm { name: "md4", encodings: BINARY, salt: true, form: None },
    Algorithm { name: "md5", encodings: BINARY, salt: true, form: None },
    Algorithm { name: "sha1", encodings: BINARY, salt: true, form: None },
    Algorithm { name: "sha256", encodings: BINARY, salt: true, form: None },
    Algorithm { name: "sha512", encodings: BINARY, salt: true, form: None },
    Algorithm {
        name: "pbkdf2",
        encodings: TEXT,
        salt: false,
        form: Some((is_pbkdf2, "a PHC string such as $pbkdf2-sha512$i=100000,l=64$<salt>$<hash>")),
    },
    Algorithm { name: "scrypt", encodings: BINARY, salt: true, form: None },
];

fn check_custom_hash(custom: &Map<String, Value>, findings: &mut Vec<Finding>) {
    let Some(name) = custom.get("algorithm").and_then(Value::as_str) else { return };
    let Some(algorithm) = ALGORITHMS.iter().find(|algorithm| algorithm.name == name) else { return };
    if let Some(Value::Object(hash)) = custom.get("hash") {
        check_hash(algorithm, hash, findings);
    }
    if let Some(Value::Object(salt)) = custom.get("salt") {
        if algorithm.salt {
            check_encoded(salt, "custom_password_hash.salt", findings);
        } else {
            findings.push(
                Finding::new(
                    "custom_password_hash.salt",
                    "NOT_PASSED",
                    format!("A salt is not allowed with the algorithm {name}."),
                )
                .with_hint("Its hash.value holds the salt already."),
            );
        }
    }
    let scrypt = ["keylen", "cost", "blockSize", "parallelization"];
    if name == "scrypt" {
        if !custom.contains_key("keylen") {
            let path = "custom_password_hash.keylen";
            findings.push(Finding::new(path, "OBJECT_REQUIRED", format!("{path} is missing; scrypt needs it.")));
        }
        for member in scrypt {
            let Some(number) = custom.get(member).and_then(Value::as_f64) else { continue };
            let path = format!("custom_password_hash.{member}");
            if number <= 0.0 {
                findings.push(Finding::new(&path, "MINIMUM", format!("{path} must be greater than 0.")));
            } else if member == "cost" && !is_power_of_two_above_one(number) {
                findings.push(
                    Finding::new(&path, "NOT_PASSED", format!("{path} must be a power of two greater than 1."))
                        .with_hint("Auth0 takes 16384 when it is left out."),
                );
            }
        }
    } else {
        for member in scrypt.iter().filter(|member| custom.contains_key(**member)) {
            let path = format!("custom_password_hash.{member}");
            findings.push(
                Finding::new(&path, "NOT_PASSED", format!("{path} is not allowed with the algorithm {name}."))
                    .with_hint("It belongs to scrypt only."),
            );
        }
    }
}

fn check_hash(algorithm: &Algorithm, hash: &Map<String, Value>, findings: &mut Vec<Finding>) {
    let name = algorithm.name;
    let encoding = match hash.get("encoding") {
        Some(Value::String(encoding)) => Some(encoding.as_str()),
        Some(_) => return,
        None => None,
    };
    let path = "custom_password_hash.hash.encoding";
    let expected = algorithm.encodings.join(" or ");
    match encoding {
        Some(encoding) if !algorithm.encodings.contains(&encoding) => findings.push(Finding::new(
            path,
            "ENUM_MISMATCH",
            format!("{path} must be {expected} with the algorithm {name}."),
        )),
        None if algorithm.encodings != TEXT => {
            findings.push(Finding::new(
                path,
                "OBJECT_REQUIRED",
                format!("{path} is missing; {name} needs {expected}."),
            ));
        }
        _ => {
            check_encoded(hash, "custom_password_hash.hash", findings);
            if let (Some((fits, form)), Some(value)) = (&algorithm.form, hash.get("value").and_then(Value::as_str))
                && !fits(value)
            {
                let path = "custom_password_hash.hash.value";
                findings.push(Finding::new(path, "PATTERN", format!("{path} is not {form}.")));
            }
        }
    }
    let keyed = [("digest", hash.contains_key("digest")), ("key", hash.contains_key("key"))];
    for (member, there) in keyed {
        let path = format!("custom_password_hash.hash.{member}");
        if name == "hmac" && !there {
            findings.push(Finding::new(&path, "OBJECT_REQUIRED", format!("{path} is missing; hmac needs it.")));
        } else if name != "hmac" && there {
            findings.push(
                Finding::new(&path, "NOT_PASSED", format!("{path} is not allowed with the algorithm {name}."))
                    .with_hint("It belongs to hmac only."),
            );
        }
    }
    if let Some(Value::Object(key)) = hash.get("key") {
        check_encoded(key, "custom_password_hash.hash.key", findings);
    }
}

/// Whether `value` is written in the `encoding` that stands beside it.
fn check_encoded(holder: &Map<String, Value>, path: &str, findings: &mut Vec<Finding>) {
    let Some(value) = holder.get("value").and_then(Value::as_str) else { return };
    let encoding = holder.get("encoding").and_then(Value::as_str).unwrap_or("utf8");
    let fits = match encoding {
        "hex" => !value.is_empty() && value.len() % 2 == 0 && value.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "base64" => !value.is_empty() && is_base64(value),
        _ => !value.is_empty(),
    };
    if !fits {
        let path = format!("{path}.value");
        let message = if value.is_empty() {
            format!("{path} is empty.")
        } else {
            format!("{path} is not written in {encoding}.")
        };
        findings.push(Finding::new(&path, "FORMAT", message));
    }
}

/// A hash of another length than its algorithm makes can never match a password. Auth0 takes it all the
/// same, so this is only a warning.
fn check_hash_length(custom: &Map<String, Value>, warnings: &mut Vec<Finding>) {
    let Some(Value::Object(hash)) = custom.get("hash") else { return };
    let text = |name: &str| hash.get(name).and_then(Value::as_str);
    let digest = match custom.get("algorithm").and_then(Value::as_str) {
        Some("hmac") => text("digest"),
        other => other,
    };
    let expected = match digest {
        Some("scrypt") => custom.get("keylen").and_then(Value::as_u64),
        Some("md4" | "md5") => Some(16),
        Some("ripemd160" | "sha1") => Some(20),
        Some("sha224") => Some(28),
        Some("sha256") => Some(32),
        Some("sha384") => Some(48),
        Some("sha512" | "whirlpool") => Some(64),
        _ => None,
    };
    let length = text("value").map(|value| match text("encoding") {
        Some("hex") => value.len() / 2,
        _ => value.trim_end_matches('=').len() * 3 / 4,
    });
    if let (Some(expected), Some(length)) = (expected, length)
        && length as u64 != expected
    {
        let path = "custom_password_hash.hash.value";
        warnings.push(
            Finding::new(path, "HASH_LENGTH", format!("{path} has {length} bytes; its algorithm makes {expected}."))
                .with_hint("With such a hash nobody can sign in. Check the algorithm, the encoding, and the value."),
        );
    }
}

/// Base64 of either alphabet, padded or not (docs/auth0/import-schema.md#custom-password-hashes).
fn is_base64(text: &str) -> bool {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);
    STANDARD.decode(text).is_ok() || URL_SAFE.decode(text).is_ok()
}

fn is_power_of_two_above_one(number: f64) -> bool {
    number > 1.0 && number < 2_f64.powi(63) && number.fract() == 0.0 && (number as u64).is_power_of_two()
}

fn is_bcrypt(text: &str) -> bool {
    let Some(rest) = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| text.strip_prefix(prefix)) else {
        return false;
    };
    rest.split_once('$').is_some_and(|(rounds, body)| {
        rounds.len() == 2 && rounds.bytes().all(|digit| digit.is_ascii_digit()) && is_bcrypt_body(body)
    })
}

/// `$argon2{i,d,id}$[v=…$]m=…,t=…,p=…$salt$hash` (the PHC string format).
fn is_argon2(text: &str) -> bool {
    let mut parts = text.split('$');
    let named = parts.next() == Some("") && matches!(parts.next(), Some("argon2i" | "argon2d" | "argon2id"));
    let parts: Vec<&str> = parts.collect();
    let rest = match parts.as_slice() {
        [version, rest @ ..] if version.strip_prefix("v=").is_some_and(is_number) => rest,
        rest => rest,
    };
    named
        && matches!(rest, [settings, salt, hash] if has_settings(settings, &["m", "t", "p"], true) && is_phc_base64(salt) && is_phc_base64(hash))
}

/// `$pbkdf2-<digest>$i=…,l=…$salt$hash`; iterations and length may be left out.
fn is_pbkdf2(text: &str) -> bool {
    let parts: Vec<&str> = text.split('$').collect();
    match parts.as_slice() {
        ["", name, settings, salt, hash] => {
            is_pbkdf2_name(name)
                && has_settings(settings, &["i", "l"], false)
                && is_phc_base64(salt)
                && is_phc_base64(hash)
        }
        ["", name, salt, hash] => is_pbkdf2_name(name) && is_phc_base64(salt) && is_phc_base64(hash),
        _ => false,
    }
}

fn is_pbkdf2_name(name: &str) -> bool {
    name.strip_prefix("pbkdf2-").is_some_and(|digest| {
        !digest.is_empty() && digest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'/')
    })
}

/// `name=number` separated by commas, each name once and known.
fn has_settings(text: &str, names: &[&str], all: bool) -> bool {
    let mut seen = Vec::new();
    for setting in text.split(',') {
        match setting.split_once('=') {
            Some((name, number)) if names.contains(&name) && !seen.contains(&name) && is_number(number) => {
                seen.push(name);
            }
            _ => return false,
        }
    }
    !all || seen.len() == names.len()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())
}

/// B64 of the PHC string format: Base64 without padding.
fn is_phc_base64(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'.'))
}

/// `{SCHEME}Base64` (RFC 2307, section 5.3, without crypt).
fn is_ldap(text: &str) -> bool {
    text.strip_prefix('{').and_then(|rest| rest.split_once('}')).is_some_and(|(scheme, hash)| {
        let scheme = scheme.to_ascii_lowercase();
        let known =
            matches!(scheme.as_str(), "md5" | "smd5") || scheme.starts_with("sha") || scheme.starts_with("ssha");
        known && !hash.is_empty() && is_base64(hash)
    })
}
