//! Responses with a stored file, which is decrypted while it is sent. Supports conditional and range requests, so that
//! an interrupted download can be resumed (RFC 9110, sections 13 and 14).

use std::io::{Read, Seek, SeekFrom};

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_RANGE, ETAG, EntityTag, HeaderValue, IF_RANGE, IfMatch, IfNoneMatch, Range,
};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use futures_util::{Stream, stream};

use uie_core::blocking::run_blocking;
use uie_core::error::Result;
use uie_jobs::QuotaGuard;
use uie_store::FileReader;

/// Number of bytes of an upload or download that are encrypted or decrypted at once.
pub(super) const CHUNK_SIZE: usize = 256 << 10;

/// Returns a response with a file, or with the part or status that the request's range and conditions ask for.
/// `describe` sets the headers of the file.
///
/// A request for several ranges gets the whole file, as RFC 9110 allows. `quota_guard` is held until the end of the
/// response.
pub(super) fn file_response(
    request: &HttpRequest,
    mut file: FileReader,
    quota_guard: QuotaGuard,
    tag: &EntityTag,
    describe: impl FnOnce(&mut HttpResponseBuilder),
) -> Result<HttpResponse> {
    let length = file.length()?;
    let mut reply = HttpResponse::Ok();
    reply.insert_header((ETAG, tag.to_string())).insert_header((ACCEPT_RANGES, "bytes"));
    // No compression of the response: its length would be unknown and ranges would not work.
    reply.insert_header((CONTENT_ENCODING, HeaderValue::from_static("identity")));
    if let Some(IfMatch::Items(tags)) = request.get_header::<IfMatch>()
        && !tags.iter().any(|wanted| wanted.strong_eq(tag))
    {
        return Ok(reply.status(StatusCode::PRECONDITION_FAILED).finish());
    }
    let known = match request.get_header::<IfNoneMatch>() {
        Some(IfNoneMatch::Any) => true,
        Some(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(tag)),
        None => false,
    };
    if known {
        return Ok(reply.status(StatusCode::NOT_MODIFIED).finish());
    }
    let (mut start, mut count) = (0, length);
    match requested_range(request, tag, length) {
        RequestedRange::Whole => {}
        RequestedRange::Part(first, last) => {
            (start, count) = (first, last - first + 1);
            reply.status(StatusCode::PARTIAL_CONTENT);
            reply.insert_header((CONTENT_RANGE, format!("bytes {first}-{last}/{length}")));
        }
        RequestedRange::Unsatisfiable => {
            reply.insert_header((CONTENT_RANGE, format!("bytes */{length}")));
            return Ok(reply.status(StatusCode::RANGE_NOT_SATISFIABLE).finish());
        }
    }
    describe(&mut reply);
    file.seek(SeekFrom::Start(start))?;
    let chunks = stream_chunks((file, count), quota_guard, |(file, left)| {
        let mut chunk = Vec::with_capacity((*left).min(CHUNK_SIZE as u64) as usize);
        file.take((*left).min(CHUNK_SIZE as u64)).read_to_end(&mut chunk)?;
        *left -= chunk.len() as u64;
        Ok(chunk)
    });
    Ok(reply.body(SizedStream::new(count, Box::pin(chunks))))
}

/// Returns a body that is read in chunks, until `read` returns an empty chunk.
///
/// The next chunk is read after the client has received the previous one, on a thread for blocking work: a slow client
/// occupies a file and a chunk, but no thread. `quota_guard` is released when the body ends or is dropped.
pub(super) fn stream_chunks<T: Send + 'static>(
    source: T,
    quota_guard: QuotaGuard,
    read: impl Fn(&mut T) -> Result<Vec<u8>> + Clone + Send + 'static,
) -> impl Stream<Item = Result<Bytes>> {
    stream::try_unfold((source, quota_guard), move |(mut source, quota_guard)| {
        let read = read.clone();
        async move {
            let read = run_blocking(move || {
                let chunk = read(&mut source)?;
                Ok((source, chunk))
            });
            let (source, chunk) = read.await.inspect_err(|error| {
                tracing::error!(error = error.code.as_str(), "a download failed: {}", error.message);
            })?;
            Ok((!chunk.is_empty()).then(|| (Bytes::from(chunk), (source, quota_guard))))
        }
    })
}

