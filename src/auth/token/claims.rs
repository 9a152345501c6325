//! What a token says, once its signature is good: for whom it is, until when, who its bearer is and what that one may.

use serde_json::{Map, Value};

use super::Verified;
use super::rules::Rules;
use super::scope::Scope;
use crate::auth::accounts::{TAG_OCTETS_MAX, TAGS_MAX, USER_NAME_OCTETS_MAX};
use crate::clock::Timestamp;
use crate::name::Name;

/// Scopes of a token, those that aliases stand for included: each is asked when something is checked anew.
const SCOPES_MAX: usize = 1024;

/// What a scope begins with that gives a tag.
const TAG: &str = "tag:";

/// The claims of a token.
pub(super) type Claims = Map<String, Value>;

impl Rules {
    /// What the claims come to at `now`.
    ///
    /// # Errors
    /// When the token is for somebody else, has run out, does not hold yet, or names nobody.
    pub(super) fn judge(&self, claims: &Claims, now: Timestamp) -> Result<Verified, String> {
        self.check_audience(claims)?;
        self.check_issuer(claims)?;
        let expires = moment(claims, "exp")?.map(|exp| exp.plus_millis(self.leeway_ms));
        if expires.is_some_and(|expires| expires <= now) {
            return Err("it has expired".to_owned());
        }
        if moment(claims, "nbf")?.is_some_and(|nbf| nbf > now.plus_millis(self.leeway_ms)) {
            return Err("it does not hold yet (nbf)".to_owned());
        }
        let user = self.user_name(claims)?;
        let scopes = self.scopes(claims)?;
        let own: Vec<&str> =
            scopes.iter().filter_map(|scope| scope.strip_prefix(&self.scope_prefix)).collect();
        let tags = own.iter().filter_map(|scope| scope.strip_prefix(TAG));
        let tags = tags.filter(|tag| tag.len() <= TAG_OCTETS_MAX).take(TAGS_MAX).map(str::to_owned).collect();
        let scopes = own.iter().filter_map(|scope| Scope::parse(scope)).collect();
        Ok(Verified { user, tags, scopes, expires })
    }

    fn check_audience(&self, claims: &Claims) -> Result<(), String> {
        let Some(wanted) = &self.audience else { return Ok(()) };
        let is_for_us = match claims.get("aud") {
            Some(Value::String(audience)) => audience == wanted,
            Some(Value::Array(audiences)) => audiences.iter().any(|one| one.as_str() == Some(wanted)),
            Some(_) | None => false,
        };
        if is_for_us { Ok(()) } else { Err(format!("it is not for '{wanted}' (aud)")) }
    }

    fn check_issuer(&self, claims: &Claims) -> Result<(), String> {
        let Some(wanted) = &self.issuer else { return Ok(()) };
        // The last slash is written by some and left out by others.
        let bare = |url: &str| url.trim_end_matches('/').to_owned();
        let issuer = claims.get("iss").and_then(Value::as_str).map(bare);
        if issuer.is_some_and(|issuer| issuer == bare(wanted)) {
            return Ok(());
        }
        Err(format!("it is not from '{wanted}' (iss)"))
    }

    fn user_name(&self, claims: &Claims) -> Result<Name, String> {
        let named = self.username_claims.iter().find_map(|claim| claims.get(claim)?.as_str());
        let name = named.filter(|name| (1..=USER_NAME_OCTETS_MAX).contains(&name.len()));
        name.map(Name::from).ok_or_else(|| {
            format!(
                "none of {} names a user of 1 to {USER_NAME_OCTETS_MAX} octets",
                self.username_claims.join(", ")
            )
        })
    }

    /// All scopes, prefixes included; aliases are replaced by what they stand for.
    fn scopes(&self, claims: &Claims) -> Result<Vec<String>, String> {
        let mut scopes = Vec::new();
        self.gather(claims.get("scope"), &mut scopes);
        for path in &self.scope_claims {
            self.gather(at(claims, path), &mut scopes);
        }
        let replaced = scopes.into_iter().flat_map(|scope| match self.aliases.get(&scope) {
            Some(scopes) => scopes.clone(),
            None => vec![scope],
        });
        let scopes: Vec<String> = replaced.take(SCOPES_MAX + 1).collect();
        if scopes.len() > SCOPES_MAX {
            return Err(format!("it has more than {SCOPES_MAX} scopes"));
        }
        Ok(scopes)
    }

    /// RabbitMQ: text with spaces in between, a list, or a table of lists by resource server, whose scopes bear no
    /// prefix.
    fn gather(&self, value: Option<&Value>, scopes: &mut Vec<String>) {
        match value {
            Some(Value::String(text)) => scopes.extend(text.split_whitespace().map(str::to_owned)),
            Some(Value::Array(items)) => items.iter().for_each(|item| self.gather(Some(item), scopes)),
            Some(Value::Object(servers)) => {
                let mut own = Vec::new();
                if let Some(listed @ (Value::Array(_) | Value::String(_))) =
                    servers.get(&self.resource_server_id)
                {
                    self.gather(Some(listed), &mut own);
                }
                scopes.extend(own.iter().map(|scope| format!("{}{scope}", self.scope_prefix)));
            }
            Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => {}
        }
    }
}

/// What stands at a path of keys.
fn at<'c>(claims: &'c Claims, path: &[String]) -> Option<&'c Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(claims.get(first)?, |value, key| value.get(key))
}

/// A moment in seconds since the epoch (RFC 7519 §2: NumericDate), which may have a fraction.
fn moment(claims: &Claims, claim: &str) -> Result<Option<Timestamp>, String> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    let seconds = value.as_u64().or_else(|| whole(value.as_f64()?));
    let seconds = seconds.ok_or_else(|| format!("{claim} is not a number of seconds"))?;
    Ok(Some(Timestamp::from_millis(seconds.saturating_mul(1000))))
}

/// The seconds of a number with a fraction.
fn whole(seconds: f64) -> Option<u64> {
    /// Beyond, a number with a point does not hold every whole one: no year that anybody means.
    const EXACT: f64 = 9e15;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within what is exact")]
    (0.0..EXACT).contains(&seconds).then_some(seconds as u64)
}
