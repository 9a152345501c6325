//! Operations on exchanges (§1.6).

use lepus_protocol::FieldTable;

use super::exchange::{ALTERNATE_EXCHANGE, Exchange, ExchangeOptions};
use super::session::Session;
use crate::auth::{Access, Resource};
use crate::exception::ChannelException;
use crate::exchange::{ExchangeType, arguments};
use crate::name::Name;
use crate::queue::arguments::{ARGUMENTS_MAX, compare};

/// exchange.declare (§1.6.2.1).
#[derive(Clone, Debug)]
pub struct ExchangeDeclaration {
    /// The name.
    pub name: Name,
    /// The name of its type.
    pub kind: String,
    /// Survives a restart.
    pub durable: bool,
    /// Goes when its last binding has gone.
    pub auto_delete: bool,
    /// Not for publishers (RabbitMQ).
    pub internal: bool,
    /// Arguments, unchecked.
    pub arguments: FieldTable,
}

impl Session {
    /// Declares an exchange, or finds that it exists as declared.
    ///
    /// # Errors
    /// 403 for the default exchange, a reserved name or no permission; 406 for an unknown type, or if it differs
    /// from what exists.
    pub fn declare_exchange(&self, declaration: ExchangeDeclaration) -> Result<(), ChannelException> {
        let kind = ExchangeType::from_name(&declaration.kind).ok_or_else(|| {
            ChannelException::precondition_failed(format_args!(
                "unknown exchange type '{}'",
                declaration.kind
            ))
        })?;
        refuse_default(&declaration.name)?;
        self.check_exchange(Access::Configure, &declaration.name)?;
        let mut topology = self.vhost.topology();
        self.answer_after(&topology);
        if let Some(exchange) = self.vhost.exchange(declaration.name.as_str()) {
            return self.check_exchange_equivalence(&exchange, &declaration);
        }
        if declaration.name.is_reserved() {
            return Err(ChannelException::access_refused(format_args!(
                "exchange name '{}' contains reserved prefix 'amq.*'",
                declaration.name
            )));
        }
        let ExchangeDeclaration { name, durable, auto_delete, internal, arguments, .. } = declaration;
        self.check_exchange_arguments(&name, &arguments)?;
        arguments::check(kind, &arguments).map_err(ChannelException::precondition_failed)?;
        let entity = self.exchange_text(&name);
        self.check_room(&entity)?;
        self.check_disk(durable, format_args!("declare {entity}"))?;
        tracing::debug!(exchange = %name, kind = kind.name(), durable, "exchange declared");
        let options = ExchangeOptions { kind, durable, auto_delete, internal, arguments };
        self.vhost.add_exchange(&mut topology, name, options);
        self.answer_after(&topology);
        Ok(())
    }

    fn check_exchange_arguments(&self, name: &Name, arguments: &FieldTable) -> Result<(), ChannelException> {
        let entity = self.exchange_text(name);
        if arguments.len() > ARGUMENTS_MAX {
            return Err(ChannelException::precondition_failed(format_args!(
                "{} arguments for {entity}, at most {ARGUMENTS_MAX} are accepted",
                arguments.len()
            )));
        }
        let Some(alternate) = arguments.get(ALTERNATE_EXCHANGE) else { return Ok(()) };
        let Some(alternate) = alternate.as_str() else {
            return Err(ChannelException::precondition_failed(format_args!(
                "invalid type '{}' for arg '{ALTERNATE_EXCHANGE}' in {entity}",
                alternate.type_name()
            )));
        };
        self.check_exchange(Access::Read, name)?;
        self.check_exchange(Access::Write, &Name::from(alternate))
    }

    fn check_exchange_equivalence(
        &self,
        exchange: &Exchange,
        declaration: &ExchangeDeclaration,
    ) -> Result<(), ChannelException> {
        let entity = self.exchange_text(&exchange.name);
        let options = &exchange.options;
        if options.kind.name() != declaration.kind {
            let (received, current) = (&declaration.kind, options.kind.name());
            let (received, current) = (format!("'{received}'"), format!("'{current}'"));
            return Err(Self::inequivalent("type", &entity, received, current));
        }
        let flags = [
            ("durable", declaration.durable, options.durable),
            ("auto_delete", declaration.auto_delete, options.auto_delete),
            ("internal", declaration.internal, options.internal),
        ];
        Self::same_flags(&entity, &flags)?;
        compare(&options.arguments, &declaration.arguments, ALTERNATE_EXCHANGE).map_err(|mismatch| {
            Self::inequivalent(mismatch.key, &entity, mismatch.received, mismatch.current)
        })
    }

    /// Looks an exchange up (exchange.declare with passive).
    ///
    /// # Errors
    /// 403 for the default exchange or without any permission on it, 404 if there is none.
    pub fn find_exchange(&self, name: &Name) -> Result<(), ChannelException> {
        refuse_default(name)?;
        self.check_any(Resource::Exchange(name))?;
        self.existing_exchange(name).map(drop)
    }

    /// Deletes an exchange (§1.6.2.3). RabbitMQ: it need not exist.
    ///
    /// # Errors
    /// 403 for the default exchange, a system exchange or no permission; 406 if it is in use and that was asked.
    pub fn delete_exchange(&self, name: &Name, if_unused: bool) -> Result<(), ChannelException> {
        refuse_default(name)?;
        if name.is_reserved() {
            return Err(ChannelException::access_refused(format_args!(
                "deletion of system {} not allowed",
                self.exchange_text(name)
            )));
        }
        self.check_exchange(Access::Configure, name)?;
        let mut topology = self.vhost.topology();
        let Some(exchange) = self.vhost.exchange(name.as_str()) else { return Ok(()) };
        if if_unused && !exchange.router.read().is_empty() {
            let entity = self.exchange_text(name);
            return Err(ChannelException::precondition_failed(format_args!("{entity} in use")));
        }
        self.vhost.delete_exchange(&mut topology, &exchange);
        self.answer_after(&topology);
        Ok(())
    }
}

/// §3.1.3.1: the default exchange cannot be declared, bound or deleted.
pub(super) fn refuse_default(exchange: &Name) -> Result<(), ChannelException> {
    if exchange.is_empty() {
        return Err(ChannelException::access_refused("operation not permitted on the default exchange"));
    }
    Ok(())
}
