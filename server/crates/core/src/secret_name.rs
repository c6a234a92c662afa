//! Recognizes names of attributes and columns whose values are secrets: passwords, their hashes and salts, keys,
//! tokens, PINs, second factors, and answers to security questions, in the languages of common exports.

/// Parts of names that mean a password wherever they occur, without separators and accents.
const PASSWORD_STEMS: &[&str] = &[
    // English, German, Dutch, Scandinavian languages and Finnish.
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "passwort",
    "kennwort",
    "losungswort",
    "wachtwoord",
    "losenord",
    "adgangskode",
    "salasana",
    "lykilord",
    // Romance languages.
    "motdepasse",
    "contrasena",
    "contrasenya",
    "palavrapasse",
    "palavrasecreta",
    "parolachiave",
    // Other languages in Latin letters.
    "jelszo",
    "matkhau",
    "katasandi",
    "slaptazodis",
    // Cyrillic, Greek, Hebrew, Arabic.
    "парол",
    "пассворд",
    "лозинк",
    "συνθηματικ",
    "κωδικοσπροσβασησ",
    "κωδικοςπροσβασης",
    "סיסמ",
    "كلمةالسر",
    "كلمةالمرور",
    // Thai, without its tone mark, which is no letter.
    "รหัสผาน",
    // Chinese, Japanese, Korean.
    "密码",
    "密碼",
    "口令",
    "パスワード",
    "ﾊﾟｽﾜｰﾄﾞ",
    "暗証番号",
    "비밀번호",
    "암호",
];

/// Parts of names that mean another secret wherever they occur.
const SECRET_STEMS: &[&str] = &[
    // Secrets, tokens, hashes.
    "secret",
    "segredo",
    "geheim",
    "секрет",
    "秘密",
    "비밀",
    "token",
    "токен",
    "トークン",
    "令牌",
    "토큰",
    "hashed",
    "hashvalue",
    "hashwert",
    "хеш",
    "хэш",
    "ハッシュ",
    "哈希",
    "해시",
    "credential",
    "otpauth",
    "securitystamp",
    // Keys.
    "apikey",
    "privatekey",
    "secretkey",
    "accesskey",
    "encryptionkey",
    "signingkey",
    "authkey",
    "passkey",
    "私钥",
    "密钥",
    "密鑰",
    "秘密鍵",
    // Answers to security questions.
    "securityanswer",
    "sicherheitsantwort",
    "respuestaseguridad",
    "respuestadeseguridad",
];

/// Whole words that mean a password.
const PASSWORD_WORDS: &[&str] = &[
    "pass", "pw", "pwd", "psw", "pswd", "pword", "mdp", "senha", "senhas", "haslo", "heslo", "geslo", "parola",
    "sifre", "sifra", "clave", "lozinka", "zaporka",
];

/// Whole words that mean another secret.
const SECRET_WORDS: &[&str] = &[
    "hash",
    "hashes",
    "salt",
    "salts",
    "pepper",
    "соль",
    "盐",
    "ソルト",
    "otp",
    "totp",
    "hotp",
    "pin",
    "pins",
    "pincode",
    "jwt",
    "bearer",
    "mnemonic",
    "jeton",
    "sekret",
    "bcrypt",
    "argon",
    "scrypt",
    "pbkdf",
    "ntlm",
    "cvv",
    "cvc",
];

/// Hash algorithms whose names end in digits; without them they are ordinary words.
const DIGESTS: &[&str] = &["md", "sha"];

/// Endings of a word that mean a secret if something of [`WORD_STARTS`] precedes them: `userpass`.
const WORD_ENDS: &[&str] = &["pass", "pw", "pwd", "psw", "hash", "salt", "pin", "otp"];

/// Beginnings of a word before [`WORD_ENDS`], and after which such a word may end in anything of [`PASS_ENDS`].
const WORD_STARTS: &[&str] = &[
    "user",
    "usr",
    "db",
    "my",
    "login",
    "account",
    "acct",
    "member",
    "admin",
    "customer",
    "client",
    "email",
    "mail",
    "web",
    "ftp",
    "ldap",
    "unicode",
    "wp",
    "hash",
    "enc",
    "encrypted",
    "crypt",
    "crypted",
    "plain",
    "clear",
    "old",
    "new",
    "temp",
    "tmp",
    "pass",
    "pw",
    "pwd",
    "md",
    "sha",
    "bcrypt",
    "nt",
    "lm",
    "secure",
];

