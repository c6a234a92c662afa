//! Refuses state-changing requests from pages of other sites (Fetch Metadata Request Headers, W3C). This is a second
//! defense against cross-site request forgery: a session is sent in a header, which another site cannot make a browser
//! send.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::HeaderValue;

use uie_core::error::{Code, Error, Result};
use uie_core::message::message;

/// Fails with [`Code::CrossSite`] for a state-changing request that a page of another site made according to the
/// browser. Requests without the header, from programs and old browsers, are accepted. The form of the login callback
/// is not checked here, because it is cross-site by design.
pub(super) fn check(request: &HttpRequest) -> Result<()> {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let site = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    if safe || matches!(site, None | Some(b"same-origin" | b"none")) {
        return Ok(());
    }
    let (method, path) = (request.method(), request.path());
    Err(Error::new(Code::CrossSite, message!("{method} {path} was sent by a page of another site.")))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn is_accepted(method: Method, site: Option<&str>) -> bool {
        let mut request = TestRequest::default().method(method);
        if let Some(site) = site {
            request = request.insert_header(("sec-fetch-site", site));
        }
        check(&request.to_http_request()).is_ok()
    }

    #[test]
    fn state_changing_requests_of_other_sites_are_refused() {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            for site in [None, Some("same-origin"), Some("none")] {
                assert!(is_accepted(method.clone(), site), "{method} {site:?}");
            }
            for site in [Some("cross-site"), Some("same-site"), Some("else")] {
                assert!(!is_accepted(method.clone(), site), "{method} {site:?}");
            }
        }
    }

    #[test]
    fn read_requests_of_other_sites_are_accepted() {
        assert!(is_accepted(Method::GET, Some("cross-site")) && is_accepted(Method::HEAD, Some("cross-site")));
    }
}
