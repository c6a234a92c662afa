//! The plan of an export: decided, and shown in plain words, before anything is read (design, section 7).

use std::fmt;

use super::ExportSpec;
use crate::auth0::{ExportField, ExportJobRequest, JobFormat, ManagementClient, UserSearch};
use crate::error::Result;
use crate::expression::Kind;
use crate::user::ATTRIBUTES;

/// Auth0 stops counting, and answering, here (contract, 4.4).
pub(super) const SEARCH_CAP: u64 = 1000;

/// Users a page; the most Auth0 gives.
pub(super) const PAGE: u32 = 100;

/// Where the users come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file.
    File,
    /// Pages of one search that finds fewer than 1000 users.
    Search,
    /// Many searches, each for the users created in one span of time, since a single one would stop at
    /// 1000 users.
    SplitSearch,
    /// An export job inside Auth0.
    Job(ExportJobRequest),
}

/// How many users there will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nobody knows before the end.
    Unknown,
    /// Auth0 counted them.
    Exactly(u64),
    /// Auth0 stopped counting here.
    AtLeast(u64),
}

/// What an export is going to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the users come from.
    pub source: Source,
    /// How many users there will be, before `limit`.
    pub expected: Expected,
    /// The Lucene query sent with every search; empty for all users.
    pub query: String,
    /// Root attributes asked for; none for whole users.
    pub attributes: Option<Vec<String>>,
    /// At least so many requests to the Management API, where that can be told.
    pub requests: Option<u64>,
    /// At most so many users are written.
    pub limit: Option<u64>,
    /// The columns: name, kind and expression, secrets hidden; none for whole users.
    pub columns: Vec<(String, Kind, String)>,
    /// The expression that rows are sorted by, and whether descending.
    pub sort: Option<(String, bool)>,
    /// Name of the only connection whose users are exported.
    pub connection: Option<String>,
}

impl ExportSpec {
    /// The plan for a file.
    pub fn plan_file(&self) -> Plan {
        Plan {
            source: Source::File,
            expected: Expected::Unknown,
            query: String::new(),
            attributes: self.attributes(),
            requests: None,
            limit: self.limit,
            columns: self.columns(),
            sort: self.sort.as_ref().map(|sort| (sort.formula.shown().to_owned(), sort.descending)),
            connection: None,
        }
    }

    /// The plan for a tenant. Asks Auth0 how many users there are.
    pub async fn plan(&self, client: &ManagementClient) -> Result<Plan> {
        let connection = match &self.connection {
            Some(name_or_id) => Some(Box::pin(client.connection(name_or_id)).await?),
            None => None,
        };
        let query = combine(self.query.as_deref(), connection.as_ref().map(|connection| connection.name.as_str()));
        let search =
            UserSearch { q: query.clone(), sort: None, page: 0, per_page: 1, fields: vec!["user_id".to_owned()] };
        let total = Box::pin(client.users(&search)).await?.total;
        let expected = if total < SEARCH_CAP { Expected::Exactly(total) } else { Expected::AtLeast(SEARCH_CAP) };
        let attributes = self.attributes();
        let (source, requests) = match (&self.query, expected) {
            (Some(_), Expected::Exactly(total)) => (Source::Search, 1 + total.div_ceil(u64::from(PAGE))),
            (None, _) if attributes.iter().flatten().all(|name| can_be_a_field(name)) => {
                // Rows the preset drops must not count, so that only we can limit then.
                let limit = self.limit.filter(|_| self.sort.is_none() && self.writes_every_user());
                let request = ExportJobRequest {
                    connection_id: connection.as_ref().map(|connection| connection.id.clone()),
                    format: JobFormat::Json,
                    limit,
                    fields: job_fields(attributes.as_deref()),
                };
                (Source::Job(request), 4)
            }
            _ => (Source::SplitSearch, 3 + total.div_ceil(u64::from(PAGE))),
        };
        Ok(Plan {
            source,
            query,
            requests: Some(requests + u64::from(connection.is_some())),
            connection: connection.map(|connection| connection.name),
            expected,
            attributes,
            ..self.plan_file()
        })
    }

    fn columns(&self) -> Vec<(String, Kind, String)> {
        let columns = self.encoder.shape.columns().iter();
        columns.map(|column| (column.name.clone(), column.formula.kind(), column.formula.shown().to_owned())).collect()
    }

    fn attributes(&self) -> Option<Vec<String>> {
        if self.writes_whole_users() {
            return None;
        }
        self.wanted.attributes().map(|names| names.into_iter().map(str::to_owned).collect())
    }
}

impl Plan {
    /// How many rows there will be, where that is known.
    pub fn rows(&self) -> Option<u64> {
        match self.expected {
            Expected::Exactly(users) => Some(self.limit.map_or(users, |limit| users.min(limit))),
            Expected::Unknown | Expected::AtLeast(_) => None,
        }
    }

    /// The same plan without an export job, for a tenant that refuses them.
    pub(super) fn without_job(mut self) -> Self {
        self.source = match self.expected {
            Expected::Exactly(_) => Source::Search,
            Expected::Unknown | Expected::AtLeast(_) => Source::SplitSearch,
        };
        self
    }

