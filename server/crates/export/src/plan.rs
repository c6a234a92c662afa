//! The plan of an export: how users are read, filtered and sorted. It is made before the export starts and can be shown
//! as text (docs/decisions/0007-query-push-down.md).

use std::fmt;

use serde::Serialize;

use super::spec::ExportSpec;
use uie_auth0::{ExportField, ExportJobRequest, JobFormat, ManagementClient, UserSearch, UsersPage, connection_query};
use uie_core::error::{Code, Error, Result};
use uie_core::language::Language;
use uie_core::message::{Localize, Message, message};
use uie_core::user::ATTRIBUTES;
use uie_expression::Kind;

/// Auth0's search neither counts nor returns more users (docs/auth0/management-api.md#users).
pub(super) const SEARCH_CAP: u64 = 1000;

/// Users per page; Auth0's maximum.
pub(super) const PAGE: u32 = 100;

/// Where the users come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file.
    File,
    /// Pages of one search that finds fewer than 1000 users.
    Search,
    /// Many searches, each for the users created in one span of time, because a single search stops at 1000 users.
    SplitSearch,
    /// An export job inside Auth0.
    Job(ExportJobRequest),
}

/// The number of users to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserCount {
    /// Not known before the end.
    Unknown,
    /// Auth0 counted exactly this many.
    Exactly(u64),
    /// Auth0 counted up to this number and stopped.
    AtLeast(u64),
}

/// What evaluates the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filtering {
    /// There is no query.
    None,
    /// Auth0's search.
    Auth0,
    /// This program; it reads all users of the source.
    Here {
        /// The query as it was written. `None` if only the connection is filtered.
        query: Option<String>,
        /// Why Auth0 cannot evaluate it. `None` if Auth0 could, but finds too many users.
        because: Option<Message>,
    },
}

/// How an export reads its users, decided before it starts.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the users come from.
    pub source: Source,
    /// Number of users that are read, before `limit`.
    pub expected: UserCount,
    /// The Lucene query sent with every search; empty for all users.
    pub query: String,
    /// What evaluates the query.
    pub filtering: Filtering,
    /// Remarks about the query, about expressions and about versions of transforms.
    pub remarks: Vec<Message>,
    /// Requested root attributes. `None` for whole users.
    pub attributes: Option<Vec<String>>,
    /// Minimum number of requests to the Management API, if known.
    pub requests: Option<u64>,
    /// Maximum number of users that are written.
    pub limit: Option<u64>,
    /// The columns: name, kind and expression with hidden secrets. Empty for whole users.
    pub columns: Vec<(String, Kind, String)>,
    /// The sort expression, and whether the order is descending.
    pub sort: Option<(String, bool)>,
    /// Name of the connection whose users are exported. `None` for all connections.
    pub connection: Option<String>,
}

impl ExportSpec {
    /// Returns the plan for a file. Fails if only Auth0's search can evaluate the query.
    pub fn plan_file(&self) -> Result<Plan> {
        let filtered = self.for_file()?;
        let filtering = match (&self.query, &self.connection) {
            (None, None) => Filtering::None,
            (query, _) => {
                Filtering::Here { query: query.as_ref().map(|query| query.source().to_owned()), because: None }
            }
        };
        Ok(Plan {
            filtering,
            connection: self.connection.clone(),
            ..filtered.base_plan(Source::File, UserCount::Unknown)
        })
    }

    /// Returns the plan for a tenant. Sends one or two searches to count the users.
    pub async fn plan(&self, client: &ManagementClient) -> Result<Plan> {
        Ok(self.plan_with_probe(client, Probe::COUNT_ONLY).await?.0)
    }

