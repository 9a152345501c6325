//! What must hold of settings once all of them are known.

use super::{AuthBackend, Config};
use lepus_protocol::frame::FRAME_MAX_MIN;

impl Config {
    /// Each setting that cannot be used as it is, with the reason.
    pub(super) fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut unless = |holds: bool, key, text: String| {
            if !holds {
                faults.push((key, text));
            }
        };
        let frame_max = self.limits.frame_max;
        let text = format!("{frame_max} octets are less than {FRAME_MAX_MIN}, the least that AMQP allows");
        unless(frame_max >= FRAME_MAX_MIN, "limits.frame_max", text);
        unless(
            self.limits.channel_max > 0,
            "limits.channel_max",
            "0 channels: a connection could do nothing".to_owned(),
        );
        for (addresses, key) in [
            (&self.management.tls_listen, "management.tls_listen"),
            (&self.prometheus.tls_listen, "prometheus.tls_listen"),
        ] {
            let text = "there is no certificate to serve HTTPS with: set tls.certificate and tls.key";
            unless(addresses.is_empty() || self.tls.is_on(), key, text.to_owned());
        }
        let text = "nobody says who may come in: name internal or oauth2".to_owned();
        unless(!self.auth_backends.is_empty(), "auth_backends", text);
        faults.extend(self.tls.faults());
        faults.extend(self.oauth2.faults(self.auth_backends.contains(&AuthBackend::OAuth2)));
        faults
    }
}
