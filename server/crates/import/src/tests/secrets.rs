//! No password, hash, token, key or salt is shown, reported or proposed for metadata.

use super::*;

/// Names of secrets in several languages, as words.
const NAMES: &[&[&str]] = &[
    &["password"],
    &["passwd"],
    &["pwd"],
    &["user", "pass"],
    &["pass"],
    &["pw"],
    &["encrypted", "password"],
    &["password", "hash"],
    &["Passwort"],
    &["Kennwort"],
    &["mot", "de", "passe"],
    &["contraseña"],
    &["senha"],
    &["wachtwoord"],
    &["hasło"],
    &["пароль"],
    &["パスワード"],
    &["密码"],
    &["api", "key"],
    &["private", "key"],
    &["client", "secret"],
    &["refresh", "token"],
    &["salt"],
    &["pin"],
    &["totp", "secret"],
    &["recovery", "codes"],
    &["security", "answer"],
];

/// A name of a secret in one of the usual spellings, perhaps with a prefix or a suffix.
fn name() -> impl Strategy<Value = String> {
    let prefix = prop::sample::select(vec!["", "", "user", "legacy", "x"]);
    let suffix = prop::sample::select(vec!["", "", "old", "2", "value"]);
    (prop::sample::select(NAMES), prefix, suffix, 0..4_u8).prop_map(|(words, prefix, suffix, spelling)| {
        let words: Vec<&str> =
            [prefix].into_iter().chain(words.iter().copied()).chain([suffix]).filter(|word| !word.is_empty()).collect();
        let capitalized = |word: &str| {
            let mut letters = word.chars();
            letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
        };
        match spelling {
            0 => words.join("_"),
            1 => words.join("-"),
            2 => words.join(" "),
            _ => words
                .iter()
                .enumerate()
                .map(|(at, word)| if at == 0 { (*word).to_owned() } else { capitalized(word) })
                .collect(),
        }
    })
}

/// A secret that occurs nowhere else in a message.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Z]{4}[0-9]{4}[!%_.~]{2}[a-z]{4}",
        "[0-9a-f]{32}",
        "[0-9]{12}",
        "[A-Z0-9]{8} [A-Z0-9]{8}",
        Just("$2y$12$nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K".to_owned()),
        Just("$P$B55D6LjfHDkINU5wF.v2BuuzO0/XPk/".to_owned()),
        Just("pbkdf2_sha256$36000$5LjfzfBwQAVI$KvyIC/h2/RDu+5KyELLhyBD9jZbyImxzipSrIJ4P9Ig=".to_owned()),
        Just("{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9hzYWx0".to_owned()),
    ]
}

/// Everything that is shown about a file: inspection, row errors, summary, and the report in the original format.
fn shown(content: &str, map: &[&str]) -> String {
    let request = mapped(map);
    let spec = paths(&request);
    let mut shown = match inspect(&spec, content.as_bytes().to_vec(), false) {
        Ok(inspection) => serde_json::to_string(&inspection).unwrap(),
        Err(error) => format!("{error} {:?}", error.hint),
    };
    let mut reasons = ReasonCounter::default();
    let mut lines = Vec::new();
    let input = Box::new(Cursor::new(content.as_bytes().to_vec()));
    let checked = check(
        &spec,
        input,
        None,
        &mut |fault| {
            reasons.push(fault);
            lines.push(serde_json::to_string(fault).unwrap());
            Ok(())
        },
        &Progress::default(),
    );
    if let Err(error) = checked {
        let _ = write!(shown, "{error} {:?}", error.hint);
    }
    shown.push_str(&lines.join("\n"));
    shown.push_str(&serde_json::to_string(&reasons.finish()).unwrap());
    shown
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn secrets_under_any_usual_name_are_never_shown(name in name(), secret in secret(), number in any::<bool>()) {
        let value = if number { secret.parse::<u64>().map_or(json!(secret), Value::from) } else { json!(secret) };
        let mut row = json!({ "email": "ada@example.com" });
        row[&name] = value.clone();
        let nested = json!({ "email": "invalid", "user_metadata": { &name: value }, "name": "" });
        let list = json!({ "email": "invalid", "Attributes": [{ "Name": name, "Value": value }] });
        let csv = format!("email,{name}\nada@example.com,{secret}\n");
        let column = format!("email,app_metadata[\"{name}\"]\ninvalid,{secret}\n").replace('"', "\"\"").replace("app_", "\"app_").replace("]\n", "]\"\n");
        let (row, nested, list) = (row.to_string(), nested.to_string(), list.to_string());
        for content in [&row, &nested, &list, &csv, &column] {
            let shown = shown(content, &[]);
            let escaped = serde_json::to_string(&secret).unwrap();
            prop_assert!(!shown.contains(escaped.trim_matches('"')), "{} in {}", secret, shown);
        }
        let spec = paths(&ImportRequest::default());
        for content in [&row, &csv] {
            let inspection = inspect(&spec, content.as_bytes().to_vec(), false).unwrap();
            for column in inspection.columns.iter().filter(|column| column.name == name) {
                let proposal = column.proposal.as_deref().unwrap_or("password_hash");
                prop_assert!(!proposal.contains("metadata"), "{} for {}", proposal, name);
            }
            let targets = inspection.proposed_map.keys().cloned().collect::<Vec<_>>().join(" ");
            prop_assert!(!targets.contains("metadata"), "{}", targets);
        }
        prop_assert!(!shown(&csv, &[]).contains("=user_metadata"), "a password is proposed for metadata");
    }

    #[test]
    fn a_row_in_place_of_a_header_is_not_shown(secret in secret()) {
        let cell = if secret.contains(',') { format!("\"{secret}\"") } else { secret.clone() };
        let content = format!("ada@example.com,Ada,{cell}\nbob@example.com,Bob,x\n");
        let error = check(&paths(&ImportRequest::default()), Box::new(Cursor::new(content.into_bytes())), None, &mut |_| Ok(()), &Progress::default()).unwrap_err();
        let shown = format!("{error} {:?}", error.hint);
        prop_assert!(!shown.contains(&secret) && shown.contains("header"), "{}", shown);
    }
}

