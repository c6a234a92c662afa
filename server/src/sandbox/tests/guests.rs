//! Guests written by hand, so that they can break every rule.

use transforms_sdk::manifest::{CONTRACT, Manifest, Parameter, Type};
use wit_component::StringEncoding;

/// A guest in the text format of WebAssembly: what it does with a row, and its manifest.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    /// Functions and data, among them `$row (param $from i32) (param $to i32)`: `from` is where the row's
    /// first value lies (16 bytes: kind, payload at 8), `to` where its result goes (24 bytes: whether it is a
    /// fault, payload at 8).
    pub(super) code: String,
    pub(super) imports: String,
    pub(super) manifest: Manifest,
    /// The world it claims to implement.
    pub(super) wit: String,
}

pub(super) const WIT: &str = include_str!("../../../../transforms-sdk/wit/transform.wit");

/// Gives the row's first value.
const ECHO: &str = "(func $row (param $from i32) (param $to i32)
    (i32.store8 (local.get $to) (i32.const 0))
    (memory.copy (i32.add (local.get $to) (i32.const 8)) (local.get $from) (i32.const 16)))";

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
        }
    }

    pub(super) fn echo() -> Self {
        Self::new(ECHO)
    }

    pub(super) fn named(mut self, name: &str) -> Self {
        self.manifest.name = name.into();
        self
    }

    /// Gives the first literal for every row.
    pub(super) fn first_literal() -> Self {
        Self::new(
            "(func $row (param $from i32) (param $to i32)
                (i32.store8 (local.get $to) (i32.const 0))
                (memory.copy (i32.add (local.get $to) (i32.const 8))
                             (i32.add (global.get $literals) (i32.const 8)) (i32.const 16)))",
        )
    }

    /// Refuses every row.
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

    /// The core module without its manifest.
    pub(super) fn bare(&self) -> Vec<u8> {
        let Self { code, imports, .. } = self;
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
    (local $out i32) (local $i i32) (local $answer i32)
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
    (local.set $answer (call $alloc (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 8)))
    (i32.store (local.get $answer) (local.get $out))
    (i32.store offset=4 (local.get $answer) (i32.add (local.get $rl) (global.get $extra)))
    (local.get $answer))
  {code})"#
        );
        let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"));
        let mut resolve = wit_parser::Resolve::default();
        let package = resolve.push_str("transform.wit", &self.wit).expect("WIT");
        let world = resolve.select_world(&[package], None).expect("one world");
        wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
        module
    }

    /// The core module as an author's build leaves it.
    pub(super) fn module(&self) -> Vec<u8> {
        super::intake::with_manifest(&self.bare(), &self.manifest)
    }
}