    /// Returns the plan for a tenant and the page of users that came with the count: matching users, or, if Auth0
    /// cannot evaluate the query, unfiltered users.
    pub(super) async fn plan_with_probe(&self, client: &ManagementClient, probe: Probe) -> Result<(Plan, UsersPage)> {
        let connection = match &self.connection {
            Some(name_or_id) => Some(Box::pin(client.connection(name_or_id)).await?),
            None => None,
        };
        let connection_search = combine(None, connection.as_ref().map(|connection| connection.name.as_str()));
        let name = connection.as_ref().map(|connection| connection.name.clone());
        let connection_requests = u64::from(connection.is_some());
        let Some(query) = &self.query else {
            let (expected, page) = Box::pin(search_page(client, &connection_search, probe.matching, probe)).await?;
            let id = connection.map(|connection| connection.id);
            let plan = self.plan_full_read(expected, id, connection_search);
            return Ok((Plan { connection: name, ..plan.add_requests(1 + connection_requests) }, page));
        };
        let sent = combine(Some(query.source()), name.as_deref());
        let mut requests = 1 + connection_requests;
        let mut probed = None;
        let refused = match query.unsupported_by_auth0() {
            Some(because) => Some((because, None)),
            None => match Box::pin(search_page(client, &sent, probe.matching, probe)).await {
                Ok((expected @ UserCount::Exactly(_), page)) => {
                    let plan =
                        Plan { query: sent, filtering: Filtering::Auth0, ..self.base_plan(Source::Search, expected) };
                    return Ok((Plan { connection: name, ..plan.add_requests(requests) }, page));
                }
                Ok((_, page)) => {
                    probed = Some(page);
                    None
                }
                Err(error) => match refusal_reason(&error) {
                    Some(because) => {
                        requests += 1;
                        Some((because, Some(error)))
                    }
                    None => return Err(error),
                },
            },
        };
        let plan = match (self.with_local_filter(), refused) {
            (Ok(filtered), refused) => {
                let id = connection.map(|connection| connection.id);
                let because = refused.map(|(because, _)| because);
                let (expected, query_to_send) = match &because {
                    Some(_) => {
                        let (expected, page) =
                            Box::pin(search_page(client, &connection_search, probe.unfiltered, probe)).await?;
                        probed = Some(page);
                        (expected, connection_search)
                    }
                    None => (UserCount::AtLeast(SEARCH_CAP), sent),
                };
                let mut plan = filtered.plan_full_read(expected, id, query_to_send);
                // If Auth0 can evaluate the query and no job can be used, split searches need fewer requests.
                plan.filtering = if because.is_none() && !matches!(plan.source, Source::Job(_)) {
                    Filtering::Auth0
                } else {
                    Filtering::Here { query: Some(query.source().to_owned()), because }
                };
                plan
            }
            (Err(_), None) => {
                let plan = self.base_plan(Source::SplitSearch, UserCount::AtLeast(SEARCH_CAP));
                Plan { query: sent, filtering: Filtering::Auth0, ..plan }
            }
            (Err(error), Some((_, upstream))) => return Err(upstream.unwrap_or(error)),
        };
        let page = probed.ok_or_else(|| Error::new(Code::Internal, message!("A plan was made without a search.")))?;
        Ok((Plan { connection: name, ..plan.add_requests(requests) }, page))
    }

    /// Returns a plan that reads all users by a job, or the users found by `query` if a job cannot export the
    /// attributes.
    fn plan_full_read(&self, expected: UserCount, connection_id: Option<String>, query: String) -> Plan {
        let names = self.job_field_names();
        let few = matches!(expected, UserCount::Exactly(_)) && self.filter.is_some();
        let source = if few {
            Source::Search
        } else if names.iter().all(|name| is_valid_field_name(name)) {
            // A job may only have a limit if every user becomes a row, in the order of the job.
            let limit = self.limit.filter(|_| self.sort.is_none() && self.writes_every_user());
            let field = |name: String| ExportField { name, export_as: None };
            let fields = names.into_iter().map(field).collect();
            Source::Job(ExportJobRequest { connection_id, format: JobFormat::Json, limit, fields })
        } else {
            Source::SplitSearch
        };
        Plan { query, ..self.base_plan(source, expected) }
    }

    fn base_plan(&self, source: Source, expected: UserCount) -> Plan {
        let pages = match expected {
            UserCount::Exactly(total) | UserCount::AtLeast(total) => total.div_ceil(u64::from(PAGE)),
            UserCount::Unknown => 0,
        };
        let requests = match source {
            Source::File => None,
            Source::Search => Some(pages),
            Source::SplitSearch => Some(2 + pages),
            Source::Job(_) => Some(3),
        };
        let of_file = matches!(source, Source::File);
        let about_query = self.remarks().iter().map(|remark| remark.message.clone());
        Plan {
            source,
            expected,
            query: String::new(),
            filtering: Filtering::None,
            remarks: about_query.chain(self.expression_remarks(of_file)).chain(self.version_remarks.clone()).collect(),
            attributes: self.attributes(),
            requests,
            limit: self.limit,
            columns: self.columns(),
            sort: self.sort.as_ref().map(|sort| (sort.formula.masked_source().to_owned(), sort.descending)),
            connection: None,
        }
    }

