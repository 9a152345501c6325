//! Who asks: HTTP's basic authentication or a bearer's token (OAuth 2), and what RabbitMQ's tags let a user see and do.
//! From loopback, a token of another kind stands for who administers this machine (`auth/operator.rs`).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::api::Api;
use super::refusal::Refusal;
use crate::auth::{Claim, User};

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

/// RabbitMQ's tags, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// May look at what is in virtual hosts that the user may open, and change what permissions allow.
    Management,
    /// May set policies there too.
    Policymaker,
    /// May look at everything.
    Monitoring,
    /// May do everything.
    Administrator,
}

/// A user who has logged in and may use the API.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) user: Arc<User>,
    pub(super) tags: Vec<String>,
    /// Whether it is who administers this machine: everything is permitted then.
    pub(super) is_operator: bool,
}

/// Under which name who administers this machine appears.
const OPERATOR: &str = "operator";

/// HTTP's word before a token.
const TOKEN_SCHEME: &str = "Operator ";

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Refusal> {
        let Some(Peer(peer)) = parts.extensions.get::<Peer>() else {
            return Err(Refusal::internal("a request from nowhere"));
        };
        let header = parts.headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok());
        if let Some(token) = header.and_then(|header| header.strip_prefix(TOKEN_SCHEME)) {
            return Self::operator(api, *peer, token);
        }
        let claim = header
            .and_then(|header| bearer(header).or_else(|| basic(header)))
            .ok_or_else(|| Refusal::unknown_caller("Login failed"))?;
        let authority = &api.broker.authority;
        let user = authority.login(claim, peer.ip(), api.now()).await.map_err(|error| {
            tracing::info!(%peer, ?error, "login to the management API refused");
            Refusal::unknown_caller("Login failed")
        })?;
        let tags = user.tags(&authority.accounts);
        let caller = Self { tags, user, is_operator: false };
        caller.need(Tag::Management)?;
        Ok(caller)
    }
}

/// The token of a header `Bearer ...` (RFC 6750 §2.1).
fn bearer(header: &str) -> Option<Claim> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Claim::Token(token.trim().as_bytes().to_vec()))
}

/// Who a header `Basic ...` says that it is (RFC 7617).
fn basic(header: &str) -> Option<Claim> {
    let (scheme, credentials) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = STANDARD.decode(credentials.trim()).ok()?;
    let colon = decoded.iter().position(|octet| *octet == b':')?;
    let (user, password) = (decoded.get(..colon)?, decoded.get(colon + 1..)?);
    let user = String::from_utf8(user.to_vec()).ok()?;
    Some(Claim::Password { user, password: password.to_vec() })
}

impl Caller {
    /// Who administers this machine: knows the token, and asks from loopback.
    fn operator(api: &Api, peer: SocketAddr, token: &str) -> Result<Self, Refusal> {
        let is_known = api.node.operator.as_ref().is_some_and(|known| known.is(token));
        if !is_known || !peer.ip().to_canonical().is_loopback() {
            tracing::warn!(%peer, "an operator's token was refused");
            return Err(Refusal::unknown_caller("Login failed"));
        }
        let user = Arc::new(User::named(OPERATOR));
        Ok(Self { user, tags: vec!["administrator".to_owned()], is_operator: true })
    }

    /// Refuses who has none of the tags that include this one.
    pub(super) fn need(&self, tag: Tag) -> Result<(), Refusal> {
        if self.has(tag) {
            return Ok(());
        }
        Err(Refusal::forbidden(match tag {
            Tag::Management => "Not management user",
            Tag::Policymaker => "User not authorised to access object",
            Tag::Monitoring => "Not monitor user",
            Tag::Administrator => "Not administrator user",
        }))
    }

    /// Whether the user has this tag or one that includes it.
    pub(super) fn has(&self, tag: Tag) -> bool {
        let including: &[&str] = match tag {
            Tag::Management => &["management", "policymaker", "monitoring", "administrator"],
            Tag::Policymaker => &["policymaker", "administrator"],
            Tag::Monitoring => &["monitoring", "administrator"],
            Tag::Administrator => &["administrator"],
        };
        self.tags.iter().any(|tag| including.contains(&tag.as_str()))
    }

    /// Refuses a look at policies and parameters: they are for those who set them, and for those who see everything.
    pub(super) fn see_policies(&self) -> Result<(), Refusal> {
        if self.has(Tag::Monitoring) { Ok(()) } else { self.need(Tag::Policymaker) }
    }

    /// Refuses a look at what belongs to another user, unless the caller may look at everything.
    pub(super) fn see(&self, owner: &str) -> Result<(), Refusal> {
        self.own(owner, Tag::Monitoring)
    }

    /// Refuses to end what belongs to another user, unless the caller may do everything.
    pub(super) fn end(&self, owner: &str) -> Result<(), Refusal> {
        self.own(owner, Tag::Administrator)
    }

    fn own(&self, owner: &str, tag: Tag) -> Result<(), Refusal> {
        if self.user.name.as_str() == owner || self.has(tag) {
            return Ok(());
        }
        Err(Refusal::forbidden("User not authorised to access object"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_a_name_and_a_password() {
        let claim = |user: &str, password: &[u8]| Claim::Password {
            user: user.to_owned(),
            password: password.to_vec(),
        };
        assert_eq!(basic("Basic Z3Vlc3Q6Z3U6ZXN0").unwrap(), claim("guest", b"gu:est"));
        assert_eq!(basic("basic OnA=").unwrap(), claim("", b"p"));
        for header in ["", "Basic", "Basic !!", "Basic Z3Vlc3Q=", "Bearer Z3Vlc3Q6Z3Vlc3Q="] {
            assert!(basic(header).is_none(), "{header}");
        }
    }
}
