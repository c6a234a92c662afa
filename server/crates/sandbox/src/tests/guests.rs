//! Guests written by hand in WebAssembly text, so that they can violate every rule.

use transforms_sdk::manifest::{CONTRACT, Manifest, Parameter, Type};
use wit_component::StringEncoding;

/// A guest in WebAssembly text: the function that computes a row, and its manifest.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    /// Functions and data, including `$row (param $from i32) (param $to i32)`. `from` is the address of the row's first
    /// value (16 bytes: kind, payload at 8); `to` is the address of its result (24 bytes: whether it is a fault,
    /// payload at 8).
    pub(super) code: String,
    pub(super) imports: String,
    pub(super) manifest: Manifest,
    /// The world it claims to implement.
    pub(super) wit: String,
    /// Exports of the packed ABI, such as [`PACKED`]. Empty if the guest has only the component ABI.
    pub(super) packed: String,
}

pub(super) const WIT: &str = include_str!("../../../../../transforms-sdk/wit/transform.wit");

/// Returns the row's first value.
const ECHO: &str = "(func $row (param $from i32) (param $to i32)
    (i32.store8 (local.get $to) (i32.const 0))
    (memory.copy (i32.add (local.get $to) (i32.const 8)) (local.get $from) (i32.const 16)))";

/// The packed ABI: unpacks the rows, calls `$row` for each, and packs the results.
pub(super) const PACKED: &str = r#"
  (global $batch (mut i32) (i32.const 0))
  (func (export "user-import-export:packed-room@1") (param $length i32) (result i32)
    (global.set $top (i32.const 66000))
    (global.set $batch (call $alloc (i32.const 0) (i32.const 0) (i32.const 8) (local.get $length)))
    (global.get $batch))
  ;; Unpacks the item at $at to the value at $to. Returns the address of the next item.
  (func $unpack (param $at i32) (param $to i32) (result i32)
    (local $kind i32)
    (local.set $kind (i32.load8_u (local.get $at)))
    (local.set $at (i32.add (local.get $at) (i32.const 1)))
    (if (i32.or (i32.eqz (local.get $kind)) (i32.eq (local.get $kind) (i32.const 7))) (then
      (i32.store8 (local.get $to) (i32.const 0))
      (return (local.get $at))))
    (if (i32.lt_u (local.get $kind) (i32.const 3)) (then
      (i32.store8 (local.get $to) (i32.const 1))
      (i32.store8 offset=8 (local.get $to) (i32.sub (local.get $kind) (i32.const 1)))
      (return (local.get $at))))
    (i32.store8 (local.get $to) (i32.sub (local.get $kind) (i32.const 1)))
    (if (i32.eq (local.get $kind) (i32.const 3)) (then
      (i64.store offset=8 (local.get $to) (i64.load (local.get $at)))
      (return (i32.add (local.get $at) (i32.const 8)))))
    (i32.store offset=8 (local.get $to) (i32.add (local.get $at) (i32.const 4)))
    (i32.store offset=12 (local.get $to) (i32.load (local.get $at)))
    (i32.add (i32.add (local.get $at) (i32.const 4)) (i32.load (local.get $at))))
  ;; Unpacks a count and that many items to $values. Returns the address of the next item.
  (global $values (mut i32) (i32.const 0))
  (func $unpack_all (param $at i32) (result i32)
    (local $count i32) (local $to i32)
    (local.set $count (i32.load (local.get $at)))
    (local.set $at (i32.add (local.get $at) (i32.const 4)))
    (local.set $to (call $alloc (i32.const 0) (i32.const 0) (i32.const 8)
                                (i32.mul (i32.add (local.get $count) (i32.const 1)) (i32.const 16))))
    (global.set $values (local.get $to))
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $count)))
      (local.set $at (call $unpack (local.get $at) (local.get $to)))
      (local.set $to (i32.add (local.get $to) (i32.const 16)))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br $next)))
    (local.get $at))
  ;; Packs the result at $from to $to. Returns the address after it.
  (func $pack (param $from i32) (param $to i32) (result i32)
    (local $kind i32) (local $at i32) (local $length i32)
    (local.set $kind (i32.load8_u offset=8 (local.get $from)))
    (local.set $at (i32.load offset=16 (local.get $from)))
    (local.set $length (i32.load offset=20 (local.get $from)))
    (if (i32.load8_u (local.get $from)) (then
      (local.set $kind (i32.const 5))
      (local.set $at (i32.load offset=8 (local.get $from)))
      (local.set $length (i32.load offset=12 (local.get $from)))))
    (if (i32.eqz (local.get $kind)) (then
      (i32.store8 (local.get $to) (i32.const 0))
      (return (i32.add (local.get $to) (i32.const 1)))))
    (if (i32.eq (local.get $kind) (i32.const 1)) (then
      (i32.store8 (local.get $to) (i32.add (i32.load8_u offset=16 (local.get $from)) (i32.const 1)))
      (return (i32.add (local.get $to) (i32.const 1)))))
    (i32.store8 (local.get $to) (i32.add (local.get $kind) (i32.const 1)))
    (local.set $to (i32.add (local.get $to) (i32.const 1)))
    (if (i32.eq (local.get $kind) (i32.const 2)) (then
      (i64.store (local.get $to) (i64.load offset=16 (local.get $from)))
      (return (i32.add (local.get $to) (i32.const 8)))))
    (i32.store (local.get $to) (local.get $length))
    (memory.copy (i32.add (local.get $to) (i32.const 4)) (local.get $at) (local.get $length))
    (i32.add (i32.add (local.get $to) (i32.const 4)) (local.get $length)))
  ;; Returns an upper bound of the packed size of the result at $from, in bytes.
  (func $size (param $from i32) (result i32)
    (if (i32.load8_u (local.get $from)) (then (return (i32.add (i32.load offset=12 (local.get $from)) (i32.const 9)))))
    (if (i32.lt_u (i32.load8_u offset=8 (local.get $from)) (i32.const 3)) (then (return (i32.const 9))))
    (i32.add (i32.load offset=20 (local.get $from)) (i32.const 9)))
  (func (export "user-import-export:packed-apply@1") (param $length i32) (result i64)
    (local $at i32) (local $end i32) (local $results i32) (local $last i32) (local $out i32) (local $to i32)
    (local.set $at (global.get $batch))
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (global.set $extra (i32.const 0))
    ;; A literal has 16 bytes here; as an option, its value is at offset 8.
    (local.set $at (call $unpack_all (local.get $at)))
    (global.set $literals (i32.sub (global.get $values) (i32.const 8)))
    (local.set $results (call $alloc (i32.const 0) (i32.const 0) (i32.const 8)
                                     (i32.mul (i32.const 24) (i32.div_u (local.get $length) (i32.const 4)))))
    (local.set $last (local.get $results))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
      (local.set $at (call $unpack_all (local.get $at)))
      (call $row (global.get $values) (local.get $last))
      (local.set $last (i32.add (local.get $last) (i32.const 24)))
      (br $next)))
    (local.set $last (i32.add (local.get $last) (i32.mul (i32.const 24) (global.get $extra))))
    (local.set $to (local.get $results))
    (local.set $out (i32.const 0))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $to) (local.get $last)))
      (local.set $out (i32.add (local.get $out) (call $size (local.get $to))))
      (local.set $to (i32.add (local.get $to) (i32.const 24)))
      (br $next)))
    (local.set $out (call $alloc (i32.const 0) (i32.const 0) (i32.const 8) (local.get $out)))
    (local.set $to (local.get $out))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $results) (local.get $last)))
      (local.set $to (call $pack (local.get $results) (local.get $to)))
      (local.set $results (i32.add (local.get $results) (i32.const 24)))
      (br $next)))
    (i64.or (i64.shl (i64.extend_i32_u (i32.sub (local.get $to) (local.get $out))) (i64.const 32))
            (i64.extend_i32_u (local.get $out))))"#;

