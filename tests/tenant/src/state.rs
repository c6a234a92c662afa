//! The state of the tenant, shared by all handlers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use actix_web::HttpRequest;
use serde_json::Value;

use crate::clock::{Clock, millis};
use crate::connections::{self, Connection};
use crate::directory::{Directory, Handle};
use crate::faults::{FaultKind, Faults};
use crate::jobs::{ForcedOutcome, Jobs};
use crate::limits::Limiter;
use crate::login::Logins;
use crate::logs::Logs;
use crate::people::{Person, people};
use crate::record::Log;
use crate::settings::TenantSettings;
use crate::tokens::Keys;

/// The tenant's name in the names of export files.
pub(crate) const TENANT: &str = "simulated-tenant";

/// The faults of a request that its handler applies.
#[derive(Clone, Debug, Default)]
pub(crate) struct ActiveFaults(pub(crate) Vec<FaultKind>);

/// A search result, cached until the users change.
pub(crate) type SearchResult = Arc<Vec<Handle>>;

pub(crate) struct State {
    pub(crate) settings: TenantSettings,
    pub(crate) clock: Clock,
    pub(crate) keys: Keys,
    pub(crate) directory: Arc<Directory>,
    pub(crate) connections: Vec<Connection>,
    pub(crate) people: Mutex<Vec<Person>>,
    pub(crate) jobs: Jobs,
    pub(crate) limits: Limiter,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
    pub(crate) logins: Logins,
    /// The tenant's log, where finished imports and sign-ins are written.
    pub(crate) logs: Arc<Logs>,
    /// Signs download links.
    pub(crate) link_key: String,
    pub(crate) url: OnceLock<String>,
    pub(crate) tls_url: OnceLock<String>,
    /// Cached search results by query and sort order, with the version of the directory.
    pub(crate) searches: Mutex<HashMap<String, (u64, SearchResult)>>,
}

impl State {
    pub(crate) fn new(settings: TenantSettings) -> Result<Self, crate::tokens::KeyError> {
        let directory = Arc::new(Directory::new(settings.users, settings.seed));
        let clock = Clock::default();
        let now = clock.now();
        let people = people();
        for person in &people {
            directory.add(&person.profile(&crate::clock::iso(now)), now);
        }
        let logs = Arc::new(Logs::default());
        Ok(State {
            keys: Keys::new()?,
            connections: connections::all(settings.extra_connections),
            jobs: Jobs::new(Arc::clone(&directory), Arc::clone(&logs)),
            logs,
            limits: Limiter::new(settings.rate_limits),
            faults: Faults::default(),
            log: Log::default(),
            logins: Logins::default(),
            link_key: crate::tokens::hex(64),
            url: OnceLock::new(),
            tls_url: OnceLock::new(),
            searches: Mutex::default(),
            people: Mutex::new(people),
            directory,
            clock,
            settings,
        })
    }

    pub(crate) fn connection(&self, id: &str) -> Option<&Connection> {
        self.connections.iter().find(|connection| connection.id == id)
    }

    /// Returns the URL of the tenant as issuer, audience and base of links. It depends on the request, so that plain
    /// and TLS clients each see one consistent tenant.
    pub(crate) fn origin(&self, request: &HttpRequest) -> String {
        let known = if request.app_config().secure() { &self.tls_url } else { &self.url };
        let known = known.get().cloned().unwrap_or_default();
        let port = known.rsplit(':').next().unwrap_or_default();
        match request.headers().get("host").and_then(|host| host.to_str().ok()) {
            Some(host) if host == format!("localhost:{port}") => known.replace("127.0.0.1", "localhost"),
            _ => known,
        }
    }

    /// Returns whether a text is `{tenant}{path}` with any of the tenant's URLs.
    pub(crate) fn is_own(&self, text: &str, path: &str) -> bool {
        [&self.url, &self.tls_url].iter().filter_map(|url| url.get()).any(|url| {
            text == format!("{url}{path}") || text == format!("{}{path}", url.replace("127.0.0.1", "localhost"))
        })
    }

    /// Returns the people who can sign in, without the generated users.
    pub(crate) fn people(&self) -> Vec<Person> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns a user who can sign in: one of the people, or a user of the directory with this address in this
    /// connection.
    pub(crate) fn person(&self, email: &str, connection: &str) -> Option<Person> {
        let email = email.trim().to_lowercase();
        if let Some(person) =
            self.people().into_iter().find(|person| person.email == email && person.connection == connection)
        {
            return Some(person);
        }
        let handle = self
            .directory
            .by_email(&email)
            .into_iter()
            .find(|found| self.directory.in_connection(*found, connection))?;
        let user = self.directory.get(handle)?;
        let text = |name: &str| user.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Person {
            user_id: text("user_id")?,
            name: text("name").unwrap_or_else(|| email.clone()),
            email_verified: user.get("email_verified") == Some(&Value::Bool(true)),
            connection: connection.to_owned(),
            roles: Vec::new(),
            email,
        })
    }

    /// Returns the number of users that searches can find; recently added ones may not be indexed yet.
    pub(crate) fn searchable(&self) -> Handle {
        let lag = millis(self.settings.search_lag);
        if lag == 0 { self.directory.len() } else { self.directory.len_before(self.clock.now() - lag) }
    }
}

impl ActiveFaults {
    pub(crate) fn has(&self, kind: &FaultKind) -> bool {
        self.0.contains(kind)
    }

    /// Returns the kinds of faults.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &FaultKind> {
        self.0.iter()
    }

    /// Returns the outcome that the faults force on a new job.
    pub(crate) fn forced_outcome(&self) -> ForcedOutcome {
        if self.has(&FaultKind::HangJob) {
            ForcedOutcome::Hangs
        } else if self.has(&FaultKind::FailJob) {
            ForcedOutcome::Fails
        } else {
            ForcedOutcome::Completes
        }
    }
}