    fn columns(&self) -> Vec<(String, Kind, String)> {
        let columns = self.encoder.shape.columns().iter();
        columns
            .map(|column| (column.name.clone(), column.formula.kind(), column.formula.masked_source().to_owned()))
            .collect()
    }

    fn attributes(&self) -> Option<Vec<String>> {
        if self.writes_whole_users() {
            return None;
        }
        self.wanted.attributes().map(|names| names.into_iter().map(str::to_owned).collect())
    }

    /// Returns the names of the fields of an export job. They are always sent, because Auth0's default is not
    /// documented (docs/auth0/open-questions.md#fields-of-an-export).
    fn job_field_names(&self) -> Vec<String> {
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

/// The users to request together with a count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    /// Number of users if Auth0 evaluates the query.
    pub matching: u32,
    /// Number of users if Auth0 cannot evaluate the query and this program filters them.
    pub unfiltered: u32,
    /// Whether to request all attributes.
    pub whole: bool,
}

impl Probe {
    /// Only the count is used. Auth0 needs a page size of at least 1.
    const COUNT_ONLY: Self = Self { matching: 1, unfiltered: 1, whole: false };
}

/// Returns the number of users that a search finds, and the first page of them.
async fn search_page(
    client: &ManagementClient,
    query: &str,
    users: u32,
    probe: Probe,
) -> Result<(UserCount, UsersPage)> {
    let fields = if probe.whole { Vec::new() } else { vec!["user_id".to_owned()] };
    let search = UserSearch { q: query.to_owned(), sort: None, page: 0, per_page: users, fields };
    let page = Box::pin(client.users(&search)).await?;
    let expected =
        if page.total < SEARCH_CAP { UserCount::Exactly(page.total) } else { UserCount::AtLeast(SEARCH_CAP) };
    Ok((expected, page))
}

/// Returns the reason if an error means that Auth0 does not evaluate a query: it is invalid, too long for a URL, or
/// takes longer than the limit of two seconds (docs/auth0/search-syntax.md#limits).
pub(super) fn refusal_reason(error: &Error) -> Option<Message> {
    let upstream = error.upstream.as_ref().filter(|upstream| matches!(upstream.status_code, 400 | 414 | 503))?;
    Some(message!("Auth0 refuses it: {reason}", reason = upstream.message.trim_end_matches('.')))
}

impl Plan {
    /// Returns the number of rows, if it is known.
    pub fn rows(&self) -> Option<u64> {
        match self.expected {
            UserCount::Exactly(users) if !self.filters_here() => {
                Some(self.limit.map_or(users, |limit| users.min(limit)))
            }
            UserCount::Exactly(_) | UserCount::Unknown | UserCount::AtLeast(_) => None,
        }
    }

    /// Returns the minimum number of users that the source must have, as counted by Auth0; 0 if it is not known, as for
    /// the job of one connection: a search finds its users by any of their identities, a job by the first one only.
    pub(super) fn counted(&self) -> u64 {
        let counted = match self.expected {
            UserCount::Exactly(users) | UserCount::AtLeast(users) => users,
            UserCount::Unknown => 0,
        };
        match &self.source {
            Source::Job(request) if request.connection_id.is_some() => 0,
            Source::Job(request) => request.limit.map_or(counted, |limit| counted.min(limit)),
            _ => counted,
        }
    }

    /// Whether this program evaluates the query.
    pub fn filters_here(&self) -> bool {
        matches!(self.filtering, Filtering::Here { .. })
    }

    fn add_requests(mut self, more: u64) -> Self {
        self.requests = self.requests.map(|requests| requests + more);
        self
    }

    /// Returns the plan with a search instead of an export job, for tenants that refuse jobs or where jobs fail.
    pub(super) fn without_job(mut self) -> Self {
        self.source = match self.expected {
            UserCount::Exactly(_) => Source::Search,
            UserCount::Unknown | UserCount::AtLeast(_) => Source::SplitSearch,
        };
        // The query was too broad for one search, but split searches can use it.
        if matches!(self.filtering, Filtering::Here { because: None, .. }) {
            self.filtering = Filtering::Auth0;
        }
        self
    }