/// What follows `pass`, `pwd`, `pw` or `hash` at the beginning of a word: `passhash`.
const PASS_ENDS: &[&str] = &[
    "hash", "salt", "md", "sha", "text", "enc", "crypt", "key", "word", "hist", "history", "code", "value", "string",
    "hex", "bcrypt", "user", "old", "new",
];

/// Words before `key` or `keys` that make it a secret.
const KEY_KINDS: &[&str] = &[
    "api",
    "private",
    "secret",
    "access",
    "encryption",
    "encrypt",
    "decryption",
    "crypto",
    "signing",
    "sign",
    "auth",
    "authentication",
    "authenticator",
    "activation",
    "recovery",
    "reset",
    "master",
    "shared",
    "session",
    "hmac",
    "aes",
    "rsa",
    "ssh",
    "pgp",
    "gpg",
    "security",
    "service",
    "server",
    "symmetric",
    "otp",
    "totp",
    "mfa",
    "factor",
    "login",
    "webhook",
    "hash",
    "pass",
];

/// Words before `code` or `codes` that make it a secret.
const CODE_KINDS: &[&str] = &[
    "recovery",
    "backup",
    "scratch",
    "secret",
    "pass",
    "security",
    "verification",
    "activation",
    "confirmation",
    "otp",
    "mfa",
    "factor",
    "fa",
    "sms",
    "reset",
    "emergency",
    "access",
    "pin",
];

/// Words beside `answer` that make it a secret.
const QUESTION_WORDS: &[&str] = &["security", "secret", "hint", "recovery", "question", "challenge", "reset"];

/// Last words of names that say something about a secret but hold none: `password_changed_at`.
const DESCRIBING_ENDS: &[&str] = &[
    "at",
    "am",
    "date",
    "datum",
    "time",
    "timestamp",
    "count",
    "counter",
    "attempts",
    "expires",
    "expiry",
    "expiration",
    "expired",
    "changed",
    "updated",
    "modified",
    "created",
    "issued",
    "required",
    "enabled",
    "disabled",
    "algorithm",
    "algo",
    "alg",
    "type",
    "kind",
    "method",
    "rounds",
    "iterations",
    "cost",
    "length",
    "len",
    "version",
    "policy",
    "status",
    "strength",
    "score",
    "age",
    "days",
    "format",
    "encoding",
    "scheme",
    "position",
    "verified",
    "confirmed",
    "size",
];

/// The same at the end of a word: `passwordexpires`.
const DESCRIBING_WORD_ENDS: &[&str] =
    &["changed", "updated", "expires", "expiry", "required", "enabled", "algorithm", "lastset", "timestamp"];

/// First words of names that say something about a secret but hold none: `has_password`.
const DESCRIBING_STARTS: &[&str] =
    &["has", "is", "needs", "must", "require", "requires", "force", "allow", "failed", "bad", "wrong"];

/// Last words after `last` that make a name a date: `last_password_reset`.
const LAST_ENDS: &[&str] = &["reset", "change", "update", "set", "login"];

/// Returns whether a name of an attribute, a column or a member means a secret, in camelCase, `snake_case`, kebab-case
/// or as words, with prefixes and suffixes: `userPass`, `Passwort (neu)`, `api-key`. Names that only describe a secret
/// (`password_changed_at`) and words that merely contain one (`passport`, `monkey`) do not mean one.
///
/// For a path such as `user_metadata.password` ask for each of its members.
pub fn is_secret_name(name: &str) -> bool {
    let words = to_words(name);
    !describes(&words)
        && (has_stem(&words.concat()) || words.iter().any(|word| is_secret_word(word)) || is_pair(&words))
}

/// Returns whether a name means a password itself, as far as the name says, and not a hash or a token.
pub fn is_password_name(name: &str) -> bool {
    const NOT_PLAIN: &[&str] = &[
        "hash",
        "salt",
        "digest",
        "token",
        "crypt",
        "secret",
        "key",
        "otp",
        "pin",
        "md5",
        "sha1",
        "sha2",
        "sha5",
        "argon",
        "pbkdf",
        "answer",
        "code",
        "hint",
        "reset",
        "bearer",
        "jwt",
        "credential",
        "stamp",
    ];
    let words = to_words(name);
    let joined = words.concat();
    let is_password = PASSWORD_STEMS.iter().any(|stem| joined.contains(stem))
        || words.iter().any(|word| {
            let word = without_digits(word);
            PASSWORD_WORDS.contains(&word) || ["pass", "pw", "pwd", "psw"].iter().any(|end| is_compound(word, end))
        });
    is_password && is_secret_name(name) && !NOT_PLAIN.iter().any(|part| joined.contains(part))
}

