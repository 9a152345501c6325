//! Layers of settings: defaults, files, the environment, flags. The later ones are the stronger ones.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::Config;
use super::environment::{self, CONFIG_VARIABLE};
use super::file;
use super::rabbitmq;
use super::setting::Meta;
use super::suggest::did_you_mean;
use super::value::{Raw, Unit};

/// Read if it is there and nothing else is named.
const DEFAULT_FILE: &str = "/etc/lepus/lepus.toml";

/// Octets of the largest file that is read: a thousand times what all settings take.
const FILE_MAX: u64 = 4 * 1024 * 1024;

/// Files in a directory: more are no conf.d.
const FILES_MAX: usize = 1000;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody has given it.
    Default,
    /// A place in a file; lines and columns count from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// The character in it.
        column: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag, with its dashes.
    Flag(String),
}

/// A value that was given.
#[derive(Clone, Debug)]
pub struct Given {
    /// The key of the setting.
    pub key: String,
    /// What was given.
    pub raw: Raw,
    /// By whom.
    pub origin: Origin,
}

/// Something that cannot be used.
#[derive(Clone, Debug)]
pub struct Problem {
    origin: Origin,
    text: String,
}

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Files named on the command line; the later ones are the stronger ones.
    pub files: Vec<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// Flags.
    pub flags: Vec<Given>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Where those come from that somebody gave, by key.
    pub origins: BTreeMap<String, Origin>,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// A setting as `lepus config show` has it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What is known of it.
    pub meta: Meta,
    /// Its value, unless that is secret.
    pub value: Raw,
    /// Where it comes from.
    pub origin: Origin,
}

/// What differs between two configurations, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Taken over by a running broker.
    pub reloaded: Vec<String>,
    /// Needs a restart.
    pub waiting: Vec<String>,
}

impl Origin {
    /// Line and column.
    pub(super) fn position(&self) -> (usize, usize) {
        match self {
            Self::File { line, column, .. } => (*line, *column),
            Self::Default | Self::Environment(_) | Self::Flag(_) => (0, 0),
        }
    }
}

impl Problem {
    pub(super) fn new(origin: Origin, text: impl Into<String>) -> Self {
        Self { origin, text: text.into() }
    }
}

impl Sources {
    /// Puts all layers together.
    ///
    /// # Errors
    /// Everything that cannot be used.
    pub fn load(&self) -> Result<Loaded, Vec<Problem>> {
        let mut loading = Loading::new();
        for path in self.files(&mut loading.loaded.warnings) {
            loading.read(&path, &self.environment);
        }
        loading.apply(rabbitmq::environment::read(&self.environment));
        let (given, warnings) = environment::read(&self.environment, &loading.settings);
        loading.loaded.warnings.extend(warnings);
        loading.apply(given);
        loading.apply(self.flags.clone());
        loading.finish()
    }

    /// What is read: the files of the flags; else those of RabbitMQ's variables, then ours, or the usual one.
    fn files(&self, warnings: &mut Vec<String>) -> Vec<PathBuf> {
        if !self.files.is_empty() {
            return self.files.clone();
        }
        let (mut files, told) = rabbitmq::environment::files(&self.environment);
        warnings.extend(told);
        let named =
            self.environment.iter().find(|(name, value)| name == CONFIG_VARIABLE && !value.is_empty());
        match named {
            Some((_, named)) => files.extend(named.split(',').map(PathBuf::from)),
            None => files.extend(Some(PathBuf::from(DEFAULT_FILE)).filter(|usual| usual.exists())),
        }
        files
    }
}

/// The files of a directory whose names end in `.conf` or `.toml`, in the order of their names.
fn directory(path: &Path) -> Result<Vec<PathBuf>, Problem> {
    let told = |error: std::io::Error| Problem::new(whole(path), error.to_string());
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(told)? {
        let file = entry.map_err(told)?.path();
        let is_ours = file.extension().is_some_and(|ending| ending == "conf" || ending == "toml");
        if is_ours && file.is_file() {
            files.push(file);
        }
        if files.len() > FILES_MAX {
            return Err(Problem::new(whole(path), format!("more than {FILES_MAX} files")));
        }
    }
    files.sort();
    Ok(files)
}

/// All of a file, without a line.
fn whole(path: &Path) -> Origin {
    Origin::File { path: path.to_owned(), line: 0, column: 0 }
}

