//! The builder of a tenant, a server for it and a session.

use std::path::{Path, PathBuf};
use std::process::Command;

use simulated_tenant::people::Person;
use simulated_tenant::{Tenant, TenantSettings};

use crate::application::{Application, BASE_URL};
use crate::harness::Harness;
use crate::program::{Program, free_port};
use crate::tenant::{admin, fast_tenant, sign_in, start_tenant};
use crate::tokens::SECRET;

/// Who can sign in, and with which access to the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// `LOGIN=tenant`: the admins of `ADMIN_SUBJECTS`; the server has client credentials.
    Tenant,
    /// `LOGIN=extension`: the admin's own token.
    Extension,
    /// `LOGIN=extension`, and the server has client credentials too.
    ExtensionWithClient,
}

/// Subjects of the admins, who need not exist in the tenant, because an [`Application`] opens sessions without a
/// sign-in.
const SUBJECTS: [&str; 3] = ["auth0|ada", "auth0|bob", "auth0|grace"];

/// Changes the command of a process.
type Prepare<'a> = Box<dyn FnOnce(&mut Command) + 'a>;

/// Builds a tenant, a server for it, and the session of an admin.
pub struct TestKit<'a> {
    tenant: TenantSettings,
    /// A tenant that runs already, in place of a new one.
    running: Option<Tenant>,
    login: Login,
    settings: Vec<(String, String)>,
    access_token: Option<String>,
    person: Option<Person>,
    data: Option<PathBuf>,
    port: Option<u16>,
    public_url: Option<String>,
    prepare: Option<Prepare<'a>>,
}

impl<'a> TestKit<'a> {
    /// A new tenant with these settings, `LOGIN=tenant`, and the session of an admin.
    pub fn new(tenant: TenantSettings) -> Self {
        Self {
            tenant,
            running: None,
            login: Login::Tenant,
            settings: Vec::new(),
            access_token: None,
            person: Some(admin()),
            data: None,
            port: None,
            public_url: None,
            prepare: None,
        }
    }

    /// A new tenant with this many users and fast jobs.
    pub fn with_users(users: u64) -> Self {
        Self::new(fast_tenant(users))
    }

    /// A tenant that runs already.
    pub fn for_tenant(tenant: &Tenant) -> Self {
        Self { running: Some(tenant.clone()), ..Self::new(TenantSettings::default()) }
    }

    /// Sets the kind of login.
    #[must_use]
    pub fn login(self, login: Login) -> Self {
        Self { login, ..self }
    }

    /// Adds a setting of the server. The last one with a name applies.
    #[must_use]
    pub fn setting(self, name: &str, value: &str) -> Self {
        self.settings(&[(name, value)])
    }

    /// Adds settings of the server.
    #[must_use]
    pub fn settings(mut self, settings: &[(&str, &str)]) -> Self {
        self.settings.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    /// Sets the admin's token for the tenant, with `LOGIN=extension` in an [`Application`].
    #[must_use]
    pub fn access_token(self, token: &str) -> Self {
        Self { access_token: Some(token.to_owned()), ..self }
    }

    /// Opens no session.
    #[must_use]
    pub fn signed_out(self) -> Self {
        Self { person: None, ..self }
    }

    /// Sets the data directory of a process.
    #[must_use]
    pub fn data(self, directory: &Path) -> Self {
        Self { data: Some(directory.to_owned()), ..self }
    }

    /// Sets the port of a process.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        Self { port: Some(port), ..self }
    }

    /// Sets the URL of the proxy in front of a process.
    #[must_use]
    pub fn public_url(self, url: &str) -> Self {
        Self { public_url: Some(url.to_owned()), ..self }
    }

    /// Changes the command of a process before it starts.
    #[must_use]
    pub fn prepare(self, prepare: impl FnOnce(&mut Command) + 'a) -> Self {
        Self { prepare: Some(Box::new(prepare)), ..self }
    }

