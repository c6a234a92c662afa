//! Compiler errors of `#[transform]` for functions that cannot be transforms.

/// The compiler version whose messages are compared; other versions differ.
const COMPILER: &str = "rustc 1.95.";

#[test]
fn compile_errors_explain_what_to_do() {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = std::process::Command::new(rustc).arg("--version").output().expect("cargo found a compiler too");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    if !version.starts_with(COMPILER) {
        eprintln!("skipped: the expected messages are those of {COMPILER}*, and this is {version}");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/compile_errors/*.rs");
}
