//! The plan of an export: decided, and shown in plain words, before anything is read (design, section 7).

use std::fmt;

use super::ExportSpec;
use crate::auth0::{ExportField, ExportJobRequest, JobFormat, ManagementClient, UserSearch};
use crate::error::{Error, Result};
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

/// Who decides which users match the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filtering {
    /// There is no query.
    None,
    /// Auth0's search.
    Auth0,
    /// This program, which reads all users of the source.
    Here {
        /// The query as it was written; none when only the connection counts.
        query: Option<String>,
        /// Why Auth0 cannot; nothing when it could, but finds too many users.
        because: Option<String>,
    },
}

/// What an export is going to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the users come from.
    pub source: Source,
    /// How many users are read, before `limit`.
    pub expected: Expected,
    /// The Lucene query sent with every search; empty for all users.
    pub query: String,
    /// Who decides which users match.
    pub filtering: Filtering,
    /// What the query's writer may not expect.
    pub remarks: Vec<String>,
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
    /// The plan for a file. Fails when only Auth0's search can carry out the query.
    pub fn plan_file(&self) -> Result<Plan> {
        let filtered = self.for_file()?;
        let filtering = match (&self.query, &self.connection) {
            (None, None) => Filtering::None,
            (query, _) => {
                Filtering::Here { query: query.as_ref().map(|query| query.source().to_owned()), because: None }
            }
        };
        Ok(Plan { filtering, connection: self.connection.clone(), ..filtered.plan_of(Source::File, Expected::Unknown) })
    }

    /// The plan for a tenant. Asks Auth0 how many users there are.
    pub async fn plan(&self, client: &ManagementClient) -> Result<Plan> {
        let connection = match &self.connection {
            Some(name_or_id) => Some(Box::pin(client.connection(name_or_id)).await?),
            None => None,
        };
        let of_connection = combine(None, connection.as_ref().map(|connection| connection.name.as_str()));
        let name = connection.as_ref().map(|connection| connection.name.clone());
        let asked = u64::from(connection.is_some());
        let Some(query) = &self.query else {
            let expected = Box::pin(count(client, &of_connection)).await?;
            let id = connection.map(|connection| connection.id);
            let plan = self.plan_all(expected, id, of_connection);
            return Ok(Plan { connection: name, ..plan.and_requests(1 + asked) });
        };
        let sent = combine(Some(query.source()), name.as_deref());
        let mut requests = 1 + asked;
        let refused = match query.beyond_auth0() {
            Some(because) => Some((because, None)),
            None => match Box::pin(count(client, &sent)).await {
                Ok(expected @ Expected::Exactly(_)) => {
                    let plan =
                        Plan { query: sent, filtering: Filtering::Auth0, ..self.plan_of(Source::Search, expected) };
                    return Ok(Plan { connection: name, ..plan.and_requests(requests) });
                }
                Ok(_) => None,
                Err(error) => match why_refused(&error) {
                    Some(because) => {
                        requests += 1;
                        Some((because, Some(error)))
                    }
                    None => return Err(error),
                },
            },
        };
        let plan = match (self.filtered(), refused) {
            (Ok(filtered), refused) => {
                let id = connection.map(|connection| connection.id);
                let because = refused.map(|(because, _)| because);
                let (expected, query_to_send) = match &because {
                    Some(_) => (Box::pin(count(client, &of_connection)).await?, of_connection),
                    None => (Expected::AtLeast(SEARCH_CAP), sent),
                };
                let mut plan = filtered.plan_all(expected, id, query_to_send);
                // What Auth0 can search and no job can bring is better searched than filtered.
                plan.filtering = if because.is_none() && !matches!(plan.source, Source::Job(_)) {
                    Filtering::Auth0
                } else {
                    Filtering::Here { query: Some(query.source().to_owned()), because }
                };
                plan
            }
            (Err(_), None) => {
                let plan = self.plan_of(Source::SplitSearch, Expected::AtLeast(SEARCH_CAP));
                Plan { query: sent, filtering: Filtering::Auth0, ..plan }
            }
            (Err(error), Some((_, upstream))) => return Err(upstream.unwrap_or(error)),
        };
        Ok(Plan { connection: name, ..plan.and_requests(requests) })
    }

    /// A plan that reads all users, or what `query` finds of them if there can be no job.
    fn plan_all(&self, expected: Expected, connection_id: Option<String>, query: String) -> Plan {
        let names = self.job_names();
        let few = matches!(expected, Expected::Exactly(_)) && self.filter.is_some();
        let source = if few {
            Source::Search
        } else if names.iter().all(|name| can_be_a_field(name)) {
            // Rows that are dropped here must not count, so that only we can limit then.
            let limit = self.limit.filter(|_| self.sort.is_none() && self.writes_every_user());
            let field = |name: String| ExportField { name, export_as: None };
            let fields = names.into_iter().map(field).collect();
            Source::Job(ExportJobRequest { connection_id, format: JobFormat::Json, limit, fields })
        } else {
            Source::SplitSearch
        };
        Plan { query, ..self.plan_of(source, expected) }
    }

    fn plan_of(&self, source: Source, expected: Expected) -> Plan {
        let pages = match expected {
            Expected::Exactly(total) | Expected::AtLeast(total) => total.div_ceil(u64::from(PAGE)),
            Expected::Unknown => 0,
        };
        let requests = match source {
            Source::File => None,
            Source::Search => Some(pages),
            Source::SplitSearch => Some(2 + pages),
            Source::Job(_) => Some(3),
        };
        Plan {
            source,
            expected,
            query: String::new(),
            filtering: Filtering::None,
            remarks: self.remarks().to_vec(),
            attributes: self.attributes(),
            requests,
            limit: self.limit,
            columns: self.columns(),
            sort: self.sort.as_ref().map(|sort| (sort.formula.shown().to_owned(), sort.descending)),
            connection: None,
        }
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

    /// What a job exports; always sent, since Auth0's default is not published (contract, 11.4).
    fn job_names(&self) -> Vec<String> {
        let wanted = self.wanted.attributes().unwrap_or_default().into_iter().map(str::to_owned);
        if let Some(names) = self.attributes() {
            return if names.is_empty() { vec!["user_id".to_owned()] } else { names };
        }
        let mut names: Vec<String> = ATTRIBUTES
            .iter()
            .filter(|attribute| attribute.exportable)
            .map(|attribute| attribute.name.to_owned())
            .collect();
        for name in wanted {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// How many users a search finds.
async fn count(client: &ManagementClient, query: &str) -> Result<Expected> {
    let search =
        UserSearch { q: query.to_owned(), sort: None, page: 0, per_page: 1, fields: vec!["user_id".to_owned()] };
    let total = Box::pin(client.users(&search)).await?.total;
    Ok(if total < SEARCH_CAP { Expected::Exactly(total) } else { Expected::AtLeast(SEARCH_CAP) })
}

/// Why Auth0 does not carry out a query, if that is what an error says: it is wrong to Auth0, too long for
/// a URL, or takes longer than the two seconds a search may (contract, section 7).
fn why_refused(error: &Error) -> Option<String> {
    let said = error.upstream.as_ref().filter(|said| matches!(said.status_code, 400 | 414 | 503))?;
    Some(format!("Auth0 refuses it: {}", said.message.trim_end_matches('.')))
}

impl Plan {
    /// How many rows there will be, where that is known.
    pub fn rows(&self) -> Option<u64> {
        match self.expected {
            Expected::Exactly(users) if !self.filters_here() => {
                Some(self.limit.map_or(users, |limit| users.min(limit)))
            }
            Expected::Exactly(_) | Expected::Unknown | Expected::AtLeast(_) => None,
        }
    }

    /// Whether this program decides which users match.
    pub fn filters_here(&self) -> bool {
        matches!(self.filtering, Filtering::Here { .. })
    }

    fn and_requests(mut self, more: u64) -> Self {
        self.requests = self.requests.map(|requests| requests + more);
        self
    }

    /// The same plan without an export job, for a tenant that refuses them or where they fail.
    pub(super) fn without_job(mut self) -> Self {
        self.source = match self.expected {
            Expected::Exactly(_) => Source::Search,
            Expected::Unknown | Expected::AtLeast(_) => Source::SplitSearch,
        };
        // The query was too broad for one search, but it is not for many.
        if matches!(self.filtering, Filtering::Here { because: None, .. }) {
            self.filtering = Filtering::Auth0;
        }
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
        let matching = if self.filters_here() { "; how many match is not known before the end" } else { "" };
        match self.expected {
            Expected::Unknown => writeln!(f, "Users:      not known before the end")?,
            Expected::Exactly(users) => writeln!(f, "Users:      {users}{matching}")?,
            Expected::AtLeast(users) => {
                writeln!(f, "Users:      {users} or more (Auth0 stops counting there){matching}")?;
            }
        }
        if let Some(connection) = &self.connection {
            let by = if matches!(self.source, Source::File) { " (here)" } else { "" };
            writeln!(f, "Connection: {connection}{by}")?;
        }
        match &self.filtering {
            Filtering::Here { query: Some(query), because: Some(because) } => {
                writeln!(f, "Filter:     {query} (here, since {because})")?;
            }
            Filtering::Here { query: Some(query), because: None } => match self.source {
                Source::File => writeln!(f, "Filter:     {query} (here)")?,
                _ => writeln!(f, "Filter:     {query} (here, since Auth0's search stops at {SEARCH_CAP} users)")?,
            },
            Filtering::Here { query: None, .. } => {}
            Filtering::None | Filtering::Auth0 => {
                if !self.query.is_empty() && !matches!(self.source, Source::Job(_)) {
                    writeln!(f, "Filter:     {} (by Auth0)", self.query)?;
                }
            }
        }
        for remark in &self.remarks {
            writeln!(f, "Remark:     {remark}")?;
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
