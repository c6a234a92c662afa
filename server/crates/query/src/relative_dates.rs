//! Dates relative to now, as Elasticsearch writes them. Auth0 documents absolute dates only, so that a query with a
//! relative one is refused; the hint has the date that it would be.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

/// Returns the current time in UTC.
pub(super) fn now() -> DateTime {
    Timestamp::now().to_zoned(TimeZone::UTC).datetime()
}

/// Returns the absolute date of `now-90d`, `now/M`, `today` or `yesterday`, in the form of a query: a day, or a minute
/// if hours or smaller units are used. `None` for other text, and for dates that cannot be represented.
pub(super) fn to_absolute(text: &str, now: DateTime) -> Option<String> {
    let text = text.trim();
    let (mut rest, mut date) =
        [("now", 0), ("today", 0), ("yesterday", -1), ("tomorrow", 1)].into_iter().find_map(|(name, days)| {
            let (start, rest) = text.split_at_checked(name.len())?;
            let rest = start.eq_ignore_ascii_case(name).then_some(rest)?;
            Some((rest, now.checked_add(days.days()).ok()?))
        })?;
    let mut is_day = true;
    let mut shown = None;
    while let Some(sign) = rest.chars().next() {
        rest = rest.get(sign.len_utf8()..)?;
        if sign == '/' {
            let unit = rest.chars().next()?;
            rest = rest.get(unit.len_utf8()..)?;
            shown = Some(unit);
            continue;
        }
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest.get(..length)?.parse().ok()?;
        let unit = rest.get(length..)?.chars().next()?;
        rest = rest.get(length + 1..)?;
        let number = match sign {
            '-' => -number,
            '+' => number,
            _ => return None,
        };
        let span = Span::new();
        let span = match unit {
            'y' => span.try_years(number),
            'M' => span.try_months(number),
            'w' => span.try_weeks(number),
            'd' => span.try_days(number),
            'h' | 'H' => span.try_hours(number),
            'm' => span.try_minutes(number),
            's' => span.try_seconds(number),
            _ => return None,
        };
        is_day &= matches!(unit, 'y' | 'M' | 'w' | 'd');
        date = date.checked_add(span.ok()?).ok()?;
    }
    let format = match shown {
        Some('y') => "%Y",
        Some('M') => "%Y-%m",
        Some('d') => "%Y-%m-%d",
        Some('w' | 'h' | 'H' | 'm' | 's') | None if is_day => "%Y-%m-%d",
        Some('w' | 'h' | 'H' | 'm' | 's') | None => "%Y-%m-%dT%H:%M",
        Some(_) => return None,
    };
    Some(date.strftime(format).to_string())
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn relative_dates_have_the_absolute_date_of_that_moment() {
        let now = date(2026, 12, 1).at(3, 30, 15, 0);
        for (text, absolute) in [
            ("now", Some("2026-12-01")),
            ("now-90d", Some("2026-09-02")),
            ("NOW-1M", Some("2026-11-01")),
            ("now+2w", Some("2026-12-15")),
            ("now-1y/y", Some("2025")),
            ("now-1M/M", Some("2026-11")),
            ("now-1d/d", Some("2026-11-30")),
            ("now-24h", Some("2026-11-30T03:30")),
            ("now-1d+30m", Some("2026-11-30T04:00")),
            ("today", Some("2026-12-01")),
            ("yesterday", Some("2026-11-30")),
            ("nowhere", None),
            ("now-", None),
            ("now-d", None),
            ("now-9999999y", None),
            ("now-1q", None),
            ("now/é", None),
            ("now-1é", None),
            ("2024-01-01", None),
            ("é", None),
            ("", None),
        ] {
            assert_eq!(to_absolute(text, now).as_deref(), absolute, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_an_absolute_date_or_none(text in "(now|today|NOW)?[-+/0-9yMwdhms é]{0,12}") {
            let now = date(2024, 2, 29).at(23, 59, 0, 0);
            if let Some(absolute) = to_absolute(&text, now) {
                prop_assert!(crate::dates::Period::parse(&absolute).is_some(), "{absolute}");
            }
        }
    }
}