/// The part of a file that a request asks for.
enum RequestedRange {
    Whole,
    /// From the first to the last byte, inclusive.
    Part(u64, u64),
    /// A range outside the file.
    Unsatisfiable,
}

fn requested_range(request: &HttpRequest, tag: &EntityTag, length: u64) -> RequestedRange {
    let Some(Range::Bytes(ranges)) = request.get_header::<Range>() else { return RequestedRange::Whole };
    // A client with another version of the file needs the whole file.
    if let Some(condition) = request.headers().get(IF_RANGE) {
        let same = condition.to_str().is_ok_and(|text| text.parse().is_ok_and(|known: EntityTag| known.strong_eq(tag)));
        if !same {
            return RequestedRange::Whole;
        }
    }
    match ranges.as_slice() {
        [range] => {
            let satisfiable = range.to_satisfiable_range(length);
            satisfiable.map_or(RequestedRange::Unsatisfiable, |(first, last)| RequestedRange::Part(first, last))
        }
        _ => RequestedRange::Whole,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use actix_web::test::TestRequest;

    use super::*;
    use uie_store::Files;

    const LENGTH: usize = 700_000;

    fn content() -> Vec<u8> {
        (0..LENGTH).map(|at| (at % 253) as u8).collect()
    }

    async fn send_request(headers: &[(&'static str, &str)]) -> (u16, String, Vec<u8>) {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::plaintext(directory.path());
        files.write("users.csv", &content(), false).unwrap();
        let request = headers.iter().fold(TestRequest::get(), |request, header| request.insert_header(*header));
        let tag = EntityTag::new_strong("one".to_owned());
        let file = files.open("users.csv").unwrap();
        let reply = file_response(&request.to_http_request(), file, QuotaGuard::default(), &tag, |_| {}).unwrap();
        let range = reply.headers().get(CONTENT_RANGE).map_or("", |value| value.to_str().unwrap()).to_owned();
        (reply.status().as_u16(), range, to_bytes(reply.into_body()).await.unwrap().to_vec())
    }

    #[actix_web::test]
    async fn a_file_is_sent_completely_or_in_the_requested_range() {
        assert_eq!(send_request(&[]).await, (200, String::new(), content()));
        for (range, first, last) in [
            ("bytes=0-0", 0, 0),
            ("bytes=300000-600000", 300_000, 600_000),
            ("bytes=699999-", 699_999, 699_999),
            ("bytes=-10", 699_990, 699_999),
            ("bytes=5-99999999", 5, 699_999),
        ] {
            let (status, header, body) = send_request(&[("range", range)]).await;
            assert_eq!((status, header), (206, format!("bytes {first}-{last}/{LENGTH}")), "{range}");
            assert_eq!(body, content()[first..=last], "{range}");
        }
    }

    #[actix_web::test]
    async fn a_range_outside_the_file_is_refused_and_an_invalid_one_ignored() {
        assert_eq!(send_request(&[("range", "bytes=700000-")]).await, (416, format!("bytes */{LENGTH}"), Vec::new()));
        for range in ["lines=1-2", "bytes=b-a", "bytes=0-1,5-6"] {
            assert_eq!(send_request(&[("range", range)]).await.0, 200, "{range}");
        }
    }

    #[actix_web::test]
    async fn conditional_requests_are_supported() {
        assert_eq!(send_request(&[("if-none-match", "\"one\"")]).await.0, 304);
        assert_eq!(send_request(&[("if-none-match", "\"two\"")]).await.0, 200);
        assert_eq!(send_request(&[("if-match", "\"two\"")]).await.0, 412);
        assert_eq!(send_request(&[("range", "bytes=1-2"), ("if-range", "\"one\"")]).await.0, 206);
        for other in ["\"two\"", "W/\"one\"", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(send_request(&[("range", "bytes=1-2"), ("if-range", other)]).await.0, 200, "{other}");
        }
    }
}
