//! `lepus health`.

use clap::Args;
use serde_json::{Value, json};

use super::access::Format;
use super::client::{Answer, Path, path};
use super::context::{Context, Done, print};
use super::failure::Failure;
use super::text::{aligned, at, printable};

/// How soon a certificate may run out.
const CERTIFICATE_DAYS: &str = "14";

/// Checks that the broker is well.
#[derive(Debug, Args)]
pub(crate) struct Health {
    /// Which checks: alarms, certificates, connections (below their limit), virtual-hosts, a port (5672), or a protocol
    /// (amqp, amqps, http, https). Without any, the first four.
    checks: Vec<String>,
}

impl Health {
    pub(super) fn run(self, context: &Context) -> Done {
        let mut checks = self.checks;
        if checks.is_empty() {
            checks = ["alarms", "certificates", "connections", "virtual-hosts"].map(str::to_owned).to_vec();
        }
        let mut found = Vec::new();
        for check in checks {
            let Answer { status, body } = context.client.check(route(&check))?;
            found.push((check, status == 200, body));
        }
        match context.format {
            Format::Json => {
                let all =
                    found.iter().map(|(check, ok, body)| json!({ "check": check, "ok": ok, "answer": body }));
                context.json(&all.collect())?;
            }
            Format::Table => {
                let line = |(check, ok, body): &(String, bool, Value)| {
                    let text = if *ok { "ok".to_owned() } else { reason(body) };
                    vec![printable(check), text]
                };
                print(&aligned(&found.iter().map(line).collect::<Vec<_>>(), &[false, false]))?;
            }
        }
        let bad: Vec<String> =
            found.into_iter().filter(|(_, ok, _)| !ok).map(|(check, _, _)| check).collect();
        if bad.is_empty() { Ok(()) } else { Err(Failure::Unhealthy(format!("not well: {}", bad.join(", ")))) }
    }
}

fn route(check: &str) -> Path {
    let segments: &[&str] = match check {
        "alarms" => &["alarms"],
        "certificates" => &["certificate-expiration", CERTIFICATE_DAYS, "days"],
        "connections" => &["below-node-connection-limit"],
        "virtual-hosts" => &["virtual-hosts"],
        port if port.parse::<u16>().is_ok() => &["port-listener", port],
        protocol => &["protocol-listener", protocol],
    };
    let whole: Vec<&str> = ["health", "checks"].into_iter().chain(segments.iter().copied()).collect();
    path(&whole).about(format!("check '{check}'"))
}

fn reason(body: &Value) -> String {
    let reason = at(body, "reason").as_str().unwrap_or("failed");
    let details =
        ["alarms", "expired", "missing"].into_iter().map(|key| at(body, key)).find(|found| !found.is_null());
    details.map_or_else(|| printable(reason), |details| printable(&format!("{reason}: {details}")))
}
