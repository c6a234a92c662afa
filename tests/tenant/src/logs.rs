//! The tenant's log: what `GET /logs` shows (docs/auth0/logs.md#reading-logs).

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::iso;
use crate::connections::Connection;
use crate::people::Person;
use crate::state::TENANT;

/// Entries kept; a tenant's plan keeps them for some days instead.
const KEPT: usize = 100_000;

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

    /// Writes an entry: `date` is when it happened, while the id follows the order of writing. Members that
    /// say nothing are left out: Auth0 writes them as null, which its own description does not allow.
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
        if log.entries.len() > KEPT {
            log.entries.remove(0);
        }
    }

    /// An import that ended: `sui`, or with a reason `fui`.
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

    /// Somebody who signed in: `s`.
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

    /// An application that got a token with its credentials: `seccft`.
    pub(crate) fn client_credentials(&self, now: i64, client_id: &str, audience: &str, scope: &str) {
        let more = json!({"client_id": client_id, "audience": audience, "scope": scope});
        self.write(now, now, "seccft", &more);
    }

    /// The entries after a checkpoint, by their ids; from the beginning without one.
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
