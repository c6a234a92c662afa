//! Requests that both kinds of servers understand.

use serde_json::Value;

/// A part of a form: its name, the name of its file, its content.
pub type Part<'a> = (&'a str, Option<&'a str>, &'a str);

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// The path below the base URL, with the query; starts with a slash.
    pub path: String,
    /// Names and values of the headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    fn new(method: &'static str, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// A GET request.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A POST request.
    pub fn post(path: &str) -> Self {
        Self::new("POST", path)
    }

    /// A PUT request.
    pub fn put(path: &str) -> Self {
        Self::new("PUT", path)
    }

    /// A DELETE request.
    pub fn delete(path: &str) -> Self {
        Self::new("DELETE", path)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Adds the token of a session.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Sets the body and its media type.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// Sets a multipart form as the body.
    #[must_use]
    pub fn form(self, parts: &[Part<'_>]) -> Self {
        const BOUNDARY: &str = "----boundary-of-the-tests";
        let mut body = String::new();
        for (name, file, content) in parts {
            let file = file.map_or(String::new(), |file| format!("; filename=\"{file}\""));
            for piece in ["--", BOUNDARY, "\r\nContent-Disposition: form-data; name=\"", name, "\"", &file] {
                body.push_str(piece);
            }
            body.extend(["\r\n\r\n", content, "\r\n"]);
        }
        body.extend(["--", BOUNDARY, "--\r\n"]);
        self.body(&format!("multipart/form-data; boundary={BOUNDARY}"), body)
    }
}