impl Guest {
    pub(super) fn new(code: impl Into<String>) -> Self {
        let parameter = Parameter {
            name: "value".into(),
            kind: Type::Any,
            optional: true,
            secret: false,
            description: String::new(),
        };
        Self {
            code: code.into(),
            imports: String::new(),
            manifest: Manifest {
                contract: CONTRACT.into(),
                name: "guest".into(),
                version: "1.0.0".into(),
                summary: "A guest of tests.".into(),
                documentation: String::new(),
                parameters: vec![parameter],
                output: Type::Any,
                examples: Vec::new(),
            },
            wit: WIT.into(),
            packed: String::new(),
        }
    }

    /// Adds the packed ABI.
    pub(super) fn packed(mut self) -> Self {
        self.packed = PACKED.into();
        self
    }

    /// Adds a packed ABI with these function bodies: `room` returns an address, `apply` returns results.
    pub(super) fn packed_by(mut self, room: &str, apply: &str) -> Self {
        self.packed = format!(
            r#"(func (export "user-import-export:packed-room@1") (param $length i32) (result i32) {room})
               (func (export "user-import-export:packed-apply@1") (param $length i32) (result i64) {apply})"#
        );
        self
    }

    pub(super) fn echo() -> Self {
        Self::new(ECHO)
    }

