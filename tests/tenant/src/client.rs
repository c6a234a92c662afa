//! Signs a user in at an application of the tenant, as a browser does, for tests that need a session.

use std::collections::BTreeMap;

use reqwest::redirect::Policy;
use reqwest::{Client, header};
use url::Url;

use crate::people::Person;

/// Maximum number of requests of one sign-in.
const MAX_REQUESTS: usize = 12;

/// Signs a user in at the application with this base URL (no trailing slash), gives consent, and returns the session
/// token in its last page.
///
/// # Errors
/// A description, if the application or the tenant refuses the sign-in.
pub async fn sign_in(base_url: &str, person: &Person) -> Result<String, String> {
    let http = Client::builder().redirect(Policy::none()).no_proxy().build().map_err(|error| error.to_string())?;
    let mut cookies = BTreeMap::<String, String>::new();
    let mut url = Url::parse(&format!("{base_url}/login")).map_err(|error| error.to_string())?;
    let mut form: Option<Vec<(String, String)>> = None;
    for _ in 0..MAX_REQUESTS {
        let request = match form.take() {
            Some(fields) => http.post(url.clone()).form(&fields),
            None => http.get(url.clone()),
        };
        let sent: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header(header::COOKIE, sent.join("; ")).header(header::ACCEPT, "application/json");
        let reply = request.send().await.map_err(|error| error.to_string())?;
        for cookie in reply.headers().get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap_or_default();
            if let Some((name, value)) = cookie.split(';').next().and_then(|pair| pair.split_once('=')) {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let status = reply.status();
        if let Some(location) = reply.headers().get(header::LOCATION).filter(|_| status.is_redirection()) {
            let location = location.to_str().map_err(|error| error.to_string())?;
            url = url.join(location).map_err(|error| error.to_string())?;
            continue;
        }
        let page = reply.text().await.map_err(|error| error.to_string())?;
        if !status.is_success() {
            return Err(format!("{} answered {status}: {page}", url.path()));
        }
        if let Some(token) = attribute(&page, "data-token") {
            return Ok(token);
        }
        let state = url.query_pairs().find(|(name, _)| name == "state").map(|(_, value)| value.into_owned());
        let state = ("state".to_owned(), state.unwrap_or_default());
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        // The response to a form of the tenant may be the form that returns to the application.
        match url.path() {
            "/u/login" if url.query().is_some() => {
                url.set_query(None);
                form = Some(vec![state, field("email", &person.email), field("connection", &person.connection)]);
            }
            "/u/consent" if url.query().is_some() => {
                url.set_query(None);
                form = Some(vec![state, field("decision", "accept")]);
            }
            _ => {
                let target = attribute(&page, "action").ok_or_else(|| format!("{} has no form: {page}", url.path()))?;
                url = url.join(&target).map_err(|error| error.to_string())?;
                let inputs = page.split("<input").skip(1);
                form =
                    Some(inputs.filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value")?))).collect());
            }
        }
    }
    Err("the sign-in does not end".to_owned())
}

/// Returns the value of the first attribute of this name in an HTML page with quoted values.
fn attribute(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("{name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    let plain = [("&#x2F;", "/"), ("&#x27;", "'"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    Some(plain.iter().fold(value.to_owned(), |value, (escaped, character)| value.replace(escaped, character)))
}
