//! Whatever can be said survives the wire, and whatever comes from the wire is survived.

mod arbitrary;
mod hostile;
mod round_trip;

use proptest::test_runner::Config;

/// A few seconds for the whole suite, unless `PROPTEST_CASES` asks for more.
fn config() -> Config {
    let config = Config::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { config.cases } else { 64 };
    Config { cases, failure_persistence: None, ..config }
}
