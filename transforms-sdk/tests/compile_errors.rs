//! What authors read when a function cannot be a transform.

#[test]
fn the_compiler_says_what_to_do() {
    trybuild::TestCases::new().compile_fail("tests/compile_errors/*.rs");
}
