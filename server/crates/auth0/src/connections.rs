//! Lists connections and decides which of them users can be imported into (docs/auth0/management-api.md#connections).

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use super::client::{ApiUrl, ManagementClient, encode};
use super::model::Connection;
use uie_core::error::{Code, Error, Result, Upstream};
use uie_core::message::{Message, message};

/// Connections per page: Auth0's maximum.
const PAGE_SIZE: usize = 100;

/// Number of connections that can be read by page number; more need a checkpoint (`from`, `take`).
const MAX_PAGED: usize = 1000;

/// Requested members. Only two switches of `options` are kept, because the rest may hold scripts and secrets
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

/// The three shapes of a response: an array, an object with a total, an object with a checkpoint.
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

/// The applications of a connection; only whether the list is empty is used.
#[derive(Deserialize)]
struct Clients {
    clients: Vec<serde::de::IgnoredAny>,
}

impl From<Row> for Connection {
    fn from(row: Row) -> Self {
        let custom = row.options.as_ref().is_some_and(|options| options.custom == Value::Bool(true));
        let import_mode = row.options.as_ref().is_some_and(|options| options.import_mode == Value::Bool(true));
        let unusable = if row.strategy != "auth0" {
            Some(message!(
                "Users can be imported into database connections only; the strategy of this one is {strategy:?}. Choose one from Authentication > Database.",
                strategy = row.strategy
            ))
        } else if custom && !import_mode {
            Some(message!(
                "It uses a custom database without import mode. Switch on \"Import Users to Auth0\" in its settings under Authentication > Database."
            ))
        } else {
            None
        };
        Self { id: row.id, name: row.name, strategy: row.strategy, unusable }
    }
}

