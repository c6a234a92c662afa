//! Compiled transforms: components, or core modules where those have the second door
//! ([`transforms_sdk::packed`]), which needs nothing of a component.

use wasmtime::component::{self, Component};
use wasmtime::{Engine, InstancePre, Module};

use super::engine::Guest;

/// A compiled transform.
#[derive(Clone)]
pub(super) enum Program {
    Component(Component),
    Module(Module),
}

/// The same, ready to be instantiated.
#[derive(Clone)]
pub(super) enum Ready {
    Component(component::InstancePre<Guest>),
    Module(InstancePre<Guest>),
}

/// What compiled code is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Component,
    Module,
}

/// Compiles a component or a core module to code, without loading it.
pub(super) fn precompile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<(Form, Vec<u8>)> {
    Ok(if wasmparser::Parser::is_core_wasm(wasm) {
        (Form::Module, engine.precompile_module(wasm)?)
    } else {
        (Form::Component, engine.precompile_component(wasm)?)
    })
}

impl Program {
    /// What it is.
    pub(super) fn form(&self) -> Form {
        match self {
            Self::Component(_) => Form::Component,
            Self::Module(_) => Form::Module,
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

    /// The compiled code.
    pub(super) fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        match self {
            Self::Component(component) => component.serialize(),
            Self::Module(module) => module.serialize(),
        }
    }

    /// Makes it ready to be instantiated with no imports at all.
    pub(super) fn link(&self, engine: &Engine) -> wasmtime::Result<Ready> {
        Ok(match self {
            Self::Component(component) => Ready::Component(component::Linker::new(engine).instantiate_pre(component)?),
            Self::Module(module) => Ready::Module(wasmtime::Linker::new(engine).instantiate_pre(module)?),
        })
    }
}
