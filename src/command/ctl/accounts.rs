//! Users, permissions, virtual hosts.

use std::io::BufRead;

use serde_json::{Map, Value, json};

use super::rows::rows;
use super::stop::{Done, EX_DATAERR, EX_NOUSER, EX_SOFTWARE, EX_UNAVAILABLE, EX_USAGE, Stop};
use super::{ANY, Command, Ctl, command};
use crate::command::client::path;
use crate::command::failure::Failure;
use crate::command::text::at;
use crate::command::users::with_tags;

pub(super) const COMMANDS: &[Command] = &[
    command("list_users", "", (0, 0), list_users),
    command("add_user", "<username> [<password>] [--pre-hashed-password]", (1, 2), add_user),
    command("delete_user", "<username>", (1, 1), delete_user),
    command("change_password", "<username> [<password>]", (1, 2), change_password),
    command("clear_password", "<username>", (1, 1), clear_password),
    command("authenticate_user", "<username> [<password>]", (1, 2), authenticate_user),
    command("hash_password", "[<password>]", (0, 1), hash_password),
    command("set_user_tags", "<username> <tag> ...", (1, ANY), set_user_tags),
    command(
        "set_permissions",
        "[--vhost <vhost>] <username> <configure> <write> <read>",
        (4, 4),
        set_permissions,
    ),
    command("clear_permissions", "[--vhost <vhost>] <username>", (1, 1), clear_permissions),
    command("list_permissions", "[--vhost <vhost>]", (0, 0), list_permissions),
    command("list_user_permissions", "<username>", (1, 1), list_user_permissions),
    command(
        "set_topic_permissions",
        "[--vhost <vhost>] <username> <exchange> <write> <read>",
        (4, 4),
        set_topic_permissions,
    ),
    command(
        "clear_topic_permissions",
        "[--vhost <vhost>] <username> [<exchange>]",
        (1, 2),
        clear_topic_permissions,
    ),
    command("list_topic_permissions", "[--vhost <vhost>]", (0, 0), list_topic_permissions),
    command("list_user_topic_permissions", "<username>", (1, 1), list_user_topic_permissions),
    command(
        "add_vhost",
        "<vhost> [--description <text>] [--tags <tags>] [--default-queue-type <type>]",
        (1, 1),
        add_vhost,
    ),
    command("delete_vhost", "<vhost>", (1, 1), delete_vhost),
    command("restart_vhost", "[--vhost <vhost>]", (0, 0), restart_vhost),
];

fn list_users(ctl: &Ctl) -> Done {
    ctl.banner("Listing users ...")?;
    let row = |user: &Value| vec![at(user, "name").clone(), at(user, "tags").clone()];
    rows(&ctl.line, &["user", "tags"], &ctl.list(&["users"])?.iter().map(row).collect::<Vec<_>>())
}

/// The password that is given, or else the first line of standard input.
fn password(ctl: &Ctl, position: usize) -> Result<String, Stop> {
    if let Some(password) = ctl.line.arguments.get(position) {
        return Ok(password.clone());
    }
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Stop::new(EX_SOFTWARE, format!("cannot read the password: {error}")))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The user as it is; 67 if there is none.
fn user(ctl: &Ctl, name: &str) -> Result<Value, Stop> {
    ctl.context.client.get(path(&["users", name])).map_err(|failure| no_user(failure, name))
}

fn no_user(failure: Failure, name: &str) -> Stop {
    Stop::where_missing(failure, EX_NOUSER, format!("User \"{name}\" does not exist"))
}

fn add_user(ctl: &Ctl) -> Done {
    let name = ctl.argument(0);
    let password = password(ctl, 1)?;
    if password.is_empty() {
        return Err(Stop::new(EX_USAGE, "Error (argument validation): the password is empty").plain());
    }
    ctl.banner(format!("Adding user \"{name}\" ..."))?;
    match user(ctl, name) {
        Ok(_) => return Err(Stop::new(EX_SOFTWARE, format!("User \"{name}\" already exists"))),
        Err(stop) if stop.code == EX_NOUSER => {}
        Err(other) => return Err(other),
    }
    let key = if ctl.line.has("pre-hashed-password") { "password_hash" } else { "password" };
    ctl.context.client.put(path(&["users", name]), &json!({ "tags": [], key: password }))?;
    ctl.banner(
        "Done. Don't forget to grant the user permissions to some virtual hosts! See 'rabbitmqctl help \
         set_permissions' to learn more.",
    )
}

