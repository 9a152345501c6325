//! What the settings say of tokens.

use std::collections::HashMap;

use jsonwebtoken::{Algorithm, AlgorithmFamily};

use crate::config::{OAuth2Settings, TokenAlgorithm};

/// Claims that name a user when none of those does that the settings prefer (RabbitMQ).
const USERNAME_CLAIMS: [&str; 2] = ["sub", "client_id"];

/// How tokens are judged.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) resource_server_id: String,
    /// Whom a token must be for; `None`: anybody.
    pub(super) audience: Option<String>,
    /// Who must have issued it; `None`: whoever has the key.
    pub(super) issuer: Option<String>,
    pub(super) scope_prefix: String,
    /// Paths of claims that hold scopes besides `scope`.
    pub(super) scope_claims: Vec<Vec<String>>,
    pub(super) aliases: HashMap<String, Vec<String>>,
    pub(super) username_claims: Vec<String>,
    algorithms: Vec<Algorithm>,
    has_secret: bool,
    pub(super) leeway_ms: u64,
}

impl Rules {
    pub(super) fn new(settings: &OAuth2Settings) -> Self {
        let id = settings.resource_server_id.clone().unwrap_or_default();
        let path = |claim: &String| claim.split('.').map(str::to_owned).collect();
        let alias = |given: &String| {
            let (alias, scopes) = given.split_once('=')?;
            Some((alias.trim().to_owned(), scopes.split_whitespace().map(str::to_owned).collect()))
        };
        let usual = USERNAME_CLAIMS.map(str::to_owned);
        Self {
            audience: settings.verify_aud.then(|| id.clone()),
            issuer: settings.issuer.clone(),
            scope_prefix: settings.scope_prefix.clone().unwrap_or_else(|| format!("{id}.")),
            resource_server_id: id,
            scope_claims: settings.additional_scopes_key.iter().map(path).collect(),
            aliases: settings.scope_aliases.iter().filter_map(alias).collect(),
            username_claims: settings.preferred_username_claims.iter().cloned().chain(usual).collect(),
            algorithms: settings.algorithms.iter().copied().map(algorithm).collect(),
            has_secret: settings.symmetric_key.is_some(),
            leeway_ms: u64::try_from(settings.leeway.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Whether tokens may be signed so. A shared secret signs only where one is set.
    pub(super) fn allows(&self, algorithm: Algorithm) -> bool {
        if algorithm.family() == AlgorithmFamily::Hmac && !self.has_secret {
            return false;
        }
        self.algorithms.contains(&algorithm)
    }
}

fn algorithm(setting: TokenAlgorithm) -> Algorithm {
    match setting {
        TokenAlgorithm::Hs256 => Algorithm::HS256,
        TokenAlgorithm::Hs384 => Algorithm::HS384,
        TokenAlgorithm::Hs512 => Algorithm::HS512,
        TokenAlgorithm::Rs256 => Algorithm::RS256,
        TokenAlgorithm::Rs384 => Algorithm::RS384,
        TokenAlgorithm::Rs512 => Algorithm::RS512,
        TokenAlgorithm::Ps256 => Algorithm::PS256,
        TokenAlgorithm::Ps384 => Algorithm::PS384,
        TokenAlgorithm::Ps512 => Algorithm::PS512,
        TokenAlgorithm::Es256 => Algorithm::ES256,
        TokenAlgorithm::Es384 => Algorithm::ES384,
        TokenAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}
