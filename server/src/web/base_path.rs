//! Serves the application below a path prefix, whether the proxy strips the prefix or not
//! (docs/auth0/login.md#base-url-and-base-path).

use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::Error;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::Uri;
use actix_web::http::uri::PathAndQuery;

/// Middleware that removes the path of the base URL from the start of a request's path.
///
/// Wrap the whole application in it, so that it runs before routing. Requests without the prefix are not changed,
/// because a proxy has stripped it. A prefix should therefore not have the name of a route (`/api`, `/login`, …).
#[derive(Clone, Debug)]
pub struct StripPrefix {
    prefix: Rc<str>,
}

impl StripPrefix {
    /// Creates the middleware for the result of [`super::App::base_path`].
    pub fn new(base_path: &str) -> Self {
        Self { prefix: base_path.trim_end_matches('/').into() }
    }
}

impl<S, B> Transform<S, ServiceRequest> for StripPrefix
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = StripPrefixService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(StripPrefixService { service, prefix: Rc::clone(&self.prefix) }))
    }
}

/// The service behind [`StripPrefix`].
#[derive(Debug)]
pub struct StripPrefixService<S> {
    service: S,
    prefix: Rc<str>,
}

impl<S, B> Service<ServiceRequest> for StripPrefixService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = S::Future;

    forward_ready!(service);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        if let Some(uri) = strip_prefix(request.uri(), &self.prefix) {
            request.match_info_mut().get_mut().update(&uri);
            request.head_mut().uri = uri;
        }
        self.service.call(request)
    }
}

/// Returns the URI without the prefix; `None` if it does not start with the prefix.
fn strip_prefix(uri: &Uri, prefix: &str) -> Option<Uri> {
    if prefix.is_empty() {
        return None;
    }
    let rest = uri.path().strip_prefix(prefix)?;
    let path = match rest {
        "" => "/",
        rest if rest.starts_with('/') => rest,
        // `/extension` is not below `/ext`.
        _ => return None,
    };
    let path_and_query = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query.ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn strip(uri: &str, base_path: &str) -> Option<String> {
        let prefix = StripPrefix::new(base_path).prefix;
        strip_prefix(&uri.parse().unwrap(), &prefix).map(|uri| uri.to_string())
    }

    #[test]
    fn the_prefix_is_removed_only_at_a_segment_boundary() {
        assert_eq!(strip("/ext/login?a=b", "/ext/").as_deref(), Some("/login?a=b"));
        assert_eq!(strip("/ext", "/ext/").as_deref(), Some("/"));
        assert_eq!(strip("/ext?a=b", "/ext/").as_deref(), Some("/?a=b"));
        assert_eq!(strip("/ext/ext/login", "/ext/").as_deref(), Some("/ext/login"));
        assert_eq!(strip("/login", "/ext/"), None);
        assert_eq!(strip("/extension/login", "/ext/"), None);
        assert_eq!(strip("/login", "/"), None);
    }

    #[test]
    fn a_prefix_with_the_name_of_a_route_is_removed_once() {
        // The original extension removed the first occurrence and served `/api/run`
        // (docs/auth0/login.md#base-url-and-base-path).
        assert_eq!(strip("/api/run/logintest/login", "/api/run/logintest/").as_deref(), Some("/login"));
    }

    proptest! {
        #[test]
        fn the_rest_of_the_path_is_unchanged(path in "(/[a-z0-9%._~-]{0,8}){0,4}") {
            prop_assume!(!path.contains('%'));
            let stripped = strip(&format!("/a/b{path}"), "/a/b/");
            let expected = if path.is_empty() { "/".to_owned() } else { path };
            prop_assert_eq!(stripped, Some(expected));
        }
    }
}
