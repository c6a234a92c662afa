//! Connections, and which of them take an import (docs/auth0/management-api.md#connections).

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use super::client::{ManagementClient, Query, encode};
use super::model::Connection;
use crate::error::{Code, Error, Result, Upstream};

/// Connections a page: the most there can be.
const PAGE: usize = 100;

/// How many connections pages by number reach.
const REACH: usize = 1000;

/// What is asked for. Of `options` only two switches are kept: the rest may hold scripts and secrets
/// (docs/auth0/management-api.md#value-patterns).
const FIELDS: &str = "id,name,strategy,options";

/// A connection as Auth0 sends it.
#[derive(Deserialize)]
struct Row {
    id: String,
    name: String,
    #[serde(default)]
    strategy: String,
    #[serde(default)]
    options: Option<Options>,
}

#[derive(Deserialize)]
struct Options {
    #[serde(default, rename = "enabledDatabaseCustomization")]
    custom: Value,
    #[serde(default)]
    import_mode: Value,
}

/// The three shapes of an answer: plain, with totals, with a checkpoint.
#[derive(Deserialize)]
#[serde(untagged)]
enum Page {
    Plain(Vec<Row>),
    Object {
        connections: Vec<Row>,
        #[serde(default)]
        total: Option<usize>,
        #[serde(default)]
        next: Option<String>,
    },
}

/// The applications of a connection; only whether there is one matters.
#[derive(Deserialize)]
struct Clients {
    clients: Vec<serde::de::IgnoredAny>,
}

impl From<Row> for Connection {
    fn from(row: Row) -> Self {
        let custom = row.options.as_ref().is_some_and(|options| options.custom == Value::Bool(true));
        let import_mode = row.options.as_ref().is_some_and(|options| options.import_mode == Value::Bool(true));
        let unusable = if row.strategy != "auth0" {
            Some(format!(
                "Users can be imported into database connections only; the strategy of this one is {:?}. Choose one from Authentication > Database.",
                row.strategy
            ))
        } else if custom && !import_mode {
            Some(
                "It uses a custom database without import mode. Switch on \"Import Users to Auth0\" in its settings under Authentication > Database."
                    .to_owned(),
            )
        } else {
            None
        };
        Self { id: row.id, name: row.name, strategy: row.strategy, unusable }
    }
}

impl ManagementClient {
    /// All connections, of one strategy or of all, on every page. [`Connection::unusable`] tells what
    /// the connection itself shows; whether an application may use it takes a request more, see
    /// [`importable`](Self::importable).
    pub async fn connections(&self, strategy: Option<&str>) -> Result<Vec<Connection>> {
        let mut found = Found::default();
        for page in 0..REACH / PAGE {
            let query = listing(strategy)
                .add("per_page", &PAGE.to_string())
                .add("page", &page.to_string())
                .add("include_totals", "true");
            let (rows, total) = match self.get("/connections", query.url(self)).await? {
                Page::Plain(rows) => (rows, None),
                Page::Object { connections, total, .. } => (connections, total),
            };
            let length = rows.len();
            found.add(rows);
            let last = match total {
                Some(total) => length == 0 || (found.connections.len() >= total && total < REACH),
                None => length < PAGE,
            };
            if last {
                return Ok(found.connections);
            }
        }
        // There may be more than pages by number reach. Their order may differ between the two ways, so
        // begin again.
        let mut from: Option<String> = None;
        loop {
            let mut query = listing(strategy).add("take", &PAGE.to_string());
            if let Some(from) = &from {
                query = query.add("from", from);
            }
            let (rows, next) = match self.get("/connections", query.url(self)).await? {
                Page::Plain(rows) => (rows, None),
                Page::Object { connections, next, .. } => (connections, next),
            };
            found.add(rows);
            match next {
                None => return Ok(found.connections),
                Some(next) if Some(&next) == from.as_ref() => {
                    let message = format!("{} repeats a page of GET /connections", self.host().host());
                    return Err(Error::new(Code::Auth0Answer, message));
                }
                Some(next) => from = Some(next),
            }
        }
    }

