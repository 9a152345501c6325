//! `lepus store`: looks after a data directory that no broker has open.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::fail_with;
use crate::broker::upkeep::{self, Inspection, Known, Mended};
use crate::storage::{Finding, LostRun, QueueId, QueueReport};

/// The directory is damaged.
const DAMAGED: u8 = 1;

/// Nothing can be said of the directory: in use, none of ours, of a newer release, or not readable.
const UNKNOWN: u8 = 2;

/// Work on a data directory while no broker runs on it.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Verify every checksum and say what is there; ends with 0 if all is sound, 1 if not, 2 if nobody can say.
    Check(Directory),
    /// Mend what is damaged and list what had to be dropped; the originals are kept beside it.
    Repair(Directory),
}

#[derive(Debug, Args)]
pub(super) struct Directory {
    /// The data directory.
    dir: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Carries out one of the commands.
pub(super) fn run(command: Command) -> ExitCode {
    match command {
        Command::Check(directory) => check(&directory),
        Command::Repair(directory) => repair(&directory),
    }
}

fn check(directory: &Directory) -> ExitCode {
    let found = match upkeep::check(&directory.dir) {
        Ok(found) => found,
        Err(error) => return fail_with(UNKNOWN, error),
    };
    let mut text = String::new();
    if directory.json {
        text = json_of(&found).to_string() + "\n";
    } else {
        table(&found, &mut text);
        findings(&found, &mut text);
        let advice = format!(
            "damaged; `lepus store repair {}` drops what is listed above and keeps the rest\n",
            directory.dir.display()
        );
        text.push_str(if found.is_sound() { "sound\n" } else { &advice });
    }
    print(&text, if found.is_sound() { ExitCode::SUCCESS } else { ExitCode::from(DAMAGED) })
}

fn repair(directory: &Directory) -> ExitCode {
    let mended = match upkeep::repair(&directory.dir) {
        Ok(mended) => mended,
        Err(error) => return fail_with(UNKNOWN, error),
    };
    let mut text = String::new();
    if directory.json {
        text = json_of_repair(&mended).to_string() + "\n";
    } else if mended.found.is_sound() {
        text.push_str("sound, nothing to mend\n");
    } else {
        findings(&mended.found, &mut text);
        let queues = mended.renamed.iter();
        if mended.found.definitions.is_some() {
            text.push_str("lost: all exchanges, bindings, virtual hosts, users and permissions\n");
        }
        text.extend(queues.map(|(id, name)| format!("queue {id} lost its definition and is now '{name}'\n")));
        text.extend(mended.kept.iter().map(|path| format!("kept as it was: {}\n", path.display())));
        text.push_str("mended\n");
    }
    print(&text, ExitCode::SUCCESS)
}

fn print(text: &str, code: ExitCode) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(error) => fail_with(UNKNOWN, error),
    }
}

fn called(found: &Inspection, queue: QueueId) -> String {
    let Known { id, priority, is_memory, name } = found.known(queue);
    if let (true, Some((vhost, name))) = (is_memory, name) {
        return format!("what exchange '{name}' in vhost '{vhost}' has seen");
    }
    let with = match priority {
        Some(0) => String::new(),
        Some(priority) => format!(" (priority {priority})"),
        None => " (delayed)".to_owned(),
    };
    match name {
        Some((vhost, name)) => format!("queue '{name}' in vhost '{vhost}'{with}"),
        None => format!("queue {id}{with}"),
    }
}

/// Which of a queue's messages these are, or that they are none.
fn level(known: &Known<'_>) -> String {
    match known.priority {
        _ if known.is_memory => "seen".to_owned(),
        None => "delayed".to_owned(),
        Some(priority) => priority.to_string(),
    }
}

/// Of many a lane nothing is left but that it was used.
fn has_anything(queue: &&QueueReport) -> bool {
    queue.messages > 0 || queue.garbage_octets > 0
}

const COLUMNS: usize = 7;

