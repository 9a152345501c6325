//! What turns a table of methods into types and their codec.
//!
//! ```text
//! class! {
//!     /// What the class is for.
//!     basic: Basic<'a> = BASIC;
//!
//!     /// What the method does.
//!     40 Publish<'a> "publish" {
//!         reserved: u16,                  // on the wire, not in the struct
//!         /// What the argument means.
//!         exchange: ShortStr<'a>,         // any type that is an `Argument`
//!     }
//! }
//! ```

/// Declares a class: the enum over its methods, and each method through [`method!`].
macro_rules! class {
    (
        $(#[$class_doc:meta])*
        $class_name:literal $Class:ident $(<$class_lifetime:lifetime>)? = $CLASS:ident;
        $(
            $(#[$doc:meta])*
            $id:literal $Name:ident $(<$lifetime:lifetime>)? $name:literal { $($arguments:tt)* }
        )*
    ) => {
        $(#[$class_doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum Method $(<$class_lifetime>)? {
            $($(#[$doc])* $Name($Name $(<$lifetime>)?),)*
        }

        impl $(<$class_lifetime>)? Method $(<$class_lifetime>)? {
            /// Gives back the method of any class, so that it is written once, in its final place: a value that
            /// is wrapped step by step costs more than its parsing.
            #[inline]
            pub(super) fn parse(
                method: crate::id::MethodId,
                input: &[u8],
            ) -> Result<crate::method::Method<'_>, crate::error::MethodError> {
                let class = crate::id::ClassId::$CLASS;
                let syntax = |problem| crate::error::MethodError::Syntax { class, method, problem };
                match method {
                    $($Name::ID => match $Name::parse(input) {
                        Ok(method) => Ok(crate::method::Method::$Class(Method::$Name(method))),
                        Err(problem) => Err(syntax(problem)),
                    },)*
                    _ => Err(crate::error::MethodError::Unknown { class, method }),
                }
            }

            pub(super) const fn class_id(&self) -> crate::id::ClassId {
                crate::id::ClassId::$CLASS
            }

            pub(super) const fn method_id(&self) -> crate::id::MethodId {
                match self { $(Self::$Name(_) => $Name::ID,)* }
            }

            pub(super) const fn name(&self) -> &'static str {
                match self { $(Self::$Name(_) => $Name::NAME,)* }
            }

            pub(super) fn write(&self, writer: &mut crate::method::arguments::Writer<'_>) {
                match self { $(Self::$Name(method) => method.write(writer),)* }
            }
        }

        $(
            method! {
                @sort [$(#[$doc])* $Name $(<$lifetime>)?] [] []
                $($arguments)*
            }

            impl $(<$lifetime>)? $Name $(<$lifetime>)? {
                /// The class of this method.
                pub const CLASS: crate::id::ClassId = crate::id::ClassId::$CLASS;
                /// This method within its class.
                pub const ID: crate::id::MethodId = crate::id::MethodId::new($id);
                /// Class and method as the specification spells them.
                pub const NAME: &'static str = concat!($class_name, ".", $name);
            }

            impl<'a> From<$Name $(<$lifetime>)?> for crate::method::Method<'a> {
                fn from(method: $Name $(<$lifetime>)?) -> Self {
                    Self::$Class(Method::$Name(method))
                }
            }
        )*
    };
}

/// Declares one method: sorts its arguments into those that are fields and those that only stand on the wire, then
/// makes the struct and both directions of the codec.
macro_rules! method {
    (@sort $head:tt [$($field:tt)*] [$($step:tt)*] reserved: $type:ty, $($rest:tt)*) => {
        method! { @sort $head [$($field)*] [$($step)* (reserved $type)] $($rest)* }
    };
    (
        @sort $head:tt [$($field:tt)*] [$($step:tt)*]
        $(#[$doc:meta])* $name:ident: $type:ty, $($rest:tt)*
    ) => {
        method! { @sort $head [$($field)* ($(#[$doc])* $name: $type)] [$($step)* (field $name)] $($rest)* }
    };

    (@sort [$(#[$doc:meta])* $Name:ident $(<$lifetime:lifetime>)?] [] [$($step:tt)*]) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $Name;

        method! { @codec $Name [] [] [$($step)*] }
    };
    (
        @sort [$(#[$doc:meta])* $Name:ident $(<$lifetime:lifetime>)?]
        [$(($(#[$field_doc:meta])* $field:ident: $type:ty))+] [$($step:tt)*]
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $Name $(<$lifetime>)? {
            $($(#[$field_doc])* pub $field: $type,)+
        }

        method! { @codec $Name [$($lifetime)?] [$($field)+] [$($step)*] }
    };

    (@codec $Name:ident [$($lifetime:lifetime)?] [$($field:ident)*] [$(($($step:tt)+))*]) => {
        impl $(<$lifetime>)? $Name $(<$lifetime>)? {
            #[inline]
            fn parse(input: & $($lifetime)? [u8]) -> Result<Self, crate::error::SyntaxError> {
                #[allow(unused_mut, reason = "methods without arguments read nothing")]
                let mut reader = crate::method::arguments::Reader::new(input);
                $(method! { @read reader $($step)+ })*
                reader.finish()?;
                Ok(Self { $($field),* })
            }

            #[allow(unused_variables, reason = "methods without arguments write nothing")]
            fn write(&self, writer: &mut crate::method::arguments::Writer<'_>) {
                $(method! { @write self writer $($step)+ })*
            }
        }
    };

    (@read $reader:ident reserved $type:ty) => {
        <$type as crate::method::arguments::Argument<'_>>::read(&mut $reader)?;
    };
    (@read $reader:ident field $name:ident) => {
        let $name = crate::method::arguments::Argument::read(&mut $reader)?;
    };
    (@write $self:ident $writer:ident reserved $type:ty) => {
        crate::method::arguments::Argument::write(&<$type>::default(), $writer);
    };
    (@write $self:ident $writer:ident field $name:ident) => {
        crate::method::arguments::Argument::write(&$self.$name, $writer);
    };
}
