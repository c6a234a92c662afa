//! The transform `format_date`.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::{Offset, TimeZone};
use transforms_sdk::prelude::*;

/// Writes a date or a point in time by a pattern such as `%d.%m.%Y %H:%M`.
///
/// The date is ISO 8601 as Auth0 writes it (`2024-05-01T10:20:30.123Z`, with any offset), without an offset
/// (then it is UTC), or a day alone (`2024-05-01`), which is the same day in every zone. The pattern is that of
/// `strftime`, in English: `%Y` `%m` `%d` `%H` `%M` `%S` `%3f` (milliseconds) `%A` `%B` `%j` `%V` `%z` `%:z` `%s`
/// and others, `%%` for a percent sign. The zone is an offset from UTC, such as `+02:00`; without it, UTC. Names
/// such as `Europe/Berlin` are refused: their rules change, and the same export would change with them.
/// Nothing gives nothing.
#[transform(
    example(r#"format_date("2024-05-01T22:20:30.123Z", "%d.%m.%Y")"# => "01.05.2024"),
    example(r#"format_date("2024-05-01T22:20:30.123Z", "%Y-%m-%d %H:%M", "+02:00")"# => "2024-05-02 00:20"),
)]
pub fn format_date(
    /// The date, as ISO 8601.
    date: Option<&str>,
    /// How it is written.
    pattern: &str,
    /// Offset from UTC: `+02:00`, `-0530`, `UTC`.
    zone: Option<&str>,
) -> Result<Option<String>, Fault> {
    let offset = zone.map_or(Ok(Offset::UTC), offset)?;
    let Some(date) = date else { return Ok(None) };
    let zone = TimeZone::fixed(offset);
    let date = date.trim();
    let moment = if let Ok(moment) = date.parse::<Timestamp>() {
        moment.to_zoned(zone)
    } else if let Some(day) = day_alone(date) {
        day.to_zoned(zone).map_err(Fault::new)?
    } else if let Ok(moment) = date.parse::<DateTime>() {
        moment.to_zoned(TimeZone::UTC).map_err(Fault::new)?.with_time_zone(zone)
    } else {
        return Err("`date` is no date as ISO 8601 has it: 2024-05-01 or 2024-05-01T10:20:30Z is expected".into());
    };
    strtime::format(pattern, BrokenDownTime::from(&moment))
        .map(Some)
        .map_err(|error| fault!("`pattern` cannot be followed: {error}"))
}

/// `2024-05-01` or `20240501`, and nothing after it.
fn day_alone(date: &str) -> Option<Date> {
    date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-').then(|| date.parse().ok())?
}

/// `Z`, `UTC`, or a sign, hours and minutes, with or without a colon; or a sign and hours.
fn offset(zone: &str) -> Result<Offset, Fault> {
    let zone = zone.trim();
    if zone.is_empty() || zone.eq_ignore_ascii_case("z") || zone.eq_ignore_ascii_case("utc") {
        return Ok(Offset::UTC);
    }
    let read = || {
        let (sign, rest) = match zone.strip_prefix('+') {
            Some(rest) => (1, rest),
            None => (-1, zone.strip_prefix(['-', '\u{2212}'])?),
        };
        let digits = match rest.split_once(':') {
            Some((hours, minutes)) if hours.len() == 2 && minutes.len() == 2 => hours.to_owned() + minutes,
            Some(_) => return None,
            None if rest.len() == 2 => rest.to_owned() + "00",
            None => rest.to_owned(),
        };
        if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits: i32 = digits.parse().ok()?;
        let (hours, minutes) = (digits / 100, digits % 100);
        // No time zone has a larger offset from UTC.
        let seconds = hours * 3600 + minutes * 60;
        (minutes < 60 && seconds <= 14 * 3600).then(|| Offset::from_seconds(sign * seconds).ok())?
    };
    read().ok_or_else(|| {
        fault!("`zone` is {zone:?}; an offset from UTC is expected, such as +02:00 (names of time zones are not known here)")
    })
}
