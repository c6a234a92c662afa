//! Checks rows before anything is sent: the import schema, rules that a schema cannot express, and duplicates within
//! the import (docs/auth0/import-schema.md).

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::chunks::{MAX_ROW_IN_CHUNK, RowIdentity};
use super::dedup_index::SpillingHashIndex;
use super::fast_check::{FastCheck, UncheckedRow, ValidRowText, fast_check};
use super::redact;
use super::schema::{self, Finding, is_bcrypt_body};
use super::{RowFault, Severity};
use uie_core::error::Result;
use uie_records::member;

/// The prefix that Auth0 adds to the id of every imported user (docs/auth0/import-schema.md#attributes).
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

/// Location of a row in the import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RowLocation {
    pub(super) row: u64,
    pub(super) line: u64,
    /// Name of the file; `None` if the import has one file.
    pub(super) file: Option<String>,
}

/// Checks the rows of one import, in order.
#[derive(Debug)]
pub(super) struct Checker {
    keep_id_prefix: bool,
    /// Names of root members that the check of a text removes; none of them is importable.
    dropped: Vec<String>,
    seen: SeenIdentifiers,
    phone_warning_emitted: bool,
}

impl Checker {
    /// `scratch` is a directory for data that does not fit into memory.
    pub(super) fn new(keep_id_prefix: bool, scratch: &Path) -> Self {
        let seen = SeenIdentifiers { hasher: RandomState::new(), rows: SpillingHashIndex::new(scratch) };
        Self { keep_id_prefix, dropped: Vec::new(), seen, phone_warning_emitted: false }
    }

    /// Removes these root members, of which none is importable, from rows that are checked by their text.
    pub(super) fn dropping(self, names: &[String]) -> Self {
        Self { dropped: names.to_vec(), ..self }
    }

    /// Checks a row by its text alone. Returns the valid row, perhaps with a warning, or a row that needs the full
    /// check; `None` if the row must be parsed first. The row is at the start of `text`; with `is_whole` the text
    /// contains nothing else.
    pub(super) fn check_text<'r>(
        &mut self,
        location: &RowLocation,
        text: &'r [u8],
        is_whole: bool,
    ) -> Result<Option<FastChecked<'r>>> {
        let row = match fast_check(text, is_whole, self.phone_warning_emitted, &self.dropped) {
            None => return Ok(None),
            Some(FastCheck::NeedsFullCheck(row)) => return Ok(Some(FastChecked::NeedsFullCheck(row))),
            Some(FastCheck::Valid(row)) => row,
        };
        let sent_id = row.user_id.map(|id| self.sent_id(id));
        let identity = Identity {
            email: Some(&row.email),
            user_id: sent_id,
            username: row.username.as_deref(),
            phone_number: row.phone_number,
        };
        if !self.is_new(location, &identity)? {
            return Ok(Some(FastChecked::NeedsFullCheck(row.into_unchecked())));
        }
        let warning = row.user_id.filter(|id| id.contains('|')).and_then(|id| {
            let mut warnings = Vec::new();
            self.check_id(id, &mut Vec::new(), &mut warnings);
            let value = serde_json::json!({ "user_id": id });
            warnings.pop().map(|finding| Box::new(fault(location, &value, finding, Severity::Warning)))
        });
        Ok(Some(FastChecked::Valid(ValidRow { row, sent_id, keep_id_prefix: self.keep_id_prefix, warning })))
    }

    /// Runs the full check and returns all errors and warnings of a row. `size` is its size in a chunk, in bytes.
    pub(super) fn check(&mut self, location: &RowLocation, row: &Value, size: usize) -> Result<Vec<RowFault>> {
        let mut findings = Vec::new();
        schema::validate(row, &mut findings);
        let mut warnings = Vec::new();
        if let Value::Object(members) = row {
            let fits_schema = findings.is_empty();
            self.check_semantics(members, size, &mut findings, &mut warnings);
            if fits_schema && findings.is_empty() {
                self.check_duplicates(location, members, &mut findings)?;
            }
        }
        let errors = findings.into_iter().map(|finding| fault(location, row, finding, Severity::Error));
        Ok(errors.chain(warnings.into_iter().map(|finding| fault(location, row, finding, Severity::Warning))).collect())
    }

    /// Returns the id to send: without the prefix, which Auth0 would add a second time, unless it is to be kept.
    pub(super) fn sent_id<'a>(&self, id: &'a str) -> &'a str {
        if self.keep_id_prefix { id } else { id.strip_prefix(ID_PREFIX).unwrap_or(id) }
    }

    /// Sets the state after the first phone number, whose warning is emitted once per import.
    #[cfg(test)]
    pub(super) fn suppress_phone_warning(&mut self) {
        self.phone_warning_emitted = true;
    }

    fn check_semantics(
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
        if user.contains_key("phone_number") && !self.phone_warning_emitted {
            self.phone_warning_emitted = true;
            let message = "Auth0's documentation contradicts itself on whether phone_number can be imported.";
            warnings.push(Finding::new("phone_number", "UNCERTAIN", message).with_hint(
                "Import a few users first and check them in the tenant; this warning is shown once per import.",
            ));
        }
    }

    fn check_id(&self, id: &str, findings: &mut Vec<Finding>, warnings: &mut Vec<Finding>) {
        let sent = self.sent_id(id);
        if sent.is_empty() && !id.is_empty() {
            findings.push(
                Finding::new("user_id", "MIN_LENGTH", "user_id consists of the prefix auth0| only.")
                    .with_hint("Leave user_id out: Auth0 then generates one."),
            );
        } else if sent.contains('|') {
            warnings.push(
                Finding::new(
                    "user_id",
                    "ID_PREFIX",
                    "user_id starts with the prefix of another connection; the id in the tenant will be auth0| followed by all of it.",
                )
                .with_hint(
                    "Give only the part after the last | if the user's id should not hold the prefix of another \
                     connection.",
                ),
            );
        }
    }

    /// Reports a user whose identity was in an earlier row that will be sent
    /// (docs/auth0/jobs.md#what-an-import-changes).
    fn check_duplicates(
        &mut self,
        location: &RowLocation,
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
        if self.is_new(location, &identity)? {
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

    /// Returns whether no earlier row has any of these values, and then records all of them.
    fn is_new(&mut self, location: &RowLocation, identity: &Identity<'_>) -> Result<bool> {
        let mut new = [0; 4];
        let mut count = 0;
        // Compute all hashes first, so that the memory accesses of the lookups overlap.
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
            self.seen.rows.insert(*key, location.row)?;
        }
        Ok(true)
    }
}

