//! The tenant's log: what `GET /logs` shows (docs/auth0/logs.md#reading-logs).

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::iso;
use crate::connections::Connection;
use crate::people::Person;
use crate::state::TENANT;

/// Maximum number of entries. Auth0 keeps them for some days instead, depending on the plan.
const MAX_ENTRIES: usize = 100_000;

#[derive(Debug, Default)]
struct Entries {
    written: u64,
    /// In the order of their `log_id`.
    entries: Vec<Value>,
}

/// What happened in the tenant, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Logs(Mutex<Entries>);

impl Logs {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry with the time `date`; ids follow the order of writing. Empty members are omitted: Auth0 writes
    /// them as null, which its own OpenAPI description does not allow.
    fn write(&self, now: i64, date: i64, kind: &str, more: &Value) {
        let mut log = self.lock();
        log.written += 1;
        let second = Timestamp::from_millisecond(now).map(|now| now.strftime("%Y%m%d%H%M%S").to_string());
        let log_id = format!("900{}{:039}", second.unwrap_or_default(), log.written);
        let mut entry = json!({"_id": log_id, "log_id": log_id, "date": iso(date), "type": kind, "isMobile": false});
        for (name, value) in more.as_object().into_iter().flatten() {
            entry[name.as_str()] = value.clone();
        }
        log.entries.push(entry);
        if log.entries.len() > MAX_ENTRIES {
            log.entries.remove(0);
        }
    }

    /// Logs an import that ended: `sui`, or `fui` with a reason.
    pub(crate) fn import(&self, now: i64, date: i64, connection: &Connection, failed: Option<&str>) {
        let kind = if failed.is_some() { "fui" } else { "sui" };
        let more = json!({
            "description": failed,
            "connection": connection.name,
            "connection_id": connection.id,
            "strategy": connection.strategy,
            "details": {"tenant": TENANT, "connection": connection.name},
        });
        self.write(now, date, kind, &more);
    }

    /// Logs a sign-in: `s`.
    pub(crate) fn sign_in(&self, now: i64, person: &Person, client_id: &str, client_name: &str) {
        let more = json!({
            "connection": person.connection,
            "client_id": client_id,
            "client_name": client_name,
            "user_id": person.user_id,
            "user_name": person.email,
        });
        self.write(now, now, "s", &more);
    }

    /// Logs a client credentials exchange: `seccft`.
    pub(crate) fn client_credentials(&self, now: i64, client_id: &str, audience: &str, scope: &str) {
        let more = json!({"client_id": client_id, "audience": audience, "scope": scope});
        self.write(now, now, "seccft", &more);
    }

    /// Returns the entries after a checkpoint, ordered by id; from the beginning if it is empty.
    pub(crate) fn after(&self, from: &str, take: usize) -> Vec<Value> {
        let log = self.lock();
        let start = log.entries.partition_point(|entry| entry["log_id"].as_str() <= Some(from));
        log.entries.iter().skip(start).take(take).cloned().collect()
    }

    /// Every entry.
    pub(crate) fn all(&self) -> Vec<Value> {
        self.lock().entries.clone()
    }

    /// One entry.
    pub(crate) fn get(&self, id: &str) -> Option<Value> {
        let log = self.lock();
        let at = log.entries.binary_search_by(|entry| entry["log_id"].as_str().cmp(&Some(id))).ok()?;
        log.entries.get(at).cloned()
    }
}