fn delete_user(ctl: &Ctl) -> Done {
    let name = ctl.argument(0);
    ctl.banner(format!("Deleting user \"{name}\" ..."))?;
    ctl.context.client.delete(path(&["users", name])).map_err(|failure| no_user(failure, name))
}

fn change_password(ctl: &Ctl) -> Done {
    let name = ctl.argument(0);
    let password = password(ctl, 1)?;
    ctl.banner(format!("Changing password for user \"{name}\" ..."))?;
    let body = json!({ "tags": at(&user(ctl, name)?, "tags"), "password": password });
    ctl.context.client.put(path(&["users", name]), &body)?;
    Ok(())
}

fn clear_password(ctl: &Ctl) -> Done {
    let name = ctl.argument(0);
    ctl.banner(format!("Clearing password for user \"{name}\" ..."))?;
    let body = json!({ "tags": at(&user(ctl, name)?, "tags"), "password_hash": "" });
    ctl.context.client.put(path(&["users", name]), &body)?;
    Ok(())
}

/// Asks as that user: whoever is let in, or refused for lack of a tag only, has the right password.
fn authenticate_user(ctl: &Ctl) -> Done {
    let name = ctl.argument(0);
    let password = password(ctl, 1)?;
    ctl.banner(format!("Authenticating user \"{name}\" ..."))?;
    match ctl.context.client.acting_as(name, &password).get(path(&["whoami"])) {
        Ok(_) | Err(Failure::Forbidden(_)) => ctl.say("Success"),
        Err(Failure::Unknown(_)) => {
            let text =
                format!("Error: failed to authenticate user \"{name}\"\nuser '{name}' - invalid credentials");
            Err(Stop::new(EX_DATAERR, text))
        }
        Err(other) => Err(other.into()),
    }
}

fn hash_password(ctl: &Ctl) -> Done {
    let password = password(ctl, 0)?;
    ctl.banner("Will hash password")?;
    let hashed = ctl.get(&["auth", "hash_password", &password])?;
    ctl.say(at(&hashed, "ok").as_str().unwrap_or_default())
}

fn set_user_tags(ctl: &Ctl) -> Done {
    let (name, tags) = (ctl.argument(0), ctl.line.arguments.get(1..).unwrap_or_default());
    ctl.banner(format!("Setting tags for user \"{name}\" to [{}] ...", tags.join(", ")))?;
    ctl.context.client.put(path(&["users", name]), &with_tags(&user(ctl, name)?, json!(tags)))?;
    Ok(())
}

/// 67 or 69 for what is not there.
fn check_both(ctl: &Ctl, name: &str) -> Done {
    vhost(ctl, ctl.vhost())?;
    match user(ctl, name) {
        Err(stop) if stop.code == EX_NOUSER => {
            Err(Stop::new(EX_NOUSER, format!("User {name} does not exist")))
        }
        found => found.map(drop),
    }
}

fn vhost(ctl: &Ctl, name: &str) -> Result<Value, Stop> {
    ctl.context.client.get(path(&["vhosts", name])).map_err(|failure| {
        Stop::where_missing(failure, EX_UNAVAILABLE, format!("Virtual host {name} does not exist"))
    })
}

fn set_permissions(ctl: &Ctl) -> Done {
    let (name, vhost) = (ctl.argument(0), ctl.vhost());
    ctl.banner(format!("Setting permissions for user \"{name}\" in vhost \"{vhost}\" ..."))?;
    check_both(ctl, name)?;
    let body = json!({ "configure": ctl.argument(1), "write": ctl.argument(2), "read": ctl.argument(3) });
    ctl.context.client.put(path(&["permissions", vhost, name]), &body)?;
    Ok(())
}

fn clear_permissions(ctl: &Ctl) -> Done {
    let (name, vhost) = (ctl.argument(0), ctl.vhost());
    ctl.banner(format!("Clearing permissions for user \"{name}\" in vhost \"{vhost}\" ..."))?;
    check_both(ctl, name)?;
    match ctl.context.client.delete(path(&["permissions", vhost, name])) {
        // There were none.
        Err(Failure::Missing(_)) => Ok(()),
        done => Ok(done?),
    }
}