fn table(found: &Inspection, text: &mut String) {
    let messages = &found.messages;
    let rows = messages.queues.iter().filter(has_anything).map(|queue| {
        let known = found.known(QueueId(queue.id));
        let (vhost, name) = known.name.unwrap_or(("?", "?"));
        let QueueReport { messages, octets, garbage_octets, .. } = queue;
        [
            vhost.into(),
            name.into(),
            known.id.to_string(),
            level(&known),
            messages.to_string(),
            octets.to_string(),
            garbage_octets.to_string(),
        ]
    });
    let head = ["vhost", "queue", "id", "priority", "messages", "octets", "garbage"].map(String::from);
    let rows: Vec<[String; COLUMNS]> = std::iter::once(head).chain(rows).collect();
    let widths: Vec<usize> = (0..COLUMNS)
        .map(|at| {
            rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    for row in &rows {
        // Names to the left, numbers to the right.
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, &width))| {
            if at < 2 { format!("{cell:width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text.push_str(&format!(
        "log: {} files, {} octets; segments: {}, {} octets; the last end was {}\n",
        messages.log_files,
        messages.log_octets,
        messages.segments,
        messages.segment_octets,
        if messages.is_closed { "an orderly one" } else { "not an orderly one" },
    ));
    if let Some(torn) = &messages.torn {
        text.push_str(&format!("never written as a whole, dropped by the next start: {}\n", line(torn)));
    }
}

fn findings(found: &Inspection, text: &mut String) {
    let damage = found.definitions.iter().chain(&found.messages.damage);
    text.extend(damage.map(|finding| format!("damaged: {}\n", line(finding))));
    if found.messages.is_all_lost {
        let queues = found.queues();
        text.extend(
            queues.map(|(vhost, name)| format!("lost: queue '{name}' in vhost '{vhost}', all messages\n")),
        );
    }
    for lost in &found.messages.lost {
        let queue = called(found, lost.queue);
        text.extend(lost.runs.iter().map(|run| format!("lost: {queue}, {}\n", messages(run))));
    }
}

fn messages(run: &LostRun) -> String {
    let LostRun { first, last, octets } = run;
    match octets {
        Some(octets) if first == last => format!("message {first}, {octets} octets"),
        Some(octets) => format!("messages {first}-{last}, {octets} octets each"),
        None if first == last => format!("message {first}"),
        None => format!("messages {first}-{last}"),
    }
}

fn line(finding: &Finding) -> String {
    let Finding { path, offset, what } = finding;
    match offset {
        Some(offset) => format!("{}, offset {offset}: {what}", path.display()),
        None => format!("{}: {what}", path.display()),
    }
}

fn json_of(found: &Inspection) -> Value {
    let messages = &found.messages;
    let queue = |queue: &QueueReport| {
        let Known { id, priority, is_memory, name } = found.known(QueueId(queue.id));
        let (vhost, name) = name.unzip();
        json!({
            "vhost": vhost, "name": name, "id": id,
            "priority": priority, "seen": is_memory, "messages": queue.messages, "octets": queue.octets,
            "garbage_octets": queue.garbage_octets,
        })
    };
    let lost = messages.lost.iter().map(|lost| {
        let Known { id, priority, is_memory, name } = found.known(lost.queue);
        let (vhost, name) = name.unzip();
        let runs: Vec<[u64; 2]> = lost.runs.iter().map(|run| [run.first.0, run.last.0]).collect();
        let octets: Vec<Option<u64>> = lost.runs.iter().map(|run| run.octets).collect();
        json!({
            "vhost": vhost, "name": name, "id": id,
            "priority": priority, "seen": is_memory, "messages": runs, "octets_each": octets,
        })
    });
    let damage = found.definitions.iter().chain(&messages.damage).map(json_of_finding);
    json!({
        "sound": found.is_sound(),
        "queues": messages.queues.iter().filter(has_anything).map(queue).collect::<Vec<_>>(),
        "log": { "files": messages.log_files, "octets": messages.log_octets },
        "segments": { "files": messages.segments, "octets": messages.segment_octets },
        "orderly_end": messages.is_closed,
        "torn": messages.torn.as_ref().map(json_of_finding),
        "damage": damage.collect::<Vec<_>>(),
        "lost": lost.collect::<Vec<_>>(),
        "all_lost": messages.is_all_lost,
    })
}

fn json_of_finding(finding: &Finding) -> Value {
    json!({ "file": path(&finding.path), "offset": finding.offset, "what": finding.what })
}

fn json_of_repair(mended: &Mended) -> Value {
    let renamed = mended.renamed.iter().map(|(id, name)| json!({ "id": id, "name": name.as_str() }));
    json!({
        "found": json_of(&mended.found),
        "kept": mended.kept.iter().map(|kept| path(kept)).collect::<Vec<_>>(),
        "renamed": renamed.collect::<Vec<_>>(),
    })
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
