//! The topic exchange (§3.1.3.3): keys are words separated by dots; in a binding key `*` stands for
//! exactly one word and `#` for any number of words, none included.
//!
//! The binding keys form a trie, one node per word. A message walks it word by word with the set of
//! nodes that its words so far lead to, so the cost depends on the bindings that still match and
//! not on how many there are:
//!
//! ```text
//!  a.*   a.#.c   #        key a.b.c
//!
//!  root ─a─> 1 ─*─> 2     reached: root, 5 | 1, 3 | 2 | 4, by none, a, b and c;
//!   │        └──#─> 3 ─c─> 4   3 and 5 are open: every further word keeps them
//!   └──#─> 5              found: 5 and 4, where 2 had a word too few
//! ```

use std::hash::Hash;
use std::mem;
use std::ptr;
use std::sync::Arc;

use super::dense_map::DenseMap;
use super::destinations::Destinations;

/// A trie of binding keys.
#[derive(Debug)]
pub(super) struct Topic<D> {
    root: Node<D>,
}

impl<D: Clone + Eq + Hash> Topic<D> {
    pub(super) const fn new() -> Self {
        Self { root: Node::new() }
    }

    pub(super) fn insert(&mut self, key: &[u8], destination: &D) {
        self.root.insert(&mut pattern_words(key), destination);
    }

    pub(super) fn remove(&mut self, key: &[u8], destination: &D) {
        self.root.remove(&mut pattern_words(key), destination);
    }

    pub(super) fn route(&self, routing_key: &[u8], found: &mut dyn FnMut(&D)) {
        let mut walk = Walk::new(&self.root, found);
        for word in words(routing_key) {
            if walk.is_over() {
                break;
            }
            walk.step(word, found);
        }
        walk.reached.iter().for_each(|node| node.destinations.for_each(found));
    }

    #[cfg(test)]
    pub(super) fn rule_count(&self) -> usize {
        self.root.descendant_count()
    }
}

/// What has matched once all words on the way to this node have.
#[derive(Debug)]
struct Node<D> {
    words: DenseMap<Arc<[u8]>, Self>,
    one_word: Option<Box<Self>>,
    any_words: Option<Box<Self>>,
    /// Of the bindings whose key ends here.
    destinations: Destinations<D>,
}

impl<D: Clone + Eq + Hash> Node<D> {
    const fn new() -> Self {
        Self { words: DenseMap::new(), one_word: None, any_words: None, destinations: Destinations::new() }
    }

    /// Recursion is as deep as the key has words, which `KEY_LENGTH_MAX` bounds.
    fn insert<'k>(&mut self, pattern: &mut impl Iterator<Item = &'k [u8]>, destination: &D) {
        match pattern.next() {
            None => self.destinations.add(destination),
            Some(b"*") => self.one_word.get_or_insert_default().insert(pattern, destination),
            Some(b"#") => self.any_words.get_or_insert_default().insert(pattern, destination),
            Some(word) => match self.words.get_mut(word) {
                Some(child) => child.insert(pattern, destination),
                None => self.words.insert_new(word.into(), Self::leading_to(pattern, destination)),
            },
        }
    }

    fn leading_to<'k>(pattern: &mut impl Iterator<Item = &'k [u8]>, destination: &D) -> Self {
        let mut node = Self::new();
        node.insert(pattern, destination);
        node
    }

    /// Removes a binding, and the nodes that only led to it.
    fn remove<'k>(&mut self, pattern: &mut impl Iterator<Item = &'k [u8]>, destination: &D) {
        match pattern.next() {
            None => self.destinations.remove(destination),
            Some(b"*") => Self::remove_below(&mut self.one_word, pattern, destination),
            Some(b"#") => Self::remove_below(&mut self.any_words, pattern, destination),
            Some(word) => {
                let Some(child) = self.words.get_mut(word) else { return };
                child.remove(pattern, destination);
                if child.is_unused() {
                    self.words.remove(word);
                }
            }
        }
    }

    fn remove_below<'k>(
        child: &mut Option<Box<Self>>,
        pattern: &mut impl Iterator<Item = &'k [u8]>,
        destination: &D,
    ) {
        if let Some(node) = child {
            node.remove(pattern, destination);
        }
        child.take_if(|node| node.is_unused());
    }

    fn is_unused(&self) -> bool {
        self.is_leaf() && self.destinations.is_empty()
    }

    fn is_leaf(&self) -> bool {
        self.words.is_empty() && self.one_word.is_none() && self.any_words.is_none()
    }

    /// The nodes that one more word leads to.
    fn after<'t>(&'t self, word: &[u8]) -> impl Iterator<Item = &'t Self> + use<'t, D> {
        self.one_word.as_deref().into_iter().chain(self.words.get(word))
    }

    #[cfg(test)]
    fn descendant_count(&self) -> usize {
        let wildcards = self.one_word.iter().chain(&self.any_words).map(AsRef::as_ref);
        let children = self.words.iter().map(|(_, child)| child).chain(wildcards);
        children.map(|child| 1 + child.descendant_count()).sum()
    }
}

