//! Suggests attributes for column names of other systems.

use uie_core::user;
use uie_records::member;

/// How the value of an attribute is computed from a column of another system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The value of the column.
    Copy,
    /// True where the column is false.
    Inverted,
    /// True where the column has a value.
    Present,
    /// True where the date in the column is in the future.
    Future,
}

impl Form {
    /// Returns the expression for the column that is read by `path`.
    pub(super) fn expression(self, path: &str) -> String {
        match self {
            Self::Copy => path.to_owned(),
            Self::Inverted => format!("/^(f(alse)?|no?|0|off)$/i.test({path})"),
            Self::Present => format!("Boolean({path})"),
            Self::Future => format!("new Date({path}) > new Date()"),
        }
    }
}

/// Names of columns in English, German, French, Spanish, Italian, Portuguese, Dutch and Polish, and the attribute that
/// they mean. The names are in lower case, without accents and without characters between words ([`compact`]).
const SYNONYMS: &[(&str, Form, &[&str])] = &[
    (
        "email",
        Form::Copy,
        &[
            "mail",
            "email",
            "emailaddress",
            "mailaddress",
            "primaryemail",
            "workemail",
            "useremail",
            "loginemail",
            "contactemail",
            "emailadresse",
            "mailadresse",
            "adresseemail",
            "adressemail",
            "adressecourriel",
            "adresseelectronique",
            "courriel",
            "mel",
            "correo",
            "correoelectronico",
            "direcciondecorreo",
            "direccionemail",
            "postaelettronica",
            "indirizzoemail",
            "indirizzomail",
            "correioeletronico",
            "enderecoemail",
            "enderecodeemail",
            "emailadres",
            "mailadres",
            "adresemail",
            "pocztaelektroniczna",
        ],
    ),
    (
        "email_verified",
        Form::Copy,
        &[
            "verified",
            "confirmed",
            "emailverified",
            "emailconfirmed",
            "isemailverified",
            "isemailconfirmed",
            "emailisverified",
            "mailverified",
            "emailbestatigt",
            "emailverifiziert",
            "bestatigt",
            "verifiziert",
            "emailverifie",
            "emailconfirme",
            "verifie",
            "emailverificado",
            "correoverificado",
            "verificado",
            "emailverificata",
            "verificato",
            "emailgeverifieerd",
            "geverifieerd",
            "emailzweryfikowany",
            "zweryfikowany",
        ],
    ),
    (
        "email_verified",
        Form::Present,
        &["emailverifiedat", "emailconfirmedat", "confirmedat", "verifiedat", "emailverifiedon", "emailconfirmedon"],
    ),
    (
        "phone_number",
        Form::Copy,
        &[
            "phone",
            "phonenumber",
            "phoneno",
            "telephone",
            "telephonenumber",
            "tel",
            "mobile",
            "mobilenumber",
            "mobilephone",
            "mobilephonenumber",
            "cell",
            "cellphone",
            "cellnumber",
            "telefon",
            "telefonnummer",
            "handy",
            "handynummer",
            "mobil",
            "mobilnummer",
            "mobiltelefon",
            "rufnummer",
            "numerodetelephone",
            "portable",
            "telephoneportable",
            "telephonemobile",
            "telefono",
            "numerodetelefono",
            "telefonomovil",
            "movil",
            "celular",
            "numeroditelefono",
            "cellulare",
            "telefone",
            "numerodetelefone",
            "telemovel",
            "telefoon",
            "telefoonnummer",
            "mobiel",
            "mobielnummer",
            "numertelefonu",
            "telefonkomorkowy",
        ],
    ),
    (
        "phone_verified",
        Form::Copy,
        &[
            "phoneverified",
            "phoneconfirmed",
            "phonenumberverified",
            "phonenumberconfirmed",
            "isphoneverified",
            "isphonenumberverified",
            "mobileverified",
            "telefonbestatigt",
            "telefonverifiziert",
            "telephoneverifie",
            "telefonoverificado",
            "telefonoverificato",
            "telefoneverificado",
            "telefoongeverifieerd",
            "telefonzweryfikowany",
        ],
    ),
    ("phone_verified", Form::Present, &["phoneverifiedat", "phoneconfirmedat", "phonenumberverifiedat"]),
    (
        "given_name",
        Form::Copy,
        &[
            "firstname",
            "forename",
            "givenname",
            "givennames",
            "fname",
            "first",
            "vorname",
            "vornamen",
            "rufname",
            "prenom",
            "prenoms",
            "nombre",
            "nombres",
            "nombredepila",
            "primernombre",
            "nome",
            "primeironome",
            "nomeproprio",
            "voornaam",
            "roepnaam",
            "imie",
        ],
    ),
    (
        "family_name",
        Form::Copy,
        &[
            "lastname",
            "surname",
            "sn",
            "familyname",
            "lname",
            "last",
            "nachname",
            "familienname",
            "zuname",
            "nom",
            "nomdefamille",
            "apellido",
            "apellidos",
            "primerapellido",
            "cognome",
            "sobrenome",
            "apelido",
            "apelidos",
            "ultimonome",
            "achternaam",
            "familienaam",
            "nazwisko",
        ],
    ),
    (
        "name",
        Form::Copy,
        &[
            "fullname",
            "displayname",
            "commonname",
            "cn",
            "realname",
            "vollername",
            "vollstandigername",
            "anzeigename",
            "nomcomplet",
            "nomaffiche",
            "nombrecompleto",
            "nomecompleto",
            "nomecognome",
            "naam",
            "volledigenaam",
            "weergavenaam",
            "imieinazwisko",
        ],
    ),
    (
        "nickname",
        Form::Copy,
        &[
            "nick",
            "alias",
            "screenname",
            "handle",
            "spitzname",
            "surnom",
            "pseudo",
            "pseudonyme",
            "apodo",
            "soprannome",
            "alcunha",
            "bijnaam",
            "pseudonim",
        ],
    ),
    (
        "username",
        Form::Copy,
        &[
            "username",
            "login",
            "loginname",
            "loginid",
            "userlogin",
            "samaccountname",
            "cognitousername",
            "preferredusername",
            "benutzername",
            "benutzerkennung",
            "nutzername",
            "anmeldename",
            "nomdutilisateur",
            "nomutilisateur",
            "identifiant",
            "nombredeusuario",
            "nombreusuario",
            "usuario",
            "nomeutente",
            "utente",
            "nomedeusuario",
            "nomedeutilizador",
            "utilizador",
            "gebruikersnaam",
            "nazwauzytkownika",
        ],
    ),
    (
        "user_id",
        Form::Copy,
        &[
            "id",
            "uid",
            "userid",
            "uuid",
            "useruuid",
            "guid",
            "userguid",
            "objectid",
            "accountid",
            "sub",
            "benutzerid",
            "nutzerid",
            "idutilisateur",
            "idusuario",
            "idutente",
            "idutilizador",
            "gebruikersid",
            "iduzytkownika",
        ],
    ),
    (
        "picture",
        Form::Copy,
        &[
            "avatar",
            "avatarurl",
            "photo",
            "photourl",
            "image",
            "imageurl",
            "pictureurl",
            "profilepicture",
            "profileimage",
            "profilepictureurl",
            "profileimageurl",
            "profilbild",
            "bild",
            "foto",
            "photodeprofil",
            "fotodeperfil",
            "fotoprofilo",
            "immagine",
            "profielfoto",
            "zdjecie",
        ],
    ),
    (
        "blocked",
        Form::Copy,
        &[
            "blocked",
            "isblocked",
            "disabled",
            "isdisabled",
            "suspended",
            "issuspended",
            "locked",
            "islocked",
            "banned",
            "isbanned",
            "deactivated",
            "gesperrt",
            "deaktiviert",
            "bloque",
            "desactive",
            "suspendu",
            "bloqueado",
            "deshabilitado",
            "bloccato",
            "disabilitato",
            "desativado",
            "geblokkeerd",
            "uitgeschakeld",
            "zablokowany",
        ],
    ),
    (
        "blocked",
        Form::Inverted,
        &[
            "enabled",
            "isenabled",
            "active",
            "isactive",
            "accountenabled",
            "accountactive",
            "useractive",
            "aktiv",
            "aktiviert",
            "actif",
            "active",
            "activo",
            "habilitado",
            "attivo",
            "abilitato",
            "ativo",
            "actief",
            "aktywny",
        ],
    ),
    ("blocked", Form::Present, &["blockedat", "lockedat", "bannedat", "suspendedat", "disabledat", "deactivatedat"]),
    ("blocked", Form::Future, &["lockoutend", "lockoutenddateutc", "lockeduntil", "banneduntil", "blockeduntil"]),
    (
        "password_hash",
        Form::Copy,
        &["passwordhash", "hashedpassword", "encryptedpassword", "passwordbcrypt", "bcrypt", "passworthash"],
    ),
];

