//! Directories: OpenLDAP, 389 Directory Server, FreeIPA and Active Directory, as LDIF, as JSON of its converters, or as
//! CSV (`csvde`, `Get-ADUser | Export-Csv`).
//!
//! Sources: RFC 4519, RFC 2798 (`inetOrgPerson`), RFC 2307 (`userPassword`), RFC 4530 (`entryUUID`); `pw-pbkdf2.c` and
//! `slapd-pw-argon2` of OpenLDAP; `pbkdf2_pwd.c` of 389 Directory Server; MS-ADTS, section 2.2.16
//! (`userAccountControl`).

use serde_json::{Map, Value, json};

use crate::bits::{base64, hex, to_hex};
use crate::converted::{Converted, LossKind};
use crate::field::{Convert, Field, PLAIN_PASSWORD, UNKNOWN_HASH, field, skip, text};
use crate::hash::{self, Hash};
use crate::row;
use crate::source::{SOURCE, Source};
use crate::table_export::LOCKED;

pub(crate) static LDAP: Source = Source {
    name: "ldap",
    title: "LDAP, Active Directory",
    signatures: &[
        &["dn", "objectClass"],
        &["dn", "objectClass", "cn", "sn"],
        &["dn", "mail", "cn"],
        &["dn", "mail", "uid"],
        &["dn", "mail", "sn"],
        &["dn", "mail", "userPassword"],
        &["dn", "mail", "sAMAccountName"],
        // JSON of the Python library ldap3.
        &["dn", "attributes.objectClass"],
        &["dn", "attributes.mail", "attributes.cn"],
        &["dn", "userPrincipalName"],
        &["dn", "sAMAccountName"],
        &["sAMAccountName", "userAccountControl"],
        &["sAMAccountName", "objectGUID", "objectClass", "userPrincipalName"],
    ],
    fields: FIELDS,
    rename: Some(rename),
    prepare: Some(unwrap_lists),
    finish: Some(finish),
    ..SOURCE
};

const FIELDS: &[Field] = &[
    text("entryUUID", "user_id"),
    text("objectGUID", "user_id"),
    text("nsUniqueId", "user_id"),
    text("ipaUniqueID", "user_id"),
    text("mail", "email"),
    text("displayName", "name"),
    text("cn", "name"),
    text("name", "name"),
    text("givenName", "given_name"),
    text("sn", "family_name"),
    field("mobile", "phone_number", Convert::Phone),
    text("preferredLanguage", "user_metadata.locale"),
    text("initials", "user_metadata.initials"),
    text("labeledURI", "user_metadata.website"),
    text("l", "user_metadata.city"),
    text("st", "user_metadata.state"),
    text("postalCode", "user_metadata.postal_code"),
    text("street", "user_metadata.street"),
    text("streetAddress", "user_metadata.street"),
    text("c", "user_metadata.country"),
    text("co", "user_metadata.country"),
    text("homePhone", "user_metadata.home_phone"),
    // The company decides about these.
    text("telephoneNumber", "app_metadata.office_phone"),
    text("title", "app_metadata.title"),
    text("o", "app_metadata.organization"),
    text("company", "app_metadata.organization"),
    text("ou", "app_metadata.organizational_unit"),
    text("department", "app_metadata.department"),
    text("departmentNumber", "app_metadata.department_number"),
    text("employeeNumber", "app_metadata.employee_number"),
    text("employeeID", "app_metadata.employee_number"),
    text("employeeType", "app_metadata.employee_type"),
    text("businessCategory", "app_metadata.business_category"),
    text("physicalDeliveryOfficeName", "app_metadata.office"),
    text("roomNumber", "app_metadata.room_number"),
    text("manager", "app_metadata.manager"),
    field("memberOf", "app_metadata.groups", Convert::Value),
    skip("dn"),
    skip("attributes"),
    skip("raw"),
    skip("otherMailbox"),
    skip("uid"),
    skip("sAMAccountName"),
    skip("userPrincipalName"),
    skip("userPassword"),
    skip("sambaNTPassword"),
    skip("userAccountControl"),
    skip("nsAccountLock"),
    skip("pwdAccountLockedTime"),
    skip("Enabled"),
    skip("objectClass"),
    skip("objectCategory"),
    // Other forms of the password, keys and certificates.
    skip("unicodePwd"),
    skip("sambaLMPassword"),
    skip("sambaPasswordHistory"),
    skip("krbPrincipalKey"),
    skip("krb*"),
    skip("ipaNTHash"),
    skip("pwd*"),
    skip("userCertificate*"),
    skip("userSMIMECertificate*"),
    skip("sshPublicKey"),
    skip("jpegPhoto*"),
    skip("thumbnailPhoto*"),
    // Attributes of the directory and of operating systems.
    skip("entry*"),
    skip("structuralObjectClass"),
    skip("subschemaSubentry"),
    skip("hasSubordinates"),
    skip("creatorsName"),
    skip("modifiersName"),
    skip("createTimestamp"),
    skip("modifyTimestamp"),
    skip("whenCreated"),
    skip("whenChanged"),
    skip("uSN*"),
    skip("instanceType"),
    skip("dSCorePropagationData*"),
    skip("badPwdCount"),
    skip("badPasswordTime"),
    skip("lastLogon*"),
    skip("lastLogoff"),
    skip("logonCount"),
    skip("accountExpires"),
    skip("codePage"),
    skip("countryCode"),
    skip("primaryGroupID"),
    skip("objectSid*"),
    skip("SID"),
    skip("sAMAccountType"),
    skip("msDS-*"),
    skip("uidNumber"),
    skip("gidNumber"),
    skip("homeDirectory"),
    skip("loginShell"),
    skip("gecos"),
    skip("shadow*"),
    skip("samba*"),
];

