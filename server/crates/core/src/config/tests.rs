use std::time::Duration;

use super::*;
use settings_macro::settings;

settings! {
    /// Settings with one entry.
    pub struct SampleSettings read from loader;

    /// Its table.
    pub const SAMPLE_KEYS;

    /// How long to wait.
    retry_pause: Duration {
        RETRY_PAUSE: with_default(parse::positive_duration) {
            default: "3s",
            expected: "a duration such as 3s",
            description: "how long to wait",
            prefix: "RETRY_",
        }
    }
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

const MINIMAL: &[(&str, &str)] = &[("AUTH0_DOMAIN", "acme.eu.auth0.com"), ("EXTENSION_SECRET", "5f2b9c0e71d84a36")];

fn with(pairs: &[(&str, &str)]) -> Result<Settings> {
    Settings::parse(Purpose::Serve, environment(MINIMAL).into_iter().chain(environment(pairs)), None)
}

#[test]
fn defaults_come_from_the_table() {
    let settings = with(&[]).expect("minimal settings are enough on loopback");
    assert_eq!(settings.rta.issuer(), "https://auth0.auth0.com/");
    assert_eq!(settings.tenant().unwrap().management_audience(), "https://acme.eu.auth0.com/api/v2/");
    assert_eq!(settings.base_url(settings.port), "http://127.0.0.1:3000");
    assert_eq!(settings.artifact_ttl.as_secs(), 7 * 24 * 3600);
    assert_eq!(settings.upload_limit, 2 << 30);
}

#[test]
fn an_invalid_setting_is_reported_with_its_value_and_what_is_expected() {
    for (key, value) in [
        ("PORT", "70000"),
        ("HOST", "nowhere"),
        ("LOGIN", "maybe"),
        ("AUTH0_DOMAIN", "http://acme.eu.auth0.com"),
        ("AUTH0_DOMAIN", "acme.eu.auth0.com/path"),
        ("WT_URL", "not a url"),
        ("ARTIFACT_TTL", "soon"),
        ("SANDBOX_MEMORY", "much"),
        ("LOG_FORMAT", "xml"),
        ("FRAME_ANCESTORS", "https://a.example; script-src *"),
        ("METRICS_ADDRESS", "9464"),
    ] {
        let error = with(&[(key, value)]).expect_err(key);
        assert!(error.message.contains(key) && error.message.contains(value), "{}", error.message);
        assert!(error.message.contains("expected "), "{}", error.message);
    }
}

#[test]
fn every_problem_is_reported_at_once() {
    let error = Settings::parse(Purpose::Serve, environment(&[("PORT", "x"), ("LOGIN", "y")]), None).unwrap_err();
    for key in ["PORT", "LOGIN", "AUTH0_DOMAIN", "EXTENSION_SECRET"] {
        assert!(error.message.contains(key), "{key} is missing in {}", error.message);
    }
}

#[test]
fn unknown_settings_are_refused_with_the_nearest_name() {
    let error = with(&[("AUTH0_DOMIAN", "x")]).unwrap_err();
    assert!(error.message.contains("AUTH0_DOMIAN is not a setting; did you mean AUTH0_DOMAIN?"), "{}", error.message);
    let error = Settings::parse(Purpose::Local, [], Some(("settings.toml", "SHOE_SIZE = 42"))).unwrap_err();
    assert!(error.message.contains("SHOE_SIZE in settings.toml"), "{}", error.message);
    for name in ["FRAME_ANCESTOR", "PUBLIC_WTURL", "TRANSFORM_DIR", "DATA_DIRR", "LOG_FORMATT"] {
        let error = with(&[(name, "x")]).expect_err(name);
        assert!(error.message.contains(&format!("{name} is not a setting; did you mean ")), "{}", error.message);
    }
    with(&[("HOSTS", "x"), ("XDG_DATA_DIRS", "x"), ("LOGNAME", "ada")]).expect("variables of other programs");
    with(&[("PATH", "/bin"), ("AUTH0_SCOPES", "read:users")]).expect("unrelated variables are ignored");
}

#[test]
fn the_environment_has_precedence_over_the_file() {
    let file = "PORT = 4000\nDATA_DIR = \"/srv/data\"\n";
    let settings =
        Settings::parse(Purpose::Local, environment(&[("PORT", "5000")]), Some(("settings.toml", file))).unwrap();
    assert_eq!((settings.port, settings.data_dir.as_path()), (5000, Path::new("/srv/data")));
}

#[test]
fn secrets_are_bound_to_transforms() {
    let digest = "AB".repeat(32);
    let bindings = format!("SALT=pseudonymize, SALT=sha256:{digest}, SECRET_KEY=sha256:{digest}");
    let parse = |bindings: &str| {
        let variables = [("SECRET_SALT", "x"), ("SECRET_KEY", "y"), ("TRANSFORM_SECRETS", bindings)];
        Settings::parse(Purpose::Local, variables.map(|(key, value)| (key.to_owned(), value.to_owned())), None)
    };
    let by_digest = SecretUser::Sha256("ab".repeat(32));
    let settings = parse(&bindings).unwrap();
    assert_eq!(settings.secret_users["SALT"], [SecretUser::Shipped("pseudonymize".into()), by_digest.clone()]);
    assert_eq!(settings.secret_users["KEY"], [by_digest]);
    assert!(parse("").unwrap().secret_users.is_empty());
    for wrong in ["SALT", "SALT=", "=pseudonymize", "SALT=sha256:12", "SALT=a b", "SALT=sha512:00"] {
        let error = parse(wrong).unwrap_err();
        assert!(error.message.contains("TRANSFORM_SECRETS"), "{wrong}: {}", error.message);
    }
    let error = parse("SLAT=pseudonymize").unwrap_err();
    assert!(error.message.contains("TRANSFORM_SECRETS names SLAT, but SECRET_SLAT is not set"), "{}", error.message);
}

#[test]
fn secrets_are_not_shown() {
    let error = with(&[("EXTENSION_SECRET", "hunter2")]).unwrap_err();
    assert!(error.message.contains("EXTENSION_SECRET") && !error.message.contains("hunter2"), "{}", error.message);
    let settings = with(&[("SECRET_KEY", "very-secret-value"), ("METRICS_TOKEN", "very-secret-value")]).unwrap();
    assert!(!format!("{settings:?}").contains("very-secret-value"));
}

const WEAK: &[(&str, &str)] = &[
    ("fifteen-bytes-1", "is too short (15 of 16 bytes)"),
    ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "can be guessed"),
    ("Change-Me! Change-Me!", "can be guessed"),
    ("Sommer2026!Sommer2026", "can be guessed with about 2^2"),
    ("companyname-export-secret", "can be guessed"),
    ("correcthorsebatterystaple", "can be guessed"),
];

