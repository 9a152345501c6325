//! "Did you mean": the known name nearest to one that is not known.

/// Names less alike than this are not worth naming. From 0, nothing in common, to 1, the same.
const LIKENESS_MIN: f64 = 0.8;

/// A hint to add to an error, or nothing.
pub(super) fn did_you_mean<'n>(unknown: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    let likeness = |name: &str| {
        strsim::jaro_winkler(&last_part(name).to_ascii_lowercase(), &last_part(unknown).to_ascii_lowercase())
    };
    let whole = |name: &str| strsim::jaro_winkler(name, unknown);
    let scored = names.into_iter().map(|name| (likeness(name), whole(name), name));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    match best {
        Some((likeness, _, name)) if likeness >= LIKENESS_MIN => format!("; did you mean '{name}'?"),
        Some(_) | None => String::new(),
    }
}

/// A key in the wrong table is nearest to the same name in the right one.
fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_and_a_wrong_table_are_recognized() {
        let names = ["listen", "limits.connections_max", "tls.certificate", "memory_limit"];
        assert_eq!(did_you_mean("memorylimit", names), "; did you mean 'memory_limit'?");
        assert_eq!(did_you_mean("connections_max", names), "; did you mean 'limits.connections_max'?");
        assert_eq!(did_you_mean("tls.certifcate", names), "; did you mean 'tls.certificate'?");
        assert_eq!(did_you_mean("colour", names), "");
    }
}