/// Returns the name as lower-case words: `firstName`, `first-name` and `First_Name` all become `first name`.
fn to_words(name: &str) -> String {
    let mut words = String::with_capacity(name.len());
    let mut lower = false;
    for letter in name.trim().chars() {
        if !letter.is_alphanumeric() {
            if !words.is_empty() && !words.ends_with(' ') {
                words.push(' ');
            }
            lower = false;
            continue;
        }
        if letter.is_uppercase() && lower {
            words.push(' ');
        }
        lower = letter.is_lowercase() || letter.is_numeric();
        words.extend(letter.to_lowercase());
    }
    words.truncate(words.trim_end().len());
    words
}

/// Returns the letters and digits of a name in lower case, without accents: `E-Mail-Adresse` becomes `emailadresse`,
/// and `Prénom` becomes `prenom`.
fn compact(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for letter in name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase) {
        match letter {
            'á' | 'à' | 'â' | 'ä' | 'ã' | 'å' | 'ą' => text.push('a'),
            'ç' | 'ć' | 'č' => text.push('c'),
            'é' | 'è' | 'ê' | 'ë' | 'ę' => text.push('e'),
            'í' | 'ì' | 'î' | 'ï' => text.push('i'),
            'ł' => text.push('l'),
            'ñ' | 'ń' => text.push('n'),
            'ó' | 'ò' | 'ô' | 'ö' | 'õ' | 'ø' => text.push('o'),
            'ś' | 'š' => text.push('s'),
            'ú' | 'ù' | 'û' | 'ü' => text.push('u'),
            'ź' | 'ż' | 'ž' => text.push('z'),
            'ß' => text.push_str("ss"),
            letter => text.push(letter),
        }
    }
    text
}