    /// Returns the `fields` of a search: the attributes of the plan and `required`. Empty for whole users.
    pub(super) fn search_fields(&self, required: &[&str]) -> Vec<String> {
        let Some(attributes) = &self.attributes else { return Vec::new() };
        // Names with commas or dots cannot be requested: commas separate fields, dots separate the steps of a path.
        if !attributes.iter().all(|name| is_valid_field_name(name)) {
            return Vec::new();
        }
        let mut fields = attributes.clone();
        for name in required {
            if !fields.iter().any(|field| field == name) {
                fields.push((*name).to_owned());
            }
        }
        fields
    }
}

/// Whether the name of a root attribute can be used as a field, where Auth0 expects dotted paths
/// (docs/auth0/jobs.md#exports).
fn is_valid_field_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Combines a query with a search for a connection. Empty if both are `None`.
pub(super) fn combine(query: Option<&str>, connection: Option<&str>) -> String {
    let connection = connection.map(connection_query);
    match (query, connection) {
        (Some(query), Some(connection)) => format!("({query}) AND {connection}"),
        (Some(query), None) => query.to_owned(),
        (None, Some(connection)) => connection,
        (None, None) => String::new(),
    }
}

/// A plan in the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanView {
    /// Where the users come from.
    pub source: SourceKind,
    /// How many users are read; null if that is not known.
    pub users: Option<u64>,
    /// True if Auth0 stopped counting at `users`; absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub capped: bool,
    /// What evaluates the query; null if all users are exported.
    pub filtered: Option<EvaluatedBy>,
    /// What sorts the rows; null if they are not sorted.
    pub sorted: Option<EvaluatedBy>,
    /// Minimum number of requests to Auth0's Management API.
    pub requests: Option<u64>,
    /// The last export of all users, or of all users of the connection. Absent if there was none, or if not all users
    /// are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<PreviousRun>,
    /// The plan as text.
    pub lines: Vec<PlanLine>,
}

/// The size and duration of an earlier export of all users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Before))]
pub struct PreviousRun {
    /// Number of exported users.
    pub users: u64,
    /// Time from the request to the finished file, in seconds.
    pub seconds: u64,
}

/// Where users come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

/// What does a part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", schema(as = Decider))]
pub enum EvaluatedBy {
    /// Auth0.
    Auth0,
    /// This program.
    Here,
}

/// A line of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlanLine {
    /// Its subject; empty if it continues the previous line.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub title: Message,
    /// Its text.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub text: Message,
}

impl Localize for PlanView {
    fn localize(&mut self, language: Language) {
        for line in &mut self.lines {
            line.title.localize(language);
            line.text.localize(language);
        }
    }
}

impl From<&Plan> for PlanView {
    fn from(plan: &Plan) -> Self {
        let (users, capped) = match plan.expected {
            UserCount::Unknown => (None, false),
            UserCount::Exactly(users) => (Some(users), false),
            UserCount::AtLeast(users) => (Some(users), true),
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
                Filtering::None | Filtering::Auth0 => Some(EvaluatedBy::Auth0),
                Filtering::Here { .. } => Some(EvaluatedBy::Here),
            },
            sorted: plan.sort.as_ref().map(|_| EvaluatedBy::Here),
            requests: plan.requests,
            before: None,
            lines: plan.lines(),
        }
    }
}

