//! Enums and inputs of the schema, and the checks that need nothing but themselves.

use super::scalars::{AnyJson, HexHash, U32};
use actum_graph::{AttachmentKey, EdgeFilter, EdgeId, KindName, NodeFilter, NodeId, Page};
use actum_kernel::state::SnapshotId;
use actum_model::graph::ViewName;
use actum_model::json::shorten;
use actum_model::limits::{GRAPH_PAGE_DEFAULT, GRAPHQL_FILTER_NAMES_MAX, PAGE_MAX};
use actum_model::{ErrorCode, Fault};
use async_graphql::{Enum, ID, InputObject};

/// Which sort of view.
#[derive(Enum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ViewKind {
    /// The truth. It changes only by a collapse.
    System,
    /// A shadow working set: an isolated overlay that began as System was.
    Sws,
}

/// What an event did.
#[derive(Enum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EventKind {
    /// Operations were carried out on a shadow working set.
    RewriteApplied,
    /// A tick of the scheduler.
    Tick,
    /// A task changed its state.
    TaskState,
    /// A worker was called.
    WorkerInvocation,
    /// A worker answered.
    WorkerResult,
    /// A shadow working set became part of System.
    Collapse,
    /// A shadow working set was given up.
    Discard,
    /// A shadow working set could not become part of System.
    CollapseConflict,
    /// A shadow working set was moved onto System as it is.
    Rebase,
    /// A shadow working set began.
    SwsCreated,
}

/// How an attempt to commit ended.
#[derive(Enum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CommitStatus {
    /// It changed System.
    Committed,
    /// It changed nothing.
    Aborted,
}

/// Where a shadow working set stands.
#[derive(Enum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SwsState {
    /// It may be written to.
    Active,
    /// It became part of System.
    Collapsed,
    /// It was given up.
    Discarded,
}

/// The sorts of entries of a view.
#[derive(Enum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EntrySort {
    /// A node.
    Node,
    /// An edge.
    Edge,
    /// An attachment of a node or edge.
    Attachment,
}

/// What became of an entry between two views.
#[derive(Enum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It has another value; only attachments change in place.
    Changed,
}

/// Which edges of a node lead to its neighbours.
#[derive(Enum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// Those that start at it.
    Outgoing,
    /// Those that end at it.
    Incoming,
    /// All; one that starts and ends at it comes once.
    Both,
}

/// Which view is meant, and at which of its versions.
#[derive(InputObject, Clone, Debug)]
pub(crate) struct ViewRefInput {
    /// The sort of view.
    pub(crate) kind: ViewKind,
    /// Number of the shadow working set; for `SWS`, and for nothing else.
    pub(crate) sws_id: Option<ID>,
    /// A version of the view, as `snapshotId` named it; the newest if it is not given.
    pub(crate) snapshot_id: Option<ID>,
}

/// Which part of a listing is wanted.
#[derive(InputObject, Clone, Debug)]
pub(crate) struct PageInput {
    /// Most entries of the page, 1 to 1000.
    #[graphql(default_with = "Some(200)")]
    pub(crate) first: Option<i32>,
    /// `endCursor` of the page before (the `idx` of the last rewrite in a plain list): entries behind it only.
    pub(crate) after: Option<String>,
}

/// Which nodes are wanted.
#[derive(InputObject, Clone, Debug)]
pub(crate) struct NodeFilterInput {
    /// Only nodes of these kinds.
    kinds: Option<Vec<String>>,
    /// Only nodes with attachments under all of these keys.
    has_keys: Option<Vec<String>>,
}

/// Which edges are wanted.
#[derive(InputObject, Clone, Debug)]
pub(crate) struct EdgeFilterInput {
    /// Only edges of these kinds.
    kinds: Option<Vec<String>>,
    /// Only edges that start at this node.
    from: Option<HexHash>,
    /// Only edges that end at this node.
    to: Option<HexHash>,
}

/// What is said of a new shadow working set.
#[derive(InputObject, Clone, Debug, Default)]
pub(crate) struct CreateSwsInput {
    /// Anything its maker wants to keep with it, up to 16 KiB.
    pub(crate) meta: Option<AnyJson>,
}

/// Which shadow working set becomes part of System.
#[derive(InputObject, Clone, Debug)]
pub(crate) struct CollapseSwsInput {
    /// Its number.
    pub(crate) sws_id: ID,
    /// The collapse policy; 1, fail fast, is the only one.
    pub(crate) policy_id: Option<U32>,
    /// Anything the caller wants to keep with the entry in the rewrite log, up to 16 KiB.
    pub(crate) meta: Option<AnyJson>,
}

/// Which shadow working set is given up.
#[derive(InputObject, Clone, Debug)]
pub(crate) struct DiscardSwsInput {
    /// Its number.
    pub(crate) sws_id: ID,
    /// Why.
    pub(crate) reason: Option<String>,
    /// Anything the caller wants to keep with the entry in the rewrite log, up to 16 KiB.
    pub(crate) meta: Option<AnyJson>,
}

