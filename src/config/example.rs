//! `lepus.example.toml`: every setting with its help and its default, made from the settings themselves.

use std::fmt::Write;

use super::Config;
use super::environment::negative;
use super::setting::Field;
use super::value::{Raw, Unit};

/// Octets per KiB, MiB, GiB, largest first.
const UNITS: &[(i64, &str)] = &[(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];

/// The text of the file. Settings without a default are commented out.
pub fn example() -> String {
    let mut text = String::from(
        "# The settings of Lepus and their defaults. `lepus server --config FILE` reads such a file; what is left out\n\
         # keeps its default. Each setting has a flag and an environment variable too, which are stronger than the\n\
         # file: `lepus server --help` lists them. Those marked (reloads) are taken over on SIGHUP.\n\
         # Written by `lepus config example`.\n",
    );
    let mut config = Config::of_server();
    let mut section = "";
    for field in config.fields() {
        let meta = field.meta;
        if meta.section != section {
            section = meta.section;
            // Writing to a String cannot fail.
            let _ = write!(text, "\n[{section}]\n");
        }
        text.push('\n');
        for line in meta.help_lines() {
            let _ = writeln!(text, "# {line}");
        }
        let reloads = if meta.reloads { " (reloads)" } else { "" };
        let (flag, variable) = names(&field);
        let _ = writeln!(text, "# {flag}, {variable}{reloads}");
        let value = field.value.show(meta.unit);
        let _ = if value == Raw::Nothing {
            writeln!(text, "# {} =", meta.name)
        } else {
            writeln!(text, "{} = {}", meta.name, readable(&value, meta.unit))
        };
    }
    text
}

/// Flag and variable; of a switch that is on, those that switch it off.
fn names(field: &Field<'_>) -> (String, String) {
    let meta = field.meta;
    if field.value.show(meta.unit) == Raw::Boolean(true) {
        (format!("--no-{}", meta.flag()), negative(&meta.variable()))
    } else {
        (format!("--{}", meta.flag()), meta.variable())
    }
}

/// The value as one would write it: octets with their unit where that is exact.
pub fn readable(value: &Raw, unit: Unit) -> String {
    let Raw::Integer(number) = value else { return value.to_string() };
    let exact = UNITS.iter().find(|(size, _)| unit == Unit::Octets && *number > 0 && number % size == 0);
    exact.map_or_else(|| number.to_string(), |(size, name)| format!("\"{}{name}\"", number / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::path::Path;

    use super::super::load::{Changes, Sources, changes};

    #[test]
    fn the_example_is_as_the_settings_are() {
        let kept = include_str!("../../lepus.example.toml");
        assert!(kept == example(), "write it again: cargo run -- config example > lepus.example.toml");
    }

    #[test]
    fn the_example_gives_the_defaults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("lepus.example.toml");
        let sources = Sources { files: vec![path], ..Sources::default() };
        let loaded = sources.load().unwrap();
        assert_eq!(changes(&Config::of_server(), &loaded.config), Changes::default());
        assert!(loaded.origins.len() > 10);
    }

    #[test]
    fn octets_are_shown_with_an_exact_unit() {
        assert_eq!(readable(&Raw::Integer(16 << 20), Unit::Octets), "\"16MiB\"");
        assert_eq!(readable(&Raw::Integer(1000), Unit::Octets), "1000");
        assert_eq!(readable(&Raw::Integer(1024), Unit::Things), "1024");
    }
}
