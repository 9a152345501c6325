//! Policies, parameters, limits.

use serde_json::{Map, Value, json};

use super::rows::rows;
use super::stop::{Done, EX_NOUSER, EX_UNAVAILABLE, Stop};
use super::{Command, Ctl, command};
use crate::command::client::path;
use crate::command::failure::Failure;
use crate::command::text::at;

const SET_POLICY: &str =
    "[--vhost <vhost>] [--priority <priority>] [--apply-to <what>] <name> <pattern> <definition>";

pub(super) const COMMANDS: &[Command] = &[
    command("set_policy", SET_POLICY, (3, 3), |ctl| set_policy(ctl, "policies", "policy")),
    command("clear_policy", "[--vhost <vhost>] <name>", (1, 1), |ctl| {
        clear_policy(ctl, "policies", "policy")
    }),
    command("list_policies", "[--vhost <vhost>]", (0, 0), |ctl| list_policies(ctl, "policies", "policies")),
    command("set_operator_policy", SET_POLICY, (3, 3), |ctl| {
        set_policy(ctl, "operator-policies", "operator policy override")
    }),
    command("clear_operator_policy", "[--vhost <vhost>] <name>", (1, 1), |ctl| {
        clear_policy(ctl, "operator-policies", "operator policy")
    }),
    command("list_operator_policies", "[--vhost <vhost>]", (0, 0), |ctl| {
        list_policies(ctl, "operator-policies", "operator policy overrides")
    }),
    command("set_parameter", "[--vhost <vhost>] <component> <name> <value>", (3, 3), set_parameter),
    command("clear_parameter", "[--vhost <vhost>] <component> <name>", (2, 2), clear_parameter),
    command("list_parameters", "[--vhost <vhost>]", (0, 0), list_parameters),
    command("set_global_parameter", "<name> <value>", (2, 2), set_global_parameter),
    command("clear_global_parameter", "<name>", (1, 1), clear_global_parameter),
    command("list_global_parameters", "", (0, 0), list_global_parameters),
    command("set_cluster_name", "<name>", (1, 1), set_cluster_name),
    command("set_vhost_limits", "[--vhost <vhost>] <definition>", (1, 1), set_vhost_limits),
    command("clear_vhost_limits", "[--vhost <vhost>]", (0, 0), clear_vhost_limits),
    command("list_vhost_limits", "[--vhost <vhost>]", (0, 0), list_vhost_limits),
    command("set_user_limits", "<username> <definition>", (2, 2), set_user_limits),
    command("clear_user_limits", "<username> <limit>|all", (2, 2), clear_user_limits),
    command("list_user_limits", "--user <username>", (0, 0), list_user_limits),
];

/// RabbitMQ: what is refused is 69.
fn refused(failure: Failure) -> Stop {
    if let Failure::Refused(text) = failure {
        return Stop::new(EX_UNAVAILABLE, text);
    }
    Stop::where_missing(failure, EX_UNAVAILABLE, "Parameter does not exist")
}

fn set_policy(ctl: &Ctl, kind: &str, what: &str) -> Done {
    let (name, pattern, text) = (ctl.argument(0), ctl.argument(1), ctl.argument(2));
    let priority = ctl.line.option("priority").unwrap_or("0");
    ctl.banner(format!(
        "Setting {what} \"{name}\" for pattern \"{pattern}\" to \"{text}\" with priority \"{priority}\" for vhost \
         \"{}\" ...",
        ctl.vhost()
    ))?;
    let number: i64 = priority
        .parse()
        .map_err(|_| Stop::new(EX_UNAVAILABLE, format!("the priority '{priority}' is no whole number")))?;
    let body = json!({
        "pattern": pattern, "definition": ctl.json(2)?, "priority": number,
        "apply-to": ctl.line.option("apply-to").unwrap_or("all"),
    });
    ctl.context.client.put(path(&[kind, ctl.vhost(), name]), &body).map_err(refused)?;
    Ok(())
}

