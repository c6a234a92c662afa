//! Validation of uploaded transforms.

use transforms_sdk::manifest::{CONTRACT, SECTION};
use uie_core::error::Code;
use uie_sandbox::{Origin, Transform, is_name, with_manifest};

use crate::fixture::assert_displayable;

/// Input: a file; or, if it starts with `{`, the manifest of an otherwise empty component.
///
/// Invariants: nothing is compiled or run; a rejected file has an error of one readable line; an accepted file has a
/// valid manifest, keeps its bytes, and cannot get a second manifest.
pub fn transform_intake(data: &[u8]) {
    let bytes = if data.starts_with(b"{") { component(data) } else { data.to_vec() };
    let transform = match Transform::from_bytes("upload.wasm", bytes.clone(), Origin::Upload) {
        Ok(transform) => transform,
        Err(error) => {
            assert_eq!(error.code, Code::InvalidTransform);
            assert!(!error.message.to_string().chars().any(char::is_control), "more than one line: {error}");
            assert!(error.message.to_string().chars().count() < 2000, "too long: {error}");
            return assert_displayable(&error);
        }
    };
    let manifest = transform.manifest();
    assert!(is_name(&manifest.name) && manifest.contract == CONTRACT);
    assert!(!manifest.version.is_empty() && manifest.parameters.iter().all(|parameter| is_name(&parameter.name)));
    assert!(!transform.label().chars().any(char::is_control));
    assert_eq!(transform.bytes().expect("in memory"), bytes);
    let json = serde_json::to_vec(manifest).expect("a manifest is JSON");
    let again: transforms_sdk::manifest::Manifest = serde_json::from_slice(&json).expect("a manifest");
    assert_eq!(&again, manifest);
    let error = with_manifest("upload.wasm", &bytes, manifest).expect_err("a second manifest");
    assert!(error.message.contains("more than one manifest"), "{error}");
}

/// Encodes a component that has only a manifest section.
fn component(manifest: &[u8]) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    let mut content = Vec::new();
    write_leb128(SECTION.len(), &mut content);
    content.extend_from_slice(SECTION.as_bytes());
    content.extend_from_slice(manifest);
    bytes.push(0);
    write_leb128(content.len(), &mut bytes);
    bytes.extend_from_slice(&content);
    bytes
}

/// Appends an unsigned LEB128 number.
fn write_leb128(mut number: usize, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}