/// Names in other forms: long names of RFC 4519, and properties of PowerShell's `Get-ADUser`.
const SYNONYMS: &[(&str, &str)] = &[
    ("distinguishedname", "dn"),
    ("commonname", "cn"),
    ("surname", "sn"),
    ("gn", "givenName"),
    ("rfc822mailbox", "mail"),
    ("emailaddress", "mail"),
    ("userid", "uid"),
    ("localityname", "l"),
    ("city", "l"),
    ("stateorprovincename", "st"),
    ("organizationname", "o"),
    ("organizationalunitname", "ou"),
    ("mobiletelephonenumber", "mobile"),
    ("mobilephone", "mobile"),
    ("officephone", "telephoneNumber"),
    ("office", "physicalDeliveryOfficeName"),
    ("objectguid;base64", "objectGUID"),
];

/// Names of attributes are written in any case; returns that of the table.
fn rename(name: &str) -> Option<String> {
    let synonym = SYNONYMS.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, name)| *name);
    let known = || FIELDS.iter().map(|field| field.from).find(|known| known.eq_ignore_ascii_case(name));
    synonym.or_else(known).map(str::to_owned)
}

/// Attributes with a meaning as a list.
const LISTS: [&str; 3] = ["memberOf", "userPassword", "mail"];

/// Moves attributes in an object of their own to the entry, and takes the first value of attributes that have several,
/// except for lists.
fn unwrap_lists(entry: &mut Map<String, Value>) {
    if let Some(Value::Object(attributes)) = entry.remove("attributes") {
        for (name, value) in attributes {
            entry.insert(rename(&name).unwrap_or(name), value);
        }
    }
    for (name, value) in entry.iter_mut() {
        if name == "memberOf" {
            if value.is_string() {
                *value = json!([value.take()]);
            }
        } else if let Value::Array(items) = value
            && (items.len() == 1 || !LISTS.contains(&name.as_str()))
        {
            *value = if items.is_empty() { Value::Null } else { items.swap_remove(0) };
        }
    }
    if let Some(id) = row::text(entry, "objectGUID") {
        match guid(&id) {
            Some(id) => entry.insert("objectGUID".to_owned(), id.into()),
            None => entry.remove("objectGUID"),
        };
    }
    if let Some(Value::Array(addresses)) = entry.get("mail").cloned() {
        let mut addresses = addresses.into_iter();
        entry.insert("mail".to_owned(), addresses.next().unwrap_or(Value::Null));
        entry.insert("otherMailbox".to_owned(), addresses.collect());
    }
}

/// Bit of `userAccountControl` for a disabled account.
const ACCOUNT_DISABLED: u64 = 2;

/// Value of OpenLDAP's `pwdAccountLockedTime` for an account that an administrator has locked.
const LOCKED_BY_ADMINISTRATOR: &str = "000001010000Z";

fn finish(entry: &Map<String, Value>, converted: &mut Converted) {
    let sign_in_names = ["userPrincipalName", "uid", "sAMAccountName"].map(|name| row::text(entry, name));
    if let Some(address) = sign_in_names.iter().flatten().find(|name| name.contains('@')) {
        converted.set("email", address.clone().into());
    }
    if let Some(name) = sign_in_names.into_iter().skip(1).flatten().find(|name| !name.contains('@')) {
        converted.set("user_metadata.username", name.into());
    }
    if let Some(Value::Array(addresses)) = entry.get("otherMailbox") {
        converted.set("app_metadata.other_emails", addresses.clone().into());
    }
    set_password(entry, converted);
    let is_disabled = row::number(entry, "userAccountControl").is_some_and(|flags| flags & ACCOUNT_DISABLED != 0)
        || row::boolean(entry, "Enabled") == Some(false)
        || row::boolean(entry, "nsAccountLock") == Some(true);
    let locked = row::text(entry, "pwdAccountLockedTime");
    if is_disabled || locked.as_deref() == Some(LOCKED_BY_ADMINISTRATOR) {
        converted.set("blocked", true.into());
    } else if locked.is_some() {
        converted.set("blocked", true.into());
        converted.lose(&LOCKED, "blocked");
    }
}

