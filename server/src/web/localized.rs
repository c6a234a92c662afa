//! Responses with texts in the language of the request.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Json;
use actix_web::{Error, HttpRequest, HttpResponse, Responder};
use serde::Serialize;

use super::error_response::ApiError;
use super::language::accepted_language;
use uie_core::error::ErrorBody;
use uie_core::language::Language;
use uie_core::message::Localize;

/// A JSON response whose messages are translated into the language of the request.
#[derive(Debug)]
pub(super) struct Localized<T>(pub(super) T);

impl<T: Localize + Serialize> Responder for Localized<T> {
    type Body = EitherBody<String>;

    fn respond_to(mut self, request: &HttpRequest) -> HttpResponse<Self::Body> {
        self.0.localize(accepted_language(request));
        Json(self.0).respond_to(request)
    }
}

/// Middleware that translates the body of an error response into the language of the request.
pub(super) async fn localize_errors(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let response = next.call(request).await?;
    let Some(mut body) = response.response().extensions().get::<ErrorBody>().cloned() else {
        return Ok(response.map_into_left_body());
    };
    let language = accepted_language(response.request());
    if language == Language::ENGLISH {
        return Ok(response.map_into_left_body());
    }
    body.localize(language);
    let text = serde_json::to_string(&body).map_err(uie_core::error::Error::internal).map_err(ApiError)?;
    Ok(response.map_body(|_, _| EitherBody::<_, BoxBody>::right(BoxBody::new(text))))
}
