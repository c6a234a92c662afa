//! The macro behind the settings table.

/// Declares a struct of settings, the table of their keys, and the function that reads them.
///
/// An entry is one field with the keys that it is read from:
///
/// ```text
/// /// Maximum size of an upload, in bytes.
/// upload_limit: u64 {
///     UPLOAD_LIMIT: with_default(parse::size) {
///         default: "2GiB",
///         expected: "a size such as 2GiB",
///         description: "largest file to import",
///     }
/// }
/// ```
///
/// It generates the field `pub upload_limit: u64` with its doc comment, a [`Key`](super::key::Key) in the table, and
/// the reading of the value. Messages, the environment, TOML, `UPLOAD_LIMIT_FILE`, hints for misspelled names,
/// `validate-config` and the README follow from the table.
///
/// The word after the key is a method of [`SettingsLoader`](super::loader::SettingsLoader), which decides what the key
/// yields:
///
/// | kind | result | without a value |
/// |---|---|---|
/// | `with_default(parse)` | `T` | the default |
/// | `optional(parse)` | `Option<T>` | `None` |
/// | `secret` | `Option<SecretString>`, hidden in messages | `None` |
/// | `list` | `Vec<String>`, separated by commas | an empty list |
///
/// `parse` is a `fn(&str) -> Option<T>`; `None` is reported with `expected`. The attributes in braces are fields of
/// `Key`: `expected` and `description` always, `default` with `with_default`, `fallback` and `prefix` if needed.
///
/// An entry with several keys, or whose value is not the value of its key, ends with `=>` and an expression. It can use
/// the keys of the entry, the fields above it, and the loader:
///
/// ```text
/// /// Public base URL.
/// base_url: Option<Url> {
///     PUBLIC_WT_URL: optional(parse::web_url) { … }
///     WT_URL: optional(parse::web_url) { … }
///     => PUBLIC_WT_URL.or(WT_URL)
/// }
/// ```
macro_rules! settings {
    (
        $(#[$struct_doc:meta])* pub struct $settings:ident read from $loader:ident;
        $(#[$keys_doc:meta])* pub const $keys:ident;
        $(
            $(#[$doc:meta])*
            $field:ident: $type:ty {
                $($key:ident: $kind:ident $(($parse:expr))? { $($attribute:ident: $text:expr),+ $(,)? })*
                $(=> $value:expr)?
            }
        )*
    ) => {
        $(#[$struct_doc])*
        #[derive(Clone, Debug)]
        pub struct $settings { $($(#[$doc])* pub $field: $type,)* }

        $(#[$keys_doc])*
        pub const $keys: &[$crate::config::key::Key] =
            &[$($($crate::config::settings_macro::settings!(@key $key $kind $($attribute: $text,)+),)*)*];

        impl $settings {
            /// Reads all fields in the order of the table. The loader collects what is wrong; a field without a valid
            /// value has its default or is empty.
            #[allow(non_snake_case, reason = "values have the names of their keys")]
            pub(super) fn read($loader: &mut $crate::config::loader::SettingsLoader) -> Self {
                $(
                    let $field: $type = {
                        $(
                            let $key = {
                                const KEY: $crate::config::key::Key =
                                    $crate::config::settings_macro::settings!(@key $key $kind $($attribute: $text,)+);
                                $loader.$kind(&KEY $(, $parse)?)
                            };
                        )*
                        $crate::config::settings_macro::settings!(@value $($key)* $(=> $value)?)
                    };
                )*
                Self { $($field),* }
            }
        }
    };

    (@key $key:ident $kind:ident $($attribute:ident: $text:expr,)+) => {
        $crate::config::key::Key {
            name: stringify!($key),
            secret: $crate::config::settings_macro::settings!(@is_secret $kind),
            $($attribute: $text,)+
            ..$crate::config::key::Key::EMPTY
        }
    };

    (@is_secret secret) => { true };
    (@is_secret $kind:ident) => { false };

    (@value $key:ident) => { $key };
    (@value $($key:ident)* => $value:expr) => { $value };
}

pub(super) use settings;