#[test]
fn a_weak_secret_stops_the_start() {
    for &(secret, why) in WEAK {
        let error = with(&[("EXTENSION_SECRET", secret)]).unwrap_err();
        assert!(error.message.to_string().starts_with(&format!("EXTENSION_SECRET {why}")), "{}", error.message);
        assert!(error.message.contains("openssl rand -hex 32"), "{}", error.message);
        assert!(!error.message.contains(secret), "{}", error.message);
    }
    with(&[("EXTENSION_SECRET", "9d1f6c2e8b7a4d5f")]).expect("16 random digits are enough");
}

#[test]
fn a_weak_previous_secret_is_accepted_for_the_data_key_only() {
    for &(secret, why) in WEAK {
        let settings = with(&[("EXTENSION_SECRET_PREVIOUS", secret)]).expect("it is accepted for the data key");
        assert!(settings.extension_secrets().unwrap().1.is_none(), "{secret}");
        assert_eq!(settings.data_key_secret_previous.as_ref().map(ExposeSecret::expose_secret), Some(secret));
        let warnings = settings.warnings().join("\n");
        assert!(warnings.starts_with(&format!("EXTENSION_SECRET_PREVIOUS {why}")), "{warnings}");
        assert!(!warnings.contains(secret), "{warnings}");
    }
    let settings = with(&[("EXTENSION_SECRET_PREVIOUS", "9d1f6c2e8b7a4d5f")]).expect("it is strong enough");
    assert!(settings.extension_secrets().unwrap().1.is_some() && settings.data_key_secret_previous.is_some());
    assert_eq!(settings.warnings(), Vec::<String>::new());
    with(&[("EXTENSION_SECRET_PREVIOUS", "")]).expect("it is optional");
}

