//! What an operator does from the command line, as a client of the management API.
//!
//! ```text
//!   argv -> Command (clap) -> Context: Client (HTTP), virtual host, format
//!        -> a file per subject: a request or two, then a table or the API's JSON
//! ```
//!
//! Nothing here knows the broker's insides: a broker on another machine is served the same way.

mod access;
pub(crate) mod admin;
mod arguments;
mod client;
mod clients;
mod context;
pub(crate) mod ctl;
mod definitions;
mod delayed;
mod exchanges;
mod failure;
mod health;
mod leases;
mod limits;
mod listing;
mod messages;
mod parameters;
mod permissions;
mod policies;
mod queues;
mod status;
mod tail;
mod text;
mod top;
mod users;
mod vhosts;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use access::Access;
use context::{Context, Done};

/// What an operator can do with a running broker.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What the broker is and how it does: versions, listeners, memory, disk, alarms, totals.
    Status(With<status::Status>),
    /// Whether the broker is well: alarms, listeners, certificates. Ends with 1 if not.
    Health(With<health::Health>),
    /// Queues by their rates, again and again, until Ctrl-C.
    Top(With<top::Top>),
    /// Queues: list, show, declare, delete, purge, move messages, who holds what.
    #[command(visible_alias = "queues")]
    Queue(Of<queues::Command>),
    /// Exchanges: list, show, declare, delete.
    #[command(visible_alias = "exchanges")]
    Exchange(Of<exchanges::Command>),
    /// Bindings: list, declare, delete.
    #[command(visible_alias = "bindings")]
    Binding(Of<exchanges::Bindings>),
    /// Connections: list, show, close.
    #[command(visible_alias = "connections")]
    Connection(Of<clients::Command>),
    /// Channels: list.
    #[command(visible_alias = "channels")]
    Channel(Of<clients::Channels>),
    /// Consumers: list.
    #[command(visible_alias = "consumers")]
    Consumer(Of<clients::Consumers>),
    /// Delivery leases: who holds which message, since when, until when.
    #[command(visible_alias = "leases")]
    Lease(Of<leases::Command>),
    /// Messages that are not due yet: when they will be, and why.
    Delayed(Of<delayed::Command>),
    /// Publish a message.
    Publish(With<messages::Publish>),
    /// Look at the first messages of a queue, or take them out.
    Get(With<messages::Get>),
    /// Follow what goes through an exchange, until Ctrl-C: copies, so that nobody loses a message by it.
    Tail(With<tail::Tail>),
    /// Users: list, add, delete, change password and tags.
    #[command(visible_alias = "users")]
    User(Of<users::Command>),
    /// Permissions of users in virtual hosts: list, set, clear.
    #[command(visible_alias = "permissions")]
    Permission(Of<permissions::Command>),
    /// Permissions by routing key at topic exchanges: list, set, clear.
    #[command(visible_alias = "topic-permissions")]
    TopicPermission(Of<permissions::Topics>),
    /// Virtual hosts: list, show, add, delete.
    #[command(visible_alias = "vhosts")]
    Vhost(Of<vhosts::Command>),
    /// Limits of virtual hosts and of users: list, set, clear.
    #[command(visible_alias = "limits")]
    Limit(Of<limits::Command>),
    /// Policies: list, set, clear.
    #[command(visible_alias = "policies")]
    Policy(Of<policies::Command>),
    /// Operator policies: list, set, clear.
    #[command(visible_alias = "operator-policies")]
    OperatorPolicy(Of<policies::Command>),
    /// Parameters of virtual hosts: list, set, clear.
    #[command(visible_alias = "parameters")]
    Parameter(Of<parameters::Command>),
    /// Global parameters: list, set, clear.
    #[command(visible_alias = "global-parameters")]
    GlobalParameter(Of<parameters::Global>),
    /// Write definitions to a file: users, virtual hosts, permissions, policies, exchanges, queues, bindings.
    Export(With<definitions::Export>),
    /// Take definitions over from a file, this broker's or RabbitMQ's.
    Import(With<definitions::Import>),
}

/// A command with the options of every command.
#[derive(Debug, Args)]
pub(crate) struct With<T: Args> {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    command: T,
}

/// A subject with commands of its own.
#[derive(Debug, Args)]
pub(crate) struct Of<T: Subcommand> {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: T,
}

/// Carries out a command.
pub(crate) fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Status(with) => with.run(status::Status::run),
        Command::Health(with) => with.run(health::Health::run),
        Command::Top(with) => with.run(top::Top::run),
        Command::Queue(of) => of.run(queues::Command::run),
        Command::Exchange(of) => of.run(exchanges::Command::run),
        Command::Binding(of) => of.run(exchanges::Bindings::run),
        Command::Connection(of) => of.run(clients::Command::run),
        Command::Channel(of) => of.run(clients::Channels::run),
        Command::Consumer(of) => of.run(clients::Consumers::run),
        Command::Lease(of) => of.run(leases::Command::run),
        Command::Delayed(of) => of.run(delayed::Command::run),
        Command::Publish(with) => with.run(messages::Publish::run),
        Command::Get(with) => with.run(messages::Get::run),
        Command::Tail(with) => with.run(tail::Tail::run),
        Command::User(of) => of.run(users::Command::run),
        Command::Permission(of) => of.run(permissions::Command::run),
        Command::TopicPermission(of) => of.run(permissions::Topics::run),
        Command::Vhost(of) => of.run(vhosts::Command::run),
        Command::Limit(of) => of.run(limits::Command::run),
        Command::Policy(of) => of.run(|command, context| command.run(policies::USER, context)),
        Command::OperatorPolicy(of) => of.run(|command, context| command.run(policies::OPERATOR, context)),
        Command::Parameter(of) => of.run(parameters::Command::run),
        Command::GlobalParameter(of) => of.run(parameters::Global::run),
        Command::Export(with) => with.run(definitions::Export::run),
        Command::Import(with) => with.run(definitions::Import::run),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell("lepus"),
    }
}

impl<T: Args> With<T> {
    fn run(self, run: impl FnOnce(T, &Context) -> Done) -> Done {
        run(self.command, &self.access.context()?)
    }
}

impl<T: Subcommand> Of<T> {
    fn run(self, run: impl FnOnce(T, &Context) -> Done) -> Done {
        run(self.command, &self.access.context()?)
    }
}
