//! Registration of the operations of the API. A handler with its `#[utoipa::path]` determines method, path, description
//! and required permissions; the list in `routes.rs` adds what it cannot state.

use std::collections::BTreeMap;

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, Resource, Responder};
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::SecurityRequirement;

use super::extractors::json_config;
use crate::web::authorization::AccessRule;
use crate::web::resource::resource;
use crate::web::route_limits::BodyLimit;
use uie_core::permissions::Permission;

/// Registers handlers, each as `module::function` or `module::function { option: value }` with the members of
/// [`RouteOptions`]. Returns [`Routes`].
macro_rules! routes {
    ($($module:ident::$handler:ident $({ $($option:tt)* })?),* $(,)?) => {{
        let mut routes = $crate::web::api::registration::Routes::default();
        $({
            #[derive(utoipa::OpenApi)]
            #[openapi(paths($module::$handler))]
            struct Description;

            routes.add(
                $crate::web::api::registration::HandlerName {
                    module: stringify!($module),
                    function: stringify!($handler),
                },
                <Description as utoipa::OpenApi>::openapi(),
                $crate::web::api::registration::required_permissions(&$module::$handler),
                || actix_web::web::to($module::$handler),
                $crate::web::api::registration::RouteOptions { $($($option)*,)? ..Default::default() },
            );
        })*
        routes
    }};
}
pub(super) use routes;

/// What a handler and its attribute do not state.
#[derive(Clone, Copy, Debug)]
pub(super) struct RouteOptions {
    /// The body limit; `None` for the default of all routes.
    pub(super) body_limit: Option<BodyLimit>,
    /// Whether a GET handler also answers HEAD.
    pub(super) head: bool,
}

impl Default for RouteOptions {
    fn default() -> Self {
        Self { body_limit: None, head: true }
    }
}

/// The name of a handler.
#[derive(Clone, Copy, Debug)]
pub(super) struct HandlerName {
    /// The module.
    pub(super) module: &'static str,
    /// The function in it.
    pub(super) function: &'static str,
}

impl HandlerName {
    /// Returns the id of an operation: the stated one, or the name of module and function. utoipa uses the name of the
    /// function if none is stated, which is not unique.
    fn operation_id(self, stated: Option<String>) -> String {
        stated.filter(|id| id != self.function).unwrap_or_else(|| format!("{}_{}", self.module, self.function))
    }
}

/// Returns the permissions that a handler requires; `None` if it needs no session.
pub(super) fn required_permissions<F, Args>(_: &F) -> Option<&'static [Permission]>
where
    F: Handler<Args>,
    F::Output: Responder + 'static,
    Args: AccessRule + FromRequest + 'static,
{
    Args::PERMISSIONS
}

/// An operation of a resource.
struct Route {
    method: Method,
    options: RouteOptions,
    serve: fn() -> actix_web::Route,
}

/// The operations with the same path.
#[derive(Default)]
struct RouteGroup {
    /// The value of `Allow`.
    allowed: String,
    routes: Vec<Route>,
}

/// The registered operations.
#[derive(Default)]
pub(super) struct Routes {
    /// By path. A `{` is greater than all letters, so that a path with a parameter comes after a path with a text in
    /// its place, and only matches what the other one does not.
    groups: BTreeMap<String, RouteGroup>,
    descriptions: Vec<OpenApi>,
}

impl Routes {
    /// Adds the operations of a handler. `description` is an OpenAPI document with nothing else.
    pub(super) fn add(
        &mut self,
        name: HandlerName,
        mut description: OpenApi,
        permissions: Option<&'static [Permission]>,
        serve: fn() -> actix_web::Route,
        options: RouteOptions,
    ) {
        for (path, item) in &mut description.paths.paths {
            let group = self.groups.entry(path.clone()).or_default();
            for (method, operation) in operations(item) {
                operation.operation_id = Some(name.operation_id(operation.operation_id.take()));
                operation.security = permissions.map(|permissions| {
                    let scopes = permissions.iter().map(|permission| permission.as_str());
                    vec![SecurityRequirement::new("session", scopes)]
                });
                if !group.allowed.is_empty() {
                    group.allowed.push_str(", ");
                }
                group.allowed.push_str(method.as_str());
                let answers_head = method == Method::GET && options.head;
                group.routes.push(Route { method, options, serve });
                if answers_head {
                    group.allowed.push_str(", HEAD");
                    group.routes.push(Route { method: Method::HEAD, options, serve });
                }
            }
        }
        self.descriptions.push(description);
    }

    /// Returns the resources below the path `scope`, each with the rest of its path.
    pub(super) fn resources_below(&self, scope: &str) -> impl Iterator<Item = Resource> {
        self.groups.iter().filter_map(move |(path, group)| Some(group.resource(path.strip_prefix(scope)?)))
    }

    /// Returns the resources that are not below the path `scope`.
    pub(super) fn resources_outside(&self, scope: &str) -> impl Iterator<Item = Resource> {
        let groups = self.groups.iter().filter(move |(path, _)| !path.starts_with(scope));
        groups.map(|(path, group)| group.resource(path))
    }

