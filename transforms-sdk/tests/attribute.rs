//! The expansion of `#[transform]`.

use serde_json::json;
use transforms_sdk::manifest::{CONTRACT, Manifest, Type};
use transforms_sdk::prelude::*;
use transforms_sdk::{Transform, testing};

/// Greets a person
/// by name.
///
/// The rest is "documentation", with a `back\slash`.
#[transform(
    example(r#"greet("Ada", "!")"# => "Hello Ada!"),
    example(r#"greet("Ada")"# => "Hello Ada"),
    example(r#"greet(null, "!", [1, {"a": null}])"# => null),
)]
fn greet(
    /// Who.
    name: Option<&str>,
    #[arg(secret)] ending: Option<String>,
    rest: Option<serde_json::Value>,
) -> Result<Option<String>, Fault> {
    match (name, rest) {
        (Some(""), _) => Err(fault!("{:?} is no name", "")),
        (Some("panic"), _) => panic!("at the disco"),
        (name, _) => Ok(name.map(|name| format!("Hello {name}{}", ending.unwrap_or_default()))),
    }
}

#[test]
fn the_function_can_be_called_directly() {
    assert_eq!(greet(Some("Ada"), None, None), Ok(Some("Hello Ada".to_owned())));
}

#[test]
fn the_manifest_describes_the_function() {
    let manifest: Manifest = testing::manifest::<greet>();
    assert_eq!((manifest.contract.as_str(), manifest.name.as_str()), (CONTRACT, "greet"));
    assert_eq!(manifest.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest.summary, "Greets a person by name.");
    assert_eq!(
        manifest.documentation,
        "Greets a person\nby name.\n\nThe rest is \"documentation\", with a `back\\slash`."
    );
    let parameters: Vec<_> = manifest
        .parameters
        .iter()
        .map(|parameter| {
            (parameter.name.as_str(), parameter.kind, parameter.optional, parameter.secret, &*parameter.description)
        })
        .collect();
    assert_eq!(
        parameters,
        [
            ("name", Type::Text, true, false, "Who."),
            ("ending", Type::Text, true, true, ""),
            ("rest", Type::Any, true, false, ""),
        ]
    );
    assert_eq!(manifest.output, Type::Text);
    assert_eq!(manifest.examples[2].arguments(), Some(vec![json!(null), json!("!"), json!([1, {"a": null}])]));
    assert_eq!(manifest.examples[2].gives, json!(null));
}

#[test]
fn calls_convert_arguments_and_report_faults() {
    assert_eq!(testing::call::<greet>([json!("Ada"), json!("?")]), Ok(Value::from("Hello Ada?")));
    assert_eq!(testing::call::<greet>([]), Ok(Value::Nothing));
    assert_eq!(testing::call::<greet>([json!("")]).unwrap_err().message(), "\"\" is no name");
    assert_eq!(testing::call::<greet>([json!(1)]).unwrap_err().message(), "`name` is a number; text is expected");
    let many = vec![json!(null); greet::PARAMETERS + 1];
    assert_eq!(testing::call::<greet>(many).unwrap_err().message(), "4 arguments are given; 3 are taken");
}

/// Runs a file of cases. Returns the message of the failing test, `None` if all pass.
fn cases(text: &str) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.json"), text).unwrap();
    std::fs::write(directory.path().join("b.txt"), "not a file of cases").unwrap();
    let panic = std::panic::catch_unwind(|| testing::cases::<greet>(directory.path())).err()?;
    let text = panic.downcast_ref::<String>().expect("a panic with a text").trim().to_owned();
    Some(text.replace(&directory.path().display().to_string(), "cases"))
}

#[test]
fn correct_cases_pass() {
    assert_eq!(
        cases(r#"[{"arguments": ["Ada"], "gives": "Hello Ada"}, {"arguments": [""], "fault": "no name"}]"#),
        None
    );
    testing::cases::<greet>("no such directory");
}

#[test]
fn every_failing_case_is_reported() {
    insta::assert_snapshot!(
        cases(
            r#"[
                {"name": "wrong text", "arguments": ["Ada"], "gives": "Hello Bob"},
                {"arguments": ["Ada"], "fault": "no name"},
                {"arguments": ["Ada"], "gives": "Hello Ada"},
                {"arguments": [""], "gives": ""},
                {"arguments": [1, "x"], "fault": "no name"}
            ]"#
        )
        .unwrap(),
        @r#"
    a.json 1, wrong text: ("Ada") gives "Hello Ada"; "Hello Bob" is expected
      a.json 2, ("Ada") gives "Hello Ada"; a fault that says "no name" is expected
      a.json 4, ("") is refused with "\"\" is no name"; "" is expected
      a.json 5, (1, "x") is refused with "`name` is a number; text is expected"; a fault that says "no name" is expected
    "#
    );
}

#[test]
fn an_invalid_case_file_is_named() {
    insta::assert_snapshot!(cases(r#"[{"arguments": ["Ada"]}]"#).unwrap(), @r#"cases/a.json: a case has either `gives` or `fault` at line 1 column 24; a file of cases is an array of {"arguments": […], "gives": …} or {"arguments": […], "fault": "…"}"#);
    insta::assert_snapshot!(cases(r#"[{"arguments": ["Ada"], "give": "x"}]"#).unwrap(), @r#"cases/a.json: unknown field `give`, expected one of `name`, `arguments`, `gives`, `fault` at line 1 column 30; a file of cases is an array of {"arguments": […], "gives": …} or {"arguments": […], "fault": "…"}"#);
}