fn table(ctl: &Ctl, columns: &[&str], items: &[Value]) -> Done {
    let row = |item: &Value| columns.iter().map(|name| at(item, name).clone()).collect();
    rows(&ctl.line, columns, &items.iter().map(row).collect::<Vec<_>>())
}

fn list_permissions(ctl: &Ctl) -> Done {
    ctl.banner(format!("Listing permissions for vhost \"{}\" ...", ctl.vhost()))?;
    vhost(ctl, ctl.vhost())?;
    let found = ctl.list(&["vhosts", ctl.vhost(), "permissions"])?;
    table(ctl, &["user", "configure", "write", "read"], &found)
}

fn list_user_permissions(ctl: &Ctl) -> Done {
    let name = ctl.argument(0);
    ctl.banner(format!("Listing permissions for user \"{name}\" ..."))?;
    user(ctl, name)?;
    table(ctl, &["vhost", "configure", "write", "read"], &ctl.list(&["users", name, "permissions"])?)
}

fn set_topic_permissions(ctl: &Ctl) -> Done {
    let (name, exchange, vhost) = (ctl.argument(0), ctl.argument(1), ctl.vhost());
    ctl.banner(format!(
        "Setting topic permissions on \"{exchange}\" for user \"{name}\" in vhost \"{vhost}\" ..."
    ))?;
    check_both(ctl, name)?;
    let body = json!({ "exchange": exchange, "write": ctl.argument(2), "read": ctl.argument(3) });
    ctl.context.client.put(path(&["topic-permissions", vhost, name]), &body)?;
    Ok(())
}

fn clear_topic_permissions(ctl: &Ctl) -> Done {
    let (name, vhost) = (ctl.argument(0), ctl.vhost());
    ctl.banner(format!("Clearing topic permissions for user \"{name}\" in vhost \"{vhost}\" ..."))?;
    check_both(ctl, name)?;
    let mut segments = vec!["topic-permissions", vhost, name];
    segments.extend(ctl.line.arguments.get(1).map(String::as_str));
    match ctl.context.client.delete(path(&segments)) {
        Err(Failure::Missing(_)) => Ok(()),
        done => Ok(done?),
    }
}

fn list_topic_permissions(ctl: &Ctl) -> Done {
    ctl.banner(format!("Listing topic permissions for vhost \"{}\" ...", ctl.vhost()))?;
    vhost(ctl, ctl.vhost())?;
    let found = ctl.list(&["vhosts", ctl.vhost(), "topic-permissions"])?;
    table(ctl, &["user", "exchange", "write", "read"], &found)
}

fn list_user_topic_permissions(ctl: &Ctl) -> Done {
    let name = ctl.argument(0);
    ctl.banner(format!("Listing topic permissions for user \"{name}\" ..."))?;
    user(ctl, name)?;
    table(ctl, &["vhost", "exchange", "write", "read"], &ctl.list(&["users", name, "topic-permissions"])?)
}

fn add_vhost(ctl: &Ctl) -> Done {
    let name = ctl.argument(0);
    ctl.banner(format!("Adding vhost \"{name}\" ..."))?;
    if vhost(ctl, name).is_ok() {
        // RabbitMQ: that is no error, and changes nothing.
        return Ok(());
    }
    let mut body = Map::new();
    for (option, key) in
        [("description", "description"), ("tags", "tags"), ("default-queue-type", "default_queue_type")]
    {
        body.extend(ctl.line.option(option).map(|value| (key.to_owned(), Value::from(value))));
    }
    ctl.context.client.put(path(&["vhosts", name]), &Value::Object(body))?;
    Ok(())
}

fn delete_vhost(ctl: &Ctl) -> Done {
    let name = ctl.argument(0);
    ctl.banner(format!("Deleting vhost \"{name}\" ..."))?;
    match ctl.context.client.delete(path(&["vhosts", name])) {
        Err(Failure::Missing(_)) => {
            Err(Stop::new(EX_DATAERR, format!("Virtual host '{name}' does not exist")).plain())
        }
        done => Ok(done?),
    }
}

/// They all run.
fn restart_vhost(ctl: &Ctl) -> Done {
    vhost(ctl, ctl.vhost())?;
    ctl.say(format!("Vhost '{}' is already running on node '{}'", ctl.vhost(), ctl.node()))
}