    /// Starts the tenant, and the application in this process with the base URL [`BASE_URL`]. Its session belongs to
    /// the subject `auth0|ada`.
    pub async fn in_process(self) -> Harness<Application> {
        let tenant = match self.running {
            Some(tenant) => tenant,
            None => start_tenant(self.tenant).await,
        };
        let settings = settings_for(&tenant, self.login, self.settings);
        let program = Application::new(BASE_URL, &pairs(&settings)).await;
        let session = match self.person {
            Some(_) => program.sign_in(SUBJECTS[0], self.access_token.as_deref()).await,
            None => String::new(),
        };
        Harness { tenant, program, session, settings }
    }

    /// Starts the tenant and a process of the binary. Its session belongs to an administrator of the tenant, who signs
    /// in over HTTP.
    pub async fn process(self) -> Harness<Program> {
        let tenant = match self.running {
            Some(tenant) => tenant,
            None => start_tenant(self.tenant).await,
        };
        let settings = settings_for(&tenant, self.login, self.settings);
        let port = self.port.unwrap_or_else(free_port);
        let address = format!("http://127.0.0.1:{port}");
        let mut program = Program::start(&address, |command| {
            command.arg("serve").env("PORT", port.to_string()).env("EXTENSION_SECRET", SECRET);
            if let Some(data) = &self.data {
                command.env("DATA_DIR", data);
            }
            if let Some(url) = &self.public_url {
                command.env("PUBLIC_WT_URL", url);
            }
            command.envs(settings.iter().map(|(name, value)| (name, value)));
            if let Some(prepare) = self.prepare {
                prepare(command);
            }
        })
        .await;
        if let Some(url) = &self.public_url {
            program = program.with_base_url(url);
        }
        let session = match &self.person {
            Some(person) => sign_in(self.public_url.as_ref().unwrap_or(&address), person).await,
            None => String::new(),
        };
        Harness { tenant, program, session, settings }
    }
}

impl Harness<Application> {
    /// Restarts the application.
    pub async fn restart(self) -> Self {
        self.restart_with(&[]).await
    }

    /// Restarts the application with changed settings.
    pub async fn restart_with(self, changes: &[(&str, &str)]) -> Self {
        let Self { tenant, program, mut settings, session } = self;
        settings.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let program = Application::within(program.stop().await, BASE_URL, &pairs(&settings)).await;
        program.app.jobs.recover().await.expect("jobs are taken up");
        Self { tenant, program, session, settings }
    }

    /// Sends a request with the session. Its path starts with the base path `/ext`.
    pub async fn call(&self, request: actix_web::test::TestRequest) -> crate::Reply {
        self.program.call(request.insert_header(("authorization", format!("Bearer {}", self.session)))).await
    }
}

/// Returns the settings of a server for a tenant.
fn settings_for(tenant: &Tenant, login: Login, more: Vec<(String, String)>) -> Vec<(String, String)> {
    let url = tenant.url();
    let subjects = [&[admin().user_id.as_str()], &SUBJECTS[..]].concat().join(",");
    let client = [("AUTH0_CLIENT_ID", tenant.client_id()), ("AUTH0_CLIENT_SECRET", tenant.client_secret())];
    let mut settings = vec![("AUTH0_DOMAIN", url.as_str()), ("AUTH0_RTA", &url)];
    match login {
        Login::Tenant => {
            settings.extend(client);
            settings.extend([
                ("LOGIN", "tenant"),
                ("LOGIN_CLIENT_ID", tenant.login_client_id()),
                ("LOGIN_CLIENT_SECRET", tenant.login_client_secret()),
                ("ADMIN_SUBJECTS", &subjects),
            ]);
        }
        Login::Extension => settings.push(("LOGIN", "extension")),
        Login::ExtensionWithClient => {
            settings.extend(client);
            settings.push(("LOGIN", "extension"));
        }
    }
    let settings = settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    settings.chain(more).collect()
}

/// Borrows settings.
fn pairs(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