fn clear_policy(ctl: &Ctl, kind: &str, what: &str) -> Done {
    let name = ctl.argument(0);
    ctl.banner(format!("Clearing {what} \"{name}\" on vhost \"{}\" ...", ctl.vhost()))?;
    ctl.context.client.delete(path(&[kind, ctl.vhost(), name])).map_err(refused)
}

fn list_policies(ctl: &Ctl, kind: &str, what: &str) -> Done {
    ctl.banner(format!("Listing {what} for vhost \"{}\" ...", ctl.vhost()))?;
    let columns = ["vhost", "name", "pattern", "apply-to", "definition", "priority"];
    let row = |policy: &Value| {
        columns.iter().map(|name| as_json_text(name, at(policy, name), "definition")).collect()
    };
    rows(&ctl.line, &columns, &ctl.list(&[kind, ctl.vhost()])?.iter().map(row).collect::<Vec<_>>())
}

/// A definition is shown as JSON, whatever the rest is shown as.
fn as_json_text(name: &str, value: &Value, which: &str) -> Value {
    if name == which { Value::from(value.to_string()) } else { value.clone() }
}

fn set_parameter(ctl: &Ctl) -> Done {
    let (component, name, vhost) = (ctl.argument(0), ctl.argument(1), ctl.vhost());
    let text = ctl.argument(2);
    ctl.banner(format!(
        "Setting runtime parameter \"{name}\" for component \"{component}\" to \"{text}\" in vhost \"{vhost}\" ..."
    ))?;
    let body = json!({ "component": component, "vhost": vhost, "name": name, "value": ctl.json(2)? });
    ctl.context.client.put(path(&["parameters", component, vhost, name]), &body).map_err(refused)?;
    Ok(())
}

fn clear_parameter(ctl: &Ctl) -> Done {
    let (component, name, vhost) = (ctl.argument(0), ctl.argument(1), ctl.vhost());
    ctl.banner(format!(
        "Clearing runtime parameter \"{name}\" for component \"{component}\" on vhost \"{vhost}\" ..."
    ))?;
    ctl.context.client.delete(path(&["parameters", component, vhost, name])).map_err(refused)
}

fn list_parameters(ctl: &Ctl) -> Done {
    ctl.banner(format!("Listing runtime parameters for vhost \"{}\" ...", ctl.vhost()))?;
    let columns = ["component", "name", "value"];
    let mut found = ctl.list(&["parameters"])?;
    found.retain(|parameter| at(parameter, "vhost").as_str() == Some(ctl.vhost()));
    let row = |parameter: &Value| {
        columns.iter().map(|name| as_json_text(name, at(parameter, name), "value")).collect()
    };
    rows(&ctl.line, &columns, &found.iter().map(row).collect::<Vec<_>>())
}

fn set_global_parameter(ctl: &Ctl) -> Done {
    let (name, text) = (ctl.argument(0), ctl.argument(1));
    ctl.banner(format!("Setting global runtime parameter \"{name}\" to \"{text}\" ..."))?;
    let body = json!({ "name": name, "value": ctl.json(1)? });
    ctl.context.client.put(path(&["global-parameters", name]), &body).map_err(refused)?;
    Ok(())
}

fn clear_global_parameter(ctl: &Ctl) -> Done {
    let name = ctl.argument(0);
    ctl.banner(format!("Clearing global runtime parameter \"{name}\" ..."))?;
    ctl.context.client.delete(path(&["global-parameters", name])).map_err(refused)
}

fn list_global_parameters(ctl: &Ctl) -> Done {
    ctl.banner("Listing global runtime parameters ...")?;
    let columns = ["name", "value"];
    let row = |parameter: &Value| {
        columns.iter().map(|name| as_json_text(name, at(parameter, name), "value")).collect()
    };
    rows(&ctl.line, &columns, &ctl.list(&["global-parameters"])?.iter().map(row).collect::<Vec<_>>())
}

