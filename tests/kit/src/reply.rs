//! Responses of a server.

use serde_json::Value;

/// A complete response.
#[derive(Debug)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Names, in lower case, and values of the headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Reply {
    /// Parses the body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Returns the status, and the body as JSON, or as a JSON string if it is not JSON.
    pub fn into_parts(self) -> (u16, Value) {
        (self.status, serde_json::from_str(&self.body).unwrap_or(Value::String(self.body)))
    }

    /// Returns the JSON body of an accepted request.
    #[track_caller]
    pub fn accepted(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()
    }

    /// Returns the id of the job that the request started.
    #[track_caller]
    pub fn job_id(&self) -> String {
        let job = self.accepted();
        job["id"].as_str().unwrap_or_else(|| panic!("not a job: {job}")).to_owned()
    }

    /// Returns the first header with this name, or an empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value.as_str())
    }

    /// Returns all `Set-Cookie` headers, in order.
    pub fn cookies(&self) -> Vec<String> {
        let cookies = self.headers.iter().filter(|(name, _)| name == "set-cookie");
        cookies.map(|(_, value)| value.clone()).collect()
    }

    /// Returns the URL and the query parameters, in order, of the `Location` header.
    pub fn location(&self) -> (String, Vec<(String, String)>) {
        let url = url::Url::parse(self.header("location")).expect("a URL");
        let query = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let (base, _) = url.as_str().split_once('?').unwrap_or((url.as_str(), ""));
        (base.to_owned(), query)
    }

    /// Returns status and error code. The code is empty if the body is no error.
    pub fn status_and_code(&self) -> (u16, String) {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        (self.status, body["errorCode"].as_str().unwrap_or_default().to_owned())
    }

    /// Asserts status and code of an error, and returns its body.
    #[track_caller]
    pub fn expect_code(&self, status: u16, code: &str) -> Value {
        let expected = (status, code.to_owned());
        assert_eq!(self.status_and_code(), expected, "{:.2000}", self.body);
        self.json()
    }

    /// Asserts status, name and message of an error, as in docs/auth0/login.md.
    #[track_caller]
    pub fn expect_error(&self, status: u16, name: &str, message: &str) {
        let body = self.json();
        assert_eq!(
            (self.status, body["error"].as_str(), body["message"].as_str()),
            (status, Some(name), Some(message)),
            "{body}"
        );
        assert_eq!(body["statusCode"], status);
        assert!(body["errorCode"].is_string());
    }
}
