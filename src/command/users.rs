//! `lepus user`.

use std::io::BufRead;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Path, path};
use super::context::{Context, Done};
use super::failure::Failure;
use super::listing::List;
use super::text::{Show, at, column, plain};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List users.
    List(List),
    /// Show a user.
    Show { name: String },
    /// Add a user; one that is there is left alone, and that is a failure.
    Add {
        name: String,
        #[command(flatten)]
        password: NewPassword,
        /// Tags: management, policymaker, monitoring, administrator, impersonator.
        #[arg(long, value_delimiter = ',', value_name = "TAG,...")]
        tags: Vec<String>,
    },
    /// Give a user another password.
    Password {
        name: String,
        #[command(flatten)]
        password: NewPassword,
    },
    /// Give a user these tags and no others.
    Tags { name: String, tags: Vec<String> },
    /// Delete a user.
    Delete { name: String },
}

/// A password to be set. Without options it is read from standard input.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct NewPassword {
    /// The new password; other users of the machine can see it here.
    #[arg(long, value_name = "PASSWORD")]
    new_password: Option<String>,
    /// A hash that RabbitMQ or Lepus has made, in Base64.
    #[arg(long, value_name = "HASH")]
    new_password_hash: Option<String>,
    /// No password: the user logs in with a certificate, or not at all.
    #[arg(long)]
    no_password: bool,
}

impl NewPassword {
    fn put_into(self, body: &mut Value) -> Result<(), Failure> {
        let Some(fields) = body.as_object_mut() else { return Ok(()) };
        let (key, value) = match (self.new_password, self.new_password_hash) {
            (Some(password), _) => ("password", password),
            (None, Some(hash)) => ("password_hash", hash),
            (None, None) if self.no_password => ("password_hash", String::new()),
            (None, None) => ("password", typed()?),
        };
        fields.insert(key.to_owned(), value.into());
        Ok(())
    }
}

/// The first line of standard input.
fn typed() -> Result<String, Failure> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::Broken(format!("cannot read the password from standard input: {error}")))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        let text = "no password: give --new-password, or a line on standard input, or --no-password";
        return Err(Failure::Usage(text.to_owned()));
    }
    Ok(password.to_owned())
}

impl Command {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::List(list) => {
                let columns = [
                    plain("name"),
                    plain("tags"),
                    column("password", "hashing_algorithm", Show::Plain),
                    plain("limits"),
                ];
                list.run(context, path(&["users"]), &columns)
            }
            Self::Show { name } => context.document(&context.client.get(one(&name))?),
            Self::Add { name, password, tags } => {
                match context.client.get(one(&name)) {
                    Ok(_) => return Err(Failure::Refused(format!("user '{name}' is there already"))),
                    Err(Failure::Missing(_)) => {}
                    Err(other) => return Err(other),
                }
                let mut body = json!({ "tags": tags });
                password.put_into(&mut body)?;
                context.client.put(one(&name), &body)?;
                context.say(format!("user '{name}': added; it has no permissions in any virtual host yet"))
            }
            Self::Password { name, password } => {
                let user = context.client.get(one(&name))?;
                let mut body = json!({ "tags": at(&user, "tags") });
                password.put_into(&mut body)?;
                context.client.put(one(&name), &body)?;
                context.say(format!("user '{name}': password changed"))
            }
            Self::Tags { name, tags } => {
                let user = context.client.get(one(&name))?;
                context.client.put(one(&name), &with_tags(&user, json!(tags)))?;
                context.say(format!("user '{name}': tags set"))
            }
            Self::Delete { name } => {
                context.client.delete(one(&name))?;
                context.say(format!("user '{name}': deleted"))
            }
        }
    }
}

/// The user as it is, with other tags.
pub(super) fn with_tags(user: &Value, tags: Value) -> Value {
    json!({
        "tags": tags, "password_hash": at(user, "password_hash"), "hashing_algorithm": at(user, "hashing_algorithm"),
    })
}

pub(super) fn one(name: &str) -> Path {
    path(&["users", name]).about(format!("user '{name}'"))
}
