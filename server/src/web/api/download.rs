//! A stored file as an answer: decrypted as it is sent, whole or a part of it, so that a download that
//! broke goes on where it stopped (RFC 9110, sections 13 and 14).

use std::io::{Read, Seek, SeekFrom};

use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_RANGE, ETAG, EntityTag, HeaderValue, IF_RANGE, IfMatch, IfNoneMatch, Range,
};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use futures_util::{Stream, stream};

use super::jobs::{PIECE, blocking};
use crate::error::Result;
use crate::jobs::Place;
use crate::store::FileReader;

/// Answers with a file, or as the request's conditions and range say. The caller adds what the file is.
///
/// A request for several ranges at once gets the whole file, as RFC 9110 allows: nobody needs them here.
pub(super) fn answer(
    request: &HttpRequest,
    mut file: FileReader,
    place: Place,
    tag: &EntityTag,
    describe: impl FnOnce(&mut HttpResponseBuilder),
) -> Result<HttpResponse> {
    let length = file.length()?;
    let mut reply = HttpResponse::Ok();
    reply.insert_header((ETAG, tag.to_string())).insert_header((ACCEPT_RANGES, "bytes"));
    // Compressing on the way would make the length unknown and ranges meaningless.
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
    match wanted(request, tag, length) {
        Wanted::Whole => {}
        Wanted::Part(first, last) => {
            (start, count) = (first, last - first + 1);
            reply.status(StatusCode::PARTIAL_CONTENT);
            reply.insert_header((CONTENT_RANGE, format!("bytes {first}-{last}/{length}")));
        }
        Wanted::Nothing => {
            reply.insert_header((CONTENT_RANGE, format!("bytes */{length}")));
            return Ok(reply.status(StatusCode::RANGE_NOT_SATISFIABLE).finish());
        }
    }
    describe(&mut reply);
    file.seek(SeekFrom::Start(start))?;
    let pieces = pieces((file, count), place, |(file, left)| {
        let mut piece = Vec::with_capacity((*left).min(PIECE as u64) as usize);
        file.take((*left).min(PIECE as u64)).read_to_end(&mut piece)?;
        *left -= piece.len() as u64;
        Ok(piece)
    });
    Ok(reply.body(SizedStream::new(count, Box::pin(pieces))))
}

/// A body that is read piece by piece, up to the first empty piece.
///
/// The next piece is read only when the client has taken the one before, and only then on a thread for blocking work:
/// a slow client holds a file and a piece, but no thread. `place` is given back when the body ends or is dropped.
pub(super) fn pieces<T: Send + 'static>(
    source: T,
    place: Place,
    read: impl Fn(&mut T) -> Result<Vec<u8>> + Clone + Send + 'static,
) -> impl Stream<Item = Result<Bytes>> {
    stream::try_unfold((source, place), move |(mut source, place)| {
        let read = read.clone();
        async move {
            let read = blocking(move || {
                let piece = read(&mut source)?;
                Ok((source, piece))
            });
            let (source, piece) = read.await.inspect_err(|error| {
                tracing::error!(error = error.code.as_str(), "a download broke off: {}", error.message);
            })?;
            Ok((!piece.is_empty()).then(|| (Bytes::from(piece), (source, place))))
        }
    })
}

/// What of a file is asked for.
enum Wanted {
    Whole,
    /// From the first to the last byte, both included.
    Part(u64, u64),
    /// A part that the file does not have.
    Nothing,
}

fn wanted(request: &HttpRequest, tag: &EntityTag, length: u64) -> Wanted {
    let Some(Range::Bytes(ranges)) = request.get_header::<Range>() else { return Wanted::Whole };
    // A part of another version of the file is of no use to whoever has the beginning of this one.
    if let Some(condition) = request.headers().get(IF_RANGE) {
        let same = condition.to_str().is_ok_and(|text| text.parse().is_ok_and(|known: EntityTag| known.strong_eq(tag)));
        if !same {
            return Wanted::Whole;
        }
    }
    match ranges.as_slice() {
        [range] => {
            range.to_satisfiable_range(length).map_or(Wanted::Nothing, |(first, last)| Wanted::Part(first, last))
        }
        _ => Wanted::Whole,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use actix_web::test::TestRequest;

    use super::*;
    use crate::store::Files;

    const LENGTH: usize = 700_000;

    fn content() -> Vec<u8> {
        (0..LENGTH).map(|at| (at % 253) as u8).collect()
    }

    async fn ask(headers: &[(&'static str, &str)]) -> (u16, String, Vec<u8>) {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::plain(directory.path());
        files.write("users.csv", &content(), false).unwrap();
        let request = headers.iter().fold(TestRequest::get(), |request, header| request.insert_header(*header));
        let tag = EntityTag::new_strong("one".to_owned());
        let file = files.open("users.csv").unwrap();
        let reply = answer(&request.to_http_request(), file, Place::default(), &tag, |_| {}).unwrap();
        let range = reply.headers().get(CONTENT_RANGE).map_or("", |value| value.to_str().unwrap()).to_owned();
        (reply.status().as_u16(), range, to_bytes(reply.into_body()).await.unwrap().to_vec())
    }

    #[actix_web::test]
    async fn a_file_comes_whole_or_in_the_part_that_is_asked_for() {
        assert_eq!(ask(&[]).await, (200, String::new(), content()));
        for (range, first, last) in [
            ("bytes=0-0", 0, 0),
            ("bytes=300000-600000", 300_000, 600_000),
            ("bytes=699999-", 699_999, 699_999),
            ("bytes=-10", 699_990, 699_999),
            ("bytes=5-99999999", 5, 699_999),
        ] {
            let (status, header, body) = ask(&[("range", range)]).await;
            assert_eq!((status, header), (206, format!("bytes {first}-{last}/{LENGTH}")), "{range}");
            assert_eq!(body, content()[first..=last], "{range}");
        }
    }

    #[actix_web::test]
    async fn a_part_that_is_not_there_is_refused_and_nonsense_ignored() {
        assert_eq!(ask(&[("range", "bytes=700000-")]).await, (416, format!("bytes */{LENGTH}"), Vec::new()));
        for range in ["lines=1-2", "bytes=b-a", "bytes=0-1,5-6"] {
            assert_eq!(ask(&[("range", range)]).await.0, 200, "{range}");
        }
    }

    #[actix_web::test]
    async fn conditions_are_obeyed() {
        assert_eq!(ask(&[("if-none-match", "\"one\"")]).await.0, 304);
        assert_eq!(ask(&[("if-none-match", "\"two\"")]).await.0, 200);
        assert_eq!(ask(&[("if-match", "\"two\"")]).await.0, 412);
        assert_eq!(ask(&[("range", "bytes=1-2"), ("if-range", "\"one\"")]).await.0, 206);
        for other in ["\"two\"", "W/\"one\"", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(ask(&[("range", "bytes=1-2"), ("if-range", other)]).await.0, 200, "{other}");
        }
    }
}
