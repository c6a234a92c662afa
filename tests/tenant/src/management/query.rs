//! Query parameters with Auth0's validation messages.

use actix_web::HttpRequest;

use crate::reply::ApiError;

/// The query parameters of a request.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(request: &HttpRequest) -> Self {
        Query(url::form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Returns all values of a repeatable parameter; some clients write `name[]`.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(found, _)| found.strip_suffix("[]").unwrap_or(found) == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// Returns a whole number, which must be within bounds.
    pub(super) fn integer(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number: i64 = text.parse().map_err(|_| invalid(name, "Expected type integer but found type string"))?;
        match u64::try_from(number) {
            Ok(number) if number > most => {
                Err(invalid(name, &format!("Value {number} is greater than maximum {most}")))
            }
            Ok(number) if number >= least => Ok(Some(number)),
            _ => Err(invalid(name, &format!("Value {number} is less than minimum {least}"))),
        }
    }

    /// Returns a parameter that must be `true` or `false`.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(invalid(name, "Expected type boolean but found type string")),
        }
    }

    /// Returns the comma-separated list `fields`, whose names must be allowed, and `include_fields`.
    pub(super) fn fields(&self, allowed: Option<&[&str]>) -> Result<(Option<Vec<&str>>, bool), ApiError> {
        let include = self.boolean("include_fields")?.unwrap_or(true);
        let Some(text) = self.get("fields").filter(|text| !text.is_empty() || allowed.is_some()) else {
            return Ok((None, include));
        };
        let fields: Vec<&str> = text.split(',').collect();
        if let Some(allowed) = allowed
            && fields.iter().any(|field| !allowed.contains(field))
        {
            let alternatives: Vec<String> = allowed.iter().map(|name| format!("({name})")).collect();
            let one = alternatives.join("|");
            return Err(invalid("fields", &format!("String does not match pattern ^({one})(,({one}))*$")));
        }
        Ok((Some(fields), include))
    }
}

/// Returns Auth0's error for an invalid query parameter.
pub(super) fn invalid(name: &str, reason: &str) -> ApiError {
    ApiError::query(format!("Query validation error: '{reason}' on property {name}"))
}