/// The values by which Auth0 identifies a user, normalized as Auth0 compares them.
struct Identity<'a> {
    email: Option<&'a str>,
    user_id: Option<&'a str>,
    username: Option<&'a str>,
    phone_number: Option<&'a str>,
}

impl<'a> Identity<'a> {
    /// Returns number, name and value of each identifier that is present.
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

/// Result of the fast check, including duplicates.
pub(super) enum FastChecked<'a> {
    Valid(ValidRow<'a>),
    NeedsFullCheck(UncheckedRow<'a>),
}

/// A row without errors, known from its text alone.
pub(super) struct ValidRow<'a> {
    row: ValidRowText<'a>,
    sent_id: Option<&'a str>,
    keep_id_prefix: bool,
    pub(super) warning: Option<Box<RowFault>>,
}

impl<'a> ValidRow<'a> {
    /// The row's text in the file.
    pub(super) fn text(&self) -> &'a str {
        self.row.text
    }

    /// Appends the row as compact JSON, as it is sent.
    pub(super) fn write_compact(&self, output: &mut Vec<u8>) {
        self.row.write_compact(self.keep_id_prefix, output);
    }

    /// Returns location and identifiers of the row, to match it with Auth0's reports.
    pub(super) fn identity(&self, location: &RowLocation) -> RowIdentity {
        RowIdentity {
            row: location.row,
            line: location.line,
            file: location.file.clone(),
            email: Some(self.row.email.clone().into_owned()),
            user_id: self.sent_id.map(str::to_owned),
            username: self.row.username.as_deref().map(str::to_owned),
            phone_number: self.row.phone_number.map(str::to_owned),
        }
    }
}

