//! Time stamps.

use jiff::Timestamp;
use serde_json::Value;

/// Numbers from this value on are milliseconds: as seconds it would be the year 5138.
const FIRST_MILLISECONDS: i64 = 100_000_000_000;

/// Returns a time as ISO 8601 text in UTC: from seconds or milliseconds since 1970, from ISO 8601, or from PostgreSQL's
/// form (`2024-01-01 10:00:00.123+00`). Other text is returned unchanged; `None` for other values.
pub(crate) fn iso(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => {
            number.as_i64().or_else(|| number.as_f64().map(|number| number as i64)).and_then(from_number)
        }
        Value::String(text) => {
            let text = text.trim();
            match text.parse::<i64>() {
                Ok(number) => from_number(number),
                Err(_) => Some(parse(text).map_or_else(|| text.to_owned(), |time| time.to_string())),
            }
        }
        _ => None,
    }
}

/// Returns the time of a value; `None` if it is no time.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    // PostgreSQL writes an offset of whole hours with two digits.
    let offset = text.rfind(['+', '-']).filter(|at| *at > 10)?;
    let (time, zone) = text.split_at_checked(offset)?;
    match zone.len() {
        3 => format!("{}{zone}:00", time.replacen(' ', "T", 1)).parse().ok(),
        _ => text.replacen(' ', "T", 1).parse().ok(),
    }
}

fn from_number(number: i64) -> Option<String> {
    let time = if number.abs() >= FIRST_MILLISECONDS {
        Timestamp::from_millisecond(number)
    } else {
        Timestamp::from_second(number)
    };
    time.ok().map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_become_iso_8601_in_utc() {
        for (value, expected) in [
            (json!(1_508_255_889), "2017-10-17T15:58:09Z"),
            (json!(1_508_255_889_000_i64), "2017-10-17T15:58:09Z"),
            (json!(1_508_255_889.25), "2017-10-17T15:58:09Z"),
            (json!("1508255889000"), "2017-10-17T15:58:09Z"),
            (json!("2024-01-01 10:00:00.123456+00"), "2024-01-01T10:00:00.123456Z"),
            (json!("2024-01-01 10:00:00+05:30"), "2024-01-01T04:30:00Z"),
            (json!("2024-01-01T10:00:00.000Z"), "2024-01-01T10:00:00Z"),
            (json!("yesterday"), "yesterday"),
        ] {
            assert_eq!(iso(&value).as_deref(), Some(expected), "{value}");
        }
        assert_eq!(iso(&json!({})), None);
    }
}