fn file(directory: &tempfile::TempDir, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}

#[test]
fn every_setting_can_be_read_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let secret = file(&directory, "secret", "2b7e151628aed2a6abf7158809cf4f3c\n");
    let port = file(&directory, "port", "4000\r\n");
    let key = file(&directory, "key", "two\nlines\n");
    let settings = Settings::parse(
        Purpose::Serve,
        environment(&[
            ("AUTH0_DOMAIN", "acme.eu.auth0.com"),
            ("EXTENSION_SECRET_FILE", &secret),
            ("SECRET_SALT_FILE", &key),
            ("PORT", ""),
        ]),
        Some(("settings.toml", &format!("PORT_FILE = {port:?}\nEXTENSION_SECRET = \"Sommer2026!Sommer2026\"\n"))),
    );
    let settings = settings.unwrap();
    let (current, _) = settings.extension_secrets().unwrap();
    assert_eq!(current.expose_secret(), "2b7e151628aed2a6abf7158809cf4f3c");
    assert_eq!(settings.secrets["SALT"].expose_secret(), "two\nlines");
    assert!(!settings.secrets.contains_key("SALT_FILE"));
    // An empty variable replaces the value of the file, as it does for values that are not in files.
    assert_eq!(settings.port, 3000);
}

#[test]
fn the_environment_has_precedence_also_for_values_in_files() {
    let directory = tempfile::tempdir().unwrap();
    let port = file(&directory, "port", "4000");
    let parse = |variable: (&str, &str), text: &str| {
        Settings::parse(Purpose::Local, environment(&[variable]), Some(("settings.toml", text))).unwrap().port
    };
    assert_eq!(parse(("PORT_FILE", &port), "PORT = 5000"), 4000);
    assert_eq!(parse(("PORT", "5000"), &format!("PORT_FILE = {port:?}")), 5000);
}

#[test]
fn a_setting_and_its_file_cannot_both_be_set() {
    let error = with(&[("EXTENSION_SECRET_FILE", "/run/secret")]).unwrap_err();
    assert!(error.message.contains("EXTENSION_SECRET and EXTENSION_SECRET_FILE are both set"), "{}", error.message);
    let text = "SECRET_KEY = \"a\"\nSECRET_KEY_FILE = \"b\"\n";
    let error = Settings::parse(Purpose::Local, [], Some(("settings.toml", text))).unwrap_err();
    assert!(error.message.contains("SECRET_KEY and SECRET_KEY_FILE are both set in settings.toml"));
}

#[test]
fn an_unusable_value_file_is_reported_without_the_path_of_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    let large = file(&directory, "large", vec![b'a'; 65 * 1024]);
    let binary = file(&directory, "binary", [0xff, 0xfe]);
    let empty = file(&directory, "empty", "\n");
    let folder = directory.path().display().to_string();
    for (path, why) in [
        ("/nowhere/at-all", "No such file"),
        (large.as_str(), "larger than 64 KiB"),
        (binary.as_str(), "not UTF-8"),
        (empty.as_str(), "is empty"),
        (folder.as_str(), "not a regular file"),
        ("/dev/zero", "not a regular file"),
    ] {
        let error = with(&[("AUTH0_CLIENT_ID_FILE", path)]).unwrap_err();
        let start = format!("AUTH0_CLIENT_ID_FILE {path}: ");
        assert!(error.message.contains(&start) && error.message.contains(why), "{path}: {}", error.message);
        let error = with(&[("METRICS_TOKEN_FILE", path)]).unwrap_err();
        assert!(error.message.contains("METRICS_TOKEN_FILE: ") && error.message.contains(why), "{}", error.message);
        assert!(!error.message.contains(path), "{}", error.message);
    }
    let error = with(&[("AUTH0_DOMIAN_FILE", "x")]).unwrap_err();
    assert!(error.message.contains("did you mean AUTH0_DOMAIN_FILE?"), "{}", error.message);
}