/// Returns the words of a name in lower case without accents: `mot_dePasse` is `mot`, `de`, `passe`.
fn to_words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut letters = name.chars().filter(|letter| !is_combining(*letter)).peekable();
    let mut previous = ' ';
    while let Some(letter) = letters.next() {
        let next_is_lower = letters.peek().is_some_and(|next| next.is_lowercase());
        let starts = letter.is_uppercase() && (previous.is_lowercase() || (previous.is_uppercase() && next_is_lower));
        if (starts || !letter.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase().filter(|lower| !is_combining(*lower)).map(without_accent));
        }
        previous = letter;
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Returns whether a character only adds an accent to the one before it. Thai and Arabic vowels are kept.
fn is_combining(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}')
}

/// Returns a Latin or Greek letter without its accent.
fn without_accent(letter: char) -> char {
    match letter {
        'à'..='å' | 'ā' | 'ă' | 'ą' | 'ạ' | 'ả' | 'ấ' | 'ầ' | 'ẩ' | 'ẫ' | 'ậ' | 'ắ'..='ặ' => 'a',
        'ç' | 'ć' | 'č' => 'c',
        'ď' | 'đ' => 'd',
        'è'..='ë' | 'ē' | 'ę' | 'ě' | 'ė' | 'ế' | 'ề' | 'ể' | 'ễ' | 'ệ' => 'e',
        'ğ' => 'g',
        'ì'..='ï' | 'ī' | 'į' | 'ı' => 'i',
        'ł' | 'ľ' | 'ĺ' => 'l',
        'ñ' | 'ń' | 'ň' => 'n',
        'ò'..='ö' | 'ø' | 'ō' | 'ő' | 'ố'..='ộ' => 'o',
        'ř' | 'ŕ' => 'r',
        'ś' | 'š' | 'ş' | 'ș' => 's',
        'ť' | 'ț' => 't',
        'ù'..='ü' | 'ū' | 'ů' | 'ű' | 'ų' => 'u',
        'ý' | 'ÿ' => 'y',
        'ź' | 'ż' | 'ž' => 'z',
        'ά' => 'α',
        'έ' => 'ε',
        'ή' => 'η',
        'ί' => 'ι',
        'ό' => 'ο',
        'ύ' => 'υ',
        'ώ' => 'ω',
        letter => letter,
    }
}

fn describes(words: &[String]) -> bool {
    let (Some(first), Some(last)) = (words.first(), words.last()) else { return false };
    let is_end = |word: &str| DESCRIBING_ENDS.contains(&word);
    is_end(last)
        || DESCRIBING_WORD_ENDS.iter().any(|end| last.ends_with(end))
        || words.ends_with(&["last".to_owned(), "set".to_owned()])
        || (words.len() > 1 && DESCRIBING_STARTS.contains(&first.as_str()))
        || (first == "last" && LAST_ENDS.contains(&last.as_str()))
}

fn has_stem(joined: &str) -> bool {
    // A secretary is not a secret.
    let joined = joined.replace("secretar", "");
    PASSWORD_STEMS.iter().chain(SECRET_STEMS).any(|stem| joined.contains(stem))
}

fn is_secret_word(word: &str) -> bool {
    let (whole, word) = (word, without_digits(word));
    PASSWORD_WORDS.contains(&word)
        || SECRET_WORDS.contains(&word)
        || (DIGESTS.contains(&word) && word.len() < whole.len())
        || WORD_ENDS.iter().any(|end| is_compound(word, end))
        || ["pass", "pwd", "pw", "hash"]
            .iter()
            .any(|start| word.strip_prefix(start).is_some_and(|rest| PASS_ENDS.contains(&without_digits(rest))))
        || (word.len() > "hash".len() && word.ends_with("hash"))
        || (word.ends_with("pwd") || word.starts_with("pwd"))
        || ["senha", "haslo", "heslo", "sifre"].iter().any(|start| word.starts_with(start))
}

/// Returns whether a word is one of [`WORD_STARTS`], perhaps with digits, followed by `end`.
fn is_compound(word: &str, end: &str) -> bool {
    word.strip_suffix(end).is_some_and(|start| WORD_STARTS.contains(&without_digits(start)))
}

fn without_digits(word: &str) -> &str {
    word.trim_end_matches(|letter: char| letter.is_ascii_digit())
}

