//! Requests that change something are taken from our own pages and from programs, not from pages of
//! other sites (Fetch Metadata Request Headers, W3C). A second wall: the first is that a session
//! travels in a header, which no other site can make a browser send.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::HeaderValue;

use crate::error::{Code, Error, Result};

/// Refuses a request that changes something and that, as the browser says, another site's page made.
/// Programs, and browsers that don't say, send no such header and pass. The form that ends a login is
/// not checked here: it comes from another site by design.
pub(super) fn check(request: &HttpRequest) -> Result<()> {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let site = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    if safe || matches!(site, None | Some(b"same-origin" | b"none")) {
        return Ok(());
    }
    Err(Error::new(
        Code::CrossSite,
        format!("{} {} was sent by a page of another site.", request.method(), request.path()),
    ))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn passes(method: Method, site: Option<&str>) -> bool {
        let mut request = TestRequest::default().method(method);
        if let Some(site) = site {
            request = request.insert_header(("sec-fetch-site", site));
        }
        check(&request.to_http_request()).is_ok()
    }

    #[test]
    fn only_our_own_pages_and_programs_change_something() {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            for site in [None, Some("same-origin"), Some("none")] {
                assert!(passes(method.clone(), site), "{method} {site:?}");
            }
            for site in [Some("cross-site"), Some("same-site"), Some("else")] {
                assert!(!passes(method.clone(), site), "{method} {site:?}");
            }
        }
    }

    #[test]
    fn reading_is_free() {
        assert!(passes(Method::GET, Some("cross-site")) && passes(Method::HEAD, Some("cross-site")));
    }
}