/// Takes the first password of the entry that Auth0 can check.
fn set_password(entry: &Map<String, Value>, converted: &mut Converted) {
    let texts: Vec<String> = match entry.get("userPassword") {
        Some(Value::Array(items)) => items.iter().filter_map(text_of_bytes).collect(),
        Some(value) => text_of_bytes(value).into_iter().collect(),
        None => Vec::new(),
    };
    let mut reason: Option<&'static LossKind> = None;
    for hash in texts.iter().map(|text| password(text)).chain(nt_hash(entry)) {
        match hash {
            Ok(hash) => return converted.set_password(Ok(hash)),
            Err(kind) => reason = reason.or(Some(kind)),
        }
    }
    if let Some(kind) = reason {
        converted.set_password(Err(kind));
    }
}

/// Returns a value as text; ldap3 writes bytes as `{"encoding": "base64", "encoded": "…"}`.
fn text_of_bytes(value: &Value) -> Option<String> {
    row::text_of(value.get("encoded").unwrap_or(value))
}

/// Returns the hash of a value of `userPassword`: `{SCHEME}…`, perhaps still in the Base64 of LDIF.
fn password(text: &str) -> Hash {
    let decoded = base64(text).and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| text.starts_with('{'));
    let text = decoded.as_deref().unwrap_or(text);
    let Some((scheme, rest)) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return Err(&PLAIN_PASSWORD);
    };
    match scheme.to_ascii_uppercase().as_str() {
        "PBKDF2" | "PBKDF2-SHA1" => pbkdf2("sha1", rest),
        "PBKDF2-SHA256" => pbkdf2("sha256", rest),
        "PBKDF2-SHA512" => pbkdf2("sha512", rest),
        "PBKDF2_SHA256" => pbkdf2_of_389(rest),
        _ => hash::self_describing(text),
    }
}

/// Returns a hash of PBKDF2, `rounds$salt$hash`, in Base64 or the adapted Base64 of passlib with `.` for `+`.
fn pbkdf2(digest: &str, text: &str) -> Hash {
    let mut parts = text.split('$');
    let (Some(rounds), Some(salt), Some(value), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(&UNKNOWN_HASH);
    };
    let rounds = rounds.parse().map_err(|_| &UNKNOWN_HASH)?;
    let bytes = |text: &str| base64(&text.replace('.', "+")).ok_or(&UNKNOWN_HASH);
    hash::pbkdf2(digest, rounds, &bytes(salt)?, &bytes(value)?)
}

/// Returns the hash of `{PBKDF2_SHA256}` of 389 Directory Server: rounds (4 bytes, the highest first), a salt of 64
/// bytes, and a hash of 256 bytes.
fn pbkdf2_of_389(text: &str) -> Hash {
    let bytes = base64(text).ok_or(&UNKNOWN_HASH)?;
    let parts = bytes.split_first_chunk().and_then(|(rounds, rest)| Some((*rounds, rest.split_at_checked(64)?)));
    match parts {
        Some((rounds, (salt, value))) if value.len() == 256 => {
            hash::pbkdf2("sha256", u32::from_be_bytes(rounds).into(), salt, value)
        }
        _ => Err(&UNKNOWN_HASH),
    }
}

/// Returns the hash of `sambaNTPassword`: MD4 of the password in UTF-16, with which Windows and Samba sign users in.
fn nt_hash(entry: &Map<String, Value>) -> Option<Hash> {
    let bytes = hex(&row::text(entry, "sambaNTPassword")?)?;
    if bytes.len() != 16 {
        return None;
    }
    Some(Ok(json!({
        "algorithm": "md4",
        "hash": { "value": to_hex(&bytes), "encoding": "hex" },
        "password": { "encoding": "utf16le" },
    })))
}

/// Returns the id of a value of `objectGUID`: text, or 16 bytes as Base64 or as `X'…'` of `csvde`, whose first three
/// groups have their lowest byte first. `None` for other values.
fn guid(text: &str) -> Option<String> {
    let text = text.trim_matches(['{', '}']);
    if text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) {
        let id = text.to_ascii_lowercase();
        return id.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit()).then_some(id);
    }
    let quoted = text.strip_prefix(['X', 'x']).and_then(|text| text.strip_prefix('\'')?.strip_suffix('\''));
    let bytes: [u8; 16] = match quoted {
        Some(digits) => hex(digits)?,
        None => base64(text)?,
    }
    .try_into()
    .ok()?;
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15].map(|at: usize| bytes.get(at).copied());
    let mut id = to_hex(&order.into_iter().flatten().collect::<Vec<u8>>());
    for at in [20, 16, 12, 8] {
        id.insert(at, '-');
    }
    Some(id)
}