/// Which shadow working set is moved onto System as it is.
#[derive(InputObject, Clone, Debug)]
pub(crate) struct RebaseSwsInput {
    /// Its number.
    pub(crate) sws_id: ID,
    /// Anything the caller wants to keep with the entry in the rewrite log, up to 16 KiB.
    pub(crate) meta: Option<AnyJson>,
}

/// What is done to a shadow working set.
#[derive(InputObject, Clone, Debug)]
pub(crate) struct RewriteInput {
    /// 1 to 256 operations, each `{op: NAME, data: {…}}`; all of them are carried out, or none.
    pub(crate) ops: Vec<AnyJson>,
    /// Anything the caller wants to keep with the entry in the rewrite log, up to 16 KiB.
    pub(crate) meta: Option<AnyJson>,
}

/// What somebody wants done.
#[derive(InputObject, Clone, Debug)]
pub(crate) struct SubmitIntentInput {
    /// The intent.
    pub(crate) intent: AnyJson,
    /// Anything the caller wants to keep with it.
    pub(crate) meta: Option<AnyJson>,
    /// Whether it is only planned and not carried out.
    #[graphql(default)]
    pub(crate) plan_only: bool,
}

/// Which commands of the history are wanted.
#[derive(InputObject, Clone, Debug, Default)]
pub(crate) struct HistoryFilterInput {
    /// Only commands of this session.
    pub(crate) session_id: Option<ID>,
    /// Only the command with this id.
    pub(crate) command_id: Option<ID>,
    /// Only commands of this chain.
    pub(crate) correlation_id: Option<ID>,
    /// Only commands of this kind, such as `graph.rewrite`.
    pub(crate) kind: Option<String>,
    /// Only commands with this outcome: `succeeded`, `failed`, `rejected`, `timed_out`, `cancelled`, `unfinished`.
    pub(crate) outcome: Option<String>,
    /// Only commands accepted then or later.
    pub(crate) since: Option<super::scalars::Timestamp>,
    /// Only commands accepted then or earlier.
    pub(crate) until: Option<super::scalars::Timestamp>,
    /// The newest first.
    #[graphql(default)]
    pub(crate) newest_first: bool,
}

fn invalid(message: String) -> Fault {
    Fault::new(ErrorCode::InvalidInput, message)
}

/// The number of a shadow working set.
pub(crate) fn sws_number(id: &ID) -> Result<u64, Fault> {
    let read: Option<u64> = id.parse().ok();
    read.filter(|n| n.to_string() == id.as_str()).ok_or_else(|| {
        invalid(format!(
            "swsId: expected a number such as `0`, got `{}`",
            shorten(id.as_str())
        ))
    })
}

impl ViewRefInput {
    /// The view and the version of it.
    pub(crate) fn read(&self) -> Result<(ViewName, Option<SnapshotId>), Fault> {
        let name = match (self.kind, &self.sws_id) {
            (ViewKind::System, None) => ViewName::System,
            (ViewKind::System, Some(_)) => {
                return Err(invalid("view: `SYSTEM` takes no `swsId`".to_owned()));
            }
            (ViewKind::Sws, None) => return Err(invalid("view: `SWS` needs a `swsId`".to_owned())),
            (ViewKind::Sws, Some(id)) => ViewName::Sws(sws_number(id)?),
        };
        let snapshot = self.snapshot_id.as_ref().map(|id| SnapshotId::parse(id.as_str()));
        Ok((name, snapshot.transpose()?))
    }

    /// The view as it is now: where versions make no sense, naming one is an error.
    pub(crate) fn current(&self, what: &str) -> Result<ViewName, Fault> {
        match self.read()? {
            (name, None) => Ok(name),
            (_, Some(_)) => Err(invalid(format!("view: {what}, so it takes no `snapshotId`"))),
        }
    }
}

/// The sort of view and the number of the shadow working set.
pub(crate) fn split(name: ViewName) -> (ViewKind, Option<ID>) {
    match name {
        ViewName::System => (ViewKind::System, None),
        ViewName::Sws(id) => (ViewKind::Sws, Some(ID(id.to_string()))),
    }
}

/// What a page asks for, checked.
pub(crate) fn page<K>(
    page: Option<&PageInput>,
    cursor: impl FnOnce(&str) -> Option<K>,
) -> Result<Page<K>, Fault> {
    let first = match page.and_then(|page| page.first) {
        None => GRAPH_PAGE_DEFAULT,
        Some(first) => usize::try_from(first)
            .ok()
            .filter(|first| (1..=PAGE_MAX).contains(first))
            .ok_or_else(|| invalid(format!("page.first: expected 1 to {PAGE_MAX}, got {first}")))?,
    };
    let after = match page.and_then(|page| page.after.as_deref()) {
        None => None,
        Some(text) => Some(cursor(text).ok_or_else(|| {
            let shown = shorten(text);
            invalid(format!(
                "page.after: expected the `endCursor` of a page of this listing, got `{shown}`"
            ))
        })?),
    };
    Ok(Page { first, after })
}

