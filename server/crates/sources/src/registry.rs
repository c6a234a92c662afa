//! The list of sources.

use crate::sample::Sample;
use crate::source::Source;
use crate::{
    aspnet, auth0, auth0_hashes, clerk, cognito, devise, django, drupal, entra, firebase, keycloak, laravel, ldap,
    okta, supabase, wordpress,
};

/// All sources, in the order in which they are offered.
pub static ALL: &[&Source] = &[
    &auth0::AUTH0,
    &auth0_hashes::AUTH0_HASHES,
    &cognito::COGNITO,
    &firebase::FIREBASE,
    &keycloak::KEYCLOAK,
    &okta::OKTA,
    &entra::ENTRA,
    &supabase::SUPABASE,
    &clerk::CLERK,
    &wordpress::WORDPRESS,
    &drupal::DRUPAL,
    &aspnet::ASPNET,
    &django::DJANGO,
    &devise::DEVISE,
    &laravel::LARAVEL,
    &ldap::LDAP,
];

/// Returns the source of this name.
pub fn find(name: &str) -> Option<&'static Source> {
    ALL.iter().find(|source| source.name == name).copied()
}

/// Returns the source of a file if it is certain: one source has more distinctive names than all others.
pub fn detect(sample: &Sample) -> Option<&'static Source> {
    let mut best: Option<(usize, &'static Source)> = None;
    let mut tied = false;
    for source in ALL.iter().copied() {
        let score = source.score(sample);
        match best {
            _ if score == 0 => {}
            Some((other, _)) if score < other => {}
            Some((other, _)) if score == other => tied = true,
            _ => (best, tied) = (Some((score, source)), false),
        }
    }
    best.filter(|_| !tied).map(|(_, source)| source)
}
