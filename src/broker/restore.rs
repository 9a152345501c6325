//! Putting durable definitions back in place at the start.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::Broker;
use super::exchange::{Destination, ExchangeOptions};
use super::vhost::Vhost;
use crate::exchange::{Binding, ExchangeType};
use crate::metadata::{BindingDefinition, DestinationKind, ExchangeDefinition, QueueDefinition, Recovered};
use crate::name::Name;
use crate::queue::{QueueArguments, QueueOptions};

impl Broker {
    /// Puts everything back, or says what it does not understand: half a topology would lose messages in silence.
    pub(super) fn restore(&self, recovered: Recovered) -> io::Result<()> {
        let counts = (recovered.exchanges.len(), recovered.queues.len(), recovered.bindings.len());
        for (vhost, name, definition) in recovered.exchanges {
            restore_exchange(&*self.known_vhost(&vhost)?, name, definition)?;
        }
        for (vhost, name, definition) in recovered.queues {
            self.restore_queue(&*self.known_vhost(&vhost)?, name, definition)?;
        }
        for (vhost, definition) in recovered.bindings {
            restore_binding(&*self.known_vhost(&vhost)?, definition)?;
        }
        let (exchanges, queues, bindings) = counts;
        tracing::info!(exchanges, queues, bindings, "durable definitions restored");
        Ok(())
    }

    fn known_vhost(&self, name: &Name) -> io::Result<Arc<Vhost>> {
        self.vhost(name.as_str()).ok_or_else(|| unknown(format_args!("virtual host '{name}'")))
    }

    fn restore_queue(&self, vhost: &Vhost, name: Name, definition: QueueDefinition) -> io::Result<()> {
        let arguments = QueueArguments::parse(definition.arguments).map_err(|invalid| {
            unknown(format_args!("argument '{}' of queue '{name}': {}", invalid.key, invalid.reason))
        })?;
        let options = QueueOptions {
            durable: true,
            auto_delete: definition.auto_delete,
            exclusive_to: None,
            arguments,
        };
        let mut topology = vhost.topology();
        vhost.insert_queue(&mut topology, definition.id, name, options, self.clock.now());
        Ok(())
    }
}

fn restore_exchange(vhost: &Vhost, name: Name, definition: ExchangeDefinition) -> io::Result<()> {
    let kind = ExchangeType::from_name(&definition.kind)
        .ok_or_else(|| unknown(format_args!("type '{}' of exchange '{name}'", definition.kind)))?;
    let options = ExchangeOptions {
        kind,
        durable: true,
        auto_delete: definition.auto_delete,
        internal: definition.internal,
        arguments: definition.arguments,
    };
    vhost.insert_exchange(name, options);
    Ok(())
}

fn restore_binding(vhost: &Vhost, definition: BindingDefinition) -> io::Result<()> {
    let BindingDefinition { source, kind, destination, key, arguments } = definition;
    let exchange = vhost.exchange(source.as_str());
    let to = match kind {
        DestinationKind::Queue => vhost.queue(destination.as_str()).map(Destination::Queue),
        DestinationKind::Exchange => vhost.exchange(destination.as_str()).map(Destination::Exchange),
    };
    let (Some(exchange), Some(to)) = (exchange, to) else {
        return Err(unknown(format_args!("an end of the binding from '{source}' to '{destination}'")));
    };
    let binding = Binding { key: key.into(), arguments, destination: to };
    vhost
        .restore_binding(&exchange, binding)
        .map_err(|error| unknown(format_args!("binding from '{source}' to '{destination}': {error}")))
}

fn unknown(what: impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("definitions: {what} is not known to this release"))
}
