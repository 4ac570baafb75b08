//! Kinds of the graph.

use super::super::{Contract, Field, SessionUse, Shape};
use super::{BASE, optional, required};
use crate::limits;

const SWS: Field = required(
    "swsId",
    Shape::Text(1, 20),
    "The shadow working set, a number such as `0`.",
);

const META: Field = optional(
    "meta",
    Shape::Any(limits::GRAPH_META_BYTES_MAX),
    "What you say of it; kept and shown as it is.",
);

const REWRITE_IDX: Field = required(
    "rewriteIdx",
    Shape::Integer(0, u64::MAX),
    "Place in the realm's rewrite log, gap-free from 0.",
);

const POLICY: Field = required(
    "policyId",
    Shape::Integer(0, u32::MAX as u64),
    "The collapse policy in force.",
);

const RULE_PACK: Field = required(
    "rulePackId",
    Shape::Text(64, 64),
    "Hash of the contracts, operations and kinds in force.",
);

const fn a_version(name: &'static str, about: &'static str) -> Field {
    Field {
        name,
        shape: Shape::Object(VERSION),
        required: true,
        about,
    }
}

const VERSION: &[Field] = &[
    required("snapshotId", Shape::Text(1, 64), "Its name while it is kept."),
    required("digest", Shape::Text(64, 64), "Its digest."),
];

/// What changes of the graph have in common: carried out by the kernel, with or without a session.
const GRAPH: Contract = Contract {
    session: SessionUse::Optional,
    mutates_session: false,
    ..BASE
};

pub(super) const GRAPH_REWRITE: Contract = Contract {
    kind: "graph.rewrite",
    about: "Carries out operations on a shadow working set: all of them, or none.",
    input: &[
        required(
            "view",
            Shape::Text(1, 32),
            "The view to write to, such as `sws:0`.",
        ),
        required(
            "ops",
            Shape::Any(limits::PAYLOAD_BYTES_MAX),
            "1 to 256 operations, each `{\"op\": NAME, \"data\": {…}}`.",
        ),
        META,
    ],
    output: &[
        REWRITE_IDX,
        required("view", Shape::Text(1, 32), "The view."),
        required(
            "viewIdx",
            Shape::Integer(0, u64::MAX),
            "Place among the entries of this view, gap-free from 0.",
        ),
        required(
            "viewDigest",
            Shape::Text(64, 64),
            "Digest of the view afterwards.",
        ),
        required(
            "snapshotId",
            Shape::Text(1, 64),
            "Name of the view as it is afterwards.",
        ),
        required(
            "results",
            Shape::Any(usize::MAX),
            "Per operation: `sort`, `id`, `key`, whether it `changed` anything, `version` of an attachment.",
        ),
        POLICY,
        RULE_PACK,
    ],
    ..GRAPH
};

pub(super) const SWS_COLLAPSE: Contract = Contract {
    kind: "sws.collapse",
    about: "Makes a shadow working set part of System, whole or not at all.",
    input: &[
        SWS,
        optional(
            "policyId",
            Shape::Integer(0, u32::MAX as u64),
            "The collapse policy; 1, fail fast, is the only one.",
        ),
        META,
    ],
    output: &[
        SWS,
        REWRITE_IDX,
        required("committed", Shape::Boolean, "Whether it became part of System."),
        a_version("base", "System as the shadow working set began."),
        a_version("before", "System before."),
        optional(
            "after",
            Shape::Object(VERSION),
            "System afterwards, where it was committed.",
        ),
        optional(
            "counts",
            Shape::Any(usize::MAX),
            "Nodes, edges and attachments added, removed and changed in System.",
        ),
        optional(
            "conflicts",
            Shape::Any(usize::MAX),
            "What was in the way, sorted: `sort`, `id`, `key`, `code`.",
        ),
        optional(
            "conflictCount",
            Shape::Integer(0, u64::MAX),
            "How many conflicts there are.",
        ),
        POLICY,
        RULE_PACK,
    ],
    ..GRAPH
};

pub(super) const SWS_CREATE: Contract = Contract {
    kind: "sws.create",
    about: "Forks System into a new shadow working set.",
    input: &[META],
    output: &[SWS, a_version("base", "System as it begins."), POLICY, RULE_PACK],
    ..GRAPH
};

pub(super) const SWS_DISCARD: Contract = Contract {
    kind: "sws.discard",
    about: "Gives up a shadow working set, on the record.",
    input: &[
        SWS,
        optional("reason", Shape::Text(0, limits::SWS_REASON_CHARS_MAX), "Why."),
        META,
    ],
    output: &[
        SWS,
        REWRITE_IDX,
        a_version("last", "Its view as it was."),
        POLICY,
        RULE_PACK,
    ],
    ..GRAPH
};

pub(super) const SWS_REBASE: Contract = Contract {
    kind: "sws.rebase",
    about: "Moves a shadow working set onto System as it is, if nothing is in conflict.",
    input: &[SWS, META],
    output: &[
        SWS,
        REWRITE_IDX,
        a_version("from", "System as it began before."),
        a_version("base", "System as it begins now."),
        a_version("view", "Its view afterwards."),
        POLICY,
        RULE_PACK,
    ],
    ..GRAPH
};
