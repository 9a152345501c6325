//! Scopes as RabbitMQ reads them: `read:vhost/name` and `write:vhost/name/routing-key`, with `*` for anything.

use percent_encoding::percent_decode_str;

use crate::auth::Access;

/// What one scope permits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    access: Access,
    vhost: Wildcard,
    name: Wildcard,
    key: Wildcard,
}

/// A pattern in which `*` stands for any text, and `%2F` and the like for what they encode.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wildcard {
    /// What stands between the stars; one more than there are stars.
    parts: Vec<String>,
}

impl Scope {
    /// A scope without its prefix; `None`: it says nothing of a resource.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (access, resource) = text.split_once(':')?;
        let access = match access {
            "configure" => Access::Configure,
            "write" => Access::Write,
            "read" => Access::Read,
            _ => return None,
        };
        let mut parts = resource.split('/').map(Wildcard::new);
        let (vhost, name) = (parts.next()?, parts.next()?);
        // RabbitMQ: without one, all routing keys.
        let key = parts.next().unwrap_or_else(|| Wildcard::new("*"));
        parts.next().is_none().then_some(Self { access, vhost, name, key })
    }

    /// Whether it says something of this virtual host.
    pub fn is_of(&self, vhost: &str) -> bool {
        self.vhost.matches(vhost)
    }

    /// Whether the resource of this name may be used so.
    pub fn permits(&self, access: Access, name: &str) -> bool {
        self.access == access && self.name.matches(name)
    }

    /// Whether this routing key may be used so, at a resource that may.
    pub fn permits_key(&self, access: Access, key: &str) -> bool {
        self.access == access && self.key.matches(key)
    }

    /// Whether it says something of the resource of this name.
    pub fn names(&self, name: &str) -> bool {
        self.name.matches(name)
    }
}

impl Wildcard {
    fn new(pattern: &str) -> Self {
        // What is encoded is text: `%2A` is no star.
        let decode = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        Self { parts: pattern.split('*').map(decode).collect() }
    }

    /// Takes as many steps as the pattern and the text have octets, at most multiplied; both are short.
    fn matches(&self, text: &str) -> bool {
        let [first, between @ .., last] = self.parts.as_slice() else {
            return self.parts.first().is_some_and(|only| only == text);
        };
        let rest = text.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()));
        let Some(mut rest) = rest else { return false };
        for part in between {
            let Some((_, behind)) = rest.split_once(part.as_str()) else { return false };
            rest = behind;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Wildcard::new(pattern).matches(text)
    }

    #[test]
    fn a_star_stands_for_any_text_and_nothing_else_does() {
        assert!(matches("*", "") && matches("*", "any.thing"));
        assert!(matches("a*", "a") && matches("a*", "abc") && !matches("a*", "ba"));
        assert!(matches("*a*b*", "xaxbx") && !matches("*a*b*", "xbxa"));
        assert!(matches("a*a", "aa") && !matches("a*a", "a"), "one octet is not both ends");
        assert!(matches("a.b", "a.b") && !matches("a.b", "axb"));
        assert!(matches("", "") && !matches("", "a"));
    }

    #[test]
    fn what_is_encoded_is_text() {
        assert!(matches("%2F", "/") && matches("a%2Ab", "a*b") && !matches("a%2Ab", "axb"));
    }

    #[test]
    fn a_scope_has_a_permission_a_virtual_host_a_name_and_maybe_a_key() {
        let scope = Scope::parse("write:%2F/orders-*/eu.*").unwrap();
        assert!(scope.is_of("/") && !scope.is_of("other"));
        assert!(scope.permits(Access::Write, "orders-1") && !scope.permits(Access::Read, "orders-1"));
        assert!(scope.permits_key(Access::Write, "eu.berlin") && !scope.permits_key(Access::Write, "us.x"));
        let all_keys = Scope::parse("read:*/*").unwrap();
        assert!(all_keys.permits_key(Access::Read, "any.key"));
    }

    #[test]
    fn what_is_no_scope_of_a_resource_permits_nothing() {
        for text in
            ["", "read", "read:", "read:vhost", "own:*/*", "tag:administrator", "read:a/b/c/d", "READ:*/*"]
        {
            assert_eq!(Scope::parse(text), None, "{text}");
        }
    }
}