#[test]
fn hashes_under_names_that_say_nothing_are_hidden_and_not_proposed() {
    let hash = "5ebe2294ecd0e0f08eab7690d2a6ee69";
    let content = format!("email,code7\nada@example.com,{hash}\n");
    let spec = paths(&mapped(&["null=code7"]));
    let inspection = inspect(&spec, content.as_bytes().to_vec(), false).unwrap();
    let text = serde_json::to_string(&inspection).unwrap();
    assert!(!text.contains(hash), "{text}");
    assert_eq!(inspection.columns[1].proposal, None);
    assert!(!shown(&json!({ "email": "a@b.c", "code7": hash }).to_string(), &[]).contains(hash));
    assert!(!shown(&json!({ "email": "a@b.c", hash: 1 }).to_string(), &[]).contains(hash), "a member's name");
}

#[test]
fn hashes_are_proposed_for_password_hash_only_if_it_accepts_them() {
    let proposal = |start: &str| {
        let body = "nFguVi9LsCAcvTZFKQlRKeLVydo8ETv483lkNsSFI/Wl1Rz1Ypo1K";
        let content = format!("email,encrypted_password\nada@example.com,{start}{body}\n");
        let spec = paths(&ImportRequest::default());
        inspect(&spec, content.into_bytes(), false).unwrap().columns.remove(1).proposal
    };
    assert_eq!(proposal("$2a$10$").as_deref(), Some("password_hash"));
    assert_eq!(proposal("$2a$12$"), None);
}

#[test]
fn a_plain_password_is_refused_with_what_to_do() {
    let row = with(&json!({ "password": "S3cret!pass" }));
    let faults = faults_of(&row);
    let [fault] = faults.as_slice() else { panic!("{faults:?}") };
    let hint = fault.hint.as_ref().unwrap().to_string();
    assert!(hint.starts_with("Passwords are imported as hashes only: hash them, for example with bcrypt"), "{hint}");
    let csv = Box::new(Cursor::new(b"email,password\nada@example.com,S3cret!pass\n".to_vec()));
    let error = check(&paths(&ImportRequest::default()), csv, None, &mut |_| Ok(()), &Progress::default()).unwrap_err();
    let hint = error.hint.unwrap().to_string();
    assert!(hint.contains("hashes only") && !hint.contains("=user_metadata"), "{hint}");
    let both = Box::new(Cursor::new(b"email,pwd,Shoe size\nada@example.com,S3cret!pass,38\n".to_vec()));
    let error =
        check(&paths(&ImportRequest::default()), both, None, &mut |_| Ok(()), &Progress::default()).unwrap_err();
    let hint = error.hint.unwrap().to_string();
    assert!(hint.contains("user_metadata.shoe_size") && hint.contains("hashes only"), "{hint}");
}

#[test]
fn an_error_of_a_mapping_does_not_quote_the_secrets_of_its_row() {
    let rule = "(() => { throw new Error('bad: ' + user.pwd + ' of ' + user.email) })()=name";
    let spec = ImportSpec::with_tools(&mapped(&[rule]), &tools()).unwrap();
    let row = json!({ "email": "ada@example.com", "pwd": "S3cret!pass" }).to_string();
    let mut faults = Vec::new();
    let input = Box::new(Cursor::new(row.into_bytes()));
    check(
        &spec,
        input,
        None,
        &mut |fault| {
            faults.push(fault.clone());
            Ok(())
        },
        &Progress::default(),
    )
    .unwrap();
    let text = format!("{faults:?}");
    assert!(text.contains("bad: ***** of ada@example.com"), "{text}");
}
