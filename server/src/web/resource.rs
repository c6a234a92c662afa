//! Resources with a method guard.

use std::rc::Rc;

use actix_web::web;
use actix_web::{FromRequest, Handler, Resource, Responder};

use super::error_response::method_not_allowed;

/// Creates a resource that answers 405 to every method without a route (RFC 9110, 15.5.6).
pub(super) fn resource(path: &str, allowed: &str) -> Resource {
    let allowed: Rc<str> = allowed.into();
    web::resource(path).default_service(web::to(move || {
        let allowed = Rc::clone(&allowed);
        async move { method_not_allowed(&allowed) }
    }))
}

/// Creates a resource with a handler for GET and HEAD.
pub(super) fn get_resource<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    resource(path, "GET, HEAD").get(handler.clone()).head(handler)
}
