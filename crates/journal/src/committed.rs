//! The proof that records are committed. Only the journal can build one, so nothing else can release a reply
//! or an effect. It carries no data beyond positions.

use actum_model::Hash;

/// Records that are committed. Its fields are private, and only the journal's writer makes one:
///
/// ```compile_fail
/// use actum_journal::Committed;
/// // Forging a commitment does not compile: the fields are private.
/// let forged = Committed { first_idx: 0, count: 1, head_hash: Default::default(), durable: 1 };
/// ```
///
/// ```compile_fail
/// use actum_journal::Committed;
/// // Nor is there a public constructor.
/// let forged = Committed::new(0, 1, Default::default(), 1);
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "replies and effects of the batch are released by what this says"]
pub struct Committed {
    first_idx: u64,
    count: u64,
    head_hash: Hash,
    /// Records known durable when this was made.
    durable: u64,
}

impl Committed {
    pub(crate) fn new(first_idx: u64, count: u64, head_hash: Hash, durable: u64) -> Committed {
        Committed {
            first_idx,
            count,
            head_hash,
            durable,
        }
    }

    /// Position of the first record of the batch.
    #[must_use]
    pub fn first_idx(&self) -> u64 {
        self.first_idx
    }

    /// Records in the batch.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Position after the last record of the batch.
    #[must_use]
    pub fn end_idx(&self) -> u64 {
        self.first_idx + self.count
    }

    /// Hash of the last record written.
    #[must_use]
    pub fn head_hash(&self) -> Hash {
        self.head_hash
    }

    /// Whether every record of the batch is on disk; false only with batched durability.
    #[must_use]
    pub fn durable(&self) -> bool {
        self.durable >= self.end_idx()
    }

    /// Highest idx known durable.
    #[must_use]
    pub fn durable_through(&self) -> Option<u64> {
        self.durable.checked_sub(1)
    }
}