impl<D: Clone + Eq + Hash> Default for Node<D> {
    fn default() -> Self {
        Self::new()
    }
}

/// One routing key's walk through the trie.
///
/// Every node has one parent, so one word leads to a node at most once; only a `#` could be come to
/// at several words, and what it has matched once it matches for good. A set of those (`open`) thus
/// keeps the work below words times nodes, however many `#` a binding key has.
struct Walk<'t, D> {
    /// Nodes to which exactly the words so far lead.
    reached: Vec<&'t Node<D>>,
    /// The `#` nodes come to so far, by their addresses.
    open: DenseMap<*const Node<D>, &'t Node<D>>,
    /// Whether anything follows an open `#`; if not, no further word can matter to it.
    open_goes_on: bool,
}

impl<'t, D: Clone + Eq + Hash> Walk<'t, D> {
    fn new(root: &'t Node<D>, found: &mut dyn FnMut(&D)) -> Self {
        let mut walk = Self { reached: vec![root], open: DenseMap::new(), open_goes_on: false };
        walk.open_any_words(found);
        walk
    }

    /// Whether no further word can add anything.
    fn is_over(&self) -> bool {
        self.reached.is_empty() && !self.open_goes_on
    }

    fn step(&mut self, word: &[u8], found: &mut dyn FnMut(&D)) {
        let open = self.open.iter().map(|(_, node)| *node).filter(|_| self.open_goes_on);
        let nodes = self.reached.iter().copied().chain(open);
        self.reached = nodes.flat_map(|node| node.after(word)).collect();
        self.open_any_words(found);
    }

    /// `#` matches no word as well, so it is open as soon as its parent is reached; and it matches
    /// whatever follows, so the bindings that end with it are found at once.
    fn open_any_words(&mut self, found: &mut dyn FnMut(&D)) {
        for node in self.reached.iter().filter_map(|node| node.any_words.as_deref()) {
            if !self.open.contains(&ptr::from_ref(node)) {
                self.open.insert_new(node, node);
                self.open_goes_on |= !node.is_leaf();
                node.destinations.for_each(found);
            }
        }
    }
}

/// The words of a key. As in RabbitMQ the empty key has none, and between two dots, or before or after
/// one, there may be an empty word.
fn words(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let word_count_max = if key.is_empty() { 0 } else { usize::MAX };
    key.split(|octet| *octet == b'.').take(word_count_max)
}

