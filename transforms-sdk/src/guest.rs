//! The exports of a component that the host calls. Only on WASM; `#[transform]` exports them.

#[allow(unsafe_code, missing_docs, clippy::pedantic)]
mod abi {
    wit_bindgen::generate!({
        path: "wit",
        world: "transform",
        pub_export_macro: true,
        default_bindings_module: "transforms_sdk::guest",
    });
}

pub use abi::*;

pub use abi::user_import_export::transform::types::{Fault as GuestFault, Value as GuestValue};

use std::cell::RefCell;

use crate::{Arguments, Transform, last_panic, packed};

/// Computes a batch; the `apply` function of the contract.
pub fn apply<T: Transform>(
    literals: Vec<Option<GuestValue>>,
    rows: Vec<Vec<GuestValue>>,
) -> Vec<Result<GuestValue, GuestFault>> {
    last_panic::keep();
    let call = Call::new::<T>(literals);
    let mut values = Vec::new();
    rows.into_iter()
        .map(|row| {
            values.clear();
            call.as_ref()
                .map_err(Clone::clone)
                .and_then(|call| call.of::<T>(row, &mut values))
                .map_err(|fault| GuestFault { message: fault.message().to_owned() })
        })
        .collect()
}

/// The arguments that are the same for every row.
struct Call {
    literals: Vec<Option<crate::Value>>,
}

impl Call {
    fn new<T: Transform>(literals: Vec<Option<GuestValue>>) -> Result<Self, crate::Fault> {
        if literals.len() > T::PARAMETERS {
            return Err(crate::fault!("{} arguments are given; {} are taken", literals.len(), T::PARAMETERS));
        }
        let literals = literals.into_iter().map(|literal| literal.map(crate::Value::try_from).transpose());
        Ok(Self { literals: literals.collect::<Result<_, _>>()? })
    }

    fn of<T: Transform>(
        &self,
        row: Vec<GuestValue>,
        values: &mut Vec<crate::Value>,
    ) -> Result<GuestValue, crate::Fault> {
        for value in row {
            values.push(value.try_into()?);
        }
        T::call(&Arguments::new(&self.literals, values)).map(GuestValue::from)
    }
}

impl TryFrom<GuestValue> for crate::Value {
    type Error = crate::Fault;

    fn try_from(value: GuestValue) -> Result<Self, crate::Fault> {
        Ok(match value {
            GuestValue::Nothing => Self::Nothing,
            GuestValue::Boolean(boolean) => Self::Boolean(boolean),
            GuestValue::Number(number) => Self::Number(number),
            GuestValue::Text(text) => Self::Text(text),
            GuestValue::Json(json) => Self::from(
                serde_json::from_str::<serde_json::Value>(&json)
                    .map_err(|error| crate::fault!("an argument is not JSON: {error}"))?,
            ),
        })
    }
}

impl From<crate::Value> for GuestValue {
    fn from(value: crate::Value) -> Self {
        match value {
            crate::Value::Nothing => Self::Nothing,
            crate::Value::Boolean(boolean) => Self::Boolean(boolean),
            crate::Value::Number(number) => Self::Number(number),
            crate::Value::Text(text) => Self::Text(text),
            // JSON that is neither an object nor an array is passed as its own kind.
            crate::Value::Json(json) => match crate::Value::from(json) {
                crate::Value::Json(json) => Self::Json(json.to_string()),
                other => other.into(),
            },
        }
    }
}

thread_local! {
    /// The batch of a call through the packed ABI ([`packed`]), and its results.
    static BATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static RESULTS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Allocates memory for a batch of this many bytes and returns its address.
pub fn packed_room(length: usize) -> *mut u8 {
    BATCH.with_borrow_mut(|batch| {
        batch.resize(length, 0);
        batch.as_mut_ptr()
    })
}

/// Computes the batch. Returns the address of the results, and their length in the upper half.
pub fn packed_apply<T: Transform>(length: usize) -> u64 {
    last_panic::keep();
    BATCH.with_borrow(|batch| {
        RESULTS.with_borrow_mut(|results| {
            results.clear();
            packed::apply::<T>(batch.get(..length).unwrap_or(batch), results);
            (results.len() as u64) << 32 | results.as_ptr().addr() as u64
        })
    })
}

/// Exports a [`Transform`] to the host. Called by `#[transform]`.
#[doc(hidden)]
#[macro_export]
macro_rules! export_transform {
    ($transform:ty) => {
        #[allow(unsafe_code)]
        const _: () = {
            const LENGTH: usize = <$transform as $crate::Transform>::MANIFEST.len();

            #[used]
            #[unsafe(link_section = "user-import-export:manifest")]
            static MANIFEST: [u8; LENGTH] = $crate::build::bytes(<$transform as $crate::Transform>::MANIFEST);

            struct Exported;

            impl $crate::guest::Guest for Exported {
                fn apply(
                    literals: ::std::vec::Vec<::core::option::Option<$crate::guest::GuestValue>>,
                    rows: ::std::vec::Vec<::std::vec::Vec<$crate::guest::GuestValue>>,
                ) -> ::std::vec::Vec<::core::result::Result<$crate::guest::GuestValue, $crate::guest::GuestFault>>
                {
                    $crate::guest::apply::<$transform>(literals, rows)
                }
            }

    $crate::guest::export!(Exported with_types_in $crate::guest);

            #[unsafe(export_name = "user-import-export:packed-room@1")]
            extern "C" fn packed_room(length: usize) -> *mut u8 {
                $crate::guest::packed_room(length)
            }

            #[unsafe(export_name = "user-import-export:packed-apply@1")]
            extern "C" fn packed_apply(length: usize) -> u64 {
                $crate::guest::packed_apply::<$transform>(length)
            }
        };
    };
}