    /// Returns the routes with a body limit of their own: method, path pattern and limit.
    pub(super) fn body_limits(&self) -> impl Iterator<Item = (Method, &str, BodyLimit)> {
        let routes = self.groups.iter().flat_map(|(path, group)| group.routes.iter().map(move |route| (path, route)));
        routes.filter_map(|(path, route)| Some((route.method.clone(), path.as_str(), route.options.body_limit?)))
    }

    /// Adds all operations to an OpenAPI document.
    pub(super) fn describe(&self, document: &mut OpenApi) {
        for description in &self.descriptions {
            document.merge(description.clone());
        }
    }
}

impl RouteGroup {
    fn resource(&self, path: &str) -> Resource {
        let mut resource = resource(path, &self.allowed);
        for route in &self.routes {
            if let Some(BodyLimit::Json(limit)) = route.options.body_limit {
                resource = resource.app_data(json_config(limit));
            }
            resource = resource.route((route.serve)().method(route.method.clone()));
        }
        resource
    }
}

/// Returns the operations of a path with their methods.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let operations = [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::PATCH, &mut item.patch),
    ];
    operations.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use actix_web::http::StatusCode;
    use actix_web::http::header::ALLOW;
    use actix_web::test::{TestRequest, call_service, init_service};
    use serde_json::{Value, json};

    use super::*;
    use crate::web::api::routes::ROUTES;

    mod shelves {
        use crate::web::authorization::{Authorized, PublicAccess, ReadUsersAndConnections};

        #[utoipa::path(get, path = "/api/shelves/{name}", responses((status = 200)))]
        pub(super) async fn read(_access: PublicAccess) -> &'static str {
            "one"
        }

        #[utoipa::path(put, path = "/api/shelves/{name}", operation_id = "replaceShelf", responses((status = 200)))]
        pub(super) async fn write(_session: Authorized<ReadUsersAndConnections>) -> &'static str {
            "written"
        }

        #[utoipa::path(get, path = "/api/shelves/all", responses((status = 200)))]
        pub(super) async fn list(_access: PublicAccess) -> &'static str {
            "all"
        }

        #[utoipa::path(get, path = "/shelf-count", responses((status = 200)))]
        pub(super) async fn count(_access: PublicAccess) -> &'static str {
            "2"
        }
    }

    fn shelf_routes() -> Routes {
        routes![
            shelves::read,
            shelves::write { body_limit: Some(BodyLimit::Json(7)) },
            shelves::list { head: false },
            shelves::count,
        ]
    }

    fn describe(routes: &Routes) -> Value {
        let mut document = OpenApi::default();
        routes.describe(&mut document);
        serde_json::to_value(document).unwrap()
    }

    #[actix_web::test]
    async fn a_handler_is_served_at_its_path_with_its_methods() {
        let routes = shelf_routes();
        let app = routes.resources_outside("/api").chain(routes.resources_below("/api"));
        let app = init_service(app.fold(actix_web::App::new(), actix_web::App::service)).await;
        for (method, path, status, allowed) in [
            (Method::GET, "/shelves/first", StatusCode::OK, ""),
            (Method::HEAD, "/shelves/first", StatusCode::OK, ""),
            (Method::DELETE, "/shelves/first", StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD, PUT"),
            (Method::GET, "/shelves/all", StatusCode::OK, ""),
            (Method::HEAD, "/shelves/all", StatusCode::METHOD_NOT_ALLOWED, "GET"),
            (Method::PUT, "/shelves/all", StatusCode::METHOD_NOT_ALLOWED, "GET"),
            (Method::POST, "/shelf-count", StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"),
        ] {
            let request = TestRequest::with_uri(path).method(method.clone()).to_request();
            let reply = call_service(&app, request).await;
            let allow = reply.headers().get(ALLOW).map_or("", |value| value.to_str().unwrap());
            assert_eq!((reply.status(), allow), (status, allowed), "{method} {path}");
        }
    }

    #[test]
    fn operations_are_described_with_id_and_permissions() {
        let document = describe(&shelf_routes());
        let shelf = &document["paths"]["/api/shelves/{name}"];
        assert_eq!(shelf["get"]["operationId"], "shelves_read");
        assert_eq!(shelf["get"].get("security"), None);
        assert_eq!(shelf["put"]["operationId"], "replaceShelf");
        assert_eq!(shelf["put"]["security"], json!([{"session": ["read:users", "read:connections"]}]));
        assert_eq!(document["paths"]["/shelf-count"]["get"]["operationId"], "shelves_count");
    }

    #[test]
    fn a_body_limit_applies_to_the_methods_of_its_handler() {
        let routes = shelf_routes();
        let limits: Vec<_> = routes.body_limits().map(|(method, path, _)| (method, path)).collect();
        assert_eq!(limits, [(Method::PUT, "/api/shelves/{name}")]);
    }

    /// The description has no room for a second handler of the same method and path.
    #[test]
    fn every_registered_route_is_described_once() {
        let document = describe(&ROUTES);
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            described.extend(item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())));
        }
        let groups = ROUTES.groups.iter();
        let routes = groups.flat_map(|(path, group)| group.routes.iter().map(move |route| (&route.method, path)));
        let routes = routes.filter(|(method, _)| **method != Method::HEAD);
        let mut routes: Vec<_> = routes.map(|(method, path)| (method.to_string(), path.clone())).collect();
        routes.sort();
        assert_eq!(routes, described.into_iter().collect::<Vec<_>>());
    }
}