/// Returns the importable attribute that a name means, and how it is computed; `None` if no attribute is similar.
pub(super) fn meaning(name: &str) -> Option<(&'static str, Form)> {
    let compact = compact(name);
    let synonym = SYNONYMS.iter().find(|(_, _, names)| names.contains(&compact.as_str()));
    let similar = || user::nearest_importable(&to_words(name)).or_else(|| user::nearest_importable(name));
    synonym.map(|(attribute, form, _)| (*attribute, *form)).or_else(|| Some((similar()?, Form::Copy)))
}

/// Returns the importable attribute whose value a column of this name most probably has; `None` if no attribute is
/// similar.
pub(super) fn nearest_attribute(name: &str) -> Option<&'static str> {
    meaning(name).filter(|(_, form)| *form == Form::Copy).map(|(attribute, _)| attribute)
}

/// Returns the key in metadata for a column of this name.
pub(super) fn metadata_key(name: &str) -> String {
    let key: String = to_words(name).chars().map(|c| if c == ' ' { '_' } else { c }).take(40).collect();
    if key.is_empty() { "column".to_owned() } else { key }
}

/// Words of names of columns that decide what a user may do. Users cannot change `app_metadata` themselves.
const PRIVILEGES: &[&str] = &[
    "admin",
    "administrator",
    "superuser",
    "staff",
    "role",
    "roles",
    "group",
    "groups",
    "permission",
    "permissions",
    "privilege",
    "privileges",
    "scope",
    "scopes",
    "rolle",
    "rollen",
    "gruppe",
    "gruppen",
    "groupe",
    "groupes",
    "rol",
    "grupo",
    "grupos",
];

