//! `lepus vhost`.

use clap::Subcommand;
use serde_json::{Map, Value};

use super::client::{Path, path};
use super::context::{Context, Done};
use super::listing::List;
use super::text::{Show, column, plain};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List virtual hosts.
    List(List),
    /// Show everything about a virtual host.
    Show { name: String },
    /// Add a virtual host, or change one: what is not given is as if it had never been.
    Add {
        name: String,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
        /// Labels.
        #[arg(long, value_delimiter = ',', value_name = "TAG,...")]
        tags: Vec<String>,
        /// The type of queues that name none: classic or quorum.
        #[arg(long, value_name = "TYPE")]
        default_queue_type: Option<String>,
        /// What confirms wait for here: fsync or os [default: as the server says].
        #[arg(long, value_name = "WHAT")]
        durability: Option<String>,
    },
    /// Delete a virtual host with everything in it.
    Delete { name: String },
}

impl Command {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::List(list) => {
                let columns = [
                    plain("name"),
                    plain("description"),
                    plain("tags"),
                    column("queue type", "default_queue_type", Show::Plain),
                    plain("durability"),
                    plain("tracing"),
                    column("ready", "messages_ready", Show::Plain),
                    column("unacked", "messages_unacknowledged", Show::Plain),
                ];
                list.run(context, path(&["vhosts"]), &columns)
            }
            Self::Show { name } => context.document(&context.client.get(one(&name))?),
            Self::Add { name, description, tags, default_queue_type, durability } => {
                let mut body = Map::new();
                let texts = [
                    ("description", description),
                    ("default_queue_type", default_queue_type),
                    ("durability", durability),
                ];
                for (key, text) in texts {
                    body.extend(text.map(|text| (key.to_owned(), Value::from(text))));
                }
                body.insert("tags".to_owned(), tags.into());
                let answer = context.client.put(one(&name), &Value::Object(body))?;
                let done = if answer.status == 201 { "added" } else { "changed" };
                context.say(format!("virtual host '{name}': {done}"))
            }
            Self::Delete { name } => {
                context.client.delete(one(&name))?;
                context.say(format!("virtual host '{name}': deleted"))
            }
        }
    }
}

fn one(name: &str) -> Path {
    path(&["vhosts", name]).about(format!("virtual host '{name}'"))
}
