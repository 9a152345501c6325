//! Where a broker is, as clients write it: `amqp://user:password@host:port/vhost`.

use std::str::FromStr;

use percent_encoding::percent_decode_str;

/// The port of AMQP.
const PORT: u16 = 5672;

/// A broker and a virtual host of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who connects.
    pub user: String,
    /// What they prove it with.
    pub password: String,
    /// The virtual host.
    pub vhost: String,
}

impl FromStr for Uri {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("amqps://") {
            return Err("TLS is not measured: give the address of a plain listener, amqp://...".to_owned());
        }
        let uri: axum::http::Uri = text.parse().map_err(|error| format!("no URI: {error}"))?;
        if uri.scheme_str() != Some("amqp") {
            return Err("expected amqp://[user:password@]host[:port][/vhost]".to_owned());
        }
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let (user, password) = match authority.rsplit_once('@') {
            Some((who, _)) => who.split_once(':').unwrap_or((who, "")),
            None => ("guest", "guest"),
        };
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err("it names no host".to_owned());
        }
        // amqp://host and amqp://host/ are the default one, amqp://host/%2F too.
        let vhost = uri.path().strip_prefix('/').filter(|vhost| !vhost.is_empty()).unwrap_or("/");
        Ok(Self {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(PORT),
            user: decoded(user)?,
            password: decoded(password)?,
            vhost: decoded(vhost)?,
        })
    }
}

impl From<std::net::SocketAddr> for Uri {
    fn from(address: std::net::SocketAddr) -> Self {
        let [user, password] = ["guest"; 2].map(str::to_owned);
        Self { host: address.ip().to_string(), port: address.port(), user, password, vhost: "/".to_owned() }
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| format!("'{text}' is no UTF-8 when it is decoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, u16, String, String, String) {
        let uri: Uri = text.parse().unwrap();
        (uri.host, uri.port, uri.user, uri.password, uri.vhost)
    }

    fn expected(
        host: &str,
        port: u16,
        user: &str,
        password: &str,
        vhost: &str,
    ) -> (String, u16, String, String, String) {
        let [host, user, password, vhost] = [host, user, password, vhost].map(str::to_owned);
        (host, port, user, password, vhost)
    }

    #[test]
    fn what_is_left_out_has_the_defaults_of_clients() {
        assert_eq!(parsed("amqp://localhost"), expected("localhost", 5672, "guest", "guest", "/"));
        assert_eq!(parsed("amqp://localhost/"), expected("localhost", 5672, "guest", "guest", "/"));
        assert_eq!(parsed("amqp://h:5673/%2F"), expected("h", 5673, "guest", "guest", "/"));
        assert_eq!(parsed("amqp://me:a%40b@[::1]:7/jobs"), expected("::1", 7, "me", "a@b", "jobs"));
    }

    #[test]
    fn what_cannot_be_measured_is_refused_with_the_reason() {
        for (text, why) in [
            ("amqps://localhost", "TLS"),
            ("http://localhost", "expected amqp://"),
            ("localhost:5672", "expected amqp://"),
            ("amqp://h/%ff", "UTF-8"),
        ] {
            let refused = text.parse::<Uri>().unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
