//! Partial dates as periods: `2017-12` is the whole month.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// A half-open time range, in milliseconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Period {
    pub start: i64,
    pub end: i64,
}

impl Period {
    /// Parses `2017`, `2017-12`, `2017-12-31`, `2017-12-31T23`, … down to milliseconds, with or without `Z`, or a
    /// complete time with an offset from UTC. `None` for other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_partial(text).or_else(|| {
            let start = parse_instant(text)?;
            Some(Self { start, end: start + 1 })
        })
    }

    fn parse_partial(text: &str) -> Option<Self> {
        let (date, time) = match text.split_once('T') {
            Some((date, time)) => (date, Some(time.strip_suffix('Z').unwrap_or(time))),
            None => (text, None),
        };
        let mut numbers = date.split('-');
        let year = digits(numbers.next()?, 4)?;
        let month = optional_digits(numbers.next(), 2).ok()?;
        let day = optional_digits(numbers.next(), 2).ok()?;
        if numbers.next().is_some() || (time.is_some() && day.is_none()) {
            return None;
        }
        let first = Date::new(year, to_i8(month.unwrap_or(1))?, to_i8(day.unwrap_or(1))?).ok()?;
        let Some(time) = time else {
            let length = match (month, day) {
                (None, _) => Span::new().years(1),
                (Some(_), None) => Span::new().months(1),
                (Some(_), Some(_)) => Span::new().days(1),
            };
            let next = first.checked_add(length).ok()?;
            return Some(Self {
                start: to_milliseconds(first, Time::midnight())?,
                end: to_milliseconds(next, Time::midnight())?,
            });
        };
        let (time, fraction) = match time.split_once('.') {
            Some((time, fraction)) => (time, Some(fraction)),
            None => (time, None),
        };
        let mut numbers = time.split(':');
        let hour = digits(numbers.next()?, 2)?;
        let minute = optional_digits(numbers.next(), 2).ok()?;
        let second = optional_digits(numbers.next(), 2).ok()?;
        if numbers.next().is_some() || (fraction.is_some() && second.is_none()) {
            return None;
        }
        let clock = Time::new(to_i8(hour)?, to_i8(minute.unwrap_or(0))?, to_i8(second.unwrap_or(0))?, 0).ok()?;
        let start = to_milliseconds(first, clock)?;
        let (start, length) = match (minute, second, fraction) {
            (None, _, _) => (start, 3_600_000),
            (Some(_), None, _) => (start, 60_000),
            (Some(_), Some(_), None) => (start, 1000),
            (Some(_), Some(_), Some(fraction)) => {
                let known = fraction.get(..fraction.len().min(3))?;
                if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                let length = 10_i64.pow(3 - known.len() as u32);
                (start + known.parse::<i64>().ok()? * length, length)
            }
        };
        Some(Self { start, end: start + length })
    }
}

/// Parses a complete time, as in attributes of users, to milliseconds since 1970.
pub(super) fn parse_instant(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

/// Returns the last day of the month of a date such as `2024-02-30` that the month does not have; `None` for other text.
pub(super) fn last_day_of_month(text: &str) -> Option<Date> {
    let mut numbers = text.get(..10)?.split('-');
    let year = digits(numbers.next()?, 4)?;
    let month = digits(numbers.next()?, 2)?;
    let day = digits(numbers.next()?, 2)?;
    let last = Date::new(year, to_i8(month)?, 1).ok()?.last_of_month();
    (day > i16::from(last.day())).then_some(last)
}

/// Parses digits that may be absent: `Ok(None)` if absent, `Err` if present but not `length` digits.
fn optional_digits(text: Option<&str>, length: usize) -> Result<Option<i16>, NotANumber> {
    text.map(|text| digits(text, length).ok_or(NotANumber)).transpose()
}

struct NotANumber;

fn digits(text: &str, length: usize) -> Option<i16> {
    (text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn to_i8(number: i16) -> Option<i8> {
    i8::try_from(number).ok()
}

fn to_milliseconds(date: Date, time: Time) -> Option<i64> {
    date.to_datetime(time).to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_millisecond())
}
