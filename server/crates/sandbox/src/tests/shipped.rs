//! The transforms that are part of this program.

use transforms_sdk::testing::read_cases;

use super::*;

#[test]
fn shipped_transforms_pass_their_examples_and_cases_in_the_sandbox() {
    let directory = tempfile::tempdir().expect("a directory");
    // The default limits, which all of them must satisfy.
    let data_dir = ("DATA_DIR".to_owned(), directory.path().display().to_string());
    let settings = Settings::parse(Purpose::Local, [data_dir], None).expect("settings");
    let sandbox = Sandbox::open(&settings).expect("a sandbox");
    let catalog = sandbox.catalog();
    assert_eq!(catalog.problems(), []);
    assert!(catalog.transforms().count() > 0);
    for transform in catalog.transforms() {
        let name = &transform.manifest().name;
        let mut results = sandbox.check_examples(transform, &StopSignal::default()).expect("it starts");
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../transforms").join(name).join("cases");
        for (_, cases) in read_cases(&cases).expect("cases") {
            results.extend(sandbox.check_cases(transform, &cases).expect("it starts"));
        }
        let failed: Vec<_> = results.iter().filter(|result| result.failure.is_some()).collect();
        assert!(failed.is_empty(), "{name}: {failed:#?}");
        assert!(!results.is_empty() || name == "javascript", "{name} has neither examples nor cases");
        let bytes = transform.bytes().expect("its file");
        assert_eq!(super::super::catalog::sha256(&bytes), transform.sha256());
    }
}