/// The text of one file.
fn text_of(path: &Path) -> Result<String, Problem> {
    let place = || whole(path);
    let size = fs::metadata(path).map_err(|error| Problem::new(place(), error.to_string()))?.len();
    if size > FILE_MAX {
        return Err(Problem::new(place(), format!("{size} octets, more than {FILE_MAX}: no configuration")));
    }
    fs::read_to_string(path).map_err(|error| Problem::new(place(), error.to_string()))
}

/// Layers put one upon the other.
struct Loading {
    loaded: Loaded,
    /// Each setting, and whether it is a switch.
    settings: Vec<(Meta, bool)>,
    problems: Vec<Problem>,
}

impl Loading {
    fn new() -> Self {
        let mut config = Config::of_server();
        let settings = config.fields().iter().map(|field| (field.meta, field.is_switch())).collect();
        let loaded = Loaded { config, origins: BTreeMap::new(), warnings: Vec::new() };
        Self { loaded, settings, problems: Vec::new() }
    }

    /// A file of either kind, or all of a directory.
    fn read(&mut self, path: &Path, variables: &[(String, String)]) {
        let files = if path.is_dir() { directory(path) } else { Ok(vec![path.to_owned()]) };
        match files {
            Ok(files) => files.iter().for_each(|file| self.read_file(file, variables)),
            Err(problem) => self.problems.push(problem),
        }
    }

    fn read_file(&mut self, path: &Path, variables: &[(String, String)]) {
        let text = match text_of(path) {
            Ok(text) => text,
            Err(problem) => return self.problems.push(problem),
        };
        if path.extension().is_some_and(|ending| ending == "conf") {
            let settings: Vec<Meta> = self.settings.iter().map(|(meta, _)| *meta).collect();
            let contents = rabbitmq::read(path, &text, &settings, variables);
            self.loaded.warnings.extend(contents.warning);
            self.problems.extend(contents.problems);
            self.apply(contents.given);
        } else {
            match file::read(path, &text) {
                Ok(given) => self.apply(given),
                Err(problem) => self.problems.push(problem),
            }
        }
    }

    fn apply(&mut self, given: Vec<Given>) {
        for given in given {
            match self.set(&given) {
                Ok(()) => {
                    self.loaded.origins.insert(given.key, given.origin);
                }
                Err(text) => self.problems.push(Problem::new(given.origin, text)),
            }
        }
    }

    fn set(&mut self, given: &Given) -> Result<(), String> {
        let Given { key, raw, origin } = given;
        let mut fields = self.loaded.config.fields();
        let Some(field) = fields.iter_mut().find(|field| field.meta.key() == *key) else {
            let known: Vec<String> = fields.iter().map(|field| field.meta.key()).collect();
            return Err(format!(
                "unknown setting '{key}'{}",
                did_you_mean(key, known.iter().map(String::as_str))
            ));
        };
        let set = field.value.set(raw, field.meta.unit);
        set.map_err(
            |text| if matches!(origin, Origin::File { .. }) { format!("{key}: {text}") } else { text },
        )
    }

    fn finish(mut self) -> Result<Loaded, Vec<Problem>> {
        let faults = self.loaded.config.faults();
        self.problems.extend(faults.into_iter().map(|(key, text)| {
            let origin = self.loaded.origins.get(key).cloned().unwrap_or(Origin::Default);
            Problem::new(origin, format!("{key}: {text}"))
        }));
        if self.problems.is_empty() { Ok(self.loaded) } else { Err(self.problems) }
    }
}

impl Loaded {
    /// Every setting, as it may be shown.
    pub fn shown(&self) -> Vec<Shown> {
        let origin = |key| self.origins.get(&key).cloned().unwrap_or(Origin::Default);
        let mut config = self.config.clone();
        let fields = config.fields();
        let shown = |field: &super::setting::Field<'_>| Shown {
            meta: field.meta,
            value: field.shown(),
            origin: origin(field.meta.key()),
        };
        fields.iter().map(shown).collect()
    }
}

/// What has changed from `before` to `after`.
pub fn changes(before: &Config, after: &Config) -> Changes {
    let (mut before, mut after) = (before.clone(), after.clone());
    let mut changes = Changes::default();
    for (before, after) in before.fields().iter().zip(after.fields()) {
        if before.value.show(Unit::Things) == after.value.show(Unit::Things) {
            continue;
        }
        let list = if after.meta.reloads { &mut changes.reloaded } else { &mut changes.waiting };
        list.push(after.meta.key());
    }
    changes
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: 0, .. } => path.display().fmt(f),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.text)
    }
}

#[cfg(test)]
mod tests;