/// Returns the metadata for a column of this name: `app_metadata` for what decides what a user may do.
pub(super) fn metadata_root(name: &str) -> &'static str {
    let decides = to_words(name).split(' ').any(|word| PRIVILEGES.contains(&word));
    if decides { "app_metadata" } else { "user_metadata" }
}

/// Returns the path that a column of this name may be mapped to: the most similar attribute, or else a key in
/// metadata.
pub(super) fn suggest_attribute(name: &str) -> String {
    match nearest_attribute(name) {
        Some(attribute) => attribute.to_owned(),
        None => member(metadata_root(name), &metadata_key(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_suggest_the_attribute_they_mean() {
        for (name, attribute) in [
            ("E-Mail", "email"),
            ("Emial", "email"),
            ("e-mail address", "email"),
            ("firstName", "given_name"),
            ("First_Name", "given_name"),
            ("Last name", "family_name"),
            ("displayName", "name"),
            ("Given Name", "given_name"),
            ("UserName", "username"),
            ("emailVerified", "email_verified"),
            ("Mobile", "phone_number"),
            ("avatar_url", "picture"),
            ("passwordHash", "password_hash"),
            ("phone_number_verified", "phone_verified"),
            ("cognito:username", "username"),
            ("EmailConfirmed", "email_verified"),
            ("PhoneNumberConfirmed", "phone_verified"),
            ("sAMAccountName", "username"),
            ("Vorname", "given_name"),
            ("Nachname", "family_name"),
            ("E-Mail-Adresse", "email"),
            ("Prénom", "given_name"),
            ("Nom de famille", "family_name"),
            ("Adresse e-mail", "email"),
            ("Apellidos", "family_name"),
            ("Correo electrónico", "email"),
            ("Cognome", "family_name"),
            ("Telemóvel", "phone_number"),
            ("Sobrenome", "family_name"),
            ("Achternaam", "family_name"),
            ("Telefoonnummer", "phone_number"),
            ("Imię", "given_name"),
            ("Nazwisko", "family_name"),
        ] {
            assert_eq!(nearest_attribute(name), Some(attribute), "{name}");
        }
    }

    #[test]
    fn columns_with_another_meaning_are_computed() {
        for (name, attribute, expression) in [
            ("is_active", "blocked", "/^(f(alse)?|no?|0|off)$/i.test(user.x)"),
            ("LockoutEnd", "blocked", "new Date(user.x) > new Date()"),
            ("email_verified_at", "email_verified", "Boolean(user.x)"),
            ("Disabled", "blocked", "user.x"),
        ] {
            let (found, form) = meaning(name).unwrap();
            assert_eq!((found, form.expression("user.x").as_str()), (attribute, expression), "{name}");
        }
        assert_eq!(nearest_attribute("is_active"), None, "the column has the opposite value");
        assert_eq!(nearest_attribute("LockoutEnabled"), None);
    }

    #[test]
    fn synonyms_are_compact_and_mean_one_attribute() {
        let mut all = Vec::new();
        for (attribute, form, names) in SYNONYMS {
            assert!(user::find(attribute).is_some_and(|attribute| attribute.importable), "{attribute}");
            for name in *names {
                assert_eq!(compact(name), *name);
                all.push((*name, *attribute, *form == Form::Inverted));
            }
        }
        all.sort_unstable();
        all.dedup();
        for pair in all.windows(2) {
            assert_ne!(pair[0].0, pair[1].0, "{pair:?}");
        }
    }

    #[test]
    fn unknown_names_suggest_a_key_in_user_metadata() {
        assert_eq!(nearest_attribute("Shoe size"), None);
        assert_eq!(suggest_attribute("Shoe size"), "user_metadata.shoe_size");
        assert_eq!(suggest_attribute("Straße"), "user_metadata[\"straße\"]");
        assert_eq!(suggest_attribute("$"), "user_metadata.column");
        assert_eq!(suggest_attribute("is_superuser"), "app_metadata.is_superuser");
        assert_eq!(suggest_attribute("User roles"), "app_metadata.user_roles");
    }
}