/// Returns whether words beside each other mean a secret: `private key`, `recovery codes`, `answer` with `question`.
fn is_pair(words: &[String]) -> bool {
    let kinds = |word: &str| match word {
        "key" | "keys" => KEY_KINDS,
        "code" | "codes" => CODE_KINDS,
        "seed" => &["otp", "totp", "mfa", "factor", "wallet"],
        _ => &[],
    };
    let is_answer = |word: &String| matches!(word.as_str(), "answer" | "answers");
    words.windows(2).any(|pair| match pair {
        [kind, word] => {
            let kind = kind.trim_matches(|letter: char| letter.is_ascii_digit());
            kinds(without_digits(word)).contains(&kind)
        }
        _ => false,
    }) || (words.iter().any(is_answer) && words.iter().any(|word| QUESTION_WORDS.contains(&word.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_recognized_in_many_languages_and_spellings() {
        for name in [
            "password",
            "Password",
            "PASSWORD",
            "userPassword",
            "user_password",
            "passwd",
            "pwd",
            "pass",
            "user_pass",
            "userPass",
            "USERPASS",
            "dbpass",
            "encrypted_password",
            "crypted-password",
            "pw",
            "pw_hash",
            "PwHash",
            "password2",
            "pass1",
            "Passwort",
            "Passwort (neu)",
            "passwort_hash",
            "Kennwort",
            "mot_de_passe",
            "motDePasse",
            "Mot de passe",
            "mdp",
            "contraseña",
            "Contrasen\u{303}a",
            "contrasena",
            "senha",
            "senha_hash",
            "wachtwoord",
            "hasło",
            "haslo",
            "heslo",
            "lösenord",
            "salasana",
            "jelszó",
            "şifre",
            "parola",
            "Mật khẩu",
            "пароль",
            "Пароль",
            "пароль_хеш",
            "パスワード",
            "密码",
            "用户密码",
            "密碼",
            "비밀번호",
            "รหัสผ่าน",
            "كلمة المرور",
            "סיסמה",
            "Κωδικός πρόσβασης",
            "passphrase",
            "passcode",
            "passwordHash",
            "hash",
            "hashes",
            "password-hash",
            "passhash",
            "md5",
            "sha256",
            "bcrypt",
            "salt",
            "passwordSalt",
            "hash_salt",
            "api_key",
            "apiKey",
            "APIKey",
            "api-key",
            "x-api-key",
            "private_key",
            "PRIVATEKEY",
            "client_secret",
            "refresh_token",
            "accessToken",
            "token",
            "jwt",
            "pin",
            "PIN",
            "user_pin",
            "pinCode",
            "otp",
            "otp_secret",
            "totp",
            "two_factor_secret",
            "google2fa_secret",
            "two_factor_recovery_codes",
            "recoveryCodes",
            "backup_codes",
            "security_answer",
            "securityQuestionAnswer",
            "secret",
            "unicodePwd",
            "sambaNTPassword",
            "userPKCS12Password",
            "security_stamp",
            "credentials",
            "legacy_pwd_old",
            "authenticatorKey",
            "passwd_old",
            "x_password_x",
            "user_activation_key",
            "geheimnis",
            "segredo",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn other_names_are_no_secrets() {
        for name in [
            "passport",
            "passport_number",
            "compass",
            "keyboard",
            "monkey",
            "bypass",
            "passenger",
            "passage",
            "passion",
            "email",
            "name",
            "key",
            "keys",
            "primary_key",
            "public_key",
            "hotkey",
            "turkey",
            "hashtag",
            "hashtags",
            "asphalt",
            "basalt",
            "opinion",
            "pinned",
            "spin",
            "secretary",
            "secretariat",
            "postal_code",
            "country_code",
            "answer",
            "answers",
            "password_changed_at",
            "passwordUpdatedAt",
            "last_password_reset",
            "lastPasswordChange",
            "pwdLastSet",
            "badPwdCount",
            "has_password",
            "is_password_set",
            "mustChangePassword",
            "hash_algorithm",
            "password_expires",
            "salutation",
            "description",
            "department",
            "user_id",
            "shape",
            "wash",
            "",
            "_",
            "2",
            "surpass_level",
            "user_metadata",
            "app_metadata",
            "multifactor",
            "blocked",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn plain_passwords_are_distinguished_from_hashes_and_keys() {
        for name in
            ["password", "pwd", "user_pass", "Passwort", "contraseña", "senha", "пароль", "パスワード", "密码", "hasło"]
        {
            assert!(is_password_name(name), "{name}");
        }
        for name in [
            "password_hash",
            "encrypted_password",
            "salt",
            "api_key",
            "token",
            "password_changed_at",
            "passport",
            "pin",
        ] {
            assert!(!is_password_name(name), "{name}");
        }
    }
}
