//! Files of tests.

use std::path::Path;

/// Returns whether a file name has this extension.
pub fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

/// Returns a shipped transform under another name of the same length, as a file that can be uploaded.
pub fn renamed_transform(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let path = format!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../transforms/prebuilt/{}.wasm"), from);
    let mut bytes = std::fs::read(path).expect("a shipped transform");
    let places: Vec<usize> =
        (0..=bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "{from}");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}