fn set_cluster_name(ctl: &Ctl) -> Done {
    let name = ctl.argument(0);
    ctl.banner(format!("Setting cluster name to {name} ..."))?;
    let body = json!({ "name": "cluster_name", "value": name });
    ctl.context.client.put(path(&["global-parameters", "cluster_name"]), &body).map_err(refused)?;
    Ok(())
}

/// The limits of a definition, which is an object of numbers.
fn limits(ctl: &Ctl, position: usize) -> Result<Map<String, Value>, Stop> {
    match ctl.json(position)? {
        Value::Object(limits) => Ok(limits),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Stop::new(EX_UNAVAILABLE, "limits are an object of numbers: {\"max-connections\": 10}"))
        }
    }
}

fn set_vhost_limits(ctl: &Ctl) -> Done {
    let vhost = ctl.vhost();
    ctl.banner(format!("Setting vhost limits to \"{}\" for vhost \"{vhost}\" ...", ctl.argument(0)))?;
    for (limit, value) in limits(ctl, 0)? {
        let path = path(&["vhost-limits", vhost, &limit]).about(format!("virtual host '{vhost}'"));
        ctl.context.client.put(path, &json!({ "value": value }))?;
    }
    Ok(())
}

fn clear_vhost_limits(ctl: &Ctl) -> Done {
    let vhost = ctl.vhost();
    ctl.banner(format!("Clearing vhost \"{vhost}\" limits ..."))?;
    for limit in ["max-connections", "max-queues"] {
        ctl.context.client.delete(path(&["vhost-limits", vhost, limit]))?;
    }
    Ok(())
}

fn list_vhost_limits(ctl: &Ctl) -> Done {
    ctl.banner(format!("Listing limits for vhost \"{}\" ...", ctl.vhost()))?;
    let found = ctl.list(&["vhost-limits", ctl.vhost()])?;
    let limits = found.first().map_or_else(|| json!({}), |one| at(one, "value").clone());
    ctl.say(limits)
}

fn of_user(failure: Failure, name: &str) -> Stop {
    Stop::where_missing(failure, EX_NOUSER, format!("User \"{name}\" does not exist"))
}

fn set_user_limits(ctl: &Ctl) -> Done {
    let name = ctl.argument(0);
    ctl.banner(format!("Setting user limits to \"{}\" for user \"{name}\" ...", ctl.argument(1)))?;
    for (limit, value) in limits(ctl, 1)? {
        let path = path(&["user-limits", name, &limit]);
        ctl.context.client.put(path, &json!({ "value": value })).map_err(|failure| of_user(failure, name))?;
    }
    Ok(())
}

fn clear_user_limits(ctl: &Ctl) -> Done {
    let (name, which) = (ctl.argument(0), ctl.argument(1));
    ctl.banner(format!("Clearing \"{which}\" limit for user \"{name}\" ..."))?;
    let all = ["max-connections", "max-channels"];
    let chosen = if which == "all" { all.to_vec() } else { vec![which] };
    for limit in chosen {
        let path = path(&["user-limits", name, limit]);
        ctl.context.client.delete(path).map_err(|failure| of_user(failure, name))?;
    }
    Ok(())
}

fn list_user_limits(ctl: &Ctl) -> Done {
    let Some(name) = ctl.line.option("user") else {
        ctl.banner("Listing limits for all users ...")?;
        let row = |one: &Value| vec![at(one, "user").clone(), Value::from(at(one, "value").to_string())];
        let found = ctl.list(&["user-limits"])?;
        return rows(&ctl.line, &["user", "limits"], &found.iter().map(row).collect::<Vec<_>>());
    };
    ctl.banner(format!("Listing limits for user \"{name}\" ..."))?;
    let found =
        ctl.context.client.get(path(&["user-limits", name])).map_err(|failure| of_user(failure, name))?;
    ctl.say(found.get(0).map_or_else(|| json!({}), |one| at(one, "value").clone()))
}