#[cfg(unix)]
#[test]
fn a_secret_file_that_other_users_can_read_causes_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let token = file(&directory, "token", "2b7e151628aed2a6abf7158809cf4f3c");
    for (mode, warned) in [(0o600, 0), (0o640, 0), (0o644, 1), (0o602, 1)] {
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(mode)).unwrap();
        let warnings = with(&[("METRICS_TOKEN_FILE", &token)]).unwrap().warnings();
        assert_eq!(warnings.iter().filter(|text| text.contains("METRICS_TOKEN_FILE")).count(), warned, "{mode:o}");
    }
}

#[test]
fn a_weak_metrics_token_causes_a_warning() {
    let warned = |token: &str| {
        let warnings = with(&[("METRICS_TOKEN", token)]).expect("it is allowed").warnings();
        assert!(warnings.iter().all(|warning| !warning.contains(token)), "{warnings:?}");
        warnings.iter().any(|warning| warning.starts_with("METRICS_TOKEN "))
    };
    assert!(warned("fifteen-bytes-1"));
    assert!(!warned("9d1f6c2e8b7a4d5f"));
}

#[test]
fn metrics_outside_of_loopback_need_a_token() {
    for address in ["0.0.0.0:9464", "192.0.2.1:9464", "[::]:9464"] {
        let error = with(&[("METRICS_ADDRESS", address)]).expect_err(address);
        assert!(error.message.to_string().starts_with("METRICS_TOKEN is not set"), "{}", error.message);
        with(&[("METRICS_ADDRESS", address), ("METRICS_TOKEN", "9d1f6c2e8b7a4d5f")]).expect(address);
    }
    for address in ["127.0.0.1:9464", "localhost:9464", "[::1]:9464"] {
        assert_eq!(with(&[("METRICS_ADDRESS", address)]).expect(address).metrics_address.unwrap().port(), 9464);
    }
}

#[test]
fn the_previous_secret_must_differ_from_the_current_one() {
    let error = with(&[("EXTENSION_SECRET_PREVIOUS", MINIMAL[1].1)]).unwrap_err();
    let message = "EXTENSION_SECRET_PREVIOUS is the same as EXTENSION_SECRET";
    assert!(error.message.contains(message), "{}", error.message);
    let settings = with(&[("EXTENSION_SECRET_PREVIOUS", "9d1f6c2e8b7a4d5f")]).unwrap();
    assert!(settings.extension_secrets().unwrap().1.is_some());
    assert!(!format!("{settings:?}").contains("9d1f6c2e"));
}

#[test]
fn a_public_address_needs_its_public_url() {
    let error = with(&[("HOST", "0.0.0.0")]).unwrap_err();
    assert!(error.message.contains("PUBLIC_WT_URL"), "{}", error.message);
    let error = with(&[("HOST", "0.0.0.0"), ("WT_URL", "nope")]).unwrap_err();
    assert!(error.message.to_string().starts_with("WT_URL is \"nope\"") && !error.message.contains("PUBLIC_WT_URL"));
    let settings = with(&[("HOST", "0.0.0.0"), ("PUBLIC_WT_URL", "https://tools.example/ext/")]).unwrap();
    assert_eq!(settings.base_url(80), "https://tools.example/ext");
}

#[test]
fn admin_emails_require_a_connection() {
    let tenant = [("LOGIN", "tenant"), ("AUTH0_CLIENT_ID", "id"), ("AUTH0_CLIENT_SECRET", "s")];
    let mut pairs = tenant.to_vec();
    pairs.push(("ADMIN_EMAILS", "ada@example.com"));
    let error = with(&pairs).unwrap_err();
    assert!(error.message.contains("ADMIN_CONNECTION"), "{}", error.message);
}

