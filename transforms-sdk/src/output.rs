//! The types of results of a transform.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value as Json};

use crate::manifest::Type;
use crate::{Fault, Value};

/// A type that a transform may return.
///
/// | type | manifest |
/// |---|---|
/// | `String`, `&str`, `Cow<str>`, `char` | text |
/// | `f64`, `f32`, `i8` … `i64`, `u8` … `u64`, `usize` | number |
/// | `bool` | boolean |
/// | `Vec<T>`, `BTreeMap<String, T>`, `HashMap<String, T>`, `serde_json::Map` | json |
/// | `serde_json::Value`, [`Value`] | any |
/// | `Option<T>`: `None` is nothing, an empty cell | as `T` |
/// | `Result<T, Fault>`: a fault is reported with its row, and the job goes on | as `T` |
///
/// Numbers are those of JavaScript: a whole number beyond 2^53 becomes the nearest 64-bit floating point
/// number. Return text if every digit matters.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be what a transform gives",
    label = "not a type that a cell is made from",
    note = "give `String`, `bool`, a number type, `Vec<T>`, `BTreeMap<String, T>`, `serde_json::Value` or `Value`, as it is, as `Option` or as `Result<_, Fault>`"
)]
pub trait Output {
    /// The type in the manifest.
    const TYPE: Type;

    /// Returns the value of the cell, or the fault of the row.
    fn into_result(self) -> Result<Value, Fault>;
}

macro_rules! texts {
    ($($text:ty),*) => {$(
        impl Output for $text {
            const TYPE: Type = Type::Text;

            fn into_result(self) -> Result<Value, Fault> {
                Ok(Value::Text(self.into()))
            }
        }
    )*};
}

texts!(String, &str, Cow<'_, str>, char);

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Output for $number {
            const TYPE: Type = Type::Number;

            #[allow(clippy::cast_precision_loss, clippy::cast_lossless)] // documented
            fn into_result(self) -> Result<Value, Fault> {
                Ok(Value::Number(self as f64))
            }
        }
    )*};
}

numbers!(f64, f32, i8, i16, i32, i64, u8, u16, u32, u64, usize);

impl Output for bool {
    const TYPE: Type = Type::Boolean;

    fn into_result(self) -> Result<Value, Fault> {
        Ok(Value::Boolean(self))
    }
}

impl Output for Value {
    const TYPE: Type = Type::Any;

    fn into_result(self) -> Result<Value, Fault> {
        Ok(self)
    }
}

impl Output for Json {
    const TYPE: Type = Type::Any;

    fn into_result(self) -> Result<Value, Fault> {
        Ok(self.into())
    }
}

impl Output for Map<String, Json> {
    const TYPE: Type = Type::Json;

    fn into_result(self) -> Result<Value, Fault> {
        Ok(Value::Json(self.into()))
    }
}

impl<T: Output> Output for Vec<T> {
    const TYPE: Type = Type::Json;

    fn into_result(self) -> Result<Value, Fault> {
        let items = self.into_iter().map(|item| item.into_result().map(Json::from)).collect::<Result<_, _>>()?;
        Ok(Value::Json(Json::Array(items)))
    }
}

fn object<T: Output>(members: impl IntoIterator<Item = (String, T)>) -> Result<Value, Fault> {
    let members = members.into_iter().map(|(key, value)| Ok((key, value.into_result()?.into())));
    Ok(Value::Json(Json::Object(members.collect::<Result<_, Fault>>()?)))
}

impl<T: Output> Output for BTreeMap<String, T> {
    const TYPE: Type = Type::Json;

    fn into_result(self) -> Result<Value, Fault> {
        object(self)
    }
}

impl<T: Output, S> Output for HashMap<String, T, S> {
    const TYPE: Type = Type::Json;

    /// Sorted by key: a hash map has no defined order, and a result must depend only on the arguments.
    fn into_result(self) -> Result<Value, Fault> {
        object(self.into_iter().collect::<BTreeMap<_, _>>())
    }
}

impl<T: Output> Output for Option<T> {
    const TYPE: Type = T::TYPE;

    fn into_result(self) -> Result<Value, Fault> {
        self.map_or(Ok(Value::Nothing), T::into_result)
    }
}

impl<T: Output, E: Into<Fault>> Output for Result<T, E> {
    const TYPE: Type = T::TYPE;

    fn into_result(self) -> Result<Value, Fault> {
        self.map_err(Into::into).and_then(T::into_result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn results_are_values() {
        assert_eq!("é".into_result(), Ok(Value::from("é")));
        assert_eq!((-3_i32).into_result(), Ok(Value::Number(-3.0)));
        assert_eq!(None::<bool>.into_result(), Ok(Value::Nothing));
        assert_eq!(vec![Some(1_u8), None].into_result(), Ok(Value::Json(json!([1, null]))));
        assert_eq!(json!("a").into_result(), Ok(Value::from("a")));
        let map: HashMap<String, u8> = [("b".into(), 2), ("a".into(), 1)].into();
        assert_eq!(Json::from(map.into_result().unwrap()).to_string(), r#"{"a":1,"b":2}"#);
    }

    #[test]
    fn a_fault_says_what_the_error_says() {
        assert_eq!(Err::<String, _>("no").into_result().unwrap_err().message(), "no");
        assert_eq!("x".parse::<u8>().into_result().unwrap_err().message(), "invalid digit found in string");
    }
}