    pub(super) fn named(mut self, name: &str) -> Self {
        self.manifest.name = name.into();
        self
    }

    /// A guest that returns the first literal for every row.
    pub(super) fn first_literal() -> Self {
        Self::new(
            "(func $row (param $from i32) (param $to i32)
                (i32.store8 (local.get $to) (i32.const 0))
                (memory.copy (i32.add (local.get $to) (i32.const 8))
                             (i32.add (global.get $literals) (i32.const 8)) (i32.const 16)))",
        )
    }

    /// A guest that refuses every row.
    pub(super) fn refusing(message: &str) -> Self {
        Self::new(
            format!(
                "(data (i32.const 64) {message:?})
             (func $row (param $from i32) (param $to i32)
                (i32.store8 (local.get $to) (i32.const 1))
                (i32.store offset=8 (local.get $to) (i32.const 64))
                (i32.store offset=12 (local.get $to) (i32.const {})))",
                message.len()
            )
            .replace("\\u{7}", "\\07"),
        )
    }

    /// Returns the core module without a manifest.
    pub(super) fn bare(&self) -> Vec<u8> {
        let Self { code, imports, packed, .. } = self;
        let text = format!(
            r#"(module
  {imports}
  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 66000))
  (global $literals (mut i32) (i32.const 0))
  (global $extra (mut i32) (i32.const 0))
  (func $alloc (export "cabi_realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
                            (i32.sub (i32.const 0) (local.get $align))))
    (global.set $top (i32.add (local.get $at) (local.get $new)))
    (if (i32.gt_u (global.get $top) (i32.mul (memory.size) (i32.const 65536)))
      (then (if (i32.eq (memory.grow (i32.add (i32.const 1) (i32.div_u (local.get $new) (i32.const 65536)))) (i32.const -1))
              (then unreachable))))
    (local.get $at))
  (func (export "cabi_post_apply") (param i32) (global.set $top (i32.const 66000)))
  (func (export "apply") (param $lp i32) (param $ll i32) (param $rp i32) (param $rl i32) (result i32)
    (local $out i32) (local $i i32) (local $returned i32)
    (global.set $literals (local.get $lp))
    (global.set $extra (i32.const 0))
    (local.set $out (call $alloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.mul (local.get $rl) (i32.const 24))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $rl)))
        (call $row
          (i32.load (i32.add (local.get $rp) (i32.mul (local.get $i) (i32.const 8))))
          (i32.add (local.get $out) (i32.mul (local.get $i) (i32.const 24))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.set $returned (call $alloc (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 8)))
    (i32.store (local.get $returned) (local.get $out))
    (i32.store offset=4 (local.get $returned) (i32.add (local.get $rl) (global.get $extra)))
    (local.get $returned))
  {packed}
  {code})"#
        );
        let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"));
        let mut resolve = wit_parser::Resolve::default();
        let package = resolve.push_str("transform.wit", &self.wit).expect("WIT");
        let world = resolve.select_world(&[package], None).expect("one world");
        wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
        module
    }

    /// Returns the core module with its manifest, as a build creates it.
    pub(super) fn module(&self) -> Vec<u8> {
        super::validate::with_manifest(&self.bare(), &self.manifest)
    }
}