/// The words of a binding key, with one `#` for several in a row, which mean the same.
fn pattern_words(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut after_any = false;
    words(key).filter(move |word| {
        let is_any = *word == b"#";
        !mem::replace(&mut after_any, is_any) || !is_any
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn topic(keys: &[&str]) -> Topic<usize> {
        let mut topic = Topic::new();
        keys.iter().enumerate().for_each(|(number, key)| topic.insert(key.as_bytes(), &number));
        topic
    }

    fn route(topic: &Topic<usize>, key: &str) -> Vec<usize> {
        let mut found = Vec::new();
        topic.route(key.as_bytes(), &mut |number| found.push(*number));
        found.sort_unstable();
        found
    }

    fn matches(pattern: &str, key: &str) -> bool {
        !route(&topic(&[pattern]), key).is_empty()
    }

    /// The definition, word for word.
    fn matches_by_definition(pattern: &[&[u8]], key: &[&[u8]]) -> bool {
        match (pattern, key) {
            ([], _) => key.is_empty(),
            ([b"#", rest @ ..], _) => (0..=key.len()).any(|skip| matches_by_definition(rest, &key[skip..])),
            ([first, rest @ ..], [word, key @ ..]) => {
                (*first == b"*" || first == word) && matches_by_definition(rest, key)
            }
            (_, []) => false,
        }
    }

    #[test]
    fn the_specification_s_examples_match() {
        // §3.1.3.3: "*.stock.#" matches "usd.stock" and "eur.stock.db" but not "stock.nasdaq".
        assert!(matches("*.stock.#", "usd.stock"));
        assert!(matches("*.stock.#", "eur.stock.db"));
        assert!(!matches("*.stock.#", "stock.nasdaq"));
    }

    #[test]
    fn the_tutorial_s_examples_match() {
        let animals = topic(&["*.orange.*", "*.*.rabbit", "lazy.#"]);
        assert_eq!(route(&animals, "quick.orange.rabbit"), [0, 1]);
        assert_eq!(route(&animals, "lazy.orange.elephant"), [0, 2]);
        assert_eq!(route(&animals, "quick.orange.fox"), [0]);
        assert_eq!(route(&animals, "lazy.brown.fox"), [2]);
        assert_eq!(route(&animals, "lazy.pink.rabbit"), [1, 2]);
        assert!(route(&animals, "quick.brown.fox").is_empty());
        assert!(route(&animals, "orange").is_empty());
        assert!(route(&animals, "quick.orange.new.rabbit").is_empty());
        assert_eq!(route(&animals, "lazy.orange.new.rabbit"), [2]);
    }

    #[test]
    fn empty_words_are_words_and_the_empty_key_has_none() {
        // Each line seen on RabbitMQ 3.10.8.
        let yes = [("#", ""), ("", ""), ("*.*", "."), ("a..b", "a..b"), ("a.*.b", "a..b"), ("a.", "a.")];
        let also = [("a.*", "a."), ("*.a", ".a"), ("*", "*"), ("*", "#"), ("#.#.#", "x.y"), ("#.*", "a")];
        let no = [("*", ""), ("*", "."), ("a.*", "a"), ("#.*.#", ""), ("a", "a."), ("", ".")];
        for (pattern, key) in yes.into_iter().chain(also) {
            assert!(matches(pattern, key), "{pattern:?} {key:?}");
        }
        for (pattern, key) in no {
            assert!(!matches(pattern, key), "{pattern:?} {key:?}");
        }
    }

    #[test]
    fn a_destination_is_found_once_per_binding_key() {
        assert_eq!(route(&topic(&["#.a.#"]), "a.a.a.a"), [0]);
        assert_eq!(route(&topic(&["#.*.#.a.#"]), "a.a.a.a"), [0]);
    }

    #[test]
    fn keys_of_a_delay_lattice_match() {
        let level = 27 - 5;
        let prefix = "*.".repeat(27 - level);
        let lattice = topic(&[&format!("{prefix}1.#"), &format!("{prefix}0.#")]);
        let key = |bit| format!("0.1.0.1.1.{bit}{}.celery", ".0".repeat(22));
        assert_eq!(route(&lattice, &key(1)), [0]);
        assert_eq!(route(&lattice, &key(0)), [1]);
    }

    #[test]
    fn many_hashes_do_not_cost_exponentially() {
        // By plain backtracking each of these takes more steps than a lifetime has.
        let hashes = format!("{}b", "#.a.".repeat(60));
        let stars = format!("{}b", "#.*.".repeat(60));
        let both = format!("#.{}b.#", "*.#.a.#.".repeat(25));
        let topic = topic(&[&hashes, &stars, &both]);
        let key = "a.".repeat(127);
        for _ in 0..20 {
            assert!(route(&topic, &key).is_empty());
        }
        assert_eq!(route(&topic, &format!("{key}b")), [0, 1, 2]);
    }

    #[test]
    fn unbinding_prunes_the_trie() {
        let keys = ["a.b.c", "a.b", "a.*.c", "a.#", "#.a.#", "", "..", "#.#"];
        let mut topic = topic(&keys);
        for (number, key) in keys.iter().enumerate() {
            topic.remove(b"a.b.c.d", &number);
            assert!(topic.rule_count() > 0);
            topic.remove(key.as_bytes(), &number);
        }
        assert_eq!(topic.rule_count(), 0);
    }

    fn key(words: &'static [&'static str]) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(words), 0..7).prop_map(|words| words.join("."))
    }

    proptest! {
        #[test]
        fn it_finds_what_the_definition_finds(
            patterns in prop::collection::vec(key(&["a", "b", "", "*", "#", "#"]), 0..12),
            keys in prop::collection::vec(key(&["a", "b", ""]), 1..8),
            gone in any::<prop::sample::Index>(),
        ) {
            let names: Vec<&str> = patterns.iter().map(String::as_str).collect();
            let mut topic = topic(&names);
            let gone = gone.index(patterns.len() + 1);
            if let Some(pattern) = patterns.get(gone) {
                topic.remove(pattern.as_bytes(), &gone);
            }
            for key in keys {
                let key_words: Vec<_> = words(key.as_bytes()).collect();
                let expected: Vec<_> = (0..patterns.len())
                    .filter(|number| *number != gone)
                    .filter(|number| {
                        let pattern: Vec<_> = words(patterns[*number].as_bytes()).collect();
                        matches_by_definition(&pattern, &key_words)
                    })
                    .collect();
                prop_assert_eq!(route(&topic, &key), expected);
            }
            for (number, pattern) in patterns.iter().enumerate().filter(|(number, _)| *number != gone) {
                topic.remove(pattern.as_bytes(), &number);
            }
            prop_assert_eq!(topic.rule_count(), 0);
        }
    }
}
