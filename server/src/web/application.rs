//! The actix-web application: all routes behind all middleware.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Compress, from_fn};
use actix_web::web::Data;
use tracing_actix_web::TracingLogger;

use super::app::App;
use super::route_limits::BodyLimits;
use super::{
    api, auth0_extension, base_path, body_limits, localized, metrics_route, pages, request_log, security_headers,
};

/// Which routes an application has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routes {
    /// All routes.
    All,
    /// Only `/metrics`, for the listener of `METRICS_ADDRESS`.
    Metrics,
}

/// Creates the actix-web application: the routes behind all middleware. The server and all tests use this function, so
/// that the same limits apply in all of them.
pub fn application(
    app: &App,
    routes: Routes,
) -> actix_web::App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    let body_limits = BodyLimits::new(api::body_limits().chain(auth0_extension::body_limits()), &app.settings);
    // The last middleware is the outermost.
    actix_web::App::new()
        .app_data(Data::new(app.clone()))
        .app_data(body_limits)
        .wrap(from_fn(body_limits::limit_body))
        .wrap(from_fn(localized::localize_errors))
        .wrap(from_fn(request_log::observe_request))
        .wrap(Compress::default())
        .wrap(from_fn(security_headers::add_headers))
        .wrap(TracingLogger::<request_log::RequestSpan>::new())
        .wrap(base_path::StripPrefix::new(&app.base_path()))
        .configure(|config| match routes {
            Routes::All => {
                auth0_extension::configure(config);
                api::configure(config);
                pages::configure(config);
            }
            Routes::Metrics => metrics_route::configure_dedicated(config),
        })
}
