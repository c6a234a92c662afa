//! Fixtures and helpers that several targets share.

use std::io::{Cursor, Read};
use std::path::Path;

use test_kit::person;
use uie_access::{Admission, Permissions, SignIn};
use uie_core::error::Error;

/// Users as Auth0 exports them, with rare cases: missing and null attributes, several identities, deep and unusual
/// metadata.
pub const USERS: [&str; 4] = [
    r#"{"user_id":"auth0|5f7c8ec7c33c6c004bbafe82","email":"ada@example.com","email_verified":true,"name":"Ada Lovelace","given_name":"Ada","family_name":"Lovelace","nickname":"ada","created_at":"2024-02-29T23:59:59.999Z","updated_at":"2024-12-31T00:00:00.000Z","last_login":"2024-12-31T10:00:00.000Z","last_ip":"10.20.30.40","logins_count":42,"blocked":false,"identities":[{"user_id":"5f7c8ec7c33c6c004bbafe82","provider":"auth0","connection":"Username-Password-Authentication","isSocial":false},{"user_id":"1","provider":"github","connection":"github","isSocial":true,"profileData":{"email_verified":true}}],"app_metadata":{"plan":"pro","seats":5,"roles":["admin","editor"],"a.b":{"c d":1e3}},"user_metadata":{"favourite colour":"dark \"red\"","list":[1,"two",null,{"x":[[]]}]}}"#,
    r#"{"user_id":"auth0|2","email":"B.OB@EXAMPLE.org","name":null,"logins_count":0,"created_at":"1970-01-01","app_metadata":{},"identities":[],"user_metadata":{"0":"zero","1":-0.5,"length":3,"t":"İSTANBUL ß \ud83d\ude00"}}"#,
    r#"{"user_id":"google-oauth2|3","email":"c@d","username":"c","phone_number":"+15551234567","phone_verified":true,"multifactor":["guardian"],"last_login":"not a date","logins_count":-1.5,"app_metadata":[1,2,3],"user_metadata":"text"}"#,
    "{}",
];

/// Splits an input at NUL bytes into `N` parts. The last part takes the rest; missing parts are empty.
pub fn split_at_nul<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut parts = data.splitn(N, |byte| *byte == 0);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

/// Asserts that an error has a message and a JSON body, and that its `^` is under the quoted line.
pub fn assert_displayable(error: &Error) {
    let body = serde_json::to_string(&error.body()).expect("an error is JSON");
    assert!(!body.is_empty() && !error.message.to_string().is_empty(), "an error without a message");
    let message = error.message.to_string();
    let mut lines = message.lines().rev();
    let Some(("", place)) = lines.next().and_then(|line| line.split_once("  ")).filter(|(_, rest)| rest.ends_with('^'))
    else {
        return;
    };
    if place.trim_start() != "^" {
        return;
    }
    let line = lines.next().and_then(|line| line.strip_prefix("  ")).expect("a line above the caret");
    // A character is at most two columns wide; the caret may be behind the last one.
    assert!(place.len() <= 2 * line.chars().count() + 1, "the caret is not under the line: {}", error.message);
}

/// Returns a directory for temporary files, in memory if possible, because some targets open thousands of files.
pub fn temp_root() -> &'static Path {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory } else { Path::new("/tmp") }
}

/// A reader that returns a limited number of bytes per call, like a pipe.
pub struct ChunkedReader {
    bytes: Cursor<Vec<u8>>,
    step: usize,
}

impl ChunkedReader {
    /// Returns at most `step` bytes per call; without a limit if `step` is 0.
    pub fn new(bytes: &[u8], step: usize) -> Self {
        Self { bytes: Cursor::new(bytes.to_vec()), step }
    }
}

impl Read for ChunkedReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = if self.step == 0 { buffer.len() } else { buffer.len().min(self.step) };
        self.bytes.read(&mut buffer[..most])
    }
}

/// Returns a sign-in with all permissions that does not expire.
pub fn sign_in(admission: Admission) -> SignIn {
    let expires_at = jiff::Timestamp::MAX;
    SignIn { expires_at, admission, ..person("ada", None, Permissions::all()) }
}
