//! ASP.NET Identity and ASP.NET Core Identity: the table `AspNetUsers`.
//!
//! Sources: `IdentityUser` and `PasswordHasher` of dotnet/aspnetcore (the format of `PasswordHash` is described there).
//! Hashes of version 2 have one form; those of version 3 name their digest, rounds and lengths.

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value};

use crate::bits::base64;
use crate::converted::{Converted, LossKind};
use crate::field::{Convert, Field, UNKNOWN_HASH, field, skip, text};
use crate::hash::{self, Hash};
use crate::row;
use crate::source::{SOURCE, Source};
use crate::table_export::{remove_nulls, set_phone, set_user_name};
use uie_core::message::message;

pub(crate) static ASPNET: Source = Source {
    name: "aspnet",
    title: "ASP.NET Identity",
    signatures: &[
        &["PasswordHash", "SecurityStamp", "UserName"],
        &["PasswordHash", "SecurityStamp", "Email"],
        &["PasswordHash", "EmailConfirmed", "AccessFailedCount"],
        &["NormalizedUserName", "NormalizedEmail", "SecurityStamp"],
        &["NormalizedUserName", "NormalizedEmail", "PasswordHash"],
    ],
    fields: FIELDS,
    prepare: Some(remove_nulls),
    finish: Some(finish),
    ..SOURCE
};

const FIELDS: &[Field] = &[
    text("Id", "user_id"),
    text("Email", "email"),
    field("EmailConfirmed", "email_verified", Convert::Boolean),
    skip("PasswordHash"),
    skip("PhoneNumber"),
    skip("PhoneNumberConfirmed"),
    // Columns that applications often add.
    text("FirstName", "given_name"),
    text("GivenName", "given_name"),
    text("LastName", "family_name"),
    text("Surname", "family_name"),
    text("FamilyName", "family_name"),
    text("DisplayName", "name"),
    text("FullName", "name"),
    text("Name", "name"),
    skip("UserName"),
    skip("NormalizedUserName"),
    skip("NormalizedEmail"),
    skip("SecurityStamp"),
    skip("ConcurrencyStamp"),
    skip("TwoFactorEnabled"),
    skip("LockoutEnd"),
    skip("LockoutEndDateUtc"),
    skip("LockoutEnabled"),
    skip("AccessFailedCount"),
    skip("Discriminator"),
];

/// Second factors, whose secrets are in another table.
static TWO_FACTOR_TABLE: LossKind = LossKind {
    code: "TWO_FACTOR_TABLE",
    message: |users| {
        message!(
            "Users with a second factor, whose secret is not in AspNetUsers but in AspNetUserTokens; users: {users}."
        )
    },
    hint: || {
        message!(
            "They are imported without it and must enroll again. To keep it, add the value of the token \
             AuthenticatorKey to the file, and map it to mfa_factors."
        )
    },
};

/// Length of the salt and of the hash of version 2.
const VERSION_2: (usize, usize) = (16, 32);

/// Minimum length of the salt and of the hash of version 3; ASP.NET refuses shorter ones.
const MIN_BYTES: usize = 16;

fn finish(user: &Map<String, Value>, converted: &mut Converted) {
    set_user_name(row::text(user, "UserName"), converted);
    set_phone(row::text(user, "PhoneNumber"), row::boolean(user, "PhoneNumberConfirmed"), converted);
    if let Some(text) = row::text(user, "PasswordHash") {
        converted.set_password(password(&text));
    }
    if row::boolean(user, "TwoFactorEnabled") == Some(true) {
        converted.lose(&TWO_FACTOR_TABLE, "mfa_factors");
    }
    let lockout = row::text(user, "LockoutEnd").or_else(|| row::text(user, "LockoutEndDateUtc"));
    if row::boolean(user, "LockoutEnabled") != Some(false) && lockout.is_some_and(|end| is_permanent(&end)) {
        converted.set("blocked", true.into());
    }
}

/// Returns whether a lockout ends more than a year from now: an administrator has set it, often to the year 9999.
/// Lockouts after failed sign-ins end after minutes.
fn is_permanent(end: &str) -> bool {
    let next_year = Timestamp::now().to_zoned(TimeZone::UTC).year().saturating_add(1);
    let mut numbers = end.split(|c: char| !c.is_ascii_digit()).filter(|number| number.len() == 4);
    numbers.any(|number| number.parse().is_ok_and(|year: i16| year > next_year))
}

/// Returns the hash of `PasswordHash`; a hash of another library names itself.
fn password(text: &str) -> Hash {
    if text.starts_with('$') {
        return hash::self_describing(text);
    }
    match base64(text).as_deref() {
        Some([0, rest @ ..]) if rest.len() == VERSION_2.0 + VERSION_2.1 => {
            let (salt, hash) = rest.split_at_checked(VERSION_2.0).ok_or(&UNKNOWN_HASH)?;
            hash::pbkdf2("sha1", 1000, salt, hash)
        }
        Some([1, rest @ ..]) => version_3(rest).unwrap_or(Err(&UNKNOWN_HASH)),
        _ => Err(&UNKNOWN_HASH),
    }
}

/// Returns the hash of version 3: digest, rounds and length of the salt (each 4 bytes, the highest first), salt, hash.
/// `None` if a part is missing or too short.
fn version_3(bytes: &[u8]) -> Option<Hash> {
    let (digest, rest) = bytes.split_first_chunk()?;
    let (rounds, rest) = rest.split_first_chunk()?;
    let (salt_length, rest) = rest.split_first_chunk()?;
    let digest = match u32::from_be_bytes(*digest) {
        0 => "sha1",
        1 => "sha256",
        2 => "sha512",
        _ => return None,
    };
    let (salt, hash) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*salt_length)).ok()?)?;
    let is_long_enough = salt.len() >= MIN_BYTES && hash.len() >= MIN_BYTES;
    is_long_enough.then(|| hash::pbkdf2(digest, u64::from(u32::from_be_bytes(*rounds)), salt, hash))
}
