//! The section `[oauth2]`, and whom the broker lets say who comes in.

use std::path::PathBuf;
use std::time::Duration;

use super::setting::settings;
use super::value::{Secret, choices};

/// What a URL of keys begins with (RabbitMQ wants it too): keys that come in the clear could be anybody's.
const HTTPS: &str = "https://";

/// Octets of a shared secret: RFC 7518 §3.2 wants as many as HS256 has.
const SECRET_OCTETS_MIN: usize = 32;

settings! {
    /// OAuth 2: tokens (JWT) that clients send in the place of a password, with auth_backends = ["oauth2"].
    pub struct OAuth2Settings {
        /// The broker's name in tokens: they must be for it (`aud`), and its scopes begin with it and a point.
        resource_server_id: Option<String> = None;

        /// What the broker's scopes begin with instead.
        scope_prefix: Option<String> = None;

        /// Claims that hold scopes besides `scope`; points lead into what is nested, as in realm_access.roles.
        additional_scopes_key: Vec<String> = Vec::new();

        /// Other words for scopes: "alias=scope scope".
        scope_aliases: Vec<String> = Vec::new();

        /// Claims that name the user, asked in this order, before `sub` and `client_id`.
        preferred_username_claims: Vec<String> = Vec::new();

        /// URL of the keys that sign tokens (a JWK set), over HTTPS. They are fetched when one is not known.
        jwks_url: Option<String> = None;

        /// URL of who issues tokens: tokens must be from there (`iss`), and it says where the keys are (OpenID Connect
        /// Discovery) if nothing else does.
        issuer: Option<String> = None;

        /// PEM file of the authorities that vouch for that server's certificate; by default those that browsers trust.
        ca_file: Option<PathBuf> = None;

        /// Public keys in files, PEM or JWK: "name=file". A token names its key (`kid`).
        signing_keys: Vec<String> = Vec::new();

        /// The name of the key for tokens that name none.
        default_key: Option<String> = None;

        /// A secret shared with who signs tokens; without it no token is accepted that is signed with one (HS256).
        symmetric_key: Option<Secret> = None, secret;

        /// Algorithms that tokens may be signed with.
        algorithms: Vec<TokenAlgorithm> = TokenAlgorithm::ALL.to_vec();

        /// Refuse tokens that are for another server.
        verify_aud: bool = true;

        /// How far the clock of who issues tokens may be off.
        leeway: Duration = Duration::from_secs(5);
    }
}

impl OAuth2Settings {
    /// Settings that do not go together, with the reason.
    pub(super) fn faults(&self, is_on: bool) -> Vec<(&'static str, String)> {
        if !is_on {
            return Vec::new();
        }
        let mut faults = Vec::new();
        let mut unless = |holds: bool, key, text: &str| {
            if !holds {
                faults.push((key, text.to_owned()));
            }
        };
        let has_name = self.resource_server_id.as_ref().is_some_and(|id| !id.is_empty());
        unless(
            has_name,
            "oauth2.resource_server_id",
            "tokens are for somebody: set the broker's name in them",
        );
        let has_keys = self.jwks_url.is_some() || self.issuer.is_some() || self.symmetric_key.is_some();
        unless(
            has_keys || !self.signing_keys.is_empty(),
            "auth_backends",
            "nothing to check tokens with: set oauth2.jwks_url, issuer or signing_keys",
        );
        for (key, url) in [("oauth2.jwks_url", &self.jwks_url), ("oauth2.issuer", &self.issuer)] {
            let is_safe = url.as_ref().is_none_or(|url| url.starts_with(HTTPS));
            unless(is_safe, key, "keys come over HTTPS only: begin with https://");
        }
        let is_long = self.symmetric_key.as_ref().is_none_or(|secret| secret.0.len() >= SECRET_OCTETS_MIN);
        unless(is_long, "oauth2.symmetric_key", "shorter than 32 octets: it could be guessed");
        let named = |pairs: &[String]| pairs.iter().all(|pair| pair.contains('='));
        unless(named(&self.signing_keys), "oauth2.signing_keys", "write each as name=file");
        unless(named(&self.scope_aliases), "oauth2.scope_aliases", "write each as alias=scope scope");
        faults
    }
}

/// Who says whether somebody may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthBackend {
    /// The broker's own accounts.
    Internal,
    /// Who issues tokens.
    OAuth2,
}

choices!(AuthBackend { "internal" => Internal, "oauth2" => OAuth2 });

/// How a token is signed (RFC 7518 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA, PKCS #1 v1.5, with SHA-256.
    Rs256,
    /// RSA, PKCS #1 v1.5, with SHA-384.
    Rs384,
    /// RSA, PKCS #1 v1.5, with SHA-512.
    Rs512,
    /// RSA, PSS, with SHA-256.
    Ps256,
    /// RSA, PSS, with SHA-384.
    Ps384,
    /// RSA, PSS, with SHA-512.
    Ps512,
    /// ECDSA with P-256.
    Es256,
    /// ECDSA with P-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

choices!(TokenAlgorithm {
    "HS256" => Hs256,
    "HS384" => Hs384,
    "HS512" => Hs512,
    "RS256" => Rs256,
    "RS384" => Rs384,
    "RS512" => Rs512,
    "PS256" => Ps256,
    "PS384" => Ps384,
    "PS512" => Ps512,
    "ES256" => Es256,
    "ES384" => Es384,
    "EdDSA" => EdDsa,
});

impl TokenAlgorithm {
    /// All of them. Those with a shared secret count only where one is set.
    pub const ALL: [Self; 12] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
    ];
}
