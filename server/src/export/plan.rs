//! The plan of an export: decided, and shown in plain words, before anything is read
//! (docs/decisions/0007-query-push-down.md).

use std::fmt;

use serde::Serialize;

use super::ExportSpec;
use crate::auth0::{
    ExportField, ExportJobRequest, JobFormat, ManagementClient, UserSearch, UsersPage, connection_query,
};
use crate::error::{Code, Error, Result};
use crate::expression::Kind;
use crate::user::ATTRIBUTES;

/// Auth0 stops counting, and answering, here (docs/auth0/management-api.md#users).
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
        Ok(self.plan_and_look(client, Sample::NONE).await?.0)
    }

    /// The plan, and what Auth0 gave with the count it rests on: matching users, or where the plan says why
    /// Auth0 cannot search, users among whom the matching ones are found here.
    pub(super) async fn plan_and_look(&self, client: &ManagementClient, sample: Sample) -> Result<(Plan, UsersPage)> {
        let connection = match &self.connection {
            Some(name_or_id) => Some(Box::pin(client.connection(name_or_id)).await?),
            None => None,
        };
        let of_connection = combine(None, connection.as_ref().map(|connection| connection.name.as_str()));
        let name = connection.as_ref().map(|connection| connection.name.clone());
        let asked = u64::from(connection.is_some());
        let Some(query) = &self.query else {
            let (expected, page) = Box::pin(look(client, &of_connection, sample.matching, sample)).await?;
            let id = connection.map(|connection| connection.id);
            let plan = self.plan_all(expected, id, of_connection);
            return Ok((Plan { connection: name, ..plan.and_requests(1 + asked) }, page));
        };
        let sent = combine(Some(query.source()), name.as_deref());
        let mut requests = 1 + asked;
        let mut found = None;
        let refused = match query.beyond_auth0() {
            Some(because) => Some((because, None)),
            None => match Box::pin(look(client, &sent, sample.matching, sample)).await {
                Ok((expected @ Expected::Exactly(_), page)) => {
                    let plan =
                        Plan { query: sent, filtering: Filtering::Auth0, ..self.plan_of(Source::Search, expected) };
                    return Ok((Plan { connection: name, ..plan.and_requests(requests) }, page));
                }
                Ok((_, page)) => {
                    found = Some(page);
                    None
                }
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
                    Some(_) => {
                        let (expected, page) = Box::pin(look(client, &of_connection, sample.others, sample)).await?;
                        found = Some(page);
                        (expected, of_connection)
                    }
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
        let page = found.ok_or_else(|| Error::new(Code::Internal, "A plan was made without a look at the users."))?;
        Ok((Plan { connection: name, ..plan.and_requests(requests) }, page))
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
            remarks: self.remarks().iter().chain(&self.version_remarks).cloned().collect(),
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

    /// What a job exports; always sent, since Auth0's default is not published
    /// (docs/auth0/open-questions.md#fields-of-an-export).
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

/// Which users to bring with a count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// So many where Auth0 searches.
    pub matching: u32,
    /// So many where Auth0 cannot, and the matching ones are found among them here.
    pub others: u32,
    /// With all their attributes.
    pub whole: bool,
}

impl Sample {
    /// None that are looked at.
    const NONE: Self = Self { matching: 1, others: 1, whole: false };
}

/// How many users a search finds, and a page of them.
async fn look(client: &ManagementClient, query: &str, users: u32, sample: Sample) -> Result<(Expected, UsersPage)> {
    let fields = if sample.whole { Vec::new() } else { vec!["user_id".to_owned()] };
    let search = UserSearch { q: query.to_owned(), sort: None, page: 0, per_page: users, fields };
    let page = Box::pin(client.users(&search)).await?;
    let expected = if page.total < SEARCH_CAP { Expected::Exactly(page.total) } else { Expected::AtLeast(SEARCH_CAP) };
    Ok((expected, page))
}

/// Why Auth0 does not carry out a query, if that is what an error says: it is wrong to Auth0, too long for a URL, or
/// takes longer than the two seconds a search may (docs/auth0/search-syntax.md#limits).
pub(super) fn why_refused(error: &Error) -> Option<String> {
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

    /// How many users Auth0 counted, at least, of those that the source gives; 0 where that is not known. A search for
    /// a connection finds users by any of their identities, an export job of it by the first one.
    pub(super) fn counted(&self) -> u64 {
        let counted = match self.expected {
            Expected::Exactly(users) | Expected::AtLeast(users) => users,
            Expected::Unknown => 0,
        };
        match &self.source {
            Source::Job(request) if request.connection_id.is_some() => 0,
            Source::Job(request) => request.limit.map_or(counted, |limit| counted.min(limit)),
            _ => counted,
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

/// Whether a root attribute can be named where Auth0 expects dotted paths (docs/auth0/jobs.md#exports).
fn can_be_a_field(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// A query that also asks for a connection.
pub(super) fn combine(query: Option<&str>, connection: Option<&str>) -> String {
    let connection = connection.map(connection_query);
    match (query, connection) {
        (Some(query), Some(connection)) => format!("({query}) AND {connection}"),
        (Some(query), None) => query.to_owned(),
        (None, Some(connection)) => connection,
        (None, None) => String::new(),
    }
}

/// A plan as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct PlanView {
    /// Where the users come from.
    pub source: SourceKind,
    /// How many users are read; null when nobody knows.
    pub users: Option<u64>,
    /// There, and true, when Auth0 stopped counting at `users`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub capped: bool,
    /// Who filters; null where all users are exported.
    pub filtered: Option<Decider>,
    /// Who sorts; null where users come as they are.
    pub sorted: Option<Decider>,
    /// At least so many requests to Auth0's Management API.
    pub requests: Option<u64>,
    /// What the last export of all users came to, or of all of the connection: there only where all of them
    /// will be read, and there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
    /// All of it in plain words.
    pub lines: Vec<PlanLine>,
}

/// What an earlier export of all users came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Before {
    /// Users in it.
    pub users: u64,
    /// How long it took, from the click to the file.
    pub seconds: u64,
}

/// Where users come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A file.
    File,
    /// Pages of one search.
    Search,
    /// Searches for the users created in one span of time each.
    SplitSearch,
    /// An export job inside Auth0.
    Job,
}

/// Who does a part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decider {
    /// Auth0.
    Auth0,
    /// This program.
    Here,
}

/// A line of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct PlanLine {
    /// What it is about; empty where it goes on with the line before.
    pub title: &'static str,
    /// Plain words.
    pub text: String,
}

impl From<&Plan> for PlanView {
    fn from(plan: &Plan) -> Self {
        let (users, capped) = match plan.expected {
            Expected::Unknown => (None, false),
            Expected::Exactly(users) => (Some(users), false),
            Expected::AtLeast(users) => (Some(users), true),
        };
        Self {
            source: match plan.source {
                Source::File => SourceKind::File,
                Source::Search => SourceKind::Search,
                Source::SplitSearch => SourceKind::SplitSearch,
                Source::Job(_) => SourceKind::Job,
            },
            users,
            capped,
            filtered: match plan.filtering {
                Filtering::None if plan.query.is_empty() => None,
                Filtering::None | Filtering::Auth0 => Some(Decider::Auth0),
                Filtering::Here { .. } => Some(Decider::Here),
            },
            sorted: plan.sort.as_ref().map(|_| Decider::Here),
            requests: plan.requests,
            before: None,
            lines: plan.lines(),
        }
    }
}

impl Plan {
    /// The plan in plain words, line by line.
    pub fn lines(&self) -> Vec<PlanLine> {
        let mut lines = Vec::new();
        let mut add = |title: &'static str, text: String| lines.push(PlanLine { title, text });
        let source = match &self.source {
            Source::File => "the file, read once from its start to its end",
            Source::Search => "Auth0's search, 100 users a page",
            Source::SplitSearch => {
                "Auth0's search, split by created_at into spans with fewer than 1000 users, 100 users a page"
            }
            Source::Job(_) => "an export job inside Auth0, then its file",
        };
        add("Source", source.to_owned());
        if matches!(self.source, Source::Job(_)) {
            let instead = match self.expected {
                Expected::Exactly(_) => "Auth0's search, 100 users a page",
                Expected::Unknown | Expected::AtLeast(_) => {
                    "Auth0's search, split by created_at into spans with fewer than 1000 users"
                }
            };
            add("Otherwise", format!("{instead}, where the tenant allows no export jobs or the job fails"));
        }
        let matching = if self.filters_here() { "; how many match is not known before the end" } else { "" };
        add(
            "Users",
            match self.expected {
                Expected::Unknown => "not known before the end".to_owned(),
                Expected::Exactly(users) => format!("{users}{matching}"),
                Expected::AtLeast(users) => format!("{users} or more (Auth0 stops counting there){matching}"),
            },
        );
        if let Some(connection) = &self.connection {
            let by = if matches!(self.source, Source::File) { " (here)" } else { "" };
            add("Connection", format!("{connection}{by}"));
        }
        match &self.filtering {
            Filtering::Here { query: Some(query), because: Some(because) } => {
                add("Filter", format!("{query} (here, since {because})"));
            }
            Filtering::Here { query: Some(query), because: None } => match self.source {
                Source::File => add("Filter", format!("{query} (here)")),
                _ => add("Filter", format!("{query} (here, since Auth0's search stops at {SEARCH_CAP} users)")),
            },
            Filtering::Here { query: None, .. } => {}
            Filtering::None | Filtering::Auth0 => {
                if !self.query.is_empty() && !matches!(self.source, Source::Job(_)) {
                    add("Filter", format!("{} (by Auth0)", self.query));
                }
            }
        }
        for remark in &self.remarks {
            add("Remark", remark.clone());
        }
        add(
            "Attributes",
            match &self.attributes {
                None => "all".to_owned(),
                Some(names) if names.is_empty() => "none".to_owned(),
                Some(names) => names.join(", "),
            },
        );
        for (at, (name, kind, expression)) in self.columns.iter().enumerate() {
            let title = if at == 0 { "Columns" } else { "" };
            let kind = match kind {
                Kind::Path => "path",
                Kind::Transform => "transform",
                Kind::JavaScript => "JavaScript",
            };
            let name = if name == expression { String::new() } else { format!("{name}: ") };
            add(title, format!("{name}{kind} {expression}"));
        }
        add(
            "Sort",
            match &self.sort {
                Some((by, descending)) => {
                    format!("by {by}, {} (here)", if *descending { "descending" } else { "ascending" })
                }
                None => "none, as they come".to_owned(),
            },
        );
        match (self.limit, &self.source) {
            (Some(limit), Source::Job(request)) if request.limit.is_some() => {
                add("Limit", format!("{limit} users (by Auth0)"));
            }
            (Some(limit), _) => add("Limit", format!("{limit} users (here)")),
            (None, _) => {}
        }
        if let Some(requests) = self.requests {
            let unit = if requests == 1 { "request" } else { "requests" };
            let text = match self.source {
                Source::Search | Source::File => format!("{requests} {unit} to Auth0"),
                Source::SplitSearch => format!("{requests} or more to Auth0"),
                Source::Job(_) => {
                    format!("{requests} or more to Auth0: one every 1 to 5 seconds while the job runs")
                }
            };
            add("Requests", text);
        }
        lines
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for PlanLine { title, text } in self.lines() {
            let title = if title.is_empty() { String::new() } else { format!("{title}:") };
            writeln!(f, "{title:<12}{text}")?;
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