#[test]
fn loopback_tenants_may_use_http() {
    for host in ["http://127.0.0.1:3001", "http://localhost:3001", "http://[::1]:3001"] {
        assert_eq!(TenantHost::parse(host).expect(host).origin(), host);
    }
    assert_eq!(TenantHost::parse("https://acme.auth0.com/").unwrap().host(), "acme.auth0.com");
    for host in ["", "ftp://acme.auth0.com", "user@acme.auth0.com", "acme.auth0.com?x", "http://acme.auth0.com"] {
        assert_eq!(TenantHost::parse(host), None, "{host}");
    }
}

#[test]
fn a_new_setting_needs_only_its_entry() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, "pause", "5s");
    let read = |variable: (&str, &str), text: &str| {
        let mut loader = SettingsLoader::new(SAMPLE_KEYS);
        loader.read_toml("settings.toml", text)?;
        loader.read_environment(environment(&[variable]));
        loader.read_value_files();
        let settings = SampleSettings::read(&mut loader);
        let listing = loader.listing().remove(0);
        loader.finish().map(|()| (settings.retry_pause.as_secs(), listing.source.unwrap().to_string()))
    };
    assert_eq!(read(("PATH", "/bin"), "").unwrap(), (3, "default".to_owned()));
    assert_eq!(read(("RETRY_PAUSE", "4s"), "RETRY_PAUSE = '6s'").unwrap(), (4, "environment".to_owned()));
    assert_eq!(read(("RETRY_PAUSE_FILE", &path), "").unwrap(), (5, "RETRY_PAUSE_FILE".to_owned()));
    assert_eq!(read(("PATH", "/bin"), "RETRY_PAUSE = '6s'").unwrap(), (6, "file settings.toml".to_owned()));
    for (name, value, message) in [
        ("RETRY_PAUSE", "0s", "RETRY_PAUSE is \"0s\": expected a duration such as 3s"),
        ("RETRY_PUASE", "4s", "RETRY_PUASE is not a setting; did you mean RETRY_PAUSE?"),
    ] {
        assert_eq!(read((name, value), "").unwrap_err().message, message);
    }
}

#[test]
fn every_setting_is_described_once() {
    let mut names = std::collections::BTreeSet::new();
    for key in KEYS.iter().chain([&NAMED_SECRETS]) {
        assert!(names.insert(key.name), "{} is in the table twice", key.name);
        assert!(!key.expected.is_empty() && !key.description.is_empty(), "{}", key.name);
        assert!(key.default.is_empty() || key.fallback.is_empty(), "{}", key.name);
        assert!(key.prefix.is_empty() || key.name.starts_with(key.prefix), "{}", key.name);
    }
}

#[test]
fn the_listing_has_values_and_sources_but_no_secrets() {
    let variables = environment(&[("PORT", " 4000 "), ("LOG", ""), ("SECRET_SALT", "very-secret-value")]);
    let text = "METRICS_TOKEN = \"very-secret-value\"\nHOST = \"localhost\"\n";
    let settings = Settings::parse(Purpose::Local, variables, Some(("settings.toml", text))).unwrap();
    let listed = |name: &str| {
        let listed = settings.listing.iter().find(|listed| listed.name == name)?;
        Some(format!("{} {}", listed.value, listed.source.as_ref().map(ToString::to_string).unwrap_or_default()))
    };
    for (name, expected) in [
        ("PORT", Some("4000 environment")),
        ("HOST", Some("localhost file settings.toml")),
        ("LOG", Some("info,actix_server=warn default")),
        ("METRICS_TOKEN", Some("(set) file settings.toml")),
        ("SECRET_SALT", Some("(set) environment")),
        ("EXTENSION_SECRET", Some("(not set) ")),
        ("TRANSFORMS_DIR", None),
    ] {
        assert_eq!(listed(name).as_deref(), expected, "{name}");
    }
    assert!(!format!("{settings:?}").contains("very-secret-value"));
}
