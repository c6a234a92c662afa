//! Partial dates: `2017-12` is the whole month.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// The attributes whose values are dates.
pub(super) const DATES: &[&str] = &["created_at", "updated_at", "last_login"];

/// Returns the first and the (exclusive) last millisecond of a date, which may be partial.
pub(super) fn period(text: &str) -> Option<(i64, i64)> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut parts = date.split('-');
    let year = number(parts.next()?, 4)?;
    let month = parts.next().map(|part| number(part, 2)).map_or(Some(None), |part| part.map(Some))?;
    let day = parts.next().map(|part| number(part, 2)).map_or(Some(None), |part| part.map(Some))?;
    if parts.next().is_some() || (time.is_some() && day.is_none()) {
        return None;
    }
    let start_day = Date::new(year, month.unwrap_or(1) as i8, day.unwrap_or(1) as i8).ok()?;
    let Some(time) = time else {
        let start = start_day.at(0, 0, 0, 0);
        let length = match (month, day) {
            (None, _) => Span::new().years(1),
            (_, None) => Span::new().months(1),
            _ => Span::new().days(1),
        };
        return Some((millis(start)?, millis(start.checked_add(length).ok()?)?));
    };
    let (time, fraction) = match time.split_once('.') {
        Some((time, fraction)) => (time, Some(fraction)),
        None => (time, None),
    };
    let mut parts = time.split(':');
    let hour = number(parts.next()?, 2)?;
    let minute = parts.next().map(|part| number(part, 2)).map_or(Some(None), |part| part.map(Some))?;
    let second = parts.next().map(|part| number(part, 2)).map_or(Some(None), |part| part.map(Some))?;
    if parts.next().is_some() || (fraction.is_some() && second.is_none()) {
        return None;
    }
    let start = start_day
        .to_datetime(jiff::civil::Time::new(hour as i8, minute.unwrap_or(0) as i8, second.unwrap_or(0) as i8, 0).ok()?);
    let start = millis(start)?;
    match (minute, second, fraction) {
        (None, _, _) => Some((start, start + 3_600_000)),
        (_, None, _) => Some((start, start + 60_000)),
        (_, _, None) => Some((start, start + 1000)),
        (_, _, Some(fraction)) => {
            if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let digits = fraction.get(..3).unwrap_or(fraction);
            let length = 10_i64.pow(3 - digits.len() as u32);
            let start = start + digits.parse::<i64>().ok()? * length;
            Some((start, start + length))
        }
    }
}

/// Parses a complete date, as stored in a user.
pub(super) fn instant(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

fn number(text: &str, digits: usize) -> Option<i16> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn millis(at: DateTime) -> Option<i64> {
    at.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_millisecond())
}
