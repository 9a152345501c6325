//! Watches the room that the disk has left: below the limit publishers are blocked, and consumers go on.

use std::time::Duration;

use super::Broker;

/// How often the disk is asked while there is plenty of room, and while there is not.
const PERIOD: Duration = Duration::from_secs(1);
const PERIOD_WHEN_SCARCE: Duration = Duration::from_millis(100);

/// Octets above the limit that no disk loses within a period.
const PLENTY: u64 = 4 << 30;

impl Broker {
    /// Tells the alarms how much the disk has left, for ever. Somebody must poll this.
    pub async fn watch_disk(&self) {
        let mut is_known = true;
        loop {
            let mut period = PERIOD;
            match self.foundation.journal.disk_free() {
                Ok(None) => return,
                Ok(Some(free)) => {
                    is_known = true;
                    self.alarms.set_disk_free(free);
                    if free < self.alarms.disk_free_limit().saturating_add(PLENTY) {
                        period = PERIOD_WHEN_SCARCE;
                    }
                }
                // Told once: it will not be the last time.
                Err(error) if std::mem::take(&mut is_known) => {
                    tracing::error!(%error, "the free space of the disk is not known");
                }
                Err(_) => {}
            }
            tokio::time::sleep(period).await;
        }
    }
}
