//! Compiled transforms: core modules if they export the packed ABI ([`transforms_sdk::packed`]), which does not need
//! the component model, otherwise components.

use wasmtime::component::{self, Component};
use wasmtime::{Engine, InstancePre, Module};

use super::engine::Guest;

/// A compiled transform.
#[derive(Clone)]
pub(super) enum CompiledTransform {
    Component(Component),
    Module(Module),
}

/// A compiled transform, linked without imports and ready to be instantiated.
#[derive(Clone)]
pub(super) enum PreparedTransform {
    Component(component::InstancePre<Guest>),
    Module(InstancePre<Guest>),
}

/// What code was compiled from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CodeKind {
    Component,
    Module,
}

/// Compiles a component or a core module and returns the serialized code, without loading it.
pub(super) fn precompile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<(CodeKind, Vec<u8>)> {
    Ok(if wasmparser::Parser::is_core_wasm(wasm) {
        (CodeKind::Module, engine.precompile_module(wasm)?)
    } else {
        (CodeKind::Component, engine.precompile_component(wasm)?)
    })
}

impl CompiledTransform {
    /// Returns what it was compiled from.
    pub(super) fn kind(&self) -> CodeKind {
        match self {
            Self::Component(_) => CodeKind::Component,
            Self::Module(_) => CodeKind::Module,
        }
    }

    /// Compiles a component or a core module.
    pub(super) fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Self> {
        Ok(if wasmparser::Parser::is_core_wasm(wasm) {
            Self::Module(Module::from_binary(engine, wasm)?)
        } else {
            Self::Component(Component::from_binary(engine, wasm)?)
        })
    }

    /// Returns the compiled code, serialized.
    pub(super) fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        match self {
            Self::Component(component) => component.serialize(),
            Self::Module(module) => module.serialize(),
        }
    }

    /// Prepares it for instantiation, without any imports.
    pub(super) fn link(&self, engine: &Engine) -> wasmtime::Result<PreparedTransform> {
        Ok(match self {
            Self::Component(component) => {
                PreparedTransform::Component(component::Linker::new(engine).instantiate_pre(component)?)
            }
            Self::Module(module) => PreparedTransform::Module(wasmtime::Linker::new(engine).instantiate_pre(module)?),
        })
    }
}