impl ManagementClient {
    /// Returns the connections of one strategy, or of all, from all pages. [`Connection::unusable`] covers the reasons
    /// visible in the connection itself; whether an application may use it needs another request, see
    /// [`importable`](Self::importable).
    pub async fn connections(&self, strategy: Option<&str>) -> Result<Vec<Connection>> {
        let mut found = ConnectionSet::default();
        for page in 0..MAX_PAGED / PAGE_SIZE {
            let query = list_url(strategy)
                .add("per_page", &PAGE_SIZE.to_string())
                .add("page", &page.to_string())
                .add("include_totals", "true");
            let (rows, total) = match self.get("/connections", query.url(self)).await? {
                Page::Plain(rows) => (rows, None),
                Page::Object { connections, total, .. } => (connections, total),
            };
            let length = rows.len();
            found.add(rows);
            let last = match total {
                Some(total) => length == 0 || (found.connections.len() >= total && total < MAX_PAGED),
                None => length < PAGE_SIZE,
            };
            if last {
                return Ok(found.connections);
            }
        }
        // There may be more connections than page numbers can address. The order may differ between page numbers and
        // checkpoints, so start from the beginning.
        let mut from: Option<String> = None;
        loop {
            let mut query = list_url(strategy).add("take", &PAGE_SIZE.to_string());
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
                    let message = message!("{host} repeats a page of GET /connections", host = self.host().host());
                    return Err(Error::new(Code::Auth0Answer, message));
                }
                Some(next) => from = Some(next),
            }
        }
    }

    /// Returns the connection with this id, or else with this name. Fails with `Code::ConnectionNotFound`.
    pub async fn connection(&self, name_or_id: &str) -> Result<Connection> {
        if is_id(name_or_id) {
            let query =
                ApiUrl::new(&format!("/connections/{name_or_id}")).add("fields", FIELDS).add("include_fields", "true");
            match self.get::<Row>("/connections/{id}", query.url(self)).await {
                Err(error) if error.status() == 404 => {}
                other => return other.map(Connection::from),
            }
        }
        let query = list_url(None).add("name", name_or_id).add("per_page", "1").add("page", "0");
        let rows = match self.get("/connections", query.url(self)).await? {
            Page::Plain(rows) | Page::Object { connections: rows, .. } => rows,
        };
        rows.into_iter().find(|row| row.name == name_or_id).map(Connection::from).ok_or_else(|| {
            let message = message!("There is no connection {name_or_id:?} in {host}.", host = self.host().host());
            Error::new(Code::ConnectionNotFound, message)
        })
    }

    /// Returns the connection with this id, if users can be imported into it. Otherwise fails with the error that Auth0
    /// would answer to the import (docs/auth0/management-api.md#error-answers, docs/auth0/jobs.md#imports) and a hint
    /// what to change, before a file is sent.
    pub async fn importable_connection(&self, id: &str) -> Result<Connection> {
        if !is_id(id) {
            let message = "Payload validation error: 'String does not match pattern ^con_[A-Za-z0-9]{16}$' on property connection_id (The id of the connection to which users will be imported).";
            return Err(refused_import(message, "invalid_body")
                .with_hint(message!("Choose a connection by its id; GET /api/connections lists them.")));
        }
        let connection = match self.connection(id).await {
            Err(error) if error.code == Code::ConnectionNotFound => {
                let mut refusal = refused_import("The connection does not exist.", "inexistent_connection");
                refusal.hint = error.hint;
                return Err(refusal);
            }
            other => other?,
        };
        let Some(hint) = self.importable(&connection).await? else {
            return Ok(connection);
        };
        let error = if connection.strategy != "auth0" {
            refused_import("Connection must be a database connection", "operation_not_supported")
        } else if connection.unusable.is_some() {
            refused_import(
                "Custom Database Connections without import mode are not allowed.",
                "operation_not_supported",
            )
        } else {
            refused_import("Connection must be enabled.", "connection_is_disabled")
        };
        Err(error.with_hint(hint))
    }

    /// Returns why users cannot be imported into a connection, and what to change. Returns `None` if they can be, or if
    /// Auth0 does not let this client see whether an application may use the connection.
    pub async fn importable(&self, connection: &Connection) -> Result<Option<Message>> {
        if connection.unusable.is_some() {
            return Ok(connection.unusable.clone());
        }
        let query = ApiUrl::new(&format!("/connections/{}/clients", encode(&connection.id))).add("take", "1");
        match self.get::<Clients>("/connections/{id}/clients", query.url(self)).await {
            Ok(Clients { clients }) if clients.is_empty() => Ok(Some(message!(
                "No application may use it. Enable at least one under Authentication > Database > {name} > Applications.",
                name = connection.name
            ))),
            Ok(_) => Ok(None),
            // Not every tenant and not every grant offers this list. Auth0 itself then refuses the import.
            Err(error) if matches!(error.status(), 403 | 404) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Builds the error with which Auth0 refuses an import into an unsuitable connection.
fn refused_import(message: &str, code: &str) -> Error {
    Error::refused(Upstream {
        status_code: 400,
        error: "Bad Request".to_owned(),
        message: message.to_owned(),
        error_code: Some(code.to_owned()),
    })
}

/// Returns the search query for the users of the connection with this name (docs/auth0/search-syntax.md).
pub fn connection_query(name: &str) -> String {
    let name = name.replace('\\', "\\\\").replace('"', "\\\"");
    format!("identities.connection:\"{name}\"")
}

fn list_url(strategy: Option<&str>) -> ApiUrl {
    let query = ApiUrl::new("/connections").add("fields", FIELDS).add("include_fields", "true");
    match strategy {
        Some(strategy) => query.add("strategy", strategy),
        None => query,
    }
}

/// Returns whether a text has the format of a connection's id (docs/auth0/README.md#constants).
fn is_id(text: &str) -> bool {
    text.strip_prefix("con_")
        .is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Collects connections without duplicates: pages overlap if connections are created or deleted while they are read.
#[derive(Default)]
struct ConnectionSet {
    connections: Vec<Connection>,
    ids: HashSet<String>,
}

impl ConnectionSet {
    fn add(&mut self, rows: Vec<Row>) {
        for row in rows {
            if self.ids.insert(row.id.clone()) {
                self.connections.push(row.into());
            }
        }
    }
}
