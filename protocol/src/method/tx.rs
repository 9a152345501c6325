//! Class `tx` (§1.9): publishes and acknowledgements that take effect together.

class! {
    /// A method of class `tx`.
    "tx" Tx = TX;

    /// Make the channel transactional (§1.9.2.1).
    10 Select "select" {}

    /// It is (§1.9.2.2).
    11 SelectOk "select-ok" {}

    /// Let what was sent take effect (§1.9.2.3).
    20 Commit "commit" {}

    /// It has (§1.9.2.4).
    21 CommitOk "commit-ok" {}

    /// Forget what was sent (§1.9.2.5).
    30 Rollback "rollback" {}

    /// It is forgotten (§1.9.2.6).
    31 RollbackOk "rollback-ok" {}
}
