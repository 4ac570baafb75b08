//! The rules that records are decided under: the collapse policy, and the hash of contracts, operations and kinds. A
//! boot puts them in force, so each record's are known from where they changed. It holds no rules itself.

use super::{COLLAPSE_POLICY, State};
use actum_model::Hash;
use actum_model::limits::RULES_KEPT_MAX;
use actum_model::restore::RulesRow;

impl State {
    /// The rules that record `idx` was decided under. Nothing before the first boot, and for records older than the
    /// last [`RULES_KEPT_MAX`] changes of the rules.
    #[must_use]
    pub fn rules_at(&self, idx: u64) -> Option<RulesRow> {
        // Nearly always the last row: rules change with the program.
        self.rules.iter().rev().find(|row| row.from_idx <= idx).copied()
    }

    /// `policyId` of what is decided now.
    #[must_use]
    pub fn policy(&self) -> u32 {
        self.rules.last().map_or(COLLAPSE_POLICY, |row| row.policy)
    }

    /// `rulePackId` of what is decided now: the hash over everything that decides what an operation means. Zero before
    /// the first boot.
    #[must_use]
    pub fn rule_pack(&self) -> Hash {
        self.rules.last().map_or(Hash::ZERO, |row| row.pack)
    }

    /// What [`State::rule_pack`] is once this program is in force with this contract table.
    pub(crate) fn rule_pack_with(&self, contracts: &Hash) -> Hash {
        Hash::of_parts(
            "actum/rule-pack/v1",
            &[
                &contracts.0,
                &actum_graph::registry_hash().0,
                &self.graph.kinds.hash().0,
            ],
        )
    }

    /// From the present record on these rules are in force.
    pub(crate) fn rules_activated(&mut self, policy: u32, pack: Hash) {
        if self
            .rules
            .last()
            .is_some_and(|row| (row.policy, row.pack) == (policy, pack))
        {
            return;
        }
        self.rules.push_back(RulesRow {
            from_idx: self.next_idx.saturating_sub(1),
            policy,
            pack,
        });
        if self.rules.len() > RULES_KEPT_MAX {
            self.rules.pop_front();
        }
    }
}