    /// The `fields` of a search that needs some attributes for itself; empty for whole users.
    pub(super) fn search_fields(&self, own: &[&str]) -> Vec<String> {
        let Some(attributes) = &self.attributes else { return Vec::new() };
        // A comma would separate two fields, and a dot leads into an object.
        if !attributes.iter().all(|name| can_be_a_field(name)) {
            return Vec::new();
        }
        let mut fields = attributes.clone();
        for name in own {
            if !fields.iter().any(|field| field == name) {
                fields.push((*name).to_owned());
            }
        }
        fields
    }
}

/// Whether a root attribute can be named where Auth0 expects dotted paths (contract, 4.7).
fn can_be_a_field(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// What a job exports; always sent, since Auth0's default is not published (contract, 11.4).
fn job_fields(attributes: Option<&[String]>) -> Vec<ExportField> {
    let field = |name: &str| ExportField { name: name.to_owned(), export_as: None };
    match attributes {
        Some([]) => vec![field("user_id")],
        Some(names) => names.iter().map(|name| field(name)).collect(),
        None => {
            ATTRIBUTES.iter().filter(|attribute| attribute.exportable).map(|attribute| field(attribute.name)).collect()
        }
    }
}

/// A query that also asks for a connection.
pub(super) fn combine(query: Option<&str>, connection: Option<&str>) -> String {
    let connection = connection.map(|name| {
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        format!("identities.connection:\"{quoted}\"")
    });
    match (query, connection) {
        (Some(query), Some(connection)) => format!("({query}) AND {connection}"),
        (Some(query), None) => query.to_owned(),
        (None, Some(connection)) => connection,
        (None, None) => String::new(),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::File => "the file, read once from its start to its end",
            Source::Search => "Auth0's search, 100 users a page",
            Source::SplitSearch => {
                "Auth0's search, split by created_at into spans with fewer than 1000 users, 100 users a page"
            }
            Source::Job(_) => "an export job inside Auth0, then its file",
        };
        writeln!(f, "Source:     {source}")?;
        match self.expected {
            Expected::Unknown => writeln!(f, "Users:      not known before the end")?,
            Expected::Exactly(users) => writeln!(f, "Users:      {users}")?,
            Expected::AtLeast(users) => writeln!(f, "Users:      {users} or more (Auth0 stops counting there)")?,
        }
        if let Some(connection) = &self.connection {
            writeln!(f, "Connection: {connection}")?;
        }
        if !self.query.is_empty() && !matches!(self.source, Source::Job(_)) {
            writeln!(f, "Filter:     {} (by Auth0)", self.query)?;
        }
        match &self.attributes {
            None => writeln!(f, "Attributes: all")?,
            Some(names) if names.is_empty() => writeln!(f, "Attributes: none")?,
            Some(names) => writeln!(f, "Attributes: {}", names.join(", "))?,
        }
        for (at, (name, kind, expression)) in self.columns.iter().enumerate() {
            let title = if at == 0 { "Columns:" } else { "" };
            let kind = match kind {
                Kind::Path => "path",
                Kind::Transform => "transform",
                Kind::JavaScript => "JavaScript",
            };
            if name == expression {
                writeln!(f, "{title:<12}{kind} {expression}")?;
            } else {
                writeln!(f, "{title:<12}{name}: {kind} {expression}")?;
            }
        }
        match &self.sort {
            Some((by, descending)) => {
                writeln!(f, "Sort:       by {by}, {} (here)", if *descending { "descending" } else { "ascending" })?;
            }
            None => writeln!(f, "Sort:       none, as they come")?,
        }
        match (self.limit, &self.source) {
            (Some(limit), Source::Job(request)) if request.limit.is_some() => {
                writeln!(f, "Limit:      {limit} users (by Auth0)")?;
            }
            (Some(limit), _) => writeln!(f, "Limit:      {limit} users (here)")?,
            (None, _) => {}
        }
        if let Some(requests) = self.requests {
            let unit = if requests == 1 { "request" } else { "requests" };
            match self.source {
                Source::Search | Source::File => writeln!(f, "Requests:   {requests} {unit} to Auth0")?,
                Source::SplitSearch => writeln!(f, "Requests:   {requests} or more to Auth0")?,
                Source::Job(_) => {
                    writeln!(
                        f,
                        "Requests:   {requests} or more to Auth0: one every 1 to 5 seconds while the job runs"
                    )?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_narrows_a_query() {
        assert_eq!(
            combine(Some("a:1 OR b:2"), Some("my \"db\"")),
            r#"(a:1 OR b:2) AND identities.connection:"my \"db\"""#
        );
        assert_eq!(combine(None, Some("db")), r#"identities.connection:"db""#);
        assert_eq!(combine(Some("a:1"), None), "a:1");
    }

    #[test]
    fn attributes_that_look_like_paths_cannot_be_asked_for() {
        assert!(can_be_a_field("user_metadata"));
        for name in ["https://claims/x", "a.b", "a[0]", "a,b", ""] {
            assert!(!can_be_a_field(name), "{name}");
        }
    }
}