    /// The connection with this id or, failing that, this name. Fails with `Code::ConnectionNotFound`.
    pub async fn connection(&self, name_or_id: &str) -> Result<Connection> {
        if is_id(name_or_id) {
            let query =
                Query::new(&format!("/connections/{name_or_id}")).add("fields", FIELDS).add("include_fields", "true");
            match self.get::<Row>("/connections/{id}", query.url(self)).await {
                Err(error) if error.status() == 404 => {}
                other => return other.map(Connection::from),
            }
        }
        let query = listing(None).add("name", name_or_id).add("per_page", "1").add("page", "0");
        let rows = match self.get("/connections", query.url(self)).await? {
            Page::Plain(rows) | Page::Object { connections: rows, .. } => rows,
        };
        rows.into_iter().find(|row| row.name == name_or_id).map(Connection::from).ok_or_else(|| {
            let message = format!("There is no connection {name_or_id:?} in {}.", self.host().host());
            Error::new(Code::ConnectionNotFound, message)
        })
    }

    /// The connection with this id, if users can be imported into it. Fails as Auth0 itself would answer an import
    /// (docs/auth0/management-api.md#error-answers, docs/auth0/jobs.md#imports), but before a file is sent, and with
    /// what to change.
    pub async fn importable_connection(&self, id: &str) -> Result<Connection> {
        if !is_id(id) {
            let message = "Payload validation error: 'String does not match pattern ^con_[A-Za-z0-9]{16}$' on property connection_id (The id of the connection to which users will be imported).";
            return Err(refusal(message, "invalid_body")
                .with_hint("Choose a connection by its id; GET /api/connections lists them."));
        }
        let connection = match self.connection(id).await {
            Err(error) if error.code == Code::ConnectionNotFound => {
                let hint = error.hint.unwrap_or_default();
                return Err(refusal("The connection does not exist.", "inexistent_connection").with_hint(hint));
            }
            other => other?,
        };
        let Some(hint) = self.importable(&connection).await? else {
            return Ok(connection);
        };
        let error = if connection.strategy != "auth0" {
            refusal("Connection must be a database connection", "operation_not_supported")
        } else if connection.unusable.is_some() {
            refusal("Custom Database Connections without import mode are not allowed.", "operation_not_supported")
        } else {
            refusal("Connection must be enabled.", "connection_is_disabled")
        };
        Err(error.with_hint(hint))
    }

    /// Why users cannot be imported into a connection, with what to change; `None` when they can be, or
    /// when Auth0 does not let this client see whether an application may use it.
    pub async fn importable(&self, connection: &Connection) -> Result<Option<String>> {
        if connection.unusable.is_some() {
            return Ok(connection.unusable.clone());
        }
        let query = Query::new(&format!("/connections/{}/clients", encode(&connection.id))).add("take", "1");
        match self.get::<Clients>("/connections/{id}/clients", query.url(self)).await {
            Ok(Clients { clients }) if clients.is_empty() => Ok(Some(format!(
                "No application may use it. Enable at least one under Authentication > Database > {} > Applications.",
                connection.name
            ))),
            Ok(_) => Ok(None),
            // Not every tenant and not every grant offers this list; Auth0 itself refuses the import then.
            Err(error) if matches!(error.status(), 403 | 404) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Auth0's own words for a connection that takes no import.
fn refusal(message: &str, code: &str) -> Error {
    Error::refused(Upstream {
        status_code: 400,
        error: "Bad Request".to_owned(),
        message: message.to_owned(),
        error_code: Some(code.to_owned()),
    })
}

/// The search query for the users of a connection, by its name (docs/auth0/search-syntax.md).
pub fn connection_query(name: &str) -> String {
    let name = name.replace('\\', "\\\\").replace('"', "\\\"");
    format!("identities.connection:\"{name}\"")
}

fn listing(strategy: Option<&str>) -> Query {
    let query = Query::new("/connections").add("fields", FIELDS).add("include_fields", "true");
    match strategy {
        Some(strategy) => query.add("strategy", strategy),
        None => query,
    }
}

/// The pattern of a connection's id (docs/auth0/README.md#constants).
fn is_id(text: &str) -> bool {
    text.strip_prefix("con_")
        .is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Connections so far; pages overlap when connections come and go meanwhile.
#[derive(Default)]
struct Found {
    connections: Vec<Connection>,
    ids: HashSet<String>,
}

impl Found {
    fn add(&mut self, rows: Vec<Row>) {
        for row in rows {
            if self.ids.insert(row.id.clone()) {
                self.connections.push(row.into());
            }
        }
    }
}
