//! The delay that a response asks for, and the dates in its headers.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};

/// Maximum delay from `x-ratelimit-reset`, so that a clock that is wrong by hours does not stop a job for hours.
/// `Retry-After` has no such limit.
const MAX_RESET_DELAY: Duration = Duration::from_mins(1);

/// Maximum duration added to an `Instant`, so that no external value causes an overflow.
pub(super) const MAX_DURATION: Duration = Duration::from_hours(24 * 30);

/// Returns the delay that a response asks for: `Retry-After` in seconds or as a date (RFC 9110, 10.2.3), or else, for a
/// rate limit, `x-ratelimit-reset` in seconds since 1970. Dates are compared with the response's own `Date`, because
/// clocks differ. `None` if there is no valid header.
pub(super) fn retry_after(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let now = headers.get(DATE).and_then(parse_http_date).unwrap_or(now);
    let until = |then: Timestamp| Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO);
    let seconds = |value: &HeaderValue| value.to_str().ok()?.trim().parse::<u64>().ok();
    if let Some(value) = headers.get(RETRY_AFTER) {
        let delay = seconds(value).map(Duration::from_secs).or_else(|| parse_http_date(value).map(until));
        if delay.is_some() {
            return delay.map(|delay| delay.min(MAX_DURATION));
        }
    }
    if status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    let reset = headers.get("x-ratelimit-reset").and_then(seconds)?;
    let reset = Timestamp::from_second(i64::try_from(reset).ok()?).ok()?;
    Some(until(reset).min(MAX_RESET_DELAY))
}

/// Parses the time in a header such as `Date`.
pub(super) fn parse_http_date(value: &HeaderValue) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(value.to_str().ok()?).ok().map(|date| date.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn now() -> Timestamp {
        jiff::fmt::rfc2822::parse(NOW).expect("a date").timestamp()
    }

    fn requested_delay(status: u16, headers: &[(&'static str, &str)]) -> Option<Duration> {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (reqwest::header::HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"))
            })
            .collect();
        retry_after(StatusCode::from_u16(status).expect("a status"), &headers, now())
    }

    #[test]
    fn retry_after_may_be_seconds_or_a_date() {
        assert_eq!(requested_delay(429, &[("retry-after", "12")]), Some(Duration::from_secs(12)));
        assert_eq!(
            requested_delay(503, &[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]),
            Some(Duration::from_secs(30))
        );
        assert_eq!(requested_delay(429, &[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(Duration::ZERO));
    }

    #[test]
    fn retry_after_wins_over_the_reset_header() {
        let reset = (now().as_second() + 40).to_string();
        let headers = [("retry-after", "5"), ("x-ratelimit-reset", reset.as_str())];
        assert_eq!(requested_delay(429, &headers), Some(Duration::from_secs(5)));
    }

    #[test]
    fn the_reset_header_applies_to_rate_limits_only_and_is_capped() {
        let reset = |seconds: i64| (now().as_second() + seconds).to_string();
        assert_eq!(requested_delay(429, &[("x-ratelimit-reset", &reset(40))]), Some(Duration::from_secs(40)));
        assert_eq!(requested_delay(429, &[("x-ratelimit-reset", &reset(-40))]), Some(Duration::ZERO));
        assert_eq!(requested_delay(429, &[("x-ratelimit-reset", &reset(86_400))]), Some(MAX_RESET_DELAY));
        assert_eq!(requested_delay(503, &[("x-ratelimit-reset", &reset(40))]), None);
    }

    #[test]
    fn dates_are_compared_with_the_date_of_the_response() {
        let reset = (now().as_second() + 300 + 7).to_string();
        let headers = [("date", "Sun, 06 Nov 1994 08:54:37 GMT"), ("x-ratelimit-reset", reset.as_str())];
        assert_eq!(requested_delay(429, &headers), Some(Duration::from_secs(7)));
    }

    #[test]
    fn invalid_headers_are_ignored() {
        for value in ["", "soon", "-1", "1e9", "99999999999999999999"] {
            assert_eq!(requested_delay(429, &[("retry-after", value)]), None, "{value}");
            assert_eq!(requested_delay(429, &[("x-ratelimit-reset", value)]), None, "{value}");
        }
        assert_eq!(requested_delay(429, &[("retry-after", "18446744073709551615")]), Some(MAX_DURATION));
        assert_eq!(requested_delay(429, &[("x-ratelimit-reset", "18446744073709551615")]), None);
    }

    proptest::proptest! {
        #[test]
        fn no_header_causes_a_delay_of_more_than_30_days(status in 400_u16..600, after in "[ -~]{0,40}|[0-9]{1,20}", reset in "[ -~]{0,20}|[0-9]{1,20}") {
            let delay = requested_delay(status, &[("retry-after", &after), ("x-ratelimit-reset", &reset)]);
            proptest::prop_assert!(delay.unwrap_or_default() <= MAX_DURATION);
        }
    }
}
