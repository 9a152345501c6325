//! What makes a struct's field a setting: its key in files, its flag, its environment variable, its help.

use super::value::{AnyValue, Raw, Unit};

/// The section whose flags and variables bear no prefix: `--connections-max` is `limits.connections_max`.
const UNPREFIXED: &str = "limits";

/// What is known of a setting besides its value.
#[derive(Clone, Copy, Debug)]
pub struct Meta {
    /// The table that it stands in; empty at the top.
    pub section: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// What it is for; a line each, the first one in short.
    pub help: &'static str,
    /// What its number counts.
    pub unit: Unit,
    /// A running broker takes over a new value on SIGHUP.
    pub reloads: bool,
    /// Its value is not shown.
    pub secret: bool,
}

/// A setting with its value.
pub struct Field<'c> {
    /// What is known of it.
    pub meta: Meta,
    /// What it is set to.
    pub value: &'c mut dyn AnyValue,
}

/// A struct of settings.
pub trait Section {
    /// Adds its settings to `fields`.
    fn fields<'c>(&'c mut self, section: &'static str, fields: &mut Vec<Field<'c>>);
}

impl Meta {
    /// Of a field with this documentation.
    pub(super) const fn new(section: &'static str, name: &'static str, help: &'static str) -> Self {
        Self { section, name, help, unit: Unit::Things, reloads: false, secret: false }
    }

    /// The number is one of octets.
    pub(super) const fn octets(self) -> Self {
        Self { unit: Unit::Octets, ..self }
    }

    /// The number is one of seconds.
    pub(super) const fn seconds(self) -> Self {
        Self { unit: Unit::Seconds, ..self }
    }

    /// A running broker takes over a new value.
    pub(super) const fn reloads(self) -> Self {
        Self { reloads: true, ..self }
    }

    /// The value is not shown.
    pub(super) const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// The key in files: `limits.connections_max`.
    pub fn key(&self) -> String {
        if self.section.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.section, self.name) }
    }

    /// The flag, without its dashes: `connections-max`, `tls-certificate`.
    pub fn flag(&self) -> String {
        let prefixed = match self.section {
            "" | UNPREFIXED => self.name.to_owned(),
            section => format!("{section}-{}", self.name),
        };
        prefixed.replace('_', "-")
    }

    /// The environment variable: `LEPUS_CONNECTIONS_MAX`.
    pub fn variable(&self) -> String {
        format!("LEPUS_{}", self.flag().replace('-', "_").to_ascii_uppercase())
    }

    /// The lines of the help.
    pub fn help_lines(&self) -> impl Iterator<Item = &'static str> {
        self.help.lines().map(str::trim)
    }
}

impl Field<'_> {
    /// The value as it may be shown.
    pub fn shown(&self) -> Raw {
        let shown = self.value.show(self.meta.unit);
        let is_set = shown.as_text().is_some_and(|text| !text.is_empty());
        if self.meta.secret && is_set { Raw::Text("***".to_owned()) } else { shown }
    }

    /// Whether it is true or false: its flag needs no value.
    pub fn is_switch(&self) -> bool {
        matches!(self.value.show(self.meta.unit), Raw::Boolean(_))
    }

    /// Whether its flag may be given several times.
    pub fn is_list(&self) -> bool {
        matches!(self.value.show(self.meta.unit), Raw::List(_))
    }
}

/// Makes structs of settings. The documentation of a field is its help; what follows the default are methods of
/// [`Meta`].
macro_rules! settings {
    (
        $(#[doc = $about:literal])+
        pub struct $Name:ident {
            $(
                $(#[doc = $help:literal])+
                $field:ident: $Type:ty = $default:expr $(, $option:ident)*;
            )*
            $(section $section:ident: $Section:ty;)*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug)]
        pub struct $Name {
            $($(#[doc = $help])+ pub $field: $Type,)*
            $(#[doc = concat!("The section `[", stringify!($section), "]`.")] pub $section: $Section,)*
        }

        impl Default for $Name {
            fn default() -> Self {
                Self {
                    $($field: $default,)*
                    $($section: <$Section>::default(),)*
                }
            }
        }

        impl $crate::config::setting::Section for $Name {
            fn fields<'c>(
                &'c mut self,
                section: &'static str,
                fields: &mut Vec<$crate::config::setting::Field<'c>>,
            ) {
                $(fields.push($crate::config::setting::Field {
                    meta: $crate::config::setting::Meta::new(
                        section,
                        stringify!($field),
                        concat!($($help, "\n"),+),
                    )$(.$option())*,
                    value: &mut self.$field,
                });)*
                $($crate::config::setting::Section::fields(&mut self.$section, stringify!($section), fields);)*
            }
        }
    };
}

pub(super) use settings;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_gives_key_flag_and_variable() {
        let meta = Meta::new("tls", "client_ca", "");
        assert_eq!(
            (meta.key().as_str(), meta.flag().as_str(), meta.variable().as_str()),
            ("tls.client_ca", "tls-client-ca", "LEPUS_TLS_CLIENT_CA")
        );
        let meta = Meta::new("limits", "connections_max", "");
        assert_eq!(
            (meta.key().as_str(), meta.flag().as_str()),
            ("limits.connections_max", "connections-max")
        );
    }

    #[test]
    fn a_secret_is_not_shown() {
        let mut value = super::super::value::Secret("hidden".to_owned());
        let meta = Meta { secret: true, ..Meta::new("", "password", "") };
        assert_eq!(Field { meta, value: &mut value }.shown(), Raw::Text("***".to_owned()));
    }
}
