//! Whom a client's certificate names (RabbitMQ: ssl_cert_login_from).

use std::net::IpAddr;

use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

use crate::config::{LoginFrom, SanType, TlsSettings};
use crate::name::Name;

/// Octets of the longest name of a user.
const NAME_MAX: usize = 255;

/// The name for SASL EXTERNAL.
pub(super) fn of(certificate: &[u8], settings: &TlsSettings) -> Option<Name> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = match settings.login_from {
        LoginFrom::DistinguishedName => Some(distinguished(certificate.subject())),
        LoginFrom::CommonName => common(certificate.subject()),
        LoginFrom::SubjectAlternativeName => alternative(&certificate, settings.san_type, settings.san_index),
    };
    // Names of users are logged, and no longer than a short string.
    let is_usable =
        |name: &String| !name.is_empty() && name.len() <= NAME_MAX && !name.contains(char::is_control);
    name.filter(is_usable).map(Name::from)
}

/// The distinguished name of the subject.
pub(super) fn subject(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(distinguished(certificate.subject()))
}

/// RFC 4514: the last part of the name first, parts separated by commas.
pub(super) fn distinguished(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|part| {
            let attributes = part.iter().map(|attribute| {
                let oid = attribute.attr_type();
                let key = oid2abbrev(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), str::to_owned);
                format!("{key}={}", escaped(attribute.as_str().unwrap_or_default()))
            });
            attributes.collect::<Vec<_>>().join("+")
        })
        .collect();
    parts.reverse();
    parts.join(",")
}

/// RFC 4514 §2.4.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut escaped = String::with_capacity(value.len());
    for (index, c) in value.chars().enumerate() {
        let is_special = matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || (index == 0 && matches!(c, '#' | ' '))
            || (index == last && c == ' ');
        if is_special {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// RabbitMQ: of several common names, all, separated by commas.
fn common(name: &X509Name<'_>) -> Option<String> {
    let names: Vec<&str> = name.iter_common_name().filter_map(|name| name.as_str().ok()).collect();
    (!names.is_empty()).then(|| names.join(","))
}

fn alternative(certificate: &X509Certificate<'_>, kind: SanType, index: usize) -> Option<String> {
    let extension = certificate.subject_alternative_name().ok()??;
    extension.value.general_names.iter().filter_map(|name| text(name, kind)).nth(index)
}

/// The name, if it is one of this kind.
fn text(name: &GeneralName<'_>, kind: SanType) -> Option<String> {
    match (name, kind) {
        (GeneralName::DNSName(name), SanType::Dns)
        | (GeneralName::RFC822Name(name), SanType::Email)
        | (GeneralName::URI(name), SanType::Uri) => Some((*name).to_owned()),
        (GeneralName::IPAddress(octets), SanType::Ip) => address(octets).map(|address| address.to_string()),
        (_, _) => None,
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(octets).ok().map(IpAddr::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType as San};

    fn certificate() -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Hares, Inc.");
        params.distinguished_name.push(DnType::CommonName, "worker");
        params.subject_alt_names = vec![
            San::DnsName("a.example".try_into().unwrap()),
            San::Rfc822Name("worker@example".try_into().unwrap()),
            San::DnsName("b.example".try_into().unwrap()),
            San::IpAddress("192.0.2.7".parse().unwrap()),
        ];
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn name(login_from: LoginFrom, san_type: SanType, san_index: usize) -> Option<String> {
        let settings = TlsSettings { login_from, san_type, san_index, ..TlsSettings::default() };
        of(&certificate(), &settings).map(|name| name.to_string())
    }

    #[test]
    fn the_distinguished_name_is_written_as_rfc_4514_has_it() {
        let name = name(LoginFrom::DistinguishedName, SanType::Dns, 0);
        assert_eq!(name.as_deref(), Some("CN=worker,O=Hares\\, Inc."));
    }

    #[test]
    fn the_common_name() {
        assert_eq!(name(LoginFrom::CommonName, SanType::Dns, 0).as_deref(), Some("worker"));
    }

    #[test]
    fn alternative_names_are_counted_within_their_kind() {
        let of = |kind, index| name(LoginFrom::SubjectAlternativeName, kind, index);
        assert_eq!(of(SanType::Dns, 1).as_deref(), Some("b.example"));
        assert_eq!(of(SanType::Email, 0).as_deref(), Some("worker@example"));
        assert_eq!(of(SanType::Ip, 0).as_deref(), Some("192.0.2.7"));
        assert_eq!(of(SanType::Uri, 0), None);
    }

    #[test]
    fn what_is_no_certificate_names_nobody() {
        assert_eq!(of(b"garbage", &TlsSettings::default()), None);
    }
}
