//! Figures: medians over runs, a line for people, JSON for programs.

/// A metric's name and its value.
pub(crate) type Figure = (&'static str, f64);

/// The median of each metric over all runs of a scenario.
pub(crate) fn medians(runs: &[Vec<Figure>]) -> Vec<Figure> {
    let first = runs.first().map(Vec::as_slice).unwrap_or_default();
    first.iter().map(|(metric, _)| (*metric, median(runs, metric))).collect()
}

fn median(runs: &[Vec<Figure>], metric: &str) -> f64 {
    let mut values: Vec<f64> =
        runs.iter().flatten().filter(|(name, _)| *name == metric).map(|(_, value)| *value).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One scenario on one line.
pub(crate) fn line(name: &str, figures: &[Figure]) -> String {
    let figures: Vec<String> =
        figures.iter().map(|(metric, value)| format!("{} {metric}", rounded(*value))).collect();
    format!("{name:<36}{}", figures.join(", "))
}

/// Three digits that mean something.
fn rounded(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 1.0 => format!("{value:.1}"),
        value => format!("{value:.4}"),
    }
}

/// All scenarios. Names hold no character that JSON would escape.
pub(crate) fn json(results: &[(&str, Vec<Figure>)]) -> String {
    let object = |(name, figures): &(&str, Vec<Figure>)| {
        let figures: Vec<String> =
            figures.iter().map(|(metric, value)| format!("\"{metric}\": {value:.4}")).collect();
        format!("  \"{name}\": {{{}}}", figures.join(", "))
    };
    let results: Vec<String> = results.iter().map(object).collect();
    format!("{{\n{}\n}}", results.join(",\n"))
}
