//! The headers exchange (§3.1.3.4): a binding's arguments are matched with the message's headers.
//!
//! Trying every binding would cost what all bindings cost. Instead each pattern is filed under
//! requirements of its own, and a message looks up only what its headers meet:
//!
//! ```text
//!   any of (type=a, type=b)     filed under type=a and under type=b; found there, it matches
//!   all of (type=a, region=x)   filed under the rarer of the two; found there, the rest is compared
//!   all of nothing              matches everything
//!   any of nothing              matches nothing
//! ```

mod pattern;
mod term;

use std::cell::LazyCell;
use std::hash::Hash;
use std::sync::Arc;

use ahash::AHashMap;
use lepus_protocol::{FieldTable, Properties};

use super::binding::BindError;
use super::dense_map::{DenseMap, shrink};
use super::destinations::Destinations;
use pattern::{Headers, Mode, Pattern, Requirement};

/// A message's headers, asked for only if a route depends on them: parsing them costs more than most routes.
pub trait MessageHeaders {
    /// The headers; `None` if there are none, or none that can be read. May be called more than once for a message
    /// that passes several exchanges.
    fn table(&self) -> Option<&FieldTable>;

    /// The properties, headers among them; `None` if there are none, or none that can be read.
    fn properties(&self) -> Option<Properties<'_>> {
        None
    }
}

/// No headers.
impl MessageHeaders for () {
    fn table(&self) -> Option<&FieldTable> {
        None
    }
}

impl MessageHeaders for FieldTable {
    fn table(&self) -> Option<&FieldTable> {
        Some(self)
    }
}

/// Headers that are parsed when first asked for, and once.
impl<F: FnOnce() -> Option<FieldTable>> MessageHeaders for LazyCell<Option<FieldTable>, F> {
    fn table(&self) -> Option<&FieldTable> {
        Self::force(self).as_ref()
    }
}

/// Patterns, filed by what they require.
#[derive(Debug)]
pub(super) struct HeaderRules<D> {
    /// Of patterns that require nothing.
    unconditional: Destinations<D>,
    files: AHashMap<Requirement<'static>, File<D>>,
}

impl<D: Clone + Eq + Hash> HeaderRules<D> {
    pub(super) fn new() -> Self {
        Self { unconditional: Destinations::new(), files: AHashMap::new() }
    }

    pub(super) fn insert(&mut self, arguments: &FieldTable, destination: &D) -> Result<(), BindError> {
        let pattern = Arc::new(Pattern::new(arguments)?);
        match (pattern.mode, &*pattern.requirements) {
            (Mode::All, []) => self.unconditional.add(destination),
            (Mode::All, requirements) => {
                if let Some(rarest) = self.rarest(&pattern, requirements) {
                    self.file(rarest.clone()).add(&pattern, destination);
                }
            }
            (Mode::Any, requirements) => {
                requirements.iter().for_each(|each| self.file(each.clone()).add(&pattern, destination));
            }
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, arguments: &FieldTable, destination: &D) {
        // What is bound was understood once, so there is no error to come.
        let Ok(pattern) = Pattern::new(arguments) else { return };
        if pattern.mode == Mode::All && pattern.requirements.is_empty() {
            return self.unconditional.remove(destination);
        }
        for requirement in &pattern.requirements {
            let Some(file) = self.files.get_mut(requirement) else { continue };
            file.remove(&pattern, destination);
            if file.patterns.is_empty() {
                self.files.remove(requirement);
            }
        }
        shrink(&mut self.files);
    }

    pub(super) fn route(&self, headers: &dyn MessageHeaders, found: &mut dyn FnMut(&D)) {
        self.unconditional.for_each(found);
        if self.files.is_empty() {
            return;
        }
        let Some(table) = headers.table() else { return };
        let headers = Headers::new(table);
        for requirement in headers.met() {
            if let Some(file) = self.files.get(&*requirement) {
                file.route(&headers, found);
            }
        }
    }

    fn file(&mut self, requirement: Requirement<'static>) -> &mut File<D> {
        self.files.entry(requirement).or_insert_with(|| File { patterns: DenseMap::new() })
    }

    /// Where a pattern is filed that needs all of its requirements: where it is already, or else where it shares
    /// the fewest lookups with others. The presence of a header is the last choice, being the likeliest to be met.
    fn rarest<'p>(
        &self,
        pattern: &Pattern,
        requirements: &'p [Requirement<'static>],
    ) -> Option<&'p Requirement<'static>> {
        requirements.iter().min_by_key(|requirement| {
            let file = self.files.get(*requirement);
            let is_elsewhere = !file.is_some_and(|file| file.patterns.contains(pattern));
            (is_elsewhere, file.map_or(0, |file| file.patterns.len()), requirement.value.is_none())
        })
    }

    #[cfg(test)]
    pub(super) fn rule_count(&self) -> usize {
        let filed: usize = self.files.values().map(|file| file.patterns.len()).sum();
        filed + usize::from(!self.unconditional.is_empty())
    }
}

/// The patterns filed under one requirement.
#[derive(Debug)]
struct File<D> {
    patterns: DenseMap<Arc<Pattern>, Destinations<D>>,
}

impl<D: Clone + Eq + Hash> File<D> {
    fn add(&mut self, pattern: &Arc<Pattern>, destination: &D) {
        if let Some(destinations) = self.patterns.get_mut(pattern) {
            return destinations.add(destination);
        }
        let mut destinations = Destinations::new();
        destinations.add(destination);
        self.patterns.insert_new(Arc::clone(pattern), destinations);
    }

    fn remove(&mut self, pattern: &Pattern, destination: &D) {
        let Some(destinations) = self.patterns.get_mut(pattern) else { return };
        destinations.remove(destination);
        if destinations.is_empty() {
            self.patterns.remove(pattern);
        }
    }

    fn route(&self, headers: &Headers<'_>, found: &mut dyn FnMut(&D)) {
        for (pattern, destinations) in self.patterns.iter() {
            // One requirement is met, being the one that led here.
            if pattern.mode == Mode::Any || pattern.is_met_by(headers) {
                destinations.for_each(found);
            }
        }
    }
}

#[cfg(test)]
mod tests;
