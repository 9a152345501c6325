//! The setting `log`, checked where it is read.

use tracing_subscriber::EnvFilter;

use super::value::{Raw, Unit, Value};

/// What to log: a level, or `module=level,...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// The filter as `tracing` has it.
    pub fn to_filter(&self) -> EnvFilter {
        // It was understood when it was made.
        EnvFilter::builder().parse_lossy(&self.0)
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl Value for LogFilter {
    fn parse(raw: &Raw, unit: Unit) -> Result<Self, String> {
        let filter = String::parse(raw, unit)?;
        match EnvFilter::builder().parse(&filter) {
            Ok(_) => Ok(Self(filter)),
            Err(error) => {
                Err(raw.mismatch(&format!("a log filter such as \"info\" or \"info,lepus=debug\": {error}")))
            }
        }
    }

    fn show(&self, _: Unit) -> Raw {
        Raw::Text(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_checked_when_it_is_read() {
        let of = |filter: &str| LogFilter::parse(&Raw::Text(filter.to_owned()), Unit::Things);
        assert!(of("info,lepus::connection=debug").is_ok());
        assert!(of("lepus=loud").unwrap_err().contains("\"lepus=loud\" is not a log filter"));
    }
}