/// Returns whether the value of `custom_password_hash` or `mfa_factors` has neither errors nor warnings.
pub(super) fn has_no_findings(name: &str, value: &Value) -> bool {
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

/// Reports empty factors, which the schema allows.
fn check_factors(factors: &[Value], findings: &mut Vec<Finding>) {
    for (index, _) in factors.iter().enumerate().filter(|(_, factor)| *factor == &Value::Object(Map::new())) {
        let path = format!("mfa_factors[{index}]");
        findings.push(
            Finding::new(&path, "NOT_PASSED", format!("{path} contains no factor."))
                .with_hint("Write totp, phone or email into it, or leave it out."),
        );
    }
}

/// Identifiers of all earlier rows, as 64-bit hashes with a random key: collisions cannot be provoked, and among ten
/// million different values the probability of a collision is 3 in a million. See [`SpillingHashIndex`] for the use
/// of memory and disk.
#[derive(Debug)]
struct SeenIdentifiers {
    hasher: RandomState,
    rows: SpillingHashIndex,
}

impl SeenIdentifiers {
    fn key(&self, kind: u8, value: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(value.as_bytes());
        hasher.write_u8(kind);
        hasher.finish()
    }
}

fn fault(location: &RowLocation, row: &Value, finding: Finding, severity: Severity) -> RowFault {
    let value = finding.path.as_deref().and_then(|path| redact::redacted_value(row, path));
    RowFault {
        line: location.line,
        row: location.row,
        attribute: finding.path,
        code: finding.code.to_owned(),
        message: finding.message,
        hint: finding.hint,
        value,
        severity,
        file: location.file.clone(),
    }
}

/// Reports metadata keys, at any depth, that contain `.` or `$` (docs/auth0/import-schema.md#metadata-keys).
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

/// Returns whether most connections accept this username: 1 to 128 characters, not an e-mail address.
pub(super) fn is_plain_username(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@`^$!-#.+'~_".contains(&byte))
        && !(name.contains('@') && schema::is_email(name))
}

/// Warns about usernames that most connections reject. Only a warning, because the rules depend on the connection
/// (docs/auth0/user-profile.md#attributes).
fn check_username(name: &str, warnings: &mut Vec<Finding>) {
    if !(1..=128).contains(&name.chars().count()) {
        warnings.push(Finding::new("username", "MAX_LENGTH", "username must have 1 to 128 characters."));
    } else if !is_plain_username(name) {
        warnings.push(
            Finding::new("username", "PATTERN", "username contains characters that Auth0 does not allow.")
                .with_hint("Use letters and digits without accents and @ ` ^ $ ! - # . + ' ~ _; no e-mail address."),
        );
    }
}

/// Requirements of a hash algorithm (docs/auth0/import-schema.md#custom-password-hashes). The schema checks the types
/// of members.
struct Algorithm {
    name: &'static str,
    /// Allowed encodings of the hash. If `utf8` is the only one, the encoding may be omitted.
    encodings: &'static [&'static str],
    /// Whether a separate salt is allowed.
    salt: bool,
    /// The required form of a hash in `utf8`; `None` if any is allowed.
    form: Option<HashForm>,
}

/// A predicate, and a description of the values that satisfy it.
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

/// Reports a member `value` that does not match its sibling `encoding`.
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

/// Warns if the length of a hash differs from the output length of its algorithm: it can never match a password. Only
/// a warning, because Auth0 accepts such a hash.
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
            Finding::new(path, "HASH_LENGTH", format!("{path} has {length} bytes; its algorithm produces {expected}."))
                .with_hint(
                    "The user cannot sign in with such a hash. Check the algorithm, the encoding, and the value.",
                ),
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
    let is_variant = parts.next() == Some("") && matches!(parts.next(), Some("argon2i" | "argon2d" | "argon2id"));
    let parts: Vec<&str> = parts.collect();
    let rest = match parts.as_slice() {
        [version, rest @ ..] if version.strip_prefix("v=").is_some_and(is_number) => rest,
        rest => rest,
    };
    is_variant
        && matches!(rest, [settings, salt, hash] if has_settings(settings, &["m", "t", "p"], true) && is_phc_base64(salt) && is_phc_base64(hash))
}

/// `$pbkdf2-<digest>$i=…,l=…$salt$hash`; iterations and length may be omitted.
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

/// Returns whether `text` is a comma-separated list of `name=number`, each name from `names` and at most once; with
/// `all` every name must be present.
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
