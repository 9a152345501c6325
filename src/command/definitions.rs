//! `lepus export` and `lepus import`.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::arguments::{STDIO, read};
use super::client::Path;
use super::context::{Context, Done, print};
use super::failure::Failure;

/// Writes definitions.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The file; without it, or with `-`, standard output. It is readable for its owner only: it holds password hashes.
    file: Option<PathBuf>,
}

/// Takes definitions over.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file; `-` is standard input.
    file: PathBuf,
}

/// All definitions, or those of the virtual host that was asked for.
fn definitions(context: &Context) -> Path {
    super::queues::all("definitions", context)
}

impl Export {
    pub(super) fn run(self, context: &Context) -> Done {
        let found = context.client.get(definitions(context))?;
        let text = serde_json::to_string_pretty(&found).unwrap_or_default() + "\n";
        match self.file.filter(|file| file.as_os_str() != STDIO) {
            None => print(&text),
            Some(file) => {
                write_private(&file, &text)?;
                context.say(format!("definitions written to {}", file.display()))
            }
        }
    }
}

/// Writes a file that nobody else may read.
pub(super) fn write_private(file: &std::path::Path, text: &str) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(file);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::Broken(format!("cannot write {}: {error}", file.display())))
}

impl Import {
    pub(super) fn run(self, context: &Context) -> Done {
        let octets = read(&self.file)?;
        let body: Value = serde_json::from_slice(&octets)
            .map_err(|error| Failure::Usage(format!("{} is not JSON: {error}", self.file.display())))?;
        let answer = context.client.post(definitions(context), &body)?;
        context.say(format!("definitions of {} taken over", self.file.display()))?;
        if answer.is_null() { Ok(()) } else { context.document(&answer) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn an_export_is_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("definitions.json");
        write_private(&file, "{}\n").unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{}\n");
    }
}