/// What a page costs: every entry once what is asked of it. It never overflows: the sum of all fields of a query
/// still fits.
pub(crate) fn cost(page: &Option<PageInput>, child: usize) -> usize {
    let first = page.as_ref().and_then(|page| page.first);
    let first = first.map_or(GRAPH_PAGE_DEFAULT, |first| usize::try_from(first).unwrap_or(1));
    first.saturating_mul(child.max(1)).min(1 << 40)
}

fn names<N, E: std::fmt::Display>(
    field: &str,
    texts: Option<&Vec<String>>,
    parse: impl Fn(&str) -> Result<N, E>,
) -> Result<Vec<N>, Fault> {
    let texts = texts.map(Vec::as_slice).unwrap_or_default();
    if texts.len() > GRAPHQL_FILTER_NAMES_MAX {
        let found = texts.len();
        return Err(invalid(format!(
            "{field}: expected at most {GRAPHQL_FILTER_NAMES_MAX} names, got {found}"
        )));
    }
    let read = texts
        .iter()
        .enumerate()
        .map(|(at, text)| parse(text).map_err(|error| invalid(format!("{field}[{at}]: {error}"))));
    read.collect()
}

/// Checked kinds of nodes or edges.
pub(crate) fn kinds(field: &str, texts: Option<&Vec<String>>) -> Result<Vec<KindName>, Fault> {
    names(field, texts, KindName::parse)
}

/// What a node filter asks for, checked.
pub(crate) fn node_filter(filter: Option<&NodeFilterInput>) -> Result<NodeFilter, Fault> {
    let Some(filter) = filter else {
        return Ok(NodeFilter::default());
    };
    Ok(NodeFilter {
        kinds: kinds("nodeFilter.kinds", filter.kinds.as_ref())?,
        has_keys: names(
            "nodeFilter.hasKeys",
            filter.has_keys.as_ref(),
            AttachmentKey::parse,
        )?,
    })
}

/// What an edge filter asks for, checked.
pub(crate) fn edge_filter(filter: Option<&EdgeFilterInput>) -> Result<EdgeFilter, Fault> {
    let Some(filter) = filter else {
        return Ok(EdgeFilter::default());
    };
    Ok(EdgeFilter {
        kinds: kinds("edgeFilter.kinds", filter.kinds.as_ref())?,
        from: filter.from.map(|id| NodeId(id.0)),
        to: filter.to.map(|id| NodeId(id.0)),
    })
}

/// A cursor that is the id of a node.
pub(crate) fn node_cursor(text: &str) -> Option<NodeId> {
    text.parse().ok()
}

/// A cursor that is the id of an edge.
pub(crate) fn edge_cursor(text: &str) -> Option<EdgeId> {
    text.parse().ok()
}

/// A cursor that is a place in a log.
pub(crate) fn place_cursor(text: &str) -> Option<u64> {
    text.parse().ok().filter(|place: &u64| place.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(kind: ViewKind, sws: Option<&str>, snapshot: Option<&str>) -> ViewRefInput {
        let id = |text: Option<&str>| text.map(|text| ID(text.to_owned()));
        ViewRefInput {
            kind,
            sws_id: id(sws),
            snapshot_id: id(snapshot),
        }
    }

    #[test]
    fn a_view_is_named_whole_or_not_at_all() {
        let read = |kind, sws, snapshot| view(kind, sws, snapshot).read().map_err(|fault| fault.code);
        assert_eq!(read(ViewKind::System, None, None), Ok((ViewName::System, None)));
        assert_eq!(read(ViewKind::Sws, Some("7"), None), Ok((ViewName::Sws(7), None)));
        for (kind, sws, snapshot) in [
            (ViewKind::System, Some("0"), None),
            (ViewKind::Sws, None, None),
            (ViewKind::Sws, Some("07"), None),
            (ViewKind::Sws, Some("-1"), None),
            (ViewKind::System, None, Some("3")),
        ] {
            assert_eq!(read(kind, sws, snapshot), Err(ErrorCode::InvalidInput));
        }
    }

    #[test]
    fn a_page_is_1_to_1000() {
        let of = |first, after: Option<&str>| {
            let input = PageInput {
                first,
                after: after.map(str::to_owned),
            };
            page(Some(&input), place_cursor)
        };
        assert_eq!(of(None, None).unwrap().first, 200);
        assert_eq!(of(Some(1000), Some("5")).unwrap().after, Some(5));
        assert!(of(Some(0), None).is_err());
        assert!(of(Some(1001), None).is_err());
        assert!(of(Some(-1), None).is_err());
        assert!(of(Some(1), Some("x")).is_err());
        assert_eq!(page(None, place_cursor).unwrap().first, 200);
    }

    #[test]
    fn the_cost_of_a_page_does_not_overflow() {
        let input = Some(PageInput {
            first: Some(i32::MAX),
            after: None,
        });
        assert_eq!(cost(&input, usize::MAX), 1 << 40);
        assert_eq!(cost(&None, 3), 600);
    }
}