impl Plan {
    /// Returns the plan as lines of text.
    pub fn lines(&self) -> Vec<PlanLine> {
        let mut lines = Vec::new();
        let mut add = |title: Message, text: Message| lines.push(PlanLine { title, text });
        add(
            message!("Source"),
            match &self.source {
                Source::File => message!("the file, read once from its start to its end"),
                Source::Search => message!("Auth0's search, 100 users a page"),
                Source::SplitSearch => message!(
                    "Auth0's search, split by created_at into spans with fewer than 1000 users, 100 users a page"
                ),
                Source::Job(_) => message!("an export job inside Auth0, then its file"),
            },
        );
        if matches!(self.source, Source::Job(_)) {
            let instead = match self.expected {
                UserCount::Exactly(_) => {
                    message!(
                        "Auth0's search, 100 users a page, where the tenant allows no export jobs or the job fails"
                    )
                }
                UserCount::Unknown | UserCount::AtLeast(_) => message!(
                    "Auth0's search, split by created_at into spans with fewer than 1000 users, where the tenant allows \
                     no export jobs or the job fails"
                ),
            };
            add(message!("Otherwise"), instead);
        }
        let users = match self.expected {
            UserCount::Unknown => message!("not known before the end"),
            UserCount::Exactly(users) => Message::verbatim(users.to_string()),
            UserCount::AtLeast(users) => message!("{users} or more (Auth0 stops counting there)"),
        };
        let users = match self.expected {
            UserCount::Exactly(_) | UserCount::AtLeast(_) if self.filters_here() => {
                message!("{users}; how many match is not known before the end")
            }
            _ => users,
        };
        add(message!("Users"), users);
        if let Some(connection) = &self.connection {
            let is_file = matches!(self.source, Source::File);
            let text = if is_file { message!("{connection} (here)") } else { Message::verbatim(connection.as_str()) };
            add(message!("Connection"), text);
        }
        self.add_filter(&mut add);
        for remark in &self.remarks {
            add(message!("Remark"), remark.clone());
        }
        let attributes = match &self.attributes {
            None => message!("all"),
            Some(names) if names.is_empty() => message!("none"),
            Some(names) => Message::verbatim(names.join(", ")),
        };
        add(message!("Attributes"), attributes);
        for (index, (name, kind, expression)) in self.columns.iter().enumerate() {
            let title = if index == 0 { message!("Columns") } else { Message::verbatim("") };
            let kind = match kind {
                Kind::Path => message!("path"),
                Kind::Transform => message!("transform"),
                Kind::JavaScript => Message::verbatim("JavaScript"),
            };
            let name = if name == expression { String::new() } else { format!("{name}: ") };
            add(title, message!("{name}{kind} {expression}"));
        }
        let sort = match &self.sort {
            Some((by, true)) => message!("by {by}, descending (here)"),
            Some((by, false)) => message!("by {by}, ascending (here)"),
            None => message!("none, as they come"),
        };
        add(message!("Sort"), sort);
        match (self.limit, &self.source) {
            (Some(limit), Source::Job(request)) if request.limit.is_some() => {
                add(message!("Limit"), message!("{limit} users (by Auth0)"));
            }
            (Some(limit), _) => add(message!("Limit"), message!("{limit} users (here)")),
            (None, _) => {}
        }
        if let Some(requests) = self.requests {
            let text = match self.source {
                Source::Search | Source::File if requests == 1 => message!("1 request to Auth0"),
                Source::Search | Source::File => message!("{requests} requests to Auth0"),
                Source::SplitSearch => message!("{requests} or more to Auth0"),
                Source::Job(_) => {
                    message!("{requests} or more to Auth0: one every 1 to 5 seconds while the job runs")
                }
            };
            add(message!("Requests"), text);
        }
        lines
    }

    /// Adds the line about the query.
    fn add_filter(&self, add: &mut impl FnMut(Message, Message)) {
        let text = match &self.filtering {
            Filtering::Here { query: Some(query), because: Some(because) } => {
                message!("{query} (here, since {because})")
            }
            Filtering::Here { query: Some(query), because: None } if matches!(self.source, Source::File) => {
                message!("{query} (here)")
            }
            Filtering::Here { query: Some(query), because: None } => {
                message!("{query} (here, since Auth0's search stops at {limit} users)", limit = SEARCH_CAP)
            }
            Filtering::None | Filtering::Auth0 if !self.query.is_empty() && !matches!(self.source, Source::Job(_)) => {
                message!("{query} (by Auth0)", query = self.query)
            }
            _ => return,
        };
        add(message!("Filter"), text);
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for PlanLine { title, text } in self.lines() {
            let title = title.to_string();
            let title = if title.is_empty() { title } else { format!("{title}:") };
            writeln!(f, "{title:<12}{text}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_and_a_connection_are_combined() {
        assert_eq!(
            combine(Some("a:1 OR b:2"), Some("my \"db\"")),
            r#"(a:1 OR b:2) AND identities.connection:"my \"db\"""#
        );
        assert_eq!(combine(None, Some("db")), r#"identities.connection:"db""#);
        assert_eq!(combine(Some("a:1"), None), "a:1");
    }

    #[test]
    fn attributes_that_look_like_paths_are_not_valid_fields() {
        assert!(is_valid_field_name("user_metadata"));
        for name in ["https://claims/x", "a.b", "a[0]", "a,b", ""] {
            assert!(!is_valid_field_name(name), "{name}");
        }
    }
}
