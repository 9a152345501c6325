//! `lepus top`: the busiest queues, again and again.

use std::io::IsTerminal;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::client::path;
use super::context::{Context, Done, print};
use super::listing::compare;
use super::queues::all;
use super::text::{Show, at, cell, column, plain, table};

/// Clears the screen and goes to its first line (ECMA-48).
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// Queues by their rates.
#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Seconds between two looks; the broker's own rates are of 5 s.
    #[arg(long, default_value_t = 2)]
    interval: u32,
    /// How many queues.
    #[arg(long, default_value_t = 20)]
    rows: usize,
    /// By what.
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// How often; without it, until Ctrl-C.
    #[arg(long, value_name = "TIMES")]
    times: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Sort {
    /// Messages in and out per second.
    #[default]
    Rate,
    /// Ready messages.
    Ready,
    /// Messages that consumers hold.
    Unacked,
    /// Octets in memory.
    Memory,
}

impl Top {
    pub(super) fn run(self, context: &Context) -> Done {
        let mut left = self.times.unwrap_or(u64::MAX);
        while left > 0 {
            left -= 1;
            let overview = context.client.get(path(&["overview"]))?;
            let mut queues = context.client.get(all("queues", context))?;
            if let Some(queues) = queues.as_array_mut() {
                queues.sort_by(|one, other| compare(&self.key(other), &self.key(one)));
                queues.truncate(self.rows);
            }
            let clear = if std::io::stdout().is_terminal() { CLEAR } else { "" };
            print(&format!("{clear}{}", screen(&overview, &queues)))?;
            if left > 0 {
                std::thread::sleep(Duration::from_secs(self.interval.max(1).into()));
            }
        }
        Ok(())
    }

    fn key(&self, queue: &Value) -> Value {
        let rate =
            |of: &str| at(queue, &format!("message_stats.{of}_details.rate")).as_f64().unwrap_or_default();
        match self.sort {
            Sort::Rate => (rate("publish") + rate("deliver_get")).into(),
            Sort::Ready => at(queue, "messages_ready").clone(),
            Sort::Unacked => at(queue, "messages_unacknowledged").clone(),
            Sort::Memory => at(queue, "memory").clone(),
        }
    }
}

fn screen(overview: &Value, queues: &Value) -> String {
    let rate = |of: &str| cell(at(overview, &format!("message_stats.{of}_details.rate")), Show::Rate);
    let count = |of: &str| cell(at(overview, of), Show::Plain);
    let columns = [
        plain("vhost"),
        plain("name"),
        column("in/s", "message_stats.publish_details.rate", Show::Rate),
        column("out/s", "message_stats.deliver_get_details.rate", Show::Rate),
        column("ack/s", "message_stats.ack_details.rate", Show::Rate),
        column("redelivered/s", "message_stats.redeliver_details.rate", Show::Rate),
        column("ready", "messages_ready", Show::Plain),
        column("unacked", "messages_unacknowledged", Show::Plain),
        plain("consumers"),
        column("memory", "memory", Show::Octets),
    ];
    format!(
        "in {}/s, out {}/s, acks {}/s; {} ready, {} unacked; {} connections, {} queues\n\n{}",
        rate("publish"),
        rate("deliver_get"),
        rate("ack"),
        count("queue_totals.messages_ready"),
        count("queue_totals.messages_unacknowledged"),
        count("object_totals.connections"),
        count("object_totals.queues"),
        table(&columns, queues.as_array().map_or(&[], Vec::as_slice))
    )
}
